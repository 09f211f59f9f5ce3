"""Worker processes that train what they are told to, and are timed at it. Imports no framework."""

from __future__ import annotations

import json
import math
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

from specdsl.training import workers
from specdsl.training.ways import Way

ROOT = Path(__file__).parents[1]

START = 180.0
"""Seconds that a worker may take to import its frameworks."""

ENOUGH = 0.8
"""Seconds that are timed at the least."""


class Failed(Exception):  # noqa: N818 - it ends one measurement, not the program
    """A worker could not do what it was asked, or not in time."""


class Worker:
    """A process of `train_worker.py`.

    Args:
        backend: the back end that it starts.
        log: where what libraries print goes.
        way: of which it is one of the processes; None where it has everything.
        place: which of them, from 0.
        variables: more variables of the environment.
    """

    def __init__(
        self,
        backend: str,
        log: Path,
        way: Way | None = None,
        place: int = 0,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._log = log.open("ab")
        given = dict(os.environ) | dict(variables or {})
        given["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), given.get("PYTHONPATH", "")]))
        if way is not None:
            given |= workers.environment(way, place)
            given["BENCH_PLACE"] = json.dumps({"way": way.to_dict(), "place": place})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.train_worker", backend],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, cwd=ROOT, env=given,
        )  # fmt: skip
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def ready(self, seconds: float = START) -> float:
        """Wait until its frameworks are there; how long that took.

        Raises:
            Failed: they are not.
        """
        return float(self.answer(seconds)["ready"])

    def tell(self, **order: Any) -> None:
        """Send an order.

        Raises:
            Failed: nobody is there.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise Failed("the process has ended") from None

    def answer(self, seconds: float) -> dict[str, Any]:
        """Its next answer.

        Raises:
            Failed: it says that something went wrong, or nothing for so long; then it is ended.
        """
        try:
            line = self._lines.get(timeout=max(0.0, seconds))
        except queue.Empty:
            self.kill()
            raise Failed(f"not done after {seconds:.0f} s") from None
        if not line:
            raise Failed(f"the process ended with {self._process.wait()}")
        told: dict[str, Any] = json.loads(line)
        if "error" in told:
            raise Failed(told["error"])
        return told

    def kill(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        with suppress(OSError):
            self._log.close()


class Measured:
    """A training that is made once and timed epoch by epoch, in one process or several at once.

    Args:
        order: what `train_worker` is told.
        name: what the training is called in its workers.
        workers: those that train it at once; each of them all of it.
        examples: what an epoch has, of all trials of one worker.

    Attributes:
        starting: seconds to build it and to train its first epoch.
        first: what that epoch told.
        epochs: what those behind it told.
        count: epochs that are timed at once; 0 before that is known.
    """

    def __init__(self, order: Mapping[str, Any], name: str, workers: Sequence[Worker], examples: int) -> None:
        self._order, self._name, self._workers, self.examples = order, name, workers, examples
        self.starting: float | None = None
        self.first: dict[str, Any] = {}
        self.epochs: list[dict[str, Any]] = []
        self.count = 0

    def make(self, seconds: float) -> None:
        """Build it and train its first epoch, which compiles.

        Raises:
            Failed: it cannot be trained, or not within so many seconds.
        """
        self.first = self._all(seconds, do="make", name=self._name, **self._order)
        self.starting = self.first["seconds"]

    def epoch(self, seconds: float) -> dict[str, Any]:
        """Time some more, as many as take `ENOUGH`, behind one that wakes up what has slept and is not counted.

        Raises:
            Failed: as `make`.
        """
        if not self.count:
            once = self.again(seconds, 1)["seconds"]
            self.count = min(1000, math.ceil(ENOUGH / once))
        told = self.again(seconds, 1 + self.count)
        taken = sum(told["each"][1:])
        self.epochs.append(told | {"rate": told["examples"] / (1 + self.count) * self.count / taken})
        return self.epochs[-1]

    def again(self, seconds: float, epochs: int) -> dict[str, Any]:
        """Train so many more, whatever time they take.

        Raises:
            Failed: as `make`.
        """
        return self._all(seconds, do="epoch", name=self._name, epochs=epochs)

    def drop(self, seconds: float = 60.0) -> None:
        """Forget it, so that its memory is free.

        Raises:
            Failed: as `make`.
        """
        self._all(seconds, do="drop", name=self._name)

    def _all(self, seconds: float, **order: Any) -> dict[str, Any]:
        begin = perf_counter()
        for worker in self._workers:
            worker.tell(**order)
        told = [worker.answer(seconds - (perf_counter() - begin)) for worker in self._workers]
        if "seconds" not in told[0]:
            return {}
        longest = max(one["seconds"] for one in told)
        examples = self.examples * len(told) * told[0]["epochs"]
        return {
            "seconds": longest,
            "rate": examples / longest,
            "cpu_us": 1e6 * sum(one["cpu_seconds"] for one in told) / examples,
            "each": max((one["each"] for one in told), key=lambda each: sum(each[1:])),
            "examples": examples,
            "losses": told[0]["losses"],
            "memory": told[0]["memory"],
            "peak_before": told[0].get("peak_before"),
        }
