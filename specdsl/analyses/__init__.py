"""What follows from a graph without running it: weights, parameters, work, memory, what is seen, depth, behaviour."""

from specdsl.analyses.counting import (
    Analysis,
    LayerAnalysis,
    Regime,
    Totals,
    analyse,
    analyse_layer,
    tensor_bytes,
    values,
)
from specdsl.analyses.effort import Effort, effort
from specdsl.analyses.memory import (
    TrainingMemory,
    inference_bytes,
    peak_activation_bytes,
    training_activation_bytes,
    training_memory,
)
from specdsl.analyses.quantities import QUANTITIES, broken_expectations, quantities
from specdsl.analyses.receptive_field import effective_stride, receptive_field, sight, strides
from specdsl.analyses.traffic import Traffic, intensity, layer_traffic, traffic

__all__ = [
    "QUANTITIES",
    "Analysis",
    "Effort",
    "LayerAnalysis",
    "Regime",
    "Totals",
    "Traffic",
    "TrainingMemory",
    "analyse",
    "analyse_layer",
    "broken_expectations",
    "effective_stride",
    "effort",
    "inference_bytes",
    "intensity",
    "layer_traffic",
    "peak_activation_bytes",
    "quantities",
    "receptive_field",
    "sight",
    "strides",
    "tensor_bytes",
    "traffic",
    "training_activation_bytes",
    "training_memory",
    "values",
]
