"""The layer table for people: what there is, and what each layer takes."""

from __future__ import annotations

import re
from inspect import cleandoc

from specdsl.backends.table import Column, Line, layout
from specdsl.declaration import text
from specdsl.layers import LAYERS, Layer


def overview() -> str:
    """All layers by family, one line each."""
    lines: list[str] = []
    width = max(map(len, LAYERS))
    for family in dict.fromkeys(layer.family for layer in LAYERS.values()):
        lines += [f"{family}", *(f"  {name:{width}}  {_summary(layer)}" for name, layer in LAYERS.items() if layer.family == family), ""]
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
        for field in [layer.model_fields[name]]
    ]
    signature = ", ".join(name if name in required else f"{name}={text(layer.model_fields[name].default)}" for name in layer.positional())
    lines = [f"{layer.__name__}({signature})", "", cleandoc(layer.__doc__ or ""), ""]
    if layer.aliases:
        lines += [f"Also called {', '.join(layer.aliases)}.", ""]
    if rows:
        lines += layout([Column("argument"), Column("default"), Column("takes", least=30)], rows, 100)
    return "\n".join([*lines, ""])


def _summary(layer: type[Layer]) -> str:
    return cleandoc(layer.__doc__ or "").split("\n\n")[0].replace("\n", " ")


_BOUNDS = {"gt": "> {}", "ge": "≥ {}", "lt": "< {}", "le": "≤ {}"}


def type_text(annotation: object, metadata: object = ()) -> str:
    """A field's legal values in words: `int > 0`, `"valid" or "same"`, `float or none`."""
    shown = re.sub(r"typing\.|specdsl\.\w+\.\w+\.|annotated_types\.", "", str(annotation))
    return shown
