"""What Hypothesis draws for the tests: calls of layers, and texts. Whole specs are drawn in `spec_strategies.py`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from math import prod
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from hypothesis import strategies as st
from hypothesis.extra.lark import from_lark
from lark import Lark
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from specdsl.declaration import Declaration, Misuse, declared
from specdsl.layers import LAYERS, InputLayer, Layer, Shape
from specdsl.layers.activation_functions import ACTIVATIONS
from specdsl.layers.arguments import (
    UNUSABLE_ACTIVATIONS,
    ActivationArgument,
    ConstraintArgument,
    InitializerArgument,
    RegularizerArgument,
)
from specdsl.layers.augmentation import RandomCrop
from specdsl.layers.categories import Categorical, CategoryEncoding, Discretization, HashedCrossing
from specdsl.layers.cells import Cell, StackedRNNCells
from specdsl.layers.dtypes import Dtype, Float, PolicyName
from specdsl.layers.facts import NOTHING_SAID, Said
from specdsl.layers.lookups import Encoding, IntegerLookup
from specdsl.layers.objects import CONSTRAINTS, INITIALIZERS, REGULARIZERS, Constraint, Initializer, Regularizer
from specdsl.layers.recurrent import Recurrent
from specdsl.layers.values import Table
from specdsl.layers.wrappers import Bidirectional, SpectralNormalization
from specdsl.syntax.parser import GRAMMAR
from tests.coupled import coupled

# ---------------------------------------------------------------------------------------------- layers


class Call(NamedTuple):
    """A layer class, arguments, shapes and types that enter, and options of the call; not all of them go together."""

    kind: type[Layer]
    arguments: dict[str, Any]
    shapes: tuple[Shape, ...]
    options: Mapping[str, Said] = NOTHING_SAID
    types: tuple[str, ...] = ()
    """The types of the tensors; none where all are float32."""

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The types of the tensors."""
        return self.types or ("float32",) * len(self.shapes)

    def __str__(self) -> str:
        made = f"{self.kind.__name__}({', '.join(f'{k}={v!r}' for k, v in self.arguments.items())})"
        return f"{made} on {self.shapes} of {', '.join(self.dtypes)} with {dict(self.options)}"


APPLICABLE = [kind for kind in LAYERS.values() if kind is not InputLayer]
"""The layers that tensors enter."""

STEPS = [kind for kind in APPLICABLE if not kind.no_step]
"""Those that can be steps themselves."""

NUMERIC = [kind for kind in STEPS if not issubclass(kind, Categorical)]
"""Those that can be steps and take numbers of any kind: no words and no categories."""


@st.composite
def calls(draw: st.DrawFn, kinds: Iterable[type[Layer]] = APPLICABLE) -> Call:
    """A layer class with arguments drawn from its fields and shapes to apply it to, legal or not.

    One call in six is wild: its numbers come from outside the bounds of the fields too. Of every other one that
    is refused, an argument or several are taken away to make it legal, since most combinations of many are not.
    """
    kind = draw(st.sampled_from(list(kinds)))
    shapes = draw(_shapes(kind))
    arguments = draw(_arguments(kind, shapes, wild=_chance(draw, 1, 6)))
    call = Call(kind, arguments, shapes, draw(_options(kind, arguments, shapes)), draw(_types(kind, len(shapes))))
    return _mended(call, draw(st.permutations(list(arguments)))) if draw(st.booleans()) else call


def _mended(call: Call, order: Sequence[str]) -> Call:
    """The call without the first of its arguments without which it is legal, or else without several of them."""
    dropped: list[str] = []
    for several in (False, True):
        for name in order:
            if _is_legal(call):
                return call
            if name in call.kind.required():
                continue
            dropped = [*dropped, name] if several else [name]
            kept = {known: value for known, value in call.arguments.items() if known not in dropped}
            if _is_legal(call._replace(arguments=kept)):
                return call._replace(arguments=kept)
        dropped = []
    return call


def _is_legal(call: Call) -> bool:
    try:
        call.kind(**call.arguments).called(call.options).infer(*call.shapes)
    except (ValidationError, Misuse):
        return False
    return True


