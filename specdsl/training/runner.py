"""Runs: trials of models under their recipes, each run in its folder; begun, or gone on with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console

from specdsl.data.dataset import DataSet, Examples, split
from specdsl.declaration import Misuse
from specdsl.functional import pinned_layers
from specdsl.graph import Graph
from specdsl.recipes.training import TrainRecipe
from specdsl.runs.files import RunError, plain, remove_unfinished, write_json
from specdsl.runs.folder import RunFolder, check_free
from specdsl.runs.layout import CONFIG, EXPERIMENT, VERSIONS
from specdsl.runs.locking import Lock
from specdsl.runs.records import SCHEMA, RunSummary, TrialSummary
from specdsl.training import frameworks
from specdsl.training.checks import check_data, check_recipe
from specdsl.training.choosing import Work, choose
from specdsl.training.engine import Group, Job, OutOfMemory
from specdsl.training.estimate import Estimate
from specdsl.training.exhaustion import LESS_MEMORY
from specdsl.training.interrupts import Interrupts
from specdsl.training.progress import say
from specdsl.training.resuming import check_longer, check_same
from specdsl.training.streams import Streams
from specdsl.training.tracking import Described, Target, Tracking
from specdsl.training.trials import Surroundings, run_trials
from specdsl.training.versions import changes, versions
from specdsl.training.ways import ANY, Wanted, Way


@dataclass(frozen=True)
class Plan:
    """Everything that a run depends on.

    Attributes:
        graph: the model: one input, one output of a number for each class or value.
        recipe: the `train` block, with what was given in its place.
        dataset: the data that the recipe names, loaded.
        spec: where the text came from.
        texts: the texts of the spec and of all that it imports, by their paths in the folder of texts.
        entry: that of them which the run is begun with.
        trials: how many times to train.
        seed: what all randomness comes from, at least 0.
        wanted: what is asked for of the way to train.
        way: how trials are trained; None before it is chosen.
        request: what was asked for, as JSON has it: what the same plan can be made from again.
    """

    graph: Graph
    recipe: TrainRecipe
    dataset: DataSet
    spec: str
    texts: Mapping[str, str]
    entry: str
    trials: int = 1
    seed: int = 0
    wanted: Wanted = ANY
    way: Way | None = None
    request: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Check what can be known without a framework.

        Raises:
            Misuse: model and data do not fit, or a number cannot be.
            DataError: validation is declared, but the examples cannot be split.
        """
        if self.trials < 1:
            raise Misuse(f"there must be at least one trial, not {self.trials}", argument="trials")
        if self.seed < 0:
            raise Misuse(f"a seed is at least 0, not {self.seed}", argument="seed")
        check_data(self.recipe.data, self.dataset)
        check_recipe(self.graph, self.recipe, self.dataset)
        self.wanted.check()
        _ = self.parts

    @cached_property
    def parts(self) -> tuple[Examples, Examples | None]:
        """What is trained on, and what is kept out of that to choose by.

        Raises:
            DataError: validation is declared, but the examples cannot be split.
        """
        validation = self.recipe.data.validation
        return (self.dataset.train, None) if validation is None else split(self.dataset.train, validation, self.seed)

    @property
    def chosen(self) -> Way:
        """How trials are trained."""
        assert self.way is not None, "the way to train is chosen before a run begins"
        return self.way

    def job(self, trial: int) -> Job:
        """One of its trials, from 1."""
        train, validation = self.parts
        return Job(self.graph, self.recipe, train, validation, self.dataset.test, Streams(self.seed, trial))

    @cached_property
    def config(self) -> dict[str, Any]:
        """What `config.json` says."""
        train, validation = self.parts
        data = self.dataset
        values = {
            "schema": SCHEMA,
            "spec": self.spec,
            "entry": self.entry,
            "model": self.graph.name,
            "model_parameters": dict(self.graph.parameters),
            "backend": self.chosen.backend,
            "way": self.chosen.to_dict(),
            "trials": self.trials,
            "seed": self.seed,
            "train": self.recipe,
            "data": {
                "name": data.name,
                "task": data.task,
                "shape": data.shape,
                "class_names": data.class_names,
                "train": len(train),
                "validation": 0 if validation is None else len(validation),
                "test": len(data.test),
                "sha256": data.fingerprint(),
            },
            "request": dict(self.request),
        }
        config: dict[str, Any] = json.loads(json.dumps(plain(values)))
        return config


