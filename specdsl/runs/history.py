"""What an epoch gave, and the history of a trial as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specdsl.runs.files import RunError

PARTS = ("train", "validation", "test")
"""The examples that metrics are taken on. Training metrics are means over the epoch's steps, while the model changes and
with augmentation and dropout on; the others are taken after the epoch, on whole, unaugmented sets."""

NOT_MEASURED_ON = ("epoch", "learning_rate", "seconds", "images_per_second")
"""The columns of a history that are no loss and no metric."""

GROWN = 1e4
"""By how much a loss has grown that grows beyond all bounds; what overfits, or forgets, loses far less."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch.

    Attributes:
        number: from 1.
        values: for each part of `PARTS` that was measured, its loss and metrics by name.
        seconds: how long training took, evaluation not included.
        images: how many training examples it saw.
        learning_rate: that of its first step.
    """

    number: int
    values: Mapping[str, Mapping[str, float]]
    seconds: float
    images: int
    learning_rate: float = float("nan")

    @property
    def images_per_second(self) -> float:
        """Training examples per second, evaluation not included."""
        return self.images / self.seconds if self.seconds > 0 else 0.0

    def flat(self) -> dict[str, float]:
        """Values by column: `train_loss`, `test_accuracy`."""
        return {f"{part}_{name}": value for part, values in self.values.items() for name, value in values.items()}

    def to_dict(self) -> dict[str, Any]:
        """The epoch as a checkpoint keeps it."""
        return {name: getattr(self, name) for name in ("number", "values", "seconds", "images", "learning_rate")}


@dataclass
class History:
    """The epochs of one trial so far.

    Args:
        metrics: the names measured, `loss` first.
        validated: whether a validation part is measured too.
    """

    metrics: Sequence[str]
    validated: bool
    epochs: list[Epoch] = field(default_factory=list)
    _rows: list[tuple[Epoch, str]] = field(default_factory=list, repr=False, compare=False)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts measured, in the order of the columns."""
        return PARTS if self.validated else ("train", "test")

    def columns(self) -> list[str]:
        """The columns of the table."""
        measured = [f"{part}_{metric}" for part in self.parts for metric in self.metrics]
        return ["epoch", *measured, *NOT_MEASURED_ON[1:]]

    def images_per_second(self) -> float | None:
        """The median over epochs; the first, which compiles, counts only when it is alone."""
        rates = [epoch.images_per_second for epoch in self.epochs]
        return median(rates[1:] or rates) if rates else None

    def growth(self) -> tuple[float, float] | None:
        """The least loss of an epoch and the last one, where training has made it `GROWN` times as large; else None.

        That of one epoch alone is no growth, and a loss of less than 0 has no such measure.
        """
        losses = [epoch.values["train"]["loss"] for epoch in self.epochs]
        if not losses or not 0 <= min(losses) < max(losses):
            return None
        return (min(losses), losses[-1]) if losses[-1] > GROWN * max(min(losses), 1e-3) else None

    def to_csv(self) -> str:
        """The table as CSV, with empty cells for what was not measured."""
        same = sum(1 for _ in takewhile(lambda both: both[0] is both[1][0], zip(self.epochs, self._rows, strict=False)))
        columns = self.columns()
        self._rows[same:] = [(epoch, _row(columns, epoch)) for epoch in self.epochs[same:]]
        return _line(columns) + "".join(text for _, text in self._rows)


def _row(columns: Sequence[str], epoch: Epoch) -> str:
    values = {name: f"{value:.9g}" for name, value in epoch.flat().items()}
    values["learning_rate"] = f"{epoch.learning_rate:.9g}"
    values |= {"epoch": str(epoch.number), "seconds": f"{epoch.seconds:.3f}"}
    values["images_per_second"] = f"{epoch.images_per_second:.1f}"
    assert values.keys() <= set(columns), "a history has a column for everything that is measured"
    return _line([values.get(name, "") for name in columns])


def _line(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def read_history(file: Path) -> dict[str, NDArray[Any]]:
    """The columns of a `history.csv`: `epoch` int64, all others float64, with NaN where nothing was measured.

    Raises:
        RunError: it cannot be read, or is no such table.
    """
    try:
        with file.open(encoding="utf-8", newline="") as text:
            head, *rows = list(csv.reader(text)) or [[]]
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        columns = {
            name: np.array([float(row[place] or "nan") for row in rows], np.float64) for place, name in enumerate(head)
        }
        return columns | {"epoch": columns["epoch"].astype(np.int64)}
    except (KeyError, IndexError, ValueError):
        raise RunError(f"{file} is no history of a trial") from None
