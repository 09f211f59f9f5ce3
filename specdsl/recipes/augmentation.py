"""Image operations: what each does to one image, stated once for every engine.

An operation names the random numbers that it needs *per image* (`draws`) and is a pure function of a batch and of those
numbers (`apply`), written against an array namespace `xp`: numpy, `keras.ops` and `jax.numpy` all serve. The caller
draws the numbers, so that every engine gives the same pixels for the same stream.

Images are float32 of shape (batch, height, width, channels), nominally in [0, 1]; labels are integers, (batch,).
"""

# ruff: noqa: D102 - what each method gives is documented once, in `Operation`

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator, Field

from specdsl.declaration import Misuse
from specdsl.recipes.naming import FromList, Named, NonNegative, Number, Positive, Unit

Array = Any
"""An array of the namespace in use."""

Namespace = Any
"""`numpy`, `keras.ops` or `jax.numpy`; only functions that all three have are used."""

Shape = tuple[int, int, int]
"""Height, width, channels of one image."""


class Uniform(NamedTuple):
    """One random number per image, uniform on [low, high); rounding to float32 may reach `high`."""

    low: float
    high: float


class Operation(Named):
    """One step of an augmentation. By default it draws nothing and keeps the shape."""

    def draws(self) -> dict[str, Uniform]:
        """The random numbers that one image needs, by name, in the order in which they are drawn."""
        return {}

    def output_shape(self, shape: Shape) -> Shape:
        """The shape after the operation.

        Raises:
            Misuse: when the operation cannot take an image of this shape.
        """
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


class Cropping(Operation):
    """What the two crops share: the size to cut out."""

    height: Positive
    width: Positive

    def output_shape(self, shape: Shape) -> Shape:
        rows, columns, channels = shape
        for name, wanted, given in (("height", self.height, rows), ("width", self.width, columns)):
            if wanted > given:
                raise Misuse(
                    f"{self.spec_name()} wants a {name} of {wanted}, but the images that reach it are "
                    f"{rows}x{columns} (height x width)",
                    argument=name,
                    help=f"give a {name} of at most {given}, or load larger images with the source's size",
                )
        return (self.height, self.width, channels)


class RandomCrop(Cropping):
    """Cuts a window of `height` x `width` pixels, at its own place in every image.

    The place is uniform over all (H - height + 1)(W - width + 1) positions: top = floor(u (H - height + 1)) and
    left = floor(v (W - width + 1)) with u, v uniform on [0, 1). Nothing is padded and nothing is scaled.
    """

    def draws(self) -> dict[str, Uniform]:
        return {"top": Uniform(0.0, 1.0), "left": Uniform(0.0, 1.0)}

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        batch, rows, columns, channels = xp.shape(images)
        top = _position(xp, draws["top"], rows - self.height + 1)
        left = _position(xp, draws["left"], columns - self.width + 1)
        first = xp.arange(batch, dtype="int32") * (rows * columns) + top * columns + left
        window = (
            xp.arange(self.height, dtype="int32")[:, None] * columns + xp.arange(self.width, dtype="int32")[None, :]
        )
        pixels = xp.reshape(images, (-1, channels))
        return xp.take(pixels, first[:, None, None] + window[None, :, :], axis=0), labels


class CenterCrop(Cropping):
    """Cuts the window of `height` x `width` pixels at the centre: top = (H - height) // 2, left = (W - width) // 2."""

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        _, rows, columns, _ = xp.shape(images)
        top, left = (rows - self.height) // 2, (columns - self.width) // 2
        return images[:, top : top + self.height, left : left + self.width, :], labels


class FlipLeftRight(Operation):
    """Mirrors an image left to right with the given probability, if its label is one of `classes`.

    Many signs mean something else in the mirror, or nothing: list the classes that stay themselves. Without a list
    every image may flip. Labels do not change.
    """

    classes: Annotated[tuple[Annotated[int, Field(ge=0)], ...] | None, FromList] = None
    probability: Unit = 0.5

    def check_classes(self, count: int) -> None:
        for label in self.classes or ():
            if label >= count:
                raise Misuse(
                    f"flip_left_right names class {label}, but there are {count}, from 0 to {count - 1}",
                    argument="classes",
                )

    def draws(self) -> dict[str, Uniform]:
        return {"chance": Uniform(0.0, 1.0)}

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        flips = draws["chance"] < self.probability
        if self.classes is not None:
            listed = xp.array(self.classes, dtype="int32")
            flips = flips & xp.any(_cast(xp, labels, "int32")[:, None] == listed[None, :], axis=1)
        return xp.where(_per_image(flips), xp.flip(images, axis=2), images), labels


class RandomBrightness(Operation):
    """Adds one number, uniform in [-max_delta, max_delta], to all values of an image. Nothing is clipped."""

    max_delta: NonNegative

    def draws(self) -> dict[str, Uniform]:
        return {"delta": Uniform(-self.max_delta, self.max_delta)}

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        return images + _per_image(draws["delta"]), labels