@st.composite
def _options(
    draw: st.DrawFn, kind: type[Layer], arguments: dict[str, Any], shapes: tuple[Shape, ...]
) -> dict[str, Said]:
    """Options of a call, `training` aside: flags, and shapes of tensors that suit the layer or do not."""
    said: dict[str, Said] = {}
    for name, what in kind.options.items():
        needed = name in kind.needed_options
        if kind is RandomCrop and _chance(draw, 3, 4):
            said[name] = True
        if name == "training" or (not needed and not _chance(draw, 1, 4)) or (needed and _chance(draw, 1, 12)):
            continue
        if what == "flag":
            said[name] = draw(st.booleans())
            continue
        fitting = list(_suiting(kind, arguments, name, shapes))
        given = draw(st.sampled_from(fitting)) if fitting and not _chance(draw, 1, 6) else shapes[-1:]
        if what == "masks" and _chance(draw, 1, 2):
            given = (None, *given[1:])
        if given and _chance(draw, 1, 8):
            given = draw(st.sampled_from([given[:-1], given + given[:1], (given[0][1:] if given[0] else (2,),)]))
        said[name] = (given or ((),))[:1] if what == "tensor" else given
    return said


def _suiting(
    kind: type[Layer], arguments: dict[str, Any], name: str, shapes: tuple[Shape, ...]
) -> Iterable[tuple[Shape, ...]]:
    """Shapes of the tensors that an option may give, where the layer can be made and takes what enters."""
    query, value = shapes[0], shapes[min(1, len(shapes) - 1)]
    if name == "attention_mask":
        full = (*query[:-1], *value[:-1])
        yield from ((full,), ((1,) * len(full),), ((arguments.get("num_heads", 1), *full),))
    elif name in ("states", "initial_state"):
        try:
            layer: Any = kind(**arguments)
            yield layer.states(*shapes)
        except (ValidationError, Misuse, AttributeError):  # Bidirectional has the states of two layers
            return
    elif kind.__name__ == "Softmax":
        yield from ((query,), ((1,) * len(query),))
    elif kind.options[name] == "masks":
        yield from ((query[:1], value[:1]), (query[:1], value[:1], shapes[-1][:1]))
    else:
        yield ((value if name in ("value_mask", "key_mask") else query)[:1],)


@st.composite
def layers(draw: st.DrawFn, kinds: Iterable[type[Layer]] = APPLICABLE) -> tuple[Layer, tuple[Shape, ...]]:
    """A declared layer and shapes to apply it to, which it may or may not take."""
    call = draw(calls(kinds).filter(_constructible))
    return call.kind(**call.arguments), call.shapes


@st.composite
def _types(draw: st.DrawFn, kind: type[Layer], count: int) -> tuple[str, ...]:
    """Types for so many tensors: in most cases floats, or what the layer takes; now and then any."""
    if issubclass(kind, Categorical) and not _chance(draw, 1, 6):
        every = {"floats": ("float32",), "integers": ("int64", "int32"), "strings": ("string",)}
        return (draw(st.sampled_from([dtype for what in kind.taken for dtype in every[what]])),) * count
    if not _chance(draw, 1, 3):
        return ()
    taken = {"floats": _FLOATS, "any": get_args(Dtype)}.get(kind.intake, (*_FLOATS, *_INTEGERS))
    among = st.sampled_from(get_args(Dtype) if _chance(draw, 1, 4) else taken)
    first = draw(among)
    return tuple(draw(among) if _chance(draw, 1, 3) else first for _ in range(count))


def _constructible(call: Call) -> bool:
    try:
        call.kind(**call.arguments)
    except (ValidationError, Misuse):
        return False
    return True


def _chance(draw: st.DrawFn, wanted: int, total: int) -> bool:
    """True in `wanted` of `total` cases; shrinks to False."""
    return draw(st.integers(1, total)) > total - wanted


_SIZES = st.sampled_from([4, 2, 6, 1, 3, 5, 8, 12])
_FLOATS = get_args(Float)
_INTEGERS = ("int32", "int64", "uint8", "int8", "uint16")
_COUNTS = st.sampled_from([2, 1, 3, 4])


