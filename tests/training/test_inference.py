"""Using trained models: what a run recorded is found again, exports compute the same, answers are the models'."""

from __future__ import annotations

import io
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from specdsl import cli
from specdsl.data import DataSet
from specdsl.data.pictures import read_picture
from specdsl.inference import TrainedRun, exporting, open_run
from specdsl.inference.answering import answer, picture_of
from specdsl.inference.calibration import CALIBRATION, read_calibrations, tempered
from specdsl.inference.evaluating import calibrated, evaluate
from specdsl.inference.exporting import ENDINGS, ExportError, Form, export
from specdsl.inference.predicting import Predictor, prepared
from specdsl.runs import RunError

pytestmark = [
    pytest.mark.keras,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]

SPEC = """
data signs = synthetic(size=16, train=6, test=2) {
    validation(0.3)
    augment { random_crop(12, 12); random_brightness(0.1); clip(0, 1) }
    evaluate { center_crop(14, 14); resize(12, 12) }
    views(3) { random_brightness(0.2) }
}
train recipe {
    data = signs
    epochs = 3
    batch = 60
    optimizer = Adam(0.01)
    metrics = ["accuracy", SparseTopKCategoricalAccuracy(k=3)]
}
model tiny {
    input image: (12, 12, 3)
    Conv2D(4, 3, strides=2)
    BatchNormalization
    ReLU
    Dropout(0.2)
    Flatten
    Dense(43, "softmax")
}
"""

CURVE = """
data curve = sinc(train=60, test=20) { validation(0.2, by="image") }
train recipe { data = curve; epochs = 2; batch = 20; loss = "mean_squared_error"; metrics = ["mean_absolute_error"] }
model line { input x: (1,); Dense(8, "tanh"); Dense(1) }
"""


