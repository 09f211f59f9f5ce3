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
        cells = [_folded(cell, size) for cell, size in zip(row, widths, strict=True)]
        for number in range(max(map(len, cells))):
            parts = [
                _aligned(cell[number] if number < len(cell) else Line(""), size, column.right)
                for cell, size, column in zip(cells, widths, columns, strict=True)
            ]
            yield (" " * GAP).join(parts).rstrip()


def _folded(cell: Cell, width: int) -> Cell:
    if all(len(line.text) <= width for line in cell):
        return cell
    folded = []
    for line in cell:
        indent = " " * (len(line.text) - len(line.text.lstrip()))
        parts = wrap(line.text, width, subsequent_indent=indent + "  " if width > len(indent) + 4 else "")
        folded += [Line(part, line.style) for part in parts or [""]]
    return folded


def _aligned(line: Line, width: int, right: bool) -> str:
    space = " " * (width - len(line.text))
    return f"{space}{line}" if right else f"{line}{space}"
