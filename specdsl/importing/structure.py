"""The flow of a graph: chains of steps, and where they part and meet again, as shortcuts and branches can say it."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import NamedTuple

from specdsl.graph import Graph, Node, Tensor, option_tensors
from specdsl.layers import InputLayer
from specdsl.layers.merging import Concatenate


class Step(NamedTuple):
    """A layer applied."""

    node: Node

    @property
    def entering(self) -> tuple[Tensor, ...]:
        """The tensors that the text leads to it: one where attention takes the same tensor twice."""
        inputs = self.node.inputs
        return inputs[:1] if self.node.layer.repeats and inputs == (inputs[0], inputs[0]) else inputs


class Join(NamedTuple):
    """A merge of what several bodies leave, all of which begin with the same tensor."""

    node: Node
    bodies: tuple[tuple[Unit, ...], ...]
    fork: Tensor

    @property
    def entering(self) -> tuple[Tensor, ...]:
        """The tensor that enters all bodies."""
        return (self.fork,)

    @property
    def order(self) -> tuple[int, ...]:
        """The bodies in the order of the text: what a shortcut goes through stands last."""
        return (1, 0) if self.is_shortcut else tuple(range(len(self.bodies)))

    @property
    def is_shortcut(self) -> bool:
        """Whether the first of two bodies is a way round the other one: empty, or shorter."""
        if len(self.bodies) != 2:
            return False
        around, left = (sum(1 for _ in steps_in(body)) for body in self.bodies)
        concatenates = isinstance(self.node.layer, Concatenate)
        return around == 0 or (0 < around < left and not concatenates)


Unit = Step | Join

DEEPEST = 40
"""Braces within each other, at most."""


def steps_in(units: tuple[Unit, ...] | list[Unit]) -> Iterator[Step | Join]:
    """All layers of a flow in the order of its text, each as the unit that applies it."""
    for unit in units:
        if isinstance(unit, Join):
            for index in unit.order:
                yield from steps_in(unit.bodies[index])
        yield unit


class Chain(NamedTuple):
    """Steps one behind the other; `start` is what enters the first."""

    start: tuple[Tensor, ...]
    units: list[Unit]

    @property
    def end(self) -> Tensor:
        """The first result of its last step."""
        return self.units[-1].node.outputs[0]


class Flow:
    """The body of a model as chains, in an order in which each tensor is there before it is taken.

    Attributes:
        graph: the model.
        chains: the chains.
        uses: how often the text leads each tensor to something, or names it.
        shared: the layers that are applied more than once.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.uses: dict[Tensor, int] = {}
        self._units: dict[str, Unit] = {}
        owners: dict[str, int] = {}
        for node in graph.nodes:
            owners[node.owner] = owners.get(node.owner, 0) + 1
            if not isinstance(node.layer, InputLayer):
                self._units[node.name] = Step(node)
                for tensor in (*Step(node).entering, *option_tensors(node.options)):
                    self.uses[tensor] = self.uses.get(tensor, 0) + 1
        for tensor in graph.outputs:
            self.uses[tensor] = self.uses.get(tensor, 0) + 1
        self.shared = frozenset(owner for owner, count in owners.items() if count > 1)
        self._depths: dict[str, int] = {}
        for node in graph.nodes:
            self._fold(node)
        self.chains = self._ordered(self._chains())

    def _alone(self, unit: Unit) -> bool:
        """Whether a unit is a link between one tensor and one other, and no use of a layer that has others."""
        node = unit.node
        plain = node.owner not in self.shared and not option_tensors(node.options)
        return plain and len(unit.entering) == 1 and len(node.outputs) == 1

    def _back(self, tensor: Tensor) -> tuple[Tensor, list[Unit]]:
        """The steps that lead to a tensor from the nearest one before that is used elsewhere too."""
        units: list[Unit] = []
        while self.uses[tensor] == 1 and tensor.node in self._units and self._alone(self._units[tensor.node]):
            units.append(self._units[tensor.node])
            (tensor,) = units[-1].entering
        return tensor, units[::-1]

    def _fold(self, node: Node) -> None:
        """Make one unit of a merge and of the steps that lead to it from one tensor, if that is where all come from."""
        plain = node.layer.family == "merging" and node.owner == node.name and not node.options
        if not plain or len(node.inputs) < 2:
            return
        ways = [self._back(tensor) for tensor in node.inputs]
        forks = {fork for fork, _ in ways}
        if len(forks) > 1 or not any(units for _, units in ways):
            return
        (fork,) = forks
        depth = 1 + max(self._depths.get(unit.node.name, 0) for _, units in ways for unit in units)
        if depth > DEEPEST:
            return
        self._depths[node.name] = depth
        for _, units in ways:
            for unit in units:
                del self._units[unit.node.name]
        self.uses[fork] -= len(ways) - 1
        self._units[node.name] = Join(node, tuple(tuple(units) for _, units in ways), fork)

    def _chains(self) -> list[Chain]:
        chains: list[Chain] = []
        by_end: dict[Tensor, Chain] = {}
        for node in self.graph.nodes:  # the last unit of a chain is the first that its end is known for
            unit = self._units.get(node.name)
            if unit is None:
                continue
            linked = len(unit.entering) == 1 and node.owner not in self.shared and not option_tensors(node.options)
            chain = by_end.pop(unit.entering[0], None) if linked else None
            if chain is not None and self.uses[chain.end] == 1:
                chain.units.append(unit)
            else:
                chain = Chain(unit.entering, [unit])
                chains.append(chain)
            if len(unit.node.outputs) == 1:
                by_end[chain.end] = chain
        return chains

    def _ordered(self, chains: list[Chain]) -> list[Chain]:
        """The chains, each behind those that it needs; one that goes on where the last one ended comes first.

        The uses of a shared layer stay in their order, in which Keras numbers them.
        """
        home: dict[str, int] = {}
        uses: dict[str, int] = {}
        for number, chain in enumerate(chains):
            for unit in steps_in(chain.units):
                home[unit.node.name] = number
        needs: list[set[int]] = []
        followers: dict[int, set[int]] = {}
        for number, chain in enumerate(chains):
            sources = list(chain.start)
            for unit in steps_in(chain.units):
                sources += option_tensors(unit.node.options)
            needed = {home[tensor.node] for tensor in sources if tensor.node in home} - {number}
            owner = chain.units[0].node.owner
            if owner in self.shared:
                needed |= {uses[owner]} if owner in uses else set()
                uses[owner] = number
            needs.append(needed)
            for other in needed:
                followers.setdefault(other, set()).add(number)
        ready = [number for number, needed in enumerate(needs) if not needed]
        waiting: dict[tuple[Tensor, ...], list[int]] = {}
        for number in ready:
            waiting.setdefault(chains[number].start, []).append(number)
        ordered: list[Chain] = []
        done: set[int] = set()
        last: Tensor | None = None
        while len(ordered) < len(chains):
            going_on = [number for number in waiting.pop((last,), ()) if number not in done] if last else []
            if going_on:
                number, *others = going_on
                waiting[(last,)] = others  # type: ignore[index]
            else:
                number = heapq.heappop(ready)
                if number in done:
                    continue
            done.add(number)
            ordered.append(chains[number])
            last = chains[number].end
            for follower in sorted(followers.get(number, ())):
                needs[follower].discard(number)
                if not needs[follower]:
                    heapq.heappush(ready, follower)
                    waiting.setdefault(chains[follower].start, []).append(follower)
        return ordered
