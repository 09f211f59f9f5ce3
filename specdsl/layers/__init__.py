"""The layer table: one declaration for each Keras layer, gathered in files by family."""

from specdsl.declaration import declared
from specdsl.layers import (  # noqa: F401 - a family's layers are declared when it is imported
    activations,
    attention,
    augmentation,
    categories,
    cells,
    colours,
    conv_lstm,
    convolution,
    convolution_separable,
    convolution_transposed,
    core,
    einsum,
    images,
    lookups,
    merging,
    mixtures,
    multi_head,
    normalization,
    pooling,
    recurrent,
    regularization,
    reshaping,
    spectrograms,
    wrappers,
)
from specdsl.layers.base import Layer
from specdsl.layers.core import InputLayer
from specdsl.layers.facts import Modes, Weight
from specdsl.layers.shapes import Shape
from specdsl.layers.undeclarable import KERAS_LAYERS, NO_LAYER, UNDECLARABLE

__all__ = [
    "KERAS_LAYERS",
    "LAYERS",
    "NAMES",
    "NO_LAYER",
    "UNDECLARABLE",
    "InputLayer",
    "Layer",
    "Modes",
    "Shape",
    "Weight",
]

LAYERS: dict[str, type[Layer]] = {layer.__name__: layer for layer in declared(Layer)}
"""Every layer by its Keras name."""

NAMES: dict[str, type[Layer]] = LAYERS | {alias: layer for layer in LAYERS.values() for alias in layer.aliases}
"""Every layer by its Keras name and by its aliases."""