def command(*arguments: object) -> int:
    """What the command line ends with; what it says is for the fixture that catches it."""
    before, sys.argv = sys.argv, ["specdsl", *map(str, arguments)]
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        sys.argv = before
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two trials."""
    place = tmp_path_factory.mktemp("using")
    (place / "tiny.spec").write_text(SPEC)
    assert command("train", place / "tiny.spec", "--trials", 2, "--seed", 4, "--out", place / "run") == 0
    return place / "run"


@pytest.fixture(scope="module")
def run(folder: Path) -> TrainedRun:
    return open_run(folder)


@pytest.fixture(scope="module")
def data(run: TrainedRun) -> DataSet:
    return run.data()


@pytest.fixture(scope="module")
def both(run: TrainedRun) -> Predictor:
    """The models of both trials."""
    return Predictor(run, run.usable)


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_evaluation_gives_what_the_run_recorded(part: Any, run: TrainedRun, both: Predictor, data: DataSet) -> None:
    """Loss and every metric, of every part and trial, to float32."""
    found = evaluate(both, data, part, own=True)
    assert found.examples == run.record.data[part]
    for trial, measured in zip(run.usable, found.trials, strict=True):
        recorded = {name: value for name, value in trial.final.items() if name.startswith(part)}
        assert {f"{part}_{name}" for name in measured.recorded} == set(recorded)
        assert len(recorded) == 3
        for name, value in recorded.items():
            assert measured.values[name.removeprefix(f"{part}_")] == pytest.approx(value, rel=1e-6)
        assert measured.differs == ()
        right, images = (sum(getattr(one, what) for one in measured.classes) for what in ("right", "images"))
        assert images == found.examples
        assert right / images == pytest.approx(measured.values["accuracy"])


def test_a_record_that_is_not_found_again_is_told(run: TrainedRun, both: Predictor, data: DataSet) -> None:
    """As where somebody has replaced the model."""
    before = list(both.models)
    both.models.reverse()
    try:
        found = evaluate(both, data, "test", own=True)
    finally:
        both.models[:] = before
    assert all("loss" in one.differs for one in found.trials)


def test_answers_are_those_that_the_run_wrote(run: TrainedRun, both: Predictor, data: DataSet) -> None:
    """Of each trial; together they answer with their mean."""
    each = both.each(data.test.x)
    for trial, answers in zip(run.usable, each, strict=True):
        np.testing.assert_allclose(answers, trial.predictions()["probability"], atol=1e-6)
    np.testing.assert_allclose(both.answers(data.test.x), (each[0] + each[1]) / 2, atol=1e-7)
    found = evaluate(both, data, "test", own=True, ensemble=True)
    assert found.ensemble is not None
    assert found.ensemble.values["accuracy"] == pytest.approx(
        ((each[0] + each[1]).argmax(axis=1) == data.test.y).mean()
    )


def test_views_are_averaged(run: TrainedRun, data: DataSet) -> None:
    """Brightness alone: a view is the image and a number, the same numbers for every image."""
    from specdsl.training.streams import view_draws

    viewed = Predictor(run, run.usable[:1], views=5)
    plain = Predictor(run, run.usable[:1])
    x = data.test.x[:6]
    assert viewed.views is not None
    shifts = view_draws(viewed.views, 1)[0, :, 0]
    assert len(set(shifts.tolist())) == 5
    crop = prepared(x, run.recipe.data.evaluate)
    answers = [np.asarray(plain.models[0](crop + shift)) for shift in shifts]
    np.testing.assert_allclose(viewed.answers(x), np.mean(answers, axis=0), atol=1e-6)
    np.testing.assert_allclose(viewed.answers(x[3:4]), viewed.answers(x)[3:4], atol=1e-6)


def test_a_picture_is_answered_as_the_test_image_that_it_is(
    run: TrainedRun, both: Predictor, data: DataSet, tmp_path: Path
) -> None:
    """Whatever file it comes in."""
    Image.fromarray(data.test.x[7]).save(tmp_path / "sign.png")
    Image.fromarray(data.test.x[9]).save(tmp_path / "sign.ppm")
    pictures = [picture_of(run, tmp_path / name) for name in ("sign.png", "sign.ppm")]
    answers = answer(both, pictures, most=3)
    wanted = (run.usable[0].predictions()["probability"] + run.usable[1].predictions()["probability"]) / 2
    for one, place in zip(answers.predictions, (7, 9), strict=True):
        np.testing.assert_allclose(one.answer, wanted[place], atol=1e-6)
        best = answers.top(one)
        assert [label for label, _, _ in best] == list(np.argsort(-wanted[place])[:3])
        assert best[0][1] == run.class_names[best[0][0]]
    assert not answers.calibration


def test_temperatures_are_fitted_to_validation_and_used(
    folder: Path, run: TrainedRun, both: Predictor, data: DataSet, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stored with the run, taken up by predictions, and left alone once the model is another one."""
    first = Predictor(run, run.usable[:1])
    try:
        assert command("evaluate", folder, "--calibrate", "--ensemble", "--format", "json") == 0
        told = json.loads(capsys.readouterr().out)
        stored = {one.trials: one for one in read_calibrations(folder)}
        assert set(stored) == {(1,), (2,), (1, 2)}
        held = run.part(data, "validation")
        assert stored[1,].examples == len(held) == run.record.data["validation"]
        again = calibrated(both, data, ensemble=True)
        assert {one.trials: one.temperature for one in again} == pytest.approx(
            {trials: one.temperature for trials, one in stored.items()}, rel=1e-3
        )
        assert told["trials"][0]["temperature"] == stored[1,].temperature
        assert set(told["trials"][0]["calibrated"]) == {"negative_log_likelihood", "expected_calibration_error"}
        made = answer(first, [read_picture(data.test.x[0], (16, 16, 3))])
        raw = run.usable[0].predictions()["probability"][:1]
        np.testing.assert_allclose(made.predictions[0].answer, tempered(raw, stored[1,].temperature)[0], atol=1e-5)
        changed = json.loads((folder / CALIBRATION).read_text())
        for one in changed["temperatures"]:
            one["models"] = ["0" * 64] * len(one["models"])
        (folder / CALIBRATION).write_text(json.dumps(changed))
        assert answer(first, [read_picture(data.test.x[0], (16, 16, 3))]).calibration is None
    finally:
        (folder / CALIBRATION).unlink()


@pytest.mark.parametrize("preprocessing", [False, True], ids=["prepared", "raw"])
@pytest.mark.parametrize("form", ["keras", "onnx", "litert", "savedmodel"])
def test_exports_compute_what_the_model_computes(
    form: Form, preprocessing: bool, run: TrainedRun, data: DataSet, tmp_path: Path
) -> None:
    """And what the run recorded; the file beside it says what goes in."""
    if form == "onnx":
        pytest.importorskip("onnxruntime")
    made = export(run, run.usable[1], data, form, tmp_path / "model", preprocessing=preprocessing)
    assert made.examples == 64
    assert made.difference <= 1e-6
    assert made.recorded is not None
    assert made.recorded <= 1e-6
    told = json.loads(made.description.read_text())
    assert told["input"]["shape"] == ([None, 16, 16, 3] if preprocessing else [None, 12, 12, 3])
    assert told["input"]["range"] == ([0, 255] if preprocessing else [0, 1])
    outside, within = ([one["type"] for one in told[name]] for name in ("before", "within"))
    steps = ["resize", "scale", "center_crop", "resize"]
    assert (outside, within) == ((steps[:1], steps[1:]) if preprocessing else (steps, []))
    assert told["class_names"] == list(run.class_names)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model", "model.json"]


