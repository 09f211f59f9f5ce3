"""Functions that layers apply to what leaves them: what they cost, and whose derivative follows from what leaves."""

from specdsl.counts import Count, product
from specdsl.layers.shapes import Shape

INVERTIBLE = frozenset(
    ("relu", "relu6", "leaky_relu", "elu", "selu", "celu", "sigmoid", "hard_sigmoid", "tanh", "hard_tanh", "softmax")
) | {"log_softmax", "exponential", "softplus", "softsign"}
"""Activations whose derivative follows from what leaves them."""


def activation_work(activation: str | None, shape: Shape) -> Count:
    """Operations of an activation: none where it is linear, those of a softmax over the last axis, or one each."""
    if activation in (None, "linear"):
        return Count()
    return softmax_work(shape, shape[:-1]) if activation in ("softmax", "log_softmax") else product(*shape)


def softmax_work(shape: Shape, sums: Shape) -> Count:
    """Operations of a softmax, of as many sums as sizes say: exp and division of each value, and the additions."""
    return 3 * product(*shape) + product(-1, *sums)
