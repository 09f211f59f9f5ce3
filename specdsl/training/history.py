"""What an epoch gave, and the history of a trial as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

PARTS = ("train", "validation", "test")
"""The images that metrics are taken on. Training metrics are means over the epoch's steps, while the model changes and
with augmentation and dropout on; the others are taken after the epoch, on whole, unaugmented sets."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch.

    Attributes:
        number: from 1.
        values: for each part of `PARTS` that was measured, its loss and metrics by name.
        seconds: how long training took, evaluation not included.
        images: how many training images it saw.
    """

    number: int
    values: Mapping[str, Mapping[str, float]]
    seconds: float
    images: int

    @property
    def images_per_second(self) -> float:
        """Training images per second, evaluation not included."""
        return self.images / self.seconds if self.seconds > 0 else 0.0

    def flat(self) -> dict[str, float]:
        """Values by column: `train_loss`, `test_accuracy`."""
        return {f"{part}_{name}": value for part, values in self.values.items() for name, value in values.items()}


@dataclass
class History:
    """The epochs of one trial so far.

    Args:
        metrics: the names measured, `loss` first.
        validated: whether validation images are measured too.
    """

    metrics: Sequence[str]
    validated: bool
    epochs: list[Epoch] = field(default_factory=list)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts measured, in the order of the columns."""
        return PARTS if self.validated else ("train", "test")

    def columns(self) -> list[str]:
        """The columns of the table."""
        measured = [f"{part}_{metric}" for part in self.parts for metric in self.metrics]
        return ["epoch", *measured, "seconds", "images_per_second"]

    def curve(self, part: str, metric: str) -> list[tuple[int, float]]:
        """Epoch and value wherever the metric was measured on that part."""
        return [(e.number, e.values[part][metric]) for e in self.epochs if metric in e.values.get(part, {})]

    def final(self) -> dict[str, float]:
        """The last value of every column that was measured."""
        last: dict[str, float] = {}
        for epoch in self.epochs:
            last |= epoch.flat()
        return last

    def images_per_second(self) -> float | None:
        """The median over epochs; the first, which compiles, counts only when it is alone."""
        rates = [epoch.images_per_second for epoch in self.epochs]
        return median(rates[1:] or rates) if rates else None

    def to_csv(self) -> str:
        """The table as CSV, with empty cells for what was not measured."""
        text = io.StringIO()
        table = csv.DictWriter(text, self.columns(), restval="", lineterminator="\n")
        table.writeheader()
        for epoch in self.epochs:
            values = {name: f"{value:.6g}" for name, value in epoch.flat().items()}
            speed = {"seconds": f"{epoch.seconds:.3f}", "images_per_second": f"{epoch.images_per_second:.1f}"}
            table.writerow({"epoch": epoch.number} | values | speed)
        return text.getvalue()
