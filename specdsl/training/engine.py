"""What an engine is: it takes a job, trains it, and tells a watcher how it goes. Light: imports no framework.

An engine knows how to train and to measure, and nothing of folders, of choosing an epoch or of ending early: that is
the watcher's, once for all engines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from specdsl.data.dataset import Examples
from specdsl.graph import Graph
from specdsl.recipes.training import TrainRecipe
from specdsl.runs.checkpoints import State
from specdsl.runs.history import Epoch
from specdsl.training.streams import Streams

Part = Literal["train", "validation", "test"]
"""Of which examples something is measured."""

AT_ONCE = 0.25
"""Seconds of work that a device is given at once: so long that handing over costs nothing, so short that one can
stop."""


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

    @property
    def outputs(self) -> int:
        """How many numbers the model gives for an example."""
        (shape,) = self.graph.output_shapes
        return shape[-1] or 0

    @property
    def measured(self) -> tuple[Part, ...]:
        """The parts that are measured after an epoch."""
        return ("test",) if self.validation is None else ("validation", "test")

    def examples(self, part: Part) -> Examples:
        """The examples of a part."""
        found = {"train": self.train, "validation": self.validation, "test": self.test}[part]
        assert found is not None, "there is no validation part"
        return found


class Stopped(Exception):  # noqa: N818 - no error
    """An evaluation was ended before its time, because its watcher wants to stop."""


class OutOfMemory(Exception):  # noqa: N818 - nothing is wrong
    """The memory of the device, or of the machine, does not suffice for what is trained together.

    A group's making, its training and all that its trials do may raise it: fewer trials may go on.
    """


class Watcher(Protocol):
    """Who is told how training goes, and may end it."""

    def stopping(self) -> bool:
        """Whether training should end, after the current step. Asked at every step: it must be quick."""

    def on_step(self, epoch: int, step: int, values: Mapping[str, float], images_per_second: float) -> None:
        """Steps done in an epoch (both from 1), with the means and the speed so far; not told for every step."""

    def on_epoch(self, epoch: Epoch) -> None:
        """An epoch was trained; of its values only those of `train` are known. The trial's methods may be called."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How training ended.

    Attributes:
        stopped: the watcher ended it.
        diverged: why it was given up, or None.
    """

    stopped: bool = False
    diverged: str | None = None


class Trial(Protocol):
    """A trial in an engine.

    What `state` and `weights` give are copies, which nothing changes later, of numpy's own types.
    """

    @property
    def parameters(self) -> int:
        """The parameters of the model."""

    def check(self) -> None:
        """Refuse a model that the recipe cannot train.

        Raises:
            Misuse: it cannot.
        """

    def train(self, watcher: Watcher, after: int = 0) -> Outcome:
        """Train the epochs after the first `after` ones, until the watcher stops it or the loss is no longer a number.

        What a watcher sees does not depend on where training was begun, when the state is that after those epochs.
        """

    def state(self) -> State:
        """Everything that training depends on beside its streams: weights, statistics, seeds, the optimizer's."""

    def restore(self, state: State) -> None:
        """Put back what `state` gave.

        Raises:
            ValueError: it is that of another model or optimizer.
        """

    def weights(self) -> State:
        """What evaluation depends on: the weights, averaged where the optimizer averages them."""

    def use(self, weights: State) -> None:
        """From now on evaluate, predict and save with what `weights` gave. Training ends with it."""

    def evaluate(self, part: Part, stopping: Callable[[], bool] = ...) -> dict[str, float]:
        """Loss and metrics on a whole part, with the pipeline of evaluation and layers as in inference.

        Raises:
            Stopped: `stopping` says so.
        """

    def predict(self, part: Part, stopping: Callable[[], bool] = ...) -> NDArray[np.float32]:
        """What the model gives for each example of a part, in order: float32 (n, outputs).

        Raises:
            Stopped: `stopping` says so.
        """

    def save(self, file: Path) -> None:
        """Write the model in Keras's format, without optimizer; the name must end in `.keras`."""


class Group(Protocol):
    """Trials of one run that an engine trains together."""

    @property
    def trials(self) -> Sequence[Trial]:
        """The trials, in the order of their jobs."""

    def train(self, watchers: Sequence[Watcher], after: int = 0) -> Sequence[Outcome]:
        """Train all of them, each with its watcher, as `Trial.train` does one.

        Raises:
            OutOfMemory: they are too many for the memory.
        """


class Alone:
    """A group of one trial.

    Args:
        trial: the trial.
    """

    def __init__(self, trial: Trial) -> None:
        self.trials = (trial,)

    def train(self, watchers: Sequence[Watcher], after: int = 0) -> Sequence[Outcome]:
        """Train it."""
        (trial,), (watcher,) = self.trials, watchers
        return [trial.train(watcher, after)]


def never() -> bool:
    """That nothing should stop."""
    return False


def same_keys(state: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Check that a state has the arrays that are expected, with their shapes and types.

    Raises:
        ValueError: it has not; the first difference is named.
    """
    if list(state) != list(expected):
        odd = sorted(set(state) ^ set(expected))
        raise ValueError(f"it is that of another model: {odd[0] if odd else 'its arrays stand in another order'}")
    for name, array in expected.items():
        if state[name].shape != array.shape or state[name].dtype != array.dtype:
            raise ValueError(f"{name} is {state[name].dtype} {state[name].shape}, not {array.dtype} {array.shape}")


def stored_bits(value: NDArray[Any]) -> NDArray[Any]:
    """An array of numpy's own types: bits of others, such as bfloat16, as unsigned integers."""
    return value if value.dtype.kind in "biufc" else value.view(f"u{value.dtype.itemsize}")
