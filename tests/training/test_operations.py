"""The operations on every engine's arrays, against numpy and against `tf.image`; optimizers against Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specdsl.data import load
from specdsl.recipes import OPERATIONS, Pipeline
from specdsl.recipes.augmentation import RandomPerspective, RandomRotation, RandomScale, Resize, unit_range
from specdsl.training.streams import Streams
from tests.operations import batches, operations, scaled, usual
from tests.training.models import SOURCE, data

pytestmark = pytest.mark.keras

TOLERANCE = 2e-5
"""How far the values of two namespaces may be apart: sines, powers and sums are rounded in their own ways."""


def namespaces() -> list[Any]:
    import jax.numpy
    import keras

    return [keras.ops, jax.numpy]


def check_namespaces(pipeline: Pipeline, images: Any, labels: Any, draws: Any) -> None:
    """Every namespace gives numpy's pixels and labels."""
    import keras

    expected, expected_labels = pipeline.apply(np, images, labels, draws)
    assert expected.dtype == np.float32
    assert expected.shape[1:] == pipeline.output_shape(images.shape[1:])
    for xp in namespaces():
        result, after = pipeline.apply(xp, xp.array(images), xp.array(labels), xp.array(draws))
        np.testing.assert_allclose(keras.ops.convert_to_numpy(result), expected, atol=TOLERANCE, rtol=1e-5)
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(after), expected_labels)


@pytest.mark.parametrize("name", list(OPERATIONS))
@given(st.data())
@settings(max_examples=8, deadline=None)
def test_every_engine_gives_numpys_pixels(name: str, data: st.DataObject) -> None:
    """Same draws, same pixels, for drawn arguments and drawn draws, the ends of their ranges among them."""
    pipeline = Pipeline(operations=[data.draw(operations(name))])
    check_namespaces(pipeline, *data.draw(batches(pipeline)))


def test_a_jitted_scan_gives_numpys_pixels() -> None:
    """All operations in a row can be compiled, as part of a loop over batches."""
    import jax

    pipeline = Pipeline(operations=[usual(name) for name in OPERATIONS if name != "grayscale"])
    rng = np.random.default_rng(2)
    images = rng.random((3, 16, 12, 10, 3), dtype=np.float32)
    labels = rng.integers(0, 43, (3, 16)).astype(np.int32)
    draws = np.stack([scaled(pipeline, rng.random((16, len(pipeline.draws())), dtype=np.float32)) for _ in range(3)])

    def step(carry: Any, batch: Any) -> Any:
        return carry, pipeline.apply(jax.numpy, *batch)

    _, (result, after) = jax.jit(lambda *batches: jax.lax.scan(step, 0, batches))(images, labels, draws)
    for i in range(3):
        expected, expected_labels = pipeline.apply(np, images[i], labels[i], draws[i])
        np.testing.assert_allclose(result[i], expected, atol=1e-4)
        np.testing.assert_array_equal(after[i], expected_labels)


@pytest.mark.parametrize(
    ("name", "oracle", "draw"),
    [
        ("random_brightness", "adjust_brightness", "delta"),
        ("random_saturation", "adjust_saturation", "factor"),
        ("random_contrast", "adjust_contrast", "factor"),
        ("random_hue", "adjust_hue", "delta"),
        ("random_gamma", "adjust_gamma", "factor"),
    ],
)
@given(st.data())
@settings(max_examples=6, deadline=None)
def test_colour_operations_are_those_of_tf_image(name: str, oracle: str, draw: str, data: st.DataObject) -> None:
    import tensorflow as tf

    operation = data.draw(operations(name))
    images, labels, draws = data.draw(batches(Pipeline(operations=[operation])))
    if name == "random_gamma":  # tf.image makes no numbers of negative values
        images = np.clip(images, 0, 1)
    result, _ = operation.apply(np, images, labels, {draw: draws[:, 0]})
    adjust = getattr(tf.image, oracle)
    for image, number, after in zip(images, draws[:, 0], result, strict=True):
        np.testing.assert_allclose(after, adjust(image, float(number)).numpy(), atol=TOLERANCE, rtol=1e-5)


