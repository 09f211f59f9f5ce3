"""Memory in training, bytes moved and intensity against laying them out in time, and counting them out."""

from __future__ import annotations

from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import specdsl
from specdsl import Graph
from specdsl.analyses import (
    Regime,
    analyse,
    inference_bytes,
    intensity,
    peak_activation_bytes,
    quantities,
    traffic,
    training_activation_bytes,
    training_memory,
)
from specdsl.graph import Tensor
from specdsl.layers.dtypes import BYTES
from specdsl.recipes.optimizers import OPTIMIZERS
from tests.spec_strategies import spec_texts


def model(body: str, size: str = "(8, 8, 3)", head: str = "") -> Graph:
    return specdsl.loads(f"{head}\nmodel m {{ input x: {size}\n{body}\n}}").model()


# ---------------------------------------------------------------------------------------------- activations in training


def laid_out(graph: Graph) -> int | None:
    """The most bytes that are there at once in a step of training: each moment looked at by itself."""
    trained: set[Tensor] = set()
    for node in graph.nodes:
        weights = node.layer.variables(*graph.input_shapes(node))
        if any(weight.trainable for weight in weights) or any(tensor in trained for tensor in node.sources):
            trained.update(node.outputs)
    sizes = {tensor: graph.shape(tensor) for node in graph.nodes for tensor in node.outputs}
    kept = {
        node.name: graph.applied(node).kept(*graph.input_shapes(node))
        for node in graph.nodes
        if node.inputs and any(tensor in trained for tensor in node.outputs)
    }
    dtypes = {tensor: graph.dtype(tensor) for tensor in sizes}
    if any(None in shape for shape in sizes.values()) or any(one.more.value is None for one in kept.values()):
        return None
    if "string" in dtypes.values():
        return None
    own = {
        node.name: BYTES[node.layer.policy.compute] * (kept[node.name].more.value or 0)
        for node in graph.nodes
        if node.name in kept
    }

    def size(tensors: set[Tensor]) -> int:
        return sum(BYTES[dtypes[tensor]] * prod(part or 0 for part in sizes[tensor]) for tensor in tensors)

    most, inputs = 0, {tensor for node in graph.input_nodes for tensor in node.outputs}
    for number, node in enumerate(graph.nodes):
        done, coming = graph.nodes[: number + 1], graph.nodes[number:]
        made = inputs | {tensor for one in done for tensor in one.outputs}
        needed = {tensor for one in coming for tensor in one.sources} | set(graph.outputs) | set(node.outputs)
        entering = inputs & {
            tensor for one in done if one.name in kept and kept[one.name].inputs for tensor in one.sources
        }
        stored = {tensor for one in done if one.name in kept and kept[one.name].inputs for tensor in one.sources}
        stored |= {tensor for one in done if one.name in kept and kept[one.name].outputs for tensor in one.outputs}
        later = {tensor for one in coming if one.name in kept and kept[one.name].inputs for tensor in one.sources}
        more = sum(own.get(one.name, 0) for one in done)
        most = max(most, size(made & (needed | stored | entering | later)) + more)
    for number in reversed(range(len(graph.nodes))):
        todo, done = graph.nodes[: number + 1], graph.nodes[number:]
        stored = {tensor for one in todo if one.name in kept and kept[one.name].inputs for tensor in one.sources}
        stored |= {tensor for one in todo if one.name in kept and kept[one.name].outputs for tensor in one.outputs}
        stored |= set(graph.outputs) if number == len(graph.nodes) - 1 else set()
        wanted = {tensor for one in done if one.name in kept for tensor in one.sources} | set(graph.outputs)
        gradients = trained & wanted & {tensor for one in todo for tensor in one.outputs}
        more = sum(own.get(one.name, 0) for one in todo)
        most = max(most, size(stored) + size(gradients) + more)
    return most


@settings(max_examples=60)
@given(spec_texts())
def test_the_peak_in_training_is_what_is_there_at_once(text: str) -> None:
    spec = specdsl.loads(text)
    for name in spec.models:
        graph = spec.model(name)
        analysis = analyse(graph)
        if any(layer.inner for layer in analysis.layers) or graph.shared:
            continue
        assert training_activation_bytes(analysis) == laid_out(graph)


