"""Transposed convolutions, which lay a patch around each place of what enters and so make it larger."""

from collections.abc import Mapping
from typing import ClassVar

from specdsl.counts import Count, Size, product
from specdsl.declaration import Declaration, Misuse
from specdsl.layers.arguments import (
    ActivationArgument,
    ConstraintArgument,
    DataFormat,
    InitializerArgument,
    Padding,
    RegularizerArgument,
)
from specdsl.layers.facts import Arithmetic, Reach, Weight, Window
from specdsl.layers.kernels import Kernelled
from specdsl.layers.shapes import Shape, show
from specdsl.layers.spatial import either_stride_or_dilate, join, split, told
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


class _TransposedConvolution(Kernelled):
    """The transpose of a convolution: each input value adds a kernel-sized patch to the output.

    Multiply-accumulates count the whole kernel at every *input* position, as each input value meets each kernel
    value once; with `same` padding, the products that land on the cropped edge are counted too.
    """

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
        for axis, (extent, stride) in enumerate(zip(self._extent(), self.strides, strict=True)):
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
        shape = (*self.kernel_size, self.filters, self._channels(shapes[0]))
        return (Weight("kernel", shape), *self._bias(self.filters))

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
