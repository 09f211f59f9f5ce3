"""Names and what they stand for while a spec is resolved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from specdsl.diagnostics import Diagnostic, Note, Slug, SpecError
from specdsl.graph import Tensor
from specdsl.layers import NAMES, Layer
from specdsl.limits import Limits as Limits
from specdsl.source import Span
from specdsl.syntax import tree

Key = tuple[object, ...]
"""Where in the expanded text a step stands; the same for the same step however shapes and names change."""

CONSTANTS = ("true", "false", "none")


def is_taken(name: str) -> bool:
    """Whether a word has a meaning everywhere: the name of a layer or of a constant."""
    return name in NAMES or name in CONSTANTS


def refuse_taken(name: str, span: Span) -> None:
    """Refuse to give a meaning to a word that has one everywhere.

    Raises:
        Problem: it is the name of a layer or of a constant.
    """
    if is_taken(name):
        what = "a layer of Keras" if name in NAMES else "a constant"
        raise Problem(Slug.DUPLICATE, f"'{name}' is {what}, so this needs another name", span)


Definition = tree.Block | tree.Model | tree.Variant | tree.Data | tree.Train | tree.Experiment


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
    """Counts the work of all expansions that one question needs.

    Args:
        limits: says how much there may be.
        sharing: how many others of their kind share it.
    """

    IMPORT, EXPECT, MODEL, LAYER, BLOCK, MISTAKE, NAME, EXPRESSION, ITEM = 10, 20, 20, 4, 4, 4, 1, 0.2, 0.05
    """Steps that these count for, by the time that they take. A name is one that a block gives to a tensor in
    it, or that of a weight in a model that is a step."""

    def __init__(self, limits: Limits, sharing: int = 1) -> None:
        self._limits = limits
        self._left: float = max(10, limits.steps // sharing)

    def take(self, span: Span, steps: float = 1) -> None:
        """Count steps.

        Raises:
            Problem: they are too many.
        """
        self._left -= steps
        if self._left < 0:
            message = f"this takes more than {self._limits.steps:,} steps to expand"
            raise Problem(Slug.LIMIT, message, span, help=self._limits.raising("steps"))


class Collector:
    """The mistakes found so far, each once: a block that is used ten times shows its mistake once.

    Args:
        limits: says how many there may be; without, there may be any number.
        by_place: whether two of one kind at one place are the same, whatever they say, as in one model.
    """

    def __init__(self, limits: Limits | None = None, *, by_place: bool = False) -> None:
        self._limits = limits
        self._by_place = by_place
        self._found: dict[tuple[Slug, str, Span | None], Diagnostic] = {}
        self.reported = 0
        """How many mistakes were reported, known ones included."""
        self.notes: Callable[[], tuple[Note, ...]] = tuple
        """What is said behind each mistake: where the blocks are used that it stands in."""

    def add(self, *diagnostics: Diagnostic) -> None:
        """Keep mistakes that are not known yet.

        Raises:
            SpecError: there are too many.
        """
        for diagnostic in diagnostics:
            self.reported += 1
            said = "" if self._by_place and diagnostic.span else diagnostic.message
            noted = diagnostic._replace(notes=diagnostic.notes + self.notes())
            self._found.setdefault((diagnostic.slug, said, diagnostic.span), noted)
            if self._limits and len(self._found) > self._limits.mistakes:
                *known, extra = self._found.values()
                message = f"there are more than {self._limits.mistakes:,} mistakes; from here on, none is looked for"
                raise SpecError(
                    [*known, Diagnostic(Slug.LIMIT, message, extra.span, help=self._limits.raising("mistakes"))]
                )

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