def test_what_is_kept_follows_from_what_gradients_need() -> None:
    """A convolution keeps what enters, a ReLU what leaves, a sum nothing; behind frozen layers nothing is kept."""
    size = 8 * 8 * 3 * 4
    one = "Conv2D(3, 1, use_bias=false)"
    # In the end there are the input, the two results, and the gradient of the last.
    assert training_activation_bytes(analyse(model(f"{one} -> ReLU"))) == 4 * size
    frozen = "Conv2D(3, 1, trainable=false)"
    # What leaves the frozen ones is kept once; at most three tensors are there.
    assert training_activation_bytes(analyse(model("\n".join([frozen] * 9 + [one])))) == 3 * size
    chain = "\n".join([one] * 9)
    # All ten tensors, and the gradients of the last two while the last layer runs backwards.
    assert training_activation_bytes(analyse(model(chain))) == 12 * size


def test_models_within_take_their_part() -> None:
    """A model as a step takes as much as its layers written out, and once more for what enters and leaves at most."""
    body = "\n".join(["Conv2D(3, 3, padding='same', activation='relu')"] * 6)
    head = f"model inner {{ input x: (8, 8, 3)\n{body}\n}}"
    flat = training_activation_bytes(analyse(model(f"ReLU\n{body}\nReLU")))
    nested = training_activation_bytes(analyse(model("ReLU -> inner -> ReLU", head=head)))
    assert flat is not None
    assert nested is not None
    assert flat <= nested <= flat + 2 * 8 * 8 * 3 * 4


def test_the_parts_of_training_are_those_of_the_optimizer() -> None:
    graph = model("Conv2D(4, 3) -> BatchNormalization -> Flatten -> Dense(2)")
    params, trainable = 3 * 9 * 4 + 4 + 4 * 4 + 144 * 2 + 2, 3 * 9 * 4 + 4 + 2 * 4 + 144 * 2 + 2
    for name, slots in {"SGD": 0, "RMSprop": 1, "Adam": 2, "Lion": 1}.items():
        memory = training_memory(analyse(graph, Regime(1, 16, OPTIMIZERS[name]())))
        assert (memory.weights, memory.gradients, memory.slots) == (4 * params, 4 * trainable, 4 * slots * trainable)
        assert memory.total == 4 * (params + (1 + slots) * trainable) + 16 * (memory.activations or 0)
        assert memory.formula.endswith(f"16·{memory.activations:,}")


def test_a_train_block_says_for_what_memory_is_worked_out() -> None:
    text = "train t { optimizer = SGD(momentum=0.9); batch = 32 }\nmodel m { input x: (8,); Dense(2) }"
    model = specdsl.loads(text).model()
    analysis = model.analyse()
    assert analysis.regime.training_batch == 32
    memory = training_memory(analysis)
    assert (memory.batch, memory.slots) == (32, 4 * 18)
    assert quantities(analysis)["training_bytes"] == memory.total
    other = model.analyse(Regime(4, 4, OPTIMIZERS["Adam"]()))
    assert training_memory(other).slots == 2 * 4 * 18
    assert inference_bytes(other) == 4 * 18 + 4 * (peak_activation_bytes(other) or 0)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_the_precision_of_a_recipe_is_that_of_layers_which_say_none(policy: str) -> None:
    """As if each of them said so; weights, gradients and slots stay in 32 bits, also with accumulated gradients."""
    body = ["Conv2D(4, 3", "BatchNormalization(", "ReLU(", "Dropout(0.5", "Flatten(", "Dense(2, 'softmax'"]
    steps = f"train t {{ precision = '{policy}'; optimizer = Adam(gradient_accumulation_steps=4) }}\n"
    layers = {said: " -> ".join(f"{one}{said})" for one in body) for said in ("", f", dtype='{policy}'")}
    layers = {said: text.replace("(, ", "(") for said, text in layers.items()}
    found, peaks = {}, {}
    for name, said, head in (("recipe", "", steps), ("layers", f", dtype='{policy}'", ""), ("whole", "", "")):
        graph = specdsl.loads(f"{head}model m {{ input x: (8, 8, 3)\n{layers[said]}\n}}").model()
        found[name] = training_memory(graph.analyse())
        peaks[name] = peak_activation_bytes(graph.analyse()) or 0
    assert found["recipe"].activations == found["layers"].activations
    assert (found["recipe"].activations or 0) < (found["whole"].activations or 0)
    assert (found["recipe"].weights, found["recipe"].gradients) == (found["whole"].weights, found["whole"].gradients)
    assert found["recipe"].slots == found["whole"].slots // 2 * 3
    assert peaks["recipe"] == peaks["layers"] < peaks["whole"]


