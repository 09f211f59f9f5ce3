"""What is to be trained: from the command line, or from what a run folder keeps of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specdsl.cli.data import data_at, loaded
from specdsl.cli.shared import Failure, WrongInput, load_spec, parameters, recipe_settings, told
from specdsl.limits import Limits

if TYPE_CHECKING:
    from specdsl.api import Spec
    from specdsl.data import DataSet
    from specdsl.recipes import Source, TrainRecipe
    from specdsl.training import Plan


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for: with the texts of the spec, everything that plans are made from.

    Attributes:
        model: a model's name; None for the file's only or last one.
        settings: what `--set` says.
        experiment: the name of an `experiment` block, or None.
        models: those of its models that are meant; None for all.
        recipe: the name of a `train` block, or None.
        data: what `--data` says, or None.
        path: where the data of the spec lie, as a run found them that is gone on with; None for where the spec says.
        epochs: in place of the recipe's, or None.
        batch: in place of the recipe's, or None.
        trials: in place of the experiment's, or None.
        seed: what all randomness comes from.
        way: what is asked for of the way to train, by the names of `Wanted`.
        limits: what `--limit` says.
    """

    model: str | None = None
    settings: tuple[str, ...] = ()
    experiment: str | None = None
    models: tuple[str, ...] | None = None
    recipe: str | None = None
    data: str | None = None
    path: str | None = None
    epochs: int | None = None
    batch: int | None = None
    trials: int | None = None
    seed: int = 0
    way: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Request:
        """A request that a run folder keeps.

        Raises:
            WrongInput: it is none.
        """
        try:
            values = {**kept, "settings": tuple(kept["settings"])}
            values["models"] = None if kept["models"] is None else tuple(kept["models"])
            return cls(**values)
        except (KeyError, TypeError):
            raise WrongInput("the folder does not say what was asked for, so that it cannot be gone on with") from None


def plans(request: Request, spec: Spec, begun: bool = False) -> dict[str, Plan]:
    """The plan of each run that is asked for, by its key, with its data loaded; a run alone has an empty key.

    Args:
        request: what is asked for.
        spec: the spec that is meant.
        begun: whether these runs are gone on with, in the ways in which they were begun.

    Raises:
        SpecError: the text and the request do not go together.
        WrongInput: the request cannot be.
    """
    from specdsl.resolve import check_roots, overridden, train_recipe
    from specdsl.resolve import experiment as experiment_named
    from specdsl.training import Plan, Wanted, check_recipe, check_wanted

    trials, recipe = request.trials, request.recipe
    given, others = recipe_settings(request.settings)
    for name, value in (("epochs", request.epochs), ("batch", request.batch)):
        if value is not None:  # what is gone on with says so beside what `--set` said when it was begun
            given = [one for one in given if one[1] != f"train.{name}"] + [(f"--{name}", f"train.{name}", str(value))]
    if request.experiment is None:
        check_roots(spec.program.parameters_of(request.model or spec.program.default_model()), others)
        graphs = {"": spec.graph(request.model, parameters(others, Limits(**request.limits)))}
    else:
        check_roots((), others)
        if others:
            raise WrongInput(
                f"an experiment says which models are trained: --set {others[0]} cannot change them\n"
                "  help: what the recipe says can be set: --set train.epochs=5"
            )
        chosen = experiment_named(spec.program, request.experiment)
        trials, recipe = trials or chosen.trials, recipe or chosen.train
        entries = {str(one): one for one in chosen.models}
        graphs = {key: spec.graph(entries[key].model, entries[key].parameters) for key in _chosen(request, entries)}
    recipes: dict[str, TrainRecipe] = {}
    replaced, folder = (None, None) if request.data is None else data_at(request.data)
    for key, graph in graphs.items():
        if len(graph.input_nodes) != 1:
            raise WrongInput(f"training takes a model of one input, and '{graph.name}' has {len(graph.input_nodes)}")
        made = train_recipe(spec.program, recipe, graph.input_nodes[0].shape, replaced)
        made = overridden(spec.program, made, given)
        if request.path is not None and "path" in made.data.source.names():
            made = made.replace(data=made.data.replace(source=made.data.source.replace(path=request.path)))
        recipes[key] = made
    datasets: dict[Source, DataSet] = {}
    texts, start = _texts(spec)
    made_plans: dict[str, Plan] = {}
    wanted = Wanted(**request.way)
    for key, graph in graphs.items():
        check_recipe(graph, recipes[key])
        if not begun:
            check_wanted(wanted, trials or 1, recipes[key].batch)
    for key, graph in graphs.items():
        source = recipes[key].data.source
        if source not in datasets:
            datasets[source] = loaded(source, folder)
        made_plans[key] = Plan(
            graph=graph,
            recipe=recipes[key],
            dataset=datasets[source],
            spec=spec.name,
            texts=texts,
            entry=start,
            trials=trials or 1,
            seed=request.seed,
            wanted=wanted,
            request=asdict(replace(request, models=(key,) if key else None)),
        )
    return made_plans


