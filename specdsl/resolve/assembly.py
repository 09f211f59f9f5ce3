"""The graph as it grows: layers applied to tensors, each with a name of its own and a checked shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from specdsl.declaration import Misuse, snake_case
from specdsl.diagnostics import Note, Slug
from specdsl.graph import Node, Scope
from specdsl.layers import InputLayer, Layer, Shape
from specdsl.layers.base import show
from specdsl.resolve.binding import argument_spans
from specdsl.resolve.naming import Names
from specdsl.resolve.scope import Limits, Problem, Tensor
from specdsl.source import Span
from specdsl.syntax import tree


class Use(NamedTuple):
    """A layer as a step of the text uses it.

    Attributes:
        layer: the layer.
        alias: the name that the text gives to its result.
        span: the step.
        call: what the text calls, None for an input.
        skip: the position of the tensor that a shortcut brings, None where none does.
    """

    layer: Layer
    alias: tree.Name | None
    span: Span
    call: tree.Call | None = None
    skip: int | None = None

    def place(self, argument: str | None) -> Span:
        """The place of an argument; that of the step where the text does not give it."""
        given = argument_spans(self.call, type(self.layer)) if self.call else {}
        return given.get(argument or "", self.span)


class Assembly:
    """The nodes and block instances made so far.

    Attributes:
        nodes: the nodes by name, in topological order.
        scopes: the block instances by full name, enclosing ones first.
    """

    def __init__(self, limits: Limits) -> None:
        self.nodes: dict[str, Node] = {}
        self.scopes: dict[str, Scope] = {}
        self._limits = limits
        self._names = Names()

    @property
    def has_input(self) -> bool:
        """Whether the model has an input so far."""
        return any(isinstance(node.layer, InputLayer) for node in self.nodes.values())

    @property
    def inputs(self) -> list[str]:
        """The names of the model's inputs so far."""
        return [node.name for node in self.nodes.values() if isinstance(node.layer, InputLayer)]

    def shape(self, tensor: Tensor) -> Shape:
        """The shape of a tensor."""
        return self.nodes[tensor.node].shape

    def reserve(self, body: tree.Body, scope: str) -> int:
        """Keep the names that a body's text gives to tensors for those tensors; how many these are."""
        return self._names.reserve(body, scope)

    def open_scope(
        self, block: str, alias: tree.Name | None, parent: str, arguments: Mapping[str, Any], span: Span
    ) -> str:
        """Begin an instance of a block; its full name.

        Raises:
            Problem: the name is too long.
        """
        name = self._unique(parent, alias.text if alias else block, alias, span)
        self.scopes[name] = Scope(name, block, parent, arguments)
        return name

    def apply(self, use: Use, inputs: tuple[Tensor, ...], scope: str) -> Tensor:
        """Apply a layer to tensors.

        Raises:
            Problem: the layer cannot take them, with the origin of each; or the model has too many layers.
        """
        if len(self.nodes) >= self._limits.layers:
            message = f"the model has more than {self._limits.layers:,} layers"
            raise Problem(Slug.LIMIT, message, use.span, help=self._limits.raising("layers"))
        try:
            shape = use.layer.infer(*map(self.shape, inputs))
        except Misuse as misuse:
            origins = [self._origin(tensor) for tensor in dict.fromkeys(inputs)]
            raise Problem(Slug.SHAPE, misuse.message, use.place(misuse.argument), *origins, help=misuse.help) from None
        if len(shape) > self._limits.axes:
            message = f"a tensor of {len(shape):,} axes has too many; the limit is {self._limits.axes}"
            raise Problem(Slug.LIMIT, message, use.span, help=self._limits.raising("axes", len(shape)))
        stem = use.alias.text if use.alias else snake_case(type(use.layer).__name__)
        name = self._unique(scope, stem, use.alias, use.span)
        names = tuple(tensor.node for tensor in inputs)
        self.nodes[name] = Node(name, use.layer, names, shape, scope, use.skip, use.span)
        return Tensor(name)

    def _unique(self, scope: str, stem: str, alias: tree.Name | None, span: Span) -> str:
        """The full name of a layer or block instance."""
        name = self._names.unique(scope, stem, given=alias is not None)
        if len(name) > self._limits.name:
            message = f"the full name of this is longer than {self._limits.name:,} characters"
            raise Problem(Slug.LIMIT, message, span, help=self._limits.raising("name", len(name)))
        return name

    def _origin(self, tensor: Tensor) -> Note:
        """How a tensor came to have its shape."""
        node = self.nodes[tensor.node]
        shapes = " and ".join(show(self.nodes[name].shape) for name in node.inputs)
        entered = f" out of {shapes}" if shapes else ""
        return Note(f"'{node.name}' makes the shape {show(node.shape)}{entered} here", node.span)
