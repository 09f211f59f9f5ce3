"""Reading runs: what was declared, how every trial went, and what its model said of the test examples."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specdsl.runs.files import RunError, read_json
from specdsl.runs.history import read_history
from specdsl.runs.layout import CONFIG, EXPERIMENT, HISTORY, MODEL, PREDICTIONS, SUMMARY, TRIAL, VERSIONS, trial_folder
from specdsl.runs.locking import is_held
from specdsl.runs.records import SCHEMA, TrialSummary


@dataclass(frozen=True)
class TrialRecord(TrialSummary):
    """A trial as its folder tells of it.

    Attributes:
        folder: the trial's folder.
        history: the columns of `history.csv`, as arrays with one value an epoch, NaN where nothing was measured.
        going_on: it has not come to its end, and a process writes into its run's folder or its experiment's.
    """

    folder: Path = Path()
    history: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    going_on: bool = False

    @property
    def model_file(self) -> Path:
        """The trained model, in Keras's format; not there before the trial has ended."""
        return self.folder / MODEL

    def predictions(self) -> dict[str, NDArray[Any]]:
        """What the kept weights say of each test example: `probability` float32 (n, classes) and `label` int32 (n,), or
        `value` and `target`, both float32 (n, k).

        Raises:
            RunError: there are none, or they cannot be read.
        """
        file = self.folder / PREDICTIONS
        try:
            with np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except FileNotFoundError:
            raise RunError(
                f"{self.folder} has no predictions: its trial has not come to its end",
                help="specdsl train --resume goes on with a run",
            ) from None
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise RunError(f"{file} cannot be read: {error}") from None


