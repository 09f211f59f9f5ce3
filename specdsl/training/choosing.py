"""Choosing the way to train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console

from specdsl.training import frameworks
from specdsl.training.engine import Job
from specdsl.training.ways import Wanted, Way


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be trained.

    Attributes:
        job: a trial of it.
        trials: how many.
        wanted: what was asked for.
    """

    job: Job
    trials: int
    wanted: Wanted


def choose(works: Mapping[str, Work], console: Console) -> dict[str, Way]:
    """The way of each model of an experiment, all on one back end, with the reason told.

    Raises:
        Misuse: what is asked for cannot be had here.
    """
    ways = {key: _way(work) for key, work in works.items()}
    for way in ways.values():
        frameworks.check_installed(way.backend)
    return ways


def _way(work: Work) -> Way:
    wanted = work.wanted
    engine = wanted.engine or "fit"
    if engine == "fit":
        return Way("fit", wanted.backend or "tensorflow")
    return Way("fused", "jax", wanted.method or "vmap-products", wanted.together)
