"""The folder of a run: what is written, where, and never by halves.

    model.spec      the text of the spec
    config.json     everything that the run depends on
    versions.json   software and machine
    summary.json    how it ended
    accuracy.svg    and .png, for the loss and every metric
    history.csv     one row for each epoch
    model.keras     the trained model

With several trials `history.csv` and `model.keras` stand in `trial-1`, `trial-2`, ...
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from specdsl.declaration import Declaration, Misuse
from specdsl.recipes.augmentation import Pipeline
from specdsl.recipes.naming import Named

CONFIG = "config.json"


def default_folder(model: str, now: datetime) -> Path:
    """Where a run goes when nobody says: `runs/<model>-<date>-<time>`."""
    return Path("runs") / f"{model}-{now:%Y%m%d-%H%M%S}"


class RunFolder:
    """A folder that holds one run, made new.

    Args:
        path: the folder; it may exist if it is empty.
        trials: how many trials the run has.

    Raises:
        Misuse: the folder holds something, or cannot be made or written.
    """

    def __init__(self, path: Path, trials: int) -> None:
        self.path = path
        self.trials = trials
        try:
            path.mkdir(parents=True, exist_ok=True)
            held = sorted(child.name for child in path.iterdir())
        except OSError as error:
            raise Misuse(f"{path}: cannot be made a run folder: {error.strerror}", argument="out") from error
        if held:
            what = "already holds a run" if CONFIG in held else f"is not empty (it holds {held[0]})"
            raise Misuse(f"{path}: {what}", argument="out", help="choose another folder; nothing is ever overwritten")

    def discard(self) -> None:
        """Take back what was written before the first trial, so that a run that cannot be leaves nothing behind."""
        for name in ("model.spec", CONFIG, "versions.json"):
            (self.path / name).unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()

    def trial(self, number: int) -> Path:
        """The folder of a trial (from 1): the run's own when there is only one."""
        folder = self.path if self.trials == 1 else self.path / f"trial-{number}"
        folder.mkdir(exist_ok=True)
        return folder

    def write_json(self, name: str, value: Any) -> None:
        """A file of JSON at the top."""
        write_text(self.path / name, json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def write_text(file: Path, text: str) -> None:
    """A whole text file, or the one that was there before: never a part."""
    with replacing(file) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A temporary file of the same suffix to write to, put in place of `file` when all went well, removed when not."""
    handle, name = tempfile.mkstemp(prefix=f".{file.stem}-", suffix=file.suffix, dir=file.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def plain(value: Any) -> Any:
    """A value as JSON has it: declarations as objects with their type and all arguments, what is no number as null."""
    match value:
        case Pipeline():
            return [plain(operation) for operation in value]
        case Declaration():
            kind = value.spec_name() if isinstance(value, Named) else type(value).__name__
            return {"type": kind} | {name: plain(getattr(value, name)) for name in value.names()}
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


def save_with(file: Path, save: Callable[[Path], None]) -> None:
    """Let `save` write a file, which appears whole or not at all."""
    with replacing(file) as temporary:
        save(temporary)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
