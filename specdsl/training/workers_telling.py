"""What stands in a worker for console, display and trackers: it tells the run, which has the real ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any

from rich.console import Console

from specdsl.runs.history import Epoch, History
from specdsl.runs.records import TrialSummary
from specdsl.training.progress import Shown
from specdsl.training.tracking import Tracking

Send = Callable[..., None]
"""Tells the run something: a name, and what belongs to it."""

_STEPS_EVERY = 0.2
"""Seconds from one step that is told to the next."""


class ToldConsole(Console):
    """A console whose lines are told."""

    def __init__(self, send: Send) -> None:
        super().__init__(quiet=True)
        self._send = send

    def print(self, *objects: Any, style: Any = None, **settings: Any) -> None:
        """Tell a line."""
        self._send("say", " ".join(map(str, objects)), style)


class ToldDisplay:
    """A display that is shown elsewhere; it is made as `Display` is, by calling it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._told = 0.0

    def __call__(
        self, console: Console, history: History, epochs: int, steps: int, first: int = 0, trials: int = 1
    ) -> ToldDisplay:
        """Begin to show trials that are trained together."""
        self._send("begin", first, trials)
        return self

    def __enter__(self) -> ToldDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._send("finish")

    def of(self, trial: int) -> Shown:
        """Where one of the trials is shown, by its number."""
        return _ToldTrial(self, trial)

    def step(self, trial: int, *values: Any) -> None:
        """Tell of steps, now and then."""
        if perf_counter() - self._told >= _STEPS_EVERY:
            self._told = perf_counter()
            self._send("step", trial, *values)

    def epoch(self, trial: int, epoch: Epoch) -> None:
        """Tell of an epoch."""
        self._send("epoch", trial, epoch)


class _ToldTrial:
    """Where one of several trials is told of."""

    def __init__(self, display: ToldDisplay, trial: int) -> None:
        self._display, self._trial = display, trial

    def step(self, epoch: int, step: int, values: Mapping[str, float], images_per_second: float) -> None:
        self._display.step(self._trial, epoch, step, values, images_per_second)

    def epoch(self, epoch: Epoch) -> None:
        self._display.epoch(self._trial, epoch)


class ToldTracking(Tracking):
    """Trackers that are told elsewhere."""

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def trial_begin(self, trial: int, epochs: Sequence[Epoch]) -> None:
        """Tell of the epochs of a trial; each is told to a tracker that does not have it."""
        self._send("track", trial, list(epochs))

    def trial_end(self, summary: TrialSummary, folder: Path) -> None:
        """Tell of a trial's end."""
        self._send("end", summary, folder)
