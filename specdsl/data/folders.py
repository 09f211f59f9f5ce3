"""Images in class folders, decoded by Pillow."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from specdsl.data.dataset import DataError, DataSet, Examples, apart
from specdsl.data.pictures import PictureError, decoded, image_endings
from specdsl.recipes.sources import Folder

PARTS = ("train", "test")
"""The folders that say which images are for training and which for testing."""


_LOOKED_AT = 10_000
"""So many files are looked at to tell whether a folder is one of images."""


class _Found(NamedTuple):
    """An image file, with the class and the folder that it lies in."""

    file: Path
    label: int
    home: Path


def load_folder(source: Folder) -> DataSet:
    """All images of a folder, decoded on all cores.

    Raises:
        DataError: there is no such folder, a class is empty, a link leads back to a folder around it, or a file with
            the ending of an image is none.
    """
    root = Path(source.path)
    if not root.is_dir():
        what = "a file, not a folder" if root.exists() else "no such folder"
        raise DataError(f"{root}: {what}", help="a relative path in a spec is read from the spec's folder")
    if all((root / part).is_dir() for part in PARTS):
        others = [folder.name for folder in _folders(root) if folder.name not in PARTS]
        if others:
            hint = "`validation(...)` in the spec takes its part from train" if others[0].startswith("val") else None
            hint = hint or "the classes stand in train and in test"
            raise DataError(f"{root}: holds train and test, and also {', '.join(others)}", help=hint)
        names = _class_names(root / "train")
        found, tested = _images(root / "train", names), _images(root / "test", names)
        unknown = sorted({folder.name for folder in _folders(root / "test")} - set(names))
        if unknown:
            raise DataError(f"{root / 'test'}: has the class '{unknown[0]}', which train has not")
        return DataSet(root.name, _decoded(found, source), _decoded(tested, source), names)
    names = _class_names(root)
    whole = _decoded(_images(root, names), source)
    train, test = apart(whole, source.test, "track" if source.tracks else "image", source.seed, what="testing")
    return DataSet(root.name, train, test, names)


def holds_classes(root: Path) -> bool:
    """Whether a folder looks like one of class folders: a folder in it, or in its `train`, holds an image."""
    top = root / "train" if all((root / part).is_dir() for part in PARTS) else root
    endings = image_endings()
    files = (file for folder in _folders(top) for file in folder.rglob("*"))
    return any(file.suffix.lower() in endings for file in islice(files, _LOOKED_AT))


def _folders(root: Path) -> list[Path]:
    """The folders in a folder that are not hidden; by number where all names are numbers, else by name."""
    found = [child for child in root.iterdir() if child.is_dir() and not child.name.startswith(".")]
    if all(child.name.isdecimal() for child in found):
        return sorted(found, key=lambda child: (int(child.name), child.name))
    return sorted(found, key=lambda child: child.name)


def _class_names(root: Path) -> tuple[str, ...]:
    names = tuple(folder.name for folder in _folders(root))
    if len(names) < 2:
        held = f"holds one folder, {names[0]}" if names else "holds no folders"
        raise DataError(f"{root}: {held}", help="there is a folder for each class, and at least two of them")
    return names


def _images(root: Path, names: tuple[str, ...]) -> list[_Found]:
    """The image files of each class, in order of their paths; a class that has no folder here has none."""
    endings = image_endings()
    found = []
    for label, name in enumerate(names):
        folder = root / name
        if not folder.is_dir():
            continue
        files = list(_walk(folder, ()))
        images = [_Found(file, label, file.parent) for file in files if file.suffix.lower() in endings]
        if not images:
            other = f" (but {files[0].relative_to(folder)})" if files else ""
            raise DataError(
                f"{folder}: the class '{name}' has no images{other}",
                help="remove the folder if it is no class; files are known by their endings, such as .png or .jpg",
            )
        found += images
    return found


def _walk(folder: Path, around: tuple[tuple[int, int], ...]) -> Iterable[Path]:
    """All files below a folder that are not hidden, in order; links are followed.

    Args:
        folder: where to look.
        around: device and inode of the folders that it lies in.
    """
    try:
        status = folder.stat()
        here = (status.st_dev, status.st_ino)
        if here in around:
            raise DataError(f"{folder}: a link that leads back to a folder around it", help="remove the link")
        for child in sorted(folder.iterdir(), key=lambda child: child.name):
            if child.name.startswith("."):
                continue
            if child.is_dir():
                yield from _walk(child, (*around, here))
            else:
                child.stat()
                yield child
    except FileNotFoundError as error:
        raise DataError(f"{error.filename}: a link that leads nowhere", help="remove it, or mend it") from None
    except OSError as error:
        raise DataError(f"{error.filename or folder}: {error.strerror}", help="remove it, or mend it") from None


def _decoded(found: list[_Found], source: Folder) -> Examples:
    """The files as examples; each folder within a class is a track where the source says so."""
    if not found:
        raise DataError(f"{source.path}: there are no test images", help="fill the folders in test, or remove it")
    pixels = np.empty((len(found), *source.shape), np.uint8)

    def decode(index: int) -> None:
        pixels[index] = _pixels(found[index].file, source)

    # Pillow lets other threads work while it decodes.
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")
        try:
            for _ in pool.map(decode, range(len(found))):
                pass
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    label = np.array([image.label for image in found], np.int32)
    track = None
    if source.tracks:
        numbers: dict[Path, int] = {}
        track = np.array([numbers.setdefault(image.home, len(numbers)) for image in found], np.int32)
    return Examples(pixels, label, track)


def _pixels(file: Path, source: Folder) -> NDArray[np.uint8]:
    """One image as a source wants it: uint8 (size, size, channels)."""
    try:
        return decoded(file, (source.size, source.size, source.channels), source.fit).pixels
    except PictureError as error:
        raise DataError(f"{file}: {error}", help="remove the file or replace it with a whole one") from error
