"""What Hypothesis draws for the tests: every strategy of the project stands in this file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from math import prod
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from hypothesis import strategies as st
from hypothesis.extra.lark import from_lark
from lark import Lark
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from specdsl import Graph, SpecError, loads
from specdsl.declaration import Declaration, Misuse, declared
from specdsl.declaration import text as _text
from specdsl.layers import LAYERS, InputLayer, Layer, Shape
from specdsl.layers.arguments import (
    ACTIVATIONS,
    UNUSABLE_ACTIVATIONS,
    ActivationArgument,
    ConstraintArgument,
    InitializerArgument,
    RegularizerArgument,
)
from specdsl.layers.objects import CONSTRAINTS, INITIALIZERS, REGULARIZERS, Constraint, Initializer, Regularizer
from specdsl.layers.values import Table
from specdsl.layers.wrappers import Bidirectional
from specdsl.syntax.parser import GRAMMAR

# ---------------------------------------------------------------------------------------------- layers


class Call(NamedTuple):
    """A layer class, arguments for it and the shapes that enter; not all of them go together."""

    kind: type[Layer]
    arguments: dict[str, Any]
    shapes: tuple[Shape, ...]

    def __str__(self) -> str:
        return f"{self.kind.__name__}({', '.join(f'{k}={v!r}' for k, v in self.arguments.items())}) on {self.shapes}"


APPLICABLE = [kind for kind in LAYERS.values() if kind is not InputLayer]
"""The layers that tensors enter."""


@st.composite
def calls(draw: st.DrawFn, kinds: Iterable[type[Layer]] = APPLICABLE) -> Call:
    """A layer class with arguments drawn from its fields and shapes to apply it to, legal or not.

    One call in six is wild: its numbers come from outside the bounds of the fields too.
    """
    kind = draw(st.sampled_from(list(kinds)))
    shapes = draw(_shapes(kind))
    arguments = draw(_arguments(kind, shapes, wild=_chance(draw, 1, 6)))
    return Call(kind, arguments, shapes)


@st.composite
def layers(draw: st.DrawFn, kinds: Iterable[type[Layer]] = APPLICABLE) -> tuple[Layer, tuple[Shape, ...]]:
    """A declared layer and shapes to apply it to, which it may or may not take."""
    call = draw(calls(kinds).filter(_constructible))
    return call.kind(**call.arguments), call.shapes


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
_COUNTS = st.sampled_from([2, 1, 3, 4])


@st.composite
def _shapes(draw: st.DrawFn, kind: type[Layer]) -> tuple[Shape, ...]:
    """Shapes of the rank that suits the layer in most cases; several differ a little, or not at all."""
    suits: int | None = getattr(kind, "rank", None)
    named = kind.__name__[-2:]
    if suits is None and named in ("1D", "2D", "3D"):
        suits = int(named[0])
    if kind.family in ("recurrent", "attention") or kind is Bidirectional:
        suits = 1
    rank = draw(st.integers(0, 4)) if suits is None or _chance(draw, 1, 8) else suits + 1
    size = st.none() if _chance(draw, 1, 5) else _SIZES
    first: Shape = tuple(draw(st.one_of(_SIZES, _SIZES, size)) for _ in range(rank))
    least, most = kind.arity
    number = least if most == 1 or not _chance(draw, 1, 3) else draw(st.integers(1, (most or 3) + 1))
    shapes = [first]
    while len(shapes) < number:
        shape = [draw(st.sampled_from([old, old, old, old, 1, None, 3])) for old in first]
        if _chance(draw, 1, 6):
            shape = draw(st.sampled_from([shape[1:], [2, *shape], shape[::-1]]))
        shapes.append(tuple(shape))
    return tuple(shapes)


@st.composite
def _arguments(draw: st.DrawFn, kind: type[Declaration], shapes: tuple[Shape, ...], wild: bool) -> dict[str, Any]:
    """Values for all required arguments and for some of the others."""
    arguments = {}
    for name, field in kind.fields().items():
        if get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1:
            continue  # an argument that Keras does not know, held at its only value
        rare = name.endswith(("_initializer", "_regularizer", "_constraint", "trainable"))
        if field.is_required() or _chance(draw, 1, 12 if rare else 3):
            annotation = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
            arguments[name] = draw(_values(annotation, shapes, wild))
    if {"mean", "variance"} <= set(kind.fields()) and _chance(draw, 1, 2):
        axis = arguments.get("axis", -1)
        extents = draw(_extents_along(() if axis is None else (axis,) if isinstance(axis, int) else axis, shapes[0]))
        arguments |= {"mean": draw(_tables(extents)), "variance": draw(_tables(extents))}
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
            return st.integers(-4, 4)
        return _COUNTS if "gt" in limit else st.integers(0, 3)
    if kind is float:
        if wild or not limit:
            return st.sampled_from([0.5, 0.0, 1.0, -0.5, 2.0])
        return st.sampled_from([0.5, 1.0, 0.25] if "gt" in limit else [0.5, 0.0, 1.0, 0.25])
    raise TypeError(f"no strategy for {kind}")


def _inner_layers(base: type[Layer], shapes: tuple[Shape, ...]) -> st.SearchStrategy[Layer]:
    """A layer for a wrapper: over one tensor, and no wrapper itself."""
    kinds = [
        kind for kind in APPLICABLE if issubclass(kind, base) and kind.arity == (1, 1) and kind.family != "wrapper"
    ]
    inner = tuple(shape[1:] for shape in shapes) if base is Layer else shapes

    def drawn(kind: type[Layer]) -> st.SearchStrategy[Layer]:
        calls = _arguments(kind, inner, wild=False).map(lambda arguments: Call(kind, arguments, inner))
        return calls.filter(_constructible).map(lambda call: kind(**call.arguments))

    rank = len(inner[0]) if inner else 1
    suiting = [kind for kind in kinds if f"{rank - 1}D" in kind.__name__ or not re.search(r"[123]D", kind.__name__)]
    return st.sampled_from(suiting or kinds).flatmap(drawn)


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


# ---------------------------------------------------------------------------------------------- specs


@st.composite
def spec_texts(draw: st.DrawFn) -> str:
    """A valid spec with one to three models: inputs of any rank, layers, shortcuts, blocks, loops, edits, names.

    It is written step by step, and a step stays when the compiler takes the text so far.
    """
    return _Writer(draw).spec()


@st.composite
def step_texts(draw: st.DrawFn) -> tuple[Shape, str]:
    """A shape, and steps without definitions of blocks that a tensor of that shape can flow through."""
    writer = _Writer(draw, blocks=False)
    shape = writer.shape()
    lines, _ = writer.steps(shape, depth=2, most=4)
    return shape, writer.join(lines or ["Identity"])


_POPULAR = [LAYERS[name] for name in ("Dense", "Conv1D", "Conv2D", "BatchNormalization", "ReLU", "Dropout", "Flatten")]
_MERGES = ["add", "concat", "multiply", "average", "maximum", "concat(axis=1)", "subtract", "dot(axes=-1)"]
_GATHERS = ["Add", "Concatenate", "Multiply", "Average", "Maximum", "Concatenate(axis=1)", "Subtract", "Dot(axes=-1)"]
_NAMES = ["h", "skip", "x", "y", "name", "lambda", "keras", "layers", "build_model", "é", "out", "x2", "dense"]
"""Names that a compiler to Python must take care of are among them."""
_DOCSTRINGS = [
    "What.",
    "Two\nlines.",
    "It's \\\\ a path.",
    'Says "so" now.',
    'Ends in a quote\\"',
    "é × ← 図",
    "a<b> & c",
]
_CONTROL = re.compile(r"(repeat|for|if|let|\[|\w+ ->)")
_SIZE_ARGUMENT = re.compile(r"\b(?:units|filters)=(\d+)|\b(?:Dense|Conv\dD)\((\d+)")
_LARGEST = 3_000
"""Values in a tensor at most, so that the models stay small."""


class _Writer:
    """Draws a spec. Each of its methods gives text that the compiler took when it was tried."""

    def __init__(self, draw: st.DrawFn, *, blocks: bool = True) -> None:
        self.draw = draw
        self.blocks = blocks
        self.definitions: list[str] = []
        self.calls: list[str] = []
        self.used: set[str] = set()

    def pick(self, options: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(options))

    def name(self, stem: str | None = None) -> str:
        """A name that the spec does not use yet."""
        stem = stem or self.pick(_NAMES)
        number, name = 2, stem
        while name in self.used:
            name, number = f"{stem}{number}", number + 1
        self.used.add(name)
        return name

    def shape(self) -> Shape:
        """A shape for an input: of any rank, seldom with a size that is unknown."""
        rank = self.pick([3, 1, 2, 3, 1, 2, 4, 0])
        sizes = self.draw(st.lists(_SIZES, min_size=rank, max_size=rank))
        if sizes and _chance(self.draw, 1, 6):
            sizes[self.draw(st.integers(0, len(sizes) - 1))] = None
        while prod(size or 1 for size in sizes) > _LARGEST:
            sizes = [size if size is None else -(-size // 2) for size in sizes]
        return tuple(sizes)

    # ------------------------------------------------------------------------------------------ trying

    def accepts(self, *models: str) -> Graph | None:
        """The last model of a text made of the definitions so far and these models, None where it is refused."""
        try:
            return loads("\n".join([*self.definitions, *models])).model()
        except SpecError:
            return None

    def leaving(self, shapes: Sequence[Shape], lines: Sequence[str]) -> Shape | None:
        """The shape that leaves some steps where tensors of these shapes enter, None where they are refused."""
        inputs = [f"input probe{number}: {_text(shape)}" for number, shape in enumerate(shapes)]
        graph = self.accepts("\n".join(["model probe {", *inputs, *lines, "Identity", "}"]))
        if graph is None:
            return None
        sizes = [prod(size or 4 for size in node.shape) for node in graph.nodes]
        small = max(sizes) <= _LARGEST and len(graph.nodes) < 40 and graph.analyse().totals.params < 100_000
        return graph.output_shapes[0] if small else None

    # ------------------------------------------------------------------------------------------ steps

    def steps(self, shape: Shape, depth: int, most: int = 3) -> tuple[list[str], Shape]:
        """Steps that a tensor can flow through, and the shape that leaves them."""
        entering, lines = shape, []
        kinds = [self.layer] * 5
        if depth:
            kinds += [self.shortcut, self.repeat, self.loop, self.condition, self.named]
        if depth and self.blocks:
            kinds += [self.block] * 2
        for _ in range(self.draw(st.integers(1, most))):
            step = self.pick(kinds)(shape, depth - 1)
            leaving = self.leaving([entering], [*lines, step])
            if leaving is not None:
                lines.append(step)
                shape = leaving
        return lines, shape

    def join(self, lines: Sequence[str]) -> str:
        """Statements as one text, one behind the other in any of the ways to write that."""
        text = (lines or [""])[0]
        for before, line in pairwise(lines):
            alone = _CONTROL.match(before) or _CONTROL.match(line)
            text += self.pick(["\n", "; "] if alone else ["\n", " -> "]) + line
        return text

    def body(self, shape: Shape, depth: int) -> str:
        lines, _ = self.steps(shape, depth)
        return self.join(lines)

    def layer(self, shape: Shape, depth: int = 0) -> str:
        """A layer that takes the shape."""
        for _ in range(5):
            kind = self.pick(self.pick([_POPULAR, _fitting(len(shape)), _fitting(len(shape), of_rank=True)]))
            arguments = self.draw(_arguments(kind, (shape,), wild=False))
            try:
                layer = kind(**arguments)
                layer.infer(shape)
            except (ValidationError, Misuse):
                continue
            text = str(layer)
            if kind.positional() and f"({kind.positional()[0]}=" in text and self.pick([True, False]):
                return text.replace(f"({kind.positional()[0]}=", "(", 1)
            return text.removesuffix("()") if self.pick([True, False]) else text
        return "Identity"

    def named(self, shape: Shape, depth: int) -> str:
        """Two layers whose outputs have names and are merged."""
        first, second = self.name(), self.name()
        if self.pick([True, False]):
            return f"{self.layer(shape)} as {first}\nIdentity as {second}\n[{first}, {second}] -> {self.pick(_GATHERS)}"
        return f"{self.layer(shape)} as {first}; {first} -> Dropout(0.5) as {second}; {second} -> {self.layer(shape)}"

    def shortcut(self, shape: Shape, depth: int) -> str:
        body, leaving = self.steps(shape, depth)
        text = " {\n" + self.join(body) + "\n}"
        around = ["", " via { " + self.body(shape, 0) + " }"]
        if leaving and leaving[-1]:
            units = leaving[-1]
            around += [
                f" via {{ if channels != {units} {{ Dense({units}) }} }}",
                f" via {{ Flatten -> Dense({units}) }}",
            ]
        for _ in range(3):
            step = f"shortcut {self.pick(_MERGES)}{text}{self.pick(around)}"
            if self.leaving([shape], [step]) is not None:
                return step
        return f"shortcut add {{ {self.pick(['Dropout(0.5)', 'ReLU', 'BatchNormalization(trainable=false)'])} }}"

    def repeat(self, shape: Shape, depth: int) -> str:
        times = self.pick(["2", "0", "3", "len(shape)", "1 if channels == 4 else 2"])
        return f"repeat {times} {{\n{self.body(shape, depth)}\n}}"

    def loop(self, shape: Shape, depth: int) -> str:
        name = self.name("n")
        body, value = self.parametrized(self.body(shape, depth), name)
        values = self.pick([f"[{value}]", f"({value}, 3)", f"[{value}, 2, {value}]", f"range({value}, {value} + 2)"])
        return f"for {name} in {values} {{\n{body}\n}}"

    def condition(self, shape: Shape, depth: int) -> str:
        conditions = [
            "channels > 2",
            "true",
            "len(shape) == 2 and not shape[0] == 4",
            "divisible(channels) == channels",
        ]
        text = f"if {self.pick(conditions)} {{\n{self.body(shape, depth)}\n}}"
        if self.pick([True, False]):
            text += f" else if {self.pick(conditions)} {{ {self.body(shape, 0)} }}"
        return text + (f" else {{ {self.body(shape, 0)} }}" if self.pick([True, False]) else "")

    def parametrized(self, text: str, name: str) -> tuple[str, str]:
        """The text with a name in place of one of its numbers, and that number."""
        found = list(_SIZE_ARGUMENT.finditer(text))
        if not found:
            return text, "2"
        match = self.pick(found)
        group = 1 if match[1] else 2
        return text[: match.start(group)] + name + text[match.end(group) :], match[group]

    # ------------------------------------------------------------------------------------------ blocks

    def block(self, shape: Shape, depth: int) -> str:
        """A use of a block, which is defined by it where none suits."""
        if self.calls and _chance(self.draw, 2, 3):
            step = self.pick(self.calls)
            if "(" in step and self.pick([True, False]):
                step = re.sub(r"\(\w+", f"({self.pick([3, 2, 5])}", step)
            return step + (f" as {self.name()}" if self.pick([False, False, True]) else "")
        parameter, name = self.name(self.pick(["width", "filters", "units", "n"])), self.name("block")
        body, value = self.parametrized(self.body(shape, max(depth, 0)), parameter)
        default = self.pick(["", f"={value}"])
        extra = self.pick(["", ", rate=0.5", ", trainable=false"])
        docstring = f'"""{self.pick(_DOCSTRINGS)}"""\n' if _chance(self.draw, 1, 4) else ""
        definition = f"block {name}({parameter}{default}{extra if default else ''}) {{ {docstring}{body}\n}}"
        step = f"{name}({value})"
        self.definitions.append(definition)
        if self.leaving([shape], [step]) is None:
            self.definitions.pop()
            return "Identity"
        self.calls.append(step)
        return step

    # ------------------------------------------------------------------------------------------ models

    def spec(self) -> str:
        model = self.chain() if self.pick([True, False]) else self.wired()
        graph = loads("\n".join([*self.definitions, model])).model()  # its parts are good, and so must be the whole
        models = [model]
        for _ in range(self.pick([0, 0, 1, 2])):
            variant = self.variant(models, graph)
            accepted = self.accepts(*models, variant)
            if accepted is not None:
                models.append(variant)
                graph = accepted
        docstring = [f'"""{self.pick(_DOCSTRINGS)}"""'] if _chance(self.draw, 1, 4) else []
        return "\n".join([*docstring, *self.definitions, *models]) + "\n"

    def head(self) -> str:
        docstring = f'"""{self.pick(_DOCSTRINGS)}"""\n' if _chance(self.draw, 1, 3) else ""
        return f"{self.name('model_')}PARAMETERS {{\n{docstring}"

    def chain(self) -> str:
        """A model of one input and one output, whose tensors have no names; seldom with a parameter."""
        shape = self.shape()
        lines, _ = self.steps(shape, depth=2, most=6)
        text, parameter = self.join(lines or ["Identity"]), ""
        if _chance(self.draw, 1, 3):
            text, value = self.parametrized(text, "size")
            parameter = f"(size={value})"
        head = f"model {self.head()}".replace("PARAMETERS", parameter)
        name = self.pick([self.name(), "input"])
        return f"{head}input {name}: {_text(shape)}\n{text}\n}}"

    def wired(self) -> str:
        """A model of named tensors: each is used, or an output."""
        shapes: dict[str, Shape] = {}
        lines = []
        for _ in range(self.draw(st.integers(1, 3))):
            shape = self.shape() if not shapes or self.pick([True, False]) else self.pick(list(shapes.values()))
            name = self.name()
            shapes[name] = shape
            lines.append(f"input {name}: {_text(shape)}")
        unused = list(shapes)
        for _ in range(self.draw(st.integers(1, 4))):
            start, sources, shape = self.start(shapes, unused)
            steps, shape = self.steps(shape, depth=1)
            if steps and _CONTROL.match(steps[0]):
                steps.insert(0, "Identity")
            if not steps or _CONTROL.match(steps[-1]) or " as " in steps[-1].split("\n")[-1]:
                steps.append("Identity")
            name = self.name()
            chain = f"{start} -> {self.join(steps)} as {name}"
            left = [name, *(other for other in unused if other not in sources)]
            graph = self.accepts("\n".join(["model m {", *lines, chain, f"output {', '.join(left)}", "}"]))
            if graph is not None:
                lines.append(chain)
                unused = left
                shapes[name] = graph.output_shapes[0]
        outputs = self.draw(st.permutations(unused))
        extra = [name for name in shapes if name not in unused and _chance(self.draw, 1, 6)]
        head = f"model {self.head()}".replace("PARAMETERS", "")
        return "\n".join([f"{head}{lines[0]}", *lines[1:], f"output {', '.join([*outputs, *extra])}", "}"])

    def start(self, shapes: dict[str, Shape], unused: list[str]) -> tuple[str, list[str], Shape]:
        """How a chain begins: with a tensor, or with several that are merged."""
        sources = [self.pick(unused)]
        if len(shapes) > 1 and self.pick([True, False]):
            sources += self.draw(st.lists(st.sampled_from(list(shapes)), min_size=1, max_size=2))
            for _ in range(3):
                merge = self.pick(_GATHERS)
                probes = ", ".join(f"probe{number}" for number in range(len(sources)))
                leaving = self.leaving([shapes[name] for name in sources], [f"[{probes}] -> {merge}"])
                if leaving is not None:
                    return f"[{', '.join(sources)}] -> {merge}", sources, leaving
        return sources[0], sources[:1], shapes[sources[0]]

    def variant(self, models: list[str], graph: Graph) -> str:
        """A model as an edit of the last one."""
        name, edits = self.name("variant_"), [""]
        targets = [node for node in graph.nodes if node.inputs] or [None]
        for _ in range(self.draw(st.integers(0, 3))):
            node = self.pick(targets)
            if node is None:
                break
            kind = type(node.layer)
            index = self.pick(["", "[0]", "[-1]"])
            insert = "{ " + self.pick(["Identity", "Dropout(0.5)", "ReLU -> Identity", self.layer(node.shape)]) + " }"
            settings = ["trainable = false"]
            settings += [f"{size} = {self.pick([3, 2, 6])}" for size in ("units", "filters") if size in kind.fields()]
            edit = self.pick(
                [
                    f"{self.pick(['after', 'before', 'replace'])} {kind.__name__}{index} {insert}",
                    f"remove {kind.__name__}{index}",
                    f"set {kind.__name__}{index}.{self.pick(settings)}",
                ]
            )
            tried = f"model {name} = {graph.name} with {{{'; '.join([*edits, edit])} }}"
            if self.accepts(*models, tried) is not None:
                edits.append(edit)
        return f"model {name} = {graph.name}" + (f" with {{{'; '.join(edits)} }}" if len(edits) > 1 else "")


@cache
def _fitting(rank: int, *, of_rank: bool = False) -> list[type[Layer]]:
    """The layers over one tensor that may take a tensor of that many axes, or those made for just that many."""
    single = [kind for kind in APPLICABLE if kind.arity == (1, 1)]
    made = [kind for kind in single if f"{rank - 1}D" in kind.__name__]
    return (made if of_rank else None) or [
        kind for kind in single if kind in made or not re.search(r"[123]D", kind.__name__)
    ]
