"""How precisely is computed, what is compiled and kept, and what a framework is held to when it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from specdsl.declaration import Misuse
from specdsl.layers.dtypes import policy
from specdsl.training import compilation

ROOT = Path(__file__).parents[2]


def checked(folder: Path, *mixed: str) -> dict[str, Any]:
    """What `precision_checks` finds, where JAX is told of other random numbers and of 64 bits."""
    told = {"JAX_DEFAULT_PRNG_IMPL": "rbg", "JAX_ENABLE_X64": "1", "XDG_CACHE_HOME": str(folder / "cache")}
    told |= {"KERAS_BACKEND": "jax", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.precision_checks", str(folder), *mixed],
        cwd=ROOT, env={**os.environ, **told}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same, with the one mixed precision that scales losses."""
    return checked(tmp_path_factory.mktemp("precision"), "mixed_float16")


on_jax = pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")


@pytest.mark.keras
@on_jax
@pytest.mark.parametrize(
    ("precision", "method", "products"),
    [
        ("float32", "vmap", "f32 and f32, HIGHEST"),
        ("tensorfloat32", "vmap-products", "f32 and f32, HIGH"),
        ("mixed_bfloat16", "vmap", "bf16 and bf16, HIGHEST"),
    ],
)
def test_the_fused_step_multiplies_as_precisely_as_the_recipe_says(
    found: dict[str, Any], precision: str, method: str, products: str
) -> None:
    """Convolutions and products alike, forwards and backwards; statistics and losses are of float32 in any case."""
    kinds = ["product"] if method == "vmap-products" else ["convolution", "product"]
    assert found[f"{precision}, {method}"] == [f"{kind} of {products}" for kind in kinds]
    assert found[f"{precision}, statistics"] == found[f"{precision}, loss"] == ["f32"]


@pytest.mark.keras
@on_jax
@pytest.mark.parametrize("way", ["depthwise", "at once", "in portions", "transposed"])
def test_sums_of_16_bits_are_rounded_once(found: dict[str, Any], way: str) -> None:
    """Outputs, gradients of inputs and of the kernel of convolutions: 49 values of 8 bits and more added up.

    The gradient of the kernel is rounded in each portion, added up in 32 bits, and rounded once more.
    """
    *once, of_kernel = found["rounding"][way]
    assert max(once) < 2**-8, found["rounding"]
    assert of_kernel < (2**-7 if way in ("depthwise", "in portions") else 2**-8), found["rounding"]


@pytest.mark.keras
@on_jax
def test_scaled_losses_are_the_same_experiment_fused_and_in_fit(found: dict[str, Any]) -> None:
    """To the rounding of 16 bits, of two trials in one program."""
    assert found["mixed_float16, apart from fit"] < 0.01


@pytest.mark.keras
@pytest.mark.slow
@pytest.mark.timeout(900)
@on_jax
def test_bfloat16_is_the_same_experiment_fused_and_in_fit(tmp_path: Path) -> None:
    """To the rounding of its 8 bits."""
    assert checked(tmp_path, "mixed_bfloat16")["mixed_bfloat16, apart from fit"] < 0.03


@pytest.mark.keras
@on_jax
def test_fit_multiplies_so_too_and_leaves_nothing_behind(found: dict[str, Any]) -> None:
    assert found["within fit"] == ["tensorfloat32"]
    assert found["behind"] is None


@pytest.mark.keras
@on_jax
def test_what_the_environment_says_changes_no_experiment(found: dict[str, Any]) -> None:
    """Random numbers are threefry's and numbers have 32 bits, whatever JAX is told; TensorFlow stays away."""
    assert found["settings"] == ["threefry2x32", False]
    assert not found["tensorflow"]


@pytest.mark.keras
@on_jax
def test_compiled_programs_are_kept_and_taken_again(found: dict[str, Any]) -> None:
    """On a processor whose programs XLA takes back; on others none is kept."""
    assert (found["kept"] > 0) == (found["hits"] > 0) == compilation.can_keep()


