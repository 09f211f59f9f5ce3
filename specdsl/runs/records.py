"""How trials and runs ended: what `trial.json` and `summary.json` say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from statistics import mean
from typing import Any, Self

SCHEMA = 2
"""The version of the folder's format."""

AGAINST_GROWTH = "a smaller learning rate, or clipnorm=1.0, often helps"
"""What helps where a loss grows beyond all bounds."""


@dataclass(frozen=True, slots=True)
class TrialSummary:
    """How one trial ended, or how far it has come.

    Attributes:
        trial: its number, from 1.
        seed: the run's seed, of which with the number everything random follows.
        epochs: how many epochs it finished.
        kept_epoch: the epoch whose weights are the result, 0 where no epoch was finished.
        final: the kept weights on each part, as `train_loss`, `test_accuracy`: on whole parts, unaugmented, without
            dropout. Of a trial that was not evaluated what its history knows of that epoch, without `train`.
        evaluated: whether that was measured at the trial's end.
        interrupted: it was ended before its time.
        stopped_early: its recipe ended it, because it no longer improved.
        diverged: why it was given up, or None.
        failed: what made it crash, or None.
        seconds: how long it took, evaluation and building included.
        together: how many trials were trained together in that time.
        processes: how many processes trained trials of the run at that time, each on its share of the machine.
        images_per_second: its own, the median over its epochs, training alone; None without an epoch. Beside other
            processes it is what its share of the machine gives, not what all of it would.
    """

    trial: int
    seed: int = 0
    epochs: int = 0
    kept_epoch: int = 0
    final: Mapping[str, float] = field(default_factory=dict)
    evaluated: bool = False
    interrupted: bool = False
    stopped_early: bool = False
    diverged: str | None = None
    failed: str | None = None
    seconds: float = 0.0
    together: int = 1
    processes: int = 1
    images_per_second: float | None = None

    @property
    def well(self) -> bool:
        """Whether it neither diverged nor crashed."""
        return self.diverged is None and self.failed is None

    def possible(self) -> bool:
        """Whether the summary, which came from a file, says what a trial can have ended with."""
        final = self.final if isinstance(self.final, Mapping) else {"": ""}
        return all(isinstance(value, int) for value in (self.trial, self.epochs, self.kept_epoch)) and all(
            value is None or isinstance(value, int | float) for value in (*final.values(), self.seconds)
        )

    def to_dict(self) -> dict[str, Any]:
        """The summary as JSON has it."""
        return {one.name: getattr(self, one.name) for one in fields(TrialSummary)} | {"final": dict(self.final)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The summary that JSON holds; what a later version may have added is left out."""
        known = {one.name for one in fields(TrialSummary)}
        return cls(**{name: value for name, value in values.items() if name in known})


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a run ended: what `summary.json` says.

    Attributes:
        model: the model's name.
        folder: where everything lies.
        trials: its trials, as far as they were begun.
        planned: how many there were to be.
        parameters: the model's parameters, None when it was never built.
        interrupted: the run was ended before its time.
        seconds: how long its trials took, one after the other; what several took together counts once.
        wall_seconds: how long it took by the clock, where several processes trained its trials at the same time too.
    """

    model: str
    folder: Path
    trials: Sequence[TrialSummary]
    planned: int
    parameters: int | None
    interrupted: bool
    seconds: float
    wall_seconds: float = 0.0

    @property
    def mean(self) -> dict[str, float]:
        """Every final value's mean over the trials that neither diverged nor crashed."""
        finals = [trial.final for trial in self.trials if trial.well]
        return {name: mean(final[name] for final in finals) for name in (finals[0] if finals else ())
                if all(name in final for final in finals)}  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """The summary as JSON has it."""
        rates = [trial.images_per_second for trial in self.trials if trial.images_per_second]
        return {
            "schema": SCHEMA,
            "model": self.model,
            "parameters": self.parameters,
            "planned_trials": self.planned,
            "interrupted": self.interrupted,
            "mean": self.mean,
            "trials": [trial.to_dict() for trial in self.trials],
            "images_per_second": mean(rates) if rates else None,
            "seconds": self.seconds,
            "wall_seconds": self.wall_seconds,
        }
