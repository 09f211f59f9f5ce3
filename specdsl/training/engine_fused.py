"""The fused engine: trials of one model trained in one program, on JAX. Imports Keras and JAX: start JAX first.

The data lie on the device, and an epoch of all trials is a few calls: see `fused_program`. Order, augmentation and
initial weights come from the same streams as in the `fit` engine, so that a trial is the same experiment in both, and
the same together with others as alone, but for the rounding of floats.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from numpy.typing import NDArray

from specdsl.backends import keras_model
from specdsl.runs.checkpoints import State as Stored
from specdsl.runs.history import Epoch
from specdsl.training import compiling, frameworks, precision
from specdsl.training.engine import Job, Outcome, Part, Stopped, Watcher, never, same_keys
from specdsl.training.exhaustion import exhaustion_told
from specdsl.training.fused_convolutions import as_products
from specdsl.training.fused_devices import spread
from specdsl.training.fused_evaluation import Evaluation
from specdsl.training.fused_models import copied, measurable, on_processor, prepared, seeded, variables
from specdsl.training.fused_pooling import by_comparisons
from specdsl.training.fused_portions import Ahead, Portion
from specdsl.training.fused_program import Program, Resident, State
from specdsl.training.fused_states import States
from specdsl.training.sharing import Sharing, sharing
from specdsl.training.targets import targets
from specdsl.training.ways import Method, Way

_AHEAD = 2
"""Calls that may wait on the device behind the one that it carries out."""


class FusedGroup:
    """Trials of one model under one recipe, trained together.

    Args:
        jobs: the trials; they differ in their streams alone.
        method: how they run together.
        shared: how devices share them.
    """

    @exhaustion_told()
    def __init__(self, jobs: Sequence[Job], method: Method = "vmap", shared: Sharing = Sharing()) -> None:  # noqa: B008
        self.jobs = list(jobs)
        self._job = self.jobs[0]
        self._spread = spread(shared)
        with on_processor():
            self.model = seeded(self._job)
            states = [copied(variables(self.model))]
            states += [copied(variables(seeded(job))) for job in self.jobs[1:]]
            states += states[:1] * self._spread.spare
            measurable(self.model, self._job)
            sums = [np.stack([np.array(one.value)] * len(states)) for one in self.model.metrics_variables]
        self._fresh: list[Any] = self._spread.own(list(map(jnp.array, sums)))
        trainable, others, optimizer = jax.tree.map(lambda *one: jnp.array(np.stack(one)), *states)
        state: State = self._spread.own(State(trainable, others, optimizer, self._fresh))
        self.states = States(self.model, state, len(self.jobs), self._spread)
        if method.endswith("products"):
            beside = 1 if shared.batch or method.startswith("map") else len(states) // shared.devices
            as_products(self.model, beside)
            if jax.default_backend() == "cpu":
                by_comparisons(self.model)
        job, data = self._job, self._job.recipe.data
        learned, told = targets(job.recipe, job.outputs, job.train), targets(job.recipe, job.outputs)
        self._program = Program(
            self.model,
            prepared(data.augment, job.train, learned),
            prepared(data.evaluate, job.train, told),
            job.recipe.batch,
            method,
            self._spread,
            job.recipe.precision,
        )
        self._data: dict[Part, Resident] = {}
        own = compiling.innermost(self.model.optimizer)
        scheduled = isinstance(own._learning_rate, keras.optimizers.schedules.LearningRateSchedule)
        self._steady: float | None = None
        self._steady = None if scheduled else self.rate()
        self._ahead = Ahead(self._drawn, job.recipe.epochs)
        self._portion = Portion()
        self._evaluation = Evaluation(job, self._program, self.states, self.resident, self._fresh, shared.batch)
        self.trials = [FusedTrial(self, place) for place in range(len(self.jobs))]

    @exhaustion_told()
    def train(self, watchers: Sequence[Watcher], after: int = 0) -> list[Outcome]:
        """Train the epochs after the first `after` ones, until each trial is stopped or its loss is no number.

        What a watcher sees of its trial does not depend on the trials beside it, but for the rounding of floats.
        """
        assert not self.states.fixed, "training has ended with the weights that are used"
        outcomes: list[Outcome | None] = [Outcome(stopped=True) if one.stopping() else None for one in watchers]
        for number in range(after, self._job.recipe.epochs):
            rate, began = self.rate(), perf_counter()
            logs = self._epoch(number, watchers, outcomes)
            seconds = perf_counter() - began
            for place, watcher in enumerate(watchers):
                if outcomes[place] is not None:
                    continue
                if logs is None:
                    outcomes[place] = Outcome(stopped=True)
                    continue
                values = {name: float(one[place]) for name, one in logs.items()}
                if not math.isfinite(values["loss"]):
                    outcomes[place] = Outcome(diverged=f"the loss was no number any more in epoch {number + 1}")
                    continue
                watcher.on_epoch(Epoch(number + 1, {"train": values}, seconds, len(self._job.train), rate))
                if watcher.stopping():
                    outcomes[place] = Outcome(stopped=True)
            if all(outcomes):
                break
        return [outcome or Outcome() for outcome in outcomes]

    def _drawn(self, number: int) -> tuple[Any, Any]:
        """Order and random numbers of all trials in an epoch (from 0), on the device."""
        job, count = self._job, len(self._job.train)
        streams = [one.streams for one in self.jobs]
        order = self._of_all([one.order(number, count) for one in streams])
        draws = self._of_all([one.draws(number, count, job.recipe.data.augment) for one in streams])
        return order, draws

    def _epoch(
        self, number: int, watchers: Sequence[Watcher], outcomes: Sequence[Outcome | None]
    ) -> Mapping[str, NDArray[Any]] | None:
        """Train an epoch (from 0), and give loss and metrics of all trials; None where all watchers ended it within."""
        count, batch = len(self._job.train), self._job.recipe.batch
        data, whole, began = self.resident("train"), count // batch, perf_counter()
        order, draws = self._ahead.take(number)
        states = self.states
        states.hand_over()
        states.now = states.now._replace(metrics=[one + 0 for one in self._fresh])
        logs: Mapping[str, Any] = {}
        waiting: deque[tuple[int, Mapping[str, Any]]] = deque()
        portion, first = self._portion, 0
        while first < whole:
            last = min(first + portion.steps, whole)
            states.now, logs = self._program.advance(states.now, order, draws, data, first, last)
            portion.sent(last - first)
            waiting.append((last, logs))
            if len(waiting) > _AHEAD:
                self._tell(number, *waiting.popleft(), began, watchers, outcomes)
                portion.done()
            first = last
            ended = (end is not None or watcher.stopping() for watcher, end in zip(watchers, outcomes, strict=True))
            if last * batch < count and all(ended):
                portion.forget()
                return None
        if whole * batch < count:
            order, draws = order[:, whole * batch :], draws[:, whole * batch :]
            states.now, logs = self._program.rest(states.now, order, draws, data)
        portion.forget()
        return dict(jax.device_get(logs))

    def _of_all(self, arrays: list[NDArray[Any]]) -> Any:
        """An array of each trial as one, where the program takes it.

        Random numbers where none are needed are a column that nobody reads: XLA of JAX 0.11 crashes where it compiles
        slices of arrays without any for several devices.
        """
        found = np.stack(arrays + arrays[:1] * self._spread.spare)
        return self._spread.own(found if found.size else np.zeros((*found.shape[:-1], 1), found.dtype))

    def _tell(
        self, epoch: int, step: int, logs: Mapping[str, Any], began: float, watchers: Sequence[Watcher],
        outcomes: Sequence[Outcome | None],
    ) -> None:  # fmt: skip
        """Tell the watchers how far an epoch is; that waits for the device."""
        values = jax.device_get(logs)
        speed = step * self._job.recipe.batch / (perf_counter() - began)
        for place, watcher in enumerate(watchers):
            if outcomes[place] is None:
                watcher.on_step(epoch + 1, step, {name: float(one[place]) for name, one in values.items()}, speed)

    def check(self) -> None:
        """Refuse a model that this recipe cannot train.

        Raises:
            Misuse: it does not end with what the loss takes.
        """
        job = self._job
        few = compiling.few(job.recipe, job.test)
        with on_processor(), precision.products(job.recipe.precision):
            compiling.check_outputs(self.model, job.graph.name, job.recipe.loss, few)

    def resident(self, part: Part) -> Resident:
        """The examples of a part, on the device since they were first asked for."""
        if part not in self._data:
            examples = self._job.examples(part)
            self._data[part] = self._spread.shared(Resident(examples.x, examples.y))
        return self._data[part]

    def rate(self) -> float:
        """The learning rate of the next step, which is the same for all trials."""
        if self._steady is not None:
            return self._steady
        _, _, optimizer = variables(self.model)
        steps = compiling.innermost(self.model.optimizer)._iterations  # all, also those that only add up gradients
        with on_processor():
            for variable, value in zip(optimizer, self.states.now.optimizer, strict=True):
                if variable is steps:
                    variable.assign(np.asarray(value)[0])
            return float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    @exhaustion_told()
    def measured(self, part: Part, place: int, stopping: Callable[[], bool] = never) -> dict[str, float]:
        """Loss and metrics of a trial on a part; all trials are measured at once.

        Raises:
            Stopped: `stopping` says so.
        """
        return self._evaluation.measured(part, place, stopping)

    @exhaustion_told()
    def answers(self, part: Part, place: int, stopping: Callable[[], bool] = never) -> NDArray[np.float32]:
        """What a trial gives for each example of a part; all trials answer at once.

        Raises:
            Stopped: `stopping` says so.
        """
        return self._evaluation.answers(part, place, stopping)

    @exhaustion_told()
    def put(self, place: int, stored: Stored, fixed: bool = False) -> None:
        """Put arrays back that were held, all or those of the model; `fixed` where training ends with them."""
        self.states.put(place, stored, fixed)

    def save(self, place: int, file: Path) -> None:
        """Write the model of a trial in Keras's format, without optimizer."""
        self.states.into_model(place)
        with frameworks.without_tensorflow():
            keras_model.uncompiled(self.model).save(file)


