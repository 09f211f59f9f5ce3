"""Training on data of a user's own: arrays, values to predict, class folders."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import specdsl
from specdsl.data import DataSet, Examples
from specdsl.declaration import Misuse
from specdsl.recipes import DataRecipe, Folder, Npz, Sinc
from specdsl.recipes.augmentation import FlipLeftRight, RandomCrop, RandomSaturation
from specdsl.resolve import train_recipe
from specdsl.training.checks import check_data, check_fit
from tests.training.models import graph

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")
"""Keras 3.15 under numpy 2, when it saves a model."""

OWN = """
data own = npz("held/own.npz", test=0.5) { validation(0.25, by="image", seed=1) }
train quick { data = own; epochs = 2; batch = 4 }
model tiny {
    input x: (5,)
    Dense(3, "softmax")
}
"""


@pytest.fixture
def train(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs `specdsl train`; gives exit code, standard output and standard error."""

    (tmp_path / "specs" / "held").mkdir(parents=True)
    (tmp_path / "specs" / "own.spec").write_text(OWN)
    y = np.arange(24) % 3
    x = np.eye(5)[y] + np.random.default_rng(0).normal(0, 0.1, (24, 5))
    np.savez(tmp_path / "specs" / "held" / "own.npz", image=x, label=y)
    monkeypatch.chdir(tmp_path)
    return partial(run, "train")


