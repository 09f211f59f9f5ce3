"""Runs: what they write, that they repeat, how they end."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from specdsl.data import DataSet, load
from specdsl.declaration import Misuse
from specdsl.recipes import OPTIMIZERS, Synthetic, TrainRecipe, Validation, default_data
from specdsl.runs import RunError, RunSummary, read_run
from specdsl.training import Plan, Wanted, check_fit, progress, run
from tests.training.models import SOURCE, SPEC, data, graph, recipe

TOP = {
    "spec", "config.json", "versions.json", "summary.json", "trial-1",
    "accuracy.svg", "accuracy.png", "loss.svg", "loss.png",
}  # fmt: skip
TRIAL = {"history.csv", "trial.json", "model.keras", "predictions.npz", "checkpoints"}


pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
"""Keras 3.15 under numpy 2, when it saves a model."""


@pytest.fixture(scope="module")
def signs() -> DataSet:
    return load(SOURCE)


class Runs:
    """Runs the tiny model into new folders and keeps what was printed."""

    def __init__(self, folder: Path, signs: DataSet) -> None:
        self.folder, self.signs, self.count, self.printed = folder, signs, 0, ""

    def __call__(self, declared: TrainRecipe | None = None, text: str = SPEC, **options: Any) -> RunSummary:
        self.count += 1
        console = Console(file=io.StringIO(), width=80)
        try:
            given = {name: options.pop(name) for name in ("epochs", "batch") if name in options}
            plan = Plan(
                graph(text), (declared or recipe()).replace(**given), self.signs, "tiny.spec", {"model.spec": text},
                "spec/model.spec", **options,
            )  # fmt: skip
            return run(plan, self.folder / f"run{self.count}", console=console)
        finally:
            self.printed = console.file.getvalue()  # type: ignore[attr-defined]


@pytest.fixture
def runs(tmp_path: Path, signs: DataSet) -> Runs:
    return Runs(tmp_path, signs)


def rows(folder: Path, trial: int = 1) -> list[dict[str, str]]:
    with (folder / f"trial-{trial}" / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def curves(folder: Path, trial: int = 1) -> list[dict[str, str]]:
    """The history without how long it took."""
    return [{name: cell for name, cell in row.items() if "second" not in name} for row in rows(folder, trial)]


def summary(folder: Path) -> Any:
    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is not JSON")

    return json.loads((folder / "summary.json").read_text(), parse_constant=refuse)


@pytest.mark.keras
def test_a_run_leaves_everything_in_its_folder(runs: Runs) -> None:
    """Files, history, resolved configuration, and a model that gives the accuracy of the last row."""
    import keras

    ended = runs(epochs=3, batch=70, seed=5)
    folder = ended.folder
    assert {file.name for file in folder.iterdir()} == TOP
    assert {file.name for file in (folder / "trial-1").iterdir()} == TRIAL
    assert (folder / "spec" / "model.spec").read_text() == SPEC
    config = json.loads((folder / "config.json").read_text())
    assert (config["model"], config["seed"], config["trials"], config["backend"]) == ("tiny", 5, 1, "tensorflow")
    assert (config["train"]["epochs"], config["train"]["batch"]) == (3, 70)
    assert config["train"]["optimizer"] | {"learning_rate": 0.003, "beta_1": 0.9} == config["train"]["optimizer"]
    crop = config["train"]["data"]["augment"][0]
    assert crop | {"type": "random_crop", "height": 12, "width": 12} == crop
    assert config["data"]["sha256"] == runs.signs.fingerprint()
    assert (config["data"]["task"], config["data"]["shape"]) == ("classification", [16, 16, 3])
    assert json.loads((folder / "versions.json").read_text())["packages"]["keras"] == keras.__version__

    history = rows(folder)
    assert list(history[0]) == [
        "epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "learning_rate", "seconds",
        "images_per_second",
    ]  # fmt: skip
    assert [row["epoch"] for row in history] == ["1", "2", "3"]
    told = summary(folder)
    assert told["interrupted"] is False
    assert told["planned_trials"] == 1
    model = keras.models.load_model(folder / "trial-1" / "model.keras")
    assert told["parameters"] == ended.parameters == model.count_params()
    assert told["mean"]["test_accuracy"] == pytest.approx(float(history[-1]["test_accuracy"]), rel=1e-6)
    trial = read_run(folder).trials[0]
    assert (trial.epochs, trial.kept_epoch, trial.evaluated, trial.seed) == (3, 3, True, 5)
    assert set(trial.final) == {"train_loss", "train_accuracy", "test_loss", "test_accuracy"}

    test = runs.signs.test
    guesses = model.predict((test.x / 255).astype(np.float32)[:, 2:14, 2:14], verbose=0).argmax(axis=1)
    assert (guesses == test.y).mean() == pytest.approx(told["mean"]["test_accuracy"], abs=1e-6)
    predictions = trial.predictions()
    np.testing.assert_array_equal(predictions["label"], test.y)
    np.testing.assert_array_equal(predictions["probability"].argmax(axis=1), guesses)
    train = runs.signs.train
    probability = model.predict((train.x / 255).astype(np.float32)[:, 2:14, 2:14], verbose=0)
    loss = -np.log(probability[np.arange(len(train)), train.y]).mean()
    assert loss == pytest.approx(trial.final["train_loss"], rel=1e-4), "the kept weights, without dropout"

    way, *lines = runs.printed.splitlines()
    assert way == "Trained by fit on tensorflow: Keras already runs on tensorflow in this process."
    assert (config["way"]["engine"], f"fit on tensorflow: {config['why']}." in way) == ("fit", True)
    assert len(lines) == 3 + 1
    assert lines[0].split() == ["epoch", "train", "loss", "train", "accu", "test", "loss", "test", "accu", "img/s"]
    assert [line.split()[0] for line in lines[1:]] == ["1/3", "2/3", "3/3"]
    assert max(map(len, lines)) <= 80


@pytest.mark.keras
def test_the_same_seed_gives_the_same_history_and_trials_differ(runs: Runs) -> None:
    """Also where fewer trials are planned. That a second trial repeats is seen where runs are killed."""
    first = runs(trials=2, seed=3)
    assert {file.name for file in first.folder.iterdir()} == TOP | {"trial-2"}
    assert curves(first.folder, 1) != curves(first.folder, 2)
    assert curves(runs(seed=3).folder) == curves(first.folder, 1)
    assert curves(runs(seed=4).folder) != curves(first.folder, 1)
    finals = [trial["final"]["test_loss"] for trial in summary(first.folder)["trials"]]
    assert summary(first.folder)["mean"]["test_loss"] == pytest.approx(sum(finals) / 2)


@pytest.mark.keras
def test_other_back_ends_train_on_the_same_batches(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numpy feed, which they use, under TensorFlow: the same history to float tolerance."""
    from specdsl.training import engine_fit

    theirs = rows(runs().folder)
    monkeypatch.setattr(engine_fit, "_backend", lambda: "jax")
    for row, other in zip(rows(runs().folder), theirs, strict=True):
        assert float(row["train_loss"]) == pytest.approx(float(other["train_loss"]), rel=1e-3)


