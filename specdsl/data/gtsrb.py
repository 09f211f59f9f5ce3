"""The German Traffic Sign Recognition Benchmark from a folder of prepared arrays.

The folder holds what `specdsl data prepare gtsrb` makes, a file for each size (`gtsrb_cache.py`). Or it holds
`train-0.npz`, `train-1.npz`, ... and `test.npz`, with the arrays `image` (n, size, size, 3) uint8 and `label` (n,), for
training also `track` (n,), numbered within each class; and `classes.csv` with `ClassId,SignName`.
"""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specdsl.cache import cache_folder
from specdsl.data import gtsrb_cache
from specdsl.data.dataset import DataError, DataSet, Examples
from specdsl.recipes.sources import CLASSES, DEFAULT_SIZE, Gtsrb

VARIABLE = "SPECDSL_DATA"
"""The environment variable that names the folder of prepared data when nothing else does."""

OFFICIAL = (39_209, 12_630)
"""Training and test images of the whole benchmark."""

_AGAIN = "copy the file again from where the data was prepared"


def data_folder() -> Path:
    """Where prepared data lie when nobody says: the folder that SPECDSL_DATA names, or `data` in the user's cache."""
    return Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else cache_folder() / "data"


def load_gtsrb(source: Gtsrb, folder: Path | None = None, *, rows: tuple[int, int] = OFFICIAL) -> DataSet:
    """The whole benchmark, checked; or a part of it that was prepared as such, and says so by its name.

    Args:
        source: which size is wanted, and whether images are cut to the sign.
        folder: where the prepared files lie; by default `data_folder()`.
        rows: how many training and test images there must be.

    Raises:
        DataError: a file is missing, truncated or corrupt, or the images are not all there or not of this size.
    """
    where = folder or data_folder()
    file = where / gtsrb_cache.file_name(source.size, source.roi)
    if file.exists():
        return _from_cache(file, rows)
    if not _has_shards(where):
        raise _not_prepared(where, source)
    if source.roi:
        raise DataError(
            f"{where}: holds whole frames, but the spec wants roi=true", help="prepare the data with --roi, elsewhere"
        )
    return _from_shards(where, source.size, rows)


def is_prepared(folder: Path) -> bool:
    """Whether a folder is meant as one of prepared files: it holds at least one of them."""
    return _has_shards(folder) or bool(_cached(folder))


def _has_shards(folder: Path) -> bool:
    return any(folder.glob("train-*.npz")) or any((folder / name).exists() for name in ("test.npz", "classes.csv"))


def _cached(folder: Path) -> list[str]:
    """The prepared files in a folder, in order of their names."""
    return sorted(path.name for path in folder.glob("gtsrb-*.npz") if gtsrb_cache.source_of(path.name))


def _not_prepared(where: Path, source: Gtsrb) -> DataError:
    """What to say, and to do, when there is nothing at the place."""
    options = f" --size {source.size}" * (source.size != DEFAULT_SIZE) + " --roi" * source.roi
    to = "" if where == data_folder() else f" --to {where}"
    megabytes = sum(OFFICIAL) * source.size**2 * 3 / 1e6
    kind = f"{source.size}x{source.size} pixels{', cut to the signs' if source.roi else ''}"
    file = where / gtsrb_cache.file_name(source.size, source.roi)
    others = f", but {', '.join(_cached(where))}" if _cached(where) else ""
    command = f"specdsl data prepare gtsrb{options}{to}"
    return DataError(
        f"gtsrb at {kind} is not prepared: there is no {file if where.is_dir() else f'folder {where}'}{others}",
        help=f"`{command}` fetches the archives, once, less than 400 MB, and makes {file}, {megabytes:,.0f} MB;\n"
        f"`{command} --from DIR` makes it of archives or images that you have;\n"
        f"--data DIR, or the variable {VARIABLE}, names another folder where it is",
    )


def _from_cache(file: Path, rows: tuple[int, int]) -> DataSet:
    about, arrays = gtsrb_cache.read(file)
    name = "gtsrb"
    if about.partial:
        name += f" (a part: {about.train:,} of {rows[0]:,} training images, {about.test:,} of {rows[1]:,} test images)"
    else:
        _check_counts(file, (about.train, about.test), rows)
    return DataSet(
        name=name,
        train=Examples(
            arrays["train_image"],
            arrays["train_label"].astype(np.int32),
            _tracks(arrays["train_label"], arrays["train_track"]),
        ),
        test=Examples(arrays["test_image"], arrays["test_label"].astype(np.int32)),
        class_names=about.class_names,
        partial=about.partial,
    )


def _from_shards(where: Path, size: int, rows: tuple[int, int]) -> DataSet:
    """What lies in several files for training and one for test."""
    names = _class_names(where / "classes.csv")
    shards = sorted(where.glob("train-*.npz"), key=_number)
    if not shards:
        raise DataError(f"{where}: there is no train-0.npz", help="give the folder that holds train-0.npz and test.npz")
    parts = [_read(shard, size, ("image", "label", "track")) for shard in shards]
    image, label, track = (np.concatenate([part[name] for part in parts]) for name in ("image", "label", "track"))
    test = _read(where / "test.npz", size, ("image", "label"))
    _check_counts(where, (len(image), len(test["image"])), rows)
    return DataSet(
        name="gtsrb",
        train=Examples(image, label.astype(np.int32), _tracks(label, track)),
        test=Examples(test["image"], test["label"].astype(np.int32)),
        class_names=names,
    )


def _check_counts(where: Path, found: tuple[int, int], rows: tuple[int, int]) -> None:
    for part, count, expected in zip(("training", "test"), found, rows, strict=True):
        if count != expected:
            raise DataError(
                f"{where}: {count:,} {part} images, but the benchmark has {expected:,}",
                help="the set is not whole: prepare or copy all its files again; training on a part would not compare",
            )


def _tracks(label: NDArray[Any], track: NDArray[Any]) -> NDArray[np.int32]:
    """A number for each sign, of tracks that are numbered within each class."""
    sign = label.astype(np.int64) << 32 | track.astype(np.int64)
    numbers: NDArray[np.int32] = np.unique(sign, return_inverse=True)[1].astype(np.int32)
    return numbers


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
