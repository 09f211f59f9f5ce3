"""Variants: what a selector selects, and what edits do there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from specdsl.diagnostics import Note, Slug, did_you_mean
from specdsl.layers import NAMES, Layer
from specdsl.resolve.binding import construct, match_arguments
from specdsl.resolve.hooks import Applied, Hooks, Key
from specdsl.resolve.scope import Collector, Frame, Problem, Skip
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
                value = _setting(edit, target.layer, frame, evaluator)
                hooks.setdefault(target.key, Hooks()).settings[edit.argument.text] = value


def _setting(edit: tree.Set, layer: Layer, frame: Frame, evaluator: Evaluator) -> Any:
    kind = type(layer)
    if edit.argument.text not in kind.names():
        hint = did_you_mean(edit.argument.text, kind.names()) or f"its arguments are {', '.join(kind.names())}"
        message = f"{kind.__name__} has no argument '{edit.argument.text}'"
        raise Problem(Slug.UNKNOWN_ARGUMENT, message, edit.argument.span, help=hint)
    value = evaluator.value(edit.value, frame)
    arguments = layer.arguments() | {edit.argument.text: value}
    if construct(kind, arguments, {edit.argument.text: edit.value.span}, edit.span, evaluator.found) is None:
        raise Skip
    return value


def select(
    selector: tree.Selector, frame: Frame, base: str, applied: Sequence[Applied], evaluator: Evaluator
) -> list[Applied]:
    """The layers that a selector selects, in the order of the expanded text.

    Raises:
        Problem: it selects nothing; the message says what there is.
    """
    name = selector.name.text
    kind = NAMES.get(name)
    if kind is not None:
        candidates = [item for item in applied if type(item.layer) is kind]
    else:
        candidates = [item for item in applied if item.alias == name]
    if not candidates:
        raise _nothing(selector, base, applied)
    if selector.arguments is not None:
        wanted = _wanted(selector, type(candidates[0].layer), frame, evaluator)
        chosen = [item for item in candidates if _agrees(item.layer, wanted, selector.span)]
        if not chosen:
            there = tuple(Note(f"there is {item.layer}", item.span) for item in candidates[:4])
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


def _wanted(selector: tree.Selector, kind: type[Layer], frame: Frame, evaluator: Evaluator) -> dict[str, Any]:
    found = Collector()
    given = match_arguments(kind.__name__, selector.arguments or (), kind.positional(), kind.names(), found)
    if found:
        evaluator.found.add(*found.diagnostics)
        raise Skip
    return {name: evaluator.value(expression, frame) for name, expression in given.items()}


def _agrees(layer: Layer, wanted: dict[str, Any], span: Span) -> bool:
    """Whether giving the layer these arguments would change nothing."""
    return construct(type(layer), layer.arguments() | wanted, {}, span, Collector()) == layer


def _nothing(selector: tree.Selector, base: str, applied: Sequence[Applied]) -> Problem:
    name = selector.name.text
    counts = Counter(type(item.layer).__name__ for item in applied)
    aliases = [item.alias for item in applied if item.alias]
    hint = did_you_mean(name, [*counts, *aliases])
    if hint is None:
        parts = [f"{kind} ({count})" if count > 1 else kind for kind, count in counts.items()]
        hint = f"it has {', '.join(parts + aliases)}" if parts else "it has no layers"
    return Problem(Slug.SELECTOR, f"nothing in '{base}' matches '{name}'", selector.span, help=hint)
