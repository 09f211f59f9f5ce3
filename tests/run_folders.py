"""Run folders of schema 2 made by hand, for tests of what reads them: no framework, no training."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CLASSIFICATION = {
    "type": "TrainRecipe",
    "data": {
        "type": "DataRecipe",
        "source": {"type": "synthetic", "size": 32, "train": 8, "test": 80, "seed": 0},
        "validation": None,
        "augment": [{"type": "random_crop", "height": 28, "width": 28}],
        "evaluate": [{"type": "center_crop", "height": 28, "width": 28}],
    },
    "optimizer": {"type": "Adam", "learning_rate": 0.001},
    "loss": {"type": "SparseCategoricalCrossentropy", "name": "sparse_categorical_crossentropy"},
    "metrics": [{"type": "AutomaticAccuracy", "name": "accuracy", "dtype": None}],
    "batch": 128,
    "epochs": 4,
    "keep": "last",
}
REGRESSION = {
    **CLASSIFICATION,
    "data": {"type": "DataRecipe", "source": {"type": "sinc"}, "validation": None, "augment": [], "evaluate": []},
    "loss": {"type": "MeanSquaredError", "name": "mean_squared_error"},
    "metrics": [{"type": "MeanAbsoluteError", "name": "mean_absolute_error", "dtype": None}],
}


@dataclass
class Made:
    """A trial to be made.

    Args:
        test: test accuracy, or the test loss of a regression; rounded to whole test images.
        state: "finished", "interrupted", "diverged" or "failed"; "running" has no trial.json yet.
    """

    test: float | None = None
    state: str = "finished"


@dataclass
class MadeRun:
    """A run to be made; `write` makes its folder.

    Args:
        trials: what its trials came to: test accuracies (or losses of a regression), or `Made`.
        test: how many test examples there are.
        classes: how many classes; 0 makes a regression of one value.
        validation: how many examples are kept for validation; without any there are no such columns.
        data_seed: what labels and errors come from: runs with the same have the same test set.
        train: settings of the recipe in place of the usual ones.
        predictions: whether predictions.npz is written.
    """

    trials: Sequence[float | Made]
    model: str = "original"
    parameters: int = 97_771
    test: int = 400
    classes: int = 5
    validation: int = 0
    data_seed: int = 0
    seed: int = 0
    epochs: int = 4
    train: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    predictions: bool = True
    planned: int | None = None

    def write(self, folder: Path) -> Path:
        """Make the folder, with everything that a run leaves but models and checkpoints."""
        planned = self.planned or len(self.trials)
        regression = self.classes == 0
        recipe = {**(REGRESSION if regression else CLASSIFICATION), "epochs": self.epochs, **self.train}
        if self.validation:
            recipe["data"] = {**recipe["data"], "validation": {"type": "validation", "fraction": 0.1, "by": "track"}}
        names = [f"class {number}" for number in range(self.classes)]
        spec = folder / "spec" / "model.spec"
        spec.parent.mkdir(parents=True)
        shape = "x: (1,)" if regression else "image: (28, 28, 3)"
        spec.write_text(f"model {self.model} {{\n    input {shape}\n    Flatten\n    Dense({self.classes or 1})\n}}\n")
        _write(folder / "config.json", {
            "schema": 2,
            "spec": "model.spec",
            "model": self.model,
            "model_parameters": {},
            "backend": "tensorflow",
            "engine": "fit",
            "trials": planned,
            "seed": self.seed,
            "parameters": self.parameters,
            "train": recipe,
            "data": {
                "name": "sinc" if regression else "synthetic",
                "task": "regression" if regression else "classification",
                "shape": [1] if regression else [32, 32, 3],
                "class_names": names,
                "train": 1000,
                "validation": self.validation,
                "test": self.test,
                "sha256": f"{self.data_seed:064x}",
            },
            **self.config,
        })  # fmt: skip
        _write(folder / "versions.json", {"specdsl": "0.1.0", "python": "3.12.3", "packages": {"keras": "3.15.1"}})
        ended = [self._trial(folder / f"trial-{number}", number, trial) for number, trial in self._made()]
        kept = [trial for trial in ended if trial is not None]
        finals = [trial["final"] for trial in kept if trial["evaluated"]]
        _write(folder / "summary.json", {
            "schema": 2,
            "model": self.model,
            "parameters": self.parameters,
            "planned_trials": planned,
            "interrupted": any(trial["interrupted"] for trial in kept),
            "trials": kept,
            "mean": {name: float(np.mean([final[name] for final in finals])) for name in (finals[0] if finals else ())},
            "images_per_second": 1000.0,
            "seconds": 12.0,
        })  # fmt: skip
        return folder

    def _made(self) -> list[tuple[int, Made]]:
        made = [trial if isinstance(trial, Made) else Made(trial) for trial in self.trials]
        return list(enumerate(made, start=1))

    @property
    def _parts(self) -> list[str]:
        return ["train", *(["validation"] if self.validation else []), "test"]

    def _trial(self, folder: Path, number: int, made: Made) -> dict[str, Any] | None:
        folder.mkdir()
        final: dict[str, float] = {}
        if made.test is not None:
            final = self._regression(folder, number, made) if self.classes == 0 else self._signs(folder, number, made)
        epochs = self.epochs if made.state == "finished" else max(1, self.epochs // 2)
        self._history(folder / "history.csv", final, epochs)
        if made.state == "running":
            return None
        trial = {
            "trial": number,
            "seed": self.seed,
            "epochs": epochs,
            "kept_epoch": epochs,
            "final": final,
            "evaluated": bool(final),
            "interrupted": made.state == "interrupted",
            "diverged": "the loss is no number" if made.state == "diverged" else None,
            "failed": "out of memory" if made.state == "failed" else None,
            "seconds": 4.0,
            "images_per_second": 1000.0,
        }
        _write(folder / "trial.json", trial)
        return trial

    def _signs(self, folder: Path, number: int, made: Made) -> dict[str, float]:
        """The predictions of a trial, right about as many images as its accuracy says; hard images are shared."""
        assert made.test is not None
        shared = np.random.default_rng([self.data_seed, 1])
        label = shared.integers(0, self.classes, self.test).astype(np.int32)
        hardness = shared.random(self.test)
        own = np.random.default_rng([self.data_seed, number, self.seed, *self.model.encode()])
        wrong = np.argsort(hardness + 0.5 * own.random(self.test))[: self.test - round(made.test * self.test)]
        guessed = label.copy()
        guessed[wrong] = (label[wrong] + own.integers(1, self.classes, len(wrong))) % self.classes
        sure = (0.5 + 0.45 * own.random(self.test)).astype(np.float32)
        probability = np.repeat((1 - sure[:, None]) / (self.classes - 1), self.classes, axis=1).astype(np.float32)
        probability[np.arange(self.test), guessed] = sure
        if self.predictions:
            np.savez(folder / "predictions.npz", probability=probability, label=label)
        accuracy = float(np.mean(probability.argmax(axis=1) == label))
        loss = float(-np.log(probability[np.arange(self.test), label]).mean())
        values = {"train": (0.3 * loss, 0.5 + 0.5 * accuracy), "validation": (loss, accuracy), "test": (loss, accuracy)}
        return {
            f"{part}_{name}": value
            for part in self._parts
            for name, value in zip(("loss", "accuracy"), values[part], strict=True)
        }

    def _regression(self, folder: Path, number: int, made: Made) -> dict[str, float]:
        assert made.test is not None
        target = np.linspace(-1, 1, self.test, dtype=np.float32)[:, None]
        own = np.random.default_rng([number, self.seed, *self.model.encode()])
        error: NDArray[np.float64] = own.normal(size=target.shape)
        error *= np.sqrt(made.test / np.mean(error**2))
        value = (target + error).astype(np.float32)
        if self.predictions:
            np.savez(folder / "predictions.npz", value=value, target=target)
        off = value.astype(np.float64) - target
        found = {"loss": float(np.mean(off**2)), "mean_absolute_error": float(np.mean(np.abs(off)))}
        return {f"{part}_{name}": amount for part in self._parts for name, amount in found.items()}

    def _history(self, file: Path, final: Mapping[str, float], epochs: int) -> None:
        """Curves that end at the final values; train columns are running means, which lie a little behind."""
        metrics = ("loss", "accuracy") if self.classes else ("loss", "mean_absolute_error")
        columns = [f"{part}_{metric}" for part in self._parts for metric in metrics]
        with file.open("w", newline="", encoding="utf-8") as opened:
            table = csv.writer(opened, lineterminator="\n")
            table.writerow(["epoch", *columns, "learning_rate", "seconds", "images_per_second"])
            for epoch in range(1, epochs + 1):
                rest = 0.5 * (epochs - epoch) / epochs
                values = [final.get(name, 0.5) * (1 - rest if "accuracy" in name else 1 + 4 * rest) for name in columns]
                table.writerow([epoch, *(f"{value:.9g}" for value in values), 0.001, 1.0, 1000.0])


def write_experiment(
    folder: Path,
    runs: Mapping[str, MadeRun],
    name: str = "dropout_position",
    published: Mapping[str, Any] | None = None,
) -> Path:
    """Make the folder of an experiment, with a run folder for each model.

    Args:
        folder: where; it is made.
        runs: the runs by their keys.
        name: the experiment's name.
        published: values from elsewhere to set beside the measured ones, by key and name.
    """
    folder.mkdir(parents=True)
    data: dict[str, Any] = {"schema": 2, "name": name, "models": list(runs)}
    if published is not None:
        data["published"] = published
    _write(folder / "experiment.json", data)
    for key, made in runs.items():
        made.write(folder / key)
    return folder


def _write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
