"""What came of the models of an experiment, side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from specdsl.backends.table import Column, Line, layout
from specdsl.counts import number
from specdsl.runs.files import write_text
from specdsl.training.runner import RunSummary

FILE = "experiment.json"
METRIC = "test_accuracy"
"""What the table shows of each model; the file has all metrics."""


def compare(name: str, summaries: Mapping[str, RunSummary], folder: Path) -> str:
    """Write the comparison of an experiment's models into its folder, and give it as a table.

    For each model: its parameters, the trials that came to an end, and of their test accuracies mean, sample standard
    deviation, least and most. One trial says nothing of the spread, which is then left out.

    Args:
        name: what the experiment is called.
        summaries: how the runs ended, by model, in the order of the experiment.
        folder: the experiment's folder.

    Raises:
        OSError: the file cannot be written.
    """
    data = {
        "schema": 1,
        "experiment": name,
        "models": {key: {**_figures(summary), "run": summary.to_dict()} for key, summary in summaries.items()},
    }
    write_text(folder / FILE, json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    columns = [Column("model", least=12), Column("parameters", right=True), Column("trials", right=True)]
    columns += [Column(title, right=True) for title in ("test accuracy", "sd", "least", "most")]
    rows = []
    for key, summary in summaries.items():
        figures = _figures(summary)
        shown = ("" if figures[what] is None else f"{figures[what]:.4f}" for what in ("mean", "sd", "least", "most"))
        cells = [key, number(summary.parameters), str(figures["trials"]), *shown]
        rows.append([[Line(cell)] for cell in cells])
    return "\n".join(line.rstrip() for line in layout(columns, rows, 100)) + "\n"


def _figures(summary: RunSummary) -> dict[str, Any]:
    """The test accuracies of a run's trials in a few numbers."""
    values = [trial.final[METRIC] for trial in summary.trials if not trial.diverged and METRIC in trial.final]
    return {
        "trials": len(values),
        "mean": mean(values) if values else None,
        "sd": stdev(values) if len(values) > 1 else None,
        "least": min(values, default=None),
        "most": max(values, default=None),
    }
