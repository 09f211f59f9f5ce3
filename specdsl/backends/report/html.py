"""The report as a page of HTML that needs nothing beside it: styles, script and diagram stand in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from specdsl.analyses import Analysis
from specdsl.backends.diagram import Diagram
from specdsl.backends.report.columns import Column, told_columns
from specdsl.backends.report.explanation import Piece, pieces
from specdsl.backends.report.rows import Row, alike_modes, asides, block_name, rows
from specdsl.backends.report.totals import CONVENTIONS, told_totals
from specdsl.backends.words import local_name
from specdsl.declaration import text

MOST_DRAWN = 500
"""Layers up to which the page has a diagram, which takes seconds beyond."""


class _Line(NamedTuple):
    """A line of the table: a layer with its cells, or the heading of a block without."""

    name: str
    asides: Sequence[str]
    level: int
    around: str
    block: str = ""
    cells: Sequence[tuple[Column, str]] = ()


def to_html(analysis: Analysis) -> str:
    """The report as one page.

    Raises:
        DiagramError: the diagram cannot be drawn.
    """
    graph = analysis.graph
    found = list(rows(analysis))
    columns = told_columns(found)
    drawn = len(found) <= MOST_DRAWN
    loader = FileSystemLoader(Path(__file__).parent)
    page = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    return page.get_template("page.html.jinja").render(
        graph=graph,
        parameters=", ".join(f"{name}={text(value)}" for name, value in graph.parameters.items()),
        docstring=[" ".join(paragraph.split()) for paragraph in graph.docstring.split("\n\n") if paragraph],
        totals=list(told_totals(analysis)),
        columns=columns,
        lines=list(_lines(found, columns)),
        modes=[(", ".join(names), modes) for modes, names in alike_modes(analysis)],
        svg=Markup(_inline(Diagram(analysis).svg())) if drawn else "",
        prose=Markup("\n".join(_prose(list(pieces(analysis))))),
        conventions=CONVENTIONS,
    )


def _lines(found: Sequence[Row], columns: Sequence[Column]) -> Iterator[_Line]:
    shown = {column.key for column in columns}
    for row in found:
        around: list[str] = [f"{row.within}{one.name}" for one in row.graph.enclosing(row.node.scope)]
        models = row.within.split("/")[:-1]
        outer = ["/".join(models[: depth + 1]) + "/" for depth in range(len(models))]
        for instance, level in row.entered:
            arguments = ", ".join(f"{name}={text(value)}" for name, value in instance.arguments.items())
            enclosing = [f"{row.within}{one.name}" for one in row.graph.enclosing(instance.parent)]
            told = [f"({arguments})"] if arguments else []
            yield _Line(
                block_name(instance), told, level, " ".join([*outer, *enclosing]), f"{row.within}{instance.name}"
            )
        cells = [(column, column.text(row)) for column in columns[1:]]
        told = [aside.text for aside in asides(row, shown)]
        yield _Line(local_name(row.node), told, row.level, " ".join([*outer, *around]), cells=cells)


def _inline(svg: str) -> str:
    """A drawing as it stands in a page: without what belongs to a file of its own, and without addresses."""
    svg = svg[svg.index("<svg") :]
    return re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", svg).strip()


def _prose(told: Sequence[Piece]) -> Iterator[str]:
    """The explanation without its first heading, which is that of the page; levels begin below those of sections."""
    listing = False
    for piece in told[1:]:
        if listing != (piece.kind == "item"):
            listing = not listing
            yield "<ul>" if listing else "</ul>"
        text = re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(piece.text, quote=False))
        level = min(piece.level + 2, 6)
        tag = {"heading": f"h{level}", "item": "li"}.get(piece.kind, "p")
        yield f"<{tag}>{text}</{tag}>"
    if listing:
        yield "</ul>"