@st.composite
def _shapes(draw: st.DrawFn, kind: type[Layer]) -> tuple[Shape, ...]:
    """Shapes of the rank that suits the layer in most cases; several differ a little, or not at all."""
    suits: int | None = getattr(kind, "rank", None)
    named = kind.__name__[-2:]
    if suits is None and named in ("1D", "2D", "3D"):
        suits = int(named[0])
    if kind.__name__ in ("STFTSpectrogram", "MelSpectrogram"):
        suits = 1 if kind.__name__ == "STFTSpectrogram" else 0
    elif kind.__name__ == "EinsumDense":
        suits = draw(st.sampled_from([1, 2, 3]))
    elif kind.__name__.startswith("ConvLSTM"):
        suits = int(named[0]) + 1
    elif kind is Bidirectional:
        suits = draw(st.sampled_from([1, 1, 1, 2, 3]))
    elif kind.family in ("recurrent", "attention"):
        suits = 0 if issubclass(kind, Cell) else 1
    if issubclass(kind, Categorical):
        suits = draw(st.sampled_from([0, 0, 0, -1, 1]))
    rank = draw(st.integers(0, 4)) if suits is None or _chance(draw, 1, 8) else suits + 1
    size = st.none() if _chance(draw, 1, 5) else _SIZES
    first: Shape = tuple(draw(st.one_of(_SIZES, _SIZES, size)) for _ in range(rank))
    if getattr(kind, "channels", ()) and first and not _chance(draw, 1, 8):
        first = (*first[:-1], 3)
    if kind is HashedCrossing and not _chance(draw, 1, 8):
        return (draw(st.sampled_from([(), (1,)])),) * 2
    if kind.__name__.endswith("Spectrogram"):
        first = tuple(size and size + 7 for size in first)
    least, most = kind.arity
    number = least if most == 1 or not _chance(draw, 1, 3) else draw(st.integers(1, (most or 3) + 1))
    shapes = [first]
    alike = _chance(draw, 1, 2)
    while len(shapes) < number:
        if alike:
            shapes.append(first)
            continue
        shape = [draw(st.sampled_from([old, old, old, old, 1, None, 3])) for old in first]
        if _chance(draw, 1, 6):
            shape = draw(st.sampled_from([shape[1:], [2, *shape], shape[::-1]]))
        shapes.append(tuple(shape))
    return tuple(shapes)


@st.composite
def _arguments(draw: st.DrawFn, kind: type[Declaration], shapes: tuple[Shape, ...], wild: bool) -> dict[str, Any]:
    """Values for all required arguments and for some of the others."""
    arguments = {}
    most = draw(st.sampled_from([1, 2]))
    for name, field in kind.fields().items():
        if get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1:
            continue  # an argument that Keras does not know, held at its only value
        rare = name.endswith(("_initializer", "_regularizer", "_constraint", "trainable", "dtype"))
        own = _OWN.get(kind.__name__, {}).get(name)
        if own is not None and not wild:
            arguments[name] = draw(own)
        elif field.is_required() or _chance(draw, 1 if rare else most, 12 if rare else 3):
            annotation = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
            arguments[name] = draw(_values(annotation, shapes, wild))
    if "vocabulary" in kind.fields() and _chance(draw, 3, 4):
        if _chance(draw, 2, 3):
            kept = draw(st.sets(st.sampled_from(sorted(kind.fields())), max_size=3)) | {"output_mode"}
            arguments = {name: value for name, value in arguments.items() if name in kept}
        arguments |= draw(_vocabularies(kind))
        weighed = arguments.get("output_mode") in ("tf_idf", "tf-idf")
        arguments["idf_weights"] = draw(_tables((len(arguments["vocabulary"]),))) if weighed else None
    if kind is RandomCrop and len(shapes[0]) == 3 and _chance(draw, 1, 3):
        arguments |= {"height": shapes[0][0], "width": shapes[0][1]}
    if kind is CategoryEncoding:
        arguments.setdefault("num_tokens", draw(_COUNTS))
    if kind is Discretization and _chance(draw, 3, 4):
        arguments |= {"bin_boundaries": draw(st.sampled_from([[0.5], [0, 0.25, 1], [-1, 0.3]])), "num_bins": None}
    if kind is SpectralNormalization and _chance(draw, 7, 8):
        kernels = [one for one in APPLICABLE if {"kernel_initializer", "embeddings_initializer"} & set(one.fields())]
        single = [one for one in kernels if one.arity == (1, 1) and one.family not in ("recurrent", "attention")]
        arguments["layer"] = draw(_layers_among(single, shapes, len(shapes[0]) - 1))
    if kind is StackedRNNCells and _chance(draw, 7, 8):
        arguments["cells"] = draw(_stacks(shapes))
    if kind.__name__ == "EinsumDense":
        arguments |= draw(_equation(shapes[0]))
    if issubclass(kind, Layer) and not wild:
        arguments |= draw(coupled(kind, shapes))
    if kind.__name__ in ("TimeDistributed", "Bidirectional", "SpectralNormalization") and _chance(draw, 1, 3):
        arguments |= draw(_policies(arguments, alike=kind.__name__ == "TimeDistributed"))
    if {"mean", "variance"} <= set(kind.fields()) and _chance(draw, 1, 2):
        axis = arguments.get("axis", -1)
        extents = draw(_extents_along(() if axis is None else (axis,) if isinstance(axis, int) else axis, shapes[0]))
        arguments |= {"mean": draw(_tables(extents)), "variance": draw(_tables(extents))}
    return arguments


