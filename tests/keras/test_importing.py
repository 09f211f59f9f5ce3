"""Keras models, written to files and imported: what is compiled again is the same model."""

from __future__ import annotations

import inspect
import io
import re
from math import prod
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import assume, given, settings

import specdsl
from specdsl.importing import import_file
from specdsl.layers import LAYERS, InputLayer
from tests.keras.imported_models import OTHERWISE, PLAIN
from tests.keras.model_oracle import configuration, loses_a_policy
from tests.spec_strategies import spec_texts

pytestmark = [
    pytest.mark.keras,
    pytest.mark.filterwarnings("ignore::UserWarning:keras"),  # Keras warns of what is legal and unwise
    pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning"),  # Keras, when it saves
]


@pytest.fixture(autouse=True)
def _fresh_names() -> None:
    """Automatic names begin anew, so that a failure can be repeated."""
    keras.backend.clear_session()


def imported(model: keras.Model, folder: Path, suffix: str = ".json") -> tuple[str, keras.Model]:
    """The text that comes of a model written to a file, and the model that comes of the text."""
    path = folder / f"model{suffix}"
    if suffix == ".json":
        path.write_text(model.to_json(), encoding="utf-8")
    else:
        model.save(path)
    spec = specdsl.import_keras(path)
    keras.backend.clear_session()
    return spec.text, spec.model().to_keras()


def rows(model: keras.Model) -> list[tuple[Any, ...]]:
    """Name, class, output shape and parameters of each layer but inputs; what is Sequential counts as Functional."""
    return sorted(
        (
            layer.name,
            type(layer).__name__.replace("Sequential", "Functional"),
            str(_shapes(layer)),
            layer.count_params(),
        )
        for layer in model.layers
        if not isinstance(layer, keras.layers.InputLayer)
    )


def _shapes(layer: keras.Layer) -> Any:
    return [tuple(tensor.shape) for node in layer._inbound_nodes[-1:] for tensor in node.outputs]


def copy_weights(model: keras.Model, other: keras.Model) -> None:
    """Give a model the weights of another one, layer by layer, drawn anew so that no two are alike."""
    random = np.random.default_rng(3)
    for layer in model.layers:
        if not layer.weights:
            continue
        values = [
            random.uniform(-0.5, 0.5, weight.shape).astype("float32") if "float" in weight.dtype else np.array(weight)
            for weight in layer.weights
        ]
        values = [
            abs(value) if "variance" in weight.path else value
            for value, weight in zip(values, layer.weights, strict=True)
        ]
        layer.set_weights(values)
        found = other.get_layer(layer.name)
        assert sum(prod(weight.shape) for weight in found.weights) == sum(value.size for value in values)
        found.set_weights([value.reshape(weight.shape) for value, weight in zip(values, found.weights, strict=True)])


def compare_outputs(model: keras.Model, other: keras.Model, unknown: int = 7) -> None:
    """Both models give the same numbers for the same inputs and weights."""
    copy_weights(model, other)
    random = np.random.default_rng(5)
    entering = []
    for tensor in model.inputs:
        shape = (2, *(unknown if size is None else size for size in tensor.shape[1:]))
        values = random.integers(0, 4, shape) if "float" not in tensor.dtype else random.uniform(-1, 1, shape)
        entering.append(values.astype(tensor.dtype))
    given = entering if len(entering) > 1 else entering[0]
    ours, theirs = keras.tree.flatten(other(given, training=False)), keras.tree.flatten(model(given, training=False))
    assert len(ours) == len(theirs)
    for one, two in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", PLAIN)
def test_a_model_of_layers_comes_back(name: str, tmp_path: Path) -> None:
    """Its configuration is the same throughout, names included, and so are its outputs with the same weights."""
    model = PLAIN[name]()
    text, again = imported(model, tmp_path)
    assert configuration(again) == configuration(model), text
    if name != "states":  # `training=true` holds in what is compiled, and draws
        compare_outputs(model, again)