class FusedTrial:
    """One trial of a group, as an engine gives it."""

    def __init__(self, group: FusedGroup, place: int) -> None:
        self._group, self._place = group, place

    @property
    def parameters(self) -> int:
        """The parameters of the model."""
        return int(self._group.model.count_params())

    def check(self) -> None:
        """Refuse a model that this recipe cannot train.

        Raises:
            Misuse: it does not end with what the loss takes.
        """
        self._group.check()

    def train(self, watcher: Watcher, after: int = 0) -> Outcome:
        """Train it where it is alone in its group; others are trained by the group."""
        return self._group.train([watcher], after)[0]

    def state(self) -> Stored:
        """Weights, statistics, seeds of layers and the optimizer's variables, as copies."""
        return self._group.states.held(self._place)

    def restore(self, state: Stored) -> None:
        """Put back what `state` gave.

        Raises:
            ValueError: it is that of another model or optimizer.
        """
        same_keys(state, self._group.states.expected())
        self._group.put(self._place, state)

    def weights(self) -> Stored:
        """The weights and statistics, averaged where the optimizer averages them, as copies."""
        return self._group.states.weights(self._place)

    def use(self, weights: Stored) -> None:
        """From now on evaluate, predict and save with what `weights` gave. Training ends with it."""
        self._group.put(self._place, weights, fixed=True)

    def evaluate(self, part: Part, stopping: Callable[[], bool] = never) -> dict[str, float]:
        """Loss and metrics on a whole part.

        Raises:
            Stopped: `stopping` says so.
        """
        if stopping():
            raise Stopped
        return self._group.measured(part, self._place, stopping)

    def predict(self, part: Part, stopping: Callable[[], bool] = never) -> NDArray[np.float32]:
        """What the model gives for each example of a part: float32 (n, outputs).

        Raises:
            Stopped: `stopping` says so.
        """
        if stopping():
            raise Stopped
        return self._group.answers(part, self._place, stopping)

    def save(self, file: Path) -> None:
        """Write the model in Keras's format, without optimizer; the name must end in `.keras`."""
        self._group.save(self._place, file)


def group(jobs: Sequence[Job], way: Way) -> FusedGroup:
    """The trials of jobs, trained together."""
    assert way.method is not None, "a fused engine has a method"
    shared = sharing(len(jobs), jobs[0].recipe.batch, way.devices, way.together)
    return FusedGroup(jobs, way.method, shared)
