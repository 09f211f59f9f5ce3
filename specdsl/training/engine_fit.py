"""The Keras `fit` engine: one trial, one `fit`, on any back end. Imports Keras: start the framework first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from specdsl.backends import keras_model
from specdsl.runs.checkpoints import State
from specdsl.runs.history import Epoch
from specdsl.training import compiling, costs, frameworks, precision
from specdsl.training.engine import AT_ONCE, Alone, Job, Outcome, Part, Stopped, Watcher, never, same_keys, stored_bits
from specdsl.training.exhaustion import exhaustion_told
from specdsl.training.hardware import Platform, cores
from specdsl.training.targets import targets
from specdsl.training.ways import Way
from specdsl.training.works import Work

_LOOK_EVERY = 0.1
"""Seconds between looks at the running means: a look waits for the device."""

_MOST_AT_ONCE = 64
"""Steps of a call at the most: more gain nothing."""


class FitTrial:
    """A trial trained by `Model.fit`, seeded before its model is built.

    Args:
        job: the trial.
        at_once: steps that a call of TensorFlow takes. What comes of them is the same, to the last bit.
    """

    @exhaustion_told()
    def __init__(self, job: Job, at_once: int = 1) -> None:
        self.job = job
        self.model: Any = compiling.seeded(job.graph, job.recipe, job.steps, job.streams.weights())
        self.model.steps_per_execution = at_once
        self._fixed = False
        self._feeds = import_module(
            "specdsl.training." + ("feed_tensorflow" if _backend() == "tensorflow" else "feed_numpy")
        )
        self._evaluation = cache(self._evaluation_feed)

    @property
    def parameters(self) -> int:
        """The parameters of the model."""
        return int(self.model.count_params())

    @precision.of_recipe
    def check(self) -> None:
        """Refuse a model that this recipe cannot train.

        Raises:
            Misuse: it does not end with what the loss takes.
        """
        compiling.check_outputs(
            self.model, self.job.graph.name, self.job.recipe.loss, compiling.few(self.job.recipe, self.job.test)
        )

    @exhaustion_told()
    @precision.of_recipe
    def train(self, watcher: Watcher, after: int = 0) -> Outcome:
        """Train the epochs after the first `after` ones, until the watcher stops it or the loss is no number."""
        assert not self._fixed, "training has ended with the weights that are used"
        recipe = self.job.recipe
        made = targets(recipe, self.job.outputs, self.job.train)
        feed = self._feeds.Feed(self.job.train, recipe.data.augment, recipe.batch, self.job.streams, made)
        loop = _Loop(self, feed, watcher)
        try:
            self.model.fit(
                feed.batches, epochs=recipe.epochs, initial_epoch=after, shuffle=False, verbose=0, callbacks=[loop]
            )
        finally:
            if hasattr(self.model, "jax_state_sync"):
                self.model.jax_state_sync()
        return Outcome(stopped=loop.stopped, diverged=loop.diverged)

    def state(self) -> State:
        """Weights, statistics, seeds of layers and the optimizer's variables, as copies."""
        return {name: stored_bits(_value(variable)) for name, variable in self._variables().items()}

    def restore(self, state: State) -> None:
        """Put back what `state` gave.

        Raises:
            ValueError: it is that of another model or optimizer.
        """
        same_keys(state, self.state())
        _assign(self._variables(), state)

    def weights(self) -> State:
        """The weights and statistics, averaged where the optimizer averages them, as copies."""
        with self._averaged():
            return {name: stored_bits(_value(variable)) for name, variable in self._weights().items()}

    def use(self, weights: State) -> None:
        """From now on evaluate, predict and save with what `weights` gave. Training ends with it."""
        _assign(self._weights(), weights)
        self._fixed = True

    @exhaustion_told()
    @precision.of_recipe
    def evaluate(self, part: Part, stopping: Callable[[], bool] = never) -> dict[str, float]:
        """Loss and metrics on a whole part, with the averaged weights where the optimizer averages.

        Raises:
            Stopped: `stopping` says so.
        """
        stopper = _Stopper(stopping)
        with self._averaged():
            values = self.model.evaluate(
                self._evaluation(part).batches, verbose=0, return_dict=True, callbacks=[stopper]
            )
        stopper.check()
        return {name: float(value) for name, value in values.items()}

    @exhaustion_told()
    @precision.of_recipe
    def predict(self, part: Part, stopping: Callable[[], bool] = never) -> NDArray[np.float32]:
        """What the model gives for each example of a part: float32 (n, outputs).

        Raises:
            Stopped: `stopping` says so.
        """
        stopper = _Stopper(stopping)
        with self._averaged(), self._one_at_once():
            outputs = self.model.predict(self._evaluation(part).batches, verbose=0, callbacks=[stopper])
        stopper.check()
        return np.asarray(outputs, np.float32)

    def save(self, file: Path) -> None:
        """Write the model in Keras's format, without optimizer; the name must end in `.keras`."""
        with self._averaged(), frameworks.without_tensorflow():
            keras_model.uncompiled(self.model).save(file)

    def _evaluation_feed(self, part: Part) -> Any:
        recipe = self.job.recipe
        made = targets(recipe, self.job.outputs)
        return self._feeds.Feed(self.job.examples(part), recipe.data.evaluate, recipe.batch, targets=made)

    def _variables(self) -> dict[str, Any]:
        """All that training changes, by what it belongs to, position and path."""
        return _named("model", self.model.variables) | _named("optimizer", self.model.optimizer.variables)

    def _weights(self) -> dict[str, Any]:
        """What the model computes with."""
        return _named("model", self.model.weights)

    @contextmanager
    def _one_at_once(self) -> Iterator[None]:
        """Within, a call takes one step: for a prediction Keras writes the model down as often as a call has steps."""
        at_once, self.model.steps_per_execution = self.model.steps_per_execution, 1
        try:
            yield
        finally:
            self.model.steps_per_execution = at_once

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Within, the model has the averaged weights where the optimizer averages; behind, its own, to the last bit.

        Keras's `SwapEMAWeights` swaps by adding and subtracting on TensorFlow, which changes last bits.
        """
        optimizer = compiling.innermost(self.model.optimizer)
        if self._fixed or not optimizer.use_ema:
            yield
            return
        variables = self.model.trainable_variables
        before = [_value(variable) for variable in variables]
        for variable, average in zip(variables, optimizer._model_variables_moving_average, strict=True):
            variable.assign(_value(average))
        try:
            yield
        finally:
            for variable, value in zip(variables, before, strict=True):
                variable.assign(value)


class _Loop(keras.callbacks.Callback):  # type: ignore[misc]
    """Feeds each epoch, looks at the loss, tells of each epoch, and ends training when asked to."""

    def __init__(self, trial: FitTrial, feed: Any, watcher: Watcher) -> None:
        super().__init__()
        self.trial, self.feed, self.watcher = trial, feed, watcher
        self.stopped = False
        self.diverged: str | None = None
        self._partial = False
        self._began = self._looked = 0.0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.feed.epoch(epoch)
        self._epoch = epoch + 1
        self._rate = float(keras.ops.convert_to_numpy(self.trial.model.optimizer.learning_rate))
        self._began = perf_counter()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        done = min(batch + 1, self.trial.job.steps)  # the last call of an epoch may have less to do
        if self.watcher.stopping():
            self.stopped = self.model.stop_training = True
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
        values = {name: float(value) for name, value in (logs or {}).items()}
        if not math.isfinite(values["loss"]):
            self.diverged = f"the loss was no number any more in epoch {epoch + 1}"
            self.model.stop_training = True
        elif not self._partial:
            examples = len(self.trial.job.train)
            self.watcher.on_epoch(Epoch(epoch + 1, {"train": values}, seconds, examples, self._rate))
            if self.watcher.stopping():
                self.stopped = self.model.stop_training = True


class _Stopper(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends an evaluation or a prediction when asked to."""

    def __init__(self, stopping: Callable[[], bool]) -> None:
        super().__init__()
        self.stopping = stopping
        self.stopped = False

    def on_test_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self.stopping():
            self.stopped = self.model.stop_evaluating = True

    def on_predict_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        if self.stopping():
            self.stopped = self.model.stop_predicting = True

    def check(self) -> None:
        """Raise `Stopped` if it was ended."""
        if self.stopped:
            raise Stopped


