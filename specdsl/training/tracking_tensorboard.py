"""Event files for TensorBoard, by tensorboardX: a folder for each trial."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path

from tensorboardX import SummaryWriter
from tensorboardX.proto.event_pb2 import Event

from specdsl.runs.history import Epoch
from specdsl.runs.records import RunSummary, TrialSummary
from specdsl.training.tracking import Described

FOLDER = "tensorboard"
"""Where event files lie in a run's folder where nobody says."""


def open_run(run: Described, place: str | None, models: bool) -> TensorBoard:
    """Begin to write events of a run; models have no place in them.

    Raises:
        FileExistsError: a run that is begun would mix its events with those of another one of its name.
    """
    top = _top(run.folder, place)
    if not run.resumed:
        _check_free(top)
    top.mkdir(parents=True, exist_ok=True)
    return TensorBoard(run, top)


def reach(place: str | None, begun: Sequence[Path]) -> None:
    """Make the folder, where one is named, and see that runs which are to be begun have room in it.

    Raises:
        FileExistsError: one of them would mix its events with those of another one of its name.
    """
    for folder in begun:
        _check_free(_top(folder, place))
    if place is not None:
        Path(place).mkdir(parents=True, exist_ok=True)


def _top(folder: Path, place: str | None) -> Path:
    """Where the event files of a run lie."""
    return folder / FOLDER if place is None else Path(place) / folder.name


def _check_free(top: Path) -> None:
    if any(top.glob("trial-*/events.*")):
        raise FileExistsError(f"{top} holds the events of another run")


class TensorBoard:
    """Scalars by metric and part, such as `accuracy/test`, at the number of the epoch.

    Args:
        run: the run.
        top: the folder of its event files.
    """

    def __init__(self, run: Described, top: Path) -> None:
        self._run, self._top = run, top
        self._writers: dict[int, SummaryWriter] = {}
        self._last: dict[int, int] = {}

    def logged(self, trial: int) -> int:
        """The last epoch of a trial that is in its event files."""
        if trial not in self._last:
            self._last[trial] = last_epoch(self._folder(trial)) if self._run.resumed else 0
        return self._last[trial]

    def epoch(self, trial: int, epoch: Epoch) -> None:
        """Write the values of an epoch."""
        writer = self._writer(trial)
        for part, values in epoch.values.items():
            for name, value in values.items():
                writer.add_scalar(f"{name}/{part}", value, epoch.number)
        writer.add_scalar("learning_rate", epoch.learning_rate, epoch.number)
        writer.add_scalar("images_per_second", epoch.images_per_second, epoch.number)
        writer.flush()
        self._last[trial] = epoch.number

    def trial_end(self, summary: TrialSummary, folder: Path) -> None:
        """Write the values of the weights that are kept, at their epoch."""
        writer = self._writer(summary.trial)
        for name, value in summary.final.items():
            writer.add_scalar(f"kept/{name}", value, summary.kept_epoch)
        writer.close()
        del self._writers[summary.trial]

    def end(self, summary: RunSummary) -> None:
        """Close what is open."""
        for writer in self._writers.values():
            writer.close()

    def _folder(self, trial: int) -> Path:
        return self._top / f"trial-{trial}"

    def _writer(self, trial: int) -> SummaryWriter:
        if trial not in self._writers:
            began = self.logged(trial)
            # A file is named by the second in which it is begun: the number keeps a second one from replacing it.
            files = len(list(self._folder(trial).glob("events.*")))
            self._writers[trial] = SummaryWriter(str(self._folder(trial)), filename_suffix=f".{files + 1}")
            if not began:
                told = json.dumps(self._run.config["train"], indent=2, ensure_ascii=False)
                self._writers[trial].add_text("recipe", f"```json\n{told}\n```")
        return self._writers[trial]


def last_epoch(folder: Path) -> int:
    """The last epoch in the event files of a folder, 0 where there is none.

    A file is records of: length (8 bytes, little-endian), its checksum (4), an event, its checksum (4). The last record
    of a process that was killed may be cut off.
    """
    last = 0
    for file in sorted(folder.glob("events.out.tfevents.*")):
        content = file.read_bytes()
        place = 0
        while place + 12 <= len(content):
            (length,) = struct.unpack_from("<Q", content, place)
            place += 12
            if place + length + 4 > len(content):
                break
            event = Event.FromString(content[place : place + length])
            if any(value.tag.startswith("loss/") for value in event.summary.value):
                last = max(last, event.step)
            place += length + 4
    return last
