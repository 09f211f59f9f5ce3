"""What a data set holds, class by class: for people and for programs."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specdsl.data.dataset import DataSet, Examples, split
from specdsl.recipes.data import Validation, shape_text

SCHEMA = 1
"""The version of the form of `to_dict`. A version only ever gains keys."""

FEW_TRACKS = 10
"""With fewer tracks than this in a class, validation by track depends much on which ones it has."""

_NAMED = 12
"""Up to so many classes are named in a sentence."""


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """A data set with its parts, ready to be shown.

    Attributes:
        dataset: the whole of it.
        parts: the examples of `train`, `validation` where it is split, and `test`.
        validation: how it is split, or None.
        seed: what the split comes from.
    """

    dataset: DataSet
    parts: dict[str, Examples]
    validation: Validation | None
    seed: int

    def head(self) -> list[str]:
        """The columns of the table: of `rows`."""
        if self.dataset.task == "regression":
            return ["part", "value", "examples", "least", "mean", "sd", "greatest"]
        columns = ["class", "name"]
        for name, part in self.parts.items():
            columns += [name, f"{name}_tracks"] if part.track is not None else [name]
        return columns

    def rows(self) -> list[list[Any]]:
        """A row for each class, with its examples and tracks in each part; or for each value in each part."""
        if self.dataset.task == "regression":
            return [row for name, part in self.parts.items() for row in _values(name, part)]
        columns: list[list[Any]] = [list(range(self.classes)), list(self.dataset.class_names)]
        for part in self.parts.values():
            columns.append(_counts(part, self.classes).tolist())
            if part.track is not None:
                columns.append(_tracks(part, self.classes).tolist())
        return [list(row) for row in zip(*columns, strict=True)]

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.dataset.class_names)

    @property
    def imbalance(self) -> float | None:
        """The training examples of the largest class over those of the smallest; None where values are predicted."""
        if self.dataset.task == "regression":
            return None
        counts = _counts(self.parts["train"], self.classes)
        return float(counts.max() / max(counts.min(), 1))

    def notes(self) -> list[str]:
        """What else is to be said of the data, in sentences."""
        told = [self._examples()]
        if self.dataset.task == "classification":
            counts = _counts(self.parts["train"], self.classes)
            most, least = int(counts.argmax()), int(counts.argmin())
            if counts[most] > counts[least]:
                told.append(
                    f"Class {most} has {self.imbalance:.3g} times as many training examples as class {least}: "
                    f"{counts[most]:,} and {counts[least]:,}."
                )
        train = self.dataset.train
        if train.track is not None:
            told += self._tracks(train)
        if self.validation is not None:
            held, whole = len(self.parts["validation"]), len(train)
            chosen = self.seed if self.validation.seed is None else self.validation.seed
            told.append(
                f"{self.validation} holds {held / whole:.1%} of the training examples, chosen by the seed {chosen}."
            )
        return told

    def _examples(self) -> str:
        shape = self.dataset.shape
        if len(shape) == 3:
            channels = f"{shape[2]} channel{'s' * (shape[2] != 1)}"
            what = f"Images of {shape[0]}x{shape[1]} pixels (height x width) with {channels}"
        else:
            what = f"Values of shape {shape_text(shape)}"
        if self.dataset.task == "regression":
            return (
                f"{what}, from which {self.dataset.outputs} {'is' if self.dataset.outputs == 1 else 'are'} predicted."
            )
        return f"{what}, in {self.classes} classes."

    def _tracks(self, train: Examples) -> list[str]:
        assert train.track is not None
        frames = np.unique(train.track, return_counts=True)[1]
        told = [f"{len(frames):,} tracks of {_span(frames)} training examples each."]
        if self.dataset.task == "classification":
            tracks = _tracks(train, self.classes)
            told[0] = f"{told[0][:-1]}, {_span(tracks)} in a class."
            few = np.flatnonzero(tracks < FEW_TRACKS).tolist()
            if few and self.validation is not None and self.validation.by == "track":
                named = ", ".join(map(str, few[:_NAMED])) + (", ..." if len(few) > _NAMED else "")
                told.append(
                    f"Fewer than {FEW_TRACKS} tracks in {'class' if len(few) == 1 else 'classes'} {named}: there "
                    "validation depends much on which of them it has."
                )
        return told

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data: the contract of `--format json`."""
        validation = self.validation
        return {
            "schema": SCHEMA,
            "name": self.dataset.name,
            "task": self.dataset.task,
            "shape": list(self.dataset.shape),
            "outputs": self.dataset.outputs,
            "sha256": self.dataset.fingerprint(),
            "validation": validation and {
                "fraction": validation.fraction,
                "by": validation.by,
                "seed": self.seed if validation.seed is None else validation.seed,
            },
            "parts": {
                name: {"examples": len(part), "tracks": None if part.track is None else len(np.unique(part.track))}
                for name, part in self.parts.items()
            },
            "imbalance": self.imbalance,
            "rows": [dict(zip(self.head(), row, strict=True)) for row in self.rows()],
        }  # fmt: skip

    def to_csv(self) -> str:
        """The rows as comma-separated values with a heading."""
        file = io.StringIO()
        csv.writer(file, lineterminator="\n").writerows([self.head(), *self.rows()])
        return file.getvalue()

    def to_markdown(self) -> str:
        """The table and the notes in Markdown."""
        cells = [[cell.replace("|", "\\|") for cell in row] for row in self._shown()]
        marks = ["---" if name in _WORDS else "---:" for name in self.head()]
        lines = [f"| {' | '.join(row)} |" for row in [cells[0], marks, *cells[1:]]]
        return "\n".join([*lines, "", *self.notes(), ""])

    def to_text(self, width: int = 100) -> str:
        """The table and the notes for a terminal of some width; numbers are whole where the table needs more."""
        from rich.console import Console
        from rich.padding import Padding
        from rich.table import Table

        heading, *rows = self._shown()
        table = Table(box=None, show_edge=False, pad_edge=False, show_footer=bool(self.classes))
        sums = self._sums()
        for name, shown, total in zip(self.head(), heading, sums, strict=True):
            table.add_column(
                shown, footer=total, justify="left" if name in _WORDS else "right", no_wrap=name not in _WORDS
            )
        for row in rows:
            table.add_row(*row)
        columns = zip(self.head(), heading, sums, *rows, strict=True)
        needed = sum(2 + max(len(part) for cell in cells for part in (cell.split() if name in _WORDS else [cell]))
                     for name, *cells in columns)  # fmt: skip
        console = Console(file=io.StringIO(), highlight=False, markup=False, emoji=False)
        console.width = max(width, needed)
        console.print(table)
        console.width = width
        console.print(Padding("\n".join(self.notes()), (1, 0, 0, 0)))
        lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
        return "\n".join(line.rstrip() for line in lines) + "\n"

    def _shown(self) -> list[list[str]]:
        """Heading and rows in words."""
        heading = ["tracks" if name.endswith("_tracks") else name for name in self.head()]
        return [[name.capitalize() if name != "sd" else name for name in heading],
                *([_cell(value) for value in row] for row in self.rows())]  # fmt: skip

    def _sums(self) -> list[str]:
        """The last line of the table: what the columns of numbers add up to."""
        if not self.classes:
            return [""] * len(self.head())
        sums = ["", "all"]
        for part in self.parts.values():
            sums.append(f"{len(part):,}")
            if part.track is not None:
                sums.append(f"{len(np.unique(part.track)):,}")
        return sums


