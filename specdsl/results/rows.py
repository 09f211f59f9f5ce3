"""Results as comma-separated values: `--format csv` and `--format trials`, the plain data in rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from specdsl.results.data import SpreadData, TrialData, comparison_data, results_data
from specdsl.results.summary import Comparison, Results


def results_csv(results: Results) -> str:
    """A row for each model and measure; intervals in two columns, the trials' values as JSON."""
    rows = []
    for model in results_data(results)["models"]:
        known = {"model": model["key"], "parameters": model["parameters"], "epochs": model["epochs"]}
        rows += [{**known, **_unfolded(found)} for found in model["measures"]]
    keys = ["model", "parameters", "epochs", *_columns(SpreadData)]
    return _csv(keys, rows)


def trials_csv(results: Results) -> str:
    """A row for each trial that was begun, with the values that it ended with."""
    rows: list[dict[str, Any]] = []
    for model in results_data(results)["models"]:
        for trial in model["trials"]:
            ended = {name: value for name, value in trial.items() if name != "final"}
            rows.append({"model": model["key"], "parameters": model["parameters"], **ended, **trial["final"]})
    keys = ["model", "parameters", *(name for name in TrialData.__annotations__ if name != "final")]
    return _csv([*keys, *(measured.key for measured in results.measures)], rows)


def comparison_csv(comparison: Comparison) -> str:
    """A row for each pair; what JSON has within another is named by both: `equivalence_p`, `test_low`."""
    rows = [
        {
            name: value
            for key, found in pair.items()
            for name, value in (
                {f"{key}_{inner}": one for inner, one in _unfolded(found).items()}.items()
                if isinstance(found, Mapping)
                else _unfolded({key: found}).items()
            )
        }
        for pair in comparison_data(comparison)["pairs"]
    ]
    return _csv(list(dict.fromkeys(name for row in rows for name in row)), rows)


_ENDS = {"interval": ("low", "high"), "two_level_bootstrap": ("bootstrap_low", "bootstrap_high")}
"""Keys of intervals, and the columns of their ends."""


def _columns(kind: Any) -> list[str]:
    return [column for name in kind.__annotations__ for column in _ENDS.get(name, (name,))]


def _unfolded(found: Mapping[str, Any]) -> dict[str, Any]:
    """Values with the ends of intervals apart, and lists as JSON."""
    flat: dict[str, Any] = {}
    for name, value in found.items():
        if name in _ENDS:
            flat |= zip(_ENDS[name], value or ("", ""), strict=True)
        else:
            flat[name] = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value
    return flat


def _csv(keys: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    text = StringIO()
    table = csv.DictWriter(text, list(keys), restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()
