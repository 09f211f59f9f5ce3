"""What an engine is: it takes a job, trains it, and tells a watcher how it goes. Light: imports no framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from specdsl.data.dataset import Examples
from specdsl.graph import Graph
from specdsl.recipes.training import TrainRecipe
from specdsl.runs.history import Epoch
from specdsl.training.streams import Streams


@dataclass(frozen=True)
class Job:
    """One trial to train.

    Attributes:
        graph: the model.
        recipe: how to train it, with the epochs and the batch that hold.
        train: examples to learn from.
        validation: examples to choose by, or None.
        test: examples for evaluation alone.
        streams: its random numbers.
    """

    graph: Graph
    recipe: TrainRecipe
    train: Examples
    validation: Examples | None
    test: Examples
    streams: Streams

    @property
    def steps(self) -> int:
        """Steps of an epoch; the last one may be smaller."""
        return -(-len(self.train) // self.recipe.batch)


class Watcher(Protocol):
    """Who is told how training goes, and may end it."""

    def stopping(self) -> bool:
        """Whether training should end after the current step. Asked at every step: it must be quick."""

    def on_step(self, epoch: int, step: int, values: Mapping[str, float], images_per_second: float) -> None:
        """Steps done in an epoch (both from 1), with the means and the speed so far; not told for every step."""

    def on_epoch(self, epoch: Epoch) -> None:
        """An epoch ended, with what was measured."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a trial ended.

    Attributes:
        interrupted: it was ended before its last epoch was trained and evaluated.
        diverged: why it was given up, or None.
    """

    interrupted: bool = False
    diverged: str | None = None


class Trial(Protocol):
    """A trial in an engine."""

    @property
    def parameters(self) -> int:
        """The parameters of the model."""

    def train(self, watcher: Watcher) -> Outcome:
        """Train to the end, or until the watcher stops it or the loss is no longer a number."""

    def save(self, file: Path) -> None:
        """Write the model as it is now, in Keras's format; the name must end in `.keras`."""
