"""The `experiment` blocks of a file: models that are trained under one recipe, to be compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from specdsl.diagnostics import Diagnostic, Slug, SpecError, did_you_mean
from specdsl.resolve.binding import match_arguments
from specdsl.resolve.models import is_model
from specdsl.resolve.program import Program
from specdsl.resolve.scope import Collector, Defined, Poison, Problem, Skip
from specdsl.syntax import tree

SETTINGS = ("models", "train", "trials", "published")
FIGURE = re.compile(r"(train|validation|test)_[a-z]\w*")
"""What names a published figure: a part of the data and a metric, and perhaps `_median` and the like behind them."""


class Entry(NamedTuple):
    """A model of an experiment, with the values that it is given there."""

    model: str
    parameters: Mapping[str, Any]

    def __str__(self) -> str:
        given = "-".join(f"{name}={value}" for name, value in self.parameters.items())
        return f"{self.model}-{given}" if given else self.model


class Experiment(NamedTuple):
    """Models to compare.

    Attributes:
        name: what the text calls it.
        models: the models, in the order of the text.
        train: the name of the `train` block, None for the file's last one.
        trials: how often each model is trained.
        published: figures from elsewhere to set beside the measured ones: for a model, as text, values by their names.
    """

    name: str
    models: tuple[Entry, ...]
    train: str | None
    trials: int
    published: Mapping[str, Mapping[str, float]] = {}


def experiment_mistakes(program: Program) -> tuple[Diagnostic, ...]:
    """Everything wrong in the `experiment` blocks of a file."""
    found = Collector(program.limits)
    for item in program.spec.items:
        if isinstance(item, tree.Experiment):
            _experiment(program, item, found)
    return found.diagnostics


def experiments(program: Program) -> tuple[str, ...]:
    """The names of a file's experiments, in the order of the text."""
    return tuple(item.name.text for item in program.spec.items if isinstance(item, tree.Experiment))


def experiment(program: Program, name: str) -> Experiment:
    """An experiment of a file.

    Raises:
        SpecError: there is none of that name, or it holds mistakes.
    """
    items = {item.name.text: item for item in program.spec.items if isinstance(item, tree.Experiment)}
    if name not in items:
        hint = did_you_mean(name, items) or (f"there are {', '.join(items)}" if items else None)
        message = f"{program.source.name} has no experiment '{name}'"
        raise SpecError([Diagnostic(Slug.UNKNOWN_NAME, message, help=hint)])
    found = Collector(program.limits)
    made = _experiment(program, items[name], found)
    if made is None or found:
        raise SpecError(found.diagnostics)
    return made


def _experiment(program: Program, item: tree.Experiment, found: Collector) -> Experiment | None:
    """The experiment that a block declares; None, with the reasons in `found`, where it declares none."""
    before = found.reported
    given: dict[str, tree.Setting] = {}
    for setting in item.settings:
        if isinstance(setting, tree.Hole):
            return None
        name = setting.name.text
        program.steps.take(setting.span)
        if name not in SETTINGS:
            hint = did_you_mean(name, SETTINGS) or f"there are {', '.join(SETTINGS)}"
            message = f"an experiment has no setting '{name}'"
            found.add(Diagnostic(Slug.UNKNOWN_ARGUMENT, message, setting.name.span, help=hint))
        elif name in given:
            found.add(Diagnostic(Slug.DUPLICATE, f"'{name}' is set twice", setting.name.span))
        else:
            given[name] = setting
    if "models" not in given and found.reported == before:
        message, hint = f"the experiment '{item.name.text}' has no models", "`models = [a, b]` lists them"
        found.add(Diagnostic(Slug.MISSING_ARGUMENT, message, item.name.span, help=hint))
    models: list[Entry] = []
    train: str | None = None
    trials = 1
    published: dict[str, dict[str, float]] = {}
    try:
        models = _models(program, given["models"].value, found) if "models" in given else []
        train = _train(program, given["train"].value) if "train" in given else None
        trials = _trials(program, given["trials"].value, found) if "trials" in given else 1
        published = _published(program, given["published"].value, models, found) if "published" in given else {}
    except Problem as problem:
        found.add(problem.diagnostic)
    except Skip:
        return None
    if found.reported > before:
        return None
    return Experiment(item.name.text, tuple(models), train, trials, published)


def _models(program: Program, listed: tree.Expression, found: Collector) -> list[Entry]:
    """The models of a list, each once.

    Raises:
        Problem: it is no list, or empty.
    """
    if not isinstance(listed, tree.Sequence) or not listed.items:
        raise Problem(Slug.BAD_ARGUMENT, "'models' is a list of models", listed.span, help="`models = [a, b]`")
    entries: list[Entry] = []
    for item in listed.items:
        try:
            entry = _entry(program, item, found)
        except Problem as problem:
            found.add(problem.diagnostic)
            continue
        except Skip:
            continue
        if entry in entries:
            found.add(Diagnostic(Slug.DUPLICATE, f"'{entry}' stands twice among the models", item.span))
        entries.append(entry)
    return entries


