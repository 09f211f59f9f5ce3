"""The JSON Schemas of what specdsl writes as JSON, made from the tables and types that the documents are made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Entry(Protocol):
    """What is known of a key of a document."""

    @property
    def key(self) -> str:
        """The key."""

    @property
    def kind(self) -> Any:
        """The type of its value."""

    @property
    def meaning(self) -> str:
        """What it is, in a sentence without a full stop."""


def report_schema() -> dict[str, Any]:
    """The schema of what `compile --format json` writes."""
    from specdsl.backends.report.columns import COLUMNS
    from specdsl.backends.report.data import PARTS
    from specdsl.backends.report.totals import TOTALS

    layer = _object("Layer", COLUMNS, "An application of a layer.", {})
    totals = _object("Totals", TOTALS, "What is known of the whole model.", {})
    known = {"Layer": layer, "Totals": totals}
    return schema_of("report", _object("Report", PARTS, "What is known of a model, layer by layer and in all.", known))


def diff_schema() -> dict[str, Any]:
    """The schema of what `diff --format json` writes."""
    from specdsl.backends.difference import DifferenceData

    return schema_of("diff", DifferenceData)


SCHEMAS: Mapping[str, Callable[[], dict[str, Any]]] = {"report": report_schema, "diff": diff_schema}
"""The documents by name."""


def _object(
    name: str, entries: Iterable[_Entry], meaning: str, known: Mapping[str, type[BaseModel]]
) -> type[BaseModel]:
    """A pydantic model with a field for each entry; types that are given as text may name it, or one that is known."""
    fields: dict[str, Any] = {
        # The alias keeps a key such as `schema` clear of what pydantic calls its own.
        f"{entry.key}_": (entry.kind, Field(alias=entry.key, description=f"{_sentence(entry.meaning)}."))
        for entry in entries
    }
    made: type[BaseModel] = create_model(name, __config__=ConfigDict(title=name), __doc__=meaning, **fields)
    made.model_rebuild(_types_namespace={**known, name: made})
    return made


def _sentence(meaning: str) -> str:
    return meaning[:1].upper() + meaning[1:] if meaning[:1].islower() else meaning


def schema_of(name: str, kind: Any) -> dict[str, Any]:
    """The schema of a document, from the type of its value."""
    made = TypeAdapter(kind).json_schema(mode="serialization")
    return {"$schema": DIALECT, "$id": f"urn:specdsl:{name}:1", **_untitled(made)}


def _untitled(schema: Any, *, names: bool = False) -> Any:
    """A schema without the titles that only repeat keys.

    Args:
        schema: the schema, or a part of one.
        names: whether its keys are names of properties or definitions, and not words of the schema.
    """
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _untitled(value, names=key in ("properties", "$defs") and not names)
        for key, value in schema.items()
        if names or key != "title"
    }
