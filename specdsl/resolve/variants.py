"""Variants: what a selector selects, and what edits do there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from specdsl.declaration import text
from specdsl.diagnostics import Note, Slug, did_you_mean
from specdsl.functional import Functional
from specdsl.layers import NAMES, Layer
from specdsl.resolve.binding import construct, match_arguments
from specdsl.resolve.hooks import Applied, Hooks
from specdsl.resolve.scope import Collector, Frame, Key, Problem, Skip
from specdsl.resolve.values import Evaluator
from specdsl.source import Span
from specdsl.syntax import tree


def apply_edit(
    edit: tree.Edit,
    serial: object,
    frame: Frame,
    base: str,
    applied: Sequence[Applied],
    hooks: dict[Key, Hooks],
    evaluator: Evaluator,
) -> None:
    """Add to `hooks` what one edit does to the layers that it selects among `applied`.

    Args:
        edit: the edit.
        serial: what tells it from the other edits of the model.
        frame: the names that it sees.
        base: the name of the model that it edits.
        applied: the layers of the model so far, in the order of the expanded text.
        hooks: what the edits before it do; it is changed in place.
        evaluator: gives the values of its expressions and takes its mistakes.

    Raises:
        Problem: the selector selects nothing, or the edit cannot be.
        Skip: it depends on something that is already reported.
    """
    match edit:
        case tree.Hole() | tree.Expect():
            raise Skip
        case tree.Insert():
            for target in select(edit.selector, frame, base, applied, evaluator):
                hook = hooks.setdefault(target.key, Hooks())
                if edit.place == "before":
                    hook.before.append((serial, edit.body, frame))
                elif edit.place == "after":
                    hook.after.append((serial, edit.body, frame))
                else:
                    hook.replacement = (serial, edit.body, frame)
        case tree.Remove():
            for target in select(edit.selector, frame, base, applied, evaluator):
                hooks.setdefault(target.key, Hooks()).removed = True
        case tree.Set():
            for target in select(edit.selector, frame, base, applied, evaluator):
                name, value = edit.argument.text, _setting(edit, target, frame, evaluator)
                if name in argument_names(target):
                    hooks.setdefault(target.origin, Hooks()).settings[name] = value
                else:
                    hooks.setdefault(target.key, Hooks()).options[name] = value


def _setting(edit: tree.Set, target: Applied, frame: Frame, evaluator: Evaluator) -> Any:
    name, names = edit.argument.text, argument_names(target)
    flags = _flags(target)
    if name in flags and name not in names:
        value = evaluator.value(edit.value, frame)
        if not isinstance(value, bool):
            raise Problem(Slug.BAD_ARGUMENT, f"'{name}' is true or false, not {text(value)}", edit.value.span)
        return value
    if name not in names and isinstance(target.what, Layer) and name in target.what.options:
        hint = "the step itself names the tensors: replace it"
        raise Problem(Slug.MISPLACED, f"'{name}' of {target.kind} takes tensors", edit.argument.span, help=hint)
    if name not in names:
        names = [*names, *flags]
        hint = did_you_mean(name, names) or (f"its arguments are {', '.join(names)}" if names else "it has none")
        raise Problem(Slug.UNKNOWN_ARGUMENT, f"{target.kind} has no argument '{name}'", edit.argument.span, help=hint)
    value = evaluator.value(edit.value, frame)
    if isinstance(target.what, Layer) and not isinstance(target.what, Functional):
        arguments = target.what.arguments() | {name: value}
        spans = {name: edit.value.span}
        if construct(type(target.what), arguments, spans, edit.span, evaluator.found) is None:
            raise Skip
    return value


def _flags(target: Applied) -> list[str]:
    """The options of a call that an edit can set: those that are true or false."""
    options = target.what.options if isinstance(target.what, Layer) else {}
    return [name for name, kind in options.items() if kind == "flag"]


def argument_names(target: Applied) -> list[str]:
    """The arguments of a step that an edit can set: those of a layer, the parameters of a block or model."""
    match target.what:
        case Functional() as model:
            return [*model.graph.parameters, "trainable"]
        case Layer() as layer:
            return list(layer.names())
        case parameters:
            return list(parameters)


def select(
    selector: tree.Selector, frame: Frame, base: str, applied: Sequence[Applied], evaluator: Evaluator
) -> list[Applied]:
    """The layers that a selector selects, in the order of the expanded text.

    Raises:
        Problem: it selects nothing; the message says what there is.
    """
    name = selector.name.text
    kind = NAMES[name].__name__ if name in NAMES else name
    candidates = [item for item in applied if kind == item.kind or name in item.names]
    if not candidates:
        raise _nothing(selector, base, applied)
    if selector.arguments is not None:
        wanted = _wanted(selector, candidates[0], frame, evaluator)
        chosen = [item for item in candidates if _agrees(item, wanted, selector.span)]
        if not chosen:
            there = tuple(Note(f"there is {_shown(item)}", item.span) for item in candidates[:4])
            message = f"no {name} in '{base}' has these arguments"
            raise Problem(Slug.SELECTOR, message, selector.span, *there)
        return chosen
    if selector.index is not None:
        index = evaluator.whole(selector.index, frame, "an index")
        if not -len(candidates) <= index < len(candidates):
            there = tuple(Note(f"{name}[{number}] is here", item.span) for number, item in enumerate(candidates[:4]))
            message = f"'{base}' has {len(candidates)} of {name}, so there is no {name}[{index}]"
            raise Problem(Slug.SELECTOR, message, selector.span, *there)
        return [candidates[index]]
    return candidates


def _wanted(selector: tree.Selector, target: Applied, frame: Frame, evaluator: Evaluator) -> dict[str, Any]:
    found, names = Collector(), argument_names(target)
    plain = isinstance(target.what, Layer) and not isinstance(target.what, Functional)
    positional = type(target.what).positional() if plain and isinstance(target.what, Layer) else names
    given = match_arguments(target.kind, selector.arguments or (), positional, names, found)
    if found:
        evaluator.found.add(*found.diagnostics)
        raise Skip
    return {name: evaluator.value(expression, frame) for name, expression in given.items()}


def _agrees(target: Applied, wanted: dict[str, Any], span: Span) -> bool:
    """Whether giving the step these arguments would change nothing."""
    match target.what:
        case Functional() as model:
            values = {**model.graph.parameters, "trainable": model.trainable}
        case Layer() as layer:
            return construct(type(layer), layer.arguments() | wanted, {}, span, Collector()) == layer
        case parameters:
            values = dict(parameters)
    return all(name in values and values[name] == value for name, value in wanted.items())


def _shown(target: Applied) -> str:
    if isinstance(target.what, Layer):
        return str(target.what)
    return f"{target.kind}({', '.join(f'{name}={text(value)}' for name, value in target.what.items())})"


def _nothing(selector: tree.Selector, base: str, applied: Sequence[Applied]) -> Problem:
    name = selector.name.text
    counts = Counter(item.kind for item in applied)
    given = list(dict.fromkeys(name for item in applied for name in item.names))
    hint = did_you_mean(name, [*counts, *given])
    if hint is None:
        parts = [f"{kind} ({count})" if count > 1 else kind for kind, count in counts.items()]
        hint = f"it has {', '.join(parts + given)}" if parts else "it has no layers"
    return Problem(Slug.SELECTOR, f"nothing in '{base}' matches '{name}'", selector.span, help=hint)
