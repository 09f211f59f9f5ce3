"""How far probabilities can be believed, and temperatures that mend them, fitted to validation examples alone.

A classifier is calibrated when, of all answers given with a probability near p, about the part p is right. Temperature
scaling (Guo, Pleiss, Sun and Weinberger, *On calibration of modern neural networks*, ICML 2017) divides the logits by
one number T and so changes no answer, only how sure it is: above 1 less sure, below 1 more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specdsl.runs.files import RunError, read_json, write_json
from specdsl.runs.reliability import expected_calibration_error

CALIBRATION = "calibration.json"
"""The file in a run's folder that holds its temperatures."""

SCHEMA = 1

LEAST = 1e-30
"""What probabilities below it are taken for, so that the logarithm of one that was rounded to zero is finite."""

RANGE = (0.05, 20.0)
"""Where a temperature is looked for."""


def negative_log_likelihood(probability: NDArray[Any], label: NDArray[Any]) -> float:
    """The mean of -ln p over examples, p the probability given to the right class; in nats.

    Args:
        probability: (n, classes).
        label: integers (n,).
    """
    right = probability[np.arange(len(label)), label].astype(np.float64)
    return float(np.log(np.maximum(right, LEAST)).mean() * -1 + 0.0)


def tempered(probability: NDArray[Any], temperature: float) -> NDArray[np.float32]:
    """Probabilities after the logits have been divided by a temperature: p^(1/T), scaled to a sum of 1.

    Args:
        probability: (n, classes), as a softmax gives them.
        temperature: above 0.
    """
    logits = np.log(np.maximum(probability.astype(np.float64), LEAST)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    scaled: NDArray[np.float32] = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return scaled


def fit_temperature(probability: NDArray[Any], label: NDArray[Any]) -> float:
    """The temperature under which the negative log-likelihood of examples is least.

    That is convex in 1/T, so that what a bounded search finds is the least there is within `RANGE`.

    Args:
        probability: (n, classes), of examples that were not trained on.
        label: integers (n,).

    Raises:
        RunError: every example is answered right, and so no temperature is too low.
    """
    from scipy.optimize import minimize_scalar

    if (probability.argmax(axis=1) == label).all():
        raise RunError("no temperature can be fitted: the model answers every validation example right")

    logits = np.log(np.maximum(probability.astype(np.float64), LEAST))
    right = logits[np.arange(len(label)), label]

    def cost(logarithm: float) -> float:
        scaled = logits / exp(logarithm)
        top = scaled.max(axis=1)
        return float((np.log(np.exp(scaled - top[:, None]).sum(axis=1)) + top - right / exp(logarithm)).mean())

    low, high = map(log, RANGE)
    found = minimize_scalar(cost, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return float(exp(found.x))


@dataclass(frozen=True, slots=True)
class Calibration:
    """A temperature, and what it was fitted to.

    Attributes:
        trials: the trials whose probabilities were averaged, or the only one.
        views: how many views of each image were averaged.
        temperature: what logits are divided by.
        examples: how many validation examples it was fitted to.
        before: `negative_log_likelihood` and `expected_calibration_error` of these examples at first.
        after: the same with the temperature.
        models: the SHA-256 of each trial's model file: a temperature belongs to no other.
    """

    trials: tuple[int, ...]
    views: int
    temperature: float
    examples: int
    before: Mapping[str, float]
    after: Mapping[str, float]
    models: tuple[str, ...]

    def mend(self, probability: NDArray[Any]) -> NDArray[np.float32]:
        """Probabilities (n, classes) with the temperature."""
        return tempered(probability, self.temperature)

    @property
    def at_a_bound(self) -> bool:
        """Whether the search ended where it was not allowed to go on, as with answers no better than guesses."""
        return not RANGE[0] * 1.001 < self.temperature < RANGE[1] / 1.001


def quality(probability: NDArray[Any], label: NDArray[Any]) -> dict[str, float]:
    """Negative log-likelihood and expected calibration error by their names."""
    return {
        "negative_log_likelihood": negative_log_likelihood(probability, label),
        "expected_calibration_error": expected_calibration_error(probability, label),
    }


def calibrate(
    probability: NDArray[Any], label: NDArray[Any], *, trials: Sequence[int], views: int, models: Sequence[Path]
) -> Calibration:
    """Fit a temperature to what models say of validation examples.

    Args:
        probability: (n, classes).
        label: integers (n,).
        trials: the trials that the probabilities come from.
        views: how many views of each image were averaged.
        models: the files of these trials' models.
    """
    temperature = fit_temperature(probability, label)
    return Calibration(
        trials=tuple(trials),
        views=views,
        temperature=temperature,
        examples=len(label),
        before=quality(probability, label),
        after=quality(tempered(probability, temperature), label),
        models=tuple(map(digest, models)),
    )


def read_calibrations(run: Path) -> tuple[Calibration, ...]:
    """The temperatures that were stored with a run, none where there is no file of them.

    Raises:
        RunError: the file is damaged.
    """
    file = run / CALIBRATION
    if not file.exists():
        return ()
    values = read_json(file)
    try:
        listed: list[dict[str, Any]] = values["temperatures"]
        return tuple(Calibration(**one | {name: tuple(one[name]) for name in ("trials", "models")}) for one in listed)
    except (KeyError, TypeError, AttributeError):
        raise RunError(f"{file} holds no temperatures", help="specdsl evaluate --calibrate writes it anew") from None


def stored(run: Path, trials: Sequence[int], views: int, models: Sequence[Path]) -> Calibration | None:
    """The temperature stored for the very same models and views, if there is one.

    Raises:
        RunError: the file is damaged.
    """
    for one in read_calibrations(run):
        if one.trials == tuple(trials) and one.views == views:
            return one if one.models == tuple(map(digest, models)) else None
    return None


def store(run: Path, made: Sequence[Calibration]) -> None:
    """Write temperatures into a run's folder, in place of those for the same trials and views, beside all others."""
    new = {(one.trials, one.views): one for one in made}
    try:
        old = {(one.trials, one.views): one for one in read_calibrations(run)}
    except RunError:
        old = {}
    write_json(run / CALIBRATION, {
        "schema": SCHEMA,
        "method": "temperature scaling, fitted to the validation part",
        "temperatures": [asdict(one) for _, one in sorted((old | new).items())],
    })  # fmt: skip


def digest(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    return sha256(file.read_bytes()).hexdigest()
