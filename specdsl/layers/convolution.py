"""Convolution layers: plain, transposed, depthwise, separable, each over one, two or three spatial axes.

Multiply-accumulates count the whole kernel at each of its places, so that a place at an edge, which zero padding
lets it overlap (`same`, `causal`), counts like any other.
"""

from collections.abc import Mapping
from typing import ClassVar

from specdsl.counts import Count, Size, product
from specdsl.declaration import Declaration, Misuse
from specdsl.layers.arguments import (
    ActivationArgument,
    CausalPadding,
    ConstraintArgument,
    DataFormat,
    InitializerArgument,
    Padding,
    RegularizerArgument,
)
from specdsl.layers.base import Layer
from specdsl.layers.facts import Arithmetic, Kept, Reach, Weight, Window
from specdsl.layers.shapes import Shape, known, show
from specdsl.layers.spatial import either_stride_or_dilate, join, seen, slid, slide, split, told
from specdsl.layers.values import (
    Ints,
    NonNegativeSizes1,
    NonNegativeSizes2,
    NonNegativeSizes3,
    Positive,
    Sizes1,
    Sizes2,
    Sizes3,
)


class _Convolution(Layer):
    """A convolution whose kernel joins all the channels of a group."""

    family = "convolution"
    nickname = "conv"
    rank: ClassVar[int]

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
        channels = _channels(self, shapes[0])
        for number, what in ((self.filters, "filters"), (channels, "input channels")):
            if number % self.groups:
                raise Misuse(
                    f"{type(self).__name__} cannot share {number} {what} equally among {self.groups} groups",
                    argument="groups",
                )
        return join(_places(self, shapes[0]), self.filters, self.data_format)

    def reach(self, *shapes: Shape) -> Reach | None:
        spatial, _ = split(shapes[0], self.rank, self, self.data_format)
        return seen(spatial, _extent(self), self.strides, self.padding)

    roles: ClassVar[Mapping[str, str]] = {
        "kernel": "a factor for each place of the window, each channel that it joins and each filter",
        "bias": "a summand for each filter",
    }
    work = "the whole kernel, at each place of the output"

    def account(self, *shapes: Shape) -> str:
        return f"{_slid(self, shapes[0])}, and a channel for each of the {self.filters} filters"

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        fan_in = _channels(self, shapes[0]) // self.groups
        kernel = Weight("kernel", (*self.kernel_size, fan_in, self.filters))
        return (kernel, *_bias(self, self.filters))

    @property
    def arithmetic(self) -> Arithmetic:
        return "convolutions" if self.groups == 1 and self.data_format != "channels_first" else "grouped"

    def macs(self, *shapes: Shape) -> Count:
        fan_in = _channels(self, shapes[0]) // self.groups
        return product(*_places(self, shapes[0]), *self.kernel_size, fan_in, self.filters)


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


