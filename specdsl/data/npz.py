"""Arrays of a user's own, in a file of `numpy.savez`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from specdsl.data.dataset import DataError, DataSet, Examples, apart
from specdsl.recipes.sources import Npz

Array = NDArray[Any]

_FORMS = "x_train, y_train, x_test and y_test, or image and label"


def load_npz(source: Npz) -> DataSet:
    """The examples of a file, checked: types, shapes, labels from 0 without gaps, numbers that are finite.

    Raises:
        DataError: the file is missing or broken, or its arrays do not go together.
    """
    file = Path(source.path)
    arrays = _read(file)
    (first, *tested), track_name = _names(file, arrays)
    pairs = [first, *tested]
    xs = [_examples(file, key, arrays[key]) for key, _ in pairs]
    for (_, key), x in zip(pairs, xs, strict=True):
        if arrays[key].shape[:1] != x.shape[:1]:
            raise DataError(f"{file}: {key} is of shape {arrays[key].shape}, but there are {len(x):,} examples")
    keys = [key for _, key in pairs]
    class_names: tuple[str, ...] = ()
    if source.task == "classification":
        ys, class_names = _classes(file, keys, [arrays[key] for key in keys], arrays.get("class_names"))
    else:
        ys = [_values(file, key, arrays[key]) for key in keys]
    track = _tracks(file, track_name, arrays[track_name], len(xs[0])) if track_name in arrays else None
    train = Examples(xs[0], ys[0], track)
    if tested:
        for what, (a, b) in (("x", xs), ("y", ys)):
            if a.dtype != b.dtype or a.shape[1:] != b.shape[1:]:
                had = f"{a.dtype} of {a.shape[1:]} and {b.dtype} of {b.shape[1:]}"
                raise DataError(f"{file}: {what}_train and {what}_test hold {had}, which must be the same")
        return DataSet(file.stem, train, Examples(xs[1], ys[1]), class_names)
    by: Literal["track", "image"] = "image" if track is None else "track"
    return DataSet(file.stem, *apart(train, source.test, by, source.seed, what="testing"), class_names)


def _names(file: Path, arrays: dict[str, Array]) -> tuple[list[tuple[str, str]], str]:
    """The arrays of examples and labels, for training and perhaps for testing, and the one of tracks if it is there."""
    names = set(arrays)
    if {"x_train", "y_train"} <= names:
        if ("x_test" in names) != ("y_test" in names):
            raise DataError(f"{file}: has only one of x_test and y_test", help="give both or neither")
        tested = [("x_test", "y_test")] if "x_test" in names else []
        return [("x_train", "y_train"), *tested], "track_train" if "track_train" in names else "track"
    if {"image", "label"} <= names:
        return [("image", "label")], "track"
    raise DataError(f"{file}: holds {', '.join(sorted(names)) or 'nothing'}", help=f"the arrays are {_FORMS}")


def _read(file: Path) -> dict[str, Array]:
    """All arrays of a file."""
    if file.is_dir():
        raise DataError(
            f"{file}: a folder, not a file of arrays", help=f'write folder("{file.name}") for class folders'
        )
    try:
        with file.open("rb") as opened:
            loaded = np.load(opened, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                raise DataError(
                    f"{file}: one array without a name", help=f"numpy.savez writes several, with names: {_FORMS}"
                )
            with loaded as arrays:
                return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        raise DataError(
            f"{file}: no such file", help="a relative path in a spec is read from the spec's folder"
        ) from None
    except PermissionError:
        raise DataError(f"{file}: may not be read", help="change the permissions of the file") from None
    except DataError:
        raise
    # A broken archive fails in zipfile, zlib or numpy with whatever they come upon, even NotImplementedError.
    except Exception as error:
        if "Object arrays" in str(error):
            message, hint = "holds Python objects, which are not read, because they can run code", "save plain arrays"
        else:
            message, hint = f"no file of numpy.savez, or broken ({error})", "write it again with numpy.savez"
        raise DataError(f"{file}: {message}", help=hint) from error


def _examples(file: Path, key: str, x: Array) -> Array:
    """Examples as uint8 images with channels, or as float32 numbers."""
    if x.dtype.kind not in "uifb":
        raise DataError(f"{file}: {key} is of {x.dtype}, not of numbers")
    if x.ndim < 1 or not len(x):
        raise DataError(f"{file}: {key} holds no examples")
    if not x.size:
        raise DataError(f"{file}: {key} is of shape {x.shape}, examples with nothing in them")
    if x.dtype == np.uint8 and x.ndim == 3:
        return x[..., None]
    if x.dtype == np.uint8 and x.ndim == 4:
        if x.shape[3] not in (1, 3):
            first = " (are they in front?)" if x.shape[1] in (1, 3) else ""
            raise DataError(f"{file}: {key} holds images of shape {x.shape[1:]}, not of 1 or 3 channels{first}")
        return x
    return _numbers(file, key, x)


def _classes(file: Path, keys: list[str], ys: list[Array], given: Array | None) -> tuple[list[Array], tuple[str, ...]]:
    """Labels as int32 (n,), and the name of each class."""
    ys = [y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y for y in ys]
    for key, y in zip(keys, ys, strict=True):
        if y.dtype.kind == "f":
            hint = 'write task="regression" where values are predicted, or save labels as integers'
            raise DataError(f"{file}: {key} is of {y.dtype}, but classes are integers or names", help=hint)
        if y.ndim != 1 or y.dtype.kind not in "uiU":
            one_hot = f"{key}.argmax(axis=1) makes labels of one-hot rows" if y.ndim == 2 else None
            raise DataError(
                f"{file}: {key} is {y.dtype} of shape {y.shape}, not a label for each example", help=one_hot
            )
    if len({y.dtype.kind == "U" for y in ys}) > 1:
        told = " and ".join(f"{key} of {y.dtype}" for key, y in zip(keys, ys, strict=True))
        raise DataError(f"{file}: {told}: labels are names in both, or integers in both")
    if ys[0].dtype.kind == "U":
        names, labels = np.unique(ys[0], return_inverse=True)
        unknown = sorted(set(ys[-1].tolist()) - set(names.tolist()))
        if unknown:
            raise DataError(f"{file}: {keys[-1]} has the class '{unknown[0]}', which has no training example")
        return [labels.astype(np.int32), *(np.searchsorted(names, y).astype(np.int32) for y in ys[1:])], tuple(
            map(str, names)
        )
    found = np.unique(ys[0])
    if found[0] != 0 or found[-1] != len(found) - 1:
        missing = next(i for i, label in enumerate([*found.tolist(), -1]) if label != i)
        hint = "labels count from 0 and leave none out"
        raise DataError(f"{file}: {keys[0]} has {len(found)} classes up to {found[-1]}, but none {missing}", help=hint)
    if len(untaught := np.setdiff1d(ys[-1], found)):
        raise DataError(f"{file}: {keys[-1]} has the class {untaught[0]}, which has no training example")
    if given is not None and (given.shape != found.shape or given.dtype.kind != "U"):
        raise DataError(
            f"{file}: class_names is {given.dtype} of shape {given.shape}, not a name for each of {len(found)} classes"
        )
    named = found if given is None else given
    return [y.astype(np.int32) for y in ys], tuple(map(str, named.tolist()))


def _values(file: Path, key: str, y: Array) -> Array:
    """Values to predict as float32 (n, k)."""
    if y.dtype.kind not in "uifb" or y.ndim > 2 or not y.size:
        raise DataError(f"{file}: {key} is {y.dtype} of shape {y.shape}, not values to predict, (n,) or (n, k)")
    return _numbers(file, key, y)


def _numbers(file: Path, key: str, array: Array) -> Array:
    """Numbers as float32 (n, ...), of which each example has at least one."""
    with np.errstate(over="ignore"):
        values = np.asarray(array, np.float32)
    if not np.isfinite(values).all():
        raise DataError(f"{file}: {key} holds values that are not finite numbers of float32")
    return values[:, None] if values.ndim == 1 else values


def _tracks(file: Path, key: str, track: Array, count: int) -> NDArray[np.int32]:
    """Tracks as int32 (n,), numbered from 0."""
    if track.shape != (count,) or track.dtype.kind not in "ui":
        raise DataError(f"{file}: {key} is {track.dtype} of shape {track.shape}, not integers ({count},)")
    return np.unique(track, return_inverse=True)[1].astype(np.int32)