class Run:
    """A run in its folder.

    Args:
        plan: everything that it depends on.
        folder: its folder, which is there.

    Attributes:
        tracking: who else is told how it goes.
    """

    def __init__(self, plan: Plan, folder: RunFolder) -> None:
        self.plan, self.folder = plan, folder
        self.tracking = Tracking()

    def left(self) -> list[int]:
        """The trials that have not come to their end; one that crashed is among them, for it may go well next time."""
        return [number for number in range(1, self.plan.trials + 1) if not self._finished(self.folder.ended(number))]

    def groups(self) -> list[list[int]]:
        """Those of them that are trained together."""
        left = self.left()
        size = self.plan.chosen.together or max(1, len(left))
        return [left[first : first + size] for first in range(0, len(left), size)]

    def carry_out(self, trials: Sequence[int], around: Surroundings) -> None:
        """Carry out trials, from where they were broken off or from their beginning.

        Raises:
            RunError: the folder cannot be written.
            KeyboardInterrupt: Ctrl-C was pressed twice.
        """
        jobs, folders = zip(*((self.plan.job(number), self.folder.trial(number)) for number in trials), strict=True)
        run_trials(jobs, folders, replace(around, tracking=self.tracking))
        self.summarise()

    def summarise(self) -> RunSummary:
        """Write down, and give, how the run ended or how far it has come."""
        ended = [self.folder.ended(number) for number in range(1, self.plan.trials + 1)]
        trials = [trial for trial in ended if trial is not None]
        summary = RunSummary(
            model=self.plan.graph.name,
            folder=self.folder.path,
            trials=trials,
            planned=self.plan.trials,
            parameters=self.folder.config.get("parameters"),
            interrupted=len(trials) < self.plan.trials or any(trial.interrupted for trial in trials),
            seconds=sum(trial.seconds / trial.together for trial in trials),
        )
        self.folder.summarise(summary)
        return summary

    def _finished(self, ended: TrialSummary | None) -> bool:
        if ended is None or ended.interrupted or ended.failed is not None:
            return False
        return bool(ended.diverged) or ended.stopped_early or ended.epochs >= self.plan.recipe.epochs


def run(
    plan: Plan,
    out: Path,
    *,
    console: Console,
    every: int | None = None,
    resume: bool = False,
    logs: Sequence[Target] = (),
) -> RunSummary:
    """Carry out a run; see `run_all`."""
    return run_all(None, {"": plan}, out, console=console, every=every, resume=resume, logs=logs)[""]


