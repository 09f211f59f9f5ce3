"""What every entry of the layer table declares: arguments, output shape, weights, work, behaviour."""

from collections.abc import Iterator, Mapping
from inspect import cleandoc
from typing import Any, ClassVar, Self

from specdsl.counts import Count, Size, product
from specdsl.declaration import Declaration, Misuse, snake_case
from specdsl.layers.activation_functions import INVERTIBLE, activation_work
from specdsl.layers.dtypes import FLOATS, Intake, Policy, PolicyName, policy, promoted
from specdsl.layers.facts import NOTHING_SAID, ROLES, Arithmetic, Kept, Modes, OptionKind, Reach, Said, Weight
from specdsl.layers.objects import misfit
from specdsl.layers.shapes import Shape, show


class Layer(Declaration):
    """One Keras layer. Its fields are Keras's arguments, in Keras's order, with Keras's defaults.

    A rule sees one input shape, or all of them where the layer merges several tensors. A rule that finds
    its inputs impossible raises `Misuse`, naming the argument at fault; the place is its caller's business.
    """

    family: ClassVar[str] = "core"
    """The group that the layer is documented and coloured with."""

    aliases: ClassVar[tuple[str, ...]] = ()
    """Other names of the same layer in `keras.layers`."""

    exported: ClassVar[str | None] = None
    """The only name of the layer in `keras.layers`, where that is not the name of Keras's class."""

    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    """The least and the greatest number of tensors that it takes at once; None for any."""

    apart: ClassVar[bool] = False
    """Whether Keras calls it with several tensors as arguments of their own, `layer(a, b)`, and not in one list."""

    repeats: ClassVar[bool] = False
    """Whether a single tensor that enters is taken twice, as by attention of a tensor to itself."""

    options: ClassVar[Mapping[str, OptionKind]] = {}
    """What a call of the layer may say beside its tensors, by Keras's name, and what that is."""

    call_arguments: ClassVar[tuple[str, ...]] = ("inputs", "training", "mask")
    """What Keras takes when it calls the layer, in the order of places."""

    call_training: ClassVar[bool | None] = False
    """What Keras writes down for `training` where a call says nothing."""

    implied: ClassVar[Mapping[str, Any]] = {}
    """What Keras's configuration has beside the arguments here, with the one value that a spec means by its silence."""

    passes: ClassVar[bool] = False
    """Whether in inference what leaves it are the values that entered, perhaps in another shape."""

    applies: ClassVar[str | None] = None
    """The activation that it is, for a layer that is nothing else."""

    nickname: ClassVar[str] = ""
    """What names of blocks call it, where that is not its own name."""

    noun: ClassVar[str] = "layer"
    example: ClassVar[str] = "Dense(10)"
    """What an argument takes that takes a layer of this kind, in words, and one such layer."""

    no_step: ClassVar[str | None] = None
    """Why it cannot be a step itself, where it can only stand in another layer; without a full stop."""

    intake: ClassVar[Intake] = "floats"
    """What types of tensor it computes with. Floats of all kinds are turned into the kind that it computes in."""

    integers: ClassVar[str] = "Rescaling(1) makes floats of integers; Embedding looks up vectors for them"
    """What to do about integers that it does not compute with, in words."""

    keeps_dtype: ClassVar[bool] = False
    """Whether what leaves is of the type that enters, where these are no floats."""

    settles_types: ClassVar[bool] = False
    """Whether the layers within it alone decide what is computed in, whatever type enters, as those of a model do."""

    roles: ClassVar[Mapping[str, str]] = {}
    """What its weights are for, by their names, with or without those of the parts that they stand in."""

    work: ClassVar[str] = ""
    """What its multiply-accumulates are, in words that go on after their number."""

    looks_up: ClassVar[bool] = False
    """Whether it reads of its weights only as many values as it gives out."""

    keyword_only: ClassVar[tuple[str, ...]] = ("trainable", "dtype")

    trainable: bool = True
    dtype: PolicyName | None = None

    needed_options: ClassVar[tuple[str, ...]] = ()
    """Those that each call says."""

    @classmethod
    def wanted(cls) -> str:
        return f"a {cls.noun} such as {cls.example}"

    @property
    def keras_name(self) -> str:
        """Its name in `keras.layers`."""
        return self.exported or type(self).__name__

    @property
    def own_name(self) -> str:
        """What a layer is called that the text gives no name, without a number: as Keras does, after its class."""
        return snake_case(type(self).__name__)

    def layers_within(self) -> Iterator["Layer"]:
        """The layers among its arguments, those in lists too."""
        for value in self.settings().values():
            yield from (item for item in (value if isinstance(value, tuple) else (value,)) if isinstance(item, Layer))

    @property
    def makes_mask(self) -> bool:
        """Whether a mask goes out with what leaves it, which Keras passes on unasked."""
        return bool(getattr(self, "mask_zero", False))

    @property
    def makes_sparse(self) -> bool:
        """Whether a sparse tensor leaves it, of which Keras computes little: a layer within may make it."""
        return bool(getattr(self, "sparse", False)) or any(layer.makes_sparse for layer in self.layers_within())

    def takes_sparse(self, *shapes: Shape) -> bool:
        """Whether Keras computes with sparse tensors of these shapes, in `fit` and `predict` too."""
        return False

    @property
    def nested(self) -> bool:
        """Whether Keras returns some of its results in lists of their own."""
        return False

    @property
    def said(self) -> Mapping[str, Said]:
        """What the call says beside its tensors, for the rules that depend on it; nothing but after `called`."""
        said: Mapping[str, Said] = vars(self).get("_said", NOTHING_SAID)
        return said

    def called(self, said: Mapping[str, Said]) -> Self:
        """The same layer in a call that says this beside its tensors: what leaves it and its work may depend on it."""
        if not said:
            return self
        copy = object.__new__(type(self))
        vars(copy).update(vars(self), _said=said)
        return copy

    def lists(self, option: str, *shapes: Shape) -> tuple[int, ...]:
        """How many tensors of an option stand in each list of a list, where Keras takes lists; () for one list."""
        return ()

    @property
    def policy(self) -> Policy:
        """What it computes in and what it keeps its weights in."""
        return policy(self.dtype)

    @property
    def in_list(self) -> bool:
        """Whether Keras takes the tensors in one list: `layer([a, b])`."""
        return self.arity != (1, 1) and not self.apart

    def result_shape(self, *shapes: Shape) -> Shape:
        """The shape that leaves the layer when `shapes` enter, the first one of several.

        Raises:
            Misuse: the layer cannot take these shapes.
        """
        return shapes[0]

    def result_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        """The shapes of all that leaves the layer; layers that return several tensors override this.

        Raises:
            Misuse: the layer cannot take these shapes.
        """
        return (self.result_shape(*shapes),)

    def result_dtype(self, *dtypes: str) -> str:
        """The type of what leaves the layer when tensors of these types enter, which it takes."""
        if not self.keeps_dtype or FLOATS & set(dtypes):
            return self.policy.compute
        return promoted(dtypes)

    def result_dtypes(self, count: int, *dtypes: str) -> tuple[str, ...]:
        """The types of all `count` tensors that leave the layer; layers whose outputs differ in it override this.

        Raises:
            Misuse: the layer cannot take tensors of these types.
        """
        self.check_intake(*dtypes)
        return (self.result_dtype(*dtypes),) * count

    def check_intake(self, *dtypes: str) -> None:
        """Check the types of the tensors that enter.

        Raises:
            Misuse: the layer does not compute with one of them.
        """
        for dtype in dtypes:
            if dtype not in FLOATS and dtype not in _INTAKES[self.intake]:
                raise Misuse(
                    f"{type(self).__name__} does not compute with {_VALUES.get(dtype, 'integers')}, "
                    f"and a tensor of {dtype} enters",
                    help=_REMEDIES.get(dtype, self.integers),
                )
        if "string" in dtypes and len(set(dtypes)) > 1:
            raise Misuse(
                f"{type(self).__name__} cannot join strings with {' and '.join(sorted({*dtypes} - {'string'}))}"
            )

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        """The layer's variables when `shapes` enter, in Keras's order of creation, as if it were trainable."""
        return ()

    def macs(self, *shapes: Shape) -> Count:
        """Multiply-accumulates for one example: of matrix products and convolutions, without additions of a bias."""
        return Count()

    @property
    def arithmetic(self) -> Arithmetic:
        """How its multiply-accumulates are carried out, or most of them."""
        return "products"

    def work_by_kind(self, *shapes: Shape) -> Mapping[Arithmetic, Size]:
        """Its multiply-accumulates for one example, by how they are carried out."""
        return {self.arithmetic: self.macs(*shapes).value}

    def turns(self, *shapes: Shape) -> Size:
        """How many computations it makes of which each waits for the one before, as along a sequence; 0 where none."""
        return 0

    def operations(self, *shapes: Shape) -> Count:
        """Operations on single values beside the multiply-accumulates, for one example, in inference.

        An addition, a multiplication, a division, a comparison and a function of one value count one each, and a sum
        of n values n - 1. By default these are the additions of a bias and the activation of the layer.
        """
        shape = self.result_shape(*shapes)
        bias = product(*shape) if getattr(self, "use_bias", False) else Count()
        return bias + activation_work(getattr(self, "activation", None), shape)

    def kept(self, *shapes: Shape) -> Kept:
        """What the layer keeps in training until its gradients have been worked out: by default what enters it.

        With an activation also what leaves it, or what entered the activation where that is not enough.
        """
        activation = getattr(self, "activation", None)
        if activation in (None, "linear"):
            return Kept(inputs=True)
        if activation in INVERTIBLE:
            return Kept(inputs=True, outputs=True)
        return Kept(inputs=True, more=product(*self.result_shape(*shapes)))

    def reach(self, *shapes: Shape) -> Reach | None:
        """What places of its output see along spatial axes when `shapes` enter; None where that may be everything."""
        return None

    def depth(self, *shapes: Shape) -> int:
        """How many layers that multiply lie on the longest path through it: 1 or 0 for all that is not a model."""
        return int(bool(self.macs(*shapes).terms))

    def modes(self) -> Modes | None:
        """How training differs from inference, None where it does not."""
        return None

    @classmethod
    def summary(cls) -> str:
        """What it does, in one sentence or two: the first paragraph of its documentation."""
        return " ".join(cleandoc(cls.__doc__ or "").split("\n\n")[0].split())

    def account(self, *shapes: Shape) -> str:
        """How the sizes that leave come about when `shapes` enter, in words that go on after them; "" where plain."""
        return ""

    def role(self, weight: str) -> str:
        """What a weight is for, by its name, in words that go on after its number of values."""
        name = weight.rsplit("/", 1)[-1]
        return self.roles.get(weight) or self.roles.get(name) or ROLES.get(name, "")

    def check_option(self, name: str, given: tuple[Shape | None, ...], *shapes: Shape) -> None:
        """Check the shapes of the tensors that an option of a call gives, None where it gives none.

        Raises:
            Misuse: the layer cannot take them.
        """

    def infer(self, *shapes: Shape) -> tuple[Shape, ...]:
        """The shapes of all outputs, after the number of inputs and the options of the call are checked.

        Raises:
            Misuse: too few or too many tensors, shapes that the layer cannot take, or weights that it cannot make.
        """
        self.check_number(len(shapes))
        for name in self.needed_options:
            if name not in self.said:
                message = f"each call of a {type(self).__name__} says its '{name}'"
                raise Misuse(message, help=f"name the tensors with `... as h`, and give `{name}=[h]`")
        leaving = self.result_shapes(*shapes)
        for name, given in self.said.items():
            if not isinstance(given, bool):
                self.check_option(name, given, *shapes)
        self.check_objects(leaving, *shapes)
        return leaving

    def check_objects(self, leaving: tuple[Shape, ...], *shapes: Shape) -> None:
        """Check that initializers, regularizers and constraints can serve what they are for, when `shapes` enter.

        Raises:
            Misuse: one cannot.
        """
        for weight in self.weights(*shapes):
            for purpose in ("initializer", "regularizer", "constraint"):
                argument = f"{weight.role or weight.name}_{purpose}"
                self._check_object(argument, weight.shape, weight.dtype or self.policy.variable, weight.name)
        self._check_object("activity_regularizer", (None, *leaving[0]), self.policy.compute, "output")

    def check_number(self, number: int) -> None:
        """Check the number of tensors that enter.

        Raises:
            Misuse: there are too few or too many.
        """
        least, most = self.arity
        if number < least or (most is not None and number > most):
            wanted = f"exactly {least} tensors" if most == least else f"{least} to {most} tensors"
            if most is None or most == 1:
                wanted = "one tensor" if most else f"at least {least} tensors"
            got = "one" if number == 1 else str(number)
            hint = "give it several with `[a, b] -> " + type(self).__name__ + "`" if number < least else None
            if most == 1:
                hint = "merge them first, `[a, b] -> Add`, or name those that are wanted: `... as a, _`"
            raise Misuse(f"{type(self).__name__} takes {wanted}, not {got}", help=hint)

    def _check_object(self, argument: str, shape: Shape, dtype: str, name: str) -> None:
        chosen = vars(self).get(argument)
        reason = misfit(chosen, shape, dtype) if chosen else None
        if reason:
            what = f"the {name} of this {type(self).__name__}"
            kind = "" if dtype == "float32" else f" and type {dtype}"
            raise Misuse(f"{reason}, and {what} has shape {show(shape)}{kind}", argument=argument)

    def compact(self, name: str) -> object:
        """An argument in its shortest form: one size where a tuple repeats it and the layer takes either."""
        value = getattr(self, name)
        if isinstance(value, tuple) and value and len(set(value)) == 1 and isinstance(value[0], int):
            try:
                if type(self)(**(self.arguments() | {name: value[0]})) == self:
                    return value[0]
            except ValueError:
                return value
        return value

    def frozen(self) -> Self:
        """The same layer with `trainable=false`."""
        copy = object.__new__(type(self))
        vars(copy).update(vars(self) | {"trainable": False})
        return copy

    def variables(self, *shapes: Shape) -> tuple[Weight, ...]:
        """The layer's variables as they are, each with its type: none trainable in a layer with `trainable=false`."""
        trained, variable = self.trainable, self.policy.variable
        return tuple(
            Weight(weight.name, weight.shape, weight.trainable and trained, weight.role, weight.dtype or variable)
            for weight in self.weights(*shapes)
        )


_INTEGERS = frozenset(f"{kind}{width}" for kind in ("int", "uint") for width in (8, 16, 32, 64))
_INTAKES: Mapping[Intake, frozenset[str]] = {
    "floats": frozenset(),
    "plain": _INTEGERS - {"uint64"},  # which Keras takes for uint32 when it computes
    "numbers": _INTEGERS | {"bool"},
    "any": _INTEGERS | {"bool", "string"},
}
"""What enters beside floats."""

_VALUES = {"bool": "truth values", "string": "strings"}
_REMEDIES = {
    "bool": "Rescaling(1) makes zeros and ones of them",
    "string": "StringLookup or TextVectorization make integers of them",
}
