"""The folder of a run: made once, opened by one process at a time, a folder in it for each trial."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from specdsl.runs.checkpoints import Checkpoints
from specdsl.runs.files import RunError, make_folder, read_json, write_json, write_text
from specdsl.runs.history import read_history
from specdsl.runs.layout import (
    CHECKPOINTS,
    CONFIG,
    EXPERIMENT,
    HISTORY,
    MODEL,
    PREDICTIONS,
    SPEC,
    SUMMARY,
    TRIAL,
    VERSIONS,
    trial_folder,
)
from specdsl.runs.locking import is_begun
from specdsl.runs.records import RunSummary, TrialSummary


def check_free(folder: Path) -> None:
    """Make sure that a new run or experiment can have a folder: it is not there, or holds nothing.

    A folder that was begun and broken off before everything in it was told is as good as an empty one.

    Raises:
        RunError: it holds something, or is no folder.
    """
    try:
        held = sorted(child.name for child in folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunError(f"{folder}: cannot be made a run folder: {error.strerror}") from None
    if not held or is_begun(folder, CONFIG, EXPERIMENT):
        return
    if CONFIG in held or EXPERIMENT in held:
        what = "a run" if CONFIG in held else "an experiment"
        help = "choose another folder; nothing is ever overwritten. `--resume` goes on with what was broken off"
        raise RunError(f"{folder}: already holds {what}", help=help)
    raise RunError(
        f"{folder}: is not empty (it holds {held[0]})", help="choose another folder; nothing is ever overwritten"
    )


class RunFolder:
    """A run folder that is there. Whoever writes holds its `Lock`.

    Args:
        path: the folder.

    Attributes:
        config: `config.json`.

    Raises:
        RunError: it holds no run, or a damaged one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config: Mapping[str, Any] = read_json(path / CONFIG)

    @classmethod
    def make(cls, path: Path, config: Mapping[str, Any], texts: Mapping[str, str], versions: Any) -> RunFolder:
        """Make the folder of a new run; `config.json` comes last, so that a folder with one has everything.

        Args:
            path: the folder.
            config: everything that the run depends on.
            texts: the texts of the spec, by their paths below `spec`.
            versions: software and machine.

        Raises:
            RunError: it cannot be made.
        """
        for name, text in texts.items():
            file = path / SPEC / name
            make_folder(file.parent)
            write_text(file, text)
        write_json(path / VERSIONS, versions)
        write_json(path / CONFIG, config)
        return cls(path)

    def change(self, **changes: Any) -> None:
        """Write `config.json` anew with other values."""
        write_json(self.path / CONFIG, {**self.config, **changes})
        self.config = read_json(self.path / CONFIG)

    def summarise(self, summary: RunSummary) -> None:
        """Write `summary.json`."""
        write_json(self.path / SUMMARY, summary.to_dict())

    def trial(self, number: int) -> TrialFolder:
        """The folder of a trial, from 1; made when it is not there."""
        folder = trial_folder(self.path, number)
        make_folder(folder)
        return TrialFolder(folder)

    def ended(self, number: int) -> TrialSummary | None:
        """How a trial ended, or None where it has not, or where that cannot be read."""
        try:
            return TrialSummary.from_dict(read_json(trial_folder(self.path, number) / TRIAL))
        except (RunError, TypeError):
            return None

    def lost(self, number: int) -> str | None:
        """What a trial that has ended needs and has lost since, in words; None where all of it is there.

        Its history is needed always; the model and what it says of the test examples where they can be made again, so
        that whoever removes them with the checkpoints, for room, is not made to train anew.
        """
        folder, ended = self.trial(number), self.ended(number)
        if ended is None:
            return None
        try:
            if len(read_history(folder.path / HISTORY)["epoch"]) != ended.epochs:
                return f"{folder.path / HISTORY} does not have its {ended.epochs} epochs"
        except RunError as error:
            return error.message
        needed = (MODEL, PREDICTIONS) if ended.evaluated else ()
        gone = next((folder.path / name for name in needed if not (folder.path / name).exists()), None)
        return f"{gone} is not there" if gone and folder.checkpoints.last()[0] else None


class TrialFolder:
    """The folder of one trial.

    Attributes:
        path: the folder.
        checkpoints: its checkpoints.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = Checkpoints(path / CHECKPOINTS)

    def write_history(self, table: str) -> None:
        """Write `history.csv`."""
        write_text(self.path / HISTORY, table)

    def end(self, summary: TrialSummary) -> None:
        """Write `trial.json`: the last thing that a trial does."""
        write_json(self.path / TRIAL, summary.to_dict())
