"""What a text expects of a model, ready to be tested when the model's quantities are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from specdsl.declaration import text
from specdsl.diagnostics import Diagnostic, Note, Slug
from specdsl.graph import Expectation
from specdsl.resolve.scope import Collector, Frame, Limits, Problem, Skip, Steps, Tensor
from specdsl.resolve.values import Evaluator, no_shape
from specdsl.syntax import tree


def expectations(items: Sequence[tuple[tree.Expect, Frame]], limits: Limits) -> tuple[Expectation, ...]:
    """What a text expects, each with the names that it sees; all of them share the steps of one file."""
    return tuple(_expectation(item, frame, limits, len(items)) for item, frame in items)


def _expectation(item: tree.Expect, frame: Frame, limits: Limits, sharing: int) -> Expectation:
    """An expectation that sees the names of a frame, and before them the model's quantities."""

    def check(quantities: Mapping[str, Any]) -> tuple[Diagnostic, ...]:
        found = Collector()
        names = {name: (value, item.span) for name, value in quantities.items()}
        evaluator = Evaluator(limits, found, frozenset(), no_shape, Steps(limits, sharing))
        inner = Frame(frame, None, dict(names))
        for name in _mentioned(item.condition):
            own = frame.lookup(name) if name in quantities else None
            if own and not isinstance(own[0], Tensor):
                note = Note(f"'{name}' is named here", own[1])
                message = f"'{name}' is both a name of the model and something that is counted"
                return (
                    Diagnostic(Slug.DUPLICATE, message, item.condition.span, (note,), "give the name another word"),
                )
        try:
            if evaluator.truth(item.condition, inner):
                return ()
        except Problem as problem:
            return (problem.diagnostic,)
        except Skip:
            return found.diagnostics
        mentioned = [name for name in dict.fromkeys(_mentioned(item.condition)) if name in quantities]
        facts = ", ".join(f"{name} is {text(quantities[name])}" for name in mentioned)
        message = f"this does not hold{f': {facts}' if facts else ''}"
        return (Diagnostic(Slug.EXPECTATION, message, item.condition.span),)

    return Expectation(item.span, check)


def _mentioned(expression: tree.Expression | tree.Keyword) -> list[str]:
    """The names that an expression mentions, in the order of the text."""
    match expression:
        case tree.Call():
            inner = [name for argument in expression.arguments or () for name in _mentioned(argument)]
            return inner if expression.arguments is not None else [expression.name.text]
        case tree.Keyword():
            return _mentioned(expression.value)
        case tree.Operation():
            return [name for operand in expression.operands for name in _mentioned(operand)]
        case tree.Sequence():
            return [name for item in expression.items for name in _mentioned(item)]
        case tree.Prefix():
            return _mentioned(expression.operand)
        case tree.Group():
            return _mentioned(expression.inner)
        case tree.Index():
            return _mentioned(expression.value) + _mentioned(expression.index)
        case tree.Ternary():
            return _mentioned(expression.condition) + _mentioned(expression.then) + _mentioned(expression.otherwise)
        case tree.Literal():
            return []
