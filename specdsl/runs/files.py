"""Files that appear whole or not at all, and stay: written beside, forced to the disk, put in place."""

from __future__ import annotations

import errno
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from specdsl.declaration import Declaration
from specdsl.recipes.augmentation import Pipeline


class RunError(Exception):
    """A run folder that is missing, in use, broken, or not what was asked for.

    Attributes:
        message: what is wrong, naming the folder or the file.
        help: what to do about it, when that is known.
    """

    def __init__(self, message: str, *, help: str | None = None) -> None:
        super().__init__(f"{message}\n{help}" if help else message)
        self.message = message
        self.help = help


class CannotWrite(RunError):
    """Something of a run could not be written: the disk is full, say, or the folder is not to be written to."""

    def __init__(self, what: str, error: OSError) -> None:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
        goes_on = "what was written before is whole, and `--resume` goes on from it when this can be written"
        super().__init__(f"{what}: {error.strerror or error}", help=goes_on if full else None)
        self._what, self._error = what, error

    def __reduce__(self) -> Any:
        return type(self), (self._what, self._error)


_UNFINISHED = ".unfinished-"


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A temporary file of the same suffix to write to, put in place of `file` when all went well, removed when not.

    Its content is on the disk before it gets its name, and the name is before this returns: after a crash at any moment
    the old file stands there, or the new one.

    Raises:
        CannotWrite: it cannot be written; the old file is untouched.
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f"{_UNFINISHED}{file.stem}-", suffix=file.suffix, dir=file.parent)
        temporary = Path(name)
        os.close(handle)
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(file)
        sync_folder(file.parent)
    except OSError as error:
        raise CannotWrite(f"{file} cannot be written", error) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """A folder and those above it, where they are not there.

    Raises:
        CannotWrite: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(folder.parent)
    except OSError as error:
        raise CannotWrite(f"{folder} cannot be made", error) from error


def remove_unfinished(folder: Path) -> None:
    """Remove what a process has left in a folder, and in those below, that was killed while it wrote.

    Nobody else may be writing there.
    """
    for file in folder.rglob(f"{_UNFINISHED}*"):
        with suppress(OSError):
            file.unlink(missing_ok=True)


def write_bytes(file: Path, content: bytes) -> None:
    """A whole file, or the one that was there before: never a part."""
    with replacing(file) as temporary:
        temporary.write_bytes(content)


def write_text(file: Path, text: str) -> None:
    """A whole text file, or the one that was there before: never a part."""
    write_bytes(file, text.encode())


def write_json(file: Path, value: Any) -> None:
    """A value as a file of JSON, whole or not at all."""
    write_text(file, json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def save_with(file: Path, save: Callable[[Path], None]) -> None:
    """Let `save` write a file, which appears whole or not at all."""
    with replacing(file) as temporary:
        save(temporary)


def read_json(file: Path) -> dict[str, Any]:
    """The object in a file of JSON.

    Raises:
        RunError: the file cannot be read, or holds no object.
    """
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{file}: {error.strerror or error}") from None
    except ValueError as error:
        raise RunError(f"{file} is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise RunError(f"{file} holds no JSON object")
    return value


def plain(value: Any) -> Any:
    """A value as JSON has it: declarations as objects with their type and all arguments, what is no number as null."""
    match value:
        case Pipeline():
            return [plain(operation) for operation in value]
        case Declaration():
            return {"type": value.spec_name()} | {name: plain(getattr(value, name)) for name in value.names()}
        case dict():
            return {str(name): plain(item) for name, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case float():
            return value if math.isfinite(value) else None
        case None | bool() | int() | str():
            return value
        case _:
            return str(value)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
