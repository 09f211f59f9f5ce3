"""What a report tells: a column for each fact of a layer, a total for each fact of a model.

Every form of the report follows from the two tables `COLUMNS` and `TOTALS`. An entry with a title stands in the forms
for people; every entry stands in the dictionary and in its schema, under its key.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

from typing_extensions import TypedDict

from specdsl.analyses import (
    Analysis,
    LayerAnalysis,
    effective_stride,
    inference_bytes,
    intensity,
    layer_traffic,
    peak_activation_bytes,
    receptive_field,
    sight,
    strides,
    training_memory,
)
from specdsl.analyses.receptive_field import Axis
from specdsl.backends.words import connections, names_itself, option_text, readable_bytes, shapes_text, type_name
from specdsl.counts import number
from specdsl.declaration import Declaration
from specdsl.functional import Functional
from specdsl.graph import SEPARATOR, Graph, Node, Option, Scope, Tensor
from specdsl.layers import InputLayer, Modes, Shape
from specdsl.layers.base import show

CONVENTIONS = (
    "MACs are the multiply-accumulates of convolutions and matrix products for one example; "
    "additions of a bias, pooling, normalisation and activations are not counted. "
    "FLOPs count them in inference, one for each operation or function of a value, and two for each MAC."
)
"""What the numbers mean, under every report for people."""


# ---------------------------------------------------------------------------------------------- rows


class Row(NamedTuple):
    """A layer where it stands in the report.

    Attributes:
        graph: the model that it stands in: the one reported, or one within it.
        layer: what is known of it.
        told: where its input comes from, "" where that is the output of the layer above.
        within: what a model within the model is called, with a "/" behind it; "" in the model itself.
        level: how many block instances and models it stands in.
        entered: the block instances that begin with it, outer ones first, and the level of each.
    """

    graph: Graph
    layer: LayerAnalysis
    told: str
    within: str
    level: int
    entered: tuple[tuple[Scope, int], ...]

    @property
    def node(self) -> Node:
        """The layer in its graph."""
        return self.layer.node


class Aside(NamedTuple):
    """What is said below the name of a layer.

    Attributes:
        text: the words.
        key: the column that tells the same where it is shown, "" where none does.
    """

    text: str
    key: str = ""


def asides(row: Row, shown: Collection[str] = ()) -> list[Aside]:
    """What is to be said of a layer beside its name, where only some columns are shown.

    Args:
        row: the layer's.
        shown: the keys of the columns that are.
    """
    node = row.node
    said: list[Aside] = []
    if not names_itself(node):
        said.append(Aside(type_name(node), "type"))
    if row.told:
        said.append(Aside(f"← {row.told}", "inbound"))
    if isinstance(node.layer, Functional) and node.layer.graph.parameters:
        said.append(Aside(str(node.layer)))
    if node.owner != node.name:
        said.append(Aside(f"applies {node.owner}"))
    flags = [f"{key}={option_text(value)}" for key, value in node.options.items() if isinstance(value, bool)]
    if flags:
        said.append(Aside(", ".join(flags)))
    return [one for one in said if one.key not in shown]


def block_name(instance: Scope) -> str:
    """A block instance's name within the one that encloses it."""
    return instance.name[len(instance.parent) + len(SEPARATOR) :] if instance.parent else instance.name


def own_rows(analysis: Analysis, within: str = "", base: int = 0) -> Iterator[Row]:
    """The rows of the layers in a model's own body; those of a model within the model without its inputs."""
    graph, told = analysis.graph, connections(analysis.graph)
    scope, level = "", base
    for layer in analysis.layers:
        node = layer.node
        if within and isinstance(node.layer, InputLayer):
            continue
        entered: tuple[tuple[Scope, int], ...] = ()
        if node.scope != scope:
            already = {instance.name for instance in graph.enclosing(scope)}
            around = list(reversed(list(graph.enclosing(node.scope))))
            entered = tuple((one, base + depth) for depth, one in enumerate(around) if one.name not in already)
            scope, level = node.scope, base + len(around)
        yield Row(graph, layer, told.get(node.name, ""), within, level, entered)


