"""Image operations with numpy: what each does to an image, by hand and by the moments of many draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from specdsl.data.drawing import canvas
from specdsl.data.signs import SIGNS
from specdsl.declaration import Misuse
from specdsl.recipes import OPERATIONS, DataRecipe, Pipeline, Synthetic
from specdsl.recipes.augmentation import (
    CenterCrop,
    Clip,
    FlipLeftRight,
    FlipUpDown,
    Grayscale,
    HalfTurn,
    Normalize,
    Operation,
    Pad,
    RandomBlur,
    RandomBrightness,
    RandomContrast,
    RandomCrop,
    RandomErasing,
    RandomSaturation,
    SignFlips,
    unit_range,
)
from specdsl.recipes.augmentation.flips import EXCHANGED, MIRRORED, TURNED, UPENDED
from tests.operations import ARGUMENTS, Floats, operations, scaled, usual


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
    """Of an odd rest the smaller half comes off at the top, or on the left."""
    crops = applied(CenterCrop(height=28, width=27), places(2, 33, 32))
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


@given(
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    by=st.integers(1, 12),
    fill=st.sampled_from(["edge", "constant", "reflect"]),
    channels=st.sampled_from([1, 3]),
)
def test_padding_is_that_of_numpy(size: tuple[int, int], by: int, fill: Any, channels: int) -> None:
    """Every fill, also further than the image is wide; a crop that is as large as the padded image shows all of it."""
    images = np.random.default_rng(0).random((2, *size, channels), dtype=np.float32)
    value = {"constant_values": 0.25} if fill == "constant" else {}
    expected = np.pad(images, ((0, 0), (by, by), (by, by), (0, 0)), mode=fill, **value)
    settings = {"padding": by, "fill": fill} | ({"value": 0.25} if fill == "constant" else {})
    assert np.array_equal(applied(Pad(**settings), images), expected)
    crop = RandomCrop(height=size[0] + 2 * by, width=size[1] + 2 * by, **settings)
    assert np.array_equal(applied(crop, images, top=[0.9, 0.9], left=[0.9, 0.9]), expected)


AXES: dict[type[Operation], tuple[int, ...]] = {FlipLeftRight: (1,), FlipUpDown: (0,), HalfTurn: (0, 1)}


@pytest.mark.parametrize("flip", list(AXES))
@given(
    labels=st.lists(st.integers(0, 9), min_size=1, max_size=8),
    kinds=st.lists(st.integers(0, 9), unique=True, min_size=6, max_size=6),
    seed=st.integers(0, 99),
)
def test_swapped_classes_exchange_their_labels(
    flip: type[Operation], labels: list[int], kinds: list[int], seed: int
) -> None:
    """Two classes that stay, two pairs that exchange, and all others left alone."""
    swaps = [(kinds[2], kinds[3]), (kinds[4], kinds[5])]
    operation = flip(classes=kinds[:2], swaps=swaps, probability=0.5)
    partner = {a: a for a in kinds[:2]} | dict(swaps) | {b: a for a, b in swaps}
    images = noise(len(labels), seed)
    chance = np.random.default_rng(seed).random(len(labels), dtype=np.float32)
    given_labels = np.array(labels, np.int32)
    flipped, after = operation.apply(np, images, given_labels, {"chance": chance})
    for i, label in enumerate(labels):
        turns = label in partner and chance[i] < 0.5
        assert after[i] == (partner[label] if turns else label)
        assert np.array_equal(flipped[i], np.flip(images[i], AXES[flip]) if turns else images[i])
    assert after.dtype == np.int32


@pytest.mark.parametrize(
    ("arguments", "argument", "label"),
    [
        ({"classes": [1, 2, 1]}, "classes", 1),
        ({"classes": [1, 2], "swaps": [(2, 3)]}, "swaps", 2),
        ({"swaps": [(4, 4)]}, "swaps", 4),
        ({"swaps": [(1, 2), (2, 3)]}, "swaps", 2),
        ({"swaps": [(1, 2), (2, 1)]}, "swaps", 2),
    ],
)
@pytest.mark.parametrize("flip", ["flip_left_right", "flip_up_down", "half_turn"])
def test_a_class_is_named_once(flip: str, arguments: dict[str, Any], argument: str, label: int) -> None:
    with pytest.raises(Misuse, match=f"{flip} names class {label} twice") as error:
        OPERATIONS[flip](**arguments)
    assert error.value.argument == argument


def test_classes_must_be_those_of_the_data() -> None:
    FlipUpDown(classes=[42], swaps=[(1, 2)]).check_classes(43)
    with pytest.raises(Misuse, match="names class 43, but there are 43"):
        HalfTurn(swaps=[(1, 43)]).check_classes(43)
    SignFlips().check_classes(43)
    with pytest.raises(Misuse, match="43 classes of the German benchmark, and there are 10"):
        SignFlips().check_classes(10)


def test_the_table_of_sign_flips_is_that_of_the_drawn_signs() -> None:
    """Which faces are, flipped, the face of a class: exactly the table, but for three that are only nearest to theirs.

    Those are the 3 of 30 and the 8 of 80, whose halves are not of one size, and the three arrows of a roundabout.
    """
    faces = np.stack([canvas(paints, 48) for _, paints in SIGNS])

    def apart(axes: tuple[int, ...]) -> Floats:
        flipped = np.flip(faces, tuple(axis + 1 for axis in axes))
        return np.stack([np.abs(face - faces).mean(axis=(1, 2, 3)) for face in flipped])

    def same(distance: Floats) -> set[tuple[int, int]]:
        return {(int(a), int(b)) for a, b in np.argwhere(distance < 1e-3)}

    mirrored, upended, turned = apart((1,)), apart((0,)), apart((0, 1))
    assert same(mirrored) == {(a, a) for a in MIRRORED} | {*EXCHANGED} | {(b, a) for a, b in EXCHANGED}
    assert same(upended) == {(a, a) for a in UPENDED if a not in (1, 5)}
    both = set(MIRRORED) & set(UPENDED)  # flipped both ways, they are turned
    assert same(turned) == {(a, a) for a in {*TURNED, *both} if a != 40}
    assert upended[1].argmin() == 1
    assert upended[5].argmin() == 5
    assert turned[40].argmin() == 40


def test_normalizing_is_per_channel() -> None:
    images = noise(2)
    mean, std = np.array([0.1, 0.2, 0.3], np.float32), np.array([0.5, 1.0, 2.0], np.float32)
    after = applied(Normalize(mean=[0.1, 0.2, 0.3], std=[0.5, 1.0, 2.0]), images)
    np.testing.assert_allclose(after, (images - mean) / std, atol=1e-6)
    np.testing.assert_allclose(applied(Normalize(mean=0.5, std=0.25), images), (images - 0.5) / 0.25, atol=1e-6)
    with pytest.raises(Misuse, match="mean lists 2 numbers, but the images have 3 channels"):
        Normalize(mean=[0, 0.5], std=1.0).output_shape((4, 4, 3))
    with pytest.raises(Misuse, match="std must be above 0"):
        Normalize(mean=0.0, std=[1.0, 0.0, 1.0])


def test_what_is_normalized_in_training_is_so_in_evaluation() -> None:
    """Else a model would be tested on values of another range than those that it has learned from."""
    normal, other = Normalize(mean=0.5, std=0.25), Normalize(mean=0.4, std=0.25)
    DataRecipe(source=Synthetic(), augment=[normal], evaluate=[normal])
    for augment, evaluate in (([normal], []), ([], [normal]), ([normal], [other])):
        with pytest.raises(Misuse, match="normalize"):
            DataRecipe(source=Synthetic(), augment=augment, evaluate=evaluate)


def test_grey_is_the_luma() -> None:
    images = noise(2)
    grey = applied(Grayscale(), images)
    np.testing.assert_allclose(grey[..., 0], images @ np.array([0.299, 0.587, 0.114], np.float32), atol=1e-6)


@given(st.floats(0.1, 3), st.floats(0, 1))
def test_blur_is_the_gaussian_filter_of_scipy(lower: float, more: float) -> None:
    operation = RandomBlur(lower=lower, upper=lower + more)
    sigma = np.linspace(lower, lower + more, 3).astype(np.float32)
    images = noise(3, size=9)
    reach = int(np.ceil(3 * (lower + more)))
    blurred = applied(operation, images, sigma=sigma)
    for image, width, after in zip(images, sigma, blurred, strict=True):
        expected = ndimage.gaussian_filter(image, float(width), mode="nearest", radius=reach, axes=(0, 1))
        np.testing.assert_allclose(after, expected, atol=1e-5)


def test_erased_rectangles_are_filled_as_told() -> None:
    images = noise(2, size=8)
    draws = {"chance": [0.0, 0.9], "area": [0.25, 0.25], "shape": [0.5, 0.5], "top": [0.0, 0.0], "left": [0.99, 0.0]}
    square = {"probability": 0.5, "narrow": 1.0, "wide": 1.0}
    constant = applied(RandomErasing(**square, value=0.5), images, **draws)
    mean = applied(RandomErasing(**square, fill="mean"), images, **draws)
    random = applied(RandomErasing(**square, fill="noise"), images, **draws, seed=[0.5, 0.5])
    for after in (constant, mean, random):
        assert np.array_equal(after[1], images[1])
        changed = (after[0] != images[0]).any(axis=2)
        assert changed[:4, 4:].all()
        assert changed.sum() == 16
    assert (constant[0, :4, 4:] == 0.5).all()
    np.testing.assert_allclose(mean[0, :4, 4:], np.broadcast_to(images[0].mean(axis=(0, 1)), (4, 4, 3)), atol=1e-6)
    assert len(np.unique(random[0, :4, 4:])) == 48


def test_a_rectangle_that_never_fits_is_refused() -> None:
    with pytest.raises(Misuse, match=r"no rectangle of 0\.9 of 8x32") as error:
        RandomErasing(upper=0.9).output_shape((8, 32, 3))
    assert error.value.argument == "upper"
    RandomErasing(upper=0.9).output_shape((32, 32, 3))


@given(st.data())
def test_erasing_takes_its_area_whatever_fits(data: st.DataObject) -> None:
    """In images of any proportions height and width stay inside, and their product is the area but for rounding."""
    rows, columns = data.draw(st.tuples(st.integers(8, 40), st.integers(8, 40)))
    operation = RandomErasing(probability=1.0, lower=0.05, upper=0.2, narrow=0.2, wide=5.0, value=9.0)
    unit = data.draw(st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4))
    pipeline = Pipeline(operations=[operation])
    draws = scaled(pipeline, np.array([0.0, *unit], np.float32))
    after, _ = pipeline.apply(np, np.zeros((1, rows, columns, 1), np.float32), np.zeros(1, np.int32), draws)
    covered = after[0, ..., 0] == 9
    height, width = covered.any(axis=1).sum(), covered.any(axis=0).sum()
    assert covered.sum() == height * width
    area = float(draws[0, 1]) * rows * columns
    assert (height - 0.51) * (width - 0.51) <= area <= (height + 0.51) * (width + 0.51)


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_images_of_one_channel_are_taken_unless_colours_are_needed(name: str) -> None:
    operation = usual(name)
    if operation.colours:
        with pytest.raises(Misuse, match=f"{name} needs red, green and blue, but the images have 1 channel$"):
            operation.output_shape((12, 10, 1))
        return
    pipeline = Pipeline(operations=[operation])
    images = np.random.default_rng(0).random((6, 12, 10, 1), dtype=np.float32)
    draws = scaled(pipeline, np.full(6 * len(pipeline.draws()), 0.25))
    after, _ = pipeline.apply(np, images, np.zeros(6, np.int32), draws)
    assert after.shape[1:] == operation.output_shape((12, 10, 1))
    assert after.dtype == np.float32


@pytest.mark.parametrize("name", list(OPERATIONS))
@given(data=st.data())
def test_operations_say_their_shape_and_print_as_they_are_written(name: str, data: st.DataObject) -> None:
    operation = data.draw(operations(name))
    assert operation.output_shape((12, 10, 3))[2] == (1 if name == "grayscale" else 3)
    assert str(operation).startswith(f"{name}(")
    assert all(low <= high for low, high in operation.draws().values())


def test_every_operation_has_arguments_to_draw() -> None:
    assert set(ARGUMENTS) == set(OPERATIONS)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if "fill" in OPERATIONS[name].names()])
def test_a_value_goes_with_a_constant_fill(name: str) -> None:
    arguments = usual(name).arguments() | {"fill": "mean" if name == "random_erasing" else "edge", "value": 0.5}
    with pytest.raises(Misuse, match="which takes no value"):
        OPERATIONS[name](**arguments)
