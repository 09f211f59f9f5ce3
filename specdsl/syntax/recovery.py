"""Going on after a syntax error: which part of the text to leave out so that the rest can still be read.

The part is blanked to spaces of the same length, so every other place keeps its offset, and a `hole` mark is
left where the step stood.
"""

from __future__ import annotations

import re
from typing import NamedTuple

HOLE = "\x00"

_MARKS = re.compile(
    r'(?P<skip>"""(?:[^"\\]++|\\.|"(?!""))*+"""|"(?:[^"\\\n]++|\\.)*+"|\'(?:[^\'\\\n]++|\\.)*+\'|#[^\n]*+|\\.)'
    r"|(?P<end>[;\n](?:[ \t\r\f\n;]++|#[^\n]*+)*+(?!->|\{|(?:and|via|else)\b))"
    r"|(?P<open>[(\[{])|(?P<close>[)\]}])",
    re.DOTALL,
)
_BODY_BELOW = re.compile(r"\s*\{")
_PAIRS = {"(": ")", "[": "]", "{": "}"}


class Damage(NamedTuple):
    """The part of a text that a mistake makes unreadable.

    Attributes:
        start: offset of its first character.
        end: offset behind its last.
        unclosed: offset of a bracket that is never closed, when that is the mistake.
        stray: offset of a closing bracket that closes nothing, when that is the mistake.
    """

    start: int
    end: int
    unclosed: int | None = None
    stray: int | None = None


def damage(text: str, offset: int) -> Damage:
    """What to leave out of `text` after a syntax error at `offset`."""
    boundary = 0
    opened: list[tuple[int, int]] = []  # offset of an open bracket, and start of the step that it stands in
    for mark in _MARKS.finditer(text):
        if mark.start() >= offset:
            break
        if mark["end"] and not (opened and text[opened[-1][0]] != "{"):
            boundary = mark.end()
        elif mark["open"]:
            opened.append((mark.start(), boundary))
            if mark["open"] == "{":
                boundary = mark.end()
        elif mark["close"] and opened and _PAIRS[text[opened[-1][0]]] == mark["close"]:
            start, outer = opened.pop()
            if text[start] == "{":
                boundary = outer
    else:
        if opened and offset >= len(text):
            return _unclosed_brace(text, [start for start, _ in opened])
    for bracket, step in opened:
        if text[bracket] != "{" and (close := _closing(text, bracket)) is None:
            return Damage(step, _line_end(text, bracket), unclosed=bracket)
        if text[bracket] != "{":
            return Damage(step, _step_end(text, close or bracket))
    character = text[offset : offset + 1]
    if (character and character in ")]") or (character == "}" and not opened):
        return Damage(offset, offset + 1, stray=offset)
    start, end = min(boundary, offset), _step_end(text, offset)
    end = end if text[start:end].strip() else min(offset + 1, len(text))
    if body := _BODY_BELOW.match(text, end):
        end = _step_end(text, body.end() - 1)
    return Damage(start, end if opened or "{" in text[start:end] else _indented_end(text, end))


def _indented_end(text: str, offset: int) -> int:
    """Where the indented lines below a definition end that has no braces, as Python would write it."""
    below = re.compile(r"\n(?:[ \t]*(?=\n)|[ \t]+[^\n]*|[ \t]*$)")
    while match := below.match(text, offset):
        offset = match.end()
    return offset


def _closing(text: str, bracket: int) -> int | None:
    """Where the round or square bracket at `bracket` is closed; None when a brace or the text's end comes first."""
    depth = 0
    for mark in _MARKS.finditer(text, bracket):
        if mark["open"] == "{" or mark["close"] == "}":
            return None
        depth += bool(mark["open"]) - bool(mark["close"])
        if depth == 0 and mark["close"]:
            return mark.end()
    return None


def _step_end(text: str, offset: int) -> int:
    """Where the step that holds `offset` ends: before a separator or a closing brace of its surroundings."""
    depth = 0
    for mark in _MARKS.finditer(text, offset):
        if mark["open"]:
            depth += 1
        elif mark["close"]:
            if depth == 0 and mark["close"] == "}":
                return mark.start()
            depth = max(0, depth - 1)
        elif mark["end"] and depth == 0:
            return mark.start()
    return len(text)


def _line_end(text: str, offset: int) -> int:
    """The end of a line, or a brace before it that closes what encloses the line."""
    newline = text.find("\n", offset)
    brace = text.find("}", offset, newline if newline >= 0 else len(text))
    return brace if brace >= 0 else newline if newline >= 0 else len(text)


def _unclosed_brace(text: str, opened: list[int]) -> Damage:
    """Blame for a text that ends inside braces: the first brace whose partner stands at another indentation."""
    stack: list[int] = []
    for mark in _MARKS.finditer(text):
        if mark["open"] == "{":
            stack.append(mark.start())
        elif mark["close"] == "}" and stack:
            start = stack.pop()
            if "\n" in text[start : mark.start()] and _indentation(text, start) != _indentation(text, mark.start()):
                return Damage(len(text), len(text), unclosed=start)
    return Damage(len(text), len(text), unclosed=opened[-1])


def _indentation(text: str, offset: int) -> int:
    line = text[text.rfind("\n", 0, offset) + 1 :]
    return len(line) - len(line.lstrip())


def blank(text: str, damage: Damage) -> str:
    """The text with its damaged part as spaces and a hole in their place; lines stay where they are."""
    lost = text[damage.start : damage.end]
    spaces = "".join("\n" if character == "\n" else " " for character in lost)
    if lost.strip() and damage.stray is None:
        first = len(lost) - len(lost.lstrip())
        spaces = spaces[:first] + HOLE + re.sub("\n", " ", spaces[first + 1 :])
    return text[: damage.start] + spaces + text[damage.end :]
