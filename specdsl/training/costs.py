"""What ways to train cost, by measured constants: how long a step takes to begin, and how fast its work is done. Light.

The constants rank ways; they do not foretell times. They were measured by the probe on the cores of a server's
processor (docs/engines.md has how), those of accelerators are estimates. Where a run is long enough, a probe replaces
them.
"""

from __future__ import annotations

from dataclasses import dataclass

from specdsl.training.hardware import Hardware, Platform
from specdsl.training.probing import Rate, sizes_of
from specdsl.training.ways import Way
from specdsl.training.works import Work


@dataclass(frozen=True, slots=True)
class Costs:
    """What an engine on a back end costs.

    Attributes:
        start: seconds until a process begins to build models.
        compile: seconds to build and compile those that are trained together.
        step: seconds that a step takes to begin, however small it is.
        layer: what each layer adds to that.
        epoch: seconds that an epoch and the evaluation after it take to begin.
        turn: seconds of each computation that waits for the one before, forwards and backwards.
        products: operations of matrix products in a second, on one core or on the accelerator.
        convolutions: the same of convolutions over all channels.
        grouped: the same of other convolutions.
        others: operations on single values in a second.
    """

    start: float
    compile: float
    step: float
    layer: float
    epoch: float
    turn: float
    products: float
    convolutions: float
    grouped: float
    others: float


PROCESSOR = {
    ("fit", "tensorflow"): Costs(5.0, 2.0, 4e-4, 4e-5, 0.02, 1e-4, 8.5e10, 7.6e10, 1.3e10, 1e10),
    ("fused", "jax"): Costs(3.0, 12.0, 5e-5, 5e-6, 0.005, 5e-6, 5.2e10, 5.8e10, 2.5e9, 1e10),
    ("fit", "jax"): Costs(4.0, 6.0, 2e-4, 1e-5, 0.03, 1e-5, 4.8e10, 3e10, 4e9, 1e10),
    ("fit", "torch"): Costs(5.0, 1.0, 1e-3, 1.5e-4, 0.04, 3e-4, 8.5e10, 5e10, 5e9, 1e10),
}
"""On one core of a processor."""

ACCELERATOR = {
    ("fit", "tensorflow"): Costs(12.0, 5.0, 4e-3, 5e-5, 0.2, 2e-4, 2e13, 1e13, 1e12, 3e11),
    ("fused", "jax"): Costs(10.0, 20.0, 2e-4, 2e-5, 0.02, 3e-5, 2e13, 1e13, 1e12, 3e11),
    ("fit", "jax"): Costs(10.0, 8.0, 2e-3, 1e-5, 0.2, 3e-5, 2e13, 1e13, 1e12, 3e11),
    ("fit", "torch"): Costs(10.0, 3.0, 5e-3, 3e-4, 0.2, 4e-4, 2e13, 1e13, 1e12, 3e11),
}
"""On an accelerator; estimates, by which nothing is chosen there but what is worth timing."""

_CORES = 0.5
"""The power of the number of cores with which a process gets faster: two make it 1.4 times as fast."""

_STARTING_TOGETHER = 1.2
"""How many times as long several processes take to start that do so at once."""

_BACKWARD = 2.0
"""The work of the gradients, in terms of that of the forward pass."""


@dataclass(frozen=True, slots=True)
class _Pace:
    """How fast a process works.

    Attributes:
        forward: seconds of an example on its way forward.
        begin: seconds that a step takes to begin.
        turns: seconds of what waits for one another in a step, forward.
    """

    forward: float
    begin: float
    turns: float

    def step(self, examples: float) -> float:
        """Seconds of a training step: the backward pass is twice the work of the forward pass."""
        return self.begin + 2 * self.turns + examples * self.forward * (1 + _BACKWARD)


def _pace(work: Work, way: Way, platform: Platform, speed: float, together: int = 1) -> _Pace:
    costs = (PROCESSOR if platform == "cpu" else ACCELERATOR)[way.engine, way.backend]
    effort = work.effort
    in_turn = together if way.method is not None and way.method.startswith("map") else 1
    forward = (
        2 * effort.products / costs.products
        + 2 * effort.convolutions / costs.convolutions
        + 2 * effort.grouped / costs.grouped
        + effort.operations / costs.others
    )
    begin = costs.step + effort.layers * costs.layer
    return _Pace(forward / speed, begin * in_turn, effort.turns * costs.turn * in_turn)


def step_seconds(work: Work, way: Way, platform: Platform, cores: float) -> float:
    """How long a training step of one trial should take.

    Args:
        work: what is trained.
        way: how.
        platform: of the device.
        cores: those of the processor that the process may use.
    """
    return _pace(work, way, platform, cores**_CORES if platform == "cpu" else 1.0).step(work.job.recipe.batch)


def predicted(work: Work, way: Way, hardware: Hardware) -> Rate:
    """How fast a way should be for some work, by the constants."""
    processor = hardware.platform == "cpu"
    costs = (PROCESSOR if processor else ACCELERATOR)[way.engine, way.backend]
    job = work.job
    speed = max(1.0, hardware.cores / way.processes) ** _CORES if processor else way.devices / way.processes
    together = sizes_of(work, way)[0]
    pace = _pace(work, way, hardware.platform, speed, together)
    seconds = costs.epoch + job.steps * pace.step(together * len(job.train) / job.steps)
    if work.measured:
        steps = -(-work.measured // job.recipe.batch)
        measured = together * work.measured * pace.forward + steps * (pace.begin + pace.turns)
        seconds += measured / job.recipe.evaluate_every
    rate = together * len(job.train) * len(sizes_of(work, way)) / seconds
    return Rate(rate, costs.start * (1.0 if way.processes == 1 else _STARTING_TOGETHER), costs.compile)
