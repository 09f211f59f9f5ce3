"""The file that preparing the benchmark makes and loading reads: versioned, with a sum over all that it holds.

It is a `.npz`, which numpy alone can open as well, with the arrays of `arrays_of` and, as `about.json`, what they are
and where they come from. All of it, the text included, goes into the SHA-256 that stands in the text. Arrays are not
packed, and images are written as they are decoded, so that no more of them than a few chunks is ever in memory.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from specdsl.data.dataset import DataError
from specdsl.data.files import Growing, check_room, explained
from specdsl.recipes.sources import CLASSES, Gtsrb

FORMAT: Final = "specdsl gtsrb"
VERSION = 1
"""Goes up by one whenever an older reader could misunderstand the file, or a newer one an older file."""

_ABOUT = "about.json"
_AGAIN = "prepare it again: specdsl data prepare gtsrb"
_BLOCK = 1 << 20


class Origin(BaseModel):
    """What a prepared file was made of.

    Attributes:
        layout: "official" or "Kaggle".
        archives: the MD5 sum of each zip, by its name; empty where folders were read.
        official: whether these are the sums of the archives as published.
        images: a SHA-256 over the SHA-256 of each image file, training before test, in the order of the arrays.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layout: str
    archives: dict[str, str]
    official: bool
    images: str


