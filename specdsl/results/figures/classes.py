"""Class by class: what is taken for what, and how accurate each class is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from specdsl.results.figures.predictions import Guesses
from specdsl.results.figures.series import CONFIDENCE
from specdsl.results.figures.style import BLUE, INK, SOFT, VERMILION, Picture, percent, sheet, shown

MOST = 50
"""Up to so many classes all are shown; of more, those with the most mistakes."""

NUMBERED = 60
"""Up to so many rows of a confusion matrix, its cells hold their counts."""

PAIRS = 15
"""So many of the most frequent confusions are named."""


def confusion_matrix(guesses: Guesses, of: str, prefix: str = "") -> Picture:
    """The confusion matrix, mistakes emphasised; of more than 50 classes those with the most mistakes."""
    counts = guesses.confusion()
    chosen = _most_mistaken(counts)
    wrong = int(counts.sum() - np.trace(counts))
    title = f"{of}: what each class is taken for"
    caption = [
        f"{int(counts.sum()):,} test examples, {wrong:,} mistakes ({percent(1 - guesses.accuracy, 2)}), "
        f"by {guesses.source}.",
        "Rows: the true class; columns: the predicted one, in the same order.",
        "Mistakes are the darker the more there are, in steps that multiply; the diagonal is pale.",
    ]
    if len(chosen) < len(counts):
        within = counts[np.ix_(chosen, chosen)]
        inside = int(within.sum() - np.trace(within))
        caption.append(
            f"Shown are the {len(chosen)} of {len(counts):,} classes with the most mistakes, "
            f"and {inside:,} of the mistakes."
        )
    said = "; ".join(
        f"{shown(guesses.names[true])} taken for {shown(guesses.names[guess])} {count} times"
        for true, guess, count in _pairs(counts)[:5]
    )
    alternative = f"{title}. {said or 'No example is taken for another class'}."
    return Picture(
        f"{prefix}confusion",
        title,
        " ".join(caption),
        alternative,
        partial(_draw_matrix, counts[np.ix_(chosen, chosen)], _labels(guesses.names, chosen), chosen, title),
    )


def frequent_confusions(guesses: Guesses, of: str, prefix: str = "") -> Picture | None:
    """The most frequent confusions by name; None where there is no mistake."""
    counts = guesses.confusion()
    pairs = _pairs(counts)[:PAIRS]
    if not pairs:
        return None
    wrong = int(counts.sum() - np.trace(counts))
    title = f"{of}: most frequent confusions"
    covered = sum(count for _, _, count in pairs)
    caption = (
        f"The true class → what it is taken for; how often, and in what share of the true class's test "
        f"examples. These are {covered:,} of {wrong:,} mistakes, by {guesses.source}."
    )
    rows = [
        (f"{shown(guesses.names[true], 34)} → {shown(guesses.names[guess], 34)}", count, count / counts[true].sum())
        for true, guess, count in pairs
    ]
    said = "; ".join(f"{named}: {count}" for named, count, _ in rows)
    return Picture(f"{prefix}confusions", title, caption, f"{title}. {said}.", partial(_draw_pairs, rows, title))


def class_accuracies(guesses: Guesses, of: str, prefix: str = "", confidence: float = CONFIDENCE) -> Picture:
    """The accuracy of each class with its Wilson interval and how many test examples it has, from worst to best."""
    from statsmodels.stats.proportion import proportion_confint

    counts = guesses.confusion()
    total, right = counts.sum(axis=1), np.diag(counts)
    present = np.flatnonzero(total)
    share = right[present] / total[present]
    low, high = proportion_confint(right[present], total[present], alpha=1 - confidence, method="wilson")
    order = np.lexsort((present, -total[present], share))[:MOST]
    title = f"{of}: accuracy of each class"
    caption = [
        f"Dot: the share of a class's test examples that are recognised; bar: its {100 * confidence:g}% Wilson "
        f"interval, as if examples were independent; on the right, how many examples. By {guesses.source}: "
        f"{percent(guesses.accuracy, 2)} of all examples, {percent(float(share.mean()), 2)} on average over "
        "classes."
    ]
    if len(order) < len(present):
        caption.append(
            f"Shown are the {len(order)} least accurate of {len(present):,} classes; the others lie from "
            f"{percent(float(np.sort(share)[len(order)]))} up."
        )
    if len(present) < len(total):
        caption.append(f"{len(total) - len(present):,} classes have no test example.")
    worst = "; ".join(
        f"{shown(guesses.names[present[at]])} {percent(share[at])} of {total[present[at]]}" for at in order[:5]
    )
    rows = [
        (label, share[at], low[at], high[at], int(total[present[at]]))
        for label, at in zip(_labels(guesses.names, present[order]), order, strict=True)
    ]
    return Picture(
        f"{prefix}classes",
        title,
        " ".join(caption),
        f"{title}. The least accurate: {worst}.",
        partial(_draw_classes, rows, guesses.accuracy, title),
    )


def _draw_matrix(counts: NDArray[np.int64], labels: list[str], chosen: NDArray[np.int64], title: str) -> Figure:
    size = len(counts)
    cell = 0.5 if size <= 6 else 0.36 if size <= 12 else 0.145 if size > 24 else 0.22
    figure = sheet(max(4.2, size * cell + 0.9 + 0.05 * max(map(len, labels))), max(2.4, size * cell + 0.9))
    axes = figure.add_subplot()
    right = np.diag(counts) / np.maximum(1, counts.sum(axis=1))
    most = max(1, int((counts - np.diag(np.diag(counts))).max()))
    size_of_number = min(8.0, cell * 72 * 0.5)
    for row, column in zip(*np.nonzero(counts), strict=True):
        count = int(counts[row, column])
        if row == column:
            axes.add_patch(_cell(row, column, BLUE, 0.1 + 0.25 * right[row]))
        else:
            strength = 0.3 + 0.7 * np.log(count) / np.log(max(most, 10))
            axes.add_patch(_cell(row, column, VERMILION, round(float(strength), 2)))
        if size <= NUMBERED and (row != column or size <= 24):
            crowded = len(str(count)) > 2 and size > 24
            axes.text(
                column,
                row,
                str(count),
                ha="center",
                va="center",
                color=INK,
                fontsize=size_of_number * (0.72 if crowded else 1),
            )
    fontsize = min(8.5, cell * 72 * 0.68)
    numbered = size > 12
    axes.set_yticks(range(size), labels, fontsize=fontsize)
    axes.set_xticks(
        range(size),
        [str(one) for one in chosen] if numbered else labels,
        fontsize=fontsize,
        rotation=90 if numbered or max(map(len, labels)) > 5 else 0,
    )
    axes.set_xlim(-0.5, size - 0.5)
    axes.set_ylim(size - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.tick_params(length=0)
    axes.grid(visible=False)
    _ruled(axes, size)
    axes.set_xlabel("predicted class" + (", by number" if numbered else ""))
    axes.set_ylabel("true class")
    axes.set_title(shown(title, 80))
    return figure


def _cell(row: int, column: int, colour: str, alpha: float) -> PathPatch:
    x, y = column - 0.5, row - 0.5
    square = Outline([(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1), (x, y)], closed=True)
    return PathPatch(square, facecolor=to_rgba(colour), alpha=alpha, edgecolor="none", gid=f"cell-{row}-{column}")


def _ruled(axes: Axes, size: int) -> None:
    """Thin lines between rows and columns, every fifth one a little stronger, to follow them by."""
    for at in range(1, size):
        strong = size > 12 and at % 5 == 0
        for line in (axes.axhline, axes.axvline):
            line(at - 0.5, color=SOFT, linewidth=0.5 if strong else 0.25, alpha=0.6 if strong else 0.25, zorder=0.5)


def _draw_pairs(rows: list[tuple[str, int, float]], title: str) -> Figure:
    figure = sheet(6.8, 0.95 + 0.21 * len(rows))
    axes = figure.add_subplot()
    axes.barh(range(len(rows)), [count for _, count, _ in rows], height=0.68, color=VERMILION, alpha=0.75)
    for row, (_, count, share) in enumerate(rows):
        axes.annotate(
            f"{count} ({percent(share)})",
            (count, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
        )
    axes.set_yticks(range(len(rows)), [named for named, _, _ in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(right=1.22 * max(count for _, count, _ in rows))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("test examples")
    _title_at_left(figure, title)
    return figure


def _draw_classes(rows: list[tuple[str, float, float, float, int]], overall: float, title: str) -> Figure:
    many = len(rows) > 12
    step = 0.155 if many else 0.26
    figure = sheet(6.8, 0.95 + step * len(rows))
    axes, bars = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    at = np.arange(len(rows))
    share, low, high = (np.array([row[which] for row in rows]) for which in (1, 2, 3))
    axes.hlines(at, low, high, color=BLUE, linewidth=1.3, alpha=0.6, gid="intervals")
    axes.plot(
        share,
        at,
        linestyle="none",
        marker="o",
        markersize=3.6 if many else 5,
        color=BLUE,
        clip_on=False,
        zorder=3,
        gid="shares",
    )
    axes.axvline(overall, color=SOFT, linewidth=1, linestyle=(0, (4, 2)), gid="overall")
    axes.annotate(
        "all examples",
        (overall, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 2),
        ha="center",
        textcoords="offset points",
        fontsize=7,
        color=SOFT,
    )
    axes.set_xlim(max(0.0, float(low.min()) - 0.03), 1.004)
    axes.set_xlabel("accuracy")
    bars.barh(at, [row[4] for row in rows], height=0.66, color=SOFT, alpha=0.45)
    for place, row in enumerate(rows):
        bars.annotate(
            f"{row[4]:,}",
            (0, place),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=6.5 if many else 7.5,
        )
    bars.set_xlabel("test examples")
    bars.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.set_yticks(at, [row[0] for row in rows], fontsize=7.2 if many else 8.5)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    for part in (axes, bars):
        part.tick_params(axis="y", length=0)
        part.spines["left"].set_visible(False)
    bars.grid(visible=False)
    _title_at_left(figure, title)
    return figure


def _title_at_left(figure: Figure, title: str) -> None:
    """A title over the whole figure, where long names push the axes to the right."""
    figure.suptitle(shown(title, 80), fontsize=10.5)


def _labels(names: tuple[str, ...], chosen: NDArray[np.int64]) -> list[str]:
    """What rows are called: the class's name behind its number, where the name is not just that."""
    named = [(int(one), shown(names[one], 52)) for one in chosen]
    if len(names) <= 12:
        return [name or str(one) for one, name in named]
    return [f"{name}  {one}" if name and name != str(one) else str(one) for one, name in named]


def _most_mistaken(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The classes that a matrix shows, in their order: all, or those that take part in the most mistakes."""
    if len(counts) <= MOST:
        return np.arange(len(counts))
    wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    return np.sort(np.argsort(-wrong, kind="stable")[:MOST])


def _pairs(counts: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """True class, class predicted and how often, the most frequent first, without what is right."""
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(-wrong, axis=None, kind="stable")
    return list(_nonzero(wrong, order))


def _nonzero(wrong: NDArray[np.int64], order: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    for flat in order:
        true, guess = divmod(int(flat), len(wrong))
        if not wrong[true, guess]:
            return
        yield true, guess, int(wrong[true, guess])
