"""One run: trials of one model under one recipe, into one folder."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean
from time import perf_counter
from typing import Any

from rich.console import Console

from specdsl.data.dataset import DataSet, split
from specdsl.declaration import Misuse
from specdsl.functional import pinned_layers
from specdsl.graph import Graph
from specdsl.recipes.training import TrainRecipe
from specdsl.runs.files import save_with, write_text
from specdsl.runs.history import Epoch, History
from specdsl.runs.layout import CONFIG
from specdsl.training import frameworks
from specdsl.training.checks import check_data, check_fit
from specdsl.training.engine import Job, Outcome, Trial
from specdsl.training.interrupts import Interrupts
from specdsl.training.progress import Display
from specdsl.training.run_folder import RunFolder
from specdsl.training.streams import Streams
from specdsl.version import __version__


@dataclass(frozen=True, slots=True)
class TrialSummary:
    """How one trial ended.

    Attributes:
        trial: its number, from 1.
        epochs: how many epochs it finished.
        final: the last value of every metric, as `train_loss`, `test_accuracy`.
        interrupted: it was ended before its time.
        diverged: why it was given up, or None.
        seconds: how long it took, evaluation and building included.
        images_per_second: the median over its epochs, training alone; None without an epoch.
    """

    trial: int
    epochs: int
    final: Mapping[str, float]
    interrupted: bool
    diverged: str | None
    seconds: float
    images_per_second: float | None


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a run ended: what `summary.json` says.

    Attributes:
        model: the model's name.
        folder: where everything lies.
        trials: its trials, as far as they were begun.
        planned: how many there were to be.
        parameters: the model's parameters, None when it was never built.
        interrupted: the run was ended before its time.
        seconds: how long it took in all.
    """

    model: str
    folder: Path
    trials: tuple[TrialSummary, ...]
    planned: int
    parameters: int | None
    interrupted: bool
    seconds: float

    @property
    def diverged(self) -> tuple[TrialSummary, ...]:
        """The trials that were given up."""
        return tuple(trial for trial in self.trials if trial.diverged)

    @property
    def mean(self) -> dict[str, float]:
        """Every metric's mean over the trials that did not diverge."""
        finals = [trial.final for trial in self.trials if not trial.diverged]
        return {name: mean(final[name] for final in finals) for name in (finals[0] if finals else ())
                if all(name in final for final in finals)}  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """The summary as JSON has it."""
        rates = [trial.images_per_second for trial in self.trials if trial.images_per_second]
        return {
            "schema": 1,
            "model": self.model,
            "parameters": self.parameters,
            "planned_trials": self.planned,
            "interrupted": self.interrupted,
            "diverged": bool(self.diverged),
            "mean": self.mean,
            "trials": [asdict(trial) for trial in self.trials],
            "images_per_second": mean(rates) if rates else None,
            "seconds": self.seconds,
        }


