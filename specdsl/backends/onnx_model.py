"""A Keras model as ONNX, by Keras's own exporter, and checked in onnxruntime before it is given away."""

from __future__ import annotations

import logging
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from specdsl.functional import models_within
from specdsl.graph import Graph
from specdsl.layers import InputLayer
from specdsl.layers.core import Embedding

NEEDS = ("onnx", "onnxruntime", "tf2onnx")
"""The packages that the extra `onnx` brings."""

EXAMPLES = 2
"""How many examples both models are compared on."""

SIZES = (8, 12, 5)
"""What sizes that are unknown until run time are tried with."""


class OnnxError(Exception):
    """Keras's exporter cannot do this model, or what it makes does not compute the same."""


def to_onnx(graph: Graph, model: Any) -> bytes:
    """The ONNX file of a graph's Keras model, with the graph's names for inputs and outputs.

    Args:
        graph: the model.
        model: what it compiles to in Keras, with TensorFlow as its back end.

    Raises:
        ModuleNotFoundError: one of the packages that it takes is not there.
        OnnxError: the exporter has no ONNX for a layer, or onnxruntime computes something else than Keras.
    """
    feeds, wanted = _run(graph, model)
    return _onnx(model, [node.owner for node in graph.nodes], list(map(str, graph.outputs)), feeds, wanted)


def model_to_onnx(model: Any, examples: Any) -> bytes:
    """The ONNX file of a Keras model of one input and one output, checked on examples.

    Args:
        model: the model, with TensorFlow as its back end.
        examples: (n, *shape), what it is compared on.

    Raises:
        ModuleNotFoundError: one of the packages that it takes is not there.
        OnnxError: the exporter has no ONNX for a layer, or onnxruntime computes something else than Keras.
    """
    wanted = np.asarray(model(examples, training=False))
    feeds = {model.inputs[0].name: examples}
    return _onnx(model, [layer.name for layer in model.layers], list(model.output_names), feeds, [wanted])


def _onnx(model: Any, owners: Sequence[str], outputs: Sequence[str], feeds: dict[str, Any], wanted: list[Any]) -> bytes:
    """The ONNX file of a model that has been called.

    Args:
        model: the model.
        owners: the names of its layers.
        outputs: what to call its outputs.
        feeds: examples by the names of inputs; none where there are none to compare.
        wanted: what Keras makes of them.
    """
    import onnx
    import onnxruntime

    _teach_erfc()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
        try:
            model.export(path, format="onnx", verbose=False)
        except ImportError as error:
            raise OnnxError(f"Keras's exporter cannot do this model: {error}") from None
        except Exception as error:  # whatever the exporter, TensorFlow or the file format fails with
            raise OnnxError(f"Keras's exporter cannot do this model: {_first_line(error)}") from None
        made = onnx.load(path)
    _name(outputs, made)
    if unknown := sorted({node.op_type for node in _nodes(made.graph) if not onnx.defs.has(node.op_type, node.domain)}):
        places = {_layer(owners, node.name) for node in _nodes(made.graph) if node.op_type in unknown} - {""}
        where = f" in {', '.join(sorted(places))}" if places else ""
        raise OnnxError(f"Keras's exporter has no ONNX for {', '.join(unknown)}{where}")
    data: bytes = made.SerializeToString()
    try:
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
        got = session.run(None, feeds) if feeds else []
    except Exception as error:  # onnxruntime has a class of its own for each of its failures
        raise OnnxError(f"onnxruntime cannot run what Keras's exporter makes: {_first_line(error)}") from None
    for name, one, other in zip(outputs, wanted, got, strict=False):
        near = one.shape == other.shape and np.allclose(one, other, 1e-3, 1e-5 * _greatest(one), equal_nan=True)
        if not near:
            raise OnnxError(f"what Keras's exporter makes does not compute the same as Keras for the output '{name}'")
    return data


