"""The layer table: one declaration for each Keras layer, gathered in files by family."""

from specdsl.declaration import declared
from specdsl.layers import (  # noqa: F401 - a family's layers are declared when it is imported
    activations,
    attention,
    cells,
    conv_lstm,
    convolution,
    core,
    merging,
    normalization,
    pooling,
    recurrent,
    regularization,
    reshaping,
    wrappers,
)
from specdsl.layers.base import Layer, Modes, Shape, Weight
from specdsl.layers.core import InputLayer

__all__ = ["LAYERS", "NAMES", "InputLayer", "Layer", "Modes", "Shape", "Weight"]

LAYERS: dict[str, type[Layer]] = {layer.__name__: layer for layer in declared(Layer)}
"""Every layer by its Keras name."""

NAMES: dict[str, type[Layer]] = LAYERS | {alias: layer for layer in LAYERS.values() for alias in layer.aliases}
"""Every layer by its Keras name and by its aliases."""
