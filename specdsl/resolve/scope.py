"""Names and what they stand for while a spec is resolved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from specdsl.diagnostics import Diagnostic, Note, Slug
from specdsl.graph import Tensor
from specdsl.layers import NAMES, Layer
from specdsl.source import Span
from specdsl.syntax import tree

Key = tuple[object, ...]
"""Where in the expanded text a step stands; the same for the same step however shapes and names change."""

CONSTANTS = ("true", "false", "none")


def refuse_taken(name: str, span: Span) -> None:
    """Refuse to give a meaning to a word that has one everywhere.

    Raises:
        Problem: it is the name of a layer or of a constant.
    """
    if name in NAMES or name in CONSTANTS:
        what = "a layer of Keras" if name in NAMES else "a constant"
        raise Problem(Slug.DUPLICATE, f"'{name}' is {what}, so this needs another name", span)


Definition = tree.Block | tree.Model | tree.Variant | tree.Data | tree.Train


@dataclass(frozen=True, slots=True, eq=False)
class Defined:
    """A definition, and the frame of the file that it stands in, whose names it sees wherever it is used."""

    node: Definition
    home: Frame


class Poison:
    """Stands for a value or tensor that a mistake, already reported, has made unknown."""

    def __repr__(self) -> str:
        return "POISON"


POISON = Poison()


class Skip(Exception):  # noqa: N818 - it ends a step in silence: its cause is reported elsewhere
    """Something depends on a mistake that is already reported."""


class Problem(Exception):  # noqa: N818 - a user's mistake on its way to the list of diagnostics
    """A mistake that ends the step in which it is found."""

    def __init__(self, slug: Slug, message: str, span: Span, *notes: Note, help: str | None = None) -> None:
        super().__init__(message)
        self.diagnostic = Diagnostic(slug, message, span, notes, help)


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """A layer that the text names, so that several steps may apply it.

    Attributes:
        name: the name that the text gives it.
        owner: its name in the compiled model.
        layer: the layer.
        key: where in the expanded text it is declared.
    """

    name: str
    owner: str
    layer: Layer
    key: Key


class Limits(NamedTuple):
    """How far a spec may expand.

    Attributes:
        layers: layers in one model.
        steps: steps carried out while one model is expanded, loops included.
        depth: blocks within blocks.
        items: items of one list, tuple or range.
        magnitude: absolute value of a whole number.
    """

    layers: int = 25_000
    steps: int = 250_000
    depth: int = 64
    items: int = 50_000
    magnitude: int = 10**18


@dataclass(slots=True)
class Frame:
    """The names bound in one body. What it does not bind, the frame around it may.

    Attributes:
        parent: the frame of the enclosing text, None for a file.
        entering: the tensor that enters the braces, which `channels` and `shape` speak of.
        names: what is bound here, with the place that binds it.
    """

    parent: Frame | None
    entering: Tensor | Poison | None = None
    names: dict[str, tuple[Any, Span]] = field(default_factory=dict)

    def bind(self, name: str, value: Any, span: Span) -> None:
        """Bind a name that this body does not bind yet.

        Raises:
            Problem: the name is bound here already.
        """
        refuse_taken(name, span)
        if name in self.names:
            first = Note(f"'{name}' is defined here first", self.names[name][1])
            raise Problem(Slug.DUPLICATE, f"'{name}' is defined twice in the same body", span, first)
        self.names[name] = (value, span)

    def lookup(self, name: str) -> tuple[Any, Span] | None:
        """What a name stands for and where it is bound, in the nearest frame that binds it."""
        frame: Frame | None = self
        while frame is not None:
            if name in frame.names:
                return frame.names[name]
            frame = frame.parent
        return None

    def visible(self, wanted: Callable[[Any], bool]) -> Iterator[str]:
        """The visible names whose meaning is wanted, nearest first."""
        frame: Frame | None = self
        while frame is not None:
            yield from (name for name, (value, _) in frame.names.items() if wanted(value))
            frame = frame.parent


class Steps:
    """Counts the steps of all expansions that one question needs.

    Args:
        limits: says how many there may be.
    """

    def __init__(self, limits: Limits) -> None:
        self._left = self._most = limits.steps

    def take(self, span: Span) -> None:
        """Count a step.

        Raises:
            Problem: it is one too many.
        """
        self._left -= 1
        if self._left < 0:
            raise Problem(Slug.LIMIT, f"this takes more than {self._most:,} steps to expand", span)


class Collector:
    """The mistakes found so far, each once: a block that is used ten times shows its mistake once."""

    def __init__(self) -> None:
        self._found: dict[tuple[Slug, str, Span | None], Diagnostic] = {}
        self.reported = 0
        """How many mistakes were reported, known ones included."""

    def add(self, *diagnostics: Diagnostic) -> None:
        """Keep mistakes that are not known yet."""
        for diagnostic in diagnostics:
            self.reported += 1
            self._found.setdefault((diagnostic.slug, diagnostic.message, diagnostic.span), diagnostic)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """All mistakes, in the order found."""
        return tuple(self._found.values())

    @property
    def hit_limit(self) -> bool:
        """Whether an expansion was given up because it grew too large."""
        return any(diagnostic.slug is Slug.LIMIT for diagnostic in self._found.values())

    def __bool__(self) -> bool:
        return bool(self._found)
