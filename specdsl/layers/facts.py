"""What the rules of a layer state: its weights, what a call may say, what it sees, what it keeps, how it acts."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from specdsl.counts import Count
from specdsl.layers.shapes import Shape


@dataclass(frozen=True, slots=True)
class Weight:
    """A variable of a layer: Keras's name for it, its shape, and whether training changes it by gradient."""

    name: str
    shape: Shape
    trainable: bool = True
    role: str = ""
    """What the arguments `..._initializer`, `..._regularizer` and `..._constraint` call it, where not by its name."""

    dtype: str | None = None
    """The type of its values; None where the layer's policy says it."""

    @property
    def count(self) -> Count:
        """The number of its values as a product of its sizes."""
        return Count((self.shape,))


OptionKind = Literal["flag", "tensor", "tensors", "masks"]
"""What an option of a call is: true or false, a tensor, a list of tensors, or a list in which `none` may stand too."""

Said = bool | tuple["Shape | None", ...]
"""What the rules of a layer see of an option: the flag, or the shapes of the tensors that it gives."""


NOTHING_SAID: Mapping[str, Said] = MappingProxyType({})

TRAINING: Mapping[str, OptionKind] = {"training": "flag"}
"""The option of the layers that act differently in training: a call may say which way to act."""


class Window(NamedTuple):
    """What a layer sees along an axis: place q of its output sees places of its input from one to another.

    They are (step·q + first) // share and (step·q + last) // share. A kernel of 3 with strides 2 and one place of
    padding before the axis is Window(-1, 1, step=2), and a layer that repeats each place twice Window(share=2). Where
    the first lies behind the last, the place sees nothing.
    """

    first: int = 0
    last: int = 0
    step: int = 1
    share: int = 1


Reach = tuple[Window, ...]
"""What a layer sees along each spatial axis."""

POINTWISE: Reach = ()
"""Each place of the output sees the same place of the input alone, along every axis."""


class Kept(NamedTuple):
    """What a layer keeps of a forward pass in training until its gradients have been worked out.

    Attributes:
        inputs: whether that is what enters.
        outputs: whether that is what leaves.
        more: the number of values that are neither.
    """

    inputs: bool = False
    outputs: bool = False
    more: Count = Count()


NOTHING_KEPT = Kept()
"""Where gradients follow from those behind alone, as those of a sum."""


Arithmetic = Literal["products", "convolutions", "grouped"]
"""How multiply-accumulates are carried out: in matrix products, in convolutions over all channels, or over some."""


class Modes(NamedTuple):
    """How a layer acts in training and in inference, where the two differ."""

    training: str
    inference: str


ROLES: Mapping[str, str] = {
    "kernel": "the factors of what enters",
    "bias": "a summand for each value that leaves",
    "gamma": "a factor for each normalised channel",
    "beta": "a summand for each normalised channel",
    "moving_mean": "the mean of each channel, gathered from the batches of training",
    "moving_variance": "the variance of each channel, gathered from the batches of training",
    "lora_kernel_a": "the first factor of what is added to the kernel",
    "lora_kernel_b": "the second factor of what is added to the kernel",
    "lora_embeddings_a": "the first factor of what is added to the vectors",
    "lora_embeddings_b": "the second factor of what is added to the vectors",
}
"""What weights of these names are for in all layers that say nothing else of them."""
