"""Trials from their beginning, or from their last checkpoint, to what they leave in their folders."""

from __future__ import annotations

import io
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from rich.console import Console

from specdsl.runs.answers import scores
from specdsl.runs.checkpoints import Checkpoint
from specdsl.runs.files import RunError, save_with, write_bytes, write_text
from specdsl.runs.folder import TrialFolder
from specdsl.runs.history import History
from specdsl.runs.layout import MODEL, PREDICTIONS, TRACEBACK
from specdsl.runs.records import TrialSummary
from specdsl.training.engine import Group, Job, Outcome, Part, Stopped, Trial
from specdsl.training.interrupts import Interrupts
from specdsl.training.keeping import Keeper
from specdsl.training.progress import Display, Shown, say
from specdsl.training.tracking import Tracking
from specdsl.training.watching import Pace, TrialWatcher


@dataclass(frozen=True)
class Surroundings:
    """What trials of a run have in common beside what they are made from.

    Attributes:
        make: makes trials in the engine, to be trained together.
        interrupts: whether somebody wants the run to end.
        console: where progress is shown.
        every: epochs from one checkpoint to the next, None for the usual pace.
        told: is told the number of each epoch that has ended.
        tracking: who else is told how it goes.
    """

    make: Callable[[Sequence[Job]], Group]
    interrupts: Interrupts
    console: Console
    every: int | None = None
    told: Callable[[int], None] = lambda epoch: None
    tracking: Tracking = field(default_factory=Tracking)


def run_trials(jobs: Sequence[Job], folders: Sequence[TrialFolder], around: Surroundings) -> list[TrialSummary]:
    """Train trials from their last checkpoints, or from the beginning, and keep what comes of them.

    Those that have come equally far are trained together. What goes wrong within a trial is a part of how it ended: the
    message stands in its summary, the traceback in its folder.

    Raises:
        RunError: a folder cannot be written.
        KeyboardInterrupt: Ctrl-C was pressed twice.
    """
    underway = [_Underway(job, folder, around) for job, folder in zip(jobs, folders, strict=True)]
    for epoch in sorted({one.after for one in underway}):
        members = [one for one in underway if one.after == epoch]
        try:
            _carry_out(members, around)
        except RunError:
            raise
        except Exception as error:
            for one in members:
                if one.summary is None:
                    one.fail(error)
    return [one.summary for one in underway if one.summary is not None]


def _carry_out(members: Sequence[_Underway], around: Surroundings) -> None:
    """Trials that have come equally far, as long as nothing goes wrong in training them."""
    job, after = members[0].job, members[0].after
    group = around.make([one.job for one in members])
    with Display(
        around.console, members[0].history, job.recipe.epochs, job.steps, after, trials=len(members)
    ) as display:
        told = around.told
        for one, trial in zip(members, group.trials, strict=True):
            one.meet(trial, display.of(one.job.streams.trial), told, len(members))
            told = _nobody
        outcomes = _train(group, members, around.interrupts)
    for one in members:  # all of them, before one is evaluated: those together are measured at once
        one.settle()
    for one, outcome in zip(members, outcomes, strict=True):
        try:
            one.end(outcome)
        except RunError:
            raise
        except Exception as error:
            one.fail(error)


def _train(group: Group, members: Sequence[_Underway], interrupts: Interrupts) -> Sequence[Outcome]:
    """Train what is left to train."""
    watchers = [one.watcher for one in members]
    try:
        for one in members:
            one.watcher.begin(one.start)
        if all(watcher.ended or watcher.stopping() for watcher in watchers):
            return [Outcome(stopped=True) for _ in members]
        return group.train(watchers, members[0].after)
    except KeyboardInterrupt:
        # Only where no handler could be set; a second Ctrl-C ends everything.
        if interrupts.insisted:
            raise
        interrupts.requested = True
        return [Outcome(stopped=True) for _ in members]