class About(BaseModel):
    """What a prepared file holds.

    Attributes:
        format, version: which file it is.
        size: height and width of the images.
        roi: whether they show the region of interest, or the whole frame.
        partial: whether it is a part of the benchmark on purpose.
        train, test: how many images there are.
        class_names: the name of each class.
        origin: what it was made of.
        software: what made it, with versions.
        sha256: over all arrays and over this, without the sum itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["specdsl gtsrb"] = FORMAT
    version: int = VERSION
    size: int = Field(ge=1)
    roi: bool
    partial: bool
    train: int = Field(ge=1)
    test: int = Field(ge=1)
    class_names: tuple[str, ...] = Field(min_length=CLASSES, max_length=CLASSES)
    origin: Origin
    software: dict[str, str]
    sha256: str = ""


class Prepared(NamedTuple):
    """A prepared file, read and found whole.

    Attributes:
        about: what it is.
        arrays: what `arrays_of` names.
    """

    about: About
    arrays: dict[str, NDArray[Any]]


def arrays_of(size: int, train: int, test: int) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
    """Type and shape of each array, in the order in which they are written.

    `label` is the class; `track` the physical sign within its class and `frame` the image of it, both as in the
    benchmark; `number` that of a test image; `size` width and height of the original, `roi` the box around the sign
    there: left, top, and right and bottom, which are outside of it.
    """
    counts = {"train": train, "test": test}
    columns: dict[str, tuple[str, tuple[int, ...]]] = {
        "train_label": ("|u1", ()),
        "train_track": ("<u4", ()),
        "train_frame": ("<u4", ()),
        "train_size": ("<u2", (2,)),
        "train_roi": ("<u2", (4,)),
        "test_label": ("|u1", ()),
        "test_number": ("<u4", ()),
        "test_size": ("<u2", (2,)),
        "test_roi": ("<u2", (4,)),
        "train_image": ("|u1", (size, size, 3)),
        "test_image": ("|u1", (size, size, 3)),
    }
    return {name: (np.dtype(kind), (counts[name.partition("_")[0]], *shape)) for name, (kind, shape) in columns.items()}


def file_name(size: int, roi: bool) -> str:
    """What a prepared file is called."""
    return f"gtsrb-{size}{'-roi' if roi else ''}.npz"


def source_of(name: str) -> Gtsrb | None:
    """The source that a file of this name is prepared for; None where it is no such name."""
    match = re.fullmatch(r"gtsrb-([1-9]\d{0,3})(-roi)?\.npz", name)
    try:
        return Gtsrb(size=int(match[1]), roi=bool(match[2])) if match else None
    except ValidationError:
        return None


def write(
    file: Path,
    about: About,
    columns: Mapping[str, NDArray[Any] | Iterable[NDArray[Any]]],
    told: Callable[[], About] | None = None,
) -> About:
    """A prepared file, whole or not at all.

    Args:
        file: where to, in a folder that there is.
        about: what it holds, without the sum.
        columns: what `arrays_of` names; images may come in pieces.
        told: what to say about it when all is written, where not all is known before.

    Returns:
        `about` with the sum.

    Raises:
        DataError: it cannot be written, or there is no room.
    """
    layout = arrays_of(about.size, about.train, about.test)
    wanted = sum(kind.itemsize * prod(shape) for kind, shape in layout.values()) + (1 << 16)
    digest = sha256()
    with explained(file.parent), Growing(file) as growing:
        try:
            growing.restart()
            check_room(file, wanted)
            with zipfile.ZipFile(growing.file, "w") as archive:
                for name, (kind, shape) in layout.items():
                    column = columns[name]
                    pieces = [column] if isinstance(column, np.ndarray) else column
                    _write_array(archive, name, kind, shape, pieces, digest)
                about = told() if told else about
                digest.update(_text(about))
                about = about.model_copy(update={"sha256": digest.hexdigest()})
                archive.writestr(_member(_ABOUT), _text(about))
            growing.become()
        except BaseException:
            growing.discard()
            raise
    return about


def read(file: Path) -> Prepared:
    """A prepared file, with its sum checked.

    Raises:
        DataError: it is truncated, corrupt, of another version, or no such file.
    """
    digest = sha256()
    try:
        opened = file.open("rb")
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}") from None
    try:
        with opened, zipfile.ZipFile(opened) as archive:
            about = _about(file, archive)
            arrays = {
                name: _read_array(archive, name, kind, shape, digest)
                for name, (kind, shape) in arrays_of(about.size, about.train, about.test).items()
            }
    except (DataError, MemoryError):
        raise
    # A broken archive fails in zipfile, zlib or numpy with whatever they come upon.
    except Exception as error:
        raise DataError(f"{file}: truncated or corrupt ({error})", help=_AGAIN) from None
    digest.update(_text(about.model_copy(update={"sha256": ""})))
    if digest.hexdigest() != about.sha256:
        raise DataError(f"{file}: corrupt: what it holds does not have the sum that it had", help=_AGAIN)
    return Prepared(about, arrays)


def _about(file: Path, archive: zipfile.ZipFile) -> About:
    told = json.loads(archive.read(_ABOUT))
    version = told.get("version") if isinstance(told, dict) and told.get("format") == FORMAT else None
    if not isinstance(version, int):
        raise ValueError("about.json does not say that it is prepared data")
    if version != VERSION:
        made = "an older" if version < VERSION else "a newer"
        raise DataError(
            f"{file}: was prepared by {made} version of specdsl (format {version}, not {VERSION})", help=_AGAIN
        )
    try:
        return About.model_validate(told)
    except ValidationError as error:
        raise ValueError(f"about.json: {error.errors()[0]['msg']}") from None


def _text(about: About) -> bytes:
    return json.dumps(about.model_dump(mode="json"), indent=1, ensure_ascii=False).encode()


def _member(name: str) -> zipfile.ZipInfo:
    """A member with no time of its own: the same data make the same file."""
    member = zipfile.ZipInfo(name)
    member.external_attr = 0o644 << 16
    return member


def _header(kind: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    written = io.BytesIO()
    np.lib.format.write_array_header_1_0(written, {"descr": kind.str, "fortran_order": False, "shape": shape})
    return written.getvalue()


def _write_array(
    archive: zipfile.ZipFile,
    name: str,
    kind: np.dtype[Any],
    shape: tuple[int, ...],
    pieces: Iterable[NDArray[Any]],
    digest: Any,
) -> None:
    header, written = _header(kind, shape), 0
    digest.update(f"{name} {kind.str} {shape}".encode())
    with archive.open(_member(f"{name}.npy"), "w", force_zip64=True) as member:
        member.write(header)
        for piece in pieces:
            data = np.ascontiguousarray(piece, kind).data.cast("B")
            member.write(data)
            digest.update(data)
            written += data.nbytes
    assert written == kind.itemsize * prod(shape), name


def _read_array(
    archive: zipfile.ZipFile, name: str, kind: np.dtype[Any], shape: tuple[int, ...], digest: Any
) -> NDArray[Any]:
    header = _header(kind, shape)
    size = kind.itemsize * prod(shape)
    info = archive.getinfo(f"{name}.npy")
    # Before memory is taken for it.
    if info.file_size != len(header) + size or info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} has {info.file_size:,} bytes, not {len(header) + size:,}")
    digest.update(f"{name} {kind.str} {shape}".encode())
    array = np.empty(shape, kind)
    data = array.data.cast("B")
    with archive.open(info) as member:
        if member.read(len(header)) != header:
            raise ValueError(f"{name} is another array")
        for start in range(0, size, _BLOCK):
            block = member.read(min(_BLOCK, size - start))
            data[start : start + len(block)] = block
        if member.read(1):
            raise ValueError(f"{name} is too long")
    digest.update(data)
    return array
