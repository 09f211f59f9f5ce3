"""What Keras has among its layers and no text can declare, and why."""

from collections.abc import Mapping
from typing import NamedTuple


class Undeclarable(NamedTuple):
    """Why a text cannot declare something, and what to do instead; both without a full stop."""

    reason: str
    instead: str


UNDECLARABLE: Mapping[str, Undeclarable] = {
    "Lambda": Undeclarable(
        "it takes a function of Python, and a text holds no code",
        "layers that compute it (Rescaling, Activation, Multiply, Reshape, Permute), or a block of them",
    ),
    "TorchModuleWrapper": Undeclarable(
        "it takes a module of PyTorch, which is code", "the module's layers, written out with those of Keras"
    ),
    "FlaxLayer": Undeclarable(
        "it takes a module of Flax, which is code", "the module's layers, written out with those of Keras"
    ),
    "JaxLayer": Undeclarable(
        "it takes functions of JAX, and a text holds no code",
        "layers of Keras that compute the same, or a block of them",
    ),
    "TFSMLayer": Undeclarable(
        "it takes what it computes from a folder, so that neither its shapes nor its weights follow from the text",
        "the model that was saved there, written out as a `model`, which can be a step",
    ),
    "Layer": Undeclarable("it is the base of all layers and computes nothing", "Identity, which passes tensors on"),
    "Wrapper": Undeclarable(
        "it is the base of layers around a layer and computes nothing", "TimeDistributed, Bidirectional or Pipeline"
    ),
}
"""The classes of `keras.layers` that are layers and that the table does not have, by name."""

NO_LAYER: Mapping[str, Undeclarable] = {
    "InputSpec": Undeclarable(
        "it is no layer, but says in Python what a layer takes", "`input name: (28, 28, 3)`, which states a shape"
    ),
}
"""What stands in `keras.layers` beside the layers."""

KERAS_LAYERS = 143
"""How many classes of layers Keras 3.15 has in `keras.layers`, those of `UNDECLARABLE` included."""
