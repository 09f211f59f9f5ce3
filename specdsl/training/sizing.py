"""The memory that trials need which are trained together, known before anything runs. Imports no framework.

It follows from the static analysis and from what the fused engine lays on a device: what training keeps of a step, the
optimizer's variables, the examples as they are stored, the order and the random numbers of an epoch, the windows of
convolutions that are carried out as products. It is an upper bound: what XLA shares among arrays is not known
beforehand, and the tests compare the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

from specdsl.analyses import Analysis, LayerAnalysis, Regime, analyse, values
from specdsl.analyses.memory import peak_activation_bytes, training_memory
from specdsl.backends.words import readable_bytes
from specdsl.data.dataset import Examples
from specdsl.declaration import Misuse
from specdsl.layers.convolution import Conv1D, Conv2D, Conv3D
from specdsl.layers.convolution_separable import DepthwiseConv1D, DepthwiseConv2D, SeparableConv1D, SeparableConv2D
from specdsl.layers.convolution_transposed import Conv1DTranspose, Conv2DTranspose, Conv3DTranspose
from specdsl.layers.dtypes import BYTES, policy
from specdsl.layers.pooling import MaxPooling1D, MaxPooling2D, MaxPooling3D
from specdsl.recipes.training import Precision
from specdsl.training.engine import Job
from specdsl.training.evaluating import times_larger
from specdsl.training.exhaustion import LESS_MEMORY
from specdsl.training.hardware import Hardware, Platform
from specdsl.training.sharing import sharing
from specdsl.training.ways import Method, Way, even

RESERVE = 0.1
"""The share of a device's memory that is left free: for scratch space of libraries, and for holes between arrays."""

LEAST_RESERVE = 2**29
"""Bytes that are left free at the least; on a processor twice as many, for there the frameworks themselves lie too."""

_PREPARED = 4
"""Arrays of a batch as floats that augmentation needs at once."""

_KEPT = 1.5
"""How much more XLA keeps of activations than gradients need: not all of them share arrays."""

_POOLED = 7
"""Arrays of numbers as large as what enters it that the gradient of a maximum pooling needs: where each value stood."""

_COMPARED = 2
"""The same where it is by comparisons: what goes to each place of a window, and these together."""

_BESIDE = 2**20
"""Bytes of each trial that are not counted one by one: running sums, seeds, counts of steps, the ends of arrays."""


class Needed(NamedTuple):
    """The memory of one device, in bytes.

    Attributes:
        data: the examples, which all trials share.
        model: the variables of the model from which the others were made.
        each: of each trial all the time: its variables, order and random numbers of an epoch and of the next; where
            trials go one after the other the variables twice, for they are gathered anew beside those of before.
        working: of each trial that is at work: activations and gradients of a step, its batch, windows of convolutions;
            where trials go one after the other its variables too, which are taken out for it.
        making: of each trial while it is made: its variables apart, and together with those of the others.
        trials: how many the device has.
        at_once: whether they work at once, and not one after the other.
    """

    data: int
    model: int
    each: int
    working: int
    making: int
    trials: int
    at_once: bool

    @property
    def total(self) -> int:
        """The most that is there at once."""
        at_work = self.trials if self.at_once else 1
        training = self.data + self.model + self.trials * self.each + at_work * self.working
        return max(training, 2 * self.model + self.trials * self.making)


