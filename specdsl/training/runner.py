"""Runs: trials of models under their recipes, each run in its folder; begun, or gone on with."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING

from rich.console import Console

from specdsl.declaration import Misuse
from specdsl.functional import pinned_layers
from specdsl.runs.files import RunError, remove_unfinished, write_json
from specdsl.runs.folder import RunFolder, check_free
from specdsl.runs.layout import CONFIG, EXPERIMENT, VERSIONS
from specdsl.runs.locking import Lock
from specdsl.runs.records import SCHEMA, RunSummary
from specdsl.training import engines, frameworks
from specdsl.training.carrying import Run, carry_out, grouped
from specdsl.training.choosing import choose
from specdsl.training.plans import Plan
from specdsl.training.progress import say
from specdsl.training.resuming import check_longer, check_same
from specdsl.training.tracking import Described, Target, Tracking
from specdsl.training.versions import changes, versions
from specdsl.training.ways import Way
from specdsl.training.works import Work

if TYPE_CHECKING:
    from specdsl.training.workers_pool import Workers


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
        Misuse: the model and the data do not fit, an argument cannot be, or a package is not installed. All but one
            are found before any framework is imported; that a model gives what its loss takes is known only once it is
            built. Nothing is written before.
        RunError: the folder is in use, cannot be written, or holds something else than the plans say.
        DataError: validation is declared, but the examples cannot be split.
    """
    frameworks.check_drawing()
    for plan in plans.values():
        plan.check()
    for log in logs:
        log.reach([] if resume else [out / key for key in plans])
    if resume:
        for key in plans:
            if not (out / key / CONFIG).exists():
                raise RunError(f"{out / key} cannot be gone on with: there is no {CONFIG} in it")
        with _locked(out, plans) as locks:
            remove_unfinished(out)
            runs = {key: _resumed(plan, out / key, console) for key, plan in plans.items()}
            _track(runs, logs, name, console, resume)
            plans = {key: run.plan for key, run in runs.items()}
            with _workers(plans, sum(len(run.groups()) for run in runs.values()), console) as others:
                for run in runs.values():  # only now is it known that all of them can be gone on with
                    _lengthen(run)
                return _carried_out(runs, console, every, others, locks)
    check_free(out)
    for plan in plans.values():
        if pinned := pinned_layers(plan.graph):
            lost = f"The saved model will not keep the `training=` of {', '.join(pinned)}"
            say(console, f"{lost}: Keras has no place for it in a file.", style="yellow")
    plans = _with_ways(plans, console)
    groups = sum(len(grouped(range(1, plan.trials + 1), plan.chosen)) for plan in plans.values())
    with _workers(plans, groups, console) as others:
        parameters = others.check() if others else _parameters(plans)
        with _locked(out, plans) as locks:
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
            try:
                _track(runs, logs, name, console, resume)
            except Misuse:
                rmtree(out, ignore_errors=True)  # it was free, so that all in it has just been made
                raise
            return _carried_out(runs, console, every, others, locks)


def _with_ways(plans: Mapping[str, Plan], console: Console) -> dict[str, Plan]:
    """The plans with the ways that are chosen for them. Processes are shared by all: there are as many for each.

    Raises:
        Misuse: what is asked for cannot be had here.
    """
    trials = sum(plan.trials for plan in plans.values())
    works = {
        key: Work(plan.job(1), plan.trials, plan.wanted, trials - plan.trials)
        for key, plan in plans.items()
        if plan.way is None
    }
    choices = choose(works, console)
    plans = {key: replace(plan, **vars(choices[key])) if key in choices else plan for key, plan in plans.items()}
    # More would leave cores to processes that have nothing to do; where a way was given, it is meant.
    processes = max(
        min(plan.chosen.processes, trials) if key in works else plan.chosen.processes for key, plan in plans.items()
    )
    return {key: replace(plan, way=replace(plan.chosen, processes=processes)) for key, plan in plans.items()}


def _parameters(plans: Mapping[str, Plan]) -> dict[str, int]:
    """The parameters of each model, which is built here to see whether it can be trained.

    Raises:
        Misuse: one cannot.
    """
    return {key: engines.built(engines.maker(plan.chosen), plan.job(1)) for key, plan in plans.items()}


@contextmanager
def _workers(plans: Mapping[str, Plan], groups: int, console: Console) -> Iterator[Workers | None]:
    """The processes that train, while it is entered; None where it is this one, or where there is nothing to train.

    Raises:
        Misuse: several are asked for, and the system cannot hand over what they need.
    """
    processes = next(iter(plans.values())).chosen.processes
    if processes == 1 or not groups:
        yield None
        return
    if not hasattr(socket, "send_fds"):
        raise Misuse(f"several processes cannot train on {sys.platform}", argument="processes", help="leave it at 1")
    from specdsl.training.workers_pool import Workers

    with Workers(plans, min(processes, groups), console) as others:
        yield others


def _carried_out(
    runs: Mapping[str, Run], console: Console, every: int | None, others: Workers | None, locks: Sequence[Lock]
) -> dict[str, RunSummary]:
    """Carry out runs; other processes that write for them hold their locks too, and end before these are given up."""
    with others.holding([lock.handle for lock in locks]) if others else nullcontext():
        return carry_out(runs, console, every, others)


@contextmanager
def _locked(out: Path, keys: Iterable[str]) -> Iterator[list[Lock]]:
    """Hold the lock of a folder, and those of the runs in it: each of them could be gone on with alone.

    Raises:
        RunError: another process has one of them.
    """
    with ExitStack() as locks:
        yield [locks.enter_context(Lock(out / key)) for key in ("", *(key for key in keys if key))]


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


def _resumed(plan: Plan, path: Path, console: Console) -> Run:
    """A run whose folder is there, when the folder says what the plan says. Nothing is changed in it.

    Raises:
        RunError: it says something else.
        Misuse: there is something left to train, and the back end is not installed.
    """
    folder = RunFolder(path)
    try:
        plan = replace(plan, way=Way.of(folder.config["way"]), why=folder.config.get("why", ""))
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
    run = Run(plan, folder)
    if run.left():
        engines.check(plan.chosen)
    for lost in run.lost():
        say(console, f"{lost}: its trial is brought to its end again.", style="yellow")
    return run


def _lengthen(run: Run) -> None:
    """Let the folder of a run say how many trials and epochs it is to have now."""
    plan, config = run.plan, run.folder.config
    if plan.trials > config["trials"] or plan.recipe.epochs > config["train"]["epochs"]:
        run.folder.change(trials=plan.trials, train=plan.config["train"])
