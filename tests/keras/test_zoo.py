"""The published architectures in `specs/zoo` against keras.applications: every layer's type, shape and parameters."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import keras
import pytest

import specdsl

pytestmark = pytest.mark.keras

ZOO = Path(__file__).parents[2] / "specs" / "zoo"
QUICK = [
    ("vgg16", "vgg16", "VGG16"),
    ("resnet50", "resnet50", "ResNet50"),
    ("densenet121", "densenet121", "DenseNet121"),
    ("mobilenet_v2", "mobilenet_v2", "MobileNetV2"),
    ("xception", "xception", "Xception"),
]
SLOW = [
    ("resnet50", "resnet101", "ResNet101"),
    ("resnet50", "resnet152", "ResNet152"),
    ("densenet121", "densenet169", "DenseNet169"),
    ("densenet121", "densenet201", "DenseNet201"),
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
