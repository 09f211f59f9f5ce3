"""Augmented images over thousands of draws have the distributions that the documentation states.

What was drawn is read off the images again, and compared with the stated distribution by the test of Kolmogorov and
Smirnov, or of chi-square for counts. Streams are fixed, so that a test that passes goes on passing.
"""

from __future__ import annotations

from colorsys import hsv_to_rgb, rgb_to_hsv
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from specdsl.recipes import OPERATIONS, Operation, Pipeline, Views
from specdsl.recipes.augmentation import (
    CenterCrop,
    FlipLeftRight,
    FlipUpDown,
    HalfTurn,
    RandomAffine,
    RandomBrightness,
    RandomContrast,
    RandomCrop,
    RandomErasing,
    RandomGamma,
    RandomGrayscale,
    RandomHue,
    RandomNoise,
    RandomPerspective,
    RandomRotation,
    RandomSaturation,
    RandomScale,
    RandomShear,
    RandomTranslation,
    SignFlips,
)
from specdsl.training.streams import Streams, view_draws
from tests.operations import Floats

COUNT = 20_000
LEAST = 1e-3
"""The probability of what is refused: of a true distribution once in a thousand streams."""


def augmented(operation: Operation, image: Floats, count: int = COUNT, label: int = 0) -> tuple[Floats, Any]:
    """One image `count` times after an operation with draws of a trial, and the labels."""
    pipeline = Pipeline(operations=[operation])
    images = np.repeat(image[None].astype(np.float32), count, axis=0)
    draws = Streams(11, 1).draws(0, count, pipeline)
    result: tuple[Any, Any] = pipeline.apply(np, images, np.full(count, label, np.int32), draws)
    return result


def check_uniform(values: NDArray[Any], low: float, high: float) -> None:
    """Values are uniform on [low, high]: in distribution, in mean and variance to four errors, up to the ends."""
    assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > LEAST
    width = high - low
    # That none of n values falls into a part p at an end has the probability exp(-n p).
    assert -1e-3 * width < values.min() - low < width * 10 / len(values) + 1e-5
    assert -1e-3 * width < high - values.max() < width * 10 / len(values) + 1e-5
    assert abs(values.mean() - (low + high) / 2) < 4 * width / np.sqrt(12 * len(values))
    # The fourth central moment of a uniform distribution is width^4 / 80.
    error = np.sqrt((width**4 / 80 - width**4 / 144) / len(values))
    assert abs(values.var() - width**2 / 12) < 4 * error


def check_frequency(hits: int, count: int, probability: float) -> None:
    assert stats.binomtest(hits, count, probability).pvalue > LEAST


SIZE = 13


def ramp(size: int = SIZE) -> Floats:
    """An image whose two channels say where a pixel was: pixels from the centre, downwards and to the right."""
    axis = np.arange(size, dtype=np.float32) - (size - 1) / 2
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)


def slopes(images: Floats) -> dict[str, NDArray[np.float64]]:
    """The affine map of each image made from a ramp, backwards, from its middle, where nothing is filled in."""
    images = images.astype(np.float64)
    middle = images.shape[1] // 2
    down = (images[:, middle + 2, middle] - images[:, middle - 2, middle]) / 4
    right = (images[:, middle, middle + 2] - images[:, middle, middle - 2]) / 4
    return {"a": down[:, 0], "c": down[:, 1], "b": right[:, 0], "d": right[:, 1], "at": images[:, middle, middle]}


def test_brightness_moves_all_values_alike() -> None:
    image = np.random.default_rng(0).random((2, 2, 3))
    moved = augmented(RandomBrightness(max_delta=0.3), image)[0] - image
    assert np.ptp(moved, axis=(1, 2, 3)).max() < 1e-6
    check_uniform(moved[:, 0, 0, 0], -0.3, 0.3)


def test_contrast_factors_are_uniform() -> None:
    image = np.random.default_rng(0).random((4, 4, 1))
    check_uniform(augmented(RandomContrast(lower=0.5, upper=1.5), image)[0].std(axis=(1, 2, 3)) / image.std(), 0.5, 1.5)


def test_gamma_powers_are_uniform() -> None:
    check_uniform(np.log2(1 / augmented(RandomGamma(lower=0.5, upper=2), np.full((1, 1, 1), 0.5))[0].ravel()), 0.5, 2)


def test_saturation_factors_are_uniform() -> None:
    """Where nothing is clipped, the saturation of a pixel is its own times the factor."""
    image = np.array(hsv_to_rgb(0.2, 0.4, 0.8)).reshape(1, 1, 3)
    changed = augmented(RandomSaturation(lower=0.5, upper=2), image)[0].reshape(-1, 3)
    check_uniform((changed.max(axis=1) - changed.min(axis=1)) / changed.max(axis=1) / 0.4, 0.5, 2)


