"""The results of runs: of each model its trials, what they ended with, and how that is spread."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from specdsl.declaration import Misuse
from specdsl.results.comparing import Pair, Terms, compared
from specdsl.results.document import Document
from specdsl.results.measures import Measure, measure
from specdsl.results.one_sample import Spread, sampling_error, spread
from specdsl.results.samples import Sample, chosen_measure, common_measures, read_samples

STATISTICS = ("mean", "median", "sd", "min", "max")
"""What a published figure may be of the trials; the mean where its name does not say."""


@dataclass(frozen=True, slots=True)
class Published:
    """A figure from elsewhere beside what was measured.

    Attributes:
        measure: what it is of.
        statistic: which of `STATISTICS` it is.
        published: the figure.
        measured: what the trials gave; None where they gave nothing.
        within: whether the figure lies in the interval of the mean; None of other statistics, and where there is none.
    """

    measure: Measure
    statistic: str
    published: float
    measured: float | None
    within: bool | None

    @property
    def difference(self) -> float | None:
        """Measured minus published."""
        return None if self.measured is None else self.measured - self.published


@dataclass(frozen=True, repr=False)
class Results:
    """The results of runs, ready to be shown.

    Attributes:
        samples: the runs, in the order in which they were named.
        confidence: of the intervals.
    """

    samples: tuple[Sample, ...]
    confidence: float = 0.95

    @property
    def title(self) -> str:
        """What the results are of: the experiment, or the models."""
        names = dict.fromkeys(sample.run.experiment or sample.key for sample in self.samples)
        return ", ".join(names)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What was measured, part by part."""
        return common_measures(self.samples)

    def spread(self, sample: Sample, measured: Measure) -> Spread | None:
        """How a measure is spread over a model's trials; None where no trial that counts has it."""
        values = sample.values(measured)
        return spread(values, self.confidence) if values else None

    def test_error(self, sample: Sample, measured: Measure) -> float | None:
        """The standard error of a share of examples that are a sample; None of other measures and of training."""
        found = self.spread(sample, measured)
        if found is None or not measured.share or measured.part == "train":
            return None
        return sampling_error(found.mean, sample.examples(measured.part))

    def published(self, sample: Sample) -> tuple[Published, ...]:
        """The figures that an experiment states of a model, beside what was measured."""
        made = []
        for name, figure in sample.published.items():
            stem, statistic = _statistic(name)
            of = measure(stem, sample.run.recipe)
            if of is None:
                continue
            found = self.spread(sample, of)
            measured = None
            if found:
                measured = dict(
                    zip(STATISTICS, (found.mean, found.median, found.sd, found.least, found.most), strict=True)
                )[statistic]
            interval = found.interval if found and statistic == "mean" else None
            within = None if interval is None else figure in interval
            made.append(Published(of, statistic, figure, measured, within))
        return tuple(made)

    def table(self, *metrics: str) -> Document:
        """Tables of means, spreads, published figures and trials that do not count.

        Args:
            *metrics: the measures whose spread is told, by default the test accuracy, or else the test loss.

        Raises:
            Misuse: there is no such measure.
        """
        from specdsl.results.telling import results_document

        chosen = [chosen_measure(self.samples, name) for name in metrics]
        if not chosen and self.measures:
            chosen = [chosen_measure(self.samples, None)]
        return results_document(self, chosen)

    def compare(
        self,
        metric: str | None = None,
        *,
        baseline: str | None = None,
        margin: float | None = None,
        alpha: float = 0.05,
        paired: bool = False,
    ) -> Comparison:
        """The models in pairs.

        Args:
            metric: what is compared, by default the test accuracy, or else the test loss.
            baseline: the key of the model that the others are compared with; all pairs without it.
            margin: the largest difference that counts as none: in points of accuracies (0.5 by default), else in the
                measure's own unit (by default equivalence is not asked for).
            alpha: the level of the tests, over all pairs.
            paired: whether trials of the same number are compared with one another.

        Raises:
            Misuse: there is no such metric or model, or fewer than two models have finished trials.
        """
        terms = Terms(self.confidence, alpha, None, paired)
        measured, terms, pairs = compared(self.samples, metric, terms, baseline, margin)
        return Comparison(self, measured, terms, pairs)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, unrounded: what `results --format json` writes."""
        from specdsl.results.data import results_data

        return dict(results_data(self))

    def to_csv(self) -> str:
        """A row for each model and measure."""
        from specdsl.results.rows import results_csv

        return results_csv(self)

    def trials_csv(self) -> str:
        """A row for each trial, those that do not count among them."""
        from specdsl.results.rows import trials_csv

        return trials_csv(self)

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table().to_html()


@dataclass(frozen=True, repr=False)
class Comparison:
    """Models compared in pairs, ready to be shown.

    Attributes:
        results: what they are of.
        measure: what is compared.
        terms: with what.
        pairs: the pairs, in the order of the models.
    """

    results: Results
    measure: Measure
    terms: Terms
    pairs: tuple[Pair, ...]

    def table(self) -> Document:
        """Verdicts, differences, tests, and what the test examples say."""
        from specdsl.results.verdicts import comparison_document

        return comparison_document(self)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, unrounded: what `compare --format json` writes."""
        from specdsl.results.data import comparison_data

        return dict(comparison_data(self))

    def to_csv(self) -> str:
        """A row for each pair."""
        from specdsl.results.rows import comparison_csv

        return comparison_csv(self)

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table().to_html()


def load_results(paths: Sequence[str | Path], confidence: float = 0.95) -> Results:
    """The results of runs and experiments in folders.

    Args:
        paths: the folders.
        confidence: of the intervals, between 0 and 1.

    Raises:
        RunError: a folder holds no run, or what it holds is damaged.
        Misuse: no folder is named, one is named twice, or the confidence is none.
    """
    if not 0 < confidence < 1:
        raise Misuse(f"a confidence lies between 0 and 1, not at {confidence:g}", argument="confidence")
    return Results(read_samples([Path(path) for path in paths]), confidence)


def _statistic(name: str) -> tuple[str, str]:
    """The measure and the statistic that a published figure's name means."""
    found = re.fullmatch(rf"(.+)_({'|'.join(STATISTICS)})", name)
    return (found[1], found[2]) if found else (name, "mean")
