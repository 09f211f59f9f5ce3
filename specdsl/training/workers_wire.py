"""What a run and its worker processes tell each other, and how the data reach them. Light.

Messages are pickled tuples: a name, and what belongs to it. Open files may go with them.
"""

from __future__ import annotations

import copyreg
import io
import mmap
import os
import pickle
import socket
import struct
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from types import MappingProxyType
from typing import IO, Any

import numpy as np

_HEAD = struct.Struct("!QI")
"""Before each message: its bytes, and how many open files go with it."""

_FILES = 200
"""Open files that a system hands over at once, at the most."""

_ALIGNED = 64
"""Arrays begin at multiples of so many bytes, as their users like them to."""


class Channel:
    """One end of the line between a run and a worker. Any thread may send, one receives.

    Args:
        end: a socket of the kind that hands over open files.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end, self._sending = end, Lock()

    def send(self, name: str, *values: Any, files: Sequence[int] = ()) -> None:
        """Tell the other side something.

        Raises:
            OSError: it is not there any more.
        """
        content = pickled((name, *values))
        with self._sending:
            self._end.sendall(_HEAD.pack(len(content), len(files)))
            for first in range(0, len(files), _FILES):
                socket.send_fds(self._end, [b"f"], list(files[first : first + _FILES]))
            self._end.sendall(content)

    def receive(self) -> tuple[str, tuple[Any, ...], list[int]]:
        """Wait for what the other side tells: the name, what belongs to it, and open files.

        Raises:
            EOFError: it is not there any more.
        """
        size, count = _HEAD.unpack(self._read(_HEAD.size))
        files: list[int] = []
        while len(files) < count:
            told, more, _, _ = socket.recv_fds(self._end, 1, min(_FILES, count - len(files)))
            if not told or not more:
                raise EOFError
            files += more
        name, *values = pickle.loads(self._read(size))
        return name, tuple(values), files

    def close(self) -> None:
        """Say nothing more, and listen no longer: the other side notices, and so does a thread that receives here."""
        with suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()

    def _read(self, size: int) -> bytearray:
        content = bytearray(size)
        rest = memoryview(content)
        while rest:
            try:
                count = self._end.recv_into(rest)
            except OSError:
                raise EOFError from None
            if not count:
                raise EOFError
            rest = rest[count:]
        return content


@dataclass(frozen=True, slots=True)
class Packed:
    """A value whose arrays lie in a file of their own.

    Attributes:
        content: the value without its arrays.
        places: where each array lies in the file, and its bytes.
    """

    content: bytes
    places: Sequence[tuple[int, int]]


def packed(value: Any) -> tuple[Packed, IO[bytes]]:
    """A value made ready for other processes, and the open file with its arrays, which has no name.

    The file lies in memory where the system has such files, and is gone with the last process that has it open.
    """
    arrays: list[pickle.PickleBuffer] = []
    content = pickled(value, arrays)
    if hasattr(os, "memfd_create"):
        file: IO[bytes] = os.fdopen(os.memfd_create("specdsl"), "w+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - it is handed to the caller
    places = []
    for array in arrays:
        place = -(-file.tell() // _ALIGNED) * _ALIGNED
        file.seek(place)
        with array.raw() as raw:
            places.append((place, file.write(raw)))
    file.flush()
    return Packed(content, places), file


def unpacked(value: Packed, handle: int) -> Any:
    """The value that was made ready: its arrays are the file's own pages, which all processes share.

    Args:
        value: what `packed` made of it.
        handle: the open file, which is closed.
    """
    size = os.fstat(handle).st_size
    arrays = memoryview(mmap.mmap(handle, size, access=mmap.ACCESS_COPY) if size else b"")
    os.close(handle)
    return pickle.loads(value.content, buffers=[arrays[place : place + count] for place, count in value.places])


def pickled(value: Any, arrays: list[pickle.PickleBuffer] | None = None) -> bytes:
    """A value pickled; where a list is given, its arrays are put there."""
    content = io.BytesIO()
    _Pickler(content, protocol=5, buffer_callback=arrays.append if arrays is not None else None).dump(value)
    return content.getvalue()


def _read_only(values: dict[Any, Any]) -> Mapping[Any, Any]:
    """What a read-only mapping is made by: its class has no name by which it could be found."""
    return MappingProxyType(values)


class _Pickler(pickle.Pickler):
    """Knows the read-only mappings of graphs, and takes arrays in files for arrays."""

    dispatch_table: Mapping[type, Any] = copyreg.dispatch_table | {
        MappingProxyType: lambda value: (_read_only, (dict(value),)),
        np.memmap: lambda value: np.asarray(value).view(np.ndarray).__reduce_ex__(5),
    }
