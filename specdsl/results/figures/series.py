"""Curves over epochs and over trials as numbers: no matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specdsl.runs import RunRecord, TrialRecord

Values = NDArray[np.float64]

CONFIDENCE = 0.95
"""Of all intervals, where nobody says otherwise."""
INTERVAL_FROM = 5
"""From so many trials on, the band is the t-interval of their mean; of fewer, their least to their greatest value."""

PLACES = 150
"""Places along an axis that can be told apart. Of more epochs a trial's line has at each place its first, least,
greatest and last value, which looks alike; a mean is averaged over each place's epochs, and its caption says so."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric on one part over the epochs of one trial, where it was measured and a number."""

    trial: TrialRecord
    epochs: NDArray[np.int64]
    values: Values


@dataclass(frozen=True, slots=True)
class Together:
    """Several curves as one.

    Attributes:
        epochs: those that all trials measured that came to their end well.
        mean: over these trials.
        low: the lower edge of the band; None of a single trial.
        high: the upper edge.
        trials: how many these are.
    """

    epochs: NDArray[np.int64]
    mean: Values
    low: Values | None
    high: Values | None
    trials: int


def of_part(run: RunRecord, part: str, metric: str) -> list[Curve]:
    """The curves of a run's trials; those without a value are left out."""
    found = []
    for trial in run.trials:
        column = trial.history.get(f"{part}_{metric}")
        if column is None:
            continue
        known = np.isfinite(column)
        if known.any():
            found.append(Curve(trial, trial.history["epoch"][known], column[known]))
    return found


def together(curves: Sequence[Curve], confidence: float = CONFIDENCE) -> Together | None:
    """Mean and band over trials. Those that diverged or crashed are left out, and epochs that not all others reached,
    so that no step in the mean is one in who takes part; None where nothing is left.
    """
    well = [curve for curve in curves if curve.trial.well]
    if not well:
        return None
    common = well[0].epochs
    for curve in well[1:]:
        common = np.intersect1d(common, curve.epochs)
    if not len(common):
        return None
    values = np.stack([curve.values[np.isin(curve.epochs, common)] for curve in well])
    mean = values.mean(axis=0)
    if len(well) == 1:
        return Together(common, mean, None, None, 1)
    if len(well) < INTERVAL_FROM:
        return Together(common, mean, values.min(axis=0), values.max(axis=0), len(well))
    reach = t_factor(len(well), confidence) * values.std(axis=0, ddof=1) / np.sqrt(len(well))
    return Together(common, mean, mean - reach, mean + reach, len(well))


def t_factor(trials: int, confidence: float = CONFIDENCE) -> float:
    """How many standard errors Student's t-interval reaches from the mean to either side."""
    from scipy.stats import t

    return float(t.ppf((1 + confidence) / 2, trials - 1))


def thinned(epochs: NDArray[Any], values: Values) -> tuple[NDArray[Any], Values]:
    """A curve in no more points than can be seen: of each place first, least, greatest and last value."""
    if len(epochs) <= 4 * PLACES:
        return epochs, values
    chosen = set()
    for place in np.array_split(np.arange(len(epochs)), PLACES):
        part = values[place]
        chosen |= {place[0], place[int(part.argmin())], place[int(part.argmax())], place[-1]}
    index = np.array(sorted(chosen))
    return epochs[index], values[index]


def pace(mean: Together) -> int:
    """Over how many measured epochs each point of a drawn mean, and of its band, is averaged: one for short runs."""
    return 1 if len(mean.epochs) <= 2 * PLACES else -(-len(mean.epochs) // PLACES)


def paced(mean: Together, values: Values | None = None) -> tuple[NDArray[Any], Values]:
    """The mean, or an edge of its band, averaged over so many epochs at a time; from the last one backwards."""
    values = mean.mean if values is None else values
    step = pace(mean)
    if step == 1:
        return mean.epochs, values
    ends = np.arange(len(values), 0, -step)[::-1]
    pieces = [slice(max(0, end - step), end) for end in ends]
    return (
        np.array([mean.epochs[piece].mean() for piece in pieces]),
        np.array([values[piece].mean() for piece in pieces]),
    )


def band(mean: Together) -> tuple[NDArray[Any], Values, Values]:
    """Epochs, lower and upper edge of a band as it is drawn, for the means of several trials."""
    assert mean.low is not None
    assert mean.high is not None
    epochs, low = paced(mean, mean.low)
    return epochs, low, paced(mean, mean.high)[1]
