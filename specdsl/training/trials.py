"""Trials in groups: who is trained with whom, and what goes on where a group cannot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from specdsl.runs.files import RunError
from specdsl.runs.folder import TrialFolder
from specdsl.runs.history import Epoch
from specdsl.runs.records import TrialSummary
from specdsl.training.engine import Group, Job, Outcome, OutOfMemory
from specdsl.training.exhaustion import exhaustion_told, give_back
from specdsl.training.interrupts import Interrupts
from specdsl.training.progress import say
from specdsl.training.surroundings import Surroundings
from specdsl.training.underway import Underway, in_short
from specdsl.training.watching import Paces


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
    underway = [Underway(job, folder, around) for job, folder in zip(jobs, folders, strict=True)]
    _in_groups(underway, around)
    return [one.summary for one in underway if one.summary is not None]


def _in_groups(members: Sequence[Underway], around: Surroundings) -> None:
    """Carry out trials in groups of those that have come equally far."""
    by_epoch: dict[int, list[Underway]] = {}
    for one in members:
        by_epoch.setdefault(one.after, []).append(one)
    for _, equal in sorted(by_epoch.items()):
        while equal:
            number = around.most.first(len(equal))
            _group(equal[:number], around)
            equal = equal[number:]


def _group(members: Sequence[Underway], around: Surroundings) -> None:
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
    told = [] if exhausted else sorted({in_short(one.error) for one in left if one.error})
    for one in left:
        one.part()
    give_back()  # nothing refers to the group any more, no error either
    if exhausted:
        around.most.lower(-(-len(members) // 2))
        what = f"Memory does not suffice for {len(members)} trials together"
        say(around.console, f"{what}: going on with {around.most.number} at the most.", style="yellow")
        _in_groups(left, around)
        return
    for what in told:
        say(around.console, f"Training together was broken off: {what}. Going on alone.", style="yellow")
    for one in left:
        _group([one], around)


def _left(members: Iterable[Underway]) -> list[Underway]:
    """Those that have not come to an end."""
    return [one for one in members if one.summary is None]


@exhaustion_told()
def _carry_out(members: Sequence[Underway], around: Surroundings) -> None:
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


def _train(group: Group, members: Sequence[Underway], interrupts: Interrupts) -> Sequence[Outcome]:
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

    def __init__(self, one: Underway) -> None:
        self._one = one

    def stopping(self) -> bool:
        return self._one.error is not None or self._one.watcher.stopping()

    def on_step(self, epoch: int, step: int, values: Mapping[str, float], images_per_second: float) -> None:
        self._one.attempt(lambda: self._one.watcher.on_step(epoch, step, values, images_per_second))

    def on_epoch(self, epoch: Epoch) -> None:
        self._one.attempt(lambda: self._one.watcher.on_epoch(epoch))


def _nobody(epoch: int) -> None:
    """Where one of several has told of an epoch already."""