@pytest.mark.keras
def test_steps_of_one_call_are_those_of_several(signs: DataSet) -> None:
    """Weights, history and predictions to the last bit, with a last call and a last batch that are short."""
    from specdsl.training.engine import Job
    from specdsl.training.engine_fit import FitTrial
    from specdsl.training.streams import Streams

    class Watcher:
        def __init__(self) -> None:
            self.steps: list[int] = []
            self.losses: list[float] = []

        def stopping(self) -> bool:
            return False

        def on_step(self, epoch: int, done: int, *rest: Any) -> None:
            self.steps.append(done)

        def on_epoch(self, epoch: Any) -> None:
            self.losses.append(epoch.values["train"]["loss"])
            self.measured = trial.evaluate("test")

    declared = recipe(epochs=2, batch=32)
    job = Job(graph(SPEC), declared, signs.train.take(np.arange(150)), None, signs.test, Streams(0, 1))
    found = []
    for at_once in (1, 3):
        trial, watcher = FitTrial(job, at_once), Watcher()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("specdsl.training.engine_fit._LOOK_EVERY", 0.0)
            trial.train(watcher)
        assert watcher.steps == [*range(at_once, 5, at_once), 5] * 2
        found.append((trial.state(), watcher.losses, watcher.measured, trial.predict("test")))
    (state, losses, measured, guesses), (other, *rest, others) = found
    assert all((state[name] == other[name]).all() for name in state)
    assert [losses, measured] == rest
    assert (guesses == others).all()


