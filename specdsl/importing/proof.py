"""Whether two graphs are the same model: layers, arguments, edges, options and outputs; names too where they count."""

from __future__ import annotations

from specdsl.functional import Functional
from specdsl.graph import Graph, Node, Option, Tensor, option_tensors
from specdsl.layers import Layer


def difference(one: Graph, other: Graph, *, names: bool) -> str | None:
    """What first differs between two models, None where they are the same.

    Both are walked through from their outputs. Each layer must meet its counterpart wherever it is met.

    Args:
        one: a model.
        other: another one.
        names: whether layers must have the same names.
    """
    if len(one.nodes) != len(other.nodes):
        return f"{len(one.nodes)} applications of layers became {len(other.nodes)}"
    inputs, others = one.input_nodes, other.input_nodes
    if len(inputs) != len(others) or len(one.outputs) != len(other.outputs):
        return "the number of inputs or outputs changed"
    ends = [*zip(one.outputs, other.outputs, strict=True)]
    ends += ((Tensor(left.name), Tensor(right.name)) for left, right in zip(inputs, others, strict=True))
    return _Comparison(one, other, names).difference(ends)


class _Comparison:
    """Two models, and what of the one became what of the other, as far as they were walked through."""

    def __init__(self, one: Graph, other: Graph, names: bool) -> None:
        self.one, self.other, self.names = one, other, names
        self.nodes: dict[str, str] = {}
        self.owners: dict[str, str] = {}

    def difference(self, waiting: list[tuple[Tensor, Tensor]]) -> str | None:
        """What first differs before these tensors, each beside its counterpart, or in the models as wholes."""
        while waiting:
            mine, its = waiting.pop()
            if mine.index != its.index:
                return f"another result of '{mine.node}' is taken"
            if mine.node in self.nodes:
                if self.nodes[mine.node] != its.node:
                    return f"'{mine.node}' became both '{self.nodes[mine.node]}' and '{its.node}'"
                continue
            self.nodes[mine.node] = its.node
            left, right = self.one.by_name[mine.node], self.other.by_name[its.node]
            if reason := self._owners_differ(left, right) or _calls_differ(left, right):
                return reason
            waiting += zip(left.inputs, right.inputs, strict=True)
            in_order = {name: right.options[name] for name in left.options}
            waiting += zip(option_tensors(left.options), option_tensors(in_order), strict=True)
        return self._wholes_differ()

    def _owners_differ(self, left: Node, right: Node) -> str | None:
        if self.owners.setdefault(left.owner, right.owner) != right.owner:
            return f"the uses of '{left.owner}' became those of '{self.owners[left.owner]}' and '{right.owner}'"
        if self.names and left.owner != right.owner:
            return f"'{left.owner}' became '{right.owner}'"
        reason = _layers_differ(left.layer, right.layer, self.names)
        return f"{reason}, in '{left.owner}'" if reason else None

    def _wholes_differ(self) -> str | None:
        for found in (self.nodes, self.owners):
            if len(set(found.values())) < len(found):
                return "two layers became one"
        if len(self.nodes) < len(self.one.nodes):
            return "some layers lead to no output"
        if _uses(self.one, self.nodes) != _uses(self.other, {name: name for name in self.nodes.values()}):
            return "the uses of a layer changed their order"
        return None


def _calls_differ(left: Node, right: Node) -> str | None:
    """What differs between two applications of a layer, but for which tensors they take."""
    if left.shapes != right.shapes or left.dtypes != right.dtypes or len(left.inputs) != len(right.inputs):
        return f"'{left.name}' takes or makes other tensors"
    if left.options.keys() != right.options.keys():
        return f"'{left.name}' is called with other options"
    for name, value in left.options.items():
        if _form(value) != _form(right.options[name]):
            return f"'{left.name}' is called with another '{name}'"
    return None


def _form(option: Option) -> bool | tuple[bool, ...] | None:
    """What an option says, but for which tensors it names: None of a single one, of several which there are."""
    if isinstance(option, bool):
        return option
    return None if isinstance(option, Tensor) else tuple(tensor is not None for tensor in option)


def _uses(graph: Graph, names: dict[str, str]) -> set[tuple[str, ...]]:
    """The applications of each layer that has several, in their order, by the names that they have elsewhere."""
    found: dict[str, list[str]] = {}
    for node in graph.nodes:
        found.setdefault(node.owner, []).append(names[node.name])
    return {tuple(uses) for uses in found.values() if len(uses) > 1}


def _layers_differ(one: Layer, other: Layer, names: bool) -> str | None:
    if isinstance(one, Functional) and isinstance(other, Functional):
        if one.trainable != other.trainable:
            return "what is frozen differs"
        return difference(one.graph, other.graph, names=names)
    if type(one) is not type(other):
        return f"{type(one).__name__} became {type(other).__name__}"
    for name, value in one.settings().items():
        said = getattr(other, name)
        if isinstance(value, Layer) and isinstance(said, Layer):
            if reason := _layers_differ(value, said, names):
                return reason
        elif value != said or isinstance(value, bool) is not isinstance(said, bool):
            return f"'{name}' of {type(one).__name__} became another"
    return None
