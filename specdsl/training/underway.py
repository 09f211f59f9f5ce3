"""A trial on its way: from its beginning, or from its last checkpoint, to what it leaves in its folder."""

from __future__ import annotations

import io
import traceback
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

import numpy as np

from specdsl.runs.answers import scores
from specdsl.runs.checkpoints import Checkpoint
from specdsl.runs.files import RunError, save_with, write_bytes, write_text
from specdsl.runs.folder import TrialFolder
from specdsl.runs.history import Epoch, History
from specdsl.runs.layout import MODEL, PREDICTIONS, TRACEBACK
from specdsl.runs.records import AGAINST_GROWTH, TrialSummary
from specdsl.training.engine import Job, Outcome, OutOfMemory, Part, Stopped, Trial
from specdsl.training.exhaustion import LESS_MEMORY, is_exhaustion, is_of_device
from specdsl.training.keeping import Keeper
from specdsl.training.progress import Shown, say
from specdsl.training.surroundings import Surroundings
from specdsl.training.watching import Paces, TrialWatcher


class Underway:
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
        except Exception as error:
            if not (is_of_device(error) or is_exhaustion(error)):
                raise
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
            say(self._around.console, f"{AGAINST_GROWTH.capitalize()}.")
        elif grown := self.history.growth():
            what = f"The loss of this trial grew from {grown[0]:.3g} to {grown[1]:.3g}"
            say(self._around.console, f"{what}: {AGAINST_GROWTH}.", style="yellow")
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
                failed=in_short(error),
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


def in_short(error: BaseException) -> str:
    """The kind of an error and the first line of what it says; for want of memory those of the framework's."""
    error = (isinstance(error, OutOfMemory) and error.__cause__) or error
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first[:200]}" if first else type(error).__name__
