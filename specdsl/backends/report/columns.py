"""What a report tells of each layer: every form of it follows from the table `COLUMNS`.

A column with a title stands in the forms for people; every column stands in data and in its schema, under its key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from typing_extensions import TypedDict

from specdsl.analyses import (
    Analysis,
    LayerAnalysis,
    layer_traffic,
    sight,
    strides,
)
from specdsl.analyses.receptive_field import Axis
from specdsl.backends.report.rows import Row, own_rows
from specdsl.backends.report.values import batched, plain
from specdsl.backends.words import shapes_text, type_name
from specdsl.counts import number
from specdsl.functional import Functional
from specdsl.graph import Node, Option, Tensor


class WeightData(TypedDict):
    """A variable of a layer."""

    name: str
    shape: list[int]
    trainable: bool
    dtype: str


class ModesData(TypedDict):
    """How a layer acts in training and in inference."""

    training: str
    inference: str


class Column(NamedTuple):
    """A fact of a layer.

    Attributes:
        key: what it is called in data.
        kind: the type that its value has in data.
        meaning: what it is, in a sentence without a full stop.
        value: the fact as plain data.
        title: the heading above it for people; "" for one that data alone tell.
        text: the fact in words.
        right: whether it is aligned to the right, as numbers are.
        optional: whether it is left out where no layer has anything to say.
        beside: whether it is told with the column before it where room is scarce.
        room: the columns that a terminal has at least where it is shown there.
    """

    key: str
    kind: Any
    meaning: str
    value: Callable[[Row], Any]
    title: str = ""
    text: Callable[[Row], str] = lambda row: ""
    right: bool = False
    optional: bool = False
    beside: bool = False
    room: int = 0


ROOMY = 104
"""The columns of a terminal that has room for more than the least."""

COLUMNS: tuple[Column, ...] = (
    Column(
        "name", str, "what the application of the layer is called, unique in the model",
        lambda row: row.node.name,
        "Layer", lambda row: f"{row.within}{row.node.name}",
    ),
    Column(
        "type", str, "the Keras class of the layer, `Functional` for a model",
        lambda row: type_name(row.node),
        "Type", lambda row: type_name(row.node), room=ROOMY,
    ),
    Column(
        "block", str | None, "the block instance that it stands in, null in the model's own body",
        lambda row: row.node.scope or None,
    ),
    Column(
        "layer", str, "the layer whose weights it uses: its own name, or that of an earlier application",
        lambda row: row.node.owner,
    ),
    Column(
        "output_shape", list[int | None], "the shape of its first output; null for the batch and for unknown sizes",
        lambda row: batched(row.node.shape),
    ),
    Column(
        "output_shapes", list[list[int | None]], "the shapes of all its outputs",
        lambda row: list(map(batched, row.node.shapes)),
        "Output", lambda row: shapes_text(row.node),
    ),
    Column(
        "dtypes", list[str], "the types of the values of its outputs",
        lambda row: list(row.node.dtypes),
        "Values", lambda row: _other_types(row), optional=True,
    ),
    Column(
        "arguments", dict[str, Any], "its arguments that are not defaults; objects such as initializers by their text",
        lambda row: {name: plain(value) for name, value in _told(row.node).items()},
    ),
    Column(
        "options", dict[str, bool | str | list[str | None]], "what the call says beside tensors, such as `training`",
        lambda row: {name: _plain_option(value) for name, value in row.node.options.items()},
    ),
    Column(
        "params", int, "the number of its parameters, 0 where an earlier application has them",
        lambda row: row.layer.params,
        "Parameters", lambda row: derivation(row.layer), right=True,
    ),
    Column(
        "trainable", int, "the number of those that training changes by gradient",
        lambda row: row.layer.trainable,
        "Trainable", lambda row: number(row.layer.trainable), right=True, beside=True,
    ),
    Column(
        "non_trainable", int, "the number of those that it does not",
        lambda row: row.layer.non_trainable,
    ),
    Column(
        "weights", list[WeightData], "its variables, in Keras's order",
        lambda row: [{"name": one.name, "shape": list(one.shape), "trainable": one.trainable, "dtype": str(one.dtype)}
                     for one in row.layer.weights],
    ),
    Column(
        "formula", str, "the derivation of `params`, a sum of products of sizes",
        lambda row: row.layer.count.formula,
    ),
    Column(
        "macs", int | None, "multiply-accumulates for one example; null where a size is unknown",
        lambda row: row.layer.macs.value,
        "MACs", lambda row: number(row.layer.macs.value), right=True,
    ),
    Column(
        "macs_formula", str, "the derivation of `macs`; `?` stands for an unknown size",
        lambda row: row.layer.macs.formula,
    ),
    Column(
        "flops", int | None, "operations for one example in inference, two for each of `macs`",
        lambda row: row.layer.flops,
    ),
    Column(
        "bytes_moved", int | None, "the bytes that it reads and writes for one example in inference",
        lambda row: layer_traffic(row.graph, row.layer).bytes(1),
    ),
    Column(
        "intensity", float | None, "`flops` for each of `bytes_moved`, null where nothing moves or a size is unknown",
        lambda row: _intensity(row),
    ),
    Column(
        "receptive_field", list[int] | None,
        "what a place of its first output sees of the inputs along each spatial axis; null where it may be everything",
        lambda row: [axis.seen for axis in field] if (field := _field(row)) else None,
    ),
    Column(
        "stride", list[float] | None, "how many places of the inputs lie between neighbours of its first output",
        lambda row: list(strides(field)) if (field := _field(row)) else None,
    ),
    Column(
        "modes", ModesData | None, "how training differs from inference, null where it does not",
        lambda row: {"training": row.layer.modes.training, "inference": row.layer.modes.inference}
                    if row.layer.modes else None,
    ),
    Column(
        "inbound", list[str], "the tensors that it depends on; `a[1]` is the second output of `a`",
        lambda row: list(map(str, row.node.sources)),
        "Connected to", lambda row: row.told, optional=True, room=ROOMY,
    ),
    Column(
        "layers", "list[Layer] | None", "of a model within the model that stands here first, its layers",
        lambda row: layers_data(row.layer.inner) if row.layer.inner else None,
    ),
)  # fmt: skip
"""The facts of a layer, in the order of the columns."""


def told_columns(found: Sequence[Row], room: int | None = None) -> list[Column]:
    """The columns that people are told of rows.

    Args:
        found: the rows.
        room: the columns of text that there are; by default as many as are needed. What others tell
            stands then among the asides, or beside the column before.
    """
    return [
        column
        for column in COLUMNS
        if column.title
        and (room is None or (column.room <= room and not column.beside))
        and not (column.optional and not any(map(column.text, found)))
    ]


def untrained(layer: LayerAnalysis) -> str:
    """How many of the parameters are trained, where that is not all of them; "" where it is."""
    if not layer.non_trainable:
        return ""
    return f"{layer.trainable:,} trainable" if layer.trainable else "not trainable"


def _intensity(row: Row) -> float | None:
    moved = layer_traffic(row.graph, row.layer).bytes(1)
    return None if row.layer.flops is None or not moved else row.layer.flops / moved


def _field(row: Row) -> tuple[Axis, ...] | None:
    return sight(row.graph).fields[row.node.outputs[0]]


def _other_types(row: Row) -> str:
    """The types of a layer's outputs and weights, where these are not all float32."""
    kept = {str(weight.dtype) for weight in row.layer.weights} - set(row.node.dtypes)
    if {*row.node.dtypes, *kept} <= {"float32"}:
        return ""
    leaving = ", ".join(dict.fromkeys(row.node.dtypes))
    return f"{leaving}; weights {', '.join(sorted(kept))}" if kept else leaving


def derivation(layer: LayerAnalysis) -> str:
    """The parameters with their derivation; of a model within the model it stands with its own layers."""
    return number(layer.params) if layer.inner else layer.count.derivation


def layers_data(analysis: Analysis) -> list[dict[str, Any]]:
    """The layers of a model as plain data."""
    return [{column.key: column.value(row) for column in COLUMNS} for row in own_rows(analysis)]


def _told(node: Node) -> dict[str, Any]:
    """The arguments of a layer that are not defaults; of a model the values of its parameters too."""
    layer = node.layer
    return {**layer.graph.parameters, **layer.arguments()} if isinstance(layer, Functional) else layer.arguments()


def _plain_option(value: Option) -> bool | str | list[str | None]:
    if isinstance(value, bool):
        return value
    if isinstance(value, Tensor):
        return str(value)
    return [None if tensor is None else str(tensor) for tensor in value]
