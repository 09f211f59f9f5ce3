"""Operations that move pixels: turns, moves, scales, shears, and views at an angle."""

# ruff: noqa: D102 - what each method gives is documented once, in `Operation`

from __future__ import annotations

from collections.abc import Sequence
from math import pi
from typing import Annotated

from pydantic import Field

from specdsl.declaration import Misuse
from specdsl.recipes.augmentation.base import UNIT, Array, Namespace, Uniform, cast, check_range
from specdsl.recipes.augmentation.resampling import Geometric, Homography
from specdsl.recipes.naming import FromList, Unit

Degrees = Annotated[float, Field(ge=0, le=180)]
"""An angle that a turn goes up to."""

Slant = Annotated[float, Field(ge=-80, le=80)]
"""An angle of a shear, in degrees."""

Slants = Annotated[float, Field(ge=0, le=80)] | Annotated[tuple[Slant, Slant], FromList]
"""The angles of a shear: what they go up to, one way and the other, or the lowest and the highest."""

Part = Annotated[float, Field(ge=0, le=1)]
"""A part of the height or width of an image."""

Zoom = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
"""A factor of size."""

Distortion = Annotated[float, Field(ge=0, le=0.6)]
"""How far corners move. From 2/3 on one can pass the line between its neighbours, which nothing flat looks like."""


class RandomRotation(Geometric):
    """Turns an image about its centre by an angle uniform in [-degrees, degrees], counter-clockwise where positive."""

    degrees: Degrees

    def draws(self) -> dict[str, Uniform]:
        return {"angle": Uniform(-self.degrees, self.degrees)}

    def back(self, xp: Namespace, draws: dict[str, Array], rows: int, columns: int) -> Homography:
        return _turned(xp, draws["angle"])


class RandomTranslation(Geometric):
    """Moves an image down and to the right by parts of its size, uniform in [-height, height] and [-width, width].

    A height of 0.1 moves by up to a tenth of the rows; places between pixels are interpolated.
    """

    height: Part
    width: Part

    def draws(self) -> dict[str, Uniform]:
        return {"down": Uniform(-self.height, self.height), "right": Uniform(-self.width, self.width)}

    def back(self, xp: Namespace, draws: dict[str, Array], rows: int, columns: int) -> Homography:
        return _moved(draws["down"] * rows, draws["right"] * columns)


class RandomScale(Geometric):
    """Enlarges what an image shows about its centre by a factor uniform in [lower, upper]; below 1 it shrinks."""

    lower: Zoom
    upper: Zoom

    def check(self) -> None:
        super().check()
        check_range(self.lower, self.upper)

    def draws(self) -> dict[str, Uniform]:
        return {"factor": Uniform(self.lower, self.upper)}

    def back(self, xp: Namespace, draws: dict[str, Array], rows: int, columns: int) -> Homography:
        return _scaled(draws["factor"])


class RandomShear(Geometric):
    """Slants an image: upright lines lean to the right by an angle uniform in [-degrees, degrees].

    Rows move sideways, by their height above the centre times the tangent. After that, unless `vertical` is 0, columns
    move up and down: level lines rise to the right by an angle uniform in [-vertical, vertical]. Each of the two may be
    a pair, the lowest and the highest angle. Signs and order are those of `shear` in torchvision's RandomAffine, and
    the area stays; Keras's RandomShear takes parts, not degrees, shears both ways at once, and about the first pixel.
    """

    degrees: Slants
    vertical: Slants = 0.0

    def check(self) -> None:
        super().check()
        self.draws()

    def draws(self) -> dict[str, Uniform]:
        return {"angle": _slants("degrees", self.degrees)} | _unless_none("vertical", self.vertical)

    def back(self, xp: Namespace, draws: dict[str, Array], rows: int, columns: int) -> Homography:
        return _slanted(xp, draws["angle"], draws.get("vertical"))


class RandomAffine(Geometric):
    """Shears, scales, turns and moves an image, in this order and in one resampling.

    The same as `random_shear(shear, vertical_shear)`, `random_scale(lower, upper)`, `random_rotation(degrees)` and
    `random_translation(height, width)` one after the other, which are resampled together too.
    """

    degrees: Degrees = 0.0
    height: Part = 0.0
    width: Part = 0.0
    lower: Zoom = 1.0
    upper: Zoom = 1.0
    shear: Slants = 0.0
    vertical_shear: Slants = 0.0

    def check(self) -> None:
        super().check()
        check_range(self.lower, self.upper)
        self.draws()

    def draws(self) -> dict[str, Uniform]:
        return {
            "shear": _slants("shear", self.shear),
            **_unless_none("vertical_shear", self.vertical_shear),
            "factor": Uniform(self.lower, self.upper),
            "angle": Uniform(-self.degrees, self.degrees),
            "down": Uniform(-self.height, self.height),
            "right": Uniform(-self.width, self.width),
        }

    def back(self, xp: Namespace, draws: dict[str, Array], rows: int, columns: int) -> Homography:
        scaled = _slanted(xp, draws["shear"], draws.get("vertical_shear")).before(_scaled(draws["factor"]))
        moved = _moved(draws["down"] * rows, draws["right"] * columns)
        return scaled.before(_turned(xp, draws["angle"])).before(moved)


