"""Multiply-accumulates and operations of each layer against carrying it out, number by number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings

from specdsl.declaration import Misuse
from specdsl.layers import LAYERS, Layer
from tests.counted import RULES, can_be, carried_out
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


@pytest.mark.parametrize("kind", sorted(RULES, key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__)
def test_work_is_what_carrying_it_out_takes(kind: type[Layer]) -> None:
    """As many multiply-accumulates, as many operations, and outputs of the inferred shapes."""

    @settings(
        max_examples=8,
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.differing_executors],
    )
    @given(calls([kind]))
    def check(call: Call) -> None:
        layer = drawn(call)
        random = np.random.default_rng(0)
        shapes = [tuple(size or 0 for size in shape) for shape in call.shapes]
        weights = {
            weight.name: 0.1 * random.random(tuple(size or 0 for size in weight.shape))
            for weight in layer.weights(*call.shapes)
        }
        made, tally = carried_out(layer, [random.normal(size=shape) for shape in shapes], weights)
        assert tuple(one.shape for one in made) == layer.result_shapes(*call.shapes)
        assert tally.macs == layer.macs(*call.shapes).value
        assert tally.operations == layer.operations(*call.shapes).value

    check()


def test_all_layers_that_multiply_are_carried_out() -> None:
    """Save those whose work is that of a layer within, and cells, which recurrent layers carry along."""
    multiplying = {kind.__name__ for kind in LAYERS.values() if kind.macs is not Layer.macs}
    within = {"Bidirectional", "Pipeline", "TimeDistributed", "RNN"}
    assert {name for name in multiplying - within if "Cell" not in name} - {kind.__name__ for kind in RULES} == LEFT


LEFT = {"ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"}
"""Layers that multiply and are not carried out: their rules are those of an LSTM, with the work of convolutions."""
