"""Columns of text that fit a width.

The report of ten thousand layers must come in a moment and that of ten must not wait for an import, which is why
this is not left to a library: it takes 0.05 s for the one and nothing for the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import NamedTuple

STYLES = {
    "": "",
    "bold": "\x1b[1m",
    "dim": "\x1b[2m",
    "cyan": "\x1b[36m",
    "italic": "\x1b[3m",
    "green": "\x1b[32m",
    "red": "\x1b[31m",
    "yellow": "\x1b[33m",
}
GAP = 2


class Line(NamedTuple):
    """A line of a cell, in one style."""

    text: str
    style: str = ""

    def __str__(self) -> str:
        return styled(self.text, self.style)


class Column(NamedTuple):
    """A column: its heading, whether it is aligned to the right, and how far it may shrink.

    `least` is the width below which it does not shrink to make the table fit; None for one that keeps its width.
    """

    heading: str
    right: bool = False
    least: int | None = None


Cell = Sequence[Line]


def styled(text: str, style: str) -> str:
    """A text in a style, as terminals show it."""
    return f"{STYLES[style]}{text}\x1b[0m" if style and text else text


def widths_within(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> list[int]:
    """The widths of the columns of a table, shrunk from the first one on until it fits, as far as they allow that."""
    widths = [
        max([len(column.heading), *(len(line.text) for row in rows for line in row[index])])
        for index, column in enumerate(columns)
    ]
    for index, column in enumerate(columns):
        excess = whole(widths) - width
        if excess > 0 and column.least is not None:
            widths[index] = max(min(column.least, widths[index]), widths[index] - excess)
    return widths


def whole(widths: Sequence[int]) -> int:
    """How wide a table is with columns of these widths."""
    return sum(widths) + GAP * (len(widths) - 1)


def layout(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> Iterator[str]:
    """The lines of a table no wider than `width` where its columns allow that.

    Cells that do not fit their column go on below; a row has as many lines as its longest cell.
    """
    widths = widths_within(columns, rows, width)
    heading = [[Line(column.heading, "bold")] for column in columns]
    for row in [heading, *rows]:
        yield from _lines_of(row, widths, columns)


def _lines_of(row: Sequence[Cell], widths: Sequence[int], columns: Sequence[Column]) -> Iterator[str]:
    cells = [_folded(cell, size) for cell, size in zip(row, widths, strict=True)]
    for number in range(max(map(len, cells))):
        parts = [
            _aligned(cell[number] if number < len(cell) else Line(""), size, column.right)
            for cell, size, column in zip(cells, widths, columns, strict=True)
        ]
        yield (" " * GAP).join(parts).rstrip()


def fitted(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int, names: int = 1, between: str = " "
) -> list[list[str]]:
    """A table whatever the width: the lines of its heading, then those of each row.

    Where the columns find no room beside one another, there is no heading, and each row has its cells one below the
    other behind their headings.

    Args:
        columns: the columns.
        rows: a cell for each column.
        width: how wide lines may be.
        names: how many of the first columns say what a row is about.
        between: what stands between these where a row is told in lines.
    """
    return side_by_side(columns, rows, width) or [
        [],
        *(list(_below(columns, row, width, names, between)) for row in rows),
    ]


def side_by_side(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int) -> list[list[str]] | None:
    """The lines of a heading, in several where it has to be, and of each row of a table; None where it is too wide."""
    tracks = [column._replace(heading="") for column in columns]
    headings = [column.heading for column in columns]
    for heads in ([[heading] for heading in headings], _folded_headings(headings, rows)):
        whole_table = [_stacked(heads), *rows]
        widths = widths_within(tracks, whole_table, width)
        if whole(widths) <= width:
            return [list(_lines_of(row, widths, tracks)) for row in whole_table]
    return None


def _folded_headings(headings: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[list[str]]:
    """Headings in lines that are no longer than the cells below them, or than their longest word."""
    folded = []
    for index, heading in enumerate(headings):
        cells = (len(line.text) for row in rows for line in row[index])
        folded.append(wrapped(heading, max([1, *map(len, heading.split()), *cells])) or [""])
    return folded


def _stacked(headings: Sequence[Sequence[str]]) -> list[Cell]:
    """Headings as the cells of a row, their last lines beside one another."""
    high = max(map(len, headings))
    return [[Line("")] * (high - len(lines)) + [Line(line, "bold") for line in lines] for lines in headings]


def _below(columns: Sequence[Column], row: Sequence[Cell], width: int, names: int, between: str) -> Iterator[str]:
    """A row in lines: what it is about, then each cell that is not empty behind its heading."""
    told = [[line for line in cell if line.text.strip()] for cell in row]
    title = between.join(line.text.strip() for cell in told[:names] for line in cell)
    style = next((line.style for cell in told[:names] for line in cell), "")
    indent = " " * max([len(line.text) - len(line.text.lstrip()) for cell in row[:1] for line in cell[:1]], default=0)
    for line in wrapped(title, width, initial_indent=indent, subsequent_indent=indent):
        yield styled(line, style)
    for column, cell in zip(columns[names:], told[names:], strict=True):
        if cell:
            text = " ".join(line.text.strip() for line in cell)
            head = f"{column.heading}: " if column.heading.strip() else ""
            inner, below = f"{indent}  ", f"{indent}    "
            for line in wrapped(f"{head}{text}", width, initial_indent=inner, subsequent_indent=below):
                yield styled(line, cell[0].style)


def wrapped(text: str, width: int, initial_indent: str = "", subsequent_indent: str = "") -> list[str]:
    """A text in lines of at most `width`; what is longer without a space, as paths are, is left whole."""
    return wrap(
        text,
        width,
        initial_indent=initial_indent,
        subsequent_indent=subsequent_indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _folded(cell: Cell, width: int) -> Cell:
    if all(len(line.text) <= width for line in cell):
        return cell
    folded = []
    for line in cell:
        indent = " " * (len(line.text) - len(line.text.lstrip()))
        parts = wrap(line.text, width, subsequent_indent=indent + "  " if width > len(indent) + 4 else "")
        folded += [Line(part.rstrip(), line.style) for part in parts or [""]]
    return folded


def _aligned(line: Line, width: int, right: bool) -> str:
    space = " " * (width - len(line.text))
    return f"{space}{line}" if right else f"{line}{space}"
