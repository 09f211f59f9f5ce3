"""The one place where the tests compare a whole graph with the Keras model that it compiles to."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from math import prod
from typing import Any
from unittest.mock import patch

import keras
import numpy as np

from specdsl import Graph
from specdsl.analyses import analyse
from specdsl.layers.activations import Softmax
from specdsl.layers.core import Embedding, Masking
from specdsl.layers.merging import Concatenate

Facts = Mapping[str, Any]


def compare_model(graph: Graph) -> keras.Model:
    """Check that a graph and its Keras model agree in all that can be known before anything runs.

    Returns:
        the Keras model.

    Raises:
        AssertionError: they disagree.
    """
    model = graph.to_keras()
    assert model.name == graph.name
    assert [_origin(tensor) for tensor in model.inputs] == [node.name for node in graph.input_nodes]
    assert [_origin(tensor) for tensor in model.outputs] == list(graph.outputs)
    ours, theirs = graph_facts(graph), model_facts(model)
    assert set(ours) == set(theirs)
    for name in ours:
        assert ours[name] == theirs[name], f"{name}\n  specdsl: {ours[name]}\n  keras:   {theirs[name]}"
    totals = analyse(graph).totals
    assert totals.params == model.count_params()
    assert totals.trainable == _parameters(model.trainable_weights)
    assert totals.non_trainable == _parameters(model.non_trainable_weights)
    compare_summary(graph, model)
    return model


def graph_facts(graph: Graph) -> dict[str, Facts]:
    """What a graph says of each layer, by its name."""
    return {
        layer.node.name: {
            "type": type(layer.node.layer).__name__,
            "shape": (None, *layer.node.shape),
            "inbound": layer.node.inputs,
            "weights": [(weight.name, weight.shape, weight.trainable) for weight in layer.weights],
            "parameters": layer.params,
            "trainable": layer.trainable,
            "non_trainable": layer.non_trainable,
        }
        for layer in analyse(graph).layers
    }


def model_facts(model: keras.Model) -> dict[str, Facts]:
    """What a Keras model says of each layer, by its name."""
    return {layer.name: _layer_facts(layer) for layer in model.layers}


def _layer_facts(layer: keras.Layer) -> Facts:
    (node,) = layer._inbound_nodes
    entering = node.arguments.args[0] if node.arguments.args else []  # a mask may enter too, by keyword
    trainable = {id(weight) for weight in layer.trainable_weights}
    return {
        "type": type(layer).__name__,
        "shape": tuple(layer.output.shape),
        "inbound": tuple(map(_origin, entering if isinstance(entering, list) else [entering])),
        "weights": [(weight.name, tuple(weight.shape), id(weight) in trainable) for weight in layer.weights],
        "parameters": layer.count_params(),
        "trainable": _parameters(layer.trainable_weights),
        "non_trainable": _parameters(layer.non_trainable_weights),
    }


def _origin(tensor: Any) -> str:
    return str(tensor._keras_history.operation.name)


def _parameters(weights: list[Any]) -> int:
    return sum(prod(weight.shape) for weight in weights)


# ---------------------------------------------------------------------------------------------- the summary's text


def compare_summary(graph: Graph, model: keras.Model) -> None:
    """Check that a graph agrees with the text that Keras prints of the model.

    Raises:
        AssertionError: it does not.
    """
    rows, totals = read_summary(model)
    analysis = analyse(graph)
    names = {node.name for node in graph.nodes}
    masks = set(rows) - names
    assert names <= set(rows)
    assert all(rows[name][2] == 0 for name in masks), "what only Keras has is the arithmetic of masks"
    assert masks.isdisjoint(layer.name for layer in model.layers)
    for layer in analysis.layers:
        kind, shape, parameters, inbound = rows[layer.node.name]
        assert kind == type(layer.node.layer).__name__
        assert shape == f"({', '.join(map(str, (None, *layer.node.shape)))})"
        assert parameters == layer.params
        assert inbound is None or tuple(name for name in inbound if name in names) == layer.node.inputs
    known = analysis.totals
    assert totals == {
        "Total params": known.params,
        "Trainable params": known.trainable,
        "Non-trainable params": known.non_trainable,
    }


def read_summary(model: keras.Model) -> tuple[dict[str, tuple[str, str, int, tuple[str, ...] | None]], dict[str, int]]:
    """The text of `model.summary()`: type, shape, parameters and inputs by layer, and the totals."""
    lines: list[str] = []
    with patch.dict(os.environ, COLUMNS="400"):  # the table is as wide as the terminal, whatever its line length
        model.summary(line_length=400, print_fn=lambda text: lines.extend(text.split("\n")))
    rows: dict[str, tuple[str, str, int, tuple[str, ...] | None]] = {}
    last = ""
    for line in lines:
        if not line.startswith("│"):
            continue
        head, shape, parameters, *rest = (cell.strip() for cell in line.strip("│").split("│"))
        inbound = tuple(re.findall(r"([^\s,]+)\[\d+\]\[\d+\]", rest[0])) if rest else None
        if not head:  # the list of a merge's inputs goes on
            kind, old_shape, old_parameters, before = rows[last]
            rows[last] = (kind, old_shape, old_parameters, (before or ()) + (inbound or ()))
            continue
        named = re.fullmatch(r"(.+) \((\w+)\)", head)
        assert named, head
        last = named[1]
        rows[last] = (named[2], shape, int(parameters.replace(",", "")), inbound)
    totals = re.findall(r"^ ?([A-Za-z-]+ params): ([\d,]+)", "\n".join(lines), re.MULTILINE)
    return rows, {name: int(number.replace(",", "")) for name, number in totals}


# ---------------------------------------------------------------------------------------------- running it


def runnable(graph: Graph) -> bool:
    """Whether the model can take any numbers.

    It cannot where a size is unknown, or something is looked up by what was computed. Tensors without axes are put
    behind each other by Concatenate as examples of a longer batch. And Keras's Softmax fails behind a Masking.
    """
    kinds = {type(node.layer) for node in graph.nodes}
    endless = any(None in node.shape for node in graph.nodes)
    longer = any(isinstance(node.layer, Concatenate) and not node.shape for node in graph.nodes)
    return not (endless or longer or Embedding in kinds or {Masking, Softmax} <= kinds)


def compare_run(graph: Graph, model: keras.Model, *, training: bool = False) -> None:
    """Check that every layer of the model, run on numbers, gives the predicted shape.

    Raises:
        AssertionError: one does not.
    """
    random = np.random.default_rng(0)
    inputs = [random.random((2, *node.shape), "float32") for node in graph.input_nodes]
    every = keras.Model(model.inputs, {node.name: model.get_layer(node.name).output for node in graph.nodes})
    values = every(inputs, training=training)
    for node in graph.nodes:
        value = values[node.name]
        assert tuple(value.shape) == (2, *node.shape), f"{node.name}: {tuple(value.shape)} for {node.shape}"
    alone = model(inputs if len(inputs) > 1 else inputs[0], training=training)
    outputs = [alone] if len(graph.outputs) == 1 else list(alone)
    assert [tuple(output.shape) for output in outputs] == [(2, *node.shape) for node in graph.output_nodes]


# ---------------------------------------------------------------------------------------------- emitted source


def build_emitted(source: str) -> keras.Model:
    """The model that emitted source builds, in a namespace of its own."""
    namespace: dict[str, Any] = {"__name__": "emitted"}
    exec(compile(source, "emitted.py", "exec"), namespace)
    model = namespace["build_model"]()
    assert isinstance(model, keras.Model)
    return model


def compare_emitted(graph: Graph, model: keras.Model) -> str:
    """Check that the Python source of a graph builds the same model: configuration, connections, weights.

    Returns:
        the source.

    Raises:
        AssertionError: it builds another one.
    """
    source = graph.to_python()
    emitted = build_emitted(source)
    assert configuration(emitted) == configuration(model), source
    assert _weights(emitted) == _weights(model), source
    assert model_facts(emitted) == model_facts(model), source
    return source


def configuration(model: keras.Model) -> Any:
    """The configuration of a model: layers, arguments, initializers, names, connections."""
    text = re.sub(r'"(not_equal|any|logical_\w+?)_\d+"', r'"\1"', model.to_json())  # masks, which Keras numbers
    return json.loads(text)


def _weights(model: keras.Model) -> list[tuple[str, tuple[int, ...], bool]]:
    return [(weight.path, tuple(weight.shape), weight.trainable) for weight in model.weights]
