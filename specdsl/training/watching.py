"""What is done with a trial while an engine trains it: measuring, choosing, checkpoints, history, progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from specdsl.runs.checkpoints import Checkpoint, State
from specdsl.runs.folder import TrialFolder
from specdsl.runs.history import Epoch, History
from specdsl.training.engine import Job, Stopped, Trial
from specdsl.training.keeping import Keeper
from specdsl.training.progress import Shown
from specdsl.training.tracking import Tracking

LOSS_AT_MOST = 60.0
"""Seconds of training that a crash may cost at the most, beside an epoch, where nobody says how often to write."""

_HISTORY_EVERY = 1.0
"""Seconds from one writing of the history to the next, at least; checkpoints hold it too."""

_SHARE = 0.05
"""The share of the time that writing checkpoints may take, and that writing histories may."""


class Pace:
    """How often something of trials that are trained together is written: for all of them after the same epochs.

    That is after every epoch as long as it takes little of the time.

    Args:
        every: epochs from one to the next; None leaves it to the time that they take: a twentieth of all at the most,
            unless more than `LOSS_AT_MOST` seconds would lie between two.
        at_least: seconds from one to the next, where nothing is said of epochs.
    """

    def __init__(self, every: int | None, at_least: float = 0.0) -> None:
        self._every, self._at_least = every, at_least
        self._cost = 0.0
        self._last = perf_counter()
        self._epoch, self._due = 0, False

    def due(self, epoch: int) -> bool:
        """Whether it should be written after an epoch."""
        if self._every is not None:
            return epoch % self._every == 0
        if epoch != self._epoch:
            waited = perf_counter() - self._last
            self._epoch, self._due = epoch, waited >= max(self._at_least, min(LOSS_AT_MOST, self._cost / _SHARE))
            if self._due:
                self._cost = 0.0
        return self._due

    def write(self, write: Callable[[], None]) -> None:
        """Write that of one trial and note how long it took."""
        began = perf_counter()
        write()
        self._last = perf_counter()
        self._cost += self._last - began


@dataclass(frozen=True, slots=True)
class Paces:
    """What trials that are trained together share: how often checkpoints are written, and histories."""

    checkpoints: Pace
    histories: Pace

    @classmethod
    def of(cls, every: int | None) -> Paces:
        """Checkpoints every so many epochs, or as often as they cost little."""
        return cls(Pace(every), Pace(None, _HISTORY_EVERY))


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A trial after an epoch, with as much of its history as there was then."""

    epoch: int
    state: State
    kept: State
    keeper: Mapping[str, Any]
    epochs: int
    unmeasured: Epoch | None
    seconds: float


