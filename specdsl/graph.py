"""The resolved model: layers in topological order, every shape known and checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

from specdsl.diagnostics import Diagnostic
from specdsl.layers import InputLayer, Layer, Shape, Weight
from specdsl.layers.facts import Said
from specdsl.source import Span

SEPARATOR = "-"
"""Joins a block's name and the name of a layer in it. Keras refuses `/` in a layer's name and PyTorch refuses `.`."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An output of a node: most have one, which is number 0."""

    node: str
    index: int = 0

    def __str__(self) -> str:
        return f"{self.node}[{self.index}]" if self.index else self.node


Option = bool | Tensor | tuple[Tensor | None, ...]
"""What a call says beside its tensors: `training=false`, `mask=m`, `initial_state=[h, c]`, `mask=[none, m]`."""

Grouped = bool | Tensor | None | tuple["Grouped", ...]
"""The value of an option as Keras takes it, with tensors in lists of lists where Keras has them so."""

NO_OPTIONS: Mapping[str, Option] = MappingProxyType({})


class Node(NamedTuple):
    """One application of a layer to tensors.

    Attributes:
        name: what the application is called, unique in the graph: as its layer, where that is applied but once.
        layer: the declaration, with all arguments.
        inputs: the tensors that it takes, in order.
        shapes: the shapes of its outputs, without the batch axis.
        dtypes: the types of its outputs.
        scope: the name of the block instance it stands in, "" in the model's own body.
        skip: the position in `inputs` of the tensor that a shortcut brought, None where none did.
        span: the step in the text that it came from.
        owner: the name of the layer in the compiled model; applications with the same owner share their weights.
        options: what the call says beside the tensors, by Keras's names.
    """

    name: str
    layer: Layer
    inputs: tuple[Tensor, ...]
    shapes: tuple[Shape, ...]
    dtypes: tuple[str, ...]
    scope: str
    skip: int | None
    span: Span
    owner: str
    options: Mapping[str, Option] = NO_OPTIONS

    def __eq__(self, other: object) -> bool:
        """Whether it is the same in everything but its place in the text."""
        place = Node._fields.index("span")
        return isinstance(other, Node) and self[:place] == other[:place] and self[place + 1 :] == other[place + 1 :]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def shape(self) -> Shape:
        """The shape of its only or first output."""
        return self.shapes[0]

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The tensors that it makes."""
        return tuple(Tensor(self.name, index) for index in range(len(self.shapes)))

    @property
    def sources(self) -> tuple[Tensor, ...]:
        """All tensors that it depends on: those that it takes, and those that its options name."""
        return self.inputs + option_tensors(self.options)


def option_tensors(options: Mapping[str, Option]) -> tuple[Tensor, ...]:
    """The tensors among the options of a call, in order."""
    found: list[Tensor] = []
    for value in options.values():
        if isinstance(value, Tensor):
            found.append(value)
        elif not isinstance(value, bool):
            found += (tensor for tensor in value if tensor is not None)
    return tuple(found)


def said_layer(layer: Layer, options: Mapping[str, Option], shape: Callable[[Tensor], Shape]) -> Layer:
    """A layer as a call has it that says `options` beside its tensors: what its rules then depend on."""
    said: dict[str, Said] = {}
    for name, value in options.items():
        if isinstance(value, bool):
            said[name] = value
        else:
            listed = (value,) if isinstance(value, Tensor) else value
            said[name] = tuple(None if tensor is None else shape(tensor) for tensor in listed)
    return layer.called(said)


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


@dataclass(frozen=True, repr=False)
class Graph:
    """A model as a directed acyclic graph. `verify` states what holds for every one that resolution makes.

    Attributes:
        name: the model's name.
        nodes: the applied layers in topological order, which is the order of the text after expansion.
        outputs: the tensors that leave the model.
        scopes: the block instances by full name, enclosing ones first.
        docstring: what the text says of the model, "" when nothing.
        parameters: the model's own parameters with their values.
        expectations: what must hold of it.
    """

    name: str
    nodes: tuple[Node, ...]
    outputs: tuple[Tensor, ...]
    scopes: Mapping[str, Scope] = field(default_factory=dict)
    docstring: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    expectations: tuple[Expectation, ...] = field(default=(), compare=False)

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """The nodes by name."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def input_nodes(self) -> tuple[Node, ...]:
        """The nodes where tensors enter."""
        return tuple(node for node in self.nodes if isinstance(node.layer, InputLayer))

    @property
    def output_shapes(self) -> tuple[Shape, ...]:
        """The shapes of the tensors that leave, in order."""
        return tuple(map(self.shape, self.outputs))

    def shape(self, tensor: Tensor) -> Shape:
        """The shape of a tensor."""
        return self.by_name[tensor.node].shapes[tensor.index]

    def dtype(self, tensor: Tensor) -> str:
        """The type of a tensor's values."""
        return self.by_name[tensor.node].dtypes[tensor.index]

    def input_dtypes(self, node: Node) -> tuple[str, ...]:
        """The types of the tensors that enter a node, in order."""
        return tuple(map(self.dtype, node.inputs))

    def input_shapes(self, node: Node) -> tuple[Shape, ...]:
        """The shapes that enter a node, in order."""
        return tuple(map(self.shape, node.inputs))

    def applied(self, node: Node) -> Layer:
        """The layer of a node as its call has it, which knows what that says beside the tensors."""
        return said_layer(node.layer, node.options, self.shape)

    def grouped(self, node: Node) -> Mapping[str, Grouped]:
        """The options of a node as Keras takes them: the states of several cells in a list for each cell."""
        options: dict[str, Grouped] = dict(node.options)
        for name, value in node.options.items():
            sizes = () if isinstance(value, bool | Tensor) else node.layer.lists(name, *self.input_shapes(node))
            if sizes:
                assert isinstance(value, tuple)
                tensors = iter(value)
                options[name] = tuple(tuple(islice(tensors, size)) for size in sizes)
        return options

    def enclosing(self, scope: str) -> Iterator[Scope]:
        """The block instance of that name and those that enclose it, innermost first."""
        while scope:
            yield self.scopes[scope]
            scope = self.scopes[scope].parent

    @cached_property
    def first_uses(self) -> Mapping[str, str]:
        """The node that applies each layer first, by the layer's name."""
        first: dict[str, str] = {}
        for node in self.nodes:
            first.setdefault(node.owner, node.name)
        return first

    @cached_property
    def weights(self) -> Mapping[str, tuple[Weight, ...]]:
        """The variables of each layer that has any, by the layer's name."""
        found: dict[str, tuple[Weight, ...]] = {}
        for node in self.nodes:
            if self.first_uses[node.owner] == node.name and (
                own := self.applied(node).variables(*self.input_shapes(node))
            ):
                found[node.owner] = own
        return found

    @cached_property
    def shared(self) -> frozenset[str]:
        """The names of the layers that are applied more than once."""
        return frozenset(node.owner for node in self.nodes if self.first_uses[node.owner] != node.name)

    def __hash__(self) -> int:
        return hash((self.name, self.outputs, len(self.nodes)))

    def __repr__(self) -> str:
        return f"<Graph {self.name}: {len(self.nodes)} nodes>"


