"""Comparisons that resample the test examples too, from the predictions that the trials have left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from specdsl.recipes.naming import Worth
from specdsl.results.measures import Measure
from specdsl.results.one_sample import Interval
from specdsl.results.samples import Sample
from specdsl.runs import RunError

RESAMPLES = 2000
"""How often trials and test examples are drawn anew."""
SEED = 20_240_229
"""What these draws come from: the same runs give the same interval."""
_AT_ONCE = 2_000_000
"""How many draws of examples are held at once."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class McNemar:
    """McNemar's exact test of the two models' averaged predictions, each an ensemble of its trials.

    Attributes:
        only_a: test examples that the first alone tells rightly.
        only_b: those that the second alone does.
        p: two-sided.
        accuracy_a: the first's accuracy.
        accuracy_b: the second's.
    """

    only_a: int
    only_b: int
    p: float
    accuracy_a: float
    accuracy_b: float


@dataclass(frozen=True)
class Predictions:
    """What the finished trials of a run are worth on each test example.

    Attributes:
        worth: for each trial and example 1 where it is told rightly, else 0; of values the error, float32 (trials, n).
        answers: the labels, or the values to predict: what tells one test set from another.
        right: of classes, which examples the trials' averaged probabilities tell rightly, bool (n,); None of values.
    """

    worth: NDArray[np.float32]
    answers: NDArray[np.generic]
    right: NDArray[np.bool_] | None


_ERRORS: Mapping[Worth | None, np.ufunc] = {"squared error": np.square, "absolute error": np.absolute}
"""What is measured of the errors of predicted values."""


def predictions(sample: Sample, measured: Measure) -> Predictions | str:
    """The predictions of a run's finished trials, or why they cannot be used, in a sentence.

    They are used where their mean over the examples is the measure's value in every trial, so that what is resampled is
    what was measured.
    """
    if measured.part != "test":
        return f"predictions are kept of test examples alone, and this is {measured.title}"
    rows, total, answers = [], None, None
    for trial in sample.finished:
        try:
            found = trial.predictions()
        except RunError:
            return f"trial {trial.trial} of {sample.key} has no predictions that can be read"
        if "label" in found and measured.worth == "told rightly":
            outputs, own = found["probability"], found["label"]
            row = (outputs.argmax(axis=1) == own).astype(np.float32)
            total = outputs.astype(np.float64) if total is None else total + outputs
        elif "target" in found and measured.worth in _ERRORS:
            outputs, own = found["value"], found["target"]
            row = _ERRORS[measured.worth](outputs - own).reshape(len(own), -1).mean(axis=1).astype(np.float32)
        else:
            return f"{measured.title} is no mean over examples that predictions tell"
        if answers is not None and not np.array_equal(own, answers):
            return f"the trials of {sample.key} were tested on different examples"
        if abs(float(row.mean(dtype=np.float64)) - trial.final[measured.key]) > 1e-4 * max(1.0, float(row.max())):
            return f"the predictions of {sample.key}, trial {trial.trial}, do not have its {measured.title}"
        rows.append(row)
        answers = own
    if answers is None:
        return f"no trial of {sample.key} has come to its end"
    right = None if total is None else total.argmax(axis=1) == answers
    return Predictions(np.stack(rows), answers, right)


def mcnemar(a: Predictions, b: Predictions) -> McNemar | None:
    """McNemar's exact test of two ensembles on the same test examples; None of values."""
    if a.right is None or b.right is None:
        return None
    from statsmodels.stats.contingency_tables import mcnemar as test

    table = [[int(np.sum((a.right == x) & (b.right == y))) for y in (True, False)] for x in (True, False)]
    p = float(test(table, exact=True).pvalue)
    return McNemar(table[0][1], table[1][0], min(p, 1.0), float(a.right.mean()), float(b.right.mean()))


def two_level(
    found: Mapping[str, Predictions], pairs: Sequence[tuple[str, str]], confidence: float
) -> dict[tuple[str, str], Interval]:
    """Intervals of the differences of means when trials and test examples are drawn anew, with replacement.

    Examples are drawn for all models at once, as they were tested on the same; trials for each on its own. There is no
    function for this in SciPy, whose bootstrap draws along one axis.

    Args:
        found: the predictions of the models, on the same examples.
        pairs: which differences, first minus second.
        confidence: of the intervals, by percentiles.
    """
    keys = sorted(found)  # so that the draws do not depend on the order in which runs are named
    means = np.concatenate(list(_resampled([found[key].worth for key in keys])))
    ends = [50 * (1 - confidence), 50 * (1 + confidence)]
    intervals = {}
    for a, b in pairs:
        low, high = np.percentile(means[:, keys.index(a)] - means[:, keys.index(b)], ends)
        intervals[a, b] = Interval(float(low), float(high))
    return intervals


def _resampled(worth: Sequence[NDArray[np.float32]]) -> Iterator[Floats]:
    """The models' means in resamples, float64 (resamples of a part, models), part after part."""
    random = np.random.default_rng(SEED)
    examples = worth[0].shape[1]
    at_once = max(1, min(RESAMPLES, _AT_ONCE // examples))
    for start in range(0, RESAMPLES, at_once):
        count = min(at_once, RESAMPLES - start)
        drawn = random.integers(0, examples, (count, examples)) + examples * np.arange(count)[:, None]
        often = np.bincount(drawn.ravel(), minlength=count * examples).reshape(count, examples).astype(np.float32)
        columns = []
        for rows in worth:
            trials = random.integers(0, len(rows), (count, len(rows)))
            by_trial = (rows @ often.T).astype(np.float64) / examples
            columns.append(np.take_along_axis(by_trial.T, trials, axis=1).mean(axis=1))
        yield np.stack(columns, axis=1)
