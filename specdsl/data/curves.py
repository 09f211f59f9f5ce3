"""Curves to fit: small data for regression, made by program."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from specdsl.data.dataset import DataSet, Examples
from specdsl.recipes.sources import Sinc


def draw_sinc(source: Sinc) -> DataSet:
    """Places x with sin(x)/x, which is 1 at 0.

    Training places are drawn uniformly from [low, high), and their values have noise added; test places lie on an even
    grid from low to high and have the values of the curve itself.
    """
    rng = np.random.default_rng(np.random.SeedSequence(source.seed))
    drawn = rng.uniform(source.low, source.high, source.train)
    noise = rng.normal(0, source.noise, source.train)
    grid = np.linspace(source.low, source.high, source.test)
    return DataSet("sinc", _points(drawn, np.sinc(drawn / np.pi) + noise), _points(grid, np.sinc(grid / np.pi)), ())


def _points(x: NDArray[np.float64], y: NDArray[np.float64]) -> Examples:
    """Places and values, (n,) each, as examples of one number."""
    return Examples(x.astype(np.float32)[:, None], y.astype(np.float32)[:, None])
