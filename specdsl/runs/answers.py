"""What the outputs of a model say of classes, whatever its loss takes. Numpy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from specdsl.recipes.losses import Loss


def are_probabilities(answers: NDArray[Any]) -> bool:
    """Whether answers are probabilities of which each example's sum to 1, to rounding: (n, classes)."""
    return bool(answers.ndim == 2 and answers.min(initial=0) >= -1e-6 and (abs(answers.sum(axis=1) - 1) <= 0.02).all())


def scores(raw: NDArray[Any], loss: Loss, classifies: bool) -> NDArray[np.float32]:
    """A number for each class, of which the largest is the answer; or the values that are predicted, as they are.

    Logits become probabilities, by a softmax, or by a sigmoid where each class is told for itself. A single output for
    two classes becomes two numbers. Scores that stand for no probabilities, as with a hinge loss, stay what they are.

    Args:
        raw: what the model gives: (n, outputs).
        loss: what it was trained with.
        classifies: whether classes are told, not values predicted.

    Returns:
        float32 (n, classes), or (n, k).
    """
    if not classifies:
        return raw.astype(np.float32)
    made = raw.astype(np.float64)
    if loss.outputs() == "logits":
        made = 1 / (1 + np.exp(-made)) if "binary" in loss.takes else _softmax(made)
    if made.shape[1] == 1:
        made = np.concatenate([-made if loss.outputs() == "scores" else 1 - made, made], axis=1)
    told: NDArray[np.float32] = made.astype(np.float32)
    return told


def _softmax(logits: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    made: NDArray[Any] = powers / powers.sum(axis=1, keepdims=True)
    return made