@pytest.mark.parametrize(("fill", "mode"), [("edge", "nearest"), ("constant", "constant")])
def test_rotation_and_scale_are_those_of_keras(fill: str, mode: str) -> None:
    """As `keras.ops.image.affine_transform` has them, which counts places from the first pixel, columns first."""
    import keras

    pipeline = Pipeline(
        operations=[RandomScale(lower=0.7, upper=1.5, fill=fill), RandomRotation(degrees=90, fill=fill)]
    )
    rng = np.random.default_rng(5)
    images = rng.random((8, 12, 10, 3), dtype=np.float32)
    draws = scaled(pipeline, rng.random((8, 2), dtype=np.float32))
    ours, _ = pipeline.apply(np, images, np.zeros(8, np.int32), draws)
    factor, angle = draws[:, 0], np.radians(draws[:, 1])
    cosine, sine = np.cos(angle) / factor, np.sin(angle) / factor
    x, y = (10 - 1) / 2, (12 - 1) / 2
    none = np.zeros(8, np.float32)
    back = np.stack(
        [cosine, -sine, x - cosine * x + sine * y, sine, cosine, y - sine * x - cosine * y, none, none], axis=1
    )
    theirs = keras.ops.image.affine_transform(images, back.astype(np.float32), fill_mode=mode)
    np.testing.assert_allclose(ours, keras.ops.convert_to_numpy(theirs), atol=2e-5)


@pytest.mark.parametrize("distortion", [0.3, 0.6])
def test_perspectives_are_those_of_keras(distortion: float) -> None:
    """As `keras.ops.image.perspective_transform` takes corners, columns first and counted from the first pixel."""
    import keras

    operation = RandomPerspective(distortion=distortion, probability=1, fill="constant")
    pipeline = Pipeline(operations=[operation])
    images = np.random.default_rng(5).random((8, 12, 10, 3), dtype=np.float32)
    draws = scaled(pipeline, np.random.default_rng(6).random((8, 9), dtype=np.float32))
    ours, _ = pipeline.apply(np, images, np.zeros(8, np.int32), draws)
    half = np.array([10, 12], np.float32) / 2
    corners = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]], np.float32) * half
    inwards = 1 - draws[:, 1:].reshape(8, 4, 2)[:, :, ::-1]
    begin, end = np.broadcast_to(corners, (8, 4, 2)) + half - 0.5, corners * inwards + half - 0.5
    theirs = keras.ops.image.perspective_transform(images, begin, end)
    np.testing.assert_allclose(ours, keras.ops.convert_to_numpy(theirs), atol=1e-4)


def test_sizes_are_those_of_jax_and_tf_image() -> None:
    """Larger and smaller, with `antialias` and without it."""
    import jax
    import tensorflow as tf

    images = np.random.default_rng(5).random((2, 12, 10, 3), dtype=np.float32)
    for size in ((25, 3), (5, 16)):
        for method, antialias in (("bilinear", True), ("bilinear", False), ("nearest", False)):
            operation = Resize(height=size[0], width=size[1], method=method, antialias=antialias)
            ours, _ = operation.apply(np, images, np.zeros(2, np.int32), {})
            for theirs in (
                jax.image.resize(images, (2, *size, 3), method, antialias=antialias),
                tf.image.resize(images, size, method, antialias=antialias),
            ):
                np.testing.assert_allclose(ours, np.asarray(theirs), atol=2e-5, err_msg=f"{operation}")


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


def test_feeds_take_every_operation() -> None:
    """Also inside of a graph of TensorFlow, where fewer kernels exist than outside."""
    from specdsl.training import feed_numpy, feed_tensorflow

    pipeline = Pipeline(operations=[usual(name) for name in OPERATIONS if name != "grayscale"])
    examples = load(SOURCE).train
    feeds = [module.Feed(examples, pipeline, 100, Streams(3, 1)) for module in (feed_numpy, feed_tensorflow)]
    for feed in feeds:
        feed.epoch(0)
    ours, theirs = ([(np.asarray(x), np.asarray(y)) for x, y in feed.batches] for feed in feeds)
    for (x, y), (other_x, other_y) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(y, other_y)
        np.testing.assert_allclose(x, other_x, atol=1e-4)


def test_feeds_without_streams_keep_the_order() -> None:
    from specdsl.training import feed_tensorflow

    images = load(SOURCE).test
    feed = feed_tensorflow.Feed(images, data().evaluate, 50)
    feed.epoch(3)
    pixels = np.concatenate([np.asarray(x) for x, _ in feed.batches])
    np.testing.assert_allclose(pixels, unit_range(np, images.x)[:, 2:14, 2:14], atol=1e-7)
