"""One way to the data of any source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from specdsl.data.curves import draw_sinc
from specdsl.data.dataset import DataSet
from specdsl.data.folders import load_folder
from specdsl.data.gtsrb import load_gtsrb
from specdsl.data.keras_datasets import load_from_keras
from specdsl.data.npz import load_npz
from specdsl.data.synthetic import draw_synthetic
from specdsl.recipes.sources import Cifar10, Folder, Gtsrb, Mnist, Npz, Sinc, Source, Synthetic

LOADERS: dict[type[Source], Callable[[Any], DataSet]] = {
    Gtsrb: load_gtsrb,
    Synthetic: draw_synthetic,
    Sinc: draw_sinc,
    Mnist: load_from_keras,
    Cifar10: load_from_keras,
    Folder: load_folder,
    Npz: load_npz,
}
"""What loads the data of each kind of source."""


def load(source: Source, *, folder: Path | None = None) -> DataSet:
    """The data that a declaration names.

    Args:
        source: the declaration.
        folder: where the prepared files of `gtsrb` lie; by default where SPECDSL_DATA says.

    Raises:
        DataError: the data are missing, broken, or not as declared.
    """
    if isinstance(source, Gtsrb):
        return load_gtsrb(source, folder)
    return LOADERS[type(source)](source)
