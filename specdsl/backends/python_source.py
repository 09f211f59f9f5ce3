"""A graph as Python source that a person would have written: functional Keras, a function for each repeated block.

Instances of a block that have the same structure share one function. Its parameters are what differs between the
instances, called as the block calls them where the block has a parameter with these values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from textwrap import wrap
from typing import Any, NamedTuple

from specdsl.backends.python_structure import Function, Instance, Structure
from specdsl.backends.python_values import (
    WIDTH,
    Taken,
    alone,
    broken,
    built,
    docstring_lines,
    free,
    joined_with,
    listed,
    literal,
)
from specdsl.backends.words import local_name, names_itself
from specdsl.functional import Functional, models_in, models_within
from specdsl.graph import SEPARATOR, Graph, Grouped, Node, Tensor, longest_path
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
    if _has_frozen(graph):
        lines += ["", "", *FROZEN]
    lines += _definitions(graph, "build_model", {"x", "build_model"}, {})
    return "\n".join([*lines, "", "", 'if __name__ == "__main__":', "    build_model().summary()", ""])


_COMMENT: Any = {"initial_indent": "    # ", "subsequent_indent": "    # ", "break_long_words": False}

DEEP = 300
"""Layers behind one another that Keras can walk at Python's own limit of calls within calls."""


def _longest_path(graph: Graph) -> int:
    """How many layers stand behind one another at most, in the model or in one within it."""
    graphs = (graph, *(model.graph for model in models_within(graph)))
    return max(longest_path(one, lambda node: 1) for one in graphs)


FROZEN = (
    "def frozen(model: keras.Model) -> keras.Model:",
    '    """The model with weights that training does not change."""',
    "    model.trainable = False",
    "    return model",
)


def _has_frozen(graph: Graph) -> bool:
    return any(not model.trainable for model in models_within(graph))


def _has_layers(graph: Graph) -> bool:
    graphs = (graph, *(model.graph for model in models_within(graph)))
    return any(not isinstance(node.layer, InputLayer | Functional) for one in graphs for node in one.nodes)


def _definitions(graph: Graph, builder: str, taken: set[str], builders: dict[Functional, str]) -> list[str]:
    """The functions that build a model: of the models in it, of its blocks, and last its own.

    Args:
        graph: the model.
        builder: what to call its function.
        taken: the names of the functions so far.
        builders: those of them that build a model, by the model.
    """
    lines: list[str] = []
    for model in (model.thawed for node in graph.nodes for model in models_in(node.layer)):
        if model not in builders:
            builders[model] = free(f"build_{model.graph.name}", taken)
            taken.add(builders[model])
            lines += _definitions(model.graph, builders[model], taken, builders)
    structure = Structure(graph, builders, taken)
    for function in structure.distinct:
        routine = _Routine(structure, function.instances[0], function)
        names = ["x", *function.parameters, "name"]
        head = f"def {function.name}({', '.join(names)}):"
        lines += ["", ""]
        lines += [head] if len(head) <= WIDTH else [f"def {function.name}(", *(f"    {one}," for one in names), "):"]
        lines += [*docstring_lines(function.about(structure.by_block[function.block]), "    "), *routine.lines()]
    routine = _Routine(structure, structure.root, None)
    body = routine.lines()
    inputs = alone([routine.variables[node.outputs[0]] for node in graph.input_nodes])
    outputs = alone([routine.variables[tensor] for tensor in graph.outputs])
    about = f"Build the model {graph.name}{joined_with(graph.parameters)}."
    inner = builder != "build_model"
    parameters, name = (f"name={literal(graph.name)}", "name") if inner else ("", literal(graph.name))
    lines += ["", "", f"def {builder}({parameters}) -> keras.Model:", *docstring_lines(about, "    "), *body]
    return lines + _call("    return ", "keras.Model", [inputs, outputs, f"name={name}"], "")


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

    def __init__(self, structure: Structure, instance: Instance, function: Function | None) -> None:
        self.structure = structure
        self.instance = instance
        self.functions = structure.functions
        self.function = function
        self.names = set(function.parameters if function else ())
        self.taken = Taken(self.names, structure.names)
        self.layers: dict[str, str] = {}
        for node in instance.nodes:
            named = "training" in node.options or node.owner in structure.graph.shared
            if node.owner not in self.layers and named:
                name = node.owner.replace(SEPARATOR, "_")
                if node.owner == node.name and not names_itself(node):  # the name is for the tensor
                    name += "_layer"
                self.layers[node.owner] = free(name, self.taken)
                self.names.add(self.layers[node.owner])
        self.variables: dict[Tensor, str] = {}
        self.plain: dict[str, int] = {}  # the variables x, y, z, x2, ... so far by their places in this row
        self.lowest = 0  # those before this place are taken
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
                variable = self.variables[tensor]
                if last_use[tensor] == number and live.get(variable) == tensor:
                    del live[variable]
                    self.lowest = min(self.lowest, self.plain.get(variable, self.lowest))
            for tensor in step.outputs:
                self.variables[tensor] = self._variable(step, tensor, live)
                live[self.variables[tensor]] = tensor
            targets = ", ".join(self.variables[tensor] for tensor in step.outputs)
            if step.comment:
                lines += [*([""] if lines else []), *wrap(step.comment, WIDTH, **_COMMENT)]
            ends = number == len(self.steps) - 1 and step.outputs == (result,)
            lead = "    return " if ends else f"    {targets} = "
            lines += step.first
            if step.node is None:
                lines += _call(lead, step.callee, [*inputs.values(), *step.arguments], "")
                continue
            applied = _applied(step.node, graph, inputs)
            if step.node.layer.nested:
                results = free("results", Taken(live, self.taken))
                lead = f"    {results} = "
            if step.node.owner in self.layers:
                lines.append(f"{lead}{self.layers[step.node.owner]}{applied}")
            else:
                lines += _call(lead, step.callee, step.arguments, applied)
            if step.node.layer.nested:
                lines += _flattened([self.variables[tensor] for tensor in step.outputs], results)
        if result is not None and self.steps[-1].outputs != (result,):
            lines.append(f"    return {self.variables[result]}")
        return lines

    def _flatten(self, elements: list[Node | Instance]) -> Iterator[_Step]:
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
        callee, arguments = f"layers.{node.layer.keras_name}", []
        if isinstance(node.layer, Functional):
            own = node.owner if node.owner != node.layer.graph.name else None
            callee, _, rest = built(node.layer, self.structure.builders, own).partition("(")
            arguments = [argument for argument in [rest.removesuffix(")")] if argument]
        else:
            alike = self.function.alike[node.name] if self.function else (node,)
            arguments = [
                *_arguments([one.layer for one in alike], self.function, self.structure.builders),
                self._name(node.owner),
            ]
        first: list[str] = []
        if node.owner in self.layers and self.structure.graph.first_uses[node.owner] == node.name:
            first = _call(f"    {self.layers[node.owner]} = ", callee, arguments, "")
            if "training" in node.options:
                first += [
                    "    # A functional model would pass its own `training` on, whatever the call of this layer says.",
                    f'    {self.layers[node.owner]}._call_context_args -= {{"training"}}',
                ]
        return _Step(callee, arguments, node.sources, node.outputs, node, None, first)

    def _function_call(self, inner: Instance) -> _Step:
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
        node, taken = step.node, Taken(live, self.taken)
        if node is not None and tensor.index:
            return free(f"{local_name(node)}_{tensor.index}", taken)
        if node is not None and (isinstance(node.layer, InputLayer) or not names_itself(node)):
            return free(local_name(node), taken)
        if "x" in live and tensor in self.shortcuts:
            return free("shortcut", taken)
        while (name := _plain(self.lowest)) in taken:
            self.plain[name] = self.lowest
            self.lowest += 1
        self.plain[name] = self.lowest
        return name

    @cached_property
    def shortcuts(self) -> set[Tensor]:
        """The tensors from which a chain of steps leads nowhere but to where a shortcut joins."""
        found: set[Tensor] = set()
        for step in reversed(self.steps):
            for tensor in step.outputs:
                users = self.users.get(tensor, [])
                if len(users) == 1 and self._leads_on(tensor, users[0], found):
                    found.add(tensor)
        return found

    def _leads_on(self, tensor: Tensor, user: _Step, shortcuts: set[Tensor]) -> bool:
        """Whether the only step that takes a tensor joins it as a shortcut, or hands it on to where that is done."""
        if user.node is not None and user.node.skip is not None:
            return user.inputs[user.node.skip] == tensor
        return len(user.inputs) == len(user.outputs) == 1 and user.outputs[0] in shortcuts


