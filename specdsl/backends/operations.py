"""The table of image operations for people: what there is, and what each of them takes."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc

from specdsl.backends import arguments
from specdsl.backends.arguments import signature
from specdsl.recipes import OPERATIONS, Operation
from specdsl.recipes.augmentation import FAMILIES


def overview(width: int = 100) -> str:
    """All operations by family, for a terminal of `width` columns."""
    families = {family: {name: _summary(kind) for name, kind in _of(family).items()} for family in FAMILIES}
    return arguments.overview(families, "`specdsl operations NAME` describes one of them.", width)


def operation_page(operation: type[Operation], width: int = 100) -> str:
    """An operation with what it does to one image, and its arguments, for a terminal of `width` columns."""
    notes = ["It takes images of three channels, red, green and blue."] if operation.colours else []
    return "\n".join([*arguments.page(operation.spec_name(), operation, notes, width), ""])


def markdown() -> str:
    """A table of the operations of each family: what docs/augmentation.md shows."""
    return "\n".join("\n".join([f"### {family.capitalize()}", "", *_table(family), ""]) for family in FAMILIES)


def _table(family: str) -> Iterator[str]:
    yield "| operation | what it does to an image | also | channels |"
    yield "| --- | --- | --- | :-: |"
    for name, kind in _of(family).items():
        by_name = ", ".join(f"`{argument}`" for argument in kind.keyword_only)
        yield f"| `{name}({signature(kind)})` | {_summary(kind)} | {by_name} | {3 if kind.colours else 'any'} |"


def _of(family: str) -> dict[str, type[Operation]]:
    return {name: kind for name, kind in OPERATIONS.items() if kind.family == family}


def _summary(operation: type[Operation]) -> str:
    """The first paragraph of its documentation on one line."""
    return cleandoc(operation.__doc__ or "").split("\n\n")[0].replace("\n", " ")
