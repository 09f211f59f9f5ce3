"""The layer table: shapes, weights, work and refusals, without a framework."""

from itertools import product as every
from math import prod

import pytest
from hypothesis import HealthCheck, given, settings
from pydantic import ValidationError

from specdsl.counts import Count
from specdsl.declaration import Misuse, declared
from specdsl.layers import LAYERS, NAMES, Layer, Shape
from specdsl.layers.activations import Activation, PReLU, ReLU, Softmax
from specdsl.layers.augmentation import RandomElasticTransform
from specdsl.layers.convolution import Conv1D, Conv2D, Conv3D
from specdsl.layers.convolution_separable import DepthwiseConv1D, DepthwiseConv2D, SeparableConv2D
from specdsl.layers.convolution_transposed import Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
from specdsl.layers.core import Dense, Embedding, Rescaling
from specdsl.layers.images import CenterCrop
from specdsl.layers.merging import Add, Average, Concatenate, Dot, Subtract
from specdsl.layers.normalization import BatchNormalization, GroupNormalization, LayerNormalization, Normalization
from specdsl.layers.objects import Orthogonal
from specdsl.layers.pipeline import Pipeline
from specdsl.layers.pooling import (
    AdaptiveAveragePooling2D,
    AdaptiveMaxPooling1D,
    AveragePooling2D,
    GlobalAveragePooling2D,
    MaxPooling2D,
)
from specdsl.layers.regularization import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout2D,
)
from specdsl.layers.reshaping import Cropping2D, Flatten, Permute, RepeatVector, Reshape, UpSampling2D, ZeroPadding2D
from specdsl.layers.spectrograms import MelSpectrogram, STFTSpectrogram
from tests.strategies import layers

# ---------------------------------------------------------------------------------------------- the table


def test_every_name_stands_for_one_layer() -> None:
    names = [name for layer in LAYERS.values() for name in (layer.__name__, *layer.aliases)]
    assert len(names) == len(set(names))
    assert set(names) == set(NAMES)
    assert NAMES["MaxPool2D"] is NAMES["MaxPooling2D"]


def test_every_layer_says_what_it_is_in_one_sentence() -> None:
    for layer in declared(Layer):
        first = (layer.__doc__ or "").partition("\n\n")[0]
        assert first.endswith("."), layer


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(layers())
def test_a_layer_takes_its_inputs_or_says_in_one_sentence_why_not(drawn: tuple[Layer, tuple[Shape, ...]]) -> None:
    """Nothing but Misuse is raised, no size is negative or zero, and a layer that infers has weights and work."""
    layer, shapes = drawn
    try:
        leaving = layer.infer(*shapes)
    except Misuse as error:
        misuse = error
    else:
        misuse = None
    if misuse:
        assert not misuse.message.endswith(".")
        assert misuse.argument is None or misuse.argument in type(layer).fields()
        return
    assert all(size is None or size > 0 for shape in leaving for size in shape)
    weights = layer.variables(*shapes)
    assert all(weight.count.value for weight in weights)
    assert not any(weight.trainable for weight in weights) or layer.trainable
    work = layer.macs(*shapes)
    assert work.value is None or work.value >= 0
    if all(None not in shape for shape in (*leaving, *shapes)):
        assert work.value is not None


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(layers())
def test_a_layer_survives_being_written_and_read(drawn: tuple[Layer, tuple[Shape, ...]]) -> None:
    """The arguments that differ from their defaults say all there is to say of a layer."""
    layer, _ = drawn
    assert type(layer)(**layer.arguments()) == layer


# ---------------------------------------------------------------------------------------------- shapes

