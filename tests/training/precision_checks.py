"""What must hold of precision, compilation and starting on JAX, in a process of its own.

    python -m tests.training.precision_checks FOLDER [PRECISION ...]

Prints what was found as JSON, for the precisions named also of training. `test_precision.py` judges it, and starts this
where JAX is told of other random numbers and wider types than it may use.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from specdsl.recipes.optimizers import SGD
from specdsl.recipes.schedules import Cosine
from specdsl.recipes.training import Precision
from specdsl.training import frameworks
from tests.training.fused_checks import DATA, difference, histories, job
from tests.training.models import recipe

LOWERED: tuple[tuple[Precision, Any], ...] = (
    ("float32", "vmap"),
    ("tensorfloat32", "vmap-products"),
    ("mixed_bfloat16", "vmap"),
)

PRODUCT = re.compile(r"stablehlo\.(dot_general|convolution).*")


def products_of(text: str) -> list[str]:
    """The types and precisions of each matrix product and convolution of a lowered program, one for each kind."""
    found = set()
    for match in PRODUCT.finditer(text):
        line = match.group(0)
        said = re.search(r"precision = \[(\w+)|precision_config = \[#stablehlo<precision (\w+)>", line)
        level = next((one for one in said.groups() if one), "?") if said else "DEFAULT"
        types = re.search(r": \(tensor<[^>]*x(\w+)>, tensor<[^>]*x(\w+)>\)", line)
        assert types, line
        kind = "product" if match.group(1) == "dot_general" else "convolution"
        found.add(f"{kind} of {types.group(1)} and {types.group(2)}, {level}")
    return sorted(found)


def operands(text: str, operation: str) -> list[str]:
    """The types that an operation of a lowered program has."""
    return sorted({one[-1] for one in re.findall(rf"stablehlo\.{operation} .*: tensor<(\w+x)*(\w+)>", text)})


def lowered(precision: Precision, method: Any) -> str:
    """The program of a step."""
    import jax
    import jax.numpy as jnp

    from specdsl.training.engine_fused import FusedGroup

    group = FusedGroup([job(recipe(precision=precision), 1)], method)
    count = len(DATA.train)
    order = jnp.zeros((1, count), jnp.int32)
    draws = jnp.zeros((1, *group.jobs[0].streams.draws(0, count, recipe().data.augment).shape), jnp.float32)
    data = group.resident("train")
    step: Callable[[Any], Any] = lambda state: group._program.advance(state, order, draws, data, 0, 1)  # noqa: E731
    return str(jax.jit(step).lower(group.states.now).as_text())


def rounding() -> dict[str, list[float]]:
    """How far convolutions of bfloat16, and their gradients, lie from the same of float32, in proportion.

    Those of a few examples at a time are compared with those of all at once; seven are five and two.
    """
    import jax
    import jax.numpy as jnp
    import keras
    import numpy as np

    from specdsl.training import fused_convolutions as fused

    windows = fused.Windows((7, 7), (1, 1), "same", (1, 1))

    def at_once(x: Any, kernel: Any) -> Any:
        return fused._product(x, kernel, windows)

    def transposed(x: Any, kernel: Any) -> Any:
        layer = keras.layers.Conv2DTranspose(8, 7, padding="same", use_bias=False, dtype=str(x.dtype))
        model = keras.Sequential([keras.Input(x.shape[1:], dtype=str(x.dtype)), layer])
        fused.as_products(model, 1)
        return model.stateless_call([kernel], [], x)[0]

    ways: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[int, ...]]] = {
        "depthwise": (
            lambda *one: fused.depthwise(*one, windows),
            lambda *one: fused._of_each(*one, windows),
            (7, 7, 8, 1),
        ),
        "at once": (at_once, at_once, (7, 7, 8, 8)),
        "in portions": (lambda *one: fused.convolution(*one, windows), at_once, (7, 7, 8, 8)),
        "transposed": (transposed, transposed, (7, 7, 8, 8)),
    }
    rng, found = np.random.default_rng(0), {}
    for name, (way, same, kernel_shape) in ways.items():
        shapes = ((7, 16, 16, 8), kernel_shape, (7, 16, 16, 8))
        given = [jnp.asarray(rng.normal(size=shape), jnp.bfloat16) for shape in shapes]

        def whole(way: Callable[..., Any], x: Any, kernel: Any, gradient: Any) -> Any:
            outputs, pull = jax.vjp(way, x, kernel)
            return outputs, *pull(gradient)

        wide = [one.astype(jnp.float32) for one in given]
        pairs = zip(jax.jit(partial(whole, way))(*given), jax.jit(partial(whole, same))(*wide), strict=True)
        found[name] = [float(abs(one.astype(jnp.float32) - other).max() / abs(other).max()) for one, other in pairs]
    return found


class Watcher:
    """Notes what products JAX is told to take while a trial trains."""

    def __init__(self) -> None:
        self.seen: set[str | None] = set()

    def stopping(self) -> bool:
        import jax

        settings: Any = jax.config
        self.seen.add(settings.jax_default_matmul_precision)
        return False

    def on_step(self, *told: Any) -> None:
        self.stopping()

    def on_epoch(self, epoch: Any) -> None:
        self.stopping()


def hits() -> int:
    """How often a program is taken from where programs are kept, the second time."""
    import jax
    import jax.numpy as jnp

    found: list[str] = []
    jax.monitoring.register_event_listener(lambda event, **_: found.append(event))
    for _ in range(2):
        jax.clear_caches()
        jax.jit(lambda x: sum(jnp.sort(jnp.tanh(x @ x) + place) for place in range(6)))(jnp.ones((32, 32)))
    return found.count("/jax/compilation_cache/cache_hits")


def main(folder: Path, mixed: list[Precision]) -> dict[str, Any]:
    frameworks.start("jax", deterministic=True)
    import jax

    from specdsl.training.engine import Alone
    from specdsl.training.engine_fit import FitTrial
    from specdsl.training.engine_fused import FusedGroup

    found: dict[str, Any] = {"flags": os.environ["XLA_FLAGS"]}
    settings: Any = jax.config  # its attributes are made as it is imported
    found["settings"] = [settings.jax_default_prng_impl, settings.jax_enable_x64]
    for precision, method in LOWERED:
        text = lowered(precision, method)
        found[f"{precision}, {method}"] = products_of(text)
        found[f"{precision}, statistics"] = operands(text, "rsqrt")
        found[f"{precision}, loss"] = operands(text, "log")
    for precision in mixed:
        declared = recipe(precision=precision, optimizer=SGD(learning_rate=0.02), schedule=Cosine())
        rows, answers = histories(FusedGroup([job(declared, trial) for trial in (1, 2)], "vmap-products"))
        alone = histories(Alone(FitTrial(job(declared, 2))))
        found[f"{precision}, apart from fit"] = difference((rows[1:], answers[1:]), alone)
    watcher, fit = Watcher(), FitTrial(job(recipe(precision="tensorfloat32", epochs=1), 1))
    fit.train(watcher)
    fit.evaluate("test", watcher.stopping)
    fit.predict("test", watcher.stopping)
    fit.save(folder / "model.keras")
    found["within fit"] = sorted(map(str, watcher.seen))
    found["behind"] = settings.jax_default_matmul_precision
    found["kept"] = len([one for one in (folder / "cache" / "specdsl" / "jax").rglob("*") if one.is_file()])
    found["hits"] = hits()
    found["rounding"] = rounding()
    found["tensorflow"] = "tensorflow" in sys.modules
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2:])))
