"""One trial from its beginning, or from its last checkpoint, to what it leaves in its folder."""

from __future__ import annotations

import io
import traceback
from collections.abc import Callable
from dataclasses import dataclass
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
from specdsl.training.engine import Job, Outcome, Part, Stopped, Trial
from specdsl.training.interrupts import Interrupts
from specdsl.training.keeping import Keeper
from specdsl.training.progress import Display, say
from specdsl.training.tracking import Tracking
from specdsl.training.watching import Pace, TrialWatcher


@dataclass(frozen=True)
class Surroundings:
    """What trials of a run have in common beside what they are made from.

    Attributes:
        make: makes a trial in the engine.
        interrupts: whether somebody wants the run to end.
        console: where progress is shown.
        every: epochs from one checkpoint to the next, None for the usual pace.
        told: is told the number of each epoch that has ended.
    """

    make: Callable[[Job], Trial]
    interrupts: Interrupts
    console: Console
    every: int | None = None
    told: Callable[[int], None] = lambda epoch: None


def run_trial(job: Job, folder: TrialFolder, around: Surroundings, tracking: Tracking) -> TrialSummary:
    """Train a trial from its last checkpoint, or from the beginning, and keep what comes of it.

    What goes wrong within the trial is a part of how it ended: the message stands in its summary, the traceback in its
    folder.

    Raises:
        RunError: its folder cannot be written.
        KeyboardInterrupt: Ctrl-C was pressed twice.
    """
    began = perf_counter()
    history = History(job.recipe.columns, validated=job.validation is not None)
    try:
        summary = _carry_out(job, folder, around, history, began, tracking)
    except RunError:
        raise
    except Exception as error:
        write_text(folder.path / TRACEBACK, traceback.format_exc())
        summary = TrialSummary(
            trial=job.streams.trial,
            seed=job.streams.seed,
            epochs=len(history.epochs),
            failed=_in_short(error),
            seconds=perf_counter() - began,
            images_per_second=history.images_per_second(),
        )
        say(around.console, f"This trial failed: {summary.failed}.", style="bold red")
        say(around.console, f"Where it failed stands in {folder.path / TRACEBACK}")
    folder.end(summary)
    tracking.trial_end(summary, folder.path)
    return summary


def _carry_out(
    job: Job, folder: TrialFolder, around: Surroundings, history: History, began: float, tracking: Tracking
) -> TrialSummary:
    """The trial, as long as nothing goes wrong in it."""
    start, damaged = folder.checkpoints.last()
    for what in damaged:
        instead = f"going on from epoch {start.epoch}, the one before it" if start else "beginning anew"
        say(around.console, f"{what[0].upper()}{what[1:]}: {instead}.", style="yellow")
    folder.checkpoints.tidy()
    recipe, pace = job.recipe, Pace(around.every)
    keeper = Keeper(
        recipe.keep,
        recipe.monitor,
        larger=recipe.larger_is_better,
        patience=recipe.patience,
        min_delta=recipe.min_delta,
    )
    stop = around.interrupts.wanted
    trial = around.make(job)
    with Display(around.console, history, job.recipe.epochs, job.steps, start.epoch if start else 0) as display:
        watcher = TrialWatcher(trial, job, folder, history, display, keeper, pace, stop, around.told, began, tracking)
        outcome = _train(trial, watcher, start, around.interrupts)
    interrupted = not watcher.ended and not outcome.diverged
    evaluated = False
    final: dict[str, float] = {}
    if watcher.last is not None:
        watcher.save()
        watcher.settle()
        save_with(folder.path / MODEL, trial.save)
        if watcher.ended and not outcome.diverged:
            try:
                final = _evaluate(trial, job, folder, stop)
                evaluated = True
            except Stopped:
                interrupted = True
    if outcome.diverged:
        say(around.console, f"This trial diverged: {outcome.diverged}.", style="bold red")
        say(around.console, "A smaller learning rate, or clipnorm=1.0, often helps.")
    return TrialSummary(
        trial=job.streams.trial,
        seed=job.streams.seed,
        epochs=len(history.epochs),
        kept_epoch=watcher.kept_epoch,
        final=watcher.known() if interrupted else final,
        evaluated=evaluated,
        interrupted=interrupted,
        stopped_early=watcher.stopped_early,
        diverged=outcome.diverged,
        seconds=watcher.seconds,
        images_per_second=history.images_per_second(),
    )


def _train(trial: Trial, watcher: TrialWatcher, start: Checkpoint | None, interrupts: Interrupts) -> Outcome:
    """Train what is left to train."""
    try:
        watcher.begin(start)
        if watcher.ended or watcher.stopping():
            return Outcome(stopped=True)
        return trial.train(watcher, start.epoch if start else 0)
    except KeyboardInterrupt:
        # Only where no handler could be set; a second Ctrl-C ends everything.
        if interrupts.insisted:
            raise
        interrupts.requested = True
        return Outcome(stopped=True)


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


def _in_short(error: Exception) -> str:
    """The kind of an error and the first line of what it says."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first[:200]}" if first else type(error).__name__
