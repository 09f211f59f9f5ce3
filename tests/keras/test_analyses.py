"""Analyses against frameworks: XLA's figures for whole models, Keras's optimizers, layers carried out, two modes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import specdsl
from specdsl.analyses import Regime, analyse, inference_bytes, traffic, training_memory
from specdsl.analyses.receptive_field import sight
from specdsl.layers import LAYERS, Layer
from specdsl.recipes.optimizers import OPTIMIZERS
from tests.counted import RULES, carried_out, examples
from tests.keras.oracle import _apply, _entering, _told, run
from tests.keras.test_layers import REQUIRED
from tests.strategies import APPLICABLE, Call, calls
from tests.test_counting import drawn

pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore::UserWarning:keras")]

SPECS = Path(__file__).parents[2] / "specs"


# ---------------------------------------------------------------------------------------------- XLA


class Model(NamedTuple):
    """A model that XLA is asked about."""

    file: str
    name: str
    batch: int = 8
    training: bool = True

    @property
    def text(self) -> str:
        return WRITTEN[self.file] if self.file in WRITTEN else (SPECS / self.file).read_text(encoding="utf-8")


WRITTEN = {
    "lstm": "model lstm { input x: (12, 16); LSTM(32, unroll=true, return_sequences=true); GRU(24, unroll=true) }",
    "attention": "model attention { input x: (20, 16); shortcut add { MultiHeadAttention(2, 8) }; Dense(4) }",
}

SMALL = [Model("bn_cnn.spec", "bn_cnn"), Model("shortcut_mlp.spec", "shortcut_mlp"), Model("attention", "attention")]
LARGE = [
    Model("original.spec", "original", 64),
    Model("zoo/resnet_cifar.spec", "resnet20"),
    Model("zoo/transformer.spec", "transformer"),
    Model("lstm", "lstm"),
    Model("zoo/mobilenet_v2.spec", "mobilenet_v2", 4),
    Model("zoo/unet.spec", "unet", 1),
    Model("zoo/vgg16.spec", "vgg16", 2),
]

FLOPS = (0.90, 1.20)
INFERENCE_BYTES = (0.65, 2.50)
TRAINING_BYTES = (0.90, 2.60)
"""What XLA finds on a CPU, divided by what the analysis says, is between these. `docs/analyses.md` says why."""


def figures(models: list[Model]) -> list[dict[str, float]]:
    """What XLA says, on JAX, in another process."""
    program = Path(__file__).with_name("xla_figures.py")
    path = os.pathsep.join([str(SPECS.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
    wanted = json.dumps([(model.text, model.name, model.batch, model.training) for model in models])
    done = subprocess.run(
        [sys.executable, str(program)], input=wanted, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, float]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    "models",
    [
        pytest.param(SMALL, id="small"),
        *(pytest.param([model], id=model.name, marks=pytest.mark.slow) for model in LARGE),
    ],
)
def test_work_and_memory_are_about_what_xla_finds(models: list[Model]) -> None:
    for model, told in zip(models, figures(models), strict=True):
        regime = Regime(model.batch, model.batch)
        analysis = analyse(specdsl.loads(model.text).model(model.name), regime)
        memory = training_memory(analysis).total
        moved = traffic(analysis).bytes(model.batch)
        ratios = {
            "flops": told["flops"] / (analysis.totals.flops or 0),
            "inference": told["inference_bytes"] / (inference_bytes(analysis) or 0),
            "training": told["training_bytes"] / (memory or 0),
            "moved": told["bytes_moved"] / (moved or 0),
        }
        print(model.name, model.batch, json.dumps({name: round(ratio, 3) for name, ratio in ratios.items()}))
        assert FLOPS[0] <= ratios["flops"] <= FLOPS[1], (model, ratios)
        assert INFERENCE_BYTES[0] <= ratios["inference"] <= INFERENCE_BYTES[1], (model, ratios)
        assert TRAINING_BYTES[0] <= ratios["training"] <= TRAINING_BYTES[1], (model, ratios)


# ---------------------------------------------------------------------------------------------- optimizers


@st.composite
def optimizers(draw: st.DrawFn) -> Any:
    kind = OPTIMIZERS[draw(st.sampled_from(sorted(OPTIMIZERS)))]
    choices: dict[str, list[Any]] = {
        "use_ema": [True], "gradient_accumulation_steps": [3], "momentum": [0.0, 0.5], "centered": [True],
        "amsgrad": [True], "exclude_embeddings": [False], "exclude_layers": [["dense"]],
    }  # fmt: skip
    given = {
        name: draw(st.sampled_from(values))
        for name, values in choices.items()
        if name in kind.names() and draw(st.booleans())
    }
    return kind(**given)


@settings(max_examples=60, deadline=None)
@given(optimizers(), st.lists(st.lists(st.integers(1, 4), max_size=4), min_size=1, max_size=4))
def test_slots_are_those_of_keras(optimizer: Any, shapes: list[list[int]]) -> None:
    """All variables of the optimizer but the count of steps, the rate, and the product that Nadam keeps."""
    paths = ["dense/kernel", "embedding/embeddings", "conv2d/kernel", "dense_1/bias"]
    variables = []
    for path, shape in zip(paths, shapes, strict=False):
        with keras.name_scope(path.split("/")[0]):
            variables.append(keras.Variable(np.zeros(shape, "float32"), name=path.split("/")[1]))
    real = getattr(keras.optimizers, type(optimizer).__name__)(**optimizer.settings())
    real.build(variables)
    shared = 3 if type(optimizer).__name__ == "Nadam" else 2
    ours = sum(optimizer.slots(one.path, tuple(one.shape)) for one in variables)
    assert ours == sum(int(np.prod(one.shape)) for one in real.variables) - shared


# ---------------------------------------------------------------------------------------------- layers carried out


@pytest.mark.parametrize("kind", sorted(RULES, key=attrgetter("__name__")), ids=attrgetter("__name__"))
def test_layers_are_carried_out_as_keras_does(kind: type[Layer]) -> None:
    """The rules whose operations are counted compute what the real layer computes."""

    @settings(
        max_examples=3,
        deadline=None,
        suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.differing_executors],
    )
    @given(calls([kind]))
    def check(call: Call) -> None:
        layer = drawn(call)
        assume(call.arguments.get("dtype") in (None, "float32") and not call.types)
        if "Pooling" in kind.__name__:
            assume(getattr(layer, "padding", "") != "same")  # Keras leaves out what is beyond the edge
        assume(not getattr(layer, "flash_attention", None) and getattr(layer, "use_cudnn", "auto") is not True)
        assume(getattr(layer, "data_format", None) != "channels_first")  # TensorFlow refuses it on a CPU
        real, _ = _apply(call)
        random = np.random.default_rng(0)
        inputs = examples(layer, call.shapes, random)
        values = [0.1 + random.random(tuple(one.shape)) for one in real.weights]
        real.set_weights(values)
        if isinstance(real, keras.layers.Normalization):
            real.finalize_state()  # what it multiplies by and adds follows from its weights
        names = [weight.name for weight in layer.weights(*call.shapes)]
        made, _ = carried_out(layer, inputs, dict(zip(names, values, strict=True)))
        assume(all(np.all(np.abs(one) < 1e30) for one in made))  # Keras has float32
        entering = _entering(call, [one[None].astype("float32") for one in inputs])
        told = _told(call, lambda shape: np.zeros((1, *shape), "float32"))
        theirs = keras.tree.flatten(real(*entering, **told))
        for one, other in zip(made, theirs, strict=True):
            np.testing.assert_allclose(one, keras.ops.convert_to_numpy(other)[0], rtol=1e-3, atol=1e-4)

    check()


# ---------------------------------------------------------------------------------------------- what places see


SEEING = {
    "Conv1D(1, 3) -> MaxPooling1D(2) -> Conv1D(1, 2, dilation_rate=2)": "(40, 1)",
    "Conv1D(1, 4, padding='same', strides=2) -> UpSampling1D(3) -> Conv1D(1, 2, padding='causal')": "(40, 1)",
    "Conv1DTranspose(1, 5, strides=2, padding='same') -> AveragePooling1D(3, strides=1, padding='same')": "(30, 1)",
    "Conv1DTranspose(1, 4, strides=3, padding='same', output_padding=1) -> Conv1D(1, 2)": "(30, 1)",
    "branch add { UpSampling1D(2) } and { Conv1DTranspose(1, 5, 2, 'same') } -> Conv1D(1, 3)": "(30, 1)",
    "ZeroPadding1D((3, 1)) -> SeparableConv1D(1, 3) -> Cropping1D((1, 2)) -> DepthwiseConv1D(4)": "(30, 1)",
    "UpSampling2D((2, 1), interpolation='bilinear') -> Conv2D(1, (2, 1))": "(24, 1, 1)",
    "UpSampling2D((3, 1), interpolation='bicubic') -> Conv2D(1, (2, 1), strides=(2, 1))": "(24, 1, 1)",
}
"""Models over one axis, and their inputs."""


@pytest.mark.parametrize("body", SEEING)
def test_places_see_what_moves_them(body: str) -> None:
    """Each place of the input is changed alone; what changes of the output sees it. Edges are left out."""
    graph = specdsl.loads(f"model m {{ input x: {SEEING[body]}\n{body}\n}}").model()
    model = graph.to_keras()
    random = np.random.default_rng(0)
    model.set_weights([0.5 + random.random(one.shape) for one in model.get_weights()])
    length = graph.input_nodes[0].shape[0] or 0
    changed = np.eye(length, dtype="float32").reshape((length, *(size or 0 for size in graph.input_nodes[0].shape)))
    made, before = (keras.ops.convert_to_numpy(model(given)) for given in (changed, np.zeros_like(changed)))
    moved = np.abs(made - before).reshape(length, -1) > 1e-5
    fields = [np.flatnonzero(moved[:, place]) for place in range(moved.shape[1])]
    field = sight(graph).fields[graph.outputs[0]]
    assert field is not None
    axis = field[0]
    for place, seen in enumerate(fields):
        first, last = axis.view(place)
        if first >= 0 and last < length:
            assert first <= seen[0] <= seen[-1] <= last
    inner = [seen for place, seen in enumerate(fields) if axis.view(place)[0] >= 0 and axis.view(place)[1] < length]
    assert len(inner) >= len(axis.first)
    assert max(seen[-1] - seen[0] + 1 for seen in inner) == axis.seen


# ---------------------------------------------------------------------------------------------- training and inference


SHAPES = [(6,), (5, 6), (6, 6, 3), (4, 5, 6, 3), (3, 4, 5, 6, 2)]
CHANCE = {"dropout": 0.5, "recurrent_dropout": 0.5}


def calls_of(kind: type[Layer]) -> list[Call]:
    """A call of a layer as it is by default, and one with all that is left to chance."""
    required = {name: REQUIRED[name] for name in kind.required()}
    if "groups" in kind.fields() and kind.family == "normalization":
        required["groups"] = 3
    chance = {name: rate for name, rate in CHANCE.items() if name in kind.fields()}
    if "layer" in required:
        chance["layer"] = LAYERS["LSTM"](units=2, **CHANCE)
    found = []
    for arguments in (required, required | chance):
        for shape in SHAPES:
            shapes = (shape,) * kind.arity[0]
            try:
                kind(**arguments).infer(*shapes)
            except ValueError:
                continue
            found.append(Call(kind, arguments, shapes))
            break
    return found


def _seeded(call: Call, training: bool) -> Any:
    """What leaves a layer with the same weights whenever it is asked for."""
    keras.utils.set_random_seed(0)
    return run(call, batch=8, training=training)


@pytest.mark.parametrize("kind", APPLICABLE, ids=lambda kind: kind.__name__)
def test_each_layer_says_whether_training_changes_what_it_does(kind: type[Layer]) -> None:
    """The real layer, called for training and for inference, returns other values just where `modes` says so."""
    found = calls_of(kind)
    if not found:
        pytest.skip("needs options of its call")
    for call in found:
        once, again = (_seeded(call, training) for training in (True, False))
        differs = any(not np.array_equal(one, other) for one, other in zip(once, again, strict=True))
        assert differs == (kind(**call.arguments).modes() is not None), call


PINNED = [
    "Dropout(0.5",
    "BatchNormalization(momentum=0.9",
    "GaussianNoise(0.5",
    "LSTM(4, dropout=0.5",
    "SpatialDropout1D(0.5",
    "MultiHeadAttention(2, 3, dropout=0.5",
    "Bidirectional(GRU(3, recurrent_dropout=0.5)",
]


@pytest.mark.parametrize("layer", PINNED)
def test_a_pin_holds_in_both_modes(layer: str) -> None:
    """With `training=` a layer acts the same however the model is called, and the analysis says how."""
    given = np.random.default_rng(0).normal(size=(8, 5, 6)).astype("float32")
    plain, trained, frozen = (
        specdsl.loads(f"model m {{ input x: (5, 6)\n{layer}{pin})\n}}").model()
        for pin in ("", ", training=true", ", training=false")
    )
    assert [one.layers[-1].modes is None for one in map(analyse, (plain, trained, frozen))] == [False, False, True]
    assert "training=true" in (analyse(trained).layers[-1].modes or ("", ""))[1]
    reference_model = plain.to_keras()
    reference = keras.ops.convert_to_numpy(reference_model(given, training=False))
    for graph, acts in ((plain, (False, True)), (trained, (True, True)), (frozen, (False, False))):
        model = graph.to_keras()
        model.set_weights(reference_model.get_weights())
        for training, as_trained in zip((False, True), acts, strict=True):
            made = keras.ops.convert_to_numpy(model(given, training=training))
            assert (not np.allclose(made, reference, atol=1e-5)) == as_trained, (graph.nodes[-1], training)


def test_stochastic_depth_is_a_dropout_of_examples() -> None:
    """With a noise_shape of ones, a branch is dropped for some examples as a whole, and the rest are scaled."""
    text = "model m { input x: (4, 4, 3)\nDropout(0.5, noise_shape=(none, 1, 1, 1))\n}"
    graph = specdsl.loads(text).model()
    modes = analyse(graph).layers[-1].modes
    assert modes is not None
    assert modes.training == "sets each example to 0 with probability 0.5 and multiplies the rest by 2"
    made = keras.ops.convert_to_numpy(graph.to_keras()(np.ones((64, 4, 4, 3), "float32"), training=True))
    kept = {tuple(np.unique(one)) for one in made}
    assert kept == {(0.0,), (2.0,)}
