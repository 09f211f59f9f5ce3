"""Calls to declarations: positions to names, values to fields, every mistake at the argument that makes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from specdsl.declaration import Declaration, Kind, Misuse, text
from specdsl.diagnostics import Diagnostic, Slug, did_you_mean, in_quotes
from specdsl.layers import NAMES, Layer
from specdsl.layers.activation_functions import ACTIVATIONS
from specdsl.layers.objects import OBJECTS, Regularizer
from specdsl.resolve.scope import Collector, Problem, Skip
from specdsl.source import Span
from specdsl.syntax import tree

Arguments = Sequence[tree.Expression | tree.Keyword]
WHOLE = "`//` divides to a whole number, `round(x)` makes one"
"""How to mend a number with a fraction where none can stand."""

Evaluate = Callable[[tree.Expression], Any]


def match_arguments(
    what: str,
    arguments: Arguments,
    positional: Sequence[str],
    known: Iterable[str],
    found: Collector,
    options: Iterable[str] = (),
) -> dict[str, tree.Expression]:
    """Which parameter each argument is for; arguments that fit none are reported and left out.

    Args:
        what: what the text calls.
        arguments: what it gives.
        positional: the parameters that may be given by position, in order.
        known: all parameters.
        found: where mistakes go.
        options: what the call might say beside its arguments, which a wrong name may have meant.
    """
    names = dict.fromkeys(known)
    given: dict[str, tree.Expression] = {}
    keyword_seen = False
    for index, argument in enumerate(arguments):
        if isinstance(argument, tree.Keyword):
            keyword_seen = True
            name, value, place = argument.name.text, argument.value, argument.name.span
            if name not in names:
                found.add(unknown_argument(what, name, [*names, *options], place))
                continue
        elif keyword_seen:
            if isinstance(arguments[index - 1], tree.Keyword):  # else it is said of the one before
                message = "an argument by position stands before those by name"
                found.add(Diagnostic(Slug.BAD_ARGUMENT, message, argument.span))
            continue
        elif index >= len(positional):
            many = (
                f"at most {len(positional)} by position"
                if positional
                else "none by position"
                if names
                else "no arguments"
            )
            usage = f"its arguments are {', '.join(names)}" if names else None
            if not positional and names:
                usage = f"what enters it stands before it: `x -> {what}`, or `[a, b] -> {what}`"
            found.add(Diagnostic(Slug.UNKNOWN_ARGUMENT, f"{what} takes {many}", argument.span, help=usage))
            break
        else:
            name, value, place = positional[index], argument, argument.span
        if name in given:
            found.add(Diagnostic(Slug.BAD_ARGUMENT, f"'{name}' of {what} is given twice", place))
        else:
            given[name] = value
    return given


_SYNONYMS = {
    "alpha": "negative_slope", "bias": "use_bias", "border_mode": "padding", "dilation": "dilation_rate", "dim": "axis",
    "eps": "epsilon", "init": "kernel_initializer", "lr": "learning_rate", "nb_filter": "filters",
    "out_channels": "filters", "out_features": "units", "output_dim": "units", "p": "rate", "subsample": "strides",
    "weight_decay": "kernel_regularizer",
}  # fmt: skip
"""Arguments by the names that they have in PyTorch or had in older versions of Keras."""

_ENTERING = {"in_channels", "in_features", "input_dim", "input_shape", "batch_input_shape", "num_features"}
"""What states elsewhere the shape that enters a layer."""


def unknown_argument(what: str, name: str, names: list[str], span: Span) -> Diagnostic:
    """That what is called has no argument of a name, with help where it is known by another one elsewhere."""
    if name == "name":
        hint: str | None = f"a result is named with `{what}(...) as name`"
    elif _SYNONYMS.get(name) in names:
        hint = f"did you mean '{_SYNONYMS[name]}'?"
    elif name in _ENTERING:
        hint = "the shape that enters a layer is known; only an input states one: `input name: (28, 28, 3)`"
    else:
        hint = did_you_mean(name, names) or (f"its arguments are {', '.join(names)}" if names else f"{what} takes none")
    return Diagnostic(Slug.UNKNOWN_ARGUMENT, f"{what} has no argument '{name}'", span, help=hint)


def bind(kind: type[Kind], call: tree.Call, evaluate: Evaluate, found: Collector, options: Iterable[str] = ()) -> Kind:
    """The declaration that a call makes.

    Args:
        kind: the class to make one of.
        call: the call.
        evaluate: gives the values of its arguments.
        found: where mistakes go.
        options: what the call might say beside its arguments, which a wrong name may have meant.

    Raises:
        Skip: its arguments are wrong, which `found` now says, or depend on something that is already reported.
    """
    before = found.reported
    fields = kind.names()
    label = call.name.text
    given = match_arguments(label, call.arguments or (), kind.positional(), fields, found, options)
    values: dict[str, Any] = {}
    unknown = False
    for name, expression in given.items():
        try:
            values[name] = _meant(kind, name, evaluate(expression))
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


def _meant(kind: type[Declaration], name: str, value: Any) -> Any:
    """What a value is where an argument takes a layer: `Identity` is the name of an initializer too."""
    if type(value) not in _LAYERS_OF_THAT_NAME or value.arguments():
        return value
    wanted = kind.fields()[name].annotation
    takes_layer = isinstance(wanted, type) and issubclass(wanted, Layer)
    return _LAYERS_OF_THAT_NAME[type(value)]() if takes_layer else value


_LAYERS_OF_THAT_NAME: dict[type, type[Layer]] = {OBJECTS[name]: NAMES[name] for name in NAMES if name in OBJECTS}
"""The layers that are called as an object is, by the class of that object."""


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
            hint = cause.help or _advice(name, values.get(name or ""), details)
            return Diagnostic(Slug.BAD_ARGUMENT, cause.message, place, help=hint)
    details = _closest(values.get(name or ""), details)
    lacking = [detail["loc"][-1] for detail in details if detail["type"] == "missing"]
    details = [detail for detail in details if detail["type"] != "missing" or detail["loc"][-1] == max(lacking)]
    reasons = list(dict.fromkeys(_reason(detail) for detail in details))
    subject = f"'{name}' of {label}" if name else label
    got = f", not {text(values[name])}" if name in values else ""
    hint = _advice(name, values.get(name or ""), details)
    return Diagnostic(Slug.BAD_ARGUMENT, f"{subject} must be {' or '.join(reasons)}{got}", place, help=hint)


def _closest(value: Any, details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Of the reasons against a value those of the kind that it is of: a number, or a list with wrong items."""
    if isinstance(value, list | tuple):
        close = [detail for detail in details if any(isinstance(step, int) for step in detail["loc"])]
    else:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        close = [detail for detail in details if detail["type"] != "tuple_type"] if number else []
        bounds = [detail for detail in close if detail["type"].startswith(("greater", "less"))]
        if any(detail["type"] == "is_instance_of" for detail in close):
            close = bounds or close
    return close or details


