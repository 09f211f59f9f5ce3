"""The one place where the tests compare a whole graph with the Keras model that it compiles to."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from specdsl import Graph
from specdsl.analyses import analyse
from specdsl.functional import Functional, models_in
from specdsl.graph import Tensor, option_tensors
from specdsl.layers import Layer
from specdsl.layers.activations import Softmax
from specdsl.layers.augmentation import Augmentation
from specdsl.layers.categories import Categorical
from specdsl.layers.core import Embedding, Masking, ReversibleEmbedding
from specdsl.layers.dtypes import FLOATS
from specdsl.layers.merging import Concatenate
from tests.keras.oracle import NO_KERNEL, numbers
from tests.keras.summary import compare_summary
from tests.keras.tally import TALLY, counted

Facts = Mapping[str, Any]


@counted("graphs")
def compare_model(graph: Graph) -> keras.Model:
    """Check that a graph and its Keras model agree in all that can be known before anything runs.

    Returns:
        the Keras model.

    Raises:
        AssertionError: they disagree.
    """
    model = graph.to_keras()
    compare_built(graph, model)
    compare_summary(graph, model)
    return model


def compare_built(graph: Graph, model: keras.Model, *, frozen: bool = False) -> None:
    """Check that a graph agrees with a Keras model: layers, connections, weights, totals, those of models within too.

    Raises:
        AssertionError: it does not.
    """
    assert [_origin(tensor, model)[0] for tensor in model.inputs] == [node.name for node in graph.input_nodes]
    assert [_origin(tensor, model) for tensor in model.outputs] == [_place(graph, tensor) for tensor in graph.outputs]
    ours, theirs = graph_facts(graph, frozen=frozen), model_facts(model)
    assert set(ours) == set(theirs)
    for name in ours:
        assert ours[name] == theirs[name], f"{name}\n  specdsl: {ours[name]}\n  keras:   {theirs[name]}"
    _compare_types(graph, model)
    analysis = analyse(graph, frozen=frozen)
    totals = analysis.totals
    assert totals.params == model.count_params()
    assert totals.trainable == _parameters(model.trainable_weights)
    assert totals.non_trainable == _parameters(model.non_trainable_weights)
    for layer in analysis.layers:
        if layer.inner:
            inner = model.get_layer(layer.node.owner)
            inner = getattr(inner, "layer", inner)  # of a wrapper
            compare_built(layer.inner.graph, inner, frozen=frozen or not next(models_in(layer.node.layer)).trainable)


def _compare_types(graph: Graph, model: keras.Model) -> None:
    """Check that the types of all tensors are those that Keras infers, where it infers them well.

    It says of most layers that they make floats, whatever enters, and of wrappers that they make what they compute in.
    What it says of layers behind those may follow from that. How it really is, `compare_run` tells.

    Raises:
        AssertionError: they are not.
    """
    inferred = {
        _origin(tensor, model): tensor.dtype
        for layer in model.layers
        for use in _uses(layer, model)
        for tensor in use.outputs
    }
    other: set[Tensor] = set()
    for node in graph.nodes:
        dtypes = tuple(inferred[_place(graph, tensor)] for tensor in node.outputs)
        if dtypes != node.dtypes:
            misled = any(tensor in other or graph.dtype(tensor) not in FLOATS for tensor in node.sources)
            within = isinstance(node.layer, Functional) or next(node.layer.layers_within(), None)
            assert misled or within, f"{node.name}\n  specdsl: {node.dtypes}\n  keras:   {dtypes}"
            other.update(node.outputs)


def _place(graph: Graph, tensor: Tensor) -> tuple[str, int, int]:
    """A tensor as Keras places it: the name of the layer, which of its applications, which of that one's outputs."""
    owner = graph.by_name[tensor.node].owner
    uses = [node.name for node in graph.nodes if node.owner == owner]
    return owner, uses.index(tensor.node), tensor.index


def graph_facts(graph: Graph, *, frozen: bool = False) -> dict[str, Facts]:
    """What a graph says of each layer, by its name."""
    facts: dict[str, dict[str, Any]] = {}
    for layer in analyse(graph, frozen=frozen).layers:
        node = layer.node
        if not layer.shared:
            facts[node.owner] = {
                "type": type(node.layer).__name__,
                "weights": _weights_of(
                    (_last(weight.name), weight.shape, weight.trainable, weight.dtype) for weight in layer.weights
                ),
                "parameters": layer.params,
                "trainable": layer.trainable,
                "non_trainable": layer.non_trainable,
                "calls": [],
            }
        options = {
            name: value if isinstance(value, bool) else [_place(graph, one) for one in option_tensors({name: value})]
            for name, value in node.options.items()
            if value is not False  # Keras notes this where nothing is said too
        }
        facts[node.owner]["calls"].append(
            {
                "shapes": [(None, *shape) for shape in node.shapes],
                "inbound": [_place(graph, tensor) for tensor in node.inputs],
                "options": options,
            }
        )
    return facts


