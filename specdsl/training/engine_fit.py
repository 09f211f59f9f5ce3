"""The Keras `fit` engine: one trial, one `fit`, on any back end. Imports Keras: start the framework first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

import keras
import numpy as np

from specdsl.backends import keras_model
from specdsl.data.dataset import Examples
from specdsl.declaration import Misuse
from specdsl.recipes.augmentation import unit_range
from specdsl.recipes.optimizers import Optimizer
from specdsl.recipes.training import TrainRecipe
from specdsl.runs.history import Epoch
from specdsl.training.engine import Job, Outcome, Watcher

_LOOK_EVERY = 0.1
"""Seconds between looks at the running means: a look waits for the device."""


class FitTrial:
    """A trial trained by `Model.fit`, seeded before its model is built.

    Raises:
        Misuse: the model does not end with probabilities.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        keras.utils.clear_session()
        keras.utils.set_random_seed(job.streams.weights())
        self.model: Any = keras_model.build(job.graph)
        self.model.compile(
            optimizer=_optimizer(job.recipe.optimizer), loss=job.recipe.loss, metrics=list(job.recipe.metrics)
        )
        feed = import_module("specdsl.training." + ("feed_tensorflow" if _backend() == "tensorflow" else "feed_numpy"))
        data, batch = job.recipe.data, job.recipe.batch
        self.feed = feed.Feed(job.train, data.augment, batch, job.streams)
        self.evaluations = {
            part: feed.Feed(images, data.evaluate, batch)
            for part, images in (("validation", job.validation), ("test", job.test))
            if images is not None
        }
        _check_probabilities(self.model, job.graph.name, job.recipe, job.test)

    @property
    def parameters(self) -> int:
        """The parameters of the model."""
        return int(self.model.count_params())

    def train(self, watcher: Watcher) -> Outcome:
        """Train to the end, or until the watcher stops it or the loss is no longer a number."""
        loop = _Loop(self, watcher)
        try:
            self.model.fit(self.feed.batches, epochs=self.job.recipe.epochs, shuffle=False, verbose=0, callbacks=[loop])
        finally:
            if hasattr(self.model, "jax_state_sync"):
                self.model.jax_state_sync()
        return Outcome(interrupted=loop.interrupted, diverged=loop.diverged)

    def evaluate(self, part: str, watcher: Watcher) -> dict[str, float] | None:
        """Loss and metrics on validation or test images, with the averaged weights where the optimizer averages.

        Returns:
            None when the watcher stopped it.
        """
        stopper = _Stopper(watcher)
        averaged = [keras.callbacks.SwapEMAWeights()] if self.job.recipe.optimizer.use_ema else []
        values = self.model.evaluate(
            self.evaluations[part].batches, verbose=0, return_dict=True, callbacks=[*averaged, stopper]
        )
        return None if stopper.stopped else {name: float(value) for name, value in values.items()}

    def save(self, file: Path) -> None:
        """Write the model as it is now, in Keras's format; the name must end in `.keras`."""
        self.model.save(file)


class _Loop(keras.callbacks.Callback):  # type: ignore[misc]
    """Feeds each epoch, looks at the loss, evaluates after each epoch, and ends training when asked to."""

    def __init__(self, trial: FitTrial, watcher: Watcher) -> None:
        super().__init__()
        self.trial, self.watcher = trial, watcher
        self.interrupted = False
        self.diverged: str | None = None
        self._partial = False
        self._began = self._looked = 0.0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.trial.feed.epoch(epoch)
        self._epoch = epoch + 1
        self._began = perf_counter()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        done = batch + 1
        if self.watcher.stopping():
            self.interrupted = self.model.stop_training = True
            self._partial = done < self.trial.job.steps
        now = perf_counter()
        if now - self._looked >= _LOOK_EVERY:
            self._looked = now
            values = {name: float(value) for name, value in (logs or {}).items()}
            images = min(done * self.trial.job.recipe.batch, len(self.trial.job.train))
            self.watcher.on_step(self._epoch, done, values, images / (now - self._began))
            if not math.isfinite(values["loss"]):
                self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        seconds = perf_counter() - self._began
        values = {"train": {name: float(value) for name, value in (logs or {}).items()}}
        if not math.isfinite(values["train"]["loss"]):
            self.diverged = f"the loss became {values['train']['loss']} in epoch {epoch + 1}"
            self.model.stop_training = True
        elif self._partial:
            return
        else:
            for part in self.trial.evaluations:
                measured = None if self.interrupted else self.trial.evaluate(part, self.watcher)
                if measured is None:
                    self.interrupted = self.model.stop_training = True
                else:
                    values[part] = measured
        self.watcher.on_epoch(Epoch(epoch + 1, values, seconds, len(self.trial.job.train)))


class _Stopper(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends an evaluation when the watcher wants to stop."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__()
        self.watcher = watcher
        self.stopped = False

    def on_test_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self.watcher.stopping():
            self.stopped = self.model.stop_evaluating = True


def _optimizer(declared: Optimizer) -> Any:
    """The Keras optimizer of a declaration."""
    arguments = {
        name: list(value) if isinstance(value, tuple) else value for name, value in declared.configuration().items()
    }
    return getattr(keras.optimizers, type(declared).__name__)(**arguments)


def _backend() -> str:
    return str(keras.backend.backend())


def _check_probabilities(model: Any, name: str, recipe: TrainRecipe, examples: Examples) -> None:
    """The loss takes probabilities; anything else would train to nonsense without a word."""
    few = unit_range(np, examples.x[:8]) if examples.of_images else examples.x[:8]
    batch, _ = recipe.data.evaluate.apply(np, few, examples.y[:8], np.zeros((len(few), 0), np.float32))
    outputs = keras.ops.convert_to_numpy(model(batch, training=False)).astype(np.float64)
    if not np.isfinite(outputs).all():
        raise Misuse(f"{name} gives values that are not numbers before any training", help="look at its initializers")
    if outputs.min() < 0 or abs(outputs.sum(axis=-1) - 1).max() > 0.02:
        raise Misuse(
            f"{name} does not end with probabilities, which {recipe.loss} takes: its outputs add up to "
            f"{outputs.sum(axis=-1).mean():.3g} for an image, not to 1",
            help='end the model with the activation "softmax"',
        )
