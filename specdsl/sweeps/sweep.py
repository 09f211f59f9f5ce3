"""Sweeps: every combination of models and values, analysed; one that makes no valid model says why."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from specdsl.analyses import QUANTITIES, analyse, quantities
from specdsl.diagnostics import Diagnostic, Slug, SpecError, did_you_mean
from specdsl.limits import Limits
from specdsl.resolve import Importer, Program
from specdsl.resolve.conditions import Given
from specdsl.source import Source
from specdsl.sweeps.domains import MOST, Domain
from specdsl.sweeps.pareto import DEFAULT_FRONT, Goal, front

if TYPE_CHECKING:
    from specdsl.sweeps.shown import Table

DEFAULT_COLUMNS = ("params", "macs", "flops", "peak_activation_bytes", "receptive_field", "depth")
"""What a sweep tells of each model unless it is told otherwise."""

CHUNK = 16
"""Combinations that a process works on at a time."""


class Text(NamedTuple):
    """A spec as a process of its own can read it: name, text, the path from which it may import, limits."""

    name: str
    text: str
    path: Path | None = None
    limits: Limits | None = None

    def program(self) -> Program:
        """The definitions in it."""
        importer = Importer(self.path, self.limits or Limits()) if self.path else None
        return Program(Source(self.name, self.text), self.limits, importer)


class Row(NamedTuple):
    """One combination and what came of it.

    Attributes:
        model: the name of the model.
        values: the values of the parameters that were varied or set.
        quantities: what was counted, by name; None where there is no such model.
        reason: why there is none, in one line; None where there is one.
    """

    model: str
    values: Mapping[str, Any]
    quantities: Mapping[str, Any] | None
    reason: str | None = None


@dataclass(frozen=True)
class Space:
    """All combinations of models and values, in the order in which they are tried: the last parameter varies fastest.

    Attributes:
        models: the names of the models.
        domains: the values of each parameter.
        columns: the quantities that are wanted.
        where: what a model must meet, or None.
    """

    models: tuple[str, ...]
    domains: Mapping[str, Domain]
    columns: tuple[str, ...]
    where: Given | None = None

    def __len__(self) -> int:
        return len(self.models) * prod(map(len, self.domains.values()))

    def combination(self, number: int) -> tuple[str, dict[str, Any]]:
        """The model and the values with a number."""
        values: dict[str, Any] = {}
        for name in reversed(list(self.domains)):
            number, index = divmod(number, len(self.domains[name]))
            values[name] = self.domains[name][index]
        return self.models[number], {name: values[name] for name in self.domains}

    def row(self, program: Program, number: int) -> Row | None:
        """What comes of a combination; None where that is not wanted."""
        return self.of(program, *self.combination(number))

    def of(self, program: Program, model: str, values: dict[str, Any], *, always: bool = False) -> Row | None:
        """What comes of a model with these values; None where that is not wanted, unless it is asked for always."""
        try:
            known = quantities(analyse(graph := program.graph(model, values)))
            if self.where and not always and not self.where.holds(_named(self.where.names, known, graph.parameters)):
                return None
            return Row(model, values, {name: known[name] for name in self.columns})
        except SpecError as error:
            return Row(model, values, None, _reason(error.diagnostics[0]))


def _named(names: Sequence[str], known: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: known[name] if name in known else parameters[name] for name in names if name in [*known, *parameters]}


def _reason(wrong: Diagnostic) -> str:
    """A mistake in one line, with the line of the text that it is in."""
    if wrong.span is None:
        return wrong.message
    if wrong.span.source.name.startswith("--"):
        return f"{wrong.span.source.name}: {wrong.message}"
    return f"line {wrong.span.position[0]}: {wrong.message}"


def _rank(value: Any) -> tuple[int, Any]:
    """What orders values of any kinds: numbers, lists of numbers by their first one, and then all others as text."""
    if isinstance(value, int | float):
        return (0, value)
    if isinstance(value, list | tuple) and all(isinstance(item, int | float) for item in value):
        return (1, tuple(value))
    return (2, str(value))


@dataclass
class Sweep:
    """What came of a sweep: rows in the order of the combinations, or as `sorted` leaves them.

    Attributes:
        spec: the name of the text.
        rows: what came of each combination that was wanted.
        space: the combinations.
        tried: how many of them were tried: fewer than there are where the sweep was interrupted.
        goals: what the Pareto front is of.
    """

    spec: str
    rows: list[Row]
    space: Space
    tried: int
    goals: tuple[Goal, ...] = DEFAULT_FRONT
    best: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        self.best = front(self.goals, [row.quantities for row in self.rows])

    @property
    def valid(self) -> list[Row]:
        """The rows that have a model."""
        return [row for row in self.rows if row.quantities is not None]

    @property
    def pareto(self) -> list[Row]:
        """The rows on the Pareto front, in the order of the rows."""
        return [row for number, row in enumerate(self.rows) if number in self.best]

    def sorted(self, by: str, *, descending: bool = False) -> Sweep:
        """The same with its rows in the order of a quantity or parameter, those without a model or a value last.

        Raises:
            SpecError: it is neither.
        """
        known = [*self.space.columns, *self.space.domains, "model"]
        if by not in known:
            message = f"rows are sorted by {', '.join(known)}, not by '{by}'"
            raise SpecError([Diagnostic(Slug.UNKNOWN_NAME, message)])

        def value(row: Row) -> Any:
            if row.quantities is None:
                return None
            return row.model if by == "model" else row.quantities.get(by, row.values.get(by))

        whole = [row for row in self.rows if value(row) is not None]
        rest = [row for row in self.rows if value(row) is None]
        rows = sorted(whole, key=lambda row: _rank(value(row)), reverse=descending) + rest
        return Sweep(self.spec, rows, self.space, self.tried, self.goals)

    def table(self) -> Table:
        """The rows, ready to be shown as text, Markdown, CSV or data."""
        from specdsl.sweeps.shown import Table

        return Table(self)

    def plot(self, path: str | Path) -> None:
        """Draw the rows and the Pareto front to a file that ends in .svg, .png or .pdf. Imports matplotlib.

        Raises:
            ModuleNotFoundError: there is no matplotlib.
            ValueError: the file has another ending, or there is nothing to draw.
        """
        from specdsl.sweeps.plot import save

        save(self, Path(path))

    def __str__(self) -> str:
        return self.table().plain()

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        return self.table().to_markdown()


def space_of(
    program: Program,
    models: Sequence[str] | None,
    domains: Mapping[str, Domain],
    columns: Sequence[str] = DEFAULT_COLUMNS,
    where: str | None = None,
    limits: Limits | None = None,
) -> Space:
    """The combinations of models and values, checked as far as that goes before any is tried.

    Raises:
        SpecError: there is no such model, none of the models has such a parameter, or there are too many combinations.
    """
    chosen = tuple(dict.fromkeys(models or (program.default_model(),)))
    names = [program.parameters_of(model) for model in chosen]
    for name in domains:
        if not any(name in own for own in names):
            program.graph(chosen[0], {name: domains[name][0]})  # says that there is none, and which there are
    for column in columns:
        if column not in QUANTITIES:
            hint = did_you_mean(column, QUANTITIES) or f"there are {', '.join(QUANTITIES)}"
            raise SpecError([Diagnostic(Slug.UNKNOWN_NAME, f"'{column}' is not counted", help=hint)])
    condition = Given(where, "--where", limits) if where else None
    if condition:
        own_names = [name for own in names for name in own]
        condition.require([*QUANTITIES, *own_names], "quantity or parameter")
        for name in condition.names:
            if name in QUANTITIES and name in own_names:
                message = f"'{name}' is both a parameter of the model and something that is counted"
                raise SpecError([Diagnostic(Slug.DUPLICATE, message, help="give the parameter another name")])
    space = Space(chosen, domains, tuple(dict.fromkeys(columns)), condition)
    if len(space) > MOST:
        message = f"there are {len(space):,} combinations, and {MOST:,} are the most"
        raise SpecError([Diagnostic(Slug.LIMIT, message)])
    return space


Progress = Callable[[int, int], None]
"""Is told how many combinations are done, and of how many."""


def sweep(
    text: Text,
    domains: Mapping[str, Domain],
    models: Sequence[str] | None = None,
    *,
    columns: Sequence[str] = DEFAULT_COLUMNS,
    where: str | None = None,
    goals: Sequence[Goal] = DEFAULT_FRONT,
    jobs: int = 1,
    progress: Progress | None = None,
    program: Program | None = None,
) -> Sweep:
    """Analyse every combination of models and values. On Ctrl-C, what is done is kept: `tried` says how much.

    Args:
        text: the spec.
        domains: the values of each parameter.
        models: the models; by default the file's only or last one.
        columns: the quantities that are wanted.
        where: an expression over quantities and parameters; models that do not meet it are left out.
        goals: what the Pareto front is of.
        jobs: how many processes share the work; those beyond the machine's processors are not begun.
        progress: is told how many combinations are done, and of how many.
        program: the definitions of the text, where they are at hand.

    Raises:
        SpecError: there is no such model, parameter or quantity, or there are too many combinations.
    """
    program = program or text.program()
    wanted = dict.fromkeys([*columns, *(goal.quantity for goal in goals)])
    space = space_of(program, models, domains, tuple(wanted), where, text.limits)
    done: list[Row | None] = []  # in one list, whose length is how many were tried wherever Ctrl-C comes in between
    try:
        for row in _rows(text, program, space, _useful(jobs, len(space))):
            done.append(row)
            if progress:
                progress(len(done), len(space))
    except KeyboardInterrupt:
        pass
    return Sweep(text.name, [row for row in done if row is not None], space, len(done), tuple(goals))


def _useful(jobs: int, combinations: int) -> int:
    """As many processes as there are chunks and processors for, up to those that are asked for."""
    return min(jobs, 1 + combinations // (2 * CHUNK), os.cpu_count() or 1)


def _rows(text: Text, program: Program, space: Space, jobs: int) -> Iterator[Row | None]:
    if jobs <= 1:
        for number in range(len(space)):
            yield space.row(program, number)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from specdsl.interrupts import interrupts_held

    where = space.where.written if space.where else None
    begin = (text, space.models, dict(space.domains), space.columns, where)
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), _begin, begin)
    try:
        with interrupts_held():  # which begins the processes
            rows = pool.map(_work, range(len(space)), chunksize=CHUNK)
        yield from rows
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


_AT_WORK: list[tuple[Program, Space]] = []
"""In a process of a pool: what it works on."""


def _begin(text: Text, models: tuple[str, ...], domains: Mapping[str, Domain], columns: tuple[str, ...],
           where: str | None) -> None:  # fmt: skip
    """Make a process of a pool ready. Ctrl-C is for the process that waits for it."""
    from signal import SIG_IGN, SIGINT, signal

    signal(SIGINT, SIG_IGN)
    condition = Given(where, "--where", text.limits) if where else None
    _AT_WORK[:] = [(text.program(), Space(models, domains, columns, condition))]


def _work(number: int) -> Row | None:
    program, space = _AT_WORK[0]
    return space.row(program, number)
