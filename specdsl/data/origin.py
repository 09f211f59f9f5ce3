"""What a word, a file or a folder on the command line names as data."""

from __future__ import annotations

from pathlib import Path

from specdsl.data import gtsrb_cache
from specdsl.data.dataset import DataError
from specdsl.data.folders import holds_classes
from specdsl.data.gtsrb import is_prepared
from specdsl.recipes.sources import SOURCES, Folder, Gtsrb, Npz, Source


def source_at(path: Path) -> Source:
    """The source that a path names: a folder of prepared GTSRB, a folder of class folders, or a file of arrays.

    Raises:
        DataError: there is no such path, or it holds nothing of the kind.
    """
    known = f"data are one of {', '.join(SOURCES)}, a folder of prepared GTSRB or of class folders, or an .npz file"
    if path.is_dir():
        if is_prepared(path):
            return Gtsrb()
        if holds_classes(path):
            return Folder(path=str(path))
        raise DataError(
            f"{path}: holds neither prepared GTSRB nor folders of images",
            help="class folders hold images, one folder for each class; archives and images of GTSRB are prepared by\n"
            f"specdsl data prepare gtsrb --from {path}",
        )
    if path.exists() and (prepared := gtsrb_cache.source_of(path.name)):
        return prepared
    if path.suffix.lower() == ".npz":
        return Npz(path=str(path))
    raise DataError(f"{path}: {'no file of arrays' if path.exists() else 'no such file or folder'}", help=known)


def is_path(written: str) -> bool:
    """Whether what is written is meant as a path: it exists, or looks like one, and is no name of a source."""
    return (
        "(" not in written and written not in SOURCES and ("." in written or "/" in written or Path(written).exists())
    )
