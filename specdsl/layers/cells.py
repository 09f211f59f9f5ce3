"""Cells: what recurrent layers do at each step, with the rules of one step.

Multiply-accumulates count the two matrix products, of the input and of the state; products of a gate with a state,
element by element, are not counted.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BeforeValidator

from specdsl.counts import Count, product
from specdsl.declaration import Misuse, text
from specdsl.layers.activation_functions import activation_work
from specdsl.layers.arguments import ActivationArgument, ConstraintArgument, InitializerArgument, RegularizerArgument
from specdsl.layers.base import Layer
from specdsl.layers.dtypes import Intake
from specdsl.layers.facts import Kept, Modes, OptionKind, Weight
from specdsl.layers.inner import fault_of, freeze_inner, inner_names, inner_weights
from specdsl.layers.shapes import Shape, check_given, known, require_rank
from specdsl.layers.values import Fraction, Positive, Seed


class Cell(Layer):
    """What a recurrent layer does at each step: of an input and the states before, an output and the states after."""

    abstract = True
    family = "recurrent"
    intake: ClassVar[Intake] = "numbers"
    noun = "cell"
    example = "LSTMCell(32)"
    options: ClassVar[Mapping[str, OptionKind]] = {"states": "tensors", "training": "flag"}
    call_arguments = ("inputs", "states", "training")
    needed_options = ("states",)

    gates: ClassVar[int] = 0
    """How many values are worked out of the input and the state for each value that leaves."""

    gated: ClassVar[int] = 0
    """Operations for each value that leaves, which join the gates with the states."""

    functions: ClassVar[tuple[int, int]] = (0, 1)
    """How many times each value that leaves goes through `recurrent_activation` and through `activation`."""

    def states(self, *shapes: Shape) -> tuple[Shape, ...]:
        """The shapes of the states, when a step of such a shape enters.

        Raises:
            Misuse: the cell cannot take such a step.
        """
        raise NotImplementedError

    def output(self, *shapes: Shape) -> Shape:
        """The shape of what leaves the cell at each step: its first state, or of several cells that of the last one."""
        return self.states(*shapes)[0]

    @property
    def dropped_input(self) -> float:
        """The share of what enters that it drops by chance in training."""
        return 0.0

    def result_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        return (self.output(*shapes), *self.states(*shapes))

    def account(self, *shapes: Shape) -> str:
        return "what it gives at this step, and the states after it"

    def kept(self, *shapes: Shape) -> Kept:
        """What enters, the gates and the states."""
        states = sum((product(*state) for state in self.states(*shapes)), Count())
        return Kept(inputs=True, more=self.gates * product(*self.output(*shapes)) + states)

    def gate_work(self, biases: int, *shapes: Shape) -> Count:
        """Operations of the gates: the sum of both products and of biases, functions, and what the gates do."""
        output = self.output(*shapes)
        work = (self.gates * (1 + biases) + self.gated) * product(*output)
        for activation, times in zip(("recurrent_activation", "activation"), self.functions, strict=True):
            work += times * activation_work(getattr(self, activation, None), output)
        return work

    def check_option(self, name: str, given: tuple[Shape | None, ...], *shapes: Shape) -> None:
        check_given(self, name, given, self.states(*shapes))

    @property
    def nested(self) -> bool:
        """Always: the states are in a list."""
        return True


class _GatedCell(Cell):
    """A cell that joins the step's input and its state by matrix products, one for each of its gates."""

    memories: ClassVar[int] = 1
    """States of `units` values each."""

    if TYPE_CHECKING:  # arguments of all that are below, which each declares at the place that Keras has it at
        units: int
        use_bias: bool
        dropout: float
        recurrent_dropout: float

    def states(self, *shapes: Shape) -> tuple[Shape, ...]:
        require_rank(shapes[0], 1, self, "a step of shape (features,)")
        return ((self.units,),) * self.memories

    @property
    def dropped_input(self) -> float:
        return self.dropout

    def result_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        for name in ("dropout", "recurrent_dropout"):
            if getattr(self, name):
                message = f"Keras leaves it to recurrent layers to forget what {type(self).__name__} drops by chance"
                raise Misuse(message, argument=name, help="a Dropout before it drops, and so does a cell within an RNN")
        return super().result_shapes(*shapes)

    roles: ClassVar[Mapping[str, str]] = {
        "kernel": "a factor for each feature of a step and each {of_gates}",
        "recurrent_kernel": "a factor for each value of the state before and each {of_gates}",
        "bias": "the summands of each {of_gates}",
    }
    work = "what enters with the kernel, and the state with the recurrent kernel"

    def role(self, weight: str) -> str:
        wide = f"of the {self.gates}·{self.units} = {self.gates * self.units} values of its gates"
        return super().role(weight).format(of_gates=wide if self.gates > 1 else "unit")

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        features, width = self._features(shapes[0]), self.gates * self.units
        bias = (Weight("bias", self._bias_shape()),) if self.use_bias else ()
        kernel = Weight("kernel", (features, width))
        return (kernel, Weight("recurrent_kernel", (self.units, width), role="recurrent"), *bias)

    def macs(self, *shapes: Shape) -> Count:
        width = self.gates * self.units
        return product(self._features(shapes[0]), width) + product(self.units, width)

    def operations(self, *shapes: Shape) -> Count:
        return self.gate_work(len(self._bias_shape()) if self.use_bias else 0, *shapes)

    def modes(self) -> Modes | None:
        return dropped(self.dropout, self.recurrent_dropout)

    def _bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    def _features(self, shape: Shape) -> int:
        return known(shape[0], self, "the number of features")


