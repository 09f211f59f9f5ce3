"""What a person sees while a trial trains: a line for every epoch, and on a terminal a bar below."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from statistics import mean
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from specdsl.runs.history import Epoch, History

_LINES = 40
"""Epochs to tell of, at about the most, where a bar shows the rest."""

_PARTS = {"validation": "valid"}

_WIDE, _NARROW = 9, 7
"""The characters of a cell below a part and a metric, at least, and below a metric alone."""


class Shown(Protocol):
    """Where the progress of one trial is shown."""

    def step(self, epoch: int, step: int, values: Mapping[str, float], images_per_second: float) -> None:
        """Show how far an epoch is (epoch and step from 1), with its means and its speed so far."""

    def epoch(self, epoch: Epoch) -> None:
        """Show an epoch that has ended."""


class Displayed(Protocol):
    """Where the progress of trials is shown that are trained together."""

    def of(self, trial: int) -> Shown:
        """Where one of them is shown, by its number."""


class Bars:
    """The bars of all that trains at the same time, below the lines that are told.

    Args:
        console: where to.
        width: how wide the names are of what trains; 0 where there is only one thing at a time.

    Attributes:
        progress: the bars.
    """

    def __init__(self, console: Console, width: int = 0) -> None:
        self.console, self.width = console, width
        self.progress = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=4)),
            TextColumn("{task.fields[values]}", table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            expand=True,
        )
        self._titles = ""

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.progress.stop()

    def fits(self, row: str) -> bool:
        """Whether a row finds room beside the names."""
        return len(row) + (self.width and self.width + 2) <= room(self.console)

    def tell(self, name: str, rows: Sequence[str]) -> None:
        """Show a row of something that trains; where these are several, they stand below its name."""
        if self.width:
            rows = [f"{name:<{self.width}}  {rows[0]}"] if len(rows) == 1 else [name, *rows]
        for row in rows:
            say(self.console, row)

    def entitle(self, titles: str) -> None:
        """Show the titles of columns, unless those of the last rows were the same."""
        if titles != self._titles or not self.width:
            self._titles = titles
            say(self.console, titles)


class Display:
    """Progress of one trial on a console, or of the mean of several that are trained together.

    Args:
        console: where to.
        history: the trial's history, for its columns.
        epochs: how many epochs there will be.
        steps: steps of an epoch.
        first: how many of the epochs were trained before.
        trials: how many trials there are.
        bars: the bars that it shares with others; None where nothing else trains.
        name: what it is called beside others.
    """

    def __init__(
        self,
        console: Console,
        history: History,
        epochs: int,
        steps: int,
        first: int = 0,
        trials: int = 1,
        bars: Bars | None = None,
        name: str = "",
    ) -> None:
        self._history, self._epochs, self._steps, self._first = history, epochs, steps, first
        self._trials = trials
        self._gathered: dict[int, Epoch] = {}
        self._shown = history.metrics[:2]
        self._width = max(len(f"{epochs}/{epochs}"), len("epoch"))
        self._tested: float | None = None
        self._shares, self._name = bars is not None, name
        self._bars = bars or Bars(console)
        self._wide = self._bars.fits(self._titles())
        self._progress = self._bars.progress
        self._before = f"{name}, " if name else ""
        total = (epochs - first) * steps
        self._task = self._progress.add_task(f"{self._before}starting", total=total, values="")

    def __enter__(self) -> Display:
        if not self._shares:
            self._bars.__enter__()
        if self._trials > 1:
            say(self._bars.console, f"{self._before}{self._trials} trials together, and the mean of them:")
        if self._first:
            say(self._bars.console, f"{self._before}going on after epoch {self._first} of {self._epochs}")
        beside = " " * (self._bars.width and self._bars.width + 2)
        self._bars.entitle(beside + self._titles() if self._wide else self._titles_of_parts())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._show_gathered()
        if self._shares:
            self._progress.remove_task(self._task)
        else:
            self._bars.__exit__(kind, error, traceback)

    def of(self, trial: int) -> Shown:
        """Where one of the trials is shown, by its number."""
        return self if self._trials == 1 else _OneOfSeveral(self, trial)

    def gather(self, trial: int, epoch: Epoch) -> None:
        """Take an epoch of one of several trials; their mean is shown when all have it, or one has come further."""
        if self._gathered and next(iter(self._gathered.values())).number != epoch.number:
            self._show_gathered()
        self._gathered[trial] = epoch
        if len(self._gathered) == self._trials:
            self._show_gathered()

    def _show_gathered(self) -> None:
        epochs = list(self._gathered.values())
        self._gathered.clear()
        if epochs:
            values = {
                part: {name: mean(one.values[part][name] for one in epochs) for name in metrics}
                for part, metrics in epochs[0].values.items()
            }
            images = sum(one.images for one in epochs)
            self.epoch(Epoch(epochs[0].number, values, epochs[0].seconds, images, epochs[0].learning_rate))

    def step(self, epoch: int, step: int, values: Mapping[str, float], images_per_second: float) -> None:
        """Show how far an epoch is (epoch and step from 1), with its means and its speed so far."""
        told = [f"{_short(name)} {values[name]:.3f}" for name in self._shown if name in values]
        if self._tested is not None:
            told.append(f"test {self._tested:.3f}")
        self._progress.update(
            self._task,
            completed=(epoch - 1 - self._first) * self._steps + step,
            description=f"{self._before}epoch {epoch}/{self._epochs}",
            values="  ".join([*told, f"{images_per_second:,.0f}/s"]),
        )

    def epoch(self, epoch: Epoch) -> None:
        """Show an epoch that has ended."""
        self._progress.update(self._task, completed=(epoch.number - self._first) * self._steps)
        self._tested = epoch.values.get("test", {}).get(self._shown[-1])
        every = -(-self._epochs // _LINES) if self._bars.console.is_terminal else 1
        if epoch.number % every == 0 or epoch.number in (self._first + 1, self._epochs):
            self._bars.tell(self._name, [self._row(epoch)] if self._wide else self._rows_of_parts(epoch))

    def _titles(self) -> str:
        """The titles above rows that tell all of an epoch."""
        return " ".join([f"{'epoch':>{self._width}}", *self._columns, f"{'img/s':>{_WIDE}}"])

    def _row(self, epoch: Epoch) -> str:
        """All of an epoch, below `_titles`."""
        places = [(part, name) for part in self._history.parts for name in self._shown]
        widths = [len(title) for title in self._columns]
        cells = [f"{_cell(epoch, *place):>{width}}" for place, width in zip(places, widths, strict=True)]
        first = f"{f'{epoch.number}/{self._epochs}':>{self._width}}"
        return " ".join([first, *cells, f"{epoch.images_per_second:>{_WIDE},.0f}"])

    @property
    def _columns(self) -> list[str]:
        return [
            f"{_PARTS.get(part, part)} {in_letters(metric)}".rjust(_WIDE)
            for part in self._history.parts
            for metric in self._shown
        ]

    def _titles_of_parts(self) -> str:
        """The titles above rows that tell a part of an epoch each."""
        cells = [f"{in_letters(metric):>{_NARROW}}" for metric in self._shown]
        return " ".join([f"{'epoch':>{self._width}}", " " * 5, *cells, f"{'img/s':>{_NARROW}}"])

    def _rows_of_parts(self, epoch: Epoch) -> list[str]:
        """All of an epoch, below `_titles_of_parts`."""
        rows, first, speed = [], f"{epoch.number}/{self._epochs}", f" {epoch.images_per_second:>{_NARROW},.0f}"
        for part in self._history.parts:
            cells = [f"{_cell(epoch, part, name):>{_NARROW}}" for name in self._shown]
            rows.append(" ".join([f"{first:>{self._width}}", f"{_PARTS.get(part, part):<5}", *cells]) + speed)
            first = speed = ""
        return rows


def room(console: Console) -> float:
    """The characters that a line may have: without end where it goes to a file or a pipe, and nobody says how many."""
    return console.width if console.is_terminal or os.environ.get("COLUMNS") else float("inf")


def _cell(epoch: Epoch, part: str, metric: str) -> str:
    value = epoch.values.get(part, {}).get(metric)
    return "-" if value is None else in_width(value)


def in_width(value: float) -> str:
    """A loss or a metric with four decimals, or where it is as large as when training diverges with four digits."""
    return f"{value:.4f}" if abs(value) < 10_000 else f"{value:.3e}"


class _OneOfSeveral:
    """Where one of several trials is shown that are trained together."""

    def __init__(self, display: Display, trial: int) -> None:
        self._display, self._trial = display, trial

    def step(self, epoch: int, step: int, values: Mapping[str, float], images_per_second: float) -> None:
        self._display.step(epoch, step, values, images_per_second)

    def epoch(self, epoch: Epoch) -> None:
        self._display.gather(self._trial, epoch)


def say(console: Console, line: str, style: str | None = None) -> None:
    """Show a line as it is."""
    console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def in_letters(metric: str) -> str:
    """A metric in at most four letters: `accu`, and `mae` for `mean_absolute_error`."""
    words = _short(metric).split("_")
    return "".join(word[0] for word in words)[:4] if len(words) > 2 else _short(metric)[:4]


def _short(metric: str) -> str:
    return metric.removeprefix("sparse_").replace("categorical_", "")
