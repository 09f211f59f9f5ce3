"""Images as they vary: turned, moved, cut, distorted and mixed by chance, in training alone.

What is drawn is drawn for each image unless the layer says otherwise. In inference nothing is done, and nothing counts.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from specdsl.declaration import Misuse
from specdsl.layers.arguments import DataFormat
from specdsl.layers.facts import POINTWISE, TRAINING, Modes, OptionKind, Reach
from specdsl.layers.images import ImageLayer
from specdsl.layers.shapes import Shape, show
from specdsl.layers.spatial import join
from specdsl.layers.values import Fraction, FractionRange, Positive, Seed, SignedRange, ValueRange, as_tuple

Range = float | tuple[float, float]
"""A number that something is drawn up to, or two that it is drawn between."""

Interpolation = Literal["nearest", "bilinear"]
FillMode = Literal["reflect", "wrap", "constant", "nearest"]

_Zoom = Annotated[float, Field(gt=-1, le=1)]
ZoomRange = _Zoom | Annotated[tuple[_Zoom, _Zoom], BeforeValidator(as_tuple)]


class Augmentation(ImageLayer):
    """A layer that changes images in training by chance, and does nothing in inference."""

    abstract = True
    family = "augmentation"
    options: ClassVar[Mapping[str, OptionKind]] = TRAINING

    def reach(self, *shapes: Shape) -> Reach | None:
        return POINTWISE

    def modes(self) -> Modes | None:
        deed = self.in_training()
        return Modes(training=deed, inference="passes images on unchanged") if deed else None

    def in_training(self) -> str | None:
        """What it does to images in training, None where that is nothing."""
        raise NotImplementedError


def bounds(drawn: Range, least: float = 0.0) -> tuple[float, float]:
    """Between what something is drawn: a single number is the greatest, and `least` says where it begins."""
    if isinstance(drawn, tuple):
        return min(drawn), max(drawn)
    return least, abs(drawn)


def either_way(drawn: Range) -> tuple[float, float]:
    """Between what something is drawn where a single number means as much below 0 as above."""
    return bounds(drawn, -abs(drawn)) if not isinstance(drawn, tuple) else bounds(drawn)


def span(between: tuple[float, float], factor: float = 1.0, unit: str = "") -> str:
    """What is drawn, in words: `-20 to 20 %`."""
    low, high = (factor * end for end in between)
    return f"{high:.4g}{unit}" if low == high else f"{low:.4g} to {high:.4g}{unit}"


def chance(factor: Range) -> str:
    """How often something happens whose probability is itself drawn: the mean of what it is drawn between."""
    return f"with probability {sum(bounds(factor)) / 2:.4g}"


class RandomCrop(Augmentation):
    """A window cut out at a place drawn for all images of a batch; images that are no larger are enlarged.

    Keras cuts in training alone and leaves images as they are in inference, whatever it infers for their shape.
    """

    needs = ("height", "width")

    height: Positive
    width: Positive
    seed: Seed = None
    data_format: DataFormat = None

    def result_shape(self, *shapes: Shape) -> Shape:
        height, width, channels = self.image(shapes[0])
        window = (self.height, self.width)
        if (height, width) != window and self.said.get("training") is not True:
            raise Misuse(
                f"RandomCrop cuts {show(window)} out of {show((height, width))} in training alone: "
                "in inference images pass as large as they are",
                help="`training=true` cuts always; in `data`, random_crop augments and center_crop evaluates",
            )
        return join(window, channels, self.data_format)

    def in_training(self) -> str:
        return f"cuts a window of {show((self.height, self.width))} out of the images, at one place for the whole batch"


class RandomFlip(Augmentation):
    """Images mirrored by chance; with both axes named, along both at once."""

    intake = "numbers"

    mode: Literal["horizontal", "vertical", "horizontal_and_vertical"] = "horizontal_and_vertical"
    seed: Seed = None
    data_format: DataFormat = None

    def in_training(self) -> str:
        how = {"horizontal": "left to right", "vertical": "upside down"}.get(self.mode, "along both axes at once")
        return f"mirrors each image {how} with probability 0.5"


class RandomRotation(Augmentation):
    """Images turned about their centre; `factor` counts whole turns."""

    intake = "numbers"

    factor: SignedRange
    fill_mode: FillMode = "reflect"
    interpolation: Interpolation = "bilinear"
    seed: Seed = None
    fill_value: float = 0.0
    data_format: DataFormat = None

    def in_training(self) -> str:
        return f"turns each image by {span(either_way(self.factor), 360)} degrees"


class RandomTranslation(Augmentation):
    """Images moved, by shares of their height and width."""

    intake = "numbers"

    height_factor: SignedRange
    width_factor: SignedRange
    fill_mode: FillMode = "reflect"
    interpolation: Interpolation = "bilinear"
    seed: Seed = None
    fill_value: float = 0.0
    data_format: DataFormat = None

    def in_training(self) -> str:
        height, width = (span(either_way(factor), 100, " %") for factor in (self.height_factor, self.width_factor))
        return f"moves each image by {height} of its height and {width} of its width"


class RandomZoom(Augmentation):
    """Images made larger or smaller about their centre; a factor above 0 makes them smaller."""

    intake = "numbers"

    height_factor: ZoomRange
    width_factor: ZoomRange | None = None
    fill_mode: FillMode = "reflect"
    interpolation: Interpolation = "bilinear"
    seed: Seed = None
    fill_value: float = 0.0
    data_format: DataFormat = None

    def in_training(self) -> str:
        height = self._shown(self.height_factor)
        if self.width_factor is None:
            return f"shows {height} of the height of each image, and as much of its width"
        return f"shows {height} of the height of each image and {self._shown(self.width_factor)} of its width"

    def _shown(self, factor: Range) -> str:
        low, high = either_way(factor)
        return span((1 + low, 1 + high), 100, " %")


class RandomShear(Augmentation):
    """Images slanted, by shares of the distance from the top and from the left.

    A file with a factor that is a single number is one that Keras cannot load again.
    """

    intake = "numbers"

    x_factor: FractionRange = 0.0
    y_factor: FractionRange = 0.0
    interpolation: Interpolation = "bilinear"
    fill_mode: FillMode = "reflect"
    fill_value: float = 0.0
    data_format: DataFormat = None
    seed: Seed = None

    def check(self) -> None:
        for name in ("x_factor", "y_factor"):
            factor = getattr(self, name)
            if isinstance(factor, float) and factor > 0:
                raise Misuse(
                    f"Keras writes a RandomShear with a single {name} to files that it cannot load",
                    argument=name,
                    help=f"`{name}=(0, {factor:g})` shears by as much, one way or the other",
                )

    def in_training(self) -> str | None:
        along = [bounds(factor) for factor in (self.x_factor, self.y_factor)]
        if along == [(0, 0), (0, 0)]:
            return None
        x, y = map(span, along)
        return f"shears each image along x by {x} and along y by {y}, one way or the other"


class RandomPerspective(Augmentation):
    """Images seen as if tilted: three corners moved by shares of their distance from the first."""

    intake = "numbers"
    needs = ("height", "width")

    factor: FractionRange = 1.0
    scale: Fraction = 1.0
    interpolation: Interpolation = "bilinear"
    fill_value: float = 0.0
    seed: Seed = None
    data_format: DataFormat = None

    def result_shape(self, *shapes: Shape) -> Shape:
        height, width, _ = self.image(shapes[0])
        if 1 in (height, width):
            message = f"RandomPerspective cannot tilt images of {show((height, width))}, which have no inside"
            raise Misuse(message)
        return shapes[0]

    def in_training(self) -> str:
        share = f"{50 * self.scale:.4g} %"
        return (
            f"{chance(self.factor)} moves three corners of an image by up to {share} of their distance from the first"
        )


class RandomElasticTransform(Augmentation):
    """Images distorted smoothly, as if drawn on rubber (Simard et al., 2003).

    With JAX, Keras cannot compile it for training.
    """

    intake = "numbers"
    needs = ("height", "width", "channels")

    factor: FractionRange = 1.0
    scale: FractionRange = 1.0
    interpolation: Interpolation = "bilinear"
    fill_mode: FillMode = "reflect"
    fill_value: float = 0.0
    value_range: ValueRange = (0, 255)
    seed: Seed = None
    data_format: DataFormat = None

    def in_training(self) -> str:
        strength = span(bounds(self.scale), 10, " %")
        return f"{chance(self.factor)} distorts an image by noise of {strength} of its longer side, smoothed"


def _three(value: Range | tuple[float, ...] | None) -> Range | tuple[float, ...] | None:
    if isinstance(value, tuple) and len(value) != 3:
        raise Misuse(f"'fill_value' takes one number, or three for red, green and blue, not {len(value)}")
    return value


class RandomErasing(Augmentation):
    """A box of each image filled with noise or with a value (Zhong et al., 2020).

    Three values to fill it with, one for each channel, are for TensorFlow alone.
    """

    intake = "numbers"
    needs = ("height", "width", "channels")

    factor: FractionRange = 1.0
    scale: FractionRange = (0.02, 0.33)
    fill_value: Annotated[
        float | Annotated[tuple[float, ...], BeforeValidator(as_tuple)] | None, AfterValidator(_three)
    ] = None
    value_range: ValueRange = (0, 255)
    seed: Seed = None
    data_format: DataFormat = None

    def result_shape(self, *shapes: Shape) -> Shape:
        _, _, channels = self.image(shapes[0])
        if isinstance(self.fill_value, tuple) and (channels != 3 or self.data_format == "channels_first"):
            message = f"RandomErasing cannot spread three values over the last axis of {show(shapes[0])}"
            raise Misuse(message, argument="fill_value", help="a single number fills all channels alike")
        return shapes[0]

    def in_training(self) -> str:
        what = "noise" if self.fill_value is None else f"{self.fill_value}"
        return f"{chance(self.factor)} fills a box of {span(bounds(self.scale), 100, ' %')} of an image with {what}"
