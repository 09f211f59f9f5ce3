"""Curves of a run as figures. Imports matplotlib: import it late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from specdsl.runs.files import save_with
from specdsl.runs.history import PARTS
from specdsl.runs.reading import read_run

COLOURS = {"train": "#0072B2", "validation": "#009E73", "test": "#D55E00"}
"""Blue, green and vermilion of Okabe and Ito, which people tell apart with any colour vision."""

LINES = {"train": (0, (5, 1.5)), "validation": (0, (1.2, 1.2)), "test": "solid"}


def draw(folder: Path) -> list[Path]:
    """For the loss and every metric of a run a figure of its curves, as SVG and PNG: each trial, and their mean.

    Returns:
        The files written, into the run's folder; none when no epoch was finished.
    """
    run = read_run(folder)
    histories = [trial.history for trial in run.trials if len(trial.history["epoch"])]
    title = f"{run.model} on {run.data['name']}" + (f", {len(run.trials)} trials" if len(run.trials) > 1 else "")
    files = []
    for metric in run.metrics if histories else ():
        figure = curves(histories, metric, title)
        for suffix in (".svg", ".png"):
            file = folder / f"{metric}{suffix}"
            with matplotlib.rc_context({"svg.hashsalt": "specdsl"}):
                save_with(file, lambda path, figure=figure, suffix=suffix: figure.savefig(  # type: ignore[misc]
                    path, dpi=150, metadata={"Date": None} if suffix == ".svg" else None))  # fmt: skip
            files.append(file)
    return files


def curves(histories: Sequence[Mapping[str, NDArray[Any]]], metric: str, title: str) -> Figure:
    """One metric over the epochs, on training, validation and test examples."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for part in PARTS:
        column = f"{part}_{metric}"
        trials = [
            {int(epoch): float(value) for epoch, value in zip(history["epoch"], history[column], strict=True)
             if isfinite(value)} for history in histories if column in history
        ]  # fmt: skip
        together = {
            epoch: mean(trial[epoch] for trial in trials if epoch in trial) for epoch in sorted(set().union(*trials))
        }
        if not together:
            continue
        several = sum(1 for trial in trials if trial) > 1
        for trial in trials if several else ():
            axes.plot(list(trial), list(trial.values()), color=COLOURS[part], alpha=0.35, linewidth=0.8)
        axes.plot(
            list(together),
            list(together.values()),
            color=COLOURS[part],
            linestyle=LINES[part],
            linewidth=1.8,
            marker="o" if len(together) <= 30 else None,
            markersize=3.5,
            label=f"{part}{', mean' if several else ''}: {list(together.values())[-1]:.4f}",
        )
    named = metric.replace("_", " ")
    axes.set_title(title, fontsize=11)
    axes.set_xlabel("epoch")
    axes.set_ylabel(named)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if "accuracy" in metric:
        axes.set_ylim(top=1.0)
    else:
        axes.set_ylim(bottom=0.0)
    axes.grid(color="#d0d0d0", linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="best")
    return figure