class TrialWatcher:
    """Measures each epoch, chooses whose weights are kept, and puts everything where nothing is lost.

    Args:
        trial: the trial, for what is measured and copied.
        job: what it was made from.
        folder: where it is written.
        display: where it is shown.
        keeper: what chooses.
        paces: how often checkpoints are written, and histories.
        stop: whether somebody wants the run to end.
        told: is told the number of each epoch that has ended.
        began: when the trial was begun, by `perf_counter`.
        tracking: who else is told of its epochs.

    Attributes:
        history: the epochs so far.
    """

    def __init__(
        self,
        trial: Trial,
        job: Job,
        folder: TrialFolder,
        history: History,
        display: Shown,
        keeper: Keeper,
        paces: Paces,
        stop: Callable[[], bool],
        told: Callable[[int], None],
        began: float,
        tracking: Tracking,
    ) -> None:
        self._trial, self._job, self._folder, self._display = trial, job, folder, display
        self._keeper, self._paces, self._stop, self._told = keeper, paces, stop, told
        self._tracking = tracking
        self.history = history
        self._last: _Remembered | None = None
        self._saved = True
        self._kept: State = {}
        self._began = began

    @property
    def last(self) -> Checkpoint | None:
        """The trial after its last epoch, None before there is one."""
        last = self._last
        if last is None:
            return None
        notes = {
            "keeper": last.keeper,
            "epochs": [one.to_dict() for one in self.history.epochs[: last.epochs]],
            "unmeasured": last.unmeasured.to_dict() if last.unmeasured else None,
            "seconds": last.seconds,
        }
        return Checkpoint(last.epoch, last.state, last.kept, notes)

    @property
    def kept_epoch(self) -> int:
        """The epoch whose weights are the result so far: the last one where none was chosen yet; 0 without an epoch."""
        chosen = self._keeper.kept if self._keeper.chooses else 0
        return chosen or (self._last.epoch if self._last else 0)

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to train."""
        return self._keeper.ended or (self._last is not None and self._last.epoch >= self._job.recipe.epochs)

    @property
    def seconds(self) -> float:
        """How long the trial has taken so far, before it was broken off too."""
        return perf_counter() - self._began

    @property
    def stopped_early(self) -> bool:
        """Whether patience ended the trial."""
        return self._keeper.ended

    def begin(self, checkpoint: Checkpoint | None) -> None:
        """Begin a trial, or take it up after an epoch; what was trained and not measured then is measured now."""
        if checkpoint is None:
            self.write_history()
            return
        notes = checkpoint.notes
        self._began -= notes["seconds"]
        self._trial.restore(checkpoint.state)
        self._kept = checkpoint.kept or self._trial.weights()
        self._keeper.go_on(notes["keeper"])
        self.history.epochs[:] = [Epoch(**epoch) for epoch in notes["epochs"]]
        unmeasured = None if notes["unmeasured"] is None else Epoch(**notes["unmeasured"])
        self._last = _Remembered(
            checkpoint.epoch, checkpoint.state, checkpoint.kept, notes["keeper"], len(self.history.epochs), unmeasured,
            notes["seconds"],
        )  # fmt: skip
        self._folder.write_history(self.history.to_csv())
        self._tracking.trial_begin(self._job.streams.trial, self.history.epochs)
        if unmeasured is not None:
            self.on_epoch(unmeasured)

    def stopping(self) -> bool:
        """Whether training should end."""
        return self._keeper.ended or self._stop()

    def on_step(self, epoch: int, step: int, values: Mapping[str, float], images_per_second: float) -> None:
        """Show how far an epoch is."""
        self._display.step(epoch, step, values, images_per_second)

    def on_epoch(self, epoch: Epoch) -> None:
        """Measure an epoch's weights and take note of them; a checkpoint is written when one is due."""
        try:
            epoch = replace(epoch, values={**epoch.values, **self._measure(epoch.number)})
        except Stopped:
            self._remember(epoch.number, unmeasured=epoch)
            return
        self.history.epochs.append(epoch)
        if self._keeper.see(epoch.number, epoch.values.get("validation")) and self._keeper.chooses:
            self._kept = self._trial.weights()
        self._remember(epoch.number)
        if self._paces.histories.due(epoch.number):
            self._paces.histories.write(self.write_history)
        self._display.epoch(epoch)
        self._tracking.epoch(self._job.streams.trial, epoch)
        self._told(epoch.number)
        if self._paces.checkpoints.due(epoch.number):
            self.save()

    def write_history(self) -> None:
        """Write the history as it is now.

        Raises:
            RunError: it cannot be written.
        """
        self._folder.write_history(self.history.to_csv())

    def save(self) -> None:
        """Write a checkpoint of the last epoch, unless there is one.

        Raises:
            RunError: it cannot be written.
        """
        last = None if self._saved else self.last
        if last is not None:
            self._paces.checkpoints.write(lambda: self._folder.checkpoints.write(last))
            self._saved = True

    def settle(self) -> None:
        """Let the trial have the weights that are kept, as they were; training ends with it."""
        assert self._last is not None
        self.write_history()
        self._trial.restore(self._last.state)
        self._trial.use(self._last.kept or self._trial.weights())

    def known(self) -> dict[str, float]:
        """What the history knows of the kept weights: of all parts but `train`, which it measures otherwise."""
        kept = [epoch for epoch in self.history.epochs if epoch.number == self.kept_epoch]
        return {name: value for epoch in kept for name, value in epoch.flat().items() if not name.startswith("train_")}

    def _measure(self, epoch: int) -> dict[str, Mapping[str, float]]:
        """What an epoch's weights give on the parts that are due.

        Raises:
            Stopped: somebody wants the run to end.
        """
        recipe = self._job.recipe
        if epoch % recipe.evaluate_every and epoch < recipe.epochs:
            return {}
        return {part: self._trial.evaluate(part, self._stop) for part in self._job.measured}

    def _remember(self, epoch: int, unmeasured: Epoch | None = None) -> None:
        """Hold everything that training goes on from, as it is now."""
        kept = self._kept if self._keeper.chooses and self._keeper.kept not in (0, epoch) else {}
        self._last = _Remembered(
            epoch, self._trial.state(), kept, self._keeper.notes(), len(self.history.epochs), unmeasured, self.seconds
        )
        self._saved = False
