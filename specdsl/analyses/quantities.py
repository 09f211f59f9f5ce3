"""What `expect` may speak of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from specdsl.analyses.counting import Analysis
from specdsl.analyses.memory import inference_bytes, peak_activation_bytes, training_memory
from specdsl.analyses.receptive_field import effective_stride, receptive_field
from specdsl.analyses.traffic import intensity
from specdsl.diagnostics import Diagnostic, Slug
from specdsl.layers import Shape

_KNOWN: dict[str, Callable[[Analysis], Any]] = {
    "params": lambda analysis: analysis.totals.params,
    "trainable": lambda analysis: analysis.totals.trainable,
    "non_trainable": lambda analysis: analysis.totals.non_trainable,
    "macs": lambda analysis: analysis.totals.macs,
    "flops": lambda analysis: analysis.totals.flops,
    "weight_bytes": lambda analysis: analysis.totals.weight_bytes,
    "largest_activation_bytes": lambda analysis: analysis.totals.largest_activation_bytes,
    "peak_activation_bytes": peak_activation_bytes,
    "inference_bytes": inference_bytes,
    "training_bytes": lambda analysis: training_memory(analysis).total,
    "intensity": intensity,
    "receptive_field": lambda analysis: receptive_field(analysis.graph),
    "stride": lambda analysis: effective_stride(analysis.graph),
    "depth": lambda analysis: analysis.totals.depth,
    "layers": lambda analysis: analysis.totals.layers,
    "input": lambda analysis: _alone(tuple(node.shape for node in analysis.graph.input_nodes)),
    "output": lambda analysis: _alone(analysis.graph.output_shapes),
}

QUANTITIES = tuple(_KNOWN)
"""The names of all quantities, in the order in which they are documented."""


class Quantities(Mapping[str, Any]):
    """The quantities of a model by name, each worked out when it is asked for."""

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis

    def __getitem__(self, name: str) -> Any:
        return _KNOWN[name](self._analysis)

    def __iter__(self) -> Iterator[str]:
        return iter(_KNOWN)

    def __len__(self) -> int:
        return len(_KNOWN)


def quantities(analysis: Analysis) -> Mapping[str, Any]:
    """What `expect` may speak of, by name."""
    return Quantities(analysis)


def broken_expectations(analysis: Analysis) -> tuple[Diagnostic, ...]:
    """What the text expects of the model and does not hold."""
    known = Quantities(analysis)
    broken: list[Diagnostic] = []
    for expectation in analysis.graph.expectations:
        broken += expectation.check(known)
        if broken and broken[-1].slug is Slug.LIMIT:  # the next one might take as long to fail
            break
    return tuple(broken)


def _alone(shapes: tuple[Shape, ...]) -> Any:
    return shapes[0] if len(shapes) == 1 else shapes
