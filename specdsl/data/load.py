"""One way to the images of any source."""

from __future__ import annotations

from pathlib import Path

from specdsl.data.dataset import DataSet
from specdsl.data.gtsrb import load_gtsrb
from specdsl.data.synthetic import draw_synthetic
from specdsl.recipes.sources import Gtsrb, Source, Synthetic


def load(source: Source, *, folder: Path | None = None) -> DataSet:
    """The images that a declaration names.

    Args:
        source: the declaration.
        folder: where the files lie, for sources that have files; by default where SPECDSL_DATA says.

    Raises:
        DataError: the images are missing, broken, or not as declared.
    """
    match source:
        case Gtsrb():
            return load_gtsrb(source, folder)
        case Synthetic():
            return draw_synthetic(source)
        case _:
            raise TypeError(f"no loader for {source.spec_name()}")