CORNERS = {"top_left": (-1.0, -1.0), "top_right": (-1.0, 1.0), "bottom_left": (1.0, -1.0), "bottom_right": (1.0, 1.0)}
"""The corners of an image, in halves of its height and width from the centre."""


class RandomPerspective(Geometric):
    """Shows an image as if seen at an angle, with the given probability: its corners move inwards, each by chance.

    The eight numbers, parts of the height for up or down and of the width for left or right, are uniform in [0,
    `distortion` / 2]; what lies between the corners goes where their homography takes it. So does torchvision's
    RandomPerspective, in whole pixels, while Keras's leaves the first corner where it is and moves the others outwards
    too. Corners are the outer ones of the outermost pixels, half a pixel from their centres.
    """

    distortion: Distortion = 0.5
    probability: Unit = 0.5

    def draws(self) -> dict[str, Uniform]:
        moves = [f"{corner}_{axis}" for corner in CORNERS for axis in ("row", "column")]
        return {"chance": UNIT} | dict.fromkeys(moves, Uniform(0.0, self.distortion))

    def back(self, xp: Namespace, draws: dict[str, Array], rows: int, columns: int) -> Homography:
        chosen = cast(xp, draws["chance"] < self.probability, "float32")
        corners = [
            (p * (1.0 - chosen * draws[f"{corner}_row"]), q * (1.0 - chosen * draws[f"{corner}_column"]))
            for corner, (p, q) in CORNERS.items()
        ]
        height, width = rows / 2, columns / 2
        seen = _spanned(corners).inverse().before(Homography(1 / height, 0.0, 0.0, 0.0, 1 / width, 0.0))
        return Homography(height, 0.0, 0.0, 0.0, width, 0.0).before(seen)


def _spanned(corners: Sequence[tuple[Array, Array]]) -> Homography:
    """Where the square of `CORNERS` goes whose corners go to given places, each a row and a column.

    A place (p, q) of the square goes to the row r with r (1 + g p + h q) = a p + b q + down. Over the four corners,
    where p and q are 1 or -1, the mean of this is an equation, and so are the means of it times p, times q and times
    p q. The same with columns makes eight equations in all, for eight entries.
    """
    row, row_p, row_q, row_pq = _means([row for row, _ in corners])
    column, column_p, column_q, column_pq = _means([column for _, column in corners])
    whole = row_p * column_q - row_q * column_p
    g = (row_pq * column_p - row_p * column_pq) / whole
    h = (row_q * column_pq - row_pq * column_q) / whole
    return Homography(
        row_p + g * row + h * row_pq,
        row_q + g * row_pq + h * row,
        row + g * row_p + h * row_q,
        column_p + g * column + h * column_pq,
        column_q + g * column_pq + h * column,
        column + g * column_p + h * column_q,
        g,
        h,
    )


def _means(values: Sequence[Array]) -> list[Array]:
    """The means over `CORNERS` of a value of each: of itself, times p, times q, and times both."""
    factors = zip(*((1.0, p, q, p * q) for p, q in CORNERS.values()), strict=True)
    return [sum(value * factor for value, factor in zip(values, each, strict=True)) * 0.25 for each in factors]


def _turned(xp: Namespace, degrees: Array) -> Homography:
    angle = degrees * (pi / 180)
    cosine, sine = xp.cos(angle), xp.sin(angle)
    return Homography(cosine, sine, 0.0, -sine, cosine, 0.0)


def _moved(down: Array, right: Array) -> Homography:
    return Homography(1.0, 0.0, -down, 0.0, 1.0, -right)


def _scaled(factor: Array) -> Homography:
    return Homography(1.0 / factor, 0.0, 0.0, 0.0, 1.0 / factor, 0.0)


def _slanted(xp: Namespace, degrees: Array, vertical: Array | None) -> Homography:
    across = Homography(1.0, 0.0, 0.0, xp.tan(degrees * (pi / 180)), 1.0, 0.0)
    if vertical is None:
        return across
    return across.before(Homography(1.0, xp.tan(vertical * (pi / 180)), 0.0, 0.0, 1.0, 0.0))


def _slants(argument: str, value: float | tuple[float, float]) -> Uniform:
    """The angles that a shear is drawn from.

    Raises:
        Misuse: the lowest is more than the highest.
    """
    if not isinstance(value, tuple):
        return Uniform(-value, value)
    if value[0] > value[1]:
        message = f"{argument} begins at {value[0]:g}, which is more than its end, {value[1]:g}"
        raise Misuse(message, argument=argument)
    return Uniform(*value)


def _unless_none(argument: str, value: float | tuple[float, float]) -> dict[str, Uniform]:
    """What a second shear draws: nothing where it is 0, so that all else is drawn as without it."""
    return {} if value == 0 else {argument: _slants(argument, value)}
