"""The layers of a model in the order of a report, with what stands above and beside each."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from specdsl.analyses import (
    Analysis,
    LayerAnalysis,
)
from specdsl.backends.words import connections, names_itself, option_text, type_name
from specdsl.functional import Functional
from specdsl.graph import SEPARATOR, Graph, Node, Scope
from specdsl.layers import InputLayer, Modes


class Row(NamedTuple):
    """A layer where it stands in the report.

    Attributes:
        graph: the model that it stands in: the one reported, or one within it.
        layer: what is known of it.
        told: where its input comes from, "" where that is the output of the layer above.
        within: what a model within the model is called, with a "/" behind it; "" in the model itself.
        level: how many block instances and models it stands in.
        entered: the block instances that begin with it, outer ones first, and the level of each.
    """

    graph: Graph
    layer: LayerAnalysis
    told: str
    within: str
    level: int
    entered: tuple[tuple[Scope, int], ...]

    @property
    def node(self) -> Node:
        """The layer in its graph."""
        return self.layer.node


class Aside(NamedTuple):
    """What is said below the name of a layer.

    Attributes:
        text: the words.
        key: the column that tells the same where it is shown, "" where none does.
    """

    text: str
    key: str = ""


def asides(row: Row, shown: Collection[str] = ()) -> list[Aside]:
    """What is to be said of a layer beside its name, where only some columns are shown.

    Args:
        row: the layer's.
        shown: the keys of the columns that are.
    """
    node = row.node
    said: list[Aside] = []
    if not names_itself(node):
        said.append(Aside(type_name(node), "type"))
    if row.told:
        said.append(Aside(f"← {row.told}", "inbound"))
    if isinstance(node.layer, Functional) and node.layer.graph.parameters:
        said.append(Aside(str(node.layer)))
    if node.owner != node.name:
        said.append(Aside(f"applies {node.owner}"))
    flags = [f"{key}={option_text(value)}" for key, value in node.options.items() if isinstance(value, bool)]
    if flags:
        said.append(Aside(", ".join(flags)))
    return [one for one in said if one.key not in shown]


def block_name(instance: Scope) -> str:
    """A block instance's name within the one that encloses it."""
    return instance.name[len(instance.parent) + len(SEPARATOR) :] if instance.parent else instance.name


def own_rows(analysis: Analysis, within: str = "", base: int = 0) -> Iterator[Row]:
    """The rows of the layers in a model's own body; those of a model within the model without its inputs."""
    graph, told = analysis.graph, connections(analysis.graph)
    scope, level = "", base
    for layer in analysis.layers:
        node = layer.node
        if within and isinstance(node.layer, InputLayer):
            continue
        entered: tuple[tuple[Scope, int], ...] = ()
        if node.scope != scope:
            already = {instance.name for instance in graph.enclosing(scope)}
            around = list(reversed(list(graph.enclosing(node.scope))))
            entered = tuple((one, base + depth) for depth, one in enumerate(around) if one.name not in already)
            scope, level = node.scope, base + len(around)
        yield Row(graph, layer, told.get(node.name, ""), within, level, entered)


def rows(analysis: Analysis, within: str = "", base: int = 0) -> Iterator[Row]:
    """The rows of a model's layers, those of a model within it below the row where it stands first."""
    for row in own_rows(analysis, within, base):
        yield row
        if row.layer.inner:
            yield from rows(row.layer.inner, f"{within}{row.node.owner}/", row.level + 1)


def differing(analysis: Analysis, within: str = "") -> Iterator[tuple[str, Modes]]:
    """The layers that act differently in training and in inference, those of a model within behind its name."""
    for layer in analysis.layers:
        if layer.modes:
            yield f"{within}{layer.node.name}", layer.modes
        if layer.inner and "training" not in layer.node.options:
            yield from differing(layer.inner, f"{within}{layer.node.owner}/")


def alike_modes(analysis: Analysis) -> list[tuple[Modes, list[str]]]:
    """What layers do in training and in inference that act differently in the two, with the names of those alike."""
    alike: dict[Modes, list[str]] = {}
    for name, modes in differing(analysis):
        alike.setdefault(modes, []).append(name)
    return list(alike.items())