_WORDS = {"name", "part", "value"}
"""The columns that hold words."""


def summarise(dataset: DataSet, validation: Validation | None = None, seed: int = 0) -> Summary:
    """What a data set holds, split as a recipe says.

    Raises:
        DataError: the training examples cannot be split so.
    """
    if validation is None:
        return Summary(dataset, {"train": dataset.train, "test": dataset.test}, None, seed)
    train, held = split(dataset.train, validation, seed)
    return Summary(dataset, {"train": train, "validation": held, "test": dataset.test}, validation, seed)


def _counts(part: Examples, classes: int) -> NDArray[np.int64]:
    """How many examples each class has."""
    return np.bincount(part.y, minlength=classes)


def _tracks(part: Examples, classes: int) -> NDArray[np.int64]:
    """How many tracks have examples of each class."""
    assert part.track is not None
    pairs = np.unique(np.stack([part.y, part.track]), axis=1)
    return np.bincount(pairs[0], minlength=classes)


def _values(name: str, part: Examples) -> list[list[Any]]:
    """What the values of a part are like: a row for all of x, and one for each value to predict."""
    columns = [
        ("x", part.x),
        *((f"y[{i}]" if part.y.shape[1] > 1 else "y", part.y[:, i]) for i in range(part.y.shape[1])),
    ]
    return [
        [name, what, len(part), *(float(f(array.astype(np.float64))) for f in (np.min, np.mean, np.std, np.max))]
        for what, array in columns
    ]


def _span(counts: NDArray[np.int64]) -> str:
    least, most = int(counts.min()), int(counts.max())
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _cell(value: Any) -> str:
    match value:
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.4g}"
        case _:
            return str(value)
