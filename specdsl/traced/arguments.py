"""What pydantic needs to let traced numbers through, of which it would keep the number alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from specdsl.traced.numbers import Traced, called

_BOUNDS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda value, bound: bool(value > bound),
    "ge": lambda value, bound: bool(value >= bound),
    "lt": lambda value, bound: bool(value < bound),
    "le": lambda value, bound: bool(value <= bound),
}
_CLOSED = {"metadata", "default", "expected", "function", "cls", "config"}
"""Parts of a schema that are no schemas."""


def _opened(schema: Any) -> Any:
    if isinstance(schema, list | tuple):
        return type(schema)(map(_opened, schema))
    if not isinstance(schema, dict):
        return schema
    inner = {name: part if name in _CLOSED else _opened(part) for name, part in schema.items()}
    if inner.get("type") not in ("int", "float", "literal"):
        return inner
    return {"type": "function-wrap", "function": {"type": "no-info", "function": _checker(inner)}, "schema": inner}


def _checker(schema: Mapping[str, Any]) -> Callable[[Any, Callable[[Any], Any]], Any]:
    """What validates a number that may be traced."""
    kind = schema["type"]

    def check(value: Any, handler: Callable[[Any], Any]) -> Any:
        if type(value) is not Traced:
            return handler(value)
        if kind == "literal" or "multiple_of" in schema:
            return handler(value.settled())
        handler(value.number)  # refuses what is illegal
        for name, keeps in _BOUNDS.items():
            if name in schema:
                keeps(value, schema[name])
        return called("float", float, value) if kind == "float" and isinstance(value.number, int) else value

    return check


class Traceable(BaseModel):
    """The base of models whose numbers may be traced. Bounds that a traced number keeps are assumed of it."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema that pydantic makes, with room for traced numbers wherever a number may stand."""
        schema: CoreSchema = _opened(handler(source))
        return schema


def configured(config: ConfigDict) -> type[Traceable]:
    """The base with a configuration."""
    return type("Configured", (Traceable,), {"model_config": config, "__module__": __name__})
