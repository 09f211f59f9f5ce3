"""`specdsl data show`: what it tells of data sets, and the sheets that it draws."""

from __future__ import annotations

import csv
import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from specdsl.data import DataSet, Examples, load
from specdsl.data.summary import summarise
from specdsl.recipes import Pipeline, Sinc, Synthetic, Validation
from specdsl.recipes.augmentation import OPERATIONS, CenterCrop, RandomCrop
from specdsl.training import looks

SPEC = """
data few = synthetic(size=16, train=10, test=2) {
    validation(0.5, seed=4)
    augment { random_crop(12, 12); random_brightness(0.3); clip(0, 1) }
    evaluate { center_crop(12, 12) }
}
data curve = sinc(train=40, test=5)
train quick { data = few }
"""


@pytest.fixture
def run(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs `specdsl data show` beside a spec; gives exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPECDSL_DATA", str(tmp_path / "prepared"))
    Path("few.spec").write_text(SPEC)

    return partial(run, "data", "show")


def test_the_table_has_a_row_for_each_class_and_the_sums(run) -> None:
    code, out, _ = run("few.spec")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split() == ["Class", "Name", "Train", "Tracks", "Validation", "Tracks", "Test", "Tracks"]
    assert ["14", "Stop", "5", "1", "5", "1", "2", "2"] in map(str.split, lines)
    sums = next(line.split() for line in lines if line.split()[:1] == ["all"])
    assert sums == ["all", "215", "43", "215", "43", "86", "86"]
    assert "Images of 16x16 pixels (height x width) with 3 channels, in 43 classes." in out
    notes = " ".join(out.split())
    assert "validation(fraction=0.5, seed=4) holds 50.0% of the training examples, chosen by the seed 4." in notes
    assert "Fewer than 10 tracks in classes 0, 1," in notes
    assert max(map(len, lines)) <= 80


def test_every_form_tells_the_same(run) -> None:
    told = json.loads(run("few.spec", "--format", "json")[1])
    assert told["parts"]["validation"] == {"examples": 215, "tracks": 43}
    assert told["validation"] == {"fraction": 0.5, "by": "track", "seed": 4}
    assert told["sha256"] == load(Synthetic(size=16, train=10, test=2)).fingerprint()
    table = list(csv.DictReader(io.StringIO(run("few.spec", "--format", "csv")[1])))
    assert [{name: str(value) for name, value in row.items()} for row in told["rows"]] == table
    markdown = run("few.spec", "--format", "markdown")[1].splitlines()
    assert markdown[2].split(" | ") == ["| 0", "Speed limit (20km/h)", "5", "1", "5", "1", "2", "2 |"]
    assert len(markdown[:45]) == 45
    assert run("few.spec", "--format", "csv", "-o", "table.csv")[2] == "wrote table.csv\n"
    assert list(csv.DictReader(Path("table.csv").read_text().splitlines())) == table


def test_data_to_be_predicted_are_told_by_their_values(run) -> None:
    code, out, _ = run("few.spec:curve", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert [(row["part"], row["value"], row["examples"]) for row in rows] == [
        ("train", "x", "40"), ("train", "y", "40"), ("test", "x", "5"), ("test", "y", "5"),
    ]  # fmt: skip
    assert (float(rows[2]["least"]), float(rows[2]["greatest"])) == (-10, 10)
    assert "Values of shape (1,), from which 1 is predicted." in run("sinc")[1]


def test_a_narrow_terminal_takes_no_digit_away(signs: DataSet) -> None:
    """Where the table finds no room it is wider than the terminal; what is said below it is not."""
    for dataset in (signs, load(Sinc(train=40, test=5))):
        summary = summarise(dataset, Validation(fraction=0.5, by="image"), seed=1)
        table, notes = summary.to_text(20).split("\n\n")
        assert sorted(table.split()) == sorted(summary.to_text(200).split("\n\n")[0].split())
        assert max(map(len, notes.splitlines())) <= 20


def test_imbalance_is_told() -> None:
    y = np.array([0] * 30 + [1] * 3 + [2] * 7, np.int32)
    part = Examples(np.zeros((40, 2, 2, 1), np.uint8), y)
    summary = summarise(DataSet("d", part, part, ("a", "b|c", "d")))
    assert summary.imbalance == 10
    assert "Class 0 has 10 times as many training examples as class 1: 30 and 3." in summary.notes()
    assert "| 1 | b\\|c | 3 | 3 |" in summary.to_markdown()
    split = summarise(summary.dataset, Validation(fraction=0.2, by="image"), seed=3)
    assert [len(part) for part in split.parts.values()] == [32, 8, 40]
    assert split.notes()[-1].endswith("chosen by the seed 3.")


def test_the_seed_chooses_the_validation_part(run) -> None:
    Path("free.spec").write_text(SPEC.replace(", seed=4", ""))
    assert run("free.spec", "--seed", "4", "--format", "csv") == run("few.spec", "--format", "csv")
    assert "chosen by the seed 9" in run("free.spec", "--seed", "9", columns=120)[1]


@pytest.mark.parametrize("options", [(), ("--augmented",), ("--evaluated",), ("--classes", "14,2,14")])
def test_sheets_are_drawn(run, options: tuple[str, ...]) -> None:
    code, _, err = run("few.spec", "--sheet", "s.png", "--columns", "4", *options)
    assert (code, err) == (0, "wrote s.png\n")
    with Image.open("s.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"), float)
    # Each image of 16 pixels is drawn 4 times as large; three blocks of 15 rows, or one of 2.
    rows, blocks = (2, 1) if "--classes" in options else (15, 3)
    cell = (12 if "--evaluated" in options else 16) * (5 if "--evaluated" in options else 4)
    assert pixels.shape[1] > blocks * 4 * cell
    assert rows * cell < pixels.shape[0] < rows * cell * 1.2 + 120
    assert 0.2 < (pixels.min(axis=2) < 250).mean() < 0.95


def test_a_sheet_as_svg_is_the_same_each_time(run) -> None:
    for name in ("a.svg", "b.svg"):
        assert run("few.spec", "--sheet", name, "--classes", "1", "--augmented")[0] == 0
    text = Path("a.svg").read_text()
    assert text == Path("b.svg").read_text()
    assert text.startswith("<?xml")


@pytest.fixture(scope="module")
def signs() -> DataSet:
    return load(Synthetic(size=16, train=12, test=1))


def test_rows_show_examples_of_their_class_and_of_different_tracks_first(signs: DataSet) -> None:
    (row,) = looks.rows(signs, [7], 3, seed=1)
    train = signs.train
    found = [
        int(np.flatnonzero((train.x == np.round(image * 255).astype(np.uint8)).all(axis=(1, 2, 3)))[0])
        for image in row.images
    ]
    assert (train.y[found] == 7).all()
    assert train.track is not None
    assert len(set(train.track[found].tolist())) == 3
    assert row.name == "7 Speed limit (100km/h)"
    (row,) = looks.rows(signs, [7], 30, seed=1, pipeline=Pipeline(operations=(CenterCrop(height=10, width=8),)))
    assert (len(row.images), row.images[0].shape) == (12, (10, 8, 3))


def test_draws_begin_with_the_image_and_differ(signs: DataSet) -> None:
    pipeline = Pipeline(operations=(RandomCrop(height=8, width=8),))
    first, second = looks.draws(signs, [0, 5], 6, 0, pipeline)
    assert first.images[0].shape == (16, 16, 3)
    assert len({image.tobytes() for image in first.images[1:]}) > 2
    windows = np.lib.stride_tricks.sliding_window_view(second.images[0], (8, 8), axis=(0, 1)).transpose(0, 1, 3, 4, 2)
    for image in second.images[1:]:
        assert (windows == image).all(axis=(2, 3, 4)).any()


def test_a_label_that_an_operation_changes_is_marked(signs: DataSet) -> None:
    flip: Any = OPERATIONS["flip_left_right"]
    pipeline = Pipeline(operations=(flip(classes=[], swaps=[(33, 34)], probability=1.0),))
    turned, kept = looks.draws(signs, [33, 2], 3, 0, pipeline)
    assert (turned.marks, kept.marks) == (["", "34", "34"], ["", "", ""])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["gtsrp"], "did you mean 'gtsrb'?"),
        (["pictures"], "there is no data set, file or folder 'pictures'"),
        (["./pictures"], "no such file or folder"),
        (["pictures.npz"], "no such file"),
        (["."], "holds neither prepared GTSRB nor folders of images"),
        (["gone.spec"], "gone.spec cannot be read"),
        (["few.spec:gone"], "there are few, curve"),
        (["none.spec"], "none.spec has no data"),
        (["sinc(train=0)"], "'train' of sinc must be"),
        (["sinc() + 1"], "error[syntax]"),
        (["sinc() { augment {} }"], "NAME is one source of data"),
        (["gtsrb"], "specdsl data prepare gtsrb"),
        (["few.spec", "--augmented"], "give --sheet FILE"),
        (["few.spec", "--sheet", "s.png", "--augmented", "--evaluated"], "give one of them"),
        (["few.spec", "--sheet", "s.jpg"], "ends in .png or .svg"),
        (["few.spec", "--sheet", "few.spec"], "ends in .png or .svg"),
        (["few.spec", "--sheet", "nowhere/s.png"], "nowhere/s.png cannot be written"),
        (["few.spec", "--sheet", "s.png", "--classes", "1,43"], "from 0 to 42, not '43'"),
        (["few.spec", "--sheet", "s.png", "--classes", "1-3"], "not '1-3'"),
        (["synthetic", "--sheet", "s.png", "--augmented"], "--augmented shows operations of a spec"),
        (["synthetic", "--data", "sinc"], "--data goes before the data of a spec"),
        (["sinc", "--sheet", "s.png"], "images in classes, which sinc has not"),
        (["few.spec", "--data", "sinc"], "random_crop takes images"),
        (["images.spec"], "no tracks to split by"),
    ],
)
def test_mistakes_are_told(run, arguments: list[str], told: str) -> None:
    Path("none.spec").write_text("model m { input x: (2,); Dense(1) }")
    Path("images.spec").write_text("data d = sinc { validation(0.1) }")
    code, out, err = run(*arguments)
    assert (code in (1, 2), out) == (True, "")
    assert told in err
    assert not Path("s.png").exists()
