"""Operations that choose a part of an image, or make it larger."""

# ruff: noqa: D102 - what each method gives is documented once, in `Operation`

from __future__ import annotations

from typing import Annotated, ClassVar

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
                help=f"give a {name} of at most {given + 2 * padding}, or load larger images with the source's size",
            )
    return (*wanted, channels)


class RandomCrop(Filling):
    """Cuts a window of `height` x `width` pixels, at its own place in every image.

    Before that `padding` pixels are added on each of the four sides, as `fill` says. The place is uniform over all
    (H - height + 1)(W - width + 1) positions, with H and W the padded sizes: top = floor(u (H - height + 1)) and
    left = floor(v (W - width + 1)) with u, v uniform on [0, 1). Nothing is scaled.
    """

    family: ClassVar[str] = "framing"

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
