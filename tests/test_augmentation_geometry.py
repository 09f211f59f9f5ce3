"""Affine operations: against scipy's resampling, exact where nothing is interpolated, and in one piece together."""

from __future__ import annotations

from math import cos, radians, sin, tan
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from specdsl.recipes import OPERATIONS, Operation, Pipeline
from specdsl.recipes.augmentation import (
    RandomAffine,
    RandomBrightness,
    RandomRotation,
    RandomScale,
    RandomShear,
    RandomTranslation,
)
from tests.operations import ARGUMENTS, COLUMNS, ROWS, Floats, batches

GEOMETRIC = ["random_rotation", "random_translation", "random_scale", "random_shear", "random_affine"]
SCIPY = {"edge": "nearest", "reflect": "mirror", "constant": "grid-constant"}
"""The fill modes by the names that they have in scipy."""


def forward(drawn: dict[str, float], name: str) -> NDArray[np.float64]:
    """Where a place (row, column, 1) from the centre goes, from the words of the documentation: 3 x 3."""
    match name:
        case "random_rotation":
            angle = radians(drawn["angle"])  # counter-clockwise: what was on the right goes up
            return np.array([[cos(angle), -sin(angle), 0], [sin(angle), cos(angle), 0], [0, 0, 1]])
        case "random_translation":
            return np.array([[1, 0, drawn["down"] * ROWS], [0, 1, drawn["right"] * COLUMNS], [0, 0, 1]])
        case "random_scale":
            return np.diag([drawn["factor"], drawn["factor"], 1.0])
        case "random_shear":
            # What is above the centre (a negative row) goes to the right.
            return np.array([[1, 0, 0], [-tan(radians(drawn["angle"])), 1, 0], [0, 0, 1]])
    parts = ("random_translation", "random_rotation", "random_scale")
    return np.linalg.multi_dot(
        [*(forward(drawn, part) for part in parts), forward({"angle": drawn["shear"]}, "random_shear")]
    )


def by_scipy(image: Floats, matrix: NDArray[np.float64], fill: str, value: float) -> NDArray[np.float64]:
    """One image moved by scipy, channel by channel."""
    back = np.linalg.inv(matrix)
    centre = np.array([(ROWS - 1) / 2, (COLUMNS - 1) / 2])
    offset = centre + back[:2, 2] - back[:2, :2] @ centre
    moved = [
        ndimage.affine_transform(channel, back[:2, :2], offset, order=1, mode=SCIPY[fill], cval=value)
        for channel in np.moveaxis(image.astype(np.float64), -1, 0)
    ]
    return np.stack(moved, axis=-1)


@pytest.mark.parametrize("name", GEOMETRIC)
@given(st.data())
@settings(max_examples=30)
def test_affine_operations_are_those_of_scipy(name: str, data: st.DataObject) -> None:
    """The documented map, bilinear, with every fill: as scipy resamples in 64 bits."""
    arguments = data.draw(ARGUMENTS[name])
    operation: Any = OPERATIONS[name](**arguments)
    images, labels, draws = data.draw(batches(Pipeline(operations=[operation])))
    named = dict(zip(operation.draws(), draws.T, strict=True))
    result, after = operation.apply(np, images, labels, named)
    assert after is labels
    for i, image in enumerate(images):
        matrix = forward({key: float(values[i]) for key, values in named.items()}, name)
        np.testing.assert_allclose(result[i], by_scipy(image, matrix, operation.fill, operation.value), atol=2e-4)


def only(operation: Operation, image: Floats, **draws: float) -> Floats:
    """One image after an operation with the given draws."""
    named = {name: np.array([value], np.float32) for name, value in draws.items()}
    return np.asarray(operation.apply(np, image[None], np.zeros(1, np.int32), named)[0][0])


def picture(rows: int = 6, columns: int = 6, channels: int = 3) -> Floats:
    return np.random.default_rng(3).random((rows, columns, channels), dtype=np.float32)


