"""What the fused engine's programs are for a GPU, lowered without one, in a process of its own.

    python -m tests.training.cuda_checks CASE ...

A case is `FILE:MODEL METHOD PRECISION TRIALS`, the file below `specs`. Prints a line of JSON for each program of it:
how often each operation stands there, the types, with which precision products are stated, and what is called outside
of XLA. `test_cuda.py` judges.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import specdsl
from specdsl.data import Examples
from specdsl.recipes import DataRecipe, Synthetic, TrainRecipe
from specdsl.resolve import train_recipe
from specdsl.training import frameworks
from specdsl.training.engine import Job
from specdsl.training.streams import Streams

SPECS = Path(__file__).parents[2] / "specs"

BATCH, EXAMPLES = 4, 10


def jobs(name: str, precision: str, trials: int) -> list[Job]:
    """Trials of a model of `specs`: under the recipe of its file, or a plain one; of examples that are nothing."""
    file, _, model = name.partition(":")
    spec = specdsl.load(SPECS / file)
    graph = spec.graph(model, {})
    (given,) = graph.input_nodes
    (entering,) = given.shapes
    if not file.startswith("zoo/"):
        recipe = train_recipe(spec.program, None, given.shape)
        signs: Any = recipe.data.source
        shape: tuple[int, ...] = (signs.size, signs.size, 3)
    else:
        recipe = TrainRecipe(data=DataRecipe(source=Synthetic(size=32)))
        shape = tuple(int(size or 8) for size in entering)
    of_images = shape[-1] == 3
    x = np.zeros((EXAMPLES, *shape), np.uint8 if of_images else np.float32)
    examples = Examples(x, np.zeros(EXAMPLES, np.int32))
    recipe = recipe.replace(batch=BATCH, precision=precision)
    return [Job(graph, recipe, examples, None, examples, Streams(0, trial + 1)) for trial in range(trials)]


def programs(some: list[Job], method: Any) -> Iterator[tuple[str, str, int]]:
    """The programs of trials: steps, the last step of an epoch, evaluation, answers.

    Yields:
        The name of each, its text, and the numbers in the largest weight of all trials together.
    """
    import jax

    from specdsl.training.engine_fused import FusedGroup
    from specdsl.training.fused_program import Sums

    with mock.patch("jax.default_backend", return_value="gpu"):  # which programs are made depends on it
        group = FusedGroup(some, method)
        order, draws = group._drawn(0)
        data, now, program = group.resident("train"), group.states.now, group._program
        whole = EXAMPLES // BATCH * BATCH
        largest = max(one.size for one in now.trainable)
        given = program.nothing_given(now, data, some[0].outputs)
        calls: dict[str, tuple[Any, tuple[Any, ...]]] = {
            "steps": (program._advance, (now, order, draws, data, 0, 2)),
            "rest": (program._rest, (now, order[:, whole:], draws[:, whole:], data)),
            "measure": (program._measures(BATCH), (Sums(now.others, group._fresh), now.trainable, data, 0, 3)),
            "answer": (program._answers(BATCH), (given, now.trainable, data, 0, 3)),
        }
        for name, (function, arguments) in calls.items():
            yield name, function.trace(*arguments).lower(lowering_platforms=("cuda",)).as_text(), largest
    jax.clear_caches()


def told(text: str) -> dict[str, Any]:
    """What there is to tell of the text of a program in StableHLO."""
    stated: Counter[str] = Counter()
    for line in text.splitlines():
        if "stablehlo.dot_general" in line or "stablehlo.convolution" in line:
            levels = sorted(set(re.findall(r"\b(DEFAULT|HIGHEST|HIGH)\b", line)) or {"none"})
            (left, right) = re.findall(r": \(tensor<[^>]*?(\w+)>, tensor<[^>]*?(\w+)>\)", line)[0]
            stated[f"{left.split('x')[-1]} {right.split('x')[-1]} {' '.join(levels)}"] += 1
    moved = re.findall(r"stablehlo\.transpose .*-> tensor<((?:\d+x)*)\w+>", text)
    return {
        "transposed": max((prod(map(int, one.split("x")[:-1])) for one in moved), default=0),
        "operations": Counter(re.findall(r"\bstablehlo\.(\w+)", text)),
        "types": sorted({one.split("x")[-1] for one in re.findall(r"tensor<(\w+)>", text)}),
        "products": stated,
        "called": sorted(set(re.findall(r"custom_call @(\w+)", text))),
    }


def main(cases: list[str]) -> None:
    """Print what is found of each program of each case."""
    frameworks.start("jax")
    for case in cases:
        name, method, precision, trials = case.split()
        for program, text, largest in programs(jobs(name, precision, int(trials)), method):
            about = {"case": case, "program": program, "largest": largest}
            print(json.dumps(about | told(text)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
