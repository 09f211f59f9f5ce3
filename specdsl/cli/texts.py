"""The verbs `fmt`, `layers` and `schema`."""

from __future__ import annotations

import shutil
import sys
from io import StringIO
from pathlib import Path

import click

from specdsl.cli.shared import (
    FAILED,
    LIMITS,
    PATH,
    STANDARD,
    WRONG_INPUT,
    WrongInput,
    colour,
    complain,
    point_to_explanations,
    running_text,
    spec_files,
    standard_input,
    write,
)
from specdsl.diagnostics import Diagnostic, SpecError, did_you_mean
from specdsl.limits import Limits


@click.command()
@click.argument("specs", nargs=-1, required=True, type=PATH, metavar="SPEC...")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 1 when a file is not in canonical form.")
@click.option("--diff", "show_diff", is_flag=True, help="Show what would change, and otherwise do as --check does.")
@LIMITS
def fmt(specs: tuple[Path, ...], only_check: bool, show_diff: bool, limits: Limits) -> None:
    """Give specs their one canonical form. Comments stay. `-` reads standard input and writes standard output."""
    from specdsl.api import read
    from specdsl.syntax.formatter import format_source

    mistakes: list[Diagnostic] = []
    changed = 0
    for path in spec_files(specs):
        from_input = path == STANDARD
        try:
            source = standard_input(limits) if from_input else read(path, limits)
            formatted = format_source(source, limits)
        except SpecError as error:
            complain(error.diagnostics)
            mistakes += error.diagnostics
            continue
        differs = formatted != source.text
        changed += differs
        if show_diff:
            click.echo(_difference(source.name, source.text, formatted), nl=False, color=colour())
        if only_check or show_diff:
            if only_check and differs:
                click.echo(f"would change {source.name}", err=True)
        elif from_input:
            click.echo(formatted, nl=False)
        elif differs:
            write(path, formatted.encode())
            click.echo(f"formatted {path}", err=True)
    if mistakes:
        point_to_explanations(mistakes)
        sys.exit(WRONG_INPUT)
    if changed and (only_check or show_diff):
        sys.exit(FAILED)


def _difference(name: str, before: str, after: str) -> str:
    """What changes from one text to another, as a unified diff in colours; nothing where nothing does."""
    from difflib import unified_diff

    colours = {"@": "cyan", "-": "red", "+": "green"}
    lines = unified_diff(list(StringIO(before)), list(StringIO(after)), name, name)
    shown = []
    for index, line in enumerate(lines):
        words = line.removesuffix("\n")
        fg = colours.get(words[0]) if index > 1 else None  # the first two lines name the texts
        shown.append(f"{click.style(words, fg=fg) if fg else words}\n")
        if words == line:
            shown.append("\\ No newline at end of file\n")
    return "".join(shown)


@click.command()
@click.argument("name", required=False)
@click.option(
    "--coverage",
    is_flag=True,
    help="All of Keras's layers, or why not, as Markdown.",
)
def layers(name: str | None, coverage: bool) -> None:
    """List the layers that a spec may use, or describe one of them."""
    from specdsl.backends import reference
    from specdsl.layers import NAMES, NO_LAYER, UNDECLARABLE

    if coverage:
        if name is not None:
            raise click.UsageError("--coverage tells of all layers, and takes no name")
        from specdsl.backends.coverage import coverage as page

        click.echo(page(), nl=False)
    elif name is None:
        click.echo(reference.overview(shutil.get_terminal_size().columns), nl=False)
    elif name in NAMES:
        click.echo(reference.layer_page(NAMES[name], running_text()), nl=False)
    elif name in UNDECLARABLE or name in NO_LAYER:
        why = UNDECLARABLE.get(name) or NO_LAYER[name]
        raise WrongInput(f"Keras's {name} cannot stand in a text: {why.reason}; in its place: {why.instead}")
    else:
        from specdsl.backends.recipes import names

        hint = did_you_mean(name, NAMES)
        if name in names():
            hint = f"`specdsl recipes {name}` describes what a recipe may name"
        raise WrongInput(f"there is no layer '{name}'{f'; {hint}' if hint else ''}")


@click.command()
@click.argument("name", required=False)
@click.option("--markdown", is_flag=True, help="All operations as tables in Markdown.")
def operations(name: str | None, markdown: bool) -> None:
    """List the operations on images that a `data` block may use, or describe one of them."""
    from specdsl.backends import operations as reference
    from specdsl.recipes import OPERATIONS

    if markdown:
        if name is not None:
            raise click.UsageError("--markdown tells of all operations, and takes no name")
        click.echo(reference.markdown(), nl=False)
    elif name is None:
        click.echo(reference.overview(shutil.get_terminal_size().columns), nl=False)
    elif name in OPERATIONS:
        click.echo(reference.operation_page(OPERATIONS[name], running_text()), nl=False)
    else:
        hint = did_you_mean(name, OPERATIONS)
        raise WrongInput(f"there is no operation '{name}'{f'; {hint}' if hint else ''}")


@click.command()
@click.argument("name", required=False)
@click.option("--markdown", is_flag=True, help="The page of all of them in Markdown.")
def recipes(name: str | None, markdown: bool) -> None:
    """List the optimizers, losses, metrics and schedules that a `train` block may name, or describe one of them."""
    from specdsl.backends import recipes as reference

    if markdown:
        if name is not None:
            raise click.UsageError("--markdown tells of all of them, and takes no name")
        click.echo(reference.markdown(), nl=False)
    elif name is None:
        click.echo(reference.overview(shutil.get_terminal_size().columns), nl=False)
    elif shown := reference.pages(name, running_text()):
        click.echo(shown, nl=False)
    else:
        hint = did_you_mean(name, reference.names())
        raise WrongInput(f"no recipe can name '{name}'{f'; {hint}' if hint else ''}")


@click.command()
@click.argument("document", default="report")
def schema(document: str) -> None:
    """Print the JSON Schema of what another verb writes as JSON: `report`, `diff`, `results`, or `compare`."""
    import json

    from specdsl.backends.schemas import SCHEMAS
    from specdsl.results.schemas import SCHEMAS as OF_RESULTS

    known = {**SCHEMAS, **OF_RESULTS}
    if document not in known:
        hint = did_you_mean(document, known) or f"there are {', '.join(known)}"
        raise WrongInput(f"there is no document '{document}'; {hint}")
    click.echo(json.dumps(known[document](), indent=2, ensure_ascii=False))
