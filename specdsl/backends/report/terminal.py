"""The report as a table on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from textwrap import wrap

from specdsl.analyses import Analysis
from specdsl.backends.report.columns import Column, derivation, told_columns, untrained
from specdsl.backends.report.rows import Row, alike_modes, asides, block_name, differing, rows
from specdsl.backends.report.totals import CONVENTIONS, told_totals
from specdsl.backends.table import Cell, Line, layout, styled, whole, widths_within
from specdsl.backends.table import Column as Track
from specdsl.backends.words import local_name, type_name
from specdsl.counts import number
from specdsl.declaration import text
from specdsl.layers.shapes import show

NARROW = 60
"""Columns below which there is no room for columns side by side."""


def to_text(analysis: Analysis, width: int) -> str:
    """The report for a terminal of `width` columns, with the codes of terminal styles."""
    return "\n".join(line.rstrip() for line in _lines(analysis, width)) + "\n"


def _lines(analysis: Analysis, width: int) -> Iterator[str]:
    graph = analysis.graph
    parameters = ", ".join(f"{name}={text(value)}" for name, value in graph.parameters.items())
    first, *rest = wrap(graph.name + (f"  ({parameters})" if parameters else ""), width, subsequent_indent="  ")
    name = first[: len(graph.name)]
    yield styled(name, "bold") + first[len(name) :]
    yield from rest
    if graph.docstring:
        yield from (styled(line, "italic") for line in wrap(" ".join(graph.docstring.split("\n\n")[0].split()), width))
    yield ""
    table = [] if width < NARROW else _layer_table(analysis, width)
    if table:
        yield from table
        yield ""
        yield from _totals(analysis, width)
    else:
        yield from _narrow(analysis, width)
    if any(differing(analysis)):
        yield ""
        yield from _modes(analysis, width)
    yield ""
    yield from (styled(line, "dim") for line in wrap(CONVENTIONS, width))


def _totals(analysis: Analysis, width: int) -> Iterator[str]:
    totals = [
        [
            [Line(f"  {total.title}") if total.part else Line(total.title, "bold")],
            [Line(total.amount)],
            [Line(total.note, "dim")],
        ]
        for total in told_totals(analysis)
    ]
    yield from list(layout([Track(""), Track("", right=True), Track("", least=20)], totals, width))[1:]


def _narrow(analysis: Analysis, width: int) -> Iterator[str]:
    """Layers and totals line by line, where there is no room for columns."""
    told = list(rows(analysis))
    columns = told_columns(told, width)
    shown = {column.key for column in columns}
    for row in told:
        for instance, level in row.entered:
            yield from _folded(Line(block_name(instance), "bold"), 2 * level, width)
            arguments = ", ".join(f"{name}={text(value)}" for name, value in instance.arguments.items())
            yield from _folded(Line(f"({arguments})" if arguments else "", "dim"), 2 * level, width)
        for line in _name(row, shown):
            yield from _folded(Line(line.text.lstrip(), line.style), 2 * row.level, width)
        for column in columns[1:]:
            first, *rest = _cell(row, column)
            if first.text:
                yield from _folded(Line(f"{column.title}: {first.text}", first.style), 2 * row.level + 2, width)
            for line in rest:
                yield from _folded(line, 2 * row.level + 4, width)
    yield ""
    for total in told_totals(analysis):
        yield from _folded(Line(f"{total.title}: {total.amount}"), 2 * total.part, width)
        yield from _folded(Line(total.note, "dim"), 2 * total.part + 2, width)


def _folded(line: Line, indent: int, width: int) -> Iterator[str]:
    """A line in as many as it takes, those behind the first further in; deep indents give way."""
    first = " " * min(indent, width // 2)
    for part in wrap(line.text, width, initial_indent=first, subsequent_indent=f"{first}  ", break_on_hyphens=False):
        bare = part.strip()
        yield f"{part[: len(part) - len(part.lstrip())]}{styled(bare, line.style)}"


# ---------------------------------------------------------------------------------------------- the layers


def _layer_table(analysis: Analysis, width: int) -> list[str]:
    """The lines of the layers with columns side by side; none where these find no room."""
    told = list(rows(analysis))
    columns = told_columns(told, width)
    shown = {column.key for column in columns}
    lines: list[list[Cell]] = []
    for row in told:
        for instance, level in row.entered:
            heading = [Line(f"{'  ' * level}{block_name(instance)}", "bold")]
            if instance.arguments:
                arguments = ", ".join(f"{name}={text(value)}" for name, value in instance.arguments.items())
                heading.append(Line(f"{'  ' * level}({arguments})", "dim"))
            lines.append([heading, *([] for _ in columns[1:])])
        lines.append([_name(row, shown), *(_cell(row, column) for column in columns[1:])])
    tracks = [Track(column.title, column.right, _LEAST.get(column.key)) for column in columns]
    if whole(widths_within(tracks, lines, width)) > width:
        return []
    return list(layout(tracks, lines, width))


_LEAST = {"name": 16, "dtypes": 15, "params": 14, "inbound": 16}
"""How far columns may shrink."""


def _name(row: Row, shown: set[str]) -> Cell:
    """The name of a layer, and below it what no column tells."""
    indent = "  " * row.level
    said = [Line(f"{indent}{aside.text}", "cyan" if aside.key == "type" else "dim") for aside in asides(row, shown)]
    return [Line(f"{indent}{local_name(row.node)}"), *said]


def _cell(row: Row, column: Column) -> Cell:
    make = _CELLS.get(column.key)
    return make(row) if make else [Line(column.text(row))]


def _parameters(row: Row) -> Cell:
    if not row.layer.weights:
        return [Line("0", "dim")]
    rest = untrained(row.layer)
    return [Line(derivation(row.layer)), *([Line(rest, "dim")] if rest else [])]


def _macs(row: Row) -> Cell:
    return [Line(number(row.layer.macs.value), "" if row.layer.macs.terms else "dim")]


_CELLS: Mapping[str, Callable[[Row], Cell]] = {
    "type": lambda row: [Line(type_name(row.node), "cyan")],
    "output_shapes": lambda row: [Line(show(shape)) for shape in row.node.shapes],
    "params": _parameters,
    "macs": _macs,
}
"""The columns whose text has styles or several lines on a terminal."""


# ---------------------------------------------------------------------------------------------- training and inference


def _modes(analysis: Analysis, width: int) -> Iterator[str]:
    """What the layers do in training and in inference that act differently in the two, alike ones together."""
    yield styled("Training and inference differ in", "bold")
    for modes, names in alike_modes(analysis):
        yield from wrap(", ".join(names), width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
        for when, what in (("training ", modes.training), ("inference", modes.inference)):
            first, *rest = wrap(what, max(20, width - 15)) or [""]
            yield f"    {styled(when, 'dim')}  {first}"
            yield from (f"{' ' * 15}{line}" for line in rest)
