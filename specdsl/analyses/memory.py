"""The memory that activations take while a model runs."""

from __future__ import annotations

from specdsl.analyses.counting import BYTES_PER_VALUE, Analysis, values
from specdsl.counts import Size
from specdsl.functional import Functional
from specdsl.graph import Tensor


def peak_activation_bytes(analysis: Analysis) -> Size:
    """The most memory that activations take at once in inference of one example, as float32; None if a size is unknown.

    Layers run in the order of the graph. A tensor is there from the layer that makes it until the last layer that
    takes it has run; an input is there from the beginning, an output until the end. While a layer runs, its inputs and
    its outputs are both there; what it needs beside them, such as a convolution's work space, is not counted. A model
    in a wrapper runs for one step at a time.
    """
    graph = analysis.graph
    last: dict[Tensor, int] = {tensor: number for number, node in enumerate(graph.nodes) for tensor in node.sources}
    last |= dict.fromkeys(graph.outputs, len(graph.nodes))
    sizes: dict[Tensor, int] = {}
    for node in graph.nodes:
        for tensor, shape in zip(node.outputs, node.shapes, strict=True):
            size = values(shape)
            if size is None:
                return None
            sizes[tensor] = size
    dying: dict[int, list[Tensor]] = {}
    for tensor, number in last.items():
        dying.setdefault(number, []).append(tensor)
    within: dict[str, int] = {}
    live = sum(sizes[tensor] for node in graph.input_nodes for tensor in node.outputs)
    peak = live
    for number, layer in enumerate(analysis.layers):
        node = layer.node
        made = sum(sizes[tensor] for tensor in node.outputs) if node.inputs else 0
        if layer.inner:
            inner = peak_activation_bytes(layer.inner)
            if inner is None:
                return None
            entering = sum(sizes[tensor] for tensor in node.inputs) if isinstance(node.layer, Functional) else 0
            within[node.owner] = inner // BYTES_PER_VALUE - entering
        peak = max(peak, live + max(made, within.get(node.owner, 0)))
        unused = sum(sizes[tensor] for tensor in node.outputs if tensor not in last) if node.inputs else 0
        live += made - unused - sum(sizes[tensor] for tensor in dying.get(number, ()))
    return peak * BYTES_PER_VALUE
