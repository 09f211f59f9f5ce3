"""Batches for Keras on any back end, made with numpy: the same pixels as the TensorFlow feed."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from specdsl.data.dataset import Examples
from specdsl.recipes.augmentation import Pipeline, unit_range
from specdsl.training.streams import Streams
from specdsl.training.targets import AS_THEY_ARE, Targets


class Feed(keras.utils.PyDataset):  # type: ignore[misc]
    """Examples through a pipeline in batches; the last batch takes what is left.

    Args:
        examples: what to feed.
        pipeline: what happens to them.
        batch: examples at a time.
        streams: random order and draws for each epoch; None feeds in order, which a random pipeline cannot have.
        targets: what the loss is given for the labels.
    """

    def __init__(
        self,
        examples: Examples,
        pipeline: Pipeline,
        batch: int,
        streams: Streams | None = None,
        targets: Targets = AS_THEY_ARE,
    ) -> None:
        super().__init__()
        self._examples, self._pipeline, self._batch, self._streams = examples, pipeline, batch, streams
        self._targets = targets
        self._order = np.arange(len(examples), dtype=np.int32)
        self._draws = np.zeros((len(examples), len(pipeline.draws())), np.float32)

    @property
    def batches(self) -> Feed:
        """What `fit` and `evaluate` take."""
        return self

    def epoch(self, number: int) -> None:
        """Set the order and the random numbers of an epoch (from 0)."""
        if self._streams is not None:
            self._order = self._streams.order(number, len(self._examples))
            self._draws = self._streams.draws(number, len(self._examples), self._pipeline)

    def __len__(self) -> int:
        return -(-len(self._examples) // self._batch)

    def __getitem__(self, step: int) -> tuple[NDArray[Any], ...]:
        part = slice(step * self._batch, (step + 1) * self._batch)
        rows = self._order[part]
        x = self._examples.x[rows]
        if self._examples.of_images:
            x = unit_range(np, x)
        return self._targets.batch(np, *self._pipeline.apply(np, x, self._examples.y[rows], self._draws[part]))
