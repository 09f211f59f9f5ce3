"""Curves, class folders and files of arrays: what is read, and what is refused with which words."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

import specdsl
from specdsl.data import DataError, DataSet, load
from specdsl.data.load import LOADERS
from specdsl.data.origin import is_path, source_at
from specdsl.data.pictures import PictureError
from specdsl.declaration import Misuse
from specdsl.recipes import SOURCES, Folder, Gtsrb, Npz, Sinc
from specdsl.resolve import data_recipe


def test_every_source_has_a_loader() -> None:
    assert set(LOADERS) == set(SOURCES.values())


def test_the_curve_is_sinc() -> None:
    """Training places lie between low and high and have noise; test places lie on a grid and have none."""
    data = load(Sinc(train=5000, test=201, low=-3, high=5, noise=0.1, seed=2))
    assert (data.task, data.shape, data.outputs, data.class_names) == ("regression", (1,), 1, ())
    np.testing.assert_allclose(data.test.x[:, 0], np.linspace(-3, 5, 201), rtol=1e-6)
    x = data.test.x.astype(np.float64)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(data.test.y, np.where(x == 0, 1, np.sin(x) / x), atol=1e-6)
    assert -3 <= data.train.x.min() < -2.9
    assert 4.9 < data.train.x.max() < 5
    off = data.train.y - np.sinc(data.train.x / np.pi)
    assert off.std() == pytest.approx(0.1, rel=0.05)
    assert load(Sinc(train=5000, test=201, low=-3, high=5, noise=0.1, seed=2)).fingerprint() == data.fingerprint()
    assert load(Sinc(train=5000, low=-3, high=5, seed=3)).train.x[0] != data.train.x[0]
    with pytest.raises(Misuse, match="low is 3, which is not below high, 3"):
        Sinc(low=3, high=3)


# Class folders


def picture(file: Path, colour: Any = (200, 30, 30), size: tuple[int, int] = (20, 12), mode: str = "RGB") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(file)


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Ten red and five blue pictures, in formats and depths of many kinds, and files that are none."""
    root = tmp_path / "signs"
    for i, ending in enumerate(("png", "jpg", "bmp", "gif", "ppm", "webp", "tiff", "PNG", "jpeg", "png")):
        picture(root / "red" / f"{i}.{ending}")
    for i in range(5):
        picture(root / "blue" / "deep" / f"{i}.png", (30, 30, 200))
    (root / "red" / "notes.txt").write_text("none")
    (root / "red" / ".hidden.png").write_text("none")
    (root / "README").write_text("none")
    (root / ".git").mkdir()
    return root


def folder(root: Path, **options: Any) -> DataSet:
    return load(Folder(path=str(root), size=8, **options))


def test_class_folders_are_read_in_any_format(classes: Path) -> None:
    data = folder(classes, test=0.2)
    assert (data.name, data.class_names, data.shape) == ("signs", ("blue", "red"), (8, 8, 3))
    assert np.bincount(data.train.y).tolist() == [4, 8]
    assert np.bincount(data.test.y).tolist() == [1, 2]
    for part in (data.train, data.test):
        channel = np.where(part.y == 1, 0, 2)
        assert (part.x.mean(axis=(1, 2)).argmax(axis=1) == channel).all()
        assert part.track is None
    assert folder(classes, test=0.2).fingerprint() == data.fingerprint()
    assert folder(classes, test=0.2, seed=1).fingerprint() != data.fingerprint()


def test_train_and_test_folders_are_the_parts(classes: Path, tmp_path: Path) -> None:
    root = tmp_path / "parts"
    root.mkdir()
    classes.rename(root / "train")
    picture(root / "test" / "red" / "a.png")
    data = folder(root)
    assert (len(data.train), len(data.test), data.test.y.tolist()) == (15, 1, [1])
    picture(root / "test" / "green" / "a.png")
    with pytest.raises(DataError, match="has the class 'green', which train has not"):
        folder(root)
    picture(root / "val" / "red" / "a.png")
    with pytest.raises(DataError, match="holds train and test, and also val") as error:
        folder(root)
    assert "validation(...)" in str(error.value.help)


def test_classes_named_by_numbers_stand_in_their_order(tmp_path: Path) -> None:
    for name in ("0", "10", "9", "00003"):
        picture(tmp_path / name / "a.png")
        picture(tmp_path / name / "b.png")
    assert folder(tmp_path).class_names == ("0", "00003", "9", "10")


def test_folders_within_a_class_can_be_tracks(tmp_path: Path) -> None:
    for label in "ab":
        for track in range(5):
            for i in range(3):
                picture(tmp_path / label / f"t{track}" / f"{i}.png")
    data = folder(tmp_path, tracks=True)
    assert data.train.track is not None
    assert data.test.track is not None
    assert (len(data.train), len(data.test)) == (24, 6)
    assert not set(data.train.track) & set(data.test.track)


