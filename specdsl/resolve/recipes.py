"""The `train` blocks of a file as recipes, with their data: checked values with every mistake at its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specdsl.declaration import Declaration, Misuse, text
from specdsl.diagnostics import Diagnostic, Slug, SpecError, did_you_mean, in_quotes
from specdsl.layers.objects import OBJECTS
from specdsl.recipes import (
    LOSSES,
    METRICS,
    OPTIMIZERS,
    RATE_SCHEDULES,
    SCHEDULES,
    DataRecipe,
    Optimizer,
    Source,
    TrainRecipe,
    default_data,
)
from specdsl.recipes.losses import LOSS_WORDS
from specdsl.recipes.metrics import METRIC_WORDS
from specdsl.recipes.training import Precision
from specdsl.resolve.binding import construct
from specdsl.resolve.data import data_named, data_of, last_data
from specdsl.resolve.program import Program
from specdsl.resolve.scope import Collector, Defined, Frame, Problem, Skip
from specdsl.source import Span
from specdsl.syntax import tree


def recipe_mistakes(program: Program) -> tuple[Diagnostic, ...]:
    """Everything wrong in the `data` and `train` blocks of a file."""
    found = Collector(program.limits)
    for item in program.spec.items:
        try:
            if isinstance(item, tree.Data):
                data_of(program, Defined(item, program.frame), found)
            elif isinstance(item, tree.Train):
                _settings(program, item, program.frame, found)
        except Skip:
            continue
    return found.diagnostics


def train_recipe(
    program: Program, name: str | None, input_shape: tuple[int | None, ...], source: Source | None = None
) -> TrainRecipe:
    """A training recipe of a file.

    Args:
        program: the file.
        name: the name of a `train` block, by default the last one. Where there is none, everything takes its default:
            to predict values, that is the mean squared error without further metrics. Where no data are named, the
            last `data` block is taken that the file declares or imports.
        input_shape: the model's input without the batch axis: it decides the data where nothing names any.
        source: where the data come from, in place of what the recipe says; what it leaves open stays as it was.

    Raises:
        SpecError: the recipe is wrong, there is none of that name, or no data set suits the model.
    """
    named = {name: value for name, (value, _) in program.frame.names.items() if isinstance(value, Defined)}
    trains = {name: value for name, value in named.items() if isinstance(value.node, tree.Train)}
    if name is not None and name not in trains:
        hint = did_you_mean(name, trains) or (f"there are {', '.join(trains)}" if trains else None)
        message = f"{program.source.name} has no training recipe '{name}'"
        raise SpecError([Diagnostic(Slug.UNKNOWN_NAME, message, help=hint)])
    chosen = trains[name] if name else next(reversed(trains.values()), None)
    item = chosen.node if chosen else None
    assert item is None or isinstance(item, tree.Train)
    found = Collector(program.limits)
    try:
        settings, spans = _settings(program, item, chosen.home, found) if item and chosen else ({}, {})
        if item is None and (last := last_data(program.frame)):
            settings["data"] = data_of(program, last, found)
        if "data" not in settings:
            settings["data"] = default_data(input_shape, source)
        elif source is not None:
            settings["data"] = settings["data"].taken_from(source)
        if item is None and settings["data"].source.task == "regression":
            settings |= {"loss": "mean_squared_error", "metrics": ()}
        span = item.span if item else Span(program.source, 0, 0)
        recipe = construct(TrainRecipe, settings, spans, span, found, "train")
    except Skip:
        recipe = None
    except Misuse as misuse:
        raise SpecError(
            [Diagnostic(Slug.BAD_ARGUMENT, misuse.message, item.name.span if item else None, help=misuse.help)]
        ) from None
    if recipe is None or found:
        raise SpecError(found.diagnostics)
    return recipe


def training_steps(program: Program) -> tuple[Optimizer, int, Precision] | None:
    """What takes the steps of the file's last `train` block, of how many examples and how precisely; None without one.

    Raises:
        SpecError: the block is wrong.
    """
    train = next((item for item in reversed(program.spec.items) if isinstance(item, tree.Train)), None)
    if train is None:
        return None
    found = Collector(program.limits)
    try:
        settings, _ = _settings(program, train, program.frame, found)
    except Skip:
        raise SpecError(found.diagnostics) from None
    told = {name: settings[name] for name in ("optimizer", "batch", "precision") if name in settings}
    recipe = TrainRecipe(data=DataRecipe(), **told)
    return recipe.optimizer, recipe.batch, recipe.precision


def _settings(
    program: Program, item: tree.Train, home: Frame, found: Collector
) -> tuple[dict[str, Any], dict[str, Span]]:
    """The settings of a `train` block and their places; mistakes in `found`.

    Raises:
        Skip: a setting is wrong.
    """
    values: dict[str, Any] = {}
    spans: dict[str, Span] = {}
    before = found.reported
    unknown = False
    for setting in item.settings:
        if isinstance(setting, tree.Hole):
            unknown = True
            continue
        name = setting.name.text
        program.steps.take(setting.span)
        if name not in TrainRecipe.names():
            hint = did_you_mean(name, TrainRecipe.names()) or f"there are {', '.join(TrainRecipe.names())}"
            found.add(
                Diagnostic(Slug.UNKNOWN_ARGUMENT, f"training has no setting '{name}'", setting.name.span, help=hint)
            )
        elif name in spans:
            found.add(Diagnostic(Slug.DUPLICATE, f"'{name}' is set twice", setting.name.span))
        else:
            spans[name] = setting.value.span
            try:
                if name == "data":
                    values[name] = data_of(program, data_named(program, setting.value, home), found)
                else:
                    values[name] = setting_value(program, name, setting.value, home, found)
            except Problem as problem:
                found.add(problem.diagnostic)
            except Skip:
                unknown = True
    if "data" not in spans and (last := last_data(home)):
        try:
            values["data"] = data_of(program, last, found)
        except Skip:
            unknown = True
    kind = TrainRecipe if "data" in values or "data" not in spans else _Settings
    construct(kind, {"data": DataRecipe()} | values, spans, item.name.span, found, "train")
    if unknown or found.reported > before:
        raise Skip
    return values, spans


class _Settings(TrainRecipe):
    """A recipe whose data are not known: what goes together with them cannot be told."""

    def check(self) -> None:
        """Take everything."""


CALLS: Mapping[str, Mapping[str, type[Declaration]]] = {
    "optimizer": {**OPTIMIZERS, **RATE_SCHEDULES},
    "loss": LOSSES,
    "metrics": METRICS,
    "schedule": SCHEDULES,
}
"""What the value of a setting may call, by the name of the setting."""


def setting_value(
    program: Program, name: str, expression: tree.Expression, home: Frame, found: Collector, *, whole: bool = True
) -> Any:
    """The value of a setting of a `train` block other than its data; or of an argument of it, where it is not whole.

    Raises:
        Problem: it has none.
        Skip: it depends on something that is already reported.
    """
    inner = Collector(program.limits)
    try:
        value = program.evaluator_for(inner, {**OBJECTS, **CALLS.get(name, {})}).value(expression, home)
    except Problem as problem:
        problem.diagnostic = _meant(problem.diagnostic, name)
        raise
    finally:
        found.add(*(_meant(wrong, name) for wrong in inner.diagnostics))
    if whole and isinstance(value, str) and name in ("optimizer", "schedule"):
        kinds = OPTIMIZERS if name == "optimizer" else SCHEDULES
        hint = did_you_mean(value, kinds) or f"there are {', '.join(kinds)}"
        example = "an optimizer is written like a call, such as Adam()"
        if name == "schedule":
            example = "a schedule is written like a call, such as cosine(warmup=5)"
        raise Problem(Slug.BAD_ARGUMENT, f"{example}, not {text(value)}", expression.span, help=hint)
    return value


def _meant(wrong: Diagnostic, setting: str) -> Diagnostic:
    """A mistake in a setting, with help where a word belongs to another setting, or stands in quotes in Keras."""
    if wrong.slug is not Slug.UNKNOWN_NAME or not wrong.span:
        return wrong
    word = wrong.span.text
    owner = next((name for name, kinds in CALLS.items() if word in kinds and name != setting), None)
    if owner is not None and word not in CALLS.get(setting, {}):
        return wrong._replace(help=f"{word} belongs to `{owner} = ...`")
    if wrong.help or setting not in ("loss", "metrics"):
        return wrong
    words = LOSS_WORDS if setting == "loss" else METRIC_WORDS
    hint = in_quotes(word) if word in words else did_you_mean(word, words)
    return wrong._replace(help=hint or "`specdsl recipes` lists them")
