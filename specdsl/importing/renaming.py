"""Names that a spec can write: those of a file where they can stand, and others in the place of those that cannot."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from specdsl.declaration import Declaration
from specdsl.functional import Functional
from specdsl.graph import SEPARATOR, Graph, Node, Option, Tensor
from specdsl.layers import Layer
from specdsl.resolve.scope import is_taken

BEGINNINGS = frozenset(
    {"and", "branch", "else", "expect", "for", "if", "input", "layer", "let", "output", "repeat", "shortcut", "via"}
)
"""Words that a step cannot begin with: tensors may be called so, layers that steps apply by their names may not."""

_NEVER = frozenset({"_", "branch", "shortcut", "not"})
_LONGEST = 200
_DEEPEST = 12


def writable(name: str, taken: Collection[str], *, begins: bool = False) -> str:
    """A name that a spec can write: this one, or one like it that is not taken.

    Args:
        name: the name wanted.
        taken: names that it cannot have.
        begins: whether a step may begin with it.
    """
    plain = re.sub(r"\W", "_", name, flags=re.ASCII)[:_LONGEST]
    if not plain or plain[0].isdigit():
        plain = f"_{plain}" if not begins else f"n{plain}"
    if begins:
        plain = plain.lstrip("_") or "layer_"
        plain = plain if not plain[0].isdigit() else f"n{plain}"
    if is_taken(plain) or plain in _NEVER or (begins and plain in BEGINNINGS):
        plain = f"{plain}_"
    found, count = plain, 1
    while found in taken:
        count += 1
        found = f"{plain}_{count}"
    return found


def with_writable_names(graph: Graph, renamed: dict[str, str], path: str = "", *, instances: bool = False) -> Graph:
    """A model whose layers have names that a spec can write; `renamed` gets those that had others.

    Args:
        graph: the model.
        renamed: gets the new names by the old ones, those of models within behind the names of these.
        path: the names of the models that this one is within.
        instances: whether names such as `conv_bn-conv2d` stay, for blocks to give them.
    """
    uses: dict[str, int] = {}
    for node in graph.nodes:
        uses[node.owner] = uses.get(node.owner, 0) + 1
    owners: dict[str, str] = {}
    begins = {node.owner for node in graph.nodes if uses[node.owner] > 1 or _stands_apart(node)}
    for owner in sorted(uses, key=lambda one: writable(one, (), begins=one in begins) != one):  # good names keep theirs
        if instances and SEPARATOR in owner and _is_path(owner):
            owners[owner] = owner
            continue
        owners[owner] = writable(
            owner, owners.values() if len(owners) < 50 else set(owners.values()), begins=owner in begins
        )
        if owners[owner] != owner:
            renamed[f"{path}{owner}"] = owners[owner]
    names: dict[str, str] = {}
    taken = set(owners.values())
    layers: dict[str, Layer] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        first = node.owner not in layers
        if first:
            layers[node.owner] = _renamed_layer(node.layer, renamed, f"{path}{node.owner}/", instances)
        names[node.name] = owners[node.owner] if first else writable(node.name, taken)
        taken.add(names[node.name])
        nodes.append(
            node._replace(
                name=names[node.name],
                layer=layers[node.owner],
                inputs=tuple(_renamed(tensor, names) for tensor in node.inputs),
                owner=owners[node.owner],
                options={key: _renamed_option(value, names) for key, value in node.options.items()},
            )
        )
    return Graph(graph.name, tuple(nodes), tuple(_renamed(tensor, names) for tensor in graph.outputs))


def _is_path(owner: str) -> bool:
    """Whether a name is that of a layer in an instance of a block."""
    if len(owner) > _LONGEST or owner.count(SEPARATOR) > _DEEPEST:
        return False
    return all(writable(part, (), begins=True) == part for part in owner.split(SEPARATOR))


def _stands_apart(node: Node) -> bool:
    """Whether a step applies the layer by its own name."""
    return isinstance(node.layer, Functional) or len(node.shapes) > 1


def _renamed(tensor: Tensor, names: dict[str, str]) -> Tensor:
    return Tensor(names[tensor.node], tensor.index)


def _renamed_option(value: Option, names: dict[str, str]) -> Option:
    if isinstance(value, bool):
        return value
    if isinstance(value, Tensor):
        return _renamed(value, names)
    return tuple(None if tensor is None else _renamed(tensor, names) for tensor in value)


def _renamed_layer(layer: Layer, renamed: dict[str, str], path: str, instances: bool) -> Layer:
    if isinstance(layer, Functional):
        return Functional(
            with_writable_names(layer.graph, renamed, path, instances=instances), trainable=layer.trainable
        )
    given = layer.arguments()
    inner = {
        name: _renamed_layer(value, renamed, path, instances)
        for name, value in given.items()
        if isinstance(value, Layer)
    }
    return type(layer)(**(given | inner)) if inner else layer


def objects_in(layers: Iterable[Layer]) -> Iterable[Declaration]:
    """The initializers and other objects among the arguments of layers, of those in wrappers too."""
    for layer in layers:
        for value in layer.arguments().values():
            if isinstance(value, Layer):
                if not isinstance(value, Functional):
                    yield from objects_in([value])
            elif isinstance(value, Declaration):
                yield value
