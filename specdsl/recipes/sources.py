"""Where data come from: declarations only; `specdsl.data` loads what they name."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from specdsl.declaration import declared
from specdsl.recipes.naming import Named, Positive

CLASSES = 43
"""Classes of the German Traffic Sign Recognition Benchmark."""

Task = Literal["classification", "regression"]
"""What is to be told of an example: its class, or values."""

Shape = tuple[int, ...]
"""The shape of one example: height, width, channels of an image."""

Size = Annotated[int, Field(ge=8, le=1024)]
"""The height and width of square images, in pixels."""


class Source(Named):
    """A set of examples in a training and a test part. What only loading tells is None."""

    abstract: ClassVar[bool] = True

    @property
    def shape(self) -> Shape | None:
        """The shape of every example before any operation; None where only loading tells."""
        return None

    @property
    def classes(self) -> int | None:
        """How many classes the labels tell apart; None where only loading tells, or where values are predicted."""
        return None

    @property
    def task(self) -> Task:
        """What is to be told of an example."""
        return "classification"

    @property
    def outputs(self) -> int | None:
        """How many numbers a model gives for an example: one for each class, or the values to predict; None where only
        loading tells.
        """
        return self.classes


class _Signs(Source):
    """Square colour images of the 43 traffic signs of the benchmark."""

    size: Size = 32

    @property
    def shape(self) -> Shape:
        """Height, width, channels of every image."""
        return (self.size, self.size, 3)

    @property
    def classes(self) -> int:
        """The 43 of the benchmark."""
        return CLASSES


class Gtsrb(_Signs):
    """The German Traffic Sign Recognition Benchmark: 39,209 training and 12,630 test images of 43 classes.

    `size` is the height and width in pixels at which the images were prepared.
    """


class Synthetic(_Signs):
    """Traffic signs drawn by program, after the 43 classes of the benchmark: no download, the same for the same seed.

    `train` and `test` count images *per class*. Training images come in tracks of several frames that show one sign
    in one place.
    """

    train: Positive = 150
    test: Positive = 30
    seed: Annotated[int, Field(ge=0)] = 0


SOURCES: dict[str, type[Source]] = {source.spec_name(): source for source in declared(Source)}
"""Every source by the name that a spec uses."""