@st.composite
def _policies(draw: st.DrawFn, arguments: dict[str, Any], *, alike: bool) -> dict[str, Any]:
    """Policies of a wrapper and of the layers within it, mostly the same ones where they have to be alike."""
    policies = st.sampled_from([None, *get_args(PolicyName)])
    own = draw(policies)
    chosen: dict[str, Any] = {"dtype": own}
    for name in ("layer", "backward_layer"):
        if layer := arguments.get(name):
            dtype = own if alike and _chance(draw, 7, 8) else draw(policies)
            try:
                chosen[name] = type(layer)(**(layer.arguments() | {"dtype": dtype}))
            except (ValidationError, Misuse):
                return {}
    return chosen


def _vocabularies(kind: type[Declaration]) -> st.SearchStrategy[dict[str, Any]]:
    """A vocabulary without doubles; seldom with one, and with what is reserved at its head."""
    words = ["relu", "zeros", "l2", "nonsense", "[UNK]"] if kind is not IntegerLookup else [5, 6, 7, 0, -1]
    lists = st.lists(st.sampled_from(words[:4]), min_size=1, max_size=4, unique=True)
    odd = st.one_of(st.lists(st.sampled_from(words), max_size=4), lists.map(lambda known: [words[-1], *known]))
    return st.one_of(lists, lists, lists, odd).map(lambda known: {"vocabulary": known})


_OWN: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "STFTSpectrogram": {
        "frame_length": st.sampled_from([4, 2, 3, 5, 8, 1]),
        "frame_step": st.sampled_from([None, None, 1, 2, 3, 4]),
        "fft_length": st.sampled_from([None, None, 8, 4, 16]),
    },
    "MelSpectrogram": {
        "fft_length": st.sampled_from([4, 8, 5, 2, 1, 16]),
        "sequence_stride": st.sampled_from([1, 2, 3, 4]),
        "sequence_length": st.sampled_from([None, None, 4, 2, 8]),
        "num_mel_bins": st.sampled_from([3, 1, 4]),
        "max_freq": st.sampled_from([None, None, 4000.0, 10.0]),
    },
}
"""What to draw for arguments whose bounds say too little: sizes that go with those of the tensors."""

_EQUATIONS = {
    2: ["ab,bc->ac", "ab,b->ab", "ab,bc->acb", "ab,bcd->adc", "...b,bc->...c", "ab...,bc->ac..."],
    3: [
        "abc,cd->abd",
        "abc,bd->acd",
        "abc,bcd->ad",
        "abc,cde->abde",
        "abc,cd->adb",
        "...bc,cd->...bd",
        "...c,cd->...d",
    ],
    4: ["abcd,de->abce", "abcd,cde->abe", "...cd,de->...ce", "...d,de->...e", "ab...,bc->ac...", "abc...,bcd->ad..."],
}
_STRANGE_EQUATIONS = [
    "abc,cd->bad", "aab,bc->ac", "ab, bc->ac", "abc,cd->abx", "a...,bc->ac...", "ab,ac->bc", "abc,de->abde", "ab,bc->",
]  # fmt: skip


