"""Operations on the values of pixels, each pixel where it is."""

# ruff: noqa: D102 - what each method gives is documented once, in `Operation`

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from specdsl.declaration import Misuse
from specdsl.recipes.augmentation.base import (
    UNIT,
    Array,
    Namespace,
    Operation,
    Shape,
    Uniform,
    check_range,
    per_image,
)
from specdsl.recipes.naming import FromList, NonNegative, Number, Unit

LUMA = (0.299, 0.587, 0.114)
"""How much red, green and blue weigh in the grey value of a pixel (ITU-R BT.601)."""


class RandomBrightness(Operation):
    """Adds one number, uniform in [-max_delta, max_delta], to all values of an image. Nothing is clipped."""

    family: ClassVar[str] = "colours"

    max_delta: NonNegative

    def draws(self) -> dict[str, Uniform]:
        return {"delta": Uniform(-self.max_delta, self.max_delta)}

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        return images + per_image(draws["delta"]), labels


class _Factor(Operation):
    """What the operations with a random factor share: its range."""

    family: ClassVar[str] = "colours"

    lower: NonNegative
    upper: NonNegative

    def check(self) -> None:
        check_range(self.lower, self.upper)

    def draws(self) -> dict[str, Uniform]:
        return {"factor": Uniform(self.lower, self.upper)}


class RandomSaturation(_Factor):
    """Multiplies the HSV saturation by a factor uniform in [lower, upper], clipping saturation to [0, 1].

    With v = max(r, g, b) and m = min(r, g, b) saturation is s = (v - m) / v, and scaling it to s' = clip(s f, 0, 1) at
    the same hue and value moves each channel c to v - (v - c) s' / s, where s' / s = min(f, v / (v - m)). The same as
    `tf.image.adjust_saturation`, without the way through HSV; as there, a pixel with v <= 0 becomes grey.
    """

    colours: ClassVar[bool] = True

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        value, spread = _value_and_spread(xp, images)
        ratio = xp.minimum(per_image(draws["factor"]), value / xp.maximum(spread, 1e-12))
        return value - (value - images) * xp.maximum(ratio, 0.0), labels


class RandomContrast(_Factor):
    """Scales each channel about its mean over the image, by a factor f uniform in [lower, upper]: (x - mean) f + mean.

    The same as `tf.image.adjust_contrast`. Nothing is clipped.
    """

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        _, rows, columns, channels = xp.shape(images)
        # One axis of all pixels is faster than two.
        mean = xp.mean(xp.reshape(images, (-1, rows * columns, channels)), axis=1)[:, None, None, :]
        factor = per_image(draws["factor"])
        return images * factor + mean * (1.0 - factor), labels


class RandomGamma(_Factor):
    """Raises values to a power uniform in [lower, upper], values below 0 taken as 0: below 1 it brightens.

    The same as `tf.image.adjust_gamma` on values from 0 to 1.
    """

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        return xp.power(xp.maximum(images, 0.0), per_image(draws["factor"])), labels


class RandomHue(Operation):
    """Turns the hue by a part of the colour circle uniform in [-max_delta, max_delta]; 1 would be the whole circle.

    With v = max(r, g, b), m = min(r, g, b) and the hue h from 0 to 6 (red 0, green 2, blue 4), each channel becomes
    v - (v - m) clip(min(k, 4 - k), 0, 1), where k = (n + h + 6 delta) mod 6, and n is 5 for red, 3 for green and 1 for
    blue. The same as `tf.image.adjust_hue`: value and saturation stay, and so do greys.
    """

    family: ClassVar[str] = "colours"
    colours: ClassVar[bool] = True

    max_delta: Annotated[float, Field(ge=0, le=0.5)]

    def draws(self) -> dict[str, Uniform]:
        return {"delta": Uniform(-self.max_delta, self.max_delta)}

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        red, green, blue = images[..., 0:1], images[..., 1:2], images[..., 2:3]
        value, spread = _value_and_spread(xp, images)
        some = xp.maximum(spread, 1e-12)
        hue = xp.where(
            red == value,
            (green - blue) / some,
            xp.where(green == value, 2.0 + (blue - red) / some, 4.0 + (red - green) / some),
        )
        channels = []
        for offset in (5.0, 3.0, 1.0):
            # How far the channel's place on the circle is from 2, where it is strongest, counted either way round.
            place = hue + (6.0 * per_image(draws["delta"]) + (offset - 2.0))
            away = xp.abs(place - 6.0 * xp.round(place * (1 / 6)))
            channels.append(value - spread * xp.clip(2.0 - away, 0.0, 1.0))
        return xp.concatenate(channels, axis=3), labels


def _value_and_spread(xp: Namespace, images: Array) -> tuple[Array, Array]:
    """The largest channel of each pixel, and how much it is above the smallest: (batch, height, width, 1) each."""
    red, green, blue = images[..., 0:1], images[..., 1:2], images[..., 2:3]
    value = xp.maximum(xp.maximum(red, green), blue)
    return value, value - xp.minimum(xp.minimum(red, green), blue)


def _grey(images: Array) -> Array:
    """The luma of colour images, (batch, height, width, 1)."""
    red, green, blue = LUMA
    return images[..., 0:1] * red + images[..., 1:2] * green + images[..., 2:3] * blue


class RandomGrayscale(Operation):
    """Gives all three channels the luma 0.299 r + 0.587 g + 0.114 b (BT.601), with the given probability."""

    family: ClassVar[str] = "colours"
    colours: ClassVar[bool] = True

    probability: Unit = 0.1

    def draws(self) -> dict[str, Uniform]:
        return {"chance": UNIT}

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        return xp.where(per_image(draws["chance"] < self.probability), _grey(images), images), labels


class Grayscale(Operation):
    """Makes one channel of three: the luma 0.299 r + 0.587 g + 0.114 b (BT.601). It draws nothing."""

    family: ClassVar[str] = "colours"
    colours: ClassVar[bool] = True

    def output_shape(self, shape: Shape) -> Shape:
        rows, columns, _ = super().output_shape(shape)
        return (rows, columns, 1)

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        return _grey(images), labels


Each = Annotated[tuple[Number, ...], Field(min_length=1), FromList] | Number
"""One number for all channels, or a list of one for each."""


class Normalize(Operation):
    """Subtracts `mean` and divides by `std`, each a number or a list with one for each channel. It draws nothing."""

    family: ClassVar[str] = "colours"

    mean: Each
    std: Each

    def check(self) -> None:
        if min(_each(self.std)) <= 0:
            raise Misuse("std must be above 0", argument="std")

    def output_shape(self, shape: Shape) -> Shape:
        for name, value in (("mean", self.mean), ("std", self.std)):
            if len(_each(value)) not in (1, shape[-1]):
                raise Misuse(
                    f"{name} lists {len(_each(value))} numbers, but the images have {shape[-1]} channel"
                    f"{'s' * (shape[-1] != 1)}",
                    argument=name,
                )
        return shape

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        mean = xp.array(_each(self.mean), dtype="float32")
        factor = xp.array(tuple(1 / value for value in _each(self.std)), dtype="float32")
        return (images - mean) * factor, labels


class Clip(Operation):
    """Limits every value to [low, high]. It draws nothing."""

    family: ClassVar[str] = "colours"

    low: Number = 0.0
    high: Number = 1.0

    def check(self) -> None:
        check_range(self.low, self.high, "low", "high")

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        return xp.clip(images, self.low, self.high), labels


def _each(value: float | tuple[float, ...]) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)