def first(root: Path, **options: Any) -> Any:
    data = folder(root, test=0.5, **options)
    return next(part.x[part.y == 0][0] for part in (data.train, data.test) if (part.y == 0).any())


@pytest.mark.parametrize(
    ("draw", "told"),
    [
        (lambda: Image.new("L", (9, 9), 77), [77, 77, 77]),
        (lambda: Image.new("1", (9, 9), 1), [255, 255, 255]),
        (lambda: Image.fromarray(np.full((9, 9), 77 * 257, np.uint16)), [77, 77, 77]),
        (lambda: Image.new("RGBA", (9, 9), (200, 100, 50, 255)), [200, 100, 50]),
        (lambda: Image.new("RGBA", (9, 9), (200, 100, 50, 0)), [0, 0, 0]),
        (lambda: Image.new("RGB", (9, 9), (0, 255, 0)).quantize(4), [0, 255, 0]),
    ],
    ids=["grey", "black-white", "16 bit", "opaque", "transparent", "palette"],
)
def test_pictures_of_all_kinds_become_eight_bits(tmp_path: Path, draw: Callable[[], Any], told: list[int]) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        draw().save(tmp_path / name / "1.png")
        draw().save(tmp_path / name / "2.png")
    assert first(tmp_path)[4, 4].tolist() == told


def test_what_is_not_square_is_stretched_cropped_or_padded(tmp_path: Path) -> None:
    """A picture twice as wide as high, red in its left quarter, green elsewhere."""
    wide = Image.new("RGB", (32, 16), (0, 255, 0))
    wide.paste((255, 0, 0), (0, 0, 8, 16))
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(2):
            wide.save(tmp_path / name / f"{i}.png")
    stretched, cropped, padded = (first(tmp_path, fit=fit)[:, :, 0] > 128 for fit in ("stretch", "crop", "pad"))
    assert stretched.sum() == 2 * 8
    assert cropped.sum() == 0
    assert padded.sum() == 2 * 4
    assert not first(tmp_path, fit="pad")[0].any()
    assert first(tmp_path, channels=1).shape == (8, 8, 1)


def test_the_turn_that_a_camera_notes_is_done(tmp_path: Path) -> None:
    image = Image.new("RGB", (16, 16), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 16, 8))
    notes = Image.Exif()
    notes[0x0112] = 3  # upside down
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(2):
            image.save(tmp_path / name / f"{i}.png", exif=notes)
    assert first(tmp_path)[1].max() < 50
    assert first(tmp_path)[6].min() > 200


def spoil(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:60])


