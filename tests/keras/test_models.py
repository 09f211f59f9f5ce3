"""Whole models against Keras: the compiled model, the emitted Python, and the files that `compile --emit` writes."""

from __future__ import annotations

import re
import subprocess
import sys
import tokenize
from io import BytesIO
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import specdsl
from specdsl import Graph
from specdsl.analyses import analyse
from specdsl.layers import Layer, Shape
from specdsl.layers.core import Masking
from specdsl.layers.facts import Weight
from specdsl.layers.merging import Concatenate
from specdsl.layers.normalization import BatchNormalization
from specdsl.layers.reshaping import Flatten
from tests.keras.model_oracle import (
    all_layers,
    build_emitted,
    compare_emitted,
    compare_model,
    compare_run,
    configuration,
    graph_facts,
    model_facts,
    runnable,
)
from tests.keras.summary import read_summary
from tests.keras.tally import planted
from tests.spec_strategies import POLICIES, TYPES, drawn_texts, spec_texts
from tests.strategies import STEPS
from tests.test_corpus import CORPUS, OK

pytestmark = [
    pytest.mark.keras,
    pytest.mark.filterwarnings("ignore::UserWarning:keras"),  # Keras warns of what is legal and unwise
    pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning"),  # Keras, when it saves
]

ROOT = Path(__file__).parents[2]
SPECS = sorted((ROOT / "specs").glob("*.spec"))
RUFF = [sys.executable, "-m", "ruff"]
LENGTH = ["--isolated", "--line-length", "100"]


def models(paths: list[Path]) -> list[Any]:
    """Each model of each spec, as parameters of a test."""
    found = []
    for path in paths:
        spec = specdsl.load(path)
        found += [pytest.param(path, name, id=f"{path.stem}-{name}") for name in spec.models]
    return found


MODELS = models([*SPECS, *OK])


# ---------------------------------------------------------------------------------------------- the compiled model


@pytest.mark.parametrize(("path", "name"), MODELS)
def test_a_model_agrees_with_keras(path: Path, name: str) -> None:
    """Every layer of every model has the type, shape, weights and inputs that Keras gives it, and its summary says so.

    Run on numbers, in training and in inference, each layer gives the predicted shape; and the emitted source builds
    the same model.
    """
    graph = specdsl.load(path).model(name)
    model = compare_model(graph)
    if runnable(graph):
        compare_run(graph, model)
        compare_run(graph, model, training=True)
    compare_emitted(graph, model)


def check_random_spec(text: str) -> None:
    """Check each model of a spec."""
    spec = specdsl.loads(text)
    for name in spec.models:
        check_random_model(spec.model(name))


def check_random_model(graph: specdsl.Graph) -> None:
    """Check what is compiled and emitted, and run it on numbers."""
    model = compare_model(graph)
    if not joins_masks(graph):
        compare_emitted(graph, model)
    if runnable(graph):
        compare_run(graph, model)


def joins_masks(graph: specdsl.Graph) -> bool:
    """Whether masks may reach a Concatenate: Keras then makes operations of its own called `concatenate`.

    Compiled models keep clear of their names; emitted source does not, and Keras refuses it where the two meet.
    """
    layers = list(all_layers(graph))
    makers = [layer for layer in layers if isinstance(layer, Masking) or getattr(layer, "mask_zero", False)]
    return bool(makers) and any(isinstance(layer, Concatenate) for layer in layers)


SEARCH = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)


@pytest.mark.parametrize("kind", STEPS, ids=lambda kind: kind.__name__)
def test_drawn_specs_agree_with_keras(kind: type[Layer]) -> None:
    """What holds of the models at hand holds of any: compiled, emitted and run, they are what the graph says.

    Each class of the layer table stands in one of them, alone, in a block, in a shortcut, or in a model within.
    """
    (text,) = drawn_texts(kind, 1)
    check_random_model(specdsl.loads(text).model())


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", STEPS, ids=lambda kind: kind.__name__)
def test_many_random_specs_agree_with_keras(kind: type[Layer]) -> None:
    """A sweep over many more specs, always other ones; of the classes that Keras takes long to build, fewer."""
    costly = re.search(r"3D|ConvLSTM|Cell$|RNN|Bidirectional", kind.__name__)
    settings(SEARCH, max_examples=6 if costly else 12)(given(spec_texts(featuring=kind))(check_random_spec))()
    keras.backend.clear_session()


