"""How well the models of a run do on a part of data, of every trial and of all trials together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specdsl.data.dataset import DataSet
from specdsl.declaration import Misuse
from specdsl.inference.calibration import Calibration, calibrate, quality, stored, tempered
from specdsl.inference.opening import Part, TrainedRun
from specdsl.inference.predicting import Predictor, mean_of
from specdsl.runs.answers import are_probabilities
from specdsl.runs.files import RunError
from specdsl.runs.reading import TrialRecord

AGREES = 1e-4
"""By which part of a value what is measured may differ from what a run recorded: another machine rounds differently."""


@dataclass(frozen=True, slots=True)
class OfClass:
    """How the examples of one class are answered.

    Attributes:
        label: the class.
        name: what it is called.
        images: how many examples there are.
        right: how many of them are answered right.
    """

    label: int
    name: str
    images: int
    right: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What one trial's model gives, or the mean answer of several.

    Attributes:
        trials: whose models.
        values: loss, metrics and what is told of probabilities, by name.
        recorded: what the run recorded of the same part, by name; empty where it is another.
        calibrated: what is told of probabilities with the stored temperature.
        calibration: that temperature, None where there is none.
        classes: each class; empty where values are predicted.
    """

    trials: tuple[int, ...]
    values: Mapping[str, float]
    recorded: Mapping[str, float]
    calibrated: Mapping[str, float]
    calibration: Calibration | None
    classes: tuple[OfClass, ...]

    @property
    def differs(self) -> tuple[str, ...]:
        """What is not as it was recorded."""
        return tuple(
            name
            for name, value in self.recorded.items()
            if name in self.values and abs(self.values[name] - value) > AGREES * max(abs(value), AGREES)
        )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation of a run.

    Attributes:
        run: the run.
        data: the name of the data.
        part: which part of it.
        examples: how many.
        views: how many views of each were averaged; None for the examples themselves.
        own: whether the data are those of the run, to the last byte.
        trials: what each trial gives.
        ensemble: what the mean answer of all gives, where that was asked for.
    """

    run: TrainedRun
    data: str
    part: Part
    examples: int
    views: int | None
    own: bool
    trials: tuple[Measured, ...]
    ensemble: Measured | None

    @property
    def mean(self) -> dict[str, float]:
        """The mean of every value over the trials."""
        return {name: mean(one.values[name] for one in self.trials) for name in self.trials[0].values}


def evaluate(predictor: Predictor, data: DataSet, part: Part, *, own: bool, ensemble: bool = False) -> Evaluation:
    """Evaluate models on a part of data.

    Without views, loss and metrics are those of the recipe, measured as the run measured them. With views, and for an
    ensemble, they are accuracy or errors of the mean answers.

    Args:
        predictor: the models.
        data: the data.
        part: which part.
        own: whether the data are those of the run, to the last byte.
        ensemble: whether the mean answer of all trials is evaluated too.

    Raises:
        RunError: no examples were kept for validation.
        DataError: the data cannot be split.
        Misuse: the loss or a metric cannot be taken of what a model ends with.
    """
    run = predictor.run
    examples = run.part(data, part)
    if not len(examples):
        raise Misuse(f"{data.name} has no {part} examples")
    answers = predictor.each(examples.x)
    keras = import_module("specdsl.inference.models")
    trials = []
    for trial, model, answer in zip(predictor.trials, predictor.models, answers, strict=True):
        values = told(answer, examples.y)
        recorded: Mapping[str, float] = {}
        if predictor.views is None:
            recipe_values = keras.measured(model, run.recipe, examples)
            values = (
                {"loss": recipe_values["loss"]}
                | recipe_values
                | {name: value for name, value in values.items() if name not in recipe_values}
            )
            if own and trial.evaluated:
                recorded = {
                    name.removeprefix(f"{part}_"): value
                    for name, value in trial.final.items()
                    if name.startswith(f"{part}_")
                }
        trials.append(_measured(predictor, (trial.trial,), values, recorded, answer, examples.y))
    together = None
    if ensemble:
        whole = mean_of(answers)
        numbers = tuple(trial.trial for trial in predictor.trials)
        together = _measured(predictor, numbers, told(whole, examples.y), {}, whole, examples.y)
    views = predictor.views.count if predictor.views else None
    return Evaluation(run, data.name, part, len(examples), views, own, tuple(trials), together)


def calibrated(predictor: Predictor, data: DataSet, *, ensemble: bool = False) -> list[Calibration]:
    """Temperatures for the models of a run, each alone, or for the mean answer of all, fitted to its validation part.

    Args:
        predictor: the models.
        data: the data of the run.
        ensemble: whether the mean answer of all trials is calibrated too.

    Raises:
        RunError: no examples were kept for validation, or the models give no probabilities that sum to 1.
        DataError: the data cannot be split.
    """
    run = predictor.run
    if not run.classifies:
        raise RunError(f"{run.name} predicts values, and only probabilities can be calibrated")
    examples = run.part(data, "validation")
    answers = predictor.each(examples.x)
    if not all(map(are_probabilities, answers)):
        raise RunError(f"{run.name} gives no probabilities that sum to 1, and only those can be calibrated")
    choices: list[tuple[Sequence[TrialRecord], NDArray[np.float32]]] = [
        ((trial,), answer) for trial, answer in zip(predictor.trials, answers, strict=True)
    ]
    if ensemble and len(answers) > 1:
        choices.append((predictor.trials, mean_of(answers)))
    found = []
    for trials, answer in choices:
        numbers = [trial.trial for trial in trials]
        if (answer.argmax(axis=1) == examples.y).all():
            whose = f"trial {numbers[0]} answers" if len(numbers) == 1 else "the trials together answer"
            raise RunError(
                f"no temperature can be fitted: {whose} every validation example right",
                help="--trial N fits one trial alone" if len(choices) > 1 else None,
            )
        views = predictor.views.count if predictor.views else 1
        models = [trial.model_file for trial in trials]
        found.append(calibrate(answer, examples.y, trials=numbers, views=views, models=models))
    return found


def told(answer: NDArray[Any], y: NDArray[Any]) -> dict[str, float]:
    """What can be told of answers without a recipe: accuracy, and of probabilities how far they can be believed; or
    the errors of predicted values.

    Args:
        answer: (n, classes), or (n, k).
        y: classes (n,), or values (n, k).
    """
    if y.ndim == 1:
        values = {"accuracy": float((answer.argmax(axis=1) == y).mean())}
        return values | (quality(answer, y) if are_probabilities(answer) else {})
    error = answer.astype(np.float64) - y
    return {
        "root_mean_squared_error": float(np.sqrt((error**2).mean())),
        "mean_absolute_error": float(np.abs(error).mean()),
        "largest_error": float(np.abs(error).max()),
    }


def _measured(
    predictor: Predictor,
    trials: Sequence[int],
    values: Mapping[str, float],
    recorded: Mapping[str, float],
    answer: NDArray[Any],
    y: NDArray[Any],
) -> Measured:
    run = predictor.run
    found = None
    if "expected_calibration_error" in values:
        files = [trial.model_file for trial in predictor.trials if trial.trial in trials]
        found = stored(run.record.folder, trials, predictor.views.count if predictor.views else 1, files)
    after = quality(tempered(answer, found.temperature), y) if found else {}
    return Measured(tuple(trials), values, recorded, after, found, _classes(run, answer, y))


def _classes(run: TrainedRun, answer: NDArray[Any], y: NDArray[Any]) -> tuple[OfClass, ...]:
    if y.ndim != 1:
        return ()
    right = answer.argmax(axis=1) == y
    return tuple(
        OfClass(label, name, int((y == label).sum()), int(right[y == label].sum()))
        for label, name in enumerate(run.class_names)
    )
