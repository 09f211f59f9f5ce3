"""Pooling layers: the greatest or the mean of a sliding window, or of all there is."""

from math import prod
from typing import ClassVar

from specdsl.counts import Count, Size, number, product
from specdsl.declaration import Misuse
from specdsl.layers.arguments import DataFormat, Padding
from specdsl.layers.base import Layer
from specdsl.layers.facts import NOTHING_KEPT, Kept, Reach
from specdsl.layers.shapes import Shape
from specdsl.layers.spatial import join, seen, slid, slide, split
from specdsl.layers.values import Ints, Sizes1, Sizes2, Sizes3


class _Pooling(Layer):
    """One value for each place of a window, which moves by its own size unless `strides` says otherwise."""

    family = "pooling"
    nickname = "pool"
    rank: ClassVar[int]
    compares: ClassVar[bool] = True
    """Whether it takes the greatest value, which takes one operation less than there are values."""

    pool_size: Ints
    strides: Ints | None = None
    padding: Padding = "valid"
    data_format: DataFormat = None

    def result_shape(self, *shapes: Shape) -> Shape:
        spatial, channels = split(shapes[0], self.rank, self, self.data_format)
        window = (self.pool_size, self.strides or self.pool_size, self.padding)
        return join(slide(spatial, *window, layer=self, argument="pool_size"), channels, self.data_format)

    def account(self, *shapes: Shape) -> str:
        spatial, channels = split(shapes[0], self.rank, self, self.data_format)
        places = slid(spatial, self.pool_size, self.strides or self.pool_size, self.padding)
        return f"{places}, and the {number(channels)} channels as before"

    def operations(self, *shapes: Shape) -> Count:
        return (prod(self.pool_size) - self.compares) * product(*self.result_shape(*shapes))

    def kept(self, *shapes: Shape) -> Kept:
        return Kept(inputs=True, outputs=True) if self.compares else NOTHING_KEPT

    def reach(self, *shapes: Shape) -> Reach | None:
        spatial, _ = split(shapes[0], self.rank, self, self.data_format)
        return seen(spatial, self.pool_size, self.strides or self.pool_size, self.padding)


class _Pooling1D(_Pooling):
    rank = 1

    pool_size: Sizes1
    strides: Sizes1 | None = None


class _Pooling2D(_Pooling):
    rank = 2

    pool_size: Sizes2
    strides: Sizes2 | None = None


class _Pooling3D(_Pooling):
    rank = 3

    pool_size: Sizes3
    strides: Sizes3 | None = None


class MaxPooling1D(_Pooling1D):
    """The greatest value of a window of steps, for each channel."""

    aliases = ("MaxPool1D",)

    pool_size: Sizes1 = (2,)


class MaxPooling2D(_Pooling2D):
    """The greatest value of a window of the image, for each channel."""

    aliases = ("MaxPool2D",)

    pool_size: Sizes2 = (2, 2)


class MaxPooling3D(_Pooling3D):
    """The greatest value of a window of the volume, for each channel."""

    aliases = ("MaxPool3D",)

    pool_size: Sizes3 = (2, 2, 2)


class AveragePooling1D(_Pooling1D):
    """The mean of a window of steps, for each channel."""

    compares = False
    aliases = ("AvgPool1D",)


class AveragePooling2D(_Pooling2D):
    """The mean of a window of the image, for each channel."""

    compares = False
    aliases = ("AvgPool2D",)


class AveragePooling3D(_Pooling3D):
    """The mean of a window of the volume, for each channel."""

    compares = False
    aliases = ("AvgPool3D",)


class _GlobalPooling(Layer):
    """One value for each channel; `keepdims` leaves axes of size 1 in place of the spatial ones."""

    family = "pooling"
    rank: ClassVar[int]

    compares: ClassVar[bool] = True

    data_format: DataFormat = None
    keepdims: bool = False

    def result_shape(self, *shapes: Shape) -> Shape:
        _, channels = split(shapes[0], self.rank, self, self.data_format)
        return join((1,) * self.rank if self.keepdims else (), channels, self.data_format)

    def account(self, *shapes: Shape) -> str:
        _, channels = split(shapes[0], self.rank, self, self.data_format)
        return f"one value for each of the {number(channels)} channels"

    def operations(self, *shapes: Shape) -> Count:
        spatial, channels = split(shapes[0], self.rank, self, self.data_format)
        if self.compares and None not in spatial:
            return product(prod(size for size in spatial if size) - 1, channels)
        return product(*shapes[0])

    def kept(self, *shapes: Shape) -> Kept:
        return Kept(inputs=True, outputs=True) if self.compares else NOTHING_KEPT


