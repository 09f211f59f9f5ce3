"""Checkpoints: what a trial goes on from after anything, written whole, known to be whole, the last two of them kept."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specdsl.runs.files import make_folder, write_bytes

State = Mapping[str, NDArray[Any]]
"""Arrays by names; what they are is known to the engine that gave them."""

FORMAT = 1
"""The version of the file's format."""

_MAGIC = b"specdsl checkpoint "
_SUFFIX = ".checkpoint"
_NOTES, _STATE, _KEPT = "notes", "state/", "kept/"


class CheckpointDamaged(Exception):
    """A checkpoint that is not what was written, or was written by a version that did it otherwise."""


@dataclass(frozen=True)
class Checkpoint:
    """A trial after an epoch.

    Attributes:
        epoch: how many epochs were trained.
        state: everything that training depends on.
        kept: the weights of the epoch that is kept, where that is an earlier one; empty where it is this one.
        notes: history and choices so far, as JSON has them; floats come back to the last bit.
    """

    epoch: int
    state: State
    kept: State = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The file: format, SHA-256 of the rest in hexadecimal, and the rest, an `.npz` archive of all arrays."""
        notes = json.dumps({"epoch": self.epoch, **self.notes}).encode()
        arrays = {_NOTES: np.frombuffer(notes, np.uint8)}
        arrays |= {_STATE + name: array for name, array in self.state.items()}
        arrays |= {_KEPT + name: array for name, array in self.kept.items()}
        content = io.BytesIO()
        np.savez(content, **arrays)  # type: ignore[arg-type]  # names are arguments, and none is `allow_pickle`
        body = content.getbuffer()
        return b"%s%d\n%s\n%s" % (_MAGIC, FORMAT, sha256(body).hexdigest().encode(), body)

    @classmethod
    def from_bytes(cls, content: bytes) -> Checkpoint:
        """The checkpoint in a file.

        Raises:
            CheckpointDamaged: something in it has changed, is missing, or is in another format.
        """
        head, _, rest = content.partition(b"\n")
        digest, _, body = rest.partition(b"\n")
        if not head.startswith(_MAGIC):
            raise CheckpointDamaged("it does not begin as a checkpoint does")
        if head != b"%s%d" % (_MAGIC, FORMAT):
            raise CheckpointDamaged(f"it has the format {head.removeprefix(_MAGIC)[:20].decode('ascii', 'replace')}")
        if sha256(body).hexdigest().encode() != digest:
            raise CheckpointDamaged("its checksum is not that of its content")
        try:
            with np.load(io.BytesIO(body), allow_pickle=False) as arrays:
                found = {name: arrays[name] for name in arrays.files}
            notes = json.loads(found.pop(_NOTES).tobytes())
            epoch = notes.pop("epoch")
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise CheckpointDamaged(f"it cannot be read: {error}") from None
        state = {name.removeprefix(_STATE): array for name, array in found.items() if name.startswith(_STATE)}
        kept = {name.removeprefix(_KEPT): array for name, array in found.items() if name.startswith(_KEPT)}
        return cls(epoch, state, kept, notes)


class Checkpoints:
    """The checkpoints of one trial.

    Args:
        folder: where they lie; made with the first one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, and only when it is safely there remove all but the last two.

        Raises:
            RunError: it cannot be written; those before it are untouched.
        """
        make_folder(self.folder)
        write_bytes(self.folder / f"epoch-{checkpoint.epoch:06d}{_SUFFIX}", checkpoint.to_bytes())
        self.tidy()

    def tidy(self) -> None:
        """Remove all but the last two."""
        for old in self._files()[2:]:
            with suppress(OSError):
                old.unlink(missing_ok=True)

    def last(self) -> tuple[Checkpoint | None, list[str]]:
        """The last checkpoint that is whole, and what is wrong with those after it, in words."""
        damaged: list[str] = []
        for file in self._files():
            try:
                return Checkpoint.from_bytes(file.read_bytes()), damaged
            except (OSError, CheckpointDamaged) as error:
                damaged.append(f"the checkpoint {file} is damaged: {getattr(error, 'strerror', None) or error}")
        return None, damaged

    def _files(self) -> list[Path]:
        """All files of checkpoints, the last epoch first."""
        return sorted(self.folder.glob(f"epoch-*{_SUFFIX}"), reverse=True)
