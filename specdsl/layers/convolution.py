"""Convolutions whose kernel joins channels, over one, two or three spatial axes.

Multiply-accumulates count the whole kernel at each of its places, so that a place at an edge, which zero padding
lets it overlap (`same`, `causal`), counts like any other.
"""

from collections.abc import Mapping
from typing import ClassVar

from specdsl.counts import Count, product
from specdsl.declaration import Misuse
from specdsl.layers.arguments import (
    ActivationArgument,
    CausalPadding,
    ConstraintArgument,
    DataFormat,
    InitializerArgument,
    Padding,
    RegularizerArgument,
)
from specdsl.layers.facts import Arithmetic, Weight
from specdsl.layers.kernels import Sliding
from specdsl.layers.shapes import Shape
from specdsl.layers.spatial import either_stride_or_dilate, join
from specdsl.layers.values import (
    Ints,
    Positive,
    Sizes1,
    Sizes2,
    Sizes3,
)


class _Convolution(Sliding):
    """A convolution whose kernel joins all the channels of a group."""

    nickname = "conv"

    filters: Positive
    kernel_size: Ints
    strides: Ints
    padding: Padding | CausalPadding = "valid"
    data_format: DataFormat = None
    dilation_rate: Ints
    groups: Positive = 1
    activation: ActivationArgument = None
    use_bias: bool = True
    kernel_initializer: InitializerArgument = "glorot_uniform"
    bias_initializer: InitializerArgument = "zeros"
    kernel_regularizer: RegularizerArgument = None
    bias_regularizer: RegularizerArgument = None
    activity_regularizer: RegularizerArgument = None
    kernel_constraint: ConstraintArgument = None
    bias_constraint: ConstraintArgument = None

    def result_shape(self, *shapes: Shape) -> Shape:
        either_stride_or_dilate(self)
        channels = self._channels(shapes[0])
        for number, what in ((self.filters, "filters"), (channels, "input channels")):
            if number % self.groups:
                raise Misuse(
                    f"{type(self).__name__} cannot share {number} {what} equally among {self.groups} groups",
                    argument="groups",
                )
        return join(self._places(shapes[0]), self.filters, self.data_format)

    roles: ClassVar[Mapping[str, str]] = {
        "kernel": "a factor for each place of the window, each channel that it joins and each filter",
        "bias": "a summand for each filter",
    }
    work = "the whole kernel, at each place of the output"

    def account(self, *shapes: Shape) -> str:
        return f"{self._slid(shapes[0])}, and a channel for each of the {self.filters} filters"

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        fan_in = self._channels(shapes[0]) // self.groups
        kernel = Weight("kernel", (*self.kernel_size, fan_in, self.filters))
        return (kernel, *self._bias(self.filters))

    @property
    def arithmetic(self) -> Arithmetic:
        return "convolutions" if self.groups == 1 and self.data_format != "channels_first" else "grouped"

    def macs(self, *shapes: Shape) -> Count:
        fan_in = self._channels(shapes[0]) // self.groups
        return product(*self._places(shapes[0]), *self.kernel_size, fan_in, self.filters)


class Conv1D(_Convolution):
    """A convolution along one axis; `causal` padding keeps each step from seeing later ones."""

    rank = 1
    aliases = ("Convolution1D",)

    kernel_size: Sizes1
    strides: Sizes1 = (1,)
    padding: CausalPadding = "valid"
    dilation_rate: Sizes1 = (1,)


class Conv2D(_Convolution):
    """A convolution over height and width: one kernel for each filter, slid over the image."""

    rank = 2
    aliases = ("Convolution2D",)

    kernel_size: Sizes2
    strides: Sizes2 = (1, 1)
    padding: Padding = "valid"
    dilation_rate: Sizes2 = (1, 1)


class Conv3D(_Convolution):
    """A convolution over depth, height and width, of volumes or of video."""

    rank = 3
    aliases = ("Convolution3D",)

    kernel_size: Sizes3
    strides: Sizes3 = (1, 1, 1)
    padding: Padding = "valid"
    dilation_rate: Sizes3 = (1, 1, 1)
