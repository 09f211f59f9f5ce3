"""Drawings as they stand in a page: in its colours, without addresses, ids that are the drawing's own."""

from __future__ import annotations

import re
from html import escape

COLOURS = {
    "#1f2937": "ink",
    "#5b6470": "soft",
    "#d8dce1": "line",
    "#ffffff": "page",
    "#0072b2": "blue",
    "#d55e00": "vermilion",
}
"""Colours of figures for which the page has its own, light and dark."""


def figure(svg: str, name: str, alternative: str) -> str:
    """A figure of `results.figures`.

    Args:
        svg: the figure as a file has it.
        name: what its ids begin with: no other drawing of the page has it.
        alternative: what it shows, in words.
    """
    svg = re.sub(r"<title>.*?</title><desc>.*?</desc>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(
        r'(?<=style=")[^"]*',
        lambda style: re.sub(r"#[0-9a-f]{6}\b", lambda colour: _themed(colour[0]), style[0]),
        svg,
    )
    return _embedded(svg, name, alternative)


def diagram(svg: str, name: str, alternative: str) -> str:
    """A diagram of a model, whose colours stand out from light and dark pages alike."""
    return _embedded(svg, name, alternative)


def _themed(colour: str) -> str:
    own = COLOURS.get(colour)
    return f"var(--{own})" if own else colour


def _embedded(svg: str, name: str, alternative: str) -> str:
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", svg).replace("xlink:href=", "href=")
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))

    def kept(match: re.Match[str]) -> str:
        return f' id="{name}-{match[1]}"' if match[1] in used else ""

    svg = re.sub(r'\s+id="([^"]*)"', kept, svg)
    svg = re.sub(r'(url\(#|href="#)([^)"]+)', lambda match: f"{match[1]}{name}-{match[2]}", svg)
    head, rest = svg.split(">", 1)
    head = re.sub(r'\s+(role|version|aria-label)="[^"]*"', "", head)
    return f'{head} role="img" aria-label="{escape(alternative)}">{rest}'
