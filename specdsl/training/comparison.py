"""What came of the models of an experiment, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean, stdev
from typing import Any

from specdsl.backends.table import Column, Line, layout
from specdsl.counts import number
from specdsl.runs.records import RunSummary

METRIC = "test_accuracy"
"""What the table shows of each model."""


def compare(summaries: Mapping[str, RunSummary]) -> str:
    """The runs of an experiment as a table.

    For each model: its parameters, the trials that came to an end, and of their test accuracies mean, sample standard
    deviation, least and most. One trial says nothing of the spread, which is then left out.

    Args:
        summaries: how the runs ended, by model, in the order of the experiment.
    """
    columns = [Column("model", least=12), Column("parameters", right=True), Column("trials", right=True)]
    columns += [Column(title, right=True) for title in ("test accuracy", "sd", "least", "most")]
    rows = []
    for key, summary in summaries.items():
        figures = _figures(summary)
        shown = ("" if figures[what] is None else f"{figures[what]:.4f}" for what in ("mean", "sd", "least", "most"))
        parameters = "" if summary.parameters is None else number(summary.parameters)
        cells = [key, parameters, str(figures["trials"]), *shown]
        rows.append([[Line(cell)] for cell in cells])
    return "\n".join(line.rstrip() for line in layout(columns, rows, 100)) + "\n"


def _figures(summary: RunSummary) -> dict[str, Any]:
    """The test accuracies of a run's trials in a few numbers."""
    values = [trial.final[METRIC] for trial in summary.trials if trial.well and METRIC in trial.final]
    return {
        "trials": len(values),
        "mean": mean(values) if values else None,
        "sd": stdev(values) if len(values) > 1 else None,
        "least": min(values, default=None),
        "most": max(values, default=None),
    }
