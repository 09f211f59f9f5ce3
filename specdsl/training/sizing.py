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

from specdsl.analyses import Analysis, LayerAnalysis, Regime, analyse
from specdsl.analyses.memory import peak_activation_bytes, training_memory
from specdsl.backends.words import readable_bytes
from specdsl.data.dataset import Examples
from specdsl.declaration import Misuse
from specdsl.layers import Layer
from specdsl.layers.convolution import Conv1D, Conv2D, Conv3D
from specdsl.layers.dtypes import BYTES, policy
from specdsl.recipes.training import Precision
from specdsl.training.engine import Job
from specdsl.training.exhaustion import LESS_MEMORY
from specdsl.training.hardware import Hardware
from specdsl.training.sharing import sharing
from specdsl.training.ways import Method, even

RESERVE = 0.1
"""The share of a device's memory that is left free: for scratch space of libraries, and for holes between arrays."""

LEAST_RESERVE = 2**29
"""Bytes that are left free at the least; on a processor twice as many, for there the frameworks themselves lie too."""

_PREPARED = 4
"""Arrays of a batch as floats that augmentation needs at once."""

_KEPT = 2.25
"""How much more XLA keeps of activations than gradients need: it shares no array among layers and their gradients."""

_CONVOLVED = 3.5
"""The same where there are convolutions that are no products: their arguments and gradients are laid out anew."""

_BESIDE = 2**20
"""Bytes of each trial that are not counted one by one: running sums, seeds, counts of steps, the ends of arrays."""


class Needed(NamedTuple):
    """The memory of one device, in bytes.

    Attributes:
        data: the examples, which all trials share.
        model: the variables of the model from which the others were made.
        each: of each trial all the time: its variables, the order and the random numbers of an epoch; where trials go
            one after the other the variables twice, for they are gathered anew while those of before are there.
        working: of each trial that is at work: activations and gradients of a step, its batch, windows of convolutions;
            where trials go one after the other its variables too, which are taken out for it.
        making: of each trial while it is made: its variables apart, and together with those of the others.
        trials: how many the device has.
        at_work: how many of them at once.
    """

    data: int
    model: int
    each: int
    working: int
    making: int
    trials: int
    at_work: int

    @property
    def total(self) -> int:
        """The most that is there at once."""
        training = self.data + self.model + self.trials * self.each + self.at_work * self.working
        return max(training, 2 * self.model + self.trials * self.making)


def parts(job: Job, method: Method | None, trials: int, devices: int = 1) -> Needed:
    """What trials together take on the device that has most of them.

    Args:
        job: one of them.
        method: how they run together; None for `fit`, which trains one at a time.
        trials: how many.
        devices: how many devices share them.
    """
    shared = sharing(trials, job.recipe.batch, devices)
    batch = -(-job.recipe.batch // shared.devices) if shared.batch else job.recipe.batch
    analysis = analyse(job.graph, Regime(batch, batch, job.recipe.optimizer, job.recipe.precision))
    memory = training_memory(analysis)
    variables = memory.weights + memory.slots
    examples, count = [one for one in (job.train, job.validation, job.test) if one is not None], len(job.train)
    drawn = count * 4 * (1 + len(job.recipe.data.augment.draws()))
    stored = max(prod(one.x.shape[1:]) for one in examples)
    products = method is not None and method.endswith("products")
    in_turn = method is None or method.startswith("map")
    held, most = _windows(analysis, job.recipe.precision) if products else (0, 0)
    kept = int((memory.activations or 0) * (_CONVOLVED if _convolves(analysis, products) else _KEPT))
    learning = memory.gradients + (variables if in_turn else 0) + batch * (kept + held + most + _PREPARED * 4 * stored)
    answers = 3 * 4 * job.outputs * max(len(one) for one in examples)
    showing = answers + batch * ((peak_activation_bytes(analysis) or 0) + most + _PREPARED * 4 * stored)
    return Needed(
        data=sum(_bytes(one) for one in examples),
        model=variables,
        each=(2 if in_turn else 1) * variables + drawn + _BESIDE,
        working=max(learning, showing),
        making=2 * variables + _BESIDE,
        trials=shared.each,
        at_work=1 if in_turn else shared.each,
    )


def needed(job: Job, method: Method | None, trials: int, devices: int = 1) -> int:
    """The bytes that trials together need on each device: at the most, as far as can be known before they run.

    Args:
        job, method, trials, devices: as for `parts`.
    """
    return parts(job, method, trials, devices).total


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
    if room is None or needed(job, method, each, devices) <= room:
        return each
    alone = needed(job, method, 1, devices)
    if alone > room:
        raise Misuse(
            f"{job.graph.name} needs about {readable_bytes(alone)} of memory to be trained with a batch of "
            f"{job.recipe.batch}, and {readable_bytes(room)} of {hardware.name} are free for it",
            help=LESS_MEMORY,
        )
    fits, too_many = 1, each
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if needed(job, method, middle, devices) <= room:
            fits = middle
        else:
            too_many = middle
    return even(each, fits)[0]


def why_not_all(
    job: Job, method: Method, trials: int, together: int, hardware: Hardware, devices: int = 1, processes: int = 1
) -> str | None:
    """Why a run's trials are trained in groups, as a line to print; None where memory allows all together.

    Args:
        job, method, trials, hardware, devices, processes: as for `most_together`.
        together: what that gave.
    """
    each, room = -(-trials // processes), free(hardware, processes)
    if room is None or together >= each:
        return None
    groups = even(each, together)
    sizes = f"{len(groups)} groups of {groups[0]}" if len(set(groups)) == 1 else f"groups of {_listed(groups)}"
    return (
        f"Memory is why {each} trials are trained in {sizes}: together they would need about "
        f"{readable_bytes(needed(job, method, each, devices))}, and {readable_bytes(room)} of {hardware.name} are free."
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


def _bytes(examples: Examples) -> int:
    """Examples as they lie on a device, where there are no integers of 64 bits."""
    return sum(one.size * min(one.dtype.itemsize, 4) for one in (examples.x, examples.y))


def _windows(analysis: Analysis, precision: Precision) -> tuple[int, int]:
    """Bytes of the windows of all convolutions for one example, and of those of the convolution that has most."""
    sizes = list(_each_windows(analysis, precision))
    return sum(sizes), max(sizes, default=0)


def _each_windows(analysis: Analysis, precision: Precision) -> Iterator[int]:
    for layer in _convolutions(analysis):
        one = layer.node.layer
        if isinstance(one, Conv1D | Conv2D | Conv3D) and _becomes_product(one):
            yield (layer.macs.value or 0) // one.filters * BYTES[policy(one.dtype or precision).compute]


def _convolves(analysis: Analysis, products: bool) -> bool:
    """Whether there are convolutions beside those that are carried out as products."""
    return any(not products or not _becomes_product(one.node.layer) for one in _convolutions(analysis))


def _convolutions(analysis: Analysis) -> Iterator[LayerAnalysis]:
    """The convolutions of a model, those of models within it too."""
    for layer in analysis.layers:
        if layer.inner:
            yield from _convolutions(layer.inner)
        if layer.node.layer.family == "convolution":
            yield layer


def _becomes_product(one: Layer) -> bool:
    """Whether a method of products carries a layer out as one: as `fused_convolutions.replaceable` says of Keras's."""
    return isinstance(one, Conv1D | Conv2D | Conv3D) and one.groups == 1 and one.data_format != "channels_first"