def test_hues_are_uniform_and_saturation_and_value_stay() -> None:
    image = np.array(hsv_to_rgb(0.45, 0.6, 0.8)).reshape(1, 1, 3)
    changed = np.array([rgb_to_hsv(*pixel) for pixel in augmented(RandomHue(max_delta=0.25), image)[0].reshape(-1, 3)])
    check_uniform(changed[:, 0] - 0.45, -0.25, 0.25)
    np.testing.assert_allclose(changed[:, 1:], [[0.6, 0.8]] * COUNT, atol=1e-5)


def test_hues_go_round_the_circle() -> None:
    """A half circle either way takes red everywhere."""
    image = np.array([1.0, 0.0, 0.0]).reshape(1, 1, 3)
    changed = np.array([rgb_to_hsv(*pixel) for pixel in augmented(RandomHue(max_delta=0.5), image)[0].reshape(-1, 3)])
    check_uniform(changed[:, 0], 0, 1)


def test_greys_come_with_their_probability() -> None:
    image = np.array([0.9, 0.5, 0.1]).reshape(1, 1, 3)
    changed = augmented(RandomGrayscale(probability=0.2), image)[0].reshape(-1, 3)
    grey = np.ptp(changed, axis=1) == 0
    check_frequency(int(grey.sum()), COUNT, 0.2)
    np.testing.assert_allclose(changed[grey], 0.299 * 0.9 + 0.587 * 0.5 + 0.114 * 0.1, rtol=1e-6)
    np.testing.assert_allclose(changed[~grey], [[0.9, 0.5, 0.1]] * int((~grey).sum()), rtol=1e-6)


@pytest.mark.parametrize("padding", [0, 2])
def test_crops_come_from_all_places_alike(padding: int) -> None:
    """Every place is as likely as any other, top and left independent: chi-square over all pairs."""
    size, cut = 6, 4
    image = np.pad(ramp(size) + 10, ((padding, padding), (padding, padding), (0, 0)), mode="reflect")
    places = size + 2 * padding - cut + 1
    known = {
        image[top : top + cut, left : left + cut].tobytes(): (top, left)
        for top in range(places)
        for left in range(places)
    }
    assert len(known) == places**2
    crop = RandomCrop(height=cut, width=cut, padding=padding, fill="reflect")
    hits = np.zeros((places, places), int)
    for part in augmented(crop, ramp(size) + 10)[0]:
        hits[known[part.tobytes()]] += 1
    assert stats.chisquare(hits.ravel()).pvalue > LEAST
    assert stats.chi2_contingency(hits).pvalue > LEAST


def test_angles_are_uniform() -> None:
    found = slopes(augmented(RandomRotation(degrees=30), ramp())[0])
    check_uniform(np.degrees(np.arctan2(found["b"], found["d"])), -30, 30)
    np.testing.assert_allclose(found["a"] ** 2 + found["b"] ** 2, 1, atol=1e-4)


def test_moves_are_uniform_parts_of_height_and_width() -> None:
    found = slopes(augmented(RandomTranslation(height=0.2, width=0.1), ramp())[0])["at"]
    check_uniform(-found[:, 0] / SIZE, -0.2, 0.2)
    check_uniform(-found[:, 1] / SIZE, -0.1, 0.1)
    assert abs(np.corrcoef(found.T)[0, 1]) < 4 / np.sqrt(COUNT)


def test_scales_are_uniform_and_of_both_axes_alike() -> None:
    found = slopes(augmented(RandomScale(lower=0.8, upper=1.4), ramp())[0])
    check_uniform(1 / found["a"], 0.8, 1.4)
    np.testing.assert_allclose(found["a"], found["d"], atol=1e-5)


def test_shears_are_uniform_angles() -> None:
    check_uniform(np.degrees(np.arctan(slopes(augmented(RandomShear(degrees=20), ramp())[0])["c"])), -20, 20)
    found = slopes(augmented(RandomShear(degrees=(5, 20), vertical=(-10, 15)), ramp())[0])
    check_uniform(np.degrees(np.arctan(found["c"])), 5, 20)
    check_uniform(np.degrees(np.arctan(found["b"])), -10, 15)


