"""What all back ends say of a graph in the same words: names, shapes, connections, amounts."""

from __future__ import annotations

from specdsl.declaration import snake_case, text
from specdsl.graph import SEPARATOR, Graph, Node, Option, Tensor
from specdsl.layers import InputLayer
from specdsl.layers.shapes import show


def type_name(node: Node) -> str:
    """The Keras class of a node's layer."""
    return type(node.layer).__name__


def local_name(node: Node) -> str:
    """A node's name within its block instance."""
    return node.name[len(node.scope) + len(SEPARATOR) :] if node.scope else node.name


def names_itself(node: Node) -> bool:
    """Whether the name says what the layer is, as `conv2d_1` does."""
    stem = snake_case(type_name(node))
    return isinstance(node.layer, InputLayer) or local_name(node).rstrip("0123456789").rstrip("_") == stem.rstrip(
        "0123456789"
    )


def shapes_text(node: Node) -> str:
    """The shapes of a node's outputs: `(28, 28, 3)`, or several side by side."""
    return " ".join(map(show, node.shapes))


def connections(graph: Graph) -> dict[str, str]:
    """Where each node's input comes from, for the nodes whose input is not just the output of the node above."""
    above: Node | None = None
    told: dict[str, str] = {}
    for node in graph.nodes:
        if node.sources and (above is None or node.sources != above.outputs):
            named = [
                f"{name}={option_text(value)}" for name, value in node.options.items() if not isinstance(value, bool)
            ]
            told[node.name] = ", ".join([*map(str, node.inputs), *named])
        above = node
    return told


def option_text(value: Option) -> str:
    """An option of a call as the language writes it."""
    if isinstance(value, bool):
        return text(value)
    if isinstance(value, Tensor):
        return str(value)
    return f"[{', '.join('none' if tensor is None else str(tensor) for tensor in value)}]"


def readable_bytes(size: int | None) -> str:
    """An amount of memory in the unit that suits it: `383.4 KiB`."""
    if size is None:
        return "unknown"
    amount, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB"]
    while amount >= 1024 and len(units) > 1:
        amount, units = amount / 1024, units[1:]
    return f"{size:,} B" if units[0] == "B" else f"{amount:,.1f} {units[0]}"