@pytest.mark.parametrize(
    ("form", "precision"),
    [("onnx", "mixed_bfloat16"), ("litert", "float32"), ("keras", "mixed_bfloat16")],
)
def test_models_of_16_bits_are_exported(
    form: Form, precision: str, run: TrainedRun, data: DataSet, tmp_path: Path
) -> None:
    """In 32 bits where what runs the form has none of 16, whatever the recipe says, within models too; else as is."""
    if form == "onnx":
        pytest.importorskip("onnxruntime")
    import keras

    inputs = keras.Input((12, 12, 3))
    within = keras.Sequential([keras.Input((12, 12, 3)), keras.layers.Conv2D(2, 3, dtype="mixed_bfloat16")])
    rest = [keras.layers.Flatten(), keras.layers.Dense(43, activation="softmax")]
    for layer in rest:
        layer.dtype_policy = keras.DTypePolicy("mixed_bfloat16")
    model = keras.Model(inputs, rest[1](rest[0](within(inputs))))
    model.save(tmp_path / "model.keras")
    config = {**run.record.config, "train": {**run.record.recipe, "precision": precision}}
    mixed = TrainedRun(replace(run.record, config=config))
    made = export(mixed, replace(run.usable[0], folder=tmp_path), data, form, tmp_path / f"made{ENDINGS[form]}")
    assert made.difference <= made.tolerance == 0.05
    assert any("computes in float32" in note for note in made.notes) is (form != "keras")
    if form != "keras":
        assert made.difference > 0, "the model that it is compared with is the one of 16 bits"


def test_an_export_needs_no_record(run: TrainedRun, data: DataSet, tmp_path: Path) -> None:
    """Whose record is lost has an export with all that belongs to it; that it was compared with nothing is told."""
    trial = replace(run.usable[1], folder=shutil.copytree(run.usable[1].folder, tmp_path / "trial"))
    (trial.folder / "predictions.npz").unlink()
    made = export(run, trial, data, "keras", tmp_path / "model.keras")
    assert made.recorded is None
    assert "not compared with what the run recorded" in made.notes[0]
    assert made.description.exists()


def test_litert_takes_operations_of_tensorflow_only_where_its_own_do_not_suffice(tmp_path: Path) -> None:
    """Whatever else goes wrong is told, and not tried again."""
    import keras

    inputs = keras.Input((3, 2))
    model = keras.Model(inputs, keras.layers.SimpleRNN(2)(inputs))
    x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 3, 2)
    notes: list[str] = []
    try:
        again = exporting._litert(model, tmp_path / "model.tflite", x, notes)
    except ExportError as error:  # the interpreter of TensorFlow for processors alone has none of them
        told = error.message
    else:
        told = ""
        assert np.abs(again(x) - keras.ops.convert_to_numpy(model(x))).max() < 1e-6
    assert not told or "interpreter cannot run what was written" in told
    assert "select ops" in notes[0]
    tried = mock.Mock(side_effect=[OSError("no space left"), None])
    with pytest.raises(ExportError, match="Keras's exporter cannot do this model: no space left"):
        exporting._litert(mock.Mock(export=tried), tmp_path / "other.tflite", x, notes)
    assert tried.call_count == 1


