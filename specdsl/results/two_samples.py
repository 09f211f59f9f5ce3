"""Two models compared by their trials: tests, intervals, effects, equivalence and power.

All formulas are those of SciPy and statsmodels; what is decided here is which one is used when, and what is said where
none can be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from specdsl.results.one_sample import Interval, constant

POWER = 0.8
"""The power that numbers of trials are worked out for: how often a real difference would be found."""
MOST_TRIALS = 10_000
"""Above this many trials it is only said that more would be needed."""
MOST_ORDERS = 20_000
"""Up to this many ways to deal the values out, tied values are tested by trying all of them."""
LARGE = 100
"""Trials of one model above which the distribution of ranks is approximated."""


@dataclass(frozen=True, slots=True)
class Ranks:
    """A test by ranks alone: Mann-Whitney's, or Wilcoxon's signed-rank test for pairs.

    Attributes:
        p: its two-sided p.
        exact: whether it is exact, or approximated because there are many values.
        smallest: the smallest p that this many trials allow, whatever their values.
    """

    p: float
    exact: bool
    smallest: float


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Two one-sided tests (TOST) of whether a difference is within a margin.

    Attributes:
        margin: the largest difference that counts as none.
        p: the larger of the two tests' p.
        interval: the interval of the difference that corresponds to them, of confidence 1 - 2 alpha; where it lies
            within the margin, p is below alpha.
    """

    margin: float
    p: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class TTest:
    """What trials say of the difference of two means, a - b.

    Attributes:
        kind: "welch", or "paired" for the t-test of differences trial by trial.
        statistic: t.
        df: its degrees of freedom.
        p: two-sided.
        interval: the interval of the difference.
    """

    kind: str
    statistic: float
    df: float
    p: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Superiority:
    """How often a trial of the one model is better than one of the other; ties count half.

    Attributes:
        probability: the share among all pairs of trials (in a paired comparison: among trials of the same number).
        interval: its interval.
        method: where the interval comes from: "brunner-munzel" or "clopper-pearson".
    """

    probability: float
    interval: Interval
    method: str


def t_test(a: Sequence[float], b: Sequence[float], confidence: float, *, paired: bool = False) -> TTest | str:
    """Welch's t-test of two means, or the paired one; a sentence that says why where there can be none."""
    if paired:
        differences = [x - y for x, y in zip(a, b, strict=True)]
        if len(differences) < 2:
            return "one pair of trials says nothing of how differences spread"
        if _vanishing(differences, a, b):
            return "all pairs of trials differ by the same amount, so there is no spread to test against"
        from scipy import stats

        found = stats.ttest_1samp(differences, 0.0)
    else:
        if min(len(a), len(b)) < 2:
            return "one trial says nothing of how trials spread"
        if constant(a) and constant(b):
            return "no trial of a model differs from its others, so there is no spread to test against"
        from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

        # Not SciPy's function, which warns where one of the models has no spread.
        means = CompareMeans(DescrStatsW(_levelled(a)), DescrStatsW(_levelled(b)))
        statistic, p, df = means.ttest_ind(usevar="unequal")
        low, high = means.tconfint_diff(1 - confidence, usevar="unequal")
        return TTest("welch", float(statistic), float(df), float(p), Interval(float(low), float(high)))
    interval = found.confidence_interval(confidence)
    return TTest(
        "paired", float(found.statistic), float(found.df), float(found.pvalue),
        Interval(float(interval.low), float(interval.high)),
    )  # fmt: skip


def ranks(a: Sequence[float], b: Sequence[float], *, paired: bool = False) -> Ranks | None:
    """Mann-Whitney's test, exact as far as that can be, or Wilcoxon's for pairs; None of a single trial."""
    if min(len(a), len(b)) < 2:
        return None
    from scipy import stats

    if paired:
        differences = [x - y for x, y in zip(a, b, strict=True)]
        n = len(differences)
        smallest = float(stats.wilcoxon(range(1, n + 1), method="exact").pvalue)
        if all(difference == 0 for difference in differences):
            return Ranks(1.0, True, smallest)
        sizes = [abs(difference) for difference in differences]
        if 0 not in sizes and len(set(sizes)) == n and n <= LARGE:
            return Ranks(float(stats.wilcoxon(differences, method="exact").pvalue), True, smallest)
        if 2**n <= MOST_ORDERS:
            every = stats.PermutationMethod(n_resamples=math.inf)
            return Ranks(float(stats.wilcoxon(differences, method=every).pvalue), True, smallest)
        return Ranks(float(stats.wilcoxon(differences, method="approx").pvalue), False, smallest)
    n, m = len(a), len(b)
    exact = max(n, m) <= LARGE
    method = "exact" if exact else "asymptotic"
    smallest = float(stats.mannwhitneyu(range(n), range(n, n + m), method=method).pvalue)
    if len({*a, *b}) == n + m:
        return Ranks(float(stats.mannwhitneyu(a, b, method=method).pvalue), exact, smallest)
    if len({*a, *b}) == 1:
        return Ranks(1.0, True, smallest)
    if math.comb(n + m, n) <= MOST_ORDERS:
        every = stats.PermutationMethod(n_resamples=math.inf)
        return Ranks(float(stats.mannwhitneyu(a, b, method=every).pvalue), True, smallest)
    return Ranks(float(stats.mannwhitneyu(a, b, method="asymptotic").pvalue), False, smallest)