def run_all(
    name: str | None,
    plans: Mapping[str, Plan],
    out: Path,
    *,
    console: Console,
    every: int | None = None,
    resume: bool = False,
    published: Mapping[str, Mapping[str, float]] | None = None,
    logs: Sequence[Target] = (),
) -> dict[str, RunSummary]:
    """Carry out a run, or all runs of an experiment: the first trial of each model, then the second of each, and so on.

    Every trial has initial weights, order and augmentation of its own; all come from the seed, so that the same plan
    on the same machine gives the same history, also when it was broken off and gone on with. Ctrl-C ends it after the
    current step and keeps what there is.

    Args:
        name: the experiment's name; None for a run alone, whose key is empty.
        plans: the runs by their keys, all on one back end.
        out: the folder to make, or to go on in.
        console: where to show progress.
        every: epochs from one checkpoint to the next; by default what costs little.
        resume: go on with what is in the folder.
        published: figures from elsewhere, by key and name, to be kept with an experiment.
        logs: trackers that are told how the runs go.

    Raises:
        Misuse: the model and the data do not fit, an argument cannot be, or the back end is not installed. All but one
            are found before any framework is imported; that a model gives what its loss takes is known only once it is
            built. Nothing is written before.
        RunError: the folder is in use, cannot be written, or holds something else than the plans say.
        DataError: validation is declared, but the examples cannot be split.
    """
    for plan in plans.values():
        plan.check()
    for log in logs:
        log.reach()
    if resume:
        for key in plans:
            if not (out / key / CONFIG).exists():
                raise RunError(f"{out / key} cannot be gone on with: there is no {CONFIG} in it")
        with _locked(out, plans):
            remove_unfinished(out)
            runs = {key: _resumed(plan, out / key, console) for key, plan in plans.items()}
            _track(runs, logs, name, console, resume)
            return _carry_out(runs, console, every)
    check_free(out)
    for plan in plans.values():
        if pinned := pinned_layers(plan.graph):
            lost = f"The saved model will not keep the `training=` of {', '.join(pinned)}"
            say(console, f"{lost}: Keras has no place for it in a file.", style="yellow")
    works = {key: Work(plan.job(1), plan.trials, plan.wanted) for key, plan in plans.items() if plan.way is None}
    ways = choose(works, console)
    plans = {key: replace(plan, way=plan.way or ways[key]) for key, plan in plans.items()}
    parameters = {key: _built(plan) for key, plan in plans.items()}
    with _locked(out, plans):
        check_free(out)
        remove_unfinished(out)
        software = versions(next(iter(plans.values())).chosen.backend)
        runs = {}
        for key, plan in plans.items():
            config = {**plan.config, "parameters": parameters[key]}
            runs[key] = Run(plan, RunFolder.make(out / key, config, plan.texts, software))
        if name is not None:
            declared = {"schema": SCHEMA, "name": name, "models": list(plans), "published": published or {}}
            write_json(out / EXPERIMENT, declared)
        _track(runs, logs, name, console, resume)
        return _carry_out(runs, console, every)


@contextmanager
def _locked(out: Path, keys: Iterable[str]) -> Iterator[None]:
    """Hold the lock of a folder, and those of the runs in it: each of them could be gone on with alone.

    Raises:
        RunError: another process has one of them.
    """
    with ExitStack() as locks:
        for key in ("", *(key for key in keys if key)):
            locks.enter_context(Lock(out / key))
        yield


def _engine(way: Way) -> Callable[[Sequence[Job]], Group]:
    """What makes trials that are trained together, with its framework started.

    Raises:
        Misuse: the back end is not installed, or Keras already runs on another.
    """
    frameworks.start(way.backend)
    make: Callable[[Sequence[Job], Way], Group] = import_module(f"specdsl.training.engine_{way.engine}").group
    return lambda jobs: make(jobs, way)


def _track(
    runs: Mapping[str, Run], logs: Sequence[Target], experiment: str | None, console: Console, resume: bool
) -> None:
    """Begin to tell trackers of runs.

    Raises:
        Misuse: one cannot be told.
    """
    for key, run in runs.items():
        name = key or run.plan.graph.name
        told = Described(name, experiment or name, run.folder.path, run.plan.config, resume)
        run.tracking = Tracking.begin(logs, told, console)


def _built(plan: Plan) -> int:
    """Build a model to see whether it can be trained, and give the number of its parameters.

    Raises:
        Misuse: it cannot.
    """
    try:
        (trial,) = _engine(plan.chosen)([plan.job(1)]).trials
        trial.check()
    except OutOfMemory as error:
        raise Misuse(f"{plan.graph.name} does not go into the memory: {error}", help=LESS_MEMORY) from None
    return int(trial.parameters)


