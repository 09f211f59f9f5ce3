"""Values, names and docstrings as Python source writes them."""

from __future__ import annotations

import builtins
import json
import keyword
from collections.abc import Container, Iterator, Mapping
from itertools import chain, count
from textwrap import wrap
from types import MappingProxyType
from typing import Any
from unicodedata import normalize

from specdsl.declaration import Declaration
from specdsl.functional import Functional
from specdsl.layers import Layer
from specdsl.layers.inner import inner_names
from specdsl.layers.objects import KerasObject

WIDTH = 100
RESERVED = {"keras", "layers", "build_model", "frozen", "name", *keyword.kwlist, *dir(builtins)}
"""Names that the source uses itself, or that mean something to Python."""


def literal(value: Any, builders: Mapping[Any, str] = MappingProxyType({})) -> str:
    """A value as Python writes it.

    Args:
        value: the value.
        builders: the functions that build models, by the model.
    """
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False)
        case (Layer(), *_):
            named = zip(value, inner_names(value), strict=True)
            return f"[{', '.join(_layer(layer, name, builders) for layer, name in named)}]"
        case tuple():
            return f"({', '.join(map(literal, value))}{',' * (len(value) == 1)})"
        case list():
            return f"[{', '.join(map(literal, value))}]"
        case KerasObject():
            return f"keras.{value.module}.{type(value).__name__}({_given(value, builders)})"
        case Layer():
            return _layer(value, value.own_name, builders)
        case Declaration():
            raise AssertionError(f"{type(value).__name__} has no Python form")
        case _:
            return repr(value)


def _layer(layer: Layer, name: str, builders: Mapping[Any, str]) -> str:
    """The call that makes a layer within another."""
    if isinstance(layer, Functional):
        return built(layer, builders, None if name == layer.own_name else name)
    given = f"{_given(layer, builders)}, name={literal(name)}".removeprefix(", ")
    return f"layers.{layer.keras_name}({given})"


def built(model: Functional, builders: Mapping[Any, str], name: str | None = None) -> str:
    """The call that builds a model, under a name of its own where it has one, and freezes it where it is frozen."""
    made = f"{builders[model.thawed]}({f'name={literal(name)}' if name else ''})"
    return made if model.trainable else f"frozen({made})"


def _given(value: Declaration, builders: Mapping[Any, str]) -> str:
    return ", ".join(f"{name}={literal(item, builders)}" for name, item in value.arguments().items())


def broken(argument: str, indent: str) -> list[str]:
    """The lines of an argument: one, or where that is too long one for each item between its outer brackets."""
    line = f"{indent}{argument},"
    opening = _opening(argument)
    if len(line) <= WIDTH or opening is None:
        return [line]
    items = _items(argument[opening + 1 : -1])
    inner = [line for item in items for line in broken(item, f"{indent}    ")]
    return [f"{indent}{argument[: opening + 1]}", *inner, f"{indent}{argument[-1]},"]


def _opening(argument: str) -> int | None:
    """Where the bracket opens that the last character closes, if something stands between the two."""
    stack: list[int] = []
    for place, character in _signs(argument):
        if character in "([":
            stack.append(place)
        elif character in ")]":
            start = stack.pop()
            if place == len(argument) - 1 and place > start + 1:
                return start
    return None


def _items(text: str) -> list[str]:
    """The parts of a list of arguments or items."""
    items, start, depth = list[str](), 0, 0
    for place, character in _signs(text):
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            items.append(text[start:place].strip())
            start = place + 1
    rest = text[start:].strip()
    return [*items, rest] if rest else items


def _signs(text: str) -> Iterator[tuple[int, str]]:
    """The brackets and commas of some source, with their places; those in strings left out."""
    quoted = escaped = False
    for place, character in enumerate(text):
        if quoted:
            quoted = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            quoted = True
        elif character in "()[],":
            yield place, character


def listed(values: Mapping[str, Any]) -> str:
    """Values by name, as a call gives them."""
    return ", ".join(f"{name}={literal(value)}" for name, value in values.items())


def joined_with(values: Mapping[str, Any]) -> str:
    """Values by name as the end of a sentence, nothing where there are none."""
    return f" with {listed(values)}" if values else ""


class Taken(Container[str]):
    """The names in any of several places, none of which is copied."""

    def __init__(self, *places: Container[str]) -> None:
        self._places = places

    def __contains__(self, name: object) -> bool:
        return any(name in place for place in self._places)


def free(name: str, taken: Container[str]) -> str:
    """An identifier for a name of the spec that is neither taken nor reserved."""
    letters = [letter if f"_{letter}".isidentifier() else "_" for letter in normalize("NFKC", name)]
    name = "".join(letters)
    if not name.isidentifier():
        name = f"_{name}"
    if name in RESERVED:
        name = f"{name}_"
    return next(
        candidate for candidate in chain([name], (f"{name}_{number}" for number in count(2))) if candidate not in taken
    )


def docstring_lines(text: str, indent: str) -> list[str]:
    """A docstring; a paragraph with a line that is too long is filled anew."""
    text = text.replace("\\", "\\\\").replace('"""', r"\"\"\"")
    if text.endswith('"'):
        text = f'{text[:-1]}\\"'
    lines: list[str] = []
    for paragraph in f'{indent}"""{text}'.split("\n\n"):
        part = [line.rstrip() for line in paragraph.split("\n")]
        if max(map(len, part)) > WIDTH:
            part = wrap(" ".join(part), WIDTH, break_long_words=False, break_on_hyphens=False)
            part[0] = paragraph[: len(paragraph) - len(paragraph.lstrip())] + part[0].lstrip()
        lines += ["", *part] if lines else part
    if len(lines) == 1 and len(lines[0]) <= WIDTH - 3:
        return [f'{lines[0]}"""']
    return [lines[0], *(f"{indent}{line}".rstrip() for line in lines[1:]), f'{indent}"""']


def alone(names: list[str]) -> str:
    """A single name as it is, several as a list."""
    return names[0] if len(names) == 1 else f"[{', '.join(names)}]"
