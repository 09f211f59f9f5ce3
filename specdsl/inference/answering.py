"""Answers to single pictures and values, ready to be shown."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specdsl.data.pictures import Fit, Picture, read_picture
from specdsl.declaration import Misuse
from specdsl.inference.calibration import Calibration, stored
from specdsl.inference.opening import TrainedRun
from specdsl.inference.predicting import Predictor
from specdsl.runs.answers import are_probabilities

Example = Picture | tuple[str, NDArray[np.float32]]
"""What is predicted: a picture, or values with a name."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a model says of one example.

    Attributes:
        name: where the example came from.
        answer: float32, a number for each class, or the predicted values.
        size: width and height of a picture; None of values.
        notes: what was done to a picture that one may not expect.
    """

    name: str
    answer: NDArray[np.float32]
    size: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answers:
    """Predictions of a run's models.

    Attributes:
        run: the run's folder.
        model: the model's name.
        trials: whose models; answers of several are averaged.
        views: how many views of each image were averaged; None for the image itself.
        class_names: the names of the classes; empty where values are predicted.
        probabilities: whether the numbers are probabilities that sum to 1.
        calibration: what they were mended with, None where they are as the model gives them.
        can_be_calibrated: whether the run kept validation examples.
        most: how many classes are told of each.
        predictions: one for each example.
    """

    run: str
    model: str
    trials: tuple[int, ...]
    views: int | None
    class_names: tuple[str, ...]
    probabilities: bool
    calibration: Calibration | None
    can_be_calibrated: bool
    most: int
    predictions: tuple[Prediction, ...] = field(repr=False)

    def __iter__(self) -> Iterator[list[tuple[int, str, float]] | NDArray[np.float32]]:
        """For each example its most probable classes, or the values that are predicted."""
        for one in self.predictions:
            yield self.top(one) if self.class_names else one.answer

    def top(self, prediction: Prediction) -> list[tuple[int, str, float]]:
        """The most probable classes, the first of them first: label, name and probability."""
        order = np.argsort(-prediction.answer, kind="stable")[: self.most]
        return [(int(label), self.class_names[label], float(prediction.answer[label])) for label in order]


def picture_of(run: TrainedRun, source: Path | bytes | Any, name: str | None = None) -> Picture:
    """A picture in the size and the colours that a run's data have.

    Raises:
        PictureError: it cannot be read.
    """
    height, width, channels = run.shape
    fit: Fit = getattr(run.recipe.data.source, "fit", "stretch")
    return read_picture(source, (height, width, channels), fit, name)


def example_of(run: TrainedRun, source: Any) -> Example:
    """An example from whatever Python has: a picture, or values with a name.

    Raises:
        PictureError: it is a picture that cannot be read.
        Misuse: there are more or fewer values than the run takes.
    """
    if run.takes_images:
        named = isinstance(source, str | os.PathLike)
        return picture_of(run, Path(source) if named else source, None if named else "<picture>")
    values = np.asarray(source, np.float32)
    if values.size != np.prod(run.shape):
        raise Misuse(f"{values.size} values, and {run.name} takes {np.prod(run.shape)}")
    return "<values>", values.reshape(run.shape)


def answer(predictor: Predictor, examples: Sequence[Example], most: int = 5) -> Answers:
    """What models say of pictures, or of values with their names; calibrated where the run holds a temperature.

    Args:
        predictor: the models.
        examples: pictures as `picture_of` gives them, or a name and values of the shape that the run takes.
        most: how many classes are told of each.

    Raises:
        RunError: the file of temperatures is damaged.
    """
    run = predictor.run
    arrays = [one.pixels if isinstance(one, Picture) else one[1] for one in examples]
    given = predictor.answers(np.stack(arrays)) if arrays else np.zeros((0, max(1, len(run.class_names))), np.float32)
    trials = tuple(trial.trial for trial in predictor.trials)
    views = predictor.views.count if predictor.views else None
    probabilities = run.classifies and are_probabilities(given)
    found = None
    if probabilities:
        found = stored(run.record.folder, trials, views or 1, [trial.model_file for trial in predictor.trials])
        given = found.mend(given) if found else given
    return Answers(
        run=os.fspath(run.record.folder),
        model=run.name,
        trials=trials,
        views=views,
        class_names=run.class_names,
        probabilities=probabilities,
        calibration=found,
        can_be_calibrated=run.recipe.data.validation is not None,
        most=most,
        predictions=tuple(
            Prediction(one.name, row, one.size, one.notes) if isinstance(one, Picture) else Prediction(one[0], row)
            for one, row in zip(examples, given, strict=True)
        ),
    )