class Scaling(Operation):
    """What the operations with a random factor share: its range."""

    lower: NonNegative
    upper: NonNegative

    def check(self) -> None:
        if self.lower > self.upper:
            raise Misuse(f"lower is {self.lower:g}, which is more than upper, {self.upper:g}", argument="lower")

    def draws(self) -> dict[str, Uniform]:
        return {"factor": Uniform(self.lower, self.upper)}


class RandomSaturation(Scaling):
    """Multiplies the HSV saturation by a factor uniform in [lower, upper], clipping saturation to [0, 1].

    With v = max(r, g, b) and m = min(r, g, b) saturation is s = (v - m) / v, and scaling it to s' = clip(s f, 0, 1) at
    the same hue and value moves each channel c to v - (v - c) s' / s, where s' / s = min(f, v / (v - m)). The same as
    `tf.image.adjust_saturation`, without the way through HSV; as there, a pixel with v <= 0 becomes grey.
    """

    def output_shape(self, shape: Shape) -> Shape:
        if shape[-1] != 3:
            raise Misuse(f"random_saturation needs red, green and blue, but the images have {shape[-1]} channel(s)")
        return shape

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        value = xp.max(images, axis=3, keepdims=True)
        spread = value - xp.min(images, axis=3, keepdims=True)
        ratio = xp.minimum(_per_image(draws["factor"]), value / xp.maximum(spread, 1e-12))
        return value - (value - images) * xp.maximum(ratio, 0.0), labels


class RandomContrast(Scaling):
    """Scales each channel about its mean over the image, by a factor f uniform in [lower, upper]: (x - mean) f + mean.

    The same as `tf.image.adjust_contrast`. Nothing is clipped.
    """

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        mean = xp.mean(images, axis=(1, 2), keepdims=True)
        return (images - mean) * _per_image(draws["factor"]) + mean, labels


class Clip(Operation):
    """Limits every value to [low, high]."""

    low: Number = 0.0
    high: Number = 1.0

    def check(self) -> None:
        if self.low > self.high:
            raise Misuse(f"low is {self.low:g}, which is more than high, {self.high:g}", argument="low")

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        return xp.clip(images, self.low, self.high), labels


OPERATIONS: dict[str, type[Operation]] = {
    operation.spec_name(): operation
    for operation in list(globals().values())
    if isinstance(operation, type) and issubclass(operation, Operation) and "apply" in vars(operation)
    if operation is not Operation
}
"""Every operation by the name that a spec uses: the classes of this module that can be applied."""


class Pipeline(Named):
    """Operations one after the other."""

    operations: Annotated[tuple[Operation, ...], FromList] = ()

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)

    def __len__(self) -> int:
        return len(self.operations)

    def draws(self) -> tuple[Uniform, ...]:
        """The random numbers that one image needs, in order: the columns of the array that `apply` takes."""
        return tuple(draw for operation in self for draw in operation.draws().values())

    def output_shape(self, shape: Shape) -> Shape:
        """The shape (height, width, channels) after all operations.

        Raises:
            Misuse: from the first operation that cannot take what reaches it.
        """
        for operation in self:
            shape = operation.output_shape(shape)
        return shape

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: Array) -> tuple[Array, Array]:
        """The batch after all operations.

        Args:
            xp: the array namespace of the arguments.
            images: float32 (batch, height, width, channels).
            labels: integers (batch,).
            draws: float32 (batch, len(self.draws())), a column for each random number.
        """
        column = 0
        for operation in self:
            own = {name: draws[:, column + i] for i, name in enumerate(operation.draws())}
            column += len(own)
            images, labels = operation.apply(xp, images, labels, own)
        return images, labels


def as_pipeline(value: Any) -> Any:
    """A list or tuple of operations as a pipeline, anything else as it is."""
    return Pipeline(operations=tuple(value)) if isinstance(value, list | tuple) else value


Operations = Annotated[Pipeline, BeforeValidator(as_pipeline)]
"""A field that holds a pipeline and takes a list of operations."""


def unit_range(xp: Namespace, images: Array) -> Array:
    """Stored pixels, uint8 from 0 to 255, as float32 from 0 to 1: what the first operation takes."""
    return _cast(xp, images, "float32") * (1 / 255)


def _position(xp: Namespace, unit: Array, count: int) -> Array:
    """A number from [0, 1] as an integer from 0 to count - 1, all equally likely."""
    return xp.minimum(_cast(xp, xp.floor(unit * count), "int32"), count - 1)


def _per_image(values: Array) -> Array:
    """One value per image, (batch,), shaped to meet images: (batch, 1, 1, 1)."""
    return values[:, None, None, None]


def _cast(xp: Namespace, array: Array, dtype: str) -> Array:
    """The one thing that the namespaces call by different names."""
    return (xp.cast if hasattr(xp, "cast") else xp.astype)(array, dtype)
