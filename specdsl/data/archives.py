"""Files in a folder or in a zip, seen alike, and read straight into memory: nothing is ever unpacked to disk.

A zip comes from anywhere, so that nothing in it is believed: what its directory says is checked before a byte is read,
and bounded again while it is read.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Protocol

from specdsl.data.dataset import DataError

MOST_FILES = 500_000
"""The most files that a folder or a zip may hold: ten times the benchmark."""

DEEPEST = 12
"""The most folders within each other."""

HARMLESS = 1 << 20
"""Members of up to this many bytes are no bomb, however well they are packed."""

RATIO = 100
"""The most that a larger member may grow by."""

_HEADER = 30
"""The bytes that a member takes in a zip beside its name and its data, at the least."""

_JUNK = re.compile(r"(^|/)(__MACOSX/|\._|\.DS_Store$|Thumbs\.db$|desktop\.ini$)")
"""What systems leave behind in folders and archives."""


class Tree(Protocol):
    """Files by their names: relative, with `/` between folders."""

    @property
    def path(self) -> Path:
        """The folder or the zip."""

    def place(self, name: str) -> str:
        """Where a file lies, for people."""

    @property
    def names(self) -> tuple[str, ...]:
        """All files, in order of their names, without what systems leave behind.

        Raises:
            DataError: there is no such tree, it cannot be read, or is not safe to read.
        """

    def read(self, name: str, limit: int) -> bytes:
        """A whole file, of at most `limit` bytes.

        Raises:
            DataError: it is not there, broken, or larger.
        """


@dataclass(frozen=True, eq=False)
class FolderTree:
    """The files below a folder.

    Attributes:
        path: the folder.
    """

    path: Path

    def __reduce__(self) -> tuple[type[FolderTree], tuple[Path]]:
        return (FolderTree, (self.path,))

    def place(self, name: str) -> str:
        """Where a file lies, for people."""
        return str(self.path / name)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All files below the folder; links to folders are followed, but not in circles."""
        found = list(islice(self._walk(self.path, "", 0, frozenset()), MOST_FILES + 1))
        if len(found) > MOST_FILES:
            raise DataError(
                f"{self.path}: more than {MOST_FILES:,} files lie below it", help="name the folder that holds the data"
            )
        return tuple(sorted(name for name in found if not _JUNK.search(name)))

    def _walk(self, folder: Path, prefix: str, depth: int, above: frozenset[tuple[int, int]]) -> Iterator[str]:
        try:
            status = folder.stat()
            here = (status.st_dev, status.st_ino)
            if here in above or depth > DEEPEST:
                return
            with os.scandir(folder) as found:
                entries = list(found)
            for entry in entries:
                if entry.is_dir():
                    yield from self._walk(folder / entry.name, f"{prefix}{entry.name}/", depth + 1, above | {here})
                elif entry.is_file():
                    yield prefix + entry.name
        except OSError as error:
            if not depth:
                raise DataError(f"{folder}: {error.strerror or error}") from None
            # A folder within that may not be read is as good as absent: what is missed from it is named later.

    def read(self, name: str, limit: int) -> bytes:
        """A whole file, of at most `limit` bytes."""
        place = self.path / name
        try:
            with place.open("rb") as file:
                data = file.read(limit + 1)
        except OSError as error:
            raise DataError(f"{place}: {error.strerror or error}") from None
        if len(data) > limit:
            raise DataError(f"{place}: larger than {limit:,} bytes, which no file of the benchmark is")
        return data