def test_corners_of_perspectives_move_inwards_by_uniform_parts() -> None:
    """The homography of each image, read off four pixels about its centre, tells where the corners were taken."""
    images, _ = augmented(RandomPerspective(distortion=0.4, probability=0.7), ramp())
    images = images.astype(np.float64)
    seen = (images != ramp()).any(axis=(1, 2, 3))
    check_frequency(int(seen.sum()), COUNT, 0.7)
    near = [(-1, -1), (-1, 1), (1, -1), (1, 1)]
    equations, given = [], []
    for row, column in near:
        place = images[seen, SIZE // 2 + row, SIZE // 2 + column]
        for axis, own in ((0, [row, column, 1, 0, 0, 0]), (1, [0, 0, 0, row, column, 1])):
            at = place[:, axis]
            equations.append(np.stack([*(np.full_like(at, factor) for factor in own), -at * row, -at * column], -1))
            given.append(at)
    back = np.linalg.solve(np.stack(equations, 1), np.stack(given, 1)[..., None])[..., 0]
    ahead = np.linalg.inv(np.concatenate([back, np.ones((len(back), 1))], 1).reshape(-1, 3, 3))
    moves = []
    for row, column in near:
        place = ahead @ (SIZE / 2 * np.array([row, column, 0]) + [0, 0, 1])
        inwards = 1 - place[:, :2] / place[:, 2:] / (SIZE / 2 * np.array([row, column]))
        moves += [inwards[:, 0], inwards[:, 1]]
    for move in moves:
        check_uniform(move, 0, 0.4)
    assert abs(np.corrcoef(moves) - np.eye(8)).max() < 4.5 / np.sqrt(len(back))


def test_an_affine_map_holds_all_four_with_their_own_distributions() -> None:
    """The linear part is turn times scale times shear: its determinant tells the scale, its columns turn and shear."""
    operation = RandomAffine(degrees=10, height=0.1, width=0.1, lower=0.9, upper=1.1, shear=10)
    found = slopes(augmented(operation, ramp())[0])
    back = np.stack([np.stack([found["a"], found["b"]], -1), np.stack([found["c"], found["d"]], -1)], -2)
    ahead = np.linalg.inv(back)
    check_uniform(np.sqrt(np.linalg.det(ahead)), 0.9, 1.1)
    # The second column is turned and scaled alone, because a shear leaves horizontal lines as they are.
    check_uniform(np.degrees(np.arctan2(-ahead[:, 0, 1], ahead[:, 1, 1])), -10, 10)
    moved = -(ahead @ found["at"][..., None])[..., 0] / SIZE
    check_uniform(moved[:, 0], -0.1, 0.1)
    check_uniform(moved[:, 1], -0.1, 0.1)


FLIPPED = {FlipLeftRight: np.s_[:, ::-1], FlipUpDown: np.s_[::-1], HalfTurn: np.s_[::-1, ::-1]}


@pytest.mark.parametrize("flip", list(FLIPPED))
def test_flips_come_with_their_probability_and_change_labels_with_them(flip: Any) -> None:
    """Of a listed class, of a swapped one in both directions, and never of another."""
    image = ramp(3)
    operation = flip(classes=[3], swaps=[(1, 2)], probability=0.3)
    for label, other, probability in ((3, 3, 0.3), (1, 2, 0.3), (2, 1, 0.3), (4, 4, 0.0)):
        images, labels = augmented(operation, image, label=label)
        turned = np.array([np.array_equal(found, image[FLIPPED[flip]]) for found in images])
        assert all(np.array_equal(found, image) for found in images[~turned])
        assert (labels[turned] == other).all()
        assert (labels[~turned] == label).all()
        check_frequency(int(turned.sum()), COUNT, probability)


def test_signs_flip_as_often_as_their_classes_allow() -> None:
    """Of class 12 all four positions are as likely; of 20, of 1 and of 32 two; all others stay."""
    image = ramp(3)
    forms = {image[part].tobytes(): i for i, part in enumerate([np.s_[:], *FLIPPED.values()])}
    for label, expected, after in (
        (12, [0.25] * 4, {12}),
        (20, [0.5, 0.5, 0, 0], {19, 20}),
        (1, [0.5, 0, 0.5, 0], {1}),
        (32, [0.5, 0, 0, 0.5], {32}),
    ):
        images, labels = augmented(SignFlips(), image, label=label)
        found = np.bincount([forms[turned.tobytes()] for turned in images], minlength=4)
        assert set(labels.tolist()) == after
        possible = np.array(expected) > 0
        assert found[~possible].sum() == 0
        assert stats.chisquare(found[possible], np.array(expected)[possible] * COUNT).pvalue > LEAST
    assert (augmented(SignFlips(), image, label=14)[0] == image).all()


def erased(operation: RandomErasing, image: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of each of many images which pixels were erased, and whether any was."""
    covered = (augmented(operation, image)[0] != image.astype(np.float32)).any(axis=3)
    return covered, covered.any(axis=(1, 2))


def test_erased_rectangles_have_the_stated_areas_shapes_and_places() -> None:
    """On an image that is fine enough for rounding to matter little; every hole is a full rectangle."""
    size = 64
    covered, any_ = erased(RandomErasing(probability=0.7, lower=0.1, upper=0.3), np.ones((size, size, 1)))
    check_frequency(int(any_.sum()), COUNT, 0.7)
    covered = covered[any_]
    rows, columns = covered.any(axis=2), covered.any(axis=1)
    height, width = rows.sum(axis=1), columns.sum(axis=1)
    top, left = rows.argmax(axis=1), columns.argmax(axis=1)
    assert np.array_equal(covered.sum(axis=(1, 2)), height * width)
    assert (rows.shape[1] - rows[:, ::-1].argmax(axis=1) - top == height).all()
    # Rounding to pixels blurs both ends: compare moments, and quantiles within them.
    area = height * width / size**2
    assert abs(area.mean() - 0.2) < 0.002
    assert abs(area.std() - 0.2 / np.sqrt(12)) < 0.002
    proportion = np.log(height / width)
    # log(0.3) to log(3.3), as both fit at every area up to 0.3 of a square.
    low, high = np.log(0.3), np.log(3.3)
    assert abs(proportion.mean() - (low + high) / 2) < 0.02
    assert abs(proportion.std() - (high - low) / np.sqrt(12)) < 0.02
    for place, span in ((top, height), (left, width)):
        # Given its size, every place is as likely: spread within a cell of the unit interval, it is uniform.
        inner = np.random.default_rng(5).random(len(place))
        check_uniform((place + inner) / (size - span + 1), 0, 1)
    assert abs(np.corrcoef(top, left)[0, 1]) < 4 / np.sqrt(len(top)) + abs(np.corrcoef(height, width)[0, 1]) * 0.2


def test_noise_is_normal_and_independent() -> None:
    """Over values, neighbours and images: Kolmogorov-Smirnov, and correlations within their standard errors."""
    images = augmented(RandomNoise(stddev=0.5), np.zeros((5, 5, 3)), count=2_000)[0]
    values = images.reshape(2_000, -1).astype(np.float64) / 0.5
    assert stats.kstest(values.ravel(), "norm").pvalue > LEAST
    spread = 4 / np.sqrt(2_000)
    correlations = np.corrcoef(values.T) - np.eye(75)
    assert abs(correlations).max() < 1.4 * spread  # the largest of 2,775
    assert abs(np.corrcoef(values[:-1].ravel(), values[1:].ravel())[0, 1]) < 4 / np.sqrt(values.size)
    assert len(np.unique(values)) > 0.99 * values.size


def test_noise_of_erased_rectangles_is_uniform() -> None:
    image = np.full((8, 8, 1), 5.0)
    operation = RandomErasing(probability=1.0, lower=0.5, upper=0.5, fill="noise")
    values = augmented(operation, image, count=500)[0]
    check_uniform(values[values != 5].astype(np.float64), 0, 1)


def test_views_are_always_the_same_and_come_before_evaluation() -> None:
    """Of an image alone and among others; each version moved by its own draws, then cropped at the centre."""
    views = Views(count=3, operations=[RandomTranslation(height=0.25, width=0.25), RandomBrightness(max_delta=0.1)])
    draws = view_draws(views, 50)
    assert draws.shape == (50, 3, 3)
    assert np.array_equal(view_draws(views, 7), draws[:7])
    check_uniform(view_draws(views, COUNT)[:, 0, 0].astype(np.float64), -0.25, 0.25)
    images = np.random.default_rng(1).random((50, 8, 8, 3), dtype=np.float32)
    evaluate = Pipeline(operations=[CenterCrop(height=4, width=4)])
    made = views.apply(np, images, draws, evaluate)
    assert made.shape == (150, 4, 4, 3)
    for i, version in ((0, 0), (0, 2), (31, 1), (49, 2)):
        alone, _ = views.operations.apply(np, images[i : i + 1], np.zeros(1, np.int32), draws[i, version][None])
        np.testing.assert_allclose(made[3 * i + version], alone[0, 2:6, 2:6], atol=1e-6)
    assert not np.allclose(made[0], made[1], atol=1e-3)


def test_every_random_operation_is_checked_here() -> None:
    """An operation that draws has its distribution tested by name in this file, or its values against a filter."""
    elsewhere = {"random_blur"}
    here = set(globals())
    for name, operation in OPERATIONS.items():
        if name.startswith("random_") and name not in elsewhere:
            assert operation.__name__ in here, name