def dropped(of_input: float, of_state: float) -> Modes | None:
    """How training differs where some of the input and of the state is dropped; None where nothing is."""
    rates = {"the step's input": of_input, "the state": of_state}
    told = [f"{rate:.4g} of {what}" for what, rate in rates.items() if rate]
    if not told:
        return None
    return Modes(f"drops {' and '.join(told)} by chance, the same values at each step", "drops nothing")


class SimpleRNNCell(_GatedCell):
    """A state that is computed anew at each step: `activation(x·kernel + state·recurrent_kernel + bias)`."""

    gates = 1

    units: Positive
    activation: ActivationArgument = "tanh"
    use_bias: bool = True
    kernel_initializer: InitializerArgument = "glorot_uniform"
    recurrent_initializer: InitializerArgument = "orthogonal"
    bias_initializer: InitializerArgument = "zeros"
    kernel_regularizer: RegularizerArgument = None
    recurrent_regularizer: RegularizerArgument = None
    bias_regularizer: RegularizerArgument = None
    kernel_constraint: ConstraintArgument = None
    recurrent_constraint: ConstraintArgument = None
    bias_constraint: ConstraintArgument = None
    dropout: Fraction = 0.0
    recurrent_dropout: Fraction = 0.0
    seed: Seed = None


class LSTMCell(_GatedCell):
    """A state and a memory, with gates that decide what enters, what stays and what leaves.

    Hochreiter and Schmidhuber, 1997.
    """

    gates = 4
    memories = 2
    gated = 4
    functions = (3, 2)

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
    kernel_constraint: ConstraintArgument = None
    recurrent_constraint: ConstraintArgument = None
    bias_constraint: ConstraintArgument = None
    dropout: Fraction = 0.0
    recurrent_dropout: Fraction = 0.0
    seed: Seed = None

    def check(self) -> None:
        check_forget_bias(self)


def check_forget_bias(layer: Any) -> None:
    """Check that the bias of an LSTM can begin as it says.

    Raises:
        Misuse: it has no initializer beside the one for the forget gate.
    """
    if layer.use_bias and layer.unit_forget_bias and layer.bias_initializer is None:
        message = f"{type(layer).__name__} cannot begin the bias of its forget gate at 1 and the rest by no initializer"
        raise Misuse(message, argument="bias_initializer", help="unit_forget_bias=false")