CONSTRUCTS = (
    {
        "a branch": r"\bbranch \w+",
        "a shortcut": r"\bshortcut \w+",
        "a shortcut around layers": r"\} via \{",
        "a loop that counts": r"\brepeat \S",
        "a loop over values": r"\bfor \w+ in ",
        "a condition": r"\bif \S",
        "an alternative": r"\} else ",
        "a shared layer": r"\blayer \w+ = ",
        "a block": r"\bblock \w+\(",
        "a model within": r"\bmodel inner\w* \{",
        "a model within with several inputs": r"\bmodel joining\w* \{",
        "a variant": r"\bwith \{",
        "a merge of named tensors": r"\[\w+, \w+.*\] -> ",
        "several inputs": r"\binput \w+: .*\n+input ",
        "several outputs": r"\boutput \w+, ",
        "one of several results": r" as .*\b_\b",
        "states that begin another layer": r"\binitial_state=\[",
        "a mask that is given": r"\b(attention_)?mask=[a-z]",
        "training in a call": r"\btraining=",
        "a layer that is frozen": r"\btrainable=false",
        "a size that is unknown": r"\binput \w+: \(.*\bnone",
        "words": r"\binput \w+: .* string",
    }
    | {f"a tensor of {dtype}": rf"\binput \w+: .* {dtype}\b" for dtype in TYPES}
    | {f"a layer in {policy}": rf'\bdtype="{policy}"' for policy in POLICIES}
)
"""What stands in some of the drawn specs, as it looks there."""


def test_every_class_and_every_construct_is_drawn() -> None:
    """The specs that are drawn have all that specs can have. They are the same in each run of the tests."""
    drawn = {kind: drawn_texts(kind, 1)[0] for kind in STEPS}
    assert [kind.__name__ for kind, text in drawn.items() if not re.search(rf"\b{kind.__name__}\b", text)] == []
    texts = "\n\n".join(drawn.values())
    assert [what for what, pattern in CONSTRUCTS.items() if not re.search(pattern, texts)] == []


COUNTS: dict[str, tuple[list[tuple[int, int]], int, int]] = {
    "shortcut_mlp": ([(128, 128), (2_080, 2_080), (34, 34)], 2_242, 2_242),
    "original": ([(2_432, 2_432), (51_264, 51_264), (44_075, 44_075)], 97_771, 97_771),
    "bn_cnn": ([(2_432, 2_432), (128, 64), (51_264, 51_264), (256, 128), (44_075, 44_075)], 98_155, 97_963),
}
"""Of layers that have parameters: how many, and how many of them trainable; then both of the model."""


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_the_known_ones(name: str) -> None:
    """The counts that the specs were written for, by our analysis, by Keras, and by Keras's printed summary."""
    layers, parameters, trainable = COUNTS[name]
    graph = specdsl.load(ROOT / "specs" / f"{name}.spec").model()
    for facts in (graph_facts(graph), model_facts(graph.to_keras())):
        counted = [(fact["parameters"], fact["trainable"]) for fact in facts.values() if fact["parameters"]]
        assert counted == layers
    totals = analyse(graph).totals
    assert (totals.params, totals.trainable, totals.non_trainable) == (parameters, trainable, parameters - trainable)
    printed = read_summary(graph.to_keras())
    assert [row.params for row in printed.rows.values() if row.params] == [count for count, _ in layers]
    assert [number for number, _ in printed.totals.values()] == [parameters, trainable, parameters - trainable]


@pytest.mark.parametrize("depth", [8, 20])
def test_parameters_of_a_model_change_the_compiled_one(depth: int) -> None:
    """A spec with parameters compiles for the values that are given."""
    spec = specdsl.loads("model m(depth=1) { input x: (4,); repeat depth { Dense(4) -> BatchNormalization } }")
    graph = spec.model(depth=depth)
    compare_emitted(graph, compare_model(graph))
    assert len(graph.nodes) == 2 * depth + 1


def test_joined_masks_do_not_take_the_names_of_layers() -> None:
    """Keras joins the masks of what it concatenates, by operations with names that no layer has."""
    text = "model m { input x: (6, 3); Masking as a; x -> Masking as b; [a, b] -> Concatenate(axis=1) -> Dense(2) }"
    compare_model(specdsl.loads(text).model())


