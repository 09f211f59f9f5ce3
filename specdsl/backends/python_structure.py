"""The structure of emitted Python: which instances of blocks share a function, and what its parameters are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from specdsl.backends.python_values import Taken, free, joined_with, literal
from specdsl.backends.words import local_name
from specdsl.functional import Functional, models_in
from specdsl.graph import Graph, Node, Option, Tensor


@dataclass(eq=False)
class Instance:
    """An instance of a block with what stands in it, in order: layers, and instances of other blocks."""

    scope: str
    block: str
    arguments: Mapping[str, Any]
    elements: list[Node | Instance]

    @cached_property
    def nodes(self) -> list[Node]:
        """All layers in it, those of inner instances included."""
        return [
            node
            for element in self.elements
            for node in (element.nodes if isinstance(element, Instance) else [element])
        ]


class Boundary(NamedTuple):
    """The one tensor that enters an instance, and the one that leaves it."""

    entering: Tensor
    leaving: Tensor


@dataclass(eq=False)
class Function:
    """A function that several instances share.

    Attributes:
        name: the function's name.
        instances: the instances, in the order of the text.
        parameters: what differs between them: each parameter's name, and its value in each instance.
        by_values: the parameters by the text of their values.
    """

    name: str
    instances: list[Instance]
    parameters: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    by_values: dict[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def block(self) -> str:
        """The block that the instances are of."""
        return self.instances[0].block

    @cached_property
    def alike(self) -> dict[str, tuple[Node, ...]]:
        """For each layer of the first instance, by its name, the same layer in all instances."""
        return {row[0].name: row for row in zip(*(instance.nodes for instance in self.instances), strict=True)}

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The place of each instance among the instances, by its name."""
        return {instance.scope: number for number, instance in enumerate(self.instances)}

    def value(self, values: tuple[Any, ...]) -> str:
        """The text of an argument that has these values in the instances: a literal, or a parameter."""
        key = tuple(map(repr, values))
        return literal(values[0]) if len(set(key)) == 1 else self.by_values[key]

    def find_parameters(self, taken: set[str]) -> None:
        """Make a parameter of each argument that is not the same in all instances."""
        own = {
            tuple(repr(instance.arguments.get(name)) for instance in self.instances): name
            for name in self.instances[0].arguments
        }
        for alike in self.alike.values():
            for name in type(alike[0].layer).names():
                values = tuple(node.layer.compact(name) for node in alike)
                key = tuple(map(repr, values))
                if len(set(key)) > 1 and key not in self.by_values:
                    parameter = free(own.get(key, name), Taken(self.parameters, taken))
                    self.by_values[key] = parameter
                    self.parameters[parameter] = values

    def about(self, functions: list[Function]) -> str:
        """What the function is, and how it differs from others among the functions for the same block."""
        differs = any(other._constant != self._constant for other in functions)
        return f"The block `{self.block}`{joined_with(self._constant if differs else {})}."

    @cached_property
    def _constant(self) -> dict[str, Any]:
        """The block's arguments that are the same in all instances."""
        first, *others = [instance.arguments for instance in self.instances]
        return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


