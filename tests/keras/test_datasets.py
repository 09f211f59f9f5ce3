"""Data sets that Keras loads, from a cache of the form that it keeps: no network is asked."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from specdsl.data import DataError, keras_datasets, load
from specdsl.recipes import Cifar10, Mnist

pytestmark = pytest.mark.keras

UNCHECKED = "import keras.src.utils.file_utils as f\nf.validate_file = lambda *arguments, **options: True\n"
"""Lets Keras take files that are of the right form but not the published ones."""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keras's cache, empty; and no way to the network."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (tmp_path / "datasets").mkdir()
    return tmp_path / "datasets"


def known(monkeypatch: pytest.MonkeyPatch, name: str, rows: tuple[int, int]) -> None:
    monkeypatch.setitem(keras_datasets.KNOWN, name, keras_datasets.KNOWN[name]._replace(rows=rows))


def fill_mnist(cache: Path) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    held = {}
    for part, rows in (("train", 30), ("test", 20)):
        held[f"x_{part}"] = rng.integers(0, 256, (rows, 28, 28), dtype=np.uint8)
        held[f"y_{part}"] = rng.integers(0, 10, rows, dtype=np.uint8)
    np.savez(cache / "mnist.npz", **held)  # type: ignore[arg-type]
    return held


def test_mnist_in_the_cache_is_loaded_without_network(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = fill_mnist(cache)
    (tmp_path / "sitecustomize.py").write_text(UNCHECKED)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", os.getcwd())]))
    known(monkeypatch, "mnist", (30, 20))
    data = load(Mnist())
    assert (data.shape, data.class_names[9], data.task) == ((28, 28, 1), "9", "classification")
    np.testing.assert_array_equal(data.train.x[..., 0], held["x_train"])
    np.testing.assert_array_equal(data.test.y, held["y_test"])
    known(monkeypatch, "mnist", (31, 20))
    with pytest.raises(DataError, match="not 31 of uint8") as error:
        load(Mnist())
    assert f"remove {cache / 'mnist.npz'}" in str(error.value.help)


def test_cifar_in_the_cache_is_loaded_without_network(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive in its published form: six pickled batches of 10,000 rows, each red, then green, then blue."""
    pixels = np.zeros((10_000, 3072), np.uint8)
    pixels[:, 1024:2048] = 7
    with tarfile.open(cache / "cifar-10-batches-py-target_archive", "w:gz", compresslevel=1) as archive:
        for i in range(6):
            pixels[0, 0] = i + 1
            batch = {b"data": pixels, b"labels": [i] * 10_000}
            text = pickle.dumps(batch, protocol=4)
            member = tarfile.TarInfo(f"cifar-10-batches-py/{'test_batch' if i == 5 else f'data_batch_{i + 1}'}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    (tmp_path / "sitecustomize.py").write_text(UNCHECKED)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", os.getcwd())]))
    data = load(Cifar10())
    assert (data.shape, data.class_names[0], len(data.test)) == ((32, 32, 3), "airplane", 10_000)
    assert np.bincount(data.train.y).tolist() == [10_000] * 5
    assert data.train.x[10_000, 0, 0].tolist() == [2, 7, 0]
    assert data.test.x[0, 0, 0].tolist() == [6, 7, 0]


def test_without_network_the_file_and_its_place_are_told(cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match="mnist: it could not be fetched") as error:
        load(Mnist())
    assert f"tf-keras-datasets/mnist.npz brought here and put at {cache / 'mnist.npz'}" in str(error.value.help)
    assert "Keras fetches https://" in capfd.readouterr().err


def test_a_broken_file_in_the_cache_is_told(cache: Path) -> None:
    fill_mnist(cache)
    with pytest.raises(DataError, match=r"mnist\.npz is there, but Keras could not use it"):
        load(Mnist())


def test_without_keras_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_datasets, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="which is not installed") as error:
        load(Mnist())
    assert "pip install" in str(error.value.help)