@pytest.mark.filterwarnings("ignore:Converting sparse IndexedSlices:UserWarning")
def test_a_dense_computes_with_sparse_vectors() -> None:
    """In `fit` and `predict`; what else stands behind them fails, and so the resolver refuses it."""
    text = "model m { input x: (4,) int32; Hashing(3, output_mode='multi_hot', sparse=true) -> Dense(2) }"
    model = specdsl.loads(text).model().to_keras()
    given = np.arange(8, dtype="int32").reshape(2, 4)
    model.compile("sgd", "mse")
    model.fit(given, np.zeros((2, 2)), verbose=0)
    assert model.predict(given, verbose=0).shape == (2, 2)
    with pytest.raises(specdsl.SpecError, match="ReLU does not compute with sparse tensors"):
        specdsl.loads(text.replace("Dense(2)", "ReLU"))
    vectors = keras.layers.Hashing(3, output_mode="multi_hot", sparse=True)(given)
    with pytest.raises(ValueError, match="SparseTensor"):
        keras.layers.ReLU()(vectors)


def test_masks_are_left_to_keras() -> None:
    """Keras sends masks along by itself: its model has their arithmetic too, and nothing else differs."""
    text = "model m { input x: (6,); Embedding(5, 4, mask_zero=true); BatchNormalization; Masking; Dense(2) }"
    graph = specdsl.loads(text).model()
    compare_emitted(graph, compare_model(graph))


# ---------------------------------------------------------------------------------------------- the oracle itself


def broken_flatten(self: Flatten, *shapes: Shape) -> Shape:
    true = TRUE_FLATTEN(self, *shapes)
    return (true[0] + 1,) if true[0] else true


def all_trainable(self: BatchNormalization, *shapes: Shape) -> tuple[Weight, ...]:
    return tuple(Weight(weight.name, weight.shape) for weight in TRUE_WEIGHTS(self, *shapes))


def two_biases(self: Layer, *shapes: Shape) -> tuple[Weight, ...]:
    weights = TRUE_WEIGHTS(self, *shapes)
    return (*weights, weights[-1])


TRUE_FLATTEN = Flatten.result_shape
TRUE_WEIGHTS = BatchNormalization.weights


