"""What ways to train cost, by measured constants: how long a step takes to begin, and how fast its work is done. Light.

The constants rank ways; they do not foretell times. Those of a processor are of two cores of a server's, and each says
which of these it is from (docs/engines.md has what each gave):

- the bench: `bench/results/train-cpu.json`, epochs without what follows them, with which a test compares them;
- the probe: whole epochs with evaluation, checkpoints and history, and how long it took to start and to compile;
- an older processor: the probe there, before the bench was; it counts in relation to other ways alone.

Those of accelerators are estimates. Where a run is long enough, a probe replaces them all.
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
        start: seconds until a process begins to build models. From the probe.
        compile: seconds to build and compile those that are trained together. From the probe.
        step: seconds that a step takes to begin, however small it is. From the bench, `shortcut_mlp`.
        layer: what each layer adds to that. From the bench, the same with 6 and 20 trials in turn.
        epoch: seconds that an epoch and the evaluation after it take to begin. From the probe, `shortcut_mlp`.
        turn: seconds of each computation that waits for the one before, forwards and backwards. Of an older processor.
        products: operations of matrix products in a second, on one core or on the accelerator. Of an older processor.
        convolutions: the same of convolutions over all channels. From the bench, networks of traffic signs.
        grouped: the same of other convolutions. Of an older processor.
        others: operations on single values in a second. An estimate.
        shared: the power of the number of cores with which convolutions get faster: two processes of a core each are
            2 ** (1 - shared) times as fast as one of two cores. From the bench for `fit` on TensorFlow; fused, from
            time on the processor that one process and two took for an image of `bn_cnn`; else an estimate.
        spread: the same of all other work. From the bench for the fused engine, else of an older processor.
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
    shared: float = 1.0
    spread: float = 1.0


PROCESSOR = {
    ("fit", "tensorflow"): Costs(5.0, 2.0, 4e-4, 4e-5, 0.02, 1e-4, 8.5e10, 1.2e11, 1.3e10, 1e10, 0.7, 0.5),
    ("fused", "jax"): Costs(3.0, 12.0, 1e-5, 2e-6, 0.005, 5e-6, 5.2e10, 7.3e10, 2.5e9, 1e10, 0.8, 0.35),
    ("fit", "jax"): Costs(4.0, 6.0, 6e-5, 1e-5, 0.03, 1e-5, 4.8e10, 3.3e10, 4e9, 1e10, 0.5, 0.5),
    ("fit", "torch"): Costs(5.0, 1.0, 1e-3, 1.5e-4, 0.04, 3e-4, 8.5e10, 5e10, 5e9, 1e10, 0.5, 0.5),
}
"""On one core of a processor; of `fit` on PyTorch all are estimates."""

ACCELERATOR = {
    ("fit", "tensorflow"): Costs(12.0, 5.0, 4e-3, 5e-5, 0.2, 2e-4, 2e13, 1e13, 1e12, 3e11),
    ("fused", "jax"): Costs(10.0, 20.0, 2e-4, 2e-5, 0.02, 3e-5, 2e13, 1e13, 1e12, 3e11),
    ("fit", "jax"): Costs(10.0, 8.0, 2e-3, 1e-5, 0.2, 3e-5, 2e13, 1e13, 1e12, 3e11),
    ("fit", "torch"): Costs(10.0, 3.0, 5e-3, 3e-4, 0.2, 4e-4, 2e13, 1e13, 1e12, 3e11),
}
"""On an accelerator; estimates, by which nothing is chosen there but what is worth timing."""

_BATCHED = 1.5
"""How many times as long a processor takes for convolutions as batched products as for those of one trial after the
other: 1.8, 1.6 and 1.4 times in the bench."""

_LOOPED = 30.0
"""The same for convolutions as they are, within a program's loop: 30 and 44 times in the bench."""

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


def _pace(work: Work, way: Way, platform: Platform, cores: float = 1.0, together: int = 1) -> _Pace:
    """How fast a process of a way works, on a processor with so many cores."""
    processor = platform == "cpu"
    costs = (PROCESSOR if processor else ACCELERATOR)[way.engine, way.backend]
    effort = work.effort
    in_turn = together if way.method is not None and way.method.startswith("map") else 1
    convolved = 2 * effort.convolutions / costs.convolutions + 2 * effort.grouped / costs.grouped
    if processor and way.engine == "fused":
        convolved *= _LOOPED if way.method in ("vmap", "map") else 1.0 if in_turn == together else _BATCHED
    other = 2 * effort.products / costs.products + effort.operations / costs.others
    forward = convolved / cores**costs.shared + other / cores**costs.spread
    begin = costs.step + effort.layers * costs.layer * in_turn
    return _Pace(forward, begin, effort.turns * costs.turn * in_turn)


def step_seconds(work: Work, way: Way, platform: Platform, cores: float) -> float:
    """How long a training step of one trial should take.

    Args:
        work: what is trained.
        way: how.
        platform: of the device.
        cores: those of the processor that the process may use.
    """
    return _pace(work, way, platform, cores if platform == "cpu" else 1.0).step(work.job.recipe.batch)


def predicted(work: Work, way: Way, hardware: Hardware) -> Rate:
    """How fast a way should be for some work, by the constants."""
    processor = hardware.platform == "cpu"
    costs = (PROCESSOR if processor else ACCELERATOR)[way.engine, way.backend]
    job = work.job
    share = max(1.0, hardware.cores / way.processes) if processor else way.devices / way.processes
    together = sizes_of(work, way)[0]
    pace = _pace(work, way, hardware.platform, share, together)
    seconds = costs.epoch + job.steps * pace.step(together * len(job.train) / job.steps)
    if work.measured:
        steps = -(-work.measured // job.recipe.batch)
        measured = together * work.measured * pace.forward + steps * (pace.begin + pace.turns)
        seconds += measured / job.recipe.evaluate_every
    rate = together * len(job.train) * len(sizes_of(work, way)) / seconds
    return Rate(rate, costs.start * (1.0 if way.processes == 1 else _STARTING_TOGETHER), costs.compile)