@dataclass(frozen=True, eq=False)
class ZipTree:
    """The files in a zip.

    Attributes:
        path: the zip.
    """

    path: Path
    _open: list[zipfile.ZipFile] = field(default_factory=list, repr=False)

    def __reduce__(self) -> tuple[type[ZipTree], tuple[Path]]:
        return (ZipTree, (self.path,))

    def place(self, name: str) -> str:
        """Where a member lies, for people."""
        return f"{self.path}: {name}"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All files in the zip."""
        return tuple(sorted(name for name in self._members if not _JUNK.search(name)))

    @cached_property
    def _members(self) -> dict[str, zipfile.ZipInfo]:
        """What the zip holds, refused as a whole when any of it would be unsafe to unpack."""
        try:
            archive = zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
            raise DataError(
                f"{self.path}: no zip, or not a whole one ({error})",
                help="it may have been copied or fetched by half: compare its size, and copy or fetch it again",
            ) from None
        except OSError as error:
            raise DataError(f"{self.path}: {error.strerror or error}") from None
        try:
            members = self._checked(archive.infolist())
        except DataError:
            archive.close()
            raise
        self._open.append(archive)
        return members

    def _checked(self, infos: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
        """The files among what a zip holds, by their names."""
        if len(infos) > MOST_FILES:
            raise self._unsafe(f"it holds {len(infos):,} files, and at most {MOST_FILES:,} are read")
        members: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            name = self._safe_name(info)
            if name in members:
                raise self._unsafe(f"it holds '{name}' twice")
            if not info.is_dir():
                members[name] = info
        self._check_places(infos)
        return members

    def close(self) -> None:
        """Close the zip, where it was opened; nothing is read from it any more."""
        for archive in self._open:
            archive.close()

    def _safe_name(self, info: zipfile.ZipInfo) -> str:
        name = info.filename.replace("\\", "/")
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
            raise self._unsafe(f"'{info.filename}' would lie outside of the folder that it is unpacked to")
        if len(parts) > DEEPEST:
            raise self._unsafe(f"'{info.filename[:60]}...' lies {len(parts)} folders deep")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            what = "a link" if kind == stat.S_IFLNK else "no plain file"
            raise self._unsafe(f"'{info.filename}' is {what}")
        if info.flag_bits & 0x1:
            raise self._unsafe(f"'{info.filename}' is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self._unsafe(f"'{info.filename}' is neither stored nor deflated, but packed by {info.compress_type}")
        if info.file_size > HARMLESS and info.file_size > RATIO * info.compress_size:
            raise self._unsafe(
                f"'{info.filename}' grows from {info.compress_size:,} to {info.file_size:,} bytes, as a zip bomb does"
            )
        return "/".join(parts)

    def _check_places(self, infos: list[zipfile.ZipInfo]) -> None:
        """Refuse members that share bytes of the zip: so a small file could claim to be the source of a large one."""
        end = 0
        for info in sorted(infos, key=lambda info: info.header_offset):
            if info.header_offset < end:
                raise self._unsafe(f"'{info.filename}' lies over another member, as in a zip bomb")
            end = info.header_offset + _HEADER + info.compress_size

    def _unsafe(self, reason: str) -> DataError:
        return DataError(
            f"{self.path}: refused: {reason}", help="the official archives are not like this: fetch it again"
        )

    def read(self, name: str, limit: int) -> bytes:
        """A whole member, of at most `limit` bytes, and of no more than the zip's directory says."""
        info = self._members.get(name)
        if info is None:
            raise DataError(f"{self.path}: holds no {name}")
        too_large = DataError(f"{self.path}: {name} has more than {limit:,} bytes, which no file of the benchmark has")
        if info.file_size > limit:
            raise too_large
        try:
            with self._open[0].open(info) as member:
                # zipfile gives out no more than the directory says, and compares the sum of what it gave out.
                data = member.read(limit + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
            raise DataError(
                f"{self.path}: {name} is broken ({error})", help="copy the archive again, or fetch it again"
            ) from None
        except OSError as error:
            raise DataError(f"{self.path}: {name}: {error.strerror or error}") from None
        if len(data) > limit:
            raise too_large
        if len(data) != info.file_size:
            raise DataError(f"{self.path}: {name} has {len(data):,} bytes, and should have {info.file_size:,}")
        return data
