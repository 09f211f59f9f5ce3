"""The PyTorch back end, in processes of its own; where PyTorch is not installed, these tests are skipped."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.training.models import SPEC

pytestmark = [
    pytest.mark.keras,
    pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed"),
    pytest.mark.timeout(600),
]

DATA = """
data signs = synthetic(size=16, train=6, test=2) {
    validation(0.3)
    augment { random_crop(12, 12); random_brightness(0.1); clip(0, 1) }
    evaluate { center_crop(12, 12) }
}
train recipe { data = signs; epochs = 4; batch = 60; optimizer = Adam(0.01) }
"""


def specdsl(*arguments: object) -> str:
    """What the command line says; it must end well."""
    done = subprocess.run(
        [sys.executable, "-m", "specdsl", *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def history(folder: Path) -> list[dict[str, float]]:
    with (folder / "trial-1" / "history.csv").open(newline="") as file:
        return [
            {name: float(cell) for name, cell in row.items() if cell and "second" not in name}
            for row in csv.DictReader(file)
        ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("torch")
    (place / "tiny.spec").write_text(DATA + SPEC)
    specdsl("train", place / "tiny.spec", "--backend", "torch", "--seed", 3, "--out", place / "run")
    return place / "run"


def test_training_repeats_and_goes_on(trained: Path) -> None:
    """The same seed gives the same history; two epochs and two more are four, of which the first are the same.

    The others are not: Keras draws dropout from PyTorch's own generator there, which no checkpoint holds.
    """
    spec, again, parts = trained.parent / "tiny.spec", trained.parent / "again", trained.parent / "parts"
    specdsl("train", spec, "--backend", "torch", "--seed", 3, "--out", again)
    assert history(again) == history(trained)
    specdsl("train", spec, "--backend", "torch", "--seed", 3, "--epochs", 2, "--out", parts)
    specdsl("train", "--resume", parts, "--epochs", 4)
    assert len(history(parts)) == 4
    assert history(parts)[:2] == history(trained)[:2]


@pytest.mark.parametrize("backend", ["torch", "tensorflow"])
def test_the_model_is_the_same_on_other_back_ends(backend: str, trained: Path) -> None:
    """What PyTorch recorded, PyTorch and TensorFlow find again."""
    told = json.loads(specdsl("evaluate", trained, "--backend", backend, "--format", "json"))["trials"][0]
    assert set(told["recorded"]) == {"loss", "accuracy"}
    for name, value in told["recorded"].items():
        assert told["values"][name] == pytest.approx(value, rel=1e-4)


def test_it_is_exported_through_tensorflow(trained: Path) -> None:
    out = trained.parent / "saved"
    assert "the same as the model" in specdsl("export", trained, "--to", "savedmodel", "-o", out)
    check = json.loads((trained.parent / "saved.json").read_text())["check"]
    assert check["largest_difference"] <= check["tolerance"]
