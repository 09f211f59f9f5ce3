"""The resolved model: layers in topological order, every shape known and checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from specdsl.diagnostics import Diagnostic
from specdsl.layers import InputLayer, Layer, Shape
from specdsl.source import Span

SEPARATOR = "-"
"""Joins a block's name and the name of a layer in it. Keras refuses `/` in a layer's name and PyTorch refuses `.`."""


class Node(NamedTuple):
    """One layer applied to tensors.

    Attributes:
        name: the layer's name in the compiled model, unique in the graph.
        layer: the declaration, with all arguments.
        inputs: the names of the nodes whose outputs it takes, in order.
        shape: the shape of its output, without the batch axis.
        scope: the name of the block instance it stands in, "" in the model's own body.
        skip: the position in `inputs` of the tensor that a shortcut brought, None where none did.
        span: the step in the text that it came from.
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    shape: Shape
    scope: str
    skip: int | None
    span: Span


class Scope(NamedTuple):
    """One instance of a block.

    Attributes:
        name: the full name, the names of its enclosing instances included.
        block: the name of the block that it is an instance of.
        parent: the full name of the instance that encloses it, "" for the model.
        arguments: the block's parameters with their values.
    """

    name: str
    block: str
    parent: str
    arguments: Mapping[str, Any]


class Expectation(NamedTuple):
    """What the text says must hold of the model.

    Attributes:
        span: the place that says it.
        check: tests it, given the model's quantities by name; returns what is wrong, nothing when it holds.
    """

    span: Span
    check: Callable[[Mapping[str, Any]], tuple[Diagnostic, ...]]


@dataclass(frozen=True)
class Graph:
    """A model as a directed acyclic graph. `verify` states what holds for every one that resolution makes.

    Attributes:
        name: the model's name.
        nodes: the layers in topological order, which is the order of the text after expansion.
        outputs: the names of the nodes whose tensors leave the model.
        scopes: the block instances by full name, enclosing ones first.
        docstring: what the text says of the model, "" when nothing.
        parameters: the model's own parameters with their values.
        expectations: what must hold of it.
    """

    name: str
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    scopes: Mapping[str, Scope] = field(default_factory=dict)
    docstring: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    expectations: tuple[Expectation, ...] = field(default=(), compare=False)

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """The nodes by name."""
        return {node.name: node for node in self.nodes}

    @property
    def input_nodes(self) -> tuple[Node, ...]:
        """The nodes where tensors enter."""
        return tuple(node for node in self.nodes if isinstance(node.layer, InputLayer))

    @property
    def output_nodes(self) -> tuple[Node, ...]:
        """The nodes whose tensors leave."""
        return tuple(self.by_name[name] for name in self.outputs)

    def input_shapes(self, node: Node) -> tuple[Shape, ...]:
        """The shapes that enter a node, in order."""
        return tuple(self.by_name[name].shape for name in node.inputs)

    def enclosing(self, scope: str) -> Iterator[Scope]:
        """The block instance of that name and those that enclose it, innermost first."""
        while scope:
            yield self.scopes[scope]
            scope = self.scopes[scope].parent


def verify(graph: Graph) -> None:
    """Check what every graph promises; a failure is a fault of the compiler, not of a spec.

    Raises:
        AssertionError: a name stands twice, an input does not stand earlier, a shape is not what the layer's rule
            gives, an output is not a node, or a node leads to no output.
    """
    seen: dict[str, Node] = {}
    for node in graph.nodes:
        assert node.name not in seen, f"{node.name} stands twice"
        assert all(name in seen for name in node.inputs), f"{node.name} comes before one of its inputs"
        shapes = [seen[name].shape for name in node.inputs]
        assert node.shape == node.layer.infer(*shapes), f"{node.name} has another shape than its rule gives"
        assert not node.scope or node.scope in graph.scopes, f"{node.name} stands in an unknown scope"
        assert node.skip is None or node.skip < len(node.inputs), f"{node.name} has no input {node.skip}"
        seen[node.name] = node
    assert graph.outputs, "there is no output"
    assert all(name in seen for name in graph.outputs), "an output is not a node"
    alive = set(graph.outputs)
    for node in reversed(graph.nodes):
        assert node.name in alive, f"{node.name} leads to no output"
        alive.update(node.inputs)