def model_facts(model: keras.Model) -> dict[str, Facts]:
    """What a Keras model says of each layer, by its name."""
    return {layer.name: _layer_facts(layer, model) for layer in model.layers}


def _layer_facts(layer: keras.Layer, model: keras.Model) -> Facts:
    trainable = {id(weight) for weight in layer.trainable_weights}
    return {
        "type": type(layer).__name__,
        "weights": _weights_of(
            (_last(one.name), tuple(one.shape), id(one) in trainable, one.dtype) for one in layer.weights
        ),
        "parameters": layer.count_params(),
        "trainable": _parameters(layer.trainable_weights),
        "non_trainable": _parameters(layer.non_trainable_weights),
        "calls": [_call_facts(node, layer, model) for node in _uses(layer, model)],
    }


def _weights_of(weights: Iterable[tuple[str, Any, bool, Any]]) -> list[tuple[str, Any, bool, Any]]:
    """Weights in an order of their own: in a model, Keras has layers by their distance from the outputs."""
    return sorted(weights, key=str)


def _last(name: str) -> str:
    """A weight's own name, without those of the layers that it is in: these Keras puts into its path."""
    return name.rsplit("/", 1)[-1]


def _uses(layer: Any, model: keras.Model) -> list[Any]:
    """The applications of a layer in a model. A model has one more, which made itself."""
    inside = {id(node) for nodes in model._nodes_by_depth.values() for node in nodes}
    return [node for node in layer._inbound_nodes if id(node) in inside]


def _call_facts(node: Any, layer: Any, model: keras.Model) -> Facts:
    signature = inspect.signature(layer.call)
    names = list(signature.parameters)
    positional = [one for one in node.arguments.args if one is not None]
    entering = positional[0] if positional and isinstance(positional[0], list | tuple) else positional
    known = set(names) | {"training", "mask"}
    options = {
        name: value if isinstance(value, bool) else [_origin(one, model) for one in _tensors(value)]
        for name, value in node.arguments.kwargs.items()
        if name in known and value is not False and _tensors(value) and not _is_implied_mask(name, value, model)
    }
    default = signature.parameters["training"].default if "training" in names else None
    if "training" in layer._call_context_args and default is True:
        options.pop("training", None)  # Keras notes the default of layers that augment; the model's own goes before it
    return {
        "shapes": [tuple(output.shape) for output in node.outputs],
        "inbound": [_origin(one, model) for one in entering],
        "options": options,
    }


def _is_implied_mask(name: str, value: Any, model: keras.Model) -> bool:
    """Whether Keras itself passes a mask on, which the text does not say."""
    return (
        "mask" in name
        and value is not True
        and any(_origin(one, model)[0] not in {own.name for own in model.layers} for one in _tensors(value))
    )


def _tensors(value: Any) -> list[Any]:
    """The tensors that an option gives, without what stands for none."""
    return [one for one in keras.tree.flatten(value) if one is not None]


def _origin(tensor: Any, model: keras.Model) -> tuple[str, int, int]:
    """Where a tensor comes from: the name of the layer, which of its applications, which of that one's outputs."""
    operation, index, output = tensor._keras_history
    return str(operation.name), _uses(operation, model).index(operation._inbound_nodes[index]), output


def _parameters(weights: list[Any]) -> int:
    return sum(prod(weight.shape) for weight in weights)


# ---------------------------------------------------------------------------------------------- running it


def all_layers(graph: Graph) -> Iterator[Layer]:
    """The layers of a graph, those within models and wrappers too."""
    for node in graph.nodes:
        yield from layers_of(node.layer)


def layers_of(layer: Layer) -> Iterator[Layer]:
    """A layer and those within it."""
    waiting = [layer]
    while waiting:
        layer = waiting.pop()
        yield layer
        waiting += layer.layers_within()
        waiting += [node.layer for node in layer.graph.nodes] if isinstance(layer, Functional) else []


_LOOKING_UP = (Embedding, ReversibleEmbedding, Categorical)
"""Layers that look up or count what enters them, of which not all numbers can be."""


