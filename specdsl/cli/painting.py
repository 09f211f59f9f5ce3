"""Colours of specs on a terminal."""

from __future__ import annotations

from functools import lru_cache

import click
from pygments.token import Comment, Keyword, Name, Number, Operator, String, Token

from specdsl.highlight import SpecLexer
from specdsl.source import Source

COLOURS = {
    Comment: "bright_black",
    String: "green",
    Number: "yellow",
    Keyword.Constant: "yellow",
    Keyword: "magenta",
    Operator.Word: "magenta",
    Name.Builtin: "cyan",
    Name.Function: "blue",
    Name.Class: "blue",
}
LARGEST = 100_000
"""Characters of a text that is worth the time."""


def paint(source: Source, start: int, end: int) -> str:
    """A part of a text, in colours."""
    if len(source.text) > LARGEST:
        return source.text[start:end]
    shown = []
    for offset, colour, value in _pieces(source):
        part = value[max(0, start - offset) : max(0, end - offset)]
        if part:
            shown.append(click.style(part, fg=colour) if colour else part)
    return "".join(shown)


@lru_cache(maxsize=4)
def _pieces(source: Source) -> list[tuple[int, str | None, str]]:
    """The pieces of a text, each with its offset and colour."""
    found = []
    for offset, kind, value in SpecLexer().get_tokens_unprocessed(source.text):
        while kind not in COLOURS and kind is not Token:
            kind = kind.parent
        found.append((offset, COLOURS.get(kind), value))
    return found
