"""Source texts and places in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, eq=False)
class Source:
    """A text with a name to show for it, usually its path.

    Attributes:
        name: what to call it.
        text: the text.
        hidden: how many characters of its first line were put before what somebody wrote, and are not shown.
    """

    name: str
    text: str
    hidden: int = 0

    def position(self, offset: int) -> tuple[int, int]:
        """The line and column of an offset, both counted from 1, columns in characters."""
        line = self.text.count("\n", 0, offset) + 1
        return line, max(offset, self.hidden) - self._start(offset) + 1

    def line(self, offset: int) -> str:
        """The text of the line that holds an offset, without its newline."""
        end = self.text.find("\n", offset)
        return self.text[self._start(offset) : end if end >= 0 else None].rstrip("\r")

    def _start(self, offset: int) -> int:
        """Where the line begins that holds an offset."""
        return max(self.text.rfind("\n", 0, offset) + 1, self.hidden)


class Span(NamedTuple):
    """The half-open range `[start, end)` of characters of a source."""

    source: Source
    start: int
    end: int

    @property
    def text(self) -> str:
        """The characters that the span covers."""
        return self.source.text[self.start : self.end]

    @property
    def position(self) -> tuple[int, int]:
        """Line and column of the first character, both counted from 1."""
        return self.source.position(self.start)

    def __str__(self) -> str:
        line, column = self.position
        return f"{self.source.name}:{line}:{column}"