class _TransposedConvolution(Layer):
    """The transpose of a convolution: each input value adds a kernel-sized patch to the output.

    Multiply-accumulates count the whole kernel at every *input* position, as each input value meets each kernel
    value once; with `same` padding, the products that land on the cropped edge are counted too.
    """

    family = "convolution"
    rank: ClassVar[int]

    filters: Positive
    kernel_size: Ints
    strides: Ints
    padding: Padding = "valid"
    output_padding: Ints | None = None
    data_format: DataFormat = None
    dilation_rate: Ints
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
        extra = self.output_padding
        if extra and any(pad >= stride for pad, stride in zip(extra, self.strides, strict=True)):
            raise Misuse(
                f"{type(self).__name__} cannot pad its output by {show(extra)}, which must be less than its strides "
                f"{show(self.strides)} along every axis",
                argument="output_padding",
            )
        spatial, _ = split(shapes[0], self.rank, self, self.data_format)
        grown = tuple(map(self._grow, spatial, range(self.rank)))
        if extra and any(self._patch(axis) + pad == 0 for axis, pad in enumerate(extra)):
            raise Misuse(
                f"{type(self).__name__} would make {show(grown)} of {show(spatial)}, one place less than its strides "
                "reach: TensorFlow cannot do this",
                argument="output_padding",
                help="an odd kernel, or some output_padding",
            )
        return join(grown, self.filters, self.data_format)

    def reach(self, *shapes: Shape) -> Reach | None:
        # Place q is met by the patches of those that begin at most an extent before it, or before the edge cut off.
        windows: list[Window] = []
        for axis, (extent, stride) in enumerate(zip(_extent(self), self.strides, strict=True)):
            excess = stride if self.output_padding is None else extent % 2 + self.output_padding[axis]
            cut = max(extent - excess, 0) // 2 if self.padding == "same" else 0
            windows.append(Window(cut - extent + stride, cut, share=stride))
        return tuple(windows)

    roles: ClassVar[Mapping[str, str]] = {
        "kernel": "a factor for each place of the patch, each filter and each channel that enters",
        "bias": "a summand for each filter",
    }
    work = "the whole kernel, with each place of what enters"

    def account(self, *shapes: Shape) -> str:
        spatial, _ = split(shapes[0], self.rank, self, self.data_format)
        grown = told(spatial, list(map(self._grown, spatial, range(self.rank))))
        return f"{grown}, and a channel for each of the {self.filters} filters"

    def _grown(self, size: Size, axis: int) -> str:
        """How `_grow` comes to its size."""
        if size is None:
            return "as many as the patches cover"
        stride, grown = self.strides[axis], self._grow(size, axis)
        kernel = self.dilation_rate[axis] * (self.kernel_size[axis] - 1) + 1
        if self.output_padding is not None:
            return f"({size} - 1)·{stride} + {self._patch(axis)} + {self.output_padding[axis]} = {grown}"
        if self.padding == "same":
            return f"{size}·{stride} = {grown}"
        return f"({size} - 1)·{stride} + {max(kernel, stride)} = {grown}"

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        shape = (*self.kernel_size, self.filters, _channels(self, shapes[0]))
        return (Weight("kernel", shape), *_bias(self, self.filters))

    @property
    def arithmetic(self) -> Arithmetic:
        return "grouped"

    def macs(self, *shapes: Shape) -> Count:
        spatial, channels = split(shapes[0], self.rank, self, self.data_format)
        return product(*spatial, *self.kernel_size, channels, self.filters)

    def _grow(self, size: Size, axis: int) -> Size:
        """The output size along an axis; Keras pads up to the stride unless `output_padding` says how much."""
        if size is None:
            return None
        stride = self.strides[axis]
        kernel = self.dilation_rate[axis] * (self.kernel_size[axis] - 1) + 1
        if self.output_padding is None:
            return size * stride if self.padding == "same" else (size - 1) * stride + max(kernel, stride)
        return (size - 1) * stride + self._patch(axis) + self.output_padding[axis]

    def _patch(self, axis: int) -> int:
        """How far the patch of the last place reaches along an axis, where `output_padding` is given."""
        kernel = self.dilation_rate[axis] * (self.kernel_size[axis] - 1) + 1
        return kernel % 2 if self.padding == "same" else kernel


class Conv1DTranspose(_TransposedConvolution):
    """A transposed convolution along one axis, which makes sequences longer."""

    rank = 1
    aliases = ("Convolution1DTranspose",)

    kernel_size: Sizes1
    strides: Sizes1 = (1,)
    output_padding: NonNegativeSizes1 | None = None
    dilation_rate: Sizes1 = (1,)


class Conv2DTranspose(_TransposedConvolution):
    """A transposed convolution over height and width, which makes images larger (Zeiler et al., 2010)."""

    rank = 2
    aliases = ("Convolution2DTranspose",)

    kernel_size: Sizes2
    strides: Sizes2 = (1, 1)
    output_padding: NonNegativeSizes2 | None = None
    dilation_rate: Sizes2 = (1, 1)


class _FormatBeforePadding(Declaration):
    """The first arguments of Conv3DTranspose, which alone has `data_format` before `output_padding`."""

    filters: Positive
    kernel_size: Sizes3
    strides: Sizes3 = (1, 1, 1)
    padding: Padding = "valid"
    data_format: DataFormat = None


class Conv3DTranspose(_TransposedConvolution, _FormatBeforePadding):
    """A transposed convolution over depth, height and width, which makes volumes larger."""

    rank = 3
    aliases = ("Convolution3DTranspose",)

    kernel_size: Sizes3
    strides: Sizes3 = (1, 1, 1)
    output_padding: NonNegativeSizes3 | None = None
    dilation_rate: Sizes3 = (1, 1, 1)