def test_the_precision_of_a_recipe_is_that_of_models_within_in_inference() -> None:
    """A model that is a step is made with the same policy."""
    text = "model inner { input x: (64,) float16; Dense(64) -> Dense(64) }\nmodel m { input x: (64,) float16; inner }"
    peaks = [
        peak_activation_bytes(specdsl.loads(f"{head}{text}").model("m").analyse())
        for head in ("", "train t { precision = 'mixed_float16' }\n")
    ]
    assert peaks == [512, 256]


def test_memory_follows_types() -> None:
    """Half the bytes in 16 bits; a mixed policy keeps weights, gradients and slots in 32 bits; integers have theirs."""
    regime = Regime(2, 4, OPTIMIZERS["Adam"]())
    sizes = {}
    for dtype in ("float32", "float16", "mixed_float16"):
        body = f"Conv2D(4, 3, dtype='{dtype}') -> ReLU(dtype='{dtype}')"
        analysis = analyse(specdsl.loads(f"model m {{ input x: (8, 8, 3) float16\n{body}\n}}").model(), regime)
        sizes[dtype] = (training_memory(analysis), peak_activation_bytes(analysis), analysis.totals.params_by_dtype)
    whole, half, mixed = sizes["float32"], sizes["float16"], sizes["mixed_float16"]
    assert whole[2] == mixed[2] == {"float32": 112}
    assert half[2] == {"float16": 112}
    assert (whole[0].weights, whole[0].gradients, whole[0].slots) == (448, 448, 896)
    assert (half[0].weights, half[0].gradients, half[0].slots) == (224, 224, 448)
    assert (mixed[0].weights, mixed[0].gradients, mixed[0].slots) == (448, 448, 896)
    assert half[0].activations == mixed[0].activations == 2 * (8 * 8 * 3 + 3 * 6 * 6 * 4)
    assert whole[0].activations == 2 * 8 * 8 * 3 + 4 * 3 * 6 * 6 * 4
    assert half[1] == mixed[1]
    table = analyse(specdsl.loads("model m { input x: (5,) int64\nEmbedding(10, 4) }").model())
    assert traffic(table) == (0, 5 * 8 + 2 * 5 * 4 * 4)
    assert table.totals.largest_activation_bytes == 80


def test_unknown_sizes_leave_memory_unknown() -> None:
    analysis = analyse(model("Conv1D(4, 3)", "(none, 3)"))
    assert training_memory(analysis).total is None
    assert inference_bytes(analysis) is None
    assert intensity(analysis) is None


# ---------------------------------------------------------------------------------------------- bytes moved


@pytest.mark.parametrize(
    ("body", "size", "weights", "example"),
    [
        ("Dense(4)", "(8,)", 36, 12),
        ("Flatten -> Dense(4)", "(2, 4)", 36, 16 + 12),
        ("Embedding(1000, 4)", "(5,)", 0, 5 + 20 + 20),
        ("shortcut add { Dense(8) }", "(8,)", 72, 16 + 24),
        ("TimeDistributed(Dense(2))", "(5, 3)", 8, 15 + 10),
        ("layer d = Dense(8)\nx -> d -> d", "(8,)", 2 * 72, 2 * 16),
    ],
)
def test_bytes_moved_are_counted_by_the_stated_rule(body: str, size: str, weights: int, example: int) -> None:
    analysis = analyse(model(body, size))
    assert traffic(analysis) == (4 * weights, 4 * example)
    for batch in (1, 16):
        known = intensity(analysis._replace(regime=Regime(batch)))
        assert known == batch * (analysis.totals.flops or 0) / (4 * weights + batch * 4 * example)


def test_a_model_moves_what_its_layers_move() -> None:
    head = "model inner { input x: (8,)\nDense(8) -> ReLU -> Dense(8) }"
    assert traffic(analyse(model("inner -> inner", "(8,)", head))) == traffic(
        analyse(model("layer a = Dense(8)\nlayer b = Dense(8)\nx -> a -> ReLU -> b -> a -> ReLU -> b", "(8,)"))
    )


# ---------------------------------------------------------------------------------------------- optimizers


@given(st.sampled_from(sorted(OPTIMIZERS)), st.lists(st.integers(1, 4), max_size=4).map(tuple))
def test_averages_and_accumulated_gradients_take_a_slot_each(name: str, shape: tuple[int, ...]) -> None:
    plain = OPTIMIZERS[name]()
    more = OPTIMIZERS[name](use_ema=True, gradient_accumulation_steps=2)
    assert more.slots("conv2d/kernel", shape) == plain.slots("conv2d/kernel", shape) + 2 * prod(shape)
