"""The configuration in a file that Keras wrote: JSON, a `.keras` archive, or HDF5. Nothing else in it is read, or run.

Files come from anywhere. So sizes are bounded before anything is unpacked, nothing is written to disk, and whatever is
malformed ends in a diagnostic.
"""

from __future__ import annotations

import json
import zlib
from io import BytesIO
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, LargeZipFile, ZipFile, ZipInfo

from specdsl.diagnostics import Diagnostic, Slug, SpecError

MOST_BYTES = 32 * 1024**2
"""Bytes that a configuration may have: some ten times those of the largest models of `keras.applications`."""

MOST_ENTRIES = 10_000
"""Entries that an archive may have; Keras writes three, and one for each file of a vocabulary."""

MOST_RATIO = 200
"""How many times smaller than itself a configuration may be packed; a real one is packed to a thirtieth or so."""

MOST_DEPTH = 200
"""Lists and objects within each other; a model within a model takes five."""

_ZIP, _HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
_EMPTY_ZIP = b"PK\x05\x06"
_CONFIG, _ATTRIBUTE = "config.json", "model_config"
_ENCRYPTED = 0x1
_LINK = 0o120000


def read_config(path: Path | None, name: str, standard_input: BinaryIO | None = None) -> dict[str, Any]:
    """The configuration of the model in a file.

    Args:
        path: the file; None for standard input.
        name: what to call it in messages.
        standard_input: where to read from without a path.

    Raises:
        SpecError: the file cannot be read, is too large, or holds no configuration of a model.
    """
    if path is None:
        assert standard_input is not None
        return _of_text(_text_in(_whole(standard_input, name), name), name)
    if path.is_dir():
        hint = "a SavedModel folder holds code: save the model as .keras, or write what `model.to_json()` returns"
        raise _unreadable(name, "it is a folder", hint)
    try:
        with path.open("rb") as file:
            return _of_text(_text_in(file if file.seekable() else _whole(file, name), name), name)
    except OSError as error:
        raise _unreadable(name, error.strerror or str(error)) from None


def _whole(pipe: BinaryIO, name: str) -> BinaryIO:
    """What comes by a pipe, as a file in which one can go back."""
    data = pipe.read(MOST_BYTES + 1)
    _bound(len(data), name)
    return BytesIO(data)


def _text_in(file: BinaryIO, name: str) -> bytes:
    """The JSON text in a file, by what the file begins with."""
    head = file.read(8)
    file.seek(0)
    if head.startswith((_ZIP, _EMPTY_ZIP)):
        return _from_archive(file, name)
    if head == _HDF5:
        return _from_hdf5(file, name)
    text = file.read(MOST_BYTES + 1)
    _bound(len(text), name)
    return text


def _from_archive(file: BinaryIO, name: str) -> bytes:
    """The text of the entry `config.json` of a .keras file."""
    try:
        with ZipFile(file) as archive:
            entries = archive.infolist()
            _check_entries(entries, name)
            found = [entry for entry in entries if entry.filename == _CONFIG]
            if len(found) != 1:
                raise _unreadable(name, f"it is an archive with {'no' if not found else 'more than one'} {_CONFIG}")
            (entry,) = found
            if entry.flag_bits & _ENCRYPTED:
                raise _unreadable(name, f"its {_CONFIG} is encrypted")
            if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                raise _unreadable(name, f"its {_CONFIG} is packed in a way that Keras does not use")
            _bound(entry.file_size, name)
            if entry.file_size > MOST_RATIO * max(entry.compress_size, 1):
                raise _limit(name, f"its {_CONFIG} is packed to less than a {MOST_RATIO}th of its size")
            with archive.open(entry) as part:
                text = part.read(MOST_BYTES + 1)
    except (BadZipFile, LargeZipFile, NotImplementedError, EOFError, zlib.error, ValueError, RuntimeError) as error:
        raise _unreadable(name, f"it is a damaged archive ({_shortly(error)})") from None
    _bound(len(text), name)
    return text


def _check_entries(entries: list[ZipInfo], name: str) -> None:
    """Refuse an archive that would write outside its folder, were it unpacked: Keras writes no such one."""
    if len(entries) > MOST_ENTRIES:
        raise _limit(name, f"it is an archive of more than {MOST_ENTRIES:,} entries")
    for entry in entries:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        outside = path.is_absolute() or ".." in path.parts or (path.parts[:1] and path.parts[0].endswith(":"))
        link = (entry.external_attr >> 16) & 0o170000 == _LINK
        if outside or link or "\\" in entry.orig_filename:
            what = "a link" if link else "a path out of its folder"
            raise _unreadable(
                name, f"it is an archive with {what}, {quoted(entry.filename)}, which Keras does not write"
            )