def _advice(name: str | None, value: Any, details: list[ErrorDetails]) -> str | None:
    """How to mend a value that is not legal, where what was meant can be told."""
    kinds = {detail["type"] for detail in details}
    if kinds == {"tuple_type"} and isinstance(value, str | int | float):
        return f"for example [{text(value)}]"
    if "string_type" in kinds and isinstance(value, Declaration) and type(value).__name__.lower() in ACTIVATIONS:
        return in_quotes(type(value).__name__.lower())
    if isinstance(value, str):
        if re.fullmatch(r"-?[\d.]+|true|false", value, re.IGNORECASE):
            return "numbers, true and false stand without quotes"
        return did_you_mean(value, [word for detail in details for word in _choices(detail)])
    if isinstance(value, float) and value.is_integer() and kinds & {"int_type", "value_error"}:
        return WHOLE
    if isinstance(value, list | tuple):
        words = [word for detail in details for word in _choices(detail)]
        wrong = [item for item in value if isinstance(item, str) and item not in words]
        return did_you_mean(wrong[0], words) if wrong else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if name == "padding" and "literal_error" in kinds:
        return '"same" keeps the size; a ZeroPadding layer before it pads by a number'
    for detail in details:
        limits = detail.get("ctx", {})
        if limits.get("class") == Regularizer.wanted():
            return f"for example L2({text(value)})"
        if 1 in (limits.get("le"), limits.get("lt")) and 2 <= value <= 100:
            return f"{value:g} percent are written {value / 100:g}"
    return None


_TYPES = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a string",
    "tuple_type": "a list or a tuple",
    "list_type": "a list",
    "none_required": "none",
    "finite_number": "a finite number",
}


def _reason(detail: ErrorDetails) -> str:
    """What a value must be, in words that follow 'must be'."""
    limits = detail.get("ctx", {})
    match detail["type"]:
        case "greater_than":
            return f"greater than {limits['gt']:.12g}"
        case "greater_than_equal":
            return f"at least {limits['ge']:.12g}"
        case "less_than":
            return f"less than {limits['lt']:.12g}"
        case "less_than_equal":
            return f"at most {limits['le']:.12g}"
        case "literal_error":
            legal = re.sub(r"\b(True|False|None)\b", lambda word: word[0].lower(), str(limits["expected"]))
            return f"one of {legal}" if "," in legal else legal
        case "too_short":
            return f"a list of {limits['min_length']} or more"
        case "missing" if isinstance(last := detail["loc"][-1], int):  # of those that a tuple lacks, the last one
            return f"a tuple of {last + 1}"
        case "too_long":
            return f"a tuple of {limits['max_length']}"
        case "is_instance_of":
            return str(limits["class"])
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
