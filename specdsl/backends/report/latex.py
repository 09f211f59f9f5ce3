"""The report as LaTeX: tables with the rules of booktabs, to be read into a document by `\\input`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from specdsl.analyses import Analysis
from specdsl.backends.report.columns import Column, told_columns, untrained
from specdsl.backends.report.rows import Row, asides, block_name, rows
from specdsl.backends.report.totals import CONVENTIONS, told_totals
from specdsl.backends.words import local_name
from specdsl.declaration import text

ROOM = 80
"""Columns of text that a page is taken to have room for."""

WIDE = 60
"""Letters from which a line over all columns is folded."""

LONG = 40
"""Lines from which the layers stand in a `longtable`, which goes on from page to page."""


def to_latex(analysis: Analysis) -> str:
    """The layers and the totals of a model as two tables, without a document around them."""
    graph = analysis.graph
    found = list(rows(analysis))
    columns = told_columns(found, ROOM)
    lines = [line for row in found for line in _lines(row, columns)]
    heading = " & ".join(escape(column.title) for column in columns) + r" \\"
    first = graph.docstring.split("\n\n")[0]
    caption = f"Layers of {escape(graph.name)}. {escape(' '.join(first.split()))}".rstrip()
    caption = f"\\caption{{{caption}}}\\label{{tab:{re.sub(r'[^A-Za-z0-9]+', '-', graph.name)}}}"
    spec = f"@{{}}{''.join('r' if column.right else 'l' for column in columns)}@{{}}"
    return "\n".join(
        [
            "% Made by specdsl; needs \\usepackage{booktabs,longtable} and a font with the letters of the names.",
            *(_long if len(lines) >= LONG else _short)(spec, caption, heading, lines),
            "",
            *_totals(analysis),
            "",
        ]
    )


def _short(spec: str, caption: str, heading: str, lines: list[str]) -> Iterator[str]:
    yield from (r"\begin{table}[htbp]", r"\centering\small", caption, rf"\begin{{tabular}}{{{spec}}}")
    yield from (r"\toprule", heading, r"\midrule", *lines, r"\bottomrule", r"\end{tabular}", r"\end{table}")


def _long(spec: str, caption: str, heading: str, lines: list[str]) -> Iterator[str]:
    columns = len(re.findall("[lr]", spec))
    yield from (r"\begingroup\small", rf"\begin{{longtable}}{{{spec}}}", rf"{caption}\\")
    yield from (r"\toprule", heading, r"\midrule", r"\endfirsthead", r"\toprule", heading, r"\midrule", r"\endhead")
    yield rf"\midrule\multicolumn{{{columns}}}{{r@{{}}}}{{\emph{{continued}}}}\\\endfoot"
    yield from (r"\bottomrule\endlastfoot", *lines, r"\end{longtable}", r"\endgroup")


def _totals(analysis: Analysis) -> Iterator[str]:
    yield from (r"\begin{table}[htbp]", r"\centering\small", r"\begin{tabular}{@{}lrl@{}}", r"\toprule")
    for total in told_totals(analysis):
        title = rf"\quad {escape(total.title)}" if total.part else escape(total.title)
        yield rf"{title} & {escape(total.amount)} & {escape(total.note)} \\"
    yield from (
        r"\bottomrule",
        r"\end{tabular}",
        "",
        r"\medskip",
        rf"\parbox{{\linewidth}}{{\footnotesize {escape(CONVENTIONS)}}}",
    )
    yield r"\end{table}"


def _lines(row: Row, columns: Sequence[Column]) -> Iterator[str]:
    """The lines of a layer: those of the blocks that begin with it, its own, and what no column tells."""
    for instance, level in row.entered:
        arguments = ", ".join(f"{name}={text(value)}" for name, value in instance.arguments.items())
        name = rf"{_indent(level)}\textbf{{{escape(block_name(instance))}}}"
        told = escape(f" ({arguments})") if arguments else ""
        yield _across(columns, f"{name}{told}", long=len(told) > WIDE)
    cells = [_cell(column, row) for column in columns]
    yield " & ".join(cells) + r" \\"
    if rest := untrained(row.layer):
        yield " & ".join(rf"\footnotesize {rest}" if column.key == "params" else "" for column in columns) + r" \\"
    for aside in asides(row, {column.key for column in columns}):
        yield _across(columns, rf"{_indent(row.level)}\footnotesize {escape(aside.text)}", long=len(aside.text) > WIDE)


def _across(columns: Sequence[Column], text: str, *, long: bool = False) -> str:
    """A line of a table that goes over all its columns; a long one is folded."""
    kind, words = (r"p{0.95\linewidth}", rf"\raggedright {text}") if long else ("l", text)
    return rf"\multicolumn{{{len(columns)}}}{{@{{}}{kind}@{{}}}}{{{words}}} \\"


def _cell(column: Column, row: Row) -> str:
    if column.key == "name":
        return f"{_indent(row.level)}{escape(local_name(row.node))}"
    return escape(column.text(row))


def _indent(level: int) -> str:
    return rf"\hspace*{{{level}em}}" if level else ""


_MARKS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"{\char34}", "`": r"\textasciigrave{}", "'": r"\textquotesingle{}",
    "·": r"$\cdot$", "×": r"$\times$", "←": r"$\leftarrow$", "→": r"$\rightarrow$", "−": "$-$",
}  # fmt: skip


def escape(text: str) -> str:
    """A text as LaTeX prints it: with no command in it, no ligature and no quotation marks that turn."""
    return re.sub("-(?=-)", "-{}", "".join(_MARKS.get(letter, letter) for letter in text))