def rows(analysis: Analysis, within: str = "", base: int = 0) -> Iterator[Row]:
    """The rows of a model's layers, those of a model within it below the row where it stands first."""
    for row in own_rows(analysis, within, base):
        yield row
        if row.layer.inner:
            yield from rows(row.layer.inner, f"{within}{row.node.owner}/", row.level + 1)


def differing(analysis: Analysis, within: str = "") -> Iterator[tuple[str, Modes]]:
    """The layers that act differently in training and in inference, those of a model within behind its name."""
    for layer in analysis.layers:
        if layer.modes:
            yield f"{within}{layer.node.name}", layer.modes
        if layer.inner and "training" not in layer.node.options:
            yield from differing(layer.inner, f"{within}{layer.node.owner}/")


def alike_modes(analysis: Analysis) -> list[tuple[Modes, list[str]]]:
    """What layers do in training and in inference that act differently in the two, with the names of those alike."""
    alike: dict[Modes, list[str]] = {}
    for name, modes in differing(analysis):
        alike.setdefault(modes, []).append(name)
    return list(alike.items())


# ---------------------------------------------------------------------------------------------- facts of a layer


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


# ---------------------------------------------------------------------------------------------- facts of a model


class TrainingData(TypedDict):
    """The parts of the memory that a step of training takes."""

    optimizer: str
    batch: int
    weight_bytes: int
    gradient_bytes: int
    slot_bytes: int
    activation_bytes: int | None
    formula: str


class Total(NamedTuple):
    """A fact of a whole model.

    Attributes:
        key: what it is called in data.
        kind: the type that its value has in data.
        meaning: what it is, in a sentence without a full stop.
        value: the fact as plain data.
        title: what it is called for people; "" for one that data alone tell.
        text: its value in words.
        note: what is to be said beside it, given the value.
        part: whether it is a part of the total above it.
        optional: whether it is left out where the value is None.
    """

    key: str
    kind: Any
    meaning: str
    value: Callable[[Analysis], Any]
    title: str = ""
    text: Callable[[Any], str] = number
    note: Callable[[Any, Analysis], str] = lambda value, analysis: ""
    part: bool = False
    optional: bool = False


