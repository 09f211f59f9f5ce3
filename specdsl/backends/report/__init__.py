"""The analysis of a model for people and for programs.

`columns.py` and `totals.py` say what there is to tell: a column for each fact of a layer, a total for each fact of a
model. The other files lay that out, each in one form.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from specdsl.analyses import Analysis

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult


class Report:
    """The analysis of a model, ready to be shown: on a terminal, in a notebook, as a dictionary."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis

    def to_dict(self) -> dict[str, Any]:
        """Everything that the report knows, as plain data; a batch axis is None."""
        from specdsl.backends.report.data import to_dict

        return to_dict(self.analysis)

    def to_markdown(self) -> str:
        """The report as Markdown."""
        from specdsl.backends.report.markdown import to_markdown

        return to_markdown(self.analysis)

    def to_text(self, width: int = 100) -> str:
        """The report as a table of at most `width` columns, with terminal styles."""
        from specdsl.backends.report.terminal import to_text

        return to_text(self.analysis, width)

    def to_html(self) -> str:
        """The report as a page of HTML, with the diagram and the explanation, that needs nothing beside it.

        Raises:
            DiagramError: the diagram cannot be drawn.
        """
        from specdsl.backends.report.html import to_html

        return to_html(self.analysis)

    def to_csv(self) -> str:
        """The layers as comma-separated values, one row each, under the names of `to_dict`."""
        from specdsl.backends.report.csv import to_csv

        return to_csv(self.analysis)

    def to_latex(self) -> str:
        """The layers and the totals as LaTeX tables with the rules of booktabs, without a document around them."""
        from specdsl.backends.report.latex import to_latex

        return to_latex(self.analysis)

    def to_json(self) -> str:
        """What `to_dict` gives, as JSON."""
        import json

        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"

    def explain(self, width: int | None = None) -> str:
        """The model in prose, layer by layer: as Markdown, or for a terminal of `width` columns with its styles."""
        from specdsl.backends.report import explanation

        return explanation.to_markdown(self.analysis) if width is None else explanation.to_text(self.analysis, width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        yield Text.from_ansi(self.to_text(options.max_width).rstrip("\n"))

    def __str__(self) -> str:
        return re.sub(r"\x1b\[\d+m", "", self.to_text())

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        return self.to_markdown()
