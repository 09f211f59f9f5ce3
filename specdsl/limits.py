"""How large a spec may be and grow: whatever stands in a text, it ends soon and in little memory."""

from __future__ import annotations

from typing import NamedTuple

HIGHEST = 10**30
"""The highest that a limit is set to."""


class Limits(NamedTuple):
    """Bounds of a text and of what it expands to. A mistake of the kind `limit` names the one that is passed.

    Attributes:
        characters: characters of one text.
        words: words, numbers and signs of one text.
        imports: files that import one another in a row.
        layers: layers in one model.
        steps: work to resolve the models of one file: each step of the text counts as one whenever it is carried out, a
            layer or block as four more, a model as a step as twenty and one for each weight, five expressions or twenty
            items of a list as one.
        depth: blocks within blocks, and variants of variants.
        items: items of one list, tuple or range, those of lists within it and characters of strings included.
        magnitude: absolute value of a number.
        axes: axes of one tensor.
        name: characters in the full name of a layer.
        mistakes: mistakes reported of one file.
    """

    characters: int = 4 * 1024**2
    words: int = 200_000
    imports: int = 32
    layers: int = 25_000
    steps: int = 200_000
    depth: int = 64
    items: int = 50_000
    magnitude: int = 10**18
    axes: int = 32
    name: int = 1_000
    mistakes: int = 100

    def raising(self, name: str, needed: int = 0) -> str:
        """A help line that says how to raise a limit, to what is needed where that is known."""
        return f"`--limit {name}={max(needed, 2 * int(getattr(self, name))):_}` raises this limit"
