"""The forms that told results take: terminal, Markdown, LaTeX, HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape as html_escape

from specdsl.backends.table import Cell, Line, fitted, side_by_side, styled, wrapped
from specdsl.backends.table import Column as Track
from specdsl.results.document import Document, Sentences, Table

NAME_WIDTH = 12
"""How far the first column of a table may shrink."""
FOLDED = 24
"""How far a column may shrink whose cells may fold."""
READABLE = 100
"""The widest that sentences are set on a terminal."""


def to_text(document: Document, width: int) -> str:
    """For a terminal of `width` columns: tables side by side where they fit, else line by line."""
    return "\n".join(line.rstrip() for line in _text(document, max(20, width))) + "\n"


def _text(document: Document, width: int) -> Iterator[str]:
    yield from (styled(line, "bold") for line in wrapped(document.title, width))
    for fact in document.facts:
        yield from wrapped(fact, min(width, READABLE))
    for warning in document.warnings:
        yield ""
        yield from (styled(line, "yellow") for line in wrapped(f"Warning: {warning}", min(width, READABLE)))
    for part in document.parts:
        yield ""
        yield from (styled(line, "bold") for line in wrapped(part.title, width))
        if isinstance(part, Sentences):
            for item in part.items:
                yield from wrapped(item, min(width, READABLE), initial_indent="- ", subsequent_indent="  ")
            continue
        yield from _table(part, width)
        for note in part.notes:
            yield from (styled(line, "dim") for line in wrapped(note, min(width, READABLE)))


def _table(table: Table, width: int) -> Iterator[str]:
    """The columns that hold anything; where they find no room, with headings in lines, then one below the other."""
    shown, names = _shown(table), table.names
    columns = [table.columns[index] for index in shown]
    cells: list[list[Cell]] = [[[Line(row[index])] for index in shown] for row in table.rows]
    lines = None
    for least in (None, NAME_WIDTH):
        tracks = [
            Track(column.heading, column.right, FOLDED if column.folds else least if index < names else None)
            for index, column in enumerate(columns)
        ]
        lines = lines or side_by_side(tracks, cells, width)
    for row in lines or fitted(tracks, cells, width, names, " − "):
        yield from row


def _shown(table: Table) -> list[int]:
    """The columns in which any row says something."""
    return [
        index for index, _ in enumerate(table.columns) if index < table.names or any(row[index] for row in table.rows)
    ]


def to_markdown(document: Document) -> str:
    """As Markdown, with a heading for each part."""
    from specdsl.backends.report.markdown import markdown_table

    lines = [f"## {document.title}", ""]
    for fact in document.facts:
        lines += [fact, ""]
    for warning in document.warnings:
        lines += [f"> **Warning.** {warning}", ""]
    for part in document.parts:
        lines += [f"### {part.title}", ""]
        if isinstance(part, Sentences):
            lines += [f"- {item}" for item in part.items]
        else:
            shown = _shown(part)
            lines += markdown_table(
                [part.columns[index].heading for index in shown],
                [[row[index] for index in shown] for row in part.rows],
                [part.columns[index].right for index in shown],
            )
            for note in part.notes:
                lines += ["", note]
        lines.append("")
    return "\n".join(lines)


def to_latex(document: Document) -> str:
    """As LaTeX: a table for each table, with its notes below it, and the sentences as lists."""
    from specdsl.backends.report.latex import escape

    lines = ["% Made by specdsl; needs \\usepackage{booktabs}."]
    for warning in document.warnings:
        lines += ["", rf"\noindent\textbf{{Warning.}} {escape(warning)}"]
    for part in document.parts:
        lines.append("")
        if isinstance(part, Sentences):
            lines += [rf"\noindent {escape(part.title)}:", r"\begin{itemize}"]
            lines += [rf"\item {escape(item)}" for item in part.items]
            lines.append(r"\end{itemize}")
            continue
        shown = _shown(part)
        spec = "".join("r" if part.columns[index].right else "l" for index in shown)
        label = re.sub(r"[^A-Za-z0-9]+", "-", f"{document.title} {part.title}").strip("-")
        lines += [r"\begin{table}[htbp]", r"\centering\small"]
        lines += [rf"\caption{{{escape(document.title)}. {escape(part.title)}}}\label{{tab:{label}}}"]
        lines += [rf"\begin{{tabular}}{{@{{}}{spec}@{{}}}}", r"\toprule"]
        lines += [" & ".join(escape(part.columns[index].heading) for index in shown) + r" \\", r"\midrule"]
        lines += [" & ".join(escape(row[index]) for index in shown) + r" \\" for row in part.rows]
        lines += [r"\bottomrule", r"\end{tabular}"]
        if part.notes:
            lines += ["", r"\medskip", rf"\parbox{{\linewidth}}{{\footnotesize {escape(' '.join(part.notes))}}}"]
        lines.append(r"\end{table}")
    return "\n".join([*lines, ""])


def to_html(document: Document) -> str:
    """As a fragment of HTML, for notebooks and pages."""
    lines = [f"<h3>{html_escape(document.title)}</h3>"]
    lines += [f"<p>{html_escape(fact)}</p>" for fact in document.facts]
    lines += [f"<p><strong>Warning:</strong> {html_escape(warning)}</p>" for warning in document.warnings]
    for part in document.parts:
        lines.append(f"<h4>{html_escape(part.title)}</h4>")
        if isinstance(part, Sentences):
            lines += ["<ul>", *(f"<li>{html_escape(item)}</li>" for item in part.items), "</ul>"]
            continue
        shown = _shown(part)
        sides = ["right" if part.columns[index].right else "left" for index in shown]
        heads = [part.columns[index].heading for index in shown]
        lines += ["<table>", f"<tr>{_cells('th', heads, sides)}</tr>"]
        lines += [f"<tr>{_cells('td', [row[index] for index in shown], sides)}</tr>" for row in part.rows]
        lines.append("</table>")
        lines += [f"<p><small>{html_escape(note)}</small></p>" for note in part.notes]
    return "\n".join([*lines, ""])


def _cells(tag: str, texts: list[str], sides: list[str]) -> str:
    return "".join(
        f'<{tag} style="text-align: {side}">{html_escape(text)}</{tag}>'
        for text, side in zip(texts, sides, strict=True)
    )
