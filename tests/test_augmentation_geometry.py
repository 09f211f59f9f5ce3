"""Operations that move pixels: against scipy's resampling, exact where none is interpolated, in one piece together."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, radians, sin, tan
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from specdsl.data.drawing import Polygon
from specdsl.declaration import Misuse
from specdsl.recipes import OPERATIONS, Operation, Pipeline
from specdsl.recipes.augmentation import (
    RandomAffine,
    RandomBrightness,
    RandomPerspective,
    RandomRotation,
    RandomScale,
    RandomShear,
    RandomTranslation,
)
from tests.operations import ARGUMENTS, COLUMNS, ROWS, Floats, batches, scaled, usual

Place = tuple[float, float]
"""A row and a column."""

AFFINE = ["random_rotation", "random_translation", "random_scale", "random_shear", "random_affine"]
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
            # What is above the centre (a negative row) goes to the right, then what is to the right of it goes up.
            across = np.array([[1, 0, 0], [-tan(radians(drawn["angle"])), 1, 0], [0, 0, 1]])
            return np.array([[1, -tan(radians(drawn.get("vertical", 0))), 0], [0, 1, 0], [0, 0, 1]]) @ across
        case "random_perspective":
            return through(*zip(*corners(drawn), strict=True))
    parts = ("random_translation", "random_rotation", "random_scale")
    shears = {"angle": drawn["shear"], "vertical": drawn.get("vertical_shear", 0)}
    return np.linalg.multi_dot([*(forward(drawn, part) for part in parts), forward(shears, "random_shear")])


def corners(drawn: dict[str, float], rows: int = ROWS, columns: int = COLUMNS) -> list[tuple[Place, Place]]:
    """The outer corners of an image, in pixels from its centre, and where a perspective takes each of them."""
    found = []
    for vertical, below in (("top", -1), ("bottom", 1)):
        for side, right in (("left", -1), ("right", 1)):
            inwards = (1 - drawn[f"{vertical}_{side}_{axis}"] for axis in ("row", "column"))
            corner = (below * rows / 2, right * columns / 2)
            found.append((corner, (corner[0] * next(inwards), corner[1] * next(inwards))))
    return found


def through(places: Sequence[Place], goals: Sequence[Place]) -> NDArray[np.float64]:
    """The homography that takes four places to four others, by solving for its eight entries: 3 x 3."""
    equations, given = [], []
    for (row, column), (y, x) in zip(places, goals, strict=True):
        equations += [
            [row, column, 1, 0, 0, 0, -y * row, -y * column],
            [0, 0, 0, row, column, 1, -x * row, -x * column],
        ]
        given += [y, x]
    return np.append(np.linalg.solve(np.array(equations), np.array(given)), 1).reshape(3, 3)


def by_scipy(image: Floats, matrix: NDArray[np.float64], fill: str, value: float) -> NDArray[np.float64]:
    """One image moved by scipy, channel by channel; in perspective as far as one image beyond each edge."""
    rows, columns = image.shape[:2]
    centre = np.array([(rows - 1) / 2, (columns - 1) / 2])[:, None, None]
    pixels = np.concatenate([np.mgrid[:rows, :columns] - centre, np.ones((1, rows, columns))])
    back = np.linalg.inv(matrix)
    row, column, depth = np.tensordot(back / back[2, 2], pixels, 1)
    places = np.stack([row, column])
    if np.ptp(depth) > 1e-9:
        far = 1.5 * np.array([rows, columns])[:, None, None]
        places = np.clip(places / np.maximum(depth, 1e-3), -far, far)
    moved = [
        ndimage.map_coordinates(channel, places + centre, order=1, mode=SCIPY[fill], cval=value)
        for channel in np.moveaxis(image.astype(np.float64), -1, 0)
    ]
    return np.stack(moved, axis=-1)


@pytest.mark.parametrize("name", [*AFFINE, "random_perspective"])
@given(st.data())
@settings(max_examples=30)
def test_operations_are_those_of_scipy(name: str, data: st.DataObject) -> None:
    """The documented map, bilinear, with every fill: as scipy resamples in 64 bits."""
    arguments = data.draw(ARGUMENTS[name])
    operation: Any = OPERATIONS[name](**arguments)
    images, labels, draws = data.draw(batches(Pipeline(operations=[operation])))
    named = dict(zip(operation.draws(), draws.T, strict=True))
    result, after = operation.apply(np, images, labels, named)
    assert after is labels
    for i, image in enumerate(images):
        drawn = {key: float(values[i]) for key, values in named.items()}
        stays = name == "random_perspective" and drawn["chance"] >= operation.probability
        matrix = np.eye(3) if stays else forward(drawn, name)
        np.testing.assert_allclose(result[i], by_scipy(image, matrix, operation.fill, operation.value), atol=2e-4)


@pytest.mark.parametrize("fill", ["edge", "reflect", "constant"])
def test_a_perspective_and_its_neighbours_are_resampled_once(fill: str) -> None:
    """As scipy resamples by the product of their matrices, in either order, which are two images."""
    parts = [usual("random_perspective"), usual("random_shear"), usual("random_rotation")]
    image, shown = picture(ROWS, COLUMNS), []
    for row in (parts, parts[::-1]):
        operations = [type(part)(**(part.arguments() | {"fill": fill})) for part in row]
        pipeline = Pipeline(operations=operations)
        draws = np.random.default_rng(5).uniform(0.05, 0.4, (1, len(pipeline.draws()))).astype(np.float32)
        numbers = iter(draws[0].tolist())
        matrix = np.eye(3)
        for operation in operations:
            matrix = forward({name: next(numbers) for name in operation.draws()}, operation.spec_name()) @ matrix
        moved, _ = pipeline.apply(np, image[None], np.zeros(1, np.int32), draws)
        np.testing.assert_allclose(moved[0], by_scipy(image, matrix, fill, 0), atol=2e-4)
        shown.append(moved[0])
    assert np.abs(shown[0] - shown[1]).max() > 0.05


def only(operation: Operation, image: Floats, **draws: float) -> Floats:
    """One image after an operation with the given draws."""
    named = {name: np.array([value], np.float32) for name, value in draws.items()}
    return np.asarray(operation.apply(np, image[None], np.zeros(1, np.int32), named)[0][0])


@given(st.data())
def test_the_corners_of_an_image_go_where_they_are_told(data: st.DataObject) -> None:
    """A white image covers the quadrangle of its new corners, and nothing else: to a pixel and a half at its sides."""
    rows, columns = data.draw(st.sampled_from([(40, 30), (24, 48)]))
    unit = st.floats(0, 0.6)
    names = RandomPerspective().draws()
    drawn = {name: 0.0 if name == "chance" else data.draw(unit) for name in names}
    white = np.ones((rows, columns, 1), np.float32)
    seen = only(RandomPerspective(distortion=0.6, fill="constant"), white, **drawn)[..., 0]
    top_left, top_right, bottom_left, bottom_right = (goal for _, goal in corners(drawn, rows, columns))
    outline = Polygon(tuple((x, y) for y, x in (top_left, top_right, bottom_right, bottom_left)))
    y, x = (np.mgrid[:rows, :columns] - np.array([(rows - 1) / 2, (columns - 1) / 2])[:, None, None]).astype(np.float32)
    distance = outline.distance(x, y)
    np.testing.assert_allclose(seen[distance < -1.5], 1, atol=1e-5)
    assert (seen[distance > 1.5] == 0).all()


def test_nothing_moves_at_strength_zero() -> None:
    """Not even by rounding; a perspective also where the number that is drawn spares an image."""
    images = np.random.default_rng(0).random((3, 7, 6, 3), dtype=np.float32)
    for operation in (
        RandomPerspective(distortion=0, probability=1),
        RandomPerspective(probability=0),
        RandomShear(degrees=0, vertical=(0, 0)),
        RandomAffine(),
        RandomScale(lower=1, upper=1),
    ):
        pipeline = Pipeline(operations=[operation])
        draws = scaled(pipeline, np.random.default_rng(1).random(3 * len(pipeline.draws())))
        after, _ = pipeline.apply(np, images, np.zeros(3, np.int32), draws)
        assert np.array_equal(after, images), operation


def test_shears_take_ranges_and_draw_the_second_one_if_there_is_one() -> None:
    assert RandomShear(degrees=10).draws() == {"angle": (-10, 10)}
    assert RandomShear(degrees=[5, 20], vertical=[-10, 0]).draws() == {"angle": (5, 20), "vertical": (-10, 0)}
    assert "vertical_shear" not in RandomAffine(shear=(-5, 0)).draws()
    for arguments, name in (({"degrees": (3, 1)}, "degrees"), ({"degrees": 0, "vertical": (3, 1)}, "vertical")):
        with pytest.raises(Misuse, match=f"{name} begins at 3, which is more than its end, 1") as error:
            RandomShear(**arguments)
        assert error.value.argument == name


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


def test_a_positive_shear_leans_to_the_right_or_rises_to_it() -> None:
    line = np.zeros((7, 7, 1), np.float32)
    line[:, 3] = 1
    shear = RandomShear(degrees=45, vertical=45, fill="constant")
    np.testing.assert_allclose(only(shear, line, angle=45, vertical=0)[..., 0], np.eye(7)[::-1], atol=1e-6)
    level = line.transpose(1, 0, 2)
    np.testing.assert_allclose(only(shear, level, angle=0, vertical=45)[..., 0], np.eye(7)[::-1], atol=1e-6)


@given(st.data())
@settings(max_examples=30)
def test_neighbours_are_resampled_once(data: st.DataObject) -> None:
    """The four operations in a row are `random_affine`, pixel for pixel, which is one interpolation."""
    fill = data.draw(st.sampled_from(["edge", "reflect", "constant"]))
    apart = Pipeline(
        operations=[
            RandomShear(degrees=40, vertical=(-10, 30), fill=fill),
            RandomScale(lower=0.5, upper=2, fill=fill),
            RandomRotation(degrees=90, fill=fill),
            RandomTranslation(height=0.5, width=0.5, fill=fill),
        ]
    )
    affine = RandomAffine(
        degrees=90, height=0.5, width=0.5, lower=0.5, upper=2, shear=40, vertical_shear=(-10, 30), fill=fill
    )
    together = Pipeline(operations=[affine])
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
