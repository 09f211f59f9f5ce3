"""The engine of the tests, made to meet faults in worker processes: they die, hang, or take their time.

What happens is said by the variable `SPECDSL_TEST_FAULTS`, in JSON: `notes`, a folder where each process leaves its
number; `pause`, seconds that each step takes; `hold`, an epoch behind which each trial waits until somebody wants an
end; `die`, lists of a trial, an epoch, what its process dies of after it (the
number of a signal or, below zero, an exit code), and how often it does; `refuse`, a model that cannot be trained;
`room`, groups of more trials than so many have no memory; `later`, a trial whose group finds that out only some time
after one was made that has room, and the others only when that group was begun.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from specdsl.declaration import Misuse
from specdsl.runs.history import Epoch
from specdsl.training.engine import Job, Outcome, OutOfMemory, Watcher
from specdsl.training.ways import Way
from tests.training.engine_numpy import NumpyTrial

FAULTS = "SPECDSL_TEST_FAULTS"


class _Faulty:
    """A watcher whose process meets faults."""

    def __init__(self, watcher: Watcher, trial: int, faults: Mapping[str, Any]) -> None:
        self._watcher, self._trial, self._faults = watcher, trial, faults

    def stopping(self) -> bool:
        return self._watcher.stopping()

    def on_step(self, epoch: int, step: int, values: Mapping[str, float], images_per_second: float) -> None:
        time.sleep(self._faults.get("pause", 0))
        self._watcher.on_step(epoch, step, values, images_per_second)

    def on_epoch(self, epoch: Epoch) -> None:
        self._watcher.on_epoch(epoch)
        while epoch.number == self._faults.get("hold") and not self.stopping():
            time.sleep(0.02)
        died = Path(self._faults["notes"]) / f"died-{self._trial}"
        for trial, number, cause, times in self._faults.get("die", ()):
            so_far = len(died.read_bytes()) if died.exists() else 0
            if (trial, number) == (self._trial, epoch.number) and so_far < times:
                died.write_bytes(b"x" * (so_far + 1))
                print("it goes wrong now", file=sys.stderr, flush=True)
                if cause > 0:
                    os.kill(os.getpid(), cause)
                os._exit(-cause)


class FaultyTrial(NumpyTrial):
    """A trial whose process meets faults."""

    def __init__(self, job: Job, faults: Mapping[str, Any]) -> None:
        super().__init__(job)
        self._faults = faults

    def check(self) -> None:
        if self._faults.get("refuse") == self.job.graph.name:
            raise Misuse("it cannot be trained", argument="loss", help="take another")

    def train(self, watcher: Watcher, after: int = 0) -> Outcome:
        return super().train(_Faulty(watcher, self.job.streams.trial, self._faults), after)


class FaultyGroup:
    """Trials one after the other."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        faults = json.loads(os.environ[FAULTS])
        notes = Path(faults["notes"])
        (notes / f"worker-{os.getpid()}").touch()
        trials = [job.streams.trial for job in jobs]
        with (notes / "groups").open("a") as file:
            print(*trials, file=file)
        if len(jobs) > faults.get("room", len(jobs)):
            if "later" in faults:
                late = faults["later"] in trials
                if late:
                    (notes / "late").touch()
                while not (notes / ("fits" if late else "late")).exists():
                    time.sleep(0.02)
                time.sleep(0.3 if late else 0)
            raise OutOfMemory("no room")
        if len(trials) > 1 or trials[0] > 1:  # none that was made to see whether it can be trained
            (notes / "fits").touch()
        self.trials = [FaultyTrial(job, faults) for job in jobs]

    def train(self, watchers: Sequence[Watcher], after: int = 0) -> list[Outcome]:
        return [trial.train(watcher, after) for trial, watcher in zip(self.trials, watchers, strict=True)]


def group(jobs: Sequence[Job], way: Way) -> FaultyGroup:
    """Trials that are trained together."""
    return FaultyGroup(jobs)
