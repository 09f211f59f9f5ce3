"""What the verbs share: exit codes, options, loading, complaining, writing."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specdsl.diagnostics import Diagnostic, Paint, Slug, did_you_mean, in_quotes, render
from specdsl.limits import Limits

if TYPE_CHECKING:
    from specdsl.api import Spec
    from specdsl.source import Source

FAILED, WRONG_INPUT, INTERRUPTED = 1, 2, 130
"""Exit codes: a failure at run time, a mistake in what the user gave, Ctrl-C."""


class Failure(click.ClickException):
    """Something that went wrong at run time, through no mistake in a spec."""

    exit_code = FAILED

    def show(self, file: Any = None) -> None:
        """Say what went wrong on standard error."""
        click.echo(f"error: {self.message}", err=True)


class WrongInput(Failure):
    """A mistake in what the user gave."""

    exit_code = WRONG_INPUT


PATH = click.Path(path_type=Path)
STANDARD = Path("-")
"""Standard input, or standard output."""

SETTINGS = click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a parameter of the model.")
RECIPE_SETTINGS = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a parameter of the model, or something of the recipe: `train.epochs=5`, `data.validation.fraction=0.2`.",
)
SPEC = click.argument("spec", metavar="SPEC[:MODEL]")
MODEL = click.option("--model", "model", metavar="NAME", help="The model; by default the file's only or last one.")


def form_of_mistakes(told: str) -> Callable[[Any], Any]:
    """The option for how mistakes are told.

    Args:
        told: what `--help` says of it.
    """
    forms = click.Choice(["full", "concise", "json", "github"])
    return click.option("--format", "form", type=forms, default="full", show_default=True, help=told)


def tell_machines(mistakes: Sequence[Diagnostic], form: str) -> None:
    """Write mistakes to standard output in a form other than `full`."""
    from specdsl.diagnostics import render_concise, render_github, render_json

    if form == "json":
        click.echo(render_json(mistakes))
    else:
        one = render_concise if form == "concise" else render_github
        click.echo("".join(f"{one(mistake)}\n" for mistake in mistakes), nl=False)


def load_spec(path: Path, limits: Limits | None = None) -> Spec:
    """The spec in a file.

    Raises:
        SpecError: it cannot be read, or holds mistakes.
    """
    from specdsl.api import Spec, load

    return Spec(standard_input(limits), limits) if path == STANDARD else load(path, limits)


def standard_input(limits: Limits | None) -> Source:
    """The text that comes by standard input.

    Raises:
        SpecError: it is too large, or it is no UTF-8 text.
    """
    from specdsl.syntax.reading import read_from

    return read_from(sys.stdin.buffer, "<stdin>", limits)


def _limits(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> Limits:
    """The limits that `--limit NAME=VALUE` asks for.

    Raises:
        WrongInput: one of them is no limit, or no number that a limit can have.
    """
    wanted: dict[str, int] = {}
    for one in given:
        name, separator, value = one.partition("=")
        if not separator:
            raise WrongInput(f"--limit takes NAME=VALUE, not '{one}'")
        if name not in Limits._fields:
            hint = did_you_mean(name, Limits._fields) or f"there are {', '.join(Limits._fields)}"
            raise WrongInput(f"there is no limit '{name}'; {hint}")
        if name in wanted:
            raise WrongInput(f"--limit gives '{name}' twice")
        if not re.fullmatch(r"[0-9][0-9_]{0,40}", value) or int(value.replace("_", "")) == 0:
            raise WrongInput(f"the limit '{name}' is a whole number above zero, not '{value}'")
        wanted[name] = int(value.replace("_", ""))
    return Limits(**wanted)


LIMITS = click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_limits,
    help="Set one of the limits that keep a spec small and fast, such as `layers`.",
)


def spec_files(paths: Sequence[Path]) -> list[Path]:
    """The files that paths name: themselves, and of folders all `.spec` files in them, in order of their names.

    Raises:
        WrongInput: a folder holds no spec.
    """
    files: list[Path] = []
    for path in paths:
        found = sorted(path.rglob("*.spec")) if path.is_dir() else [path]
        if not found:
            raise WrongInput(f"the folder {path} holds no .spec file")
        files += found
    return files


def file_and_model(written: str, default: Path | None = None) -> tuple[Path, str | None]:
    """The file and the model that `FILE:MODEL`, `FILE` or `:MODEL` names.

    Raises:
        WrongInput: it names no file, or two models.
    """
    path, separator, model = written.rpartition(":")
    if not separator or Path(written).exists():
        return Path(written), None
    file, another, _ = path.rpartition(":")
    if another and not Path(path).exists() and Path(file).is_file():
        raise WrongInput(f"'{written}' names two models: write FILE:MODEL")
    if path:
        return Path(path), model or None
    if default is None:
        raise WrongInput(f"'{written}' names no file: write FILE:MODEL")
    return default, model or None


def spec_and_model(written: str, option: str | None) -> tuple[Path, str | None]:
    """The file and the model that `SPEC[:MODEL]` and `--model` name; None for the file's only or last model.

    Raises:
        WrongInput: both name a model, or neither a file.
    """
    path, model = file_and_model(written)
    if model is not None and option is not None:
        raise WrongInput(f"'{written}' and --model both name models: give one of them")
    return path, option if model is None else model


def parameters(settings: tuple[str, ...], limits: Limits) -> dict[str, Any]:
    """The values of `--set NAME=VALUE`, each an expression of the language.

    Raises:
        SpecError: one of them is no such setting.
    """
    from specdsl.resolve import Program
    from specdsl.source import Source

    parameters: dict[str, Any] = {}
    for setting in settings:
        name, separator, value = setting.partition("=")
        if separator and name.startswith(("train.", "data.")):
            raise WrongInput(f"--set sets parameters of the model here; '{name}' is set where it trains: specdsl train")
        if not separator or not name.isidentifier():
            raise WrongInput(f"--set takes NAME=VALUE, not '{setting}'")
        if name in parameters:
            raise WrongInput(f"--set gives '{name}' twice")
        head = f"let {name} = "
        program = Program(Source(f"--set {name}", head + value, len(head)), limits)
        program.raise_mistakes()
        if len(program.spec.items) != 1:
            raise WrongInput(f"--set takes one value for '{name}', not '{value}'")
        parameters[name] = program.frame.names[name][0]
    return parameters


def recipe_settings(settings: tuple[str, ...]) -> tuple[list[tuple[str, str, str]], tuple[str, ...]]:
    """What `--set` says of a recipe, as `specdsl.resolve.overridden` takes it, and the settings that are others."""
    of_recipe: list[tuple[str, str, str]] = []
    others: list[str] = []
    for setting in settings:
        path, separator, value = setting.partition("=")
        if separator and path.split(".")[0] in ("train", "data") and "." in path:
            of_recipe.append(("--set", path, value))
        else:
            others.append(setting)
    return of_recipe, tuple(others)


def count(number: int, what: str) -> str:
    """A number of things in words: `1 model`, `4 models`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def told(error: Exception) -> str:
    """A mistake in data or in arguments, with its help, as the command line tells it."""
    hint = getattr(error, "help", None)
    message = getattr(error, "message", str(error))
    return f"{message}\n  help: {hint.replace(chr(10), chr(10) + ' ' * 8)}" if hint else message


