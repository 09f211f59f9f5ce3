"""The text of a file."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from specdsl.diagnostics import Diagnostic, Slug, SpecError, did_you_mean
from specdsl.limits import Limits
from specdsl.source import Source

_MOST_BYTES = 4
"""Bytes of one character in UTF-8 at most."""


def read(path: str | Path, limits: Limits | None = None, name: str | None = None) -> Source:
    """The text of a file, under a name to show for it, by default its path.

    Raises:
        SpecError: there is no such file, it is too large, or it is no UTF-8 text.
    """
    name = name or str(path)
    try:
        with Path(path).open("rb") as file:
            return read_from(file, name, limits)
    except OSError as error:
        reason = error.strerror or str(error)
        message = f"{name} cannot be read: {reason}"
        raise SpecError([Diagnostic(Slug.UNREADABLE, message, help=_meant(Path(path)))]) from None


def read_from(file: BinaryIO, name: str, limits: Limits | None = None) -> Source:
    """The text in an open file, under a name to show for it.

    Raises:
        SpecError: it is too large, or it is no UTF-8 text.
        OSError: it cannot be read.
    """
    limits = limits or Limits()
    most = _MOST_BYTES * limits.characters
    data = file.read(most + 1)
    if len(data) > most:
        raise SpecError([too_long(name, limits)])
    try:
        return Source(name, data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"{name} is no UTF-8 text: line {line} holds the byte 0x{data[error.start]:02x}"
        raise SpecError([Diagnostic(Slug.UNREADABLE, message)]) from None


def _meant(path: Path) -> str | None:
    """What was meant by a path that leads to no file, where that can be told."""
    file, colon, _ = str(path).rpartition(":")
    try:
        if colon and Path(file).is_file():
            return f"give {file} alone: here no model of a file is named"
        if path.exists() or not path.parent.is_dir():
            return None
        beside = [found.name for found in path.parent.iterdir() if found.suffix == path.suffix]
    except OSError:  # a name that is too long, a folder that nobody may look into
        return None
    return did_you_mean(path.name, beside)


def too_long(name: str, limits: Limits) -> Diagnostic:
    """What to say of a text that has too many characters."""
    message = f"{name} has more than {limits.characters:,} characters"
    return Diagnostic(Slug.LIMIT, message, help=limits.raising("characters"))