def longest_path(graph: Graph, length: Callable[[Node], int]) -> int:
    """The length of the longest way from an input to an output, each node being as long as `length` says."""
    lengths: dict[str, int] = {}
    for node in graph.nodes:
        before = max((lengths[tensor.node] for tensor in node.sources), default=0)
        lengths[node.name] = before + length(node)
    return max(lengths[tensor.node] for tensor in graph.outputs)


def verify(graph: Graph) -> None:
    """Check what every graph promises; a failure is a fault of the compiler, not of a spec.

    Raises:
        AssertionError: a name stands twice, an input does not stand earlier, a shape or a type is not what the
            layer's rule gives, applications of one layer disagree on it, an output is not there, or a node leads to
            no output.
    """
    seen: dict[str, Node] = {}
    tensors: set[Tensor] = set()
    owners: dict[str, Layer] = {}
    for node in graph.nodes:
        assert node.name not in seen, f"{node.name} stands twice"
        assert all(tensor in tensors for tensor in node.sources), f"{node.name} comes before one of its inputs"
        shapes = graph.input_shapes(node)
        assert node.shapes == graph.applied(node).infer(*shapes), f"{node.name} has another shape than its rule gives"
        dtypes = graph.applied(node).result_dtypes(len(node.shapes), *graph.input_dtypes(node))
        assert node.dtypes == dtypes, f"{node.name} has another type than its rule gives"
        assert not node.scope or node.scope in graph.scopes, f"{node.name} stands in an unknown scope"
        assert node.skip is None or node.skip < len(node.inputs), f"{node.name} has no input {node.skip}"
        assert owners.setdefault(node.owner, node.layer) == node.layer, f"{node.owner} stands for two layers"
        assert set(node.options) <= set(node.layer.options), f"{node.name} has an option that its layer does not take"
        seen[node.name] = node
        tensors.update(node.outputs)
    assert graph.outputs, "there is no output"
    assert all(tensor in tensors for tensor in graph.outputs), "an output is not there"
    alive = {tensor.node for tensor in graph.outputs}
    for node in reversed(graph.nodes):
        assert node.name in alive, f"{node.name} leads to no output"
        alive.update(tensor.node for tensor in node.sources)
