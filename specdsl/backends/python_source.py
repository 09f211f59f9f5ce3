"""A graph as Python source that a person would have written: functional Keras, a function for each repeated block.

Instances of a block that have the same structure share one function. Its parameters are what differs between the
instances, called as the block calls them where the block has a parameter with these values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, count
from typing import Any, NamedTuple

from specdsl.backends.python_values import WIDTH, alone, compact, docstring_lines, free, joined_with, listed, literal
from specdsl.backends.report import local_name, names_itself
from specdsl.functional import Functional, models_in
from specdsl.graph import SEPARATOR, Graph, Node, Tensor, option_tensors
from specdsl.layers import InputLayer, Layer


def python_source(graph: Graph) -> str:
    """Source of a module whose `build_model()` builds the graph's model, layer names included, with Keras alone."""
    title = graph.docstring.strip() or f"The model {graph.name}."
    deep = _longest_path(graph)
    lines = [*docstring_lines(title, ""), "", *(["import sys", ""] if deep > DEEP else []), "import keras"]
    if _has_layers(graph):
        lines.append("from keras import layers")
    if deep > DEEP:
        reason = "  # Keras walks the layers of a model by calls within calls"
        lines += ["", f"sys.setrecursionlimit({1_000 + 2 * deep}){reason}"]
    lines += _definitions(graph, "build_model", {"x", "build_model"}, {})
    return "\n".join([*lines, "", "", 'if __name__ == "__main__":', "    build_model().summary()", ""])


DEEP = 300
"""Layers behind one another that Keras can walk at Python's own limit of calls within calls."""


def _longest_path(graph: Graph) -> int:
    """How many layers stand behind one another at most; of a model within, its own."""
    depth: dict[str, int] = {}
    inner = [0]
    for node in graph.nodes:
        depth[node.name] = 1 + max((depth[tensor.node] for tensor in node.sources), default=0)
        inner += (_longest_path(model.graph) for model in models_in(node.layer))
    return max(*depth.values(), *inner)


def _has_layers(graph: Graph) -> bool:
    inner = (node.layer for node in graph.nodes if not isinstance(node.layer, InputLayer))
    return any(not isinstance(layer, Functional) or _has_layers(layer.graph) for layer in inner)


def _definitions(graph: Graph, builder: str, taken: set[str], builders: dict[Functional, str]) -> list[str]:
    """The functions that build a model: of the models in it, of its blocks, and last its own.

    Args:
        graph: the model.
        builder: what to call its function.
        taken: the names of the functions so far.
        builders: those of them that build a model, by the model.
    """
    lines: list[str] = []
    for model in (model for node in graph.nodes for model in models_in(node.layer)):
        if model not in builders:
            builders[model] = free(f"build_{model.graph.name}", taken)
            taken.add(builders[model])
            lines += _definitions(model.graph, builders[model], taken, builders)
    structure = _Structure(graph, builders, taken)
    for function in structure.distinct:
        routine = _Routine(structure, function.instances[0], function)
        lines += ["", "", f"def {function.name}({', '.join(['x', *function.parameters, 'name'])}):"]
        lines += [*docstring_lines(function.about(structure.distinct), "    "), *routine.lines()]
    routine = _Routine(structure, structure.root, None)
    body = routine.lines()
    inputs = alone([routine.variables[node.outputs[0]] for node in graph.input_nodes])
    outputs = alone([routine.variables[tensor] for tensor in graph.outputs])
    about = f"Build the model {graph.name}{joined_with(graph.parameters)}."
    inner = builder != "build_model"
    parameters, name = (f"name={literal(graph.name)}", "name") if inner else ("", literal(graph.name))
    lines += ["", "", f"def {builder}({parameters}) -> keras.Model:", *docstring_lines(about, "    "), *body]
    return lines + _call("    return ", "keras.Model", [inputs, outputs, f"name={name}"], "")


# ---------------------------------------------------------------------------------------------- structure


@dataclass(eq=False)
class _Instance:
    """An instance of a block with what stands in it, in order: layers, and instances of other blocks."""

    scope: str
    block: str
    arguments: Mapping[str, Any]
    elements: list[Node | _Instance]

    @cached_property
    def nodes(self) -> list[Node]:
        """All layers in it, those of inner instances included."""
        return [
            node
            for element in self.elements
            for node in (element.nodes if isinstance(element, _Instance) else [element])
        ]


class _Boundary(NamedTuple):
    """The one tensor that enters an instance, and the one that leaves it."""

    entering: Tensor
    leaving: Tensor