def test_an_export_that_computes_something_else_is_not_kept(
    run: TrainedRun, data: DataSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow

    true = tensorflow.saved_model.load

    class Off:
        def __init__(self, path: str) -> None:
            self.loaded = true(path)

        def serve(self, x: Any) -> Any:
            return self.loaded.serve(x) + 0.001

    monkeypatch.setattr(tensorflow.saved_model, "load", Off)
    with pytest.raises(ExportError, match=r"does not compute what the model does: outputs differ by 0\.001"):
        export(run, run.usable[0], data, "savedmodel", tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_the_command_line_names_broken_pictures_and_predicts_the_others(
    folder: Path, data: DataSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, the tables complete; a folder of pictures is fine."""
    signs = tmp_path / "signs"
    signs.mkdir()
    for number in (0, 1):
        Image.fromarray(data.test.x[number]).resize((40, 30)).save(signs / f"{number}.png")
    broken = tmp_path / "broken.png"
    broken.write_bytes((signs / "0.png").read_bytes()[:200])
    assert command("predict", folder, signs, broken, tmp_path / "none.png", "--top", 2, "--format", "csv") == 2
    out, err = capsys.readouterr()
    assert [line.split(",")[0].rpartition("/")[2] for line in out.splitlines()] == [
        "image",
        *["0.png"] * 2,
        *["1.png"] * 2,
    ]
    assert f"error: {broken}: a broken picture" in err
    assert f"error: {tmp_path / 'none.png'}: there is no such file" in err
    assert command("predict", folder, signs, "--ensemble", "--views", 2) == 0
    out, _ = capsys.readouterr()
    assert "2 images: stretched to 16 × 16." in out
    assert "the mean of 2 trials, the mean of 2 views of each image; probabilities not calibrated: " in out


def test_a_picture_comes_by_standard_input(
    folder: Path, run: TrainedRun, data: DataSet, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = io.BytesIO()
    Image.fromarray(data.test.x[5]).save(file, "BMP")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(file.getvalue())))
    assert command("predict", folder, "-", "--trial", 2, "--format", "json") == 0
    told = json.loads(capsys.readouterr().out)
    (one,) = told["predictions"]
    assert (told["trials"], told["calibrated"], one["source"], one["size"]) == ([2], False, "<stdin>", [16, 16])
    wanted = run.usable[1].predictions()["probability"][5]
    best = np.argsort(-wanted, kind="stable")[:5]
    assert [each["class"] for each in one["top"]] == list(best)
    assert [each["probability"] for each in one["top"]] == pytest.approx(list(wanted[best]), abs=1e-6)


def test_other_data_of_the_same_kind(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Are evaluated without a word of what the run recorded; those of another kind are refused."""
    assert command("evaluate", folder, "--data", "synthetic(size=16, train=1, test=1, seed=9)", "--format", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["examples"], told["own_data"], told["trials"][0]["recorded"]) == (43, False, None)
    assert command("evaluate", folder, "--data", "synthetic(size=20, train=1, test=1)") == 2
    assert "examples of (20, 20, 3), and tiny takes (16, 16, 3)" in capsys.readouterr().err
    assert command("evaluate", folder, "--data", "sinc(train=5, test=5)") == 2
    assert "sinc has values to predict, and tiny 43 classes" in capsys.readouterr().err


def test_models_of_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers as arguments, negative ones too, and tables of them."""
    (tmp_path / "line.spec").write_text(CURVE)
    folder = tmp_path / "run"
    assert command("train", tmp_path / "line.spec", "--out", folder) == 0
    run = open_run(folder)
    data = run.data()
    recorded = run.usable[0].predictions()["value"]
    (tmp_path / "x.csv").write_text("x\n" + "".join(f"{x[0]}\n" for x in data.test.x[:3]))
    capsys.readouterr()
    assert command("predict", folder, f"{-abs(data.test.x[0, 0])}", tmp_path / "x.csv", "1,2", "--format", "json") == 2
    out, err = capsys.readouterr()
    told = json.loads(out)["predictions"]
    assert [one["source"].rpartition("/")[2] for one in told[1:]] == ["x.csv:1", "x.csv:2", "x.csv:3"]
    assert [one["values"] for one in told[1:]] == [pytest.approx(list(one), abs=1e-5) for one in recorded[:3]]
    assert "error: 1,2: 1,2: 2 numbers, and the model takes 1" in err
    assert command("evaluate", folder, "--part", "validation", "--format", "json") == 0
    values = json.loads(capsys.readouterr().out)["trials"][0]
    assert values["values"]["loss"] == pytest.approx(values["recorded"]["loss"], rel=1e-6)
    assert values["values"]["root_mean_squared_error"] ** 2 == pytest.approx(values["values"]["loss"], rel=1e-5)
    assert command("evaluate", folder, "--calibrate") == 2
    assert "line predicts values" in capsys.readouterr().err
    assert command("export", folder, "--to", "savedmodel", "-o", tmp_path / "line") == 0
    assert "the same as the model on 20 test examples" in capsys.readouterr().out


def test_a_damaged_model_is_told(folder: Path, run: TrainedRun, tmp_path: Path) -> None:
    file = tmp_path / "model.keras"
    file.write_bytes(run.usable[0].model_file.read_bytes()[:-3000])
    from specdsl.inference.models import load_model

    with pytest.raises(RunError, match=r"model\.keras cannot be loaded"):
        load_model(file)


def test_from_python(folder: Path, run: TrainedRun, data: DataSet, tmp_path: Path) -> None:
    """Files, arrays and images are the same pictures."""
    import specdsl

    Image.fromarray(data.test.x[7]).save(tmp_path / "sign.png")
    loaded = specdsl.load_run(folder)
    given = [str(tmp_path / "sign.png"), data.test.x[7], Image.fromarray(data.test.x[7])]
    wanted = run.usable[0].predictions()["probability"][7]
    for best in loaded.predict(*given, top=2):
        assert best[0][:2] == (wanted.argmax(), run.class_names[wanted.argmax()])
        assert best[0][2] == pytest.approx(wanted.max(), abs=1e-6)
        assert len(best) == 2
    assert loaded.predict(given[1], ensemble=True, views=2).trials == (1, 2)
