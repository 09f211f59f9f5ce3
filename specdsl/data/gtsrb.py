"""The German Traffic Sign Recognition Benchmark from a folder of prepared arrays.

The folder holds `train-0.npz`, `train-1.npz`, ... and `test.npz`, with the arrays `image` (n, size, size, 3) uint8 and
`label` (n,), for training also `track` (n,), numbered within each class; and `classes.csv` with `ClassId,SignName`.
"""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from specdsl.data.dataset import DataError, DataSet, Examples
from specdsl.recipes.sources import CLASSES, Gtsrb

VARIABLE = "SPECDSL_DATA"
"""The environment variable that names the folder when nothing else does."""

OFFICIAL = (39_209, 12_630)
"""Training and test images of the whole benchmark."""

_AGAIN = "copy the file again from where the data was prepared"


def find_folder(folder: Path | None) -> Path:
    """The folder given, or the one that SPECDSL_DATA names.

    Raises:
        DataError: neither is given, or it is no folder.
    """
    where = folder if folder is not None else Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None
    if where is None:
        raise DataError(
            "gtsrb is wanted, but nothing says where it lies", help=f"give --data DIR, or set {VARIABLE}=DIR"
        )
    if not where.is_dir():
        told = "" if folder is not None else f" (from {VARIABLE})"
        raise DataError(f"{where}{told}: no such folder", help="give the folder that holds train-0.npz and test.npz")
    return where


def is_prepared(folder: Path) -> bool:
    """Whether a folder is meant as one of prepared files: it holds at least one of them."""
    return any(folder.glob("train-*.npz")) or any((folder / name).exists() for name in ("test.npz", "classes.csv"))


def load_gtsrb(source: Gtsrb, folder: Path | None = None, *, rows: tuple[int, int] = OFFICIAL) -> DataSet:
    """The whole benchmark, checked.

    Args:
        source: which size is wanted.
        folder: where the prepared files lie; by default where SPECDSL_DATA says.
        rows: how many training and test images there must be.

    Raises:
        DataError: a file is missing, truncated or corrupt, or the images are not all there or not of this size.
    """
    where = find_folder(folder)
    names = _class_names(where / "classes.csv")
    shards = sorted(where.glob("train-*.npz"), key=_number)
    if not shards:
        raise DataError(f"{where}: there is no train-0.npz", help="give the folder that holds train-0.npz and test.npz")
    parts = [_read(shard, source.size, ("image", "label", "track")) for shard in shards]
    image, label, track = (np.concatenate([part[name] for part in parts]) for name in ("image", "label", "track"))
    test = _read(where / "test.npz", source.size, ("image", "label"))
    for part_name, found, expected in (("training", len(image), rows[0]), ("test", len(test["image"]), rows[1])):
        if found != expected:
            raise DataError(
                f"{where}: {found:,} {part_name} images, but the benchmark has {expected:,}",
                help="the set is not whole: prepare or copy all its files again; training on a part would not compare",
            )
    sign = label.astype(np.int64) << 32 | track.astype(np.int64)
    tracks = np.unique(sign, return_inverse=True)[1].astype(np.int32)
    return DataSet(
        name="gtsrb",
        train=Examples(image, label.astype(np.int32), tracks),
        test=Examples(test["image"], test["label"].astype(np.int32)),
        class_names=names,
    )


def _number(shard: Path) -> tuple[int, str]:
    match = re.fullmatch(r"train-(\d+)\.npz", shard.name)
    return (int(match[1]) if match else 10**9, shard.name)


def _class_names(file: Path) -> tuple[str, ...]:
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            names = {int(row["ClassId"]): row["SignName"] for row in csv.DictReader(lines)}
    except FileNotFoundError:
        raise DataError(f"{file}: no such file", help="the folder must hold classes.csv beside the images") from None
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise DataError(f"{file}: not a list of ClassId,SignName ({error})", help=_AGAIN) from error
    if sorted(names) != list(range(CLASSES)):
        raise DataError(f"{file}: names {len(names)} classes, but there are {CLASSES}, from 0", help=_AGAIN)
    return tuple(names[i] for i in range(CLASSES))


def _read(file: Path, size: int, wanted: tuple[str, ...]) -> dict[str, NDArray[np.uint8]]:
    """The wanted arrays of one file, their shapes and types checked."""
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            missing = [name for name in wanted if name not in arrays]
            if missing:
                raise DataError(f"{file}: has no array {' and no array '.join(missing)}", help=_AGAIN)
            found = {name: arrays[name] for name in wanted}
    except FileNotFoundError:
        raise DataError(f"{file}: no such file", help="the set needs all its files") from None
    except PermissionError:
        raise DataError(f"{file}: may not be read", help="change the permissions of the file") from None
    except DataError:
        raise
    # A broken archive fails in zipfile, zlib or numpy with whatever they come upon, even NotImplementedError.
    except Exception as error:
        raise DataError(f"{file}: truncated or corrupt ({error})", help=_AGAIN) from error
    image = found["image"]
    if image.dtype != np.uint8 or image.ndim != 4 or image.shape[3] != 3:
        raise DataError(
            f"{file}: image is {image.dtype} of shape {image.shape}, not uint8 (n, size, size, 3)", help=_AGAIN
        )
    if image.shape[1:3] != (size, size):
        raise DataError(
            f"{file}: holds images of {image.shape[1]}x{image.shape[2]} pixels, but the spec wants {size}x{size}",
            help=f"write gtsrb(size={image.shape[1]}), or prepare the data at {size} pixels",
        )
    for name in wanted[1:]:
        array = found[name]
        if array.dtype.kind not in "iu" or array.shape != (len(image),):
            raise DataError(
                f"{file}: {name} is {array.dtype} of shape {array.shape}, not integers ({len(image)},)", help=_AGAIN
            )
    if len(image) and not 0 <= found["label"].min() <= found["label"].max() < CLASSES:
        raise DataError(
            f"{file}: labels run to {found['label'].max()}, but classes are 0 to {CLASSES - 1}", help=_AGAIN
        )
    return found
