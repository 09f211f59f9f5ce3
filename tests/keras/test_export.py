"""Round trips of all that `--emit` writes: the same configuration and rows; with the same weights the same outputs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings

import specdsl
from specdsl import Graph
from specdsl.backends.onnx_model import OnnxError, to_onnx
from specdsl.functional import pinned_layers
from specdsl.layers import LAYERS
from tests.keras.model_oracle import (
    build_emitted,
    configuration,
    entering,
    loses_a_policy,
    model_facts,
    runnable,
)
from tests.keras.oracle import NO_KERNEL
from tests.keras.test_models import SEARCH
from tests.spec_strategies import spec_texts
from tests.test_corpus import CORPUS

pytestmark = [
    pytest.mark.keras,
    pytest.mark.filterwarnings("ignore::UserWarning:keras"),
    pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning"),
]

ROOT = Path(__file__).parents[2]
SPECS = sorted((ROOT / "specs").glob("*.spec"))
ROUNDS = ("keras", "json", "python")
WORTH = ("activations_as_arguments", "merges", "outputs_in_order", "unknown_sizes")
EXPORTED = [CORPUS / "ok" / f"{name}.spec" for name in WORTH]


def rebuilt(graph: Graph, emit: str, folder: Path) -> tuple[keras.Model, keras.Model]:
    """A graph's Keras model, and what comes of it when it is written in a form and read again."""
    model = graph.to_keras()
    if emit == "keras":
        model.save(folder / "model.keras")
        return model, keras.models.load_model(folder / "model.keras")
    if emit == "json":
        return model, keras.models.model_from_json(model.to_json())
    return model, build_emitted(graph.to_python())


