"""The words of an SVG drawing, kept as wide as the engine took them to be, whatever font shows them.

Boxes are measured for Helvetica. Where neither it nor a font of its widths is installed, another one takes its place,
mostly a wider one, and words would run out of their boxes. So each text says how wide it is to be shown (`textLength`).
"""

from __future__ import annotations

import re
from html import unescape

GROUP = re.compile(r'<g id="[^"]*" class="(node|edge)">.*?</g>', re.DOTALL)
OUTLINE = re.compile(r'<path [^>]*?d="([^"]*)"')
WORDS = re.compile(r"<text ([^>]*)>([^<]*)</text>")
PAIR = re.compile(r"(-?[\d.]+),(-?[\d.]+)")
SIZE = re.compile(r'font-size="([\d.]+)"')

WIDTHS = {" ": 0.278, "×": 0.584}
"""Widths of characters in Helvetica, in sizes of the font."""

DIGIT = 0.556
"""The width of a digit and of `?`, and about that of a small letter."""


def fixed(svg: str) -> str:
    """A drawing in which each text of a node or an edge says how wide it is."""
    return GROUP.sub(lambda group: (_node if group[1] == "node" else _edge)(group[0]), svg)


def _node(group: str) -> str:
    """A node: its lines are centred in its outline, so that the beginnings of words tell how wide they are."""
    outline = OUTLINE.search(group)
    if outline is None:  # an output, a word without a box
        return group
    across = [float(x) for x, _ in PAIR.findall(outline[1])]
    middle = min(across) + max(across)
    lines: dict[str, list[float]] = {}
    for words in WORDS.finditer(group):
        lines.setdefault(_value(words[1], "y"), []).append(float(_value(words[1], "x")))

    def fix(words: re.Match[str]) -> str:
        line, begin = lines[_value(words[1], "y")], float(_value(words[1], "x"))
        end = min((x for x in line if x > begin), default=middle - line[0])
        return _text(words, end - begin) if words[2].strip() else words[0]

    return WORDS.sub(fix, group)


def _edge(group: str) -> str:
    """An edge: a shape, which begins beside the line."""

    def fix(words: re.Match[str]) -> str:
        size = SIZE.search(words[1])
        width = sum(WIDTHS.get(one, DIGIT) for one in unescape(words[2])) * float(size[1] if size else 0)
        return _text(words, width)

    return WORDS.sub(fix, group)


def _text(words: re.Match[str], width: float) -> str:
    return f'<text {words[1]} textLength="{width:.2f}" lengthAdjust="spacingAndGlyphs">{words[2]}</text>'


def _value(attributes: str, name: str) -> str:
    found = re.search(rf'(?:^|\s){name}="([^"]*)"', attributes)
    return found[1] if found else "0"
