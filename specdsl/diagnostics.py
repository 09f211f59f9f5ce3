"""What is wrong with a spec, as values: a closed list of kinds, one diagnostic type, several renderings."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple
from unicodedata import east_asian_width

from specdsl.source import Source, Span


class Slug(StrEnum):
    """Every kind of mistake that a spec can hold."""

    SYNTAX = "syntax"
    UNREADABLE = "unreadable-file"
    UNKNOWN_STEP = "unknown-step"
    UNKNOWN_NAME = "unknown-name"
    UNKNOWN_ARGUMENT = "unknown-argument"
    MISSING_ARGUMENT = "missing-argument"
    BAD_ARGUMENT = "bad-argument"
    BAD_VALUE = "bad-value"
    DUPLICATE = "duplicate-name"
    MISPLACED = "misplaced"
    SHAPE = "shape-mismatch"
    DTYPE = "dtype-mismatch"
    UNUSED = "unused"
    SELECTOR = "selector"
    EXPECTATION = "expectation"
    LIMIT = "limit"
    UNKNOWN_MODEL = "unknown-model"


class Note(NamedTuple):
    """A remark that belongs to a diagnostic, at a place of its own where it has one."""

    message: str
    span: Span | None = None


class Diagnostic(NamedTuple):
    """One mistake: its kind, what is wrong, where, what else matters, and how to mend it."""

    slug: Slug
    message: str
    span: Span | None = None
    notes: tuple[Note, ...] = ()
    help: str | None = None


class SpecError(Exception):
    """A spec that cannot be used, with all the mistakes found in it.

    Attributes:
        diagnostics: the mistakes, in the order of the text.
    """

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        known = dict.fromkeys(map(_shortened, diagnostics))
        self.diagnostics: tuple[Diagnostic, ...] = tuple(sorted(known, key=_place))
        super().__init__("\n".join(render(diagnostic) for diagnostic in self.diagnostics))


def _place(diagnostic: Diagnostic) -> tuple[str, int]:
    return (diagnostic.span.source.name, diagnostic.span.start) if diagnostic.span else ("", -1)


_LONGEST_MESSAGE = 400


def _shortened(diagnostic: Diagnostic) -> Diagnostic:
    """The diagnostic with a message of bearable length: a value in it may be a list of thousands of items."""
    message = diagnostic.message
    if len(message) <= _LONGEST_MESSAGE:
        return diagnostic
    half = _LONGEST_MESSAGE // 2
    return diagnostic._replace(message=f"{message[:half]} ... {message[-half:]}")


_NEAR = 0.6
"""The part of two words that is the same in both, at least."""

_LONGEST_WORD = 60
_MOST_COMPARED = 100_000
"""Pairs of characters that the search for a near word compares, roughly: a thousand words of ten letters."""


def did_you_mean(wrong: str, known: Iterable[str]) -> str | None:
    """A help line that names the known word nearest to a wrong one, None when none is near.

    A very long word is no slip of the pen; and of very many known words only the first of fitting length are compared.
    """
    if len(wrong) > _LONGEST_WORD:
        return None
    words: list[str] = []
    left = _MOST_COMPARED
    for word in known:
        if 2 * min(len(word), len(wrong)) >= _NEAR * (len(word) + len(wrong)):
            words.append(word)
            left -= len(word) * len(wrong)
            if left < 0:
                break
    return _nearest(wrong, tuple(words))


def in_quotes(word: str) -> str:
    """A help line for a word that stands for a string, and has no quotes."""
    return f'a word of Keras is written in quotes: "{word}"'


@lru_cache
def _nearest(wrong: str, words: tuple[str, ...]) -> str | None:
    from difflib import get_close_matches  # late, as json: most starts have nothing wrong to tell

    folded = {word.casefold(): word for word in reversed(words)}
    match = get_close_matches(wrong.casefold(), folded, n=1, cutoff=_NEAR)
    return f"did you mean '{folded[match[0]]}'?" if match else None


Paint = Callable[[Source, int, int], str]
"""How a part of a text is shown, given by the offsets of its begin and end."""


def render(diagnostic: Diagnostic, paint: Paint | None = None) -> str:
    """A diagnostic for people: place, reason, source line with caret, notes, help.

    The first line has the form `file:line:column: error[kind]: reason`, which editors and terminals make clickable.

    Args:
        diagnostic: the diagnostic.
        paint: shows source lines in colours.
    """
    where = f"{diagnostic.span}: " if diagnostic.span else ""
    lines = [f"{where}error[{diagnostic.slug}]: {diagnostic.message}"]
    if diagnostic.span:
        lines += _excerpt(diagnostic.span, paint)
    for note in diagnostic.notes:
        lines.append(f"  note: {f'{note.span}: ' if note.span else ''}{note.message}")
        if note.span:
            lines += _excerpt(note.span, paint)
    if diagnostic.help:
        lines.append(f"  help: {diagnostic.help}")
    return "\n".join(lines)


def render_concise(diagnostic: Diagnostic) -> str:
    """A diagnostic on one line: place, reason and help."""
    where = f"{diagnostic.span}: " if diagnostic.span else ""
    hint = f" ({diagnostic.help})" if diagnostic.help else ""
    return f"{where}error[{diagnostic.slug}]: {diagnostic.message}{hint}"


def render_github(diagnostic: Diagnostic) -> str:
    """A diagnostic as a workflow command of GitHub, which shows it beside the line of a pull request."""
    place = ""
    if diagnostic.span:
        line, column = diagnostic.span.position
        place = f"file={_escaped(diagnostic.span.source.name)},line={line},col={column},"
    hint = f" ({diagnostic.help})" if diagnostic.help else ""
    return f"::error {place}title={diagnostic.slug}::{_escaped(diagnostic.message + hint)}"


def _escaped(words: str) -> str:
    return words.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def render_json(diagnostics: Sequence[Diagnostic]) -> str:
    """Diagnostics as a JSON list of objects with kind, message, file, line, column, notes and help."""
    import json

    return json.dumps([_as_data(diagnostic) for diagnostic in diagnostics], indent=2, ensure_ascii=False)


def _as_data(item: Diagnostic | Note) -> dict[str, object]:
    data: dict[str, object] = {"message": item.message}
    if item.span:
        line, column = item.span.position
        data |= {
            "file": item.span.source.name,
            "line": line,
            "column": column,
            "length": item.span.end - item.span.start,
        }
    if isinstance(item, Diagnostic):
        data |= {"kind": str(item.slug), "help": item.help, "notes": [_as_data(note) for note in item.notes]}
    return data


_WIDEST_EXCERPT = 120


_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
"""Characters that a terminal would obey."""


def _excerpt(span: Span, paint: Paint | None) -> list[str]:
    """The source line of a span with carets under it; a very long line is cut to the part around the span."""
    number, column = span.position
    line = span.source.line(span.start)
    first = column - 1
    begin = max(span.start, span.source.hidden) - first
    length = max(1, min(span.end - begin - first, len(line) - first))
    if len(line) > _WIDEST_EXCERPT:
        cut = max(0, first - _WIDEST_EXCERPT // 2)
        length = min(length, _WIDEST_EXCERPT // 2)
        line, first, begin = line[cut : cut + _WIDEST_EXCERPT], first - cut, begin + cut
    margin = f"{number:5} | "
    padding = "".join("\t" if character == "\t" else " " * _width(character) for character in line[:first])
    carets = "^" * max(1, sum(map(_width, line[first : first + length])))
    shown = _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", line)
    if paint and shown == line:
        shown = paint(span.source, begin, begin + len(line))
    return [f"{margin}{shown}", f"{' ' * (len(margin) - 2)}| {padding}{carets}"]


def _width(character: str) -> int:
    return 2 if east_asian_width(character) in "WF" else 1
