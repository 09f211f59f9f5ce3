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
from specdsl.training import Wanted, fused_portions
from specdsl.training.compilation import can_keep
from specdsl.training.evaluating import even_batch
from specdsl.training.fused_portions import Ahead, Portion

ROOT = Path(__file__).parents[2]


@pytest.mark.keras
@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
@pytest.mark.parametrize(
    "case", ["averaged", pytest.param("plain", marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_trials_are_the_same_experiment_fused_and_in_fit(case: str, tmp_path: Path) -> None:
    """Losses, metrics and predictions agree to the rounding of floats; what is gone on with agrees to the last bit."""
    # What one part of the checks compiles the others find.
    cache = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.fused_checks", str(tmp_path), case],
        cwd=ROOT, env={**os.environ, "KERAS_BACKEND": "jax"} | (cache if can_keep() else {}),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    for name in [one for one in found if "differ" not in one and one != "resumed"]:
        assert found[name] < 2e-4, (name, found)
    assert all(found[name] for name in found if "differ" in name), found
    assert found["resumed"], found


def test_portions_take_a_quarter_of_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a step takes, and whether calls wait behind each other; what is compiled first does not count."""
    now = 0.0
    monkeypatch.setattr(fused_portions, "perf_counter", lambda: now)
    for seconds, steps in ((1e-5, 4096), (0.001, 250), (0.03, 8), (0.4, 1), (5.0, 1)):
        portion, ready, waiting = Portion(), 0.0, 0
        for _ in range(12):
            now += 2.0 if not waiting else 0.0  # compiled while it is handed over
            portion.sent(portion.steps)
            ready = max(ready, now) + portion.steps * seconds
            now, waiting = ready, waiting + 1
            portion.done()
        assert portion.steps in (steps, steps - 1), seconds  # the quotient may lie just below a whole number


def test_batches_of_evaluation_leave_no_rest_where_they_can() -> None:
    assert even_batch(12_630, 1024) == 842
    assert even_batch(100, 128) == 100
    assert even_batch(127, 50) == 43
    for count in range(1, 200):
        for most in (1, 7, 32):
            size = even_batch(count, most)
            assert 1 <= size <= min(most, count)
            assert -(-count // size) <= -(-count // max(1, most // 2))


def test_an_epoch_is_made_ahead_and_is_the_same_whenever_it_is_asked_for() -> None:
    made: list[int] = []

    def make(epoch: int) -> int:
        made.append(epoch)
        return epoch * epoch

    ahead = Ahead(make, 4)
    assert [ahead.take(epoch) for epoch in (0, 1, 2, 3, 2)] == [0, 1, 4, 9, 4]
    assert sorted(made) in ([0, 1, 2, 2, 3], [0, 1, 2, 2, 3, 3])
    assert 4 not in made


def test_an_engine_says_what_it_needs() -> None:
    with pytest.raises(Misuse, match="a program of JAX"):
        Wanted(engine="fused", backend="tensorflow").check()
    with pytest.raises(Misuse, match="one trial after the other"):
        Wanted(engine="fit", backend="jax", together=4).check()
    given = ["train", str(ROOT / "specs" / "bn_cnn.spec"), "--data", "synthetic(train=2, test=1)", "--engine", "fused"]
    result = CliRunner().invoke(cli, [*given, "--backend", "torch"])
    assert result.exit_code == 2
    assert "a program of JAX" in result.output