@dataclass(eq=False)
class _Function:
    """A function that several instances share.

    Attributes:
        name: the function's name.
        instances: the instances, in the order of the text.
        parameters: what differs between them: each parameter's name, and its value in each instance.
        by_values: the parameters by the text of their values.
    """

    name: str
    instances: list[_Instance]
    parameters: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    by_values: dict[tuple[str, ...], str] = field(default_factory=dict)

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
                values = tuple(compact(node.layer, name) for node in alike)
                key = tuple(map(repr, values))
                if len(set(key)) > 1 and key not in self.by_values:
                    parameter = free(own.get(key, name), {*self.parameters, *taken})
                    self.by_values[key] = parameter
                    self.parameters[parameter] = values

    def about(self, functions: list[_Function]) -> str:
        """What the function is, and how it differs from others for the same block."""
        block = self.instances[0].block
        others = [other for other in functions if other is not self and other.instances[0].block == block]
        constant = self._constant()
        telling = {
            name: value for name, value in constant.items() if any(other._constant() != constant for other in others)
        }
        return f"The block `{block}`{joined_with(telling)}."

    def _constant(self) -> dict[str, Any]:
        """The block's arguments that are the same in all instances."""
        first, *others = [instance.arguments for instance in self.instances]
        return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


class _Structure:
    """The model as nested instances of blocks, and the functions that stand for them.

    Attributes:
        root: the model's own body.
        functions: the function of each instance that has one, by the instance's name; inner functions come first.
        distinct: the functions, each once.
        builders: the functions that build models, by the model.
    """

    def __init__(self, graph: Graph, builders: Mapping[Functional, str], taken: set[str]) -> None:
        self.graph = graph
        self.builders = builders
        self.users: dict[Tensor, list[str]] = {tensor: [] for node in graph.nodes for tensor in node.outputs}
        for node in graph.nodes:
            for tensor in node.sources:
                self.users[tensor].append(node.name)
        self.root = _Instance("", "", {}, self._elements())
        self._boundaries: dict[str, _Boundary | None] = {}
        self._named = graph.shared | {node.owner for node in graph.nodes if any(models_in(node.layer))}
        self.functions: dict[str, _Function] = self._functions(taken)
        self.distinct = list(dict.fromkeys(self.functions.values()))

    def _elements(self) -> list[Node | _Instance]:
        """The model's layers with those of one block instance gathered, in order."""
        root: list[Node | _Instance] = []
        instances: dict[str, _Instance] = {}
        for node in self.graph.nodes:
            parent = root
            for scope in reversed(list(self.graph.enclosing(node.scope))):
                if scope.name not in instances:
                    instances[scope.name] = _Instance(scope.name, scope.block, scope.arguments, [])
                    parent.append(instances[scope.name])
                parent = instances[scope.name].elements
            parent.append(node)
        return root

    def boundary(self, instance: _Instance) -> _Boundary | None:
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
            self._boundaries[instance.scope] = _Boundary(entering.pop(), leaving.pop()) if one else None
        return self._boundaries[instance.scope]

    def _signature(self, instance: _Instance, signatures: dict[str, Any]) -> Any:
        """What instances that can share a function agree in: layers, their names, and how they are connected."""
        alone = ("alone", instance.scope)
        boundary = self.boundary(instance)
        if boundary is None:
            return alone
        places: dict[Tensor, Any] = {boundary.entering: "enter"}
        parts: list[Any] = []
        for index, element in enumerate(instance.elements):
            if isinstance(element, _Instance):
                inner = self.boundary(element)
                if inner is None:
                    return alone
                local = element.scope[len(instance.scope) :]
                parts.append((element.block, local, places[inner.entering], signatures[element.scope]))
                places[inner.leaving] = index
            else:
                inputs = tuple(places[tensor] for tensor in element.sources)
                options = tuple(
                    (name, value if value in (True, False) else "") for name, value in element.options.items()
                )
                parts.append((type(element.layer), local_name(element), inputs, options))
                places |= {tensor: (index, tensor.index) for tensor in element.outputs}
        return (instance.block, tuple(parts), places[boundary.leaving])

    def _functions(self, taken: set[str]) -> dict[str, _Function]:
        signatures: dict[str, Any] = {}
        groups: dict[Any, list[_Instance]] = {}
        for instance in _inner_first(self.root):
            signatures[instance.scope] = self._signature(instance, signatures)
            groups.setdefault(signatures[instance.scope], []).append(instance)
        functions: dict[str, _Function] = {}
        for instances in groups.values():
            if len(instances) > 1:
                function = _Function(free(instances[0].block, taken), instances)
                taken.add(function.name)
                functions |= {instance.scope: function for instance in instances}
        for function in dict.fromkeys(functions.values()):
            function.find_parameters(taken)
        return functions


