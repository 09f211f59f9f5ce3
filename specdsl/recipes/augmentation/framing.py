"""Operations that choose a part of an image, or make it larger."""

# ruff: noqa: D102 - what each method gives is documented once, in `Operation`

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from specdsl.declaration import Misuse
from specdsl.recipes.augmentation.base import (
    UNIT,
    Array,
    Fill,
    Filling,
    Namespace,
    Operation,
    Shape,
    Uniform,
    padded,
    position,
)
from specdsl.recipes.naming import Positive

Side = Annotated[int, Field(ge=1, le=1024)]
"""The height or width that images are scaled to, in pixels."""


def _window(operation: Operation, wanted: tuple[int, int], shape: Shape, padding: int = 0) -> Shape:
    """The shape of a window of the wanted height and width.

    Raises:
        Misuse: it is larger than the image with its padding.
    """
    rows, columns, channels = shape
    for name, size, given in zip(("height", "width"), wanted, (rows, columns), strict=True):
        if size > given + 2 * padding:
            more = f" with {padding} pixels on each side" if padding else ""
            raise Misuse(
                f"{operation.spec_name()} wants a {name} of {size}, but the images that reach it are "
                f"{rows}x{columns} (height x width){more}",
                argument=name,
                help=f"give a {name} of at most {given + 2 * padding}, load larger images with the source's size, "
                "or scale them with resize before",
            )
    return (*wanted, channels)


class CenterCrop(Operation):
    """Cuts the window of `height` x `width` pixels at the centre: top = (H - height) // 2, left = (W - width) // 2."""

    family: ClassVar[str] = "framing"

    height: Positive
    width: Positive

    def output_shape(self, shape: Shape) -> Shape:
        return _window(self, (self.height, self.width), shape)

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        _, rows, columns, _ = xp.shape(images)
        top, left = (rows - self.height) // 2, (columns - self.width) // 2
        return images[:, top : top + self.height, left : left + self.width, :], labels


class RandomCrop(Filling):
    """Cuts a window of `height` x `width` pixels, at its own place in every image.

    Before that `padding` pixels are added on each of the four sides, as `fill` says. The place is uniform over all
    (H - height + 1)(W - width + 1) positions, with H and W the padded sizes: top = floor(u (H - height + 1)) and
    left = floor(v (W - width + 1)) with u, v uniform on [0, 1). Nothing is scaled.
    """

    family: ClassVar[str] = "framing"
    steady: ClassVar[type[Operation] | None] = CenterCrop

    height: Positive
    width: Positive
    padding: Annotated[int, Field(ge=0, le=1024)] = 0
    fill: Fill = "constant"

    def output_shape(self, shape: Shape) -> Shape:
        return _window(self, (self.height, self.width), shape, self.padding)

    def draws(self) -> dict[str, Uniform]:
        return {"top": UNIT, "left": UNIT}

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        images = padded(xp, images, self.padding, self.fill, self.value)
        batch, rows, columns, channels = xp.shape(images)
        top = position(xp, draws["top"], rows - self.height + 1)
        left = position(xp, draws["left"], columns - self.width + 1)
        first = xp.arange(batch, dtype="int32") * (rows * columns) + top * columns + left
        window = (
            xp.arange(self.height, dtype="int32")[:, None] * columns + xp.arange(self.width, dtype="int32")[None, :]
        )
        pixels = xp.reshape(images, (-1, channels))
        return xp.take(pixels, first[:, None, None] + window[None, :, :], axis=0), labels


class Pad(Filling):
    """Adds `padding` pixels on each of the four sides, as `fill` says."""

    family: ClassVar[str] = "framing"

    padding: Annotated[int, Field(ge=1, le=1024)]
    fill: Fill = "constant"

    def output_shape(self, shape: Shape) -> Shape:
        rows, columns, channels = shape
        return (rows + 2 * self.padding, columns + 2 * self.padding, channels)

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        return padded(xp, images, self.padding, self.fill, self.value), labels


class Resize(Operation):
    """Scales an image to `height` x `width` pixels, whatever its size and its proportions. It draws nothing.

    Pixels are squares: the centre of pixel i of n new ones lies at (i + 1/2) N / n - 1/2 among N old ones. `"bilinear"`
    takes the two pixels about it, each by its nearness, in rows and in columns; the pixels at the edge are repeated
    beyond it. With `antialias`, where an image gets smaller, it takes all pixels less than N / n away, each by 1 -
    distance n / N, divided by the sum of these. `"nearest"` takes one pixel, of two as near the later, and knows no
    `antialias`. So do `jax.image.resize`, `tf.image.resize`, and Pillow, which always has `antialias`.
    """

    family: ClassVar[str] = "framing"

    height: Side
    width: Side
    method: Literal["bilinear", "nearest"] = "bilinear"
    antialias: bool = True

    def output_shape(self, shape: Shape) -> Shape:
        return (self.height, self.width, shape[-1])

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        _, rows, columns, _ = xp.shape(images)
        for axis, old, new in ((1, rows, self.height), (2, columns, self.width)):
            if old != new:
                images = _weighted(xp, images, axis, self._taps(old, new))
        return images, labels

    def _taps(self, old: int, new: int) -> list[dict[int, float]]:
        """For each new place of an axis the old places that it is made of, and how much each counts."""
        if self.method == "nearest":
            return [{(2 * place + 1) * old // (2 * new): 1.0} for place in range(new)]
        reach = max(1.0, old / new) if self.antialias else 1.0
        return [_tent((place + 0.5) * old / new - 0.5, reach, old) for place in range(new)]


def _tent(centre: float, reach: float, size: int) -> dict[int, float]:
    """The places of an axis that are less than `reach` away from one, by how near they are; their weights add to 1."""
    places = [place for place in range(ceil(centre - reach), floor(centre + reach) + 1) if 0 <= place < size]
    weights = [max(0.0, 1 - abs(place - centre) / reach) for place in places]
    return {place: weight / sum(weights) for place, weight in zip(places, weights, strict=True) if weight > 0}


def _weighted(xp: Namespace, images: Array, axis: int, taps: Sequence[dict[int, float]]) -> Array:
    """Images whose rows (axis 1) or columns (axis 2) are sums of given ones, each by its weight.

    Sums of pixels, not a product of matrices, whose factors some devices round.
    """
    most = max(map(len, taps))
    even = [[*one.items(), *[(0, 0.0)] * (most - len(one))] for one in taps]
    parts = []
    for tap in zip(*even, strict=True):
        places, weights = zip(*tap, strict=True)
        part = xp.take(images, xp.array(places, dtype="int32"), axis=axis)
        if any(weight != 1 for weight in weights):
            part = part * xp.array([[[weight]] if axis == 1 else [weight] for weight in weights], dtype="float32")
        parts.append(part)
    return sum(parts[1:], parts[0])
