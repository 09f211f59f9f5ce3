"""Recurrent layers with convolutions in place of matrix products."""

from collections.abc import Mapping
from typing import Any, ClassVar

from specdsl.counts import Count, Size, product
from specdsl.declaration import Misuse
from specdsl.layers.arguments import (
    ActivationArgument,
    ConstraintArgument,
    DataFormat,
    InitializerArgument,
    Padding,
    RegularizerArgument,
)
from specdsl.layers.cells import Cell, LSTMCell, check_forget_bias, dropped
from specdsl.layers.facts import Arithmetic, Modes, Weight
from specdsl.layers.recurrent import Recurrent
from specdsl.layers.shapes import Shape, known, require_rank
from specdsl.layers.spatial import either_stride_or_dilate, join, slide, split
from specdsl.layers.values import Fraction, Ints, Positive, Seed, Sizes1, Sizes2, Sizes3


class _ConvLSTMCell(Cell):
    """The cell of an LSTM whose products with the input and with the state are convolutions."""

    intake = "floats"

    gates, gated, functions = LSTMCell.gates, LSTMCell.gated, LSTMCell.functions

    filters: Positive
    kernel_size: Ints
    strides: Ints
    padding: Padding
    data_format: DataFormat
    dilation_rate: Ints
    activation: ActivationArgument
    recurrent_activation: ActivationArgument
    use_bias: bool
    dropout: Fraction
    recurrent_dropout: Fraction

    @property
    def own_name(self) -> str:
        return "conv_lstm_cell"

    def states(self, *shapes: Shape) -> tuple[Shape, ...]:
        spatial, _ = self._split(shapes[0])
        window = (self.kernel_size, self.strides, self.padding, self.dilation_rate)
        places = slide(spatial, *window, layer=self, argument="kernel_size")
        return (join(places, self.filters, self.data_format),) * 2

    roles: ClassVar[Mapping[str, str]] = {
        "kernel": "for each of four gates a factor for each place of the window, each channel and each filter",
        "recurrent_kernel": "the same for the state before",
        "bias": "for each of four gates a summand for each filter",
    }

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        _, channels = self._split(shapes[0])
        width = 4 * self.filters
        recurrent = Weight("recurrent_kernel", (*self.kernel_size, self.filters, width), role="recurrent")
        bias = (Weight("bias", (width,)),) if self.use_bias else ()
        return (Weight("kernel", (*self.kernel_size, channels, width)), recurrent, *bias)

    @property
    def arithmetic(self) -> Arithmetic:
        return "grouped"

    def macs(self, *shapes: Shape) -> Count:
        _, channels = self._split(shapes[0])
        places, _ = self._split(self.output(*shapes))
        width = 4 * self.filters
        of_state = product(*places, *self.kernel_size, self.filters, width)
        return product(*places, *self.kernel_size, channels, width) + of_state

    def operations(self, *shapes: Shape) -> Count:
        return self.gate_work(int(self.use_bias), *shapes)

    def modes(self) -> Modes | None:
        return dropped(self.dropout, self.recurrent_dropout)

    def _split(self, shape: Shape) -> tuple[Shape, Size]:
        return split(shape, len(self.kernel_size), self, self.data_format)


class _ConvLSTM(Recurrent):
    """An LSTM over a sequence of tensors with spatial axes, whose products are convolutions."""

    intake = "floats"
    implied: ClassVar[Mapping[str, Any]] = {"unroll": False}
    rank: ClassVar[int]

    filters: Positive
    kernel_size: Ints
    strides: Ints
    padding: Padding = "valid"
    data_format: DataFormat = None
    dilation_rate: Ints
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

    def check(self) -> None:
        super().check()
        check_forget_bias(self)
        either_stride_or_dilate(self)
        if not self.trainable:
            message = f"Keras does not freeze the cell in a {type(self).__name__} with trainable=false"
            hint = "a model that holds it can be frozen: `m(trainable=false)`"
            raise Misuse(message, argument="trainable", help=hint)

    @property
    def inner(self) -> Cell:
        """The cell that has the arguments which it shares with the layer."""
        return _ConvLSTMCell(**{name: getattr(self, name) for name in _ConvLSTMCell.names()})

    def _step(self, shape: Shape) -> Shape:
        require_rank(shape, self.rank + 2, self, f"a sequence of tensors with {_SPATIAL[self.rank]} and channels")
        spatial, channels = split(shape[1:], self.rank, self, self.data_format)
        known(channels, self, "the number of channels")
        for size in spatial:
            known(size, self, "each size along the spatial axes")
        window = (self.kernel_size, self.strides, self.padding, self.dilation_rate)
        slide(spatial, *window, layer=self, argument="kernel_size")
        return shape[1:]


_SPATIAL = {1: "one spatial axis", 2: "two spatial axes", 3: "three spatial axes"}


class ConvLSTM1D(_ConvLSTM):
    """A state and a memory with a spatial axis, which convolutions join with the input (Shi et al., 2015)."""

    rank = 1

    kernel_size: Sizes1
    strides: Sizes1 = (1,)
    dilation_rate: Sizes1 = (1,)


class ConvLSTM2D(_ConvLSTM):
    """A state and a memory that are images, which convolutions join with the input (Shi et al., 2015)."""

    rank = 2

    kernel_size: Sizes2
    strides: Sizes2 = (1, 1)
    dilation_rate: Sizes2 = (1, 1)


class ConvLSTM3D(_ConvLSTM):
    """A state and a memory that are volumes, which convolutions join with the input (Shi et al., 2015)."""

    rank = 3

    kernel_size: Sizes3
    strides: Sizes3 = (1, 1, 1)
    dilation_rate: Sizes3 = (1, 1, 1)