def test_a_quarter_turn_is_exact_and_counter_clockwise() -> None:
    image = picture()
    turned = only(RandomRotation(degrees=90), image, angle=90)
    np.testing.assert_allclose(turned, np.rot90(image), atol=2e-6)


def test_a_move_by_whole_pixels_is_exact_and_fills_as_told() -> None:
    """Down by two rows of five, and right by one column of four."""
    image = picture(5, 4, 1)
    for fill, mode in (("edge", "edge"), ("reflect", "reflect"), ("constant", "constant")):
        move = RandomTranslation(height=1, width=1, fill=fill, value=0.5 if fill == "constant" else 0)
        moved = only(move, image, down=2 / 5, right=1 / 4)
        more = {"constant_values": 0.5} if fill == "constant" else {}
        wide = np.pad(image, ((2, 0), (1, 0), (0, 0)), mode=mode, **more)
        np.testing.assert_allclose(moved, wide[:5, :4], atol=1e-6)


def test_scaling_by_two_shows_the_middle_larger() -> None:
    """A line that rises by 1 a pixel rises by a half after it, about the same centre."""
    ramp = np.broadcast_to(np.arange(7, dtype=np.float32)[None, :, None], (7, 7, 1))
    large = only(RandomScale(lower=2, upper=2), ramp, factor=2)
    np.testing.assert_allclose(large[3, :, 0], 3 + (np.arange(7) - 3) / 2, atol=1e-6)


def test_a_positive_shear_leans_to_the_right() -> None:
    line = np.zeros((7, 7, 1), np.float32)
    line[:, 3] = 1
    leaning = only(RandomShear(degrees=45, fill="constant"), line, angle=45)
    np.testing.assert_allclose(leaning[..., 0], np.eye(7)[::-1], atol=1e-6)


@given(st.data())
@settings(max_examples=30)
def test_neighbours_are_resampled_once(data: st.DataObject) -> None:
    """The four operations in a row are `random_affine`, pixel for pixel, which is one interpolation."""
    fill = data.draw(st.sampled_from(["edge", "reflect", "constant"]))
    apart = Pipeline(
        operations=[
            RandomShear(degrees=40, fill=fill),
            RandomScale(lower=0.5, upper=2, fill=fill),
            RandomRotation(degrees=90, fill=fill),
            RandomTranslation(height=0.5, width=0.5, fill=fill),
        ]
    )
    together = Pipeline(
        operations=[RandomAffine(degrees=90, height=0.5, width=0.5, lower=0.5, upper=2, shear=40, fill=fill)]
    )
    assert apart.draws() == together.draws()
    images, labels, draws = data.draw(batches(apart))
    np.testing.assert_array_equal(
        apart.apply(np, images, labels, draws)[0], together.apply(np, images, labels, draws)[0]
    )


def test_turning_there_and_back_loses_nothing_when_done_at_once() -> None:
    """Two turns that cancel give the image back; with another fill, or something between them, they blur."""
    image = picture(8, 8)[None]
    label = np.zeros(1, np.int32)

    def turned(*operations: Operation) -> Floats:
        draws = [17.0 if i == 0 else -17.0 for i in range(2)]
        numbers = iter(draws)
        row = [next(numbers) if isinstance(op, RandomRotation) else 0.0 for op in operations]
        return np.asarray(Pipeline(operations=operations).apply(np, image, label, np.array([row], np.float32))[0])

    turn, other = RandomRotation(degrees=45), RandomRotation(degrees=45, fill="reflect")
    assert np.abs(turned(turn, turn) - image).max() < 1e-5
    assert np.abs(turned(turn, RandomBrightness(max_delta=0.1), turn) - image).max() > 0.05
    assert np.abs(turned(turn, other) - image).max() > 0.05


def test_an_image_of_one_pixel_can_be_moved() -> None:
    image = np.full((1, 1, 1), 0.25, np.float32)
    for fill in ("edge", "reflect"):
        moved = only(RandomTranslation(height=1, width=1, fill=fill), image, down=0.75, right=-0.5)
        assert moved.tolist() == image.tolist()
