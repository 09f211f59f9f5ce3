"""Random numbers for training: every stream is a pure function of (seed, trial, epoch, purpose).

So each trial has its own initial weights, order and augmentation, each epoch can be made again without the ones before
it, and every engine sees the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from specdsl.recipes.augmentation import Pipeline, Uniform, Views


class Purpose(IntEnum):
    """What a stream is for. The numbers are part of what makes a run repeatable: never change one."""

    WEIGHTS = 0
    ORDER = 1
    AUGMENTATION = 2
    VIEWS = 3


@dataclass(frozen=True, slots=True)
class Streams:
    """The random streams of one trial.

    Args:
        seed: the run's seed, at least 0.
        trial: the trial's number, from 1.
    """

    seed: int
    trial: int

    def weights(self) -> int:
        """The seed for initial weights and for random layers, from 0 to 2^32 - 1."""
        return int(self._entropy(0, Purpose.WEIGHTS).generate_state(1)[0])

    def order(self, epoch: int, count: int) -> NDArray[np.int32]:
        """The order of `count` training images in an epoch (from 0): every image once, int32 (count,)."""
        return self._generator(epoch, Purpose.ORDER).permutation(count).astype(np.int32)

    def draws(self, epoch: int, count: int, pipeline: Pipeline) -> NDArray[np.float32]:
        """The random numbers of an epoch's augmentation, in the order of its images.

        Returns:
            float32 (count, len(pipeline.draws())): what `Pipeline.apply` takes.
        """
        return _drawn(self._generator(epoch, Purpose.AUGMENTATION), (count,), pipeline.draws())

    def _entropy(self, epoch: int, purpose: Purpose) -> np.random.SeedSequence:
        return np.random.SeedSequence([self.seed, self.trial, epoch, purpose])

    def _generator(self, epoch: int, purpose: Purpose) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(self._entropy(epoch, purpose)))


def view_draws(views: Views, count: int) -> NDArray[np.float32]:
    """The random numbers of the views of `count` images, in the order of the images: always the same ones.

    They depend on nothing else, neither on a run's seed nor on batches: the first images of many have the numbers that
    they have alone, and all models are evaluated on the same views.

    Returns:
        float32 (count, views.count, len(views.draws())): what `Views.apply` takes.
    """
    # Trials count from 1, so that no trial has this stream.
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([0, 0, 0, Purpose.VIEWS])))
    return _drawn(generator, (count, views.count), views.draws())


def _drawn(generator: np.random.Generator, shape: tuple[int, ...], draws: tuple[Uniform, ...]) -> NDArray[np.float32]:
    """Numbers uniform on their ranges: float32 (*shape, len(draws))."""
    ranges = np.array(draws, np.float32).reshape(-1, 2)
    unit = generator.random((*shape, len(ranges)), dtype=np.float32)
    return ranges[:, 0] + (ranges[:, 1] - ranges[:, 0]) * unit
