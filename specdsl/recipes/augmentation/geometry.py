"""Operations that move pixels: affine maps, each image by its own, and one resampling for all that stand together.

An affine map is kept backwards, as resampling needs it: for a place in the changed image, the place in the given one.
Places are in pixels from the centre of the image, rows downwards and columns to the right; the centre of an image of H
rows lies at row (H - 1) / 2. Between pixels values are interpolated bilinearly.
"""

# ruff: noqa: D102 - what each method gives is documented once, in `Operation`

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import pi
from typing import Annotated, ClassVar, NamedTuple

from pydantic import Field

from specdsl.recipes.augmentation.base import Array, Fill, Filling, Namespace, Uniform, cast, check_range

Degrees = Annotated[float, Field(ge=0, le=180)]
"""An angle that a turn goes up to."""

Slant = Annotated[float, Field(ge=0, le=80)]
"""An angle that a shear goes up to, in degrees."""

Part = Annotated[float, Field(ge=0, le=1)]
"""A part of the height or width of an image."""

Zoom = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
"""A factor of size."""


class Affine(NamedTuple):
    """For each image, where the pixel (row, column) of the changed image is taken from in the given one.

    Row `a` row + `b` column + `down` and column `c` row + `d` column + `right`, all in pixels from the centre; each is
    an array (batch,), or a number where it is the same for all.
    """

    a: Array
    b: Array
    down: Array
    c: Array
    d: Array
    right: Array

    def before(self, later: Affine) -> Affine:
        """This map of an image, then a later one of what it gives, as one map."""
        return Affine(
            self.a * later.a + self.b * later.c,
            self.a * later.b + self.b * later.d,
            self.a * later.down + self.b * later.right + self.down,
            self.c * later.a + self.d * later.c,
            self.c * later.b + self.d * later.d,
            self.c * later.down + self.d * later.right + self.right,
        )


class Geometric(Filling):
    """What the affine operations share: they say where pixels come from, and neighbours are resampled together."""

    abstract: ClassVar[bool] = True
    family: ClassVar[str] = "geometry"

    @abstractmethod
    def affine(self, xp: Namespace, draws: dict[str, Array], rows: int, columns: int) -> Affine:
        """The map of each image of `rows` x `columns` pixels, from the numbers that `apply` takes."""
        raise NotImplementedError

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        return resampled(xp, images, ((self, draws),)), labels


class RandomRotation(Geometric):
    """Turns an image about its centre by an angle uniform in [-degrees, degrees], counter-clockwise where positive."""

    degrees: Degrees

    def draws(self) -> dict[str, Uniform]:
        return {"angle": Uniform(-self.degrees, self.degrees)}

    def affine(self, xp: Namespace, draws: dict[str, Array], rows: int, columns: int) -> Affine:
        return _turned(xp, draws["angle"])


class RandomTranslation(Geometric):
    """Moves an image down and to the right by parts of its size, uniform in [-height, height] and [-width, width].

    A height of 0.1 moves by up to a tenth of the rows; places between pixels are interpolated.
    """

    height: Part
    width: Part

    def draws(self) -> dict[str, Uniform]:
        return {"down": Uniform(-self.height, self.height), "right": Uniform(-self.width, self.width)}

    def affine(self, xp: Namespace, draws: dict[str, Array], rows: int, columns: int) -> Affine:
        return _moved(draws["down"] * rows, draws["right"] * columns)


class RandomScale(Geometric):
    """Enlarges what an image shows about its centre by a factor uniform in [lower, upper]; below 1 it shrinks."""

    lower: Zoom
    upper: Zoom

    def check(self) -> None:
        super().check()
        check_range(self.lower, self.upper)

    def draws(self) -> dict[str, Uniform]:
        return {"factor": Uniform(self.lower, self.upper)}

    def affine(self, xp: Namespace, draws: dict[str, Array], rows: int, columns: int) -> Affine:
        return _scaled(draws["factor"])


class RandomShear(Geometric):
    """Slants an image: an upright line leans to the right by an angle uniform in [-degrees, degrees].

    Rows move sideways, by their height above the centre times the tangent; no row changes its place.
    """

    degrees: Slant

    def draws(self) -> dict[str, Uniform]:
        return {"angle": Uniform(-self.degrees, self.degrees)}

    def affine(self, xp: Namespace, draws: dict[str, Array], rows: int, columns: int) -> Affine:
        return _slanted(xp, draws["angle"])