def _inner_first(instance: _Instance) -> Iterator[_Instance]:
    """The instances within an instance, each behind those that it contains."""
    for element in instance.elements:
        if isinstance(element, _Instance):
            yield from _inner_first(element)
            yield element


# ---------------------------------------------------------------------------------------------- statements


class _Step(NamedTuple):
    """A statement: what it calls with which arguments, the tensors that go in, and those that come out.

    `first` is a statement that goes before it: one that makes a layer which is then called more than once.
    """

    callee: str
    arguments: list[str]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    node: Node | None
    comment: str | None
    first: Sequence[str] = ()


class _Routine:
    """The statements of a function or of `build_model`, and the variable that each tensor is in."""

    def __init__(self, structure: _Structure, instance: _Instance, function: _Function | None) -> None:
        self.structure = structure
        self.instance = instance
        self.functions = structure.functions
        self.function = function
        self.names = {function.name for function in structure.distinct} | set(function.parameters if function else ())
        self.names |= set(structure.builders.values())
        self.layers: dict[str, str] = {}
        for node in instance.nodes:
            frozen = isinstance(node.layer, Functional) and not node.layer.trainable
            named = frozen or "training" in node.options or node.owner in structure.graph.shared
            if node.owner not in self.layers and named:
                name = node.owner.replace(SEPARATOR, "_")
                if node.owner == node.name and not names_itself(node):  # the name is for the tensor
                    name += "_layer"
                self.layers[node.owner] = free(name, self.names)
                self.names.add(self.layers[node.owner])
        self.variables: dict[Tensor, str] = {}
        self.steps = list(self._flatten(instance.elements))
        self.users: dict[Tensor, list[_Step]] = {}
        for step in self.steps:
            for tensor in dict.fromkeys(step.inputs):
                self.users.setdefault(tensor, []).append(step)

    def lines(self) -> list[str]:
        """The statements, indented once; a function's end with its `return`."""
        graph = self.structure.graph
        kept = {*graph.outputs, *(node.outputs[0] for node in graph.input_nodes)}
        result = None
        if self.function:
            boundary = self.structure.boundary(self.instance)
            assert boundary is not None
            self.variables[boundary.entering] = "x"
            result = boundary.leaving
            kept = {result}
        last_use = {tensor: number for number, step in enumerate(self.steps) for tensor in step.inputs}
        last_use |= dict.fromkeys(kept, len(self.steps))
        live = {variable: tensor for tensor, variable in self.variables.items()}
        lines: list[str] = []
        for number, step in enumerate(self.steps):
            inputs = {tensor: self.variables[tensor] for tensor in step.inputs}
            for tensor in step.inputs:
                if last_use[tensor] == number and live.get(self.variables[tensor]) == tensor:
                    del live[self.variables[tensor]]
            for tensor in step.outputs:
                self.variables[tensor] = self._variable(step, tensor, live)
                live[self.variables[tensor]] = tensor
            targets = ", ".join(self.variables[tensor] for tensor in step.outputs)
            if step.comment:
                lines += [*([""] if lines else []), f"    # {step.comment}"]
            ends = number == len(self.steps) - 1 and step.outputs == (result,)
            lead = "    return " if ends else f"    {targets} = "
            lines += step.first
            if step.node is None:
                lines += _call(lead, step.callee, [*inputs.values(), *step.arguments], "")
            elif step.node.owner in self.layers:
                lines.append(f"{lead}{self.layers[step.node.owner]}{_applied(step.node, inputs)}")
            else:
                lines += _call(lead, step.callee, step.arguments, _applied(step.node, inputs))
        if result is not None and self.steps[-1].outputs != (result,):
            lines.append(f"    return {self.variables[result]}")
        return lines

    def _flatten(self, elements: list[Node | _Instance]) -> Iterator[_Step]:
        """The steps in order; an instance that has no function is written out below a comment that names it."""
        for element in elements:
            if isinstance(element, Node):
                yield self._layer(element)
            elif element.scope in self.functions:
                yield self._function_call(element)
            else:
                comment: str | None = f"{element.block}({listed(element.arguments)})".removesuffix("()")
                for step in self._flatten(element.elements):
                    yield step._replace(comment="; ".join(filter(None, [comment, step.comment])) or None)
                    comment = None

    def _layer(self, node: Node) -> _Step:
        if isinstance(node.layer, InputLayer):
            arguments = [literal(node.layer.shape)]
            if node.layer.dtype != "float32":
                arguments.append(f"dtype={literal(node.layer.dtype)}")
            return _Step("keras.Input", [*arguments, self._name(node.name)], (), node.outputs, node, None)
        callee, arguments = f"layers.{type(node.layer).__name__}", []
        if isinstance(node.layer, Functional):
            callee = self.structure.builders[node.layer]
            arguments = [self._name(node.owner)] if node.owner != node.layer.graph.name else []
        else:
            alike = self.function.alike[node.name] if self.function else (node,)
            arguments = [
                *_arguments([one.layer for one in alike], self.function, self.structure.builders),
                self._name(node.owner),
            ]
        first: list[str] = []
        if node.owner in self.layers and self.structure.graph.first_uses[node.owner] == node.name:
            first = _call(f"    {self.layers[node.owner]} = ", callee, arguments, "")
            if isinstance(node.layer, Functional) and not node.layer.trainable:
                first.append(f"    {self.layers[node.owner]}.trainable = False")
            if "training" in node.options:
                first += [
                    "    # A functional model would pass its own `training` on, whatever the call of this layer says.",
                    f'    {self.layers[node.owner]}._call_context_args -= {{"training"}}',
                ]
        return _Step(callee, arguments, node.sources, node.outputs, node, None, first)

    def _function_call(self, inner: _Instance) -> _Step:
        called = self.functions[inner.scope]
        boundary = self.structure.boundary(inner)
        assert boundary is not None
        alike = [inner.scope]
        if self.function:
            rest = inner.scope[len(self.instance.scope) :]
            alike = [instance.scope + rest for instance in self.function.instances]
        arguments: list[str] = []
        for parameter, values in called.parameters.items():
            own = tuple(values[called.numbers[scope]] for scope in alike)
            shown = self.function.value(own) if self.function else literal(own[0])
            arguments.append(f"{parameter}={shown}" if arguments else shown)
        arguments.append(self._name(inner.scope))
        return _Step(called.name, arguments, (boundary.entering,), (boundary.leaving,), None, None)

    def _name(self, name: str) -> str:
        if self.function is None:
            return f"name={literal(name)}"
        return f'name=f"{{name}}{name[len(self.instance.scope) :]}"'

    def _variable(self, step: _Step, tensor: Tensor, live: Mapping[str, Tensor]) -> str:
        """A variable for a step's output: the name that the spec gives, or the first of x, y, z that is free."""
        node, taken = step.node, {*live, *self.names}
        if node is not None and tensor.index:
            return free(f"{local_name(node)}_{tensor.index}", taken)
        if node is not None and (isinstance(node.layer, InputLayer) or not names_itself(node)):
            return free(local_name(node), taken)
        if "x" in live and self._is_shortcut(tensor):
            return free("shortcut", taken)
        return next(name for name in chain("xyz", (f"x{number}" for number in count(2))) if name not in taken)

    def _is_shortcut(self, tensor: Tensor) -> bool:
        """Whether a chain of steps from here leads nowhere but to where a shortcut joins."""
        while len(users := self.users.get(tensor, [])) == 1:
            user = users[0]
            if user.node is not None and user.node.skip is not None:
                return user.inputs[user.node.skip] == tensor
            if len(user.inputs) != 1 or len(user.outputs) != 1:
                return False
            tensor = user.outputs[0]
        return False