@pytest.mark.keras
def test_calls_have_as_many_steps_as_take_a_moment() -> None:
    """On TensorFlow, where it gains something; steps that take long are looked at one by one."""
    from specdsl.training import engine_fit
    from specdsl.training.engine import Job
    from specdsl.training.streams import Streams
    from specdsl.training.ways import Way

    few = load(SOURCE).train
    many = few.take(np.zeros(40_000, int))
    wide = SPEC.replace("Conv2D(4", "Conv2D(400")
    assert wide != SPEC

    def at_once(text: str, batch: int, backend: str, examples: Any = many) -> int:
        job = Job(graph(text), recipe(batch=batch), examples, None, few, Streams(0, 1))
        return engine_fit._at_once(job, Way("fit", backend))

    assert at_once(SPEC, 8, "tensorflow") == engine_fit._MOST_AT_ONCE
    assert 1 < at_once(SPEC, 8, "tensorflow", few.take(np.arange(60))) == 8
    assert 1 < at_once(wide, 256, "tensorflow") < engine_fit._MOST_AT_ONCE
    assert at_once(wide, 16_384, "tensorflow") == 1
    assert at_once(SPEC, 8, "jax") == at_once(SPEC, 8, "torch") == 1


@pytest.mark.keras
def test_validation_is_measured_and_kept_out_of_training(runs: Runs) -> None:
    ended = runs(
        recipe(
            data=data(validation=Validation(fraction=0.5)), metrics=["accuracy", "sparse_top_k_categorical_accuracy"]
        )
    )
    assert "validation_sparse_top_k_categorical_accuracy" in rows(ended.folder)[-1]
    images = json.loads((ended.folder / "config.json").read_text())["data"]
    # Six frames of a class make a track of five and one of one; one of the two is kept out.
    assert images["train"] + images["validation"] == 43 * 6
    assert images["validation"] >= 43
    assert (ended.folder / "sparse_top_k_categorical_accuracy.svg").exists()


@pytest.mark.keras
def test_averaged_weights_are_what_is_evaluated_and_saved(runs: Runs) -> None:
    import keras

    ended = runs(recipe(optimizer=OPTIMIZERS["Adam"](use_ema=True, ema_momentum=0.5)))
    test = runs.signs.test
    model = keras.models.load_model(ended.folder / "trial-1" / "model.keras")
    guesses = model.predict((test.x / 255).astype(np.float32)[:, 2:14, 2:14], verbose=0)
    loss = -np.log(guesses[np.arange(len(test)), test.y]).mean()
    assert loss == pytest.approx(summary(ended.folder)["mean"]["test_loss"], rel=1e-3)


@pytest.mark.keras
def test_a_loss_that_is_no_number_ends_the_trial_with_a_word(runs: Runs) -> None:
    ended = runs(recipe(optimizer=OPTIMIZERS["SGD"](learning_rate=3e38)), trials=2)
    assert [trial.trial for trial in ended.trials if trial.diverged] == [1, 2]
    told = summary(ended.folder)
    assert told["trials"][0]["final"] == told["mean"] == {}
    assert told["interrupted"] is False
    assert "This trial diverged: the loss was no number any more in epoch 1" in runs.printed


