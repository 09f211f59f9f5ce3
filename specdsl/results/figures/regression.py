"""Values that were predicted, against those that are true."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from specdsl.results.figures.predictions import Values
from specdsl.results.figures.style import BLUE, SOFT, VERMILION, Picture, legend, sheet, shown

PANELS = 6
"""So many of the values that a model gives have a panel."""

DOTS = 4000
"""So many dots are drawn of each value, evenly taken."""


def predicted_against_true(values: Values, of: str, prefix: str = "") -> Picture:
    """A panel for each value that is predicted: the predictions of all trials against what is true."""
    error = values.value - values.target
    root = np.sqrt((error**2).mean(axis=1))
    spread = ((values.target - values.target.mean(axis=0)) ** 2).sum(axis=0)
    title = f"{of}: predicted against true"
    outputs = values.target.shape[1]
    told = []
    for output in range(min(outputs, PANELS)):
        which = f"Value {output + 1}: r" if outputs > 1 else "R"
        explained = ""
        if spread[output] > 0:
            shares = 1 - (error[:, :, output] ** 2).sum(axis=1) / spread[output]
            explained = f", R² {shares.mean():.4f}"
        told.append(f"{which}oot mean square error {root[:, output].mean():.4g}{explained}")
    several = len(values.trials) > 1
    caption = ". ".join(told) + (f" (each the mean of {len(values.trials)} trials)." if several else ".")
    caption += (
        " R² is 1 − the sum of squared errors over that about the mean of the true values." if "R²" in caption else ""
    )
    if outputs > PANELS:
        caption += f" Shown are the first {PANELS} of {outputs} values."
    return Picture(f"{prefix}predicted", title, caption, f"{title}. {caption}", partial(_draw, values, title))


def fitted_curve(values: Values, x: NDArray[Any], of: str, prefix: str = "") -> Picture:
    """What the model makes of a single input value, beside what is true.

    Args:
        values: the predictions.
        x: the input of each test example, (n,).
        of: the model.
        prefix: what the name of its files begins with.
    """
    title = f"{of}: the fitted curve"
    several = len(values.trials) > 1
    caption = "Dots: the true values of the test examples; line: what the model gives for them"
    caption += f", the mean of {len(values.trials)} trials, each a thin line." if several else "."
    off = np.abs(values.value.mean(axis=0) - values.target)
    at = int(off.max(axis=1).argmax())
    alternative = (
        f"{title}, over inputs from {x.min():.4g} to {x.max():.4g}. "
        f"It is furthest off, by {off.max():.3g}, at {x[at]:.4g}."
    )
    return Picture(f"{prefix}fitted", title, caption, alternative, partial(_draw_fitted, values, x, title))


def _draw(values: Values, title: str) -> Figure:
    outputs = min(values.target.shape[1], PANELS)
    columns = min(outputs, 3)
    rows = -(-outputs // columns)
    figure = sheet(4.4 if columns == 1 else 2.9 * columns, (4.0 if columns == 1 else 2.9) * rows + 0.3)
    figure.suptitle(shown(title, 80), fontsize=10.5)
    every = max(1, values.value.shape[0] * values.value.shape[1] // DOTS)
    for output, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if output >= outputs:
            axes.axis("off")
            continue
        true = np.tile(values.target[:, output], len(values.trials))[::every]
        given = values.value[:, :, output].ravel()[::every]
        ends = [float(values.target[:, output].min()), float(values.target[:, output].max())]
        axes.plot(ends, ends, color=SOFT, linewidth=1, linestyle=(0, (4, 2)), zorder=3, gid=f"ideal-{output + 1}")
        axes.plot(
            true,
            given,
            linestyle="none",
            marker="o",
            markersize=2.6,
            markeredgewidth=0,
            color=BLUE,
            alpha=0.5 if len(true) < 500 else 0.25,
            gid=f"values-{output + 1}",
        )
        axes.set_xlabel("true" if outputs == 1 else f"true value {output + 1}")
        axes.set_ylabel("predicted")
    return figure


def _draw_fitted(values: Values, x: NDArray[Any], title: str) -> Figure:
    figure = sheet()
    axes = figure.add_subplot()
    order = np.argsort(x, kind="stable")
    outputs = values.target.shape[1]
    entries: list[tuple[Any, str]] = []
    for output in range(min(outputs, 2)):
        colour = (BLUE, VERMILION)[output]
        named = f" {output + 1}" if outputs > 1 else ""
        if len(values.trials) > 1:
            for number, trial in zip(values.trials, values.value, strict=True):
                axes.plot(
                    x[order],
                    trial[order, output],
                    color=colour,
                    linewidth=0.6,
                    alpha=0.4,
                    gid=f"trial-{number}-{output + 1}",
                )
        axes.plot(
            x[order],
            values.target[order, output],
            linestyle="none",
            marker="o",
            markersize=2.6,
            color=SOFT,
            alpha=0.6,
            markeredgewidth=0,
            gid=f"true-{output + 1}",
        )
        axes.plot(
            x[order], values.value.mean(axis=0)[order, output], color=colour, linewidth=1.7, gid=f"fitted-{output + 1}"
        )
        entries += [
            (Line2D([], [], linestyle="none", marker="o", markersize=3.5, color=SOFT), f"true{named}"),
            (Line2D([], [], color=colour, linewidth=1.7), f"the model{named}"),
        ]
    axes.set_xlabel("input")
    axes.set_ylabel("value")
    axes.set_title(shown(title, 80))
    legend(axes, entries, loc="best")
    return figure
