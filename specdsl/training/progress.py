"""What a person sees while a trial trains: a line for every epoch, and on a terminal a bar below."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from specdsl.runs.history import Epoch, History

_LINES = 40
"""Epochs to tell of, at about the most, where a bar shows the rest."""

_PARTS = {"validation": "valid"}


class Display:
    """Progress of one trial on a console.

    Args:
        console: where to.
        history: the trial's history, for its columns.
        epochs: how many epochs there will be.
        steps: steps of an epoch.
        first: how many of the epochs were trained before.
    """

    def __init__(self, console: Console, history: History, epochs: int, steps: int, first: int = 0) -> None:
        self._console, self._history, self._epochs, self._steps, self._first = console, history, epochs, steps, first
        self._shown = history.metrics[:2]
        self._width = max(len(f"{epochs}/{epochs}"), len("epoch"))
        self._tested: float | None = None
        self._progress = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=4)),
            TextColumn("{task.fields[values]}", table_column=Column(no_wrap=True)),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            expand=True,
        )
        self._task = self._progress.add_task("starting", total=(epochs - first) * steps, values="")

    def __enter__(self) -> Display:
        self._progress.start()
        if self._first:
            say(self._console, f"going on after epoch {self._first} of {self._epochs}")
        self._print(self._header())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def step(self, epoch: int, step: int, values: Mapping[str, float], images_per_second: float) -> None:
        """Show how far an epoch is (epoch and step from 1), with its means and its speed so far."""
        told = [f"{_short(name)} {values[name]:.3f}" for name in self._shown if name in values]
        if self._tested is not None:
            told.append(f"test {self._tested:.3f}")
        self._progress.update(
            self._task,
            completed=(epoch - 1 - self._first) * self._steps + step,
            description=f"epoch {epoch}/{self._epochs}",
            values="  ".join([*told, f"{images_per_second:,.0f}/s"]),
        )

    def epoch(self, epoch: Epoch) -> None:
        """Show an epoch that has ended."""
        self._progress.update(self._task, completed=(epoch.number - self._first) * self._steps)
        self._tested = epoch.values.get("test", {}).get(self._shown[-1])
        every = -(-self._epochs // _LINES) if self._console.is_terminal else 1
        if epoch.number % every == 0 or epoch.number in (self._first + 1, self._epochs):
            self._print(self._row(epoch))

    def _header(self) -> str:
        titles = [
            f"{_PARTS.get(part, part)} {_short(metric)[:4]}" for part in self._history.parts for metric in self._shown
        ]
        return f"{'epoch':>{self._width}}" + "".join(f"{title:>11}" for title in titles) + f"{'img/s':>8}"

    def _row(self, epoch: Epoch) -> str:
        values = [epoch.values.get(part, {}).get(name) for part in self._history.parts for name in self._shown]
        cells = "".join(f"{'-' if value is None else in_width(value):>11}" for value in values)
        return f"{f'{epoch.number}/{self._epochs}':>{self._width}}{cells}{epoch.images_per_second:>8,.0f}"

    def _print(self, line: str) -> None:
        say(self._console, line)


def in_width(value: float) -> str:
    """A loss or a metric with four decimals, or where it is as large as when training diverges with four digits."""
    return f"{value:.4f}" if abs(value) < 10_000 else f"{value:.3e}"


def say(console: Console, line: str, style: str | None = None) -> None:
    """Show a line as it is."""
    console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def _short(metric: str) -> str:
    return metric.removeprefix("sparse_").replace("categorical_", "")
