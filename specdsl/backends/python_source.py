"""A graph as Python source that a person would have written: functional Keras, a function for each repeated block.

Instances of a block that have the same structure share one function. Its parameters are what differs between the
instances, called as the block calls them where the block has a parameter with these values.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

from specdsl.backends.report import local_name, names_itself
from specdsl.declaration import Declaration
from specdsl.graph import Graph, Node
from specdsl.layers import InputLayer, Layer
from specdsl.layers.objects import KerasObject

WIDTH = 100
RESERVED = {"keras", "layers", "build_model", "name"}
"""Names that the source uses itself."""


def python_source(graph: Graph) -> str:
    """Source of a module whose `build_model()` builds the graph's model, layer names included, with Keras alone."""
    root = _Instance("", "", {}, _elements(graph))
    functions = _functions(graph, root)
    title = graph.docstring.strip() or f"The model {graph.name}."
    closing = "\n" if "\n" in title else ""
    lines = [f'"""{_docstring(title)}{closing}"""', "", "import keras", "from keras import layers"]
    for function in dict.fromkeys(functions.values()):
        routine = _Routine(graph, function.instances[0], functions, function)
        lines += ["", "", f"def {function.name}({', '.join(['x', *function.parameters, 'name'])}):"]
        lines += [f'    """A block `{function.instances[0].block}`."""', *routine.lines()]
    routine = _Routine(graph, root, functions, None)
    body = routine.lines()
    inputs = _alone([routine.variables[node.name] for node in graph.input_nodes])
    outputs = _alone([routine.variables[name] for name in graph.outputs])
    first = title.split("\n\n")[0].replace("\n", " ")
    lines += ["", "", "def build_model() -> keras.Model:"]
    lines += [f'    """{_docstring(first if len(first) < WIDTH - 10 else f"Build the model {graph.name}.")}"""', *body]
    lines += _call("    return ", "keras.Model", [inputs, outputs, f"name={_literal(graph.name)}"], "")
    return "\n".join([*lines, "", "", 'if __name__ == "__main__":', "    build_model().summary()", ""])


# ---------------------------------------------------------------------------------------------- structure


@dataclass
class _Instance:
    """An instance of a block with what stands in it, in order: layers, and instances of other blocks."""

    scope: str
    block: str
    arguments: Mapping[str, Any]
    elements: list[Node | _Instance]

    def nodes(self) -> Iterator[Node]:
        """All layers in it, those of inner instances included."""
        for element in self.elements:
            if isinstance(element, _Instance):
                yield from element.nodes()
            else:
                yield element


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

    def value(self, values: tuple[Any, ...]) -> str:
        """The text of an argument that has these values in the instances: a literal, or a parameter."""
        key = tuple(map(repr, values))
        return _literal(values[0]) if len(set(key)) == 1 else self.by_values[key]


def _elements(graph: Graph) -> list[Node | _Instance]:
    """The model's layers with those of one block instance gathered, in order."""
    root: list[Node | _Instance] = []
    instances: dict[str, _Instance] = {}
    for node in graph.nodes:
        parent = root
        for scope in reversed(list(graph.enclosing(node.scope))):
            if scope.name not in instances:
                instances[scope.name] = _Instance(scope.name, scope.block, scope.arguments, [])
                parent.append(instances[scope.name])
            parent = instances[scope.name].elements
        parent.append(node)
    return root


def _boundary(graph: Graph, instance: _Instance) -> tuple[str, str] | None:
    """The one tensor that enters an instance and the one that leaves it; None where it is not just one of each."""
    own = {node.name for node in instance.nodes()}
    entering = {name for node in instance.nodes() for name in node.inputs if name not in own}
    used = {name for node in graph.nodes if node.name not in own for name in node.inputs if name in own}
    leaving = used | (own & set(graph.outputs))
    return (entering.pop(), leaving.pop()) if len(entering) == len(leaving) == 1 else None


def _signature(graph: Graph, instance: _Instance) -> Any:
    """What instances that can share a function agree in: layers, their names, and how they are connected."""
    boundary = _boundary(graph, instance)
    if boundary is None:
        return ("alone", instance.scope)
    places: dict[str, Any] = {boundary[0]: "enter"}
    parts: list[Any] = []
    for index, element in enumerate(instance.elements):
        if isinstance(element, _Instance):
            inner = _boundary(graph, element)
            if inner is None:
                return ("alone", instance.scope)
            local = element.scope[len(instance.scope) :]
            parts.append((element.block, local, places[inner[0]], _signature(graph, element)))
            places[inner[1]] = index
        else:
            parts.append((type(element.layer), local_name(element), tuple(places[name] for name in element.inputs)))
            places[element.name] = index
    return (instance.block, tuple(parts), places[boundary[1]])


