"""What every trial came to, as dots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from specdsl.results.figures.curves import is_bounded, name_of
from specdsl.results.figures.series import CONFIDENCE
from specdsl.results.figures.style import BLUE, INK, ORANGE, SOFT, Picture, sheet, shown
from specdsl.results.one_sample import spread
from specdsl.results.samples import state
from specdsl.runs import RunRecord


def dots(
    runs: Sequence[RunRecord],
    metric: str = "accuracy",
    part: str = "test",
    published: Mapping[str, float] | None = None,
    confidence: float = CONFIDENCE,
    note: str = "",
) -> Picture | None:
    """The final values of all trials, with mean and t-interval, in the order in which the experiment lists its models.

    Args:
        runs: the runs.
        metric: the loss, or a metric.
        part: `train`, `validation` or `test`.
        published: values from elsewhere to be set beside them, by run.
        confidence: of the intervals.
        note: what has to be known of the published values.

    Returns:
        The figure; None where no trial has a value.
    """
    finals = {
        run.key: [
            value
            for trial in run.trials
            if state(trial) == "finished"
            and (value := trial.final.get(f"{part}_{metric}")) is not None
            and np.isfinite(value)
        ]
        for run in runs
    }
    finals = {key: values for key, values in finals.items() if values}
    if not finals:
        return None
    known = {key: published[key] for key in finals if key in (published or {})} if published else {}
    title = f"{name_of(metric).capitalize()} on {part} examples, trial by trial"
    caption = [
        "Each dot a trial."
        if max(map(len, finals.values())) > 1
        else "One trial each: nothing is known of their spread."
    ]
    if max(map(len, finals.values())) > 1:
        caption.append(f"Line across: the mean; bar: its {100 * confidence:g}% t-interval over trials.")
    if known:
        caption.append(f"Diamond: the published value. {note}".strip())
    left_out = sum(state(trial) != "finished" for run in runs for trial in run.trials)
    if left_out:
        caption.append(
            f"{left_out} {'trial' if left_out == 1 else 'trials'} without a final value "
            "(diverged, crashed or unfinished) left out."
        )
    said = "; ".join(
        f"{key}: mean {np.mean(values):.4f} of {len(values)}, from {min(values):.4f} to {max(values):.4f}"
        + (f", published {known[key]:.4f}" if key in known else "")
        for key, values in finals.items()
    )
    bounded = is_bounded(metric, [run for run in runs if run.key in finals])
    return Picture(
        f"{part}-{metric}",
        title,
        " ".join(caption),
        f"{title}. {said}.",
        partial(_draw, finals, metric, bounded, known, title, confidence),
    )


def _draw(
    finals: Mapping[str, list[float]],
    metric: str,
    bounded: bool,
    known: Mapping[str, float],
    title: str,
    confidence: float,
) -> Figure:
    figure = sheet(6.4, 0.95 + 0.42 * len(finals))
    axes = figure.add_subplot()
    for row, (key, values) in enumerate(finals.items()):
        ordered = np.sort(values)
        axes.plot(
            ordered,
            row + _apart(ordered, np.ptp(ordered) / 60),
            linestyle="none",
            marker="o",
            markersize=4.6,
            markerfacecolor=BLUE,
            markeredgewidth=0,
            alpha=0.75,
            gid=f"trials-{row + 1}",
        )
        found = spread(values, confidence)
        if found.interval:
            axes.plot(
                [found.interval.low, found.interval.high],
                [row + 0.28] * 2,
                color=INK,
                linewidth=1.6,
                solid_capstyle="butt",
                marker="|",
                markersize=6,
                gid=f"interval-{row + 1}",
            )
        if found.n > 1:
            axes.plot([found.mean] * 2, [row - 0.22, row + 0.36], color=INK, linewidth=1.6, gid=f"mean-{row + 1}")
        if key in known:
            axes.plot(
                [known[key]],
                [row],
                linestyle="none",
                marker="D",
                markersize=7,
                markerfacecolor="none",
                markeredgecolor=ORANGE,
                markeredgewidth=1.8,
                zorder=4,
                gid=f"published-{row + 1}",
            )
    everything = [value for values in finals.values() for value in values] + list(known.values())
    axes.set_yticks(range(len(finals)), [shown(key, 40) for key in finals])
    axes.set_ylim(len(finals) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    for row in range(1, len(finals)):
        axes.axhline(row - 0.5, color=SOFT, linewidth=0.3, alpha=0.5)
    if bounded:
        left, right = axes.get_xlim()
        axes.set_xlim(left, min(right, 1.0) if max(everything) < 1 else right)
    axes.set_xlabel(name_of(metric))
    axes.set_title(shown(title, 80))
    return figure


def _apart(ordered: np.ndarray[Any, Any], least: float) -> np.ndarray[Any, Any]:
    """Small shifts of dots that would hide each other, so that each can be counted."""
    shifts = np.zeros(len(ordered))
    stack = 0
    for index in range(1, len(ordered)):
        stack = stack + 1 if ordered[index] - ordered[index - 1] <= least else 0
        shifts[index] = -0.11 * (stack % 3)
    return shifts
