"""What XLA says of the memory that the fused engine's programs take, in a process of its own.

    python -m tests.training.memory_checks CASE ...

A case is `MODEL METHOD TRIALS OPTIMIZER PRECISION`, of `MODELS` and `OPTIMIZERS`. Prints a line of JSON for each:
the bytes of XLA's buffers, of arrays beside them, and what `specdsl.training.sizing` says. `test_sizing.py` judges.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

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
    "mlp": ("of_small", (32, 32, 3)),
    "resnet": ("of_large", (36, 36, 3)),
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


def buffers(group: Any) -> dict[str, dict[str, int]]:
    """What XLA needs for an epoch's steps, and for an evaluation, of a group."""
    import jax
    import jax.numpy as jnp

    some, count = group.jobs[0], len(group.jobs)
    columns = len(some.recipe.data.augment.draws())
    order = jax.ShapeDtypeStruct((count, EXAMPLES), jnp.int32)
    draws = jax.ShapeDtypeStruct((count, EXAMPLES, columns), jnp.float32)
    state, data = group._state, group.resident("train")
    found = {}
    for name, lowered in {
        "train": group._program._advance.lower(state, order, draws, data, 0, 4),
        "evaluation": group._program._measure.lower(state, data),
    }.items():
        told = lowered.compile().memory_analysis()
        kinds = ("argument", "output", "temp", "alias")
        found[name] = {kind: getattr(told, f"{kind}_size_in_bytes") for kind in kinds}
        found[name]["total"] = sum(found[name][kind] for kind in kinds[:3]) - found[name]["alias"]
    return found


def main(cases: list[str]) -> None:
    from specdsl.training import engines, sizing
    from specdsl.training.ways import Way

    for case in cases:
        model, method, trials, optimizer, precision = case.split()
        jobs = [job(model, optimizer, precision, trial + 1) for trial in range(int(trials))]
        way = Way("fused", "jax", method, None)  # type: ignore[arg-type]
        group: Any = engines.maker(way)(jobs)
        variables = [*group.model.variables, *group.model.optimizer.variables]
        beside = sum(variable.value.nbytes for variable in variables) + sum(
            one.nbytes for one in group.resident("test")
        )
        told = {"case": case, "estimate": sizing.needed(jobs[0], way.method, len(jobs)), "beside": beside}  # type: ignore[arg-type]
        print(json.dumps(told | buffers(group)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
