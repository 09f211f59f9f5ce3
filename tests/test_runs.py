"""Run folders: what is read from them, and what is said of those that are damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from specdsl.runs import RunError, TrialSummary, missing, read, read_experiment, read_run
from specdsl.runs.history import Epoch, History
from specdsl.runs.locking import Lock
from specdsl.training.estimate import Estimate, duration
from specdsl.training.progress import in_letters, in_width
from tests.run_folders import Made, MadeRun, write_experiment


def test_a_run_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = MadeRun([0.9, 0.8], validation=100).write(tmp_path / "run")
    run = read_run(folder)
    assert (run.model, run.key, run.experiment) == ("original", "original", None)
    assert run.recipe["batch"] == 128
    assert run.data["test"] == 400
    assert run.class_names[1] == "class 1"
    assert run.metrics == ("loss", "accuracy")
    assert run.versions["packages"]["keras"] == "3.15.1"
    assert run.summary is not None
    assert run.summary["parameters"] == 97_771
    first, second = run.trials
    assert (first.trial, second.trial) == (1, 2)
    assert first.final["test_accuracy"] == pytest.approx(0.9)
    assert (first.evaluated, first.interrupted, first.well) == (True, False, True)
    assert first.history["epoch"].tolist() == [1, 2, 3, 4]
    assert first.history["validation_loss"].shape == (4,)
    assert first.history["learning_rate"].tolist() == [0.001] * 4
    arrays = first.predictions()
    assert arrays["probability"].shape == (400, 5)
    right = (arrays["probability"].argmax(axis=1) == arrays["label"]).mean()
    assert right == pytest.approx(first.final["test_accuracy"])
    assert not first.model_file.exists()


def test_trials_that_have_not_ended_are_told_by_their_history(tmp_path: Path) -> None:
    folder = MadeRun([Made(0.5, "running"), Made(None, "failed"), Made(None, "diverged")], planned=5).write(
        tmp_path / "r"
    )
    running, failed, diverged = read_run(folder).trials
    assert (running.epochs, running.interrupted, running.evaluated, dict(running.final)) == (2, True, False, {})
    assert failed.failed == "out of memory"
    assert not failed.well
    assert not diverged.well
    with pytest.raises(RunError, match="has no predictions"):
        failed.predictions()


def test_a_trial_that_is_being_trained_is_told_from_one_that_was_broken_off(tmp_path: Path) -> None:
    """By the lock of the run's folder or of its experiment's, which ends with the process that writes."""
    folder = write_experiment(tmp_path / "e", {"a": MadeRun([0.9, Made(0.8, "running")])})
    assert [trial.going_on for trial in read_run(folder / "a").trials] == [False, False]
    for place in (folder, folder / "a"):
        with Lock(place):
            assert [trial.going_on for trial in read_run(folder / "a").trials] == [False, True]
        assert [trial.going_on for trial in read_run(folder / "a").trials] == [False, False]
    (folder / ".lock").write_text("1 on nowhere")  # left behind by a process that was killed
    assert not read_run(folder / "a").trials[1].going_on


def test_an_experiment_is_its_runs_in_order(tmp_path: Path) -> None:
    folder = write_experiment(
        tmp_path / "e", {"b": MadeRun([0.9], model="x"), "a": MadeRun([0.8], classes=0, model="y")}
    )
    alone = MadeRun([0.7]).write(tmp_path / "alone")
    runs = read([folder, alone])
    assert [(run.key, run.model, run.experiment) for run in runs] == [
        ("b", "x", "dropout_position"), ("a", "y", "dropout_position"), ("original", "original", None),
    ]  # fmt: skip
    assert runs[1].trials[0].predictions()["value"].dtype == np.float32
    assert runs[1].metrics == ("loss", "mean_absolute_error")


def test_an_experiment_of_which_a_run_is_missing_is_the_others(tmp_path: Path) -> None:
    """And what is missing is known; what holds something else than was asked for says so."""
    folder = write_experiment(tmp_path / "e", {"b": MadeRun([0.9]), "a": MadeRun([0.8])})
    assert missing(folder) == ()
    shutil.rmtree(folder / "b")
    assert [run.key for run in read([folder])] == ["a"]
    assert missing(folder) == (folder / "b",)
    with pytest.raises(RunError, match="it holds an experiment"):
        read_run(folder)
    with pytest.raises(RunError, match="it holds a run"):
        read_experiment(folder / "a")
    shutil.rmtree(folder / "a")
    with pytest.raises(RunError, match="none of the runs of its experiment"):
        read([folder])


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds no run: there is no config\.json"):
        read_run(tmp_path)
    folder = MadeRun([0.9]).write(tmp_path / "run")
    (tmp_path / "experiment.json").write_text('{"schema": 2, "name": "e", "models": []}')
    with pytest.raises(RunError, match="names no models"):
        read([tmp_path])
    config = json.loads((folder / "config.json").read_text())
    for text, told in (
        ("{", "is no JSON"),
        ("[]", "holds no JSON object"),
        ('{"schema": 1}', "has the format 1, and this version of specdsl reads 2"),
        ('{"schema": 2}', "says nothing of 'model'"),
        (json.dumps(config | {"trials": "x"}), "is damaged: 'trials' cannot be"),
        (json.dumps(config | {"train": []}), "is damaged: 'train' cannot be"),
        (json.dumps(config | {"data": 3}), "is damaged: 'data' cannot be"),
    ):
        (folder / "config.json").write_text(text)
        with pytest.raises(RunError, match=told):
            read([folder])
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "trial-1" / "history.csv").write_text("epoch,train_loss\n1\n")
    with pytest.raises(RunError, match="is no history"):
        read_run(folder)
    (folder / "trial-1" / "history.csv").write_text("epoch,train_loss\n1,\n")
    history = read_run(folder).trials[0].history
    assert history["epoch"].dtype == np.int64
    assert np.isnan(history["train_loss"]).all()
    for values in ({}, {"trial": 1, "final": []}, {"trial": 1, "final": {"loss": "x"}}, {"trial": 1, "epochs": "four"}):
        (folder / "trial-1" / "trial.json").write_text(json.dumps({"final": {}, **values} if values else values))
        with pytest.raises(RunError, match="is no summary of a trial"):
            read_run(folder)
    assert read_run(folder, with_trials=False).trials == ()
    trial = TrialSummary(1)
    (folder / "trial-1" / "trial.json").write_text(json.dumps(trial.to_dict() | {"later": 1}))
    trial_read = read_run(folder).trials[0]
    (folder / "trial-1" / "predictions.npz").write_bytes(b"PK")
    with pytest.raises(RunError, match=r"predictions\.npz cannot be read"):
        trial_read.predictions()


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        ([2.0, 1e5, 1e23], (2.0, 1e23)),
        ([2.0, 0.1, 0.5], None),
        ([1e23, 1e5, 3.0], None),
        ([1e-9, 1e-4], None),
        ([-1.0, 1e9], None),
        ([1e23], None),
        ([], None),
    ],
)
def test_a_loss_that_grows_beyond_all_bounds_is_noticed(losses: list[float], told: tuple[float, float] | None) -> None:
    """Though it stays finite, and whatever it was in between; one that merely overfits is not."""
    epochs = [Epoch(number, {"train": {"loss": loss}}, 1.0, 1) for number, loss in enumerate(losses, start=1)]
    assert History(["loss"], False, epochs).growth() == told


def test_times_are_told_in_words() -> None:
    told = [duration(seconds) for seconds in (0.2, 59.4, 60, 61, 754, 3600, 12_000, 86_400, 100_000, 1e6)]
    assert told == ["1 s", "59 s", "1 min", "1 min 1 s", "12 min", "1 h", "3 h 20 min", "1 d", "1 d 4 h", "11 d"]


def test_what_is_left_is_estimated_by_the_epochs_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the second epoch, since the first compiles; models not yet seen count as those that were, on average."""
    now = 0.0
    monkeypatch.setattr("specdsl.training.estimate.perf_counter", lambda: now)
    estimate = Estimate(["a", "b", "a", "b"], {"a": 10, "b": 20})
    estimate.begin(0)
    now = 30.0
    assert not estimate.epoch(1)
    assert estimate.left() is None
    now = 32.0
    assert estimate.epoch(2)
    assert estimate.left() == duration(2 * (8 + 20 + 10 + 20))
    estimate.begin(1)
    now += 9
    assert not estimate.epoch(1)
    now += 4
    assert not estimate.epoch(2)
    assert estimate.left() == duration(4 * (18 + 20) + 2 * 10)


def test_a_metric_has_its_column_in_few_letters() -> None:
    """Words that begin alike would say nothing: `mean_absolute_error` is no mean."""
    names = ["loss", "accuracy", "sparse_categorical_accuracy", "f1_score", "mean_absolute_error", "mean_squared_error"]
    assert [in_letters(name) for name in names] == ["loss", "accu", "accu", "f1_s", "mae", "mse"]
    assert in_letters("root_mean_squared_logarithmic_error_of_all") == "rmsl"


@pytest.mark.parametrize(
    ("value", "told"), [(0.12345, "0.1235"), (9999.0, "9999.0000"), (9.2e17, "9.200e+17"), (-1e38, "-1.000e+38")]
)
def test_losses_of_any_size_keep_to_their_columns(value: float, told: str) -> None:
    assert in_width(value) == told
    assert len(told) < 11
