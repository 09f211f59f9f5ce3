"""What trained models say of examples: of one trial or of several together, of an example or of several views of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specdsl.inference.opening import TrainedRun
from specdsl.recipes.augmentation import Pipeline, Views, unit_range
from specdsl.runs.answers import scores
from specdsl.runs.files import RunError
from specdsl.runs.reading import TrialRecord
from specdsl.training import frameworks
from specdsl.training.streams import view_draws

AT_ONCE = 256
"""Examples that are prepared, and go through a model, together."""


def backend_for(run: TrainedRun, wanted: str | None = None) -> str:
    """The back end to use a run's models on: the one that is asked for, else its own, else one that is installed.

    Raises:
        Misuse: the one that is asked for is not installed, or none is.
    """
    if wanted is None:
        there = [name for name in (run.backend, *frameworks.BACKENDS) if find_spec(name) is not None]
        wanted = there[0] if there else run.backend
    frameworks.check_installed(wanted)
    return wanted


class Predictor:
    """Models of a run, loaded and ready to answer. The back end runs from then on.

    Args:
        run: the run.
        trials: whose models; the answers of several are averaged.
        views: how many random versions of each image are averaged; None for the image itself.
        backend: the Keras back end, by default that of the run.

    Raises:
        RunError: a model cannot be loaded, or views are asked for that the recipe does not declare.
        Misuse: the back end is not installed.
    """

    def __init__(
        self,
        run: TrainedRun,
        trials: Sequence[TrialRecord],
        *,
        views: int | None = None,
        backend: str | None = None,
    ) -> None:
        self.run = run
        self.trials = tuple(trials)
        self.views = views_of(run, views)
        self.backend = backend_for(run, backend)
        frameworks.start(self.backend)
        self._keras = import_module("specdsl.inference.models")
        self.models = [self._keras.load_model(trial.model_file) for trial in self.trials]

    def answers(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """A probability for each class, or the values that are predicted: the mean over trials and views.

        Args:
            x: examples as data hold them: images uint8 (n, height, width, channels), or values float32 (n, *shape).

        Returns:
            float32 (n, classes) or (n, k).
        """
        return mean_of(self.each(x))

    def each(self, x: NDArray[Any]) -> list[NDArray[np.float32]]:
        """What each trial's model answers, the mean over views: as `answers`, one array for each trial."""
        parts = [self._batch(x[first : first + AT_ONCE]) for first in range(0, len(x), AT_ONCE)]
        return [np.concatenate(answers) for answers in zip(*parts, strict=True)]

    def _batch(self, x: NDArray[Any]) -> list[NDArray[np.float32]]:
        versions = list(self._versions(x))
        with self._keras.products(self.run.recipe.precision):
            return [
                mean_of([self._scores(self._keras.outputs(model, version)) for version in versions])
                for model in self.models
            ]

    def _scores(self, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        return scores(raw, self.run.recipe.loss, self.run.classifies)

    def _versions(self, x: NDArray[Any]) -> Iterator[NDArray[np.float32]]:
        """What the models are given: the examples once, or each view of them."""
        evaluate = self.run.recipe.data.evaluate
        if self.views is None:
            yield prepared(x, evaluate)
            return
        # Every image gets the numbers of the first one, so that its answer does not depend on what else is asked for.
        one = Views(count=1, operations=self.views.operations)
        for numbers in view_draws(self.views, 1)[0]:
            draws = np.broadcast_to(numbers, (len(x), 1, len(numbers)))
            yield np.asarray(one.apply(np, _floats(x), draws, evaluate), np.float32)


def views_of(run: TrainedRun, count: int | None) -> Views | None:
    """The views that a run's recipe declares, as many as are asked for; None where none are.

    Raises:
        RunError: it declares none.
    """
    if count is None:
        return None
    declared = run.recipe.data.views
    if declared is None:
        raise RunError(
            f"the data block of {run.record.folder} declares no views, so that there is nothing to average",
            help="`views(8) { ... }` in the `data` block says which changes of an image do not change its class",
        )
    return Views(count=count, operations=declared.operations)


def prepared(x: NDArray[Any], evaluate: Pipeline) -> NDArray[np.float32]:
    """Examples as the model is given them: images as floats from 0 to 1, and the evaluate pipeline.

    Args:
        x: images uint8 (n, height, width, channels), or values float32 (n, *shape).
        evaluate: what is done to them; it draws nothing.
    """
    labels, draws = np.zeros(len(x), np.int32), np.zeros((len(x), 0), np.float32)
    made: NDArray[np.float32] = np.asarray(evaluate.apply(np, _floats(x), labels, draws)[0], np.float32)
    return made


def mean_of(answers: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The mean of several answers to the same examples; a single one as it is."""
    if len(answers) == 1:
        return answers[0]
    return np.asarray(np.mean(answers, axis=0, dtype=np.float64), np.float32)


def _floats(x: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(unit_range(np, x) if x.dtype == np.uint8 else x, np.float32)