def _from_hdf5(file: BinaryIO, name: str) -> bytes:
    """The text of the attribute `model_config` of an HDF5 file."""
    try:
        import h5py
    except ModuleNotFoundError:
        hint = "`pip install h5py` brings it, as Keras does; or write what `model.to_json()` returns to a file"
        raise _unreadable(name, "an HDF5 file needs h5py, which is not installed", hint) from None
    try:
        with h5py.File(file, "r") as opened:
            if _ATTRIBUTE not in opened.attrs:
                hint = "import the .keras file, or what `model.to_json()` returns"
                raise _unreadable(name, "it holds weights alone, and no model", hint)
            kept = opened.attrs.get_id(_ATTRIBUTE)
            if kept.shape not in ((), (1,)) or kept.get_storage_size() > MOST_BYTES:
                raise _unreadable(name, f"its attribute {_ATTRIBUTE} is no text")
            value = opened.attrs[_ATTRIBUTE]
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(name, f"it is a damaged HDF5 file ({_shortly(error)})") from None
    if not isinstance(value, str | bytes):
        raise _unreadable(name, f"its attribute {_ATTRIBUTE} is no text")
    text = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    _bound(len(text), name)
    return text


def _of_text(text: bytes, name: str) -> dict[str, Any]:
    """The configuration that a JSON text states."""
    try:
        data = json.loads(
            text.decode("utf-8-sig"),
            object_pairs_hook=_without_doubles,
            parse_constant=_no_number,
            parse_float=_finite,
        )
        _check_depth(data)
    except UnicodeDecodeError:
        raise _unreadable(name, "it is neither JSON, nor a .keras file, nor HDF5") from None
    except RecursionError:
        raise _limit(name, "its lists and objects nest too deeply") from None
    except ValueError as error:  # those of json too
        raise _unreadable(name, f"it is no JSON that Keras writes ({_shortly(error)})") from None
    if isinstance(data, str):  # `json.dump(model.to_json(), file)` writes a string that holds the text
        return _of_text(data.encode(), name) if data.lstrip().startswith("{") else _of_text(b"null", name)
    if not isinstance(data, dict) or not isinstance(data.get("class_name"), str):
        hint = "it is what `model.to_json()` returns, or what `model.save(...)` writes"
        raise _unreadable(name, "it holds no configuration of a model", hint)
    return data


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return made


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _finite(word: str) -> float:
    value = float(word)
    if not isfinite(value):
        raise ValueError(f"{word[:40]} is no finite number")
    return value


def _check_depth(data: Any) -> None:
    """Refuse what nests too deeply, or holds half a character."""
    waiting: list[tuple[Any, int]] = [(data, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MOST_DEPTH:
            raise RecursionError
        if isinstance(value, dict):
            waiting += [(item, depth + 1) for item in value.values()]
            waiting += [(key, depth + 1) for key in value]
        elif isinstance(value, list):
            waiting += [(item, depth + 1) for item in value]
        elif isinstance(value, str):
            value.encode()


def shown(word: object) -> str:
    """A word from a file: cut to a bearable length, without what a terminal would obey."""
    plain = printable(str(word)[:200])
    return f"{plain[:80]}..." if len(plain) > 80 else plain


def printable(words: str) -> str:
    """Words without what a terminal would obey, or what would break a line."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words)


def quoted(word: object) -> str:
    """The same between quotes."""
    return f"'{shown(word)}'"


def _shortly(error: Exception) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    return shown(words)


def _bound(size: int, name: str) -> None:
    if size > MOST_BYTES:
        raise _limit(name, f"its configuration has more than {MOST_BYTES:,} bytes")


def _unreadable(name: str, reason: str, help: str | None = None) -> SpecError:
    return SpecError([Diagnostic(Slug.UNREADABLE, f"{name} cannot be imported: {reason}", help=help)])


def _limit(name: str, reason: str) -> SpecError:
    return SpecError([Diagnostic(Slug.LIMIT, f"{name} cannot be imported: {reason}")])
