"""The memory of trials together, from the static analysis, and what follows for groups."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specdsl.analyses import analyse
from specdsl.declaration import Misuse
from specdsl.recipes.augmentation import Resize
from specdsl.recipes.losses import SparseCategoricalCrossentropy
from specdsl.training import sizing
from specdsl.training.engine import Job
from specdsl.training.evaluating import most_at_once
from specdsl.training.hardware import Hardware
from specdsl.training.sizing import free, most_together, needed, parts, why_not_all
from specdsl.training.ways import Method, Way
from tests.training.memory_checks import MODELS, job
from tests.training.models import graph

GIB = 2**30

CNN = job("bn_cnn", "adam", "float32")

METHOD = st.sampled_from(get_args(Method))


def machine(gib: float) -> Hardware:
    return Hardware("gpu", "a GPU", 4, int(gib * GIB), 2)


def with_batch(some: Job, batch: int) -> Job:
    return replace(some, recipe=some.recipe.replace(batch=batch))


@given(method=METHOD, trials=st.integers(1, 40), devices=st.integers(1, 4))
def test_more_needs_more(method: Method, trials: int, devices: int) -> None:
    """More trials, larger batches and fewer devices never need less."""
    here = needed(CNN, method, trials, devices)
    assert here <= needed(CNN, method, trials + 1, devices) or (trials == 1 and devices > 1)
    assert here <= needed(with_batch(CNN, 256), method, trials, devices)
    assert here <= needed(CNN, method, trials)
    at_once, in_turn = needed(CNN, "vmap", trials), needed(CNN, "map", trials)
    assert in_turn <= at_once + (trials + 1) * parts(CNN, "map", 1).model


def test_each_part_is_what_it_says() -> None:
    found = parts(CNN, "map-products", 3)
    totals = analyse(CNN.graph).totals
    assert found.data == 1500 * (32 * 32 * 3 + 4)
    assert found.model == totals.weight_bytes + 2 * 4 * totals.trainable  # Adam has two moments
    columns = len(CNN.recipe.data.augment.draws())
    assert found.each == 2 * found.model + 2 * 1000 * 4 * (1 + columns) + sizing._BESIDE
    assert found.total == found.data + found.model + 3 * found.each + found.working
    at_once = parts(CNN, "vmap-products", 3)
    assert at_once.total == at_once.data + at_once.model + 3 * (at_once.each + at_once.working)
    assert (at_once.each, at_once.working) == (found.each - found.model, found.working - found.model)
    sgd = parts(job("bn_cnn", "momentum", "float32"), "vmap", 1)
    assert sgd.model == totals.weight_bytes + 4 * totals.trainable
    averaged = parts(job("bn_cnn", "ema", "float32"), "vmap", 1)
    assert averaged.model == totals.weight_bytes + 3 * 4 * totals.trainable


def test_evaluation_takes_larger_batches_where_training_holds_more() -> None:
    """As many times as the engine takes them, whatever the precision, and only where nothing depends on it."""
    half = job("bn_cnn", "adam", "mixed_bfloat16")
    added = replace(CNN, recipe=CNN.recipe.replace(loss=SparseCategoricalCrossentropy(reduction="sum")))
    times = [most_at_once(one, "gpu") // CNN.recipe.batch for one in (CNN, half, added)]
    assert times[0] == times[1] > 1
    assert times[2] == 1
    assert most_at_once(CNN, "cpu") == CNN.recipe.batch
    needed_at_once = parts(CNN, "vmap", 1).working
    with mock.patch.object(sizing, "times_larger", return_value=100):
        assert parts(CNN, "vmap", 1).working > needed_at_once, "the estimate does not go by the same rule"


def test_images_count_at_their_largest() -> None:
    """A batch that is scaled up before it is cropped needs room for what it is in between."""
    data = CNN.recipe.data
    larger = data.replace(augment=[Resize(height=96, width=64), *data.augment.operations])
    more = (
        parts(replace(CNN, recipe=CNN.recipe.replace(data=larger)), "vmap", 1).working - parts(CNN, "vmap", 1).working
    )
    assert more == CNN.recipe.batch * sizing._PREPARED * 4 * 3 * (96 * 64 - 32 * 32)


def test_half_precision_keeps_weights_and_halves_activations() -> None:
    full, half = (parts(job("mlp", "adam", precision), "vmap", 2) for precision in ("float32", "mixed_bfloat16"))
    assert full.model == half.model
    assert half.working < full.working


def test_windows_are_those_of_convolutions_that_become_products() -> None:
    """A row for each place, of a value for each place of the window and each channel; some are not kept."""
    text = """
