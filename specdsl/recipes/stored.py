"""Recipes that were written as JSON, as declarations again: the way back from `specdsl.runs.files.plain`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from specdsl.declaration import Misuse
from specdsl.recipes.naming import RecipePart


def restored(value: Any, field: str = "") -> Any:
    """A value of JSON with every object that has a type as the declaration that it was, and lists as tuples.

    Args:
        value: what `plain` made.
        field: the argument that it is given to: of two declarations of one name, such as the loss and the metric
            `MeanSquaredError`, that counts which this setting takes.

    Raises:
        Misuse: there is no such declaration, or its arguments cannot be: the JSON is of another version, or changed.
    """
    if isinstance(value, list):
        return tuple(restored(item, field) for item in value)
    if not isinstance(value, Mapping):
        return value
    if "type" not in value:
        return {name: restored(item, name) for name, item in value.items()}
    kinds = [kind for kind in _below(RecipePart) if kind.spec_name() == value["type"]]
    named = [kind for kind in kinds if kind.setting == field]
    if len(kinds) != 1 and len(named) != 1:
        raise Misuse(f"this version has no '{value['type']}' for recipes")
    (kind,) = kinds if len(kinds) == 1 else named
    try:
        return kind(**{name: restored(item, name) for name, item in value.items() if name != "type"})
    except ValidationError as error:
        first = error.errors()[0]
        raise Misuse(f"{value['type']}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _below(base: type[RecipePart]) -> Iterator[type[RecipePart]]:
    """All classes below one, those too that no text names."""
    for child in base.__subclasses__():
        yield child
        yield from _below(child)
