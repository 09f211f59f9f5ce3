"""Moving pixels: maps of places, each image by its own, and one resampling for all that stand together.

A map is kept backwards, as resampling needs it: for a place in the changed image, the place in the given one. Places
are in pixels from the centre of the image, rows downwards and columns to the right; the centre of an image of H rows
lies at row (H - 1) / 2. Maps are homographies, 3x3 matrices, most of them affine: maps that follow one another are a
product of matrices. Between pixels values are interpolated bilinearly.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

from specdsl.recipes.augmentation.base import Array, Fill, Filling, Namespace, cast

HORIZON = 1e-3
"""The least depth of a place, where it is 1 at the centre of an image that is seen in perspective: what lies beyond the
horizon, where depths are negative, is as far away as what lies next to it."""

AWAY = 1.5
"""How far from the centre an image in perspective is filled, in heights and widths: one of them beyond each edge. What
lies further off is filled as the places that far are."""


class Homography(NamedTuple):
    """For each image, where the pixel (row, column) of the changed image is taken from in the given one.

    With z = `g` row + `h` column + `depth` that is row (`a` row + `b` column + `down`) / z and column (`c` row + `d`
    column + `right`) / z, all in pixels from the centre. Each is an array (batch,), or a number where it is the same
    for all; the last three are numbers where the map is affine.
    """

    a: Array
    b: Array
    down: Array
    c: Array
    d: Array
    right: Array
    g: Array = 0.0
    h: Array = 0.0
    depth: Array = 1.0

    def lines(self) -> tuple[tuple[Array, ...], ...]:
        """The matrix by its three rows."""
        return self[:3], self[3:6], self[6:]

    def before(self, later: Homography) -> Homography:
        """This map of an image, then a later one of what it gives, as one map: the product of their matrices."""
        columns = tuple(zip(*later.lines(), strict=True))
        return Homography(*(_dot(line, column) for line in self.lines() for column in columns))

    def inverse(self) -> Homography:
        """The map the other way, with a depth of 1 at the centre: the adjugate divided by its last entry."""
        a, b, down, c, d, right, g, h, depth = self
        scale = 1.0 / (a * d - b * c)
        return Homography(
            (d * depth - right * h) * scale,
            (down * h - b * depth) * scale,
            (b * right - down * d) * scale,
            (right * g - c * depth) * scale,
            (a * depth - down * g) * scale,
            (down * c - a * right) * scale,
            (c * h - d * g) * scale,
            (b * g - a * h) * scale,
        )


def _dot(left: Iterable[Array], right: Iterable[Array]) -> Array:
    """The sum of products, without those by the number 0, or by the number 1: affine maps stay so, and cost no more."""
    total: Array = 0.0
    for x, y in zip(left, right, strict=True):
        if _is(x, 0.0) or _is(y, 0.0):
            continue
        product = y if _is(x, 1.0) else x if _is(y, 1.0) else x * y
        total = product if _is(total, 0.0) else total + product
    return total


def _is(entry: Array, number: float) -> bool:
    return isinstance(entry, float) and entry == number


class Geometric(Filling):
    """What the operations share that move pixels: they say where those come from; neighbours are resampled together."""

    abstract: ClassVar[bool] = True
    family: ClassVar[str] = "geometry"

    @abstractmethod
    def back(self, xp: Namespace, draws: dict[str, Array], rows: int, columns: int) -> Homography:
        """The map of each image of `rows` x `columns` pixels, from the numbers that `apply` takes."""
        raise NotImplementedError

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        """The batch after the operation alone."""
        return resampled(xp, images, ((self, draws),)), labels


def resampled(xp: Namespace, images: Array, operations: Sequence[tuple[Geometric, dict[str, Array]]]) -> Array:
    """Images (batch, height, width, channels) after one or more operations with their draws, in one resampling.

    All operations fill alike; the first one says how.
    """
    _, rows, columns, _ = xp.shape(images)
    (first, draws), *others = operations
    joined = first.back(xp, draws, rows, columns)
    for operation, draws in others:
        joined = joined.before(operation.back(xp, draws, rows, columns))
    middle, centre = (rows - 1) / 2, (columns - 1) / 2
    down = (xp.arange(rows, dtype="float32") - middle)[None, :, None]
    right = (xp.arange(columns, dtype="float32") - centre)[None, None, :]
    row, column, depth = (_dot(map(_plane, line), (down, right, 1.0)) for line in joined.lines())
    if not isinstance(depth, float):
        depth = xp.maximum(depth, HORIZON)
        row, column = (
            xp.clip(place / depth, -AWAY * size, AWAY * size) for place, size in ((row, rows), (column, columns))
        )
    return _bilinear(xp, images, row + middle, column + centre, first.fill, first.value)


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
