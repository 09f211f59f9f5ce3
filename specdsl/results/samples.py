"""The runs that results are made of: which trials count, what they ended with, and what becomes of the others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from specdsl.declaration import Misuse
from specdsl.results.measures import PARTS, Measure, measure
from specdsl.runs import RunRecord, TrialRecord, read
from specdsl.runs.files import read_json
from specdsl.runs.layout import EXPERIMENT


@dataclass(frozen=True)
class Sample:
    """A run as a sample of trials of one model.

    Attributes:
        key: what it is called among the others.
        run: what its folder tells.
        published: figures from elsewhere, by names such as `test_accuracy` or `test_accuracy_median`.
        declared_in: the experiment that states them; empty where none does.
    """

    key: str
    run: RunRecord
    published: Mapping[str, float]
    declared_in: str = ""

    @cached_property
    def departures(self) -> tuple[str, ...]:
        """How the run departs from what published figures are of: `epochs 5 in place of 800`; none without figures."""
        if not self.published:
            return ()
        from specdsl.results.declared import departures

        return departures(self.run, self.declared_in)

    @property
    def parameters(self) -> int | None:
        """The model's parameters; None where its folder does not say."""
        found = self.run.config.get("parameters") or (self.run.summary or {}).get("parameters")
        return found if isinstance(found, int) else None

    @property
    def planned(self) -> int:
        """How many trials there were to be."""
        return int(self.run.config["trials"])

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.run.config["seed"])

    @property
    def epochs(self) -> int:
        """How many epochs a trial was to have."""
        return int(self.run.recipe["epochs"])

    @cached_property
    def finished(self) -> tuple[TrialRecord, ...]:
        """The trials that count: those that came to their end and were evaluated there."""
        return tuple(trial for trial in self.run.trials if state(trial) == "finished")

    @cached_property
    def left_out(self) -> tuple[TrialRecord, ...]:
        """The trials that were begun and do not count."""
        return tuple(trial for trial in self.run.trials if state(trial) != "finished")

    def states(self) -> dict[str, int]:
        """How many trials are in each state, those that were never begun among them."""
        found = Counter(map(state, self.run.trials))
        found["not begun"] = self.planned - len(self.run.trials)
        return {name: count for name, count in found.items() if count}

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What its trials ended with, in the order of the parts and of the recipe, the loss first."""
        keys = dict.fromkeys(key for trial in self.run.trials for key in trial.final)
        found = [made for key in keys if (made := measure(key, self.run.recipe))]
        return tuple(sorted(found, key=lambda made: PARTS.index(made.part)))

    def values(self, measured: Measure) -> tuple[float, ...]:
        """What the trials that count ended with, in their order; trials without the measure are left out."""
        return tuple(self.by_trial(measured).values())

    def by_trial(self, measured: Measure) -> dict[int, float]:
        """The same by the numbers of the trials."""
        found = {trial.trial: trial.final.get(measured.key) for trial in self.finished}
        return {number: float(value) for number, value in found.items() if value is not None and math.isfinite(value)}

    def examples(self, part: str) -> int:
        """How many examples a part has."""
        return int(self.run.data[part])


STATES: Mapping[str, str] = {
    "failed": "crashed",
    "diverged": "was given up",
    "interrupted": "was ended before its time",
    "going on": "is being trained",
    "not evaluated": "was not evaluated at its end",
}
"""Why trials do not count, by their state."""


def state(trial: TrialRecord) -> str:
    """How a trial ended: "finished", or why it does not count."""
    if trial.failed is not None:
        return "failed"
    if trial.diverged is not None:
        return "diverged"
    if trial.interrupted:
        return "going on" if trial.going_on else "interrupted"
    return "finished" if trial.evaluated else "not evaluated"


def reason(trial: TrialRecord) -> str:
    """Why a trial does not count, in words."""
    return str(trial.failed or trial.diverged or STATES[state(trial)])


def read_samples(paths: Sequence[Path]) -> tuple[Sample, ...]:
    """The runs in folders, of runs or of experiments, each under a key of its own.

    Raises:
        RunError: a folder holds no run, or what it holds is damaged.
        Misuse: the same folder is named twice, or no folder is.
    """
    runs = read(paths)
    if not runs:
        raise Misuse("there is no run to tell of")
    folders = [run.folder.resolve() for run in runs]
    for run, folder in zip(runs, folders, strict=True):
        if folders.count(folder) > 1:
            raise Misuse(f"{run.folder} is named twice", help="each run counts once")
    names = Counter(run.key for run in runs)
    keys = [run.key if names[run.key] == 1 else f"{run.key} in {_place(run)}" for run in runs]
    return tuple(Sample(key, run, *_published(run)) for key, run in zip(keys, runs, strict=True))


def _place(run: RunRecord) -> Path:
    """What tells a run from one of the same model elsewhere."""
    return run.folder.parent if run.folder.name == run.key and run.folder.parent != Path() else run.folder


def _published(run: RunRecord) -> tuple[Mapping[str, float], str]:
    """The figures that the experiment of a run states of its model, and the experiment's name."""
    file = run.folder.resolve().parent / EXPERIMENT
    if not file.is_file():
        return {}, ""
    declared = read_json(file)
    stated: Any = declared.get("published")
    figures = stated.get(run.folder.resolve().name) if isinstance(stated, dict) else None
    if not isinstance(figures, dict):
        return {}, ""
    found = {name: float(value) for name, value in figures.items() if isinstance(value, int | float)}
    return found, str(declared.get("name", ""))


def common_measures(samples: Sequence[Sample]) -> tuple[Measure, ...]:
    """What any of the samples measured, in the order of the first ones."""
    found: dict[str, Measure] = {}
    for sample in samples:
        for made in sample.measures:
            found.setdefault(made.key, made)
    return tuple(sorted(found.values(), key=lambda made: PARTS.index(made.part)))


def chosen_measure(samples: Sequence[Sample], name: str | None) -> Measure:
    """The measure that a name means: `test_accuracy`, or `accuracy` for that of the test; without a name the test
    accuracy where there is one, else the loss.

    Raises:
        Misuse: there is none of that name, or no trial has ended with anything.
    """
    known = {made.key: made for made in common_measures(samples)}
    if name is None:
        accuracy = next((made for made in known.values() if made.part == "test" and made.share), None)
        found = accuracy or known.get("test_loss") or next(iter(known.values()), None)
        if found is None:
            raise Misuse("no trial has come to its end, so there is nothing to compare")
        return found
    chosen = known.get(name.replace("-", "_")) or known.get(f"test_{name.replace('-', '_')}")
    if chosen is None:
        there = f"there are {', '.join(known)}" if known else "no trial has come to its end"
        raise Misuse(f"nothing called '{name}' was measured", argument="metric", help=there)
    return chosen