class RandomAffine(Geometric):
    """Shears, scales, turns and moves an image, in this order and in one resampling.

    The same as `random_shear(shear)`, `random_scale(lower, upper)`, `random_rotation(degrees)` and
    `random_translation(height, width)` one after the other, which are resampled together too.
    """

    degrees: Degrees = 0.0
    height: Part = 0.0
    width: Part = 0.0
    lower: Zoom = 1.0
    upper: Zoom = 1.0
    shear: Slant = 0.0

    def check(self) -> None:
        super().check()
        check_range(self.lower, self.upper)

    def draws(self) -> dict[str, Uniform]:
        return {
            "shear": Uniform(-self.shear, self.shear),
            "factor": Uniform(self.lower, self.upper),
            "angle": Uniform(-self.degrees, self.degrees),
            "down": Uniform(-self.height, self.height),
            "right": Uniform(-self.width, self.width),
        }

    def affine(self, xp: Namespace, draws: dict[str, Array], rows: int, columns: int) -> Affine:
        scaled = _slanted(xp, draws["shear"]).before(_scaled(draws["factor"]))
        moved = _moved(draws["down"] * rows, draws["right"] * columns)
        return scaled.before(_turned(xp, draws["angle"])).before(moved)


def resampled(xp: Namespace, images: Array, operations: Sequence[tuple[Geometric, dict[str, Array]]]) -> Array:
    """Images (batch, height, width, channels) after one or more operations with their draws, in one resampling.

    All operations fill alike; the first one says how.
    """
    _, rows, columns, _ = xp.shape(images)
    (first, draws), *others = operations
    joined = first.affine(xp, draws, rows, columns)
    for operation, draws in others:
        joined = joined.before(operation.affine(xp, draws, rows, columns))
    middle, centre = (rows - 1) / 2, (columns - 1) / 2
    down = (xp.arange(rows, dtype="float32") - middle)[None, :, None]
    right = (xp.arange(columns, dtype="float32") - centre)[None, None, :]
    row = _plane(joined.a) * down + _plane(joined.b) * right + _plane(joined.down) + middle
    column = _plane(joined.c) * down + _plane(joined.d) * right + _plane(joined.right) + centre
    return _bilinear(xp, images, row, column, first.fill, first.value)


def _turned(xp: Namespace, degrees: Array) -> Affine:
    angle = degrees * (pi / 180)
    cosine, sine = xp.cos(angle), xp.sin(angle)
    return Affine(cosine, sine, 0.0, -sine, cosine, 0.0)


def _moved(down: Array, right: Array) -> Affine:
    return Affine(1.0, 0.0, -down, 0.0, 1.0, -right)


def _scaled(factor: Array) -> Affine:
    return Affine(1.0 / factor, 0.0, 0.0, 0.0, 1.0 / factor, 0.0)


def _slanted(xp: Namespace, degrees: Array) -> Affine:
    return Affine(1.0, 0.0, 0.0, xp.tan(degrees * (pi / 180)), 1.0, 0.0)


def _plane(values: Array) -> Array:
    """One value per image, shaped to meet rows and columns; a number as it is."""
    return values if isinstance(values, float) else values[:, None, None]


def _bilinear(xp: Namespace, images: Array, row: Array, column: Array, fill: Fill, value: float) -> Array:
    """Values of images (batch, height, width, channels) at places (batch, new height, new width) between pixels."""
    batch, rows, columns, channels = xp.shape(images)
    upper, lower, over, under = _taps(xp, row, rows, fill)
    left, right, before, after = _taps(xp, column, columns, fill)
    pixels = xp.reshape(images, (-1, channels))
    start = (xp.arange(batch, dtype="int32") * (rows * columns))[:, None, None]
    upper, lower = start + upper * columns, start + lower * columns

    def line(first: Array) -> Array:
        return (
            xp.take(pixels, first + left, axis=0) * before[..., None]
            + xp.take(pixels, first + right, axis=0) * after[..., None]
        )

    result = line(upper) * over[..., None] + line(lower) * under[..., None]
    if fill == "constant" and value != 0:
        result = result + (value * (1.0 - (over + under) * (before + after)))[..., None]
    return result


def _taps(xp: Namespace, place: Array, size: int, fill: Fill) -> tuple[Array, Array, Array, Array]:
    """The two pixels about each place of an axis, int32, and how much each counts, float32.

    Pixels outside of the image count nothing with `"constant"`.
    """
    last = size - 1
    if fill == "reflect" and last:
        place = last - xp.abs(xp.mod(place, 2.0 * last) - last)
    if fill != "constant":
        place = xp.clip(place, 0.0, float(last))
    floor = xp.floor(place)
    part = place - floor
    first = cast(xp, xp.clip(floor, 0.0, float(last)), "int32")
    if fill != "constant":
        return first, xp.minimum(first + 1, last), 1.0 - part, part
    second = cast(xp, xp.clip(floor + 1.0, 0.0, float(last)), "int32")
    inside = cast(xp, (floor >= 0) & (floor <= last), "float32")
    beside = cast(xp, (floor >= -1) & (floor <= last - 1), "float32")
    return first, second, (1.0 - part) * inside, part * beside