model windows {
    input image: (28, 28, 3)
    Conv2D(32, 5)
    Conv2D(16, 3, strides=2, padding="same")
    Conv2D(16, 3, groups=4)
    DepthwiseConv2D(3, depth_multiplier=2)
    SeparableConv2D(8, 3, depth_multiplier=3)
    Conv2DTranspose(4, 2, strides=2)
    Flatten
    Dense(43, "softmax")
}
"""
    values = [24 * 24 * 5 * 5 * 3, 12 * 12 * 3 * 3 * 32, 10 * 10 * 3 * 3 * 16, 8 * 8 * 3 * 3 * 16, 6 * 6 * 3 * 3 * 32]
    analysis = analyse(graph(text))
    transposed = (6 * 6 * 2 * 2 * 4 * 4, 0)
    assert list(sizing._windows(analysis, "float32")) == [*((4 * one, 4 * one) for one in values), transposed]
    halves = [2 * one for one in values[:3]] + [4 * one for one in values[3:]]
    assert list(sizing._windows(analysis, "mixed_float16")) == [*((one, one) for one in halves), transposed]


@given(trials=st.integers(1, 60), gib=st.floats(0.7, 40), method=METHOD, devices=st.integers(1, 4))
def test_groups_are_as_large_as_there_is_room_for(trials: int, gib: float, method: Method, devices: int) -> None:
    here = machine(gib)
    room = free(here)
    assert room is not None
    if needed(CNN, method, 1, devices) > room:
        with pytest.raises(Misuse, match="bn_cnn needs about"):
            most_together(CNN, method, trials, here, devices)
        return
    together = most_together(CNN, method, trials, here, devices)
    told = why_not_all(CNN, trials, Way("fused", "jax", method, together, 1, devices), here)
    assert needed(CNN, method, together, devices) <= room
    if together < trials:
        groups = -(-trials // together)
        fewer = -(-trials // (groups - 1))  # the size with one group fewer
        assert needed(CNN, method, fewer, devices) > room
        assert told is not None
        assert told.startswith(f"Memory is why {trials} trials of bn_cnn are trained in ")
    else:
        assert told is None


def test_groups_are_even_and_told_of() -> None:
    """24 trials with room for 10 are three groups of 8."""
    room = needed(CNN, "vmap", 10) + sizing.LEAST_RESERVE
    here = Hardware("gpu", "H100", 1, room, 2)
    assert most_together(CNN, "vmap", 24, here) == 8
    told = why_not_all(CNN, 24, Way("fused", "jax", "vmap", 8), here)
    assert told is not None
    assert told.startswith(
        "Memory is why 24 trials of bn_cnn are trained in 3 groups of 8: together they would need about "
    )
    assert told.endswith("of H100 are free.")
    assert "in groups of 9, 8 and 8:" in (why_not_all(CNN, 25, Way("fused", "jax", "vmap", 9), here) or "")
    assert most_together(CNN, "vmap", 24, replace(here, memory=2 * room + sizing.LEAST_RESERVE), processes=2) in (6, 12)


def test_memory_that_nobody_knows_limits_nothing() -> None:
    assert most_together(CNN, "vmap", 500, Hardware("gpu", "?", 1, 0, 2)) == 500


def test_a_trial_that_has_no_room_is_refused_with_both_figures() -> None:
    large = with_batch(CNN, 100_000)
    with pytest.raises(Misuse) as refused:
        most_together(large, "vmap", 3, machine(16))
    assert refused.value.message.startswith("bn_cnn needs about ")
    assert "with a batch of 100000, and 14.4 GiB of a GPU are free for it" in refused.value.message
    assert refused.value.help is not None
    assert "smaller batch" in refused.value.help


def test_a_processor_keeps_more_for_itself() -> None:
    here = Hardware("cpu", "EPYC", 1, 4 * GIB, 2)
    assert free(here) == 3 * GIB
    assert free(here, processes=2) == GIB
    assert free(replace(here, memory=GIB // 2)) == 0


QUICK = [
    "shortcut_mlp map 3 momentum float32 cpu",
    "mlp vmap 3 adam float32 gpu",
    "separable map-products 2 momentum float32 cpu",
]

THOROUGH = [
    "bn_cnn vmap-products 1 adam float32 gpu",
    "bn_cnn vmap-products 3 adam float32 gpu",
    "bn_cnn vmap-products 3 adam float32 cpu",
    "bn_cnn vmap-products 2 adam mixed_bfloat16 cpu",
    "bn_cnn vmap-products 8 ema float32 cpu",
    "bn_cnn map-products 3 adam float32 gpu",
    "bn_cnn vmap 3 adam float32 gpu",
    "bn_cnn map 3 momentum float32 gpu",
    "challenge vmap-products 3 momentum float32 gpu",
    "challenge map-products 3 momentum float32 cpu",
    "enlarged vmap-products 3 adam float32 cpu",
    "enlarged map-products 2 momentum float32 cpu",
    "enlarged vmap-products 2 adam float32 gpu",
    "enlarged vmap 2 adam float32 cpu",
    "mlp vmap 1 adam float32 gpu",
    "mlp map 8 adam float32 gpu",
    "mlp vmap 3 ema float32 gpu",
    "original vmap-products 3 adam float32 cpu",
    "original vmap-products 3 adam float32 gpu",
    "original map-products 3 adam float32 cpu",
    "original vmap 3 adam float32 cpu",
    "original map 3 adam float32 gpu",
    "resnet vmap-products 1 adam float32 gpu",
    "resnet vmap-products 3 momentum float32 cpu",
    "resnet map-products 2 adam float32 cpu",
    "resnet map 3 momentum float32 gpu",
    "separable vmap-products 3 adam float32 cpu",
    "separable vmap-products 2 adam float32 gpu",
    "separable vmap 2 adam float32 cpu",
    "shortcut_mlp vmap 8 adam float32 gpu",
]


@pytest.mark.keras
@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
@pytest.mark.parametrize(
    "cases", [QUICK, pytest.param(THOROUGH, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])], ids=["few", "many"]
)
def test_xla_needs_no_more_and_not_much_less(cases: list[str]) -> None:
    """The arrays beside a program, and what XLA itself says of its arguments, results and temporary space."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.memory_checks", *cases],
        cwd=Path(__file__).parents[2], env={**os.environ, "KERAS_BACKEND": "jax"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [one["case"] for one in told] == cases
    ratios = {one["case"]: _ratio(one) for one in told}
    assert {case: ratio for case, ratio in ratios.items() if not 1 <= ratio <= 2.2} == {}


def _ratio(told: Mapping[str, Any]) -> float:
    """What was said beforehand, to what there is: small programs by what is counted one by one alone."""
    known = told["beside"] + told["total"]
    trials = int(told["case"].split()[2])
    spare = trials * sizing._BESIDE if known < 64 * 2**20 else 0
    return float((told["estimate"] - spare) / known)


def test_every_model_of_the_checks_is_there() -> None:
    for name in MODELS:
        assert needed(job(name, "adam", "float32"), "vmap", 2) > 0
