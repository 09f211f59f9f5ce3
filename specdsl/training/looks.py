"""What images look like on their way to a model: before, after `evaluate`, and in several draws of `augment`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from specdsl.data.dataset import DataSet, Examples
from specdsl.recipes.augmentation import Pipeline, unit_range
from specdsl.training.streams import Streams

if TYPE_CHECKING:
    from specdsl.data.sheet import Row


def rows(
    dataset: DataSet, classes: Sequence[int], columns: int, seed: int, pipeline: Pipeline | None = None
) -> list[Row]:
    """For each class some of its training images, of different tracks where that can be, chosen by the seed.

    Args:
        dataset: images; the test set is not looked at.
        classes: the classes, in the order of the rows.
        columns: images for each class; a class that has fewer shows what it has.
        seed: what chooses them.
        pipeline: operations that are not random, or None.
    """
    from specdsl.data.sheet import Row

    shown = []
    for label in classes:
        chosen = dataset.train.take(_chosen(dataset.train, label, columns, seed))
        images = _floats(chosen)
        if pipeline is not None:
            images, _ = pipeline.apply(np, images, chosen.y, np.zeros((len(chosen), 0), np.float32))
        shown.append(Row(f"{label} {dataset.class_names[label]}", list(images), [""] * len(images)))
    return shown


def draws(dataset: DataSet, classes: Sequence[int], columns: int, seed: int, pipeline: Pipeline) -> list[Row]:
    """For each class one training image, as it is and in several draws of a pipeline.

    Where an operation changes the label of an image, the new one stands in its corner.

    Args:
        dataset: images; the test set is not looked at.
        classes: the classes, in the order of the rows.
        columns: images in a row; the first is the image as it is.
        seed: what chooses the images and draws the random numbers.
        pipeline: the operations.
    """
    from specdsl.data.sheet import Row

    times = columns - 1
    numbers = Streams(seed, 1).draws(0, times * len(classes), pipeline)
    shown = []
    for place, label in enumerate(classes):
        one = dataset.train.take(_chosen(dataset.train, label, 1, seed))
        if not len(one):
            continue
        before = _floats(one)
        labels = np.repeat(one.y, times)
        own = numbers[place * times : (place + 1) * times]
        after, became = pipeline.apply(np, np.repeat(before, times, axis=0), labels, own)
        marks = ["" if new == label else str(new) for new in became.tolist()]
        shown.append(Row(f"{label} {dataset.class_names[label]}", [before[0], *after], ["", *marks]))
    return shown


def _chosen(examples: Examples, label: int, count: int, seed: int) -> NDArray[np.int64]:
    """The positions of some examples of a class: of each track one before a second of any."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, label]))
    found = rng.permutation(np.flatnonzero(examples.y == label))
    if examples.track is not None:
        _, first = np.unique(examples.track[found], return_index=True)
        first = np.sort(first)
        found = np.concatenate([found[first], np.delete(found, first)])
    return found[:count]


def _floats(examples: Examples) -> Any:
    """Images as a pipeline takes them."""
    return unit_range(np, examples.x) if examples.of_images else examples.x
