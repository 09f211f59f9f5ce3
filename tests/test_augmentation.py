"""Image operations with numpy: what each does to an image, by hand and by the moments of many draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from specdsl.declaration import Misuse
from specdsl.recipes import OPERATIONS, Pipeline
from specdsl.recipes.augmentation import (
    CenterCrop,
    Clip,
    FlipLeftRight,
    Operation,
    RandomBrightness,
    RandomContrast,
    RandomCrop,
    RandomSaturation,
    unit_range,
)

Floats = NDArray[np.float32]


def applied(operation: Operation, images: Floats, labels: Any = None, **draws: Any) -> Floats:
    """One operation by numpy with the given draws."""
    labels = np.zeros(len(images), np.int32) if labels is None else np.asarray(labels, np.int32)
    given = {name: np.asarray(values, np.float32) for name, values in draws.items()}
    result, after = operation.apply(np, images, labels, given)
    assert np.array_equal(after, labels)
    assert result.dtype == np.float32
    assert result.shape[1:] == operation.output_shape(images.shape[1:])  # type: ignore[arg-type]
    return result  # type: ignore[no-any-return]


def places(count: int, height: int, width: int) -> Floats:
    """Images whose channels say where a pixel was: its row, its column, and the image's number."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    images = np.stack([np.stack([rows, columns, np.full_like(rows, i)], axis=-1) for i in range(count)])
    return images.astype(np.float32)


def noise(count: int, seed: int = 0, size: int = 6) -> Floats:
    return np.random.default_rng(seed).random((count, size, size, 3), dtype=np.float32)


@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    cut=st.tuples(st.integers(0, 8), st.integers(0, 8)),
    units=st.lists(st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)), min_size=1, max_size=5),
)
def test_random_crop_cuts_the_drawn_window_of_each_image(
    size: tuple[int, int], cut: tuple[int, int], units: list[tuple[float, float]]
) -> None:
    """Whole windows, inside the image, at each image's own floor(u (H - h + 1)); a draw of 1 is the last position."""
    height, width = max(1, size[0] - cut[0]), max(1, size[1] - cut[1])
    top, left = zip(*units, strict=True)
    crops = applied(RandomCrop(height=height, width=width), places(len(units), *size), top=top, left=left)
    for i, (u, v) in enumerate(units):
        first = min(int(np.float32(u) * (size[0] - height + 1)), size[0] - height)
        second = min(int(np.float32(v) * (size[1] - width + 1)), size[1] - width)
        assert np.array_equal(
            crops[i, ..., 0], np.broadcast_to(np.arange(first, first + height)[:, None], (height, width))
        )
        assert np.array_equal(crops[i, ..., 1], np.broadcast_to(np.arange(second, second + width), (height, width)))
        assert (crops[i, ..., 2] == i).all()


def test_random_crop_is_uniform_over_all_positions() -> None:
    """Each of 25 positions about equally often, and rows and columns independent."""
    count = 20_000
    units = np.random.default_rng(1).random((2, count), dtype=np.float32)
    crops = applied(RandomCrop(height=2, width=2), places(count, 6, 6), top=units[0], left=units[1])
    hits = np.zeros((5, 5), int)
    np.add.at(hits, (crops[:, 0, 0, 0].astype(int), crops[:, 0, 0, 1].astype(int)), 1)
    # Chi-square with 24 degrees of freedom: 51.2 is passed once in a thousand.
    assert ((hits - count / 25) ** 2 / (count / 25)).sum() < 51.2


def test_center_crop_cuts_the_middle() -> None:
    crops = applied(CenterCrop(height=28, width=27), places(2, 32, 32))
    assert crops[1, 0, 0].tolist() == [2, 2, 1]
    assert crops[1, -1, -1].tolist() == [29, 28, 1]


@pytest.mark.parametrize("name", ["random_crop", "center_crop"])
def test_a_crop_larger_than_the_image_is_refused_with_both_sizes(name: str) -> None:
    with pytest.raises(Misuse, match=r"width of 33.*32x32") as error:
        OPERATIONS[name](height=32, width=33).output_shape((32, 32, 3))
    assert error.value.argument == "width"


