"""What every source of data gives: arrays with names, checked; and the split that keeps tracks whole."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from specdsl.recipes.data import Validation
from specdsl.recipes.sources import Task


class DataError(Exception):
    """Data that are missing, broken or not what was asked for.

    Attributes:
        message: what is wrong, naming the file where there is one.
        help: what to do about it, when that is known.
    """

    def __init__(self, message: str, *, help: str | None = None) -> None:
        super().__init__(f"{message}\n{help}" if help else message)
        self.message = message
        self.help = help


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Examples with what is to be told of them.

    Attributes:
        x: images, uint8 (n, height, width, channels) with 1 channel, or 3 for red, green, blue; or values, float32
            (n, *shape).
        y: the class of each example, int32 (n,); or values to predict, float32 (n, k).
        track: int32 (n,), equal for examples of one thing (frames of one physical sign) and different between things of
            any class; None where it is not known.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    track: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        assert self.x.dtype in (np.uint8, np.float32)
        assert self.x.ndim >= 2
        assert self.x.dtype == np.float32 or (self.x.ndim == 4 and self.x.shape[3] in (1, 3))
        assert self.y.dtype == (np.int32 if self.y.ndim == 1 else np.float32)
        assert self.y.ndim <= 2
        assert len(self.y) == len(self.x)
        assert self.track is None or self.track.shape == (len(self.x),)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def of_images(self) -> bool:
        """Whether the examples are images held as bytes, which enter a pipeline as floats from 0 to 1."""
        return self.x.dtype == np.uint8

    def take(self, index: NDArray[Any]) -> Examples:
        """The examples at some positions, or where a mask is true."""
        return Examples(self.x[index], self.y[index], None if self.track is None else self.track[index])


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """Training and test examples of one kind: of the same shape, with the same classes or the same values to predict.

    Attributes:
        name: what people call it.
        train: examples to learn from.
        test: examples for evaluation alone.
        class_names: the name of each class, by its label; empty where values are predicted.
        partial: whether it is less than the published set of this name: results on it do not compare.
    """

    name: str
    train: Examples
    test: Examples
    class_names: tuple[str, ...]
    partial: bool = False

    def __post_init__(self) -> None:
        assert self.train.x.shape[1:] == self.test.x.shape[1:]
        assert self.train.x.dtype == self.test.x.dtype
        assert self.train.y.shape[1:] == self.test.y.shape[1:]
        assert bool(self.class_names) == (self.train.y.ndim == 1)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of every example: height, width, channels of an image."""
        return self.train.x.shape[1:]

    @property
    def task(self) -> Task:
        """What is to be told of an example: its class, or values."""
        return "classification" if self.class_names else "regression"

    @property
    def outputs(self) -> int:
        """How many numbers a model gives for an example: one for each class, or the values to predict."""
        return len(self.class_names) or int(self.train.y.shape[1])

    def fingerprint(self) -> str:
        """A SHA-256 over all arrays, in hexadecimal: equal exactly when all arrays are."""
        digest = sha256()
        for part in (self.train, self.test):
            for array in (part.x, part.y, part.track):
                if array is not None:
                    digest.update(f"{array.dtype.str}{array.shape}".encode())
                    digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def split(examples: Examples, validation: Validation, seed: int) -> tuple[Examples, Examples]:
    """Training examples in two: what stays for training, and what validates.

    Args:
        examples: all of them.
        validation: which part validates, and whether tracks stay whole.
        seed: what the choice comes from, where `validation` has no seed of its own.

    Raises:
        DataError: as `apart`.
    """
    seed = seed if validation.seed is None else validation.seed
    return apart(examples, validation.fraction, validation.by, seed, what="validation")


def apart(
    examples: Examples, fraction: float, by: Literal["track", "image"], seed: int, *, what: str
) -> tuple[Examples, Examples]:
    """Examples in two: what stays, and what is kept out.

    Of the n tracks (or examples) of a class, `fraction` n are kept out, rounded, but at least one and at most n - 1; of
    a single one, none. Where values are predicted, all examples are of one class. A track is kept out whole; one with
    examples of several classes counts for its most frequent class. Which tracks are kept out depends on the seed, on
    the class and on the order of its tracks' numbers: not on the order of the examples, nor on other classes.

    Args:
        examples: all of them.
        fraction: which part is kept out, above 0 and below 1.
        by: whether a track is kept out whole, or each example for itself.
        seed: at least 0.
        what: what it is kept out for, in messages.

    Raises:
        DataError: a split by track of examples whose tracks are not known, or too few of them to keep any out.
    """
    label = examples.y if examples.y.ndim == 1 else np.zeros(len(examples), np.int32)
    if by == "image":
        unit = np.arange(len(examples))
        owner = label
    elif examples.track is None:
        raise DataError("these examples have no tracks to split by", help='write validation(..., by="image")')
    else:
        numbers, unit = np.unique(examples.track, return_inverse=True)
        counts = np.zeros((len(numbers), int(label.max(initial=0)) + 1), np.int64)
        np.add.at(counts, (unit, label), 1)
        owner = counts.argmax(axis=1)
    held = np.zeros(len(owner), bool)
    for each in np.unique(owner):
        units = np.flatnonzero(owner == each)
        count = min(max(1, round(fraction * len(units))), len(units) - 1)
        rng = np.random.default_rng(np.random.SeedSequence([seed, int(each)]))
        held[rng.choice(units, count, replace=False)] = True
    if not held.any():
        raise DataError(f"no class has two {by}s, so that none can be kept out for {what}")
    return examples.take(~held[unit]), examples.take(held[unit])
