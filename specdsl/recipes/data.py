"""What a spec says of data: the `data` block as a value, and what it is where a spec says nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import Field

from specdsl.declaration import Misuse
from specdsl.recipes.augmentation import (
    CenterCrop,
    Clip,
    Normalize,
    Operation,
    Operations,
    Pipeline,
    RandomBrightness,
    RandomContrast,
    RandomCrop,
    RandomSaturation,
    Resize,
    Views,
)
from specdsl.recipes.naming import Named, RecipePart
from specdsl.recipes.sources import Shape, Source, Synthetic


class Validation(Named):
    """A part of the training images kept out of training, to choose by.

    Args:
        fraction: the part, between 0 and 1; of every class about this part is kept out.
        by: `"track"` keeps all frames of one physical sign on one side; `"image"` splits frames, which puts near copies
            on both sides and makes validation look too good.
        seed: what chooses the part; by default the seed of the run. With few tracks in a class, validation depends much
            on which of them it has: a seed of its own keeps the part the same while the run's seed varies.
    """

    fraction: Annotated[float, Field(gt=0, lt=1)]
    by: Literal["track", "image"] = "track"
    seed: Annotated[int, Field(ge=0)] | None = None


class DataRecipe(RecipePart):
    """The `data` block: examples, what is kept for validation, and the operations before the model sees them.

    Args:
        source: where the examples come from.
        validation: what to keep out of training, or None.
        augment: operations on training images, new random numbers for each image in each epoch.
        evaluate: operations on validation and test images; they must not be random.
        views: random versions of each evaluated image to take the mean answer of, where evaluation asks for them.
    """

    source: Source = Synthetic()
    validation: Validation | None = None
    augment: Operations = Pipeline()
    evaluate: Operations = Pipeline()
    views: Views | None = None

    def check(self) -> None:
        """Refuse random evaluation and, as far as the source tells, operations that do not fit its examples."""
        for operation in self.evaluate:
            if operation.draws():
                steady = f", and use {operation.steady.spec_name()} here" if operation.steady else ""
                raise Misuse(
                    f"evaluate must not be random, and {operation.spec_name()} is",
                    argument="evaluate",
                    help=f"move it to augment{steady}",
                )
        trained, evaluated = (
            [operation for operation in part if isinstance(operation, Normalize)]
            for part in (self.augment, self.evaluate)
        )
        if trained != evaluated:
            had, has = (", ".join(map(str, found)) or "no normalize" for found in (trained, evaluated))
            raise Misuse(
                f"augment has {had} and evaluate has {has}: the model would be tested on values of another range",
                argument="evaluate",
                help="normalize in both alike",
            )
        if self.source.task == "regression" or self.source.classes is not None:
            self.check_classes(self.source.classes)
        if self.source.shape is not None:
            self.shape_after(self.source.shape)

    def check_classes(self, classes: int | None) -> None:
        """Check that operations name only classes that there are; `classes` is None where values are predicted.

        Raises:
            Misuse: one does.
        """
        for operation in (*self.augment, *self.evaluate, *(self.views.operations if self.views else ())):
            check_classes(operation, classes)

    def shape_after(self, shape: Shape) -> Shape:
        """The shape of what the model is given, when examples of this shape are loaded.

        Raises:
            Misuse: operations cannot take such examples, or images of two sizes would reach one model.
        """
        trained, evaluated = (shape_after(operations, shape) for operations in (self.augment, self.evaluate))
        if trained != evaluated:
            raise Misuse(
                f"augment ends with images of {shape_text(trained)} and evaluate with images of "
                f"{shape_text(evaluated)}, but one model must take both",
                argument="evaluate",
                help=_alike(self.augment, trained, evaluated) if not self.evaluate else None,
            )
        if self.views is not None:
            viewed = shape_after((*self.views.operations, *self.evaluate), shape)
            if viewed != evaluated:
                raise Misuse(
                    f"views with evaluate after them end with images of {shape_text(viewed)}, and evaluate alone with "
                    f"images of {shape_text(evaluated)}, but one model must take both",
                    argument="views",
                )
        return trained

    @property
    def shape(self) -> Shape | None:
        """The shape of what the model is given: height, width, channels of an image; None where only loading tells."""
        return None if self.source.shape is None else self.shape_after(self.source.shape)

    def taken_from(self, source: Source) -> Self:
        """The same recipe on another source; what that leaves open stays as it was.

        Raises:
            Misuse: the operations do not fit the examples of the other source.
        """
        return self.replace(source=source.completed(self.source))


def default_data(input_shape: tuple[int | None, ...], source: Source | None = None) -> DataRecipe:
    """The data of a spec that declares none: mild changes of light and colour, a crop if the model's input is smaller.

    Training images get random_crop (when the input is smaller than the images), random_brightness(0.1),
    random_saturation(0.5, 1.5) where they have colours, random_contrast(0.7, 1.3) and clip(0, 1); evaluation cuts the
    centre. There is no flip, because signs change their meaning in the mirror. Without a source synthetic signs are
    drawn: of 32 pixels, or of the input's size when that is larger. Data that are no images, or of which only loading
    tells the shape, are left as they are.

    Args:
        input_shape: height, width, channels of the model's input.
        source: where the examples come from.

    Raises:
        Misuse: when there is no source and no traffic sign image can have this shape.
    """
    sized = len(input_shape) == 3 and None not in input_shape[:2]
    height, width = (input_shape[0] or 0, input_shape[1] or 0) if sized else (0, 0)
    if source is None:
        if not sized or input_shape[2] != 3:
            raise Misuse(
                f"the model takes {shape_text(input_shape)}, but traffic signs are colour images, (height, width, 3)",
                help="give the model an input such as (28, 28, 3), or declare the data",
            )
        source = Synthetic()
    if not sized:
        return DataRecipe(source=source)
    source = source.sized(max(32, height, width))
    shape = source.shape
    if shape is None or len(shape) != 3:
        return DataRecipe(source=source)
    crops = shape[:2] != (height, width) and height <= shape[0] and width <= shape[1]
    crop = (RandomCrop(height=height, width=width),) if crops else ()
    saturation = (RandomSaturation(lower=0.5, upper=1.5),) if shape[2] == 3 else ()
    light = (RandomBrightness(max_delta=0.1), *saturation, RandomContrast(lower=0.7, upper=1.3), Clip())
    return DataRecipe(
        source=source,
        augment=Pipeline(operations=(*crop, *light)),
        evaluate=Pipeline(operations=(CenterCrop(height=height, width=width),) if crops else ()),
    )


def check_classes(operation: Operation, classes: int | None) -> None:
    """Check that an operation names none but the classes that there are.

    Args:
        operation: the operation.
        classes: how many classes there are, or None where values are predicted.

    Raises:
        Misuse: it names another one, or any where values are predicted.
    """
    if classes is not None:
        operation.check_classes(classes)
        return
    try:
        operation.check_classes(0)
    except Misuse as misuse:
        message = f"{operation.spec_name()} names classes, but this data has values to predict"
        raise Misuse(message, argument=misuse.argument) from None


def shape_after(operations: Iterable[Operation], shape: Shape) -> Shape:
    """The shape of an example after operations, which take images alone.

    Raises:
        Misuse: from the first operation that cannot take what reaches it.
    """
    for operation in operations:
        if len(shape) != 3:
            raise Misuse(f"{operation.spec_name()} takes images, but this data has values of shape {shape_text(shape)}")
        shape = operation.output_shape(shape)
    return shape


def shape_text(shape: tuple[int | None, ...]) -> str:
    """A shape as the spec language writes it: `(28, 28, 3)`, `(none, 3)`, `(5,)`."""
    return f"({', '.join('none' if size is None else str(size) for size in shape)}{',' * (len(shape) == 1)})"


def _alike(augment: Pipeline, trained: Shape, evaluated: Shape) -> str:
    """How evaluation comes to end with images of the shape that training ends with."""
    if len(evaluated) == 3 and trained[2] != evaluated[2]:
        return "grayscale in both alike"
    larger = trained[0] > evaluated[0] or trained[1] > evaluated[1]
    scaled = larger or any(isinstance(operation, Resize) for operation in augment)
    return f"end evaluate with {'resize' if scaled else 'center_crop'}({trained[0]}, {trained[1]})"
