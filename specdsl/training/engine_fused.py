"""The fused engine: trials of one model trained in one program, on JAX. Imports Keras and JAX: start JAX first.

The data lie on the device, and an epoch of all trials is a few calls: see `fused_program`. Order, augmentation and
initial weights come from the same streams as in the `fit` engine, so that a trial is the same experiment in both, and
the same together with others as alone, but for the rounding of floats.
"""

from __future__ import annotations

import gc
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
from specdsl.data.dataset import Examples
from specdsl.recipes.augmentation import Pipeline, unit_range
from specdsl.runs.checkpoints import State as Stored
from specdsl.runs.history import Epoch
from specdsl.training import compiling
from specdsl.training.engine import Job, Outcome, Part, Stopped, Watcher, never, same_keys, stored_bits
from specdsl.training.exhaustion import exhaustion_told
from specdsl.training.fused_convolutions import as_product, replaceable
from specdsl.training.fused_devices import spread
from specdsl.training.fused_program import Prepare, Program, Resident, State
from specdsl.training.sharing import Sharing, sharing
from specdsl.training.targets import Targets, targets
from specdsl.training.ways import Method, Way

_STEPS = 32
"""Steps that are handed to the device at once: so many that handing over costs nothing, so few that one can stop."""

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
        self.model = _seeded(self._job)
        states = [_copied(_variables(self.model))]
        states += [_copied(_variables(_seeded(job))) for job in self.jobs[1:]]
        states += states[:1] * self._spread.spare
        _measurable(self.model, self._job)
        sums = [jnp.stack([jnp.array(one.value)] * len(states)) for one in self.model.metrics_variables]
        self._fresh: list[Any] = self._spread.own(sums)
        trainable, others, optimizer = jax.tree.map(lambda *one: jnp.stack(one), *states)
        self._state: State = self._spread.own(State(trainable, others, optimizer, sums))
        if method.endswith("products"):
            for layer in self.model._flatten_layers():
                if replaceable(layer):
                    as_product(layer)
        job, data = self._job, self._job.recipe.data
        learned, told = targets(job.recipe, job.outputs, job.train), targets(job.recipe, job.outputs)
        self._program = Program(
            self.model,
            _prepared(data.augment, job.train, learned),
            _prepared(data.evaluate, job.train, told),
            job.recipe.batch,
            method,
            self._spread,
        )
        self._data: dict[Part, Resident] = {}
        self._places = _places(self.model)
        self._averages = _averages(self.model)
        self._fixed = [False] * len(self.jobs)
        self._known: dict[tuple[str, Part], Any] = {}
        self._copies: dict[tuple[str, bool], list[list[NDArray[Any]]]] = {}
        self.trials = [FusedTrial(self, place) for place in range(len(self.jobs))]

    @exhaustion_told()
    def train(self, watchers: Sequence[Watcher], after: int = 0) -> list[Outcome]:
        """Train the epochs after the first `after` ones, until each trial is stopped or its loss is no number.

        What a watcher sees of its trial does not depend on the trials beside it, but for the rounding of floats.
        """
        assert not any(self._fixed), "training has ended with the weights that are used"
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

    def _epoch(
        self, number: int, watchers: Sequence[Watcher], outcomes: Sequence[Outcome | None]
    ) -> Mapping[str, NDArray[Any]] | None:
        """Train an epoch (from 0), and give loss and metrics of all trials; None where all watchers ended it within."""
        job, count, batch = self._job, len(self._job.train), self._job.recipe.batch
        data, whole, began = self.resident("train"), count // batch, perf_counter()
        streams = [one.streams for one in self.jobs]
        order = self._of_all([one.order(number, count) for one in streams])
        draws = self._of_all([one.draws(number, count, job.recipe.data.augment) for one in streams])
        self._forget()
        self._state = self._state._replace(metrics=[one + 0 for one in self._fresh])
        logs: Mapping[str, Any] = {}
        waiting: deque[tuple[int, Mapping[str, Any]]] = deque()
        for first in range(0, whole, _STEPS):
            last = min(first + _STEPS, whole)
            self._state, logs = self._program.advance(self._state, order, draws, data, first, last)
            waiting.append((last, logs))
            if len(waiting) > _AHEAD:
                self._tell(number, *waiting.popleft(), began, watchers, outcomes)
            ended = (end is not None or watcher.stopping() for watcher, end in zip(watchers, outcomes, strict=True))
            if last * batch < count and all(ended):
                return None
        if whole * batch < count:
            order, draws = order[:, whole * batch :], draws[:, whole * batch :]
            self._state, logs = self._program.rest(self._state, order, draws, data)
        return {name: np.asarray(one) for name, one in logs.items()}

    def _of_all(self, arrays: list[NDArray[Any]]) -> Any:
        """An array of each trial as one, where the program takes it."""
        return self._spread.own(np.stack(arrays + arrays[:1] * self._spread.spare))

    def _tell(
        self, epoch: int, step: int, logs: Mapping[str, Any], began: float, watchers: Sequence[Watcher],
        outcomes: Sequence[Outcome | None],
    ) -> None:  # fmt: skip
        """Tell the watchers how far an epoch is; that waits for the device."""
        values = {name: np.asarray(one) for name, one in logs.items()}
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
        compiling.check_outputs(self.model, job.graph.name, job.recipe.loss, few)

    def resident(self, part: Part) -> Resident:
        """The examples of a part, on the device since they were first asked for."""
        if part not in self._data:
            examples = self._job.examples(part)
            self._data[part] = self._spread.shared(Resident(examples.x, examples.y))
        return self._data[part]

    def rate(self) -> float:
        """The learning rate of the next step, which is the same for all trials."""
        _, _, optimizer = _variables(self.model)
        for variable, value in zip(optimizer, self._state.optimizer, strict=True):
            if variable is self.model.optimizer.iterations:
                variable.assign(np.asarray(value)[0])
        return float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    @exhaustion_told()
    def measured(self, part: Part, place: int) -> dict[str, float]:
        """Loss and metrics of a trial on a part; all trials are measured at once."""
        if ("measured", part) not in self._known:
            state = self._shown()._replace(metrics=self._fresh)
            logs = self._program.measure(state, self.resident(part))
            self._known["measured", part] = {name: np.asarray(one) for name, one in logs.items()}
        return {name: float(one[place]) for name, one in self._known["measured", part].items()}

    @exhaustion_told()
    def answers(self, part: Part, place: int) -> NDArray[np.float32]:
        """What a trial gives for each example of a part; all trials answer at once."""
        if ("answers", part) not in self._known:
            answers = self._program.answer(self._shown(), self.resident(part))
            self._known["answers", part] = np.asarray(answers.astype(jnp.float32))
        found: NDArray[np.float32] = self._known["answers", part][place]
        return found

    def _shown(self) -> State:
        """The state that is evaluated: with the averaged weights where the optimizer averages."""
        if not self._averages:
            return self._state
        fixed = jnp.asarray(self._fixed + [False] * self._spread.spare)
        trainable = [
            jnp.where(fixed.reshape(-1, *[1] * (own.ndim - 1)), own, self._state.optimizer[place])
            for own, place in zip(self._state.trainable, self._averages, strict=True)
        ]
        return self._state._replace(trainable=trainable)

    @exhaustion_told()
    def stored(self, place: int, shown: bool = False) -> Stored:
        """The arrays of a trial by the names that the `fit` engine gives them."""
        if ("arrays", shown) not in self._copies:  # of all trials at once: each copy waits for the device
            state = self._shown() if shown else self._state
            self._copies["arrays", shown] = [[np.asarray(one) for one in part] for part in state]
        copies = self._copies["arrays", shown]
        kinds = ("model",) if shown else ("model", "optimizer")
        return {
            name: stored_bits(np.array(copies[part][index][place]))
            for name, (kind, part, index) in self._places.items()
            if kind in kinds
        }

    @exhaustion_told()
    def put(self, place: int, stored: Stored, fixed: bool = False) -> None:
        """Put arrays back that `stored` gave, all or those of the model."""
        parts = [list(part) for part in self._state]
        for name, array in stored.items():
            _, part, index = self._places[name]
            held = parts[part][index]
            parts[part][index] = held.at[place].set(jnp.asarray(array.view(np.dtype(held.dtype))))
        self._state = self._spread.own(State(*parts))
        self._fixed[place] = self._fixed[place] or fixed
        self._forget()

    def _forget(self) -> None:
        """The state has changed: what was worked out of it no longer holds."""
        self._known.clear()
        self._copies.clear()

    def save(self, place: int, file: Path) -> None:
        """Write the model of a trial in Keras's format, without optimizer."""
        state = self._shown()
        trainable, others, _ = _variables(self.model)
        for variables, values in ((trainable, state.trainable), (others, state.others)):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(np.asarray(value)[place])
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
        return self._group.stored(self._place)

    def restore(self, state: Stored) -> None:
        """Put back what `state` gave.

        Raises:
            ValueError: it is that of another model or optimizer.
        """
        same_keys(state, self.state())
        self._group.put(self._place, state)

    def weights(self) -> Stored:
        """The weights and statistics, averaged where the optimizer averages them, as copies."""
        return self._group.stored(self._place, shown=True)

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
        return self._group.measured(part, self._place)

    def predict(self, part: Part, stopping: Callable[[], bool] = never) -> NDArray[np.float32]:
        """What the model gives for each example of a part: float32 (n, outputs).

        Raises:
            Stopped: `stopping` says so.
        """
        if stopping():
            raise Stopped
        return self._group.answers(part, self._place)

    def save(self, file: Path) -> None:
        """Write the model in Keras's format, without optimizer; the name must end in `.keras`."""
        self._group.save(self._place, file)


