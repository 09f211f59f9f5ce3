"""Curves over the epochs: of one run on each part of its data, and of several runs on the test part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from specdsl.results.figures.series import (
    CONFIDENCE,
    INTERVAL_FROM,
    Curve,
    Together,
    Values,
    band,
    of_part,
    pace,
    paced,
    thinned,
    together,
)
from specdsl.results.figures.style import INK, LINES, MARKERS, PARTS, SERIES, SOFT, Picture, legend, sheet, shown
from specdsl.results.measures import measure
from specdsl.runs import RunRecord

MARKED = 30
"""Up to so many measured epochs each has a mark."""

WIDE = 20
"""From this ratio of the greatest to the least value on, an axis of losses or learning rates is logarithmic."""

BEGINNING = 0.05
"""The share of the epochs at the beginning that an axis may leave out, where that at least doubles its scale."""


def run_curves(run: RunRecord, prefix: str = "", confidence: float = CONFIDENCE) -> Iterator[Picture]:
    """For the loss and every metric its curves, and the learning rate where it varies."""
    for metric in run.metrics:
        parts = {part: curves for part in PARTS if (curves := of_part(run, part, metric))}
        if not parts:
            continue
        title = f"{run.key} on {run.data['name']}: {name_of(metric)}"
        caption = " ".join(_run_caption(run, parts, confidence))
        yield Picture(
            f"{prefix}{metric}",
            title,
            caption,
            f"{title}. {'; '.join(_course(parts))}.",
            partial(_draw_run, run, metric, parts, title, confidence),
        )
    rates = [
        (trial.history["epoch"][known], rate[known])
        for trial in run.trials
        if (rate := trial.history.get("learning_rate")) is not None and (known := np.isfinite(rate)).any()
    ]
    if any(np.ptp(rate) > 1e-9 * np.max(np.abs(rate)) for _, rate in rates):
        title = f"{run.key} on {run.data['name']}: learning rate"
        longest = max(rates, key=lambda pair: len(pair[0]))
        alternative = f"{title}, from {longest[1][0]:.3g} to {longest[1][-1]:.3g}."
        caption = "The learning rate at the first step of each epoch."
        if any(len(rate) != len(longest[1]) or not np.array_equal(rate, longest[1][: len(rate)]) for _, rate in rates):
            caption += " One line for each trial."
        yield Picture(f"{prefix}learning_rate", title, caption, alternative, partial(_draw_rates, rates, title))


def compared_curves(runs: Sequence[RunRecord], part: str = "test", confidence: float = CONFIDENCE) -> Iterator[Picture]:
    """For the loss and every metric that several runs share, the mean curves of all of them on one part."""
    for metric in dict.fromkeys(metric for run in runs for metric in run.metrics):
        found = {run.key: (run, curves) for run in runs if (curves := of_part(run, part, metric))}
        means = {key: mean for key, (_, curves) in found.items() if (mean := together(curves, confidence))}
        if len(means) < 2:
            continue
        title = f"{name_of(metric).capitalize()} on {part} examples, model by model"
        caption = " ".join([*_bands(list(means.values()), confidence), *_ends([run for run, _ in found.values()])])
        reached = "; ".join(f"{key} ends at {mean.mean[-1]:.4g}" for key, mean in means.items())
        bounded = is_bounded(metric, [run for run, _ in found.values()])
        draw = partial(_draw_compared, means, metric, bounded, title)
        yield Picture(f"compared-{metric}", title, caption, f"{title}. {reached}.", draw)


def is_bounded(metric: str, runs: Iterable[RunRecord]) -> bool:
    """Whether a metric lies from 0 to 1 and is best at 1, as it is declared, in all these runs."""
    known = [measure(f"test_{metric}", run.recipe) for run in runs]
    return all(measured is not None and measured.bounded for measured in known)


def name_of(metric: str) -> str:
    """A metric as people call it."""
    return metric.replace("_", " ")


def _draw_run(run: RunRecord, metric: str, parts: dict[str, list[Curve]], title: str, confidence: float) -> Figure:
    figure = sheet()
    axes = figure.add_subplot()
    entries: list[tuple[Any, str]] = []
    for part, curves in parts.items():
        colour, line, marker = PARTS[part]
        mean = together(curves, confidence)
        long = mean is not None and pace(mean) > 1
        for curve in curves if len(run.trials) > 1 or mean is None or long else ():
            axes.plot(
                *thinned(curve.epochs, curve.values),
                color=colour,
                linestyle=line if mean is None else "solid",
                alpha=0.22 if long else 0.4,
                linewidth=0.4 if long else 0.6,
                gid=f"trial-{curve.trial.trial}-{part}",
            )
        if mean is not None:
            _draw_mean(axes, mean, colour, line, marker, f"mean-{part}")
        entries.append(
            (
                Line2D(
                    [],
                    [],
                    color=colour,
                    linestyle=line,
                    linewidth=1.8,
                    marker=marker if _marked(mean) else None,
                    markersize=3.5,
                ),
                part,
            )
        )
    held = "validation" if "validation" in parts else "test"
    kept = [
        (trial.kept_epoch, curve.values[at])
        for curve in parts.get(held, ())
        if (trial := curve.trial).well and trial.kept_epoch < trial.epochs
        for at in np.flatnonzero(curve.epochs == trial.kept_epoch)
    ]
    if kept:
        marks = axes.plot(
            *zip(*kept, strict=True),
            linestyle="none",
            marker="D",
            markersize=5,
            zorder=5,
            markerfacecolor="none",
            markeredgecolor=INK,
            markeredgewidth=1.1,
            gid="kept",
        )
        entries.append((marks[0], "epoch kept"))
    _ends_marked(axes, parts)
    every = [curve for curves in parts.values() for curve in curves]
    corner = _finish(axes, metric, is_bounded(metric, [run]), every, title)
    legend(axes, entries, loc=corner)
    return figure


def _draw_compared(means: dict[str, Together], metric: str, bounded: bool, title: str) -> Figure:
    many = len(means) > 6
    figure = sheet(6.4, max(4.0, 0.5 + 0.19 * len(means)) if many else 4.0)
    axes = figure.add_subplot()
    entries = []
    for index, (key, mean) in enumerate(means.items()):
        colour, line = SERIES[index % len(SERIES)], LINES[index % len(LINES)]
        marker = MARKERS[(index + index // len(SERIES)) % len(MARKERS)]
        _draw_mean(axes, mean, colour, line, marker, f"mean-{index + 1}", sparse=True)
        entries.append((Line2D([], [], color=colour, linestyle=line, linewidth=1.8, marker=marker, markersize=4), key))
    corner = _finish(axes, metric, bounded, list(means.values()), title)
    legend(axes, entries, **({"bbox_to_anchor": (1.01, 1), "loc": "upper left"} if many else {"loc": corner}))
    return figure


def _draw_rates(rates: Sequence[tuple[NDArray[np.int64], Values]], title: str) -> Figure:
    figure = sheet(6.4, 2.6)
    axes = figure.add_subplot()
    for epochs, rate in rates:
        axes.plot(
            *thinned(epochs, rate),
            color=INK,
            linewidth=1.2,
            alpha=1 if len(rates) == 1 else 0.6,
            marker="o" if len(rate) <= MARKED else None,
            markersize=3,
        )
    everything = np.concatenate([rate for _, rate in rates])
    positive = everything[everything > 0]
    if len(positive) == len(everything) and positive.max() >= WIDE * positive.min():
        _logarithmic(axes, float(positive.max() / positive.min()))
    else:
        axes.set_ylim(bottom=min(0.0, everything.min()))
    _label(axes, "learning rate", title, max(int(epochs[-1]) for epochs, _ in rates))
    return figure


def _draw_mean(
    axes: Axes, mean: Together, colour: str, line: Any, marker: str, gid: str, *, sparse: bool = False
) -> None:
    """A mean with its band. `sparse` sets a dozen marks where there are too many epochs for one each."""
    if mean.low is not None and mean.high is not None:
        axes.fill_between(*band(mean), color=colour, alpha=0.16, linewidth=0, gid=f"band-{gid}")
    epochs, values = paced(mean)
    every = None if _marked(mean) else max(1, len(epochs) // 12)
    axes.plot(
        epochs,
        values,
        color=colour,
        linestyle=line,
        linewidth=1.7,
        markersize=3.8,
        gid=gid,
        marker=marker if sparse or _marked(mean) else None,
        markevery=every,
    )


def _ends_marked(axes: Axes, parts: dict[str, list[Curve]]) -> None:
    """A cross at the last value of each trial that diverged or crashed."""
    for part, curves in parts.items():
        for curve in curves:
            if not curve.trial.well:
                axes.plot(
                    curve.epochs[-1:],
                    curve.values[-1:],
                    linestyle="none",
                    marker="x",
                    markersize=6,
                    color=PARTS[part][0],
                    gid=f"given-up-{curve.trial.trial}-{part}",
                )


def _finish(axes: Axes, metric: str, bounded: bool, drawn: Sequence[Curve] | Sequence[Together], title: str) -> str:
    """Scale and labels of a metric's axis, up to 1 where it is `bounded` by that.

    Returns:
        The corner that curves of such a metric leave free.
    """
    ends = [(one.values, one.epochs) if isinstance(one, Curve) else (one.mean, one.epochs) for one in drawn]
    everything = np.concatenate([values for values, _ in ends])
    last = max(int(epochs[-1]) for _, epochs in ends)
    low, high = float(everything.min()), float(everything.max())
    if bounded:
        top = 1.0
        later = np.concatenate([values[epochs > BEGINNING * last] for values, epochs in ends])
        bottom = low
        if last > 1 / BEGINNING and len(later) and top - float(later.min()) <= (top - low) / 2:
            bottom = float(later.min())
            axes.annotate(
                "the first epochs lie below",
                (0.4, 0.01),
                xycoords="axes fraction",
                ha="center",
                va="bottom",
                fontsize=7,
                color=SOFT,
            )
        room = 0.05 * (top - bottom) or 0.05
        axes.set_ylim(max(bottom - room, -0.02 if bottom >= 0 else bottom - room), top + 0.3 * room)
    elif low > 0 and high >= WIDE * low:
        _logarithmic(axes, high / low)
    elif low >= 0:
        axes.set_ylim(bottom=0.0)
    _label(axes, name_of(metric), title, last)
    return "lower right" if bounded else "upper right"


def _logarithmic(axes: Axes, ratio: float) -> None:
    """A logarithmic axis with numbers on it that anyone reads."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if ratio < 1000 else (1.0,), numticks=12))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _label(axes: Axes, named: str, title: str, last: int) -> None:
    axes.set_title(shown(title, 80))
    axes.set_xlabel("epoch")
    axes.set_ylabel(named)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    room = min(0.4, 0.02 * last)
    if last == 1:
        axes.set_xticks([1])
    axes.set_xlim(1 - room, last + max(room, 0.015 * last))


