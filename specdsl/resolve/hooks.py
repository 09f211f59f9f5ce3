"""What the edits of a variant leave for the expansion: which layers they meet, and what they do there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from specdsl.layers import Layer
from specdsl.resolve.scope import Frame
from specdsl.source import Span
from specdsl.syntax import tree

Key = tuple[object, ...]
"""Where in the expanded text a layer stands; the same for the same step however shapes and names change."""


class Applied(NamedTuple):
    """A layer as it stands in the expanded text: what selectors look at."""

    key: Key
    layer: Layer
    alias: str | None
    span: Span


@dataclass(slots=True)
class Hooks:
    """What the edits of a variant do at one layer, in the order in which they happen there."""

    before: list[tuple[object, tree.Body, Frame]] = field(default_factory=list)
    after: list[tuple[object, tree.Body, Frame]] = field(default_factory=list)
    replacement: tuple[object, tree.Body, Frame] | None = None
    removed: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
