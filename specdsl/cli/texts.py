"""The verbs `fmt` and `layers`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from specdsl.cli.shared import (
    FAILED,
    PATH,
    WRONG_INPUT,
    WrongInput,
    complain,
    spec_files,
    write,
)
from specdsl.diagnostics import SpecError, did_you_mean


@click.command()
@click.argument("specs", nargs=-1, required=True, type=PATH, metavar="SPEC...")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 1 when a file is not in canonical form.")
def fmt(specs: tuple[Path, ...], only_check: bool) -> None:
    """Give specs their one canonical form. Comments stay. `-` reads standard input and writes standard output."""
    from specdsl.api import read
    from specdsl.source import Source
    from specdsl.syntax.formatter import format_source

    wrong = changed = 0
    for path in spec_files(specs):
        from_input = str(path) == "-"
        try:
            source = Source("<stdin>", sys.stdin.read()) if from_input else read(path)
            formatted = format_source(source)
        except SpecError as error:
            complain(error.diagnostics)
            wrong += 1
            continue
        if from_input and not only_check:
            click.echo(formatted, nl=False)
        elif formatted != source.text:
            changed += 1
            if not only_check:
                write(path, formatted.encode())
            click.echo(f"{'would change' if only_check else 'formatted'} {path}", err=True)
    if wrong:
        sys.exit(WRONG_INPUT)
    if only_check and changed:
        sys.exit(FAILED)


@click.command()
@click.argument("name", required=False)
def layers(name: str | None) -> None:
    """List the layers that a spec may use, or describe one of them."""
    from specdsl.backends import reference
    from specdsl.layers import NAMES

    if name is None:
        click.echo(reference.overview(), nl=False)
    elif name in NAMES:
        click.echo(reference.layer_page(NAMES[name]), nl=False)
    else:
        hint = did_you_mean(name, NAMES)
        raise WrongInput(f"there is no layer '{name}'{f'; {hint}' if hint else ''}")
