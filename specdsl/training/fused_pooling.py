"""Max pooling by comparisons, for a CPU, where XLA is slow at the gradient of the general form.

The gradient goes to the first largest value of each window, row by row, as it does in Keras on JAX.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
from keras.src.layers.pooling.base_pooling import BasePooling

Array = Any


def by_comparisons(model: Any) -> None:
    """Let all max pooling of a model whose windows do not overlap compute by comparisons from now on.

    Only the layers' objects change, not what is saved of them.
    """
    for layer in model._flatten_layers():
        if not isinstance(layer, BasePooling) or layer.pool_mode != "max" or layer.data_format != "channels_last":
            continue
        if tuple(layer.pool_size) == tuple(layer.strides):
            layer.call = partial(_call, layer, layer.call)


def _call(layer: Any, general: Any, inputs: Array) -> Array:
    windows = tuple(layer.pool_size)
    left = [size % window for size, window in zip(inputs.shape[1:-1], windows, strict=True)]
    if layer.padding != "valid" and any(left):
        return general(inputs)
    whole = tuple(slice(0, size - over) for size, over in zip(inputs.shape[1:-1], left, strict=True))
    return largest(windows, inputs[:, *whole] if any(left) else inputs)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def largest(windows: tuple[int, ...], inputs: Array) -> Array:
    """The largest value of each window, channel by channel.

    Args:
        windows: their size along each spatial axis, which divides that of the input.
        inputs: (batch, *spatial, channels).

    Returns:
        (batch, *spatial / windows, channels).
    """
    return _split(windows, inputs).max(axis=tuple(range(2, 2 * len(windows) + 1, 2)))


def _split(windows: Sequence[int], inputs: Array) -> Array:
    """The places of a window on an axis of their own, behind that of the windows, for each spatial axis."""
    sizes = [
        part for size, window in zip(inputs.shape[1:-1], windows, strict=True) for part in (size // window, window)
    ]
    return inputs.reshape(len(inputs), *sizes, inputs.shape[-1])


def _forward(windows: tuple[int, ...], inputs: Array) -> tuple[Array, Array]:
    """The largest values, and at which place of its window each stands first.

    The place is kept, and not looked for among the inputs again: where XLA makes these anew for the gradient, their
    last bits may be others, and the largest value would not be among them.
    """
    split, kind = _split(windows, inputs), jnp.uint8 if math.prod(windows) < 256 else jnp.int32
    best, at = _place(split, [0] * len(windows)), jnp.asarray(0, kind)
    for number, place in enumerate(product(*map(range, windows))):
        here = _place(split, place)
        at = jnp.where(here > best, jnp.asarray(number, kind), at)
        best = jnp.maximum(best, here)
    return largest(windows, inputs), jnp.broadcast_to(at, best.shape)


def _place(split: Array, place: Sequence[int]) -> Array:
    """What stands at one place of each window."""
    found: Array = split[(slice(None), *(part for at in place for part in (slice(None), at)))]
    return found


def _backward(windows: tuple[int, ...], kept: Array, gradient: Array) -> tuple[Array]:
    parts = [jnp.where(kept == number, gradient, 0) for number in range(math.prod(windows))]
    for axis in reversed(range(len(windows))):
        count = windows[axis]
        parts = [jnp.stack(parts[first : first + count], axis=axis + 2) for first in range(0, len(parts), count)]
    (joined,) = parts
    sizes = [size * window for size, window in zip(gradient.shape[1:-1], windows, strict=True)]
    return (joined.reshape(len(gradient), *sizes, gradient.shape[-1]),)


largest.defvjp(_forward, _backward)