@pytest.mark.parametrize(
    ("kind", "rule", "mutant"),
    [
        (Flatten, "result_shape", broken_flatten),
        (BatchNormalization, "weights", all_trainable),
        (BatchNormalization, "weights", two_biases),
    ],
)
def test_a_broken_rule_is_noticed(kind: type[Layer], rule: str, mutant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a wrong rule in the layer table the comparison of a model fails."""
    monkeypatch.setattr(kind, rule, mutant)
    graph = specdsl.loads((ROOT / "specs" / "bn_cnn.spec").read_text()).model()
    with planted(), pytest.raises(AssertionError):
        compare_model(graph)


def test_wrong_connections_are_noticed() -> None:
    """A model that joins other tensors, or in another order, or renames a layer, is not taken for the same one."""
    text = "model m { input a: (4,); input b: (4,); [a, b] -> Subtract as d; d -> Dense(2) }"
    one = specdsl.loads(text).model()
    for change in (("[a, b]", "[b, a]"), ("[a, b]", "[a, a, b]"), ("Dense(2)", "Dense(2, use_bias=false)")):
        other = specdsl.loads(text.replace("Subtract", "Add").replace(*change)).model()
        with planted(), pytest.raises(AssertionError):
            compare_emitted(other, one.to_keras())


# ---------------------------------------------------------------------------------------------- the emitted source

AWKWARD = {
    "keywords": "model m { input lambda: (4,); Dense(4) as class -> ReLU as def -> Dense(1) as None }",
    "own_names": """
        block layers(keras=3) { shortcut add { Dense(channels) as name -> Dense(keras) as x -> Dense(channels) as y } }
        block build_model(x=2, y=3) { shortcut concat { Dense(x) -> Dense(y) } }
        model keras { input name: (4,); layers(5); layers(6); build_model; build_model(3, 4) as x }
    """,
    "builtins": "model m { input sum: (4,); input max: (4,); [sum, max] -> Add as list; list -> Dense(1) as print }",
    "two_inputs": "model m { input x: (4,); input y: (4,); x -> Dense(4) as z; [z, y, x] -> Add -> Dense(1) }",
    "nothing_but_an_input": "model m { input x: (4,) }",
    "input_leaves": "model m { input x: (4,); Dense(4) as y; output y, x }",
    "input_used_again": "model m { input x: (4,); Dense(3) as y; x -> Dense(3) as z; [y, z, y] -> Add -> Dense(1) }",
    "unicode": """
        block groesse(é=3) { Dense(é) as fi }
        model zu { input ñ: (4,); groesse(4); groesse(5) as fi }
    """,
    "not_python": "model m { input a²: (4,); Dense(4) as a2; Dense(3) as b2; [a2, b2] -> Concatenate as joined }",
    "docstrings": r"""
        block b { \"\"\"Says \"so\".\"\"\"; Dense(2) }
        model m { \"\"\"A \\\\ and, in quotes, \\\"x\\\".\"\"\"; input x: (2,); b; b }
    """.replace(r"\"", '"'),
    "blocks_in_blocks": """
        block inner(n, rate=0.5) { Dense(n) -> Dropout(rate) }
        block pair(n) { inner(n); inner(n + 1, rate=0.1) as last }
        model m { input x: (4,); pair(2); pair(3); repeat 2 { shortcut concat { pair(4) } } }
    """,
    "parameter_like_a_block": """
        block inner(n) { Dense(n) }
        block outer(inner, y) { shortcut concat { Dense(y) -> Dense(inner) } }
        model m { input x: (4,); inner(2); inner(3); outer(1, 2); outer(3, 4) }
    """,
    "named_in_blocks": """
        block both(n) { Dense(n) as left; ReLU as right; [left, right] -> Concatenate }
        model m { input x: (4,); both(2); both(3) }
    """,
    "two_tensors_leave_a_block": """
        block b(n) { shortcut add { Dense(n) } }
        model m { input x: (4,); shortcut add { b(4) }; shortcut concat { b(4) } via { b(4) } }
    """,
    "many_arguments": """
        model m {
            input x: (4, 4, 2) float16
            Conv2D(2, (3, 1), strides=(1, 2), padding="same", bias_regularizer=L1L2(0.1, 0.2), trainable=false)
            Rescaling([0.5, 1]) -> Reshape((-1, 2)) -> ReLU(6)
        }
    """,
    "numbers_in_lists": """
        model m {
            input x: (2, 3)
            Normalization([1, 2], mean=[[1, 2, 3], [4, 5, 6]], variance=[[1, 1, 1], [2, 2, 2]])
            Normalization(none, 0.5, 4, invert=true) -> Normalization((2, 1))
        }
    """,
}
"""Specs whose names are hard to write in Python, or whose structure is."""


@pytest.mark.parametrize("case", AWKWARD)
def test_emitted_source_copes_with_awkward_specs(case: str, tmp_path: Path) -> None:
    """Names that mean something to Python or to the source itself, odd letters, and odd structures."""
    spec = specdsl.loads(AWKWARD[case])
    for name in spec.models:
        graph = spec.model(name)
        source = compare_emitted(graph, compare_model(graph))
        (tmp_path / f"{case}_{len(list(tmp_path.iterdir()))}.py").write_text(source, encoding="utf-8")
    assert_clean(tmp_path)


def assert_clean(path: Path) -> None:
    """Check that sources are as a linter and a formatter want them, with lines of at most 100 characters."""
    rules = ["--select", "E,F,W,I,N,UP,B,SIM,A,C4,RET,PIE", "--ignore", "N803,N806,N802"]  # names are the spec's
    for command in (["check", *LENGTH, *rules], ["format", *LENGTH, "--diff"]):
        done = subprocess.run([*RUFF, *command, "--no-cache", path], capture_output=True)
        assert done.returncode == 0, (done.stdout + done.stderr).decode()


def test_emitted_source_is_clean(tmp_path: Path) -> None:
    """The source of every model at hand passes ruff, and ruff would not format it otherwise."""
    for path in [*SPECS, *sorted((ROOT / "specs" / "zoo").glob("*.spec")), *OK]:
        spec = specdsl.load(path)
        for name in spec.models:
            (tmp_path / f"{path.stem}_{name}.py").write_text(spec.model(name).to_python(), encoding="utf-8")
    assert_clean(tmp_path)


def test_emitted_source_keeps_blocks() -> None:
    """A block that is used several times becomes a function, its parameters too; shortcuts stay readable."""
    source = specdsl.load(CORPUS / "ok" / "residual.spec").model().to_python()
    assert "def residual(x, filters, name):" in source
    assert '    """The block `residual` with strides=2."""' in source
    assert '    y = layers.Conv2D(filters, 3, strides=2, padding="same", name=f"{name}-conv2d")(x)' in source
    assert '    x = layers.Add(name=f"{name}-add")([x, y])' in source
    assert '    x = residual(image, 4, name="residual")' in source
    names = [token.string for token in tokenize.tokenize(BytesIO(source.encode()).readline)]
    assert names.count("Conv2D") == 5, "instances share their functions"


def test_emitted_source_runs_alone(tmp_path: Path) -> None:
    """The source is a script that needs nothing but Keras."""
    path = tmp_path / "model.py"
    path.write_text(specdsl.load(ROOT / "specs" / "bn_cnn.spec").model().to_python())
    done = subprocess.run([sys.executable, "-P", path.name], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Total params: 98,155" in done.stdout


# ---------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("name", ["bn_cnn", "functional", "dropout"])
def test_a_keras_file_holds_the_model(name: str, tmp_path: Path, run) -> None:
    """`compile --emit keras` writes a file that Keras loads as the same model."""
    path = tmp_path / "model.keras"
    spec = ROOT / "specs" / f"{name}.spec"
    assert run("compile", spec, "--emit", "keras", "-o", path)[0] == 0
    assert_same(keras.models.load_model(path), specdsl.load(spec).model())


@pytest.mark.parametrize("to_file", [True, False])
def test_json_holds_the_model(to_file: bool, tmp_path: Path, run) -> None:
    """`compile --emit json` writes what `keras.models.model_from_json` reads."""
    path = tmp_path / "model.json"
    spec = ROOT / "specs" / "bn_cnn.spec"
    code, out, _ = run("compile", spec, "--emit", "json", *(["-o", path] if to_file else []))
    assert code == 0
    text = path.read_text() if to_file else out
    assert_same(keras.models.model_from_json(text), specdsl.load(spec).model())


@pytest.mark.parametrize("blocks", [350, pytest.param(1_000, marks=pytest.mark.slow)])
def test_a_very_deep_network_compiles(blocks: int) -> None:
    """Keras walks layers by calls within calls; the compiled model and the emitted source give it room for that."""
    graph = specdsl.loads(
        "block residual(n) { shortcut add { Dense(n) -> ReLU } }\n"
        f"model deep {{ input image: (8, 4); repeat {blocks} {{ residual(4) }}; Flatten; Dense(2) }}"
    ).model()
    limit = sys.getrecursionlimit()
    assert graph.to_keras().count_params() == analyse(graph).totals.params
    assert sys.getrecursionlimit() == limit
    try:
        build_emitted(graph.to_python())
    finally:
        sys.setrecursionlimit(limit)


PINNED = """
model inner {
    input x: (4,)
    BatchNormalization
}
model m {
    input x: (4,)
    layer still = BatchNormalization
    still(training=false) -> inner(training=false) as nested
    repeat 2 { Dropout(0.5, training=true) }
}
"""


@pytest.mark.parametrize("emitted", [False, True])
def test_what_a_call_says_of_training_holds_in_fit_and_predict(emitted: bool) -> None:
    """Keras would pass its own `training` on; the compiled model and the emitted source act as the text says."""
    graph = specdsl.loads(PINNED).model()
    model = build_emitted(graph.to_python()) if emitted else graph.to_keras()
    images = np.random.default_rng(0).random((64, 4), "float32") + 3
    model.compile("sgd", "mse")
    model.fit(images, images, verbose=0)
    still = [model.get_layer("still"), model.get_layer("inner").layers[1]]
    assert all(np.array_equal(layer.moving_mean, np.zeros(4)) for layer in still)
    dropped = (model.predict(images, verbose=0) == 0).mean()
    assert 0.6 < dropped < 0.9


def test_a_pin_that_a_file_loses_is_told(tmp_path: Path, run) -> None:
    path = tmp_path / "pinned.spec"
    path.write_text(PINNED)
    code, _, err = run("compile", path, "--emit", "keras", "-o", tmp_path / "m.keras")
    assert code == 0
    assert "no place in a file for the `training=` of still, inner, dropout, dropout_1" in err


def test_emitted_python_of_the_command_line(run) -> None:
    """`compile --emit python` prints the source that builds the model, with the parameters that are set."""
    path = CORPUS / "ok" / "variant_parameters.spec"
    code, out, _ = run("compile", path, "--emit", "python", "--model", "scaled", "--set", "factor=3")
    assert code == 0
    assert_same(build_emitted(out), specdsl.load(path).model("scaled", factor=3))


def assert_same(model: keras.Model, graph: Graph) -> None:
    expected = graph.to_keras()
    assert model_facts(model) == model_facts(expected)
    assert configuration(model) == configuration(expected)
