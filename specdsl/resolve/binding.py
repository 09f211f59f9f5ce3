"""Calls to declarations: positions to names, values to fields, every mistake at the argument that makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from specdsl.declaration import Declaration, Kind, Misuse, text
from specdsl.diagnostics import Diagnostic, Slug, did_you_mean
from specdsl.resolve.scope import Collector, Problem, Skip
from specdsl.source import Span
from specdsl.syntax import tree

Arguments = Sequence[tree.Expression | tree.Keyword]
Evaluate = Callable[[tree.Expression], Any]


def match_arguments(
    what: str, arguments: Arguments, positional: Sequence[str], known: Iterable[str], found: Collector
) -> dict[str, tree.Expression]:
    """Which parameter each argument is for; arguments that fit none are reported and left out."""
    names = dict.fromkeys(known)
    given: dict[str, tree.Expression] = {}
    keyword_seen = False
    for index, argument in enumerate(arguments):
        if isinstance(argument, tree.Keyword):
            keyword_seen = True
            name, value, place = argument.name.text, argument.value, argument.name.span
            if name not in names:
                found.add(_unknown(what, name, list(names), place))
                continue
        elif keyword_seen:
            message = "an argument by position stands before those by name"
            found.add(Diagnostic(Slug.BAD_ARGUMENT, message, argument.span))
            continue
        elif index >= len(positional):
            many = "no arguments" if not names else f"at most {len(positional)} by position"
            usage = f"its arguments are {', '.join(names)}" if names else None
            found.add(Diagnostic(Slug.UNKNOWN_ARGUMENT, f"{what} takes {many}", argument.span, help=usage))
            break
        else:
            name, value, place = positional[index], argument, argument.span
        if name in given:
            found.add(Diagnostic(Slug.BAD_ARGUMENT, f"'{name}' of {what} is given twice", place))
        else:
            given[name] = value
    return given


def _unknown(what: str, name: str, names: list[str], span: Span) -> Diagnostic:
    if name == "name":
        hint: str | None = f"a result is named with `{what}(...) as name`"
    else:
        hint = did_you_mean(name, names) or (f"its arguments are {', '.join(names)}" if names else f"{what} takes none")
    return Diagnostic(Slug.UNKNOWN_ARGUMENT, f"{what} has no argument '{name}'", span, help=hint)


def bind(kind: type[Kind], call: tree.Call, evaluate: Evaluate, found: Collector) -> Kind:
    """The declaration that a call makes.

    Raises:
        Skip: its arguments are wrong, which `found` now says, or depend on something that is already reported.
    """
    before = found.reported
    fields = kind.names()
    label = call.name.text
    given = match_arguments(label, call.arguments or (), kind.positional(), fields, found)
    values: dict[str, Any] = {}
    unknown = False
    for name, expression in given.items():
        try:
            values[name] = evaluate(expression)
        except Problem as problem:
            found.add(problem.diagnostic)
        except Skip:
            unknown = True
    missing = [name for name in kind.required() if name not in given]
    if missing and found.reported == before:
        names = " and ".join(f"'{name}'" for name in missing)
        usage = f"for example {label}({', '.join(f'{name}=...' for name in missing)})"
        found.add(Diagnostic(Slug.MISSING_ARGUMENT, f"{label} needs {names}", call.name.span, help=usage))
    if unknown or found.reported > before:
        raise Skip
    spans = {name: expression.span for name, expression in given.items()}
    result = construct(kind, values, spans, call.span, found, label)
    if result is None:
        raise Skip
    return result


def construct(
    kind: type[Kind],
    values: dict[str, Any],
    spans: dict[str, Span],
    span: Span,
    found: Collector,
    label: str | None = None,
) -> Kind | None:
    """A declaration from values; None, and the reasons in `found`, where the values are not legal.

    Args:
        kind: the class to make one of.
        values: the arguments.
        spans: the places of those that the text gives.
        span: the place of the whole.
        found: where mistakes go.
        label: what the text calls the class, by default its own name.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        grouped: dict[str | None, list[ErrorDetails]] = {}
        for detail in error.errors(include_url=False):
            grouped.setdefault(str(detail["loc"][0]) if detail["loc"] else None, []).append(detail)
        for name, details in grouped.items():
            found.add(_illegal(label or kind.__name__, name, details, values, spans, span))
    except Misuse as misuse:
        found.add(misused(misuse, spans, span))
    return None


def misused(misuse: Misuse, spans: dict[str, Span], span: Span) -> Diagnostic:
    """A misuse as a diagnostic, at the argument at fault where the text gives that argument."""
    return Diagnostic(Slug.BAD_ARGUMENT, misuse.message, spans.get(misuse.argument or "", span), help=misuse.help)


def _illegal(
    label: str,
    name: str | None,
    details: list[ErrorDetails],
    values: dict[str, Any],
    spans: dict[str, Span],
    span: Span,
) -> Diagnostic:
    place = spans.get(name or "", span)
    for detail in details:
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, Misuse):
            place = spans.get(cause.argument or name or "", span)
            return Diagnostic(Slug.BAD_ARGUMENT, cause.message, place, help=cause.help)
    reasons = list(dict.fromkeys(_reason(detail) for detail in details))
    subject = f"'{name}' of {label}" if name else label
    got = f", not {text(values[name])}" if name in values else ""
    words = [word for detail in details for word in _choices(detail)]
    value = values.get(name or "")
    hint = did_you_mean(value, words) if isinstance(value, str) else None
    if isinstance(value, float) and value.is_integer() and any(detail["type"] == "int_type" for detail in details):
        hint = "`//` divides to a whole number, `round(x)` makes one"
    return Diagnostic(Slug.BAD_ARGUMENT, f"{subject} must be {' or '.join(reasons)}{got}", place, help=hint)


_TYPES = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a string",
    "tuple_type": "a tuple",
    "list_type": "a list",
    "none_required": "none",
    "finite_number": "a finite number",
}


def _reason(detail: ErrorDetails) -> str:
    """What a value must be, in words that follow 'must be'."""
    limits = detail.get("ctx", {})
    match detail["type"]:
        case "greater_than":
            return f"greater than {limits['gt']}"
        case "greater_than_equal":
            return f"at least {limits['ge']}"
        case "less_than":
            return f"less than {limits['lt']}"
        case "less_than_equal":
            return f"at most {limits['le']}"
        case "literal_error":
            return f"one of {limits['expected']}" if "," in str(limits["expected"]) else str(limits["expected"])
        case "missing" | "too_short" | "too_long":
            return "a tuple of the right length"
        case "is_instance_of":
            return f"an object of kind {limits['class']}, written like a call"
        case kind if kind in _TYPES:
            return _TYPES[kind]
    words = detail["msg"]
    return words.removeprefix("Input should be ").removeprefix("Value error, ")


def _choices(detail: ErrorDetails) -> list[str]:
    expected = detail.get("ctx", {}).get("expected")
    return [] if expected is None else [word.strip("' ") for word in str(expected).replace(" or ", ",").split(",")]


def argument_spans(call: tree.Call, kind: type[Declaration]) -> dict[str, Span]:
    """The places of the arguments that a call gives, by name."""
    spans: dict[str, Span] = {}
    for name, argument in zip(kind.positional(), call.arguments or (), strict=False):
        if not isinstance(argument, tree.Keyword):
            spans[name] = argument.span
    spans |= {item.name.text: item.value.span for item in call.arguments or () if isinstance(item, tree.Keyword)}
    return spans