def _functions(graph: Graph, root: _Instance) -> dict[str, _Function]:
    """The function of each instance that has one, by the instance's name; inner functions come first."""
    groups: dict[Any, list[_Instance]] = {}
    ordered: list[_Instance] = []

    def walk(instance: _Instance) -> None:
        for element in instance.elements:
            if isinstance(element, _Instance):
                walk(element)
                ordered.append(element)

    walk(root)
    for instance in ordered:
        groups.setdefault(_signature(graph, instance), []).append(instance)
    functions: dict[str, _Function] = {}
    taken = set(RESERVED)
    for instances in groups.values():
        if len(instances) > 1:
            function = _Function(_free(_identifier(instances[0].block), taken), instances)
            taken.add(function.name)
            _find_parameters(function)
            functions |= {instance.scope: function for instance in instances}
    return functions


def _find_parameters(function: _Function) -> None:
    """Give a function a parameter for each argument that is not the same in all its instances."""
    first = function.instances[0]
    own = {
        tuple(repr(instance.arguments.get(name)) for instance in function.instances): name for name in first.arguments
    }
    for alike in zip(*(instance.nodes() for instance in function.instances), strict=True):
        kind = type(alike[0].layer)
        for name in kind.names():
            values = tuple(_compact(node.layer, name) for node in alike)
            key = tuple(map(repr, values))
            if len(set(key)) > 1 and key not in function.by_values:
                parameter = _free(_identifier(own.get(key, name)), {*function.parameters, *RESERVED, "x"})
                function.by_values[key] = parameter
                function.parameters[parameter] = values


# ---------------------------------------------------------------------------------------------- statements


@dataclass(frozen=True)
class _Step:
    """A statement: what it calls with which arguments, the tensors that go in, and the one that comes out."""

    callee: str
    arguments: list[str]
    inputs: tuple[str, ...]
    output: str
    node: Node | None
    comment: str | None


class _Routine:
    """The statements of a function or of `build_model`, and the variable that each tensor is in."""

    def __init__(
        self, graph: Graph, instance: _Instance, functions: Mapping[str, _Function], function: _Function | None
    ) -> None:
        self.graph = graph
        self.instance = instance
        self.functions = functions
        self.function = function
        self.positions = {node.name: position for position, node in enumerate(instance.nodes())}
        self.variables: dict[str, str] = {}
        self.steps = list(self._flatten(instance.elements))

    def lines(self) -> list[str]:
        """The statements, indented once; a function's end with its `return`."""
        last_use = {name: number for number, step in enumerate(self.steps) for name in step.inputs}
        leaving = set(self.graph.outputs)
        if self.function:
            entering, result = _boundary(self.graph, self.instance) or ("", "")
            self.variables[entering] = "x"
            leaving = {result}
        last_use |= dict.fromkeys(leaving, len(self.steps))
        live: dict[str, str] = {variable: name for name, variable in self.variables.items()}
        lines: list[str] = []
        for number, step in enumerate(self.steps):
            inputs = [self.variables[name] for name in step.inputs]
            for name in step.inputs:
                if last_use[name] == number and live.get(self.variables[name]) == name:
                    del live[self.variables[name]]
            variable = self._variable(step, live, last_use.get(step.output, number))
            self.variables[step.output] = variable
            live[variable] = step.output
            if step.comment:
                lines += [*([""] if lines else []), f"    # {step.comment}"]
            ends = self.function is not None and number == len(self.steps) - 1 and step.output in leaving
            lead = "    return " if ends else f"    {variable} = "
            if step.node is None:
                lines += _call(lead, step.callee, [*inputs, *step.arguments], "")
            else:
                lines += _call(lead, step.callee, step.arguments, self._applied(step.node, inputs))
        if self.function and not lines[-1].startswith("    return") and self.steps[-1].output not in leaving:
            lines.append(f"    return {self.variables[leaving.pop()]}")
        return lines

    def _applied(self, node: Node, inputs: list[str]) -> str:
        if isinstance(node.layer, InputLayer):
            return ""
        return f"([{', '.join(inputs)}])" if node.layer.arity != (1, 1) else f"({inputs[0]})"

    def _flatten(self, elements: list[Node | _Instance]) -> Iterator[_Step]:
        """The steps in order; an instance that has no function is written out below a comment that names it."""
        comment: str | None = None
        for element in elements:
            if isinstance(element, Node):
                yield self._layer(element, comment)
                comment = None
            elif element.scope in self.functions:
                yield self._function_call(element, comment)
                comment = None
            else:
                arguments = ", ".join(f"{key}={_literal(value)}" for key, value in element.arguments.items())
                comment = f"{element.block}({arguments})" if arguments else element.block
                for step in self._flatten(element.elements):
                    yield step if step.comment or not comment else _Step(**(vars(step) | {"comment": comment}))
                    comment = None

    def _layer(self, node: Node, comment: str | None) -> _Step:
        if isinstance(node.layer, InputLayer):
            arguments = [_literal(node.layer.shape)]
            if node.layer.dtype != "float32":
                arguments.append(f"dtype={_literal(node.layer.dtype)}")
            return _Step("keras.Input", [*arguments, self._name(node.name)], (), node.name, node, comment)
        alike = [node]
        if self.function:
            position = self.positions[node.name]
            alike = [list(instance.nodes())[position] for instance in self.function.instances]
        arguments = [*_arguments([one.layer for one in alike], self.function), self._name(node.name)]
        return _Step(f"layers.{type(node.layer).__name__}", arguments, node.inputs, node.name, node, comment)

    def _function_call(self, inner: _Instance, comment: str | None) -> _Step:
        called = self.functions[inner.scope]
        boundary = _boundary(self.graph, inner)
        assert boundary is not None
        alike = [inner.scope]
        if self.function:
            rest = inner.scope[len(self.instance.scope) :]
            alike = [instance.scope + rest for instance in self.function.instances]
        numbers = [[instance.scope for instance in called.instances].index(scope) for scope in alike]
        arguments = []
        for parameter, values in called.parameters.items():
            own = tuple(values[number] for number in numbers)
            arguments.append(f"{parameter}={self.function.value(own) if self.function else _literal(own[0])}")
        if arguments:
            arguments[0] = arguments[0].split("=", 1)[1]
        return _Step(called.name, [*arguments, self._name(inner.scope)], (boundary[0],), boundary[1], None, comment)

    def _name(self, name: str) -> str:
        if self.function is None:
            return f"name={_literal(name)}"
        return f'name=f"{{name}}{name[len(self.instance.scope) :]}"'

    def _variable(self, step: _Step, live: Mapping[str, str], last_use: int) -> str:
        """A variable for a step's output: the name that the spec gives, or the first of x, y, z that is free."""
        node = step.node
        taken = {*live, *RESERVED, *(function.name for function in self.functions.values())}
        if node is not None and (isinstance(node.layer, InputLayer) or (not self.function and not names_itself(node))):
            return _free(_identifier(local_name(node)), taken)
        if "x" in live and self._is_shortcut(step.output):
            return _free("shortcut", taken)
        numbered = (f"x{number}" for number in count(2))
        return next(name for name in chain("xyz", numbered) if name not in taken)

    def _is_shortcut(self, name: str) -> bool:
        """Whether a chain of steps from here leads nowhere but to where a shortcut joins."""
        while True:
            users = [step for step in self.steps if name in step.inputs]
            if len(users) != 1:
                return False
            (user,) = users
            if user.node is not None and user.node.skip is not None:
                return user.inputs[user.node.skip] == name
            if len(user.inputs) != 1:
                return False
            name = user.output


