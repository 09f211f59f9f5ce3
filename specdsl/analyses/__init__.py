"""What follows from a graph without running it: weights, parameters, work, memory, what is seen, depth, behaviour."""

from specdsl.analyses.counting import (
    BYTES_PER_VALUE,
    Analysis,
    LayerAnalysis,
    Totals,
    analyse,
    analyse_layer,
    values,
)
from specdsl.analyses.memory import peak_activation_bytes
from specdsl.analyses.quantities import QUANTITIES, broken_expectations, quantities
from specdsl.analyses.receptive_field import effective_stride, receptive_field

__all__ = [
    "BYTES_PER_VALUE",
    "QUANTITIES",
    "Analysis",
    "LayerAnalysis",
    "Totals",
    "analyse",
    "analyse_layer",
    "broken_expectations",
    "effective_stride",
    "peak_activation_bytes",
    "quantities",
    "receptive_field",
    "values",
]
