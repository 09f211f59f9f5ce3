"""The verb `import`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from specdsl.cli.shared import (
    LIMITS,
    PATH,
    STANDARD,
    WRONG_INPUT,
    check_places,
    complain,
    form_of_mistakes,
    point_to_explanations,
    tell_machines,
    write,
)
from specdsl.diagnostics import SpecError
from specdsl.limits import Limits


@click.command("import")
@click.argument("path", type=PATH, metavar="FILE")
@click.option(
    "-o", "--output", type=PATH, metavar="OUT.spec", help="Where to write the spec; by default, standard output."
)
@click.option(
    "--fold", "folded", is_flag=True, help="Write parts that are alike once, as blocks and loops; layers get new names."
)
@form_of_mistakes("How to tell what in the file no spec can say.")
@LIMITS
def import_(path: Path, output: Path | None, folded: bool, form: str, limits: Limits) -> None:
    """Turn a Keras model into a spec: FILE is JSON, a .keras archive or HDF5.

    Keras is not needed for it, and no code from the file is run. `-` reads standard input.
    """
    from specdsl.importing import import_file

    output = None if output == STANDARD else output
    check_places(path, output, what="the file")
    try:
        if path == STANDARD:
            imported = import_file(None, "<stdin>", limits, sys.stdin.buffer, folded=folded)
        else:
            imported = import_file(path, str(path), limits, folded=folded)
    except SpecError as error:
        if form == "full":
            complain(error.diagnostics)
            point_to_explanations(error.diagnostics)
        else:
            tell_machines(error.diagnostics, form)
        sys.exit(WRONG_INPUT)
    for note in imported.notes:
        click.echo(f"note: {note}", err=True)
    if output is None:
        click.echo(imported.text, nl=False)
    else:
        write(output, imported.text.encode())
        click.echo(f"wrote {output}", err=True)
