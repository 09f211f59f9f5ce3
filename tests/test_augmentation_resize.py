"""Images of another size: as Pillow and scipy scale them, and what sizes a model is told of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from specdsl.declaration import Misuse
from specdsl.recipes import DataRecipe, Pipeline
from specdsl.recipes.augmentation import CenterCrop, Grayscale, Pad, RandomCrop, Resize
from tests.operations import Floats

SIZE = st.integers(1, 40)


def resized(operation: Resize, image: Floats) -> Floats:
    after, _ = operation.apply(np, image[None], np.zeros(1, np.int32), {})
    assert after.dtype == np.float32
    assert after.shape[1:] == operation.output_shape((*image.shape[:2], image.shape[2]))
    return np.asarray(after[0])


def noise(rows: int, columns: int, channels: int = 1) -> Floats:
    return np.random.default_rng(rows * 41 + columns).random((rows, columns, channels), dtype=np.float32)


@given(st.tuples(SIZE, SIZE), st.tuples(SIZE, SIZE))
@settings(max_examples=50)
def test_sizes_are_those_of_pillow_and_scipy(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    """Pillow's filter is as wide as what a new pixel stands for: `antialias`. Without, scipy interpolates at places."""
    image = noise(*size)
    new = {"height": wanted[0], "width": wanted[1]}
    pillow = Image.fromarray(image[..., 0])
    smooth = np.asarray(pillow.resize(wanted[::-1], Image.Resampling.BILINEAR))
    np.testing.assert_allclose(resized(Resize(**new), image)[..., 0], smooth, atol=2e-6)
    nearest = np.asarray(pillow.resize(wanted[::-1], Image.Resampling.NEAREST))
    clear = np.ix_(*((2 * np.arange(n) + 1) * old % (2 * n) != 0 for old, n in zip(size, wanted, strict=True)))
    ours = resized(Resize(**new, method="nearest"), image)[..., 0]
    assert np.array_equal(ours[clear], nearest[clear])  # where two are as near, Pillow's rounding decides
    axes = [(np.arange(n) + 0.5) * old / n - 0.5 for old, n in zip(size, wanted, strict=True)]
    places = np.meshgrid(*axes, indexing="ij")
    rough = ndimage.map_coordinates(image[..., 0].astype(np.float64), places, order=1, mode="nearest")
    np.testing.assert_allclose(resized(Resize(**new, antialias=False), image)[..., 0], rough, atol=2e-6)


def test_antialias_makes_grey_of_stripes() -> None:
    """White at even columns of 16: at half the width one of each pair is nearest, the later one."""
    stripes = np.zeros((8, 16, 3), np.float32)
    stripes[:, ::2] = 1
    np.testing.assert_allclose(resized(Resize(height=8, width=8), stripes)[:, 1:-1], 0.5, atol=1e-6)
    assert (resized(Resize(height=8, width=8, method="nearest"), stripes) == 0).all()
    rough = resized(Resize(height=8, width=3, antialias=False), stripes)  # at 2 1/6, 7 1/2 and 12 5/6
    np.testing.assert_allclose(rough[0, :, 0], [5 / 6, 1 / 2, 1 / 6], atol=1e-6)


@pytest.mark.parametrize("method", ["bilinear", "nearest"])
def test_the_same_size_is_the_same_image_and_one_pixel_fills_any(method: str) -> None:
    image = noise(5, 7, 3)
    assert np.array_equal(resized(Resize(height=5, width=7, method=method), image), image)
    dot = np.full((1, 1, 2), 0.3, np.float32)
    assert (resized(Resize(height=4, width=3, method=method), dot) == np.float32(0.3)).all()


def test_a_model_is_told_the_new_size() -> None:
    """Also of data whose shape only loading tells; training and evaluation must end alike."""
    smaller = Resize(height=28, width=28)
    data = DataRecipe(augment=[RandomCrop(height=30, width=30), smaller], evaluate=[smaller])
    assert data.shape_after((32, 32, 3)) == (28, 28, 3)
    with pytest.raises(Misuse, match=r"augment ends with images of \(28, 28, 3\)") as error:
        DataRecipe(augment=[smaller])
    assert error.value.help == "end evaluate with resize(28, 28)"
    with pytest.raises(Misuse, match=r"augment ends with images of \(28, 28, 3\)") as error:
        DataRecipe(augment=[CenterCrop(height=28, width=28)])
    assert error.value.help == "end evaluate with center_crop(28, 28)"
    with pytest.raises(Misuse, match=r"augment ends with images of \(40, 40, 3\)") as error:
        DataRecipe(augment=[Pad(padding=4)])
    assert error.value.help == "end evaluate with resize(40, 40)"
    with pytest.raises(Misuse, match=r"augment ends with images of \(32, 32, 1\)") as error:
        DataRecipe(augment=[Grayscale()])
    assert error.value.help == "grayscale in both alike"
    assert Pipeline(operations=[Resize(height=64, width=48)]).output_shape((10, 300, 1)) == (64, 48, 1)
