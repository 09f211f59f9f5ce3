"""The operations on every engine's arrays, against numpy and against `tf.image`; optimizers against Keras."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from specdsl.data import load
from specdsl.recipes import OPERATIONS, OPTIMIZERS, Pipeline
from specdsl.recipes.augmentation import Operation, unit_range
from specdsl.training.streams import Streams
from tests.training.models import SOURCE, data

pytestmark = pytest.mark.keras

SETTINGS: dict[str, dict[str, Any]] = {
    "random_crop": {"height": 9, "width": 7},
    "center_crop": {"height": 9, "width": 6},
    "flip_left_right": {"classes": [0, 3]},
    "random_brightness": {"max_delta": 0.3},
    "random_saturation": {"lower": 0.0, "upper": 3.0},
    "random_contrast": {"lower": 0.2, "upper": 2.0},
    "clip": {},
}


def sample(operation: Operation, count: int = 50) -> tuple[Any, Any, Any]:
    """Images that leave [0, 1] on both sides and hold grey and black ones, labels, draws."""
    rng = np.random.default_rng(4)
    images = rng.uniform(-0.3, 1.3, (count, 12, 10, 3)).astype(np.float32)
    images[0], images[1] = 0.0, 0.4
    return images, np.arange(count, dtype=np.int32) % 5, Streams(1, 1).draws(0, count, Pipeline(operations=[operation]))


def namespaces() -> list[tuple[str, Any]]:
    import jax.numpy
    import keras

    return [("keras.ops", keras.ops), ("jax.numpy", jax.numpy)]


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_every_engine_gives_numpys_pixels(name: str) -> None:
    """Same draws, same pixels: exactly but for the order of sums in a mean."""
    import keras

    operation = OPERATIONS[name](**SETTINGS[name])
    images, labels, draws = sample(operation)
    pipeline = Pipeline(operations=[operation])
    expected, expected_labels = pipeline.apply(np, images, labels, draws)
    assert expected.dtype == np.float32
    for _, xp in namespaces():
        result, after = pipeline.apply(xp, xp.array(images), xp.array(labels), xp.array(draws))
        np.testing.assert_allclose(keras.ops.convert_to_numpy(result), expected, atol=2e-6)
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(after), expected_labels)


@pytest.mark.parametrize(
    ("name", "oracle"), [("random_saturation", "adjust_saturation"), ("random_contrast", "adjust_contrast")]
)
def test_colour_operations_are_those_of_tf_image(name: str, oracle: str) -> None:
    import tensorflow as tf

    operation = OPERATIONS[name](**SETTINGS[name])
    images, labels, draws = sample(operation)
    result, _ = operation.apply(np, images, labels, {"factor": draws[:, 0]})
    adjust: Callable[..., Any] = getattr(tf.image, oracle)
    for image, factor, after in zip(images, draws[:, 0], result, strict=True):
        np.testing.assert_allclose(after, adjust(image, float(factor)).numpy(), atol=3e-6)


def test_feeds_of_all_engines_give_the_same_epochs() -> None:
    """The same images in the same order with the same pixels, every one once, and other ones in the next epoch."""
    from specdsl.training import feed_numpy, feed_tensorflow

    images = load(SOURCE).train
    feeds = [module.Feed(images, data().augment, 100, Streams(7, 2)) for module in (feed_numpy, feed_tensorflow)]
    seen = []
    for epoch in (0, 1, 0):
        for feed in feeds:
            feed.epoch(epoch)
        ours, theirs = ([(np.asarray(x), np.asarray(y)) for x, y in feed.batches] for feed in feeds)
        assert [len(labels) for _, labels in ours] == [100, 100, 58]
        for (x, y), (other_x, other_y) in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(y, other_y)
            np.testing.assert_allclose(x, other_x, atol=1e-6)
        labels = np.concatenate([y for _, y in ours])
        np.testing.assert_array_equal(np.sort(labels), np.sort(images.y))
        seen.append(ours[0])
    np.testing.assert_array_equal(seen[0][0], seen[2][0])
    assert (seen[0][1] != seen[1][1]).any()


def test_feeds_without_streams_keep_the_order() -> None:
    from specdsl.training import feed_tensorflow

    images = load(SOURCE).test
    feed = feed_tensorflow.Feed(images, data().evaluate, 50)
    feed.epoch(3)
    pixels = np.concatenate([np.asarray(x) for x, _ in feed.batches])
    np.testing.assert_allclose(pixels, unit_range(np, images.x)[:, 2:14, 2:14], atol=1e-7)


def test_optimizers_are_those_of_keras_with_its_arguments_and_defaults() -> None:
    """All but those that wrap other optimizers; positional arguments stand in Keras's order."""
    import keras

    found = {
        name
        for name, kind in vars(keras.optimizers).items()
        if isinstance(kind, type) and issubclass(kind, keras.optimizers.Optimizer)
    }
    assert found - {"Optimizer", "LossScaleOptimizer", "MultiOptimizer"} == set(OPTIMIZERS)
    for name, declared in OPTIMIZERS.items():
        parameters = {
            key: parameter.default
            for key, parameter in inspect.signature(getattr(keras.optimizers, name)).parameters.items()
            if parameter.kind is not parameter.VAR_KEYWORD
        }
        assert declared().configuration() == parameters, name
        assert declared.positional() == tuple(parameters)[: len(declared.positional())], name
        getattr(keras.optimizers, name)(**declared().configuration())
