"""Trials from their beginning, or from their last checkpoint, to what they leave in their folders."""

from __future__ import annotations

import io
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter

import numpy as np
from rich.console import Console

from specdsl.runs.answers import scores
from specdsl.runs.checkpoints import Checkpoint
from specdsl.runs.files import RunError, save_with, write_bytes, write_text
from specdsl.runs.folder import TrialFolder
from specdsl.runs.history import Epoch, History
from specdsl.runs.layout import MODEL, PREDICTIONS, TRACEBACK
from specdsl.runs.records import TrialSummary
from specdsl.training.engine import Group, Job, Outcome, OutOfMemory, Part, Stopped, Trial
from specdsl.training.exhaustion import LESS_MEMORY, exhaustion_told, give_back, is_exhaustion
from specdsl.training.interrupts import Interrupts
from specdsl.training.keeping import Keeper
from specdsl.training.progress import Display, Displayed, Shown, say
from specdsl.training.tracking import Tracking
from specdsl.training.watching import Paces, TrialWatcher
from specdsl.training.ways import even


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
        most: how many trials may be trained together, None for all.
        fewer: is told when memory suffices for so many only.
        display: what shows progress, as `Display` does.
        processes: how many processes train trials at the same time.
    """

    make: Callable[[Sequence[Job]], Group]
    interrupts: Interrupts
    console: Console
    every: int | None = None
    told: Callable[[int], None] = lambda epoch: None
    tracking: Tracking = field(default_factory=Tracking)
    most: int | None = None
    fewer: Callable[[int], None] = lambda most: None
    display: Callable[..., AbstractContextManager[Displayed]] = Display
    processes: int = 1


def run_trials(jobs: Sequence[Job], folders: Sequence[TrialFolder], around: Surroundings) -> list[TrialSummary]:
    """Train trials from their last checkpoints, or from the beginning, and keep what comes of them.

    Those that have come equally far are trained together, as many as are allowed. Where memory does not suffice for
    that, halves go on, each trial from its last epoch; where something else goes wrong, whom it concerns goes on alone.
    What goes wrong with a trial alone is a part of how it ended: the message stands in its summary, the traceback in
    its folder.

    Raises:
        RunError: a folder cannot be written.
        KeyboardInterrupt: Ctrl-C was pressed twice.
    """
    underway = [_Underway(job, folder, around) for job, folder in zip(jobs, folders, strict=True)]
    _in_groups(underway, around, _Most(around))
    return [one.summary for one in underway if one.summary is not None]


class _Most:
    """How many trials may be trained together, which becomes fewer where memory does not suffice."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._number = around.most

    def first(self, trials: int) -> int:
        """How many of so many trials make the first group."""
        return even(trials, self._number)[0]

    def halve(self, trials: int) -> None:
        """Memory does not suffice for so many."""
        self._number = -(-trials // 2)
        what = f"Memory does not suffice for {trials} trials together"
        say(self._around.console, f"{what}: going on with {self._number} at the most.", style="yellow")
        self._around.fewer(self._number)


def _in_groups(members: Sequence[_Underway], around: Surroundings, most: _Most) -> None:
    """Carry out trials in groups of those that have come equally far."""
    by_epoch: dict[int, list[_Underway]] = {}
    for one in members:
        by_epoch.setdefault(one.after, []).append(one)
    for _, equal in sorted(by_epoch.items()):
        while equal:
            number = most.first(len(equal))
            _group(equal[:number], around, most)
            equal = equal[number:]


def _group(members: Sequence[_Underway], around: Surroundings, most: _Most) -> None:
    """Carry out a group; what does not come to its end together goes on in smaller groups."""
    exhausted = False
    try:
        _carry_out(members, around)
    except RunError:
        raise
    except Exception as error:
        exhausted = isinstance(error, OutOfMemory)
        for one in _left(members):
            one.error = one.error or error
    left = _left(members)
    if len(members) == 1 or not left:
        for one in left:
            one.fail()
        return
    told = [] if exhausted else sorted({_in_short(one.error) for one in left if one.error})
    for one in left:
        one.part()
    give_back()  # nothing refers to the group any more, no error either
    if exhausted:
        most.halve(len(members))
        _in_groups(left, around, most)
        return
    for what in told:
        say(around.console, f"Training together was broken off: {what}. Going on alone.", style="yellow")
    for one in left:
        _group([one], around, most)


def _left(members: Iterable[_Underway]) -> list[_Underway]:
    """Those that have not come to an end."""
    return [one for one in members if one.summary is None]


@exhaustion_told()
def _carry_out(members: Sequence[_Underway], around: Surroundings) -> None:
    """Trials that have come equally far, to their end; with those that meet an error of their own it is noted.

    Raises:
        OutOfMemory: memory does not suffice for them.
    """
    job, after = members[0].job, members[0].after
    group = around.make([one.job for one in members])
    with around.display(
        around.console, members[0].history, job.recipe.epochs, job.steps, after, trials=len(members)
    ) as display:
        told, paces = around.told, Paces.of(around.every)
        for one, trial in zip(members, group.trials, strict=True):
            one.meet(trial, display.of(one.job.streams.trial), told, paces, len(members))
            told = _nobody
        outcomes = _train(group, members, around.interrupts)
    for one in members:  # all of them, before one is evaluated: those together are measured at once
        one.attempt(one.settle)
    for one, outcome in zip(members, outcomes, strict=True):
        one.attempt(partial(one.end, outcome))


def _train(group: Group, members: Sequence[_Underway], interrupts: Interrupts) -> Sequence[Outcome]:
    """Train what is left to train."""
    watchers = [_Guarded(one) for one in members]
    try:
        for one in members:
            one.attempt(partial(one.watcher.begin, one.start))
        if all(one.watcher.ended or watcher.stopping() for one, watcher in zip(members, watchers, strict=True)):
            return [Outcome(stopped=True) for _ in members]
        return group.train(watchers, members[0].after)
    except KeyboardInterrupt:
        # Only where no handler could be set; a second Ctrl-C ends everything.
        if interrupts.insisted:
            raise
        interrupts.requested = True
        return [Outcome(stopped=True) for _ in members]


class _Guarded:
    """The watcher of one of several trials: what goes wrong in it ends that trial, and the others go on."""

    def __init__(self, one: _Underway) -> None:
        self._one = one

    def stopping(self) -> bool:
        return self._one.error is not None or self._one.watcher.stopping()

    def on_step(self, epoch: int, step: int, values: Mapping[str, float], images_per_second: float) -> None:
        self._one.attempt(lambda: self._one.watcher.on_step(epoch, step, values, images_per_second))

    def on_epoch(self, epoch: Epoch) -> None:
        self._one.attempt(lambda: self._one.watcher.on_epoch(epoch))


class _Underway:
    """A trial on its way.

    Attributes:
        start: the checkpoint that it goes on from, None for the beginning.
        error: what went wrong with it, or with its group; None where all is well.
        summary: how it ended, None before.
    """

    def __init__(self, job: Job, folder: TrialFolder, around: Surroundings) -> None:
        self.job, self._folder, self._around = job, folder, around
        self._began = perf_counter()
        self.history = History(job.recipe.columns, validated=job.validation is not None)
        self.error: Exception | None = None
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

    def meet(self, trial: Trial, display: Shown, told: Callable[[int], None], paces: Paces, together: int) -> None:
        """Take the trial that the engine has made, where it is shown, and what it shares with how many."""
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
            paces,
            around.interrupts.wanted,
            told,
            self._began,
            around.tracking,
        )

    def attempt(self, what: Callable[[], None]) -> None:
        """Do what is this trial's own, unless something has gone wrong with it; what goes wrong now is noted.

        Raises:
            RunError: its folder cannot be written.
            Exception: memory does not suffice.
        """
        if self.error is not None:
            return
        try:
            what()
        except RunError:
            raise
        except Exception as error:
            if is_exhaustion(error):
                raise
            self.error = error

    def part(self) -> None:
        """Leave a group, and all that refers to it, to go on from the last epoch."""
        self.error = None
        if not self._together:
            return
        watcher = self.watcher
        try:
            watcher.save()
            self.start = _in_memory(watcher.last) or self.start
        except RunError:
            raise
        except Exception:  # what was remembered lay on a device that has lost it
            self.start = self._last_checkpoint()
        notes = self.start.notes if self.start else {}
        self._began = perf_counter() - watcher.seconds + notes.get("seconds", 0.0)
        self.history.epochs[:] = [Epoch(**epoch) for epoch in notes.get("epochs", ())]
        self._leave()

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
                processes=self._around.processes,
                images_per_second=self.history.images_per_second(),
            )
        )

    def fail(self) -> None:
        """Keep what made it crash."""
        error, self.error = self.error, None
        assert error is not None, "something has gone wrong"
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
                processes=self._around.processes,
                images_per_second=self.history.images_per_second(),
            )
        )
        assert self.summary is not None
        say(self._around.console, f"This trial failed: {self.summary.failed}.", style="bold red")
        say(self._around.console, f"Where it failed stands in {file}")
        if isinstance(error, OutOfMemory):
            say(self._around.console, f"Memory does not suffice for a single trial: {LESS_MEMORY}.")

    def _close(self, summary: TrialSummary) -> None:
        self.summary = summary
        self._leave()
        self._folder.end(summary)
        self._around.tracking.trial_end(summary, self._folder.path)

    def _leave(self) -> None:
        """Refer no more to what the engine has made, so that its memory can be given back."""
        if self._together:
            del self.watcher, self._trial
        self._together = 0


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


def _in_memory(last: Checkpoint | None) -> Checkpoint | None:
    """A checkpoint of which nothing lies on a device."""
    return last and replace(last, state=dict(last.state), kept=dict(last.kept))


def _nobody(epoch: int) -> None:
    """Where one of several has told of an epoch already."""


def _in_short(error: BaseException) -> str:
    """The kind of an error and the first line of what it says; for want of memory those of the framework's."""
    error = (isinstance(error, OutOfMemory) and error.__cause__) or error
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first[:200]}" if first else type(error).__name__