def _marked(mean: Together | None) -> bool:
    return mean is not None and len(mean.epochs) <= MARKED


def _run_caption(run: RunRecord, parts: dict[str, list[Curve]], confidence: float) -> Iterator[str]:
    """What has to be known of a run's curves."""
    means = [mean for curves in parts.values() if (mean := together(curves))]
    if len(run.trials) > 1:
        yield f"{len(run.trials)} trials, each a thin line."
    yield from _bands(means, confidence)
    if "train" in parts:
        yield "Training values are running means while the model learns, with augmentation and dropout."
    ended = [trial for trial in run.trials if trial.well and trial.kept_epoch]  # the others have kept nothing yet
    if any(trial.kept_epoch < trial.epochs for trial in ended):
        kept = [trial.kept_epoch for trial in ended]
        told = f"epoch {kept[0]}" if len(set(kept)) == 1 else f"epochs {min(kept)} to {max(kept)}"
        yield f"Diamonds mark what was kept: {told}."
    yield from _ends([run])


def _bands(means: Sequence[Together], confidence: float) -> Iterator[str]:
    """What bold lines and bands are."""
    numbers = {mean.trials for mean in means} - {1}
    interval = f"its {100 * confidence:g}% t-interval over trials"
    if numbers and max(numbers) < INTERVAL_FROM:
        yield "Bold: the mean; band: the least to the greatest trial."
    elif numbers and min(numbers) >= INTERVAL_FROM:
        yield f"Bold: the mean; band: {interval}."
    elif numbers:
        yield f"Bold: the mean; band: {interval}, from {INTERVAL_FROM} trials on, else the least to the greatest."
    paces = {pace(mean) for mean in means} - {1}
    if paces:
        told = f"{min(paces)}" if len(paces) == 1 else f"{min(paces)} to {max(paces)}"
        what = "bold lines and bands" if numbers else "the bold lines"
        yield f"Each point of {what} is averaged over {told} epochs."


