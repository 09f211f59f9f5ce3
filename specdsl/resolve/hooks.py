"""What the edits of a variant leave for the expansion: which steps they meet, and what they do there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from specdsl.layers import Layer
from specdsl.resolve.scope import Frame, Key
from specdsl.source import Span
from specdsl.syntax import tree


class Applied(NamedTuple):
    """A step as it stands in the expanded text: what selectors look at.

    Attributes:
        key: where the step stands.
        what: the layer; for an instance of a block its parameters with their values.
        kind: what the text calls it: the class of the layer, the name of the block or model.
        names: the names that the text gives it beside.
        span: the step.
        origin: where its arguments stand: the key of the declaration for a layer that is declared apart.
    """

    key: Key
    what: Layer | Mapping[str, Any]
    kind: str
    names: tuple[str, ...]
    span: Span
    origin: Key


@dataclass(slots=True)
class Hooks:
    """What the edits of a variant do at one step, in the order in which they happen there."""

    before: list[tuple[object, tree.Body, Frame]] = field(default_factory=list)
    after: list[tuple[object, tree.Body, Frame]] = field(default_factory=list)
    replacement: tuple[object, tree.Body, Frame] | None = None
    removed: bool = False
    settings: dict[str, Any] = field(default_factory=dict)


NO_HOOKS = Hooks()
"""What happens where no edit does anything; it is never changed."""
