"""Operations one after the other, and the several versions of an image that evaluation may take the mean of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from specdsl.declaration import Misuse
from specdsl.recipes.augmentation.base import Array, Namespace, Operation, Shape, Uniform, cast
from specdsl.recipes.augmentation.resampling import Geometric, resampled
from specdsl.recipes.naming import FromList, Named


class Pipeline(Named):
    """Operations one after the other.

    Affine operations that stand next to each other and fill alike are one map: pixels are interpolated once.
    """

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
        return self.shapes(shape)[-1]

    def shapes(self, shape: Shape) -> list[Shape]:
        """The shape before all operations and after each of them.

        Raises:
            Misuse: as `output_shape`.
        """
        found = [shape]
        for operation in self:
            found.append(operation.output_shape(found[-1]))
        return found

    def check_classes(self, count: int) -> None:
        """Check that all classes that operations name are among `count` of them, counted from 0.

        Raises:
            Misuse: one is not.
        """
        for operation in self:
            operation.check_classes(count)

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: Array) -> tuple[Array, Array]:
        """The batch after all operations.

        Args:
            xp: the array namespace of the arguments.
            images: float32 (batch, height, width, channels).
            labels: integers (batch,).
            draws: float32 (batch, len(self.draws())), a column for each random number.
        """
        column = 0
        together: list[tuple[Geometric, dict[str, Array]]] = []
        for operation in self:
            own = {name: draws[:, column + i] for i, name in enumerate(operation.draws())}
            column += len(own)
            if together and not _fills_like(operation, together[0][0]):
                images, together = resampled(xp, images, together), []
            if isinstance(operation, Geometric):
                together.append((operation, own))
            else:
                images, labels = operation.apply(xp, images, labels, own)
        return (resampled(xp, images, together) if together else images), labels


def _fills_like(operation: Operation, first: Geometric) -> bool:
    """Whether an operation can be resampled together with an affine one before it."""
    return isinstance(operation, Geometric) and (operation.fill, operation.value) == (first.fill, first.value)


def as_pipeline(value: Any) -> Any:
    """A list or tuple of operations as a pipeline, anything else as it is."""
    return Pipeline(operations=tuple(value)) if isinstance(value, list | tuple) else value


Operations = Annotated[Pipeline, BeforeValidator(as_pipeline)]
"""A field that holds a pipeline and takes a list of operations."""


class Views(Named):
    """Several random versions of each evaluated image: the mean of the model's answers to them is its answer.

    Operations must not look at labels, which evaluation does not know: of the flips only those without `classes` and
    `swaps` can stand here.

    Args:
        count: how many versions of each image.
        operations: what makes them; what `evaluate` holds comes after.
    """

    count: Annotated[int, Field(ge=1, le=1000)]
    operations: Operations

    def check(self) -> None:
        """Refuse versions that are all the same, and operations that go by labels."""
        if not self.operations.draws():
            raise Misuse("views need a random operation: without one all versions of an image are the same")
        for operation in self.operations:
            if operation.uses_labels:
                name = operation.spec_name()
                hint = "flip_left_right() without classes flips any image" if "flip" in name else None
                raise Misuse(
                    f"{name} goes by the label, which is not known of an image that is to be classified",
                    argument="operations",
                    help=hint,
                )

    def draws(self) -> tuple[Uniform, ...]:
        """The random numbers that one version of an image needs, in order."""
        return self.operations.draws()

    def apply(self, xp: Namespace, images: Array, draws: Array, evaluate: Pipeline) -> Array:
        """All versions of each image: (batch * count, height, width, channels), those of one image in a row.

        The mean answer of a model is `mean(reshape(model(views), (batch, count, -1)), axis=1)`.

        Args:
            xp: the array namespace of the arguments.
            images: float32 (batch, height, width, channels).
            draws: float32 (batch, count, len(self.draws())).
            evaluate: what is done to each version afterwards; it draws nothing.
        """
        versions = xp.repeat(images, self.count, axis=0)
        numbers = xp.reshape(draws, (-1, len(self.draws())))
        labels = cast(xp, xp.zeros_like(numbers[:, 0]), "int32")
        versions, labels = self.operations.apply(xp, versions, labels, numbers)
        return evaluate.apply(xp, versions, labels, numbers[:, :0])[0]


def unit_range(xp: Namespace, images: Array) -> Array:
    """Stored pixels, uint8 from 0 to 255, as float32 from 0 to 1: what the first operation takes."""
    return cast(xp, images, "float32") * (1 / 255)