def _entry(program: Program, item: tree.Expression, found: Collector) -> Entry:
    """A model that a list names, with values for its parameters.

    Raises:
        Problem: it names none, or the values make no model.
        Skip: it names something that is reported already.
    """
    bound = program.frame.lookup(item.name.text) if isinstance(item, tree.Call) else None
    if bound is not None and isinstance(bound[0], Poison):
        raise Skip
    if not isinstance(item, tree.Call) or bound is None or not is_model(bound[0]):
        word = item.name.text if isinstance(item, tree.Call) else ""
        names = list(program.frame.visible(is_model))
        hint = did_you_mean(word, names) or (f"there are {', '.join(names)}" if names else None)
        raise Problem(Slug.UNKNOWN_MODEL, "this names no model of this file", item.span, help=hint)
    name, model = item.name.text, bound[0]
    assert isinstance(model, Defined)
    names, before = program.parameter_names(model), found.reported
    given = match_arguments(name, item.arguments or (), names, names, found)
    parameters = {key: program.value(expression, program.frame, found) for key, expression in given.items()}
    missing = [one for one in program.required_of(model) if one not in parameters]
    if missing and found.reported == before:
        message = f"'{name}' needs a value for '{missing[0]}'"
        raise Problem(Slug.MISSING_ARGUMENT, message, item.span, help=f"`{name}({missing[0]}=...)`")
    return Entry(name, parameters)


def _train(program: Program, expression: tree.Expression) -> str:
    """The `train` block that an expression names.

    Raises:
        Problem: it names none.
        Skip: it names something that is reported already.
    """
    frame = program.frame
    if isinstance(expression, tree.Call) and expression.arguments is None:
        bound = frame.lookup(expression.name.text)
        if bound and isinstance(bound[0], Defined) and isinstance(bound[0].node, tree.Train):
            return expression.name.text
        if bound and isinstance(bound[0], Poison):
            raise Skip
    names = list(frame.visible(lambda value: isinstance(value, Defined) and isinstance(value.node, tree.Train)))
    word = expression.name.text if isinstance(expression, tree.Call) else ""
    hint = did_you_mean(word, names) or (
        f"there is {', '.join(names)}" if names else "declare it: `train name { ... }`"
    )
    raise Problem(Slug.UNKNOWN_NAME, "this names no training recipe of this file", expression.span, help=hint)


def _trials(program: Program, expression: tree.Expression, found: Collector) -> int:
    """How often each model is trained.

    Raises:
        Problem: it is no positive whole number.
    """
    value = program.value(expression, program.frame, found)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise Problem(Slug.BAD_ARGUMENT, "'trials' is a whole number of 1 or more", expression.span)
    return value


def _published(
    program: Program, listed: tree.Expression, models: list[Entry], found: Collector
) -> dict[str, dict[str, float]]:
    """The figures of a list such as `[figures(original, test_accuracy=0.9409)]`, by model and name.

    Raises:
        Problem: it is no such list.
    """
    usage = "`published = [figures(model, test_accuracy=0.95)]`"
    if not isinstance(listed, tree.Sequence):
        raise Problem(Slug.BAD_ARGUMENT, "'published' is a list of figures", listed.span, help=usage)
    published: dict[str, dict[str, float]] = {}
    for item in listed.items:
        arguments = (item.arguments or ()) if isinstance(item, tree.Call) and item.name.text == "figures" else ()
        model, *figures = arguments or (None,)
        if model is None or isinstance(model, tree.Keyword):
            message = "published figures are written as a call that begins with a model"
            found.add(Diagnostic(Slug.BAD_ARGUMENT, message, item.span, help=usage))
            continue
        try:
            entry = _entry(program, model, found)
        except Problem as problem:
            found.add(problem.diagnostic)
            continue
        except Skip:
            continue
        if str(entry) in published:
            found.add(Diagnostic(Slug.DUPLICATE, f"the figures of '{entry}' stand twice", model.span))
        elif entry not in models and models:
            message = f"'{entry}' is none of the experiment's models"
            found.add(
                Diagnostic(Slug.UNKNOWN_MODEL, message, model.span, help=f"there are {', '.join(map(str, models))}")
            )
        published[str(entry)] = _figures(program, figures, found)
    return published


def _figures(program: Program, arguments: list[tree.Expression | tree.Keyword], found: Collector) -> dict[str, float]:
    """The values of arguments such as `test_accuracy=0.9409`, by their names."""
    figures: dict[str, float] = {}
    for argument in arguments:
        if not isinstance(argument, tree.Keyword):
            message = "a figure has a name before it"
            found.add(Diagnostic(Slug.BAD_ARGUMENT, message, argument.span, help=f"`test_loss={argument.span.text}`"))
            continue
        name = argument.name.text
        if not FIGURE.fullmatch(name):
            hint = "a figure is named by a part and a metric, such as train_loss, validation_accuracy or test_accuracy"
            message = f"no published figure can be called '{name}'"
            found.add(Diagnostic(Slug.UNKNOWN_ARGUMENT, message, argument.name.span, help=hint))
            continue
        if name in figures:
            found.add(Diagnostic(Slug.DUPLICATE, f"'{name}' is given twice", argument.name.span))
            continue
        try:
            value = program.value(argument.value, program.frame, found)
        except Problem as problem:
            found.add(problem.diagnostic)
            continue
        except Skip:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
            found.add(Diagnostic(Slug.BAD_ARGUMENT, f"'{name}' is a number", argument.value.span))
            continue
        figures[name] = float(value)
    return figures