TOTALS: tuple[Total, ...] = (
    Total(
        "params", int, "parameters",
        lambda analysis: analysis.totals.params,
        "Parameters",
    ),
    Total(
        "trainable", int, "the parameters that training changes by gradient",
        lambda analysis: analysis.totals.trainable,
        "trainable", part=True,
    ),
    Total(
        "non_trainable", int, "the parameters that it does not",
        lambda analysis: analysis.totals.non_trainable,
        "non-trainable", note=lambda value, _: "moved by statistics or frozen" if value else "", part=True,
    ),
    Total(
        "macs", int | None, "multiply-accumulates for one example; null where a size is unknown",
        lambda analysis: analysis.totals.macs,
        "MACs", note=lambda value, _: "multiply-accumulates for one example",
    ),
    Total(
        "flops", int | None, "operations for one example in inference, two for each of `macs`",
        lambda analysis: analysis.totals.flops,
        "FLOPs", note=lambda value, _: "two for each MAC, one for each other operation",
    ),
    Total(
        "weight_bytes", int, "memory of the parameters in the types that they are kept in",
        lambda analysis: analysis.totals.weight_bytes,
        "Weights", readable_bytes, lambda value, analysis: f"{value:,} bytes{_kinds(analysis)}",
    ),
    Total(
        "params_by_dtype", dict[str, int], "the parameters by the type that they are kept in",
        lambda analysis: dict(analysis.totals.params_by_dtype),
    ),
    Total(
        "largest_activation", str | None, "the layer with the largest output, null where a size is unknown",
        lambda analysis: analysis.totals.largest_activation,
    ),
    Total(
        "largest_activation_bytes", int | None, "memory of that output for one example",
        lambda analysis: analysis.totals.largest_activation_bytes,
        "Largest activation", readable_bytes,
        lambda value, analysis: f"{analysis.totals.largest_activation}, one example"
                                if value is not None else "a size is unknown",
    ),
    Total(
        "peak_activation_bytes", int | None,
        "the most memory that activations take at once in inference of one example",
        peak_activation_bytes,
        "Peak of activations", readable_bytes,
        lambda value, _: "at once in inference" if value else "a size is unknown",
    ),
    Total(
        "inference_bytes", int | None, "memory of the weights and the activations of a batch in inference",
        inference_bytes,
        "Memory in inference", readable_bytes,
        lambda value, analysis: f"weights and activations, batch of {analysis.regime.batch}"
                                if value is not None else "a size is unknown",
    ),
    Total(
        "training_bytes", int | None,
        "memory of weights, gradients, the optimizer's slots and the activations of a batch in training",
        lambda analysis: training_memory(analysis).total,
        "Memory in training", readable_bytes,
        lambda value, analysis: _training_note(analysis) if value is not None else "a size is unknown",
    ),
    Total(
        "training", TrainingData, "the parts of `training_bytes`",
        lambda analysis: _training(analysis),
    ),
    Total(
        "intensity", float | None, "floating-point operations for each byte that inference moves, layer by layer",
        intensity,
        "Intensity", lambda value: f"{value:,.1f}", lambda value, _: "FLOPs for each byte moved", optional=True,
    ),
    Total(
        "receptive_field", list[int] | None,
        "what a place of the last feature map sees along each spatial axis, or null",
        lambda analysis: plain(receptive_field(analysis.graph)),
        "Receptive field", lambda value: show(tuple(value)), lambda value, _: "of the last feature map", optional=True,
    ),
    Total(
        "stride", list[float] | None,
        "how many places of the input lie between neighbours of the last feature map, along each spatial axis, or null",
        lambda analysis: plain(effective_stride(analysis.graph)),
        "Stride", lambda value: f"({', '.join(f'{step:g}' for step in value)}{',' * (len(value) == 1)})",
        lambda value, _: "of the last feature map, in places of the input", optional=True,
    ),
    Total(
        "depth", int, "layers that multiply, on the longest path",
        lambda analysis: analysis.totals.depth,
        "Depth", note=lambda value, _: "layers that multiply, on the longest path",
    ),
    Total(
        "layers", int, "layers, each once however often it is applied, inputs not counted",
        lambda analysis: analysis.totals.layers,
    ),
)  # fmt: skip
"""The facts of a model, in order."""


def _training(analysis: Analysis) -> TrainingData:
    memory = training_memory(analysis)
    return {
        "optimizer": str(analysis.regime.optimizer),
        "batch": memory.batch,
        "weight_bytes": memory.weights,
        "gradient_bytes": memory.gradients,
        "slot_bytes": memory.slots,
        "activation_bytes": memory.activations,
        "formula": memory.formula,
    }


def _kinds(analysis: Analysis) -> str:
    kinds = analysis.totals.params_by_dtype
    if len(kinds) < 2:
        return "".join(f" as {dtype}" for dtype in kinds)
    return ": " + ", ".join(f"{count:,} {dtype}" for dtype, count in kinds.items())


def _training_note(analysis: Analysis) -> str:
    memory, name = training_memory(analysis), type(analysis.regime.optimizer).__name__
    slots = f" + slots of {name}" if memory.slots else ""
    return f"weights + gradients{slots} + {memory.batch} · {readable_bytes(memory.activations)}"


class Told(NamedTuple):
    """A total in words: what, how much, and what is to be said beside it."""

    title: str
    amount: str
    note: str
    part: bool


def told_totals(analysis: Analysis) -> Iterator[Told]:
    """The totals that people are told."""
    for total in TOTALS:
        value = total.value(analysis) if total.title else None
        if total.title and not (total.optional and value is None):
            yield Told(total.title, total.text(value), total.note(value, analysis), total.part)


# ---------------------------------------------------------------------------------------------- values as data


def batched(shape: Shape) -> list[int | None]:
    """A shape with the batch axis before it, as data has it."""
    return [None, *shape]


def plain(value: Any) -> Any:
    """A value of the language as JSON has it; an object such as an initializer by its text."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Declaration) else value


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
