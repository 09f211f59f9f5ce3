"""Files that take long to write: they have their name when they are whole, and one process at a time writes them."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from specdsl.data.dataset import DataError


class OutsideError(DataError):
    """What the disk, the network or the system refuses, through no mistake in what was given."""


_LOCKS = sys.platform != "win32"


class Growing:
    """A file NAME.part, which becomes NAME in one step.

    What an earlier process left in it is there, and `file` stands at its end. Enter it to close it at the end; it is
    never taken for the whole.

    Attributes:
        target: the file that it becomes.
        part: the file that it is.
        file: open for reading and writing.

    Args:
        target: the file that it becomes, in a folder that there is.

    Raises:
        OutsideError: another process is writing it.
        OSError: it cannot be opened.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.part = target.with_name(f"{target.name}.part")
        self.file: IO[bytes] = os.fdopen(
            os.open(self.part, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+b"
        )
        try:
            self._lock()
            self.file.seek(0, os.SEEK_END)
        except BaseException:
            self.file.close()
            raise

    def __enter__(self) -> Growing:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    @property
    def size(self) -> int:
        """How many bytes are in it, with `file` at its end."""
        return self.file.seek(0, os.SEEK_END)

    def restart(self) -> None:
        """Drop what is in it."""
        self.file.seek(0)
        self.file.truncate()

    def become(self, name: Path | None = None) -> None:
        """Give it its name, or another one."""
        self.file.flush()
        os.fsync(self.file.fileno())
        if not _LOCKS:
            self.file.close()
        self.part.replace(name or self.target)

    def discard(self) -> None:
        """Remove it."""
        if not _LOCKS:
            self.file.close()
        self.part.unlink(missing_ok=True)

    def _lock(self) -> None:
        if sys.platform == "win32":
            return
        import fcntl

        busy = OutsideError(f"{self.part}: another process is writing it", help="wait until it has ended")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy from None
        except OSError:
            return  # Some network drives have no locks.
        here, there = os.fstat(self.file.fileno()), self.part.stat() if self.part.exists() else None
        # Between opening and locking, the process that held it may have given it its name.
        if there is None or (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino):
            raise busy


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """What the file system refuses, as an OutsideError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutsideError(f"{folder}: the disk is full", help=_ROOM) from None
        help_ = (
            "choose another folder with --to DIR" if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM) else None
        )
        raise OutsideError(f"{error.filename or folder}: {error.strerror or error}", help=help_) from None


def check_room(file: Path, wanted: int) -> None:
    """Refuse what will not fit, before it is begun.

    Raises:
        OutsideError: less than `wanted` bytes are free where the file is to lie.
    """
    free = shutil.disk_usage(file.parent).free
    if wanted > free:
        raise OutsideError(f"{file}: needs {wanted >> 20:,} MiB more, and {free >> 20:,} MiB are free", help=_ROOM)


_ROOM = "make room, or choose another disk with --to DIR"
