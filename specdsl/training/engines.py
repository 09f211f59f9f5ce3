"""The engines by their names, and starting them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module

from specdsl.declaration import Misuse
from specdsl.training import frameworks
from specdsl.training.engine import Group, Job, OutOfMemory
from specdsl.training.exhaustion import LESS_MEMORY
from specdsl.training.together import Most
from specdsl.training.ways import Way


@dataclass(frozen=True, slots=True)
class Source:
    """Where an engine comes from.

    Attributes:
        module: what has its `group(jobs, way)`.
        framework: whether the back end must run before that is imported.
    """

    module: str
    framework: bool = True


ENGINES: dict[str, Source] = {
    "fit": Source("specdsl.training.engine_fit"),
    "fused": Source("specdsl.training.engine_fused"),
}


def check(way: Way) -> None:
    """Make sure that the framework of a way is there, without importing it.

    Raises:
        Misuse: the back end is not installed, or Keras already runs on another.
    """
    if ENGINES[way.engine].framework:
        frameworks.check_installed(way.backend)


def maker(way: Way, source: Source | None = None, most: Most | None = None) -> Callable[[Sequence[Job]], Group]:
    """What makes trials that are trained together, with its framework started.

    Args:
        way: how trials are trained.
        source: where the engine comes from, in place of the one that the way names.
        most: how many trials are trained together at the most, in place of what the way says.

    Raises:
        Misuse: the back end is not installed, Keras already runs on another, or there are fewer devices.
    """
    source = source or ENGINES[way.engine]
    if source.framework:
        frameworks.start(way.backend, deterministic=way.deterministic)
        if way.devices > 1:
            import_module("specdsl.training.fused_devices").present(way.devices)
    make: Callable[[Sequence[Job], Way], Group] = import_module(source.module).group
    return lambda jobs: make(jobs, replace(way, together=most.number) if most else way)


def built(make: Callable[[Sequence[Job]], Group], job: Job) -> int:
    """Build a model to see whether it can be trained, and give the number of its parameters.

    Args:
        make: what `maker` gave.
        job: a trial.

    Raises:
        Misuse: it cannot.
    """
    try:
        (trial,) = make([job]).trials
        trial.check()
    except OutOfMemory as error:
        raise Misuse(f"{job.graph.name} does not go into the memory: {error}", help=LESS_MEMORY) from None
    return int(trial.parameters)
