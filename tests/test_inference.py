"""Opening runs, recipes read back, values from text, tables: all that needs no framework."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click import unstyle
from hypothesis import given
from hypothesis import strategies as st

import specdsl
from specdsl.declaration import Misuse
from specdsl.inference import open_run, shown
from specdsl.inference.answering import Answers, Prediction
from specdsl.inference.calibration import Calibration
from specdsl.inference.evaluating import told
from specdsl.inference.vectors import ValuesError, from_argument, from_csv
from specdsl.recipes import LOSSES, METRICS
from specdsl.recipes.losses import BinaryCrossentropy, CategoricalHinge, MeanSquaredError, SparseCategoricalCrossentropy
from specdsl.recipes.stored import restored
from specdsl.resolve import train_recipe
from specdsl.runs import RunError
from specdsl.runs.answers import are_probabilities, scores
from specdsl.runs.files import plain
from tests.run_folders import Made, MadeRun

RECIPES = """
data signs = synthetic(size=32, train=8) {
    validation(0.1, by="image")
    augment { random_crop(28, 28); sign_flips(); random_rotation(10); normalize([0.3, 0.3, 0.3], std=0.2) }
    evaluate { center_crop(28, 28); normalize([0.3, 0.3, 0.3], std=0.2) }
    views(4) { random_translation(0.05, 0.05) }
}
data curve = sinc() { validation(0.1, by="image") }
train plain { data = signs }
train rich {
    data = signs
    optimizer = SGD(0.1, momentum=0.9, clipnorm=1.0)
    loss = CategoricalCrossentropy(label_smoothing=0.1)
    metrics = ["accuracy", TopKCategoricalAccuracy(k=3)]
    schedule = cosine(warmup=1)
    class_weight = "balanced"
    keep = "best"
    patience = 3
}
train scheduled { data = signs; optimizer = Adam(CosineDecay(0.1, 1000)) }
train values { data = curve; loss = "mean_squared_error"; metrics = ["mean_squared_error", "mean_absolute_error"] }
model m { input image: (28, 28, 3); Flatten; Dense(43, "softmax") }
"""


@pytest.mark.parametrize("name", ["plain", "rich", "scheduled", "values"])
def test_recipes_come_back_from_json(name: str) -> None:
    """Of a loss and a metric of one name too, and with every argument."""
    spec = specdsl.loads(RECIPES)
    recipe = train_recipe(spec.program, name, (1,) if name == "values" else (28, 28, 3))
    assert restored(json.loads(json.dumps(plain(recipe)))) == recipe


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"type": "NoSuchThing"}, "no 'NoSuchThing' for recipes"),
        ({"type": "Conv2D", "filters": 3}, "no 'Conv2D' for recipes"),
        ({"type": "center_crop", "height": 3}, "center_crop: width"),
        ({"type": "center_crop", "height": 3, "width": "4"}, "center_crop: width"),
    ],
)
def test_what_is_no_recipe_of_this_version_is_told(value: Any, message: str) -> None:
    with pytest.raises(Misuse, match=message):
        restored(value)


# ----------------------------------------------------------------------------------------------- opening


def with_models(folder: Path, *numbers: int) -> Path:
    for number in numbers:
        (folder / f"trial-{number}" / "model.keras").write_bytes(b"a model")
    return folder


def test_a_run_says_which_trials_can_be_used(tmp_path: Path) -> None:
    """Those that left a model and neither diverged nor crashed."""
    states = [0.5, Made(state="diverged"), Made(0.4), Made(state="running")]
    run = open_run(with_models(MadeRun(states).write(tmp_path / "run"), 1, 2, 3))
    assert [trial.trial for trial in run.usable] == [1, 3]
    assert [trial.trial for trial in run.chosen(2)] == [2]
    assert (run.shape, run.classifies, run.takes_images, len(run.class_names)) == ((32, 32, 3), True, True, 5)
    assert run.recipe.data.evaluate.output_shape((32, 32, 3)) == (28, 28, 3)
    with pytest.raises(RunError, match=r"trial 4 .* left no model"):
        run.chosen(4)
    with pytest.raises(RunError, match="has no trial 5"):
        run.chosen(5)


def test_what_was_given_up_is_not_gone_on_with(tmp_path: Path) -> None:
    """`--resume` is advised for what it can help."""
    run = open_run(MadeRun([Made(state="diverged"), Made(state="diverged")]).write(tmp_path / "run"))
    for trial in (1, None):
        with pytest.raises(RunError, match="is no number") as refused:
            run.chosen(trial)
        assert "clipnorm" in (refused.value.help or "")
        assert "--resume" not in (refused.value.help or "")
    mixed = open_run(MadeRun([Made(state="diverged"), Made(state="running")]).write(tmp_path / "mixed"))
    with pytest.raises(RunError) as refused:
        mixed.chosen(None)
    assert "--resume" in (refused.value.help or "")


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no run"):
        open_run(tmp_path)
    MadeRun([0.5]).write(tmp_path / "e" / "a")
    MadeRun([0.5]).write(tmp_path / "e" / "b")
    experiment = {"schema": 2, "name": "e", "models": ["a", "b"]}
    (tmp_path / "e" / "experiment.json").write_text(json.dumps(experiment))
    with pytest.raises(RunError, match="is an experiment: name one of its runs") as error:
        open_run(tmp_path / "e")
    assert str(tmp_path / "e" / "b") in str(error.value.help)
    (tmp_path / "e" / "experiment.json").write_text(json.dumps({**experiment, "models": ["b"]}))
    run = specdsl.load_run(tmp_path / "e")
    assert run.record.folder == tmp_path / "e" / "b"
    with pytest.raises(RunError, match=r"no trial of .* left a model"):
        run.chosen(None)


# ------------------------------------------------------------------------------------------------ values


@given(
    st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=2), min_size=1)
)
def test_values_are_read_as_they_are_written(rows: list[list[float]]) -> None:
    text = "".join(f"{a!r},{b!r}\n" for a, b in rows)
    np.testing.assert_array_equal(from_csv(text, (2,)), np.array(rows, np.float32))
    np.testing.assert_array_equal(from_csv(f"first,second\n\n{text}", (2, 1)), np.array(rows, np.float32)[:, :, None])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it holds no numbers"),
        ("a,b\n", "it holds no numbers"),
        ("1,2\n3,x\n", "line 2: 'x' is no number"),
        ("1,2\n3\n", "line 2: 1 numbers, and the model takes 2"),
        ("1,nan\n", "numbers are finite"),
    ],
)
def test_tables_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(ValuesError, match=message):
        from_csv(text, (2,))


def test_arguments_are_values_or_names() -> None:
    assert from_argument("file.csv", (1,)) is None
    np.testing.assert_array_equal(from_argument("-1e-3", (1,)), np.float32([-1e-3]))
    with pytest.raises(ValuesError, match="2 numbers, and the model takes 3"):
        from_argument("1,2", (3,))


# ----------------------------------------------------------------------------------------------- answers


def test_outputs_become_a_number_for_each_class() -> None:
    """Whatever a loss takes; largest first is always right."""
    logits = np.array([[0.0, np.log(3.0)], [2.0, 2.0]], np.float32)
    soft = scores(logits, SparseCategoricalCrossentropy(from_logits=True), True)
    np.testing.assert_allclose(soft, [[0.25, 0.75], [0.5, 0.5]], atol=1e-7)
    one = scores(logits[:, 1:], BinaryCrossentropy(from_logits=True), True)
    np.testing.assert_allclose(one[0], [0.25, 0.75], atol=1e-7)
    assert are_probabilities(soft)
    assert are_probabilities(one)
    np.testing.assert_allclose(scores(np.array([[0.2]]), BinaryCrossentropy(), True), [[0.8, 0.2]], atol=1e-7)
    hinge = scores(logits, CategoricalHinge(), True)
    np.testing.assert_array_equal(hinge, logits)
    assert not are_probabilities(hinge)
    np.testing.assert_array_equal(scores(logits[:, 1:], MeanSquaredError(), False), logits[:, 1:])


def test_errors_of_values() -> None:
    found = told(np.array([[1.0], [4.0]], np.float32), np.array([[1.0], [1.0]], np.float32))
    assert found == pytest.approx(
        {"root_mean_squared_error": np.sqrt(4.5), "mean_absolute_error": 1.5, "largest_error": 3.0}
    )


def answers(calibration: Calibration | None = None, name: str = "sign.png", possible: bool = True) -> Answers:
    row = np.array([0.1, 0.7, 0.2], np.float32)
    return Answers(
        "runs/m", "m", (1,), None, ("Stop", "Yield", "No, entry"), True, calibration, possible, 2,
        (Prediction(name, row, (40, 30), ("stretched to 32 × 32",)), Prediction("b.png", row[::-1])),
    )  # fmt: skip


def test_predictions_as_a_table_as_csv_and_as_json() -> None:
    assert [unstyle(line) for line in shown.answers_lines(answers(), 80)] == [
        "Image     Class  Name       Probability",
        "sign.png      1  Yield           0.7000",
        "              2  No, entry       0.2000",
        "b.png         1  Yield           0.7000",
        "              0  Stop            0.2000",
        "",
        "1 image: stretched to 32 × 32.",
        "m, trial 1; probabilities not calibrated: `specdsl evaluate RUN --calibrate` fits a temperature to validation "
        "images.",
    ]
    assert shown.answers_csv(answers()).splitlines()[2] == 'sign.png,2,2,"No, entry",0.200000003'
    made = shown.answers_json(answers(), {"bad.png": "a broken picture"})
    assert made["predictions"][0]["top"][0] == {"class": 1, "name": "Yield", "probability": pytest.approx(0.7)}
    assert made["failed"] == [{"source": "bad.png", "reason": "a broken picture"}]
    assert made["calibrated"] is False


def test_what_is_said_of_probabilities() -> None:
    fitted = Calibration((1,), 1, 1.25, 300, {}, {}, ("0",))
    assert shown.said_of(answers(fitted)).endswith(
        "calibrated with the temperature 1.250, fitted to 300 validation images."
    )
    assert shown.said_of(answers(possible=False)).endswith(
        "not calibrated, for the run kept no validation images to do it by."
    )


def test_names_cannot_move_the_cursor() -> None:
    """Nor break a terminal that is told bytes which are no text."""
    assert shown.printable("a\x1b[2Jb\nc.png") == "a?[2Jb?c.png"
    assert shown.printable(os.fsdecode(b"\xff.png")) == "�.png"


# ------------------------------------------------------------------------------------------ the command line

WATCHED = """
import atexit, sys
atexit.register(lambda: print("loaded", {"keras", "tensorflow", "jax", "torch"} & set(sys.modules)))
from specdsl.cli import main
main()
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["predict", "RUN"], "name what to predict"),
        (["predict", "RUN", "none.png"], "none.png: there is no such file"),
        (["predict", "RUN", "none.png", "--trial", "7"], "has no trial 7"),
        (["predict", "RUN", "none.png", "--trial", "1", "--ensemble"], "it goes without --trial"),
        (["predict", "RUN", "none.png", "--ensemble"], "an ensemble takes several trials"),
        (["predict", "RUN", "--tops", "3", "none.png"], "there is no option '--tops'; did you mean '--top'"),
        (["predict", "nowhere", "none.png"], "nowhere holds no run"),
        (["evaluate", "RUN", "--trial", "first"], "--trial takes a number from 1 on, or 'all'"),
        (["evaluate", "RUN", "--calibrate"], "RUN kept no examples for validation"),
        (["evaluate", "RUN", "--part", "validation"], "RUN kept no examples for validation"),
        (["evaluate", "RUN", "--data", "nothing"], "there is no data set, file or folder 'nothing'"),
        (["export", "RUN", "--to", "onnx", "-o", "model.tflite"], "a file of onnx has a name that ends with .onnx"),
        (["export", "RUN", "--to", "savedmodel", "-o", "RUN"], "nothing is overwritten"),
        (["export", "RUN", "--to", "keras", "-o", "none/model.keras"], "there is no folder none"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_told_before_a_framework_is_loaded(arguments: list[str], said: str, tmp_path: Path) -> None:
    with_models(MadeRun([0.5]).write(tmp_path / "RUN"), 1)
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == (1 if "none/model" in " ".join(arguments) else 2), done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == "loaded set()\n"


@pytest.mark.parametrize("name", sorted(set(METRICS) & set(LOSSES)))
def test_losses_and_metrics_of_one_name_are_told_apart_in_what_is_kept(name: str) -> None:
    """The file that keeps a recipe names the class alone."""
    assert type(restored({"type": name}, "loss")) is LOSSES[name]
    (metric,) = restored([{"type": name}], "metrics")
    assert type(metric) is METRICS[name]
