"""What a report tells of a whole model: every form of it follows from the table `TOTALS`.

A total with a title stands in the forms for people; every total stands in data and in its schema, under its key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from typing_extensions import TypedDict

from specdsl.analyses import (
    Analysis,
    effective_stride,
    inference_bytes,
    intensity,
    peak_activation_bytes,
    receptive_field,
    training_memory,
)
from specdsl.backends.report.values import plain
from specdsl.backends.words import readable_bytes
from specdsl.counts import number
from specdsl.layers.shapes import show

CONVENTIONS = (
    "MACs are the multiply-accumulates of convolutions and matrix products for one example; "
    "additions of a bias, pooling, normalisation and activations are not counted. "
    "FLOPs count them in inference, one for each operation or function of a value, and two for each MAC."
)
"""What the numbers mean, under every report for people."""


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
