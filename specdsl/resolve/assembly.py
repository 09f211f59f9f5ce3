"""The graph as it grows: layers applied to tensors, each with a name of its own and a checked shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from specdsl.declaration import Misuse, snake_case
from specdsl.diagnostics import Note, Slug
from specdsl.graph import NO_OPTIONS, Node, Option, Scope, Tensor, option_tensors, said_layer
from specdsl.layers import InputLayer, Layer, Shape
from specdsl.layers.shapes import show
from specdsl.resolve.binding import argument_spans
from specdsl.resolve.naming import Names
from specdsl.resolve.scope import Key, Limits, Problem
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
        options: what the call says beside its tensors.
        owner: the name of the layer in the compiled model, where that is made before.
        stem: what the result is called after where it has no name; by default the class of the layer.
        settings: where the layer's arguments stand, where that is not the step.
    """

    layer: Layer
    alias: tree.Name | None
    span: Span
    call: tree.Call | None = None
    skip: int | None = None
    options: Mapping[str, Option] = NO_OPTIONS
    owner: str | None = None
    stem: str | None = None
    settings: Key | None = None

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
        self._first: dict[str, Node] = {}

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
        return self.nodes[tensor.node].shapes[tensor.index]

    def dtype(self, tensor: Tensor) -> str:
        """The type of a tensor's values."""
        return self.nodes[tensor.node].dtypes[tensor.index]

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
        name = self._unique(parent, alias.text if alias else block, span, given=alias is not None)
        self.scopes[name] = Scope(name, block, parent, arguments)
        return name

    def declare(self, stem: str, scope: str, span: Span, *, given: bool) -> str:
        """The name in the compiled model of a layer that steps will apply.

        Raises:
            Problem: the name is too long.
        """
        return self._unique(scope, stem, span, given=given)

    def is_applied(self, owner: str) -> bool:
        """Whether a step applies the layer of that name."""
        return owner in self._first

    def apply(self, use: Use, inputs: Sequence[Tensor], scope: str) -> tuple[Tensor, ...]:
        """Apply a layer to tensors; those that it returns.

        Raises:
            Problem: the layer cannot take them, with the origin of each; or the model has too many layers.
        """
        if len(self.nodes) >= self._limits.layers:
            message = f"the model has more than {self._limits.layers:,} layers"
            raise Problem(Slug.LIMIT, message, use.span, help=self._limits.raising("layers"))
        if use.layer.no_step:
            hint = f"Pipeline([{type(use.layer).__name__}()]) is a step that holds it"
            raise Problem(Slug.MISPLACED, use.layer.no_step, use.span, help=hint)
        if use.layer.repeats and len(inputs) == 1:
            inputs = (*inputs, *inputs)
        entering = tuple(map(self.shape, inputs))
        said = said_layer(use.layer, use.options, self.shape)
        try:
            shapes = said.infer(*entering)
        except Misuse as misuse:
            tensors = (*inputs, *option_tensors(use.options))
            origins = list(dict.fromkeys(map(self._origin, tensors)))
            raise Problem(Slug.SHAPE, misuse.message, use.place(misuse.argument), *origins, help=misuse.help) from None
        self._check_sparse(use, inputs, said.takes_sparse(*entering))
        try:
            dtypes = said.result_dtypes(len(shapes), *map(self.dtype, inputs))
        except Misuse as misuse:
            makers = {tensor.node: self.nodes[tensor.node] for tensor in inputs}.values()
            origins = [Note(f"'{node.name}' makes {' and '.join(node.dtypes)} here", node.span) for node in makers]
            raise Problem(Slug.DTYPE, misuse.message, use.place(misuse.argument), *origins, help=misuse.help) from None
        for shape in shapes:
            if len(shape) > self._limits.axes:
                message = f"a tensor of {len(shape):,} axes has too many; the limit is {self._limits.axes}"
                raise Problem(Slug.LIMIT, message, use.span, help=self._limits.raising("axes", len(shape)))
        name = self._name(use, scope)
        owner = use.owner or name
        node = Node(name, use.layer, tuple(inputs), shapes, dtypes, scope, use.skip, use.span, owner, use.options)
        self._check_again(node, entering)
        self.nodes[name] = node
        return node.outputs

    def _check_sparse(self, use: Use, inputs: Sequence[Tensor], taken: bool) -> None:
        """Check that no sparse tensor enters a layer that Keras cannot carry out on it.

        Raises:
            Problem: one does.
        """
        for tensor in (*(() if taken else inputs), *option_tensors(use.options)):
            maker = self.nodes[tensor.node]
            if maker.layer.makes_sparse:
                message = f"{type(use.layer).__name__} does not compute with sparse tensors, and one enters"
                origin = Note(f"'{maker.name}' makes it here", maker.span)
                hint = "leave out `sparse=true`; a Dense takes a sparse tensor of one axis"
                raise Problem(Slug.DTYPE, message, use.place(None), origin, help=hint)

    def _name(self, use: Use, scope: str) -> str:
        """What to call an application: as the text does, or else after its layer."""
        if use.alias:
            return self._unique(scope, use.alias.text, use.span, given=True)
        if use.owner and use.owner not in self.nodes:
            return use.owner
        return self._unique(scope, use.stem or snake_case(type(use.layer).__name__), use.span, given=False)

    def _check_again(self, node: Node, entering: tuple[Shape, ...]) -> None:
        """Check that a layer applied again finds the weights that it needs, and acts as before.

        Raises:
            Problem: its first use made others, or was told otherwise to act as in training or as in inference.
        """
        first = self._first.setdefault(node.owner, node)
        if first is node:
            return
        if first.options.get("training") != node.options.get("training"):
            message = f"all uses of '{node.owner}' say the same of `training`: Keras cannot have it both ways"
            raise Problem(Slug.MISPLACED, message, node.span, Note("it is used first here", first.span))
        before = tuple(map(self.shape, first.inputs))
        if before == entering:
            return
        made = said_layer(first.layer, first.options, self.shape).weights(*before)
        wanted = said_layer(node.layer, node.options, self.shape).weights(*entering)
        if made != wanted:
            (one, other) = next((a, b) for a, b in zip(made, wanted, strict=True) if a != b)
            message = (
                f"'{node.owner}' would need a {other.name} of shape {show(other.shape)} here, "
                f"and has one of {show(one.shape)} since its first use"
            )
            notes = (Note("it is used first here", first.span), *map(self._origin, node.inputs))
            raise Problem(Slug.SHAPE, message, node.span, *notes)

    def _unique(self, scope: str, stem: str, span: Span, *, given: bool) -> str:
        """The full name of a layer or block instance."""
        name = self._names.unique(scope, stem, given=given)
        if len(name) > self._limits.name:
            message = f"the full name of this is longer than {self._limits.name:,} characters"
            raise Problem(Slug.LIMIT, message, span, help=self._limits.raising("name", len(name)))
        return name

    def _origin(self, tensor: Tensor) -> Note:
        """How a tensor came to have its shape."""
        node = self.nodes[tensor.node]
        shapes = " and ".join(show(self.shape(source)) for source in node.inputs)
        entered = f" out of {shapes}" if shapes else ""
        return Note(f"'{node.name}' makes the shape {show(self.shape(tensor))}{entered} here", node.span)