def running_text() -> int:
    """How wide running text is: as the terminal, and 100 columns at most."""
    return min(100, shutil.get_terminal_size().columns)


def colour() -> bool | None:
    """What click is to do with colours: drop them where `NO_COLOR` is set, else keep them only on a terminal."""
    return False if os.environ.get("NO_COLOR") else None


def complain(diagnostics: Sequence[Diagnostic], *, warning: bool = False) -> None:
    """Show diagnostics on standard error; in colours where that is a terminal."""
    paint: Paint | None = None
    if diagnostics and colour() is None and sys.stderr.isatty():
        from specdsl.cli.painting import paint
    for diagnostic in diagnostics:
        head, *rest = render(diagnostic, paint).split("\n")
        mark = f"error[{diagnostic.slug}]"
        shown = click.style(
            mark.replace("error", "warning") if warning else mark, fg="yellow" if warning else "red", bold=True
        )
        click.echo("\n".join([head.replace(mark, shown, 1), *rest]), err=True, color=colour())
    if len(diagnostics) > 1:
        click.echo(f"{len(diagnostics)} mistakes", err=True)


def with_quotes_for_shells(wrong: Diagnostic) -> Diagnostic:
    """A mistake, with help where a word of `--set` has no quotes, or a shell has taken them away."""
    span = wrong.span
    if wrong.slug is not Slug.UNKNOWN_NAME or span is None or not span.source.name.startswith("--set "):
        return wrong
    before, behind = span.source.text[span.source.hidden : span.start], span.source.text[span.end :]
    if wrong.help not in (None, in_quotes(span.text)) or behind.lstrip().startswith("("):
        return wrong
    import shlex

    written = shlex.quote(f'{span.source.name.removeprefix("--set ")}={before}"{span.text}"{behind}')
    return wrong._replace(help=f"a string is written in quotes, within others for shells: --set {written}")


def point_to_explanations(diagnostics: Sequence[Diagnostic]) -> None:
    """Say at the end of a run where its kinds of mistakes are explained, to someone who sits at a terminal."""
    kinds = list(dict.fromkeys(str(diagnostic.slug) for diagnostic in diagnostics))
    if not kinds or not sys.stderr.isatty():
        return
    others = f"; also: {', '.join(kinds[1:])}" if kinds[1:] else ""
    click.echo(f"`specdsl explain {kinds[0]}` says more{others}", err=True)


def abandon_output() -> None:
    """Let what is still written to standard output go nowhere, since its reader has gone, or its disk is full."""
    with suppress(OSError):  # io.UnsupportedOperation is one: standard output is no file where someone has put another
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def check_places(source: Path, *places: Path | None, what: str) -> None:
    """Refuse, before any work is done, places to write to that cannot be written to or would cost what is read.

    Args:
        source: the file that is read.
        places: where to write; None for what is not written to a file.
        what: what the file that is read is called in messages.

    Raises:
        WrongInput: a place is the file that is read, or two places are the same.
        Failure: there is no folder for one of them, or it is a folder.
    """
    seen: set[Path] = set()
    for place in places:
        if place is None:
            continue
        if place.exists() and source.exists() and place.samefile(source):
            raise WrongInput(f"{place} is {what} itself, which would be lost")
        if place.resolve() in seen:
            raise WrongInput(f"two things would be written to {place}: give each a file of its own")
        seen.add(place.resolve())
        if place.is_dir():
            raise Failure(f"{place} cannot be written: it is a folder")
        if not _is_special(place) and not os.access(place.parent, os.W_OK):
            reason = os.strerror(errno.EACCES if place.parent.exists() else errno.ENOENT)
            raise Failure(f"{place} cannot be written: {reason}")


def _is_special(path: Path) -> bool:
    """Whether a path is a pipe or a device, which is written to and never replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; what is written to a pipe or a device goes through it.

    Raises:
        Failure: it cannot be written.
    """
    if path.is_dir():
        raise Failure(f"{path} cannot be written: it is a folder")
    try:
        if _is_special(path):
            path.write_bytes(data)
            return
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            mask = os.umask(0)
            os.umask(mask)
            Path(name).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~mask)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror or error}") from None
