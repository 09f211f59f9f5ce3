"""Recurrent layers: one cell carried along a sequence, its state from step to step.

Multiply-accumulates count the two matrix products of each step, of the input and of the state, for every step;
products of a gate with a state, element by element, are not counted.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from specdsl.counts import Count, Size, product
from specdsl.declaration import Misuse
from specdsl.layers.arguments import ActivationArgument, ConstraintArgument, InitializerArgument, RegularizerArgument
from specdsl.layers.base import Layer, Modes, OptionKind, Shape, Weight, check_given, known, require_rank
from specdsl.layers.values import Fraction, Positive, Seed

RECURRENT_OPTIONS: Mapping[str, OptionKind] = {"initial_state": "tensors", "mask": "tensor", "training": "flag"}


class _Recurrent(Layer):
    """A layer that carries a state along the steps of a sequence."""

    family = "recurrent"
    options = RECURRENT_OPTIONS

    if TYPE_CHECKING:  # arguments of all that are below, which each declares at the place that Keras has it at
        return_sequences: bool
        return_state: bool
        go_backwards: bool
        stateful: bool
        unroll: bool

    def states(self, *shapes: Shape) -> tuple[Shape, ...]:
        """The shapes of the states that it carries from step to step."""
        raise NotImplementedError

    def check_option(self, name: str, given: tuple[Shape | None, ...], *shapes: Shape) -> None:
        wanted = self.states(*shapes) if name == "initial_state" else (shapes[0][:1],)
        check_given(self, name, given, wanted)


class _Gated(_Recurrent):
    """A layer whose cell joins the step's input and its state by matrix products, one for each of its gates."""

    gates: ClassVar[int]
    memories: ClassVar[int] = 1
    """States of `units` values each."""

    gated: ClassVar[int] = 0
    """Operations for each unit and step that join the gates with the states."""

    if TYPE_CHECKING:
        units: int
        use_bias: bool
        dropout: float
        recurrent_dropout: float

    def check(self) -> None:
        if self.stateful:
            raise Misuse(
                f"{type(self).__name__} keeps a state from batch to batch only where the batch has a fixed size, "
                "which a spec does not give",
                argument="stateful",
            )

    def states(self, *shapes: Shape) -> tuple[Shape, ...]:
        return ((self.units,),) * self.memories

    def result_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        steps, _ = self._sequence(shapes[0])
        if self.unroll and steps is None:
            raise Misuse(f"{type(self).__name__} cannot unroll an unknown number of steps", argument="unroll")
        output = (steps, self.units) if self.return_sequences else (self.units,)
        return (output, *(self.states(*shapes) if self.return_state else ()))

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        features, width = self._features(shapes[0]), self.gates * self.units
        bias = (self._weight("bias", *self._bias_shape(), role="bias"),) if self.use_bias else ()
        kernel = self._weight("kernel", features, width, role="kernel")
        return (kernel, self._weight("recurrent_kernel", self.units, width, role="recurrent"), *bias)

    def macs(self, *shapes: Shape) -> Count:
        steps, width = shapes[0][0], self.gates * self.units
        return product(steps, self._features(shapes[0]), width) + product(steps, self.units, width)

    def operations(self, *shapes: Shape) -> Count:
        # For each step: the sum of both products and the bias, a function for each gate, and what the gates do.
        each = self.gates * (2 + int(self.use_bias)) + self.gated
        return product(shapes[0][0], each, self.units)

    def modes(self) -> Modes | None:
        dropped = {"the step's input": self.dropout, "the state": self.recurrent_dropout}
        told = [f"{rate:.4g} of {what}" for what, rate in dropped.items() if rate]
        if not told:
            return None
        return Modes(f"drops {' and '.join(told)} by chance, the same values at each step", "drops nothing")

    def _bias_shape(self) -> tuple[int, ...]:
        return (self.gates * self.units,)

    def _weight(self, name: str, *sizes: int, role: str) -> Weight:
        return Weight(f"{_CELLS[type(self).__name__]}/{name}", sizes, role=role)

    def _sequence(self, shape: Shape) -> tuple[Size, Size]:
        require_rank(shape, 2, self, "a sequence of shape (steps, features)")
        return shape[0], shape[1]

    def _features(self, shape: Shape) -> int:
        return known(self._sequence(shape)[1], self, "the number of features")


_CELLS = {"SimpleRNN": "simple_rnn_cell", "LSTM": "lstm_cell", "GRU": "gru_cell"}
"""What Keras calls the part of each layer that has the weights."""


class SimpleRNN(_Gated):
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


class LSTM(_Gated):
    """A state and a memory, with gates that decide what enters, what stays and what leaves.

    Hochreiter and Schmidhuber, 1997.
    """

    gates = 4
    memories = 2
    gated = 5

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
        if self.use_bias and self.unit_forget_bias and self.bias_initializer is None:
            message = "LSTM cannot begin the bias of its forget gate at 1 and the rest by no initializer"
            raise Misuse(message, argument="bias_initializer", help="unit_forget_bias=false")


class GRU(_Gated):
    """A state with gates that decide how much of it is forgotten and how much is new (Cho et al., 2014)."""

    gates = 3
    gated = 5

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

    def _bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)
