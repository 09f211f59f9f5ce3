"""What must hold of the fused engine, in a process of its own: Keras runs on one back end in a process.

    python -m tests.training.fused_checks FOLDER [CASE ...]

Prints what was found as JSON; `test_fused.py` judges it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from rich.console import Console

from specdsl.data import load
from specdsl.recipes import TrainRecipe, Validation
from specdsl.recipes.losses import CategoricalCrossentropy
from specdsl.recipes.optimizers import SGD, Adam
from specdsl.recipes.schedules import Cosine
from specdsl.training import Plan, Way, frameworks, run
from specdsl.training.engine import Job
from specdsl.training.streams import Streams
from specdsl.training.ways import Method
from tests.training.models import SOURCE, SPEC, data, graph, recipe

DATA = load(SOURCE)
TRIALS = (1, 2, 3)

CASES: dict[str, TrainRecipe] = {
    "plain": recipe(),
    "averaged": recipe(
        optimizer=Adam(learning_rate=0.003, use_ema=True, ema_momentum=0.9, gradient_accumulation_steps=2),
        loss=CategoricalCrossentropy(label_smoothing=0.1, reduction="sum"),
        class_weight="balanced",
        schedule=Cosine(warmup=1),
    ),
}

CONVOLUTIONS = """
model convolutions {
    input image: (12, 12, 3)
    Conv2D(3, 3, padding="same", strides=2)
    Conv2D(4, (2, 3), dilation_rate=2, padding="same")
    Reshape((9, 16))
    Conv1D(4, 3, padding="causal", dilation_rate=2, activation="tanh")
    Conv1D(4, 2, groups=2)
    Flatten
    Dense(43, "softmax")
}
"""

LAYERS: list[tuple[tuple[int, ...], str, dict[str, Any]]] = [
    ((9, 7, 3), "Conv2D", {"filters": 4, "kernel_size": (3, 2), "strides": (2, 1), "padding": "same"}),
    ((9, 7, 3), "Conv2D", {"filters": 4, "kernel_size": (2, 3), "dilation_rate": (1, 2), "activation": "tanh"}),
    ((9, 7, 6), "Conv2D", {"filters": 8, "kernel_size": 3, "groups": 2, "use_bias": False}),
    ((9, 3), "Conv1D", {"filters": 4, "kernel_size": 3, "dilation_rate": 2, "padding": "causal"}),
    ((5, 6, 4, 2), "Conv3D", {"filters": 3, "kernel_size": (2, 3, 2), "strides": 2, "padding": "same"}),
    ((9, 7, 3), "DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 2, "strides": 2, "padding": "same"}),
    ((9, 7, 3), "DepthwiseConv2D", {"kernel_size": (3, 2), "dilation_rate": 2, "activation": "tanh"}),
    ((9, 7, 3), "SeparableConv2D", {"filters": 5, "kernel_size": 3, "depth_multiplier": 2}),
    ((9, 3), "SeparableConv1D", {"filters": 5, "kernel_size": 3, "strides": 2, "padding": "same"}),
    ((4, 5, 3), "Conv2DTranspose", {"filters": 4, "kernel_size": (3, 2), "strides": 2, "padding": "same"}),
    ((4, 5, 3), "Conv2DTranspose", {"filters": 4, "kernel_size": (3, 2), "strides": (2, 3)}),
    ((4, 3), "Conv1DTranspose", {"filters": 4, "kernel_size": 5, "strides": 3, "padding": "same"}),
    ((9, 7, 3), "MaxPooling2D", {"pool_size": 2}),
    ((8, 6, 3), "MaxPooling2D", {"pool_size": (4, 2), "padding": "same"}),
    ((9, 7, 3), "MaxPooling2D", {"pool_size": 2, "padding": "same"}),
    ((9, 7, 3), "MaxPooling2D", {"pool_size": 3, "strides": 2}),
    ((4, 6, 8, 2), "MaxPooling3D", {"pool_size": 2}),
    ((9, 3), "MaxPooling1D", {"pool_size": 3}),
]


def as_they_were(shape: tuple[int, ...], name: str, arguments: dict[str, Any]) -> float:
    """How much outputs and gradients of a layer change by its products and comparisons, at most.

    Half of the inputs are 0, so that windows have several largest values.
    """
    import jax
    import keras

    from specdsl.training import fused_convolutions
    from specdsl.training.fused_pooling import by_comparisons

    keras.utils.set_random_seed(3)
    inputs = keras.Input(shape)
    model = keras.Model(inputs, getattr(keras.layers, name)(**arguments)(inputs))
    rng = np.random.default_rng(4)
    x = np.maximum(rng.normal(size=(8, *shape)), 0).astype(np.float32)
    out = rng.normal(size=(8, *model.output_shape[1:])).astype(np.float32)
    weights = [one.value + 0.1 for one in model.trainable_variables]

    def found() -> Any:
        def whole(weights: Any, x: Any) -> Any:
            outputs, pull = jax.vjp(lambda own, x: model.stateless_call(own, [], x)[0], weights, x)
            return jax.tree.leaves((outputs, pull(out)))

        return jax.jit(whole)(weights, x)

    wanted, config = found(), model.to_json()
    fused_convolutions.as_products(model, 1)
    by_comparisons(model)
    assert model.to_json() == config
    return max(float(abs(one - other).max()) for one, other in zip(found(), wanted, strict=True))


class Listener:
    """Notes what an engine tells of a trial, and what the trial's weights give on the test part."""

    def __init__(self, trial: Any) -> None:
        self.trial, self.rows = trial, []
        self.held: list[Any] = []
        self.then: list[list[bytes]] = []

    def stopping(self) -> bool:
        return False

    def on_step(self, *told: Any) -> None:
        pass

    def on_epoch(self, epoch: Any) -> None:
        row = {f"train {name}": value for name, value in epoch.values["train"].items()}
        row |= {f"test {name}": value for name, value in self.trial.evaluate("test").items()}
        self.rows.append(row | {"rate": epoch.learning_rate})
        self.held += [self.trial.state(), self.trial.weights()]


