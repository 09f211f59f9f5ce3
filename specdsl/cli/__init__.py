"""The command line. Each verb loads what it needs when it runs, and nothing else."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import ClassVar

import click

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
from specdsl.diagnostics import SpecError, did_you_mean
from specdsl.version import __version__

__all__ = ["cli", "main"]

VERBS = {
    "compiling": ("check", "compile_", "diff"),
    "sweeping": ("sweep",),
    "solving": ("solve",),
    "training": ("train", "experiment"),
    "results": ("results", "compare"),
    "using": ("evaluate", "predict", "export"),
    "data": ("data",),
    "importing": ("import_",),
    "texts": ("fmt", "layers", "operations", "recipes", "schema"),
    "explaining": ("explain",),
}
"""The files of this package, and the verbs in each. What is a word of Python has an underscore behind it there."""


class _Verbs(click.Group):
    """Verbs whose files are loaded when one of them is asked for: most of them are not, at any one start."""

    _places: ClassVar[dict[str, tuple[str, str]]] = {
        name.removesuffix("_"): (file, name) for file, names in VERBS.items() for name in names
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._places:
            return None
        file, name = self._places[cmd_name]
        command = getattr(import_module(f"specdsl.cli.{file}"), name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self._places and not ctx.resilient_parsing:
            hint = did_you_mean(args[0], self._places)
            ctx.fail(f"there is no verb '{args[0]}'{f'; {hint}' if hint else ''}")
        return super().resolve_command(ctx, args)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=True)
@click.version_option(__version__, "--version", "-V", prog_name="specdsl")
def cli() -> None:
    """Neural networks as short texts: checked, analysed, drawn, compiled to Keras and trained."""


def _prepare_streams() -> None:
    """Have standard input and output take part whatever they are.

    What a caller has closed leads nowhere, and does so before another file takes its number, and with it what is told
    later. What an encoding cannot say is told by numbers, `\\u2265`.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - it stays open
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.encoding.lower() != "utf-8":
        sys.stdout.reconfigure(errors="backslashreplace")


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed at run time, 2 a mistake in what the user gave, 130 Ctrl-C."""
    _prepare_streams()
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
