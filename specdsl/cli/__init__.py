"""The command line. Each verb loads what it needs when it runs, and nothing else."""

from __future__ import annotations

import sys

import click

from specdsl.cli.compiling import check, compile_, diff
from specdsl.cli.data import data
from specdsl.cli.explaining import explain
from specdsl.cli.importing import import_
from specdsl.cli.results import compare, results
from specdsl.cli.shared import (
    FAILED,
    INTERRUPTED,
    WRONG_INPUT,
    abandon_output,
    colour,
    complain,
    point_to_explanations,
    with_quotes_for_shells,
)
from specdsl.cli.solving import solve
from specdsl.cli.sweeping import sweep
from specdsl.cli.texts import fmt, layers, operations, recipes, schema
from specdsl.cli.training import experiment, train
from specdsl.cli.using import evaluate, export, predict
from specdsl.diagnostics import SpecError
from specdsl.version import __version__

__all__ = ["cli", "main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=True)
@click.version_option(__version__, "--version", "-V", prog_name="specdsl")
def cli() -> None:
    """Neural networks as short texts: checked, analysed, drawn, compiled to Keras and trained."""


for _verb in (
    check,
    compile_,
    diff,
    sweep,
    solve,
    train,
    experiment,
    results,
    compare,
    evaluate,
    predict,
    export,
    data,
    import_,
    fmt,
    layers,
    operations,
    recipes,
    schema,
    explain,
):
    cli.add_command(_verb)


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed at run time, 2 a mistake in what the user gave, 130 Ctrl-C."""
    try:
        code = cli.main(standalone_mode=False, color=colour())
        sys.stdout.flush()
    except SpecError as error:
        complain([with_quotes_for_shells(one) for one in error.diagnostics])
        point_to_explanations(error.diagnostics)
        code = WRONG_INPUT
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        code = INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except BrokenPipeError:
        abandon_output()
        code = 0
    except OSError as error:
        abandon_output()
        click.echo(f"error: {error.filename or 'standard output'}: {error.strerror or error}", err=True)
        code = FAILED
    sys.exit(code if isinstance(code, int) else 0)
