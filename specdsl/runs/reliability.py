"""How sure a model is beside how often it is right. Numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""Bins of equal width that confidences are put into, as many as Guo et al. take."""


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Confidence against accuracy in bins of equal width.

    Attributes:
        edges: (bins + 1,) from 0 to 1; a bin holds its upper edge.
        count: how many predictions each bin holds.
        confidence: their mean confidence, NaN in an empty bin.
        accuracy: the share that is right, NaN in an empty bin.
        error: the expected calibration error, from 0 to 1: |accuracy - confidence|, averaged over bins weighted by
            their counts.
    """

    edges: NDArray[np.float64]
    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    error: float


def binned(confidence: NDArray[Any], right: NDArray[Any], bins: int = BINS) -> Reliability:
    """Compare what a model is sure of with how often it is right.

    Guo, Pleiss, Sun and Weinberger, *On calibration of modern neural networks*, ICML 2017, equations 2, 3 and 5.

    Args:
        confidence: (n,), the probability of the class given out.
        right: (n,), whether that was the true one.
        bins: how many bins of equal width.
    """
    edges = np.linspace(0, 1, bins + 1)
    sure, won = confidence.astype(np.float64), right.astype(np.float64)
    place = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    sums, wins = np.bincount(place, sure, bins), np.bincount(place, won, bins)
    with np.errstate(invalid="ignore"):
        mean, share = sums / count, wins / count
    # In each bin, n·|accuracy - mean confidence| is the absolute difference of the two sums.
    return Reliability(edges, count, mean, share, float(np.abs(wins - sums).sum() / len(sure)))


def expected_calibration_error(probability: NDArray[Any], label: NDArray[Any], bins: int = BINS) -> float:
    """How far confidence, the greatest probability of an example, and accuracy are apart, from 0 to 1.

    Args:
        probability: (n, classes).
        label: integers (n,).
        bins: how many bins of equal width.
    """
    return binned(probability.max(axis=1), probability.argmax(axis=1) == label, bins).error