def group(jobs: Sequence[Job], way: Way) -> FusedGroup:
    """The trials of jobs, trained together."""
    assert way.method is not None, "a fused engine has a method"
    gc.collect()  # a group and its trials refer to each other: the one before may still take memory
    shared = sharing(len(jobs), jobs[0].recipe.batch, way.devices, way.together)
    return FusedGroup(jobs, way.method, shared)


def _prepared(pipeline: Pipeline, examples: Examples, made: Targets) -> Prepare:
    """What makes a batch for the model of stored examples: the same as the feeds of the `fit` engine do."""

    def prepare(x: Any, y: Any, draws: Any) -> tuple[Any, ...]:
        x = unit_range(jnp, x) if examples.of_images else x
        return made.batch(jnp, *pipeline.apply(jnp, x, y, draws))

    return prepare


def _variables(model: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """Trainable and other variables of a model, and those of its optimizer."""
    return model.trainable_variables, model.non_trainable_variables, model.optimizer.variables


def _measurable(model: Any, job: Job) -> None:
    """Let Keras make the variables of its metrics, which it does with the first examples that it sees."""
    batch = _prepared(job.recipe.data.evaluate, job.test, targets(job.recipe, job.outputs))
    few = job.test.take(np.arange(min(2, len(job.test))))
    x, y = batch(jnp.asarray(few.x), jnp.asarray(few.y), jnp.zeros((len(few), 0), jnp.float32))
    outputs = model(x, training=False)
    model.compute_loss(x, y, outputs, training=False)
    model.compute_metrics(x, y, outputs)
    model.reset_metrics()


def _seeded(job: Job) -> Any:
    return compiling.seeded(job.graph, job.recipe, job.steps, job.streams.weights())


def _copied(variables: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """The values of variables as copies: what is handed over to a program is used up."""
    return [[jnp.array(variable.value, copy=True) for variable in some] for some in variables]


def _places(model: Any) -> dict[str, tuple[str, int, int]]:
    """Where each variable stands in a state: its kind, the list and the index, by the name that checkpoints have."""
    at = {id(variable): (part, index) for part, variables in enumerate(_variables(model))
          for index, variable in enumerate(variables)}  # fmt: skip
    return {
        f"{kind}/{place:04d}/{variable.path}": (kind, *at[id(variable)])
        for kind, variables in (("model", model.variables), ("optimizer", model.optimizer.variables))
        for place, variable in enumerate(variables)
    }


def _averages(model: Any) -> list[int]:
    """Where the averages of the trainable variables stand among the optimizer's; empty where it keeps none."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not optimizer.use_ema:
        return []
    at = {id(variable): place for place, variable in enumerate(model.optimizer.variables)}
    return [at[id(average)] for average in optimizer._model_variables_moving_average]
