"""The arguments of a declaration for people: names, defaults, and legal values in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from inspect import cleandoc
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from specdsl.backends.table import Column, Line, fitted, wrapped
from specdsl.declaration import Declaration, text
from specdsl.layers import Layer
from specdsl.layers.values import SPREADING
from specdsl.recipes import RateSchedule


def signature(kind: type[Declaration], space: str = " ") -> str:
    """The arguments that may be given by position, with their defaults, in which `space` stands for each space."""
    required = kind.required()
    return ", ".join(
        name if name in required else f"{name}={text(kind.fields()[name].default)}".replace(" ", space)
        for name in kind.positional()
    )


def page(name: str, kind: type[Declaration], notes: Sequence[str], width: int) -> list[str]:
    """The lines that describe a declaration: how it is called, what it is, and a table of its arguments.

    Args:
        name: what a spec calls it.
        kind: the declaration.
        notes: paragraphs behind its own documentation.
        width: how wide lines may be.
    """
    call = wrapped(f"{name}({signature(kind, _TOGETHER)})", width, subsequent_indent="    ")
    lines = [line.replace(_TOGETHER, " ") for line in call]
    for paragraph in [*cleandoc(kind.__doc__ or "").split("\n\n"), *notes]:
        lines += ["", *wrapped(paragraph, width)]
    return [*lines, "", *_arguments_table(kind, width)]


_TOGETHER = "\N{NO-BREAK SPACE}"
"""The space within a default, which is not torn apart where the arguments of a call are folded."""


def _arguments_table(kind: type[Declaration], width: int) -> list[str]:
    """The lines of a table of all arguments, with their legal values and their defaults; none where there are none."""
    required = kind.required()
    rows = [
        [
            [Line(name)],
            [Line("required" if name in required else text(field.default))],
            [Line(type_text(field.annotation, field.metadata))],
        ]
        for name in kind.names()
        for field in [kind.fields()[name]]
    ]
    columns = [Column("argument"), Column("default"), Column("takes", least=30)]
    return [line for lines in fitted(columns, rows, width) for line in lines] if rows else []


def overview(groups: Mapping[str, Mapping[str, str]], last: str, width: int) -> str:
    """Names with what they stand for, in groups under headings, and a last line.

    Args:
        groups: for each heading, by name, a sentence.
        last: what is said below.
        width: how wide lines may be.
    """
    longest = max(len(name) for group in groups.values() for name in group)
    columns = [Column(""), Column("", least=30)]
    lines: list[str] = []
    for heading, group in groups.items():
        rows = [[[Line(f"  {name:{longest}}")], [Line(summary)]] for name, summary in group.items()]
        lines += [heading, *(line for row in fitted(columns, rows, width)[1:] for line in row), ""]
    return "\n".join([*lines, *wrapped(last, width), ""])


def type_text(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """A field's legal values in words: `whole number > 0`, `"valid" or "same"`, `number or none`."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_text(inner[0], (*inner[1:], *metadata))
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(type_text(option) for option in inner))
    if origin is Literal:
        return " or ".join(text(option) for option in inner)
    if origin is tuple and inner[-1] is not ...:
        each = dict.fromkeys(type_text(option) for option in inner)
        spread = any(item in SPREADING for item in metadata)
        return f"{len(inner)} of ({' or '.join(each)}){', or one for all' if spread else ''}"
    if origin is tuple:
        return f"several of ({type_text(inner[0])})"
    word = _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))
    if isinstance(annotation, type) and issubclass(annotation, Layer):
        word = annotation.noun
    bounds = [
        f"{sign} {getattr(item, name):.12g}"
        for item in _flat(metadata)
        for name, sign in _SIGNS.items()
        if hasattr(item, name)
    ]
    return " ".join([word, " and ".join(bounds)]).strip()


_WORDS: dict[Any, str] = {
    RateSchedule: "schedule such as CosineDecay",
    int: "whole number", float: "number", bool: "true or false", str: "name", NoneType: "none",
    Any: "number or several",
}  # fmt: skip
_SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


def _flat(metadata: Sequence[Any]) -> Iterator[Any]:
    """Bounds, and those that pydantic keeps inside a field description."""
    for item in metadata:
        yield from getattr(item, "metadata", None) or [item]
