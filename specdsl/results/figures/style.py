"""How all figures look, and how they are written. Imports matplotlib: import it late."""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from itertools import count
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names

from specdsl.runs.files import write_bytes

INK, SOFT, GRID, PAPER = "#1f2937", "#5b6470", "#d8dce1", "#ffffff"
"""Text and axes; text of less weight; lines behind the curves; the ground. A page may put its own in their place."""

BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
"""Colours of Okabe and Ito, which people tell apart with any colour vision."""

PARTS: dict[str, tuple[str, Any, str]] = {
    "train": (BLUE, (0, (5, 1.5)), "s"),
    "validation": (GREEN, (0, (1.2, 1.2)), "^"),
    "test": (VERMILION, "solid", "o"),
}
"""Colour, line and marker of each part of the data."""

SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, INK)
LINES: Sequence[Any] = ("solid", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (9, 3)))
MARKERS = "os^Dv<>"
"""Models in one figure differ in all three, with cycles of different lengths."""

FALLBACKS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Source Han Sans", "Hiragino Sans", "PingFang SC", "Microsoft YaHei"),
    *("Yu Gothic", "WenQuanYi Zen Hei", "Arial Unicode MS", "Noto Sans Devanagari", "Noto Sans Thai", "Unifont"),
)
"""Fonts for what the one that comes with matplotlib lacks, where they are installed."""

_RC: Any = {
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "savefig.facecolor": PAPER,
    "text.parse_math": False,  # names are names, whatever signs stand in them
    "text.usetex": False,
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched, and set in any script
    "svg.hashsalt": "specdsl",
    "path.simplify_threshold": 0.2,
}
DOTS = 150
"""Dots an inch in PNG."""
_CAPTION = 7.5
_LINE = 1.35 * _CAPTION / 72
"""The size of a caption in points, and the height of its lines in inches."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure that is drawn when it is asked for.

    Attributes:
        name: the stem of its files.
        title: what it shows, in a few words.
        caption: what one must know to read it.
        alternative: what can be seen in it, for those who do not see it.
        make: draws it; called within `drawing()`.
    """

    name: str
    title: str
    caption: str
    alternative: str
    make: Callable[[], Figure]

    def save(self, folder: Path, formats: Sequence[str] = (".svg", ".png")) -> list[Path]:
        """Write the figure with its caption below it, each file whole or not at all; the same bytes each time.

        Raises:
            OSError: a file cannot be written.
        """
        with drawing():
            figure = self.make()
            self._add_caption(figure)
            _settle(figure)
            files = []
            for suffix in formats:
                data = self._svg(figure).encode() if suffix == ".svg" else _png(figure)
                file = folder / f"{file_name(self.name)}{suffix}"
                write_bytes(file, data)
                files.append(file)
        return files

    def svg(self) -> str:
        """The figure as a page shows it: without its caption."""
        with drawing():
            figure = self.make()
            _settle(figure)
            return self._svg(figure)

    def _add_caption(self, figure: Figure) -> None:
        width, height = figure.get_size_inches()
        letters = int(width * 72 / (_CAPTION * 0.515))
        text = figure.supxlabel(
            fill(self.caption, letters), x=0.01, ha="left", fontsize=_CAPTION, color=SOFT, linespacing=1.25
        )
        while letters > 20 and text.get_window_extent().width > 0.98 * figure.bbox.width:  # digits are wide
            letters -= 2
            text.set_text(fill(self.caption, letters))
        figure.set_size_inches(width, height + (text.get_text().count("\n") + 1) * _LINE + 0.1)

    def _svg(self, figure: Figure) -> str:
        written = io.BytesIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
        told = f"<title>{escape(shown(self.title, 400))}</title><desc>{escape(shown(self.alternative, 4000))}</desc>"
        return tidy(written.getvalue().decode(), told)


@contextmanager
def drawing() -> Iterator[None]:
    """The settings under which figures are drawn; letters that no font has become boxes in PNG, without a word."""
    families = [name for name in FALLBACKS if name in _installed()]
    with matplotlib.rc_context({**_RC, "font.family": ["DejaVu Sans", *families]}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        yield


def sheet(width: float = 6.4, height: float = 4.0) -> Figure:
    """An empty figure, in inches."""
    figure = Figure(figsize=(width, height), dpi=DOTS, layout="constrained")  # letters are as wide as in PNG
    FigureCanvasAgg(figure)
    return figure


def legend(axes: Axes, entries: Sequence[tuple[Any, str]], **how: Any) -> None:
    """A legend of artists and what they are called, which no sign at the front of a name can keep out."""
    handles, labels = [one for one, _ in entries], [shown(label) for _, label in entries]
    made = axes.legend(handles, [f"\u200b{label}" if label.startswith("_") else label for label in labels], **how)
    made.set_in_layout(how.get("bbox_to_anchor") is not None)


def shown(text: str, most: int = 60) -> str:
    """A text of unknown origin on one line: no control characters, no more than `most` characters."""
    kept = "".join(" " if sign.isspace() else sign for sign in text)
    kept = "".join("\ufffd" if unicodedata.category(sign) in ("Cc", "Cs", "Cn") else sign for sign in kept).strip()
    return kept if len(kept) <= most else f"{kept[: most - 1]}…"


def file_name(name: str) -> str:
    """A name of unknown origin as one of a file: letters, digits, and `-._` for everything else."""
    return re.sub(r"[^\w.-]+", "-", name).lstrip(".")[:100] or "-"


def unlike(name: str, others: Container[str]) -> str:
    """A name, with a number behind it where others are the same."""
    return next(one for number in count(1) if (one := name if number == 1 else f"{name}-{number}") not in others)


def percent(value: float, digits: int = 1) -> str:
    """A share as a percentage."""
    return f"{100 * value:.{digits}f} %"


def tidy(svg: str, told: str) -> str:
    """An SVG of matplotlib with what it is for people who hear it, fonts as wide as its own, and shorter numbers."""
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r"\n *<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg [^>]*)version="1.1">', lambda match: f'{match[1]}version="1.1" role="img">\n {told}', svg)
    svg = svg.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")
    svg = re.sub(r' d="([^"]*)"', lambda match: f' d="{_shorter(match[1])}"', svg)
    svg = re.sub(
        r'(<use [^>]*?)x="([\d.-]+)" y="([\d.-]+)"',
        lambda match: f'{match[1]}x="{_shorter(match[2])}" y="{_shorter(match[3])}"',
        svg,
    )
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


def _shorter(numbers: str) -> str:
    """Numbers to a hundredth of a point, which nobody sees."""
    numbers = re.sub(r"\d+\.\d+", lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), numbers)
    return " ".join(numbers.split())


def _settle(figure: Figure) -> None:
    """Lay out again beforehand: beside axes of a fixed aspect, one layout leaves too little room for their names."""
    if any(axes.get_aspect() != "auto" for axes in figure.axes):
        for _ in range(2):
            figure.draw_without_rendering()


def _png(figure: Figure) -> bytes:
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=DOTS, metadata={"Software": None})
    return written.getvalue()


def _installed() -> set[str]:
    return set(get_font_names())