def job(declared: TrainRecipe, trial: int, text: str = SPEC) -> Job:
    return Job(graph(text), declared, DATA.train, None, DATA.test, Streams(0, trial))


def histories(group: Any) -> tuple[list[Any], list[Any]]:
    """What the epochs of a group's trials gave, and what the trials say of the test examples in the end."""
    listeners = [Listener(trial) for trial in group.trials]
    group.train(listeners)
    kept = [[{name: array.tobytes() for name, array in held.items()} for held in one.held] for one in listeners]
    for one, (state, *_, last, _) in zip(listeners, kept, strict=True):
        assert state != last, "what was held has been changed"
        assert one.rows[0] != one.rows[-1]
        one.trial.restore(one.held[0])
        assert {name: array.tobytes() for name, array in one.trial.state().items()} == state
        now = {f"test {name}": value for name, value in one.trial.evaluate("test").items()}
        assert all(abs(now[name] - one.rows[0][name]) < 1e-6 for name in now), "it is not what was measured then"
        one.trial.restore(one.held[-2])
    return [one.rows for one in listeners], [trial.predict("test") for trial in group.trials]


def difference(one: tuple[list[Any], list[Any]], other: tuple[list[Any], list[Any]]) -> float:
    """The largest difference between two of these, of losses in proportion."""
    found = [0.0]
    for rows, others in zip(one[0], other[0], strict=True):
        for row, wanted in zip(rows, others, strict=True):
            assert row.keys() == wanted.keys()
            found += [abs(row[name] - wanted[name]) / max(1.0, abs(wanted[name])) for name in row]
    found += [float(abs(a - b).max()) for a, b in zip(one[1], other[1], strict=True)]
    return max(found)


def saved(group: Any, file: Path) -> dict[str, float | bool]:
    """How much the weights of a trial that was saved differ from its own, and whether nothing of others was fetched."""
    import jax
    import keras

    trial, fetched = group.trials[-1], []

    def noting(function: Any) -> Any:
        def noted(value: Any, *others: Any, **named: Any) -> Any:
            fetched.extend(one.shape for one in jax.tree.leaves(value) if isinstance(one, jax.Array))
            return function(value, *others, **named)

        return noted

    with (
        mock.patch.object(np, "asarray", noting(np.asarray)),
        mock.patch.object(jax, "device_get", noting(jax.device_get)),
    ):
        trial.save(file)
    of_all = {one.shape for one in jax.tree.leaves((group.states.now.trainable, group.states.now.others))}
    own = [array for name, array in trial.weights().items()]
    found = [np.asarray(one.value) for one in keras.saving.load_model(file).variables]
    floats = [pair for pair in zip(found, own, strict=True) if pair[0].dtype.kind == "f"]  # seeds are not kept
    return {
        "saved": max(float(abs(one - other).max()) for one, other in floats),
        "fetched differ": bool(fetched) and of_all.isdisjoint(fetched),
    }


