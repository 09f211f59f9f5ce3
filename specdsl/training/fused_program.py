"""What is compiled: steps of training and of evaluation of several trials of one model, from data on the device.

One call of `advance` does any number of steps: picking the examples, augmenting them, the forward and backward pass,
the update and the metrics all run on the device, and what changes is handed over, not copied. The step itself is
Keras's own `train_step`, so that losses, metrics, weights of examples, scaling, clipping and averages mean what they
mean in `fit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from specdsl.recipes.training import Precision
from specdsl.training.fused_devices import OneDevice, Spread
from specdsl.training.precision import products
from specdsl.training.ways import Method

Array = Any


class State(NamedTuple):
    """What a trial consists of, as lists of arrays in Keras's order; with trials together each has an axis in front.

    Attributes:
        trainable: weights that the optimizer moves.
        others: statistics, frozen weights, and the seeds of random layers.
        optimizer: its variables, the count of steps among them.
        metrics: the running sums of loss and metrics.
    """

    trainable: list[Array]
    others: list[Array]
    optimizer: list[Array]
    metrics: list[Array]


class Resident(NamedTuple):
    """Examples on the device.

    Attributes:
        x: as they are stored: bytes of images, or values.
        y: classes or values to predict.
    """

    x: Array
    y: Array


class Sums(NamedTuple):
    """What changes in evaluation.

    Attributes:
        others: as in `State`.
        metrics: as in `State`.
    """

    others: list[Array]
    metrics: list[Array]


class Given(NamedTuple):
    """What changes while a model answers.

    Attributes:
        others: as in `State`.
        outputs: the answers, float32 (n, outputs).
    """

    others: list[Array]
    outputs: Array


Prepare = Callable[[Array, Array, Array], tuple[Array, ...]]
"""Stored examples, what is to be told of them, random numbers: as a batch for the model, (x, y) or (x, y, weight)."""

Logs = Mapping[str, Array]


class Program:
    """The compiled functions of a model.

    Args:
        model: a compiled Keras model on JAX, whose metrics have been built.
        prepare: what makes a training batch of stored examples.
        present: the same for evaluation; it draws nothing.
        batch: examples of a step of training.
        method: how trials run together.
        spread: how they lie on devices.
        precision: of products; it is a part of what is compiled, whoever calls it.
    """

    def __init__(
        self,
        model: Any,
        prepare: Prepare,
        present: Prepare,
        batch: int,
        method: Method = "vmap",
        spread: Spread = OneDevice(),  # noqa: B008 - it has no state
        precision: Precision = "float32",
    ) -> None:
        self._model, self._prepare, self._present, self._batch = model, prepare, present, batch
        self._spread = spread
        side_by_side = _widened if method.startswith("vmap") else _in_turn

        def together(function: Callable[..., Any], of_trials: int) -> Callable[..., Any]:
            return products(precision)(side_by_side(function, of_trials))

        self._advance = spread.program(together(self._steps, 3), 3, uses_up=True)
        self._rest = spread.program(together(self._remaining, 3), 3, uses_up=True)
        self._measures = cache(lambda batch: spread.program(together(partial(self._measured, batch), 2), 2))
        self._answers = cache(
            lambda batch: spread.program(together(partial(self._answered, batch), 2), 2, uses_up=True)
        )

    def advance(
        self, state: State, order: Array, draws: Array, data: Resident, first: int, last: int
    ) -> tuple[State, Logs]:
        """Steps `first` (from 0) to `last`, which is not done any more, of an epoch: of whole batches.

        Args:
            state: of all trials; it is used up.
            order: int32 (trials, n), the order of the examples.
            draws: float32 (trials, n, columns), the random numbers of each.
            data: the examples.
            first: the first step.
            last: the step after the last, more than `first`.

        Returns:
            The state after them, and loss and metrics so far in the epoch, each (trials,).
        """
        result: tuple[State, Logs] = self._advance(state, order, draws, data, first, last)
        return result

    def rest(self, state: State, order: Array, draws: Array, data: Resident) -> tuple[State, Logs]:
        """The step of what is left after the last whole batch: order (trials, left), draws (trials, left, columns)."""
        result: tuple[State, Logs] = self._rest(state, order, draws, data)
        return result

    def measure(
        self, sums: Sums, trainable: list[Array], data: Resident, first: int, last: int, batch: int
    ) -> tuple[Sums, Logs]:
        """Steps `first` (from 0) to `last`, which is not done any more, of evaluation, as in inference.

        Args:
            sums: of all trials, as `State` has them, or as the steps before left them.
            trainable: the weights.
            data: the examples, all of them.
            first: the first step.
            last: the step after the last; the last of all may be smaller.
            batch: examples of a step.

        Returns:
            The sums after them, and loss and metrics so far, each (trials,).
        """
        result: tuple[Sums, Logs] = self._measures(batch)(sums, trainable, data, first, last)
        return result

    def answer(self, given: Given, trainable: list[Array], data: Resident, first: int, last: int, batch: int) -> Given:
        """The same for what the model gives for each example; `given` is used up."""
        result: Given = self._answers(batch)(given, trainable, data, first, last)
        return result

    def nothing_given(self, state: State, data: Resident, outputs: int) -> Given:
        """What `answer` begins with, for so many numbers for each example."""
        answers = jnp.zeros((len(state.trainable[0]), len(data.x), outputs), jnp.float32)
        return Given(jax.tree.map(jnp.copy, state.others), self._spread.own(answers))

    # ------------------------------------------------------------------------------------------ of one trial

    def _step(self, state: State, rows: Array, draws: Array, data: Resident) -> tuple[State, Logs]:
        batch = self._made(self._prepare, rows, draws, data)
        logs, after = self._model.train_step(tuple(state), batch)
        return State(*map(list, after)), logs

    def _steps(
        self, state: State, order: Array, draws: Array, data: Resident, first: Array, last: Array
    ) -> tuple[State, Logs]:
        def step(number: Array, carried: tuple[State, Logs]) -> tuple[State, Logs]:
            rows, drawn = (
                lax.dynamic_slice_in_dim(whole, number * self._batch, self._batch) for whole in (order, draws)
            )
            return self._step(carried[0], rows, drawn, data)

        _, shapes = jax.eval_shape(lambda s: self._step(s, order[: self._batch], draws[: self._batch], data), state)
        nothing = {name: jnp.zeros(one.shape, one.dtype) for name, one in shapes.items()}
        result: tuple[State, Logs] = lax.fori_loop(first, last, step, (state, nothing))
        return result

    def _remaining(self, state: State, order: Array, draws: Array, data: Resident) -> tuple[State, Logs]:
        return self._step(state, order, draws, data)

    def _measured(
        self, batch: int, sums: Sums, trainable: list[Array], data: Resident, first: Array, last: Array
    ) -> tuple[Sums, Logs]:
        def step(carried: tuple[Sums, Logs], rows: Array) -> tuple[Sums, Logs]:
            logs, (_, others, metrics) = self._model.test_step((trainable, *carried[0]), self._shown(rows, data))
            return Sums(list(others), list(metrics)), logs

        _, shapes = jax.eval_shape(lambda: step((sums, {}), jnp.arange(batch)))
        nothing = {name: jnp.zeros(one.shape, one.dtype) for name, one in shapes.items()}
        result: tuple[Sums, Logs] = _over(step, (sums, nothing), len(data.x), first, last, batch)
        return result

    def _answered(
        self, batch: int, given: Given, trainable: list[Array], data: Resident, first: Array, last: Array
    ) -> Given:
        def step(carried: Given, rows: Array) -> Given:
            others, outputs = self._given(carried.others, trainable, rows, data)
            return Given(
                others, lax.dynamic_update_slice_in_dim(carried.outputs, outputs.astype(jnp.float32), rows[0], 0)
            )

        result: Given = _over(step, given, len(data.x), first, last, batch)
        return result

    def _given(
        self, others: list[Array], trainable: list[Array], rows: Array, data: Resident
    ) -> tuple[list[Array], Array]:
        outputs, others = self._model.predict_step((trainable, others), self._shown(rows, data)[:1])
        return list(others), outputs

    def _shown(self, rows: Array, data: Resident) -> tuple[Array, ...]:
        return self._made(self._present, rows, jnp.zeros((len(rows), 0), jnp.float32), data)

    def _made(self, prepare: Prepare, rows: Array, draws: Array, data: Resident) -> tuple[Array, ...]:
        """A batch of examples, each made on the device that works on it."""
        made: tuple[Array, ...] = self._spread.batch(
            lambda rows, draws, data: prepare(data.x[rows], data.y[rows], draws), rows, draws, data
        )
        return made


def _over(step: Callable[[Any, Array], Any], carried: Any, count: int, first: Array, last: Array, batch: int) -> Any:
    """Steps over rows in order, batch by batch; behind the whole ones there may be one with what is left."""
    whole = count // batch
    if whole:
        carried = lax.fori_loop(
            first,
            jnp.minimum(last, whole),
            lambda number, one: step(one, number * batch + jnp.arange(batch)),
            carried,
        )
    if whole * batch < count:
        left = jnp.arange(whole * batch, count)
        carried = lax.cond(last > whole, lambda one: step(one, left), lambda one: one, carried)
    return carried


def _widened(function: Callable[..., Any], of_trials: int) -> Callable[..., Any]:
    """A function of one trial as one of several: its first arguments have an axis of trials, the others are shared."""

    def together(*arguments: Any) -> Any:
        own, shared = arguments[:of_trials], arguments[of_trials:]
        return jax.vmap(lambda *one: function(*one, *shared))(*own)

    return together


def _in_turn(function: Callable[..., Any], of_trials: int) -> Callable[..., Any]:
    """The same, one trial after the other."""

    def together(*arguments: Any) -> Any:
        own, shared = arguments[:of_trials], arguments[of_trials:]
        return lax.map(lambda one: function(*one, *shared), own)

    return together
