"""The fused engine against Keras's `fit`: the same experiment, alone or together, and gone on with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from specdsl.cli import cli
from specdsl.declaration import Misuse
from specdsl.training import Wanted

ROOT = Path(__file__).parents[2]


@pytest.mark.keras
@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
@pytest.mark.parametrize(
    "case", ["averaged", pytest.param("plain", marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_trials_are_the_same_experiment_fused_and_in_fit(case: str, tmp_path: Path) -> None:
    """Losses, metrics and predictions agree to the rounding of floats; what is gone on with agrees to the last bit."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.fused_checks", str(tmp_path), case],
        cwd=ROOT, env={**os.environ, "KERAS_BACKEND": "jax"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    for name in [one for one in found if "differ" not in one and one != "resumed"]:
        assert found[name] < 2e-4, (name, found)
    assert all(found[name] for name in found if "differ" in name), found
    assert found["resumed"], found


def test_an_engine_says_what_it_needs() -> None:
    with pytest.raises(Misuse, match="a program of JAX"):
        Wanted(engine="fused", backend="tensorflow").check()
    with pytest.raises(Misuse, match="one trial after the other"):
        Wanted(engine="fit", backend="jax", together=4).check()
    given = ["train", str(ROOT / "specs" / "bn_cnn.spec"), "--data", "synthetic(train=2, test=1)", "--engine", "fused"]
    result = CliRunner().invoke(cli, [*given, "--backend", "torch"])
    assert result.exit_code == 2
    assert "a program of JAX" in result.output
