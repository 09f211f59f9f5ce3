"""Conditions that are given beside a spec, such as `params < 1M`, over values that are given by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from specdsl.declaration import Declaration
from specdsl.diagnostics import Diagnostic, Slug, SpecError, did_you_mean
from specdsl.limits import Limits
from specdsl.resolve.expectations import mentioned
from specdsl.resolve.functions import FUNCTIONS
from specdsl.resolve.scope import Collector, Frame, Problem, Skip, Steps
from specdsl.resolve.values import VALUES, Evaluator, no_shape
from specdsl.source import Source
from specdsl.syntax import parse_all, tree

_CONSTANTS = {"true", "false", "none"}
_HEAD = "let it = "
"""What makes a text of an expression."""


class Given:
    """An expression of the language that is not part of a spec.

    Attributes:
        written: the expression.
        names: the names that it mentions, in the order of the text.
    """

    def __init__(self, written: str, label: str, limits: Limits | None = None) -> None:
        """Read an expression.

        Args:
            written: the expression.
            label: where it is given, for messages: `--where`.
            limits: how large it may be.

        Raises:
            SpecError: it is no expression.
        """
        self.written = written
        self._limits = limits or Limits()
        self._parsed = parse_all(Source(label, f"{_HEAD}{written}", len(_HEAD)), self._limits)
        items = self._parsed.spec.items
        if not self._parsed.diagnostics and (len(items) != 1 or not isinstance(items[0], tree.Let)):
            message = f"{label} takes one expression, not '{written}'"
            raise SpecError([Diagnostic(Slug.SYNTAX, message)])
        if self._parsed.diagnostics:
            raise SpecError(self._parsed.diagnostics)
        assert isinstance(items[0], tree.Let)
        self._expression = items[0].value
        self._place = items[0].span
        known = {*FUNCTIONS, *_CONSTANTS}
        words = [word for word in mentioned(self._expression) if word.text not in known]
        self._places = {word.text: word.span for word in reversed(words)}
        self.names = tuple(dict.fromkeys(word.text for word in words))

    def require(self, known: Iterable[str], what: str) -> None:
        """Check that it mentions nothing but known names.

        Raises:
            SpecError: it mentions another one.
        """
        words = list(dict.fromkeys(known))
        for name in self.names:
            if name not in words:
                hint = did_you_mean(name, words) or f"there are {', '.join(words)}"
                message = f"no {what} is called '{name}'"
                raise SpecError([Diagnostic(Slug.UNKNOWN_NAME, message, self._places[name], help=hint)])

    def value(self, names: Mapping[str, Any], objects: Mapping[str, type[Declaration]] = VALUES) -> Any:
        """Its value, where names stand for these values, and calls make these objects.

        Raises:
            SpecError: it has none.
        """
        return self._evaluate(names, objects, truth=False)

    def holds(self, names: Mapping[str, Any]) -> bool:
        """Whether it is true, where names stand for these values.

        Raises:
            SpecError: it is neither true nor false.
        """
        return bool(self._evaluate(names, VALUES, truth=True))

    def _evaluate(self, names: Mapping[str, Any], objects: Mapping[str, type[Declaration]], *, truth: bool) -> Any:
        found = Collector()
        evaluator = Evaluator(self._limits, found, frozenset(), no_shape, Steps(self._limits), objects)
        frame = Frame(None, None, {name: (names[name], self._place) for name in self.names if name in names})
        try:
            return evaluator.truth(self._expression, frame) if truth else evaluator.value(self._expression, frame)
        except Problem as problem:
            found.add(problem.diagnostic)
        except Skip:
            pass
        raise SpecError(found.diagnostics)
