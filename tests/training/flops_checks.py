"""What XLA counts in a training step beside the least work of the static analysis, in a process of its own.

    python -m tests.training.flops_checks SEED ...

Draws a network with convolutions for each seed, and prints a line of JSON: XLA's operations over the least ones, with
convolutions as they are and as products. `test_cuda.py` judges. Nothing is compiled.
"""

from __future__ import annotations

import json
import random
import sys
from typing import Any
from unittest import mock

import numpy as np

import specdsl
from bench import train_jobs
from specdsl.data import Examples
from specdsl.graph import Graph
from specdsl.recipes import DataRecipe, Synthetic, TrainRecipe
from specdsl.recipes.optimizers import SGD
from specdsl.training import frameworks
from specdsl.training.engine import Job
from specdsl.training.streams import Streams

SIZE, BATCH = 24, 16


def network(seed: int) -> Graph:
    """Convolutions of some sizes, steps and paddings, with what usually stands between them, and a dense layer."""
    drawn = random.Random(seed)
    lines = ["model drawn {", f"    input image: ({SIZE}, {SIZE}, 3)"]
    for _ in range(drawn.randint(1, 3)):
        kernel, stride = drawn.choice([1, 3, 5]), drawn.choice([1, 1, 2])
        padding = drawn.choice(["valid", "same"])
        lines.append(f'    Conv2D({drawn.choice([16, 24, 40])}, {kernel}, strides={stride}, padding="{padding}")')
        lines += ["    BatchNormalization"] if drawn.random() < 0.5 else []
        lines.append('    Activation("relu")')
    lines += ["    Flatten", '    Dense(43, "softmax")', "}"]
    return specdsl.loads("\n".join(lines)).model("drawn")


def ratio(graph: Graph, method: Any) -> float:
    """The operations that XLA counts in a step, over the least ones."""
    from specdsl.training.engine_fused import FusedGroup

    recipe = TrainRecipe(data=DataRecipe(source=Synthetic(size=SIZE)), optimizer=SGD(learning_rate=0.1), batch=BATCH)
    examples = Examples(np.zeros((BATCH + 1, SIZE, SIZE, 3), np.uint8), np.zeros(BATCH + 1, np.int32))
    job = Job(graph, recipe, examples, None, examples, Streams(0, 1))
    with mock.patch("jax.default_backend", return_value="gpu"):  # which programs are made depends on it
        group = FusedGroup([job], method)
        order, draws = group._drawn(0)
        arguments = group.states.now, order[:, :BATCH], draws[:, :BATCH], group.resident("train")
        told = group._program._rest.lower(*arguments).cost_analysis()
    return float(told["flops"]) / BATCH / train_jobs.least_work(graph, recipe).flops


def main(seeds: list[str]) -> None:
    """Print what is found for each seed."""
    frameworks.start("jax")
    for seed in seeds:
        graph = network(int(seed))
        found = {method: ratio(graph, method) for method in ("vmap", "vmap-products")}
        print(json.dumps({"seed": seed, "layers": [str(one.name) for one in graph.nodes]} | found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
