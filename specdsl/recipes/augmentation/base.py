"""What an image operation is, and what several of them are made of.

An operation names the random numbers that it needs *per image* (`draws`) and is a pure function of a batch and of those
numbers (`apply`), written against an array namespace `xp`: numpy, `keras.ops` and `jax.numpy` all serve. The caller
draws the numbers, so that every engine gives the same pixels for the same stream. No shape depends on values, so that
any operation can be part of a compiled step.

Images are float32 of shape (batch, height, width, channels), nominally in [0, 1]; labels are integers, (batch,).
"""

# ruff: noqa: D102 - what each method gives is documented once, in `Operation`

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Literal, NamedTuple

from specdsl.declaration import Misuse
from specdsl.recipes.naming import Named, Number

Array = Any
"""An array of the namespace in use."""

Namespace = Any
"""`numpy`, `keras.ops` or `jax.numpy`; only functions that all three have are used."""

Shape = tuple[int, int, int]
"""Height, width, channels of one image."""

Fill = Literal["edge", "constant", "reflect"]
"""What lies outside an image, by the names and with the meaning of `numpy.pad`: its nearest pixel, one value, or the
image mirrored at the centres of its outermost pixels, which are not repeated."""


class Uniform(NamedTuple):
    """One random number per image, uniform on [low, high); rounding to float32 may reach `high`."""

    low: float
    high: float


UNIT = Uniform(0.0, 1.0)
"""What decides a chance or a place."""


class Operation(Named):
    """One step of an augmentation. By default it draws nothing, keeps the shape and does not look at labels."""

    family: ClassVar[str] = ""
    """Under which heading it is documented."""

    colours: ClassVar[bool] = False
    """Whether it takes red, green and blue, and nothing else."""

    steady: ClassVar[type[Operation] | None] = None
    """The operation that stands in its place where nothing may be random, if there is one."""

    @property
    def uses_labels(self) -> bool:
        """Whether what happens to an image depends on its label, or changes it."""
        return False

    def draws(self) -> dict[str, Uniform]:
        """The random numbers that one image needs, by name, in the order in which they are drawn."""
        return {}

    def output_shape(self, shape: Shape) -> Shape:
        """The shape after the operation.

        Raises:
            Misuse: when the operation cannot take an image of this shape.
        """
        if self.colours and shape[-1] != 3:
            count = f"{shape[-1]} channel{'s' * (shape[-1] != 1)}"
            raise Misuse(f"{self.spec_name()} needs red, green and blue, but the images have {count}")
        return shape

    def check_classes(self, count: int) -> None:
        """Check that the classes it names, if any, are among `count` of them, counted from 0.

        Raises:
            Misuse: one is not.
        """
        return

    @abstractmethod
    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        """The changed batch: images (batch, height, width, channels), labels (batch,).

        Args:
            xp: the array namespace of the arguments.
            images: float32 (batch, height, width, channels).
            labels: integers (batch,).
            draws: for every name in `draws()` an array (batch,) of float32.
        """
        raise NotImplementedError


class Filling(Operation):
    """What the operations share that look beyond the edge of an image: what they find there.

    With `fill="constant"` that is `value`.
    """

    abstract: ClassVar[bool] = True
    keyword_only: ClassVar[tuple[str, ...]] = ("fill", "value")

    fill: Fill = "edge"
    value: Number = 0.0

    def check(self) -> None:
        if self.value != 0 and self.fill != "constant":
            raise Misuse(
                f'fill is "{self.fill}", which takes no value', argument="value", help='write fill="constant" with it'
            )


def check_range(lower: float, upper: float, name: str = "lower", other: str = "upper") -> None:
    """Check that a range has its ends in order.

    Raises:
        Misuse: `lower` is more than `upper`.
    """
    if lower > upper:
        raise Misuse(f"{name} is {lower:g}, which is more than {other}, {upper:g}", argument=name)


def sources(size: int, before: int, after: int, fill: Fill) -> list[int]:
    """Where the places of an axis lie that is made longer at both ends: for each the place of the old axis.

    With `"constant"` the new places lie at the edge, and have to be filled.
    """
    period = max(2 * (size - 1), 1)
    places: Iterable[int] = range(-before, size + after)
    if fill == "reflect":
        return [min(place % period, period - place % period) if size > 1 else 0 for place in places]
    return [min(max(place, 0), size - 1) for place in places]


def padded(xp: Namespace, images: Array, by: int, fill: Fill, value: float = 0.0) -> Array:
    """Images (batch, height, width, channels) with `by` more rows or columns on each of the four sides."""
    if by == 0:
        return images
    if fill == "constant":
        return xp.pad(images, ((0, 0), (by, by), (by, by), (0, 0)), mode="constant", constant_values=value)
    _, rows, columns, _ = xp.shape(images)
    for axis, size in ((1, rows), (2, columns)):
        images = xp.take(images, xp.array(sources(size, by, by, fill), dtype="int32"), axis=axis)
    return images


def position(xp: Namespace, unit: Array, count: Any) -> Array:
    """A number from [0, 1] as an integer from 0 to count - 1, all equally likely.

    Args:
        xp: the array namespace of `unit`.
        unit: float32 (batch,).
        count: an integer, or int32 (batch,).
    """
    places = cast(xp, count, "float32") if hasattr(count, "shape") else count
    return xp.minimum(cast(xp, xp.floor(unit * places), "int32"), count - 1)


def per_image(values: Array) -> Array:
    """One value per image, (batch,), shaped to meet images: (batch, 1, 1, 1)."""
    return values[:, None, None, None]


def cast(xp: Namespace, array: Array, dtype: str) -> Array:
    """The one thing that the namespaces call by different names."""
    return (xp.cast if hasattr(xp, "cast") else xp.astype)(array, dtype)
