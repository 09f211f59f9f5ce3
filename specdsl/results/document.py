"""Results as they are told, before they have a form: tables, sentences, warnings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        heading: what stands above it.
        right: whether its cells are aligned to the right, as numbers are.
        folds: whether its cells may go on in further lines.
    """

    heading: str
    right: bool = True
    folds: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table with what is said of it.

    Attributes:
        title: what it shows.
        columns: its columns; the first names the rows, or the first ones do.
        rows: a text for each column.
        notes: sentences below it.
        names: how many columns name the rows.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    names: int = 1


@dataclass(frozen=True, slots=True)
class Sentences:
    """A list of sentences under a title.

    Attributes:
        title: what they are about.
        items: the sentences.
    """

    title: str
    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Document:
    """Results, ready to be shown: on a terminal, in a notebook, in a text.

    Attributes:
        title: what they are of.
        facts: what holds for all of it, in lines.
        warnings: what makes it less than it seems.
        parts: tables and sentences, in order.
    """

    title: str
    facts: Sequence[str]
    warnings: Sequence[str]
    parts: Sequence[Table | Sentences]

    def to_text(self, width: int = 100) -> str:
        """For a terminal of `width` columns, with the codes of terminal styles."""
        from specdsl.results.forms import to_text

        return to_text(self, width)

    def to_markdown(self) -> str:
        """As Markdown."""
        from specdsl.results.forms import to_markdown

        return to_markdown(self)

    def to_latex(self) -> str:
        """As LaTeX tables with the rules of booktabs, without a document around them."""
        from specdsl.results.forms import to_latex

        return to_latex(self)

    def to_html(self) -> str:
        """As a fragment of HTML."""
        from specdsl.results.forms import to_html

        return to_html(self)

    def __str__(self) -> str:
        return re.sub(r"\x1b\[\d+m", "", self.to_text())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.to_html()
