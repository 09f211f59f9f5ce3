"""Trials that a worker carries out together, as the run sees them: shown, tracked, recorded where the worker dies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console

from specdsl.runs.files import remove_unfinished, write_text
from specdsl.runs.history import Epoch, History
from specdsl.runs.layout import TRACEBACK
from specdsl.runs.records import TrialSummary
from specdsl.training.carrying import Run
from specdsl.training.progress import Bars, Display, say


class Share:
    """Trials of one run, handed to a worker.

    Args:
        run: the run.
        key: its key.
        numbers: the trials.
        name: what they are called where they are shown.
        bars: where they are shown, with others.
        begun: is called when they are begun.
        told: is told the number of each epoch that has ended.
        left: is called when they have ended.

    Attributes:
        attempts: how often they were handed to a worker.
    """

    def __init__(
        self,
        run: Run,
        key: str,
        numbers: Sequence[int],
        name: str,
        bars: Bars,
        begun: Callable[[], None],
        told: Callable[[int], None],
        ended: Callable[[], None],
    ) -> None:
        self.key, self.attempts = key, 0
        self._run, self._numbers, self._name, self._bars = run, numbers, name, bars
        self._begun, self._told, self._ended_all = begun, told, ended
        self._display: Display | None = None
        self._ended: set[int] = set()
        self._epochs: dict[int, int] = {}
        self._since = 0.0

    @property
    def left(self) -> list[int]:
        """The trials that have not ended."""
        return [number for number in self._numbers if number not in self._ended]

    @property
    def folder(self) -> Path:
        """The folder of their run."""
        return self._run.folder.path

    @property
    def most(self) -> int | None:
        """How many of them may be trained together, None for all."""
        return self._run.most.number

    def begin(self) -> None:
        """A worker takes them."""
        self.attempts += 1
        self._since = perf_counter()
        self._run.clock.begin()
        self._begun()

    def leave(self) -> None:
        """Their worker does nothing more with them."""
        self._finish()
        self._ended_all()
        self._run.clock.end()
        self._run.summarise()

    def again(self, how: str) -> None:
        """Say that another worker will go on with them, and make ready for it."""
        what = f"{self._name}: {how}. Another one goes on from the last checkpoint."
        say(self._console, what, style="yellow")
        for number in self.left:
            remove_unfinished(self._run.folder.trial(number).path)

    def fail(self, how: str, said: str) -> None:
        """Record those that have not ended as failed.

        Args:
            how: how their worker ended.
            said: the last lines that it wrote.
        """
        say(self._console, f"{self._name} failed: {how}, {self.attempts} times.", style="bold red")
        for number in self.left:
            folder = self._run.folder.trial(number)
            remove_unfinished(folder.path)
            write_text(folder.path / TRACEBACK, f"{how}\n\n{said}")
            summary = TrialSummary(
                trial=number,
                seed=self._run.plan.seed,
                epochs=self._epochs.get(number, 0),
                failed=how,
                seconds=perf_counter() - self._since,
                together=len(self._numbers),
                processes=self._run.plan.chosen.processes,
            )
            folder.end(summary)
            self._end(summary, folder.path)
        self._run.summarise()

    def heed(self, name: str, values: tuple[Any, ...]) -> None:
        """Take what the worker tells of them."""
        heeding: dict[str, Callable[..., None]] = {
            "begin": self._begin,
            "step": self._step,
            "epoch": self._epoch,
            "finish": self._finish,
            "say": self._say,
            "told": self._told,
            "fewer": self._run.most.lower,
            "track": self._track,
            "end": self._end,
        }
        heeding[name](*values)

    @property
    def _console(self) -> Console:
        return self._bars.console

    def _begin(self, first: int, trials: int) -> None:
        job = self._run.plan.job(1)
        history = History(job.recipe.columns, validated=job.validation is not None)
        self._finish()
        self._display = Display(
            self._console, history, job.recipe.epochs, job.steps, first, trials, self._bars, self._name
        )
        self._display.__enter__()

    def _step(self, trial: int, epoch: int, step: int, values: Mapping[str, float], images_per_second: float) -> None:
        if self._display is not None:
            self._display.of(trial).step(epoch, step, values, images_per_second)

    def _epoch(self, trial: int, epoch: Epoch) -> None:
        if self._display is not None:
            self._display.of(trial).epoch(epoch)

    def _finish(self) -> None:
        if self._display is not None:
            self._display.__exit__(None, None, None)
            self._display = None

    def _say(self, line: str, style: str | None) -> None:
        say(self._console, f"{self._name}: {line}", style=style)

    def _track(self, trial: int, epochs: Sequence[Epoch]) -> None:
        if epochs:
            self._epochs[trial] = epochs[-1].number
        self._run.tracking.trial_begin(trial, epochs)

    def _end(self, summary: TrialSummary, folder: Path) -> None:
        self._ended.add(summary.trial)
        self._run.tracking.trial_end(summary, folder)
