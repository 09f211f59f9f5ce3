"""A process that trains in one way for some seconds, as a run would, and says how fast that was.

It is begun as `python -c "from specdsl.training.probe_worker import main; main()" TASK`, where TASK is a file with a
packed `Task`. What it says are lines of JSON on standard output: `{"ready": true}` when everything has been
compiled, and after the word `go` on standard input what was measured; or `{"failed": "why", "lasting": true}`, false
where it may go well another time. It ends when its standard input does, so that it never outlives the process that has
begun it.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from traceback import format_exception_only
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specdsl.data.dataset import Examples
from specdsl.graph import Graph
from specdsl.recipes.training import TrainRecipe
from specdsl.training import workers
from specdsl.training.engine import Group, Job, OutOfMemory
from specdsl.training.streams import Streams
from specdsl.training.ways import Way
from specdsl.training.workers_wire import pickled

_REFUSALS = (ValueError, TypeError, NotImplementedError)
"""Errors by which frameworks refuse what they are given, each time that they are given it.

What breaks on the way (memory, devices, files, processes) raises others.
"""

_REFUSING = frozenset({"builtins", "jax", "jaxlib", "keras", "specdsl", "tensorflow", "torch"})
"""Where the kinds of these are defined: others, of JSON or of encodings, tell of a file that is damaged."""


def is_refusal(error: Exception) -> bool:
    """Whether an error refuses the model or the recipe, and will do so another time."""
    kind = type(error)
    return issubclass(kind, _REFUSALS) and not issubclass(kind, UnicodeError) and _package(kind) in _REFUSING


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Sizes:
    """What examples look like, and how many there are.

    Attributes:
        shape: of one.
        of_images: whether they are bytes.
        classes: how many classes there are; 0 where values are predicted.
        values: how many values are predicted; 0 where classes are.
        train: examples that an epoch trains on.
        validation: those measured to choose by, 0 where there are none.
        test: those measured beside.
    """

    shape: tuple[int, ...]
    of_images: bool
    classes: int
    values: int
    train: int
    validation: int
    test: int

    def part(self, count: int) -> Examples:
        """So many examples, drawn anew: what is in them does not matter to the time that they take."""
        rng = np.random.default_rng(count)
        shape = (count, *self.shape)
        x: NDArray[Any] = (
            rng.integers(0, 256, shape, np.uint8) if self.of_images else rng.normal(size=shape).astype(np.float32)
        )
        if self.classes:
            return Examples(x, (np.arange(count) % self.classes).astype(np.int32))
        return Examples(x, rng.normal(size=(count, self.values)).astype(np.float32))


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker is to measure.

    Attributes:
        graph: the model.
        recipe: how it is trained.
        sizes: the examples.
        way: how the trials are trained.
        trials: the numbers of those that this worker trains together.
        place: which of the processes of the way it is, from 0.
        seconds: how long to measure, after everything has been compiled.
    """

    graph: Graph
    recipe: TrainRecipe
    sizes: Sizes
    way: Way
    trials: tuple[int, ...]
    place: int
    seconds: float

    def jobs(self) -> list[Job]:
        """The trials."""
        sizes = self.sizes
        train, test = sizes.part(sizes.train), sizes.part(sizes.test)
        validation = sizes.part(sizes.validation) if sizes.validation else None
        return [Job(self.graph, self.recipe, train, validation, test, Streams(0, number)) for number in self.trials]

    def packed(self) -> bytes:
        """The task as bytes."""
        return pickled(self)


class _Nobody:
    """Nobody interrupts: the process is ended from outside."""

    requested = insisted = False

    def wanted(self) -> bool:
        return False


class Stopwatch:
    """Measures from the end of the first epoch, with which everything has been compiled, whole epochs.

    Args:
        examples: how many an epoch trains on, those of all trials together.
        seconds: how long to measure.
        say: tells what was found.
        wait: returns when measuring may begin.
        began: when the process was begun, by `perf_counter`.
    """

    def __init__(
        self, examples: int, seconds: float, say: Callable[..., None], wait: Callable[[], object], began: float
    ) -> None:
        self._examples, self._seconds, self._say, self._wait = examples, seconds, say, wait
        self._began = self.trained = began
        self._first = self._since = 0.0
        self._epochs = 0

    def epoch(self, number: int) -> None:
        """An epoch has ended, with all that is done after it."""
        now = perf_counter()
        if not self._since:
            self._first = now
            self._say(ready=True)
            self._wait()
            self._since = perf_counter()
            return
        self._epochs += 1
        spent = now - self._since
        if spent >= self._seconds:
            epoch = spent / self._epochs
            self._say(
                examples=self._epochs * self._examples,
                seconds=spent,
                starting=self.trained - self._began,
                compiling=max(0.0, self._first - self.trained - epoch),
            )
            sys.stdout.flush()
            os._exit(0)


def measure(task: Task, folder: Path, say: Callable[..., None], wait: Callable[[], object], began: float) -> None:
    """Train, and end the process when enough is known; come back only where training failed.

    Args:
        task: what to measure.
        folder: where trials may be written.
        say: tells what was found.
        wait: returns when measuring may begin.
        began: when the process was begun, by `perf_counter`.
    """
    from rich.console import Console

    from specdsl.runs.folder import TrialFolder
    from specdsl.training import engines
    from specdsl.training.surroundings import Surroundings
    from specdsl.training.trials import run_trials

    workers.pin(task.way, task.place)
    make = engines.maker(task.way)
    jobs = task.jobs()
    watch = Stopwatch(task.sizes.train * len(jobs), task.seconds, say, wait, began)

    def failing(function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function; what it raises is told and ends the process, before less is tried with fewer trials."""

        def tried(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except OutOfMemory:
                some = f"{len(jobs)} trials together" if len(jobs) > 1 else "a trial"
                say(failed=f"the memory does not suffice for {some}")
            except Exception as error:
                say(failed=format_exception_only(error)[0].strip()[:200], lasting=is_refusal(error))
            os._exit(0)

        return tried

    @failing
    def made(some: Sequence[Job]) -> Group:
        watch.trained = perf_counter()
        group = make(some)
        group.train = failing(group.train)  # type: ignore[method-assign]
        return group

    folders = [TrialFolder(folder / str(number)) for number in task.trials]
    for one in folders:
        one.path.mkdir()
    nobody: Any = _Nobody()
    summaries = run_trials(jobs, folders, Surroundings(made, nobody, Console(file=io.StringIO()), told=watch.epoch))
    why = [summary.failed or summary.diverged for summary in summaries if summary.failed or summary.diverged]
    say(failed=why[0] if why else "training ended before anything could be measured")


def _ended_with(parent: io.BufferedReader, word: threading.Event) -> None:
    """Wait for the word to go, and then for the end of standard input."""
    if parent.readline():
        word.set()
        parent.read()
    os._exit(1)


def main() -> None:
    """Measure what the file tells that is named on the command line."""
    began = perf_counter()
    file = Path(sys.argv[1])
    task: Task = pickle.loads(file.read_bytes())  # written by the process that has begun this one
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what frameworks print is no answer

    def say(**values: Any) -> None:
        print(json.dumps(values), file=told, flush=True)

    word = threading.Event()
    threading.Thread(target=_ended_with, args=(sys.stdin.buffer, word), daemon=True).start()
    measure(task, file.parent, say, word.wait, began)
