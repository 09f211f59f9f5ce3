"""The statistics: known numbers of textbooks, other ways to them, simulations, and what holds for all values."""

from __future__ import annotations

import math
import warnings
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from specdsl.results.one_sample import sampling_error, spread
from specdsl.results.two_samples import (
    TTest,
    detectable,
    effect,
    equivalence,
    holm,
    ranks,
    superiority,
    t_test,
    trials_needed,
)

SLEEP = (
    [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
    [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
)
"""Hours of sleep gained with two drugs (Student, 1908): what R's manual of `t.test` shows."""

accuracies = st.lists(st.integers(0, 200).map(lambda right: right / 200), min_size=1, max_size=7)
"""Accuracies on 200 images: tied often, sometimes all alike."""


# ---------------------------------------------------------------------------------------------- known numbers


def test_students_sleep() -> None:
    """Welch's and the paired test, and the interval of one mean, to the digits that R prints."""
    one = spread(SLEEP[0], 0.95)
    assert one.mean == pytest.approx(0.75)
    assert (one.interval.low, one.interval.high) == pytest.approx((-0.5297804, 2.0297804), abs=1e-7)
    welch = t_test(*SLEEP, 0.95)
    assert (welch.statistic, welch.df, welch.p) == pytest.approx((-1.8608, 17.776, 0.07939), rel=1e-4)
    assert (welch.interval.low, welch.interval.high) == pytest.approx((-3.3654832, 0.2054832), abs=1e-7)
    paired = t_test(*SLEEP, 0.95, paired=True)
    assert (paired.statistic, paired.df, paired.p) == pytest.approx((-4.0621, 9, 0.002833), rel=1e-4)
    assert (paired.interval.low, paired.interval.high) == pytest.approx((-2.4598858, -0.7001142), abs=1e-7)


def test_tests_by_ranks_in_hollander_and_wolfe() -> None:
    """Permeability of membranes (two samples) and depression before and after (pairs): the two-sided exact p."""
    term = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
    early = [1.15, 0.88, 0.90, 0.74, 1.21]
    assert ranks(term, early).p == pytest.approx(0.2544, abs=5e-5)
    first = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
    second = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
    assert ranks(first, second, paired=True).p == pytest.approx(0.03906, abs=5e-6)


@pytest.mark.parametrize(
    ("n", "m", "smallest"), [(3, 3, 0.10), (4, 4, 0.0286), (5, 5, 0.0079), (6, 6, 0.0022), (6, 7, 0.0012)]
)
def test_smallest_p_of_ranks(n: int, m: int, smallest: float) -> None:
    """It is what two samples that lie apart come to."""
    found = ranks(list(range(n)), list(range(100, 100 + m)))
    assert found.smallest == pytest.approx(smallest, abs=5e-5)
    assert found.p == found.smallest


def test_holm() -> None:
    """As R's `p.adjust` has it: multiplied by what is left, never falling, never above one."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.2]) == [pytest.approx(0.2)]
    assert holm([]) == []


def test_cohens_numbers_of_trials() -> None:
    """Cohen (1988): 26, 64 and 394 in each group for large, middle and small effects at 0.05 and a power of 0.8."""
    assert [trials_needed(d, 1.0, 0.05) for d in (0.8, 0.5, 0.2)] == [26, 64, 394]
    assert trials_needed(0.5, 1.0, 0.05, paired=True) == 34
    assert trials_needed(1e-6, 1.0, 0.05) is None
    assert trials_needed(0.0, 1.0, 0.05) is None
    assert trials_needed(1e3, 1.0, 0.05) == 2


def test_what_six_trials_can_detect() -> None:
    """1.80 standard deviations, and 2.44 at the strictest of Holm's levels over six pairs."""
    values = [0.0, 1.0] * 3
    sd = float(np.std(values, ddof=1))
    assert detectable(values, values, 0.05) == pytest.approx(1.80 * sd, abs=0.005)
    assert detectable(values, values, 0.05 / 6) == pytest.approx(2.44 * sd, abs=0.01)


@pytest.mark.parametrize(("accuracy", "points"), [(0.941, 0.21), (0.976, 0.14), (0.9911, 0.084), (0.995, 0.063)])
def test_error_of_the_test_set(accuracy: float, points: float) -> None:
    assert 100 * sampling_error(accuracy, 12_630) == pytest.approx(points, abs=0.005)


def test_effect_is_hedges_g() -> None:
    """Cohen's d over the pooled deviation, times 1 - 3 / (4 df - 1)."""
    a, b = SLEEP
    pooled = math.sqrt((np.var(a, ddof=1) + np.var(b, ddof=1)) / 2)
    assert effect(a, b) == pytest.approx((fmean(a) - fmean(b)) / pooled * (1 - 3 / (4 * 18 - 1)), rel=1e-9)


# ---------------------------------------------------------------------------------------------- other ways to the same


@given(accuracies.filter(lambda a: len(a) > 1), accuracies.filter(lambda b: len(b) > 1))
def test_welch_is_scipys(a: list[float], b: list[float]) -> None:
    """Where SciPy's own function says something, it says the same."""
    found = t_test(a, b, 0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = stats.ttest_ind(a, b, equal_var=False)
        interval = expected.confidence_interval(0.9)
    if isinstance(found, str):
        assert len(set(a)) == len(set(b)) == 1
        return
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6)
    assert (found.interval.low, found.interval.high) == pytest.approx((interval.low, interval.high), abs=1e-9)


@settings(max_examples=25)
@given(accuracies.filter(lambda a: 1 < len(a) < 6), accuracies.filter(lambda b: 1 < len(b) < 6))
def test_ranks_are_exact_with_ties_too(a: list[float], b: list[float]) -> None:
    """The p is the share of all ways to deal the values out that lie as far from the middle."""
    from itertools import combinations

    pooled, middle = [*a, *b], len(a) * len(b) / 2

    def u(chosen: tuple[int, ...]) -> float:
        mine = [pooled[index] for index in chosen]
        rest = [pooled[index] for index in range(len(pooled)) if index not in chosen]
        return sum((x > y) + 0.5 * (x == y) for x in mine for y in rest)

    every = [u(chosen) for chosen in combinations(range(len(pooled)), len(a))]
    seen = u(tuple(range(len(a))))
    tails = [sum(one <= seen + 1e-9 for one in every), sum(one >= seen - 1e-9 for one in every)]
    assert ranks(a, b).p == pytest.approx(min(1.0, 2 * min(tails) / len(every)))
    assert middle >= 0


@given(accuracies.filter(lambda a: len(a) > 1), accuracies.filter(lambda b: len(b) > 1), st.floats(0.001, 0.2))
def test_tost_is_the_interval_within_the_margin(a: list[float], b: list[float], margin: float) -> None:
    """p is below alpha exactly where the interval of confidence 1 - 2 alpha lies within the margin."""
    found = equivalence(a, b, margin, 0.05)
    if found is None:
        assert isinstance(t_test(a, b, 0.9), str)
        return
    ends = (found.interval.low, found.interval.high)
    if min(abs(abs(end) - margin) for end in ends) > 1e-9:
        assert (found.p < 0.05) == (-margin < ends[0] and ends[1] < margin)


# ---------------------------------------------------------------------------------------------- what holds for all


@settings(max_examples=200)
@given(accuracies, accuracies, st.booleans())
def test_there_is_a_number_or_a_sentence(a: list[float], b: list[float], paired: bool) -> None:
    """Never what is no number, and never a warning; probabilities lie between 0 and 1, ends around what they are of."""
    if paired:
        a, b = a[: len(b)], b[: len(a)]
    numbers: list[float] = []
    found = t_test(a, b, 0.95, paired=paired)
    if isinstance(found, str):
        assert found
    else:
        numbers += [found.statistic, found.df, found.p, found.interval.low, found.interval.high]
        assert 0 <= found.p <= 1
        assert found.interval.low <= fmean(a) - fmean(b) <= found.interval.high
    if ranked := ranks(a, b, paired=paired):
        numbers += [ranked.p, ranked.smallest]
        assert 0 < ranked.p <= 1
    if better := superiority(a, b, 0.95, larger=True, paired=paired):
        numbers += [better.probability, better.interval.low, better.interval.high]
        assert 0 <= better.interval.low <= better.probability + 1e-12
        assert better.probability - 1e-12 <= better.interval.high <= 1
    if equal := equivalence(a, b, 0.005, 0.05, paired=paired):
        numbers += [equal.p, equal.interval.low, equal.interval.high]
    numbers += [one for one in (effect(a, b), detectable(a, b, 0.05, paired=paired)) if one is not None]
    for values in (a, b):
        one = spread(values, 0.95)
        numbers += [one.mean, one.median, one.least, one.most]
        numbers += [] if one.interval is None else [one.interval.low, one.interval.high]
        assert (one.interval is None) == (one.why is not None)
    assert all(map(math.isfinite, numbers))


@given(accuracies, accuracies)
def test_which_comes_first_turns_signs_alone(a: list[float], b: list[float]) -> None:
    one, other = t_test(a, b, 0.95), t_test(b, a, 0.95)
    if isinstance(one, TTest) and isinstance(other, TTest):
        assert other.p == pytest.approx(one.p)
        assert other.statistic == pytest.approx(-one.statistic)
        assert other.interval.low == pytest.approx(-one.interval.high)
    else:
        assert one == other
    first, second = ranks(a, b), ranks(b, a)
    assert (first and first.p) == (second and pytest.approx(second.p))
    better, worse = superiority(a, b, 0.95, larger=True), superiority(b, a, 0.95, larger=True)
    if better and worse:
        assert better.probability == pytest.approx(1 - worse.probability)
        assert better.interval.low == pytest.approx(1 - worse.interval.high, abs=1e-9)
        assert superiority(b, a, 0.95, larger=False) == superiority([-x for x in b], [-x for x in a], 0.95, larger=True)


@given(accuracies, accuracies, st.sampled_from([0.25, 1.0, 8.0]))
def test_a_shift_of_all_values_changes_no_difference(a: list[float], b: list[float], shift: float) -> None:
    one, other = t_test(a, b, 0.95), t_test([x + shift for x in a], [y + shift for y in b], 0.95)
    if isinstance(one, TTest) and isinstance(other, TTest):
        assert other.p == pytest.approx(one.p, rel=1e-4, abs=1e-12)
        assert other.interval.low == pytest.approx(one.interval.low, abs=1e-9)
    else:
        assert one == other


@pytest.mark.parametrize("values", [[], [0.5, math.nan], [math.inf]])
def test_a_spread_is_of_finite_numbers(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        spread(values, 0.95)


def test_values_that_differ_by_rounding_are_the_same() -> None:
    """Three tenths, and the sum of one and two tenths, are no spread to test against."""
    assert "no spread" in str(t_test([0.3, 0.1 + 0.2], [0.3, 0.3], 0.95))
    assert spread([0.3, 0.1 + 0.2], 0.95).interval is None
    assert "same amount" in str(t_test([0.3, 0.5], [0.1, 0.3], 0.95, paired=True))


# ---------------------------------------------------------------------------------------------- simulations


def test_the_interval_keeps_its_promise() -> None:
    """Of 1,000 intervals from six normal trials about 95 in a hundred hold the true mean."""
    drawn = np.random.default_rng(1).normal(0.95, 0.003, (1000, 6))
    held = sum(0.95 in spread(list(map(float, values)), 0.95).interval for values in drawn)
    assert 935 <= held <= 965  # two standard errors about 950


def test_the_interval_of_a_probability_keeps_its_promise() -> None:
    """Nearly: that of P(A better) by Brunner and Munzel holds about 92 in a hundred with six trials each."""
    random = np.random.default_rng(2)
    true = float(stats.norm.cdf(1 / math.sqrt(2)))
    held = 0
    for _ in range(400):
        a, b = random.normal(1, 1, 6), random.normal(0, 1, 6)
        held += true in superiority(list(map(float, a)), list(map(float, b)), 0.95, larger=True).interval
    assert held >= 0.89 * 400


def test_holm_keeps_the_rate_of_false_alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 400 experiments with four equal models no more than about one in twenty finds any difference; without the
    correction far more would."""
    monkeypatch.setattr("gc.collect", lambda: 0)  # which statsmodels calls each time
    random = np.random.default_rng(3)
    alarms = uncorrected = 0
    for _ in range(400):
        models = [list(map(float, random.normal(0.95, 0.003, 6))) for _ in range(4)]
        p = [t_test(models[i], models[j], 0.95).p for i in range(4) for j in range(i)]
        alarms += min(holm(p)) < 0.05
        uncorrected += min(p) < 0.05
    assert alarms <= 33  # 0.05 and three standard errors
    assert uncorrected > 50


def test_power_is_what_it_is_said_to_be() -> None:
    """With as many trials as are said to be needed, about four in five experiments find the difference."""
    random = np.random.default_rng(4)
    n = trials_needed(0.004, 0.003, 0.05)
    found = sum(
        t_test(
            list(map(float, random.normal(0.954, 0.003, n))), list(map(float, random.normal(0.95, 0.003, n))), 0.95
        ).p
        < 0.05
        for _ in range(600)
    )
    assert 0.76 <= found / 600 <= 0.88


def test_equivalence_is_not_claimed_too_often() -> None:
    """Models that differ by just the margin are called equivalent in no more than one of twenty experiments; equal
    ones, with enough trials, nearly always."""
    random = np.random.default_rng(5)

    def claims(apart: float, n: int, count: int) -> int:
        claimed = 0
        for _ in range(count):
            a, b = random.normal(0.95 + apart, 0.003, n), random.normal(0.95, 0.003, n)
            claimed += equivalence(list(map(float, a)), list(map(float, b)), 0.005, 0.05).p < 0.05
        return claimed

    assert claims(0.005, 6, 600) <= 46  # 0.05 and three standard errors
    assert claims(0.0, 12, 200) >= 180
