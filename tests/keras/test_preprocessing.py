"""Preprocessing and augmentation, run on numbers: they do what the table says of training and of inference."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import specdsl
from specdsl.backends.keras_model import keras_layer
from specdsl.layers import LAYERS, Layer
from specdsl.layers.augmentation import Augmentation
from specdsl.layers.colours import Equalization
from specdsl.layers.pipeline import Pipeline
from tests.keras.oracle import compare, run
from tests.strategies import Call

pytestmark = [
    pytest.mark.keras,
    pytest.mark.filterwarnings("ignore::UserWarning:keras"),
]

ARGUMENTS: dict[str, dict[str, Any]] = {
    "RandomColorJitter": {"brightness_factor": 0.5},
    "RandomCrop": {"height": 4, "width": 4},
    "RandomPosterization": {"factor": 1},
    "RandomRotation": {"factor": 0.2},
    "RandomShear": {"x_factor": (0.1, 0.5)},
    "RandomTranslation": {"height_factor": 0.5, "width_factor": 0.5},
    "RandomZoom": {"height_factor": 0.5},
}
"""What makes an augmentation do something."""

AUGMENTATIONS = [kind for kind in LAYERS.values() if issubclass(kind, Augmentation)]


def images(number: int, *shape: int, greatest: float = 255.0) -> Any:
    return np.random.default_rng(0).random((number, *(shape or (6, 5, 3))), "float32") * greatest


def made(layer: Layer, entering: Any, training: bool = True) -> Any:
    """What the real layer makes of images."""
    return np.asarray(keras_layer(layer)(entering, training=training))


@pytest.mark.parametrize("kind", AUGMENTATIONS, ids=lambda kind: kind.__name__)
def test_an_augmentation_acts_in_training_alone(kind: type[Layer]) -> None:
    """With as many images none of them stays as it is by chance alone; what is drawn once for all is drawn the same."""
    keras.utils.set_random_seed(1)
    arguments = ARGUMENTS.get(kind.__name__, {"factor": 0.9} if "factor" in kind.required() else {})
    entering = images(32, greatest=1.0 if kind.__name__ == "RandomSaturation" else 255.0)
    layer = kind(**arguments)
    assert layer.modes() is not None
    np.testing.assert_allclose(made(layer, entering, training=False), entering)
    varied = made(layer, entering)
    assert varied.shape != entering.shape or not np.allclose(varied, entering)


def test_a_jitter_without_factors_does_nothing() -> None:
    jitter = LAYERS["RandomColorJitter"]()
    assert jitter.modes() is None
    np.testing.assert_array_equal(made(jitter, images(4)), images(4))


def test_brightness_is_added_as_the_report_says() -> None:
    layer = LAYERS["RandomBrightness"](factor=0.2, value_range=(-1000, 1255), seed=1)
    added = made(layer, images(300)) - images(300)
    each = added.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(added, np.broadcast_to(each[:, None, None, None], added.shape), atol=1e-2)
    greatest = 0.2 * 2255
    assert f"{-greatest:.4g} to {greatest:.4g}" in layer.modes().training
    assert 0.9 * greatest < each.max() <= greatest
    assert -greatest <= each.min() < -0.9 * greatest


def test_a_single_factor_of_contrast_only_adds_to_it() -> None:
    layer = LAYERS["RandomContrast"](factor=0.5, value_range=(-1000, 1000), seed=1)
    before, after = images(200), made(layer, images(200))
    factors = after.std(axis=(1, 2, 3)) / before.std(axis=(1, 2, 3))
    assert "by 1 to 1.5" in layer.modes().training
    assert 0.99 < factors.min() < 1.1
    assert 1.4 < factors.max() < 1.51


def test_both_axes_are_flipped_at_once() -> None:
    before, after = images(64), made(LAYERS["RandomFlip"](seed=1), images(64))
    turned = [np.allclose(one, other[::-1, ::-1]) for one, other in zip(after, before, strict=True)]
    same = [np.allclose(one, other) for one, other in zip(after, before, strict=True)]
    assert all(a != b for a, b in zip(turned, same, strict=True))
    assert 16 < sum(turned) < 48


@pytest.mark.parametrize(
    ("layer", "probability"),
    [
        (LAYERS["RandomInvert"](seed=1), 0.5),
        (LAYERS["RandomInvert"](factor=(0.5, 1), seed=1), 0.75),
        (LAYERS["RandomGrayscale"](factor=0.25, seed=1), 0.25),
        (LAYERS["RandomErasing"](fill_value=0, seed=1), 0.5),
        (LAYERS["RandomGaussianBlur"](factor=0.6, seed=1), 0.3),
    ],
    ids=str,
)
def test_things_happen_as_often_as_the_report_says(layer: Layer, probability: float) -> None:
    """Where a probability is itself drawn, it is the mean of what it is drawn from."""
    modes = layer.modes()
    assert modes is not None
    assert f"with probability {probability:.4g}" in modes.training
    before = images(800, 12, 12, 3)
    changed = [not np.allclose(*pair) for pair in zip(before, made(layer, before), strict=True)]
    assert abs(np.mean(changed) - probability) < 0.08


def test_posterization_leaves_as_many_bits_as_the_report_says() -> None:
    layer = LAYERS["RandomPosterization"](factor=4, seed=1)
    assert "leaves 1 to 3 of 8 bits" in layer.modes().training
    after = made(layer, images(64)).astype(int)
    bits = {min(bit for bit in range(1, 9) if not np.any(one % 2 ** (8 - bit))) for one in after}
    assert bits == {1, 2, 3}


def test_solarization_inverts_from_a_threshold_on() -> None:
    layer = LAYERS["Solarization"](threshold_factor=(0, 0.4), seed=1)
    before, after = images(64), made(layer, images(64))
    inverted = np.isclose(after, 255 - before, atol=1e-2)
    assert "not below 0 to 102" in layer.modes().training
    assert inverted[before > 103].all()
    assert np.isclose(after[~inverted], before[~inverted], atol=1e-2).all()


def test_a_crop_is_at_one_place_for_a_batch_and_in_training_alone() -> None:
    """In inference Keras leaves images as they are, whatever shape it infers; `training=true` cuts always."""
    layer = LAYERS["RandomCrop"](height=3, width=2, seed=1)
    before = images(8)
    assert made(layer, before, training=False).shape == before.shape
    cut = made(layer, before)
    places = [
        (row, column)
        for row in range(4)
        for column in range(4)
        if np.allclose(before[:, row : row + 3, column : column + 2], cut)
    ]
    assert len(places) == 1
    assert compare(Call(type(layer), {"height": 3, "width": 2}, ((6, 5, 3),), {"training": True})) == "accepted"
    assert compare(Call(type(layer), {"height": 3, "width": 2}, ((6, 5, 3),))) == "stricter"
    text = "model m { input x: (6, 5, 3); RandomCrop(3, 2, training=true) }"
    model = specdsl.loads(text).model().to_keras()
    assert model.predict(before, verbose=0).shape == (8, 3, 2, 3)


def test_keras_leaves_an_equalization_out_that_a_pipeline_keeps() -> None:
    """Why an Equalization cannot be a step: a functional model skips it; one in a Pipeline acts."""
    entering = keras.Input((6, 5, 3))
    with pytest.raises(ValueError, match="is part of a cycle"):
        keras.Model(entering, keras.layers.Equalization()(entering))
    model = specdsl.loads("model m { input x: (6, 5, 3); Pipeline([Equalization()]) }").model().to_keras()
    assert not np.allclose(model(images(4), training=True), images(4))
    np.testing.assert_allclose(model(images(4), training=False), images(4))


def test_layers_of_one_class_in_a_pipeline_have_names_of_their_own() -> None:
    dense = LAYERS["Dense"]
    layer = Pipeline(layers=(dense(units=3), Equalization(), dense(units=2), Pipeline(layers=(dense(units=4),))))
    names = [weight.name for weight in layer.weights((5, 5, 3))]
    assert names[::2] == ["dense/kernel", "dense_1/kernel", "pipeline/dense/kernel"]
    assert compare(Call(Pipeline, layer.arguments(), ((5, 5, 3),))) == "accepted"


def test_words_have_the_places_that_the_documents_say() -> None:
    """In sequences, 0 stands for nothing and 1 for what is unknown; in vectors, the first place is for that."""
    words = ("red", "green")
    texts = tf.constant([["Red, green!"], ["blue"]])
    layer = LAYERS["TextVectorization"](vocabulary=words, output_sequence_length=3)
    np.testing.assert_array_equal(keras_layer(layer)(texts), [[2, 3, 0], [1, 0, 0]])
    layer = LAYERS["TextVectorization"](vocabulary=words, output_mode="count")
    np.testing.assert_array_equal(keras_layer(layer)(tf.constant(["red green red", "blue"])), [[0, 2, 1], [1, 0, 0]])
    masked = LAYERS["StringLookup"](vocabulary=words, mask_token="")
    np.testing.assert_array_equal(keras_layer(masked)(tf.constant([["", "blue", "red"]])), [[0, 1, 2]])
    bins = LAYERS["Discretization"](bin_boundaries=(0, 1))
    assert [int(place) for place in run(Call(type(bins), bins.arguments(), ((),)))[0]] == [1, 1]