@st.composite
def _equation(draw: st.DrawFn, shape: Shape) -> dict[str, Any]:
    """An equation of an EinsumDense, the shape that it makes and the axes of its bias; mostly they go together."""
    fitting = _EQUATIONS.get(len(shape) + 1) or _STRANGE_EQUATIONS
    equation = draw(st.sampled_from(_STRANGE_EQUATIONS if _chance(draw, 1, 8) else fitting))
    entering, _, rest = equation.partition(",")
    leaving = rest.rpartition(">")[2]
    letters = leaving.replace(".", "") or "z"
    whole = dict(zip(reversed(entering.replace("...", "")), reversed((None, *shape)), strict=False))
    if not entering.startswith("..."):
        whole = dict(zip(entering.replace("...", ""), (None, *shape), strict=False))
    if not leaving.startswith("...") or len(entering.replace("...", "")) == len(shape) + 1:
        letters_made = letters[1:]
    else:
        letters_made = letters
    made = tuple(
        draw(st.sampled_from([whole[one], None, None, 3] if one in whole else [2, 3, 2, None])) for one in letters_made
    )
    if _chance(draw, 1, 8):
        made = draw(st.sampled_from([made[1:], (*made, 2)]))
    arguments: dict[str, Any] = {"equation": equation, "output_shape": made}
    if _chance(draw, 1, 2):
        arguments["bias_axes"] = draw(
            st.sampled_from([letters[-1], letters[-2:], letters, "z", letters[-2:][::-1], ""])
        )
    return arguments


def _extents_along(axes: tuple[int, ...], shape: Shape) -> st.SearchStrategy[tuple[int, ...]]:
    """Extents of a table that can, mostly, be spread over some axes of a tensor."""
    places = sorted(axis % (len(shape) + 1) for axis in axes if axis % (len(shape) + 1))
    sizes = [st.sampled_from([shape[place - 1] or 2, shape[place - 1] or 2, 1]) for place in places]
    return st.integers(0, len(sizes)).flatmap(lambda first: st.tuples(*sizes[first:]))


def _tables(extents: tuple[int, ...]) -> st.SearchStrategy[Any]:
    """Lists in lists of numbers, as long as these extents say; a number where there are none."""
    table: st.SearchStrategy[Any] = st.sampled_from([1.0, 0.5, 2.0, 3])
    for extent in reversed(extents):
        table = st.lists(table, min_size=extent, max_size=extent)
    return table


def _values(kind: Any, shapes: tuple[Shape, ...] = (), wild: bool = False) -> st.SearchStrategy[Any]:
    """Values of an annotated type; wild ones may lie outside its bounds."""
    for argument, strategy in _NAMED.items():
        if kind == argument:
            return strategy()
    bounds: list[Any] = []
    while get_origin(kind) is Annotated:
        kind, *metadata = get_args(kind)
        for item in metadata:
            bounds += item.metadata if isinstance(item, FieldInfo) else [item]
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return st.one_of([_values(option, shapes, wild) for option in inner])
    if origin is Literal:
        return st.sampled_from(inner)
    if origin is tuple and inner[-1] is ... and inner[0] is int:
        return _integers_about(shapes[0] if shapes else ())
    if origin is tuple and inner[0] is Layer:
        return st.lists(_inner_layers(Layer, shapes, steps=False), max_size=3).map(tuple)
    if origin is tuple and inner[-1] is ...:
        return st.lists(_values(inner[0], shapes, wild), max_size=4).map(tuple)
    if origin is tuple:
        each = st.tuples(*(_values(option, shapes, wild) for option in inner))
        return st.one_of(each, _values(inner[0], shapes, wild))
    if isinstance(kind, type) and issubclass(kind, Layer):
        return _inner_layers(kind, shapes)
    if kind is bool:
        return st.booleans()
    if kind is NoneType:
        return st.none()
    if kind is str:
        return st.sampled_from(["relu", "zeros", "l2", "nonsense"])
    limit = {
        name: getattr(bound, name) for bound in bounds for name in ("gt", "ge", "lt", "le") if hasattr(bound, name)
    }
    if kind is int:
        if wild or not limit:
            return st.one_of(st.sampled_from([-1, 1, 2]), st.integers(-4, 4))
        return _COUNTS if "gt" in limit else st.integers(0, 3)
    if kind is float:
        if wild or not limit:
            return st.sampled_from([0.5, 0.0, 1.0, -0.5, 2.0])
        return st.sampled_from([0.5, 1.0, 0.25] if "gt" in limit else [0.5, 0.0, 1.0, 0.25])
    raise TypeError(f"no strategy for {kind}")


