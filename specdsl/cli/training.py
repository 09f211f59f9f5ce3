"""The verb `train`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from specdsl.cli.data import data_at
from specdsl.cli.shared import (
    INTERRUPTED,
    LIMITS,
    MODEL,
    PATH,
    SETTINGS,
    Failure,
    WrongInput,
    count,
    load_spec,
    parameters,
)
from specdsl.diagnostics import SpecError

if TYPE_CHECKING:
    from specdsl.data import DataSet
    from specdsl.limits import Limits
    from specdsl.recipes import Source, TrainRecipe
    from specdsl.training import RunSummary


@click.command()
@click.argument("path", required=False, type=PATH, metavar="[SPEC]")
@MODEL
@SETTINGS
@LIMITS
@click.option("--experiment", metavar="NAME", help="Train all models of an `experiment` block, and compare them.")
@click.option("--recipe", metavar="NAME", help="The `train` block; by default the file's last one.")
@click.option(
    "--data",
    metavar="NAME|PATH",
    help="The data, in place of the spec's: a source's name, prepared GTSRB, class folders, or an .npz file.",
)
@click.option("--epochs", type=click.IntRange(1), help="Epochs, in place of the spec's.")
@click.option("--batch", type=click.IntRange(1), help="Images per step, in place of the spec's.")
@click.option("--trials", type=click.IntRange(1), help="Independent repetitions, in place of the experiment's, or 1.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="What all randomness comes from.")
@click.option("--backend", type=click.Choice(["tensorflow", "jax", "torch"]), default="tensorflow", show_default=True)
@click.option("--out", type=PATH, metavar="DIR", help="The folder of the run; by default a new one in `runs`.")
def train(
    path: Path | None,
    model: str | None,
    settings: tuple[str, ...],
    limits: Limits,
    experiment: str | None,
    recipe: str | None,
    data: str | None,
    epochs: int | None,
    batch: int | None,
    trials: int | None,
    seed: int,
    backend: str,
    out: Path | None,
) -> None:
    """Train a model, or all models of an experiment, and keep what came of it.

    A folder holds history, curves, model and summary; of an experiment, a folder for each model and the comparison.

    Ctrl-C stops after the current step and saves what there is.
    """
    if path is None:
        raise WrongInput(_what_to_train())
    from datetime import datetime

    from rich.console import Console

    from specdsl.declaration import Misuse
    from specdsl.resolve import experiment as experiment_named
    from specdsl.resolve import train_recipe

    spec = load_spec(path, limits)
    if experiment is None:
        name, times = "", trials or 1
        graphs = {"": spec.graph(model, parameters(settings, limits))}
    else:
        if model or settings:
            raise WrongInput("--experiment says which models are trained: it goes without --model and --set")
        chosen = experiment_named(spec.program, experiment)
        name, times, recipe = chosen.name, trials or chosen.trials, recipe or chosen.train
        graphs = {str(entry): spec.graph(entry.model, entry.parameters) for entry in chosen.models}
    plans: dict[str, TrainRecipe] = {}
    source, folder = (None, None) if data is None else data_at(data)
    for key, graph in graphs.items():
        if len(graph.input_nodes) != 1:
            raise WrongInput(f"training takes a model of one input, and '{graph.name}' has {len(graph.input_nodes)}")
        plans[key] = train_recipe(spec.program, recipe, graph.input_nodes[0].shape, source)
    from specdsl.data import DataError, load
    from specdsl.training import check_fit, compare, default_folder, run

    target = out or default_folder(name or graphs[""].name, datetime.now())
    console = Console()
    summaries: dict[str, RunSummary] = {}
    datasets: dict[Source, DataSet] = {}
    try:
        for key, graph in graphs.items():
            check_fit(graph, plans[key].data)
        for key, graph in graphs.items():
            source = plans[key].data.source
            if source not in datasets:
                datasets[source] = load(source, folder=folder)
            if name:
                console.print(f"{key}, {len(summaries) + 1} of {len(graphs)}", style="bold", highlight=False)
            summary = run(
                graph,
                plans[key],
                datasets[source],
                out=target / key,
                spec_text=spec.text,
                spec_name=spec.name,
                trials=times,
                seed=seed,
                backend=backend,
                epochs=epochs,
                batch=batch,
                console=console,
            )
            summaries[key] = summary
            if summary.interrupted:
                break
        if name:
            click.echo(compare(name, summaries, target), nl=False)
    except Misuse as misuse:
        raise WrongInput(misuse.message + (f"\n  help: {misuse.help}" if misuse.help else "")) from None
    except DataError as error:
        raise WrongInput(error.message + (f"\n  help: {error.help}" if error.help else "")) from None
    except OSError as error:
        raise Failure(f"{error.filename or 'a file'}: {error.strerror or error}") from None
    if summary.interrupted:
        sys.exit(INTERRUPTED)
    if name:
        click.echo(f"all of it: {target}")
    else:
        _conclude(summary)


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
            found.append(f"  {path}: {', '.join(load_spec(path).models)}")
        except SpecError as error:
            found.append(f"  {path}: {count(len(error.diagnostics), 'mistake')}")
    if not found:
        return "name a spec to train: specdsl train FILE.spec (there is none here)"
    return "\n".join(["name a spec to train: specdsl train FILE.spec [--model NAME]. There are", *found])
