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


def test_all_layers_that_multiply_are_carried_out() -> None:
    """Save those whose work is that of a layer within, and cells, which recurrent layers carry along."""
    multiplying = {kind.__name__ for kind in LAYERS.values() if kind.macs is not Layer.macs}
    within = {"Bidirectional", "Pipeline", "TimeDistributed", "RNN"}
    assert {name for name in multiplying - within if "Cell" not in name} <= {kind.__name__ for kind in RULES}