def _applied(node: Node, variables: Mapping[Tensor, str]) -> str:
    """The call of a layer: its tensors, and the options of the call."""
    if isinstance(node.layer, InputLayer):
        return ""
    inputs = ", ".join(variables[tensor] for tensor in node.inputs)
    given = [f"[{inputs}]" if node.layer.in_list else inputs]
    for name, value in node.options.items():
        tensors = option_tensors({name: value})
        listed = f"[{', '.join(variables[tensor] for tensor in tensors)}]"
        shown = repr(value) if isinstance(value, bool) else variables[value] if isinstance(value, Tensor) else listed
        given.append(f"{name}={shown}")
    return f"({', '.join(given)})"


def _arguments(layers: list[Layer], function: _Function | None, builders: Mapping[Any, str]) -> list[str]:
    """The arguments of a call that makes these layers, alike but for what the function's parameters say."""
    told = {name for layer in layers for name in layer.arguments()}
    arguments: list[str] = []
    by_position = True
    kind = type(layers[0])
    for name in kind.names():
        by_position = by_position and name in kind.required()
        if name not in told:
            continue
        values = tuple(compact(layer, name) for layer in layers)
        shown = function.value(values) if function else literal(values[0], builders)
        arguments.append(shown if by_position else f"{name}={shown}")
    return arguments


def _call(lead: str, callee: str, arguments: list[str], applied: str) -> list[str]:
    """The lines of a statement that calls: one, or one an argument where that would be too long."""
    line = f"{lead}{callee}({', '.join(arguments)}){applied}"
    if len(line) <= WIDTH:
        return [line]
    return [f"{lead}{callee}(", *(f"        {argument}," for argument in arguments), f"    ){applied}"]
