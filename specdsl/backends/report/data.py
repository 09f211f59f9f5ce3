"""The report as plain data: the contract of `--format json`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from typing_extensions import TypedDict

from specdsl.analyses import Analysis
from specdsl.backends.report.columns import layers_data
from specdsl.backends.report.totals import CONVENTIONS, TOTALS
from specdsl.backends.report.values import batched, plain
from specdsl.layers import InputLayer

SCHEMA = 1
"""The version of the dictionary's form. A version only ever gains keys."""


class InputData(TypedDict):
    """A tensor that enters the model."""

    name: str
    shape: list[int | None]
    dtype: str


class OutputData(TypedDict):
    """A tensor that leaves the model."""

    name: str
    shape: list[int | None]


class Part(NamedTuple):
    """A part of the dictionary: its key, its type, what it is, and how it is made."""

    key: str
    kind: Any
    meaning: str
    value: Callable[[Analysis], Any]


PARTS: tuple[Part, ...] = (
    Part("schema", int, "the version of this form, which only ever gains keys", lambda _: SCHEMA),
    Part("model", str, "the name of the model", lambda analysis: analysis.graph.name),
    Part(
        "docstring", str, "what the text says of the model, empty when nothing",
        lambda analysis: analysis.graph.docstring,
    ),
    Part(
        "parameters", dict[str, Any], "the model's own parameters with their values",
        lambda analysis: {name: plain(value) for name, value in analysis.graph.parameters.items()},
    ),
    Part(
        "inputs", list[InputData], "the tensors that enter; null for the batch and for unknown sizes",
        lambda analysis: [
            {"name": node.name, "shape": batched(node.shape), "dtype": node.layer.dtype}
            for node in analysis.graph.input_nodes if isinstance(node.layer, InputLayer)
        ],
    ),
    Part(
        "outputs", list[OutputData], "the tensors that leave, in order",
        lambda analysis: [
            {"name": str(tensor), "shape": batched(analysis.graph.shape(tensor))} for tensor in analysis.graph.outputs
        ],
    ),
    Part("layers", "list[Layer]", "the layers in the order in which they run, inputs among them", layers_data),
    Part(
        "totals", "Totals", "what is known of the whole model",
        lambda analysis: {total.key: total.value(analysis) for total in TOTALS},
    ),
    Part("conventions", str, "what the numbers mean, for people", lambda _: CONVENTIONS),
)  # fmt: skip
"""The dictionary, key by key."""


def to_dict(analysis: Analysis) -> dict[str, Any]:
    """The report as plain data. A batch axis or an unknown size is None."""
    return {part.key: part.value(analysis) for part in PARTS}
