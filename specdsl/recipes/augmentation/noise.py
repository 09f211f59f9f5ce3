"""Operations that take something away: rectangles, sharpness, or certainty about every value.

Noise needs a random number for every value of an image. It is made from *one* number per image by counting: the values
of an image are numbered, and a hash of number and image gives each its own 32 bits, in integer arithmetic that is the
same in every namespace.
"""

# ruff: noqa: D102 - what each method gives is documented once, in `Operation`

from __future__ import annotations

from math import ceil, log, pi
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from specdsl.declaration import Misuse
from specdsl.recipes.augmentation.base import (
    UNIT,
    Array,
    Namespace,
    Operation,
    Shape,
    Uniform,
    cast,
    check_range,
    padded,
    per_image,
    position,
)
from specdsl.recipes.naming import NonNegative, Number, Unit

Area = Annotated[float, Field(gt=0, le=1)]
"""A part of the area of an image."""

Proportion = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""A height divided by a width."""


class RandomErasing(Operation):
    """Covers a rectangle in an image, with the given probability (Zhong et al., 2020).

    Its area is a part of the image's, uniform in [lower, upper]. Its height divided by its width is drawn from [narrow,
    wide], or as much of it as fits into the image at that area, uniformly on the scale of logarithms, so that 1:2 is as
    likely as 2:1. Height and width are rounded to whole pixels, and its place is uniform over all that lie inside.
    `fill` is `"constant"` (`value` everywhere), `"mean"` (the mean of each channel over the image), or `"noise"`
    (values uniform on [0, 1), each its own).
    """

    family: ClassVar[str] = "noise"
    keyword_only: ClassVar[tuple[str, ...]] = ("fill", "value")

    probability: Unit = 0.5
    lower: Area = 0.02
    upper: Area = 0.4
    narrow: Proportion = 0.3
    wide: Proportion = 3.3
    fill: Literal["constant", "mean", "noise"] = "constant"
    value: Number = 0.0

    def check(self) -> None:
        check_range(self.lower, self.upper)
        check_range(self.narrow, self.wide, "narrow", "wide")
        if self.value != 0 and self.fill != "constant":
            message = f'fill is "{self.fill}", which takes no value'
            raise Misuse(message, argument="value", help='write fill="constant" with it')

    def output_shape(self, shape: Shape) -> Shape:
        rows, columns, _ = shape
        # The longest sides stand at the upper end of the areas.
        if self.narrow > rows / columns / self.upper or self.wide < rows / columns * self.upper:
            raise Misuse(
                f"no rectangle of {self.upper:g} of {rows}x{columns} (height x width) has a height of "
                f"{self.narrow:g} to {self.wide:g} times its width",
                argument="upper",
                help="give a smaller upper area, or proportions that fit",
            )
        return shape

    def draws(self) -> dict[str, Uniform]:
        seed = {"seed": UNIT} if self.fill == "noise" else {}
        return {
            "chance": UNIT,
            "area": Uniform(self.lower, self.upper),
            "shape": UNIT,
            "top": UNIT,
            "left": UNIT,
        } | seed

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        _, rows, columns, channels = xp.shape(images)
        area = draws["area"]
        least = xp.maximum(log(self.narrow), log(rows / columns) + xp.log(area))
        most = xp.minimum(log(self.wide), log(rows / columns) - xp.log(area))
        proportion = xp.exp(least + (most - least) * draws["shape"])
        pixels = area * (rows * columns)
        height = xp.clip(xp.round(xp.sqrt(pixels * proportion)), 1.0, float(rows))
        width = xp.clip(xp.round(xp.sqrt(pixels / proportion)), 1.0, float(columns))
        height, width = cast(xp, height, "int32"), cast(xp, width, "int32")
        top = position(xp, draws["top"], rows - height + 1)[:, None]
        left = position(xp, draws["left"], columns - width + 1)[:, None]
        row, column = xp.arange(rows, dtype="int32")[None, :], xp.arange(columns, dtype="int32")[None, :]
        within = ((row >= top) & (row < top + height[:, None]))[:, :, None]
        within = within & ((column >= left) & (column < left + width[:, None]))[:, None, :]
        erased = (within & (draws["chance"] < self.probability)[:, None, None])[..., None]
        cover: Array = self.value
        if self.fill == "mean":
            cover = xp.mean(images, axis=(1, 2), keepdims=True)
        elif self.fill == "noise":
            cover = xp.reshape(unit_noise(xp, draws["seed"], rows * columns * channels), xp.shape(images))
        return xp.where(erased, cover, images), labels


class RandomNoise(Operation):
    """Adds a number of its own to every value of an image, normal with mean 0 and the given standard deviation.

    Its size is at most 5.8 standard deviations. Nothing is clipped.
    """

    family: ClassVar[str] = "noise"

    stddev: NonNegative

    def draws(self) -> dict[str, Uniform]:
        return {"seed": UNIT}

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        _, rows, columns, channels = xp.shape(images)
        noise = normal_noise(xp, draws["seed"], rows * columns * channels)
        return images + xp.reshape(noise, xp.shape(images)) * self.stddev, labels


class RandomBlur(Operation):
    """Blurs an image with a Gaussian whose standard deviation in pixels is uniform in [lower, upper].

    Its weights are those of exp(-d^2 / (2 sigma^2)) at whole pixels d up to 3 `upper` away, divided by their sum, first
    down the columns and then along the rows; the pixels at the edge are repeated beyond it.
    """

    family: ClassVar[str] = "noise"

    lower: Annotated[float, Field(gt=0, le=16)]
    upper: Annotated[float, Field(gt=0, le=16)]

    def check(self) -> None:
        check_range(self.lower, self.upper)

    def draws(self) -> dict[str, Uniform]:
        return {"sigma": Uniform(self.lower, self.upper)}

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        _, rows, columns, _ = xp.shape(images)
        reach = ceil(3 * self.upper)
        factor = -0.5 / (draws["sigma"] * draws["sigma"])
        weights = [xp.exp(factor * float(away * away)) for away in range(reach + 1)]
        total = weights[0] + 2.0 * sum(weights[1:])
        weights = [per_image(weight / total) for weight in weights]
        wide = padded(xp, images, reach, "edge")
        down = wide[:, reach : reach + rows] * weights[0]
        for away in range(1, reach + 1):
            pair = wide[:, reach - away : reach - away + rows] + wide[:, reach + away : reach + away + rows]
            down = down + pair * weights[away]
        across = down[:, :, reach : reach + columns] * weights[0]
        for away in range(1, reach + 1):
            pair = down[:, :, reach - away : reach - away + columns] + down[:, :, reach + away : reach + away + columns]
            across = across + pair * weights[away]
        return across, labels


def unit_noise(xp: Namespace, seeds: Array, count: int) -> Array:
    """For each seed from [0, 1) `count` numbers uniform on [0, 1): float32 (batch, count)."""
    return _bits(xp, seeds, count) * 2.0**-24


def normal_noise(xp: Namespace, seeds: Array, count: int) -> Array:
    """For each seed from [0, 1) `count` numbers from the standard normal distribution: float32 (batch, count).

    Two uniform numbers make two normal ones (Box and Muller, 1958).
    """
    half = -(-count // 2)
    bits = _bits(xp, seeds, 2 * half)
    radius = xp.sqrt(-2.0 * xp.log((bits[:, :half] + 1.0) * 2.0**-24))
    angle = bits[:, half:] * (2.0 * pi * 2.0**-24)
    return xp.concatenate([radius * xp.cos(angle), radius * xp.sin(angle)], axis=1)[:, :count]


def _bits(xp: Namespace, seeds: Array, count: int) -> Array:
    """For each seed `count` whole numbers from 0 to 2^24 - 1: float32 (batch, count), which holds them exactly."""
    image = _mixed(xp, cast(xp, seeds * 2.0**24, "uint32"))
    place = _mixed(xp, cast(xp, xp.arange(1, count + 1, dtype="int32"), "uint32"))
    mixed = _mixed(xp, xp.bitwise_xor(image[:, None], place[None, :]))
    return cast(xp, xp.right_shift(mixed, xp.array(8, dtype="uint32")), "float32")


def _mixed(xp: Namespace, words: Array) -> Array:
    """Whole numbers of 32 bits, each bit of which depends on all bits of what was given.

    The multipliers and shifts are those that Wellons found by search to mix best among functions of this form
    ("Prospecting for hash functions", 2018, `lowbias32`).
    """
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        words = xp.bitwise_xor(words, xp.right_shift(words, xp.array(shift, dtype="uint32")))
        words = words * xp.array(factor, dtype="uint32")
    return xp.bitwise_xor(words, xp.right_shift(words, xp.array(16, dtype="uint32")))
