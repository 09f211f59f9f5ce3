"""The verb `solve`."""

from __future__ import annotations

import shutil
import sys
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from specdsl.cli.shared import FAILED, LIMITS, MODEL, SPEC, WrongInput, load_spec, parameters, spec_and_model
from specdsl.cli.sweeping import Progress
from specdsl.limits import Limits

if TYPE_CHECKING:
    from specdsl.sweeps import Domain, Row, Solution

BUDGETS = {
    "params": "params",
    "macs": "macs",
    "flops": "flops",
    "weight_bytes": "weight_bytes",
    "peak": "peak_activation_bytes",
}
"""The quantities of the options that are budgets."""


@click.command()
@SPEC
@MODEL
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=?VALUES",
    help="What to look for: width=?, width=?8..512:8 or n=?3,9,18; or the value of another parameter: n=3.",
)
@click.option("--params", metavar="AMOUNT", help="The most parameters: 1M, 1.5k, 12_000.")
@click.option("--macs", metavar="AMOUNT", help="The most multiply-accumulates for one example.")
@click.option("--flops", metavar="AMOUNT", help="The most floating-point operations for one example.")
@click.option("--weight-bytes", metavar="AMOUNT", help="The most memory of all weights: 4MiB, 500kB.")
@click.option("--peak", metavar="AMOUNT", help="The most memory that activations take at once.")
@click.option("--where", metavar="CONDITION", help="What must hold beside, such as 'depth <= 56'.")
@click.option("--maximise", metavar="QUANTITY", help="What should be largest, in place of the values themselves.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@LIMITS
def solve(
    spec: str,
    model: str | None,
    settings: tuple[str, ...],
    where: str | None,
    maximise: str | None,
    form: str,
    limits: Limits,
    **given: str | None,
) -> None:
    """Find the largest value of a parameter with which a model keeps within budgets.

    The exit code is 1 when nothing fits.
    """
    from specdsl.sweeps import Budget
    from specdsl.sweeps.solving import amount

    path, model = spec_and_model(spec, model)
    unknowns, values = _settings(settings, limits)
    budgets = [Budget(BUDGETS[name], amount(text, BUDGETS[name])) for name, text in given.items() if text is not None]
    loaded = load_spec(path, limits)
    with Progress("models at the most") as bar:
        solution = loaded.solve(
            unknowns, budgets, model, values=values, where=where, maximise=maximise, progress=bar.update
        )
    if form == "json":
        import json

        click.echo(json.dumps(_data(solution), indent=2, ensure_ascii=False))
    elif solution.best:
        click.echo("\n".join(_lines(solution, solution.best, maximise)))
    if solution.best is None:
        click.echo(f"error: {_nothing(solution)}", err=True)
        sys.exit(FAILED)


def _settings(settings: tuple[str, ...], limits: Limits) -> tuple[dict[str, Domain | None], dict[str, Any]]:
    """What to look for, and the values of other parameters.

    Raises:
        SpecError: there are values that are none.
        WrongInput: nothing is to be looked for, or a setting is none.
    """
    from specdsl.sweeps import domain

    unknowns: dict[str, Domain | None] = {}
    rest: list[str] = []
    for setting in settings:
        name, _, written = setting.partition("=")
        if not written.strip().startswith("?"):
            rest.append(setting)
            continue
        if not name.isidentifier():
            raise WrongInput(f"--set takes NAME=?VALUES, not '{setting}'")
        if name in unknowns:
            raise WrongInput(f"--set gives '{name}' twice")
        values = written.strip()[1:].strip()
        unknowns[name] = domain(values, f"--set {name}", limits) if values else None
    if not unknowns:
        raise WrongInput("nothing is to be looked for: give a parameter as in --set width=? or --set width=?8..512:8")
    fixed = parameters(tuple(rest), limits)
    for name in fixed:
        if name in unknowns:
            raise WrongInput(f"--set gives '{name}' twice")
    return unknowns, fixed


def _lines(solution: Solution, best: Row, maximise: str | None) -> list[str]:
    from specdsl.backends.table import Column, Line, fitted, styled, wrapped
    from specdsl.declaration import text
    from specdsl.sweeps.shown import amount, heading

    width = shutil.get_terminal_size().columns
    values = ", ".join(f"{name} = {text(best.values[name])}" for name in solution.unknowns)
    what = f"has the most {maximise} that fits" if maximise else "is the largest that fits"
    rest = ", ".join(f"{name}={text(value)}" for name, value in best.values.items() if name not in solution.unknowns)
    about = f"{best.model} ({rest})" if rest else best.model
    lines = wrapped(f"{about}: {values} {what}", width)
    lines = [*([f"{about}: {styled(values, 'bold')} {what}"] if len(lines) == 1 else lines), ""]
    quantities = best.quantities or {}
    budgets = {one.quantity: one.most for one in solution.budgets}
    rows = []
    for name, value in quantities.items():
        most = budgets.get(name)
        left = "" if most is None else f"{amount(name, most - value)}"
        share = "" if not most else f"{100 * value / most:.1f} %"
        cells = [heading(name), amount(name, value), "" if most is None else amount(name, most), left, share]
        rows.append([[Line(cell)] for cell in cells])
    titles = [Column(""), *(Column(title, right=True) for title in ("", "Budget", "Left", "Used"))]
    lines += [*(line for row in fitted(titles, rows, width) for line in row), ""]
    if after := solution.next:
        name = next(name for name in solution.unknowns if after.values[name] != best.values[name])
        lines += wrap(f"Next: {name} = {text(after.values[name])} {_next(solution, after)}.", width)
    tried = f"{solution.tried:,} model{'' if solution.tried == 1 else 's'} analysed."
    lines += wrap(f"{solution.bound}: larger values need no look. {tried}" if solution.bound else tried, width)
    return lines


def _next(solution: Solution, after: Row) -> str:
    """What is wrong with the value after the best."""
    from specdsl.sweeps.shown import amount

    if after.quantities is None:
        return f"makes no valid model: {after.reason}"
    over = []
    for one in solution.budgets:
        value = after.quantities[one.quantity]
        if value is None:
            over.append(f"has an unknown {one.quantity}")
        elif value > one.most:
            part = f", {100 * (value / one.most - 1):.1f} % too many" if one.most else ""
            over.append(f"has {one.quantity} = {amount(one.quantity, value)}{part}")
    return " and ".join(over) or "does not meet the condition"


def _nothing(solution: Solution) -> str:
    """That nothing fits, and what comes closest."""
    from specdsl.declaration import text
    from specdsl.sweeps.shown import amount

    budgets = " and ".join(f"{one.quantity} of at most {amount(one.quantity, one.most)}" for one in solution.budgets)
    told = f"nothing fits {budgets}"
    if solution.closest:
        values = ", ".join(f"{name} = {text(solution.closest.values[name])}" for name in solution.unknowns)
        known = solution.closest.quantities or {}
        has = " and ".join(f"{one.quantity} = {amount(one.quantity, known[one.quantity])}" for one in solution.budgets)
        return f"{told}: closest is {values} with {has}"
    return f"{told}: no value makes a valid model; {solution.failed}" if solution.failed else told


def _data(solution: Solution) -> dict[str, Any]:
    from specdsl.sweeps.shown import row_data

    return {
        "schema": 1,
        "unknowns": list(solution.unknowns),
        "budgets": {one.quantity: one.most for one in solution.budgets},
        "best": row_data(solution.best) if solution.best else None,
        "next": row_data(solution.next) if solution.next else None,
        "closest": row_data(solution.closest) if solution.closest else None,
        "bound": solution.bound,
        "tried": solution.tried,
    }