CASES: list[tuple[Layer, Shape, Shape]] = [
    (Conv2D(filters=32, kernel_size=5), (28, 28, 3), (24, 24, 32)),
    (Conv2D(filters=32, kernel_size=5, padding="same", strides=2), (29, 28, 3), (15, 14, 32)),
    (Conv2D(filters=8, kernel_size=3, dilation_rate=2), (9, 10, 3), (5, 6, 8)),
    (Conv2D(filters=8, kernel_size=(3, 1), data_format="channels_first"), (3, 9, 9), (8, 7, 9)),
    (Conv2D(filters=8, kernel_size=3), (None, 9, 3), (None, 7, 8)),
    (Conv1D(filters=8, kernel_size=3, padding="causal", strides=2), (9, 4), (5, 8)),
    (Conv2DTranspose(filters=8, kernel_size=3, strides=2, padding="same"), (7, None, 3), (14, None, 8)),
    (Conv2DTranspose(filters=8, kernel_size=2, strides=3), (7, 7, 3), (21, 21, 8)),
    (Conv1DTranspose(filters=8, kernel_size=4, strides=3, output_padding=1, padding="same"), (7, 3), (19, 8)),
    (DepthwiseConv2D(kernel_size=3, depth_multiplier=2), (7, 7, 3), (5, 5, 6)),
    (SeparableConv2D(filters=8, kernel_size=3, padding="same"), (7, 7, 3), (7, 7, 8)),
    (MaxPooling2D(), (5, 5, 3), (2, 2, 3)),
    (MaxPooling2D(padding="same"), (5, 5, 3), (3, 3, 3)),
    (AveragePooling2D(pool_size=3, strides=1), (5, None, 3), (3, None, 3)),
    (GlobalAveragePooling2D(), (5, 5, None), (None,)),
    (GlobalAveragePooling2D(keepdims=True, data_format="channels_first"), (3, 5, 5), (3, 1, 1)),
    (Flatten(), (4, 4, 64), (1024,)),
    (Flatten(), (None, 4), (None,)),
    (Flatten(), (), (1,)),
    (Reshape(target_shape=(-1, 8)), (4, 4), (2, 8)),
    (Reshape(target_shape=(-1, 8)), (None, 4), (None, 8)),
    (Permute(dims=(3, 1, 2)), (4, 5, 6), (6, 4, 5)),
    (RepeatVector(n=3), (5,), (3, 5)),
    (ZeroPadding2D(padding=((1, 2), (3, 4))), (5, None, 2), (8, None, 2)),
    (Cropping2D(cropping=(1, 2)), (5, 5, 2), (3, 1, 2)),
    (UpSampling2D(size=(2, 3), data_format="channels_first"), (2, 5, 5), (2, 10, 15)),
    (Dense(units=4), (None, 3), (None, 4)),
    (Embedding(input_dim=100, output_dim=8), (None,), (None, 8)),
]


@pytest.mark.parametrize(("layer", "entering", "leaving"), CASES, ids=lambda value: str(value))
def test_output_shape(layer: Layer, entering: Shape, leaving: Shape) -> None:
    assert layer.infer(entering) == (leaving,)


@pytest.mark.parametrize(
    ("layer", "entering", "leaving"),
    [
        (Add(), ((4, 5), (4, 5)), (4, 5)),
        (Add(), ((4, 5), (1, 5), (5,)), (4, 5)),
        (Add(), ((4, 1), (1, 5)), (4, 5)),
        (Add(), ((4, None), (4, 5)), (4, None)),
        (Average(), ((3,), ()), (3,)),
        (Concatenate(), ((4, 2), (4, 3), (None, 5)), (4, 10)),
        (Concatenate(axis=1), ((4, 2), (None, 2)), (None, 2)),
        (Concatenate(axis=-2), ((4, 2), (5, 2)), (9, 2)),
        (Dot(axes=1), ((5,), (5,)), (1,)),
        (Dot(axes=(2, 1)), ((4, 5), (5, 6)), (4, 6)),
        (Dot(axes=-1, normalize=True), ((4, 5), (6, 5)), (4, 6)),
    ],
    ids=str,
)
def test_output_shape_of_a_merge(layer: Layer, entering: tuple[Shape, ...], leaving: Shape) -> None:
    assert layer.infer(*entering) == (leaving,)


# ---------------------------------------------------------------------------------------------- weights


def weights(layer: Layer, *shapes: Shape) -> str:
    """All weights of a layer as one line."""
    return ", ".join(f"{w.name}{'' if w.trainable else '*'} {w.shape}" for w in layer.variables(*shapes))


