"""What a step calls and what it gives: the options of a call, and the names of its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from specdsl.declaration import text
from specdsl.diagnostics import Diagnostic, Note, Slug
from specdsl.graph import NO_OPTIONS, Option, Tensor
from specdsl.layers.facts import OptionKind
from specdsl.resolve.binding import match_arguments
from specdsl.resolve.lookup import tensor_named
from specdsl.resolve.naming import check_name
from specdsl.resolve.scope import POISON, Frame, Poison, Problem, Skip
from specdsl.resolve.values import Evaluator
from specdsl.source import Span
from specdsl.syntax import tree

IGNORED = "_"
"""What stands in a list of names for a result that nothing uses."""


def split_options(
    call: tree.Call, kinds: Mapping[str, OptionKind], taken: Sequence[str] = ()
) -> tuple[tree.Call, dict[str, tree.Expression]]:
    """A call without its options, and those by name.

    Args:
        call: the call.
        kinds: the options that it may have.
        taken: names that mean an argument nevertheless.
    """
    found = {
        argument.name.text: argument.value
        for argument in call.arguments or ()
        if isinstance(argument, tree.Keyword) and argument.name.text in kinds and argument.name.text not in taken
    }
    if not found:
        return call, found
    rest = (item for item in call.arguments or () if not (isinstance(item, tree.Keyword) and item.name.text in found))
    return tree.Call(call.name, tuple(rest), call.span), found


def call_options(
    given: Mapping[str, tree.Expression], kinds: Mapping[str, OptionKind], frame: Frame, evaluator: Evaluator
) -> Mapping[str, Option]:
    """The values of a call's options; those that are `none` are left out, as Keras takes them.

    Raises:
        Problem: one of them is not what it must be.
        Skip: it depends on something that is already reported.
    """
    if not given:
        return NO_OPTIONS
    options: dict[str, Option] = {}
    for name, expression in given.items():
        if _is_none(expression):
            continue
        if kinds[name] == "flag":
            value = evaluator.value(expression, frame)
            if value is not None and not isinstance(value, bool):
                message = f"'{name}' is true or false, not {text(value)}"
                raise Problem(Slug.BAD_ARGUMENT, message, expression.span)
            if value is not None:
                options[name] = value
        elif kinds[name] == "tensor":
            options[name] = _tensor(name, expression, frame, evaluator)
        else:
            listed = expression.items if isinstance(expression, tree.Sequence) else (expression,)
            options[name] = tuple(
                None if kinds[name] == "masks" and _is_none(item) else _tensor(name, item, frame, evaluator)
                for item in listed
            )
    return options


def _is_none(expression: tree.Expression) -> bool:
    return isinstance(expression, tree.Literal) and expression.value is None


def _tensor(name: str, expression: tree.Expression, frame: Frame, evaluator: Evaluator) -> Tensor:
    if isinstance(expression, tree.Call) and expression.arguments is None:
        return tensor_named(expression.name, frame, evaluator.lost_names)
    hint = f"name the tensor with `... as h`, and give `{name}=h`"
    raise Problem(Slug.BAD_ARGUMENT, f"'{name}' takes the name of a tensor", expression.span, help=hint)


def block_arguments(
    definition: tree.Block,
    home: Frame,
    call: tree.Call,
    frame: Frame,
    evaluator: Evaluator,
    settings: Mapping[str, Any],
) -> dict[str, tuple[Any, Span]]:
    """The values of a block's parameters in a call, defaults filled in; mistakes are reported, and poison.

    Args:
        definition: the block.
        home: the names that it sees.
        call: the call.
        frame: the names that the call sees.
        evaluator: gives the values of expressions and takes mistakes.
        settings: values that edits set, which go before all others.
    """
    name = definition.name.text
    parameters = {parameter.name.text: parameter for parameter in definition.parameters or ()}
    given = match_arguments(name, call.arguments or (), list(parameters), parameters, evaluator.found)
    bound: dict[str, tuple[Any, Span]] = {}
    earlier = Frame(home, None, bound)  # a default sees the parameters before its own
    for key, parameter in parameters.items():
        value: Any = POISON
        try:
            if key in settings:
                value = settings[key]
            elif key in given:
                value = evaluator.value(given[key], frame)
            elif parameter.default is not None:
                value = evaluator.value(parameter.default, earlier)
            else:
                note = Note(f"'{name}' is defined here", definition.name.span)
                message = f"'{name}' needs a value for '{key}'"
                evaluator.found.add(Diagnostic(Slug.MISSING_ARGUMENT, message, call.span, (note,)))
        except Problem as problem:
            evaluator.found.add(problem.diagnostic)
        except Skip:
            pass
        bound[key] = (value, parameter.name.span)
    return bound


def bind_results(step: tree.Step, flow: Tensor | list[Tensor] | Poison | None, frame: Frame) -> None:
    """Give the results of a step the names that the text has for them.

    Raises:
        Problem: there are more or fewer results than names, or a name cannot be given.
    """
    names = step.names
    if not names:
        return
    results: Sequence[Any] = flow if isinstance(flow, list) else [flow]
    if isinstance(flow, Poison):
        results = [POISON] * len(names)
    if len(results) != len(names):
        _bind_each(names, [POISON] * len(names), frame)
        many = "one result" if len(results) == 1 else f"{len(results)} results"
        hint = f"name them all, with `{IGNORED}` for those that nothing uses: `as a, {IGNORED}`"
        span = Span(names[0].span.source, names[0].span.start, names[-1].span.end)
        message = f"this step has {many}, and {len(names)} {'name stands' if len(names) == 1 else 'names stand'} here"
        raise Problem(Slug.SHAPE, message, span, help=hint if len(results) > 1 else None)
    _bind_each(names, results, frame)


def _bind_each(names: Sequence[tree.Name], results: Sequence[Any], frame: Frame) -> None:
    for name, result in zip(names, results, strict=True):
        if name.text != IGNORED:
            check_name(name)
            frame.bind(name.text, result, name.span)