def run(
    graph: Graph,
    recipe: TrainRecipe,
    dataset: DataSet,
    *,
    out: Path,
    spec_text: str,
    spec_name: str,
    trials: int = 1,
    seed: int = 0,
    backend: str = "tensorflow",
    epochs: int | None = None,
    batch: int | None = None,
    console: Console,
) -> RunSummary:
    """Train a model and write the run's folder.

    Every trial has initial weights, order and augmentation of its own; all come from `seed`, so that the same call
    on the same machine gives the same history. Ctrl-C ends it after the current step and keeps what there is.

    Args:
        graph: the model: one image input, one output of a probability for each class.
        recipe: the `train` block.
        dataset: the images that the recipe names, loaded.
        out: the folder to make.
        spec_text: the text of the spec, kept with the run.
        spec_name: where that text came from.
        trials: how many times to train.
        seed: at least 0.
        backend: the Keras back end.
        epochs: in place of the recipe's.
        batch: in place of the recipe's.
        console: where to show progress.

    Raises:
        Misuse: the model and the data do not fit, an argument cannot be, the back end is not installed, or the folder
            is in use. All but one are found before any framework is imported; that the model ends
            with probabilities is known only once it is built.
        DataError: validation is declared, but the images cannot be split.
    """
    began = perf_counter()
    if trials < 1:
        raise Misuse(f"there must be at least one trial, not {trials}", argument="trials")
    if seed < 0:
        raise Misuse(f"a seed is at least 0, not {seed}", argument="seed")
    given = {name: value for name, value in (("epochs", epochs), ("batch", batch)) if value is not None}
    recipe = recipe.replace(**given)
    check_data(recipe.data, dataset)
    check_fit(graph, recipe.data, dataset)
    if pinned := pinned_layers(graph):
        lost = f"The saved model will not keep the `training=` of {', '.join(pinned)}"
        _say(console, f"{lost}: Keras has no place for it in a file.", style="yellow")
    frameworks.check_installed(backend)
    train, validation = dataset.train, None
    if recipe.data.validation is not None:
        train, validation = split(dataset.train, recipe.data.validation, seed)

    folder = RunFolder(out, trials)
    write_text(folder.path / "model.spec", spec_text)
    folder.write_json(CONFIG, {
        "schema": 1,
        "spec": spec_name,
        "model": graph.name,
        "model_parameters": dict(graph.parameters),
        "backend": backend,
        "engine": "fit",
        "trials": trials,
        "seed": seed,
        "train": recipe,
        "images": {
            "name": dataset.name,
            "train": len(train),
            "validation": len(validation) if validation is not None else 0,
            "test": len(dataset.test),
            "sha256": dataset.fingerprint(),
        },
    })  # fmt: skip

    def told() -> None:
        _say(console, "Stopping after this step and saving what there is. Ctrl-C again stops at once.")

    summaries: list[TrialSummary] = []
    histories: list[History] = []
    parameters: int | None = None
    with Interrupts(told) as interrupts:
        try:
            frameworks.start(backend)
            folder.write_json("versions.json", _versions(backend))
            engine = import_module("specdsl.training.engine_fit")
            for number in range(1, trials + 1):
                if interrupts.requested:
                    break
                if trials > 1:
                    _say(console, f"trial {number} of {trials}", style="bold")
                building = perf_counter()
                job = Job(graph, recipe, train, validation, dataset.test, Streams(seed, number))
                trial: Trial = engine.FitTrial(job)
                parameters = trial.parameters
                history = History(("loss", *recipe.metrics), validated=validation is not None)
                histories.append(history)
                summaries.append(_train(trial, job, history, folder.trial(number), building, interrupts, console))
        except Misuse:
            folder.discard()
            raise
        except KeyboardInterrupt:
            # Only where no handler could be set; a second Ctrl-C ends everything.
            if interrupts.insisted:
                raise
            interrupts.requested = True
        summary = RunSummary(
            model=graph.name,
            folder=folder.path,
            trials=tuple(summaries),
            planned=trials,
            parameters=parameters,
            interrupted=interrupts.requested and (len(summaries) < trials or any(t.interrupted for t in summaries)),
            seconds=perf_counter() - began,
        )
        folder.write_json("summary.json", summary.to_dict())
        if any(history.epochs for history in histories):
            figures = import_module("specdsl.training.figures")
            figures.draw(histories, folder.path, _title(graph, dataset, trials))
        if summary.interrupted:
            _say(console, f"Stopped. What there is lies in {folder.path}")
    return summary


class _Watcher:
    """Shows progress, keeps the history on disk, and passes on the wish to stop."""

    def __init__(self, display: Display, history: History, file: Path, interrupts: Interrupts) -> None:
        self._display, self._history, self._file, self._interrupts = display, history, file, interrupts

    def stopping(self) -> bool:
        return self._interrupts.requested

    def on_step(self, epoch: int, step: int, values: Mapping[str, float], images_per_second: float) -> None:
        self._display.step(epoch, step, values, images_per_second)

    def on_epoch(self, epoch: Epoch) -> None:
        self._history.epochs.append(epoch)
        write_text(self._file, self._history.to_csv())
        self._display.epoch(epoch)


def _train(
    trial: Trial, job: Job, history: History, folder: Path, began: float, interrupts: Interrupts, console: Console
) -> TrialSummary:
    """One trial, begun when its building began; its history and its model are on disk however it ends."""
    file = folder / "history.csv"
    write_text(file, history.to_csv())
    with Display(console, history, job.recipe.epochs, job.steps) as display:
        try:
            outcome = trial.train(_Watcher(display, history, file, interrupts))
        except KeyboardInterrupt:
            if interrupts.insisted:
                raise
            interrupts.requested = True
            outcome = Outcome(interrupted=True)
    save_with(folder / "model.keras", trial.save)
    if outcome.diverged:
        _say(console, f"This trial diverged: {outcome.diverged}.", style="bold red")
        _say(console, "A smaller learning rate, or clipnorm=1.0, often helps.")
    return TrialSummary(
        trial=job.streams.trial,
        epochs=len(history.epochs),
        final=history.final(),
        interrupted=outcome.interrupted,
        diverged=outcome.diverged,
        seconds=perf_counter() - began,
        images_per_second=history.images_per_second(),
    )


def _say(console: Console, line: str, style: str | None = None) -> None:
    console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)


def _title(graph: Graph, dataset: DataSet, trials: int) -> str:
    return f"{graph.name} on {dataset.name}" + (f", {trials} trials" if trials > 1 else "")


def _versions(backend: str) -> dict[str, Any]:
    """Software and machine, as far as they can change a result."""
    return {
        "specdsl": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "packages": {name: _version(name) for name in ("keras", backend, "numpy")},
    }


def _version(package: str) -> str | None:
    for name in (package, f"{package}_cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None
