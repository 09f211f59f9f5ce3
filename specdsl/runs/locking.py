"""One process at a time writes into a folder."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType

from specdsl.runs.files import RunError, make_folder

_LOCK = ".lock"

_ENDING = 5.0
"""Seconds that processes which hold a lock with another one have to end when that has ended."""


class Lock:
    """While it is entered, no other process can enter a lock of the same folder.

    The lock is the operating system's and ends with the process, however that ends: a file that a dead process has left
    hinders nobody.

    Args:
        folder: the folder; it is made when it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._handle: int | None = None

    @property
    def handle(self) -> int:
        """The open file, while it is entered: whoever else has it open holds the lock too."""
        assert self._handle is not None
        return self._handle

    def __enter__(self) -> Lock:
        """Take the lock.

        Raises:
            RunError: another process has it, which is named; or the folder cannot be written to.
        """
        make_folder(self.folder)
        file = self.folder / _LOCK
        deadline = monotonic() + _ENDING
        while True:
            try:
                handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                raise RunError(f"{self.folder} cannot be written to: {error.strerror}") from None
            try:
                _take_soon(handle)
            except OSError:
                who = os.read(handle, 200).decode("utf-8", "replace").strip()
                os.close(handle)
                if _has_ended(who) and monotonic() < deadline:  # its workers notice that, and end too
                    sleep(0.05)
                    continue
                by = f" by the process {who}" if who else ""
                by = f" by workers of the process {who}, which has ended" if _has_ended(who) else by
                raise RunError(
                    f"{self.folder} is being written to{by}", help="two runs cannot write into one folder"
                ) from None
            # The file may have been removed, by the process that had the lock, between its opening and its locking.
            if file.exists() and os.stat(file).st_ino == os.fstat(handle).st_ino:
                break
            os.close(handle)
        with suppress(OSError):  # on a full disk the lock holds without a name in it
            os.ftruncate(handle, 0)
            os.write(handle, f"{os.getpid()} on {socket.gethostname()}\n".encode())
        self._handle = handle
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._handle is not None
        if kind is None:  # what was begun and not finished making is known by this file
            with suppress(OSError):
                (self.folder / _LOCK).unlink(missing_ok=True)
        os.close(self._handle)
        self._handle = None


def _has_ended(who: str) -> bool:
    """Whether a process of this machine, as a file of a lock names it, is there no more."""
    number, _, host = who.partition(" on ")
    if os.name == "nt" or not number.isdigit() or host != socket.gethostname():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def _take_soon(handle: int) -> None:
    """Take the lock of an open file, or raise OSError: one that is only looked at (`is_held`) is free at once."""
    with suppress(OSError):
        return _take(handle)
    sleep(0.05)
    return _take(handle)


def _take(handle: int, *, shared: bool = False) -> None:
    """Take the operating system's lock of an open file, or raise OSError at once.

    Args:
        handle: the file.
        shared: whether others may take it so too, where the system has such locks.
    """
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    else:
        import fcntl

        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def is_held(folder: Path) -> bool:
    """Whether a process holds the `Lock` of a folder now."""
    try:
        handle = os.open(folder / _LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        _take(handle, shared=True)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def is_begun(folder: Path, *commits: str) -> bool:
    """Whether a folder was begun and never finished making: it has a lock file, and none of the files written last."""
    return (folder / _LOCK).exists() and not any((folder / name).exists() for name in commits)