def carried_out(folder: Path, epochs: int, trials: int, *, resume: bool = False) -> dict[str, Any]:
    """A run by the runner: all histories without times, and the weights in its checkpoints, by trial."""
    declared = recipe(epochs=epochs, data=data(validation=Validation(fraction=0.2)), keep="best")
    plan = Plan(
        graph(), declared, DATA, "tiny.spec", {"model.spec": SPEC}, "spec/model.spec", trials=trials,
        way=Way("fused", "jax", "vmap-products", None),
    )  # fmt: skip
    with (folder.parent / "log").open("a") as log:
        summary = run(plan, folder, console=Console(file=log), resume=resume, every=1)
    assert not summary.interrupted
    found: dict[str, Any] = {}
    for number in range(1, trials + 1):
        lines = (folder / f"trial-{number}" / "history.csv").read_text().splitlines()
        found[f"history {number}"] = [line.split(",")[:-2] for line in lines]
        with np.load(folder / f"trial-{number}" / "predictions.npz") as predictions:
            found[f"predictions {number}"] = predictions["probability"].tobytes()
        (last, *_) = sorted((folder / f"trial-{number}" / "checkpoints").iterdir(), reverse=True)
        found[f"kept {number}"] = last.name
    return found


def main(folder: Path, cases: list[str]) -> dict[str, Any]:
    frameworks.start("jax")
    from specdsl.training import fused_convolutions, fused_snapshots
    from specdsl.training.engine import Alone
    from specdsl.training.engine_fit import FitTrial
    from specdsl.training.engine_fused import FusedGroup

    found: dict[str, Any] = {}
    some = LAYERS if cases != ["averaged"] else [LAYERS[place] for place in (0, 2, 5, 9, 12)]
    # Several portions; and where Keras seeds and saves it is not to import TensorFlow, which takes seconds.
    with mock.patch.object(fused_convolutions, "_CACHED", 8000), frameworks.without_tensorflow():
        for shape, name, arguments in some:
            found[f"{name} {arguments} on {shape}"] = as_they_were(shape, name, arguments)
        if cases != ["averaged"]:
            first = {"filters": 4, "kernel_size": 3, "groups": 2, "data_format": "channels_first"}
            found["channels first"] = as_they_were((6, 9, 7), "Conv2D", first)
    for name in cases or CASES:
        declared = CASES[name]
        each = [histories(Alone(FitTrial(job(declared, trial)))) for trial in TRIALS]
        wanted = [one[0][0] for one in each], [one[1][0] for one in each]
        group = FusedGroup([job(declared, trial) for trial in TRIALS], "vmap-products")
        found[f"{name}: together as products"] = difference(histories(group), wanted)
        found |= {f"{name}: {what}": value for what, value in saved(group, folder / f"{name}.keras").items()}
        alone = histories(FusedGroup([job(declared, 2)], "map-products"))
        found[f"{name}: one alone"] = difference(alone, ([wanted[0][1]], [wanted[1][1]]))
        two: tuple[Method, ...] = ("vmap", "map")
        for method in two:
            with mock.patch.object(fused_snapshots, "room", return_value=method == "map"):
                some = histories(FusedGroup([job(declared, trial) for trial in TRIALS[1:]], method))
            found[f"{name}: {method}"] = difference(some, (wanted[0][1:], wanted[1][1:]))
        found[f"{name}: trials differ"] = wanted[0][0] != wanted[0][1]
    if cases != ["averaged"]:  # what takes longer
        short = recipe(epochs=2, optimizer=SGD(learning_rate=0.05))
        fit = histories(Alone(FitTrial(job(short, 1, CONVOLUTIONS))))
        found["convolutions of all kinds"] = difference(
            histories(FusedGroup([job(short, 1, CONVOLUTIONS)], "vmap-products")), fit
        )
    whole = carried_out(folder / "whole", 3, 2)
    carried_out(folder / "parts", 2, 2)
    found["resumed"] = carried_out(folder / "parts", 3, 2, resume=True) == whole
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2:])))