@pytest.mark.parametrize(
    ("change", "told", "hint"),
    [
        (lambda root: spoil(root / "red" / "0.png"), r"red/0\.png: ", "whole one"),
        (lambda root: (root / "red" / "0.png").write_text("text"), r"0\.png: no picture in a format", "whole one"),
        (lambda root: (root / "none").mkdir(), "the class 'none' has no images\n", "remove the folder"),
        (lambda root: (root / "README").rename(root / "red" / "deep.png"), "deep.png: no picture in", "whole one"),
        (lambda root: [f.rename(f.with_suffix(".csv")) for f in (root / "blue" / "deep").iterdir()],
         r"has no images \(but deep/0\.csv\)", ".png"),
        (lambda root: (root / "red" / "loop").symlink_to(root / "red"), "loop: a link that leads back", "the link"),
        (lambda root: (root / "red" / "up").symlink_to(root), "a link that leads back", "remove the link"),
        (lambda root: (root / "red" / "x.png").symlink_to("nowhere"), r"x\.png: a link that leads nowhere", "mend it"),
        (lambda root: (root / "red" / "x.png").symlink_to("x.png"), r"x\.png: Too many levels", "mend it"),
        (lambda root: [f.unlink() for f in (root / "blue" / "deep").iterdir()], "the class 'blue' has no images", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_in_class_folders_is_told(classes: Path, change: Any, told: str, hint: str) -> None:
    change(classes)
    with pytest.raises(DataError, match=told) as error:
        folder(classes)
    assert hint in str(error.value.help)


def test_the_first_broken_picture_ends_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures that wait are not decoded any more."""
    from specdsl.data import folders

    seen: list[str] = []
    ending = Event()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, *all: Any, **named: Any) -> None:
            super().shutdown(*all, **named)
            ending.set()

    def decode(file: Path, *rest: Any) -> Any:
        seen.append(file.name)
        if file != tmp_path / "a" / "000.png":  # the others take until no more are begun
            assert ending.wait(200)
        raise PictureError("broken")

    monkeypatch.setattr(folders, "decoded", decode)
    monkeypatch.setattr(folders, "ThreadPoolExecutor", Pool)
    for name in "ab":
        for i in range(300):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f"{i:03}.png").touch()
    with pytest.raises(DataError, match=r"a/000\.png: broken"):
        folder(tmp_path)
    assert len(seen) < 600


def test_folders_that_are_none_are_told(tmp_path: Path) -> None:
    for root, told in (
        (tmp_path / "nowhere", "no such folder"),
        (tmp_path / "empty", "holds no folders"),
        (tmp_path / "one", "holds one folder, a"),
        (tmp_path / "file", "a file, not a folder"),
    ):
        if root.name in ("empty", "one"):
            root.mkdir()
        if root.name == "one":
            picture(root / "a" / "1.png")
        if root.name == "file":
            root.touch()
        with pytest.raises(DataError, match=told):
            folder(root)


def test_links_to_other_folders_are_followed(classes: Path, tmp_path: Path) -> None:
    picture(tmp_path / "elsewhere" / "a.png")
    (classes / "red" / "more").symlink_to(tmp_path / "elsewhere")
    data = folder(classes)
    assert len(data.train) + len(data.test) == 16


def test_bombs_are_refused(classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match="pixels: make it smaller"):
        folder(classes)


# Files of arrays

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 5, 6, 3), dtype=np.uint8)
LABELS = np.arange(12) % 3


def arrays(tmp_path: Path, **held: Any) -> Path:
    file = tmp_path / "own.npz"
    np.savez(file, **{name: value for name, value in held.items() if value is not None})
    return file


def npz(tmp_path: Path, task: str = "classification", test: float = 0.5, **held: Any) -> DataSet:
    return load(Npz(path=str(arrays(tmp_path, **held)), task=task, test=test))


def test_arrays_in_two_parts(tmp_path: Path) -> None:
    names = np.array(["a", "b", "c"])
    data = npz(
        tmp_path, x_train=IMAGES, y_train=LABELS[:, None], x_test=IMAGES[:4], y_test=LABELS[:4], class_names=names
    )
    assert (data.name, data.task, data.shape, data.class_names) == ("own", "classification", (5, 6, 3), ("a", "b", "c"))
    np.testing.assert_array_equal(data.train.x, IMAGES)
    assert data.train.y.tolist() == LABELS.tolist()
    assert len(data.test) == 4


def test_arrays_in_one_part_are_split_by_track(tmp_path: Path) -> None:
    track = np.arange(12) + 1000
    data = npz(tmp_path, image=IMAGES[..., 0], label=np.array([*"abc"] * 4), track=track)
    assert (data.shape, data.class_names) == ((5, 6, 1), ("a", "b", "c"))
    assert data.train.track is not None
    assert data.test.track is not None
    assert np.bincount(data.test.y).tolist() == [2, 2, 2]
    assert not set(data.train.track) & set(data.test.track)
    assert len(npz(tmp_path, x_train=IMAGES, y_train=LABELS).test) == 6


def test_values_are_predicted_where_the_spec_says_so(tmp_path: Path) -> None:
    data = npz(tmp_path, "regression", image=np.arange(12.0), label=np.arange(24.0).reshape(12, 2))
    assert (data.task, data.shape, data.outputs, data.train.x.dtype) == ("regression", (1,), 2, np.float32)


@pytest.mark.parametrize(
    ("task", "held", "told"),
    [
        ("classification", {"a": IMAGES, "b": LABELS}, "holds a, b"),
        ("classification", {}, "holds nothing"),
        ("classification", {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES}, "only one of x_test and y_test"),
        ("classification", {"image": IMAGES, "label": LABELS[:5]}, r"label is of shape \(5,\), but there are 12"),
        ("classification", {"image": IMAGES, "label": LABELS * 1.0}, "label is of float64, but classes are integers"),
        ("classification", {"image": IMAGES, "label": LABELS + 1}, "has 3 classes up to 3, but none 0"),
        ("classification", {"image": IMAGES, "label": LABELS * 2}, "has 3 classes up to 4, but none 1"),
        ("classification", {"image": IMAGES, "label": np.eye(12, dtype=int)}, "not a label for each example"),
        ("classification", {"image": IMAGES[..., [0, 0]], "label": LABELS}, "not of 1 or 3 channels"),
        ("classification", {"image": np.moveaxis(IMAGES, 3, 1), "label": LABELS}, "are they in front"),
        ("classification", {"image": IMAGES[:0], "label": LABELS[:0]}, "image holds no examples"),
        ("classification", {"image": np.array([*"ab"]), "label": LABELS[:2]}, "image is of <U1, not of numbers"),
        ("classification", {"image": np.full((12, 2), np.nan), "label": LABELS}, "holds values that are not finite"),
        ("classification", {"image": np.full((12, 2), 1e300), "label": LABELS}, "not finite numbers of float32"),
        ("classification", {"image": np.array([{}] * 12), "label": LABELS}, "holds Python objects"),
        ("classification", {"image": IMAGES, "label": LABELS, "track": LABELS[:3]}, r"track is int64 of shape \(3,\)"),
        ("classification", {"image": IMAGES, "label": LABELS, "class_names": np.array(["a"])}, "not a name for each"),
        (
            "classification",
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES, "y_test": LABELS + 1},
            "y_test has the class 3, which has no training example",
        ),
        (
            "classification",
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:, :4], "y_test": LABELS},
            r"x_train and x_test hold uint8 of \(5, 6, 3\) and uint8 of \(4, 6, 3\)",
        ),
        (
            "classification",
            {"x_train": IMAGES, "y_train": np.array([*"abc"] * 4), "x_test": IMAGES[:1], "y_test": np.array(["d"])},
            "y_test has the class 'd'",
        ),
        (
            "classification",
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES, "y_test": LABELS - 1},
            "y_test has the class -1, which has no training example",
        ),
        (
            "classification",
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:1], "y_test": np.array(["d"])},
            "y_train of int64 and y_test of <U1: labels are names in both, or integers in both",
        ),
        ("classification", {"image": IMAGES[:, :0], "label": LABELS}, r"of shape \(12, 0, 6, 3\), examples with"),
        ("regression", {"image": IMAGES, "label": np.empty((12, 0))}, r"float64 of shape \(12, 0\), not values"),
        ("regression", {"image": IMAGES, "label": np.array([*"abc"] * 4)}, "not values to predict"),
        ("regression", {"image": IMAGES, "label": np.full(12, np.inf)}, "label holds values that are not finite"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_go_together_are_told(tmp_path: Path, task: str, held: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        npz(tmp_path, task, **held)


def test_files_that_are_none_are_told(tmp_path: Path) -> None:
    file = arrays(tmp_path, image=IMAGES, label=LABELS)
    whole = file.read_bytes()
    for held, told in ((b"", "broken"), (b"text", "broken"), (whole[:-40], "broken"), (whole[40:], "broken")):
        file.write_bytes(held)
        with pytest.raises(DataError, match=told):
            load(Npz(path=str(file)))
    with file.open("wb") as opened:
        np.save(opened, LABELS)
    with pytest.raises(DataError, match="one array without a name"):
        load(Npz(path=str(file)))
    with pytest.raises(DataError, match="no such file"):
        load(Npz(path=str(tmp_path / "nowhere.npz")))
    with pytest.raises(DataError, match="a folder, not a file"):
        load(Npz(path=str(tmp_path)))


# Paths


def test_a_path_in_a_spec_is_read_from_the_specs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the data are declared in a file that another one imports; absolute ones stay as they are."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "shared.spec").write_text('data own = npz("../own.npz")')
    (tmp_path / "main.spec").write_text(
        'from "parts/shared.spec" import own\ndata other = folder("pictures")\ndata fixed = folder("/pictures")'
    )
    monkeypatch.chdir(tmp_path.parent)
    program = specdsl.load(tmp_path.name + "/main.spec").program
    assert data_recipe(program, "own").source == Npz(path=str(tmp_path / "own.npz"))
    assert data_recipe(program, "other").source == Folder(path=str(tmp_path / "pictures"))
    assert data_recipe(program, "fixed").source == Folder(path="/pictures")
    assert data_recipe(specdsl.loads('data d = folder("here")').program).source == Folder(path=os.path.abspath("here"))
    monkeypatch.setenv("HOME", "/home/me")
    assert Folder(path="~/d").placed(Path("x")) == Folder(path="/home/me/d")


def test_a_path_tells_what_it_is(classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = arrays(tmp_path, image=IMAGES, label=LABELS)
    assert source_at(classes) == Folder(path=str(classes))
    assert source_at(file) == Npz(path=str(file))
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    (prepared / "train-0.npz").touch()
    assert source_at(prepared) == Gtsrb()
    (tmp_path / "empty").mkdir()
    for path, told in (("empty", "holds neither"), ("no", "no such file or folder"), ("a.txt", "no file of arrays")):
        (tmp_path / "a.txt").touch()
        with pytest.raises(DataError, match=told):
            source_at(tmp_path / path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "synthetic").mkdir()
    words = ("synthetic", "sinc(noise=0.1)", "empty", "./synthetic", "gone", "gone.npz")
    assert [is_path(word) for word in words] == [False, False, True, True, False, True]


def test_arguments_that_cannot_be_are_refused() -> None:
    for make in (
        lambda: Folder(path=""),
        lambda: Folder(path="x", test=0.0),
        lambda: Folder(path="x", channels=4),
        lambda: Folder(path="x", fit="zoom"),
        lambda: Npz(path="x", task="ranking"),
        lambda: Sinc(noise=-1.0),
        lambda: Sinc(test=1),
    ):
        with pytest.raises(ValidationError):
            make()
