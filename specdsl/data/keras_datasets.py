"""Data sets that Keras loads: CIFAR-10 and MNIST.

Keras is asked in a process of its own, so that the back end of this one stays open and its start stays fast. That
process is this module: `python -m specdsl.data.keras_datasets NAME FILE`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from specdsl.data.dataset import DataError, DataSet, Examples
from specdsl.recipes.sources import Cifar10, Mnist

Arrays = dict[str, NDArray[Any]]
"""`x_train`, `y_train`, `x_test`, `y_test`."""


class Known(NamedTuple):
    """What is known of a data set of Keras.

    Attributes:
        file: the file that Keras wants, as its cache calls it.
        address: where Keras has it from.
        rows: how many training and test examples there are.
        class_names: the names of the classes.
    """

    file: str
    address: str
    rows: tuple[int, int]
    class_names: tuple[str, ...]


KNOWN = {
    "mnist": Known(
        "mnist.npz",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
        (60_000, 10_000),
        tuple("0123456789"),
    ),
    "cifar10": Known(
        "cifar-10-batches-py-target_archive",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        (50_000, 10_000),
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    ),
}
"""The data sets by their names, which are Keras's too."""


def load_from_keras(source: Cifar10 | Mnist) -> DataSet:
    """A data set by Keras's own loader: from Keras's cache where it is there, else from the network.

    Raises:
        DataError: it is neither here nor to be had, or not what it should be.
    """
    name, (height, width, channels) = source.spec_name(), source.shape
    known = KNOWN[name]
    arrays = ask_keras(name)
    parts: list[Examples] = []
    for part, rows in zip(("train", "test"), known.rows, strict=True):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if x.dtype != np.uint8 or x.size != rows * height * width * channels or y.size != rows:
            raise DataError(
                f"{name}: Keras gave {part} images of {x.dtype} {x.shape} with labels {y.shape}, not {rows:,} of uint8 "
                f"{(height, width, channels)}",
                help=f"remove {cache() / known.file}, so that it is fetched again",
            )
        parts.append(Examples(x.reshape(rows, height, width, channels), y.reshape(rows).astype(np.int32)))
    return DataSet(name, parts[0], parts[1], known.class_names)


def ask_keras(name: str) -> Arrays:
    """The arrays that Keras's loader gives, asked in a process of its own.

    Raises:
        DataError: Keras is not installed, or its loader failed.
    """
    known = KNOWN[name]
    if find_spec("keras") is None:
        raise DataError(f"{name} is loaded by Keras, which is not installed", help="pip install 'specdsl[tensorflow]'")
    cached = (cache() / known.file).is_file()
    if not cached:
        print(f"{name}: Keras fetches {known.address}", file=sys.stderr)
    with TemporaryDirectory(prefix="specdsl-") as folder:
        file = Path(folder) / "arrays.npz"
        # Of Keras's back ends the one of numpy starts ten times faster than TensorFlow; it needs jax.
        light = {"KERAS_BACKEND": "numpy"} if find_spec("jax") else {}
        asked = subprocess.run(
            [sys.executable, "-m", __name__, name, str(file)],
            capture_output=True,
            text=True,
            errors="replace",
            env=os.environ | light | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        if asked.returncode or not file.exists():
            why = next((line for line in reversed(asked.stderr.splitlines()) if line.strip()), "no reason given")
            where = (
                f"{cache() / known.file} is there, but Keras could not use it" if cached else "it could not be fetched"
            )
            raise DataError(
                f"{name}: {where} ({why.removeprefix('Exception: ')})",
                help=f"with a connection to the network Keras fetches it; or have {known.address} brought here and "
                f"put at {cache() / known.file}",
            )
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)


def cache() -> Path:
    """Where Keras keeps data sets: `datasets` in `KERAS_HOME`, or in `.keras` of the home folder."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path.home() / ".keras") / "datasets"


def fetch(name: str) -> Arrays:
    """The arrays of a data set by Keras's own loader, in this process.

    Raises:
        Exception: whatever Keras or the network raises.
    """
    import keras

    keras.config.set_image_data_format("channels_last")
    (x_train, y_train), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


if __name__ == "__main__":
    np.savez(sys.argv[2], **fetch(sys.argv[1]))  # type: ignore[arg-type]