class GRUCell(_GatedCell):
    """A state with gates that decide how much of it is forgotten and how much is new (Cho et al., 2014)."""

    gates = 3
    gated = 5
    functions = (2, 1)

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
    kernel_constraint: ConstraintArgument = None
    recurrent_constraint: ConstraintArgument = None
    bias_constraint: ConstraintArgument = None
    dropout: Fraction = 0.0
    recurrent_dropout: Fraction = 0.0
    reset_after: bool = True
    seed: Seed = None

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)


def stacked(value: Any) -> Any:
    """A list of cells as a tuple, each checked to be one that can stand in a stack.

    Raises:
        Misuse: it is no list, it has less than two items, or something in it is no such cell.
    """
    if not isinstance(value, list | tuple):
        raise Misuse(f"several cells stand in a list, [GRUCell(8), GRUCell(4)], not {text(value)}")
    if len(value) < 2:
        raise Misuse("a stack is made of two cells or more", help="a single cell stands alone: RNN(GRUCell(8))")
    for cell in value:
        if not isinstance(cell, Cell) or isinstance(cell, StackedRNNCells):
            raise Misuse(f"a stack is made of cells such as {Cell.example}, not of {text(cell)}")
    return tuple(value)


class StackedRNNCells(Cell):
    """Several cells on top of each other as one: what leaves one enters the next."""

    cells: Annotated[tuple[Cell, ...], BeforeValidator(stacked)]

    def check(self) -> None:
        freeze_inner(self, "cells")

    def states(self, *shapes: Shape) -> tuple[Shape, ...]:
        return tuple(state for cell, step in self._steps(*shapes) for state in cell.states(step))

    def output(self, *shapes: Shape) -> Shape:
        cell, step = self._steps(*shapes)[-1]
        return cell.output(step)

    @property
    def dropped_input(self) -> float:
        return self.cells[0].dropped_input

    def result_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        for cell, step in self._steps(*shapes):
            cell.result_shapes(step)
        return super().result_shapes(*shapes)

    def check_objects(self, leaving: tuple[Shape, ...], *shapes: Shape) -> None:
        for cell, step in self._steps(*shapes):
            with fault_of("cells"):
                cell.check_objects((cell.output(step),), step)

    def lists(self, option: str, *shapes: Shape) -> tuple[int, ...]:
        return tuple(len(cell.states(step)) for cell, step in self._steps(*shapes))

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        steps, names = self._steps(*shapes), inner_names(self.cells)
        return tuple(
            weight
            for (cell, step), name in zip(steps, names, strict=True)
            for weight in inner_weights("", cell, step, name=name)
        )

    work = "those of all cells"

    def role(self, weight: str) -> str:
        name, _, inner = weight.partition("/")
        return self.cells[inner_names(self.cells).index(name)].role(inner)

    def macs(self, *shapes: Shape) -> Count:
        return sum((cell.macs(step) for cell, step in self._steps(*shapes)), Count())

    def operations(self, *shapes: Shape) -> Count:
        return sum((cell.operations(step) for cell, step in self._steps(*shapes)), Count())

    def kept(self, *shapes: Shape) -> Kept:
        inner = [cell.kept(step).more for cell, step in self._steps(*shapes)]
        return Kept(inputs=True, more=sum(inner, Count()))

    def modes(self) -> Modes | None:
        return next((cell.modes() for cell in self.cells if cell.modes()), None)

    def _steps(self, *shapes: Shape) -> list[tuple[Cell, Shape]]:
        """Each cell, and the shape that enters it."""
        (entering,) = shapes
        steps: list[tuple[Cell, Shape]] = []
        for cell in self.cells:
            steps.append((cell, entering))
            entering = cell.output(entering)
        return steps
