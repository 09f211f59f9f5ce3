"""What a loss is given for the labels of a batch, and how much each example counts. Numpy alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specdsl.data.dataset import Examples
from specdsl.recipes.training import TrainRecipe


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """Makes the targets of batches, and weights beside them.

    Attributes:
        rows: what stands for each class, float32 (classes, k): a 1 among zeros, or of two classes 0 or 1; None where
            labels or values are targets as they are.
        weights: how much an example of each class counts, float32 (classes,); None where all count alike.
    """

    rows: NDArray[np.float32] | None = None
    weights: NDArray[np.float32] | None = None

    def batch(self, xp: Any, x: Any, y: Any) -> tuple[Any, ...]:
        """A batch as Keras takes it: inputs and targets, and weights where there are any.

        Args:
            xp: numpy, or keras.ops.
            x: inputs.
            y: classes, int32 (n,), or values to predict, float32 (n, k).
        """
        made = y if self.rows is None else xp.take(self.rows, y, axis=0)
        return (x, made) if self.weights is None else (x, made, xp.take(self.weights, y, axis=0))


AS_THEY_ARE = Targets()
"""Labels and values as targets themselves, all examples counting alike."""


def targets(recipe: TrainRecipe, outputs: int, train: Examples | None = None) -> Targets:
    """What makes the targets that a recipe's loss takes.

    Args:
        recipe: the recipe.
        outputs: how many numbers the model gives for an example.
        train: the examples that are learned from, for batches of them: weights of classes are for these alone.

    Raises:
        Misuse: the loss or a metric cannot be taken of such outputs.
    """
    kind = recipe.targets(outputs)
    rows = {"one-hot": np.eye(outputs, dtype=np.float32), "binary": np.array([[0], [1]], np.float32)}.get(kind)
    return Targets(rows, None if train is None else class_weights(recipe, train.y, max(outputs, 2)))


def class_weights(recipe: TrainRecipe, labels: NDArray[Any], classes: int) -> NDArray[np.float32] | None:
    """How much an example of each class counts: float32 (classes,); None where all count alike.

    Balanced weights are n / (classes · count of the class): the examples of each class count as much as those of each
    other one together, and an example 1 on average. A class without examples has no weight to speak of, and gets 1.

    Args:
        recipe: says which.
        labels: the classes of the examples that are learned from, int32 (n,).
        classes: how many classes there are.
    """
    if recipe.class_weight is None:
        return None
    if recipe.class_weight != "balanced":
        return np.asarray(recipe.class_weight, np.float32)
    count = np.bincount(labels, minlength=classes)
    return np.where(count, len(labels) / (classes * np.maximum(count, 1)), 1).astype(np.float32)