@pytest.mark.keras
@on_jax
def test_jax_is_told_to_be_deterministic(found: dict[str, Any]) -> None:
    assert "--xla_gpu_deterministic_ops=true" in found["flags"]


def test_determinism_is_added_to_the_users_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/tmp/x")
    monkeypatch.setitem(sys.modules, "jax._src.xla_bridge", SimpleNamespace(_backends={"cpu": 1}))
    for _ in range(2):
        compilation.before_deterministic("jax")
        assert os.environ["XLA_FLAGS"] == "--xla_dump_to=/tmp/x --xla_gpu_deterministic_ops=true"
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_deterministic_ops=false")
    with pytest.raises(Misuse, match="the same bits each time are asked for"):
        compilation.before_deterministic("jax")
    monkeypatch.delenv("XLA_FLAGS")
    monkeypatch.setitem(sys.modules, "jax._src.xla_bridge", SimpleNamespace(_backends={"cpu": 1, "cuda": 2}))
    with pytest.raises(Misuse, match="already runs"):
        compilation.before_deterministic("jax")


def test_the_oldest_programs_go_first(tmp_path: Path) -> None:
    for place, name in enumerate(("old", "middle", "new")):
        file = tmp_path / "one" / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(bytes(100))
        os.utime(file, (place, place))
    compilation.tidy(tmp_path, 250)
    assert sorted(one.name for one in (tmp_path / "one").iterdir()) == ["middle", "new"]
    compilation.tidy(tmp_path, 250)
    assert len(list((tmp_path / "one").iterdir())) == 2


def test_programs_are_kept_for_processors_that_take_them_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "_has_plugin", lambda: False)
    assert compilation.can_keep("vendor_id : AuthenticAMD\nflags : avx2 avx512f")
    assert compilation.can_keep("vendor_id : GenuineIntel\nflags : avx2")
    assert not compilation.can_keep("vendor_id : GenuineIntel\nflags : avx2 avx512f")
    assert not compilation.can_keep("")
    monkeypatch.setattr(compilation, "_has_plugin", lambda: True)
    assert compilation.can_keep("")


def test_values_of_tensorfloat32_take_32_bits() -> None:
    assert policy("tensorfloat32") == policy("float32")


@pytest.mark.keras
def test_tensorflow_rounds_products_while_a_trial_asks_for_it_and_not_behind() -> None:
    import tensorflow

    from specdsl.training.precision import products

    enabled = tensorflow.config.experimental.tensor_float_32_execution_enabled
    before = enabled()
    with products("tensorfloat32"):
        assert enabled()
        with products("mixed_bfloat16"):
            assert not enabled()
        assert enabled()
    assert enabled() == before


@pytest.mark.keras
@pytest.mark.parametrize("newer", [True, False])
def test_pytorch_is_told_in_the_words_of_its_version(newer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """From 2.9 on with one word for each kind of product, before that with a switch for products and one for cuDNN."""
    from specdsl.training import precision

    if newer:
        kinds = [SimpleNamespace(fp32_precision="none") for _ in range(3)]
        matmul, conv, rnn = kinds
        cudnn = SimpleNamespace(conv=conv, rnn=rnn)
    else:
        matmul, cudnn = kinds = [SimpleNamespace(allow_tf32=False), SimpleNamespace(allow_tf32=True)]
    fake = SimpleNamespace(backends=SimpleNamespace(cuda=SimpleNamespace(matmul=matmul), cudnn=cudnn))
    monkeypatch.setitem(sys.modules, "torch", fake)
    before = [vars(one).copy() for one in kinds]
    with precision._torch(True):
        assert [next(iter(vars(one).values())) for one in kinds] == (["tf32"] * 3 if newer else [True] * 2)
    with precision._torch(False):
        assert [next(iter(vars(one).values())) for one in kinds] == (["ieee"] * 3 if newer else [False] * 2)
    assert [vars(one) for one in kinds] == before
