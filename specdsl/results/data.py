"""Results as plain data: the contract of `--format json`. Numbers are not rounded."""

from __future__ import annotations

from typing_extensions import TypedDict

from specdsl.results.conditions import differences, varied, warnings
from specdsl.results.measures import Measure
from specdsl.results.one_sample import Interval
from specdsl.results.samples import Sample, reason, state
from specdsl.results.summary import Comparison, Results
from specdsl.results.two_samples import TTest
from specdsl.results.verdicts import verdict

SCHEMA = 1
"""The version of the dictionaries' form. A version only ever gains keys."""

Ends = list[float]
"""An interval: its lower and its upper end."""


class SpreadData(TypedDict):
    """A measure over the trials of a model that came to their end."""

    measure: str
    n: int
    values: list[float]
    mean: float
    median: float
    sd: float | None
    min: float
    max: float
    interval: Ends | None
    no_interval: str | None
    test_set_standard_error: float | None


class PublishedData(TypedDict):
    """A figure from elsewhere beside what was measured; the difference is measured minus published."""

    measure: str
    statistic: str
    published: float
    measured: float | None
    difference: float | None
    in_interval: bool | None


class TrialData(TypedDict):
    """A trial that was begun: "finished" ones count."""

    trial: int
    seed: int
    state: str
    reason: str | None
    epochs: int
    kept_epoch: int
    final: dict[str, float]


class ModelData(TypedDict):
    """A run: a model with its trials."""

    key: str
    model: str
    folder: str
    parameters: int | None
    planned_trials: int
    finished_trials: int
    epochs: int
    seed: int
    data: str
    examples: dict[str, int]
    measures: list[SpreadData]
    published: list[PublishedData]
    unlike_published: list[str]
    trials: list[TrialData]
    varied: str


class DifferenceOfRuns(TypedDict):
    """A setting that is not the same in all runs, with what it is in each, and what that means where it is grave."""

    setting: str
    values: dict[str, str]
    grave: str | None


class ResultsData(TypedDict):
    """What runs amount to, as `results --format json` writes it."""

    schema: int
    title: str
    confidence: float
    warnings: list[str]
    differences: list[DifferenceOfRuns]
    models: list[ModelData]


class TestData(TypedDict):
    """The t-test of a pair: "welch" or "paired"."""

    kind: str
    statistic: float
    df: float
    p: float
    interval: Ends


class RanksData(TypedDict):
    """The test by ranks: Mann-Whitney's, or Wilcoxon's for pairs."""

    p: float
    holm: float | None
    exact: bool
    smallest_p: float
    smallest_holm: float | None


class SuperiorityData(TypedDict):
    """How often a trial of the first is better; the method is "brunner-munzel" or "clopper-pearson"."""

    probability: float
    interval: Ends
    method: str


class EquivalenceData(TypedDict):
    """Two one-sided tests; the interval has the confidence 1 - 2 alpha."""

    margin: float
    p: float
    holm: float | None
    interval: Ends


class McNemarData(TypedDict):
    """McNemar's exact test of the averaged predictions."""

    only_a: int
    only_b: int
    p: float
    accuracy_a: float
    accuracy_b: float


class PairData(TypedDict):
    """Two models and the difference of their means, first minus second; shares are not in points."""

    a: str
    b: str
    trials: list[int]
    difference: float
    examples: float | None
    test: TestData | None
    untested: str | None
    holm: float | None
    ranks: RanksData | None
    hedges_g: float | None
    superiority: SuperiorityData | None
    equivalence: EquivalenceData | None
    trials_needed: int | None
    detectable_difference: float | None
    two_level_bootstrap: Ends | None
    mcnemar: McNemarData | None
    not_resampled: str | None
    same_streams: bool
    verdict: str
    sentence: str


class ComparisonData(TypedDict):
    """Models in pairs, as `compare --format json` writes them."""

    schema: int
    title: str
    measure: str
    larger_is_better: bool
    confidence: float
    alpha: float
    margin: float | None
    paired: bool
    warnings: list[str]
    pairs: list[PairData]


def results_data(results: Results) -> ResultsData:
    """Results as plain data."""
    return {
        "schema": SCHEMA,
        "title": results.title,
        "confidence": results.confidence,
        "warnings": list(warnings(results.samples)),
        "differences": [
            {"setting": one.setting, "values": dict(one.values), "grave": one.grave}
            for one in differences(results.samples)
        ],
        "models": [_model(results, sample) for sample in results.samples],
    }


