"""The `data` and `train` blocks of a file as recipes: checked values with every mistake at its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from specdsl.declaration import Declaration, Kind, Misuse, snake_case, text
from specdsl.diagnostics import Diagnostic, Slug, SpecError, did_you_mean
from specdsl.layers.objects import OBJECTS
from specdsl.limits import Limits
from specdsl.recipes import (
    LOSSES,
    METRICS,
    OPERATIONS,
    OPTIMIZERS,
    RATE_SCHEDULES,
    SCHEDULES,
    SOURCES,
    DataRecipe,
    Operation,
    Optimizer,
    Source,
    TrainRecipe,
    Validation,
    Views,
    default_data,
)
from specdsl.recipes.training import Precision, check_classes, shape_after
from specdsl.resolve.binding import argument_spans, bind, construct, match_arguments, misused
from specdsl.resolve.program import Program
from specdsl.resolve.scope import Collector, Defined, Frame, Poison, Problem, Skip, Steps
from specdsl.source import Source as Text
from specdsl.source import Span
from specdsl.syntax import tree


def recipe_mistakes(program: Program) -> tuple[Diagnostic, ...]:
    """Everything wrong in the `data` and `train` blocks of a file."""
    found = Collector(program.limits)
    for item in program.spec.items:
        try:
            if isinstance(item, tree.Data):
                _data(program, item, program.frame, found)
            elif isinstance(item, tree.Train):
                _settings(program, item, program.frame, found)
        except Skip:
            continue
    return found.diagnostics


def source_called(written: str, place: str, limits: Limits | None = None) -> Source:
    """The source that a call names, written outside a spec: `synthetic`, `sinc(noise=0.1)`.

    Args:
        written: the call.
        place: what the text is called in messages.
        limits: how large it may be.

    Raises:
        SpecError: it names none, or its arguments are wrong.
    """
    head = "data chosen = "
    program = Program(Text(place, head + written, len(head)), limits)
    program.raise_mistakes()
    item = program.spec.items[0]
    if len(program.spec.items) != 1 or not isinstance(item, tree.Data) or item.stages is not None:
        raise SpecError([Diagnostic(Slug.SYNTAX, f"{place} is one source of data, such as synthetic, not '{written}'")])
    found = Collector(program.limits)
    try:
        return _data(program, item, program.frame, found).source
    except Skip:
        raise SpecError(found.diagnostics) from None


def data_recipe(program: Program, name: str | None = None) -> DataRecipe:
    """A `data` block of a file.

    Args:
        program: the file.
        name: the name of the block; by default the one that the last `train` block names, or the last one.

    Raises:
        SpecError: the block is wrong, or there is none.
    """
    blocks: dict[str, Defined] = {}
    trains: list[Defined] = []
    for defined, (value, _) in program.frame.names.items():
        if isinstance(value, Defined) and isinstance(value.node, tree.Data):
            blocks[defined] = value
        elif isinstance(value, Defined) and isinstance(value.node, tree.Train):
            trains.append(value)
    found = Collector(program.limits)
    try:
        if name is None and trains and isinstance(trains[-1].node, tree.Train):
            settings, _ = _settings(program, trains[-1].node, trains[-1].home, found)
            if "data" in settings:
                data: DataRecipe = settings["data"]
                return data
        chosen = blocks.get(name) if name else next(reversed(blocks.values()), None)
        if chosen is None:
            message = f"{program.source.name} has no data" + (f" called '{name}'" if name else "")
            hint = did_you_mean(name or "", blocks) or (f"there are {', '.join(blocks)}" if blocks else None)
            hint = hint or f"data are declared with `data name = gtsrb() {{ ... }}`; there are {', '.join(SOURCES)}"
            raise SpecError([Diagnostic(Slug.UNKNOWN_NAME, message, help=hint)])
        assert isinstance(chosen.node, tree.Data)
        return _data(program, chosen.node, chosen.home, found)
    except Skip:
        raise SpecError(found.diagnostics) from None


def train_recipe(
    program: Program, name: str | None, input_shape: tuple[int | None, ...], source: Source | None = None
) -> TrainRecipe:
    """A training recipe of a file.

    Args:
        program: the file.
        name: the name of a `train` block, by default the last one. Where there is none, the file's last `data` block is
            taken if it has one, and what else there is takes its default: to predict values, that is the mean squared
            error without further metrics.
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
        if item is None and any(isinstance(one, tree.Data) for one in program.spec.items):
            settings["data"] = data_recipe(program)
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
                    data, data_home = _data_named(program, setting.value, home)
                    values[name] = _data(program, data, data_home, found)
                else:
                    values[name] = setting_value(program, name, setting.value, home, found)
            except Problem as problem:
                found.add(problem.diagnostic)
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
    return wrong._replace(help=f'a word of Keras is written in quotes: "{word}"')