def _plain(place: int) -> str:
    """The variable at a place in the row x, y, z, x2, x3, ..."""
    return "xyz"[place] if place < len("xyz") else f"x{place - 1}"


def _flattened(targets: list[str], results: str) -> list[str]:
    """The lines that give results names, some of which are in lists of their own."""
    line = f"    {', '.join(targets)} = keras.tree.flatten({results})"
    if len(line) <= WIDTH:
        return [line]
    return ["    (", *(f"        {target}," for target in targets), f"    ) = keras.tree.flatten({results})"]


def _applied(node: Node, graph: Graph, variables: Mapping[Tensor, str]) -> str:
    """The call of a layer: its tensors, and the options of the call."""
    if isinstance(node.layer, InputLayer):
        return ""
    inputs = ", ".join(variables[tensor] for tensor in node.inputs)
    given = [f"[{inputs}]" if node.layer.in_list else inputs]
    given += (f"{name}={_option(value, variables)}" for name, value in graph.grouped(node).items())
    return f"({', '.join(given)})"


def _option(value: Grouped, variables: Mapping[Tensor, str]) -> str:
    """An option of a call, its tensors by the variables that they are in."""
    match value:
        case bool() | None:
            return repr(value)
        case Tensor():
            return variables[value]
        case _:
            return f"[{', '.join(_option(item, variables) for item in value)}]"


def _arguments(layers: list[Layer], function: Function | None, builders: Mapping[Any, str]) -> list[str]:
    """The arguments of a call that makes these layers, alike but for what the function's parameters say."""
    told = {name for layer in layers for name in layer.arguments()}
    arguments: list[str] = []
    by_position = True
    kind = type(layers[0])
    for name in kind.names():
        by_position = by_position and name in kind.required()
        if name not in told:
            continue
        values = tuple(layer.compact(name) for layer in layers)
        shown = function.value(values) if function else literal(values[0], builders)
        arguments.append(shown if by_position else f"{name}={shown}")
    return arguments


def _call(lead: str, callee: str, arguments: list[str], applied: str) -> list[str]:
    """The lines of a statement that calls: one, or one an argument where that would be too long."""
    line = f"{lead}{callee}({', '.join(arguments)}){applied}"
    if len(line) <= WIDTH:
        return [line]
    inner = [line for argument in arguments for line in broken(argument, "        ")]
    return [f"{lead}{callee}(", *inner, f"    ){applied}"]
