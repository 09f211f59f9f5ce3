"""Data: the benchmark's loader and its refusals, and synthetic signs."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specdsl.data import DataError, load, split
from specdsl.data.gtsrb import VARIABLE, load_gtsrb
from specdsl.data.signs import SIGNS
from specdsl.data.synthetic import FRAMES
from specdsl.recipes import Gtsrb, Synthetic, Validation

SMALL = Synthetic(train=12, test=2)


@pytest.fixture(scope="module")
def signs() -> Any:
    return load(SMALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_benchmark(tmp_path)


def tiny_benchmark(folder: Path) -> Path:
    """Two training shards of 4 images and 3 test images, 8 pixels wide."""
    rng = np.random.default_rng(0)
    for shard in range(2):
        np.savez_compressed(
            folder / f"train-{shard}.npz",
            image=rng.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8),
            label=np.array([0, 0, 42, 42], np.uint8),
            track=np.array([0, 0, 0, 1], np.uint16) + 10 * shard,
            frame=np.arange(4, dtype=np.uint8),
        )
    np.savez_compressed(
        folder / "test.npz",
        image=rng.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8),
        label=np.array([5, 6, 7], np.uint8),
    )
    names = "\n".join(f'{i},"{name}"' for i, (name, _) in enumerate(SIGNS))
    (folder / "classes.csv").write_text(f"ClassId,SignName\n{names}\n")
    return folder


def loaded(folder: Path, size: int = 8, rows: tuple[int, int] = (8, 3)) -> Any:
    return load_gtsrb(Gtsrb(size=size), folder, rows=rows)


def test_the_benchmark_is_read_from_its_shards(folder: Path) -> None:
    data = loaded(folder)
    assert data.shape == (8, 8, 3)
    assert data.train.y.tolist() == [0, 0, 42, 42, 0, 0, 42, 42]
    # A track number counts within its class: track 0 of class 0 and of class 42 are different signs.
    assert data.train.track.tolist() == [0, 0, 2, 3, 1, 1, 4, 5]
    assert data.test.track is None
    assert data.class_names[14] == "Stop"
    assert data.fingerprint() == loaded(folder).fingerprint()


def replace(file: Path, **changes: Any) -> None:
    with np.load(file) as arrays:
        held = dict(arrays) | changes
    np.savez_compressed(file, **{name: array for name, array in held.items() if array is not None})


def plain_array(file: Path) -> None:
    with file.open("wb") as opened:
        np.save(opened, np.zeros(3))


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda f: (f / "train-1.npz").unlink(), "4 training images, but the benchmark has 8"),
        (lambda f: [f.joinpath(f"train-{i}.npz").unlink() for i in (0, 1)], r"no train-0\.npz"),
        (lambda f: (f / "test.npz").unlink(), r"test\.npz: no such file"),
        (lambda f: (f / "classes.csv").unlink(), r"classes\.csv: no such file"),
        (lambda f: (f / "classes.csv").write_text("a,b\n1,2\n"), r"classes\.csv: not a list"),
        (lambda f: (f / "classes.csv").write_text("ClassId,SignName\n0,x\n"), "names 1 classes"),
        (lambda f: (f / "test.npz").write_bytes(b""), r"test\.npz: truncated or corrupt"),
        (lambda f: (f / "test.npz").write_bytes(b"not a zip file"), r"test\.npz: truncated or corrupt"),
        (lambda f: truncate(f / "test.npz"), r"test\.npz: truncated or corrupt"),
        (lambda f: plain_array(f / "test.npz"), r"test\.npz: truncated or corrupt"),
        (lambda f: replace(f / "train-0.npz", track=None), r"train-0\.npz: has no array track"),
        (lambda f: replace(f / "train-0.npz", image=np.zeros((4, 8, 8), np.uint8)), "not uint8"),
        (lambda f: replace(f / "train-0.npz", image=np.zeros((4, 8, 8, 3), np.float32)), "image is float32"),
        (lambda f: replace(f / "train-0.npz", label=np.zeros(3, np.uint8)), "label is uint8 of shape"),
        (lambda f: replace(f / "train-0.npz", label=np.full(4, 43, np.uint8)), "labels run to 43"),
        (lambda f: replace(f / "train-0.npz", label=np.array([{}] * 4, object)), "corrupt .Object arrays"),
    ],
)  # fmt: skip
def test_what_is_not_whole_is_refused(folder: Path, spoil: Any, told: str) -> None:
    spoil(folder)
    with pytest.raises(DataError, match=told) as error:
        loaded(folder)
    assert error.value.help


@settings(max_examples=300, deadline=None)
@given(place=st.floats(0, 0.999), byte=st.integers(1, 255))
def test_a_flipped_byte_is_found_or_harmless(place: float, byte: int) -> None:
    """Never a traceback of another kind, and never other pixels."""
    with TemporaryDirectory() as name:
        where = tiny_benchmark(Path(name))
        before = loaded(where).fingerprint()
        file = where / "train-0.npz"
        data = bytearray(file.read_bytes())
        data[int(place * len(data))] ^= byte
        file.write_bytes(data)
        with suppress(DataError):
            assert loaded(where).fingerprint() == before


def test_another_size_is_refused_with_what_would_do(folder: Path) -> None:
    with pytest.raises(DataError, match="8x8 pixels, but the spec wants 32x32") as error:
        loaded(folder, size=32)
    assert "gtsrb(size=8)" in str(error.value.help)


@pytest.mark.skipif(VARIABLE not in os.environ, reason=f"{VARIABLE} names no prepared benchmark")
def test_the_real_benchmark() -> None:
    data = load(Gtsrb())
    assert (len(data.train), len(data.test)) == (39_209, 12_630)
    assert len(np.unique(data.train.track)) == 1307
    assert data.class_names == tuple(name for name, _ in SIGNS)
    train, held = split(data.train, Validation(fraction=0.1), seed=0)
    assert len(np.unique(held.y)) == 43
    assert 0.08 < len(held) / len(data.train) < 0.13
    assert not np.intersect1d(train.track, held.track).size


def test_synthetic_signs_are_as_declared(signs: Any) -> None:
    assert signs.train.x.shape == (12 * 43, 32, 32, 3)
    assert np.bincount(signs.train.y).tolist() == [12] * 43
    assert np.bincount(signs.test.y).tolist() == [2] * 43
    assert len(signs.class_names) == 43
    _, frames = np.unique(signs.train.track, return_counts=True)
    assert sorted(set(frames.tolist())) == [12 % FRAMES, FRAMES]
    for track in np.unique(signs.train.track):
        assert len(np.unique(signs.train.y[signs.train.track == track])) == 1


def test_synthetic_signs_are_the_same_for_the_same_seed(signs: Any) -> None:
    assert load(SMALL).fingerprint() == signs.fingerprint()
    other = load(Synthetic(train=12, test=2, seed=1))
    assert (other.train.x != signs.train.x).any(axis=(1, 2, 3)).all()
    assert load(Synthetic(size=20, train=1, test=1)).shape == (20, 20, 3)


def test_synthetic_images_differ_and_cover_the_range(signs: Any) -> None:
    assert len(np.unique(signs.train.x.reshape(len(signs.train), -1), axis=0)) == len(signs.train)
    assert 60 < signs.train.x.mean() < 110
    assert signs.train.x.std(axis=(1, 2, 3)).min() > 3


def test_frames_of_a_track_are_alike(signs: Any) -> None:
    """Nearer to their own track's mean than to that of other tracks of the class: one place, one light."""
    images, track = signs.train.x.astype(np.float32), signs.train.track
    means = np.stack([images[track == t].mean(axis=0) for t in range(track.max() + 1)])
    own = np.abs(images - means[track]).mean()
    other = np.abs(images - means[(track + 1) % len(means)]).mean()
    assert own < 0.6 * other
