"""A recipe from the command line to its run: values predicted, settings from outside, an epoch chosen by validation."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytestmark = [
    pytest.mark.keras,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]

SPEC = Path(__file__).parents[2] / "specs" / "experiments" / "shortcut_sinc.spec"
SET = (
    "train.epochs=5", "train.schedule=cosine(warmup=1)", "train.evaluate_every=2", 'train.keep="best"',
    'train.metrics=["mae", "r2_score"]', 'train.monitor="r2_score"', "train.optimizer.learning_rate=0.01",
    'data.validation=validation(0.2, by="image")', "data.source.train=200",
)  # fmt: skip


@pytest.fixture
def trained(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> Callable[..., str]:
    """Trains with settings into the folder `run`; gives standard error."""

    def trained(*settings: str, code: int = 0) -> str:
        options = [option for one in settings for option in ("--set", one)]
        ended, _, err = run("train", SPEC, "--model", "shortcut_mlp", "--out", tmp_path / "run", *options)
        assert ended == code
        return err

    return trained


def test_a_curve_is_fitted_as_the_settings_say(trained: Callable[..., str], tmp_path: Path) -> None:
    """Rates of the schedule, parts measured when they are due, and the best epoch's weights on the whole test part."""
    trained(*SET)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["train"]["epochs"], config["train"]["optimizer"]["learning_rate"]) == (5, 0.01)
    with (tmp_path / "run" / "trial-1" / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [bool(row["validation_r2_score"]) for row in rows] == [False, True, False, True, True]
    expected = [0, *(0.01 * 0.5 * (1 + np.cos(np.pi * place / 4)) for place in range(4))]
    assert [float(row["learning_rate"]) for row in rows] == pytest.approx(expected, rel=1e-4)
    trial = json.loads((tmp_path / "run" / "trial-1" / "trial.json").read_text())
    measured = {int(row["epoch"]): float(row["validation_r2_score"]) for row in rows if row["validation_r2_score"]}
    assert trial["kept_epoch"] == max(measured, key=lambda epoch: measured[epoch])
    kept = np.load(tmp_path / "run" / "trial-1" / "predictions.npz")
    assert trial["final"]["test_loss"] == pytest.approx(((kept["value"] - kept["target"]) ** 2).mean(), rel=1e-4)


def test_a_wrong_setting_is_told_before_anything_is_made(trained: Callable[..., str], tmp_path: Path) -> None:
    err = trained("train.loss='binary_crossentropy'", code=2)
    assert "--set train.loss:1:1: error[bad-argument]: BinaryCrossentropy compares classes" in err
    assert not (tmp_path / "run").exists()
