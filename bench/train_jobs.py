"""What is trained to see how fast: networks of `specs/` on random or real images. Imports no framework."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import specdsl
from specdsl.analyses import analyse
from specdsl.analyses.counting import Regime
from specdsl.analyses.memory import training_memory
from specdsl.data import load
from specdsl.data.dataset import DataSet, Examples
from specdsl.graph import Graph, Tensor
from specdsl.layers.dtypes import BYTES, policy
from specdsl.recipes import TrainRecipe
from specdsl.recipes.sources import Gtsrb, Source
from specdsl.resolve import train_recipe
from specdsl.training.engine import Job
from specdsl.training.streams import Streams

SPECS = Path(__file__).parents[1] / "specs"

ENDLESS = 1_000_000
"""Epochs of a job: more than anybody waits for."""

TEST = 256
"""Test examples of a job of random images: they are not timed."""


@dataclass(frozen=True)
class Case:
    """A network and what it is trained on.

    Attributes:
        spec: the file below `specs/`.
        model: its name there.
        examples: how many examples an epoch has; of real ones so many from all over the set. None for all there are.
        batch: examples of a step; None for what the spec says.
        precision: the policy; None for what the spec says.
        data: the folder with prepared images; None for random ones, or the values that the spec draws.
    """

    spec: str
    model: str
    examples: int | None = None
    batch: int | None = None
    precision: str | None = None
    data: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Case:
        """The case that `to_dict` told."""
        return cls(**values)

    def changed(self, **changes: Any) -> Case:
        """The same, but for some of it."""
        return replace(self, **changes)


CASES: dict[str, Case] = {
    "bn_cnn": Case("bn_cnn.spec", "bn_cnn"),
    "challenge": Case("experiments/challenge.spec", "challenge"),
    "original": Case("original.spec", "original"),
    "dropout1": Case("experiments/dropout_position.spec", "dropout1"),
    "dropout2": Case("experiments/dropout_position.spec", "dropout2"),
    "dropout3": Case("experiments/dropout_position.spec", "dropout3"),
    "shortcut_mlp": Case("experiments/shortcut_sinc.spec", "shortcut_mlp"),
}
"""The networks that are timed, under the recipes of their experiments."""


def graph(case: Case) -> Graph:
    """The network."""
    return specdsl.load(SPECS / case.spec).graph(case.model, {})


def recipe(case: Case) -> TrainRecipe:
    """How it is trained: as its file says, but for what the case says, and without an end."""
    spec = specdsl.load(SPECS / case.spec)
    (given,) = spec.graph(case.model, {}).input_nodes
    made = train_recipe(spec.program, None, given.shape)
    changes: dict[str, Any] = {"batch": case.batch, "precision": case.precision}
    return made.replace(epochs=ENDLESS, **{name: value for name, value in changes.items() if value is not None})


def jobs(case: Case, trials: int) -> list[Job]:
    """Trials of a case, which differ in their streams alone."""
    network, how = graph(case), recipe(case)
    train, test = _examples(case, network, how)
    return [Job(network, how, train, None, test, Streams(0, trial)) for trial in range(1, trials + 1)]


def batches(case: Case) -> int:
    """Examples of a step."""
    return recipe(case).batch


def _examples(case: Case, network: Graph, how: TrainRecipe) -> tuple[Examples, Examples]:
    source = how.data.source
    if not isinstance(source, Gtsrb) or case.data is not None:
        found = _loaded(source, case.data)
        every = np.linspace(0, len(found.train), case.examples or 0, endpoint=False).astype(int)
        train = found.train if case.examples is None else found.train.take(every)
        return train, found.test
    assert case.examples is not None, "how many random images?"
    rng = np.random.default_rng(0)
    size, classes = source.size, network.output_shapes[0][-1] or 1
    made = [
        Examples(
            rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8),
            rng.integers(0, classes, count).astype(np.int32),
        )
        for count in (case.examples, TEST)
    ]
    return made[0], made[1]


@lru_cache(maxsize=1)
def _loaded(source: Source, folder: str | None) -> DataSet:
    return load(source, folder=None if folder is None else Path(folder))


@dataclass(frozen=True)
class Work:
    """What training must do at the least, for one example and for one step.

    Attributes:
        flops: of convolutions and matrix products for one example: two for each multiply-accumulate of the static
            analysis, once forward, once for the gradient of the weights where they are trained, and once for that of
            what enters where something before it learns.
        example_bytes: what these layers read and write for one example: each what enters and what leaves it, once
            forward, and in the backward pass what enters and both gradients. All between them is taken to be free.
        step_bytes: weights, gradients and what the optimizer keeps, read and written once a step.
    """

    flops: float
    example_bytes: float
    step_bytes: float

    def seconds(self, batch: int, flops_per_second: float, bytes_per_second: float) -> float:
        """The least time of a step of `batch` examples: of arithmetic or of memory, whichever takes longer."""
        moved = batch * self.example_bytes + self.step_bytes
        return max(batch * self.flops / flops_per_second, moved / bytes_per_second)


def work(case: Case) -> Work:
    """The least work of training a case, from the static analysis of its network."""
    return least_work(graph(case), recipe(case))


def least_work(network: Graph, how: TrainRecipe) -> Work:
    """The least work of training a network under a recipe, from the static analysis."""
    analysis = analyse(network, Regime(training_batch=how.batch, optimizer=how.optimizer, precision=how.precision))
    width = BYTES[policy(how.precision).compute]
    learning: set[Tensor] = set()
    flops = example_bytes = 0.0
    for layer in analysis.layers:
        node, macs = layer.node, layer.macs.value or 0
        if not node.inputs:
            continue
        trained = any(weight.trainable for weight in layer.weights)
        before = any(tensor in learning for tensor in node.sources)
        flops += 2 * macs * (1 + trained + before)
        if trained or before:
            learning.update(node.outputs)
        if macs:
            entering = sum(math.prod(map(int, network.shape(tensor))) for tensor in node.sources)
            leaving = sum(math.prod(map(int, shape)) for shape in node.shapes)
            example_bytes += width * (2 * (entering + leaving) + before * entering)
    memory = training_memory(analysis)
    return Work(flops, example_bytes, 2.0 * (memory.weights + memory.gradients + memory.slots))
