"""The verbs `train` and `experiment`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specdsl.cli.planning import Request, check_whole, complaints, kept, only_experiment, plans, published
from specdsl.cli.results import show_results
from specdsl.cli.shared import (
    INTERRUPTED,
    LIMITS,
    MODEL,
    PATH,
    RECIPE_SETTINGS,
    Failure,
    WrongInput,
    abandon_output,
    count,
    load_spec,
    spec_and_model,
)
from specdsl.diagnostics import SpecError

if TYPE_CHECKING:
    from rich.console import Console

    from specdsl.runs import RunSummary
    from specdsl.training.tracking import Target


class _Devices(click.ParamType):  # type: ignore[type-arg]  # generic for mypy alone
    """A number, at least 1, or `all`."""

    name = "devices"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "all" or isinstance(value, int):
            return value
        if not value.isdecimal() or int(value) < 1:
            self.fail(f"'{value}' is neither a number from 1 on nor 'all'", param, ctx)
        return int(value)


_SHARED: tuple[Callable[[Any], Any], ...] = (
    click.option("--recipe", metavar="NAME", help="The `train` block; by default the file's last one."),
    click.option(
        "--data",
        metavar="NAME|PATH",
        help="The data, in place of the spec's: a source's name, prepared GTSRB, class folders, or an .npz file.",
    ),
    click.option("--epochs", type=click.IntRange(1), help="Epochs, in place of the spec's."),
    click.option("--batch", type=click.IntRange(1), help="Images per step, in place of the spec's."),
    click.option("--trials", type=click.IntRange(1), help="Independent repetitions, in place of the spec's, or 1."),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="What randomness comes from."),
    click.option(
        "--backend",
        type=click.Choice(["tensorflow", "jax", "torch"]),
        help="The Keras back end; by default the one on which the run takes the least time.",
    ),
    click.option(
        "--engine",
        type=click.Choice(["auto", "fit", "fused"]),
        default="auto",
        show_default=True,
        help="What trains: Keras's fit, or one program on JAX for all trials of a model together.",
    ),
    click.option(
        "--probe/--no-probe",
        default=None,
        help="Time the ways to train for some seconds each before one is chosen; by default where a run is long.",
    ),
    click.option(
        "--method",
        type=click.Choice(["auto", "vmap", "vmap-products", "map", "map-products"]),
        default="auto",
        show_default=True,
        help="How the fused engine runs trials together.",
    ),
    click.option(
        "--together", type=click.IntRange(1), metavar="N", help="Trials in one program at most; by default all."
    ),
    click.option(
        "--processes",
        type=click.IntRange(1),
        metavar="N",
        help="Processes that share the trials, each with its share of the cores.",
    ),
    click.option(
        "--devices",
        type=_Devices(),
        metavar="N|all",
        help="Devices to train on at once: each has some of the trials, or of a trial alone a part of the batch.",
    ),
    click.option(
        "--deterministic",
        is_flag=True,
        default=None,
        help="The same bits from the same computation on a GPU too; some speed is lost.",
    ),
    click.option("--out", type=PATH, metavar="DIR", help="The folder to make; by default a new one in `runs`."),
    click.option("--resume", type=PATH, metavar="DIR", help="Go on with what was broken off in this folder."),
    click.option(
        "--checkpoint-every",
        "every",
        type=click.IntRange(1),
        metavar="EPOCHS",
        help="How often to write what training goes on from; by default as often as it costs little.",
    ),
    click.option(
        "--log",
        "logs",
        multiple=True,
        metavar="TRACKER[=PLACE]",
        help="Tell a tracker too: tensorboard[=DIR], mlflow[=URI|DIR]. May be given several times.",
    ),
    click.option("--log-models", is_flag=True, help="Hand the trained models to MLflow too."),
)

_WAY = ("engine", "backend", "method", "together", "processes", "devices", "probe", "deterministic")
"""What may be asked for of the way to train."""

_RESUMED = ("trials", "epochs", "data", "every", "logs", "log_models")
_RESUMED_OPTIONS = ("--trials", "--epochs", "--data", "--checkpoint-every", "--log", "--log-models")
"""What may be said beside `--resume`: everything else was said when it was begun."""


def _shared(command: Callable[..., None]) -> Callable[..., None]:
    """What both verbs take."""
    for option in reversed(_SHARED):
        command = option(command)
    return command


@click.command()
@click.argument("path", required=False, metavar="[SPEC[:MODEL]]")
@MODEL
@RECIPE_SETTINGS
@LIMITS
@_shared
@click.pass_context
def train(context: click.Context, /, path: str | None, resume: Path | None, **given: Any) -> None:
    """Train a model, and keep what came of it in a folder: history, curves, model, summary.

    Ctrl-C stops after the current step and saves what there is; `--resume` goes on, also after a crash, and comes to
    the same history and the same weights as if nothing had happened.
    """
    if resume is None and path is None:
        raise WrongInput(_what_to_train())
    from datetime import datetime

    from specdsl.runs import default_folder
    from specdsl.training import run

    with complaints():
        logs = _logs(given)
        if resume is not None:
            _check_resume(context)
            request, spec = kept(resume, **_again(given))
        else:
            assert path is not None
            file, given["model"] = spec_and_model(path, given["model"])
            spec, request = load_spec(file, given["limits"]), _request(given)
        (plan,) = plans(request, spec, resume is not None).values()
        out = resume or given["out"] or default_folder(plan.graph.name, datetime.now())
        summary = run(plan, out, console=_screen(), every=given["every"], resume=resume is not None, logs=logs)
    _conclude({summary.model: summary}, out)


@click.command()
@click.argument("path", required=False, type=PATH, metavar="[SPEC]")
@click.argument("name", required=False)
@RECIPE_SETTINGS
@LIMITS
@click.option("--models", metavar="A,B", help="Those of the experiment's models that are meant; by default all.")
@_shared
@click.pass_context
def experiment(
    context: click.Context,
    /,
    path: Path | None,
    name: str | None,
    resume: Path | None,
    models: str | None,
    **given: Any,
) -> None:
    """Train all models of an `experiment` block, and tell what they amount to.

    The first trial of each model comes first, then the second of each, and so on: whoever stops early has as many of
    each. The folder holds a run for each model.
    """
    if resume is None and path is None:
        raise WrongInput("name a spec that holds an experiment: specdsl experiment FILE.spec [NAME]")
    from datetime import datetime

    from specdsl.runs import default_folder, read_experiment
    from specdsl.training import run_all

    with complaints():
        logs = _logs(given)
        if resume is not None:
            _check_resume(context)
            declared = read_experiment(resume)
            check_whole(resume)
            name, keys = str(declared["name"]), tuple(map(str, declared["models"]))
            request, spec = kept(resume / keys[0], models=keys, **_again(given))
        else:
            assert path is not None
            spec = load_spec(path, given["limits"])
            name = name or only_experiment(spec)
            request = _request(given, experiment=name, models=None if models is None else tuple(models.split(",")))
        made = plans(request, spec, resume is not None)
        out = resume or given["out"] or default_folder(name, datetime.now())
        summaries = run_all(
            name,
            made,
            out,
            console=_screen(),
            every=given["every"],
            resume=resume is not None,
            published=published(request, spec),
            logs=logs,
        )
    try:
        show_results(out)
    except click.ClickException as error:  # what was trained is there, and said to be, whatever keeps this from it
        error.show()
    _conclude(summaries, out)


def _screen() -> Console:
    """Where progress is shown. Training goes on when the reader of a pipe has gone."""
    from rich.console import Console

    class Screen(Console):
        def on_broken_pipe(self) -> None:
            abandon_output()

    return Screen()


def _request(given: Mapping[str, Any], **more: Any) -> Request:
    """What the options ask for."""
    names = ("model", "settings", "recipe", "data", "epochs", "batch", "trials", "seed")
    values = {name: given[name] for name in names if name in given} | more
    values["way"] = {name: given[name] for name in _WAY if given[name] not in (None, "auto")}
    for name in ("epochs", "batch"):
        if values[name] is not None and any(one.startswith(f"train.{name}=") for one in values["settings"]):
            raise WrongInput(f"--{name} and --set train.{name} say the same: give one of them")
    if values["data"] and Path(values["data"]).exists():
        values["data"] = str(Path(values["data"]).absolute())
    return Request(**values, limits=given["limits"]._asdict())


def _logs(given: Mapping[str, Any]) -> list[Target]:
    """The trackers that `--log` names.

    Raises:
        Misuse: one is unknown or not installed.
    """
    if not given["logs"]:
        return []
    from specdsl.training.tracking import target

    return [target(written, given["log_models"]) for written in given["logs"]]


def _again(given: Mapping[str, Any]) -> dict[str, Any]:
    """What `--resume` changes."""
    return {name: given[name] for name in _RESUMED if name in Request.__slots__ and given[name] is not None}


def _check_resume(context: click.Context) -> None:
    """Refuse what was said when the run was begun."""
    said = [
        parameter
        for parameter in context.command.params
        if context.get_parameter_source(parameter.name or "") is click.core.ParameterSource.COMMANDLINE
    ]
    for parameter in said:
        if parameter.name not in (*_RESUMED, "resume"):
            what = parameter.opts[0] if isinstance(parameter, click.Option) else parameter.make_metavar(context)
            raise WrongInput(
                f"--resume goes on with what the folder says: {what} cannot be said beside it\n"
                f"  help: {', '.join(_RESUMED_OPTIONS)} can be"
            )


def _conclude(summaries: Mapping[str, RunSummary], out: Path) -> None:
    """Say how runs ended and where their results lie; the exit code says it too."""
    from specdsl.training.progress import in_width

    troubled = 0
    for key, summary in summaries.items():
        for trial in summary.trials:
            if not trial.well:
                troubled += 1
                how = f"was given up: {trial.diverged}" if trial.diverged else f"failed: {trial.failed}"
                click.echo(f"{key}: trial {trial.trial} {how}", err=True)
        if summary.mean and len(summaries) == 1:
            shown = [f"{name.replace('_', ' ')} {in_width(value)}" for name, value in summary.mean.items()]
            counted = sum(1 for trial in summary.trials if trial.well)
            over = f" (mean of {counted} trials)" if counted > 1 else ""
            click.echo(f"{key}{over}: {', '.join(shown)}")
            if curves := sorted(summary.folder.glob("*.svg")):
                click.echo(f"curves: {', '.join(map(str, curves))}")
    click.echo(f"all of it: {out}")
    if any(summary.interrupted for summary in summaries.values()):
        verb = "train" if len(summaries) == 1 else "experiment"
        click.echo(f"specdsl {verb} --resume {out} goes on with it")
        sys.exit(INTERRUPTED)
    if troubled:
        of = sum(len(one.trials) for one in summaries.values())
        raise Failure(f"{troubled} of {count(of, 'trial')} came to no good end")


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
    return "\n".join(["name a spec to train: specdsl train FILE.spec[:MODEL]. There are", *found])
