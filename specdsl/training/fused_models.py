"""A Keras model as what a program takes: functions, lists of arrays and their names. Imports Keras and JAX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from specdsl.data.dataset import Examples
from specdsl.recipes.augmentation import Pipeline, unit_range
from specdsl.training import compiling
from specdsl.training.engine import Job, stored_bits
from specdsl.training.fused_program import Prepare
from specdsl.training.targets import Targets, targets


def prepared(pipeline: Pipeline, examples: Examples, made: Targets) -> Prepare:
    """What makes a batch for the model of stored examples: the same as the feeds of the `fit` engine do."""

    def prepare(x: Any, y: Any, draws: Any) -> tuple[Any, ...]:
        x = unit_range(jnp, x) if examples.of_images else x
        return made.batch(jnp, *pipeline.apply(jnp, x, y, draws))

    return prepare


def variables(model: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """Trainable and other variables of a model, and those of its optimizer."""
    return model.trainable_variables, model.non_trainable_variables, model.optimizer.variables


def measurable(model: Any, job: Job) -> None:
    """Let Keras make the variables of its metrics, which it does with the first examples that it sees.

    What the model says of them does not matter, and nothing is compiled to know it.
    """
    batch = jax.jit(prepared(job.recipe.data.evaluate, job.test, targets(job.recipe, job.outputs)))
    few = job.test.take(np.arange(min(2, len(job.test))))
    x, y = batch(jnp.asarray(few.x), jnp.asarray(few.y), jnp.zeros((len(few), 0), jnp.float32))
    (given,) = model.outputs
    outputs = jnp.zeros((len(few), *given.shape[1:]), given.dtype)
    model.compute_loss(x, y, outputs, training=False)
    model.compute_metrics(x, y, outputs)
    model.reset_metrics()


def seeded(job: Job) -> Any:
    """The compiled model of a trial, with its initial weights."""
    return compiling.seeded(job.graph, job.recipe, job.steps, job.streams.weights())


@contextmanager
def on_processor() -> Iterator[None]:
    """Within, JAX works on the processor where nothing says otherwise, if it may.

    A model is made and tried by many small programs, each of which takes an accelerator much longer to compile than
    to carry out. Where it may not, as by `JAX_PLATFORMS=cuda`, the accelerator does it.
    """
    try:
        device = jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        yield
        return
    with jax.default_device(device):
        yield


def copied(given: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """The values of variables as copies in memory."""
    return [[np.array(variable.value) for variable in some] for some in given]


def stored_as(array: Any) -> jax.ShapeDtypeStruct:
    """What an array of all trials is for one of them, as it is stored."""
    return jax.ShapeDtypeStruct(  # type: ignore[no-untyped-call]
        array.shape[1:], stored_bits(np.empty(0, array.dtype)).dtype
    )


def places(model: Any) -> dict[str, tuple[str, int, int]]:
    """Where each variable stands in a state: its kind, the list and the index, by the name that checkpoints have."""
    at = {id(variable): (part, index) for part, some in enumerate(variables(model))
          for index, variable in enumerate(some)}  # fmt: skip
    return {
        f"{kind}/{place:04d}/{variable.path}": (kind, *at[id(variable)])
        for kind, some in (("model", model.variables), ("optimizer", model.optimizer.variables))
        for place, variable in enumerate(some)
    }


def averages(model: Any) -> list[int]:
    """Where the averages of the trainable variables stand among the optimizer's; empty where it keeps none."""
    optimizer = compiling.innermost(model.optimizer)
    if not optimizer.use_ema:
        return []
    at = {id(variable): place for place, variable in enumerate(model.optimizer.variables)}
    return [at[id(average)] for average in optimizer._model_variables_moving_average]
