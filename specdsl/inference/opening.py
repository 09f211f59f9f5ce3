"""Opening a run to use what it trained: which trials, which model files, which data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from specdsl.declaration import Misuse
from specdsl.recipes.data import Validation, shape_text
from specdsl.recipes.sources import Source
from specdsl.recipes.stored import restored
from specdsl.recipes.training import TrainRecipe
from specdsl.runs.files import RunError
from specdsl.runs.layout import EXPERIMENT
from specdsl.runs.reading import RunRecord, TrialRecord, read, read_run
from specdsl.runs.records import AGAINST_GROWTH

if TYPE_CHECKING:
    from specdsl.data.dataset import DataSet, Examples
    from specdsl.inference.answering import Answers
    from specdsl.inference.predicting import Predictor

Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class TrainedRun:
    """A run whose models can be used.

    Attributes:
        record: what its folder tells.
    """

    record: RunRecord
    _loaded: dict[Any, Predictor] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The model's name, with that of the experiment where it is a part of one."""
        return self.record.key

    @cached_property
    def recipe(self) -> TrainRecipe:
        """The `train` block that held.

        Raises:
            RunError: this version cannot say it.
        """
        try:
            made = restored(dict(self.record.recipe))
        except Misuse as error:
            raise RunError(
                f"{self.record.folder}: its recipe cannot be read: {error.message}",
                help="a run is read by the version that wrote it: versions.json in its folder names that",
            ) from None
        if not isinstance(made, TrainRecipe):
            raise RunError(f"{self.record.folder}: its recipe is no `train` block")
        return made

    @property
    def classifies(self) -> bool:
        """Whether classes are told, not values predicted."""
        return str(self.record.data["task"]) == "classification"

    @property
    def takes_images(self) -> bool:
        """Whether examples are images: of height, width and channels."""
        return len(self.shape) == 3

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example before any operation: height, width, channels of an image."""
        return tuple(int(size) for size in self.record.data["shape"])

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, by label; empty where values are predicted."""
        return self.record.class_names

    @property
    def backend(self) -> str:
        """The Keras back end that it was trained on."""
        return str(self.record.config.get("backend", "tensorflow"))

    @property
    def usable(self) -> tuple[TrialRecord, ...]:
        """The trials that left a model and neither diverged nor crashed."""
        return tuple(trial for trial in self.record.trials if trial.well and trial.model_file.exists())

    def trial(self, number: int) -> TrialRecord:
        """A trial by its number, from 1.

        Raises:
            RunError: there is none, or it left no model.
        """
        for trial in self.record.trials:
            if trial.trial == number:
                if not trial.model_file.exists():
                    why = f"it was given up: {trial.diverged}" if trial.diverged else "it has not come to its end"
                    raise RunError(
                        f"trial {number} of {self.record.folder} left no model: {why}", help=_way_out([trial])
                    )
                return trial
        begun = len(self.record.trials)
        raise RunError(f"{self.record.folder} has no trial {number}: it has {begun}, from 1 on")

    def chosen(self, trial: int | None) -> tuple[TrialRecord, ...]:
        """The trial of a number, or all that can be used.

        Raises:
            RunError: there is none.
        """
        if trial is not None:
            return (self.trial(trial),)
        if not self.usable:
            message = f"no trial of {self.record.folder} left a model that can be used"
            if any(trial.diverged for trial in self.record.trials):
                message += f": {next(trial.diverged for trial in self.record.trials if trial.diverged)}"
            raise RunError(message, help=_way_out(self.record.trials))
        return self.usable

    def predict(
        self, *examples: Any, trial: int | None = None, ensemble: bool = False, views: int | None = None, top: int = 5
    ) -> Answers:
        """What the models say of pictures, or of values where they take no pictures. Imports Keras.

        Going through the result gives for each example its classes, the most probable first: label, name, probability.

        Args:
            *examples: files, bytes of files, `PIL.Image.Image`s or arrays of bytes; or arrays of values.
            trial: whose model; by default that of the first trial that left one.
            ensemble: whether the answers of all trials are averaged.
            views: how many of the views that the recipe declares are averaged; None for the image itself.
            top: how many classes are told of each.

        Raises:
            PictureError: a picture cannot be read.
            RunError: there is no such trial, or no model; or the recipe declares no views.
            Misuse: no back end is installed, or Keras already runs on another.
        """
        from specdsl.inference.answering import answer, example_of

        read = [example_of(self, one) for one in examples]
        trials = self.chosen(trial)
        return answer(self._predictor(trials if ensemble else trials[:1], views), read, top)

    def _predictor(self, trials: tuple[TrialRecord, ...], views: int | None) -> Predictor:
        """The models of trials, loaded when they are first asked for."""
        from specdsl.inference.predicting import Predictor

        key = (tuple(trial.trial for trial in trials), views)
        if key not in self._loaded:
            self._loaded[key] = Predictor(self, trials, views=views)
        return self._loaded[key]

    def data(self, source: Source | None = None, folder: Path | None = None) -> DataSet:
        """The data that it was trained on, loaded again, or other data for the same models.

        Args:
            source: where they come from, by default as in training.
            folder: where the prepared files of `gtsrb` lie.

        Raises:
            DataError: they are missing, broken, not as declared, or of another shape or number of classes than the
                run's.
        """
        from specdsl.data import DataError, load

        data = load(source or self.recipe.data.source, folder=folder)
        if data.task != self.record.data["task"] or len(data.class_names) != len(self.class_names):
            raise DataError(f"{data.name} has {_kinds(data.class_names)}, and {self.name} {_kinds(self.class_names)}")
        if data.shape != self.shape:
            raise DataError(
                f"{data.name} has examples of {shape_text(data.shape)}, and {self.name} takes {shape_text(self.shape)}",
                help=f"size={self.shape[0]} brings images to that size" if self.takes_images else None,
            )
        return data

    def validation(self) -> Validation:
        """What the run kept of its training examples.

        Raises:
            RunError: it kept none.
        """
        if self.recipe.data.validation is None:
            raise RunError(
                f"{self.record.folder} kept no examples for validation",
                help="declare `validation(0.1)` in the `data` block, and train again",
            )
        return self.recipe.data.validation

    def part(self, data: DataSet, part: Part) -> Examples:
        """A part of the data, split as it was for training.

        Raises:
            RunError: no examples were kept for validation.
            DataError: the data cannot be split.
        """
        if part == "test":
            return data.test
        if self.recipe.data.validation is None and part == "train":
            return data.train
        from specdsl.data import split

        kept, held = split(data.train, self.validation(), int(self.record.config["seed"]))
        return kept if part == "train" else held


def _way_out(trials: Sequence[TrialRecord]) -> str:
    """What to do where none of these trials left a model: what was given up is not gone on with."""
    if trials and all(trial.diverged for trial in trials):
        return f"train anew: {AGAINST_GROWTH}"
    return "specdsl train --resume goes on with a run"


def open_run(folder: Path) -> TrainedRun:
    """The run in a folder, or the only run of an experiment.

    Raises:
        RunError: the folder holds no run, several, or one that is damaged.
    """
    if not (folder / EXPERIMENT).exists():
        return TrainedRun(read_run(folder))
    runs = read([folder])
    if len(runs) != 1:
        raise RunError(f"{folder} is an experiment: name one of its runs", help=_listed(runs))
    return TrainedRun(runs[0])


def _kinds(class_names: Sequence[str]) -> str:
    return f"{len(class_names)} classes" if class_names else "values to predict"


def _listed(runs: Sequence[RunRecord]) -> str:
    return ", ".join(str(run.folder) for run in runs)