def parts(job: Job, method: Method | None, trials: int, devices: int = 1, platform: Platform = "gpu") -> Needed:
    """What trials together take on the device that has most of them.

    Args:
        job: one of them.
        method: how they run together; None for `fit`, which trains one at a time.
        trials: how many.
        devices: how many devices share them.
        platform: what they are: on a processor numbers of 16 bits are worked with as ones of 32, and the windows of a
            few examples at a time are made.
    """
    processor = platform == "cpu"
    precision = "float32" if processor else job.recipe.precision
    shared = sharing(trials, job.recipe.batch, devices)
    batch = -(-job.recipe.batch // shared.devices) if shared.batch else job.recipe.batch
    analysis = analyse(job.graph, Regime(batch, batch, job.recipe.optimizer, precision))
    memory = training_memory(analysis)
    variables = memory.weights + memory.slots
    examples, count = [one for one in (job.train, job.validation, job.test) if one is not None], len(job.train)
    drawn = 2 * count * 4 * (1 + len(job.recipe.data.augment.draws()))
    prepared = _PREPARED * 4 * max(_largest(job, one.x.shape[1:]) for one in examples)
    products = method is not None and method.endswith("products")
    in_turn = method is None or method.startswith("map")
    windows = list(_windows(analysis, precision)) if products and not processor else []
    held, most = sum(one.kept for one in windows), max((one.made for one in windows), default=0)
    kept = int((memory.activations or 0) * _KEPT)
    kept += (_COMPARED if products and processor else _POOLED) * _pooled(analysis)
    learning = memory.gradients + (variables if in_turn else 0) + batch * (kept + held + most + prepared)
    answers = 3 * 4 * job.outputs * max(len(one) for one in examples)
    shown = peak_activation_bytes(analysis) or 0
    showing = answers + times_larger(job, analysis, platform) * batch * (shown + most + prepared)
    return Needed(
        data=sum(_bytes(one) for one in examples),
        model=variables,
        each=(2 if in_turn else 1) * variables + drawn + _BESIDE,
        working=max(learning, showing),
        making=2 * variables + _BESIDE,
        trials=shared.each,
        at_once=not in_turn,
    )


def needed(job: Job, method: Method | None, trials: int, devices: int = 1, platform: Platform = "gpu") -> int:
    """The bytes that trials together need on each device: at the most, as far as can be known before they run.

    Args:
        job, method, trials, devices, platform: as for `parts`.
    """
    return parts(job, method, trials, devices, platform).total


def most_together(
    job: Job, method: Method, trials: int, hardware: Hardware, devices: int = 1, processes: int = 1
) -> int:
    """How many of a run's trials should be trained together at the most: as many as there is room for.

    Where that is not all, the groups are as even as can be: 24 trials with room for 10 are trained in groups of 8, for
    a group of 4 behind two of 10 would take nearly as long as one of 10.

    Args:
        job: one of them.
        method: how they run together.
        trials: how many the run has.
        hardware: what trains them.
        devices: how many devices share those together.
        processes: how many processes share the trials, and each device's memory.

    Raises:
        Misuse: there is no room for a single one.
    """
    each = -(-trials // processes)
    room = free(hardware, processes)
    if room is None or needed(job, method, each, devices, hardware.platform) <= room:
        return each
    alone = needed(job, method, 1, devices, hardware.platform)
    if alone > room:
        raise Misuse(
            f"{job.graph.name} needs about {readable_bytes(alone)} of memory to be trained with a batch of "
            f"{job.recipe.batch}, and {readable_bytes(room)} of {hardware.name} are free for it",
            help=LESS_MEMORY,
        )
    several = parts(job, method, 2, devices, hardware.platform)  # of more than one the batch is not split
    fits = 1
    while several._replace(trials=sharing(fits + 1, job.recipe.batch, devices).each).total <= room:
        fits += 1
    return even(each, fits)[0]


def why_not_all(job: Job, trials: int, way: Way, hardware: Hardware) -> str | None:
    """Why a run's trials are trained in groups, as a line to print; None where memory has nothing to do with it.

    Args:
        job: one of them.
        trials: how many the run has.
        way: how they are trained, with what `most_together` gave.
        hardware: what trains them.
    """
    each, room = -(-trials // way.processes), free(hardware, way.processes)
    if way.method is None or way.together is None or room is None or way.together >= each:
        return None
    groups = even(each, way.together)
    sizes = f"{len(groups)} groups of {groups[0]}" if len(set(groups)) == 1 else f"groups of {_listed(groups)}"
    processes = f" of each of {way.processes} processes" if way.processes > 1 else ""
    together = readable_bytes(needed(job, way.method, each, way.devices, hardware.platform))
    return (
        f"Memory is why {each} trials of {job.graph.name}{processes} are trained in {sizes}: together they would need "
        f"about {together}, and {readable_bytes(room)} of {hardware.name} are free."
    )


def free(hardware: Hardware, processes: int = 1) -> int | None:
    """Bytes of each device that one of several processes may fill, a reserve left out; None where that is not known."""
    if not hardware.memory:
        return None
    least = LEAST_RESERVE * (2 if hardware.platform == "cpu" else 1)
    share = hardware.memory // processes
    return max(0, share - max(least, int(share * RESERVE)))


def _listed(groups: list[int]) -> str:
    *first, last = groups
    return f"{', '.join(map(str, first))} and {last}"


def _largest(job: Job, shape: tuple[int, ...]) -> int:
    """The values of the largest array that an example is on the way to the model."""
    if len(shape) != 3:
        return prod(shape)
    data = job.recipe.data
    return max(prod(one) for pipeline in (data.augment, data.evaluate) for one in pipeline.shapes(shape))


def _bytes(examples: Examples) -> int:
    """Examples as they lie on a device, where there are no integers of 64 bits."""
    return sum(one.size * min(one.dtype.itemsize, 4) for one in (examples.x, examples.y))


class _Windows(NamedTuple):
    """Bytes of the windows of a convolution that is a product, for one example: while it runs, and for its gradient."""

    made: int
    kept: int


def _windows(analysis: Analysis, precision: Precision) -> Iterator[_Windows]:
    """The windows of each convolution that `fused_convolutions` carries out as a product, all at once."""
    for layer in _layers(analysis):
        one, macs = layer.node.layer, layer.macs.value or 0
        if isinstance(one, Conv1D | Conv2D | Conv3D):
            rows = macs * one.groups // one.filters * BYTES[policy(one.dtype or precision).compute]
        elif isinstance(one, DepthwiseConv1D | DepthwiseConv2D):
            rows = macs // one.depth_multiplier * 4  # of each channel by itself: added up in 32 bits
        elif isinstance(one, SeparableConv1D | SeparableConv2D):
            places = prod(one.kernel_size)
            rows = macs * places // (one.depth_multiplier * (places + one.filters)) * 4
        elif isinstance(one, Conv1DTranspose | Conv2DTranspose | Conv3DTranspose):
            kernel = next(weight for weight in layer.weights if weight.name == "kernel")
            yield _Windows(macs // max(1, kernel.shape[-1] or 1) * 4, 0)
            continue
        else:
            continue
        yield _Windows(rows, rows)


def _pooled(analysis: Analysis) -> int:
    """Bytes of as many numbers of 32 bits as enter the largest maximum pooling with one example."""
    within = [_pooled(layer.inner) for layer in analysis.layers if layer.inner]
    entering = [
        4 * (values(shape) or 0)
        for layer in analysis.layers
        if isinstance(layer.node.layer, MaxPooling1D | MaxPooling2D | MaxPooling3D)
        for shape in analysis.graph.input_shapes(layer.node)
    ]
    return max([*within, *entering], default=0)


def _layers(analysis: Analysis) -> Iterator[LayerAnalysis]:
    """The layers of a model, those of models within it too."""
    for layer in analysis.layers:
        if layer.inner:
            yield from _layers(layer.inner)
        yield layer
