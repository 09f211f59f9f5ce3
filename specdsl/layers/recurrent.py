"""Recurrent layers: a cell carried along a sequence, its states from step to step, with its rules for every step."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator

from specdsl.counts import Count, Size
from specdsl.declaration import Misuse
from specdsl.layers.arguments import ActivationArgument, ConstraintArgument, InitializerArgument, RegularizerArgument
from specdsl.layers.base import Layer
from specdsl.layers.cells import Cell, GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells, check_forget_bias, stacked
from specdsl.layers.dtypes import FLOATS, Intake
from specdsl.layers.facts import Arithmetic, Kept, Modes, OptionKind, Weight
from specdsl.layers.inner import fault_of, freeze_inner, inner_weights
from specdsl.layers.shapes import Shape, check_given, known, require_rank
from specdsl.layers.values import Fraction, Positive, Seed

RECURRENT_OPTIONS: Mapping[str, OptionKind] = {"initial_state": "tensors", "mask": "tensor", "training": "flag"}


class Recurrent(Layer):
    """A layer that carries the states of a cell along the steps of a sequence."""

    abstract = True
    family = "recurrent"
    intake: ClassVar[Intake] = "numbers"
    noun = "recurrent layer"
    example = "LSTM(64)"
    options = RECURRENT_OPTIONS
    call_arguments = ("sequences", "initial_state", "mask", "training")

    axes: ClassVar[tuple[str, ...]] = ("steps", "features")
    """What a sequence has along its axes."""

    if TYPE_CHECKING:  # arguments of all that are below, which each declares at the place that Keras has it at
        return_sequences: bool
        return_state: bool
        go_backwards: bool
        stateful: bool

    @property
    def inner(self) -> Cell:
        """What it does at each step."""
        raise NotImplementedError

    def check(self) -> None:
        if self.stateful:
            raise Misuse(
                f"{type(self).__name__} keeps a state from batch to batch only where the batch has a fixed size, "
                "which a spec does not give",
                argument="stateful",
            )

    def check_intake(self, *dtypes: str) -> None:
        super().check_intake(*dtypes)
        for dtype in dtypes:
            if dtype not in FLOATS and self.inner.dropped_input:
                raise Misuse(
                    f"{type(self).__name__} drops by chance what enters only where that is floats, "
                    f"and a tensor of {dtype} enters",
                    help="Rescaling(1) makes floats of it; Embedding looks up vectors for integers",
                )

    def states(self, *shapes: Shape) -> tuple[Shape, ...]:
        """The shapes of the states that it carries from step to step."""
        return self.inner.states(self._step(shapes[0]))

    def result_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        step, steps = self._step(shapes[0]), shapes[0][0]
        if getattr(self, "unroll", False) and steps is None:
            raise Misuse(f"{type(self).__name__} cannot unroll an unknown number of steps", argument="unroll")
        output = self.inner.output(step)
        leaving = (steps, *output) if self.return_sequences else output
        return (leaving, *(self.inner.states(step) if self.return_state else ()))

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        return inner_weights("", self.inner, self._step(shapes[0]))

    work = "at each step, what enters with the kernel, and the state with the recurrent kernel"

    def account(self, *shapes: Shape) -> str:
        steps = shapes[0][0]
        each = f"what the cell gives at each of the {steps} steps" if steps else "what the cell gives at each step"
        kept = each if self.return_sequences else "what the cell gives at the last step"
        return f"{kept}{', and then the states that it ends with' if self.return_state else ''}"

    def role(self, weight: str) -> str:
        return self.inner.role(weight.partition("/")[2])

    @property
    def arithmetic(self) -> Arithmetic:
        return self.inner.arithmetic

    def turns(self, *shapes: Shape) -> Size:
        return shapes[0][0]

    def macs(self, *shapes: Shape) -> Count:
        return shapes[0][0] * self.inner.macs(self._step(shapes[0]))

    def operations(self, *shapes: Shape) -> Count:
        return shapes[0][0] * self.inner.operations(self._step(shapes[0]))

    def kept(self, *shapes: Shape) -> Kept:
        """What enters, and what the cell keeps at each step."""
        return Kept(inputs=True, more=shapes[0][0] * self.inner.kept(self._step(shapes[0])).more)

    def modes(self) -> Modes | None:
        return self.inner.modes()

    def check_option(self, name: str, given: tuple[Shape | None, ...], *shapes: Shape) -> None:
        check_given(self, name, given, self.states(*shapes) if name == "initial_state" else (shapes[0][:1],))

    def lists(self, option: str, *shapes: Shape) -> tuple[int, ...]:
        return self.inner.lists("states", self._step(shapes[0])) if option == "initial_state" else ()

    def _step(self, shape: Shape) -> Shape:
        """The shape of one step."""
        require_rank(shape, len(self.axes), self, f"a sequence of shape ({', '.join(self.axes)})")
        for size, axis in list(zip(shape, self.axes, strict=True))[1:]:
            known(size, self, f"the number of {axis}" if axis in ("features", "channels") else f"the {axis}")
        return shape[1:]


def _cell(value: Any) -> Any:
    """A list of cells as one."""
    return StackedRNNCells(cells=stacked(value)) if isinstance(value, list | tuple) else value


class RNN(Recurrent):
    """A cell carried along a sequence, or several on top of each other, given in a list."""

    cell: Annotated[Cell, BeforeValidator(_cell)]
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    zero_output_for_mask: bool = False

    def check(self) -> None:
        super().check()
        freeze_inner(self, "cell")

    @property
    def inner(self) -> Cell:
        """The cell that is given."""
        return self.cell

    @property
    def nested(self) -> bool:
        """Where it returns the states of several cells."""
        return self.return_state and isinstance(self.cell, StackedRNNCells)

    def result_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        leaving = super().result_shapes(*shapes)
        step = self._step(shapes[0])
        with fault_of("cell"):
            self.cell.check_objects((self.cell.output(step),), step)
        return leaving


class _OfOneCell(Recurrent):
    """A recurrent layer that makes its cell of its own arguments."""

    cell_class: ClassVar[type[Cell]]

    @property
    def inner(self) -> Cell:
        """The cell that has the arguments which it shares with the layer."""
        return self.cell_class(**{name: getattr(self, name) for name in self.cell_class.names()})


class SimpleRNN(_OfOneCell):
    """A state that is computed anew at each step: `activation(x·kernel + state·recurrent_kernel + bias)`."""

    cell_class = SimpleRNNCell

    units: Positive
    activation: ActivationArgument = "tanh"
    use_bias: bool = True
    kernel_initializer: InitializerArgument = "glorot_uniform"
    recurrent_initializer: InitializerArgument = "orthogonal"
    bias_initializer: InitializerArgument = "zeros"
    kernel_regularizer: RegularizerArgument = None
    recurrent_regularizer: RegularizerArgument = None
    bias_regularizer: RegularizerArgument = None
    activity_regularizer: RegularizerArgument = None
    kernel_constraint: ConstraintArgument = None
    recurrent_constraint: ConstraintArgument = None
    bias_constraint: ConstraintArgument = None
    dropout: Fraction = 0.0
    recurrent_dropout: Fraction = 0.0
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    seed: Seed = None


class LSTM(_OfOneCell):
    """A state and a memory, with gates that decide what enters, what stays and what leaves.

    Hochreiter and Schmidhuber, 1997.
    """

    cell_class = LSTMCell

    units: Positive
    activation: ActivationArgument = "tanh"
    recurrent_activation: ActivationArgument = "sigmoid"
    use_bias: bool = True
    kernel_initializer: InitializerArgument = "glorot_uniform"
    recurrent_initializer: InitializerArgument = "orthogonal"
    bias_initializer: InitializerArgument = "zeros"
    unit_forget_bias: bool = True
    kernel_regularizer: RegularizerArgument = None
    recurrent_regularizer: RegularizerArgument = None
    bias_regularizer: RegularizerArgument = None
    activity_regularizer: RegularizerArgument = None
    kernel_constraint: ConstraintArgument = None
    recurrent_constraint: ConstraintArgument = None
    bias_constraint: ConstraintArgument = None
    dropout: Fraction = 0.0
    recurrent_dropout: Fraction = 0.0
    seed: Seed = None
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    use_cudnn: Literal["auto"] | bool = "auto"

    def check(self) -> None:
        super().check()
        check_forget_bias(self)


class GRU(_OfOneCell):
    """A state with gates that decide how much of it is forgotten and how much is new (Cho et al., 2014)."""

    cell_class = GRUCell

    units: Positive
    activation: ActivationArgument = "tanh"
    recurrent_activation: ActivationArgument = "sigmoid"
    use_bias: bool = True
    kernel_initializer: InitializerArgument = "glorot_uniform"
    recurrent_initializer: InitializerArgument = "orthogonal"
    bias_initializer: InitializerArgument = "zeros"
    kernel_regularizer: RegularizerArgument = None
    recurrent_regularizer: RegularizerArgument = None
    bias_regularizer: RegularizerArgument = None
    activity_regularizer: RegularizerArgument = None
    kernel_constraint: ConstraintArgument = None
    recurrent_constraint: ConstraintArgument = None
    bias_constraint: ConstraintArgument = None
    dropout: Fraction = 0.0
    recurrent_dropout: Fraction = 0.0
    seed: Seed = None
    return_sequences: bool = False
    return_state: bool = False
    go_backwards: bool = False
    stateful: bool = False
    unroll: bool = False
    reset_after: bool = True
    use_cudnn: Literal["auto"] | bool = "auto"