class GlobalMaxPooling1D(_GlobalPooling):
    """The greatest value of all steps, for each channel."""

    intake = "plain"
    keeps_dtype = True

    rank = 1
    aliases = ("GlobalMaxPool1D",)


class GlobalMaxPooling2D(_GlobalPooling):
    """The greatest value of the image, for each channel."""

    intake = "plain"
    keeps_dtype = True

    rank = 2
    aliases = ("GlobalMaxPool2D",)


class GlobalMaxPooling3D(_GlobalPooling):
    """The greatest value of the volume, for each channel."""

    intake = "plain"
    keeps_dtype = True

    rank = 3
    aliases = ("GlobalMaxPool3D",)


class GlobalAveragePooling1D(_GlobalPooling):
    """The mean of all steps, for each channel."""

    call_arguments = ("inputs", "mask")
    compares = False
    rank = 1
    aliases = ("GlobalAvgPool1D",)


class GlobalAveragePooling2D(_GlobalPooling):
    """The mean of the image, for each channel (Lin et al., 2014)."""

    compares = False
    rank = 2
    aliases = ("GlobalAvgPool2D",)


class GlobalAveragePooling3D(_GlobalPooling):
    """The mean of the volume, for each channel."""

    compares = False
    rank = 3
    aliases = ("GlobalAvgPool3D",)


class AdaptivePooling(Layer):
    """As many values along each spatial axis as wanted, from windows that are spread evenly and may overlap."""

    abstract = True
    family = "pooling"
    rank: ClassVar[int]
    compares: ClassVar[bool] = True

    output_size: Ints
    data_format: DataFormat = None

    def check(self) -> None:
        if 1 in self.output_size:
            message = f"{type(self).__name__} cannot make a single place of an axis: {self._fault()}"
            kind = type(self).__name__.replace("Adaptive", "Global")
            raise Misuse(message, argument="output_size", help=f"{kind}(keepdims=true) makes one place of each axis")

    def result_shape(self, *shapes: Shape) -> Shape:
        spatial, channels = split(shapes[0], self.rank, self, self.data_format)
        if 1 in spatial:
            raise Misuse(f"{type(self).__name__} cannot make places of a single one: {self._fault()}")
        return join(self.output_size, channels, self.data_format)

    def _fault(self) -> str:
        """What comes of windows that are greater than the axis by one, which Keras lays over it in vain."""
        return "TensorFlow divides by zero" if self.compares else "`fit` and `predict` fail in TensorFlow"

    def operations(self, *shapes: Shape) -> Count:
        # The windows of an axis, of size n for m places, begin at floor(i·n/m) and end before ceil((i + 1)·n/m).
        spatial, channels = split(shapes[0], self.rank, self, self.data_format)
        seen = (_covered(size, places) for size, places in zip(spatial, self.output_size, strict=True))
        taken = product(*seen).value
        if taken is None:
            return product(None, channels)
        return product(taken - (prod(self.output_size) if self.compares else 0), channels)


def _covered(size: Size, places: int) -> Size:
    """How many places of an axis the windows of an adaptive pooling take in all."""
    if size is None:
        return None
    return sum(-(-(place + 1) * size // places) - place * size // places for place in range(places))


class AdaptiveAveragePooling1D(AdaptivePooling):
    """The mean of each of `output_size` parts of steps, for each channel."""

    compares = False
    rank = 1

    output_size: Sizes1


class AdaptiveAveragePooling2D(AdaptivePooling):
    """The mean of each of `output_size` parts of the image, for each channel."""

    compares = False
    rank = 2

    output_size: Sizes2


class AdaptiveAveragePooling3D(AdaptivePooling):
    """The mean of each of `output_size` parts of the volume, for each channel."""

    compares = False
    rank = 3

    output_size: Sizes3


class AdaptiveMaxPooling1D(AdaptivePooling):
    """The greatest value of each of `output_size` parts of steps, for each channel."""

    rank = 1

    output_size: Sizes1


class AdaptiveMaxPooling2D(AdaptivePooling):
    """The greatest value of each of `output_size` parts of the image, for each channel."""

    rank = 2

    output_size: Sizes2


class AdaptiveMaxPooling3D(AdaptivePooling):
    """The greatest value of each of `output_size` parts of the volume, for each channel."""

    rank = 3

    output_size: Sizes3