def _inner_layers(base: type[Layer], shapes: tuple[Shape, ...], *, steps: bool = True) -> st.SearchStrategy[Layer]:
    """A layer for a wrapper: over one tensor, and no wrapper itself; one over each step, where `steps` says so."""
    kinds = [kind for kind in NUMERIC if issubclass(kind, base) and kind.arity == (1, 1) and kind.family != "wrapper"]
    inner = tuple(shape[1:] for shape in shapes) if base is Layer and steps else shapes
    if base is Recurrent and shapes and len(shapes[0]) > 2:
        return _layers_among([kind for kind in kinds if kind.__name__.startswith("ConvLSTM")], inner, len(inner[0]) - 2)
    return _layers_among(kinds, inner, len(inner[0]) - 1 if inner else 0)


def _layers_among(kinds: list[type[Layer]], inner: tuple[Shape, ...], rank: int) -> st.SearchStrategy[Layer]:
    """A layer of these classes, with arguments for such shapes and so many spatial axes."""

    def drawn(kind: type[Layer]) -> st.SearchStrategy[Layer]:
        calls = _arguments(kind, inner, wild=False).map(lambda arguments: Call(kind, arguments, inner))
        return calls.filter(_constructible).map(lambda call: kind(**call.arguments))

    suiting = [kind for kind in kinds if f"{rank}D" in kind.__name__ or not re.search(r"[123]D", kind.__name__)]
    return st.sampled_from(suiting or kinds).flatmap(drawn)


def _stacks(shapes: tuple[Shape, ...]) -> st.SearchStrategy[list[Layer]]:
    """Two cells or three, no stacks themselves, which mostly drop nothing: a stack by itself forgets nothing."""
    single = [kind for kind in STEPS if issubclass(kind, Cell) and kind is not StackedRNNCells]
    each = _layers_among(single, shapes, 0)
    lasting = each.map(lambda cell: type(cell)(**(cell.arguments() | {"dropout": 0.0, "recurrent_dropout": 0.0})))
    return st.lists(st.one_of(lasting, lasting, lasting, each), min_size=2, max_size=3)


