"""Weights, parameters, work, memory of weights, depth and behaviour, layer by layer and in all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from specdsl.counts import Count, Size, total
from specdsl.functional import Functional, models_in
from specdsl.graph import Graph, Node, longest_path
from specdsl.layers import InputLayer, Layer, Modes, Shape, Weight
from specdsl.layers.dtypes import BYTES
from specdsl.recipes.optimizers import Adam, Optimizer
from specdsl.recipes.training import Precision


@dataclass(frozen=True, slots=True)
class LayerAnalysis:
    """What is known of one layer.

    Attributes:
        node: the layer in its graph.
        weights: its variables.
        count: the number of its parameters with the derivation; non-trainable ones included.
        params: the number of its parameters.
        trainable: the number of those that training changes by gradient.
        macs: multiply-accumulates of matrix products and convolutions for one example; additions of a bias, pooling,
            normalisation and activations are not counted.
        operations: operations on single values beside those, for one example, in inference: additions of a bias,
            activations, normalisation, pooling, merges.
        modes: how training differs from inference, None where it does not.
        shared: whether the layer stands in the model before, so that its parameters are counted there.
        inner: for a model that stands here first, alone or in a wrapper, what is known of it.
    """

    node: Node
    weights: tuple[Weight, ...]
    count: Count
    params: int
    trainable: int
    macs: Count
    operations: Count
    modes: Modes | None
    shared: bool = False
    inner: Analysis | None = None

    @property
    def non_trainable(self) -> int:
        """The number of parameters that no gradient changes."""
        return self.params - self.trainable

    @property
    def flops(self) -> Size:
        """Floating-point operations for one example, in inference: two for each MAC, and the other operations."""
        return (2 * self.macs + self.operations).value


class Totals(NamedTuple):
    """The sums over a model.

    Attributes:
        params: parameters.
        trainable: those that training changes by gradient.
        non_trainable: those that it does not.
        macs: multiply-accumulates for one example, None when they depend on a size unknown until run time.
        flops: floating-point operations for one example, in inference, None likewise: two for each MAC, and one for
            each other operation on single values.
        weight_bytes: memory of the parameters in the types that they are kept in.
        largest_activation: the name of the layer with the largest output, None when a size is unknown.
        largest_activation_bytes: memory of that output for one example.
        depth: layers that multiply, on the path from an input to an output that has most of them.
        layers: layers, each once however often it is applied, inputs not counted; of a model within the model its own.
        params_by_dtype: the parameters by the type that they are kept in.
    """

    params: int
    trainable: int
    non_trainable: int
    macs: Size
    flops: Size
    weight_bytes: int
    largest_activation: str | None
    largest_activation_bytes: Size
    depth: int
    layers: int
    params_by_dtype: Mapping[str, int]


class Regime(NamedTuple):
    """How a model is run, as far as its memory depends on it.

    Attributes:
        batch: examples at once in inference.
        training_batch: examples in a step of training.
        optimizer: what takes the steps.
        precision: the policy, in training and in inference, of layers that state no type: mixed ones keep weights in
            32 bits.
    """

    batch: int = 1
    training_batch: int = 128
    optimizer: Optimizer = Adam()
    precision: Precision = "float32"


class Analysis(NamedTuple):
    """What is known of a model: layer by layer, and in all; and how it is to be run."""

    graph: Graph
    layers: tuple[LayerAnalysis, ...]
    totals: Totals
    regime: Regime = Regime()


def analyse(graph: Graph, regime: Regime | None = None, *, frozen: bool = False) -> Analysis:
    """Everything that follows from a graph, in time linear in its size.

    Args:
        graph: the model.
        regime: how it is run.
        frozen: whether it is a part of another one that does not train it.
    """
    layers = tuple(analyse_layer(graph, node, frozen=frozen) for node in graph.nodes)
    return Analysis(graph, layers, _totals(graph, layers), regime or Regime())


def analyse_layer(graph: Graph, node: Node, *, frozen: bool = False, within: bool = True) -> LayerAnalysis:
    """Everything that follows from one layer.

    Args:
        graph: the model that it stands in.
        node: the layer there.
        frozen: whether the model is a part of another one that does not train it.
        within: whether what is known of a model that stands here is wanted too.
    """
    shapes, layer = graph.input_shapes(node), graph.applied(node)
    layer = layer.frozen() if frozen else layer
    shared = graph.first_uses[node.owner] != node.name
    weights = () if shared else layer.variables(*shapes)
    count = Count(tuple(weight.shape for weight in weights))
    trainable = Count(tuple(weight.shape for weight in weights if weight.trainable))
    return LayerAnalysis(
        node=node,
        weights=weights,
        count=count,
        params=_known(count.value),
        trainable=_known(trainable.value),
        macs=layer.macs(*shapes),
        operations=layer.operations(*shapes),
        modes=_modes(layer, node),
        shared=shared,
        inner=_within(layer) if within and not shared else None,
    )


def _within(layer: Layer) -> Analysis | None:
    """What is known of the model that a layer is, or is made around."""
    model = next(models_in(layer), None)
    return analyse(model.graph, frozen=not (model.trainable and layer.trainable)) if model else None


def _modes(layer: Layer, node: Node) -> Modes | None:
    """How training differs from inference, where the call does not say which of them it is to be."""
    modes = layer.modes()
    match node.options.get("training"):
        case True if modes:
            return Modes(modes.training, "acts as in training (training=true)")
        case False:
            return None
    return modes


def _known(value: Size) -> int:
    assert value is not None, "resolution refuses weights of unknown size"
    return value


def _totals(graph: Graph, layers: tuple[LayerAnalysis, ...]) -> Totals:
    params = sum(layer.params for layer in layers)
    trainable = sum(layer.trainable for layer in layers)
    by_dtype = _by_dtype(layers)
    largest, largest_bytes = _largest(layers)
    return Totals(
        params=params,
        trainable=trainable,
        non_trainable=params - trainable,
        macs=total(layer.macs for layer in layers),
        flops=_sum(layer.flops for layer in layers),
        weight_bytes=sum(number * BYTES[dtype] for dtype, number in by_dtype.items()),
        largest_activation=largest,
        largest_activation_bytes=largest_bytes,
        depth=longest_path(graph, lambda node: graph.applied(node).depth(*graph.input_shapes(node))),
        layers=sum(_number_of_layers(layer) for layer in layers),
        params_by_dtype=by_dtype,
    )


def _by_dtype(layers: tuple[LayerAnalysis, ...]) -> Mapping[str, int]:
    """The number of parameters of each type, most first."""
    found: dict[str, int] = {}
    for layer in layers:
        for weight in layer.weights:
            dtype = weight.dtype or "float32"
            found[dtype] = found.get(dtype, 0) + _known(weight.count.value)
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def _sum(counts: Iterable[Size]) -> Size:
    known = list(counts)
    return None if None in known else sum(count for count in known if count is not None)


def _largest(layers: tuple[LayerAnalysis, ...]) -> tuple[str | None, Size]:
    """The layer with the largest output, those within a model included, and the memory of that output."""
    best: tuple[str | None, int] = (None, -1)
    for layer in layers:
        for shape, dtype in zip(layer.node.shapes, layer.node.dtypes, strict=True):
            size = tensor_bytes(shape, dtype)
            if size is None:
                return None, None
            if size > best[1]:
                best = (layer.node.name, size)
        if layer.inner:
            name, size = layer.inner.totals.largest_activation, layer.inner.totals.largest_activation_bytes
            if size is None:
                return None, None
            if size > best[1]:
                best = (f"{layer.node.owner}/{name}", size)
    return best


def _number_of_layers(layer: LayerAnalysis) -> int:
    if layer.inner:
        return layer.inner.totals.layers + int(not isinstance(layer.node.layer, Functional))
    return int(not layer.shared and not isinstance(layer.node.layer, InputLayer))


def values(shape: Shape) -> Size:
    """The number of values in a tensor, None when a size is unknown."""
    return None if None in shape else prod(size for size in shape if size is not None)


def value_bytes(weight: Weight) -> int:
    """The memory of one value of a variable."""
    return BYTES[weight.dtype or "float32"]


def tensor_bytes(shape: Shape, dtype: str) -> Size:
    """The memory of a tensor for one example, None when a size is unknown, as that of a string is."""
    size = values(shape)
    return None if size is None or dtype not in BYTES else size * BYTES[dtype]
