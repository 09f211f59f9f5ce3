"""Convolutions as matrix products: every window of the input laid out as a row, times the kernel as a matrix.

XLA on a CPU takes the gradient of a convolution inside `lax.scan` to a path that is tens of times slower, and a
convolution whose kernel differs from trial to trial becomes, under `vmap`, one with a group for each trial. A product
meets neither: under `vmap` it is a batched product. It costs memory: the window's size times the input.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import jax.numpy as jnp
import keras
from jax import lax


def replaceable(layer: Any) -> bool:
    """Whether a Keras layer is a convolution that can be carried out as a product: one group, channels last."""
    return (
        isinstance(layer, keras.layers.Conv1D | keras.layers.Conv2D | keras.layers.Conv3D)
        and layer.groups == 1
        and layer.data_format == "channels_last"
    )


def as_product(layer: Any) -> None:
    """Let a convolution layer compute by a matrix product from now on. What it is saved as does not change."""
    causal = layer.padding == "causal"

    def convolve(inputs: Any, kernel: Any) -> Any:
        if causal:
            reach = (layer.kernel_size[0] - 1) * layer.dilation_rate[0]
            inputs = jnp.pad(inputs, ((0, 0), (reach, 0), (0, 0)))
        padding = "valid" if causal else layer.padding
        kernel = keras.ops.convert_to_tensor(kernel)
        return product_of_windows(inputs, kernel, layer.strides, padding, layer.dilation_rate)

    layer.convolution_op = convolve


def product_of_windows(
    inputs: Any, kernel: Any, strides: tuple[int, ...], padding: str, dilation: tuple[int, ...]
) -> Any:
    """The convolution of Keras: the sum over a window of input times kernel, at every place.

    Args:
        inputs: (batch, *spatial, channels).
        kernel: (*window, channels, filters).
        strides: places between neighbours of the output, along each spatial axis.
        padding: "valid", or "same" as TensorFlow and XLA have it: the smaller half in front.
        dilation: places of the input between neighbours in the window.

    Returns:
        (batch, *places, filters).
    """
    window = kernel.shape[:-2]
    reach = [(size - 1) * gap + 1 for size, gap in zip(window, dilation, strict=True)]
    if padding == "same":
        pads = lax.padtype_to_pads(inputs.shape[1:-1], reach, strides, "SAME")
        inputs = jnp.pad(inputs, ((0, 0), *pads, (0, 0)))
    places = [(size - far) // step + 1 for size, far, step in zip(inputs.shape[1:-1], reach, strides, strict=True)]
    batch, channels = inputs.shape[0], inputs.shape[-1]
    parts = []
    for offset in product(*map(range, window)):
        start = [at * gap for at, gap in zip(offset, dilation, strict=True)]
        limit = [first + (count - 1) * step + 1 for first, count, step in zip(start, places, strides, strict=True)]
        parts.append(lax.slice(inputs, (0, *start, 0), (batch, *limit, channels), (1, *strides, 1)))
    rows = jnp.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]
    return rows @ kernel.reshape(-1, kernel.shape[-1])