class _DepthwiseConvolution(Layer):
    """A convolution of each channel by itself, `depth_multiplier` times (Sifre, 2014)."""

    family = "convolution"
    nickname = "depthwise"
    rank: ClassVar[int]

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
        channels = _channels(self, shapes[0]) * self.depth_multiplier
        return join(_places(self, shapes[0]), channels, self.data_format)

    def reach(self, *shapes: Shape) -> Reach | None:
        spatial, _ = split(shapes[0], self.rank, self, self.data_format)
        return seen(spatial, _extent(self), self.strides, self.padding)

    roles: ClassVar[Mapping[str, str]] = {
        "kernel": "a factor for each place of the window, each channel and each kernel that the channel has",
        "bias": "a summand for each channel that leaves",
    }
    work = "the kernels of each channel, at each place of the output"

    def account(self, *shapes: Shape) -> str:
        times = f"{self.depth_multiplier}·" if self.depth_multiplier > 1 else ""
        return f"{_slid(self, shapes[0])}, and {times}{_channels(self, shapes[0])} channels, which stay apart"

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        channels = _channels(self, shapes[0])
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        kernel = Weight("kernel", shape, role="depthwise")
        return (kernel, *_bias(self, channels * self.depth_multiplier))

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


class _SeparableConvolution(Layer):
    """A depthwise convolution, then a convolution of size 1 that joins the channels (Chollet, 2017)."""

    family = "convolution"
    nickname = "separable"
    rank: ClassVar[int]

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
        return join(_places(self, shapes[0]), self.filters, self.data_format)

    def reach(self, *shapes: Shape) -> Reach | None:
        spatial, _ = split(shapes[0], self.rank, self, self.data_format)
        return seen(spatial, _extent(self), self.strides, self.padding)

    roles: ClassVar[Mapping[str, str]] = {
        "depthwise_kernel": "a factor for each place of the window, each channel and each kernel that the channel has",
        "pointwise_kernel": "a factor for each of the channels between, and each filter",
        "bias": "a summand for each filter",
    }
    work = "first the kernels of each channel and then the product that joins the channels, at each place of the output"

    def account(self, *shapes: Shape) -> str:
        return f"{_slid(self, shapes[0])}, and a channel for each of the {self.filters} filters"

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        channels = _channels(self, shapes[0])
        depthwise = (*self.kernel_size, channels, self.depth_multiplier)
        pointwise = (*(1,) * self.rank, channels * self.depth_multiplier, self.filters)
        return (
            Weight("depthwise_kernel", depthwise, role="depthwise"),
            Weight("pointwise_kernel", pointwise, role="pointwise"),
            *_bias(self, self.filters),
        )

    @property
    def arithmetic(self) -> Arithmetic:
        return "grouped"

    def macs(self, *shapes: Shape) -> Count:
        channels = _channels(self, shapes[0]) * self.depth_multiplier
        return _depthwise_macs(self, shapes[0]) + product(*_places(self, shapes[0]), channels, self.filters)

    def kept(self, *shapes: Shape) -> Kept:
        """As other layers do, and what lies between its two convolutions."""
        channels = _channels(self, shapes[0]) * self.depth_multiplier
        whole = super().kept(*shapes)
        return whole._replace(more=whole.more + product(*_places(self, shapes[0]), channels))


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


_Sliding = _Convolution | _DepthwiseConvolution | _SeparableConvolution
_Any = _Sliding | _TransposedConvolution


def _channels(layer: _Any, shape: Shape) -> int:
    _, channels = split(shape, layer.rank, layer, layer.data_format)
    return known(channels, layer, "the number of channels")


def _places(layer: _Sliding, shape: Shape) -> Shape:
    spatial, _ = split(shape, layer.rank, layer, layer.data_format)
    window = (layer.kernel_size, layer.strides, layer.padding, layer.dilation_rate)
    return slide(spatial, *window, layer=layer, argument="kernel_size")


def _slid(layer: _Sliding, shape: Shape) -> str:
    """How the places come about that the kernel takes."""
    spatial, _ = split(shape, layer.rank, layer, layer.data_format)
    return slid(spatial, layer.kernel_size, layer.strides, layer.padding, layer.dilation_rate)


def _extent(layer: _Any) -> tuple[int, ...]:
    """How far the kernel reaches along each axis, its gaps included."""
    pairs = zip(layer.kernel_size, layer.dilation_rate, strict=True)
    return tuple(dilation * (kernel - 1) + 1 for kernel, dilation in pairs)


def _bias(layer: _Any, channels: int) -> tuple[Weight, ...]:
    return (Weight("bias", (channels,)),) if layer.use_bias else ()


def _depthwise_macs(layer: _DepthwiseConvolution | _SeparableConvolution, shape: Shape) -> Count:
    return product(*_places(layer, shape), *layer.kernel_size, _channels(layer, shape), layer.depth_multiplier)