@pytest.mark.parametrize("name", ["shortcuts", "models_within"])
def test_what_is_folded_takes_the_same_weights(name: str, tmp_path: Path) -> None:
    """Layers have other names, and the same order."""
    model = PLAIN[name]()
    path = tmp_path / "model.json"
    path.write_text(model.to_json(), encoding="utf-8")
    again = specdsl.import_keras(path, fold=True).model().to_keras()
    again.set_weights(model.get_weights())
    random = np.random.default_rng(7)
    entering = [random.uniform(-1, 1, (2, *one.shape[1:])).astype(one.dtype) for one in model.inputs]
    given = entering if len(entering) > 1 else entering[0]
    for one, two in zip(keras.tree.flatten(again(given)), keras.tree.flatten(model(given)), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", OTHERWISE)
def test_a_model_of_other_parts_gives_the_same(name: str, tmp_path: Path) -> None:
    """Inputs, outputs and parameters are the same, and the outputs with the same weights."""
    model = OTHERWISE[name]()
    text, again = imported(model, tmp_path)
    assert [(one.shape, one.dtype) for one in again.inputs] == [(one.shape, one.dtype) for one in model.inputs]
    assert [one.shape for one in again.outputs] == [one.shape for one in keras.tree.flatten(model.outputs)]
    assert again.count_params() == model.count_params()
    if name not in ("arithmetic", "functions", "pooled"):
        assert rows(again) == rows(model), text
    compare_outputs(model, again)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", ["models_within", "arithmetic"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_all_kinds_of_file_say_the_same(name: str, suffix: str, tmp_path: Path) -> None:
    model = (PLAIN | OTHERWISE)[name]()
    text, _ = imported(model, tmp_path)
    other, _ = imported(model, tmp_path, suffix)
    assert text.split("\n")[1:] == other.split("\n")[1:]


def test_calls_are_read_as_keras_reads_them() -> None:
    """What a call takes by place, and what it has for `training` where nothing is said, is that of the real layers."""
    for kind in LAYERS.values():
        if kind is InputLayer:
            continue
        layer = object.__new__(kind)
        parameters = inspect.signature(getattr(keras.layers, layer.keras_name).call).parameters
        names = [name for name, one in parameters.items() if one.kind is not one.VAR_KEYWORD][1:]
        if layer.family != "preprocessing":
            assert names[1:] == list(kind.call_arguments[1 : len(names)]), kind
        if "training" in names:
            assert kind.call_training is parameters["training"].default, kind


@pytest.mark.parametrize("name", ["bn_cnn", "challenge", "zoo/mobilenet_v2", "zoo/transformer"])
def test_specs_get_their_blocks_back(name: str, tmp_path: Path) -> None:
    """Each layer has its name, and there are as many instances of blocks as there were."""
    spec = specdsl.load(f"specs/{name}.spec")
    model = spec.model(spec.models[0])
    (tmp_path / "model.json").write_text(model.to_keras().to_json())
    back = specdsl.import_keras(tmp_path / "model.json").model()
    assert [node.owner for node in back.nodes] == [node.owner for node in model.nodes]
    assert back.scopes.keys() == model.scopes.keys()


@pytest.mark.parametrize("crop", ["RandomCrop(4, 4", "Pipeline([RandomCrop(4, 4)]"])
def test_a_crop_that_always_cuts_comes_back(crop: str) -> None:
    """It takes larger images in training alone, and a file has `training=True` whether it is said or not."""
    check_comes_back(f"model m {{ input x: (8, 8, 3); {crop}, training=true) -> Flatten -> Dense(2) }}")


def test_a_layer_that_augments_as_in_training_comes_back() -> None:
    """Where images are of another type Keras does not write `training=True` if nothing is said."""
    check_comes_back("model m {\ninput x: (6, 6, 3) bfloat16\nAugMix(training=true) -> ReLU\n}")


@settings(max_examples=5)
@given(spec_texts())
def test_drawn_models_come_back(text: str) -> None:
    """Whatever a spec can say: compiled, written by Keras and imported, it has the same configuration again."""
    assume(keeps_all(text))
    check_comes_back(text)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=400)
@given(spec_texts())
def test_many_drawn_models_come_back(text: str) -> None:
    assume(keeps_all(text))
    check_comes_back(text)


def keeps_all(text: str) -> bool:
    """Whether a file keeps names and types as they are: names of inputs that are not ASCII are replaced."""
    return text.isascii() and not loses_a_policy(text)


def check_comes_back(text: str) -> None:
    """Compile the last model of a spec, import what Keras writes of it, and compare both compiled."""
    keras.backend.clear_session()
    model = specdsl.loads(text).model().to_keras()
    written = io.BytesIO(model.to_json().encode())
    result = import_file(None, "model", None, written)
    graph = specdsl.loads(result.text).model()
    folded = specdsl.loads(import_file(None, "model", None, io.BytesIO(written.getvalue()), folded=True).text).model()
    ours, theirs = folded.analyse().totals, graph.analyse().totals
    assert (ours.params, ours.trainable, ours.macs, ours.flops) == (
        theirs.params,
        theirs.trainable,
        theirs.macs,
        theirs.flops,
    )
    keras.backend.clear_session()
    again = graph.to_keras()
    assert plain(configuration(again)) == plain(configuration(model)), result.text


def plain(value: Any) -> Any:
    """A configuration with names as an import has them: without the hyphens that blocks make.

    Without `training=True` of layers that augment, too, which Keras mostly writes where nothing is said.
    """
    if isinstance(value, dict):
        if (kind := LAYERS.get(value.get("class_name", ""))) and kind.call_training:
            for call in value.get("inbound_nodes", []):
                if call["kwargs"].get("training") is True:
                    del call["kwargs"]["training"]
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return re.sub(r"(?<=\w)-(?=\w)", "_", value) if isinstance(value, str) else value
