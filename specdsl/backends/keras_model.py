"""A graph as a Keras functional model: the only file of the compiler that imports Keras."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras

from specdsl.declaration import Declaration
from specdsl.graph import Graph
from specdsl.layers import InputLayer, Layer
from specdsl.layers.objects import KerasObject


def build(graph: Graph) -> keras.Model:
    """The Keras functional model of a graph, not compiled; layers and model bear the graph's names."""
    _keep_names([node.name for node in graph.nodes])
    tensors: dict[str, Any] = {}
    for node in graph.nodes:
        if isinstance(node.layer, InputLayer):
            tensors[node.name] = keras.Input(shape=node.layer.shape, dtype=node.layer.dtype, name=node.name)
        else:
            inputs = [tensors[name] for name in node.inputs]
            takes_list = node.layer.arity != (1, 1)
            tensors[node.name] = keras_layer(node.layer, node.name)(inputs if takes_list else inputs[0])
    inputs = [tensors[node.name] for node in graph.input_nodes]
    outputs = [tensors[name] for name in graph.outputs]
    return keras.Model(_alone(inputs), _alone(outputs), name=graph.name)


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
    named = {"name": name} if name else {}
    return getattr(keras.layers, type(layer).__name__)(**_arguments(layer), **named)


def _arguments(declaration: Declaration) -> dict[str, Any]:
    return {name: _value(value) for name, value in declaration.arguments().items()}


def _value(value: Any) -> Any:
    if isinstance(value, KerasObject):
        return getattr(getattr(keras, value.module), type(value).__name__)(**_arguments(value))
    return value


def _alone(tensors: list[Any]) -> Any:
    return tensors[0] if len(tensors) == 1 else tensors