def _ends(runs: Sequence[RunRecord]) -> Iterator[str]:
    """How many trials did not come to the declared end, and what that means for the mean."""
    trials = [trial for run in runs for trial in run.trials]
    for what, found in (
        ("diverged", [trial for trial in trials if trial.diverged is not None]),
        ("crashed", [trial for trial in trials if trial.failed is not None and trial.diverged is None]),
        ("stopped early by the recipe", [trial for trial in trials if trial.stopped_early]),
        ("unfinished", [trial for trial in trials if trial.interrupted and trial.well]),
    ):
        if found:
            place = " (ends at ×)" if len(runs) == 1 and not found[0].well else ""
            yield f"{len(found)} of {len(trials)} {'trial' if len(trials) == 1 else 'trials'} {what}{place}."
    for run in runs:
        ends = {trial.epochs for trial in run.trials if trial.well}
        if len(ends) > 1:
            which = f"of {shown(run.key)} " if len(runs) > 1 else ""
            yield f"The mean {which}ends with its shortest trial, at epoch {min(ends)}."
    if any(not trial.well for trial in trials):
        yield "Means are of the others."


def _course(parts: dict[str, list[Curve]]) -> Iterator[str]:
    """Where the curves begin and end, in words."""
    for part, curves in parts.items():
        mean = together(curves)
        first, last = (mean.mean[0], mean.mean[-1]) if mean else (curves[0].values[0], curves[0].values[-1])
        yield f"{part} goes from {first:.4g} to {last:.4g}"
