"""How many bytes move between memory and processor, and how much work is done for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from specdsl.analyses.counting import Analysis, LayerAnalysis, tensor_bytes, value_bytes
from specdsl.counts import Size
from specdsl.functional import Functional
from specdsl.graph import Graph


class Traffic(NamedTuple):
    """The bytes that inference moves.

    Attributes:
        weights: those read once for a batch.
        example: those moved for each example, None if a size is unknown.
    """

    weights: int
    example: Size

    def bytes(self, batch: int) -> Size:
        """Those moved for a batch."""
        return None if self.example is None else self.weights + batch * self.example


def layer_traffic(graph: Graph, layer: LayerAnalysis) -> Traffic:
    """The bytes that a layer moves in inference: it reads its weights and what enters, and writes what leaves.

    A layer that looks values up reads of its weights as many as it gives out. What is kept in the processor from one
    layer to the next is counted as if it were not, and so are views, such as that of a Flatten. An input moves
    nothing by itself, and a model within the model what its layers move.
    """
    node = layer.node
    if not node.inputs:
        return Traffic(0, 0)
    if layer.inner and isinstance(node.layer, Functional):
        return traffic(layer.inner)
    own = graph.weights.get(node.owner, ())
    weights = sum(value_bytes(weight) * (weight.count.value or 0) for weight in own)
    sizes = [tensor_bytes(graph.shape(tensor), graph.dtype(tensor)) for tensor in (*node.sources, *node.outputs)]
    if node.layer.looks_up:
        weights = 0
        sizes.append(tensor_bytes(node.shape, own[0].dtype or "float32"))
    known = [size for size in sizes if size is not None]
    return Traffic(weights, sum(known) if len(known) == len(sizes) else None)


def traffic(analysis: Analysis) -> Traffic:
    """The bytes that a model moves in inference, layer by layer."""
    each = list(_each(analysis))
    examples = [one.example for one in each if one.example is not None]
    return Traffic(sum(one.weights for one in each), sum(examples) if len(examples) == len(each) else None)


def _each(analysis: Analysis) -> Iterator[Traffic]:
    """What each layer moves; a model within the model the same at each of its uses."""
    models: dict[str, Traffic] = {}
    for layer in analysis.layers:
        if layer.inner and isinstance(layer.node.layer, Functional):
            models[layer.node.owner] = layer_traffic(analysis.graph, layer)
        yield models.get(layer.node.owner) or layer_traffic(analysis.graph, layer)


def intensity(analysis: Analysis) -> float | None:
    """Floating-point operations for each byte that inference moves; None if a size is unknown, or nothing moves.

    Williams et al., 2009.
    """
    flops, moved = analysis.totals.flops, traffic(analysis).bytes(analysis.regime.batch)
    return None if flops is None or not moved else analysis.regime.batch * flops / moved