def _run(graph: Graph, model: Any) -> tuple[dict[str, Any], list[Any]]:
    """Examples by the names of inputs, and what Keras makes of them; none where no sizes that are tried fit.

    Raises:
        OnnxError: Keras fails at the model for another reason than sizes that are unknown until run time.
    """
    model(model.inputs)  # Keras exports no model that has never been called
    unknown = any(None in node.shape for node in graph.input_nodes)
    for size in SIZES:
        feeds = _examples(graph, size)
        try:
            made = model(list(feeds.values()) if len(feeds) > 1 else next(iter(feeds.values())), training=False)
        except Exception as error:  # TensorFlow has a class of its own for each of its failures
            if unknown and isinstance(error, _refusals()):  # sizes that do not fit each other, such as of a Reshape
                continue
            raise OnnxError(f"Keras cannot carry out this model: {_first_line(error)}") from None
        return feeds, [np.asarray(one) for one in (made if isinstance(made, list | tuple) else [made])]
    return {}, []


def _refusals() -> tuple[type[Exception], ...]:
    """What Keras and TensorFlow, which is loaded when a model runs, raise for shapes that do not fit."""
    return (ValueError, sys.modules["tensorflow"].errors.InvalidArgumentError)


def _examples(graph: Graph, size: int) -> dict[str, Any]:
    """Numbers for each input: normal ones, and integers that every embedding knows."""
    random = np.random.default_rng(0)
    within = (graph, *(one.graph for one in models_within(graph)))
    known = [node.layer.input_dim for one in within for node in one.nodes if isinstance(node.layer, Embedding)]
    feeds: dict[str, Any] = {}
    for node in graph.input_nodes:
        assert isinstance(node.layer, InputLayer)
        shape = (EXAMPLES, *(size if one is None else one for one in node.shape))
        dtype = node.layer.dtype
        numbers = random.normal(size=shape) if "float" in dtype else random.integers(0, min(known, default=2), shape)
        feeds[node.name] = numbers.astype(dtype)
    return feeds


def _teach_erfc() -> None:
    """Let tf2onnx write `erfc(x)`, which TensorFlow computes `gelu` by, as `1 - erf(x)`."""
    from tf2onnx import constants, handler, onnx_opset, utils

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    assert onnx_opset, "which has the operations that are known already"
    if "Erfc" in handler.tf_op.get_opsets()[constants.ONNX_DOMAIN][-1]:
        return

    @handler.tf_op("Erfc")
    class _Erfc:
        @classmethod
        def version_9(cls, ctx: Any, node: Any, **kwargs: Any) -> None:
            """As two operations of ONNX, both there since version 9."""
            shape, dtype = ctx.get_shape(node.output[0]), ctx.get_dtype(node.output[0])
            one = ctx.make_const(utils.make_name("one"), np.ones((), utils.map_onnx_to_numpy_type(dtype)))
            error = ctx.make_node("Erf", node.input, shapes=[shape], dtypes=[dtype])
            ctx.remove_node(node.name)
            operands = [one.output[0], error.output[0]]
            ctx.make_node("Sub", operands, outputs=node.output, name=node.name, shapes=[shape], dtypes=[dtype])


def _nodes(graph: Any) -> Iterator[Any]:
    """The operations of an ONNX graph, those in branches and loops too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)


def _name(outputs: Sequence[str], made: Any) -> None:
    """Give the outputs their names, and the first axis that of the batch."""
    taken = {value.name for value in made.graph.input}
    for wanted, output in zip(outputs, made.graph.output, strict=True):
        name = wanted if wanted not in taken else f"output of {wanted}"
        taken.add(name)
        if output.name not in {value.name for value in made.graph.input}:
            made.graph.node.add(op_type="Identity", input=[output.name], output=[name], name=f"name {name}")
            output.name = name
    for value in (*made.graph.input, *made.graph.output):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"


def _layer(owners: Sequence[str], name: str) -> str:
    """The layer that an operation comes from, "" where its name does not tell."""
    parts = name.split("/")
    exact = [one for one in owners if any(re.fullmatch(rf"{re.escape(one)}(_\d+)?", part) for part in parts)]
    return max(exact, key=len, default="")


def _greatest(values: Any) -> float:
    """The size of the greatest value, at least 1, which rounding is measured by."""
    return max(1.0, float(np.max(np.abs(np.nan_to_num(values.astype("float64"))), initial=0)))


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
