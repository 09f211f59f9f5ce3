"""The text of a file."""

from __future__ import annotations

from pathlib import Path

from specdsl.diagnostics import Diagnostic, Slug, SpecError
from specdsl.source import Source


def read(path: str | Path, name: str | None = None) -> Source:
    """The text of a file, under a name to show for it, by default its path.

    Raises:
        SpecError: there is no such file, or it is no UTF-8 text.
    """
    name = name or str(path)
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise SpecError([Diagnostic(Slug.UNREADABLE, f"{name} cannot be read: {reason}")]) from None
    try:
        return Source(name, data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"{name} is no UTF-8 text: line {line} holds the byte 0x{data[error.start]:02x}"
        raise SpecError([Diagnostic(Slug.UNREADABLE, message)]) from None
