"""The layer table for people: what there is, and what each layer takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from inspect import cleandoc
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from specdsl.backends.table import Column, Line, layout
from specdsl.declaration import text
from specdsl.layers import LAYERS, Layer
from specdsl.layers.values import SPREADING


def overview() -> str:
    """All layers by family, one line each."""
    lines: list[str] = []
    width = max(map(len, LAYERS))
    for family in dict.fromkeys(layer.family for layer in LAYERS.values()):
        lines += [
            f"{family}",
            *(f"  {name:{width}}  {layer.summary()}" for name, layer in LAYERS.items() if layer.family == family),
            "",
        ]
    return "\n".join([*lines, "`specdsl layers NAME` describes one of them.", ""])


def layer_page(layer: type[Layer]) -> str:
    """A layer with its arguments, their legal values and their defaults."""
    required = set(layer.required())
    rows = [
        [
            [Line(name)],
            [Line("required" if name in required else text(field.default))],
            [Line(type_text(field.annotation, field.metadata))],
        ]
        for name in layer.names()
        for field in [layer.fields()[name]]
    ]
    signature = ", ".join(
        name if name in required else f"{name}={text(layer.fields()[name].default)}" for name in layer.positional()
    )
    lines = [f"{layer.__name__}({signature})", "", cleandoc(layer.__doc__ or ""), ""]
    if layer.aliases:
        lines += [f"Also called {', '.join(layer.aliases)}.", ""]
    if rows:
        lines += layout([Column("argument"), Column("default"), Column("takes", least=30)], rows, 100)
    if layer.options:
        told = ", ".join(f"`{name}` ({_OPTIONS[kind]})" for name, kind in layer.options.items())
        lines += ["", f"A call may say beside: {told}."]
    return "\n".join([*lines, ""])


_OPTIONS = {
    "flag": "true or false",
    "tensor": "a tensor",
    "tensors": "a list of tensors",
    "masks": "a list of tensors or none",
}


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
    int: "whole number", float: "number", bool: "true or false", str: "name", NoneType: "none",
    Any: "number or several",
}  # fmt: skip
_SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


def _flat(metadata: Sequence[Any]) -> Iterator[Any]:
    """Bounds, and those that pydantic keeps inside a field description."""
    for item in metadata:
        yield from getattr(item, "metadata", None) or [item]
