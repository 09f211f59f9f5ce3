"""The fused engine's programs lowered for a GPU, which takes none: that they can be, and what stands in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import pytest

from specdsl.recipes.training import Precision
from specdsl.training.ways import Method

ROOT = Path(__file__).parents[2]

CHALLENGE, DROPOUT = "experiments/challenge.spec:challenge", "experiments/dropout_position.spec:dropout1"

FEW = [
    f"{CHALLENGE} vmap tensorfloat32 2",
    f"{CHALLENGE} vmap-products mixed_bfloat16 2",
    f"{CHALLENGE} map-products tensorfloat32 2",
    f"{DROPOUT} map float32 2",
]

ZOO = [
    "zoo/gtsrb_champion.spec:gtsrb_champion vmap-products mixed_bfloat16 2",
    "zoo/resnet_cifar.spec:resnet20 vmap-products mixed_bfloat16 2",
    "zoo/mobilenet_v2.spec:mobilenet_v2 map-products tensorfloat32 1",
    "zoo/efficientnet.spec:efficientnet_b0 vmap tensorfloat32 1",
    "zoo/convnext.spec:convnext_tiny vmap-products mixed_bfloat16 1",
    "zoo/mlp_mixer.spec:mixer_s16 vmap mixed_bfloat16 1",
    "zoo/transformer.spec:transformer vmap mixed_bfloat16 2",
]

PRODUCTS: dict[str, set[str]] = {
    "float32": {"f32 f32 HIGHEST"},
    "tensorfloat32": {"f32 f32 HIGH"},
    "mixed_bfloat16": {"bf16 bf16 HIGHEST", "f32 f32 HIGHEST"},
}
"""What products are of, and how precise they are said to be, by the precision of the recipe."""


def told(module: str, arguments: list[str]) -> list[dict[str, Any]]:
    """What a process of its own prints, line by line."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.training.{module}", *arguments],
        cwd=ROOT, env={**os.environ, "KERAS_BACKEND": "jax"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def judge(cases: list[str]) -> None:
    found = told("cuda_checks", cases)
    assert [(one["case"], one["program"]) for one in found] == [
        (case, program) for case in cases for program in ("steps", "rest", "measure", "answer")
    ]
    for one in found:
        _, method, precision, _ = one["case"].split()
        which = f"{one['case']} {one['program']}"
        assert not {"f64", "f16"} & set(one["types"]), which
        assert not one["called"], f"{which}: nothing leaves XLA, least of all to the host"
        assert not {"infeed", "outfeed", "send", "recv"} & one["operations"].keys(), which
        assert set(one["products"]) <= PRODUCTS[precision], (which, one["products"])
        assert precision != "mixed_bfloat16" or any(kind.startswith("bf16") for kind in one["products"]), which
        if method.endswith("products"):
            assert "convolution" not in one["operations"], which
            assert one["transposed"] <= one["largest"], f"{which}: weights may be turned, activations not"
        if one["program"] == "steps":
            assert one["operations"]["while"] == 1 + method.startswith("map"), f"{which}: a loop over steps and trials"


@pytest.mark.keras
@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
def test_least_work_is_what_xla_counts() -> None:
    """Of drawn networks, within a tenth: what is left out are normalisation, activations, loss and optimizer.

    XLA leaves out of convolutions as they are what padding adds, which multiply-accumulates of the analysis count.
    """
    for one in told("flops_checks", [str(seed) for seed in range(1, 9)]):
        assert 1.0 <= one["vmap-products"] < 1.1, one
        assert 0.85 < one["vmap"] < 1.1, one


@pytest.mark.keras
@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
def test_programs_can_be_lowered_for_a_gpu() -> None:
    judge(FEW)


@pytest.mark.keras
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
def test_all_methods_and_precisions_can_be_lowered_for_a_gpu() -> None:
    every = [
        f"{name} {method} {precision} 2"
        for name in (CHALLENGE, DROPOUT)
        for method in get_args(Method)
        for precision in get_args(Precision)
        if precision in PRODUCTS
    ]
    judge([case for case in every if case not in FEW])


@pytest.mark.keras
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
@pytest.mark.parametrize("case", ZOO)
def test_networks_of_all_kinds_can_be_lowered_for_a_gpu(case: str) -> None:
    judge([case])
