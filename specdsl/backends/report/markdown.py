"""The report as Markdown: a table of the layers, the totals, and what training changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from specdsl.analyses import Analysis
from specdsl.backends.report.columns import told_columns
from specdsl.backends.report.rows import Row, differing, rows
from specdsl.backends.report.totals import CONVENTIONS, told_totals
from specdsl.layers.shapes import show


def to_markdown(analysis: Analysis) -> str:
    """The report as Markdown."""
    graph = analysis.graph
    lines = [f"## {graph.name}", ""]
    if graph.docstring:
        lines += [graph.docstring, ""]
    found = list(rows(analysis))
    columns = told_columns(found)
    cells = [[_DRESSED.get(column.key, column.text)(row) for column in columns] for row in found]
    lines += markdown_table([column.title for column in columns], cells, [column.right for column in columns])
    totals = [[total.title, total.amount, total.note] for total in told_totals(analysis)]
    lines += ["", *markdown_table(["Total", "", ""], totals, [False, True, False])]
    if modes := list(differing(analysis)):
        heading = ["Layer", "In training", "In inference"]
        lines += ["", *markdown_table(heading, [[f"`{name}`", mode.training, mode.inference] for name, mode in modes])]
    return "\n".join([*lines, "", CONVENTIONS, ""])


def _name(row: Row) -> str:
    name = f"`{row.within}{row.node.name}`"
    return name if row.node.owner == row.node.name else f"{name} applies `{row.node.owner}`"


_DRESSED: Mapping[str, Callable[[Row], str]] = {
    "name": _name,
    "output_shapes": lambda row: " ".join(f"`{show(shape)}`" for shape in row.node.shapes),
}
"""The columns whose text has marks in Markdown."""


def markdown_table(heading: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool] = ()) -> list[str]:
    """The lines of a Markdown table; columns that `right` says so of are aligned to the right."""
    marks = ["---:" if aligned else "---" for aligned in right or [False] * len(heading)]
    head = _row(heading) if any(heading[1:]) else f"| {heading[0]} |{' |' * len(heading[1:])}"
    return [head, f"| {' | '.join(marks)} |", *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