def _resumed(plan: Plan, path: Path, console: Console) -> Run:
    """A run whose folder is there, when the folder says what the plan says.

    Raises:
        RunError: it says something else.
    """
    folder = RunFolder(path)
    try:
        plan = replace(plan, way=Way.of(folder.config["way"]))
    except (KeyError, TypeError):
        raise RunError(f"{path} does not say how it was trained, so that it cannot be gone on with") from None
    check_same(path, folder.config, plan.config)
    for change in changes(folder.path / VERSIONS, plan.chosen.backend):
        say(console, f"{path}: {change}: equality to the last bit is not promised.", style="yellow")
    trials, epochs = folder.config["trials"], folder.config["train"]["epochs"]
    if plan.trials < trials or plan.recipe.epochs < epochs:
        has = f"{trials} trials" if plan.trials < trials else f"{epochs} epochs"
        raise RunError(f"{path} has {has}: none of them is taken back")
    if plan.recipe.epochs > epochs:
        check_longer(path, plan.recipe, epochs)
    if plan.trials > trials or plan.recipe.epochs > epochs:
        folder.change(trials=plan.trials, train=plan.config["train"])
    return Run(plan, folder)


def _carry_out(runs: Mapping[str, Run], console: Console, every: int | None) -> dict[str, RunSummary]:
    """Carry out what is left of runs: all first trials, then all second ones."""

    def told() -> None:
        say(console, "Stopping after this step and saving what there is. Ctrl-C again stops at once.")

    left = [(numbers, key) for key, run in runs.items() for numbers in run.groups()]
    left.sort(key=lambda one: one[0])
    if not left:
        say(console, "All trials have come to their end: there is nothing left to do.")
        summaries = {key: run.summarise() for key, run in runs.items()}
        if not _drawn(runs):  # the process may have been ended before it drew
            _draw(runs)
        return summaries
    with Interrupts(told) as interrupts:
        makers = {key: _engine(run.plan.chosen) for key, run in runs.items()}
        estimate = Estimate([key for _, key in left], {key: run.plan.recipe.epochs for key, run in runs.items()})

        def ended(epoch: int) -> None:
            if estimate.epoch(epoch) and len(left) > 1:
                trials = sum(len(numbers) for numbers, _ in left)
                say(console, f"by these epochs all {trials} trials will take about {estimate.left()}")

        for place, (numbers, key) in enumerate(left):
            if interrupts.requested:
                break
            estimate.begin(place)
            trials = runs[key].plan.trials
            if len(runs) > 1 or trials > 1:
                model = f"{key}, " if key else ""
                which = f"trial {numbers[0]}" if len(numbers) == 1 else f"trials {numbers[0]} to {numbers[-1]}"
                of = f" ({place + 1} of {len(left)})" if len(runs) > 1 else ""
                to_go = f", about {estimate.left()} to go" if estimate.left() else ""
                say(console, f"{model}{which} of {trials}{of}{to_go}", style="bold")
            runs[key].carry_out(numbers, Surroundings(makers[key], interrupts, console, every, ended))
        summaries = {key: run.summarise() for key, run in runs.items()}
        _draw(runs)
        for key, run in runs.items():
            run.tracking.end(summaries[key])
    if any(summary.interrupted for summary in summaries.values()):
        say(console, "Stopped.")
    return summaries


def _drawn(runs: Mapping[str, Run]) -> bool:
    """Whether there are curves in the folder of each run, and in that of their experiment."""
    folders = {run.folder.path for run in runs.values()}
    folders |= {folder.parent for folder in folders if (folder.parent / EXPERIMENT).exists()}
    return all(any(folder.glob("*.svg")) for folder in folders)


def _draw(runs: Mapping[str, Run]) -> None:
    """Draw the curves of each run into its folder, and those of an experiment side by side into the folder around."""
    from specdsl.results.figures import draw_experiment, draw_run

    for run in runs.values():
        draw_run(run.folder.path)
    around = {run.folder.path.parent for run in runs.values()}
    for folder in around:
        if "" not in runs and (folder / EXPERIMENT).exists():
            draw_experiment(folder)
