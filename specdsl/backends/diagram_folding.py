"""What is left out of the drawing of a large model: in a long run of equal block instances, all but the first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from specdsl.graph import Graph, Node

LARGE = 1_000
"""Layers of a model that is folded; a smaller one is drawn whole in a few seconds."""

RUN = 4
"""Instances of a run that is folded, at least."""


class Folding(NamedTuple):
    """What a drawing leaves out.

    Attributes:
        drawn: for each layer that is left out the same one in the first instance of its run.
        times: how many instances a drawn one stands for, by its name.
    """

    drawn: dict[str, str]
    times: dict[str, int]

    def shown(self, name: str) -> str:
        """The layer that is drawn for a layer."""
        while name in self.drawn:
            name = self.drawn[name]
        return name


def folding(graph: Graph) -> Folding:
    """What to leave out of a graph's drawing: nothing of a small one.

    A run is of instances side by side that hold the same layers with the same arguments and shapes, each taking what it
    takes from the one before, while nothing else takes anything from one that is not the last.
    """
    found = Folding({}, {})
    if len(graph.nodes) < LARGE:
        return found
    inside: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for scope in graph.enclosing(node.scope):
            inside.setdefault(scope.name, []).append(node)
    for run in _runs(graph, inside):
        if len(run) >= RUN:
            first, *others = run
            found.times[first] = len(run)
            for other in others:
                pairs = zip(inside[other], inside[first], strict=True)
                found.drawn.update((node.name, same.name) for node, same in pairs)
    return found


def _runs(graph: Graph, inside: dict[str, list[Node]]) -> Iterator[list[str]]:
    """All instances of blocks in runs; an instance that is like no other beside it is a run of its own."""
    users: dict[str, set[str]] = {tensor.node: {""} for tensor in graph.outputs}
    for node in graph.nodes:
        for tensor in node.sources:
            users.setdefault(tensor.node, set()).add(node.name)
    runs: dict[str, list[str]] = {}
    forms: dict[str, Any] = {}
    for scope, nodes in inside.items():
        run = runs.setdefault(graph.scopes[scope].parent, [])
        forms[scope] = _form(graph, scope, nodes)
        before = inside[run[-1]] if run else []
        own = {node.name for node in (*before, *nodes)}
        joined = (
            bool(run)
            and forms[scope] == forms[run[-1]]
            and all(tensor.node in own for node in nodes for tensor in node.sources)
            and all(users.get(node.name, set()) <= own for node in before)
            and (len(run) == 1 or _entries(before, inside[run[-2]]) == _entries(nodes, before))
        )
        if not joined:
            yield run
            run = runs[graph.scopes[scope].parent] = []
        run.append(scope)
    yield from runs.values()


def _form(graph: Graph, scope: str, nodes: list[Node]) -> Any:
    """What equal instances agree in: all but names, and where that comes from which enters."""
    places = {node.name: place for place, node in enumerate(nodes)}
    rows = [
        (
            node.layer, node.shapes, node.skip, node.scope[len(scope) :], list(node.options),
            [value for value in node.options.values() if isinstance(value, bool)],
            graph.first_uses[node.owner] == node.name,
            [(places.get(tensor.node), tensor.index) for tensor in node.sources],
        )
        for node in nodes
    ]  # fmt: skip
    return graph.scopes[scope].block, graph.scopes[scope].arguments, rows


def _entries(nodes: list[Node], before: list[Node]) -> list[int]:
    """Where in the instance before that is made which enters an instance."""
    places = {node.name: place for place, node in enumerate(before)}
    return [places[one.node] for node in nodes for one in node.sources if one.node in places]


def tangle(graph: Graph) -> int:
    """How much work the edges are that pass by layers: for each rank the square of their number, in all ranks."""
    left_out = folding(graph).drawn
    ranks: dict[str, int] = {}
    changes: dict[int, int] = {}
    for node in graph.nodes:
        ranks[node.name] = max((ranks[tensor.node] + 1 for tensor in node.sources), default=0)
        for tensor in dict.fromkeys(node.sources):
            if node.name not in left_out:
                changes[ranks[tensor.node] + 1] = changes.get(ranks[tensor.node] + 1, 0) + 1
                changes[ranks[node.name]] = changes.get(ranks[node.name], 0) - 1
    passing, work = 0, 0
    for rank in range(max(ranks.values()) + 1):
        passing += changes.get(rank, 0)
        work += passing**2
    return work
