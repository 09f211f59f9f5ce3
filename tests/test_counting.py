"""Multiply-accumulates and operations of each layer against carrying it out, number by number."""

from __future__ import annotations

from operator import attrgetter

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings

from specdsl.declaration import Misuse
from specdsl.layers import LAYERS, Layer, Shape, core
from specdsl.layers.einsum import EinsumDense
from specdsl.layers.spectrograms import MelSpectrogram
from specdsl.layers.wrappers import SpectralNormalization
from tests.counted import RULES, can_be, carried_out, examples
from tests.strategies import Call, calls

MOST = 20_000
"""Operations that are carried out for one example."""


STACK = LAYERS["StackedRNNCells"](cells=[LAYERS["GRUCell"](units=3), LAYERS["LSTMCell"](units=2)])


def drawn(call: Call) -> Layer:
    """The layer of a call that is legal, small, and carried out by the rules; other calls are drawn anew."""
    try:
        layer = call.kind(**call.arguments).called(call.options)
        layer.infer(*call.shapes)
    except (Misuse, ValueError):
        assume(False)
        raise
    assume(can_be(layer, call.shapes) and all(call.shapes) and call.arguments.get("epsilon", 1) > 0)
    work = [count.value for count in (layer.macs(*call.shapes), layer.operations(*call.shapes))]
    assume(None not in work and sum(value or 0 for value in work) < MOST)
    return layer


@pytest.mark.parametrize("kind", sorted(RULES, key=attrgetter("__name__")), ids=attrgetter("__name__"))
def test_work_is_what_carrying_it_out_takes(kind: type[Layer]) -> None:
    """As many multiply-accumulates, as many operations, and outputs of the inferred shapes."""

    @settings(
        max_examples=8,
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.differing_executors],
    )
    @given(calls([kind]))
    def check(call: Call) -> None:
        check_work(drawn(call), call.shapes)

    check()


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (core.Dense(units=3, lora_rank=2), (4, 5)),
        (core.Embedding(input_dim=4, output_dim=3, lora_rank=2), (5,)),
        (
            core.ReversibleEmbedding(input_dim=4, output_dim=3, tie_weights=False, logit_soft_cap=2.0).called(
                {"reverse": True}
            ),
            (5, 3),
        ),
        (EinsumDense(equation="ab...,bc->ac...", output_shape=2, activation="softmax", bias_axes="c"), (3, 4, 5)),
        (EinsumDense(equation="...bc,cd->...db", output_shape=(2, 3), lora_rank=1), (4, 3, 5)),
        (LAYERS["SimpleRNNCell"](units=3).called({"states": ((3,),)}), (4,)),
        (LAYERS["LSTMCell"](units=2, use_bias=False).called({"states": ((2,), (2,))}), (4,)),
        (LAYERS["GRUCell"](units=2, reset_after=False, activation="softmax").called({"states": ((2,),)}), (4,)),
        (STACK.called({"states": ((3,), (2,), (2,))}), (4,)),
        (LAYERS["RNN"](cell=STACK, return_sequences=True, return_state=True), (3, 4)),
        (LAYERS["TimeDistributed"](layer=core.Dense(units=3, activation="relu")), (4, 5)),
        (LAYERS["TimeDistributed"](layer=LAYERS["MaxPooling1D"]()), (2, 4, 3)),
        (LAYERS["Pipeline"](layers=[core.Rescaling(scale=2.0), core.Dense(units=3), LAYERS["ReLU"]()]), (5,)),
        *(
            (LAYERS["Bidirectional"](layer=LAYERS["GRU"](units=2, return_sequences=True), merge_mode=mode), (3, 4))
            for mode in (None, "concat", "sum", "mul", "ave")
        ),
        (
            LAYERS["Bidirectional"](
                layer=LAYERS["RNN"](cell=LAYERS["LSTMCell"](units=2), return_state=True),
                backward_layer=LAYERS["LSTM"](units=2, return_state=True, go_backwards=True),
            ),
            (3, 4),
        ),
        (LAYERS["AdaptiveAveragePooling2D"](output_size=(3, 2)), (5, 7, 2)),
        (LAYERS["Discretization"](bin_boundaries=(-1.0, 0.0, 0.5, 2.0)), (6,)),
        (SpectralNormalization(layer=core.Embedding(input_dim=4, output_dim=3)), (5,)),
        (MelSpectrogram(fft_length=8, sequence_stride=3, num_mel_bins=3), (19,)),
        (MelSpectrogram(fft_length=8, sequence_stride=3, window=None, power_to_db=False), (19,)),
    ],
    ids=str,
)
def test_work_of_rare_cases_is_what_carrying_it_out_takes(layer: Layer, shape: Shape) -> None:
    """Of arguments that go together too seldom to be drawn each time."""
    check_work(layer, (shape,))


def check_work(layer: Layer, shapes: tuple[Shape, ...]) -> None:
    random = np.random.default_rng(0)
    weights = {
        weight.name: 0.1 * random.random(tuple(size or 0 for size in weight.shape)) for weight in layer.weights(*shapes)
    }
    made, tally = carried_out(layer, examples(layer, shapes, random), weights)
    for one, shape in zip(made, layer.result_shapes(*shapes), strict=True):
        assert one.shape == tuple(size or real for size, real in zip(shape, one.shape, strict=True))
    assert tally.macs == layer.macs(*shapes).value
    assert tally.operations == layer.operations(*shapes).value


ROUGH = {
    # An interpolation has a multiplication and an addition for each weight along each axis of the image that it makes;
    # carried out axis by axis it takes fewer, and at the edges fewer still.
    "CenterCrop", "Resizing", "UpSampling2D",
    # So many operations for each value and each bin, as told in the rules.
    "AutoContrast", "ContrastLimitedAdaptiveHistogramEqualization",
    # A look-up or a hash counts as one operation, whatever it takes.
    "CategoryEncoding", "HashedCrossing", "Hashing", "IntegerLookup", "StringLookup", "TextVectorization",
}  # fmt: skip
"""Layers whose operations are counted by a convention that carrying them out cannot tell right or wrong."""


def test_all_layers_with_arithmetic_are_carried_out() -> None:
    """Those that multiply, those that have operations alone, and those whose work is that of layers within."""
    working = {
        kind.__name__
        for kind in LAYERS.values()
        if kind.macs is not Layer.macs
        or kind.operations is not Layer.operations
        or {"activation", "use_bias"} & {*kind.fields()}
    }
    assert working - {kind.__name__ for kind in RULES} == ROUGH
