"""The command line. Each verb loads what it needs when it runs, and nothing else."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specdsl.diagnostics import Diagnostic, SpecError, render
from specdsl.version import __version__

if TYPE_CHECKING:
    from specdsl.analyses import Analysis
    from specdsl.api import Graph, Spec
    from specdsl.recipes import TrainRecipe
    from specdsl.training import RunSummary

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


SPEC = click.Path(path_type=Path)
SETTINGS = click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Set a parameter of the model.")
MODEL = click.option("--model", "model", metavar="NAME", help="The model; by default the file's only or last one.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=True)
@click.version_option(__version__, "--version", "-V", prog_name="specdsl")
def cli() -> None:
    """Neural networks as short texts: checked, analysed, drawn, compiled to Keras and trained."""


# ---------------------------------------------------------------------------------------------- check


@cli.command()
@click.argument("specs", nargs=-1, required=True, type=SPEC, metavar="SPEC...")
def check(specs: tuple[Path, ...]) -> None:
    """Look for mistakes, and test what the specs `expect`."""
    from specdsl.resolve.recipes import recipe_mistakes

    wrong = 0
    for path in specs:
        try:
            spec = _load(path)
            if mistakes := recipe_mistakes(spec.program):
                raise SpecError(mistakes)
            graphs = [graph for graph in map(spec.default_graph, spec.models) if graph is not None]
            held = sum(len(graph.expectations) for graph in graphs)
            broken = [diagnostic for graph in graphs for diagnostic in _broken(graph.analyse())]
            if broken:
                raise SpecError(broken)
        except SpecError as error:
            _complain(error.diagnostics)
            wrong += 1
        else:
            promises = f", {_count(held, 'expectation')} met" if held else ""
            click.echo(f"{path}: {_count(len(spec.models), 'model')}{promises}")
    if wrong:
        sys.exit(WRONG_INPUT)


# ---------------------------------------------------------------------------------------------- compile


@cli.command("compile")
@click.argument("path", type=SPEC, metavar="SPEC")
@MODEL
@SETTINGS
@click.option("--report", is_flag=True, help="Show layers, shapes, parameters with their derivation, and work.")
@click.option("--format", "form", type=click.Choice(["table", "markdown", "json"]), help="The form of the report.")
@click.option("--diagram", type=SPEC, metavar="FILE", help="Draw the model: .svg, .png, .pdf or .dot.")
@click.option(
    "--emit", type=click.Choice(["python", "keras", "json"]), help="Python source, a .keras file, or Keras's JSON."
)
@click.option("-o", "--output", type=SPEC, metavar="FILE", help="Where to write what --emit makes, or else the report.")
def compile_(
    path: Path,
    model: str | None,
    settings: tuple[str, ...],
    report: bool,
    form: str | None,
    diagram: Path | None,
    emit: str | None,
    output: Path | None,
) -> None:
    """Turn a spec into a report, a diagram, Python source or a Keras model."""
    report = report or form is not None
    if emit == "keras" and output is None:
        raise WrongInput("a .keras file needs a place: give `-o FILE.keras`")
    if report and emit and output is None:
        raise WrongInput("the report and the source would both go to standard output: give `-o FILE` for the source")
    if diagram is not None:
        _check_diagram(diagram)
    spec = _load(path)
    graph = spec.graph(model, _parameters(settings))
    analysis = graph.analyse()
    if emit:
        _emit(graph, emit, output)
    if diagram is not None:
        _draw(graph, diagram)
    if report:
        _show_report(analysis, form or "table", None if emit else output)
    if not (emit or report or diagram is not None):
        totals = analysis.totals
        click.echo(f"{graph.name}: {_count(totals.layers, 'layer')}, {totals.params:,} parameters")
    broken = _broken(analysis)
    if broken:
        _complain(broken, warning=bool(settings))
        if not settings:
            sys.exit(WRONG_INPUT)


def _show_report(analysis: Analysis, form: str, output: Path | None) -> None:
    from specdsl.backends import report

    if form == "table":
        text = report.to_text(analysis, shutil.get_terminal_size().columns)
        if output is None:
            click.echo(text, nl=False)
            return
        text = click.unstyle(text)
    elif form == "markdown":
        text = report.to_markdown(analysis)
    else:
        import json

        text = json.dumps(report.to_dict(analysis), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text.encode())


def _emit(graph: Graph, emit: str, output: Path | None) -> None:
    if emit == "python":
        text = graph.to_python()
    elif emit == "json":
        text = _keras_model(graph).to_json(indent=2) + "\n"
    else:
        assert output is not None
        _save_keras(graph, output)
        return
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text.encode())
        click.echo(f"wrote {output}", err=True)


def _keras_model(graph: Graph) -> Any:
    try:
        return graph.to_keras()
    except ModuleNotFoundError as error:
        raise Failure(f"this needs {error.name}: `pip install 'specdsl[tensorflow]'` brings it") from None


def _save_keras(graph: Graph, output: Path) -> None:
    if output.suffix != ".keras":
        raise WrongInput(f"{output} must end in .keras")
    if not output.parent.is_dir():
        raise Failure(f"{output} cannot be written: there is no folder {output.parent}")
    try:
        _keras_model(graph).save(output)
    except OSError as error:
        raise Failure(f"{output} cannot be written: {error.strerror or error}") from None
    click.echo(f"wrote {output}", err=True)


def _check_diagram(path: Path) -> None:
    from specdsl.backends.diagram import FORMATS

    if path.suffix.lower() not in FORMATS:
        raise WrongInput(f"a diagram is written to a file that ends in {', '.join(FORMATS)}, not to {path}")


def _draw(graph: Graph, path: Path) -> None:
    from specdsl.backends.diagram import DiagramError

    try:
        data = graph.diagram().render(path.suffix.lower())
    except DiagramError as error:
        raise Failure(str(error)) from None
    _write(path, data)
    click.echo(f"wrote {path}", err=True)


# ---------------------------------------------------------------------------------------------- fmt


@cli.command()
@click.argument("specs", nargs=-1, required=True, type=SPEC, metavar="SPEC...")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; exit 1 when a file is not in canonical form.")
def fmt(specs: tuple[Path, ...], only_check: bool) -> None:
    """Give specs their one canonical form. Comments stay. `-` reads standard input and writes standard output."""
    from specdsl.api import read
    from specdsl.source import Source
    from specdsl.syntax.formatter import format_source

    wrong = changed = 0
    for path in specs:
        from_input = str(path) == "-"
        try:
            source = Source("<stdin>", sys.stdin.read()) if from_input else read(path)
            formatted = format_source(source)
        except SpecError as error:
            _complain(error.diagnostics)
            wrong += 1
            continue
        if from_input and not only_check:
            click.echo(formatted, nl=False)
        elif formatted != source.text:
            changed += 1
            if not only_check:
                _write(path, formatted.encode())
            click.echo(f"{'would change' if only_check else 'formatted'} {path}", err=True)
    if wrong:
        sys.exit(WRONG_INPUT)
    if only_check and changed:
        sys.exit(FAILED)


# ---------------------------------------------------------------------------------------------- train


@cli.command()
@click.argument("path", required=False, type=SPEC, metavar="[SPEC]")
@MODEL
@SETTINGS
@click.option("--recipe", metavar="NAME", help="The `train` block; by default the file's last one.")
@click.option(
    "--data", metavar="synthetic|gtsrb|DIR", help="The images, in place of the spec's: drawn, or prepared GTSRB."
)
@click.option("--epochs", type=click.IntRange(1), help="Epochs, in place of the spec's.")
@click.option("--batch", type=click.IntRange(1), help="Images per step, in place of the spec's.")
@click.option("--trials", type=click.IntRange(1), default=1, show_default=True, help="Independent repetitions.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="What all randomness comes from.")
@click.option("--backend", type=click.Choice(["tensorflow", "jax", "torch"]), default="tensorflow", show_default=True)
@click.option("--out", type=SPEC, metavar="DIR", help="The folder of the run; by default a new one in `runs`.")
def train(
    path: Path | None,
    model: str | None,
    settings: tuple[str, ...],
    recipe: str | None,
    data: str | None,
    epochs: int | None,
    batch: int | None,
    trials: int,
    seed: int,
    backend: str,
    out: Path | None,
) -> None:
    """Train a model and keep what came of it: history, curves, model, summary.

    Ctrl-C stops after the current step and saves what there is.
    """
    if path is None:
        raise WrongInput(_what_to_train())
    from datetime import datetime

    from rich.console import Console

    from specdsl.declaration import Misuse
    from specdsl.resolve.recipes import train_recipe

    spec = _load(path)
    graph = spec.graph(model, _parameters(settings))
    plan = train_recipe(spec.program, recipe, graph.input_nodes[0].shape)
    plan, folder = _with_images(plan, data)
    from specdsl.data import DataError, load
    from specdsl.training import check_fit, default_folder, run

    try:
        check_fit(graph, plan.data, plan.data.source.classes)
        dataset = load(plan.data.source, folder=folder)
        summary = run(
            graph,
            plan,
            dataset,
            out=out or default_folder(graph.name, datetime.now()),
            spec_text=spec.text,
            spec_name=spec.name,
            trials=trials,
            seed=seed,
            backend=backend,
            epochs=epochs,
            batch=batch,
            console=Console(),
        )
    except Misuse as misuse:
        raise WrongInput(misuse.message + (f"\n  help: {misuse.help}" if misuse.help else "")) from None
    except DataError as error:
        raise WrongInput(error.message + (f"\n  help: {error.help}" if error.help else "")) from None
    except OSError as error:
        raise Failure(f"{error.filename or 'a file'}: {error.strerror or error}") from None
    if summary.interrupted:
        sys.exit(INTERRUPTED)
    _conclude(summary)


def _with_images(plan: TrainRecipe, data: str | None) -> tuple[TrainRecipe, Path | None]:
    """A recipe with the images that `--data` asks for, and the folder where they lie."""
    from specdsl.recipes import SOURCES

    if data is None:
        return plan, None
    folder = None if data in SOURCES else Path(data)
    if folder is not None and not folder.is_dir():
        raise WrongInput(f"--data takes {', '.join(SOURCES)} or a folder, and there is no folder '{data}'")
    return plan.replace(data=plan.data.taken_from(SOURCES["gtsrb" if folder else data])), folder


def _conclude(summary: RunSummary) -> None:
    """Say how a run ended and where its results lie."""
    for trial in summary.diverged:
        click.echo(f"trial {trial.trial} was given up: {trial.diverged}", err=True)
    if len(summary.diverged) == len(summary.trials):
        raise Failure(f"no trial came to an end; what there is lies in {summary.folder}")
    shown = [f"{name.replace('_', ' ')} {value:.4f}" for name, value in summary.mean.items()]
    over = f" (mean of {len(summary.trials)} trials)" if len(summary.trials) > 1 else ""
    click.echo(f"{summary.model}{over}: {', '.join(shown)}")
    curves = sorted(summary.folder.glob("*.svg"))
    if curves:
        click.echo(f"curves: {', '.join(map(str, curves))}")
    click.echo(f"all of it: {summary.folder}")


def _what_to_train() -> str:
    """The specs at hand, for someone who names none."""
    found = []
    for path in sorted([*Path().glob("*.spec"), *Path("specs").glob("*.spec")]):
        try:
            found.append(f"  {path}: {', '.join(_load(path).models)}")
        except SpecError as error:
            found.append(f"  {path}: {_count(len(error.diagnostics), 'mistake')}")
    if not found:
        return "name a spec to train: specdsl train FILE.spec (there is none here)"
    return "\n".join(["name a spec to train: specdsl train FILE.spec [--model NAME]. There are", *found])


# ---------------------------------------------------------------------------------------------- layers


@cli.command()
@click.argument("name", required=False)
def layers(name: str | None) -> None:
    """List the layers that a spec may use, or describe one of them."""
    from specdsl.backends import reference
    from specdsl.diagnostics import did_you_mean
    from specdsl.layers import NAMES

    if name is None:
        click.echo(reference.overview(), nl=False)
    elif name in NAMES:
        click.echo(reference.layer_page(NAMES[name]), nl=False)
    else:
        hint = did_you_mean(name, NAMES)
        raise WrongInput(f"there is no layer '{name}'{f'; {hint}' if hint else ''}")


# ---------------------------------------------------------------------------------------------- shared


def _load(path: Path) -> Spec:
    from specdsl.api import load

    return load(path)


def _parameters(settings: tuple[str, ...]) -> dict[str, Any]:
    """The values of `--set NAME=VALUE`, each an expression of the language.

    Raises:
        SpecError: one of them is no such setting.
    """
    from specdsl.resolve import Program
    from specdsl.source import Source

    parameters: dict[str, Any] = {}
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not separator or not name.isidentifier():
            raise WrongInput(f"--set takes NAME=VALUE, not '{setting}'")
        program = Program(Source(f"--set {name}", f"let {name} = {value}"))
        program.raise_mistakes()
        parameters[name] = program.frame.names[name][0]
    return parameters


def _broken(analysis: Analysis) -> tuple[Diagnostic, ...]:
    from specdsl.analyses import broken_expectations

    return broken_expectations(analysis)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _complain(diagnostics: tuple[Diagnostic, ...] | list[Diagnostic], *, warning: bool = False) -> None:
    """Show diagnostics on standard error, the kind in colour where that is a terminal."""
    for diagnostic in diagnostics:
        head, *rest = render(diagnostic).split("\n")
        mark = f"error[{diagnostic.slug}]"
        shown = click.style(
            mark.replace("error", "warning") if warning else mark, fg="yellow" if warning else "red", bold=True
        )
        click.echo("\n".join([head.replace(mark, shown, 1), *rest]), err=True)
    if len(diagnostics) > 1:
        click.echo(f"{len(diagnostics)} mistakes", err=True)


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        Failure: it cannot be written.
    """
    import os
    import tempfile

    try:
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


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed at run time, 2 a mistake in what the user gave, 130 Ctrl-C."""
    try:
        code = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except SpecError as error:
        _complain(error.diagnostics)
        code = WRONG_INPUT
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        code = INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except BrokenPipeError:
        _abandon_output()
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _abandon_output() -> None:
    """Let Python end in silence when the reader of a pipe has gone."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
