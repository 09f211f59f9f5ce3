"""Timing ways to train: each for some seconds in processes of its own, as a run would use it. Light.

What a probe runs is the trial engine itself, with evaluation, checkpoints and histories, on drawn examples of the right
shape. A way that needs several processes is timed by as many at once, which begin to count together.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from specdsl.interrupts import interrupts_held
from specdsl.training import probe_worker, workers
from specdsl.training.carrying import grouped
from specdsl.training.probe_worker import Sizes, Task
from specdsl.training.processes import import_path
from specdsl.training.ways import Way
from specdsl.training.works import Work

SECONDS = 4.0
"""How long a way is timed, when everything has been compiled."""

PATIENCE = 240.0
"""Seconds that a way may take to start and to compile; after as many more it must have been timed."""

_EPOCHS = 1_000_000
"""More than there is time for."""

_WORKER = (sys.executable, "-c", f"from {probe_worker.__name__} import main; main()")


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a way is.

    Attributes:
        images_per_second: examples that all its processes together learn from in a second, once all is compiled;
            evaluation, checkpoints and all else that a run does after an epoch are in the time.
        starting_seconds: how long a process takes until it begins to build models.
        compiling_seconds: how long trials that are trained together take to be built and compiled.
        failed: why it cannot be had, or None.
        lasting: whether it fails each time: it refused the model or the recipe, and did not merely break.
    """

    images_per_second: float = 0.0
    starting_seconds: float = 0.0
    compiling_seconds: float = 0.0
    failed: str | None = None
    lasting: bool = False

    def total(self, work: Work, way: Way) -> float:
        """Seconds that a run takes in all; infinite where it cannot be.

        Where trials of other models fill the processes that have nothing left to do, these cost nothing.
        """
        if self.failed is not None or self.images_per_second <= 0:
            return float("inf")
        groups = grouped(range(work.trials), way)
        lanes = len(sizes_of(work, way))
        rounds = len(groups) / way.processes if work.beside else -(-len(groups) // way.processes)
        trained = work.trained / work.trials * sum(map(len, groups)) / len(groups) * lanes
        return self.starting_seconds + rounds * (self.compiling_seconds + trained / self.images_per_second)

    def to_dict(self) -> dict[str, Any]:
        """The rate as JSON has it."""
        return asdict(self)

    @classmethod
    def of(cls, values: Any) -> Rate:
        """The rate that `to_dict` told.

        Raises:
            ValueError: it is none.
        """
        names = ("images_per_second", "starting_seconds", "compiling_seconds")
        if not isinstance(values, dict) or set(values) != {*names, "failed", "lasting"}:
            raise ValueError("no rate")
        numbers = [values[name] for name in names]
        well = all(isinstance(one, int | float) and 0 <= one < float("inf") for one in numbers)
        failed, lasting = values["failed"], values["lasting"]
        well = well and isinstance(failed, str | None) and isinstance(lasting, bool)
        if not well or not (failed or numbers[0]):
            raise ValueError("no rate")
        return cls(**{name: float(values[name]) for name in names}, failed=failed, lasting=lasting)


def sizes_of(work: Work, way: Way) -> list[int]:
    """How many trials each process of a way trains together, of those groups that begin at once."""
    return [len(numbers) for numbers in grouped(range(work.trials), way)][: way.processes]


def rates(
    work: Work,
    ways: Iterable[Way],
    *,
    examples: int | None = None,
    seconds: float = SECONDS,
    patience: float = PATIENCE,
    told: Callable[[Way], None] = lambda way: None,
) -> dict[Way, Rate]:
    """Time ways, one after the other.

    Args:
        work: what is to be trained.
        ways: how it could be.
        examples: how many an epoch of the probe trains on; None for as many as an epoch has.
        seconds: how long to time each, at least an epoch.
        patience: seconds that a way may take to start and compile, and then to be timed.
        told: is told of each way before it is timed.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed. No process is left behind, whatever ends this.
    """
    found = {}
    for way in ways:
        told(way)
        with TemporaryDirectory(prefix="specdsl-probe-") as folder:
            tasks = _tasks(work, way, examples or len(work.job.train), seconds)
            found[way] = _timed(tasks, Path(folder), patience)
    return found


def _tasks(work: Work, way: Way, examples: int, seconds: float) -> list[Task]:
    """What each process of a way is to measure. Parts that are measured shrink with the examples of an epoch."""
    job, data = work.job, work.job.train
    share = min(1.0, examples / len(data)) / job.recipe.evaluate_every

    def some(count: int) -> int:
        return min(count, max(1, round(share * count)))

    sizes = Sizes(
        shape=data.x.shape[1:],
        of_images=data.of_images,
        classes=0 if data.y.ndim == 2 else max(int(data.y.max()) + 1, 1),
        values=data.y.shape[1] if data.y.ndim == 2 else 0,
        train=min(examples, len(data)),
        validation=0 if job.validation is None else some(len(job.validation)),
        test=some(len(job.test)),
    )
    recipe = job.recipe.replace(epochs=max(_EPOCHS, job.recipe.epochs), evaluate_every=1, patience=None)
    graph = replace(job.graph, expectations=())
    tasks, first = [], 1
    for place, count in enumerate(sizes_of(work, way)):
        tasks.append(Task(graph, recipe, sizes, way, tuple(range(first, first + count)), place, seconds))
        first += count
    return tasks


def _timed(tasks: Sequence[Task], folder: Path, patience: float) -> Rate:
    """Time a way with all its processes at once."""
    running: list[_Worker] = []
    try:
        for task in tasks:
            with interrupts_held():
                running.append(_Worker(task, folder))
        return _told(running, patience)
    except _FailedError as failed:
        return Rate(failed=str(failed), lasting=failed.lasting)
    finally:
        for worker in running:
            worker.end()


def _told(running: Sequence[_Worker], patience: float) -> Rate:
    """What the processes of a way say of it.

    Raises:
        _FailedError: one of them has failed, says nothing in time, or what cannot be understood.
    """
    try:
        deadline = monotonic() + patience
        for worker in running:
            worker.answer("ready", deadline, f"it was not ready to train after {patience:.0f} s")
        for worker in running:
            worker.go()
        deadline = monotonic() + patience
        found = [
            worker.answer("examples", deadline, f"an epoch took longer than {patience:.0f} s") for worker in running
        ]
        return Rate(
            sum(one["examples"] / one["seconds"] for one in found),
            max(one["starting"] for one in found),
            max(one["compiling"] for one in found),
        )
    except (KeyError, TypeError, ZeroDivisionError, ValueError):
        raise _FailedError("its process said what cannot be understood") from None


class _FailedError(Exception):
    """A way cannot be had; says why, and whether it fails each time."""

    def __init__(self, why: str, lasting: bool = False) -> None:
        super().__init__(why)
        self.lasting = lasting


class _Worker:
    """A process that measures.

    Args:
        task: what.
        folder: where it may write; each process has a folder of its own in it.
    """

    def __init__(self, task: Task, folder: Path) -> None:
        mine = folder / str(task.place)
        mine.mkdir()
        (mine / "task").write_bytes(task.packed())
        self._errors = (mine / "errors").open("w+b")
        self._lines: queue.Queue[str | None] = queue.Queue()
        variables = os.environ | {
            "PYTHONPATH": import_path(),
            "KERAS_BACKEND": task.way.backend,
            **workers.environment(task.way, task.place),
        }
        self._process = subprocess.Popen(
            [*_WORKER, str(mine / "task")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env=variables,
            start_new_session=True,  # a Ctrl-C is for the process that waits
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.decode(errors="replace"))
        self._lines.put(None)

    def answer(self, name: str, deadline: float, otherwise: str) -> dict[str, Any]:
        """The next thing that it says, which has something of a name.

        Raises:
            _FailedError: it says why it has failed, or nothing by the deadline, which `otherwise` tells, or it ends.
        """
        try:
            line = self._lines.get(timeout=max(0.0, deadline - monotonic()))
        except queue.Empty:
            raise _FailedError(otherwise) from None
        if line is None:
            raise _FailedError(self._why())
        said = json.loads(line)
        if "failed" in said:
            raise _FailedError(str(said["failed"]), said.get("lasting") is True)
        if name not in said:
            raise ValueError(name)
        answer: dict[str, Any] = said
        return answer

    def go(self) -> None:
        """Let it begin to count."""
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended, which it is found to have when it is to answer
            self._process.stdin.write(b"go\n")
            self._process.stdin.flush()

    def _why(self) -> str:
        """How it has ended, and the last thing that it wrote."""
        code = self._process.wait()
        if code < 0:
            name = signal.Signals(-code).name if -code in signal.valid_signals() else str(-code)
            killed = ", as it is where the machine's memory runs out" if name == "SIGKILL" else ""
            return f"its process was ended by {name}{killed}"
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        return f"its process ended with code {code}" + (f": {lines[-1][:200]}" if lines else "")

    def end(self) -> None:
        """End it, with all that it has begun, and wait until it has."""
        with suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        self._process.wait()
        self._reader.join(5.0)
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
