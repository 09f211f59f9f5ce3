"""What a handful of trials of one model says: centre, spread, interval, and what the test set adds to it.

All formulas are SciPy's; what is decided here is when they can be used, and what is said where they cannot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

NEARLY = 1e-12
"""Values that differ by less than this part of the largest do not differ: it is what is left of rounding."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An interval, its ends included.

    Attributes:
        low: its lower end.
        high: its upper end.
    """

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Spread:
    """The values of one measure over the trials of a model.

    Attributes:
        values: all of them, in the order of the trials.
        mean: their mean.
        median: their median.
        sd: their sample standard deviation (n - 1); None for a single value.
        least: the least.
        most: the greatest.
        interval: Student's t-interval of the mean; None where there is none.
        why: why there is no interval, in a sentence; None where there is one.
    """

    values: tuple[float, ...]
    mean: float
    median: float
    sd: float | None
    least: float
    most: float
    interval: Interval | None
    why: str | None

    @property
    def n(self) -> int:
        """How many there are."""
        return len(self.values)


def constant(values: Sequence[float]) -> bool:
    """Whether values do not differ by more than rounding does."""
    return max(values) - min(values) <= NEARLY * max(map(abs, values))


def spread(values: Sequence[float], confidence: float) -> Spread:
    """The centre and spread of values, at least one, and the t-interval of their mean.

    A t-interval and no bootstrap: over six normal values a percentile bootstrap that promises 95 % keeps 87 %.

    Args:
        values: what the trials ended with; finite numbers.
        confidence: of the interval, between 0 and 1.

    Raises:
        ValueError: there is no value, or one is no finite number.
    """
    if not values or not all(map(math.isfinite, values)):
        raise ValueError("a spread is one of finite numbers, and of one at least")
    interval, why = None, None
    if len(values) == 1:
        why = "one trial says nothing of how trials spread"
    elif constant(values):
        why = "all trials gave the same value, so there is no spread to make an interval of"
    else:
        from scipy import stats

        found = stats.ttest_1samp(values, 0.0).confidence_interval(confidence)
        interval = Interval(float(found.low), float(found.high))
    return Spread(
        values=tuple(values),
        mean=fmean(values),
        median=median(values),
        sd=None if len(values) == 1 else 0.0 if constant(values) else stdev(values),
        least=min(values),
        most=max(values),
        interval=interval,
        why=why,
    )


def sampling_error(accuracy: float, examples: int) -> float:
    """The standard error that an accuracy has because it is measured on a sample of `examples`: binomial.

    It is a lower bound where examples come in groups that are alike, as images of one physical sign do.
    """
    from scipy import stats

    return float(stats.binom(examples, min(max(accuracy, 0.0), 1.0)).std()) / examples