class _Underway:
    """A trial on its way.

    Attributes:
        start: the checkpoint that it goes on from, None for the beginning.
        summary: how it ended, None before.
    """

    def __init__(self, job: Job, folder: TrialFolder, around: Surroundings) -> None:
        self.job, self._folder, self._around = job, folder, around
        self._began = perf_counter()
        self.history = History(job.recipe.columns, validated=job.validation is not None)
        self.summary: TrialSummary | None = None
        self._together = 0
        self.start = self._last_checkpoint()

    @property
    def after(self) -> int:
        """How many epochs were trained before."""
        return self.start.epoch if self.start else 0

    def _last_checkpoint(self) -> Checkpoint | None:
        """The last checkpoint that is whole; damaged ones are told of."""
        start, damaged = self._folder.checkpoints.last()
        for what in damaged:
            instead = f"going on from epoch {start.epoch}, the one before it" if start else "beginning anew"
            say(self._around.console, f"{what[0].upper()}{what[1:]}: {instead}.", style="yellow")
        self._folder.checkpoints.tidy()
        return start

    def meet(self, trial: Trial, display: Shown, told: Callable[[int], None], together: int) -> None:
        """Take the trial that the engine has made, where it is shown, and how many are trained with it."""
        self._together = together
        recipe, around = self.job.recipe, self._around
        keeper = Keeper(
            recipe.keep,
            recipe.monitor,
            larger=recipe.larger_is_better,
            patience=recipe.patience,
            min_delta=recipe.min_delta,
        )
        self._trial = trial
        self.watcher = TrialWatcher(
            trial,
            self.job,
            self._folder,
            self.history,
            display,
            keeper,
            Pace(around.every),
            around.interrupts.wanted,
            told,
            self._began,
            around.tracking,
        )

    def settle(self) -> None:
        """Write the last checkpoint, and let the trial have the weights that are kept."""
        if self.watcher.last is not None:
            self.watcher.save()
            self.watcher.settle()

    def end(self, outcome: Outcome) -> None:
        """Keep what came of it."""
        watcher, stop = self.watcher, self._around.interrupts.wanted
        interrupted = not watcher.ended and not outcome.diverged
        evaluated = False
        final: dict[str, float] = {}
        if watcher.last is not None:
            save_with(self._folder.path / MODEL, self._trial.save)
            if watcher.ended and not outcome.diverged:
                try:
                    final = _evaluate(self._trial, self.job, self._folder, stop)
                    evaluated = True
                except Stopped:
                    interrupted = True
        if outcome.diverged:
            say(self._around.console, f"This trial diverged: {outcome.diverged}.", style="bold red")
            say(self._around.console, "A smaller learning rate, or clipnorm=1.0, often helps.")
        self._close(
            TrialSummary(
                trial=self.job.streams.trial,
                seed=self.job.streams.seed,
                epochs=len(self.history.epochs),
                kept_epoch=watcher.kept_epoch,
                final=watcher.known() if interrupted else final,
                evaluated=evaluated,
                interrupted=interrupted,
                stopped_early=watcher.stopped_early,
                diverged=outcome.diverged,
                seconds=watcher.seconds,
                together=max(1, self._together),
                images_per_second=self.history.images_per_second(),
            )
        )

    def fail(self, error: Exception) -> None:
        """Keep what made it crash."""
        if self._together:
            self.watcher.write_history()
        file = self._folder.path / TRACEBACK
        write_text(file, "".join(traceback.format_exception(error)))
        self._close(
            TrialSummary(
                trial=self.job.streams.trial,
                seed=self.job.streams.seed,
                epochs=len(self.history.epochs),
                failed=_in_short(error),
                seconds=perf_counter() - self._began,
                together=max(1, self._together),
                images_per_second=self.history.images_per_second(),
            )
        )
        assert self.summary is not None
        say(self._around.console, f"This trial failed: {self.summary.failed}.", style="bold red")
        say(self._around.console, f"Where it failed stands in {file}")

    def _close(self, summary: TrialSummary) -> None:
        self.summary = summary
        self._folder.end(summary)
        self._around.tracking.trial_end(summary, self._folder.path)


def _evaluate(trial: Trial, job: Job, folder: TrialFolder, stop: Callable[[], bool]) -> dict[str, float]:
    """What the kept weights give on every part; what they say of each test example is written beside.

    Raises:
        Stopped: somebody wants the run to end.
    """
    parts: tuple[Part, ...] = ("train", *job.measured)
    final = {f"{part}_{name}": value for part in parts for name, value in trial.evaluate(part, stop).items()}
    y = job.test.y
    outputs = scores(trial.predict("test", stop), job.recipe.loss, y.ndim == 1)
    arrays = {"probability": outputs, "label": y} if y.ndim == 1 else {"value": outputs, "target": y}
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]  # names are arguments, and none is `allow_pickle`
    write_bytes(folder.path / PREDICTIONS, content.getvalue())
    return final


def _nobody(epoch: int) -> None:
    """Where one of several has told of an epoch already."""


def _in_short(error: Exception) -> str:
    """The kind of an error and the first line of what it says."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first[:200]}" if first else type(error).__name__
