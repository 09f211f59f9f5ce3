"""A graph as a Keras functional model: the only file of the compiler that imports Keras."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras

from specdsl.declaration import Declaration
from specdsl.functional import Functional
from specdsl.graph import Graph, Grouped, Node, Tensor
from specdsl.layers import InputLayer, Layer
from specdsl.layers.inner import inner_names
from specdsl.layers.objects import KerasObject


def build(graph: Graph, name: str | None = None) -> keras.Model:
    """The Keras functional model of a graph, not compiled; layers and model bear the graph's names.

    Args:
        graph: the model.
        name: what to call it, by default as the graph is called.
    """
    _keep_names([name for node in graph.nodes for name in (node.name, node.owner)])
    layers: dict[str, Any] = {}
    tensors: dict[Tensor, Any] = {}
    for node in graph.nodes:
        if isinstance(node.layer, InputLayer):
            made = keras.Input(shape=node.layer.shape, dtype=node.layer.dtype, name=node.name)
        else:
            if node.owner not in layers:
                layers[node.owner] = keras_layer(node.layer, node.owner)
                if "training" in node.options:  # all uses of a layer say the same
                    _pin(layers[node.owner])
            made = _apply(layers[node.owner], node, graph, tensors)
        tensors.update(zip(node.outputs, keras.tree.flatten(made), strict=True))
    inputs = [tensors[node.outputs[0]] for node in graph.input_nodes]
    outputs = [tensors[tensor] for tensor in graph.outputs]
    with _deep(len(graph.nodes)):
        return keras.Model(_alone(inputs), _alone(outputs), name=name or graph.name)


def uncompiled(model: keras.Model) -> keras.Model:
    """The same model of one input and one output, on the same weights, without optimizer, loss and metrics."""
    with _deep(len(model.operations)):
        return keras.Model(model.input, model.output, name=model.name)


@contextmanager
def _deep(layers: int) -> Iterator[None]:
    """Let Keras walk so many layers, which it does by calls within calls, one for each layer of the longest path."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, before + 2 * layers))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _pin(layer: Any) -> None:
    """Make a layer act as in training, or as in inference, as its calls say.

    A functional model passes the `training` that it is called with on to each layer that has this argument, whatever
    the call of that layer said: `fit` and `predict` would undo `training=False`. It asks the layer which arguments to
    pass on. The model acts as the text says, then; but Keras has no place for this in a file.
    """
    layer._call_context_args = set(layer._call_context_args) - {"training"}


def _apply(layer: Any, node: Node, graph: Graph, tensors: Mapping[Tensor, Any]) -> Any:
    inputs = [tensors[tensor] for tensor in node.inputs]
    options = {name: _option(value, tensors) for name, value in graph.grouped(node).items()}
    return layer(inputs, **options) if node.layer.in_list else layer(*inputs, **options)


def _option(value: Grouped, tensors: Mapping[Tensor, Any]) -> Any:
    match value:
        case bool() | None:
            return value
        case Tensor():
            return tensors[value]
        case _:
            return [_option(item, tensors) for item in value]


def _keep_names(names: list[str]) -> None:
    """Keep Keras from giving these names to operations of its own, such as those that join masks in a Concatenate.

    Keras numbers its own names by stem; a name that is given does not count, and the second of two alike is refused.
    """
    for name in names:
        stem, _, digits = name.rpartition("_")
        stem, count = (stem, int(digits)) if stem and digits.isdecimal() and len(digits) < 7 else (name, 0)
        while keras.backend.get_uid(stem) <= count:
            pass


def keras_layer(layer: Layer, name: str | None = None) -> keras.Layer:
    """The Keras layer that a declaration stands for.

    Raises:
        ValueError: Keras refuses the arguments.
    """
    if isinstance(layer, Functional):
        model = build(layer.graph, name)
        if (
            not layer.trainable
        ):  # what is set on a model is set on all its layers, those that are frozen as they are too
            model.trainable = False
        return model
    named = {"name": name} if name else {}
    return getattr(keras.layers, layer.keras_name)(**_arguments(layer), **named)


def _arguments(declaration: Declaration) -> dict[str, Any]:
    return {name: _value(value) for name, value in declaration.arguments().items()}


def _value(value: Any) -> Any:
    if isinstance(value, Layer):
        return keras_layer(value, value.own_name)
    if isinstance(value, tuple) and value and isinstance(value[0], Layer):
        return [keras_layer(layer, name) for layer, name in zip(value, inner_names(value), strict=True)]
    if isinstance(value, KerasObject):
        return getattr(getattr(keras, value.module), type(value).__name__)(**_arguments(value))
    return value


def _alone(tensors: list[Any]) -> Any:
    return tensors[0] if len(tensors) == 1 else tensors