def parameters(layer: Layer, *shapes: Shape) -> Count:
    """The number of parameters of a layer, with its derivation."""
    return sum((weight.count for weight in layer.variables(*shapes)), Count())


def test_the_parameters_of_a_convolution_are_derived() -> None:
    assert parameters(Conv2D(filters=32, kernel_size=5), (28, 28, 3)).derivation == "5·5·3·32 + 32 = 2,432"


def test_the_parameters_of_batch_normalization_are_derived() -> None:
    assert parameters(BatchNormalization(), (24, 24, 32)).derivation == "4·32 = 128"


@pytest.mark.parametrize(
    ("layer", "entering", "expected"),
    [
        (Conv2D(filters=6, kernel_size=3, groups=2), (8, 8, 4), "kernel (3, 3, 2, 6), bias (6,)"),
        (Conv2DTranspose(filters=6, kernel_size=3, use_bias=False), (8, 8, 4), "kernel (3, 3, 6, 4)"),
        (DepthwiseConv1D(kernel_size=3, depth_multiplier=2), (8, 4), "kernel (3, 4, 2), bias (8,)"),
        (
            SeparableConv2D(filters=6, kernel_size=3, depth_multiplier=2),
            (8, 8, 4),
            "depthwise_kernel (3, 3, 4, 2), pointwise_kernel (1, 1, 8, 6), bias (6,)",
        ),
        (BatchNormalization(), (8, 4), "gamma (4,), beta (4,), moving_mean* (4,), moving_variance* (4,)"),
        (BatchNormalization(scale=False, axis=1), (8, 4), "beta (8,), moving_mean* (8,), moving_variance* (8,)"),
        (LayerNormalization(axis=(1, -1)), (8, 4), "gamma (4, 8), beta (4, 8)"),
        (GroupNormalization(groups=2, trainable=False), (8, 4), "gamma* (4,), beta* (4,)"),
        (PReLU(shared_axes=(1, 2)), (8, None, 4), "alpha (1, 1, 4)"),
        (Embedding(input_dim=9, output_dim=2), (None,), "embeddings (9, 2)"),
        (Dropout(rate=0.5), (8,), ""),
    ],
    ids=str,
)
def test_weights_stand_in_the_order_of_their_creation(layer: Layer, entering: Shape, expected: str) -> None:
    assert weights(layer, entering) == expected


# ---------------------------------------------------------------------------------------------- work


