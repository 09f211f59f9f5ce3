"""The report as comma-separated values: one row a layer."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

from specdsl.analyses import Analysis
from specdsl.backends.report.columns import COLUMNS
from specdsl.backends.report.rows import own_rows

_LEFT_OUT = "layers"
"""The column whose layers have rows of their own."""


def to_csv(analysis: Analysis) -> str:
    """A row for each layer under the names that JSON has, as RFC 4180 has it.

    The first column says which model the layer stands in: `m`, or `m/inner` for one within it, whose layers follow
    that of the model's first use, and are counted there too. Lists and dictionaries stand as JSON.
    """
    keys = [column.key for column in COLUMNS if column.key != _LEFT_OUT]
    text = StringIO()
    writer = csv.writer(text)
    writer.writerow(["model", *keys])
    writer.writerows(_rows(analysis, analysis.graph.name))
    return text.getvalue()


def _rows(analysis: Analysis, model: str) -> Iterator[list[Any]]:
    for row in own_rows(analysis):
        yield [model, *(_cell(column.value(row)) for column in COLUMNS if column.key != _LEFT_OUT)]
        if row.layer.inner:
            yield from _rows(row.layer.inner, f"{model}/{row.node.owner}")


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict | bool) else value