def published(request: Request, spec: Spec) -> dict[str, dict[str, float]]:
    """The figures from elsewhere that an experiment sets beside those of the models that are meant."""
    from specdsl.resolve import experiment as experiment_named

    assert request.experiment is not None
    found = experiment_named(spec.program, request.experiment).published
    return {key: dict(values) for key, values in found.items() if request.models is None or key in request.models}


def kept(folder: Path, **changes: Any) -> tuple[Request, Spec]:
    """What a run folder says was asked for, with some of it changed, and the spec in it.

    Raises:
        RunError: the folder holds no run.
        WrongInput: it does not say what was asked for.
    """
    from specdsl.runs import read_run

    run = read_run(folder, with_trials=False)
    told_before = {"trials": run.config["trials"], "epochs": run.recipe["epochs"]}
    # In the spec that the folder keeps, a relative path would be read from that folder; data may have moved since.
    told_before["path"] = None if "data" in changes else (run.recipe.get("data") or {}).get("source", {}).get("path")
    request = replace(Request.of(run.config.get("request") or {}), **{**told_before, **changes})
    return request, load_spec(run.entry, Limits(**request.limits))


def check_whole(experiment: Path) -> None:
    """See that the folder of an experiment has all its runs: one that was lost is not begun anew among the others.

    Raises:
        WrongInput: some are lost.
    """
    from specdsl.runs import missing, read_experiment

    lost = [folder.name for folder in missing(experiment)]
    if not lost:
        return
    left = [key for key in read_experiment(experiment)["models"] if key not in lost]
    hint = f"specdsl experiment FILE.spec --models '{','.join(lost)}' --out DIR trains what is lost in another folder"
    if left:
        hint += f"\n        specdsl train --resume '{experiment / left[0]}' goes on with what is there"
    raise WrongInput(f"{experiment} has lost the runs of {', '.join(lost)}, and is not gone on with\n  help: {hint}")


def only_experiment(spec: Spec) -> str:
    """The name of the file's only experiment.

    Raises:
        WrongInput: there is none, or there are several.
    """
    from specdsl.resolve import experiments

    names = experiments(spec.program)
    if len(names) == 1:
        return names[0]
    if not names:
        raise WrongInput(f"{spec.name} has no experiment\n  help: `experiment name {{ models = [a, b] }}` declares one")
    raise WrongInput(f"{spec.name} has several experiments: say which\n  help: there are {', '.join(names)}")


@contextmanager
def complaints() -> Iterator[None]:
    """Within, what goes wrong in data, runs and training is told as the command line tells it."""
    from specdsl.data import DataError
    from specdsl.declaration import Misuse
    from specdsl.runs import RunError
    from specdsl.runs.files import CannotWrite

    try:
        yield
    except (Misuse, DataError) as error:
        raise WrongInput(told(error)) from None
    except RunError as error:
        from specdsl.training.workers import WorkerLost

        kind = Failure if isinstance(error, CannotWrite | WorkerLost) else WrongInput
        raise kind(told(error)) from None


def _chosen(request: Request, entries: Mapping[str, Any]) -> list[str]:
    """The keys of the models that are meant, in the order of the experiment.

    Raises:
        WrongInput: one that is named is not in the experiment.
    """
    from specdsl.diagnostics import did_you_mean

    if request.models is None:
        return list(entries)
    for name in request.models:
        if name not in entries:
            hint = did_you_mean(name, entries) or f"there are {', '.join(entries)}"
            raise WrongInput(f"the experiment '{request.experiment}' has no model '{name}'\n  help: {hint}")
    return [key for key in entries if key in request.models]


def _texts(spec: Spec) -> tuple[dict[str, str], str]:
    """The texts of a spec by their paths in a run's folder of texts, and the path of the first from the run's folder.

    The first is called `model.spec`, whatever it was called. An empty file marks the top: no import leads out of it.
    """
    from specdsl.runs.layout import SPEC

    (start, text), *others = spec.texts().items()
    names = {path for path, _ in others}
    entry = start.with_name("model.spec")
    while entry in names:
        entry = entry.with_name(f"_{entry.name}")
    texts = {entry.as_posix(): text} | {path.as_posix(): text for path, text in others}
    return texts | {".specdsl": ""}, (SPEC / entry).as_posix()
