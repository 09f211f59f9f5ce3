"""Whether a model is right as often as it is sure: the reliability diagram."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from specdsl.results.figures.predictions import Guesses
from specdsl.results.figures.style import BLUE, SOFT, Picture, legend, percent, sheet, shown
from specdsl.runs.reliability import BINS, Reliability, binned


def reliability(trials: Sequence[Guesses], of: str, prefix: str = "") -> Picture:
    """Accuracy against confidence, over the predictions of all trials, each of its own model."""
    pooled = binned(np.concatenate([one.confidence for one in trials]), np.concatenate([one.right for one in trials]))
    errors = [binned(one.confidence, one.right).error for one in trials]
    title = f"{of}: reliability"
    several = len(trials) > 1
    error = f"{np.mean(errors):.4f}"
    told = f"{error} (mean of {len(errors)} trials, from {min(errors):.4f} to {max(errors):.4f})" if several else error
    caption = (
        f"Expected calibration error {told}: the difference between accuracy and mean confidence, without its sign, in "
        f"{BINS} bins of equal width of the confidence (the greatest probability), averaged over bins by their number "
        "of predictions. Dots: bins, the larger the more predictions; below the diagonal a model is surer than it is "
        "right. " + (f"Predictions of all {len(trials)} trials, each of its own model." if several else "")
    ).strip()
    confidence = float(np.mean([one.confidence.mean() for one in trials]))
    accuracy = float(np.mean([one.accuracy for one in trials]))
    alternative = (
        f"{title}. Accuracy is {percent(accuracy, 2)} at a mean confidence of {percent(confidence, 2)}; "
        f"expected calibration error {told}."
    )
    return Picture(f"{prefix}reliability", title, caption, alternative, partial(_draw, pooled, title))


def _draw(found: Reliability, title: str) -> Figure:
    figure = sheet(5.0, 5.8)
    axes, bars = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    (ideal,) = axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=(0, (4, 2)))
    held = found.count > 0
    share = found.count[held] / found.count.sum()
    axes.plot(found.confidence[held], found.accuracy[held], color=BLUE, linewidth=1.2, alpha=0.7, gid="curve")
    axes.scatter(
        found.confidence[held],
        found.accuracy[held],
        s=14 + 180 * np.sqrt(share),
        color=BLUE,
        alpha=0.55,
        linewidths=0,
        gid="bins",
        zorder=3,
    )
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylabel("accuracy")
    axes.set_title(shown(title, 60))
    legend(axes, [(ideal, "as sure as right")], loc="upper left")
    bars.bar(found.edges[:-1], found.count, width=np.diff(found.edges), align="edge", color=SOFT, alpha=0.45)
    bars.set_yscale("symlog", linthresh=1)
    bars.set_ylim(bottom=0)
    top = 10 ** int(np.ceil(np.log10(max(2, found.count.max()))))
    bars.set_yticks([one for one in (0, 10, 100, 1000, 10_000, 100_000, 1_000_000) if one <= top])
    bars.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    bars.minorticks_off()
    bars.set_ylabel("predictions")
    bars.set_xlabel("confidence")
    return figure