def data_named(program: Program, expression: tree.Expression, found: Collector) -> DataRecipe:
    """The recipe of the `data` block that an expression names.

    Raises:
        Problem: it names none.
        Skip: the block is wrong, as `found` says.
    """
    return _data(program, *_data_named(program, expression, program.frame), found)


def _data_named(program: Program, expression: tree.Expression, home: Frame) -> tuple[tree.Data, Frame]:
    """The `data` block that an expression names, and the frame that it sees.

    Raises:
        Problem: it names none.
        Skip: it names something that could not be read.
    """
    names = list(home.visible(lambda value: isinstance(value, Defined) and isinstance(value.node, tree.Data)))
    if isinstance(expression, tree.Call) and expression.arguments is None:
        bound = home.lookup(expression.name.text)
        if bound and isinstance(bound[0], Defined) and isinstance(bound[0].node, tree.Data):
            return bound[0].node, bound[0].home
        if bound and isinstance(bound[0], Poison):
            raise Skip
        if bound is None and program.is_lost(expression.name.text):
            raise Skip
    word = expression.name.text if isinstance(expression, tree.Call) else ""
    if isinstance(expression, tree.Literal) and expression.value in names:
        hint: str | None = f"a name stands without quotes: {expression.value}"
    elif word in SOURCES:
        hint = f"declare it with `data name = {word}`, and give that name"
    elif word in names:
        hint = "its name stands alone; what is in its brackets belongs to the `data` block"
    else:
        hint = did_you_mean(word, names)
    if hint is None:
        hint = (
            f"there {'is' if len(names) == 1 else 'are'} {', '.join(names)}"
            if names
            else "declare it with `data name = gtsrb() { ... }`"
        )
    raise Problem(Slug.UNKNOWN_NAME, "this names no data set of this file", expression.span, help=hint)


def _data(program: Program, item: tree.Data, home: Frame, found: Collector) -> DataRecipe:
    """The recipe of a `data` block; mistakes in `found`.

    Raises:
        Skip: something in it is wrong.
    """
    before = found.reported
    values: dict[str, Any] = {}
    spans: dict[str, Span] = {}
    unknown = False
    try:
        named = _called(program, item.source, SOURCES, "data set", home, found)
        values["source"] = named.placed(Path(item.source.span.source.name).parent)
        spans["source"] = item.source.span
    except Skip:
        unknown = True
    for stage in item.stages or ():
        if isinstance(stage, tree.Hole):
            unknown = True
            continue
        name = stage.call.name.text
        if name in spans:
            found.add(Diagnostic(Slug.DUPLICATE, f"'{name}' stands twice", stage.call.span))
            continue
        spans[name] = stage.call.span
        try:
            if name in ("augment", "evaluate", "views"):
                operations = _operations(program, stage, home, found)
                _check_images(stage, operations, values.get("source"), found)
                values[name] = _views(program, stage, operations, home, found) if name == "views" else operations
            elif name == "validation" and stage.stages is None:
                values[name] = bind(
                    Validation, stage.call, lambda argument: program.value(argument, home, found), found
                )
            else:
                hint = (
                    None if name == "validation" else did_you_mean(name, ("validation", "augment", "evaluate", "views"))
                )
                if name in OPERATIONS:
                    hint = "an operation stands in `augment { ... }` or `evaluate { ... }`"
                hint = hint or (
                    "there are `validation(...)`, `augment { ... }`, `evaluate { ... }` and `views(count) { ... }`"
                )
                found.add(
                    Diagnostic(
                        Slug.UNKNOWN_STEP, f"data has no stage '{name}' of this form", stage.call.name.span, help=hint
                    )
                )
        except Skip:
            unknown = True
    if unknown or found.reported > before:
        raise Skip
    recipe = construct(DataRecipe, values, spans, item.name.span, found, "data")
    if recipe is None:
        raise Skip
    return recipe


