"""The learning rate over a run, from the recipe alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from specdsl.recipes.rates import RateSchedule
from specdsl.recipes.training import TrainRecipe


def rates(recipe: TrainRecipe, steps: Any, steps_per_epoch: int) -> NDArray[np.float64]:
    """The learning rates of steps.

    Args:
        recipe: the recipe.
        steps: numbers of steps, from 0 over the whole run.
        steps_per_epoch: how many steps an epoch has.
    """
    step = np.asarray(steps, float)
    rate = recipe.optimizer.learning_rate
    if isinstance(rate, RateSchedule):
        return np.asarray(rate.rate(np, step), float)
    factor = 1.0 if recipe.schedule is None else recipe.schedule.multiplier(np, step, steps_per_epoch, recipe.epochs)
    return rate * factor * np.ones_like(step)


def epoch_rates(recipe: TrainRecipe, steps_per_epoch: int) -> NDArray[np.float64]:
    """The learning rate with which each epoch begins: float64 (epochs,)."""
    return rates(recipe, np.arange(recipe.epochs) * steps_per_epoch, steps_per_epoch)
