"""What a comparison of models says, told in tables and sentences."""

from __future__ import annotations

from collections.abc import Iterator

from specdsl.results.comparing import MARGIN, Pair
from specdsl.results.conditions import warnings
from specdsl.results.document import Column, Document, Sentences, Table
from specdsl.results.measures import Measure, probability
from specdsl.results.one_sample import Interval
from specdsl.results.summary import Comparison
from specdsl.results.telling import facts
from specdsl.results.two_samples import MOST_TRIALS, TTest


def comparison_document(comparison: Comparison) -> Document:
    """All that is told of pairs of models."""
    measured = comparison.measure
    samples = comparison.results.samples
    told = [*facts(samples), *_left_out(comparison)]
    parts: list[Table | Sentences | None] = [
        Sentences("Verdicts", [verdict(comparison, pair) for pair in comparison.pairs]),
        _differences(comparison),
        _tests(comparison),
        _equivalence(comparison),
        _examples(comparison),
        Sentences("How to read this", list(_reading(comparison))),
    ]
    title = f"{comparison.results.title}: {measured.title}"
    return Document(title, told, warnings(samples), [part for part in parts if part is not None])


def verdict(comparison: Comparison, pair: Pair) -> str:
    """What the trials say of a pair, in one sentence that claims no more than they do, and one of what spoils it."""
    alike = [sample for sample in comparison.results.samples if sample.key in (pair.a, pair.b)]
    return " ".join([_verdict(comparison, pair), *warnings(alike)])


def _verdict(comparison: Comparison, pair: Pair) -> str:
    measured, terms = comparison.measure, comparison.terms
    if pair.verdict == "untested":
        beside = f"; {_difference(comparison, pair)}"
        return f"{pair.a} and {pair.b} cannot be told apart by a test: {pair.test}{beside}."
    assert isinstance(pair.test, TTest)
    margin = measured.margin(terms.margin) if terms.margin is not None else ""
    corrected = " after Holm" if len(comparison.pairs) > 1 else ""
    p = f"p {_equals(pair.holm)}{corrected}"
    tost = f"within {margin} (TOST, p {_equals(pair.equivalence_holm)}{corrected})"
    told = _difference(comparison, pair, pair.test.interval, terms.confidence)
    if pair.verdict == "equivalent" and pair.equivalence:
        told = _difference(comparison, pair, pair.equivalence.interval, 1 - 2 * terms.alpha)
        return f"{pair.a} and {pair.b} are equivalent {tost}: {told}."
    if pair.verdict == "open":
        beside = f", nor shown to be equivalent within {margin}," if margin else ""
        return (
            f"{pair.a} and {pair.b} are not told apart{beside} by these {_trials(pair)} ({p}): {told}; {_needed(pair)}."
        )
    better, worse = (pair.a, pair.b) if (pair.difference > 0) == measured.larger else (pair.b, pair.a)
    within = f", yet equivalent to it {tost}" if pair.verdict == "different within the margin" else ""
    return f"{better} is better than {worse}{within}: {told} ({p})."


def _difference(
    comparison: Comparison, pair: Pair, interval: Interval | None = None, confidence: float | None = None
) -> str:
    """By how much one of a pair is higher than the other, with the interval of that."""
    measured = comparison.measure
    higher, low, high = pair.a, None, None
    if interval:
        low, high = interval.low, interval.high
    if pair.difference < 0:
        higher, low, high = pair.b, None if high is None else -high, None if low is None else -low
    told = f"the {measured.title} of {higher} is higher by {_size(comparison, pair)}"
    if pair.difference == 0:
        told = f"the mean {measured.title} is the same"
    if low is None or high is None or confidence is None:
        return told
    unit = " points" if measured.share else ""
    ends = f"{measured.difference(low, sign=False)} to {measured.difference(high, sign=False)}{unit}"
    return f"{told}, {100 * confidence:g} % interval {ends}"


def _size(comparison: Comparison, pair: Pair) -> str:
    measured = comparison.measure
    unit = " points" if measured.share else ""
    size = measured.difference(abs(pair.difference), sign=False)
    if pair.examples is None:
        return f"{size}{unit}"
    examples = abs(pair.examples)
    number = f"{examples:,.1f}" if examples < 10 else f"{examples:,.0f}"
    whole = next(sample for sample in comparison.results.samples if sample.key == pair.a).examples(measured.part)
    return f"{size}{unit} ({number} of {whole:,} {measured.part} examples)"


def _equals(p: float | None) -> str:
    shown = probability(p)
    return shown if shown.startswith("<") else f"= {shown}"


def _trials(pair: Pair) -> str:
    n, m = pair.n
    return f"{n} and {m} trials"


