"""The memory that a model takes while it runs, and while it is trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from specdsl import counts
from specdsl.analyses.counting import Analysis, tensor_bytes, value_bytes
from specdsl.counts import Size
from specdsl.functional import Functional
from specdsl.graph import Graph, Node, Tensor
from specdsl.layers.dtypes import BYTES, policy
from specdsl.layers.facts import NOTHING_KEPT, Kept


def peak_activation_bytes(analysis: Analysis) -> Size:
    """The most memory that activations take at once in inference of one example; None if a size is unknown.

    Layers run in the order of the graph. A tensor is there from the layer that makes it until the last layer that
    takes it has run; an input is there from the beginning, an output until the end. While a layer runs, its inputs and
    its outputs are both there; what it needs beside them, such as a convolution's work space, is not counted. A model
    in a wrapper runs for one step at a time. Layers that state no type compute in the precision of the regime, those of
    models within too.
    """
    return _peak(analysis, analysis.regime.precision)


def _peak(analysis: Analysis, precision: str) -> Size:
    graph = analysis.graph
    sizes = _sizes(graph, precision)
    if sizes is None:
        return None
    last: dict[Tensor, int] = {tensor: number for number, node in enumerate(graph.nodes) for tensor in node.sources}
    last |= dict.fromkeys(graph.outputs, len(graph.nodes))
    dying: dict[int, list[Tensor]] = {}
    for tensor, place in last.items():
        dying.setdefault(place, []).append(tensor)
    within: dict[str, int] = {}
    live = sum(sizes[tensor] for node in graph.input_nodes for tensor in node.outputs)
    peak = live
    for number, layer in enumerate(analysis.layers):
        node = layer.node
        made = sum(sizes[tensor] for tensor in node.outputs) if node.inputs else 0
        if layer.inner:
            inner = _peak(layer.inner, precision)
            if inner is None:
                return None
            entering = sum(sizes[tensor] for tensor in node.inputs) if isinstance(node.layer, Functional) else 0
            within[node.owner] = inner - entering
        peak = max(peak, live + max(made, within.get(node.owner, 0)))
        unused = sum(sizes[tensor] for tensor in node.outputs if tensor not in last) if node.inputs else 0
        live += made - unused - sum(sizes[tensor] for tensor in dying.get(number, ()))
    return peak


def inference_bytes(analysis: Analysis) -> Size:
    """The most memory that a model takes in inference: its weights, and the activations of each example of a batch."""
    peak = peak_activation_bytes(analysis)
    return None if peak is None else analysis.totals.weight_bytes + analysis.regime.batch * peak


class TrainingMemory(NamedTuple):
    """The most memory that a step of training takes, in bytes.

    Attributes:
        weights: the parameters.
        gradients: one for each trainable one, of its type.
        slots: what the optimizer keeps from step to step for each of these, of its type.
        activations: the peak of activations and of their gradients for one example, None if a size is unknown.
        batch: examples in a step.
    """

    weights: int
    gradients: int
    slots: int
    activations: Size
    batch: int

    @property
    def total(self) -> Size:
        """All of it."""
        if self.activations is None:
            return None
        return self.weights + self.gradients + self.slots + self.batch * self.activations

    @property
    def formula(self) -> str:
        """The derivation: `392,620 + 391,852 + 783,704 + 128·304,320`."""
        return (
            f"{self.weights:,} + {self.gradients:,} + {self.slots:,} + {self.batch}·{counts.number(self.activations)}"
        )


def training_memory(analysis: Analysis) -> TrainingMemory:
    """The most memory that a step of training takes.

    Weights, gradients and what the optimizer keeps are there all the time. Of activations there is what
    `training_activation_bytes` finds. Labels, and what a layer needs while it runs, are not counted.
    """
    totals, optimizer = analysis.totals, analysis.regime.optimizer
    slots = sum(
        value_bytes(weight)
        * optimizer.slots(f"{layer.node.owner}/{weight.name}", tuple(size or 0 for size in weight.shape))
        for layer in analysis.layers
        for weight in layer.weights
        if weight.trainable
    )
    gradients = sum(
        value_bytes(weight) * (weight.count.value or 0)
        for layer in analysis.layers
        for weight in layer.weights
        if weight.trainable
    )
    return TrainingMemory(
        totals.weight_bytes,
        gradients,
        slots,
        training_activation_bytes(analysis),
        analysis.regime.training_batch,
    )


def training_activation_bytes(analysis: Analysis) -> Size:
    """The most memory that activations and their gradients take at once when one example is learned from.

    The layers run in the order of the graph, and then backwards. A tensor is there from the layer that makes it, or
    from the beginning if it is an input, until the last layer that takes it has run; where a layer keeps it
    (`Layer.kept`), until that one has run backwards. Its gradient is there from the first layer that contributes to it
    until the layer that made it has run backwards. Layers with no trained weight in them or before them keep nothing,
    and do not run backwards. None if a size is unknown.
    """
    peaks = _training_peaks(analysis, frozenset(), {}, analysis.regime.precision)
    return max(peaks) if peaks else None


class _Peaks(NamedTuple):
    """The most that is there at once while the layers run, and while they run backwards."""

    forward: int
    backward: int


class _Course:
    """A step of training: the nodes run one after the other, and then backwards, with one moment between the two."""

    def __init__(self, nodes: int) -> None:
        self.nodes = nodes
        self.change = [0] * (2 * nodes + 1)

    def back(self, number: int) -> int:
        """The moment at which a node runs backwards."""
        return 2 * self.nodes - 1 - number

    def there(self, size: int, begin: int, end: int) -> None:
        """So many bytes are there from one moment until after another."""
        self.change[begin] += size
        self.change[end + 1] -= size

    def peaks(self) -> _Peaks:
        """The most that is there at once."""
        live = list(accumulate(self.change[:-1]))
        return _Peaks(max(live[: self.nodes]), max(live[self.nodes :]))


def _training_peaks(
    analysis: Analysis, asked: frozenset[Tensor], known: dict[int, _Peaks | None], precision: str
) -> _Peaks | None:
    """The peaks of a model, of whose inputs those `asked` for need a gradient; None if a size is unknown."""
    graph, sizes = analysis.graph, _sizes(analysis.graph, precision)
    learning = _learning(analysis, asked)
    kept = _kept(graph, learning)
    if sizes is None or kept is None:
        return None
    course = _Course(len(graph.nodes))
    _lay_tensors(course, graph, sizes, kept, learning)
    for number, (layer, keeps) in enumerate(zip(analysis.layers, kept, strict=True)):
        node, back = layer.node, course.back(number)
        if not node.inputs:
            continue
        more = (keeps.more.value or 0) * BYTES[policy(node.layer.dtype or precision).compute]
        course.there(more, number, back)
        if not isinstance(node.layer, Functional):
            continue
        if layer.inner:
            inner_asked = _asked_within(node, layer.inner.graph, learning)
            known[id(node.layer.graph)] = _training_peaks(layer.inner, inner_asked, known, precision)
        peaks = known[id(node.layer.graph)]
        if peaks is None:
            return None
        around = {*node.inputs, *node.outputs}
        course.there(max(0, peaks.forward - more - _sum(sizes, around)), number, number)
        if not learning.isdisjoint(node.outputs):
            held = {*(node.inputs if keeps.inputs else ()), *(node.outputs if keeps.outputs else ())}
            counted = more + _sum(sizes, held) + _sum(sizes, around & learning)
            course.there(max(0, peaks.backward - counted), back, back)
    return course.peaks()


def _lay_tensors(
    course: _Course, graph: Graph, sizes: Mapping[Tensor, int], kept: Sequence[Kept], learning: frozenset[Tensor]
) -> None:
    """Put all tensors of a model and their gradients on a course, each for as long as it is there."""
    begins = {tensor: number for number, node in enumerate(graph.nodes) for tensor in node.outputs}
    ends = dict(begins)
    first_gradient: dict[Tensor, int] = {}
    for number, (node, keeps) in enumerate(zip(graph.nodes, kept, strict=True)):
        back = course.back(number)
        for tensor in node.sources:
            ends[tensor] = max(ends[tensor], number)
        for tensor in (*(node.sources if keeps.inputs else ()), *(node.outputs if keeps.outputs else ())):
            ends[tensor] = max(ends[tensor], back)
        if node.inputs and not learning.isdisjoint(node.outputs):
            first_gradient |= dict.fromkeys(node.sources, back)  # the last layer that takes it comes first
    for tensor in graph.outputs:
        ends[tensor] = max(ends[tensor], course.nodes)
        first_gradient[tensor] = course.nodes
    for tensor, begin in begins.items():
        course.there(sizes[tensor], begin if graph.by_name[tensor.node].inputs else 0, ends[tensor])
        if tensor in learning and tensor in first_gradient:
            course.there(sizes[tensor], first_gradient[tensor], course.back(begin))


def _asked_within(node: Node, inner: Graph, learning: frozenset[Tensor]) -> frozenset[Tensor]:
    """Of the inputs of the model that a node applies, those that need a gradient."""
    return frozenset(
        within
        for tensor, entering in zip(node.inputs, inner.input_nodes, strict=True)
        for within in entering.outputs
        if tensor in learning
    )


def _sum(sizes: Mapping[Tensor, int], tensors: Iterable[Tensor]) -> int:
    return sum(sizes[tensor] for tensor in tensors)


def _learning(analysis: Analysis, asked: Iterable[Tensor]) -> frozenset[Tensor]:
    """The tensors that need a gradient: a weight is trained before them, or one of the inputs asked for enters."""
    trained = {layer.node.owner for layer in analysis.layers if any(one.trainable for one in layer.weights)}
    found = set(asked)
    for node in analysis.graph.nodes:
        if node.owner in trained or any(tensor in found for tensor in node.sources):
            found.update(node.outputs)
    return frozenset(found)


def _kept(graph: Graph, learning: frozenset[Tensor]) -> list[Kept] | None:
    """What each layer keeps for its gradients, nothing where none is needed; None if a size is unknown."""
    kept = [
        graph.applied(node).kept(*graph.input_shapes(node)) if node.inputs else NOTHING_KEPT for node in graph.nodes
    ]
    if any(one.more.value is None for one in kept):
        return None
    return [
        NOTHING_KEPT if learning.isdisjoint(node.outputs) else keeps
        for node, keeps in zip(graph.nodes, kept, strict=True)
    ]


def _sizes(graph: Graph, precision: str = "float32") -> Mapping[Tensor, int] | None:
    """The memory of each tensor for one example; None if a size is unknown.

    Args:
        graph: the model.
        precision: the policy of layers that state no type; it is that of what they make of floats.
    """
    sizes: dict[Tensor, int] = {}
    for node in graph.nodes:
        free = bool(node.inputs) and node.layer.dtype is None
        for tensor, shape, dtype in zip(node.outputs, node.shapes, node.dtypes, strict=True):
            size = tensor_bytes(shape, policy(precision).compute if free and dtype == "float32" else dtype)
            if size is None:
                return None
            sizes[tensor] = size
    return sizes
