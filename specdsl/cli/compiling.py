"""The verbs `check` and `compile`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specdsl.cli.shared import (
    FAILED,
    LIMITS,
    MODEL,
    PATH,
    SETTINGS,
    SPEC,
    STANDARD,
    WRONG_INPUT,
    Failure,
    WrongInput,
    check_places,
    complain,
    count,
    file_and_model,
    form_of_mistakes,
    load_spec,
    parameters,
    point_to_explanations,
    spec_and_model,
    spec_files,
    tell_machines,
    write,
)
from specdsl.diagnostics import Diagnostic, SpecError, did_you_mean

if TYPE_CHECKING:
    from specdsl.analyses import Regime
    from specdsl.api import Graph, Spec
    from specdsl.backends.report import Report
    from specdsl.limits import Limits
    from specdsl.recipes import Optimizer
    from specdsl.symbolic import Symbolic


FORMATS = ("table", "markdown", "json", "html", "latex", "csv")
"""The forms of a report; all but the first are what a method of `Report` gives, `to_markdown` and its kin."""


@click.command()
@click.argument("specs", nargs=-1, required=True, type=PATH, metavar="SPEC...")
@form_of_mistakes(
    "How mistakes are told: with their source lines, on one line each, as JSON, or for GitHub's workflows."
)
@LIMITS
def check(specs: tuple[Path, ...], form: str, limits: Limits) -> None:
    """Look for mistakes, and test what the specs `expect`. Of a folder, all specs in it are checked."""
    from specdsl.analyses import broken_expectations

    mistakes: list[Diagnostic] = []
    for path in spec_files(specs):
        try:
            spec = load_spec(path, limits)
            graphs = [graph for graph in map(spec.default_graph, spec.models) if graph is not None]
            held = sum(len(graph.expectations) for graph in graphs)
            broken = [diagnostic for graph in graphs for diagnostic in broken_expectations(graph.analyse())]
            if broken:
                raise SpecError(broken)
        except SpecError as error:
            mistakes += error.diagnostics
            if form == "full":
                complain(error.diagnostics)
        else:
            promises = f", {count(held, 'expectation')} met" if held else ""
            open_ = [name for name in spec.models if spec.program.required(name)]
            needs = f"; {', '.join(open_)} not expanded, for want of parameters" if open_ else ""
            if form == "full":
                click.echo(f"{path}: {_declared(spec)}{promises}{needs}")
    if form != "full":
        tell_machines(mistakes, form)
    if mistakes:
        if form == "full":
            point_to_explanations(mistakes)
        sys.exit(WRONG_INPUT)


def _declared(spec: Spec) -> str:
    """What a file declares, counted: its models and experiments, or else what other files import from it."""
    from specdsl.syntax import tree

    kinds: dict[str, tuple[type[tree.Node], ...]] = {
        "model": (tree.Model, tree.Variant), "value": (tree.Let,), "block": (tree.Block,), "data set": (tree.Data,),
        "recipe": (tree.Train,), "experiment": (tree.Experiment,),
    }  # fmt: skip
    counts = {what: sum(isinstance(one, kind) for one in spec.program.spec.items) for what, kind in kinds.items()}
    if counts["model"]:
        counts = {what: counts[what] for what in ("model", "experiment")}
    return ", ".join(count(number, what) for what, number in counts.items() if number) or "nothing declared"


@click.command("compile")
@SPEC
@MODEL
@SETTINGS
@LIMITS
@click.option("--report", is_flag=True, help="Show layers, shapes, parameters with their derivation, and work.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="The form of the report.")
@click.option("--explain", is_flag=True, help="Tell the model in prose, layer by layer.")
@click.option(
    "--symbolic", metavar="NAMES", help="Report expressions in these parameters of the model, with commas between them."
)
@click.option("--diagram", type=PATH, metavar="FILE", help="Draw the model: .svg, .png, .pdf or .dot.")
@click.option(
    "--emit",
    type=click.Choice(["python", "keras", "json", "onnx"]),
    help="Python source, a .keras file, Keras's JSON, or an .onnx file.",
)
@click.option("-o", "--output", type=PATH, metavar="FILE", help="Where to write what --emit makes, or else the report.")
@click.option("--batch", type=click.IntRange(1), help="Examples at once, for the memory in the report.")
@click.option(
    "--optimizer",
    metavar="NAME",
    help="What the memory of training is worked out for: `adam` or `SGD(momentum=0.9)`; by default that of `train`.",
)
def compile_(
    spec: str,
    model: str | None,
    settings: tuple[str, ...],
    limits: Limits,
    report: bool,
    form: str | None,
    explain: bool,
    symbolic: str | None,
    diagram: Path | None,
    emit: str | None,
    output: Path | None,
    batch: int | None,
    optimizer: str | None,
) -> None:
    """Report a spec, draw it, or turn it into Python or Keras."""
    from specdsl.analyses import broken_expectations

    path, model = spec_and_model(spec, model)
    output = None if output == STANDARD else output
    _check_report(report, form, explain)
    report = report or explain or form is not None or (output is not None and emit is None)
    check_places(path, output, diagram, what="the spec")
    _check_source(emit, output, report)
    if diagram is not None:
        _check_diagram(diagram)
    loaded = load_spec(path, limits)
    values = parameters(settings, limits)
    if symbolic is not None:
        _check_symbolic(form, explain, emit or diagram, batch, optimizer)
        found = loaded.symbolic([name.strip() for name in symbolic.split(",")], model, **values)
        _show(found, form or "table", output)
        return
    graph = loaded.graph(model, values)
    regime = _regime(graph, batch, optimizer, limits)
    analysis = graph.analyse(regime)
    if emit:
        _emit(graph, emit, output)
    if diagram is not None:
        _draw(graph, diagram)
    if report:
        _show(graph.report(regime), form or "table", None if emit else output, explain=explain)
    if not (emit or report or diagram is not None):
        totals = analysis.totals
        click.echo(f"{graph.name}: {count(totals.layers, 'layer')}, {totals.params:,} parameters")
    broken = broken_expectations(analysis)
    if broken:
        complain(broken, warning=bool(settings))
        point_to_explanations(broken)
        if not settings:
            sys.exit(WRONG_INPUT)


def _check_report(report: bool, form: str | None, explain: bool) -> None:
    if explain and form not in (None, "table", "markdown"):
        raise WrongInput(f"--explain tells a model in prose, which is no {form}: leave --format out, or take markdown")
    if explain and report:
        raise WrongInput("the report and the explanation would both go to one place: ask for one of them at a time")


def _check_source(emit: str | None, output: Path | None, report: bool) -> None:
    """Check that what `--emit` makes has a place of its own, with the right ending."""
    if emit in ("keras", "onnx"):
        if output is None:
            raise WrongInput(f"{'an' if emit == 'onnx' else 'a'} .{emit} file needs a place: give `-o FILE.{emit}`")
        if output.suffix != f".{emit}":
            raise WrongInput(f"{output} must end in .{emit}")
    if report and emit and output is None:
        raise WrongInput("the report and the source would both go to standard output: give `-o FILE` for the source")


def _check_symbolic(
    form: str | None, explain: bool, made: str | Path | None, batch: int | None, optimizer: str | None
) -> None:
    """Check that `--symbolic` comes with no option that it would leave out; `made` is what else is to be made."""
    if made is not None:
        raise WrongInput("--symbolic makes a report, which neither --emit nor --diagram goes with")
    if explain or form in ("html", "latex", "csv"):
        raise WrongInput("expressions are told as a table, in Markdown or as JSON")
    if batch is not None or optimizer is not None:
        option = "--batch" if optimizer is None else "--optimizer"
        raise WrongInput(f"{option} is for the memory in a report, and expressions are of parameters and work alone")


def _regime(graph: Graph, batch: int | None, optimizer: str | None, limits: Limits) -> Regime:
    """How a graph is run, with what the command line says of it.

    Raises:
        WrongInput: there is no such optimizer.
        SpecError: it has no such arguments.
    """
    regime = graph.regime
    if batch is not None:
        regime = regime._replace(batch=batch, training_batch=batch)
    return regime if optimizer is None else regime._replace(optimizer=_optimizer(optimizer, limits))


def _optimizer(written: str, limits: Limits) -> Optimizer:
    from specdsl.layers.objects import OBJECTS
    from specdsl.recipes import OPTIMIZERS, Optimizer
    from specdsl.resolve.conditions import Given

    known = {name.lower(): name for name in OPTIMIZERS}
    call = f"{known[written.lower()]}()" if written.lower() in known else written
    if written.isidentifier() and written.lower() not in known:
        hint = did_you_mean(written.lower(), known) or f"there are {', '.join(known)}"
        raise WrongInput(f"there is no optimizer '{written}'; {hint}")
    value = Given(call, "--optimizer", limits).value({}, {**OBJECTS, **OPTIMIZERS})
    if not isinstance(value, Optimizer):
        raise WrongInput(f"--optimizer takes an optimizer, such as adam or SGD(momentum=0.9), not '{written}'")
    return value


@click.command()
@click.argument("before", metavar="SPEC[:MODEL]")
@click.argument("after", metavar="SPEC[:MODEL]")
@click.option("--format", "form", type=click.Choice(["table", "markdown", "json"]), default="table", show_default=True)
@LIMITS
def diff(before: str, after: str, form: str, limits: Limits) -> None:
    """Show how one model differs from another.

    Layers, shapes, parameters and work are compared; the exit code is 1 when they differ.
    `:MODEL` alone as the second names a model of the first one's file.
    """
    from specdsl.backends.difference import Difference

    first, model = file_and_model(before)
    second, other = file_and_model(after, first)
    old, new = load_spec(first, limits).model(model), load_spec(second, limits).model(other)
    difference = Difference(old.analyse(), new.analyse())
    if form == "table":
        shown = difference.to_text(shutil.get_terminal_size().columns)
    elif form == "markdown":
        shown = difference.to_markdown()
    else:
        import json

        shown = json.dumps(difference.to_dict(), indent=2, ensure_ascii=False) + "\n"
    click.echo(shown, nl=False)
    if difference:
        sys.exit(FAILED)


def _show(report: Report | Symbolic, form: str, output: Path | None, *, explain: bool = False) -> None:
    told: Callable[..., str] = getattr(report, "explain" if explain else "to_text")
    if form == "table":
        text = told(shutil.get_terminal_size().columns)
        text = text if output is None else click.unstyle(text)
    elif form == "html":
        text = _page(report)
    else:
        text = told() if explain else getattr(report, f"to_{form}")()
    if output is None:
        click.echo(text, nl=False)
    else:
        write(output, text.encode())


def _page(report: Report | Symbolic) -> str:
    from specdsl.backends.diagram import DiagramError
    from specdsl.backends.report import Report

    assert isinstance(report, Report)
    try:
        return report.to_html()
    except DiagramError as error:
        raise Failure(str(error)) from None


def _emit(graph: Graph, emit: str, output: Path | None) -> None:
    if emit == "python":
        text = graph.to_python()
    elif emit == "json":
        text = _keras_model(graph).to_json(indent=2) + "\n"
    else:
        assert output is not None
        (_save_onnx if emit == "onnx" else _save_keras)(graph, output)
        return
    if output is None:
        click.echo(text, nl=False)
    else:
        write(output, text.encode())
        click.echo(f"wrote {output}", err=True)


def _keras_model(graph: Graph) -> Any:
    from specdsl.backends.quiet import without_noise
    from specdsl.functional import pinned_layers

    if pinned := pinned_layers(graph):
        click.echo(
            f"warning: Keras has no place in a file for the `training=` of {', '.join(pinned)}; "
            "the Python source keeps it",
            err=True,
        )
    try:
        with without_noise():
            return graph.to_keras()
    except ModuleNotFoundError as error:
        raise Failure(f"this needs {error.name}: `pip install 'specdsl[tensorflow]'` brings it") from None


def _save_keras(graph: Graph, output: Path) -> None:
    model = _keras_model(graph)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / output.name
        model.save(file)
        write(output, file.read_bytes())
    click.echo(f"wrote {output}", err=True)


def _save_onnx(graph: Graph, output: Path) -> None:
    from importlib.util import find_spec

    from specdsl.backends.onnx_model import NEEDS, OnnxError, to_onnx
    from specdsl.backends.quiet import without_noise

    if missing := [name for name in NEEDS if find_spec(name) is None]:
        raise Failure(f"this needs {' and '.join(missing)}: `pip install 'specdsl[onnx]'` brings it")
    model = _keras_model(graph)
    try:
        with without_noise():
            data = to_onnx(graph, model)
    except OnnxError as error:
        raise Failure(f"{error}; nothing is written") from None
    write(output, data)
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
    write(path, data)
    click.echo(f"wrote {path}", err=True)