def _integers_about(shape: Shape) -> st.SearchStrategy[tuple[int, ...]]:
    """Tuples of integers that may mean something for a shape: axes, a permutation, another shape of the same size."""
    rank, size = len(shape), prod(size or 1 for size in shape)
    axes = st.lists(st.integers(-rank - 1, rank), max_size=3).map(tuple)
    permutations = st.permutations(range(1, rank + 1)).map(tuple)
    divisors = [divisor for divisor in range(1, size + 1) if size % divisor == 0]
    halves = st.sampled_from(divisors).map(lambda divisor: (divisor, size // divisor))
    opened = st.sampled_from(divisors).flatmap(lambda divisor: st.sampled_from([(-1, divisor), (divisor, -1)]))
    return st.one_of(axes, permutations, halves, opened, st.lists(st.integers(-1, 4), max_size=3).map(tuple))


def objects(base: type[Declaration]) -> st.SearchStrategy[Declaration]:
    """An initializer, regularizer or constraint, with arguments drawn from its fields."""

    def build(kind: type[Declaration]) -> st.SearchStrategy[Declaration]:
        return _arguments(kind, (), wild=False).map(lambda arguments: kind(**arguments))

    return st.sampled_from(list(declared(base))).flatmap(build)


def _named_or_object(names: dict[str, Any], base: type[Declaration]) -> st.SearchStrategy[Any]:
    return st.one_of(st.sampled_from(sorted(names)), objects(base), st.none(), st.just("nonsense"))


_NAMED: dict[Any, Any] = {
    ActivationArgument: lambda: st.sampled_from([*ACTIVATIONS, *UNUSABLE_ACTIVATIONS, None, "nonsense"]),
    InitializerArgument: lambda: _named_or_object(INITIALIZERS, Initializer),
    RegularizerArgument: lambda: _named_or_object(REGULARIZERS, Regularizer),
    ConstraintArgument: lambda: _named_or_object(CONSTRAINTS, Constraint),
    Encoding: lambda: st.sampled_from(["utf-8", "latin-1", "nonsense"]),
    Table: lambda: st.one_of(st.none(), _tables(()), _tables((2,)), _tables((2, 3)), st.just([1, [2]])),
}
"""Arguments that name a thing or hold a table, each with its strategy."""


# ---------------------------------------------------------------------------------------------- texts


@cache
def _grammar() -> Lark:
    """The grammar of specs without what a person does not write: holes, and blanks and comments drawn anywhere."""
    text = GRAMMAR.read_text(encoding="utf-8")
    text = re.sub(r"^(%ignore|hole:|HOLE:).*", "", text, flags=re.MULTILINE)
    return Lark(text.replace(" | hole", ""), start="spec", parser="lalr", maybe_placeholders=False)


_WORDS = {
    "NAME": ["a", "b", "m", "x", "Dense", "Conv2D", "Add", "ReLU", "Flatten", "filters", "é"],
    "NUMBER": ["1", "0", "2", "3", "0.5", "10k", "1.5M", "1e3", "007", "1_0"],
    "STRING": ['"same"', "'relu'", '""', r'"\n\\\"#"', "'#'"],
    "DOCSTRING": ['"""What."""', '"""Two\nlines."""', '"""\n"""'],
    "SEP": ["\n", ";", "\n\n", " # why\n", "\n# so\n", ";\n"],
    "COMPARATOR": ["==", "!=", "<=", ">=", "<", ">"],
    "SIGN": ["-", "+"],
    "SCALE": ["*", "//", "/", "%"],
}
"""What the words of the grammar with more than one form are drawn from."""


@cache
def grammar_texts() -> st.SearchStrategy[str]:
    """Texts drawn from the grammar itself, mostly without sense."""
    explicit = {}
    for terminal in _grammar().terminals:
        words = _WORDS.get(terminal.name) or [terminal.pattern.value]
        assert all(re.fullmatch(terminal.pattern.to_regexp(), word.strip(" ")) for word in words if "#" not in word)
        # A word stands apart from the one before it, or the two would be read as one.
        explicit[terminal.name] = st.sampled_from([f" {word}" for word in words])
    return from_lark(_grammar(), start="spec", explicit=explicit)


@st.composite
def mutated_texts(draw: st.DrawFn, texts: Sequence[str]) -> str:
    """A text of the list with some of its pieces cut out, doubled, swapped, or replaced by pieces of another."""
    pieces = re.findall(r"\w+|\s+|.", draw(st.sampled_from(texts)))
    others = re.findall(r"\w+|\s+|.", draw(st.sampled_from(texts)))
    for _ in range(draw(st.integers(1, 4))):
        if not pieces:
            break
        start = draw(st.integers(0, len(pieces) - 1))
        end = start + draw(st.integers(1, 5))
        match draw(st.sampled_from(["cut", "double", "replace", "insert"])):
            case "cut":
                del pieces[start:end]
            case "double":
                pieces[start:start] = pieces[start:end]
            case "replace":
                pieces[start : start + 1] = [draw(st.sampled_from(others))]
            case "insert":
                pieces[start:start] = [draw(st.sampled_from([*others, "{", "}", "(", ")", '"', "->", "\n", ";", "#"]))]
    return "".join(pieces)