@dataclass(frozen=True)
class RunRecord:
    """A run as its folder tells of it.

    Attributes:
        folder: the run's folder.
        key: what the model is called among others: in an experiment its key there, else its name.
        config: `config.json`: everything that the run depends on.
        trials: the trials begun, in order.
        experiment: the name of the experiment that it is a part of, or None.
    """

    folder: Path
    key: str
    config: Mapping[str, Any]
    trials: tuple[TrialRecord, ...]
    experiment: str | None = None

    @property
    def model(self) -> str:
        """The model's name in the spec."""
        return str(self.config["model"])

    @property
    def recipe(self) -> Mapping[str, Any]:
        """The `train` block, as JSON has it."""
        recipe: Mapping[str, Any] = self.config["train"]
        return recipe

    @property
    def data(self) -> Mapping[str, Any]:
        """`name`, `task`, `shape`, `class_names`, the counts `train`, `validation` and `test`, and `sha256`."""
        data: Mapping[str, Any] = self.config["data"]
        return data

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, by label; empty where values are predicted."""
        return tuple(self.data["class_names"])

    @property
    def entry(self) -> Path:
        """The file of the spec that the run was begun with, among all files that it imports."""
        return self.folder / str(self.config.get("entry", "spec/model.spec"))

    @property
    def metrics(self) -> tuple[str, ...]:
        """What the histories measure, `loss` first."""
        for trial in self.trials:
            return tuple(name.removeprefix("train_") for name in trial.history if name.startswith("train_"))
        return ()

    @cached_property
    def versions(self) -> Mapping[str, Any]:
        """Software and machine; empty where it was never written."""
        file = self.folder / VERSIONS
        return read_json(file) if file.exists() else {}

    @cached_property
    def summary(self) -> Mapping[str, Any] | None:
        """`summary.json`, or None where the run was broken off before it wrote one."""
        file = self.folder / SUMMARY
        return read_json(file) if file.exists() else None


_SAYS: Mapping[str, Callable[[Any], bool]] = {
    "model": lambda value: isinstance(value, str),
    "train": lambda value: isinstance(value, dict) and _counts(value.get("epochs")),
    "data": lambda value: isinstance(value, dict) and isinstance(value.get("class_names"), list),
    "trials": lambda value: _counts(value),
    "seed": lambda value: isinstance(value, int),
}
"""What `config.json` has to say, and what it can be."""


def _counts(value: Any) -> bool:
    return isinstance(value, int) and value >= 1


def read_run(
    folder: Path, *, key: str | None = None, experiment: str | None = None, with_trials: bool = True
) -> RunRecord:
    """The run in a folder, also one that still goes on or was broken off.

    Args:
        folder: the folder.
        key: what the model is called among others.
        experiment: the experiment that it is a part of.
        with_trials: whether its trials are read; what was declared is known without, whatever is wrong with them.

    Raises:
        RunError: the folder holds no run, one in another format, or one that is damaged.
    """
    file = folder / CONFIG
    if not file.exists():
        raise _none(folder, "run", CONFIG, EXPERIMENT, "an experiment: `specdsl experiment --resume` goes on with it")
    config = read_json(file)
    _check_schema(file, config)
    for name, possible in _SAYS.items():
        if name not in config:
            raise RunError(f"{file} says nothing of '{name}'")
        if not possible(config[name]):
            raise RunError(f"{file} is damaged: '{name}' cannot be what it says")
    trials = []
    for number in range(1, int(config["trials"]) + 1 if with_trials else 1):
        place = trial_folder(folder, number)
        if (place / HISTORY).exists():
            trials.append(_trial(place, number, int(config["seed"])))
    if any(trial.interrupted for trial in trials) and (is_held(folder) or is_held(folder.resolve().parent)):
        trials = [replace(trial, going_on=trial.interrupted) for trial in trials]
    return RunRecord(folder, key or str(config["model"]), config, tuple(trials), experiment)


def read(paths: Sequence[Path]) -> tuple[RunRecord, ...]:
    """The runs in folders, each of a run or of an experiment; those of an experiment in its order, as far as they are
    there: `missing` tells which are not.

    Raises:
        RunError: a folder holds neither, no run of its experiment is there, or what it holds is damaged.
    """
    runs: list[RunRecord] = []
    for path in paths:
        if not (path / EXPERIMENT).exists():
            runs.append(read_run(path))
            continue
        declared, lost = read_experiment(path), missing(path)
        there = [key for key in declared["models"] if path / key not in lost]
        if not there:
            raise RunError(f"{path} holds none of the runs of its experiment: there is no run in {lost[0]}")
        runs += [read_run(path / key, key=key, experiment=declared["name"]) for key in there]
    return tuple(runs)


def missing(folder: Path) -> tuple[Path, ...]:
    """The folders of runs that an experiment names and that hold none; none where a folder is no experiment.

    Raises:
        RunError: the experiment is damaged.
    """
    if not (folder / EXPERIMENT).exists():
        return ()
    return tuple(folder / key for key in read_experiment(folder)["models"] if not (folder / key / CONFIG).exists())


def read_experiment(folder: Path) -> dict[str, Any]:
    """What `experiment.json` says: `name`, and `models`, the keys of the runs in order.

    Raises:
        RunError: the folder holds no experiment, or a damaged one.
    """
    file = folder / EXPERIMENT
    if not file.exists():
        raise _none(folder, "experiment", EXPERIMENT, CONFIG, "a run: `specdsl train --resume` goes on with it")
    declared = read_json(file)
    _check_schema(file, declared)
    keys = declared.get("models")
    if not isinstance(declared.get("name"), str) or not isinstance(keys, list) or not keys:
        raise RunError(f"{file} names no models")
    if not all(isinstance(key, str) for key in keys):
        raise RunError(f"{file} names models by what is no text")
    return declared


def _none(folder: Path, what: str, file: str, other: str, instead: str) -> RunError:
    """That a folder holds no run or no experiment, with what it holds instead where that is known."""
    help = f"it holds {instead}" if (folder / other).exists() else None
    return RunError(f"{folder} holds no {what}: there is no {file} in it", help=help)


def _trial(folder: Path, number: int, seed: int) -> TrialRecord:
    """A trial; one without a `trial.json` has not come to its end."""
    history = read_history(folder / HISTORY)
    file = folder / TRIAL
    if not file.exists():
        return TrialRecord(number, seed, epochs=len(history["epoch"]), interrupted=True, folder=folder, history=history)
    values = read_json(file)
    ended = TrialSummary.from_dict({"trial": None, "final": None, **values})
    if not ended.possible():
        raise RunError(f"{file} is no summary of a trial")
    return TrialRecord(**ended.to_dict(), folder=folder, history=history)


def _check_schema(file: Path, values: Mapping[str, Any]) -> None:
    found = values.get("schema")
    if found != SCHEMA:
        raise RunError(
            f"{file} has the format {found}, and this version of specdsl reads {SCHEMA}",
            help="a run is read by the version that wrote it: versions.json in its folder names that" if found else None,
        )
