"""The verb `sweep`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specdsl.cli.shared import (
    FAILED,
    INTERRUPTED,
    LIMITS,
    PATH,
    SPEC,
    STANDARD,
    Failure,
    WrongInput,
    check_places,
    load_spec,
    spec_and_model,
    write,
)
from specdsl.limits import Limits

if TYPE_CHECKING:
    from specdsl.sweeps import Domain, Sweep


@click.command()
@SPEC
@click.option("--model", "models", metavar="NAMES", help="Models, with commas between them, or `all` of the file.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUES",
    help="Values of a parameter: 16..256:16, 8..512:*2, 20,56,110, or any values of the language.",
)
@click.option("--columns", metavar="NAMES", help="The quantities to show, by the names that `expect` has for them.")
@click.option("--where", metavar="CONDITION", help="Leave out what does not meet this, such as 'params < 1M'.")
@click.option("--sort", metavar="NAME", help="Sort by a quantity or parameter; `-NAME` begins with the greatest.")
@click.option("--pareto", metavar="GOALS", help="Mark the front of other goals than min:macs,max:params.", default=None)
@click.option("--plot", type=PATH, metavar="FILE", help="Draw the first two goals: .svg, .png or .pdf.")
@click.option(
    "--format", "form", type=click.Choice(["table", "markdown", "csv", "json"]), default="table", show_default=True
)
@click.option("-o", "--output", type=PATH, metavar="FILE", help="Where to write the table.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes that share the work.")
@LIMITS
def sweep(
    spec: str,
    models: str | None,
    settings: tuple[str, ...],
    columns: str | None,
    where: str | None,
    sort: str | None,
    pareto: str | None,
    plot: Path | None,
    form: str,
    output: Path | None,
    jobs: int,
    limits: Limits,
) -> None:
    """Count every combination of values for a model's parameters, and show them in a table.

    A combination that makes no valid model has its reason in the table. Ctrl-C shows what is done.
    """
    from specdsl.sweeps.pareto import DEFAULT_FRONT, goals
    from specdsl.sweeps.sweep import DEFAULT_COLUMNS

    output = None if output == STANDARD else output
    path, names = spec_and_model(spec, models)
    check_places(path, output, plot, what="the spec")
    if plot is not None:
        _check_plot(plot)
    domains = _domains(settings, limits)
    loaded = load_spec(path, limits)
    wanted = _columns(sort, columns.split(",") if columns else DEFAULT_COLUMNS, domains)
    chosen = [names] if models is None and names is not None else _models(names, loaded.models)
    front = pareto or ",".join(f"{'max' if goal.most else 'min'}:{goal.quantity}" for goal in DEFAULT_FRONT)
    goals(front)
    with Progress("combinations") as progress:
        done = loaded.sweep(
            domains, chosen, columns=wanted, where=where, front=front, jobs=jobs, progress=progress.update
        )
    if sort:
        done = done.sorted(sort.removeprefix("-"), descending=sort.startswith("-"))
    _show(done, form, output)
    if plot is not None:
        _draw(done, plot)
    if done.tried < len(done.space):
        sys.exit(INTERRUPTED)
    if not done.valid and done.rows:
        sys.exit(FAILED)


def _domains(settings: tuple[str, ...], limits: Limits) -> dict[str, Domain]:
    """The values of `--set NAME=VALUES`.

    Raises:
        SpecError: one of them is no list of values.
        WrongInput: one of them is no such setting.
    """
    from specdsl.sweeps import domain

    domains: dict[str, Domain] = {}
    for setting in settings:
        name, separator, values = setting.partition("=")
        name = name.strip()
        if not separator or not name.isidentifier():
            raise WrongInput(f"--set takes NAME=VALUES, not '{setting}'")
        if name in domains:
            raise WrongInput(f"--set gives '{name}' twice")
        domains[name] = domain(values, f"--set {name}", limits)
    return domains


def _columns(sort: str | None, columns: list[str] | tuple[str, ...], domains: dict[str, Domain]) -> tuple[str, ...]:
    names = [name.strip() for name in columns]
    key = (sort or "").removeprefix("-")
    return tuple(dict.fromkeys([*names, *([key] if key and key not in domains and key != "model" else [])]))


def _models(names: str | None, known: tuple[str, ...]) -> list[str] | None:
    if names is None:
        return None
    return list(known) if names == "all" else [name.strip() for name in names.split(",")]


class Progress:
    """How far a search is, for someone who sits at a terminal."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        console = Console(stderr=True)
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn(self._what), TimeRemainingColumn(compact=True))
        self._bar = Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=None)
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def update(self, done: int, total: int) -> None:
        """Show how many combinations are done, and of how many."""
        self._bar.update(self._task, completed=done, total=total)


def _show(done: Sweep, form: str, output: Path | None) -> None:
    table = done.table()
    if form == "table":
        text = table.to_text(shutil.get_terminal_size().columns)
        text = text if output is None else click.unstyle(text)
    elif form == "markdown":
        text = table.to_markdown()
    elif form == "csv":
        text = table.to_csv()
    else:
        import json

        text = json.dumps(table.to_dict(), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        write(output, text.encode())
        click.echo(f"wrote {output}", err=True)


def _check_plot(path: Path) -> None:
    """Refuse what cannot be drawn before any work is done."""
    try:
        from specdsl.sweeps.plot import FORMATS
    except ModuleNotFoundError as error:
        raise Failure(f"a plot needs {error.name}: `pip install 'specdsl[training]'` brings it") from None
    if path.suffix.lower() not in FORMATS:
        raise WrongInput(f"a plot is written to a file that ends in {', '.join(FORMATS)}, not to {path}")


def _draw(done: Sweep, path: Path) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / path.name
        try:
            done.plot(file)
        except ValueError as error:
            raise Failure(str(error)) from None
        write(path, file.read_bytes())
    click.echo(f"wrote {path}", err=True)