class Structure:
    """The model as nested instances of blocks, and the functions that stand for them.

    Attributes:
        root: the model's own body.
        functions: the function of each instance that has one, by the instance's name; inner functions come first.
        distinct: the functions, each once.
        by_block: those for each block, by its name.
        names: the names of functions, those that build models among them.
        builders: the functions that build models, by the model.
    """

    def __init__(self, graph: Graph, builders: Mapping[Functional, str], taken: set[str]) -> None:
        self.graph = graph
        self.builders = builders
        self.users: dict[Tensor, list[str]] = {tensor: [] for node in graph.nodes for tensor in node.outputs}
        for node in graph.nodes:
            for tensor in node.sources:
                self.users[tensor].append(node.name)
        self.root = Instance("", "", {}, self._elements())
        self._boundaries: dict[str, Boundary | None] = {}
        self._named = graph.shared | {node.owner for node in graph.nodes if any(models_in(node.layer))}
        self.functions: dict[str, Function] = self._functions(taken)
        self.distinct = list(dict.fromkeys(self.functions.values()))
        self.by_block: dict[str, list[Function]] = {}
        for function in self.distinct:
            self.by_block.setdefault(function.block, []).append(function)
        self.names = {*(function.name for function in self.distinct), *builders.values()}

    def _elements(self) -> list[Node | Instance]:
        """The model's layers with those of one block instance gathered, in order."""
        root: list[Node | Instance] = []
        instances: dict[str, Instance] = {}
        for node in self.graph.nodes:
            parent = root
            for scope in reversed(list(self.graph.enclosing(node.scope))):
                if scope.name not in instances:
                    instances[scope.name] = Instance(scope.name, scope.block, scope.arguments, [])
                    parent.append(instances[scope.name])
                parent = instances[scope.name].elements
            parent.append(node)
        return root

    def boundary(self, instance: Instance) -> Boundary | None:
        """What enters and leaves an instance; None where it is not just one tensor each, or a layer is shared."""
        if instance.scope not in self._boundaries:
            own = {node.name for node in instance.nodes}
            made = {tensor for node in instance.nodes for tensor in node.outputs}
            entering = {tensor for node in instance.nodes for tensor in node.sources if tensor not in made}
            leaving = {tensor for tensor in made if any(user not in own for user in self.users[tensor])}
            leaving |= made.intersection(self.graph.outputs)
            plain = all(
                node.owner == node.name and node.owner not in self._named and "training" not in node.options
                for node in instance.nodes
            )
            one = len(entering) == len(leaving) == 1 and plain
            self._boundaries[instance.scope] = Boundary(entering.pop(), leaving.pop()) if one else None
        return self._boundaries[instance.scope]

    def _signature(self, instance: Instance, signatures: dict[str, Any]) -> Any:
        """What instances that can share a function agree in: layers, their names, and how they are connected."""
        alone = ("alone", instance.scope)
        boundary = self.boundary(instance)
        if boundary is None:
            return alone
        places: dict[Tensor, Any] = {boundary.entering: "enter"}
        parts: list[Any] = []
        for index, element in enumerate(instance.elements):
            if isinstance(element, Instance):
                inner = self.boundary(element)
                if inner is None:
                    return alone
                local = element.scope[len(instance.scope) :]
                parts.append((element.block, local, places[inner.entering], signatures[element.scope]))
                places[inner.leaving] = index
            else:
                inputs = tuple(places[tensor] for tensor in element.sources)
                options = tuple((name, _form(value)) for name, value in element.options.items())
                parts.append((type(element.layer), local_name(element), inputs, options))
                places |= {tensor: (index, tensor.index) for tensor in element.outputs}
        return (instance.block, tuple(parts), places[boundary.leaving])

    def _functions(self, taken: set[str]) -> dict[str, Function]:
        signatures: dict[str, Any] = {}
        groups: dict[Any, list[Instance]] = {}
        for instance in _inner_first(self.root):
            signatures[instance.scope] = self._signature(instance, signatures)
            groups.setdefault(signatures[instance.scope], []).append(instance)
        functions: dict[str, Function] = {}
        for instances in groups.values():
            if len(instances) > 1:
                function = Function(free(instances[0].block, taken), instances)
                taken.add(function.name)
                functions |= {instance.scope: function for instance in instances}
        for function in dict.fromkeys(functions.values()):
            function.find_parameters(taken)
        return functions


def _form(option: Option) -> Any:
    """What is told of an option beside the tensors that it gives: a flag, or which places of a list are empty."""
    if isinstance(option, bool):
        return option
    return "" if isinstance(option, Tensor) else tuple(tensor is None for tensor in option)


def _inner_first(instance: Instance) -> Iterator[Instance]:
    """The instances within an instance, each behind those that it contains."""
    for element in instance.elements:
        if isinstance(element, Instance):
            yield from _inner_first(element)
            yield element
