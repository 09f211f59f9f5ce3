"""The `data` blocks of a file as recipes: the source, what of it validates, and the operations on images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from specdsl.declaration import Kind, Misuse, snake_case
from specdsl.diagnostics import Diagnostic, Slug, SpecError, did_you_mean
from specdsl.limits import Limits
from specdsl.recipes import OPERATIONS, SOURCES, DataRecipe, Operation, Source, Validation, Views
from specdsl.recipes.data import check_classes, shape_after
from specdsl.resolve.binding import argument_spans, bind, construct, match_arguments, misused
from specdsl.resolve.program import Program
from specdsl.resolve.scope import Collector, Defined, Frame, Poison, Problem, Skip, Steps
from specdsl.source import Source as Text
from specdsl.source import Span
from specdsl.syntax import tree


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
        return data_of(program, Defined(item, program.frame), found).source
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
    blocks = _blocks(program.frame)
    chosen: Defined | None = None
    found = Collector(program.limits)
    try:
        if name is not None:
            chosen = blocks.get(name)
        else:
            trains = [one for one, _ in program.frame.names.values() if isinstance(one, Defined)]
            train = next((one for one in reversed(trains) if isinstance(one.node, tree.Train)), None)
            chosen = _of_train(program, train) if train else last_data(program.frame)
        if chosen is None:
            message = f"{program.source.name} has no data" + (f" called '{name}'" if name else "")
            hint = did_you_mean(name or "", blocks) or (f"there are {', '.join(blocks)}" if blocks else None)
            hint = hint or f"data are declared with `data name = gtsrb() {{ ... }}`; there are {', '.join(SOURCES)}"
            raise SpecError([Diagnostic(Slug.UNKNOWN_NAME, message, help=hint)])
        return data_of(program, chosen, found)
    except Problem as problem:
        raise SpecError([problem.diagnostic]) from None
    except Skip:
        raise SpecError(found.diagnostics) from None


def last_data(home: Frame) -> Defined | None:
    """The last `data` block that a file declares or imports: what is meant where none is named."""
    return next(reversed(_blocks(home).values()), None)


def _blocks(home: Frame) -> dict[str, Defined]:
    """The `data` blocks that a file declares or imports, by their names."""
    named = {name: value for name, (value, _) in home.names.items() if isinstance(value, Defined)}
    return {name: value for name, value in named.items() if isinstance(value.node, tree.Data)}


def _of_train(program: Program, train: Defined) -> Defined | None:
    """The `data` block that a `train` block means.

    Raises:
        Problem: it names none.
        Skip: it names something that could not be read.
    """
    assert isinstance(train.node, tree.Train)
    for setting in train.node.settings:
        if isinstance(setting, tree.Setting) and setting.name.text == "data":
            return data_named(program, setting.value, train.home)
    return last_data(train.home)


def data_named(program: Program, expression: tree.Expression, home: Frame) -> Defined:
    """The `data` block that an expression names.

    Raises:
        Problem: it names none.
        Skip: it names something that could not be read.
    """
    names = list(home.visible(lambda value: isinstance(value, Defined) and isinstance(value.node, tree.Data)))
    if isinstance(expression, tree.Call) and expression.arguments is None:
        bound = home.lookup(expression.name.text)
        if bound and isinstance(bound[0], Defined) and isinstance(bound[0].node, tree.Data):
            return bound[0]
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


def data_of(program: Program, block: Defined, found: Collector) -> DataRecipe:
    """The recipe of a `data` block; mistakes in `found`.

    Raises:
        Skip: something in it is wrong.
    """
    item, home = block.node, block.home
    assert isinstance(item, tree.Data)
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
