"""Of what kinds the work of a model is: what the time of a step depends on beside the amount of it."""

from __future__ import annotations

from typing import NamedTuple

from specdsl.functional import Functional, models_within
from specdsl.graph import Graph
from specdsl.layers import Shape


class Effort(NamedTuple):
    """The work for one example in inference; what depends on a size that is unknown until run time counts nothing.

    Attributes:
        products: multiply-accumulates of matrix products.
        convolutions: those of convolutions over all channels.
        grouped: those of other convolutions: over groups of channels, transposed, or within cells.
        operations: operations on single values beside those.
        turns: computations of which each waits for the one before, as along a sequence.
        layers: layers that compute.
    """

    products: int = 0
    convolutions: int = 0
    grouped: int = 0
    operations: int = 0
    turns: int = 0
    layers: int = 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all kinds."""
        return self.products + self.convolutions + self.grouped


def effort(graph: Graph, *shapes: Shape) -> Effort:
    """The work of a model, by kinds.

    Args:
        graph: the model.
        shapes: of what enters; by default those of its inputs, whose sizes may be unknown.
    """
    model = Functional(graph)
    entering = shapes or tuple(node.shape for node in graph.input_nodes)
    kinds = {kind: macs or 0 for kind, macs in model.work_by_kind(*entering).items()}
    layers = sum(len(one.nodes) for one in (graph, *(inner.graph for inner in models_within(graph))))
    return Effort(
        **kinds, operations=model.operations(*entering).value or 0, turns=model.turns(*entering) or 0, layers=layers
    )