def check_round_trip(graph: Graph, emit: str, folder: Path) -> None:
    model, other = rebuilt(graph, emit, folder)
    assert configuration(other) == configuration(model)
    facts, wanted = (model_facts(one) for one in (other, model))
    if emit != "python":  # a file does not tell what is said from what Keras writes in any case
        facts, wanted = _without_usual_training(facts), _without_usual_training(wanted)
    assert facts == wanted
    for layer in other.layers:  # by layer, as Keras names what is in a wrapper otherwise when it reads a file
        for weight, value in zip(layer.weights, model.get_layer(layer.name).weights, strict=True):
            weight.assign(value)
    if runnable(graph) and not pinned_layers(graph):  # what is pinned to training draws numbers by chance
        inputs = entering(graph)
        given = inputs if len(inputs) > 1 else inputs[0]
        try:
            one, two = (keras.tree.flatten(each(given, training=False)) for each in (model, other))
        except tf.errors.OpError as error:
            if not re.search(NO_KERNEL, str(error)):
                raise
            return
        for a, b in zip(one, two, strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def _without_usual_training(facts: dict[str, Any]) -> dict[str, Any]:
    """What is known of layers, without `training=true` of those for which Keras writes it where nothing is said."""
    for one in facts.values():
        kind = LAYERS.get(one["type"])
        if kind and kind.call_training:
            for call in one["calls"]:
                call["options"].pop("training", None)
    return facts


@pytest.mark.parametrize("emit", ["json", "python"])
@pytest.mark.parametrize("said", ["true", "false"])
def test_layers_that_augment_keep_what_their_calls_say(said: str, emit: str, tmp_path: Path) -> None:
    """Keras writes `training=True` for them whether it is said or not."""
    text = f"model m {{ input x: (8, 8, 3); RandomFlip(training={said}) -> Pipeline([RandomHue(0.5)]) -> Flatten }}"
    check_round_trip(specdsl.loads(text).model(), emit, tmp_path)


@pytest.mark.parametrize("emit", ROUNDS)
@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_what_is_written_is_read_as_the_same_model(path: Path, emit: str, tmp_path: Path) -> None:
    """Every shipped model, in every form that Keras or Python reads."""
    check_round_trip(specdsl.load(path).model(), emit, tmp_path)


@settings(SEARCH, max_examples=6)
@given(spec_texts())
def test_any_model_goes_there_and_back(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Random models too, in every form."""
    check_round_trips(text, tmp_path_factory.getbasetemp())


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(SEARCH, max_examples=200)
@given(spec_texts())
def test_many_models_go_there_and_back(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """A sweep over many more."""
    check_round_trips(text, tmp_path_factory.getbasetemp())
    keras.backend.clear_session()


def check_round_trips(text: str, folder: Path) -> None:
    graph = specdsl.loads(text).model()
    for emit in ("python",) if loses_a_policy(text) else ROUNDS:
        check_round_trip(graph, emit, folder)


# ---------------------------------------------------------------------------------------------- ONNX

onnxruntime = pytest.importorskip("onnxruntime")


def check_onnx(graph: Graph) -> None:
    """Check the names and shapes of what is exported, and its outputs for a batch of another size than was tried."""
    import onnx

    keras.utils.set_random_seed(3)
    model = graph.to_keras()
    data = to_onnx(graph, model)
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == [node.name for node in graph.input_nodes]
    assert all(one.shape[0] == "batch" for one in session.get_inputs())
    random = np.random.default_rng(5)
    shapes = [[9 if size is None else size for size in node.shape] for node in graph.input_nodes]
    inputs = [random.normal(size=(3, *shape)).astype("float32") for shape in shapes]
    wanted = keras.tree.flatten(model(inputs if len(inputs) > 1 else inputs[0]))
    got = session.run(None, dict(zip((one.name for one in session.get_inputs()), inputs, strict=True)))
    for a, b in zip(wanted, got, strict=True):
        np.testing.assert_allclose(np.asarray(a), b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("path", [*SPECS, *EXPORTED], ids=lambda path: path.stem)
def test_onnx_computes_what_keras_computes(path: Path) -> None:
    """In onnxruntime, for several inputs and outputs, with sizes and a batch that are unknown."""
    check_onnx(specdsl.load(path).model())


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ("Dropout(0.5, training=true)", "no ONNX for StatelessRandomUniformV2 in dropout"),
        ("Reshape((4, 2)) -> Conv1D(4, 3, groups=2)", "no ONNX for StatefulPartitionedCall in conv1d"),
    ],
)
def test_what_cannot_be_exported_is_told_before_anything_is_written(
    steps: str, reason: str, tmp_path: Path, run
) -> None:
    """With the operation and the layer that the exporter fails at, exit code 1, and no file."""
    (tmp_path / "m.spec").write_text(f"model m {{ input x: (8,); {steps} }}\n")
    out = tmp_path / "m.onnx"
    code, _, said = run("compile", tmp_path / "m.spec", "--emit", "onnx", "-o", out)
    assert code == 1
    assert reason in said
    assert "nothing is written" in said
    assert not out.exists()


def test_a_file_of_onnx_is_written(tmp_path: Path, run) -> None:
    """`compile --emit onnx` writes what onnxruntime loads."""
    out = tmp_path / "m.onnx"
    assert run("compile", SPECS[0], "--emit", "onnx", "-o", out)[0] == 0
    assert onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"]).get_inputs()


def test_wrong_numbers_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that computes something else than Keras is no file that is given away."""
    graph = specdsl.loads("model m { input x: (4,); Dense(2, bias_initializer='ones') }").model()
    true = onnxruntime.InferenceSession.run
    monkeypatch.setattr(
        onnxruntime.InferenceSession, "run", lambda self, *given: [one + 0.1 for one in true(self, *given)]
    )
    with pytest.raises(OnnxError, match="does not compute the same as Keras for the output 'dense'"):
        graph.to_onnx()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("model m { input x: (none, 4); Dense(2) }", RuntimeError("out of everything")),
        ("model m { input x: (4,); Dense(2) }", ValueError("a shape that is known is refused")),
    ],
)
def test_a_model_that_fails_is_not_given_away_unchecked(
    text: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only sizes that are unknown may keep a model from being compared, and only where they do not fit."""
    graph = specdsl.loads(text).model()
    model = graph.to_keras()

    def fail(*given: object, **options: object) -> None:
        if options:
            raise error

    monkeypatch.setattr(type(model), "__call__", fail)
    with pytest.raises(OnnxError, match=f"Keras cannot carry out this model: {error}"):
        to_onnx(graph, model)


def test_without_the_packages_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run) -> None:
    """Before Keras is loaded."""
    monkeypatch.setattr("specdsl.backends.onnx_model.NEEDS", ("onnx", "no_such_package"))
    out = tmp_path / "m.onnx"
    code, _, said = run("compile", SPECS[0], "--emit", "onnx", "-o", out)
    assert (code, "this needs no_such_package: `pip install 'specdsl[onnx]'` brings it" in said) == (1, True)
    assert not out.exists()
