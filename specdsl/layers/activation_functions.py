"""Functions that layers apply to what leaves them: their values, what they cost, and what their derivative needs."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from specdsl.counts import Count, product
from specdsl.layers.shapes import Shape

Values = Literal["distribution", "unit", "positive", "any"]
"""What leaves an activation: numbers that sum to 1 along the last axis, none of them negative; numbers from 0 to 1, of
at least 0, or any."""


class ActivationFunction(NamedTuple):
    """What is known of an activation.

    Attributes:
        values: what leaves it.
        invertible: whether its derivative follows from what leaves it.
    """

    values: Values = "any"
    invertible: bool = False


ACTIVATIONS: Mapping[str, ActivationFunction] = {
    "celu": ActivationFunction(invertible=True),
    "elu": ActivationFunction(invertible=True),
    "exponential": ActivationFunction("positive", invertible=True),
    "gelu": ActivationFunction(),
    "hard_shrink": ActivationFunction(),
    "hard_sigmoid": ActivationFunction("unit", invertible=True),
    "hard_silu": ActivationFunction(),
    "hard_swish": ActivationFunction(),
    "hard_tanh": ActivationFunction(invertible=True),
    "leaky_relu": ActivationFunction(invertible=True),
    "linear": ActivationFunction(),
    "log_sigmoid": ActivationFunction(),
    "log_softmax": ActivationFunction(invertible=True),
    "mish": ActivationFunction(),
    "relu": ActivationFunction("positive", invertible=True),
    "relu6": ActivationFunction("positive", invertible=True),
    "selu": ActivationFunction(invertible=True),
    "sigmoid": ActivationFunction("unit", invertible=True),
    "silu": ActivationFunction(),
    "soft_shrink": ActivationFunction(),
    "softmax": ActivationFunction("distribution", invertible=True),
    "softplus": ActivationFunction("positive", invertible=True),
    "softsign": ActivationFunction(invertible=True),
    "sparse_plus": ActivationFunction("positive"),
    "sparse_sigmoid": ActivationFunction("unit"),
    "sparsemax": ActivationFunction("positive"),  # in Keras values do not sum to 1 where several are above 0
    "squareplus": ActivationFunction("positive"),
    "swish": ActivationFunction(),
    "tanh": ActivationFunction(invertible=True),
    "tanh_shrink": ActivationFunction(),
}
"""What Keras can use by name as a layer's activation."""

INVERTIBLE = frozenset(name for name, function in ACTIVATIONS.items() if function.invertible)
"""Activations whose derivative follows from what leaves them."""


def activation_work(activation: str | None, shape: Shape) -> Count:
    """Operations of an activation: none where it is linear, those of a softmax over the last axis, or one each."""
    if activation in (None, "linear"):
        return Count()
    return softmax_work(shape, shape[:-1]) if activation in ("softmax", "log_softmax") else product(*shape)


def softmax_work(shape: Shape, sums: Shape) -> Count:
    """Operations of a softmax, of as many sums as sizes say: exp and division of each value, and the additions."""
    return 3 * product(*shape) + product(-1, *sums)
