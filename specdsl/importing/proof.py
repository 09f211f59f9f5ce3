"""Whether two graphs are the same model: layers, arguments, edges, options and outputs; names too where they count."""

from __future__ import annotations

from specdsl.functional import Functional
from specdsl.graph import Graph, Tensor
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
    ours, theirs = [node.name for node in one.input_nodes], [node.name for node in other.input_nodes]
    if len(ours) != len(theirs) or len(one.outputs) != len(other.outputs):
        return "the number of inputs or outputs changed"
    pairs: dict[str, str] = {}
    owners: dict[str, str] = {}
    waiting = [*zip(one.outputs, other.outputs, strict=True)]
    waiting += ((Tensor(mine), Tensor(its)) for mine, its in zip(ours, theirs, strict=True))
    while waiting:
        mine, its = waiting.pop()
        if mine.index != its.index:
            return f"another result of '{mine.node}' is taken"
        if mine.node in pairs:
            if pairs[mine.node] != its.node:
                return f"'{mine.node}' became both '{pairs[mine.node]}' and '{its.node}'"
            continue
        pairs[mine.node] = its.node
        left, right = one.by_name[mine.node], other.by_name[its.node]
        if owners.setdefault(left.owner, right.owner) != right.owner:
            return f"the uses of '{left.owner}' became those of '{owners[left.owner]}' and '{right.owner}'"
        if names and left.owner != right.owner:
            return f"'{left.owner}' became '{right.owner}'"
        reason = _layers_differ(left.layer, right.layer, names)
        if reason:
            return f"{reason}, in '{left.owner}'"
        if left.shapes != right.shapes or left.dtypes != right.dtypes or len(left.inputs) != len(right.inputs):
            return f"'{left.name}' takes or makes other tensors"
        waiting += zip(left.inputs, right.inputs, strict=True)
        if left.options.keys() != right.options.keys():
            return f"'{left.name}' is called with other options"
        for name, value in left.options.items():
            said = right.options[name]
            if isinstance(value, bool) or isinstance(said, bool):
                if value is not said:
                    return f"'{left.name}' is called with another '{name}'"
                continue
            tensors = (value,) if isinstance(value, Tensor) else value
            others = (said,) if isinstance(said, Tensor) else said
            if isinstance(value, Tensor) != isinstance(said, Tensor) or len(tensors) != len(others):
                return f"'{left.name}' is called with another '{name}'"
            for first, second in zip(tensors, others, strict=True):
                if first is not None and second is not None:
                    waiting.append((first, second))
                elif first is not second:
                    return f"'{left.name}' is called with another '{name}'"
    if len(set(pairs.values())) < len(pairs) or len(set(owners.values())) < len(owners):
        return "two layers became one"
    if len(pairs) < len(one.nodes):
        return "some layers lead to no output"
    if _uses(one, pairs) != _uses(other, {name: name for name in pairs.values()}):
        return "the uses of a layer changed their order"
    return None


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
