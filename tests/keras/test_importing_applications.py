"""The architectures of keras.applications, imported: every layer is there again, and the outputs are the same."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import keras
import pytest

import specdsl
from tests.keras.test_importing import compare_outputs, imported, rows

pytestmark = [
    pytest.mark.keras,
    pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning"),  # Keras, when its weights are read
]

ALL = sorted(name for name, build in vars(keras.applications).items() if inspect.isfunction(build))
QUICK = ("MobileNet", "MobileNetV3Small", "VGG16")
RUN = ("ConvNeXtTiny", "EfficientNetB0", "InceptionResNetV2", "MobileNetV3Small", "NASNetMobile", "Xception")
"""Those whose outputs are compared too."""

REPLACED = {"LayerScale", "CustomScaleLayer", "Add", "Multiply", "EinsumDense", "DepthwiseConv2D", "Rescaling"}


def telling(model: keras.Model) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The rows of the layers of the table; and without their classes, those of what stands for other layers."""
    known = {operation.name for operation in model.operations} - {layer.name for layer in model.layers}
    kept = [row for row in rows(model) if row[1] not in REPLACED]
    weighed = [(name, shape, count) for name, kind, shape, count in rows(model) if kind in REPLACED and count]
    assert all(not count for name, _, _, count in rows(model) if name in known)
    return kept, weighed


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in ALL])
def test_an_application_comes_back(name: str, tmp_path: Path) -> None:
    """Name, class, shape and parameters of each layer are the same, whatever stands for a class of its own has its
    name, shape and parameters, and the totals agree."""
    keras.backend.clear_session()
    model = getattr(keras.applications, name)(weights=None)
    _, again = imported(model, tmp_path)
    assert telling(again) == telling(model)
    assert again.count_params() == model.count_params()
    assert len(again.trainable_weights) == len(model.trainable_weights)
    plain, folded = (
        specdsl.import_keras(tmp_path / "model.json", fold=fold).model().analyse().totals for fold in (False, True)
    )
    assert (folded.params, folded.layers) == (model.count_params(), plain.layers)
    if name in RUN:
        compare_outputs(model, again, unknown=64)
    keras.backend.clear_session()
