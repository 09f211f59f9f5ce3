"""The layer table for people: what there is, and what each layer takes."""

from __future__ import annotations

from specdsl.backends import arguments
from specdsl.backends.table import wrapped
from specdsl.layers import LAYERS, Layer


def overview(width: int = 100) -> str:
    """All layers by family, for a terminal of `width` columns."""
    families: dict[str, dict[str, str]] = {}
    for name, layer in LAYERS.items():
        families.setdefault(layer.family, {})[name] = layer.summary()
    return arguments.overview(families, "`specdsl layers NAME` describes one of them.", width)


def layer_page(layer: type[Layer], width: int = 100) -> str:
    """A layer with its arguments, their legal values and their defaults, for a terminal of `width` columns."""
    aliases = [f"Also called {', '.join(layer.aliases)}."] if layer.aliases else []
    lines = arguments.page(layer.__name__, layer, aliases, width)
    if layer.options:
        told = ", ".join(f"`{name}` ({_OPTIONS[kind]})" for name, kind in layer.options.items())
        lines += ["", *wrapped(f"A call may say beside: {told}.", width)]
    return "\n".join([*lines, ""])


_OPTIONS = {
    "flag": "true or false",
    "tensor": "a tensor",
    "tensors": "a list of tensors",
    "masks": "a list of tensors or none",
}
