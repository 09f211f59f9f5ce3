"""Drawing with signed distances: shapes as values, painted with smooth edges on a square canvas.

Coordinates run from -1 to 1, x to the right and y downwards. A signed distance is negative inside a shape.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Point = tuple[float, float]
Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Disc:
    """A filled circle."""

    x: float
    y: float
    radius: float

    def distance(self, x: Floats, y: Floats) -> Floats:
        """The signed distance of every point (x, y) from the edge."""
        away: Floats = np.hypot(x - self.x, y - self.y) - np.float32(self.radius)
        return away

    def moved(self, x: float, y: float, scale: float = 1.0) -> Disc:
        """The same shape scaled about the origin, then shifted."""
        return Disc(self.x * scale + x, self.y * scale + y, self.radius * scale)


@dataclass(frozen=True, slots=True)
class Polygon:
    """A filled polygon, convex or not, its corners rounded outwards by a radius."""

    points: tuple[Point, ...]
    rounding: float = 0.0

    def distance(self, x: Floats, y: Floats) -> Floats:
        """The signed distance of every point (x, y) from the edge."""
        nearest = np.full(x.shape, np.inf, np.float32)
        inside = np.zeros(x.shape, bool)
        for (ax, ay), (bx, by) in zip(self.points, (*self.points[1:], self.points[0]), strict=True):
            nearest = np.minimum(nearest, _segment(x, y, (ax, ay), (bx, by)))
            if ay != by:
                inside ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
        return np.where(inside, -nearest, nearest) - np.float32(self.rounding)

    def moved(self, x: float, y: float, scale: float = 1.0) -> Polygon:
        """The same shape scaled about the origin, then shifted."""
        return Polygon(_moved(self.points, x, y, scale), self.rounding * scale)


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line of a width through points, with round ends."""

    points: tuple[Point, ...]
    width: float

    def distance(self, x: Floats, y: Floats) -> Floats:
        """The signed distance of every point (x, y) from the edge."""
        nearest = np.full(x.shape, np.inf, np.float32)
        for start, end in zip(self.points, self.points[1:], strict=False):
            nearest = np.minimum(nearest, _segment(x, y, start, end))
        return nearest - np.float32(self.width / 2)

    def moved(self, x: float, y: float, scale: float = 1.0) -> Stroke:
        """The same shape scaled about the origin, then shifted."""
        return Stroke(_moved(self.points, x, y, scale), self.width * scale)


Shape = Disc | Polygon | Stroke
Paint = tuple[Colour, Shape]
"""A shape and the colour that fills it."""


def moved(paints: Iterable[Paint], x: float, y: float, scale: float = 1.0) -> tuple[Paint, ...]:
    """Paints scaled about the origin, then shifted."""
    return tuple((colour, shape.moved(x, y, scale)) for colour, shape in paints)


def mirrored(paints: Iterable[Paint]) -> tuple[Paint, ...]:
    """Paints with left and right exchanged."""
    return tuple((colour, _mirror(shape)) for colour, shape in paints)


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float) -> tuple[Point, ...]:
    """Points on an ellipse from one angle to another, in degrees: 0 right, 90 below, 180 left, 270 above."""
    steps = max(2, round(abs(end - start) / 18))
    angles = [(start + (end - start) * i / steps) * pi / 180 for i in range(steps + 1)]
    return tuple((x + rx * cos(angle), y + ry * sin(angle)) for angle in angles)


def regular(corners: int, radius: float, turn: float = 0.0) -> tuple[Point, ...]:
    """The corners of a regular polygon about the origin, the first one `turn` degrees from the top."""
    angles = [(turn - 90 + 360 * i / corners) * pi / 180 for i in range(corners)]
    return tuple((radius * cos(angle), radius * sin(angle)) for angle in angles)


def box(x: float, y: float, width: float, height: float) -> tuple[Point, ...]:
    """The corners of an upright rectangle with its centre at (x, y)."""
    w, h = width / 2, height / 2
    return ((x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h))


def canvas(paints: Iterable[Paint], side: int) -> Floats:
    """The picture of paints laid one over the other.

    Returns:
        float32 (side, side, 4): red, green, blue, each already multiplied by the coverage, and the coverage, in [0, 1].
    """
    axis = ((np.arange(side, dtype=np.float32) + 0.5) * (2 / side) - 1).astype(np.float32)
    x, y = np.broadcast_to(axis[None, :], (side, side)), np.broadcast_to(axis[:, None], (side, side))
    picture = np.zeros((side, side, 4), np.float32)
    for colour, shape in paints:
        cover = np.clip(0.5 - shape.distance(x, y) * (side / 2), 0, 1)[..., None]
        picture = picture * (1 - cover) + cover * np.array((*colour, 1.0), np.float32)
    return picture


def _segment(x: Floats, y: Floats, start: Point, end: Point) -> Floats:
    """The distance of every point (x, y) from a line segment."""
    (ax, ay), (bx, by) = start, end
    dx, dy = bx - ax, by - ay
    along = np.clip(((x - ax) * dx + (y - ay) * dy) / max(dx * dx + dy * dy, 1e-12), 0, 1)
    distance: Floats = np.hypot(x - ax - along * dx, y - ay - along * dy)
    return distance


def _moved(points: tuple[Point, ...], x: float, y: float, scale: float) -> tuple[Point, ...]:
    return tuple((px * scale + x, py * scale + y) for px, py in points)


def _mirror(shape: Shape) -> Shape:
    match shape:
        case Disc():
            return Disc(-shape.x, shape.y, shape.radius)
        case Polygon():
            return Polygon(tuple((-x, y) for x, y in shape.points), shape.rounding)
        case Stroke():
            return Stroke(tuple((-x, y) for x, y in shape.points), shape.width)
