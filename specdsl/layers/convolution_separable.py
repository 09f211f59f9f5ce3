"""Convolutions that leave channels apart, and those that join them by a convolution of size 1 after that.

Multiply-accumulates count the whole kernel at each of its places, at the edges too.
"""

from collections.abc import Mapping
from typing import ClassVar

from specdsl.counts import Count, product
from specdsl.layers.arguments import (
    ActivationArgument,
    ConstraintArgument,
    DataFormat,
    InitializerArgument,
    Padding,
    RegularizerArgument,
)
from specdsl.layers.facts import Arithmetic, Kept, Weight
from specdsl.layers.kernels import Sliding
from specdsl.layers.shapes import Shape
from specdsl.layers.spatial import join
from specdsl.layers.values import (
    Ints,
    Positive,
    Sizes1,
    Sizes2,
)


class _DepthwiseConvolution(Sliding):
    """A convolution of each channel by itself, `depth_multiplier` times (Sifre, 2014)."""

    nickname = "depthwise"

    kernel_size: Ints
    strides: Ints
    padding: Padding = "valid"
    depth_multiplier: Positive = 1
    data_format: DataFormat = None
    dilation_rate: Ints
    activation: ActivationArgument = None
    use_bias: bool = True
    depthwise_initializer: InitializerArgument = "glorot_uniform"
    bias_initializer: InitializerArgument = "zeros"
    depthwise_regularizer: RegularizerArgument = None
    bias_regularizer: RegularizerArgument = None
    activity_regularizer: RegularizerArgument = None
    depthwise_constraint: ConstraintArgument = None
    bias_constraint: ConstraintArgument = None

    def result_shape(self, *shapes: Shape) -> Shape:
        channels = self._channels(shapes[0]) * self.depth_multiplier
        return join(self._places(shapes[0]), channels, self.data_format)

    roles: ClassVar[Mapping[str, str]] = {
        "kernel": "a factor for each place of the window, each channel and each kernel that the channel has",
        "bias": "a summand for each channel that leaves",
    }
    work = "the kernels of each channel, at each place of the output"

    def account(self, *shapes: Shape) -> str:
        times = f"{self.depth_multiplier}·" if self.depth_multiplier > 1 else ""
        return f"{self._slid(shapes[0])}, and {times}{self._channels(shapes[0])} channels, which stay apart"

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        channels = self._channels(shapes[0])
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        kernel = Weight("kernel", shape, role="depthwise")
        return (kernel, *self._bias(channels * self.depth_multiplier))

    @property
    def arithmetic(self) -> Arithmetic:
        return "grouped"

    def macs(self, *shapes: Shape) -> Count:
        return _depthwise_macs(self, shapes[0])


class DepthwiseConv1D(_DepthwiseConvolution):
    """A convolution along one axis that leaves channels apart."""

    rank = 1

    kernel_size: Sizes1
    strides: Sizes1 = (1,)
    dilation_rate: Sizes1 = (1,)


class DepthwiseConv2D(_DepthwiseConvolution):
    """A convolution over height and width that leaves channels apart."""

    rank = 2

    kernel_size: Sizes2
    strides: Sizes2 = (1, 1)
    dilation_rate: Sizes2 = (1, 1)


class _SeparableConvolution(Sliding):
    """A depthwise convolution, then a convolution of size 1 that joins the channels (Chollet, 2017)."""

    nickname = "separable"

    filters: Positive
    kernel_size: Ints
    strides: Ints
    padding: Padding = "valid"
    data_format: DataFormat = None
    dilation_rate: Ints
    depth_multiplier: Positive = 1
    activation: ActivationArgument = None
    use_bias: bool = True
    depthwise_initializer: InitializerArgument = "glorot_uniform"
    pointwise_initializer: InitializerArgument = "glorot_uniform"
    bias_initializer: InitializerArgument = "zeros"
    depthwise_regularizer: RegularizerArgument = None
    pointwise_regularizer: RegularizerArgument = None
    bias_regularizer: RegularizerArgument = None
    activity_regularizer: RegularizerArgument = None
    depthwise_constraint: ConstraintArgument = None
    pointwise_constraint: ConstraintArgument = None
    bias_constraint: ConstraintArgument = None

    def result_shape(self, *shapes: Shape) -> Shape:
        return join(self._places(shapes[0]), self.filters, self.data_format)

    roles: ClassVar[Mapping[str, str]] = {
        "depthwise_kernel": "a factor for each place of the window, each channel and each kernel that the channel has",
        "pointwise_kernel": "a factor for each of the channels between, and each filter",
        "bias": "a summand for each filter",
    }
    work = "first the kernels of each channel and then the product that joins the channels, at each place of the output"

    def account(self, *shapes: Shape) -> str:
        return f"{self._slid(shapes[0])}, and a channel for each of the {self.filters} filters"

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        channels = self._channels(shapes[0])
        depthwise = (*self.kernel_size, channels, self.depth_multiplier)
        pointwise = (*(1,) * self.rank, channels * self.depth_multiplier, self.filters)
        return (
            Weight("depthwise_kernel", depthwise, role="depthwise"),
            Weight("pointwise_kernel", pointwise, role="pointwise"),
            *self._bias(self.filters),
        )

    @property
    def arithmetic(self) -> Arithmetic:
        return "grouped"

    def macs(self, *shapes: Shape) -> Count:
        channels = self._channels(shapes[0]) * self.depth_multiplier
        return _depthwise_macs(self, shapes[0]) + product(*self._places(shapes[0]), channels, self.filters)

    def kept(self, *shapes: Shape) -> Kept:
        """As other layers do, and what lies between its two convolutions."""
        channels = self._channels(shapes[0]) * self.depth_multiplier
        whole = super().kept(*shapes)
        return whole._replace(more=whole.more + product(*self._places(shapes[0]), channels))


class SeparableConv1D(_SeparableConvolution):
    """A separable convolution along one axis."""

    rank = 1
    aliases = ("SeparableConvolution1D",)

    kernel_size: Sizes1
    strides: Sizes1 = (1,)
    dilation_rate: Sizes1 = (1,)


class SeparableConv2D(_SeparableConvolution):
    """A separable convolution over height and width, the building block of Xception."""

    rank = 2
    aliases = ("SeparableConvolution2D",)

    kernel_size: Sizes2
    strides: Sizes2 = (1, 1)
    dilation_rate: Sizes2 = (1, 1)


def _depthwise_macs(layer: _DepthwiseConvolution | _SeparableConvolution, shape: Shape) -> Count:
    return product(*layer._places(shape), *layer.kernel_size, layer._channels(shape), layer.depth_multiplier)
