"""Where images come from: declarations only; `specdsl.data` loads what they name."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from specdsl.recipes.naming import Named, Positive

CLASSES = 43
"""Classes of the German Traffic Sign Recognition Benchmark."""


class Source(Named):
    """A set of square colour images with class labels, in a training and a test part."""

    size: Annotated[int, Field(ge=8, le=1024)] = 32

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels of the images before any operation."""
        return (self.size, self.size, 3)

    @property
    def classes(self) -> int:
        """How many classes the labels tell apart."""
        return CLASSES


class Gtsrb(Source):
    """The German Traffic Sign Recognition Benchmark: 39,209 training and 12,630 test images of 43 classes.

    `size` is the height and width in pixels at which the images were prepared.
    """


class Synthetic(Source):
    """Traffic signs drawn by program, after the 43 classes of the benchmark: no download, the same for the same seed.

    `train` and `test` count images *per class*. Training images come in tracks of several frames that show one sign
    in one place.
    """

    train: Positive = 150
    test: Positive = 30
    seed: Annotated[int, Field(ge=0)] = 0


SOURCES: dict[str, type[Source]] = {source.spec_name(): source for source in (Gtsrb, Synthetic)}
"""Every source by the name that a spec uses."""