def _needed(pair: Pair) -> str:
    if pair.difference == 0:
        return "the means are the same"
    if pair.needed is None:
        return f"a true difference of that size would take more than {MOST_TRIALS:,} trials of each to be found"
    if pair.needed <= min(pair.n):  # worked out for models that spread alike; Welch's test takes none to do so
        return "so many trials would mostly find a difference of that size if both models spread alike; these do not"
    return f"a true difference of that size would take about {pair.needed:,} trials of each to be found (power 0.8)"


def _left_out(comparison: Comparison) -> Iterator[str]:
    """Models and trials that are not in the comparison, in sentences."""
    compared = {key for pair in comparison.pairs for key in (pair.a, pair.b)}
    for sample in comparison.results.samples:
        others = {name: count for name, count in sample.states().items() if name != "finished"}
        told = ", ".join(f"{count} {name}" for name, count in others.items())
        if sample.key not in compared:
            yield f"{sample.key} is not compared: it has no finished trial ({told})."
        elif others:
            yield f"{sample.key} has {len(sample.finished)} of {sample.planned} trials; not counted: {told}."


def _differences(comparison: Comparison) -> Table:
    measured, terms = comparison.measure, comparison.terms
    unit = f", {measured.unit}" if measured.unit else ""
    percent = f"{100 * terms.confidence:g} % interval"
    columns = [Column("A", right=False), Column("B", right=False), *map(Column, (f"A − B{unit}", percent))]
    columns += [*map(Column, ("Examples", "Hedges' g", "P(A better)"))]
    rows = []
    for pair in comparison.pairs:
        better = pair.superiority
        rows.append([
            pair.a,
            pair.b,
            measured.difference(pair.difference),
            _between(pair.test.interval, measured) if isinstance(pair.test, TTest) else "",
            "" if pair.examples is None else f"{pair.examples:+,.1f}".replace("-", "−"),
            "" if pair.effect is None else f"{pair.effect:+.2f}".replace("-", "−"),
            f"{better.probability:.2f} ({better.interval.low:.2f}–{better.interval.high:.2f})" if better else "",
        ])  # fmt: skip
    return Table("Differences of the means", columns, rows, names=2)


def _between(interval: Interval, measured: Measure) -> str:
    return f"{measured.difference(interval.low)} to {measured.difference(interval.high)}"


def _tests(comparison: Comparison) -> Table:
    several, paired = len(comparison.pairs) > 1, comparison.terms.paired
    ranks = "Wilcoxon" if paired else "Mann-Whitney"
    columns = [Column("A", right=False), Column("B", right=False), Column("n")]
    columns += [*map(Column, ("Paired t" if paired else "Welch's t", "df", "p", "Holm", f"{ranks} p", "Holm"))]
    rows = []
    for pair in comparison.pairs:
        test = pair.test if isinstance(pair.test, TTest) else None
        rows.append([
            pair.a,
            pair.b,
            str(pair.n[0]) if paired else f"{pair.n[0]}, {pair.n[1]}",
            f"{test.statistic:.2f}".replace("-", "−") if test else "",
            f"{test.df:.1f}" if test else "",
            probability(test.p if test else None),
            probability(pair.holm) if several else "",
            probability(pair.ranks.p) if pair.ranks else "",
            probability(pair.ranks_holm) if several else "",
        ])  # fmt: skip
    return Table("Is there a difference?", columns, rows, list(dict.fromkeys(_powerless(comparison))), names=2)


def _equivalence(comparison: Comparison) -> Table | None:
    measured, terms = comparison.measure, comparison.terms
    if terms.margin is None or not any(pair.equivalence for pair in comparison.pairs):
        return None
    unit = f", {measured.unit}" if measured.unit else ""
    columns = [Column("A", right=False), Column("B", right=False), Column(f"A − B{unit}")]
    columns += [*map(Column, (f"{100 * (1 - 2 * terms.alpha):g} % interval", "TOST p", "Holm"))]
    rows = []
    for pair in comparison.pairs:
        found = pair.equivalence
        rows.append([
            pair.a,
            pair.b,
            measured.difference(pair.difference),
            _between(found.interval, measured) if found else "",
            probability(found.p) if found else "",
            probability(pair.equivalence_holm) if len(comparison.pairs) > 1 else "",
        ])  # fmt: skip
    return Table(
        f"Is it smaller than {measured.margin(terms.margin)}?", columns, rows, list(_narrow(comparison)), names=2
    )


def _narrow(comparison: Comparison) -> Iterator[str]:
    """That a margin is smaller than what the test set can tell, in a sentence."""
    margin, measured = comparison.terms.margin, comparison.measure
    results = comparison.results
    errors = [error for sample in results.samples if (error := results.test_error(sample, measured)) is not None]
    if margin is not None and errors and margin < max(errors):
        yield (
            f"The margin is smaller than the error of the {measured.part} set, {measured.margin(max(errors))}: "
            "equivalence here is of the means on these examples, and says little of others."
        )