@given(
    labels=st.lists(st.integers(0, 42), min_size=1, max_size=8),
    classes=st.sets(st.integers(0, 42), max_size=8),
    seed=st.integers(0, 99),
)
def test_only_listed_classes_flip(labels: list[int], classes: set[int], seed: int) -> None:
    images = noise(len(labels), seed)
    chance = np.random.default_rng(seed).random(len(labels), dtype=np.float32)
    flipped = applied(FlipLeftRight(classes=sorted(classes)), images, labels, chance=chance)
    for i, label in enumerate(labels):
        expected = images[i, :, ::-1] if label in classes and chance[i] < 0.5 else images[i]
        assert np.array_equal(flipped[i], expected)


def test_without_a_list_every_class_may_flip_with_the_probability() -> None:
    images = noise(3)
    flipped = applied(FlipLeftRight(probability=0.3), images, [1, 2, 3], chance=[0.29, 0.3, 0.9])
    assert np.array_equal(flipped[0], images[0, :, ::-1])
    assert np.array_equal(flipped[1:], images[1:])


def test_brightness_adds_each_images_own_number() -> None:
    images = noise(2)
    assert np.array_equal(
        applied(RandomBrightness(max_delta=0.5), images, delta=[0.25, -0.5]),
        images + np.array([0.25, -0.5], np.float32)[:, None, None, None],
    )


def test_contrast_scales_about_the_mean_of_each_channel() -> None:
    images = noise(2)
    after = applied(RandomContrast(lower=0, upper=2), images, factor=[0, 2])
    mean = images.mean(axis=(1, 2))
    assert np.allclose(after[0], mean[0], atol=1e-6)
    assert np.allclose(after.mean(axis=(1, 2)), mean, atol=1e-6)
    assert np.allclose(after[1].std(axis=(0, 1)), 2 * images[1].std(axis=(0, 1)), atol=1e-6)


def test_saturation_keeps_hue_and_value() -> None:
    """Factor 0 is grey at the maximum, factor 1 changes nothing, a large one stops at full saturation."""
    images = noise(3)
    after = applied(RandomSaturation(lower=0, upper=1000), images, factor=[0, 1, 1000])
    value = images.max(axis=3)
    assert np.allclose(after.max(axis=3), value, atol=1e-6)
    assert np.allclose(after[0], value[0][..., None])
    assert np.allclose(after[1], images[1], atol=1e-6)
    assert np.allclose(after[2].min(axis=2), 0, atol=1e-6)


def test_saturation_of_grey_and_black_is_defined() -> None:
    images = np.stack([np.full((2, 2, 3), value, np.float32) for value in (0.0, 0.5, -0.25)])
    assert np.array_equal(applied(RandomSaturation(lower=2, upper=2), images, factor=[2, 2, 2]), images)


def test_clip_limits_values() -> None:
    assert applied(Clip(low=0.2, high=0.4), noise(1)).min() == np.float32(0.2)
    assert applied(Clip(), noise(1) * 3 - 1).max() == 1


def test_bytes_become_the_unit_range() -> None:
    assert unit_range(np, np.array([0, 51, 255], np.uint8)).tolist() == pytest.approx([0, 0.2, 1])


def test_a_pipeline_gives_each_operation_its_own_columns() -> None:
    pipeline = Pipeline(operations=[RandomCrop(height=4, width=4), RandomBrightness(max_delta=0.5), Clip()])
    assert len(pipeline) == 3
    assert pipeline.draws() == ((0, 1), (0, 1), (-0.5, 0.5))
    images = noise(2)
    draws = np.array([[0, 0.99, 0.125], [0.99, 0, -0.125]], np.float32)
    after, _ = pipeline.apply(np, images, np.zeros(2, np.int32), draws)
    assert np.array_equal(after[0], np.clip(images[0, :4, 2:] + np.float32(0.125), 0, 1))
    assert np.array_equal(after[1], np.clip(images[1, 2:, :4] - np.float32(0.125), 0, 1))