@pytest.mark.keras
def test_a_run_on_arrays_goes_on_from_another_folder(train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path in the spec is read from the spec's folder, also when the run's own copy of the spec is read."""
    assert train("specs/own.spec", "--out", "run")[0] == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, _, err = train("--resume", "../run", "--trials", "2")
    assert (code, err) == (0, "")
    assert (tmp_path / "run" / "trial-2" / "trial.json").exists()
    data = json.loads((tmp_path / "run" / "config.json").read_text())["data"]
    (tmp_path / "specs" / "held" / "own.npz").rename(tmp_path / "moved.npz")
    code, _, err = train("--resume", "../run", "--trials", "3")
    assert code == 2
    assert "own.npz: no such file" in err
    code, _, err = train("--resume", "../run", "--trials", "3", "--data", "../moved.npz")
    assert (code, err) == (0, "")
    assert (tmp_path / "run" / "trial-3" / "trial.json").exists()
    code, out, _ = train.func("evaluate", "../run", "--data", "../moved.npz")
    assert code == 0
    assert "The run recorded the same." in out, "the part for the test, which the file does not say, is the run's"
    assert (data["task"], data["train"], data["validation"], data["test"]) == ("classification", 9, 3, 12)


@pytest.mark.keras
def test_a_curve_is_fitted(train, tmp_path: Path) -> None:
    """The shipped small network learns sin(x)/x: its error falls well below the variance of the curve, 0.12."""
    text = (Path(__file__).parents[2] / "specs" / "shortcut_mlp.spec").read_text()
    (tmp_path / "curve.spec").write_text(
        text + "data curve = sinc(train=300, test=41)\ntrain fit { data = curve; optimizer = Adam(0.01); "
        'loss = "mean_squared_error"; metrics = []; epochs = 30; batch = 32 }\n'
    )
    code, _, err = train("curve.spec", "--out", "run")
    assert (code, err) == (0, "")
    final = json.loads((tmp_path / "run" / "trial-1" / "trial.json").read_text())["final"]
    assert final["test_loss"] < 0.03
    with np.load(tmp_path / "run" / "trial-1" / "predictions.npz") as held:
        np.testing.assert_allclose(held["target"][20], 1, atol=1e-6)


@pytest.mark.keras
def test_class_folders_in_place_of_the_specs_data(train, tmp_path: Path) -> None:
    for name, colour in (("blue", (0, 0, 200)), ("red", (200, 0, 0))):
        for i in range(6):
            (tmp_path / "pictures" / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (30, 20), colour).save(tmp_path / "pictures" / name / f"{i}.png")
    Path("two.spec").write_text('model two { input x: (8, 8, 3); Flatten -> Dense(2, "softmax") }')
    code, _, err = train("two.spec", "--data", "pictures", "--epochs", "1", "--out", "run")
    assert (code, err) == (0, "")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["data"]["class_names"] == ["blue", "red"]
    assert config["train"]["data"]["source"]["size"] == 32
    code, _, err = train("two.spec", "--data", "nowhere", "--out", "other")
    assert (code, "no data set, file or folder 'nowhere'" in err) == (2, True)


def test_without_a_train_block_the_data_of_the_file_are_taken() -> None:
    """Values are then predicted by the mean squared error; `--data` goes before what the file declares."""
    text = 'data curve = sinc(train=50) { validation(0.2, by="image") }\nmodel m { input x: (1,); Dense(1) }'
    made = train_recipe(specdsl.loads(text).program, None, (1,))
    assert (made.data.source, made.metrics, made.columns) == (Sinc(train=50), (), ("loss",))
    assert type(made.loss).__name__ == "MeanSquaredError"
    assert made.data.validation is not None
    assert train_recipe(specdsl.loads(text).program, None, (1,), Sinc(noise=0.5)).data.source == Sinc(
        train=50, noise=0.5
    )
    bare = specdsl.loads(text.split("\n")[1]).program
    assert train_recipe(bare, None, (1,), Sinc()).data == DataRecipe(source=Sinc())
    with pytest.raises(specdsl.SpecError, match="traffic signs are colour images"):
        train_recipe(bare, None, (1,))


def loaded(shape: tuple[int, ...], classes: int) -> DataSet:
    part = Examples(np.zeros((classes, *shape), np.uint8), np.arange(classes, dtype=np.int32))
    return DataSet("own", part, part, tuple(map(str, range(classes))))


def test_what_only_loading_tells_is_checked_then() -> None:
    """Of arrays nothing is known before: shape, classes and operations are checked against what was loaded."""
    data = DataRecipe(
        source=Npz(path="own.npz"),
        augment=[RandomCrop(height=8, width=8), FlipLeftRight(classes=[2])],
        evaluate=[],
    )
    two = graph('model two { input x: (8, 8, 1); Flatten -> Dense(2, "softmax") }')
    check_fit(two, data)
    for shape, classes, told in (
        ((6, 6, 1), 3, "height of 8"),
        ((8, 8, 1), 2, "names class 2, but there are 2"),
        ((9, 9, 1), 3, r"augment ends with images of \(8, 8, 1\)"),
    ):
        with pytest.raises(Misuse, match=told):
            check_data(data, loaded(shape, classes))
    check_data(data, loaded((8, 8, 1), 3))
    for shape, classes, told in (((8, 8, 1), 3, "has 3 classes"), ((8, 8, 3), 2, r"gives \(8, 8, 3\)")):
        with pytest.raises(Misuse, match=told):
            check_fit(two, data, loaded(shape, classes))
    with pytest.raises(Misuse, match="data for classification of 3, but the spec speaks of regression"):
        check_data(DataRecipe(source=Npz(path="own.npz", task="regression")), loaded((8, 8, 1), 3))


def test_operations_that_a_source_cannot_have_are_refused_at_once() -> None:
    for source, operation, told in (
        (Sinc(), RandomCrop(height=1, width=1), r"takes images, but this data has values of shape \(1,\)"),
        (Sinc(), FlipLeftRight(classes=[0]), "names classes, but this data has values to predict"),
        (Folder(path="x", channels=1), RandomSaturation(lower=0, upper=1), "needs red, green and blue"),
        (Folder(path="x", size=16), RandomCrop(height=17, width=8), "height of 17"),
    ):
        with pytest.raises(Misuse, match=told):
            DataRecipe(source=source, augment=[operation])
    with pytest.raises(Misuse, match="has 1 value to predict"):
        check_fit(graph("model two { input x: (1,); Dense(2) }"), DataRecipe(source=Sinc()))