def _named(owner: str, variables: list[Any]) -> dict[str, Any]:
    return {f"{owner}/{place:04d}/{variable.path}": variable for place, variable in enumerate(variables)}


def _value(variable: Any) -> NDArray[Any]:
    """The value of a variable as a copy: what Keras gives may be a view of memory that the next step writes to."""
    return np.array(keras.ops.convert_to_numpy(variable.value))


def _assign(variables: Mapping[str, Any], stored: State) -> None:
    for name, variable in variables.items():
        variable.assign(stored[name].view(_value(variable).dtype))


def _backend() -> str:
    return str(keras.backend.backend())


def group(jobs: Sequence[Job], way: Way) -> Alone:
    """The trial of a job: `fit` trains one at a time."""
    (job,) = jobs
    return Alone(FitTrial(job, _at_once(job, way)))


def _at_once(job: Job, way: Way) -> int:
    """As many steps as take `AT_ONCE`, by known costs; Keras gains something by it on TensorFlow alone."""
    if way.backend != "tensorflow":
        return 1
    platform: Platform = "gpu" if import_module("tensorflow").config.list_logical_devices("GPU") else "cpu"
    seconds = costs.step_seconds(Work(job, 1), way, platform, cores())
    return max(1, min(int(AT_ONCE / seconds), _MOST_AT_ONCE, job.steps))
