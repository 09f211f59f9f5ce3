"""What is set from outside a text in the place of what its recipe says: `train.optimizer.learning_rate=0.01`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from specdsl.declaration import Declaration, text
from specdsl.diagnostics import Diagnostic, Slug, SpecError, did_you_mean
from specdsl.recipes import SOURCES, DataRecipe, TrainRecipe, Validation
from specdsl.recipes.losses import LOSS_WORDS
from specdsl.resolve.binding import construct, unknown_argument
from specdsl.resolve.data import data_named, data_of
from specdsl.resolve.program import Program
from specdsl.resolve.recipes import setting_value
from specdsl.resolve.scope import Collector, Problem, Skip
from specdsl.source import Source, Span
from specdsl.syntax import parse_all, tree

ROOTS = ("train", "data")
"""What a path begins with."""

_OPERATIONS = ("augment", "evaluate", "views")


class Setting(NamedTuple):
    """A setting that was given.

    Attributes:
        path: what is set, `("train", "optimizer", "learning_rate")`.
        names: where each part of the path stands.
        value: the expression that was given.
    """

    path: tuple[str, ...]
    names: tuple[Span, ...]
    value: tree.Expression


def check_roots(parameters: Sequence[str], given: Sequence[str]) -> None:
    """Check that what is to be set in a model, each `NAME=VALUE`, is not meant for a recipe.

    Args:
        parameters: the model's.
        given: what is to be set.

    Raises:
        SpecError: it is meant for a recipe, or for something that there is not.
    """
    for one in given:
        root, dot, _ = one.partition("=")[0].partition(".")
        if root in parameters or not (root in ROOTS or dot):
            continue
        if root == "train":
            message = "'train' is not set as a whole"
            hint = "--recipe names a `train` block; --set train.epochs=5 sets something in it"
        elif root == "data":
            message = "'data' is not set as a whole"
            hint = "--data names other data; --set data.validation.fraction=0.2 sets something in those of the recipe"
        else:
            message = f"there is no '{root}' to set something in"
            hint = did_you_mean(root, ROOTS) or "what can be set begins with `train.` or `data.`"
        place = Span(Source("--set", one), 0, len(root))
        raise SpecError([Diagnostic(Slug.UNKNOWN_ARGUMENT, message, place, help=hint)])


def overridden(program: Program, recipe: TrainRecipe, given: Sequence[tuple[str, str, str]]) -> TrainRecipe:
    """A recipe with other settings, checked again as a whole.

    What is set as a whole is set before parts of it, whatever the order in which they were given.

    Args:
        program: the file; the values see its names.
        recipe: its recipe.
        given: what the text is called in messages, the path, and the value as it was written.

    Raises:
        SpecError: there is no such setting, or the values make no recipe.
    """
    if not given:
        return recipe
    settings = sorted((_read(program, *one) for one in given), key=lambda setting: len(setting.path))
    found = Collector(program.limits)
    values = {"train": recipe.settings(), "data": recipe.data.settings()}
    spans: dict[str, dict[str, Span]] = {"train": {}, "data": {}}
    for index, setting in enumerate(settings):
        try:
            if any(setting.path == other.path for other in settings[:index]):
                raise Problem(Slug.DUPLICATE, f"'{'.'.join(setting.path)}' is set twice", setting.names[-1])
            root, name = setting.path[:2]
            values[root][name] = _changed(program, setting, values[root], found)
            spans[root][name] = setting.value.span
            if setting.path == ("train", "data"):
                values["data"] = values["train"]["data"].settings()
        except Problem as problem:
            found.add(problem.diagnostic)
        except Skip:
            continue
    made: TrainRecipe | None = None
    if not found:
        whole = settings[0].value.span
        data = construct(DataRecipe, values["data"], spans["data"], whole, found, "data")
        if data is not None:
            made = construct(TrainRecipe, values["train"] | {"data": data}, spans["train"], whole, found, "train")
    if made is None or found:
        raise SpecError(found.diagnostics)
    return made


def _read(program: Program, label: str, path: str, written: str) -> Setting:
    """A setting as it was written.

    Raises:
        SpecError: it is none.
    """
    head = "let value = "
    source = Source(f"{label} {path}" if label == "--set" else label, head + written, len(head))
    parsed = parse_all(source, program.limits)
    if parsed.diagnostics:
        raise SpecError(parsed.diagnostics)
    item = parsed.spec.items[0]
    if len(parsed.spec.items) != 1 or not isinstance(item, tree.Let):
        raise SpecError([Diagnostic(Slug.SYNTAX, f"{label} takes one value for '{path}', not '{written}'")])
    names, at, named = [], 0, Source(label, f"{path}={written}")
    for part in path.split("."):
        names.append(Span(named, at, at + len(part)))
        at += len(part) + 1
    return Setting(tuple(path.split(".")), tuple(names), item.value)


def _changed(program: Program, setting: Setting, values: dict[str, Any], found: Collector) -> Any:
    """The new value of what a path begins with.

    Raises:
        Problem: there is no such setting, or its value cannot be had.
        Skip: why not is in `found`.
    """
    root, *rest = setting.path
    known = TrainRecipe.names() if root == "train" else DataRecipe.names()
    what = "training" if root == "train" else "data"
    if not rest or rest[0] not in known:
        name = rest[0] if rest else ""
        hint = did_you_mean(name, known) or f"there are {', '.join(known)}"
        place = setting.names[1] if rest else setting.names[0]
        raise Problem(Slug.UNKNOWN_ARGUMENT, f"{what} has no setting '{name}'", place, help=hint)
    name, *parts = rest
    if root == "data" and name in _OPERATIONS:
        message = f"'{name}' has operations, which stand in the text"
        raise Problem(Slug.BAD_ARGUMENT, message, setting.names[1], help="only `source` and `validation` can be set")
    if setting.path[:2] == ("train", "data") and parts:
        hint = f"--set data.{'.'.join(parts)}=..."
        raise Problem(Slug.BAD_ARGUMENT, "the data have settings of their own", setting.names[1], help=hint)
    value = _value(program, root, name, setting.value, found, whole=not parts)
    return _within(setting, 2, values[name], value, found) if parts else value


def _value(
    program: Program, root: str, name: str, expression: tree.Expression, found: Collector, *, whole: bool
) -> Any:
    """What an expression gives, where it is for a setting."""
    if root == "train" and name == "data":
        return data_of(program, data_named(program, expression, program.frame), found)
    if root == "train":
        return setting_value(program, name, expression, program.frame, found, whole=whole)
    kinds: dict[str, Any] = dict(SOURCES) if name == "source" else {"validation": Validation}
    try:
        return program.evaluator_for(found, kinds).value(expression, program.frame)
    except Problem as problem:
        wrong = problem.diagnostic
        if name == "source" and whole and wrong.slug is Slug.UNKNOWN_NAME and wrong.span and not wrong.help:
            hint = did_you_mean(wrong.span.text, SOURCES) or f"there are {', '.join(SOURCES)}"
            problem.diagnostic = wrong._replace(help=hint)
        raise


def _within(setting: Setting, depth: int, current: Any, value: Any, found: Collector) -> Any:
    """A declaration with one of its arguments changed, by what is left of a path."""
    if depth == len(setting.path):
        return value
    name = setting.path[depth]
    if isinstance(current, str) and current in LOSS_WORDS and setting.path[:2] == ("train", "loss"):
        current = LOSS_WORDS[current]()
    if current is None and setting.path[:2] == ("data", "validation"):
        kind: type[Declaration] = Validation
        given: dict[str, Any] = {}
    elif isinstance(current, Declaration):
        kind, given = type(current), current.arguments()
    else:
        whole = ".".join(setting.path[:depth])
        message = f"{whole} is {text(current)}, which has no '{name}'"
        raise Problem(
            Slug.UNKNOWN_ARGUMENT, message, setting.names[depth], help=f"--set {whole}=... sets it as a whole"
        )
    label = kind.spec_name()
    if name not in kind.names():
        found.add(unknown_argument(label, name, list(kind.names()), setting.names[depth]))
        raise Skip
    given[name] = _within(setting, depth + 1, given.get(name, getattr(kind, name, None)), value, found)
    span = setting.value.span
    if missing := [one for one in kind.required() if one not in given]:
        whole = ".".join(setting.path[:depth])
        hint = f"--set {whole}=... sets it as a whole"
        raise Problem(Slug.MISSING_ARGUMENT, f"{label} needs '{missing[0]}'", setting.names[depth], help=hint)
    made = construct(kind, given, {name: span}, span, found, label)
    if made is None:
        raise Skip
    return made
