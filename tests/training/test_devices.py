"""Several devices: who has what, what is refused, and that trials come to the same on them as on one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from specdsl.cli import cli, planning
from specdsl.declaration import Misuse
from specdsl.training import Wanted, frameworks
from specdsl.training.candidates import Here
from specdsl.training.hardware import Hardware
from specdsl.training.sharing import Sharing, left_out, of_use, sharing

ROOT = Path(__file__).parents[2]

VIRTUAL = "--xla_force_host_platform_device_count=4"
QUICKLY_COMPILED = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"

STATED = 3e-4
"""How far losses, metrics and probabilities may lie apart after two epochs."""


@pytest.mark.parametrize(
    ("trials", "devices", "expected"),
    [
        (3, 4, Sharing(3, 1)),
        (4, 4, Sharing(4, 1)),
        (5, 4, Sharing(3, 2, spare=1)),
        (6, 4, Sharing(3, 2)),
        (7, 4, Sharing(4, 2, spare=1)),
        (31, 8, Sharing(8, 4, spare=1)),
        (6, 1, Sharing(1, 6)),
    ],
)
def test_trials_are_shared_by_the_fewest_devices_that_are_as_fast(trials: int, devices: int, expected: Sharing) -> None:
    assert sharing(trials, 128, devices) == expected


@given(st.integers(1, 60), st.integers(1, 512), st.integers(1, 16), st.none() | st.integers(1, 60))
def test_every_trial_has_a_place_and_every_part_is_as_large(
    trials: int, batch: int, devices: int, together: int | None
) -> None:
    """Nothing takes longer than it must, and no device has a spare place alone."""
    found = sharing(trials, batch, devices, together)
    assert 1 <= found.devices <= devices
    if found.batch:
        assert (trials, found.spare) == (1, 0)
        assert batch % found.devices == 0
        assert not any(batch % more == 0 for more in range(found.devices + 1, devices + 1))
    else:
        assert found.devices * found.each == trials + found.spare
        assert found.each == -(-trials // devices)
        assert found.spare < found.each


def test_one_trial_is_spread_by_its_batch_and_one_left_over_is_not() -> None:
    assert sharing(1, 128, 4) == Sharing(4, batch=True)
    assert sharing(1, 63, 4) == Sharing(3, batch=True)
    assert sharing(1, 61, 4) == Sharing()
    assert sharing(1, 2, 4) == Sharing(2, batch=True)
    assert sharing(1, 128, 4, together=3) == Sharing()


def test_devices_without_anything_to_do_are_told_of_or_refused() -> None:
    assert of_use("all", 4, 3, 128) == 3
    assert of_use(4, 4, 6, 128) == 3
    assert left_out(4, 4, 6, 128) == "3 of 4 devices have trials, at most 2 each: with more it would take as long"
    assert left_out(4, 4, 1, 63) == "3 of 4 devices have a part of the batch: 63 cannot be split evenly over more"
    assert left_out(4, 4, 8, 128) == ""
    for asked, together, batch, says in (
        (5, 8, 128, "there are 4 devices here, not 5"),
        (4, 3, 128, "3 trials together have use for 3 devices, not for 4"),
        (4, 1, 61, "a batch of 61 cannot be split evenly over 4 devices"),
    ):
        with pytest.raises(Misuse, match=says) as refused:
            of_use(asked, 4, together, batch)
        assert refused.value.help


def test_what_trains_on_one_device_is_not_given_several() -> None:
    with pytest.raises(Misuse, match='the engine "fit" trains on one device'):
        Wanted(engine="fit", devices=2).check()
    with pytest.raises(Misuse, match='"fit", the only one on torch, trains on one device'):
        Wanted(backend="torch", devices="all").check()
    Wanted(engine="fit", devices=1).check()


@pytest.mark.parametrize(
    ("written", "says"),
    [
        (["--devices", "0"], "'0' is neither a number from 1 on nor 'all'"),
        (["--devices", "many"], "'many' is neither a number from 1 on nor 'all'"),
        (["--devices", "2", "--engine", "fit"], 'the engine "fit" trains on one device'),
        (["--devices", "all", "--backend", "torch"], "trains on one device"),
    ],
)
def test_the_command_line_refuses_what_cannot_be(written: list[str], says: str) -> None:
    spec = str(ROOT / "specs" / "bn_cnn.spec")
    result = CliRunner().invoke(cli, ["train", spec, "--data", "synthetic(train=2, test=1)", *written])
    assert result.exit_code == 2
    assert says in result.output


@pytest.mark.parametrize(
    ("written", "says"),
    [
        (["--devices", "4"], "there is 1 device here, not 4"),
        (["--devices", "3", "--batch", "7"], "a batch of 7 cannot be split evenly over 3 devices"),
        (["--devices", "2", "--trials", "2", "--together", "2", "--processes", "3"], None),
    ],
)
def test_devices_are_compared_with_the_machine_before_data_are_loaded(
    written: list[str], says: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: Any) -> None:
        raise SystemExit(77)

    devices = 1 if says and "1 device" in says else 3
    there = Hardware("cpu", "a processor", devices, 8 << 30, 2)
    monkeypatch.setattr(Here, "now", lambda: Here(there, frozenset(["jax"])))
    monkeypatch.setattr(frameworks, "check_installed", lambda backend: None)
    monkeypatch.setattr(planning, "loaded", load)
    result = CliRunner().invoke(cli, ["train", str(ROOT / "specs" / "bn_cnn.spec"), "--data", "synthetic", *written])
    assert result.exit_code == (77 if says is None else 2), result.output
    assert (says or "") in result.output


def checked(folder: Path, *how: str) -> dict[str, Any]:
    """What `device_checks` finds."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.device_checks", str(folder), *how],
        cwd=ROOT, env={**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": f"{VIRTUAL} {QUICKLY_COMPILED}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    for name, value in found.items():
        if name.endswith("difference"):
            assert value < STATED, (name, found)
        if name.endswith("gone on with"):
            assert value, name
    return found


def silent(found: dict[str, list[str]]) -> bool:
    """Whether no device waits for another in any program."""
    return found == {"train": [], "measure": [], "answer": []}


def sums_alone(found: dict[str, list[str]]) -> bool:
    """Whether training and measuring exchange nothing but sums; answers are brought together."""
    return found["train"] == found["measure"] == ["all-reduce"]


@pytest.mark.keras
@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
@pytest.mark.timeout(600)
def test_trials_are_the_same_experiment_on_four_devices(tmp_path: Path) -> None:
    """Five trials, with a place to spare; one whose last batch is no multiple; and two by the command line."""
    found = checked(tmp_path)
    assert silent(found["5 trials: collectives"])
    held = found["5 trials: held"]
    assert held == {"type": "uint8", "stored": held["stored"], "images": [held["stored"]] * 3, "trials": [2, 2, 2]}
    assert found["5 trials: room"] == [False, True, True], "each device has room for what lies on it, a little more too"
    assert sums_alone(found["batch 60: collectives"]), found["batch 60: collectives"]
    held = found["batch 60: held"]
    assert held == {"type": "uint8", "stored": held["stored"], "images": [held["stored"]] * 4, "trials": [1] * 4}
    assert found["elsewhere"] == [[0], [3]], "models are made on the processor, trials lie where they are trained"
    told = found["command line"]
    assert told["whole"].startswith("0: "), told
    assert "broken off" not in told["whole"]
    assert told["way"]["devices"] == 2
    assert told["epochs"] == [3, 3]
    assert told["trials differ"]
    assert told["too many"].startswith("2: error: there are 4 devices here, not 5"), told
    assert told["few trials"].startswith("2: error: 2 trials together have use for 2 devices, not for 4"), told


@pytest.mark.keras
@pytest.mark.slow
@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
@pytest.mark.timeout(1800)
def test_trials_are_the_same_experiment_on_four_devices_however_many(tmp_path: Path) -> None:
    """Also with batches that four devices cannot share, averaged weights, and layers that look around."""
    found = checked(tmp_path, "slow")
    assert found["command line"]["resumed"], found["command line"]
    for trials, places in ((3, [1, 1, 1]), (4, [1] * 4), (6, [2, 2, 2])):
        assert found[f"{trials} trials: held"]["trials"] == places
        assert silent(found[f"{trials} trials: collectives"])
    for batch, devices in ((63, 3), (62, 2)):
        assert len(found[f"batch {batch}: held"]["images"]) == devices
        assert sums_alone(found[f"batch {batch}: collectives"])
    for method in ("vmap", "vmap-products"):
        assert sums_alone(found[f"pooled {method}: collectives"])
