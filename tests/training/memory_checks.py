"""What XLA says of the memory that the fused engine's programs take, in a process of its own.

    python -m tests.training.memory_checks CASE ...

A case is `MODEL METHOD TRIALS OPTIMIZER PRECISION PLATFORM`, of `MODELS` and `OPTIMIZERS`; XLA on the processor
compiles what is made for a GPU too. Prints a line of JSON for each: the bytes of XLA's buffers, of arrays beside them,
and what `specdsl.training.sizing` says. `test_sizing.py` judges.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import specdsl
from specdsl.data import Examples
from specdsl.recipes.optimizers import SGD, Adam, Optimizer
from specdsl.resolve import train_recipe
from specdsl.training.engine import Job
from specdsl.training.streams import Streams

MODELS: dict[str, tuple[str, tuple[int, ...]]] = {
    "bn_cnn": ("of_small", (32, 32, 3)),
    "challenge": ("of_small", (32, 32, 3)),
    "enlarged": ("of_odd", (32, 32, 3)),
    "mlp": ("of_small", (32, 32, 3)),
    "original": ("of_small", (32, 32, 3)),
    "resnet": ("of_large", (36, 36, 3)),
    "separable": ("of_small", (32, 32, 3)),
    "shortcut_mlp": ("of_curve", (1,)),
}
"""The recipe of each model, and the shape of an example as it is stored."""

OPTIMIZERS: dict[str, Optimizer] = {
    "adam": Adam(),
    "ema": Adam(use_ema=True),
    "momentum": SGD(learning_rate=0.01, momentum=0.9),
}

EXAMPLES = 1000


def job(model: str, optimizer: str, precision: str, trial: int = 1) -> Job:
    """A trial of a case; the examples are nothing, for it is never trained."""
    spec = specdsl.load(Path(__file__).with_name("memory.spec"))
    name, shape = MODELS[model]
    recipe = train_recipe(spec.program, name, shape).replace(optimizer=OPTIMIZERS[optimizer], precision=precision)
    x = np.zeros((EXAMPLES, *shape), np.uint8 if len(shape) > 1 else np.float32)
    y = np.zeros(EXAMPLES, np.int32) if len(shape) > 1 else np.zeros((EXAMPLES, 1), np.float32)
    examples = Examples(x, y)
    return Job(spec.model(model), recipe, examples, None, examples.take(np.arange(500)), Streams(0, trial))


def buffers(group: Any) -> dict[str, int]:
    """What XLA needs for an epoch's steps of a group, in bytes; together, what is used up counted once."""
    import jax
    import jax.numpy as jnp

    some, count = group.jobs[0], len(group.jobs)
    columns = len(some.recipe.data.augment.draws())
    order = jax.ShapeDtypeStruct((count, EXAMPLES), jnp.int32)
    draws = jax.ShapeDtypeStruct((count, EXAMPLES, columns), jnp.float32)
    lowered = group._program._advance.lower(group.states.now, order, draws, group.resident("train"), 0, 4)
    told = lowered.compile().memory_analysis()
    kinds = ("argument", "output", "temp", "alias")
    found = {kind: int(getattr(told, f"{kind}_size_in_bytes")) for kind in kinds}
    return found | {"total": sum(found[kind] for kind in kinds[:3]) - found["alias"]}


def main(cases: list[str]) -> None:
    from specdsl.training import engines, sizing
    from specdsl.training.ways import Way

    for case in cases:
        model, method, trials, optimizer, precision, platform = case.split()
        jobs = [job(model, optimizer, precision, trial + 1) for trial in range(int(trials))]
        way = Way("fused", "jax", method, None)  # type: ignore[arg-type]
        make = engines.maker(way)
        with mock.patch("jax.default_backend", return_value=platform):  # which programs are made depends on it
            group: Any = make(jobs)
            found = buffers(group)
        variables = [*group.model.variables, *group.model.optimizer.variables]
        found["beside"] = sum(one.value.nbytes for one in variables) + sum(x.nbytes for x in group.resident("test"))
        found["estimate"] = sizing.needed(jobs[0], method, len(jobs), platform=platform)  # type: ignore[arg-type]
        print(json.dumps({"case": case} | found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
