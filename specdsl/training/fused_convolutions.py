"""Convolutions as matrix products: every window of the input laid out as a row, times the kernel as a matrix.

XLA on a CPU takes the gradient of a convolution inside a loop to a path that is tens of times slower, and a convolution
whose kernel differs from trial to trial becomes, under `vmap`, one with a group for each trial. A product meets
neither: under `vmap` it is a batched product. It costs memory, the window's size times the input: on a CPU a few
images are taken at a time, so that their windows stay in its cache, and the windows are made again for the gradient.

Layers are changed one by one, as objects; their classes, and what is saved of them, stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import keras
from jax import lax
from keras.src.layers.convolutional.base_conv import BaseConv
from keras.src.layers.convolutional.base_conv_transpose import BaseConvTranspose
from keras.src.layers.convolutional.base_depthwise_conv import BaseDepthwiseConv
from keras.src.layers.convolutional.base_separable_conv import BaseSeparableConv

_CACHED = 2 << 20
"""Bytes of windows that a CPU's caches are taken to hold."""

_WIDE = 4
"""Bytes of a number in windows: those of 16 bits are cut as ones of 32."""

Array = Any


def as_products(model: Any, trials: int) -> None:
    """Let all convolutions of a model compute by products from now on, as far as they can.

    Args:
        model: the Keras model, with what is nested in it.
        trials: how many of it are computed side by side.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, BaseConv):
            layer.convolution_op = partial(_convolved, layer, trials)
        elif isinstance(layer, BaseDepthwiseConv):
            layer.call = partial(_depthwise_call, layer, trials)
        elif isinstance(layer, BaseSeparableConv):
            layer.call = partial(_separable_call, layer, trials)
        elif isinstance(layer, BaseConvTranspose) and layer.output_padding is None and set(layer.dilation_rate) == {1}:
            layer.call = partial(_transposed_call, layer)


# ------------------------------------------------------------------------------------------------- layers of Keras


def _convolved(layer: Any, trials: int, inputs: Array, kernel: Array) -> Array:
    inputs, kernel = _last(layer, inputs), keras.ops.convert_to_tensor(kernel)
    padding = layer.padding
    if padding == "causal":
        reach = (layer.kernel_size[0] - 1) * layer.dilation_rate[0]
        inputs, padding = jnp.pad(inputs, ((0, 0), (reach, 0), (0, 0))), "valid"
    windows = Windows(layer.kernel_size, layer.strides, padding, layer.dilation_rate)
    return _first(layer, convolution(inputs, kernel, windows, trials))


def _depthwise_call(layer: Any, trials: int, inputs: Array) -> Array:
    windows = Windows(layer.kernel_size, layer.strides, layer.padding, layer.dilation_rate)
    kernel = keras.ops.convert_to_tensor(layer.kernel)
    return _ended(layer, depthwise(_last(layer, inputs), kernel, windows, trials))


def _separable_call(layer: Any, trials: int, inputs: Array) -> Array:
    windows = Windows(layer.kernel_size, layer.strides, layer.padding, layer.dilation_rate)
    first, second = map(keras.ops.convert_to_tensor, (layer.depthwise_kernel, layer.pointwise_kernel))
    outputs = depthwise(_last(layer, inputs), first, windows, trials)
    return _ended(layer, outputs @ second.reshape(second.shape[-2:]))


def _transposed_call(layer: Any, inputs: Array) -> Array:
    inputs, kernel = _last(layer, inputs), keras.ops.convert_to_tensor(layer.kernel)
    more = [0] * layer.rank if layer.padding == "same" else [
        max(size - step, 0) for size, step in zip(layer.kernel_size, layer.strides, strict=True)
    ]  # fmt: skip
    sizes = [size * step + by for size, step, by in zip(inputs.shape[1:-1], layer.strides, more, strict=True)]
    windows = Windows(layer.kernel_size, layer.strides, layer.padding, layer.dilation_rate)
    large = jnp.zeros((len(inputs), *sizes, layer.filters), inputs.dtype)
    (outputs,) = jax.linear_transpose(lambda one: _product(one, kernel, windows), large)(inputs)
    return _ended(layer, outputs)


def _ended(layer: Any, outputs: Array) -> Array:
    """What a layer does after its convolution."""
    if layer.use_bias:
        outputs = outputs + keras.ops.convert_to_tensor(layer.bias)
    outputs = _first(layer, outputs)
    return outputs if layer.activation is None else layer.activation(outputs)


def _last(layer: Any, inputs: Array) -> Array:
    """Inputs with their channels last."""
    return jnp.moveaxis(inputs, 1, -1) if layer.data_format == "channels_first" else inputs


def _first(layer: Any, outputs: Array) -> Array:
    """Outputs with their channels where the layer has them."""
    return jnp.moveaxis(outputs, -1, 1) if layer.data_format == "channels_first" else outputs


# ----------------------------------------------------------------------------------------------------- convolution


class Windows:
    """How windows lie on an input.

    Args:
        sizes: of the window, along each spatial axis.
        strides: places between neighbours of the output.
        padding: "valid", or "same" as TensorFlow and XLA have it: the smaller half in front.
        dilation: places of the input between neighbours in the window.
    """

    def __init__(self, sizes: Sequence[int], strides: Sequence[int], padding: str, dilation: Sequence[int]) -> None:
        self.axes = tuple(zip(sizes, strides, dilation, strict=True))
        self.sizes, self._strides, self._padding = tuple(sizes), tuple(strides), padding

    def padded(self, inputs: Array) -> Array:
        """Inputs with what padding adds."""
        if self._padding == "valid":
            return inputs
        reach = [(size - 1) * gap + 1 for size, _, gap in self.axes]
        pads = lax.padtype_to_pads(inputs.shape[1:-1], reach, self._strides, "SAME")
        return jnp.pad(inputs, ((0, 0), *pads, (0, 0)))

    def places(self, shape: Sequence[int]) -> int:
        """How many places the output has on an input of this spatial shape."""
        return math.prod(
            -(-size // step) if self._padding == "same" else (size - (count - 1) * gap - 1) // step + 1
            for size, (count, step, gap) in zip(shape, self.axes, strict=True)
        )

    def shifted(self, inputs: Array, axis: int) -> list[Array]:
        """What stands at each place of the window along one spatial axis, for all places of the output along it."""
        count, step, gap = self.axes[axis]
        places = (inputs.shape[axis + 1] - (count - 1) * gap - 1) // step + 1
        return [
            lax.slice_in_dim(inputs, at * gap, at * gap + (places - 1) * step + 1, step, axis + 1)
            for at in range(count)
        ]

    def rows(self, inputs: Array) -> Array:
        """The window at each place: (batch, *places, window · channels).

        One axis after the other: far fewer bytes are moved than by one slice for each place of the window.
        """
        inputs = self.padded(inputs)
        for axis in reversed(range(len(self.axes))):
            parts = self.shifted(inputs, axis)
            inputs = _apart(jnp.concatenate(parts, axis=-1)) if len(parts) > 1 else parts[0]
        return inputs


def _apart(array: Array) -> Array:
    """An array that is there as a whole before it is used: XLA on a CPU makes it anew for each slice otherwise."""
    if jax.default_backend() != "cpu":
        return array
    return lax.optimization_barrier(array)  # type: ignore[no-untyped-call]


def convolution(inputs: Array, kernel: Array, windows: Windows, trials: int = 1) -> Array:
    """The convolution of Keras: the sum over a window of input times kernel, at every place.

    Args:
        inputs: (batch, *spatial, channels).
        kernel: (*window, channels of a group, filters).
        windows: how the windows lie.
        trials: how many of these are carried out side by side.

    Returns:
        (batch, *places, filters).
    """
    return _few_at_a_time(partial(_product, windows=windows), windows, inputs, kernel, trials)


def _few_at_a_time(
    function: Callable[[Array, Array], Array], windows: Windows, inputs: Array, kernel: Array, trials: int
) -> Array:
    """A function of inputs and kernel that makes windows; on a CPU of as many examples at a time as its caches hold."""
    batch, channels = inputs.shape[0], inputs.shape[-1]
    inputs = _apart(inputs)
    if jax.default_backend() != "cpu" or math.prod(windows.sizes) == 1:
        return function(inputs, kernel)
    size = windows.places(inputs.shape[1:-1]) * math.prod(windows.sizes) * channels * _WIDE
    few = _portion(size, batch, trials)
    return function(inputs, kernel) if few == batch else _in_portions(function, few, inputs, kernel)


def _portion(size: int, batch: int, trials: int) -> int:
    """How many examples' windows, each of `size` bytes, the caches hold; rather some by which the batch is divided."""
    most = min(batch, max(1, _CACHED // max(1, size * trials)))
    divisor = next(one for one in range(most, 0, -1) if batch % one == 0)
    return divisor if 2 * divisor >= most else most


def _product(inputs: Array, kernel: Array, windows: Windows) -> Array:
    """The convolution by windows that are all there at once.

    They are cut from numbers of 32 bits, though they are multiplied as ones of 16 where the inputs are: the gradient
    of the inputs, which sums up what windows share, is so rounded once, as in XLA's convolutions.
    """
    wide = jnp.promote_types(inputs.dtype, jnp.float32)
    rows = windows.rows(inputs.astype(wide)).astype(inputs.dtype)
    own, filters = kernel.shape[-2:]
    groups = inputs.shape[-1] // own
    if groups == 1:
        return rows @ kernel.reshape(-1, filters)
    rows = rows.reshape(*rows.shape[:-1], -1, groups, own)
    kernel = kernel.reshape(-1, own, groups, filters // groups)
    return jnp.einsum("...tgc,tcgf->...gf", rows, kernel).reshape(*rows.shape[:-3], filters)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _in_portions(function: Callable[[Array, Array], Array], few: int, inputs: Array, kernel: Array) -> Array:
    """A function of examples and a kernel, of a few examples at a time; nothing is kept for the gradient but these."""
    made = jax.eval_shape(function, inputs[:few], kernel)

    def step(first: Any, count: int, outputs: Array) -> Array:
        return _put(outputs, function(_taken(inputs, first, count), kernel), first)

    return _over(step, few, len(inputs), _room(inputs, (len(inputs), *made.shape[1:]), made.dtype))


def _forward(function: Callable[[Array, Array], Array], few: int, inputs: Array, kernel: Array) -> Any:
    return _in_portions(function, few, inputs, kernel), (inputs, kernel)


def _backward(function: Callable[[Array, Array], Array], few: int, kept: Any, gradient: Array) -> Any:
    inputs, kernel = kept

    def step(first: Any, count: int, sums: tuple[Array, Array]) -> tuple[Array, Array]:
        some, of_some = _taken(inputs, first, count), _taken(gradient, first, count)
        _, pull = jax.vjp(function, some, kernel)
        of_inputs, of_kernel = pull(of_some)
        return _put(sums[0], of_inputs, first), sums[1] + of_kernel

    wide = jnp.promote_types(kernel.dtype, jnp.float32)  # sums of 16 bits would lose much
    begin = _room(gradient, inputs.shape, inputs.dtype), jnp.zeros(kernel.shape, wide)
    of_inputs, of_kernel = _over(step, few, len(inputs), begin)
    return of_inputs, of_kernel.astype(kernel.dtype)


_in_portions.defvjp(_forward, _backward)


def _over(step: Callable[[Any, int, Any], Any], few: int, count: int, carried: Any) -> Any:
    """Steps from an example on over so many, a few at a time; behind the last of these there may be one with less."""
    carried = lax.fori_loop(0, count // few, lambda number, one: step(number * few, few, one), carried)
    return step(count - count % few, count % few, carried) if count % few else carried


def _taken(array: Array, first: Any, count: int) -> Array:
    return lax.dynamic_slice_in_dim(array, first, count)


def _put(whole: Array, some: Array, first: Any) -> Array:
    return lax.dynamic_update_slice_in_dim(whole, some, first, 0)


def _room(before: Array, shape: Sequence[int], kind: Any) -> Array:
    """An array to be filled, that is made when `before` is there: of zeros XLA would make all before a step begins."""
    return jnp.broadcast_to(before.ravel()[0].astype(kind), shape)


def depthwise(inputs: Array, kernel: Array, windows: Windows, trials: int = 1) -> Array:
    """A convolution of each channel by itself: at every place of the window a multiplication and an addition.

    Of numbers of 16 bits the sums have 32, as in XLA's convolutions, and are rounded once; those of gradients too.

    Args:
        inputs: (batch, *spatial, channels).
        kernel: (*window, channels, outputs of each channel).
        windows: how the windows lie.
        trials: how many of these are carried out side by side.

    Returns:
        (batch, *places, channels · outputs of each).
    """
    return _few_at_a_time(partial(_of_each, windows=windows), windows, inputs, kernel, trials)


def _of_each(inputs: Array, kernel: Array, windows: Windows) -> Array:
    wide = jnp.promote_types(inputs.dtype, jnp.float32)
    parts = [windows.padded(inputs).astype(wide)]
    for axis in range(len(windows.axes)):
        parts = [shifted for part in parts for shifted in windows.shifted(part, axis)]
    of_each = kernel.shape[-1]
    flat = kernel.reshape(-1, kernel.shape[-2] * of_each).astype(wide)
    sums: Array = 0
    for part, factors in zip(parts, flat, strict=True):
        sums = sums + (jnp.repeat(part, of_each, axis=-1) if of_each > 1 else part) * factors
    return sums.astype(inputs.dtype)
