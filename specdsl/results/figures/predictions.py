"""What the models of a run say of the test examples, as figures show it. Numbers alone: no matplotlib."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specdsl.results.samples import state
from specdsl.runs import RunError, RunRecord, TrialRecord
from specdsl.runs.answers import are_probabilities


@dataclass(frozen=True, slots=True, eq=False)
class Guesses:
    """Probabilities for the test examples, of one trial or averaged over several.

    Attributes:
        probability: (n, classes), float64.
        label: the true classes, int64 (n,).
        names: of the classes.
        source: whose probabilities these are, as a noun phrase.
    """

    probability: NDArray[np.float64]
    label: NDArray[np.int64]
    names: tuple[str, ...]
    source: str

    @property
    def guessed(self) -> NDArray[np.int64]:
        """The most probable class of each example."""
        return np.asarray(self.probability.argmax(axis=1))

    @property
    def confidence(self) -> NDArray[np.float64]:
        """The probability of that class."""
        return np.asarray(self.probability.max(axis=1))

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether that is the true class."""
        return np.equal(self.guessed, self.label)

    @property
    def accuracy(self) -> float:
        """The share of examples whose most probable class is the true one."""
        return float(self.right.mean())

    @property
    def distributions(self) -> bool:
        """Whether they are probabilities that sum to 1 for each example."""
        return are_probabilities(self.probability)

    def confusion(self) -> NDArray[np.int64]:
        """How often each true class (row) was taken for each class (column)."""
        classes = len(self.names)
        return np.bincount(self.label * classes + self.guessed, minlength=classes**2).reshape(classes, classes)


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """Predicted values of each trial.

    Attributes:
        value: (trials, n, k), float64.
        target: (n, k), float64.
        trials: the numbers of the trials.
    """

    value: NDArray[np.float64]
    target: NDArray[np.float64]
    trials: tuple[int, ...]


def each_trial(run: RunRecord) -> list[Guesses]:
    """The probabilities of every trial that came to its end well.

    Raises:
        RunError: there are none, or they contradict each other or the run's description.
    """
    found = [_guesses(run, trial, arrays) for trial, arrays in _predictions(run, "probability", "label")]
    if any(not np.array_equal(found[0].label, one.label) for one in found[1:]):
        raise RunError(f"{run.folder}: its trials have predictions of different test examples")
    return found


def chosen(guesses: Sequence[Guesses], run: RunRecord, trial: int | None) -> Guesses:
    """Those of one trial by its number, or the average of all.

    Raises:
        RunError: there is no such trial, or it did not come to its end.
    """
    if trial is None:
        return average(guesses)
    numbers = [one.trial for one in run.trials if state(one) == "finished"]
    if trial not in numbers:
        raise RunError(f"{run.key} has no finished trial {trial}: there are {', '.join(map(str, numbers))}")
    return guesses[numbers.index(trial)]


def average(guesses: Sequence[Guesses]) -> Guesses:
    """The probabilities averaged over trials, which together are often more accurate than each alone."""
    if len(guesses) == 1:
        return guesses[0]
    source = f"the probabilities averaged over {len(guesses)} trials"
    mean = np.mean([one.probability for one in guesses], axis=0)
    return Guesses(mean, guesses[0].label, guesses[0].names, source)


def values_of(run: RunRecord) -> Values:
    """The values that every trial predicts.

    Raises:
        RunError: there are none, or they contradict each other.
    """
    trials, values, targets = [], [], []
    for trial, arrays in _predictions(run, "value", "target"):
        value, target = (np.asarray(arrays[name], np.float64) for name in ("value", "target"))
        if value.ndim != 2 or value.shape != target.shape or not len(value):
            raise RunError(f"{trial.folder}: its predictions have the shapes {value.shape} and {target.shape}")
        trials.append(trial.trial)
        values.append(value)
        targets.append(target)
    if any(not np.array_equal(targets[0], target) for target in targets[1:]):
        raise RunError(f"{run.folder}: its trials have predictions of different test examples")
    return Values(np.stack(values), targets[0], tuple(trials))


def _predictions(run: RunRecord, *names: str) -> Iterator[tuple[TrialRecord, dict[str, NDArray[Any]]]]:
    """Of each trial that ended well its arrays.

    Raises:
        RunError: no trial has any, or a file cannot be read or has other arrays.
    """
    ended = [trial for trial in run.trials if state(trial) == "finished"]
    if not ended:
        raise RunError(f"no trial of {run.key} has come to its end")
    for trial in ended:
        arrays = trial.predictions()
        missing = [name for name in names if name not in arrays]
        if missing:
            raise RunError(f"{trial.folder}: its predictions have no '{missing[0]}'")
        yield trial, arrays


def _guesses(run: RunRecord, trial: TrialRecord, arrays: dict[str, NDArray[Any]]) -> Guesses:
    probability, label = np.asarray(arrays["probability"], np.float64), np.asarray(arrays["label"], np.int64)
    names = run.class_names
    if probability.shape != (len(label), len(names)) or not len(label):
        raise RunError(
            f"{trial.folder}: its predictions have the shape {probability.shape}, and there are "
            f"{len(label)} labels and {len(names)} classes"
        )
    if label.min() < 0 or label.max() >= len(names):
        raise RunError(f"{trial.folder}: its labels go beyond the {len(names)} classes")
    return Guesses(probability, label, names, f"trial {trial.trial}" if len(run.trials) > 1 else "the one trial")
