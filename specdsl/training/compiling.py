"""A recipe in Keras: optimizer with its learning rate, loss, metrics, precision. Imports Keras: start it first."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from specdsl.backends import keras_model
from specdsl.data.dataset import Examples
from specdsl.declaration import Misuse
from specdsl.graph import Graph
from specdsl.recipes.augmentation import unit_range
from specdsl.recipes.losses import Loss
from specdsl.recipes.naming import InKeras
from specdsl.recipes.schedules import Schedule
from specdsl.recipes.training import TrainRecipe
from specdsl.training import frameworks, precision


def compiled(graph: Graph, recipe: TrainRecipe, steps_per_epoch: int) -> Any:
    """The Keras model of a graph, with fresh weights, compiled as a recipe says.

    Args:
        graph: the model, of one output.
        recipe: how to train it.
        steps_per_epoch: how many steps an epoch has, which a schedule in epochs needs.

    Raises:
        Misuse: the loss or a metric cannot be taken of what the model ends with.
    """
    with precision.policy(recipe.precision):
        model: Any = keras_model.build(graph)
    metrics = recipe.resolved_metrics(graph.output_shapes[0][-1] or 0)
    model.compile(
        optimizer=optimizer(recipe, steps_per_epoch),
        loss=in_keras(recipe.loss),
        metrics=[in_keras(metric, name=metric.column) for metric in metrics],
    )
    return model


def seeded(graph: Graph, recipe: TrainRecipe, steps_per_epoch: int, seed: int) -> Any:
    """The same from a clean slate: initial weights and the seeds of layers follow from `seed`."""
    keras.utils.clear_session()
    with frameworks.without_tensorflow():
        keras.utils.set_random_seed(seed)
    model = compiled(graph, recipe, steps_per_epoch)
    model.optimizer.build(model.trainable_variables)
    return model


def optimizer(recipe: TrainRecipe, steps_per_epoch: int) -> Any:
    """The Keras optimizer of a recipe; where its rate follows epochs, with a schedule of that."""
    if recipe.schedule is None:
        return in_keras(recipe.optimizer)
    rate = recipe.optimizer.learning_rate
    assert isinstance(rate, int | float), "a recipe with two schedules is refused"
    return in_keras(
        recipe.optimizer, learning_rate=EpochSchedule(rate, recipe.schedule, steps_per_epoch, recipe.epochs)
    )


def innermost(optimizer: Any) -> Any:
    """An optimizer without what scales its losses, which Keras puts around it for numbers of 16 bits."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def in_keras(declared: InKeras, **others: Any) -> Any:
    """The object of Keras that a declaration stands for.

    Args:
        declared: the declaration.
        **others: arguments in place of its own.
    """
    module: Any = keras
    for part in declared.module.split("."):
        module = getattr(module, part)
    arguments = {name: _value(value) for name, value in declared.settings().items()} | others
    return getattr(module, type(declared).__name__)(**arguments)


def _value(value: Any) -> Any:
    if isinstance(value, InKeras):
        return in_keras(value)
    return list(value) if isinstance(value, tuple) else value


class EpochSchedule(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """The rate of an optimizer times the factor that a schedule in epochs has at each step."""

    def __init__(self, rate: float, schedule: Schedule, steps_per_epoch: int, epochs: int) -> None:
        self.rate, self.schedule, self.steps_per_epoch, self.epochs = rate, schedule, steps_per_epoch, epochs

    def __call__(self, step: Any) -> Any:
        """The rate at a step, counted from 0."""
        step = keras.ops.cast(step, "float32")
        return self.rate * self.schedule.multiplier(keras.ops, step, self.steps_per_epoch, self.epochs)

    def get_config(self) -> dict[str, Any]:
        """What a file would say of it; runs save their models without an optimizer."""
        return {
            "rate": self.rate,
            "schedule": str(self.schedule),
            "steps_per_epoch": self.steps_per_epoch,
            "epochs": self.epochs,
        }


def check_outputs(model: Any, name: str, loss: Loss, batch: NDArray[np.float32]) -> None:
    """Check that a model ends with what the loss takes; anything else would train to nonsense without a word.

    Args:
        model: the Keras model.
        name: what to call it.
        loss: the loss.
        batch: a few examples as they enter it.

    Raises:
        Misuse: what it gives for them is something else.
    """
    outputs = np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(model(batch, training=False), "float32")), float)
    kind = loss.outputs()
    taken = type(loss).__name__
    if not np.isfinite(outputs).all():
        raise Misuse(f"{name} gives values that are not numbers before any training", help="look at its initializers")
    within = outputs.min() >= 0 and outputs.max() <= 1
    sums = outputs.sum(axis=-1)
    if kind == "distribution" and (outputs.min() < 0 or abs(sums - 1).max() > 0.02):
        raise Misuse(
            f"{name} does not end with probabilities, which {taken} takes: its outputs add up to "
            f"{sums.mean():.3g} for an example, not to 1",
            help='end the model with the activation "softmax"',
        )
    if kind in ("independent", "probabilities") and not within:
        raise Misuse(
            f"{name} does not end with numbers from 0 to 1, which {taken} takes: it gives {outputs.flat[0]:.3g}",
            help='end the model with the activation "sigmoid"',
        )
    if kind == "logits" and within and outputs.shape[-1] > 1 and abs(sums - 1).max() < 1e-3:
        raise Misuse(
            f"{name} ends with probabilities, and {taken} with from_logits=true makes some of what is none",
            help="leave from_logits out",
        )
    if kind == "positive" and outputs.min() < 0:
        raise Misuse(
            f"{name} gives values below 0, such as {outputs.min():.3g}, of which {taken} has no logarithm",
            help='end the model with the activation "softplus" or "exponential"',
        )


def few(recipe: TrainRecipe, examples: Examples) -> Any:
    """The first examples as they enter the model."""
    few = unit_range(np, examples.x[:8]) if examples.of_images else examples.x[:8]
    return recipe.data.evaluate.apply(np, few, examples.y[:8], np.zeros((len(few), 0), np.float32))[0]
