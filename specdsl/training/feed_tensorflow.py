"""Batches for Keras on TensorFlow: `tf.data`, whole batches at a time, from examples held in memory, images as bytes.

Autotuning is off, because with it `fit` stalls for seconds after the last step of some epochs.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from specdsl.data.dataset import Examples
from specdsl.recipes.augmentation import Pipeline, unit_range
from specdsl.training.hardware import cores
from specdsl.training.streams import Streams
from specdsl.training.targets import AS_THEY_ARE, Targets

_WORKERS = min(4, cores())
_AHEAD = 4


class Feed:
    """Examples through a pipeline in batches, with the arguments of `feed_numpy.Feed`."""

    def __init__(
        self,
        examples: Examples,
        pipeline: Pipeline,
        batch: int,
        streams: Streams | None = None,
        targets: Targets = AS_THEY_ARE,
    ) -> None:
        self._pipeline, self._batch, self._streams, self._targets = pipeline, batch, streams, targets
        self._count = count = len(examples)
        self._of_images = examples.of_images
        # On the CPU also where there is a GPU: the pipeline runs there, while the GPU computes.
        with tf.device("CPU:0"):
            self._x = tf.constant(examples.x)
            self._y = tf.constant(examples.y)
            self._order = tf.Variable(np.arange(count, dtype=np.int32), trainable=False)
            self._draws = tf.Variable(np.zeros((count, len(pipeline.draws())), np.float32), trainable=False)
            options = tf.data.Options()
            options.autotune.enabled = False
            batches = tf.data.Dataset.range(0, count, batch).map(self._at, num_parallel_calls=_WORKERS)
            self.batches: Any = batches.prefetch(_AHEAD).with_options(options)

    def epoch(self, number: int) -> None:
        """Set the order and the random numbers of an epoch (from 0)."""
        if self._streams is not None:
            self._order.assign(self._streams.order(number, self._count))
            self._draws.assign(self._streams.draws(number, self._count, self._pipeline))

    def _at(self, start: Any) -> tuple[Any, ...]:
        rows = self._order[start : start + self._batch]
        x = tf.gather(self._x, rows)
        if self._of_images:
            x = unit_range(keras.ops, x)
        draws = self._draws[start : start + self._batch]
        return self._targets.batch(keras.ops, *self._pipeline.apply(keras.ops, x, tf.gather(self._y, rows), draws))
