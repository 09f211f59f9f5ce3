"""A contact sheet: rows of images, each with a name. Imports matplotlib: import it late."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

FORMATS = (".png", ".svg")

MOST_ROWS = 200
"""A sheet has at most so many rows: more cannot be looked at."""

_SIDE = 64
"""The pixels of the sheet that an image has about, if it has fewer of its own."""

_DPI = 100
_NAME_WIDTH = 190
_LINE = 22
_GAP = 2


class Row(NamedTuple):
    """A row of a sheet.

    Attributes:
        name: what stands before it.
        images: float (height, width, 1 or 3) in [0, 1]; what lies outside is cut off.
        marks: a word in the corner of each image, or an empty text.
    """

    name: str
    images: Sequence[NDArray[Any]]
    marks: Sequence[str]


def save(rows: Sequence[Row], path: Path, title: str, heads: Sequence[str] = ()) -> None:
    """Draw a sheet to a file: the rows one below the other, in as many blocks side by side as make it handy.

    Args:
        rows: what to draw.
        path: a file that ends in one of `FORMATS`.
        title: what stands above all.
        heads: what stands above the columns of each block; those without one have none.

    Raises:
        ValueError: the file has another ending, or there are too many rows.
    """
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"a contact sheet is written to a file that ends in {' or '.join(FORMATS)}, not to {path}")
    if len(rows) > MOST_ROWS:
        raise ValueError(f"a contact sheet has at most {MOST_ROWS} rows, not {len(rows)}")
    with matplotlib.rc_context({"svg.hashsalt": "specdsl", "svg.fonttype": "path"}):
        metadata = None if path.suffix.lower() == ".png" else {"Date": None}
        figure(rows, title, heads).savefig(path, format=path.suffix.lower()[1:], dpi=_DPI, metadata=metadata)


def figure(rows: Sequence[Row], title: str, heads: Sequence[str] = ()) -> Figure:
    """The sheet as a figure in which a pixel of an image is a whole number of pixels wide."""
    blocks = 1 if len(rows) <= 10 else 2 if len(rows) <= 30 else 3 if len(rows) <= 90 else 5
    deep = -(-len(rows) // blocks)
    columns = max(len(row.images) for row in rows)
    height = max(image.shape[0] for row in rows for image in row.images)
    width = max(image.shape[1] for row in rows for image in row.images)
    scale = max(1, round(_SIDE / max(height, width)))
    cell_height, cell_width = (height + _GAP) * scale, (width + _GAP) * scale
    block_width, above = _NAME_WIDTH + columns * cell_width + 16, 54 if heads else 36
    total = (blocks * block_width + 10, above + deep * cell_height + 10)
    drawn = Figure(figsize=(total[0] / _DPI, total[1] / _DPI), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(drawn)
    drawn.text(10 / total[0], 1 - 10 / total[1], title, va="top", fontsize=11, weight="bold")

    def write(x: float, y: float, words: str, **style: Any) -> None:
        """Words at pixels from the left and from the top."""
        drawn.text(x / total[0], 1 - y / total[1], words, **style)

    for block in range(blocks):
        mine = rows[block * deep : (block + 1) * deep]
        if not mine:
            continue
        left = 10 + block * block_width + _NAME_WIDTH
        for column, head in enumerate(heads):
            write(left + (column + 0.5) * cell_width, above - 4, head, ha="center", va="bottom", fontsize=8)
        canvas = np.ones((len(mine) * (height + _GAP), columns * (width + _GAP), 3), np.float32)
        for number, row in enumerate(mine):
            middle = above + (number + 0.5) * cell_height
            write(left - 8, middle, _folded(row.name), ha="right", va="center", fontsize=8)
            for column, (image, mark) in enumerate(zip(row.images, row.marks, strict=True)):
                _paste(canvas, image, number * (height + _GAP), column * (width + _GAP), height, width)
                if mark:
                    place = left + column * cell_width + 3 * scale, above + number * cell_height + 3 * scale
                    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
                    write(*place, mark, ha="left", va="top", fontsize=7, bbox=box)
        across, down = columns * cell_width, len(mine) * cell_height
        axes = drawn.add_axes((left / total[0], 1 - (above + down) / total[1], across / total[0], down / total[1]))
        axes.imshow(canvas, interpolation="nearest", aspect="auto")
        axes.set_axis_off()
    return drawn


def _paste(canvas: NDArray[Any], image: NDArray[Any], top: int, left: int, height: int, width: int) -> None:
    """Set an image into the middle of its cell."""
    rows, columns = image.shape[:2]
    top, left = top + (height - rows) // 2, left + (width - columns) // 2
    canvas[top : top + rows, left : left + columns] = np.clip(np.nan_to_num(image), 0, 1)


def _folded(name: str) -> str:
    """A name on at most two lines."""
    lines = wrap(name, _LINE) or [""]
    return "\n".join(lines if len(lines) <= 2 else [lines[0], lines[1][: _LINE - 3].rstrip(" .") + "..."])