def runnable(graph: Graph) -> bool:
    """Whether the model can take any numbers.

    It cannot where a size is unknown, something is looked up by what was computed, or a GPU is asked for. Tensors
    without axes are put behind each other by Concatenate as examples of a longer batch. And Keras's Softmax fails
    behind a Masking.
    """
    kinds = {type(layer) for layer in all_layers(graph)}
    endless = any(None in shape for node in graph.nodes for shape in node.shapes)
    longer = any(isinstance(node.layer, Concatenate) and not node.shape for node in graph.nodes)
    looked_up = any(issubclass(kind, _LOOKING_UP) for kind in kinds) and not _of_words(graph)
    needs_gpu = any(
        True in (getattr(one, "use_cudnn", 0), getattr(one, "flash_attention", 0)) for one in all_layers(graph)
    )
    return not (endless or longer or looked_up or needs_gpu or {Masking, Softmax} <= kinds)


def _of_words(graph: Graph) -> bool:
    """Whether what is looked up or counted in a graph is what enters the model, and no float."""
    entering = {tensor for node in graph.input_nodes for tensor in node.outputs if graph.dtype(tensor) not in FLOATS}
    return all(
        entering.issuperset(node.inputs)
        for node in graph.nodes
        if any(isinstance(layer, _LOOKING_UP) for layer in layers_of(node.layer))
    )


def entering(graph: Graph) -> list[Any]:
    """Random values for the inputs of a model, in a batch of two."""
    random = np.random.default_rng(0)
    words = ["relu", "zeros"] if any(node.dtypes == ("string",) for node in graph.input_nodes) else [0, 0]
    return [numbers(random, (2, *node.shape), node.dtypes[0], words) for node in graph.input_nodes]


@counted("forward passes")
def compare_run(graph: Graph, model: keras.Model, *, training: bool = False) -> None:
    """Check that every layer of the model, run on numbers, gives the predicted shape and type.

    A few operations of TensorFlow do not run on a CPU for all types of floats; a model with one of these is left out.
    What augments images gives them out as they are in inference, not turned into the floats that it computes in.

    Raises:
        AssertionError: one does not.
    """
    inputs = entering(graph)
    tensors = {_origin(one, model): one for layer in model.layers for use in _uses(layer, model) for one in use.outputs}
    wanted = {str(tensor): tensor for node in graph.nodes for tensor in node.outputs}
    every = keras.Model(model.inputs, {name: tensors[_place(graph, tensor)] for name, tensor in wanted.items()})
    try:
        values = every(inputs, training=training)
    except tf.errors.OpError as error:
        if not re.search(NO_KERNEL, str(error)):
            raise
        TALLY["forward passes that TensorFlow lacks operations for"] += 1
        return
    for name, tensor in wanted.items():
        shape, dtype = graph.shape(tensor), graph.dtype(tensor)
        assert tuple(values[name].shape) == (2, *shape), f"{name}: {tuple(values[name].shape)} for {shape}"
        made = keras.backend.standardize_dtype(values[name].dtype)
        augments = any(isinstance(layer, Augmentation) for layer in layers_of(graph.by_name[tensor.node].layer))
        assert made == dtype or (augments and not training and made in FLOATS), f"{name}: {made} for {dtype}"
    alone = model(inputs if len(inputs) > 1 else inputs[0], training=training)
    outputs = [alone] if len(graph.outputs) == 1 else list(alone)
    assert [tuple(output.shape) for output in outputs] == [(2, *shape) for shape in graph.output_shapes]


# ---------------------------------------------------------------------------------------------- emitted source


def build_emitted(source: str) -> keras.Model:
    """The model that emitted source builds, in a namespace of its own."""
    namespace: dict[str, Any] = {"__name__": "emitted"}
    exec(compile(source, "emitted.py", "exec"), namespace)
    model = namespace["build_model"]()
    assert isinstance(model, keras.Model)
    return model


@counted("emitted sources")
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


def loses_a_policy(text: str) -> bool:
    """Whether a spec has a spatial dropout of mixed precision: Keras writes the type of its variables alone."""
    return re.search(r"SpatialDropout\dD\([^)]*dtype=\"mixed", text) is not None


def configuration(model: keras.Model) -> Any:
    """The configuration of a model: layers, arguments, initializers, names, connections."""
    text = re.sub(r'"(not_equal|any|cast|logical_\w+?)_\d+"', r'"\1"', model.to_json())  # masks, which Keras numbers
    return json.loads(text, object_hook=_without_drawn_seed)


def _without_drawn_seed(value: dict[str, Any]) -> dict[str, Any]:
    """What a layer is made of, save the seed that a RandomCrop draws for itself where it has none."""
    if value.get("class_name") == "RandomCrop":
        value["config"].pop("seed")
    return value


def _weights(model: keras.Model) -> list[tuple[str, tuple[int, ...], bool, str]]:
    return [(weight.path, tuple(weight.shape), weight.trainable, weight.dtype) for weight in model.weights]
