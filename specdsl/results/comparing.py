"""Models compared in pairs: everything that the trials say of each difference, and a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Literal

from specdsl.declaration import Misuse
from specdsl.results import two_samples
from specdsl.results.conditions import same_streams
from specdsl.results.examples import McNemar, Predictions, mcnemar, predictions, two_level
from specdsl.results.measures import Measure
from specdsl.results.one_sample import Interval
from specdsl.results.samples import Sample, chosen_measure
from specdsl.results.two_samples import Equivalence, Ranks, Superiority, TTest

MARGIN = 0.5
"""The largest difference of accuracies, in points, that counts as none where nobody says otherwise: 63 of the 12,630
test images of the German benchmark, and two standard errors of the difference of two accuracies of 0.96 on as many."""

Verdict = Literal["different", "different within the margin", "equivalent", "open", "untested"]
"""What can come of a pair: the means differ, by less than the margin or not; they differ by less than the margin, if at
all; neither a difference nor equivalence is shown; there is nothing to test with."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a comparison is made with.

    Attributes:
        confidence: of all intervals.
        alpha: the level of all tests, over all pairs of a comparison.
        margin: the largest difference that counts as none, in the measure's own units (0.005 for half a point); None
            where equivalence is not asked for.
        paired: whether trials of the same number are compared with one another.
    """

    confidence: float = 0.95
    alpha: float = 0.05
    margin: float | None = None
    paired: bool = False


@dataclass(frozen=True, slots=True)
class Pair:
    """Two models and what the trials say of the difference of their means, first minus second.

    Attributes:
        a: the key of the first.
        b: the key of the second.
        n: how many trials of each are compared.
        difference: of the means.
        examples: the same in examples of the part, where the measure is a share of them and both have as many.
        test: the t-test, or a sentence that says why there is none.
        holm: its p, corrected for all pairs.
        ranks: the test by ranks; None where a model has a single trial.
        ranks_holm: its p, corrected for all pairs.
        smallest_holm: the smallest corrected p that the test by ranks could give to a single pair of these.
        effect: Hedges' g.
        superiority: how often a trial of the first is better.
        equivalence: the test of equivalence, where there is a margin and something to test.
        equivalence_holm: its p, corrected for all pairs.
        needed: how many trials of each would find the difference, were it the true one; None where none is missing,
            where there is no difference, or where more than 10,000 are.
        detectable: the least difference that these trials would mostly find.
        bootstrap: the interval of the difference when test examples are drawn anew too.
        mcnemar: the test of the averaged predictions.
        unresampled: why the last two are missing, in a sentence.
        streams: whether trials of the same number had order and augmentation in common.
        verdict: what comes of all this.
    """

    a: str
    b: str
    n: tuple[int, int]
    difference: float
    examples: float | None
    test: TTest | str
    holm: float | None
    ranks: Ranks | None
    ranks_holm: float | None
    smallest_holm: float | None
    effect: float | None
    superiority: Superiority | None
    equivalence: Equivalence | None
    equivalence_holm: float | None
    needed: int | None
    detectable: float | None
    bootstrap: Interval | None
    mcnemar: McNemar | None
    unresampled: str | None
    streams: bool
    verdict: Verdict


def compared(
    samples: Sequence[Sample], metric: str | None, terms: Terms, baseline: str | None, margin: float | None
) -> tuple[Measure, Terms, tuple[Pair, ...]]:
    """All pairs of models, or all others against one.

    Args:
        samples: the runs; those without a finished trial are left out.
        metric: what is compared, by default the test accuracy, or else the test loss.
        terms: with what; its margin is set here.
        baseline: the key of the model that the others are compared with; all pairs without it.
        margin: the largest difference that counts as none: in points of shares, else in the measure's own unit.

    Raises:
        Misuse: there is no such metric or baseline, fewer than two models have a finished trial, trials cannot be
            paired, or the margin or the level is none.
    """
    if margin is not None and not 0 < margin < math.inf:
        raise Misuse(f"a margin is a number above 0, not {margin:g}", argument="margin")
    if not 0 < terms.alpha < 0.5:
        raise Misuse(f"the level of tests lies between 0 and 0.5, not at {terms.alpha:g}", argument="alpha")
    measured = chosen_measure(samples, metric)
    values = {sample.key: sample.by_trial(measured) for sample in samples}
    able = [sample for sample in samples if values[sample.key]]
    if len(able) < 2:
        there = f"{able[0].key} alone has one" if able else "none of them has one"
        raise Misuse(f"a comparison takes two models whose finished trials have a {measured.title}, and {there}")
    if margin is None and measured.share:
        margin = MARGIN
    terms = Terms(
        terms.confidence, terms.alpha, None if margin is None else margin / (100 if measured.share else 1), terms.paired
    )
    by_key = {sample.key: sample for sample in able}
    keys = _pairs(list(by_key), [sample.key for sample in samples], baseline)
    taken: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    for a, b in keys:
        if terms.paired:
            _check_paired(by_key[a], by_key[b])
            shared = [number for number in values[a] if number in values[b]]
            if not shared:
                raise Misuse(f"{a} and {b} have no finished trial of the same number to pair")
            taken[a, b] = [values[a][number] for number in shared], [values[b][number] for number in shared]
        else:
            taken[a, b] = list(values[a].values()), list(values[b].values())
    return measured, terms, tuple(_pairs_made(taken, by_key, measured, terms))


def _pairs(able: list[str], known: list[str], baseline: str | None) -> list[tuple[str, str]]:
    if baseline is None:
        return list(combinations(able, 2))
    if baseline not in known:
        raise Misuse(
            f"there is no model '{baseline}' to compare with", argument="baseline", help=f"there are {', '.join(known)}"
        )
    if baseline not in able:
        raise Misuse(f"'{baseline}' has no finished trial to compare with", argument="baseline")
    return [(key, baseline) for key in able if key != baseline]


def _check_paired(a: Sample, b: Sample) -> None:
    if not same_streams(a, b):
        raise Misuse(
            f"the trials of {a.key} and {b.key} have nothing in common to pair them by",
            argument="paired",
            help="trials are pairs where seed, data, batch and augmentation of the runs are the same",
        )


def _pairs_made(
    taken: Mapping[tuple[str, str], tuple[list[float], list[float]]],
    samples: Mapping[str, Sample],
    measured: Measure,
    terms: Terms,
) -> list[Pair]:
    tests = {pair: two_samples.t_test(x, y, terms.confidence, paired=terms.paired) for pair, (x, y) in taken.items()}
    ranked = {pair: two_samples.ranks(x, y, paired=terms.paired) for pair, (x, y) in taken.items()}
    equal = {
        pair: two_samples.equivalence(x, y, terms.margin, terms.alpha, paired=terms.paired)
        if terms.margin is not None
        else None
        for pair, (x, y) in taken.items()
    }
    holm = _corrected({pair: test.p for pair, test in tests.items() if isinstance(test, TTest)})
    ranks_holm = _corrected({pair: found.p for pair, found in ranked.items() if found})
    equal_holm = _corrected({pair: found.p for pair, found in equal.items() if found})
    strictest = terms.alpha / max(1, len(holm))
    intervals, tables, missing = _resampled(list(taken), samples, measured, terms)
    made = []
    for pair, (x, y) in taken.items():
        a, b = pair
        by_ranks = ranked[pair]
        sizes = {samples[key].examples(measured.part) for key in pair}
        difference = fmean(x) - fmean(y)
        verdict = _verdict(holm.get(pair), equal_holm.get(pair), terms)
        sd = two_samples.spread_of_trials(x, y, paired=terms.paired)
        needed = None
        if verdict == "open" and sd:
            needed = two_samples.trials_needed(difference, sd, strictest, paired=terms.paired)
        made.append(
            Pair(
                a=a,
                b=b,
                n=(len(x), len(y)),
                difference=difference,
                examples=difference * sizes.pop() if measured.share and len(sizes) == 1 else None,
                test=tests[pair],
                holm=holm.get(pair),
                ranks=by_ranks,
                ranks_holm=ranks_holm.get(pair),
                smallest_holm=min(1.0, by_ranks.smallest * len(ranks_holm)) if by_ranks else None,
                effect=two_samples.effect(x, y),
                superiority=two_samples.superiority(
                    x, y, terms.confidence, larger=measured.larger, paired=terms.paired
                ),
                equivalence=equal[pair],
                equivalence_holm=equal_holm.get(pair),
                needed=needed,
                detectable=two_samples.detectable(x, y, strictest, paired=terms.paired),
                bootstrap=intervals.get(pair),
                mcnemar=tables.get(pair),
                unresampled=missing.get(pair),
                streams=same_streams(samples[a], samples[b]),
                verdict=verdict,
            )
        )
    return made


def _corrected(p: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    return dict(zip(p, two_samples.holm(list(p.values())), strict=True))


def _verdict(differing: float | None, equal: float | None, terms: Terms) -> Verdict:
    """What comes of the tests, corrected for all pairs."""
    if differing is None:
        return "untested"
    different, equivalent = differing < terms.alpha, equal is not None and equal < terms.alpha
    if different:
        return "different within the margin" if equivalent else "different"
    return "equivalent" if equivalent else "open"


def _resampled(
    pairs: Sequence[tuple[str, str]], samples: Mapping[str, Sample], measured: Measure, terms: Terms
) -> tuple[dict[tuple[str, str], Interval], dict[tuple[str, str], McNemar], dict[tuple[str, str], str]]:
    """Of each pair the interval by two-level bootstrap and McNemar's test, or why there are none."""
    found = {key: predictions(samples[key], measured) for key in dict.fromkeys(key for pair in pairs for key in pair)}
    missing: dict[tuple[str, str], str] = {}
    able: dict[tuple[str, str], tuple[Predictions, Predictions]] = {}
    for a, b in pairs:
        x, y = found[a], found[b]
        if isinstance(x, str) or isinstance(y, str):
            missing[a, b] = x if isinstance(x, str) else str(y)
        elif x.answers.shape != y.answers.shape or bool((x.answers != y.answers).any()):
            missing[a, b] = f"{a} and {b} were tested on different examples"
        else:
            able[a, b] = x, y
    intervals: dict[tuple[str, str], Interval] = {}
    tables: dict[tuple[str, str], McNemar] = {}
    for group in _groups(list(able)):
        of_group = {key: one for key in dict.fromkeys(key for pair in group for key in pair)
                    if isinstance(one := found[key], Predictions)}  # fmt: skip
        intervals |= two_level(of_group, group, terms.confidence)
    for pair, (x, y) in able.items():
        table = mcnemar(x, y)
        if table:
            tables[pair] = table
    return intervals, tables, missing


def _groups(pairs: list[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Pairs that hang together, as those on one test set do."""
    groups: list[list[tuple[str, str]]] = []
    for pair in pairs:
        touching = [group for group in groups if any(key in one for one in group for key in pair)]
        groups = [group for group in groups if group not in touching]
        groups.append([*(one for group in touching for one in group), pair])
    return groups