def _powerless(comparison: Comparison) -> Iterator[str]:
    """Tests by ranks that cannot come out, whatever the values are, in sentences."""
    alpha, paired = comparison.terms.alpha, comparison.terms.paired
    ranks = "Wilcoxon's signed-rank test" if paired else "Mann-Whitney's test"
    for pair in comparison.pairs:
        if pair.ranks is None or pair.smallest_holm is None:
            continue
        trials = f"{pair.n[0]} pairs of trials" if paired else _trials(pair)
        if pair.ranks.smallest >= alpha:
            yield (
                f"With {trials} {ranks} cannot give a p below {probability(pair.ranks.smallest)}, whatever the "
                f"values: that it is not below {alpha:g} says nothing."
            )
        elif pair.smallest_holm >= alpha and len(comparison.pairs) > 1:
            yield (
                f"With {trials} {ranks} can give no p below {probability(pair.ranks.smallest)}, and after Holm over "
                f"{len(comparison.pairs)} pairs a single one none below {probability(pair.smallest_holm)}: that it "
                f"is not below {alpha:g} says nothing."
            )


def _examples(comparison: Comparison) -> Table | Sentences:
    """What the test examples say beside the trials."""
    measured = comparison.measure
    unit = f", {measured.unit}" if measured.unit else ""
    percent = f"{100 * comparison.terms.confidence:g} %"
    columns = [Column("A", right=False), Column("B", right=False), Column(f"A − B{unit}")]
    columns += [Column(f"{percent} interval"), *map(Column, ("Only A right", "Only B right"))]
    columns += [Column("McNemar's p")]
    rows: list[list[str]] = []
    missing: dict[str, list[str]] = {}
    for pair in comparison.pairs:
        table = pair.mcnemar
        if pair.bootstrap is None:
            missing.setdefault(str(pair.unresampled), []).append(f"{pair.a} and {pair.b}")
            continue
        rows.append([
            pair.a,
            pair.b,
            measured.difference(pair.difference),
            _between(pair.bootstrap, measured),
            f"{table.only_a:,}" if table else "",
            f"{table.only_b:,}" if table else "",
            probability(table.p) if table else "",
        ])  # fmt: skip
    title = "Differences when test examples are drawn anew"
    notes = [f"Not for {', '.join(pairs)}: {why}." for why, pairs in missing.items()]
    if not rows:
        return Sentences(title, notes)
    notes.append(
        "The interval is that of a bootstrap of 2,000 draws, by percentiles, in which trials and test examples are "
        "drawn anew: it says how the models would differ on other examples of the same kind. With few trials it is "
        "somewhat too narrow, and it takes examples for independent."
    )
    if any(pair.mcnemar for pair in comparison.pairs):
        notes.append(
            "McNemar's exact test is of the ensembles: the averaged probabilities of each model's trials. It takes "
            "the trials as they are, and is not corrected for the number of pairs."
        )
    return Table(title, columns, rows, notes, names=2)


def _reading(comparison: Comparison) -> Iterator[str]:
    terms, measured = comparison.terms, comparison.measure
    pairs = len(comparison.pairs)
    if pairs > 1:
        yield (
            f"Verdicts are at the level {terms.alpha:g} over all {pairs} pairs: p-values of each test are corrected "
            "by Holm's method. Each interval is of its own pair and is not corrected, so that one that leaves out 0 "
            "does not contradict a p above the level."
        )
    else:
        yield f"Verdicts are at the level {terms.alpha:g}."
    if terms.margin is not None:
        own = measured.share and abs(100 * terms.margin - MARGIN) < 1e-9
        because = (
            ", unless --margin says otherwise: two standard errors of the difference of two accuracies of 0.96 on "
            "12,630 examples"
            if own
            else ""
        )
        yield (
            f"Equivalence is that the means of trials differ by less than {measured.margin(terms.margin)}{because}; "
            "two one-sided t-tests (TOST) must both refuse more."
        )
    else:
        yield (
            f"Equivalence is not asked for: of {measured.title} no margin goes without saying. --margin NUMBER "
            "states one."
        )
    if terms.paired:
        yield "Trials of the same number are pairs: they have examples, order and augmentation in common."
    elif any(pair.streams for pair in comparison.pairs):
        yield (
            "Trials of the same number saw the same examples in the same order with the same augmentation, and "
            "begin alike as far as their models do. They are compared as independent ones all the same: where that "
            "makes them rise and fall together this is on the safe side, and a test of pairs (--paired) finds more. "
            "Choose before looking."
        )
    yield (
        "P(A better) is how often a trial of A is better than one of B, with its interval; Hedges' g is the "
        "difference in standard deviations of trials."
    )
    yield (
        "All of this is of these data and recipes. That the test set is a sample is part of the interval with examples "
        "drawn anew, and of no other figure."
    )