def _arguments(layers: list[Layer], function: _Function | None) -> list[str]:
    """The arguments of a call that makes these layers, alike but for what the function's parameters say."""
    told = {name for layer in layers for name in layer.arguments()}
    arguments: list[str] = []
    by_position = True
    kind = type(layers[0])
    for name in kind.names():
        by_position = by_position and name in kind.required()
        if name not in told:
            continue
        values = tuple(_compact(layer, name) for layer in layers)
        shown = function.value(values) if function else _literal(values[0])
        arguments.append(shown if by_position else f"{name}={shown}")
    return arguments


def _call(lead: str, callee: str, arguments: list[str], applied: str) -> list[str]:
    """The lines of a statement that calls: one, or one an argument where that would be too long."""
    line = f"{lead}{callee}({', '.join(arguments)}){applied}"
    if len(line) <= WIDTH:
        return [line]
    return [f"{lead}{callee}(", *(f"        {argument}," for argument in arguments), f"    ){applied}"]


# ---------------------------------------------------------------------------------------------- values


def _compact(layer: Layer, name: str) -> Any:
    """An argument in its shortest form: one size where a tuple repeats it and the layer takes either."""
    value = getattr(layer, name)
    if isinstance(value, tuple) and value and len(set(value)) == 1 and isinstance(value[0], int):
        try:
            if type(layer)(**(layer.arguments() | {name: value[0]})) == layer:
                return value[0]
        except ValueError:
            return value
    return value


def _literal(value: Any) -> str:
    """A value as Python writes it."""
    match value:
        case str():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            return f'"{escaped}"'
        case tuple():
            return f"({', '.join(map(_literal, value))}{',' * (len(value) == 1)})"
        case list():
            return f"[{', '.join(map(_literal, value))}]"
        case KerasObject():
            arguments = ", ".join(f"{name}={_literal(item)}" for name, item in value.arguments().items())
            return f"keras.{value.module}.{type(value).__name__}({arguments})"
        case Declaration():
            raise AssertionError(f"{type(value).__name__} has no Python form")
        case _:
            return repr(value)


def _identifier(name: str) -> str:
    return f"{name}_" if keyword.iskeyword(name) or name in RESERVED else name


def _free(name: str, taken: set[str]) -> str:
    number = 2
    candidate = name
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    return candidate


def _docstring(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"""', "'''").rstrip('"')


def _alone(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"[{', '.join(names)}]"