def convolve(size: int, kernel: int, stride: int, dilation: int, padding: str) -> int:
    """How often a kernel value meets a value of one padded axis, counted one by one."""
    reach = dilation * (kernel - 1) + 1
    if padding == "same":
        size += max((-(-size // stride) - 1) * stride + reach - size, 0)
    elif padding == "causal":
        size += reach - 1
    return sum(1 for start in range(0, size - reach + 1, stride) for _ in range(kernel))


WINDOWS = [
    (kernel, stride, dilation, padding)
    for kernel, stride, dilation, padding in every((1, 2, 3), (1, 2, 3), (1, 2), ("valid", "same", "causal"))
    if stride == 1 or dilation == 1
]


@pytest.mark.parametrize(("kernel", "stride", "dilation", "padding"), WINDOWS)
@pytest.mark.parametrize("size", [5, 6, 7])
def test_macs_of_a_convolution_by_counting(size: int, kernel: int, stride: int, dilation: int, padding: str) -> None:
    layer = Conv1D(filters=4, kernel_size=kernel, strides=stride, dilation_rate=dilation, padding=padding, groups=2)
    channels = sum(1 for filters in range(4) for channel in range(6) if filters // 2 == channel // 3)
    assert layer.macs((size, 6)).value == convolve(size, kernel, stride, dilation, padding) * channels


@pytest.mark.parametrize("layer_class", [Conv2D, Conv3D, DepthwiseConv2D, SeparableConv2D])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_macs_over_several_axes_by_counting(layer_class: type[Layer], padding: str) -> None:
    rank = 3 if layer_class is Conv3D else 2
    sizes, kernel, strides = (5, 6, 4)[:rank], (3, 2, 1)[:rank], (2, 2, 2)[:rank]
    filters = {} if layer_class is DepthwiseConv2D else {"filters": 7}
    layer = layer_class(kernel_size=kernel, strides=strides, padding=padding, **filters)
    window = prod(map(convolve, sizes, kernel, strides, (1,) * rank, (padding,) * rank))
    expected = {
        "Conv2D": window * 3 * 7,
        "Conv3D": window * 3 * 7,
        "DepthwiseConv2D": window * 3,
        "SeparableConv2D": window * 3 + window // prod(kernel) * 3 * 7,
    }
    assert layer.macs((*sizes, 3)).value == expected[layer_class.__name__]


@pytest.mark.parametrize(("kernel", "stride", "dilation"), [(3, 1, 1), (2, 3, 1), (3, 2, 1), (3, 1, 2)])
def test_macs_of_a_transposed_convolution_by_counting(kernel: int, stride: int, dilation: int) -> None:
    """Each input value adds its product with each kernel value to an output that just holds them."""
    landed = [place * stride + tap * dilation for place in range(5) for tap in range(kernel)]
    layer = Conv1DTranspose(filters=4, kernel_size=kernel, strides=stride, dilation_rate=dilation, output_padding=0)
    assert layer.macs((5, 3)).value == len(landed) * 3 * 4
    assert layer.infer((5, 3)) == ((max(landed) + 1, 4),)


def test_macs_of_a_dot_by_counting() -> None:
    counted = sum(1 for _ in every(range(4), range(5), range(6), range(7)))
    assert Dot(axes=(2, 1)).macs((4, 5), (5, 6, 7)).value == counted


def test_macs_of_dense_are_those_of_each_position() -> None:
    assert Dense(units=7).macs((4, 5)).derivation == "4·5·7 = 140"
    assert Dense(units=7).macs((None, 5)).derivation == "?·5·7 = ?"


@pytest.mark.parametrize("layer", [MaxPooling2D(), BatchNormalization(), ReLU(), Flatten(), UpSampling2D()], ids=str)
def test_what_multiplies_no_matrix_has_no_macs(layer: Layer) -> None:
    assert layer.macs((8, 8, 4)).value == 0


# ---------------------------------------------------------------------------------------------- behaviour


@pytest.mark.parametrize(
    ("layer", "training"),
    [
        (Dropout(rate=0.5), "sets each value to 0 with probability 0.5 and multiplies the rest by 2"),
        (Dropout(rate=1), "sets each value to 0"),
        (SpatialDropout2D(rate=0.2), "sets each channel to 0 with probability 0.2 and multiplies the rest by 1.25"),
        (GaussianNoise(stddev=0.1), "adds normal noise of standard deviation 0.1 to each value"),
        (GaussianDropout(rate=0.5), "multiplies each value by normal noise of mean 1 and standard deviation 1"),
        (
            AlphaDropout(rate=0.5),
            "sets each value to -1.758 with probability 0.5, then multiplies all by 0.8864 and adds 0.7792",
        ),
        (
            BatchNormalization(momentum=0.9),
            "normalises with the batch's mean and variance, and moves the moving averages "
            "10 % of the way towards them (momentum 0.9)",
        ),
    ],
    ids=str,
)
def test_what_training_does(layer: Layer, training: str) -> None:
    modes = layer.modes()
    assert modes is not None
    assert modes.training == training
    assert modes.inference != training


@pytest.mark.parametrize(
    "layer",
    [
        Dropout(rate=0),
        GaussianNoise(stddev=0),
        AlphaDropout(rate=0),
        BatchNormalization(trainable=False),
        LayerNormalization(),
        ActivityRegularization(l1=0.1),
        Conv2D(filters=1, kernel_size=1),
    ],
    ids=str,
)
def test_what_training_does_not_change(layer: Layer) -> None:
    assert layer.modes() is None


# ---------------------------------------------------------------------------------------------- refusals

REFUSALS: list[tuple[Layer, tuple[Shape, ...], str, str | None]] = [
    (
        Conv2D(filters=8, kernel_size=5),
        ((3, 4, 1),),
        "Conv2D cannot lay a window of (5, 5) on (3, 4)",
        "kernel_size",
    ),
    (
        Conv2D(filters=8, kernel_size=3, dilation_rate=2),
        ((4, 8, 1),),
        "Conv2D cannot lay a window of (3, 3), (5, 5) with dilation_rate (2, 2), on (4, 8)",
        "kernel_size",
    ),
    (
        Conv2D(filters=8, kernel_size=3, groups=3),
        ((8, 8, 3),),
        "Conv2D cannot share 8 filters equally among 3 groups",
        "groups",
    ),
    (
        Conv2D(filters=6, kernel_size=3, groups=3),
        ((8, 8, 4),),
        "Conv2D cannot share 4 input channels equally among 3 groups",
        "groups",
    ),
    (
        Conv2D(filters=8, kernel_size=3, strides=2, dilation_rate=2),
        ((8, 8, 4),),
        "Conv2D cannot have strides (2, 2) and dilation_rate (2, 2) at once: one of them must be 1",
        "dilation_rate",
    ),
    (
        Conv2D(filters=8, kernel_size=3),
        ((784,),),
        "Conv2D takes a tensor of shape (height, width, channels), not a tensor of shape (784,)",
        None,
    ),
    (
        Conv2D(filters=8, kernel_size=3),
        ((8, 8, None),),
        "Conv2D needs to know the number of channels, which is `none` here",
        None,
    ),
    (
        Conv2DTranspose(filters=8, kernel_size=3, strides=2, output_padding=2),
        ((8, 8, 4),),
        "Conv2DTranspose cannot pad its output by (2, 2), which must be less than its strides (2, 2) along every axis",
        "output_padding",
    ),
    (
        Dense(units=3, bias_initializer=Orthogonal()),
        ((4,),),
        "Orthogonal is for two axes or more, and the bias of this Dense has shape (3,)",
        "bias_initializer",
    ),
    (
        MaxPooling2D(pool_size=9),
        ((8, 8, 4),),
        "MaxPooling2D cannot lay a window of (9, 9) on (8, 8)",
        "pool_size",
    ),
    (
        BatchNormalization(axis=3),
        ((8, 4),),
        "BatchNormalization finds no axis 3 in a tensor of shape (8, 4)",
        "axis",
    ),
    (
        GroupNormalization(),
        ((8, 4),),
        "GroupNormalization cannot share 4 channels equally among 32 groups",
        "groups",
    ),
    (
        Reshape(target_shape=(5, 5)),
        ((4, 4),),
        "Reshape cannot make (5, 5) of (4, 4), which holds 16 values, not 25",
        "target_shape",
    ),
    (
        Reshape(target_shape=(-1, 5)),
        ((4, 4),),
        "Reshape cannot make (-1, 5) of (4, 4), which holds 16 values, not a multiple of 5",
        "target_shape",
    ),
    (
        Cropping2D(cropping=2),
        ((4, 8, 1),),
        "Cropping2D cannot take (4, 4) off (4, 8) and leave anything",
        "cropping",
    ),
    (
        Permute(dims=(2, 1)),
        ((4, 4, 3),),
        "Permute takes a tensor with 2 axes, as many as dims names, not a tensor of shape (4, 4, 3)",
        None,
    ),
    (Add(), ((4, 5), (4, 6)), "Add cannot join (4, 5) and (4, 6): sizes must be equal, or 1", None),
    (Add(), ((4, 5),), "Add takes at least 2 tensors, not one", None),
    (Subtract(), ((4,), (4,), (4,)), "Subtract takes exactly 2 tensors, not 3", None),
    (Dense(units=1), ((4,), (4,)), "Dense takes one tensor, not 2", None),
    (
        Concatenate(),
        ((4, 5), (3, 5), (4, 5)),
        "Concatenate cannot join (4, 5), (3, 5) and (4, 5) along axis -1: axis 1 differs",
        "axis",
    ),
    (
        Concatenate(),
        ((4, 5), (4,)),
        "Concatenate cannot join (4, 5) and (4,), whose numbers of axes differ",
        None,
    ),
    (
        Dot(axes=(2, 2)),
        ((4, 5), (4, 6)),
        "Dot cannot sum (4, 5) and (4, 6) along axes (2, 2), whose sizes differ: (5, 6)",
        "axes",
    ),
    (Softmax(axis=4), ((4, 5),), "Softmax finds no axis 4 in a tensor of shape (4, 5)", "axis"),
    (
        Dropout(rate=0.5, noise_shape=(None, 2)),
        ((5,),),
        "Dropout cannot spread noise of shape (none, 2) over (5,)",
        "noise_shape",
    ),
    (
        Dropout(rate=0.5, noise_shape=(3, 1)),
        ((5,),),
        "Dropout cannot spread noise of shape (3, 1) over (5,)",
        "noise_shape",
    ),
    (
        Dropout(rate=0.5, noise_shape=(None, 3, 1)),
        ((None, 5),),
        "Dropout cannot spread noise of shape (none, 3, 1) over (none, 5)",
        "noise_shape",
    ),
    (
        AdaptiveAveragePooling2D(output_size=(3, 3)),
        ((1, 8, 3),),
        "AdaptiveAveragePooling2D cannot make places of a single one: `fit` and `predict` fail in TensorFlow",
        None,
    ),
    (
        CenterCrop(height=2, width=2, dtype="mixed_float16"),
        ((4, 1, 3),),
        "CenterCrop enlarges images of shape (4, 1, 3), and Keras then makes float32 of them",
        "dtype",
    ),
    (
        Pipeline(layers=[AdaptiveAveragePooling2D(output_size=(2, 2))]),
        ((4, None, 3),),
        "Keras cannot run AdaptiveAveragePooling2D in a Pipeline when a size is `none`",
        "layers",
    ),
    (
        Pipeline(layers=[Conv2D(filters=4, kernel_size=2, dilation_rate=(1, 2))]),
        ((8, None, 3),),
        "in a Pipeline Keras forgets the sizes of what a dilated Conv2D makes when one is `none`",
        "layers",
    ),
    (
        RandomElasticTransform(),
        ((8, 8, None),),
        "RandomElasticTransform needs to know the number of channels, which is `none` here",
        None,
    ),
    (
        Rescaling(scale=(1.0, 2.0)),
        ((8, 8, 3),),
        "Rescaling has 2 values of scale for the last axis of (8, 8, 3)",
        "scale",
    ),
    (
        Normalization(mean=(1, 2), variance=(1, 1)),
        ((8, 8, 3),),
        "Normalization cannot spread a mean of shape (2,) over the sizes (3,) of axis -1 of (8, 8, 3)",
        "mean",
    ),
    (
        Normalization(axis=1),
        ((None, 3),),
        "Normalization needs to know the size of axis 1, which is `none` here",
        None,
    ),
]


@pytest.mark.parametrize(("layer", "shapes", "message", "argument"), REFUSALS, ids=lambda value: str(value)[:40])
def test_a_refusal_names_both_ends(layer: Layer, shapes: tuple[Shape, ...], message: str, argument: str | None) -> None:
    with pytest.raises(Misuse) as caught:
        layer.infer(*shapes)
    assert caught.value.message == message
    assert caught.value.argument == argument


def test_a_window_that_does_not_fit_is_helped() -> None:
    with pytest.raises(Misuse) as caught:
        Conv2D(filters=8, kernel_size=5).infer((3, 3, 1))
    assert caught.value.help == 'a smaller kernel_size, or padding="same"'


@pytest.mark.parametrize(
    ("layer_class", "arguments", "message"),
    [
        (
            Conv2D,
            {"filters": 1, "kernel_size": (3, 3, 3)},
            "'kernel_size' takes 2 values or a single one, not (3, 3, 3)",
        ),
        (Conv1D, {"filters": 1, "kernel_size": (3, 3)}, "'kernel_size' takes one value, not (3, 3)"),
        (ZeroPadding2D, {"padding": (1, (1, 2, 3))}, "'padding' takes 2 values or a single one, not (1, 2, 3)"),
        (Conv2D, {"filters": 0, "kernel_size": 3}, "greater than 0"),
        (Conv2D, {"filters": 1, "kernel_size": 0}, "greater than 0"),
        (Conv2D, {"filters": 1, "kernel_size": 3, "padding": "causal"}, "'valid' or 'same'"),
        (Activation, {"activation": "rely"}, "there is no activation named 'rely'"),
        (Activation, {"activation": "glu"}, "'glu' halves the last axis"),
        (Dense, {"units": 1, "kernel_initializer": "he"}, "there is no initializer named 'he'"),
        (Dropout, {"rate": 1.5}, "less than or equal to 1"),
        (AdaptiveMaxPooling1D, {"output_size": 1}, "a single place of an axis: TensorFlow divides by zero"),
        (AdaptiveAveragePooling2D, {"output_size": (3, 1)}, "a single place of an axis: `fit` and `predict` fail"),
        (MelSpectrogram, {"dtype": "float64"}, "MelSpectrogram makes no decibels in float64"),
        (STFTSpectrogram, {"dtype": "mixed_bfloat16"}, "'float64' or 'mixed_float16'"),
        (SpatialDropout2D, {"rate": 0.5, "trainable": False}, "True"),
        (ReLU, {"max_value": -1}, "greater than or equal to 0"),
        (Reshape, {"target_shape": (-1, -1)}, "Reshape can leave one size open with -1, not 2 as in (-1, -1)"),
        (Permute, {"dims": (0, 1)}, "Permute takes each axis from 1 to 2 once, not (0, 1)"),
        (RepeatVector, {"n": 0}, "greater than 0"),
        (GroupNormalization, {"groups": 0}, "positive number of groups, or -1"),
        (Normalization, {"mean": 0.5}, "Normalization takes mean only together with variance"),
        (Normalization, {"mean": "mean", "variance": 1}, "'mean' takes a number, or lists of numbers, not \"mean\""),
        (Normalization, {"mean": 0, "variance": [1, [2]]}, "'variance' takes numbers in lists of equal length"),
        (Normalization, {"mean": [1, 2], "variance": 1}, "a mean of shape (2,) and a variance of shape ()"),
        (
            Normalization,
            {"mean": [[1]], "variance": [[1]]},
            "a mean of shape (1, 1), which has more axes than -1 names",
        ),
    ],
)
def test_illegal_values_are_refused_at_once(
    layer_class: type[Layer], arguments: dict[str, object], message: str
) -> None:
    with pytest.raises((ValidationError, Misuse)) as caught:
        layer_class(**arguments)
    assert message in str(caught.value)


def test_one_size_for_all_axes_is_stored_as_one_for_each() -> None:
    layer = Conv3DTranspose(filters=1, kernel_size=3)
    assert layer.kernel_size == (3, 3, 3)
    assert ZeroPadding2D(padding=2).padding == ((2, 2), (2, 2))
    assert Conv2D(filters=1, kernel_size=3, strides=[1, 1]).arguments() == {"filters": 1, "kernel_size": (3, 3)}


def test_arguments_stand_in_the_order_of_keras() -> None:
    assert Conv3DTranspose.positional()[:6] == (
        "filters", "kernel_size", "strides", "padding", "data_format", "output_padding",
    )  # fmt: skip
    assert Conv2DTranspose.positional()[3:6] == ("padding", "output_padding", "data_format")


# ---------------------------------------------------------------------------------------------- types


@pytest.mark.parametrize(
    ("name", "compute", "variable"),
    [
        (None, "float32", "float32"),
        ("float64", "float64", "float64"),
        ("mixed_float16", "float16", "float32"),
        ("mixed_bfloat16", "bfloat16", "float32"),
    ],
)
def test_a_policy_chooses_the_types(name: str | None, compute: str, variable: str) -> None:
    """Weights have the policy's type, those that count have their own, and so does what leaves."""
    dense = LAYERS["Dense"](units=2, dtype=name)
    assert {weight.dtype for weight in dense.variables((3,))} == {variable}
    assert dense.result_dtypes(1, "float16") == (compute,)
    assert [weight.dtype for weight in LAYERS["Normalization"](dtype=name).variables((3,))] == [
        *[variable] * 2,
        "int64",
    ]


def test_images_of_integers_become_floats_or_are_refused() -> None:
    """What turns its images into floats takes integers; what leaves them as they are at times says what to do."""
    for name, arguments in (("RandomFlip", {}), ("RandomRotation", {"factor": 0.1}), ("CutMix", {})):
        assert LAYERS[name](**arguments).result_dtypes(1, "uint8") == ("float32",)
    with pytest.raises(Misuse, match="does not compute with integers") as refusal:
        LAYERS["Resizing"](height=2, width=2).result_dtypes(1, "uint8")
    assert refusal.value.help == "Rescaling(1), in front of it, makes floats of integers"


def test_what_is_dropped_before_a_sequence_is_carried_along_is_floats() -> None:
    """Of integers Keras refuses to drop some at the call, and of several cells the first alone is entered by them."""
    plain, dropping = LAYERS["LSTMCell"](units=2), LAYERS["LSTMCell"](units=2, dropout=0.5)
    refused = [
        LAYERS["GRU"](units=2, dropout=0.5),
        LAYERS["RNN"](cell=dropping),
        LAYERS["RNN"](cell=[dropping, plain]),
        LAYERS["Bidirectional"](layer=LAYERS["SimpleRNN"](units=2, dropout=0.5)),
    ]
    for layer in refused:
        for dtype in ("int32", "bool"):
            with pytest.raises(Misuse, match=f"only where that is floats, and a tensor of {dtype} enters"):
                layer.result_dtypes(1, dtype)
        assert layer.result_dtypes(1, "float64") == ("float32",)
    for layer in (LAYERS["RNN"](cell=[plain, dropping]), LAYERS["GRU"](units=2, recurrent_dropout=0.5)):
        assert layer.result_dtypes(1, "int32") == ("float32",)


def test_states_of_both_directions_have_the_types_of_their_layers() -> None:
    back = LAYERS["GRU"](units=2, return_state=True, go_backwards=True, dtype="float64")
    ahead = LAYERS["GRU"](units=2, return_state=True, dtype="float16")
    both = LAYERS["Bidirectional"](layer=ahead, backward_layer=back)
    assert both.result_dtypes(3, "float32") == ("float32", "float16", "float64")
    assert both.role("gru/gru_cell/kernel").endswith(", backward")


@pytest.mark.parametrize("merge_mode", [None, "concat", "sum"])
@pytest.mark.parametrize(("kind", "units"), [("GRU", 3), ("LSTM", 2)])
def test_both_directions_make_the_same_shapes(kind: str, units: int, merge_mode: str | None) -> None:
    """Keras takes the shapes of outputs and states backwards for those forwards, and what follows fails."""
    ahead = LAYERS["GRU"](units=2, return_state=True)
    back = LAYERS[kind](units=units, return_state=True, go_backwards=True)
    with pytest.raises(Misuse, match=r"Bidirectional cannot (merge outputs|return outputs|return states) of"):
        LAYERS["Bidirectional"](layer=ahead, backward_layer=back, merge_mode=merge_mode).infer((4, 2))


@pytest.mark.parametrize(("mode", "dtype"), [("int", "int64"), ("multi_hot", "int64"), ("tf_idf", "float32")])
def test_vectors_of_words_are_integers_unless_they_are_weighed(mode: str, dtype: str) -> None:
    words = {"vocabulary": ("a", "b"), "output_mode": mode} | ({"idf_weights": (1.0, 2.0)} if mode == "tf_idf" else {})
    for name in ("StringLookup", "TextVectorization"):
        assert LAYERS[name](**words).result_dtypes(1, "string") == (dtype,)


def test_layers_that_move_values_keep_their_types() -> None:
    """Floats become the layer's kind of float, integers and strings stay as they are."""
    for dtype, leaving in (("float16", "float32"), ("uint8", "uint8"), ("string", "string"), ("bool", "bool")):
        assert LAYERS["Flatten"]().result_dtypes(1, dtype) == (leaving,)
