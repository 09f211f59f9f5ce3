"""What a text expects of a model, ready to be tested when the model's quantities are known."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from specdsl.declaration import text
from specdsl.diagnostics import Diagnostic, Note, Slug, did_you_mean
from specdsl.graph import Expectation, Tensor
from specdsl.resolve.scope import Collector, Defined, Frame, Limits, Problem, Skip, Steps
from specdsl.resolve.values import Evaluator
from specdsl.syntax import tree


def expectations(items: Sequence[tuple[tree.Expect, Frame]], limits: Limits) -> tuple[Expectation, ...]:
    """What a text expects, each with the names that it sees; all of them share the steps of one file."""
    return tuple(_expectation(item, frame, limits, len(items)) for item, frame in items)


def _expectation(item: tree.Expect, frame: Frame, limits: Limits, sharing: int) -> Expectation:
    """An expectation that sees the names of a frame, and before them the model's quantities."""

    def check(quantities: Mapping[str, Any]) -> tuple[Diagnostic, ...]:
        found = Collector()
        named = dict.fromkeys(word.text for word in mentioned(item.condition))
        names = {name: (quantities[name], item.span) for name in named if name in quantities}
        evaluator = Evaluator(limits, found, frozenset(), lambda entering: quantities["input"], Steps(limits, sharing))
        inner = Frame(frame, None, dict(names))
        for name in names:
            own = frame.lookup(name)
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
            return (_explained(problem.diagnostic, quantities, frame),)
        except Skip:
            return found.diagnostics
        known = {name: value for name, (value, _) in names.items()} | _entering(quantities, frame)
        facts = ", ".join(f"{name} is {text(known[name])}" for name in named if name in known)
        message = f"this does not hold{f': {facts}' if facts else ''}"
        return (Diagnostic(Slug.EXPECTATION, message, item.condition.span),)

    return Expectation(item.span, check)


def _explained(wrong: Diagnostic, quantities: Mapping[str, Any], frame: Frame) -> Diagnostic:
    """A mistake in an expectation, with the help that only its quantities can give."""
    word = wrong.span.text if wrong.span else ""
    if wrong.slug is Slug.UNKNOWN_NAME:
        own = frame.visible(lambda value: not isinstance(value, Defined))
        known = ", ".join(quantities)
        return wrong._replace(help=did_you_mean(word, [*quantities, *own]) or f"what is counted is {known}")
    unknown = [name for name, value in quantities.items() if value is None and re.search(rf"\b{name}\b", word)]
    if unknown:
        return wrong._replace(help=f"{unknown[0]} depends on a size that is unknown until run time")
    return wrong


def _entering(quantities: Mapping[str, Any], frame: Frame) -> dict[str, Any]:
    """What `channels` and `shape` stand for in a model with one input."""
    shape = quantities["input"]
    if not isinstance(frame.entering, Tensor) or not shape:
        return {}
    return {name: value for name, value in (("channels", shape[-1]), ("shape", shape)) if not frame.lookup(name)}


def mentioned(expression: tree.Expression | tree.Keyword) -> list[tree.Name]:
    """The names that an expression mentions, in the order of the text."""
    match expression:
        case tree.Call():
            inner = [name for argument in expression.arguments or () for name in mentioned(argument)]
            return inner if expression.arguments is not None else [expression.name]
        case tree.Keyword():
            return mentioned(expression.value)
        case tree.Operation():
            return [name for operand in expression.operands for name in mentioned(operand)]
        case tree.Sequence():
            return [name for item in expression.items for name in mentioned(item)]
        case tree.Prefix():
            return mentioned(expression.operand)
        case tree.Group():
            return mentioned(expression.inner)
        case tree.Index():
            return mentioned(expression.value) + mentioned(expression.index)
        case tree.Ternary():
            return mentioned(expression.condition) + mentioned(expression.then) + mentioned(expression.otherwise)
        case tree.Literal():
            return []
