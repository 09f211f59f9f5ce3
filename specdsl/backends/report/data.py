"""The report as plain data: the contract of `--format json`."""

from __future__ import annotations

from typing import Any

from specdsl.analyses import Analysis
from specdsl.backends.report.content import CONVENTIONS, TOTALS, batched, layers_data, plain
from specdsl.layers import InputLayer

SCHEMA = 1
"""The version of the dictionary's form. A version only ever gains keys."""


def to_dict(analysis: Analysis) -> dict[str, Any]:
    """The report as plain data. A batch axis or an unknown size is None."""
    graph = analysis.graph
    return {
        "schema": SCHEMA,
        "model": graph.name,
        "docstring": graph.docstring,
        "parameters": {name: plain(value) for name, value in graph.parameters.items()},
        "inputs": [
            {"name": node.name, "shape": batched(node.shape), "dtype": node.layer.dtype}
            for node in graph.input_nodes
            if isinstance(node.layer, InputLayer)
        ],
        "outputs": [{"name": str(tensor), "shape": batched(graph.shape(tensor))} for tensor in graph.outputs],
        "layers": layers_data(analysis),
        "totals": {total.key: total.value(analysis) for total in TOTALS},
        "conventions": CONVENTIONS,
    }
