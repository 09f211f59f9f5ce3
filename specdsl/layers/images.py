"""Images before a network looks at them: resized, cropped, with their contrast spread, in training as in inference."""

from math import ceil
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator

from specdsl.counts import Count, Size, product
from specdsl.declaration import Misuse
from specdsl.layers.arguments import DataFormat
from specdsl.layers.base import Layer
from specdsl.layers.facts import NOTHING_KEPT, POINTWISE, Kept, Reach, Window
from specdsl.layers.shapes import Shape, known, show
from specdsl.layers.spatial import TAPS, join, split
from specdsl.layers.values import Positive, ValueRange, as_tuple

Pair = tuple[int, int]
"""Height and width."""


class ImageLayer(Layer):
    """A layer over images of shape (height, width, channels), or with the channels in front."""

    abstract = True
    family = "preprocessing"
    call_training = True

    integers = "Rescaling(1), in front of it, makes floats of integers"

    rank: ClassVar[int] = 2

    channels: ClassVar[tuple[int, ...]] = ()
    """How many channels an image may have; () for any number."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Which sizes it must know before run time: of "height", "width" and "channels"."""

    def result_shape(self, *shapes: Shape) -> Shape:
        self.image(shapes[0])
        return shapes[0]

    def kept(self, *shapes: Shape) -> Kept:
        return NOTHING_KEPT

    def image(self, shape: Shape) -> tuple[Size, Size, Size]:
        """Height, width and channels of an image.

        Raises:
            Misuse: the tensor is no image that the layer takes.
        """
        (height, width), channels = split(shape, 2, self, getattr(self, "data_format", None))
        for name, size in (("height", height), ("width", width), ("channels", channels)):
            if name in self.needs:
                known(size, self, f"the number of {name}" if name == "channels" else f"the {name} of the images")
        if self.channels:
            self.check_channels(channels, self.channels)
        return height, width, channels

    def check_channels(self, channels: Size, legal: tuple[int, ...]) -> None:
        """Check the number of channels of an image.

        Raises:
            Misuse: it is known, and no legal one.
        """
        if channels not in (None, *legal):
            message = (
                f"{type(self).__name__} takes images of {' or '.join(map(str, legal))} channels, not of {channels}"
            )
            raise Misuse(message, help="red, green and blue are the channels of a colour image")


class Resizing(ImageLayer):
    """An image of another size: interpolated, stretched or, to keep its proportions, cropped or padded first."""

    height: Positive
    width: Positive
    interpolation: Literal["bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"] = "bilinear"
    crop_to_aspect_ratio: bool = False
    pad_to_aspect_ratio: bool = False
    fill_mode: Literal["constant"] = "constant"
    fill_value: float = 0.0
    antialias: bool = False
    data_format: DataFormat = None

    def check(self) -> None:
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise Misuse("Resizing either crops or pads to the proportions", argument="pad_to_aspect_ratio")

    def result_shape(self, *shapes: Shape) -> Shape:
        _, _, channels = self.image(shapes[0])
        return join((self.height, self.width), channels, self.data_format)

    def operations(self, *shapes: Shape) -> Count:
        """For each pixel that an interpolation weighs a multiplication and an addition, along each axis.

        With `antialias` it weighs more of them where it makes the image smaller.
        """
        height, width, channels = self.image(shapes[0])
        taps = TAPS[self.interpolation]
        if not taps:
            return Count()
        weighed = [taps, taps]
        if self.antialias:
            if height is None or width is None:
                return product(None, self.height, self.width, channels)
            weighed = [max(taps, ceil(taps * height / self.height)), max(taps, ceil(taps * width / self.width))]
        return 2 * product(sum(weighed), self.height, self.width, channels)

    def reach(self, *shapes: Shape) -> Reach | None:
        height, width, _ = self.image(shapes[0])
        if height is None or width is None:
            return None
        size, wanted = (height, width), (self.height, self.width)
        before, taken = (0, 0), size
        if self.crop_to_aspect_ratio or self.pad_to_aspect_ratio:
            before, taken = _proportioned(size, wanted, pads=self.pad_to_aspect_ratio)
        return _interpolated(taken, wanted, before, TAPS[self.interpolation], antialias=self.antialias)