def effect(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Hedges' g: the difference of the means in standard deviations of trials, corrected for small numbers.

    None where a model has a single trial or there is no spread at all.
    """
    if min(len(a), len(b)) < 2 or (constant(a) and constant(b)):
        return None
    import numpy as np
    from statsmodels.stats.meta_analysis import effectsize_smd

    found, _ = effectsize_smd(np.mean(a), np.std(a, ddof=1), len(a), np.mean(b), np.std(b, ddof=1), len(b))
    return float(found)


def superiority(
    a: Sequence[float], b: Sequence[float], confidence: float, *, larger: bool, paired: bool = False
) -> Superiority | None:
    """How often a trial of a is better than one of b, with an interval; None where both have a single trial.

    The interval is that of Brunner and Munzel's test. Where all trials of the one are better than all of the other it
    would have no width; there each trial is set beside one of the other model, and the interval is that of Clopper and
    Pearson for that many pairs, which promises less. So it is for paired trials.
    """
    from scipy import stats

    if not larger:
        a, b = [-value for value in a], [-value for value in b]
    pairs = list(zip(a, b, strict=True)) if paired else [(x, y) for x in a for y in b]
    probability = fmean([1.0 if x > y else 0.5 if x == y else 0.0 for x, y in pairs])
    fewest = min(len(a), len(b))
    if fewest < 2:
        return None
    if paired or _always_placed_alike(a, b):
        # Half of a tie cannot be counted: it is counted against whichever end that widens the interval.
        low = sum(x > y for x, y in zip(a, b, strict=False))
        high = sum(x >= y for x, y in zip(a, b, strict=False))
        ends = [stats.binomtest(won, fewest).proportion_ci(confidence, method="exact") for won in (low, high)]
        return Superiority(probability, Interval(float(ends[0].low), float(ends[1].high)), "clopper-pearson")
    from statsmodels.stats.nonparametric import rank_compare_2indep

    low_, high_ = rank_compare_2indep(a, b).conf_int(alpha=1 - confidence)
    return Superiority(probability, Interval(max(0.0, float(low_)), min(1.0, float(high_))), "brunner-munzel")


def equivalence(
    a: Sequence[float], b: Sequence[float], margin: float, alpha: float, *, paired: bool = False
) -> Equivalence | None:
    """Two one-sided tests of whether the means differ by less than a margin; None where there is no test of them."""
    tested = t_test(a, b, 1 - 2 * alpha, paired=paired)
    if isinstance(tested, str):
        return None
    import numpy as np
    from statsmodels.stats.weightstats import ttost_ind, ttost_paired

    x, y = np.asarray(_levelled(a), float), np.asarray(_levelled(b), float)
    p = ttost_paired(x, y, -margin, margin)[0] if paired else ttost_ind(x, y, -margin, margin, usevar="unequal")[0]
    return Equivalence(margin, float(p), tested.interval)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for there being several, by Holm's method."""
    if not p_values:
        return []
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(list(p_values), method="holm")[1]]


def trials_needed(difference: float, sd: float, alpha: float, *, paired: bool = False) -> int | None:
    """How many trials of each model find a difference with a power of 0.8; None where more than 10,000 would be needed.

    Args:
        difference: of the true means, taken to be this large.
        sd: the standard deviation of one model's trials (of the differences, for pairs), taken to be this large.
        alpha: the level of the test; of one among m, the strictest of Holm's, alpha / m.
    """
    if difference == 0 or sd <= 0:
        return None
    size = abs(difference) / sd
    if _power(size, MOST_TRIALS, alpha, paired) < POWER:
        return None
    low, high = 1, MOST_TRIALS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(size, middle, alpha, paired) >= POWER else (middle, high)
    return high


def detectable(a: Sequence[float], b: Sequence[float], alpha: float, *, paired: bool = False) -> float | None:
    """The least difference of means that as many trials, spread as these are, find with a power of 0.8."""
    sd = spread_of_trials(a, b, paired=paired)
    if sd is None or sd <= 0:
        return None
    from scipy import optimize

    n, ratio = len(a), len(b) / len(a)
    found = optimize.brentq(lambda size: _power(size, n, alpha, paired, ratio) - POWER, 1e-6, 1e4)
    return float(found) * sd


def spread_of_trials(a: Sequence[float], b: Sequence[float], *, paired: bool = False) -> float | None:
    """The standard deviation that power is worked out with: root mean square of both, or that of pairs' differences."""
    if min(len(a), len(b)) < 2:
        return None
    import numpy as np

    if paired:
        differences = np.subtract(a, b)
        return 0.0 if _vanishing(list(differences), a, b) else float(np.std(differences, ddof=1))
    return float(np.sqrt((np.var(_levelled(a), ddof=1) + np.var(_levelled(b), ddof=1)) / 2))


def _power(size: float, n: int, alpha: float, paired: bool, ratio: float = 1.0) -> float:
    """The power of a two-sided t-test for an effect of `size` standard deviations with n (and n · ratio) trials."""
    from statsmodels.stats.power import TTestIndPower, TTestPower

    if n < 2:
        return 0.0
    power = TTestPower().power(size, n, alpha) if paired else TTestIndPower().power(size, n, alpha, ratio=ratio)
    # Far out in its tail the distribution is no number in SciPy, and the power is one.
    return 1.0 if math.isnan(power) else float(power)


def _vanishing(differences: Sequence[float], a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether differences are equal up to the rounding of what they are differences of."""
    scale = max(map(abs, [*a, *b]))
    return max(differences) - min(differences) <= 1e-12 * scale


def _always_placed_alike(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether every value of each sample has the same place among those of the other."""

    def places(some: Sequence[float], others: Sequence[float]) -> set[int]:
        return {sum((one > other) - (one < other) for other in others) for one in some}

    return len(places(a, b)) == 1 and len(places(b, a)) == 1


def _levelled(values: Sequence[float]) -> list[float]:
    """Values, made exactly equal where they differ by rounding alone."""
    return [values[0]] * len(values) if constant(values) else list(values)
