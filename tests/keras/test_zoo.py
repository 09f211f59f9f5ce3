"""The published architectures in `specs/zoo` against keras.applications: every layer's type, shape and parameters."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import keras
import numpy as np
import pytest

import specdsl
from specdsl.layers.regularization import Dropout
from specdsl.resolve import Program, train_recipe
from specdsl.source import Source
from specdsl.training import check_fit
from tests.keras.model_oracle import compare_model

pytestmark = pytest.mark.keras

ZOO = Path(__file__).parents[2] / "specs" / "zoo"
QUICK = [
    ("vgg16", "vgg16", "VGG16"),
    ("resnet50", "resnet50", "ResNet50"),
    ("densenet121", "densenet121", "DenseNet121"),
    ("mobilenet_v2", "mobilenet_v2", "MobileNetV2"),
    ("xception", "xception", "Xception"),
    ("resnet50v2", "resnet50v2", "ResNet50V2"),
    ("inception_v3", "inception_v3", "InceptionV3"),
    ("efficientnet", "efficientnet_b0", "EfficientNetB0"),
]
SLOW = [
    ("resnet50", "resnet101", "ResNet101"),
    ("resnet50", "resnet152", "ResNet152"),
    ("densenet121", "densenet169", "DenseNet169"),
    ("densenet121", "densenet201", "DenseNet201"),
    ("resnet50v2", "resnet101v2", "ResNet101V2"),
    ("resnet50v2", "resnet152v2", "ResNet152V2"),
    *(("efficientnet", f"efficientnet_b{number}", f"EfficientNetB{number}") for number in range(1, 8)),
]


@pytest.mark.parametrize(
    ("file", "model", "name"), [*QUICK, *(pytest.param(*one, marks=pytest.mark.slow) for one in SLOW)]
)
def test_published_architectures_are_those_of_keras(file: str, model: str, name: str) -> None:
    """The same layers by type, output shape and parameters, as often, and the same totals."""
    report = specdsl.load(ZOO / f"{file}.spec").model(model).report().to_dict()
    real = getattr(keras.applications, name)(weights=None)
    ours = Counter((row["type"], tuple(row["output_shape"]), row["params"]) for row in report["layers"])
    theirs = Counter((type(layer).__name__, tuple(layer.output.shape), layer.count_params()) for layer in real.layers)
    assert ours == theirs
    assert report["totals"]["params"] == real.count_params()
    trainable = sum(int(keras.ops.size(weight)) for weight in real.trainable_weights)
    assert report["totals"]["trainable"] == trainable


def test_mobilenets_of_other_widths_are_those_of_keras() -> None:
    """A parameter of the model is Keras's parameter of the same name."""
    for alpha in (0.5, 1.4):
        report = specdsl.load(ZOO / "mobilenet_v2.spec").model(alpha=alpha).report().to_dict()
        real = keras.applications.MobileNetV2(weights=None, alpha=alpha)
        assert report["totals"]["params"] == real.count_params()


def test_stochastic_depth_of_an_efficientnet_is_that_of_keras() -> None:
    """The rates of all dropouts, which no shape tells, where the depth is not B0's."""
    graph = specdsl.load(ZOO / "efficientnet.spec").model("efficientnet_b1")
    ours = [node.layer.rate for node in graph.nodes if isinstance(node.layer, Dropout)]
    real = keras.applications.EfficientNetB1(weights=None)
    theirs = [layer.rate for layer in real.layers if isinstance(layer, keras.layers.Dropout)]
    assert ours == pytest.approx(theirs)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("convnext_tiny", "ConvNeXtTiny"),
        pytest.param("convnext_small", "ConvNeXtSmall", marks=pytest.mark.slow),
        pytest.param("convnext_base", "ConvNeXtBase", marks=pytest.mark.slow),
        pytest.param("convnext_large", "ConvNeXtLarge", marks=pytest.mark.slow),
    ],
)
def test_convnexts_are_those_of_keras(model: str, name: str) -> None:
    """The same layers, as often, where Keras's own class for the layer scale is a depthwise convolution here.

    Keras nests some layers in Sequentials, adds with an operator, and has a layer in each block that does nothing.
    """
    report = specdsl.load(ZOO / "convnext.spec").model(model).report().to_dict()
    real = getattr(keras.applications, name)(weights=None)
    flat = [part for step in real.operations for part in getattr(step, "layers", [step])]
    theirs = Counter(
        (
            "DepthwiseConv2D" if type(step).__name__ == "LayerScale" else type(step).__name__,
            tuple(step.output.shape),
            step.count_params() if isinstance(step, keras.Layer) else 0,
        )
        for step in flat
        if not step.name.endswith("_identity")
    )
    assert Counter((row["type"], tuple(row["output_shape"]), row["params"]) for row in report["layers"]) == theirs
    assert report["totals"]["params"] == real.count_params()


PUBLISHED = [("mlp_mixer", "mixer_s16", 18_528_264), ("mlp_mixer", "mixer_b16", 59_880_472)]
"""Parameters of architectures that keras.applications lacks, published in millions: 18.5 and 59.9."""


@pytest.mark.parametrize(("file", "model", "params"), PUBLISHED)
def test_other_architectures_have_the_published_parameters(file: str, model: str, params: int) -> None:
    """The report and the compiled model count what was published."""
    graph = specdsl.load(ZOO / f"{file}.spec").model(model)
    assert graph.report().to_dict()["totals"]["params"] == params
    assert graph.to_keras().count_params() == params


def test_the_network_for_traffic_signs_fits_its_recipe() -> None:
    """It takes what its own data gives, tells apart as many classes, and stays below a million parameters."""
    path = ZOO / "gtsrb_champion.spec"
    graph = specdsl.load(path).model()
    recipe = train_recipe(
        Program(Source(path.name, path.read_text(encoding="utf-8"))), None, graph.input_nodes[0].shape
    )
    check_fit(graph, recipe.data)
    assert graph.to_keras().count_params() == graph.analyse().totals.params < 1_000_000


def test_the_network_for_traffic_signs_sees_dark_images_as_it_sees_bright_ones() -> None:
    """An image at a third of its contrast, and darker, gives the same probabilities."""
    model = specdsl.load(ZOO / "gtsrb_champion.spec").model().to_keras()
    bright = np.random.default_rng(0).random((4, 28, 28, 3), "float32")
    np.testing.assert_allclose(model(bright / 3 + 0.1), model(bright), atol=1e-3)
    assert not np.allclose(model(bright[::-1]), model(bright), atol=1e-3)


@pytest.mark.parametrize(
    ("file", "model", "parameters"),
    [
        ("siamese", "siamese", 38_951_745),
        ("bilstm", "bilstm", 2_757_761),
        ("transformer", "transformer", 1_380_354),
        ("transformer", "causal", 1_380_354),
    ],
)
def test_networks_of_shared_layers_sequences_and_attention(file: str, model: str, parameters: int) -> None:
    """Networks that keras.applications does not have agree layer by layer with what they compile to."""
    graph = specdsl.load(ZOO / f"{file}.spec").model(model)
    assert compare_model(graph).count_params() == parameters