@pytest.mark.keras
def test_the_first_interrupt_keeps_what_there_is(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the second epoch, in the middle of the third: two rows, a model, figures, and a summary that says so."""

    def step(self: progress.Display, epoch: int, *rest: Any) -> None:
        if epoch == 3 and not raised:
            raised.append(epoch)
            signal.raise_signal(signal.SIGINT)

    raised: list[int] = []
    monkeypatch.setattr(progress.Display, "step", step)
    monkeypatch.setattr("specdsl.training.engine_fit._LOOK_EVERY", 0.0)
    monkeypatch.setattr("specdsl.training.engine_fit.AT_ONCE", 0.0)  # a look at each step
    before = signal.getsignal(signal.SIGINT)
    ended = runs(epochs=50, trials=2)
    assert signal.getsignal(signal.SIGINT) is before
    assert ended.interrupted
    assert [trial.epochs for trial in ended.trials] == [2]
    assert summary(ended.folder)["interrupted"] is True
    assert len(rows(ended.folder)) == 2
    assert (ended.folder / "trial-1" / "model.keras").exists()
    assert (ended.folder / "accuracy.svg").exists()
    assert "Stopping after this step" in runs.printed
    (trial,) = read_run(ended.folder).trials
    assert (trial.kept_epoch, trial.evaluated, trial.interrupted) == (2, False, True)
    assert trial.final["test_loss"] == pytest.approx(float(rows(ended.folder)[1]["test_loss"]))


@pytest.mark.keras
def test_the_second_interrupt_ends_at_once(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(self: progress.Display, *rest: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(progress.Display, "step", step)
    with pytest.raises(KeyboardInterrupt):
        runs()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.keras
def test_an_interrupt_where_no_handler_can_be_is_kept_too(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """In another thread nothing catches signals: KeyboardInterrupt comes out of `fit` itself."""

    def step(self: progress.Display, epoch: int, *rest: Any) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(progress.Display, "step", step)
    monkeypatch.setattr("specdsl.training.engine_fit._LOOK_EVERY", 0.0)
    ended: list[RunSummary] = []
    thread = threading.Thread(target=lambda: ended.append(runs()))
    thread.start()
    thread.join()
    assert ended[0].interrupted
    assert len(rows(ended[0].folder)) == 1
    assert (ended[0].folder / "trial-1" / "model.keras").exists()


@pytest.mark.keras
def test_a_model_without_probabilities_is_refused_and_leaves_nothing(runs: Runs) -> None:
    """What the text tells is said before Keras is there; the rest when the model is built."""
    with pytest.raises(Misuse, match="ends with no activation") as error:
        runs(text=SPEC.replace(', "softmax"', ""))
    assert "softmax" in str(error.value.help)
    with pytest.raises(Misuse, match="does not end with probabilities") as error:
        runs(text=SPEC.replace('Dense(43, "softmax")', "Dense(43) -> LayerNormalization"))
    assert "softmax" in str(error.value.help)
    assert not list(runs.folder.iterdir())


def test_training_loads_no_framework_before_it_runs() -> None:
    code = "import sys, specdsl.training, specdsl.data; print({'keras', 'tensorflow', 'matplotlib'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_a_folder_in_use_is_refused(runs: Runs) -> None:
    (runs.folder / "run1").mkdir()
    (runs.folder / "run1" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"is not empty \(it holds notes\.txt\)"):
        runs()
    (runs.folder / "run2").mkdir()
    (runs.folder / "run2" / "config.json").write_text("{}")
    with pytest.raises(RunError, match="already holds a run"):
        runs()
    (runs.folder / "run3").write_text("a file")
    with pytest.raises(RunError, match="cannot be made a run folder"):
        runs()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"trials": 0}, "at least one trial"),
        ({"seed": -1}, "at least 0"),
        ({"wanted": Wanted(backend="theano")}, 'no back end "theano"'),
    ],
)
def test_arguments_that_cannot_be_are_refused_before_anything_is_written(runs: Runs, options: Any, told: str) -> None:
    with pytest.raises(Misuse, match=told):
        runs(**options)
    assert not list(runs.folder.iterdir())


TWO_INPUTS = """
model m {
    input a: (12, 12, 3)
    input b: (4,)
    a -> Flatten as f
    [f, b] -> Concatenate -> Dense(43, "softmax")
}
"""


@pytest.mark.parametrize(
    ("text", "told", "hint"),
    [
        (
            SPEC.replace("(12, 12, 3)", "(14, 14, 3)"),
            r"images of \(14, 14, 3\), but .* \(12, 12, 3\)",
            r"end augment and evaluate with resize\(14, 14\), or .* input of \(12, 12, 3\)",
        ),
        (
            SPEC.replace("(12, 12, 3)", "(10, 9, 3)"),
            r"images of \(10, 9, 3\)",
            r"random_crop\(10, 9\) and .*crop\(10, 9\), or .*resize\(10, 9\)",
        ),
        (SPEC.replace("43", "10"), r"ends with \(10,\), but the data has 43 classes", r'Dense\(43, "softmax"\)'),
        (TWO_INPUTS, "one input, but m has 2: a, b", ""),
        ('model m { input x: (5,); Dense(43, "softmax") }', r"takes values of \(5,\)", r"input of \(12, 12, 3\)"),
    ],
)
def test_models_that_do_not_fit_the_data_are_refused_with_both_shapes(text: str, told: str, hint: str) -> None:
    with pytest.raises(Misuse, match=told) as error:
        check_fit(graph(text), data())
    assert re.search(hint, error.value.help or "")


def test_images_of_another_size_are_refused(tmp_path: Path, signs: DataSet) -> None:
    other = recipe(data=default_data((12, 12, 3), Synthetic(size=20)))
    with pytest.raises(Misuse, match=r"\(16, 16, 3\), but the spec speaks of \(20, 20, 3\)"):
        Runs(tmp_path, signs)(other)
