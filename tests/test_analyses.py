"""Memory, receptive field and operations against counting them out, and against known figures."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

import specdsl
from specdsl import Graph
from specdsl.analyses import analyse, peak_activation_bytes, quantities, receptive_field, values
from specdsl.layers.dtypes import BYTES
from tests.spec_strategies import spec_texts


def model(body: str, size: str = "(32, 32, 3)") -> Graph:
    return specdsl.loads(f"model m {{ input x: {size}\n{body}\n}}").model()


# ---------------------------------------------------------------------------------------------- memory


def counted_out(graph: Graph) -> int | None:
    """The most bytes that are there at once, by looking at all tensors at each layer."""
    shapes = {tensor: shape for node in graph.nodes for tensor, shape in zip(node.outputs, node.shapes, strict=True)}
    if any(None in shape or graph.dtype(tensor) == "string" for tensor, shape in shapes.items()):
        return None
    sizes = {tensor: BYTES[graph.dtype(tensor)] * (values(shape) or 0) for tensor, shape in shapes.items()}
    made = {
        tensor: -1 if not node.inputs else number for number, node in enumerate(graph.nodes) for tensor in node.outputs
    }
    used = {tensor: number for number, node in enumerate(graph.nodes) for tensor in node.sources}
    used |= dict.fromkeys(graph.outputs, len(graph.nodes))
    most = 0
    for number, node in enumerate(graph.nodes):
        there = {one for one in sizes if made[one] < number <= used.get(one, made[one])} | set(node.outputs)
        most = max(most, sum(sizes[one] or 0 for one in there))
    return most


@settings(max_examples=60)
@given(spec_texts())
def test_the_peak_of_activations_is_what_is_there_at_once(text: str) -> None:
    spec = specdsl.loads(text)
    for name in spec.models:
        analysis = analyse(spec.model(name))
        peak, most = peak_activation_bytes(analysis), counted_out(analysis.graph)
        if any(layer.inner for layer in analysis.layers):
            assert peak is None or (most is not None and peak >= most)
        else:
            assert peak == most


def test_a_shortcut_keeps_what_entered() -> None:
    """Three tensors are there while the second convolution runs: what entered, what it takes and what it makes."""
    graph = model('shortcut add { Conv2D(3, 3, padding="same") -> Conv2D(3, 3, padding="same") }')
    assert peak_activation_bytes(analyse(graph)) == 3 * 32 * 32 * 3 * 4


# ---------------------------------------------------------------------------------------------- operations


@pytest.mark.parametrize(
    ("layer", "size", "flops"),
    [
        ("Dense(3)", "(8,)", 2 * 8 * 3 + 3),
        ("Dense(3, 'relu', use_bias=false)", "(8,)", 2 * 8 * 3 + 3),
        ("Dense(3, 'softmax')", "(8,)", 2 * 8 * 3 + 3 + 3 * 3 - 1),
        ("Conv2D(4, 3)", "(8, 8, 2)", 36 * 4 * (2 * 3 * 3 * 2 + 1)),
        ("DepthwiseConv2D(3, use_bias=false)", "(8, 8, 2)", 36 * 2 * 2 * 9),
        ("BatchNormalization", "(8, 8, 2)", 128 * 2),
        ("LayerNormalization", "(8, 2)", 16 * 7 + 8 * 2),
        ("MaxPooling2D(2)", "(8, 8, 2)", 16 * 2 * 3),
        ("AveragePooling2D(2)", "(8, 8, 2)", 16 * 2 * 4),
        ("GlobalAveragePooling2D", "(8, 8, 2)", 128),
        ("GlobalMaxPooling1D", "(8, 2)", 7 * 2),
        ("Flatten", "(8, 8, 2)", 0),
        ("Dropout(0.5)", "(8, 8, 2)", 0),
        ("shortcut add { ReLU }", "(8,)", 16),
        ("TimeDistributed(Dense(3))", "(5, 8)", 5 * (2 * 8 * 3 + 3)),
        ("SimpleRNN(4)", "(5, 3)", 5 * (2 * (3 * 4 + 4 * 4) + 3 * 4)),
        ("LSTM(4)", "(none, 3)", None),
    ],
)
def test_operations_are_counted_by_the_stated_rule(layer: str, size: str, flops: int | None) -> None:
    assert analyse(model(layer, size)).totals.flops == flops


def test_quantities_are_worked_out_by_name() -> None:
    known = quantities(analyse(model("Conv2D(4, 3) -> Flatten -> Dense(2)")))
    assert set(known) == {
        "params", "trainable", "non_trainable", "macs", "flops", "weight_bytes", "largest_activation_bytes",
        "peak_activation_bytes", "inference_bytes", "training_bytes", "intensity", "receptive_field",
        "stride", "depth", "layers", "input", "output",
    }  # fmt: skip
    assert len(known) == 17
    assert known["receptive_field"] == (3, 3)
    assert known["stride"] == (1, 1)
    assert known["peak_activation_bytes"] == 4 * 2 * 30 * 30 * 4  # Flatten has an output of its own
    assert known["output"] == (2,)


def test_models_within_models_take_time_by_their_number_not_by_their_uses() -> None:
    """Each model uses the one before it twice; reports and source come at once, and the field is that of all uses."""
    depth = 40
    text = "model m0 { input x: (64, 64, 1); Conv2D(1, 3, padding='same') }\n"
    for number in range(1, depth):
        text += f"model m{number} {{ input x: (64, 64, 1); m{number - 1} -> m{number - 1} }}\n"
    spec = specdsl.loads(text)
    assert receptive_field(spec.model("m3")) == (17, 17)
    graph = spec.model()
    assert receptive_field(graph) == (2**depth + 1, 2**depth + 1)
    assert graph.report().to_text(80)
    assert graph.report().to_markdown()
    assert graph.to_python().count("def build_") == depth
    assert graph.diagram().dot
    assert not graph.diff(spec.model())