def _model(results: Results, sample: Sample) -> ModelData:
    spreads = [_spread(results, sample, measured) for measured in sample.measures]
    return {
        "key": sample.key,
        "model": sample.run.model,
        "folder": str(sample.run.folder),
        "parameters": sample.parameters,
        "planned_trials": sample.planned,
        "finished_trials": len(sample.finished),
        "epochs": sample.epochs,
        "seed": sample.seed,
        "data": str(sample.run.data["name"]),
        "examples": {part: sample.examples(part) for part in ("train", "validation", "test")},
        "measures": [found for found in spreads if found],
        "published": [
            {
                "measure": one.measure.key,
                "statistic": one.statistic,
                "published": one.published,
                "measured": one.measured,
                "difference": one.difference,
                "in_interval": one.within,
            }
            for one in results.published(sample)
        ],
        "unlike_published": list(sample.departures),
        "trials": [
            {
                "trial": trial.trial,
                "seed": trial.seed,
                "state": state(trial),
                "reason": None if state(trial) == "finished" else reason(trial),
                "epochs": trial.epochs,
                "kept_epoch": trial.kept_epoch,
                "final": {name: value for name, value in trial.final.items() if value is not None},
            }
            for trial in sample.run.trials
        ],
        "varied": varied(sample),
    }


def _spread(results: Results, sample: Sample, measured: Measure) -> SpreadData | None:
    found = results.spread(sample, measured)
    if found is None:
        return None
    return {
        "measure": measured.key,
        "n": found.n,
        "values": list(found.values),
        "mean": found.mean,
        "median": found.median,
        "sd": found.sd,
        "min": found.least,
        "max": found.most,
        "interval": _ends(found.interval),
        "no_interval": found.why,
        "test_set_standard_error": results.test_error(sample, measured),
    }


def comparison_data(comparison: Comparison) -> ComparisonData:
    """A comparison as plain data."""
    return {
        "schema": SCHEMA,
        "title": comparison.results.title,
        "measure": comparison.measure.key,
        "larger_is_better": comparison.measure.larger,
        "confidence": comparison.terms.confidence,
        "alpha": comparison.terms.alpha,
        "margin": comparison.terms.margin,
        "paired": comparison.terms.paired,
        "warnings": list(warnings(comparison.results.samples)),
        "pairs": [
            {
                "a": pair.a,
                "b": pair.b,
                "trials": list(pair.n),
                "difference": pair.difference,
                "examples": pair.examples,
                "test": {
                    "kind": pair.test.kind,
                    "statistic": pair.test.statistic,
                    "df": pair.test.df,
                    "p": pair.test.p,
                    "interval": _ends_of(pair.test.interval),
                }
                if isinstance(pair.test, TTest)
                else None,
                "untested": None if isinstance(pair.test, TTest) else pair.test,
                "holm": pair.holm,
                "ranks": {
                    "p": pair.ranks.p,
                    "holm": pair.ranks_holm,
                    "exact": pair.ranks.exact,
                    "smallest_p": pair.ranks.smallest,
                    "smallest_holm": pair.smallest_holm,
                }
                if pair.ranks
                else None,
                "hedges_g": pair.effect,
                "superiority": {
                    "probability": pair.superiority.probability,
                    "interval": _ends_of(pair.superiority.interval),
                    "method": pair.superiority.method,
                }
                if pair.superiority
                else None,
                "equivalence": {
                    "margin": pair.equivalence.margin,
                    "p": pair.equivalence.p,
                    "holm": pair.equivalence_holm,
                    "interval": _ends_of(pair.equivalence.interval),
                }
                if pair.equivalence
                else None,
                "trials_needed": pair.needed,
                "detectable_difference": pair.detectable,
                "two_level_bootstrap": _ends(pair.bootstrap),
                "mcnemar": {
                    "only_a": pair.mcnemar.only_a,
                    "only_b": pair.mcnemar.only_b,
                    "p": pair.mcnemar.p,
                    "accuracy_a": pair.mcnemar.accuracy_a,
                    "accuracy_b": pair.mcnemar.accuracy_b,
                }
                if pair.mcnemar
                else None,
                "not_resampled": pair.unresampled,
                "same_streams": pair.streams,
                "verdict": pair.verdict,
                "sentence": verdict(comparison, pair),
            }
            for pair in comparison.pairs
        ],
    }


def _ends(interval: Interval | None) -> Ends | None:
    return None if interval is None else _ends_of(interval)


def _ends_of(interval: Interval) -> Ends:
    return [interval.low, interval.high]
