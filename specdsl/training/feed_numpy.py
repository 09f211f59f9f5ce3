"""Batches for Keras on any back end, made with numpy: the same pixels as the TensorFlow feed."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from specdsl.data.dataset import Images
from specdsl.recipes.augmentation import Pipeline, unit_range
from specdsl.training.streams import Streams


class Feed(keras.utils.PyDataset):  # type: ignore[misc]
    """Images through a pipeline in batches; the last batch takes what is left.

    Args:
        images: what to feed.
        pipeline: what happens to them.
        batch: images at a time.
        streams: random order and draws for each epoch; None feeds in order, which a random pipeline cannot have.
    """

    def __init__(self, images: Images, pipeline: Pipeline, batch: int, streams: Streams | None = None) -> None:
        super().__init__()
        self._images, self._pipeline, self._batch, self._streams = images, pipeline, batch, streams
        self._order = np.arange(len(images), dtype=np.int32)
        self._draws = np.zeros((len(images), len(pipeline.draws())), np.float32)

    @property
    def batches(self) -> Feed:
        """What `fit` and `evaluate` take."""
        return self

    def epoch(self, number: int) -> None:
        """Set the order and the random numbers of an epoch (from 0)."""
        if self._streams is not None:
            self._order = self._streams.order(number, len(self._images))
            self._draws = self._streams.draws(number, len(self._images), self._pipeline)

    def __len__(self) -> int:
        return -(-len(self._images) // self._batch)

    def __getitem__(self, step: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        part = slice(step * self._batch, (step + 1) * self._batch)
        rows = self._order[part]
        images = unit_range(np, self._images.image[rows])
        result: tuple[Any, Any] = self._pipeline.apply(np, images, self._images.label[rows], self._draws[part])
        return result
