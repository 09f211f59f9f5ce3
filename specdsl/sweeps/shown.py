"""A sweep for people and for programs: a table, Markdown, CSV, data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from specdsl.backends.table import Cell, Column, Line, fitted, side_by_side, styled, wrapped
from specdsl.backends.words import readable_bytes
from specdsl.counts import number
from specdsl.declaration import Declaration, text
from specdsl.sweeps.pareto import SHAPES

if TYPE_CHECKING:
    from specdsl.sweeps.sweep import Row, Sweep

SCHEMA = 1
"""The version of the form of `to_dict`. A version only ever gains keys."""

HEADINGS = {"params": "Parameters", "macs": "MACs", "flops": "FLOPs", "peak_activation_bytes": "Peak of activations"}
"""What heads the columns of quantities, where it is not their name in plain words."""


def heading(quantity: str) -> str:
    """A quantity in plain words."""
    words = quantity.removesuffix("_bytes").replace("_", " ")
    return HEADINGS.get(quantity, words[0].upper() + words[1:])


def amount(quantity: str, value: Any) -> str:
    """A quantity for people."""
    if quantity.endswith("_bytes"):
        return readable_bytes(value)
    if isinstance(value, int) or (value is None and quantity not in SHAPES):
        return number(value)
    return text(value)


class Table:
    """A sweep, ready to be shown."""

    def __init__(self, sweep: Sweep) -> None:
        space = sweep.space
        self.sweep = sweep
        self._several = len(space.models) > 1
        self._varied = [name for name, values in space.domains.items() if len(values) > 1]

    def to_text(self, width: int = 100) -> str:
        """The rows as a table of at most `width` columns where that can be, with terminal styles."""
        sweep = self.sweep
        columns = [Column(" "), *([Column("Model")] if self._several else [])]
        columns += [Column(name, right=True) for name in self._varied]
        columns += [Column(heading(name), right=True) for name in sweep.space.columns]
        rows = [self._text_row(row, index in sweep.best) for index, row in enumerate(sweep.rows)]
        table = side_by_side(columns, rows, width)
        if table is None:
            names = len(columns) - len(sweep.space.columns)
            about = [[Line(self._named(row, index in sweep.best))] for index, row in enumerate(sweep.rows)]
            cells = [[one, *row[names:]] for one, row in zip(about, rows, strict=True)]
            table = fitted([Column(""), *columns[names:]], cells, width)
        lines, *parts = table if rows else [[]]
        for row, part in zip(sweep.rows, parts, strict=True):
            lines += _with_reason(part, row.reason, width) if row.reason else part
        told = "\n".join([self._title(), "", *lines, *([""] if lines else [])])
        summary = "\n".join(styled(line, "dim") for line in wrap(self.summary(), width))
        return f"{told}\n{summary}\n"

    def plain(self, width: int = 100) -> str:
        """The rows as a table without styles."""
        return re.sub(r"\x1b\[\d+m", "", self.to_text(width))

    def _title(self) -> str:
        space = self.sweep.space
        fixed = [f"{name}={text(values[0])}" for name, values in space.domains.items() if len(values) == 1]
        title = self.sweep.spec if self._several else space.models[0]
        return styled(title, "bold") + (f"  ({', '.join(fixed)})" if fixed else "")

    def _named(self, row: Row, best: bool) -> str:
        """What a row is about in words, with the mark of the best."""
        values = ", ".join(f"{name} = {text(row.values[name])}" for name in self._varied)
        named = " ".join(filter(None, [row.model if self._several else "", values])) or row.model
        return f"* {named}" if best else named

    def _text_row(self, row: Row, best: bool) -> list[Cell]:
        style = "green" if best else ""
        cells: list[Cell] = [[Line("*" if best else " ", "green")]]
        cells += [[Line(row.model, style)]] if self._several else []
        cells += [[Line(text(row.values[name]), style)] for name in self._varied]
        for name in self.sweep.space.columns:
            cells.append([Line(amount(name, row.quantities[name]), style)] if row.quantities else [])
        return cells

    def summary(self) -> str:
        """What was tried and what came of it, in a sentence or two."""
        sweep = self.sweep
        failed = len(sweep.rows) - len(sweep.valid)
        parts = [f"{len(sweep.valid):,} model{'' if len(sweep.valid) == 1 else 's'}"]
        parts += [f"{failed:,} that make no valid model"] if failed else []
        left_out = sweep.tried - len(sweep.rows)
        parts += [f"{left_out:,} left out"] if left_out else []
        total = len(sweep.space)
        head = f"{total:,} combination{'' if total == 1 else 's'}"
        if sweep.tried < total:
            head = f"interrupted after {sweep.tried:,} of {head}"
        told = f"{head}: {', '.join(parts)}."
        front = ", ".join(map(str, sweep.goals))
        return f"{told} * is the Pareto front of {front}." if sweep.best else told

    def to_markdown(self) -> str:
        """The rows as a table in Markdown."""
        space = self.sweep.space
        head = [*(["Model"] if self._several else []), *(f"`{name}`" for name in self._varied)]
        marks = ["---"] * len(head) + ["---:"] * len(space.columns) + ["---"]
        head += [*map(heading, space.columns), "Remark"]
        lines = [_row(head), _row(marks)]
        for index, row in enumerate(self.sweep.rows):
            cells = [*([row.model] if self._several else []), *(text(row.values[name]) for name in self._varied)]
            cells += [amount(name, row.quantities[name]) if row.quantities else "" for name in space.columns]
            lines.append(_row([*cells, row.reason or ("Pareto front" if index in self.sweep.best else "")]))
        return "\n".join([*lines, "", self.summary().replace("* is", "Marked is"), ""])

    def to_csv(self) -> str:
        """The rows as comma-separated values with a heading, sequences and objects as the language writes them."""
        import csv
        from io import StringIO

        file, space = StringIO(), self.sweep.space
        writer = csv.writer(file, lineterminator="\n")
        names = [f"set {name}" if name in space.columns else name for name in space.domains]
        writer.writerow(["model", *names, *space.columns, "pareto", "reason"])
        for index, row in enumerate(self.sweep.rows):
            counted = [_cell((row.quantities or {}).get(name)) for name in space.columns]
            best = text(index in self.sweep.best)
            writer.writerow([row.model, *map(_cell, row.values.values()), *counted, best, row.reason or ""])
        return file.getvalue()

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data: the contract of `--format json`."""
        sweep = self.sweep
        return {
            "schema": SCHEMA,
            "spec": sweep.spec,
            "models": list(sweep.space.models),
            "parameters": {name: [_plain(value) for value in values] for name, values in sweep.space.domains.items()},
            "combinations": len(sweep.space),
            "tried": sweep.tried,
            "front": [{"quantity": goal.quantity, "sense": "max" if goal.most else "min"} for goal in sweep.goals],
            "rows": list(self._data()),
        }

    def _data(self) -> Iterator[dict[str, Any]]:
        for index, row in enumerate(self.sweep.rows):
            yield {**row_data(row), "pareto": index in self.sweep.best}


def _with_reason(lines: list[str], reason: str, width: int) -> list[str]:
    """The lines of a row with what keeps it from being a model: behind the last, or below where it finds no room."""
    if len(re.sub(r"\x1b\[\d+m", "", lines[-1])) + 2 + len(reason) <= width:
        return [*lines[:-1], f"{lines[-1]}  {styled(reason, 'red')}"]
    below = wrapped(reason, width, initial_indent="    ", subsequent_indent="    ")
    return [*lines, *(styled(line, "red") for line in below)]


def row_data(row: Row) -> dict[str, Any]:
    """A combination and what came of it as plain data."""
    return {
        "model": row.model,
        "values": {name: _plain(value) for name, value in row.values.items()},
        "quantities": {name: _plain(value) for name, value in row.quantities.items()} if row.quantities else None,
        "reason": row.reason,
    }


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else text(value)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Declaration) else value
