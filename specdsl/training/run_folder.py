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

from contextlib import suppress
from pathlib import Path
from typing import Any

from specdsl.declaration import Misuse
from specdsl.runs.files import write_json
from specdsl.runs.layout import CONFIG


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
        write_json(self.path / name, value)
