"""Layers carried out in plain Python on numbers that count what is done with them.

Each layer computes what Keras computes, by the most direct way, following the convention of `docs/analyses.md`: a
multiplication whose product is added up in a convolution or a matrix product is a multiply-accumulate; any other
addition, subtraction, multiplication, division, comparison or function of one value is an operation. A sum of n values
takes n - 1 additions. What padding adds are zeros like any other numbers. What follows from arguments alone, such as
the window of a spectrogram, is there beforehand; the product of a low-rank adaptation is worked out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from string import ascii_letters
from typing import Any

import numpy as np

from specdsl.layers import (
    Layer,
    Shape,
    activations,
    attention,
    categories,
    cells,
    conv_lstm,
    convolution,
    convolution_separable,
    convolution_transposed,
    core,
    einsum,
    merging,
    multi_head,
    normalization,
    pipeline,
    pooling,
    recurrent,
    spectrograms,
    wrappers,
)
from specdsl.layers.inner import inner_names

Values = Any
"""An array of `Number`."""


class Tally:
    """What has been done so far."""

    macs = 0
    operations = 0


class Number:
    """A number that counts the operations it takes part in."""

    __slots__ = ("tally", "value")

    def __init__(self, value: float, tally: Tally) -> None:
        self.value = value
        self.tally = tally

    def _done(self, value: float) -> Number:
        self.tally.operations += 1
        return Number(value, self.tally)

    def __add__(self, other: Number | float) -> Number:
        return self._done(self.value + _plain(other))

    def __sub__(self, other: Number | float) -> Number:
        return self._done(self.value - _plain(other))

    def __rsub__(self, other: float) -> Number:
        return self._done(other - self.value)

    def __mul__(self, other: Number | float) -> Number:
        return self._done(self.value * _plain(other))

    def __truediv__(self, other: Number | float) -> Number:
        return self._done(self.value / _plain(other))

    def maximum(self, other: Number | float) -> Number:
        return self._done(max(self.value, _plain(other)))

    def minimum(self, other: Number | float) -> Number:
        return self._done(min(self.value, _plain(other)))


def _plain(value: Number | float) -> float:
    return value.value if isinstance(value, Number) else value


def numbers(values: Any, tally: Tally) -> Values:
    """An array as numbers that count."""
    values = np.asarray(values, float)
    made = np.empty(values.shape, object)
    for place in np.ndindex(values.shape):
        made[place] = Number(float(values[place]), tally)
    return made


def plain(values: Values) -> Any:
    """Numbers that count as an array of plain ones."""
    return np.vectorize(lambda number: number.value, otypes=[float])(values)


def zeros(shape: tuple[int, ...], tally: Tally) -> Values:
    return numbers(np.zeros(shape), tally)


def dot(left: Values, right: Values, tally: Tally) -> Number:
    """A sum of products: as many multiply-accumulates."""
    total = 0.0
    for one, other in zip(left.ravel(), right.ravel(), strict=True):
        total += one.value * other.value
        tally.macs += 1
    return Number(total, tally)


def matmul(left: Values, right: Values, tally: Tally) -> Values:
    """The products of the last axis of one with the first axis of the other."""
    made = np.empty((*left.shape[:-1], *right.shape[1:]), object)
    for row in np.ndindex(left.shape[:-1]):
        for column in np.ndindex(right.shape[1:]):
            made[row + column] = dot(left[row], right[(slice(None), *column)], tally)
    return made


def each(values: Values, function: Callable[[float], float]) -> Values:
    """A function of each value."""
    made = np.empty(values.shape, object)
    for place in np.ndindex(values.shape):
        made[place] = values[place]._done(function(values[place].value))
    return made


def added(values: Values, axes: tuple[int, ...]) -> Values:
    """The sums along some axes, which stay with the size 1."""
    for axis in axes:
        parts = [np.take(values, [place], axis) for place in range(values.shape[axis])]
        values = parts[0]
        for part in parts[1:]:
            values = values + part
    return values


def greatest(values: Values, axes: tuple[int, ...]) -> Values:
    for axis in axes:
        parts = [np.take(values, [place], axis) for place in range(values.shape[axis])]
        values = parts[0]
        for part in parts[1:]:
            values = np.frompyfunc(Number.maximum, 2, 1)(values, part)
    return values


def softmax(values: Values, axes: tuple[int, ...]) -> Values:
    powers = each(values, _power)
    return powers / added(powers, axes)


def _power(x: float) -> float:
    """e^x, or a very great number."""
    return math.exp(min(x, 700.0))


def _gelu(x: float) -> float:
    return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))


def _sigmoid(x: float) -> float:
    return 1 / (1 + _power(-x))


FUNCTIONS: dict[str, Callable[[float], float]] = {
    "relu": lambda x: max(x, 0.0),
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "tanh": math.tanh,
    "sigmoid": _sigmoid,
    "exponential": _power,
    "gelu": _gelu,
    "silu": lambda x: x * _sigmoid(x),
    "swish": lambda x: x * _sigmoid(x),
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "softplus": lambda x: math.log1p(_power(x)),
}
"""Activations that take a value each; others are left out of the draws."""


def activate(values: Values, activation: str | None) -> Values:
    if activation in (None, "linear"):
        return values
    if activation == "softmax":
        return softmax(values, (-1,))
    assert activation is not None
    return each(values, FUNCTIONS[activation])


# ---------------------------------------------------------------------------------------------- layers

Weights = Mapping[str, Values]


def channels_last(layer: Any, values: Values) -> Values:
    return np.moveaxis(values, 0, -1) if layer.data_format == "channels_first" else values


def as_formatted(layer: Any, values: Values) -> Values:
    return np.moveaxis(values, -1, 0) if layer.data_format == "channels_first" else values


def padded(values: Values, margins: list[tuple[int, int]], tally: Tally) -> Values:
    sizes = tuple(size + sum(margin) for size, margin in zip(values.shape, margins, strict=False))
    made = zeros((*sizes, values.shape[-1]), tally)
    inner = tuple(slice(before, before + size) for size, (before, _) in zip(values.shape, margins, strict=False))
    made[inner] = values
    return made


def margins(
    sizes: tuple[int, ...], kernel: tuple[int, ...], strides: tuple[int, ...], padding: str
) -> list[tuple[int, int]]:
    """The zeros before and after each axis, for a kernel whose gaps are counted."""
    found = []
    for size, wide, stride in zip(sizes, kernel, strides, strict=True):
        if padding == "causal":
            found.append((wide - 1, 0))
        elif padding == "same":
            total = max((math.ceil(size / stride) - 1) * stride + wide - size, 0)
            found.append((total // 2, total - total // 2))
        else:
            found.append((0, 0))
    return found


def windows(
    values: Values,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    padding: str,
    tally: Tally,
    dilation: tuple[int, ...] | None = None,
) -> Any:
    """What each place of a kernel covers, with the channels last: an array of axes places, kernel, channels."""
    dilation = dilation or (1,) * len(kernel)
    extent = tuple(step * (size - 1) + 1 for size, step in zip(kernel, dilation, strict=True))
    values = padded(values, margins(values.shape[:-1], extent, strides, padding), tally)
    places = tuple(
        (size - wide) // stride + 1 for size, wide, stride in zip(values.shape, extent, strides, strict=False)
    )
    made = np.empty((*places, *kernel, values.shape[-1]), object)
    for place in np.ndindex(places):
        begin = tuple(one * stride for one, stride in zip(place, strides, strict=True))
        cut = tuple(slice(a, a + wide, step) for a, wide, step in zip(begin, extent, dilation, strict=True))
        made[place] = values[cut]
    return made


def biased(layer: Any, values: Values, weights: Weights) -> Values:
    if layer.use_bias:
        values = values + weights["bias"]
    return activate(values, layer.activation)


def finished(layer: Any, values: Values, weights: Weights) -> Values:
    """With bias and activation; a softmax is over the last axis of what leaves, wherever the channels are."""
    values = values + weights["bias"] if layer.use_bias else values
    return activate(as_formatted(layer, values), layer.activation)


def convolved(covered: Values, kernel: Values, tally: Tally, groups: int = 1) -> Values:
    """The products of what each place covers with the kernel, each group of filters over its own channels."""
    rank, width, filters = kernel.ndim - 2, kernel.shape[-2], kernel.shape[-1]
    made = np.empty((*covered.shape[:rank], filters), object)
    for place in np.ndindex(covered.shape[:rank]):
        for one in range(filters):
            begin = one // (filters // groups) * width
            made[(*place, one)] = dot(covered[place][..., begin : begin + width], kernel[..., one], tally)
    return made


def convolve(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    shape = (layer.kernel_size, layer.strides, layer.padding)
    covered = windows(channels_last(layer, values), *shape, tally, layer.dilation_rate)
    made = convolved(covered, weights["kernel"], tally, layer.groups)
    return finished(layer, made, weights)


def convolve_depthwise(layer: Any, values: Values, kernel: Values, tally: Tally) -> Values:
    covered = windows(values, layer.kernel_size, layer.strides, layer.padding, tally, layer.dilation_rate)
    rank, times = layer.rank, kernel.shape[-1]
    made = np.empty((*covered.shape[:rank], covered.shape[-1] * times), object)
    for place in np.ndindex(covered.shape[:rank]):
        for channel in range(covered.shape[-1]):
            for one in range(times):
                made[(*place, channel * times + one)] = dot(
                    covered[place][..., channel], kernel[..., channel, one], tally
                )
    return made


def depthwise(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    made = convolve_depthwise(layer, channels_last(layer, values), weights["kernel"], tally)
    return finished(layer, made, weights)


def separable(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    between = convolve_depthwise(layer, channels_last(layer, values), weights["depthwise_kernel"], tally)
    pointwise = weights["pointwise_kernel"].reshape(weights["pointwise_kernel"].shape[-2:])
    return finished(layer, matmul(between, pointwise, tally), weights)


def transposed(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    """Each value of the input times each of the kernel, added where it falls; then the edges are cut off."""
    shape = layer.result_shape(values.shape)
    values, kernel, rank = channels_last(layer, values), weights["kernel"], layer.rank
    result = shape[1:] if layer.data_format == "channels_first" else shape[:-1]
    extent = tuple(step * (size - 1) + 1 for size, step in zip(layer.kernel_size, layer.dilation_rate, strict=True))
    cut, whole = [], []
    for axis, (size, wide, stride) in enumerate(zip(values.shape, extent, layer.strides, strict=False)):
        excess = (size - 1) * stride + wide - result[axis]
        cut.append(max(excess, 0) // 2 if layer.padding == "same" else 0)
        whole.append(max((size - 1) * stride + wide, cut[-1] + result[axis]))
    made = np.zeros((*whole, layer.filters))
    for place in np.ndindex(values.shape[:rank]):
        for part in np.ndindex(layer.kernel_size):
            target = tuple(
                a * b + c * d for a, b, c, d in zip(place, layer.strides, part, layer.dilation_rate, strict=True)
            )
            for channel in range(values.shape[-1]):
                for one in range(layer.filters):
                    made[(*target, one)] += values[(*place, channel)].value * kernel[(*part, one, channel)].value
                    tally.macs += 1
    inner = tuple(slice(before, before + size) for before, size in zip(cut, result, strict=True))
    return finished(layer, numbers(made[inner], tally), weights)


def dense(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    return biased(layer, matmul(values, adapted(layer, "kernel", weights, tally), tally), weights)


def adapted(layer: Any, name: str, weights: Weights, tally: Tally) -> Values:
    """A kernel with its low-rank adaptation, the product of two small ones, which Keras makes anew at each call."""
    if layer.lora_rank is None:
        return weights[name]
    scale = 1.0 if layer.lora_alpha is None else layer.lora_alpha / layer.lora_rank
    return weights[name] + matmul(weights[f"lora_{name}_a"], weights[f"lora_{name}_b"], tally) * scale


def dense_along(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    """The product that an equation tells of, letter by letter; dots are letters that stand nowhere else."""
    values, kernel = values[None], adapted(layer, "kernel", weights, tally)
    left, _, leaving = layer.equation.partition("->")
    entering, _, letters = left.partition(",")
    free = [letter for letter in ascii_letters if letter not in layer.equation]
    more = "".join(free[: values.ndim - len(entering.replace("...", ""))])
    entering, leaving = entering.replace("...", more), leaving.replace("...", more)
    sizes = dict(zip(entering + letters, values.shape + kernel.shape, strict=True))
    summed = [letter for letter in sizes if letter not in leaving]
    made = np.empty([sizes[letter] for letter in leaving], object)
    for place in np.ndindex(made.shape):
        total = 0.0
        for terms in np.ndindex(*(sizes[letter] for letter in summed)):
            at = dict(zip([*leaving, *summed], place + terms, strict=True))
            one, other = (values, entering), (kernel, letters)
            factors = [which[tuple(at[letter] for letter in axes)].value for which, axes in (one, other)]
            total += factors[0] * factors[1]
            tally.macs += 1
        made[place] = Number(total, tally)
    made = made + weights["bias"] if layer.bias_axes is not None else made
    return activate(made, layer.activation)[0]


def embed(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    """Vectors looked up; or scores for each of them."""
    if layer.said.get("reverse"):
        kernel = weights["embeddings"].T if layer.tie_weights else weights["reverse_embeddings"]
        made, cap = matmul(values, kernel, tally), layer.logit_soft_cap
        return each(made / cap, math.tanh) * cap if cap else made
    known = isinstance(layer, core.ReversibleEmbedding)
    vectors = weights["embeddings"] if known else adapted(layer, "embeddings", weights, tally)
    return vectors[plain(values).astype(int)]


def spectrally_normalize(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    """The layer within: its kernel is divided in training only."""
    own = {name.partition("/")[2]: value for name, value in weights.items() if "/" in name}
    return RULES[type(layer.layer)](layer.layer, values, own, tally)


# ---------------------------------------------------------------------------------------------- spectrograms


def spectrogram(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    """By convolutions of each channel with cosines and sines, as Keras does."""
    values = channels_last(layer, values)
    step = (layer.frame_step or layer.frame_length // 2,)
    parts: dict[str, Values] = {}
    for name, kernel in weights.items():
        channels = [
            convolved(windows(one[:, None], (layer.frame_length,), step, layer.padding, tally), kernel, tally)
            for one in values.T
        ]
        parts[name] = np.stack(channels)  # of axes channels, frames, bands
    if layer.mode in ("real", "imag"):
        made = parts[f"{layer.mode}_kernel"]
    elif layer.mode == "stft":
        made = np.concatenate([parts["real_kernel"], parts["imag_kernel"]], -1)
    elif layer.mode == "angle":
        angle = np.frompyfunc(lambda one, other: one._done(math.atan2(one.value, other.value)), 2, 1)
        made = angle(parts["imag_kernel"], parts["real_kernel"])
    else:
        made = strength(layer.mode, parts["real_kernel"], parts["imag_kernel"], tally)
    channels_first = layer.data_format == "channels_first"
    if layer.expand_dims:
        return made if channels_first else np.moveaxis(made, 0, -1)
    flat = np.moveaxis(made, 1, 0).reshape(made.shape[1], -1)
    return flat.T if channels_first else flat


def strength(mode: str, real: Values, imaginary: Values, tally: Tally) -> Values:
    """How strong each frequency is: both halves of it, or one and its root, or the logarithm of that."""
    highest, epsilon = np.frompyfunc(Number.maximum, 2, 1), 1e-7
    power = real * real + imaginary * imaginary
    if mode == "psd":
        twice = zeros(power.shape, tally)
        twice[..., 1:-1] = power[..., 1:-1]
        return power + twice
    root = each(highest(power, epsilon), math.sqrt)
    return root if mode == "magnitude" else each(highest(root, epsilon), math.log)


def fourier(real: Values, imaginary: Values) -> tuple[Values, Values]:
    """The transform of 2^k values, halved again and again: 10 operations for each of n/2 pairs, k times."""
    size = len(real)
    if size == 1:
        return real, imaginary
    one_real, one_imaginary = fourier(real[::2], imaginary[::2])
    real, imaginary = fourier(real[1::2], imaginary[1::2])
    angles = -2 * math.pi * np.arange(size // 2) / size
    turned = real * np.cos(angles) - imaginary * np.sin(angles), real * np.sin(angles) + imaginary * np.cos(angles)
    upper, lower = (one_real + turned[0], one_imaginary + turned[1]), (one_real - turned[0], one_imaginary - turned[1])
    return np.concatenate([upper[0], lower[0]]), np.concatenate([upper[1], lower[1]])


def mel_spectrogram(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    """Frames under a window, their transforms, and the share of each frequency in each band, in decibels."""
    size, long = layer.fft_length, layer.sequence_length or layer.fft_length
    margin, before = size // 2, (size - long) // 2
    window = None
    if layer.window is not None:
        even = {"hann": 0.5, "hamming": 0.54}[layer.window]
        wave = even - (1 - even) * np.cos(2 * math.pi * np.arange(long) / long) if long > 1 else np.ones(1)
        window = np.pad(wave, (before, size - long - before))
    mirrored = np.concatenate([values[1 : margin + 1][::-1], values, values[len(values) - 1 - margin : -1][::-1]])
    rows = []
    for begin in range(0, len(mirrored) - size + 1, layer.sequence_stride):
        frame = mirrored[begin : begin + size]
        parts = fourier(frame if window is None else frame * window, zeros((size,), tally))
        real, imaginary = (part[: size // 2 + 1] for part in parts)
        root = each(real * real + imaginary * imaginary, math.sqrt)
        rows.append(each(root, lambda x: x**layer.mag_exp))
    made = matmul(np.stack(rows), numbers(shares(layer), tally), tally)
    if layer.power_to_db:
        highest = np.frompyfunc(Number.maximum, 2, 1)
        reference = 10 * math.log10(max(abs(layer.ref_power), layer.min_power))
        made = each(highest(made, layer.min_power), math.log10) * 10.0 - reference
        made = highest(made, greatest(made, (0, 1)) - layer.top_db)
    return made.T


def shares(layer: Any) -> Any:
    """The share of each frequency in each band: triangles that are even on the mel scale, 1127·ln(1 + f/700)."""

    def mel(frequency: Any) -> Any:
        return 1127 * np.log1p(np.asarray(frequency) / 700)

    frequencies = mel(np.linspace(0, layer.sampling_rate / 2, layer.fft_length // 2 + 1))[:, None]
    highest = layer.max_freq or layer.sampling_rate // 2
    edges = np.linspace(mel(layer.min_freq), mel(highest), layer.num_mel_bins + 2)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    made = np.maximum(0, np.minimum((frequencies - low) / (middle - low), (high - frequencies) / (high - middle)))
    made[0] = 0
    return made


def pool(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    """A window that overlaps the edge is taken whole: of zeros that count in a mean, or that no value is below."""
    values, strides = channels_last(layer, values), layer.strides or layer.pool_size
    covered = windows(values, layer.pool_size, strides, layer.padding, tally)
    axes = tuple(range(layer.rank, 2 * layer.rank))
    made = greatest(covered, axes) if layer.compares else added(covered, axes) / float(math.prod(layer.pool_size))
    return as_formatted(layer, made.reshape((*covered.shape[: layer.rank], covered.shape[-1])))


def pool_all(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    values = channels_last(layer, values)
    axes = tuple(range(layer.rank))
    made = greatest(values, axes) if layer.compares else added(values, axes) / float(math.prod(values.shape[:-1]))
    return as_formatted(layer, made) if layer.keepdims else made.reshape(made.shape[-1])


def pool_adaptively(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    """By windows that begin at floor(i·n/m) and end before ceil((i + 1)·n/m), for place i of m along n."""
    values = channels_last(layer, values)
    sizes = layer.output_size
    made = np.empty((*sizes, values.shape[-1]), object)
    for place in np.ndindex(*sizes):
        ends = [(i * n // m, -(-(i + 1) * n // m)) for i, n, m in zip(place, values.shape, sizes, strict=False)]
        window = values[tuple(slice(*end) for end in ends)].reshape(-1, values.shape[-1])
        total = greatest(window, (0,)) if layer.compares else added(window, (0,)) / float(len(window))
        made[place] = total[0]
    return as_formatted(layer, made)


def rescale(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    return values * np.asarray(layer.scale, float) + np.asarray(layer.offset, float)


def standardize(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    """By one factor and one summand for each place along the axes, worked out beforehand."""
    named = () if layer.axis is None else (layer.axis,) if isinstance(layer.axis, int) else layer.axis
    axes = {axis - 1 if axis > 0 else axis % values.ndim for axis in named}
    shape = [size if axis in axes else 1 for axis, size in enumerate(values.shape)]
    kept = [size for size in shape if size > 1] if not axes else [values.shape[axis] for axis in sorted(axes)]
    given = (
        (layer.mean, layer.variance) if layer.mean is not None else [plain(weights[n]) for n in ("mean", "variance")]
    )
    mean, variance = (np.broadcast_to(np.asarray(one, float), kept).reshape(shape) for one in given)
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    return values * deviation + mean if layer.invert else values * (1 / deviation) + -mean / deviation


def mask(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    """Zeros in place of steps that are masked throughout; a comparison for each value tells."""
    other = each(values, lambda x: float(x != layer.mask_value))
    keeps = plain(other).astype(bool).any(-1, keepdims=True)
    return np.where(keeps, values, zeros(values.shape, tally))


def prelu(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    slopes = np.broadcast_to(plain(weights["alpha"]), values.shape)
    made = np.empty(values.shape, object)
    for place in np.ndindex(values.shape):
        made[place] = values[place]._done(max(values[place].value, 0) + slopes[place] * min(values[place].value, 0))
    return made


def discretize(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    """The bin that a value falls into, found by halves: as many comparisons as the worst place takes."""
    bounds = layer.bin_boundaries
    made = np.empty(values.shape, object)
    for place in np.ndindex(values.shape):
        value, low, step = values[place], 0, 1 << len(bounds).bit_length()
        while step > 1:
            step //= 2
            tally.operations += 1
            if low + step <= len(bounds) and bounds[low + step - 1] <= value.value:
                low += step
        made[place] = Number(float(low), tally)
    return made


def own_weights(weights: Weights, prefix: str) -> Weights:
    """Those of a layer within, by its own names."""
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def distribute(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    """The layer within, of each step for itself."""
    known = {name.partition("/")[2]: value for name, value in weights.items()}
    return np.stack([RULES[type(layer.layer)](layer.layer, step, known, tally) for step in values])


def pipe(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    """One layer after the other."""
    for one, name in zip(layer.layers, inner_names(layer.layers), strict=True):
        values = RULES[type(one)](one, values, own_weights(weights, f"{name}/"), tally)
    return values


def both_ways(layer: Any, values: Values, weights: Weights, tally: Tally) -> list[Values]:
    """A layer over the sequence, and one over it reversed; of sequences the latter is turned round again."""
    ahead = layer.layer
    back = layer.backward_layer or type(ahead)(**{**ahead.arguments(), "go_backwards": True})
    forwards = {name: value for name, value in weights.items() if name.startswith("forward_")}
    (forward, *states), (backward, *others) = (
        recur(one, values, known, tally)
        for one, known in ((ahead, forwards), (back, {name: weights[name] for name in weights if name not in forwards}))
    )
    backward = backward[::-1] if ahead.return_sequences else backward
    joined = {
        None: lambda: [forward, backward],
        "concat": lambda: [np.concatenate([forward, backward], -1)],
        "sum": lambda: [forward + backward],
        "mul": lambda: [forward * backward],
        "ave": lambda: [(forward + backward) / 2.0],
    }
    return [*joined[layer.merge_mode](), *states, *others]


def batch_normalize(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    """By one factor and one summand for each channel, worked out beforehand."""
    scale = 1 / np.sqrt(plain(weights["moving_variance"]) + layer.epsilon)
    scale = scale * plain(weights["gamma"]) if layer.scale else scale
    shift = -plain(weights["moving_mean"]) * scale
    shift = shift + plain(weights["beta"]) if layer.center else shift
    shape = [1] * values.ndim
    shape[layer.axis - 1 if layer.axis > 0 else layer.axis] = -1
    return values * scale.reshape(shape) + shift.reshape(shape)


def _normalized(values: Values, axes: tuple[int, ...], epsilon: float) -> Values:
    """Less the mean, over the deviation."""
    count = float(math.prod(values.shape[axis] for axis in axes))
    centred = values - added(values, axes) / count
    variance = added(centred * centred, axes) / count
    return centred * each(variance + epsilon, lambda x: 1 / math.sqrt(x))


def layer_normalize(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    named = (layer.axis,) if isinstance(layer.axis, int) else layer.axis
    axes = tuple(sorted(axis - 1 if axis > 0 else axis % values.ndim for axis in named))
    made = _normalized(values, axes, layer.epsilon)
    shape = [size if axis in axes else 1 for axis, size in enumerate(values.shape)]
    made = made * weights["gamma"].reshape(shape) if layer.scale else made
    return made + weights["beta"].reshape(shape) if layer.center else made


def rms_normalize(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    named = (layer.axis,) if isinstance(layer.axis, int) else layer.axis
    axes = tuple(sorted(axis - 1 if axis > 0 else axis % values.ndim for axis in named))
    mean = added(values * values, axes) / float(math.prod(values.shape[axis] for axis in axes))
    shape = [size if axis in axes else 1 for axis, size in enumerate(values.shape)]
    return values * each(mean + layer.epsilon, lambda x: 1 / math.sqrt(x)) * weights["scale"].reshape(shape)


def group_normalize(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    axis = layer.axis - 1 if layer.axis > 0 else layer.axis % values.ndim
    size = values.shape[axis]
    groups = size if layer.groups == -1 else layer.groups
    moved = np.moveaxis(values, axis, 0)
    grouped = moved.reshape(groups, size // groups, *moved.shape[1:])
    made = _normalized(grouped, tuple(range(1, grouped.ndim)), layer.epsilon).reshape(moved.shape)
    shape = (-1, *(1,) * (values.ndim - 1))
    made = made * weights["gamma"].reshape(shape) if layer.scale else made
    made = made + weights["beta"].reshape(shape) if layer.center else made
    return np.moveaxis(made, 0, axis)


def unit_normalize(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    named = (layer.axis,) if isinstance(layer.axis, int) else layer.axis
    axes = tuple(sorted(axis - 1 if axis > 0 else axis % values.ndim for axis in named))
    squares = np.frompyfunc(Number.maximum, 2, 1)(added(values * values, axes), 1e-12)
    return values * each(squares, lambda x: 1 / math.sqrt(x))


def activation(layer: Any, values: Values, weights: Weights, tally: Tally) -> Values:
    if isinstance(layer, activations.Activation):
        return activate(values, layer.activation)
    if isinstance(layer, activations.Softmax):
        named = (layer.axis,) if isinstance(layer.axis, int) else layer.axis
        return softmax(values, tuple(sorted(axis - 1 if axis > 0 else axis % values.ndim for axis in named)))
    if isinstance(layer, activations.ReLU):
        top = math.inf if layer.max_value is None else layer.max_value
        return each(
            values, lambda x: min(x, top) if x >= layer.threshold else layer.negative_slope * (x - layer.threshold)
        )
    if isinstance(layer, activations.LeakyReLU):
        return each(values, lambda x: x if x >= 0 else layer.negative_slope * x)
    assert isinstance(layer, activations.ELU)
    return each(values, lambda x: x if x > 0 else layer.alpha * math.expm1(x))


def merge(layer: Any, values: list[Values], weights: Weights, tally: Tally) -> Values:
    if isinstance(layer, merging.Concatenate):
        return np.concatenate(values, layer.axis - 1 if layer.axis > 0 else layer.axis)
    rules: dict[type[Layer], Callable[[Values, Values], Values]] = {
        merging.Add: lambda a, b: a + b,
        merging.Average: lambda a, b: a + b,
        merging.Subtract: lambda a, b: a - b,
        merging.Multiply: lambda a, b: a * b,
        merging.Maximum: np.frompyfunc(Number.maximum, 2, 1),
        merging.Minimum: np.frompyfunc(Number.minimum, 2, 1),
    }
    shape = layer.result_shape(*(one.shape for one in values))
    made = np.broadcast_to(values[0], shape)
    for one in values[1:]:
        made = rules[type(layer)](made, np.broadcast_to(one, shape))
    return made / float(len(values)) if isinstance(layer, merging.Average) else made


def dot_product(layer: Any, values: list[Values], weights: Weights, tally: Tally) -> Values:
    axes = (layer.axes, layer.axes) if isinstance(layer.axes, int) else layer.axes
    moved = []
    for one, axis in zip(values, axes, strict=True):
        place = axis - 1 if axis > 0 else axis % one.ndim
        if layer.normalize:
            squares = np.frompyfunc(Number.maximum, 2, 1)(added(one * one, (place,)), 1e-12)
            one = one * each(squares, lambda x: 1 / math.sqrt(x))
        moved.append(np.moveaxis(one, place, -1))
    left, right = moved
    made = matmul(left, np.moveaxis(right, -1, 0), tally)
    return made.reshape(made.shape or (1,))


# ---------------------------------------------------------------------------------------------- sequences


def recur(layer: Any, values: Values, weights: Weights, tally: Tally) -> list[Values]:
    state = [zeros(shape, tally) for shape in layer.states(values.shape)]
    cell = layer.inner if isinstance(layer, recurrent.RNN) else layer
    steps = []
    for step in reversed(values) if layer.go_backwards else values:
        made, *state = advance(cell, step, state, weights, tally)
        steps.append(made)
    made = np.array(steps) if layer.return_sequences else steps[-1]
    return [made, *(state if layer.return_state else ())]


def advance(cell: Any, step: Values, state: list[Values], weights: Weights, tally: Tally) -> list[Values]:
    """What leaves a cell at a step, and the states after it; of several cells each takes what leaves the one before."""
    if not isinstance(cell, cells.StackedRNNCells):
        known = {name.split("/")[-1]: value for name, value in weights.items()}
        after = CELLS[type(cell)](cell, step, state, known, tally)
        return [after[0], *after]
    states: list[Values] = []
    for one, name in zip(cell.cells, inner_names(cell.cells), strict=True):
        own = {full: value for full, value in weights.items() if f"/{full}".rpartition("/")[0].endswith(f"/{name}")}
        count = len(one.states(step.shape))
        step, *after = advance(one, step, state[:count], own, tally)
        state = state[count:]
        states += after
    return [step, *states]


def step_alone(cell: Any, values: Values, weights: Weights, tally: Tally) -> list[Values]:
    """A cell that is a step itself, with states of zeros."""
    return advance(cell, values, [zeros(shape, tally) for shape in cell.states(values.shape)], weights, tally)


def simple_cell(layer: Any, step: Values, state: list[Values], known: Weights, tally: Tally) -> list[Values]:
    total = matmul(step, known["kernel"], tally) + matmul(state[0], known["recurrent_kernel"], tally)
    total = total + known["bias"] if layer.use_bias else total
    return [activate(total, layer.activation)]


def lstm_cell(layer: Any, step: Values, state: list[Values], known: Weights, tally: Tally) -> list[Values]:
    total = matmul(step, known["kernel"], tally) + matmul(state[0], known["recurrent_kernel"], tally)
    total = total + known["bias"] if layer.use_bias else total
    return gated(layer, np.split(total, 4), state[1])


def conv_lstm_cell(layer: Any, step: Values, state: list[Values], known: Weights, tally: Tally) -> list[Values]:
    window = (layer.kernel_size, layer.strides, layer.padding, tally, layer.dilation_rate)
    total = convolved(windows(channels_last(layer, step), *window), known["kernel"], tally)
    total = total + known["bias"] if layer.use_bias else total
    around = windows(channels_last(layer, state[0]), layer.kernel_size, (1,) * layer.rank, "same", tally)
    total = total + convolved(around, known["recurrent_kernel"], tally)
    return gated(layer, [as_formatted(layer, gate) for gate in np.split(total, 4, -1)], state[1])


def gated(layer: Any, gates: list[Values], before: Values) -> list[Values]:
    """The state and the memory of an LSTM after a step."""
    enter, forget, new, leave = gates
    memory = activate(forget, layer.recurrent_activation) * before
    memory = memory + activate(enter, layer.recurrent_activation) * activate(new, layer.activation)
    return [activate(leave, layer.recurrent_activation) * activate(memory, layer.activation), memory]


def gru_cell(layer: Any, step: Values, state: list[Values], known: Weights, tally: Tally) -> list[Values]:
    (before,) = state
    kernels = np.split(known["recurrent_kernel"], 3, axis=1)
    entering = np.split(matmul(step, known["kernel"], tally), 3)
    biases = np.atleast_2d(known["bias"]) if layer.use_bias else None
    if biases is not None:
        entering = [one + bias for one, bias in zip(entering, np.split(biases[0], 3), strict=True)]

    def recurrent(gate: int, state: Values) -> Values:
        product = matmul(state, kernels[gate], tally)
        return product + np.split(biases[1], 3)[gate] if biases is not None and layer.reset_after else product

    keep = activate(entering[0] + recurrent(0, before), layer.recurrent_activation)
    reset = activate(entering[1] + recurrent(1, before), layer.recurrent_activation)
    inner = reset * recurrent(2, before) if layer.reset_after else recurrent(2, reset * before)
    new = activate(entering[2] + inner, layer.activation)
    return [keep * before + (1.0 - keep) * new]


CELLS: dict[type[Layer], Callable[..., list[Values]]] = {
    recurrent.SimpleRNN: simple_cell,
    recurrent.LSTM: lstm_cell,
    recurrent.GRU: gru_cell,
    cells.SimpleRNNCell: simple_cell,
    cells.LSTMCell: lstm_cell,
    cells.GRUCell: gru_cell,
    **dict.fromkeys((conv_lstm.ConvLSTM1D, conv_lstm.ConvLSTM2D, conv_lstm.ConvLSTM3D), conv_lstm_cell),
}


def attend(layer: Any, values: list[Values], weights: Weights, tally: Tally) -> Values:
    """Attention without projections."""
    query, value = values[0], values[1]
    key = values[2] if len(values) > 2 else value
    if layer.sums:
        terms = query[:, None, :] + key[None, :, :]
        if isinstance(layer, attention.AdditiveAttention):
            terms = each(terms, math.tanh)
            scores = matmul(terms, weights["scale"], tally) if layer.use_scale else added(terms, (2,))[..., 0]
        else:
            terms = each(terms * weights["scale"] if layer.use_scale else terms, math.tanh)
            scores = added(terms, (2,))[..., 0] * weights["concat_score_weight"]
    else:
        scores = matmul(query, key.T, tally)
        scores = scores * weights["scale"] if layer.use_scale else scores
    return matmul(softmax(scores, (1,)), value, tally)


def attend_projected(layer: Any, values: list[Values], weights: Weights, tally: Tally) -> Values:
    """Attention over the steps of one axis, with projections."""
    query, value = values[0], values[1] if len(values) > 1 else values[0]
    key = values[2] if len(values) > 2 else value

    def project(name: str, entering: Values) -> Values:
        made = matmul(entering, weights[f"{name}/kernel"], tally)
        return made + weights[f"{name}/bias"] if layer.use_bias else made

    queries, keys, found = project("query", query), project("key", key), project("value", value)
    queries = queries * (1 / math.sqrt(layer.heads.wide))
    share = layer.heads.query // layer.heads.key
    heads = []
    for head in range(layer.heads.query):
        scores = softmax(matmul(queries[:, head], keys[:, head // share].T, tally), (1,))
        heads.append(matmul(scores, found[:, head // share], tally))
    joined = np.stack(heads, 1)
    if layer.use_gate:
        joined = joined * activate(project("gate", query), "sigmoid")
    kernel = weights["attention_output/kernel"]
    flat = kernel.reshape((-1, *kernel.shape[2:]))
    made = matmul(joined.reshape(len(query), -1), flat, tally)
    return made + weights["attention_output/bias"] if layer.use_bias else made


RULES: dict[type[Layer], Callable[..., Any]] = {
    **dict.fromkeys((convolution.Conv1D, convolution.Conv2D, convolution.Conv3D), convolve),
    **dict.fromkeys(
        (
            convolution_transposed.Conv1DTranspose,
            convolution_transposed.Conv2DTranspose,
            convolution_transposed.Conv3DTranspose,
        ),
        transposed,
    ),
    **dict.fromkeys((convolution_separable.DepthwiseConv1D, convolution_separable.DepthwiseConv2D), depthwise),
    **dict.fromkeys((convolution_separable.SeparableConv1D, convolution_separable.SeparableConv2D), separable),
    core.Dense: dense,
    einsum.EinsumDense: dense_along,
    **dict.fromkeys((core.Embedding, core.ReversibleEmbedding), embed),
    spectrograms.STFTSpectrogram: spectrogram,
    spectrograms.MelSpectrogram: mel_spectrogram,
    wrappers.SpectralNormalization: spectrally_normalize,
    **{getattr(pooling, f"{kind}Pooling{rank}D"): pool for kind in ("Max", "Average") for rank in (1, 2, 3)},
    **{getattr(pooling, f"Global{kind}Pooling{rank}D"): pool_all for kind in ("Max", "Average") for rank in (1, 2, 3)},
    normalization.BatchNormalization: batch_normalize,
    normalization.LayerNormalization: layer_normalize,
    normalization.RMSNormalization: rms_normalize,
    normalization.GroupNormalization: group_normalize,
    normalization.UnitNormalization: unit_normalize,
    **dict.fromkeys(
        (activations.Activation, activations.Softmax, activations.ReLU, activations.LeakyReLU, activations.ELU),
        activation,
    ),
    **dict.fromkeys((merging.Add, merging.Subtract, merging.Multiply, merging.Average), merge),
    **dict.fromkeys((merging.Maximum, merging.Minimum, merging.Concatenate), merge),
    merging.Dot: dot_product,
    **{kind: recur for kind in CELLS if not issubclass(kind, cells.Cell)},
    recurrent.RNN: recur,
    **dict.fromkeys((cells.SimpleRNNCell, cells.LSTMCell, cells.GRUCell, cells.StackedRNNCells), step_alone),
    **{
        getattr(pooling, f"Adaptive{kind}Pooling{rank}D"): pool_adaptively
        for kind in ("Max", "Average")
        for rank in (1, 2, 3)
    },
    core.Rescaling: rescale,
    core.Masking: mask,
    normalization.Normalization: standardize,
    activations.PReLU: prelu,
    categories.Discretization: discretize,
    wrappers.TimeDistributed: distribute,
    wrappers.Bidirectional: both_ways,
    pipeline.Pipeline: pipe,
    attention.Attention: attend,
    attention.AdditiveAttention: attend,
    multi_head.MultiHeadAttention: attend_projected,
    multi_head.GroupedQueryAttention: attend_projected,
}
"""The layers that are carried out."""

SEVERAL = {attend, attend_projected, merge, dot_product}


def examples(layer: Any, shapes: tuple[Shape, ...], random: np.random.Generator) -> list[Any]:
    """An example of each tensor that enters: normally distributed numbers, or integers that can be looked up."""
    layer = getattr(layer, "layer", layer)
    sizes = [tuple(size or 0 for size in shape) for shape in shapes]
    if RULES[type(layer)] is embed and not layer.said.get("reverse"):
        return [random.integers(layer.input_dim, size=size) for size in sizes]
    return [random.normal(size=size) for size in sizes]


def carried_out(layer: Layer, inputs: list[Any], weights: Mapping[str, Any]) -> tuple[list[Any], Tally]:
    """What leaves a layer in inference of one example, and what was done for it.

    Args:
        layer: the declaration.
        inputs: one example of each tensor that enters.
        weights: the layer's variables by name.
    """
    tally = Tally()
    entering = [numbers(values, tally) for values in inputs]
    known = {name: numbers(values, tally) for name, values in weights.items()}
    rule = RULES[type(layer)]
    with np.errstate(over="ignore", invalid="ignore"):
        made = rule(layer, entering if rule in SEVERAL else entering[0], known, tally)
    return [plain(one) for one in (made if isinstance(made, list) else [made])], tally


def can_be(layer: Layer, shapes: tuple[Shape, ...]) -> bool:
    """Whether the rules here carry a layer out.

    Those for masks, several axes, rare functions and transforms of sizes other than 2^k do not stand here.
    """
    if type(layer) not in RULES or any(None in shape for shape in shapes):
        return False
    if isinstance(layer, wrappers.SpectralNormalization):
        return not layer.said and can_be(layer.layer, shapes)
    if isinstance(layer, wrappers.TimeDistributed):
        return not layer.said and _alone(layer.layer) and can_be(layer.layer, (shapes[0][1:],))
    if isinstance(layer, wrappers.Bidirectional):
        return not layer.said and all(can_be(one, shapes) for one in layer._both())
    if isinstance(layer, pipeline.Pipeline):
        return not layer.said and all(_alone(one) and can_be(one, (shape,)) for one, shape in layer._entered(*shapes))
    if isinstance(layer, recurrent.RNN):
        return not layer.said and can_be(layer.inner, (shapes[0][1:],))
    if isinstance(layer, cells.StackedRNNCells):
        return set(layer.said) <= {"states"} and all(can_be(cell, (step,)) for cell, step in layer._steps(*shapes))
    if isinstance(layer, categories.Discretization):
        return layer.output_mode == "int"
    if isinstance(layer, spectrograms.MelSpectrogram) and layer.fft_length.bit_count() > 1:
        return False
    for name in ("activation", "recurrent_activation"):
        if getattr(layer, name, None) not in (None, "linear", "softmax", *FUNCTIONS):
            return False
    axes = getattr(layer, "axis", None)
    if any(axis % (len(shapes[0]) + 1) == 0 for axis in ((axes,) if isinstance(axes, int) else axes or ())):
        return False  # over the examples of a batch
    if isinstance(layer, multi_head._Projected):
        return len(shapes[0]) == 2 and not layer.sliding_window and not layer.said
    return not set(layer.said) - {"reverse", *(["states"] if isinstance(layer, cells.Cell) else [])}


def _alone(layer: Layer) -> bool:
    """Whether a layer stands within another one as the rules here have it: floats enter, and one tensor leaves."""
    return type(layer) in RULES and RULES[type(layer)] not in (recur, both_ways, embed, *SEVERAL)
