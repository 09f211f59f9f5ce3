"""What the results of runs are, told in tables and sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from specdsl.results.conditions import differences, kept, varied, warnings
from specdsl.results.document import Column, Document, Table
from specdsl.results.measures import Measure
from specdsl.results.one_sample import Interval
from specdsl.results.samples import Sample, reason, state
from specdsl.results.summary import Results

INTERVAL = (
    "The interval is Student's t-interval of the mean over trials: where more trials of the same kind would put it. "
    "A percentile bootstrap would be too narrow, with six trials it keeps 87 % where it promises 95 %."
)
TEST_ERROR = (
    "The last column is the error that a value has because it is measured on a sample of examples (binomial): all "
    "trials have it in common, so that it is not in the interval. It is a lower bound where examples come in groups "
    "that are alike, as images of one physical sign do."
)


def results_document(results: Results, measures: Sequence[Measure]) -> Document:
    """All that is told of runs.

    Args:
        results: the results.
        measures: those whose spread is told.
    """
    samples = results.samples
    parts = [_means(results)]
    for measured in (one for one in measures if any(sample.values(one) for sample in samples)):
        parts += [_spreads(results, measured), _values(results, measured)]
    parts += [*_published(results), *_left_out(samples, measures), *_differences(samples)]
    return Document(results.title, list(facts(samples)), warnings(samples), parts)


def facts(samples: Sequence[Sample]) -> Iterator[str]:
    """What holds for all runs: their data, how long they trained, what differs between trials."""
    yield from _each(samples, lambda sample: f"{_data(sample)}.")
    if all(sample.planned == 1 for sample in samples):
        yield "One trial of each model: nothing is known of how trials spread."
    else:
        yield from _each(samples, varied)
    yield from _each(samples, kept)


def _each(samples: Sequence[Sample], of: Callable[[Sample], str]) -> Iterator[str]:
    """What holds for every run once; what does not, with the runs that it holds for."""
    found: dict[str, list[str]] = {}
    for sample in samples:
        found.setdefault(of(sample), []).append(sample.key)
    for told, keys in found.items():
        yield told if len(found) == 1 else f"{', '.join(keys)}: {told}"


def _data(sample: Sample) -> str:
    counts = [f"{sample.examples('train'):,} examples for training"]
    if sample.examples("validation"):
        counts.append(f"{sample.examples('validation'):,} for validation")
    counts.append(f"{sample.examples('test'):,} for the test")
    epochs = f"{sample.epochs:,} epoch{'' if sample.epochs == 1 else 's'}"
    return f"{sample.run.data['name']}: {', '.join(counts)}; {epochs}; seed {sample.seed}"


def _means(results: Results) -> Table:
    measures = results.measures
    columns = [Column("Model", right=False), Column("Parameters"), Column("Trials"), Column("Epochs")]
    columns += [Column(_heading(measured)) for measured in measures]
    rows = []
    for sample in results.samples:
        spreads = [results.spread(sample, measured) for measured in measures]
        means = [measured.value(found.mean) if found else "" for measured, found in zip(measures, spreads, strict=True)]
        parameters = "" if sample.parameters is None else f"{sample.parameters:,}"
        rows.append([sample.key, parameters, _trials(sample), _epochs(sample), *means])
    notes = ["Values are of the weights that a trial ended with, on whole parts, without augmentation and dropout."]
    if any(len(sample.finished) < sample.planned for sample in results.samples):
        notes.append("Means are over the trials that came to their end; the others are listed below.")
    return Table("Means over trials", columns, rows, notes)


def _trials(sample: Sample) -> str:
    finished = len(sample.finished)
    return str(finished) if finished == sample.planned else f"{finished} of {sample.planned}"


def _epochs(sample: Sample) -> str:
    found = sorted({trial.epochs for trial in sample.finished})
    if not found:
        return ""
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,}–{found[-1]:,}"


def _spreads(results: Results, measured: Measure) -> Table:
    percent = f"{100 * results.confidence:g} %"
    unit = f", {measured.unit}" if measured.unit else ""
    columns = [Column("Model", right=False), *map(Column, ("n", "Mean", "Median", f"SD{unit}", "Least", "Most"))]
    columns += [Column(f"{percent} interval"), Column(f"Sampling error{unit}")]
    rows, notes = [], [INTERVAL]
    missing: dict[str, list[str]] = {}
    intervals: list[Interval | None] = []
    for sample in results.samples:
        found = results.spread(sample, measured)
        if found is None:
            rows.append([sample.key, "0", *[""] * (len(columns) - 2)])
            continue
        if found.why:
            missing.setdefault(found.why, []).append(sample.key)
        intervals.append(found.interval)
        error = results.test_error(sample, measured)
        rows.append([
            sample.key, str(found.n), measured.value(found.mean), measured.value(found.median),
            measured.difference(found.sd, sign=False), measured.value(found.least), measured.value(found.most),
            interval_text(found.interval, measured), measured.difference(error, sign=False),
        ])  # fmt: skip
    if len([row for row in rows if row[7]]) == 0:
        notes = []
    notes += [f"No interval of {', '.join(keys)}: {why}." for why, keys in missing.items()]
    if any(row[-1] for row in rows):
        notes.append(TEST_ERROR)
    if any(measured.share and interval and (interval.low < 0 or interval.high > 1) for interval in intervals):
        notes.append(
            "An interval that reaches beyond 0 or 1 is of trials that are too few, or too unlike, for a t-interval: "
            "look at the values themselves."
        )
    return Table(f"{_heading(measured)} over trials", columns, rows, notes)


def interval_text(interval: Interval | None, measured: Measure) -> str:
    """An interval of values: `0.9387 to 0.9431`."""
    return f"{measured.value(interval.low)} to {measured.value(interval.high)}" if interval else ""


def _values(results: Results, measured: Measure) -> Table:
    columns = [Column("Model", right=False), Column("Trials in their order", right=False, folds=True)]
    rows = [
        [sample.key, ", ".join(measured.value(value) for value in sample.values(measured))]
        for sample in results.samples
    ]
    return Table(f"{_heading(measured)}, all trials", columns, rows)


def _published(results: Results) -> list[Table]:
    columns = [Column("Model", right=False), Column("Figure", right=False), Column("Published"), Column("Measured")]
    columns += [Column("Difference"), Column("In the interval", right=False)]
    rows = []
    for sample in results.samples:
        for figure in results.published(sample):
            measured = figure.measure
            unit = " points" if measured.share and figure.difference is not None else ""
            within = "" if figure.within is None else "yes" if figure.within else "no"
            rows.append([
                sample.key,
                f"{figure.statistic} {measured.title}",
                measured.value(figure.published),
                measured.value(figure.measured),
                f"{measured.difference(figure.difference)}{unit}",
                within,
            ])  # fmt: skip
    if not rows:
        return []
    note = (
        "The difference is measured minus published. A published mean has an error of its own: that it lies outside "
        f"of the {100 * results.confidence:g} % interval of the measured mean does not by itself show that the "
        "set-ups differ."
    )
    return [Table("Beside the published figures", columns, rows, [*unlike_published(results.samples), note])]


def unlike_published(samples: Sequence[Sample]) -> Iterator[str]:
    """That runs are not what published figures are of, in a sentence for all runs that it holds for alike."""
    found: dict[tuple[str, ...], list[str]] = {}
    for sample in samples:
        if sample.departures:
            found.setdefault(sample.departures, []).append(sample.key)
    for departures, keys in found.items():
        which = "these runs" if len(keys) == len(samples) else ", ".join(keys)
        told = "; ".join(departures)
        yield f"The published figures are of what the experiment declares. Otherwise in {which}: {told}."


def _left_out(samples: Sequence[Sample], measures: Sequence[Measure]) -> list[Table]:
    columns = [Column("Model", right=False), Column("Trial"), Column("State", right=False), Column("Epochs")]
    columns += [*(Column(_heading(measured)) for measured in measures), Column("Why", right=False, folds=True)]
    rows = []
    for sample in samples:
        for trial in sample.left_out:
            values = [measured.value(trial.final.get(measured.key)) for measured in measures]
            epochs = f"{trial.epochs} of {sample.epochs}"
            rows.append([sample.key, str(trial.trial), state(trial), epochs, *values, reason(trial)])
        begun = {trial.trial for trial in sample.run.trials}
        for first, last in _runs_of([number for number in range(1, sample.planned + 1) if number not in begun]):
            numbers = f"{first}–{last}" if first < last else str(first)
            rows.append([sample.key, numbers, "not begun", "", *[""] * len(measures), ""])
    return [Table("Trials that do not count", columns, rows)] if rows else []


def _runs_of(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first and the last of those that follow each other; `numbers` rise."""
    for _, together in groupby(enumerate(numbers), lambda one: one[1] - one[0]):
        members = [number for _, number in together]
        yield members[0], members[-1]


def _differences(samples: Sequence[Sample]) -> list[Table]:
    found = differences(samples)
    if not found:
        return []
    columns = [Column("Setting", right=False)]
    columns += [Column(sample.key, right=False, folds=True) for sample in samples]
    rows = [[one.setting, *(_short(one.values[sample.key]) for sample in samples)] for one in found]
    return [Table("What differs between the runs", columns, rows)]


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:16]}…"


def _heading(measured: Measure) -> str:
    return measured.title[:1].upper() + measured.title[1:]