def _operations(program: Program, stage: tree.Stage, home: Frame, found: Collector) -> list[Operation]:
    """The operations in the braces of a stage.

    Raises:
        Skip: one of them is wrong.
    """
    if stage.call.arguments and stage.call.name.text != "views":
        message = f"'{stage.call.name.text}' takes no arguments; its operations stand in braces"
        found.add(Diagnostic(Slug.UNKNOWN_ARGUMENT, message, stage.call.span))
    elif stage.stages is None:
        name = stage.call.name
        message = f"'{name.text}' has no operations, which stand in braces"
        hint = f"`{name.text}{'(8)' * (name.text == 'views')} {{ ... }}`"
        found.add(Diagnostic(Slug.MISSING_ARGUMENT, message, name.span, help=hint))
    operations: list[Operation] = []
    mistaken = False
    for inner in stage.stages or ():
        try:
            if isinstance(inner, tree.Hole):
                raise Skip
            if inner.stages is not None:
                found.add(Diagnostic(Slug.MISPLACED, "an operation has no braces", inner.span))
                raise Skip
            operations.append(_called(program, inner.call, OPERATIONS, "operation", home, found))
        except Skip:
            mistaken = True
    if mistaken:
        raise Skip
    return operations


def _views(program: Program, stage: tree.Stage, operations: list[Operation], home: Frame, found: Collector) -> Views:
    """What `views(count) { ... }` says.

    Raises:
        Skip: the count is wrong, or operations cannot stand there.
    """
    if stage.stages is None:
        raise Skip
    by_label = (inner.span for inner, made in zip(stage.stages, operations, strict=True) if made.uses_labels)
    named: dict[str, Any] = {"count": 1, "operations": operations}
    given = match_arguments("views", stage.call.arguments or (), ("count",), ("count",), found)
    spans = {name: value.span for name, value in given.items()} | {"operations": next(by_label, stage.call.name.span)}
    if "count" in given:
        try:
            named["count"] = program.value(given["count"], home, found)
        except Problem as problem:
            found.add(problem.diagnostic)
            raise Skip from None
    elif not stage.call.arguments:
        message, hint = "views needs 'count': how many versions of each image", "for example views(8) { ... }"
        found.add(Diagnostic(Slug.MISSING_ARGUMENT, message, stage.call.span, help=hint))
    views = construct(Views, named, spans, stage.span, found, "views")
    if views is None:
        raise Skip
    return views


def _check_images(stage: tree.Stage, operations: list[Operation], source: Source | None, found: Collector) -> None:
    """Check that each operation of a stage can take the images that reach it."""
    if source is None:
        return
    shape = source.shape
    for operation, inner in zip(operations, stage.stages or (), strict=True):
        assert isinstance(inner, tree.Stage)
        try:
            if source.task == "regression" or source.classes is not None:
                check_classes(operation, source.classes)
            if shape is not None:
                shape = shape_after([operation], shape)
        except Misuse as misuse:
            found.add(misused(misuse, argument_spans(inner.call, type(operation)), inner.span))
            return


_OPERATIONS_ELSEWHERE = {
    "horizontal_flip": "flip_left_right", "random_flip": "flip_left_right",
    "random_flip_left_right": "flip_left_right", "random_horizontal_flip": "flip_left_right",
    "random_flip_up_down": "flip_up_down", "random_vertical_flip": "flip_up_down", "vertical_flip": "flip_up_down",
    "cutout": "random_erasing", "random_zoom": "random_scale", "standardize": "normalize", "standardise": "normalize",
}  # fmt: skip
"""Image operations by names that they have elsewhere."""


def _near(name: str, table: Mapping[str, Any]) -> str | None:
    """What of a table is meant by a word; that two begin with `random_` makes them no more alike."""
    words = {word.removeprefix("random_"): word for word in table}
    bare = snake_case(name).removeprefix("random_")
    name = _OPERATIONS_ELSEWHERE.get(name, name)
    if name in table or did_you_mean(bare, words):
        return did_you_mean(name, table)
    return None


def _called(
    program: Program, call: tree.Call, table: dict[str, type[Kind]], what: str, home: Frame, found: Collector
) -> Kind:
    """What a call makes of one of the declarations of a table.

    Raises:
        Skip: the table has none of that name, or the arguments are wrong.
    """
    program.steps.take(call.span, Steps.LAYER)
    kind = table.get(call.name.text)
    if kind is None:
        hint = _near(call.name.text, table) or f"there are {', '.join(table)}"
        found.add(Diagnostic(Slug.UNKNOWN_STEP, f"no {what} is called '{call.name.text}'", call.name.span, help=hint))
        raise Skip
    return bind(kind, call, lambda argument: program.value(argument, home, found), found)