def _proportioned(size: Pair, wanted: Pair, *, pads: bool) -> tuple[Pair, Pair]:
    """What is resized of an image that is cropped or padded to the proportions first: where it begins, and its size."""
    (height, width), (rows, columns) = size, wanted
    part = (width * rows // columns, height * columns // rows)
    if pads:  # as much on both sides
        added = (max(part[0] - height, 0) // 2, max(part[1] - width, 0) // 2)
        return (-added[0], -added[1]), (height + 2 * added[0], width + 2 * added[1])
    taken = (max(min(height, part[0]), 1), max(min(width, part[1]), 1))
    return ((height - taken[0]) // 2, (width - taken[1]) // 2), taken


def _interpolated(sizes: Pair, wanted: Pair, before: Pair, taps: int, *, antialias: bool) -> Reach:
    """What an interpolation between so many pixels sees, the first of which lies behind `before` others.

    The middle of pixel q of m lies at ((2q + 1)·n - m) / 2m of n, and as many pixels on both sides of it are weighed.
    """
    windows: list[Window] = []
    for n, m, start in zip(sizes, wanted, before, strict=True):
        first, last = n, n
        if taps and antialias and n > m:
            first, last = n + m - taps * n, n - m + taps * n - 1
        elif taps:
            first, last = n - (taps - 1) * m, n + (taps - 1) * m - 1
        shift = 2 * m * start
        windows.append(Window(start, start) if n == m else Window(first + shift, last + shift, 2 * n, 2 * m))
    return tuple(windows)


class CenterCrop(ImageLayer):
    """The middle of an image; one that is smaller is cropped to the proportions and enlarged."""

    intake = "numbers"
    needs = ("height", "width")

    height: Positive
    width: Positive
    data_format: DataFormat = None

    def result_shape(self, *shapes: Shape) -> Shape:
        _, _, channels = self.image(shapes[0])
        if not self._enough(shapes[0]) and self.policy.compute != "float32":
            message = f"CenterCrop enlarges images of shape {show(shapes[0])}, and Keras then makes float32 of them"
            raise Misuse(message, argument="dtype", help='dtype="float32"')
        return join((self.height, self.width), channels, self.data_format)

    def _enough(self, shape: Shape) -> bool:
        """Whether there is enough to crop, so that nothing is enlarged."""
        height, width, _ = self.image(shape)
        return (height or 0) >= self.height and (width or 0) >= self.width

    def operations(self, *shapes: Shape) -> Count:
        """None where there is enough to crop, else those of a bilinear interpolation."""
        *_, channels = self.image(shapes[0])
        return Count() if self._enough(shapes[0]) else 4 * TAPS["bilinear"] * product(self.height, self.width, channels)

    def reach(self, *shapes: Shape) -> Reach | None:
        height, width, _ = self.image(shapes[0])
        size, wanted = (height or 0, width or 0), (self.height, self.width)
        rest = tuple(whole - part for whole, part in zip(size, wanted, strict=True))
        if min(rest) >= 0:
            return tuple(Window(one // 2, one // 2) for one in rest)
        before, taken = _proportioned(size, wanted, pads=False)
        return _interpolated(taken, wanted, before, TAPS["bilinear"], antialias=False)


def _mapped(value_range: tuple[float, float], shape: Shape) -> Count:
    """Operations that bring each value to 0 to 255 and back: a difference, two factors and a sum each way."""
    return Count() if value_range == (0, 255) else 8 * product(*shape)


class AutoContrast(ImageLayer):
    """Each channel of each image stretched until its least and greatest values are the least and greatest there are."""

    intake = "numbers"

    value_range: ValueRange = (0, 255)

    def operations(self, *shapes: Shape) -> Count:
        """Seven for each value: two comparisons to find the range, a factor, a sum, two to clip, one for NaN."""
        return 7 * product(*shapes[0]) + _mapped(self.value_range, shapes[0])


class ContrastLimitedAdaptiveHistogramEqualization(ImageLayer):
    """The values of each tile of an image spread evenly, up to a limit, with soft seams (Zuiderveld, 1994)."""

    needs = ("height", "width", "channels")

    value_range: ValueRange = (0, 255)
    clip_limit: float = 4.0
    tile_grid_size: Annotated[tuple[Positive, Positive], BeforeValidator(as_tuple)] = (8, 8)
    data_format: DataFormat = None

    def result_shape(self, *shapes: Shape) -> Shape:
        height, width, _ = self.image(shapes[0])
        for size, covered, tiles in zip((height, width), self._covered(shapes[0]), self.tile_grid_size, strict=True):
            if size and covered > 2 * size:
                message = f"{type(self).__name__} cannot lay {tiles} tiles on {size} pixels"
                raise Misuse(message, argument="tile_grid_size", help="a tile is at least a pixel wide")
        return shapes[0]

    def operations(self, *shapes: Shape) -> Count:
        """Twelve for each value: one counts it, two clip, nine weigh four tables; and some for each bin of a tile.

        A bin is summed up, compared, lessened, scaled, divided and clipped, which are seven; a limit adds five: it is
        clipped, and what is cut off is taken, summed and spread.
        """
        _, _, channels = self.image(shapes[0])
        bins = (12 if self.clip_limit > 0 else 7) * product(*self.tile_grid_size, 256, channels)
        return 12 * product(*self._covered(shapes[0]), channels) + bins + _mapped(self.value_range, shapes[0])

    def _covered(self, shape: Shape) -> tuple[int, ...]:
        """Height and width of the image with what is added to it, so that equal tiles cover it."""
        sizes = zip(self.image(shape)[:2], self.tile_grid_size, strict=True)
        return tuple(ceil((size or 0) / tiles) * tiles for size, tiles in sizes)


class MaxNumBoundingBoxes(ImageLayer):
    """Images as they are: it cuts and fills lists of bounding boxes, which no tensor of a model holds."""

    max_number: Positive
    fill_value: int = -1

    def reach(self, *shapes: Shape) -> Reach | None:
        return POINTWISE
