"""The faces of the 43 signs as drawings: a table from class to name and paints."""

from __future__ import annotations

from specdsl.data.drawing import (
    Colour,
    Disc,
    Paint,
    Point,
    Polygon,
    Shape,
    Stroke,
    arc,
    box,
    mirrored,
    moved,
    regular,
)

RED: Colour = (0.80, 0.07, 0.10)
BLUE: Colour = (0.05, 0.27, 0.66)
YELLOW: Colour = (0.98, 0.76, 0.05)
GREEN: Colour = (0.05, 0.55, 0.25)
WHITE: Colour = (0.95, 0.95, 0.94)
BLACK: Colour = (0.06, 0.06, 0.07)
GREY: Colour = (0.50, 0.50, 0.52)
DARK: Colour = (0.24, 0.24, 0.26)

Paints = tuple[Paint, ...]

GLYPHS: dict[str, tuple[tuple[Point, ...], ...]] = {
    "0": (arc(0, 0, 0.44, 0.92, 0, 360),),
    "1": (((-0.32, -0.55), (0.08, -0.92), (0.08, 0.92)),),
    "2": ((*arc(0, -0.45, 0.42, 0.47, 180, 395), (-0.42, 0.92), (0.44, 0.92)),),
    "3": (arc(0, -0.47, 0.39, 0.45, 205, 450), arc(0, 0.44, 0.44, 0.48, 270, 515)),
    "5": (((0.38, -0.92), (-0.32, -0.92), (-0.38, -0.12), *arc(0, 0.33, 0.43, 0.59, 225, 510)),),
    "6": (arc(0, 0.38, 0.43, 0.54, 0, 360), arc(0.36, 0.38, 0.79, 1.30, 270, 180)),
    "7": (((-0.42, -0.92), (0.42, -0.92), (-0.12, 0.92)),),
    "8": (arc(0, -0.47, 0.36, 0.44, 0, 360), arc(0, 0.44, 0.44, 0.48, 0, 360)),
    "S": (arc(0, -0.46, 0.42, 0.45, 325, 90), arc(0, 0.46, 0.42, 0.45, 270, 505)),
    "T": (((-0.45, -0.92), (0.45, -0.92)), ((0, -0.92), (0, 0.92))),
    "O": (arc(0, 0, 0.44, 0.92, 0, 360),),
    "P": (((-0.38, 0.92), (-0.38, -0.92), *arc(0.04, -0.42, 0.38, 0.50, 270, 450), (-0.38, 0.08)),),
}
"""Lines of each character in a box from -0.5 to 0.5 across and -1 to 1 down."""


def _text(characters: str, width: float, height: float, weight: float, colour: Colour) -> Paints:
    """Characters about the origin: `width` of the whole line, `height` and `weight` of its strokes."""
    step = width / len(characters)
    return tuple(
        (colour, Stroke(tuple((x * step * 0.86 + (i - (len(characters) - 1) / 2) * step, y * height / 2)
                              for x, y in line), weight))
        for i, character in enumerate(characters)
        for line in GLYPHS[character]
    )  # fmt: skip


def _ink(colour: Colour, *shapes: Shape) -> Paints:
    return tuple((colour, shape) for shape in shapes)


def _limit(speed: str) -> Paints:
    wide = len(speed) == 3
    return _text(speed, 1.22 if wide else 1.06, 0.74 if wide else 0.84, 0.13 if wide else 0.16, BLACK)


_RING: Paints = ((WHITE, Disc(0, 0, 0.99)), (RED, Disc(0, 0, 0.95)), (WHITE, Disc(0, 0, 0.71)))
_END: Paints = ((GREY, Disc(0, 0, 0.98)), (WHITE, Disc(0, 0, 0.92)))
_ROUND: Paints = ((WHITE, Disc(0, 0, 0.99)), (BLUE, Disc(0, 0, 0.93)))
_WARNING: Paints = (
    (WHITE, Polygon(((0, -0.86), (0.90, 0.70), (-0.90, 0.70)), 0.09)),
    (RED, Polygon(((0, -0.86), (0.90, 0.70), (-0.90, 0.70)), 0.05)),
    (WHITE, Polygon(((0, -0.48), (0.61, 0.55), (-0.61, 0.55)), 0.02)),
)
_BARS: Paints = _ink(
    DARK, *(Stroke(((-0.62 + d, 0.62 + d), (0.62 + d, -0.62 + d)), 0.07) for d in (-0.20, -0.10, 0, 0.10, 0.20))
)


def _car(colour: Colour) -> Paints:
    roof = ((-0.26, -0.02), (-0.17, -0.22), (0.17, -0.22), (0.26, -0.02))
    return (
        *_ink(colour, Polygon((*roof, (0.26, 0.20), (-0.26, 0.20)), 0.03)),
        *_ink(colour, Polygon(box(-0.19, 0.28, 0.12, 0.12)), Polygon(box(0.19, 0.28, 0.12, 0.12))),
        *_ink(WHITE, Polygon(((-0.17, -0.02), (-0.11, -0.16), (0.11, -0.16), (0.17, -0.02)))),
    )


def _lorry(colour: Colour) -> Paints:
    return (
        *_ink(colour, Polygon(box(0, -0.06, 0.52, 0.56), 0.02)),
        *_ink(colour, Polygon(box(-0.17, 0.28, 0.14, 0.18)), Polygon(box(0.17, 0.28, 0.14, 0.18))),
        *_ink(WHITE, Polygon(box(0, 0.13, 0.40, 0.05))),
    )


def _side_lorry() -> Paints:
    return (
        *_ink(BLACK, Polygon(box(0.10, -0.08, 0.66, 0.42), 0.02), Polygon(box(-0.38, 0.00, 0.20, 0.28), 0.02)),
        *_ink(BLACK, Disc(-0.34, 0.20, 0.10), Disc(0.10, 0.20, 0.10), Disc(0.32, 0.20, 0.10)),
        *_ink(WHITE, Polygon(box(-0.40, -0.05, 0.10, 0.10))),
    )


def _arrow(*points: Point, width: float = 0.22, head: float = 0.24) -> tuple[Shape, ...]:
    """A line through points, with a head at its end."""
    (ax, ay), (bx, by) = points[-2:]
    length = ((bx - ax) ** 2 + (by - ay) ** 2) ** 0.5
    ux, uy = (bx - ax) / length, (by - ay) / length
    tip = (
        (bx + ux * head * 1.1, by + uy * head * 1.1),
        (bx - uy * head, by + ux * head),
        (bx + uy * head, by - ux * head),
    )
    return (Stroke(points, width), Polygon(tip, 0.02))


def _walker(x: float, size: float, lean: float = 0.0) -> tuple[Shape, ...]:
    """A person walking to the left, `size` high, with the feet at y = 0."""
    shapes = (
        Disc(lean, -0.90, 0.11),
        Stroke(((0, -0.72), (0.03, -0.42)), 0.20),
        Stroke(((0.03, -0.40), (-0.12, -0.22), (-0.20, 0.0)), 0.11),
        Stroke(((0.03, -0.40), (0.14, -0.20), (0.24, -0.02)), 0.11),
        Stroke(((0, -0.72), (-0.20, -0.50)), 0.09),
        Stroke(((0, -0.72), (0.20, -0.52)), 0.09),
    )
    return tuple(shape.moved(x, 0, size) for shape in shapes)


def _down(shapes: tuple[Shape, ...], y: float) -> tuple[Shape, ...]:
    return tuple(shape.moved(0, y) for shape in shapes)


_CURVE: Paints = _ink(
    BLACK,
    Stroke((*arc(0.26, 0.48, 0.36, 0.42, 180, 262),), 0.13),
    *_arrow((0.12, 0.10), (0.20, 0.02), width=0.12, head=0.16),
)
_WHEELS = tuple(Stroke(arc(x, 0.36, 0.17, 0.17, 0, 360), 0.055) for x in (-0.27, 0.27))
_FLAKE = tuple(Stroke(((0, 0.18), (x * 0.36, 0.18 + y * 0.36)), 0.06) for x, y in regular(6, 1.0)) + tuple(
    Stroke(
        (
            (x * 0.22 - y * 0.10, 0.18 + y * 0.22 + x * 0.10),
            (x * 0.30, 0.18 + y * 0.30),
            (x * 0.22 + y * 0.10, 0.18 + y * 0.22 - x * 0.10),
        ),
        0.045,
    )
    for x, y in regular(6, 1.0)
)
_DEER = (
    Stroke(((0.26, 0.10), (-0.06, 0.06)), 0.19),
    Stroke(((-0.08, 0.04), (-0.22, -0.16)), 0.10),
    Stroke(((-0.20, -0.16), (-0.33, -0.11)), 0.09),
    Stroke(((-0.20, -0.18), (-0.16, -0.34), (-0.26, -0.40)), 0.045),
    Stroke(((-0.17, -0.26), (-0.06, -0.34)), 0.045),
    Stroke(((-0.06, 0.10), (-0.24, 0.26), (-0.16, 0.42)), 0.06),
    Stroke(((-0.02, 0.12), (-0.06, 0.48)), 0.06),
    Stroke(((0.26, 0.12), (0.24, 0.30), (0.34, 0.50)), 0.06),
    Stroke(((0.20, 0.12), (0.14, 0.32), (0.18, 0.50)), 0.06),
    Stroke(((0.30, 0.05), (0.38, 0.14)), 0.06),
)
_DIGGER = (
    Disc(-0.06, -0.24, 0.09),
    Stroke(((-0.02, -0.10), (0.10, 0.14)), 0.15),
    Stroke(((0.10, 0.16), (-0.02, 0.32), (-0.04, 0.50)), 0.09),
    Stroke(((0.10, 0.16), (0.22, 0.32), (0.26, 0.50)), 0.09),
    Stroke(((-0.02, -0.08), (-0.16, 0.12)), 0.07),
    Stroke(((0.04, 0.02), (-0.32, 0.34)), 0.05),
    Polygon(((-0.50, 0.53), (-0.30, 0.30), (-0.12, 0.53)), 0.01),
)


def _ahead() -> tuple[Shape, ...]:
    return _arrow((0, 0.62), (0, -0.32), width=0.24, head=0.32)


def _ahead_or_turn() -> Paints:
    return _ink(
        WHITE,
        *_arrow((-0.18, 0.66), (-0.18, -0.36), width=0.20, head=0.25),
        *_arrow((-0.18, 0.44), (-0.10, 0.18), (0.32, 0.18), width=0.20, head=0.25),
    )


_TURN: Paints = _ink(WHITE, *_arrow((-0.26, 0.60), (-0.26, 0.06), (-0.16, -0.06), (0.26, -0.06), width=0.24, head=0.32))
_KEEP: Paints = _ink(WHITE, *_arrow((-0.42, -0.42), (0.24, 0.24), width=0.26, head=0.34))


def _circling() -> Paints:
    shapes: list[Shape] = []
    for turn in (0, 120, 240):
        curve = arc(0, 0, 0.48, 0.48, turn + 85, turn)
        (bx, by) = curve[-1]
        ux, uy = by / 0.48, -bx / 0.48
        shapes.append(Stroke(curve, 0.15))
        shapes.append(
            Polygon(
                ((bx + ux * 0.26, by + uy * 0.26), (bx - uy * 0.20, by + ux * 0.20), (bx + uy * 0.20, by - ux * 0.20)),
                0.01,
            )
        )
    return _ink(WHITE, *shapes)


SIGNS: tuple[tuple[str, Paints], ...] = (
    *((f"Speed limit ({speed}km/h)", (*_RING, *_limit(speed))) for speed in ("20", "30", "50", "60", "70", "80")),
    ("End of speed limit (80km/h)", (*_END, *_text("80", 1.06, 0.84, 0.15, GREY), *_BARS)),
    *((f"Speed limit ({speed}km/h)", (*_RING, *_limit(speed))) for speed in ("100", "120")),
    ("No passing", (*_RING, *moved(_car(RED), -0.31, 0, 0.98), *moved(_car(BLACK), 0.31, 0, 0.98))),
    (
        "No passing for vehicles over 3.5 metric tons",
        (*_RING, *moved(_lorry(RED), -0.30, 0, 0.98), *moved(_car(BLACK), 0.32, 0.03, 0.90)),
    ),
    (
        "Right-of-way at the next intersection",
        (
            *_WARNING,
            *_ink(
                BLACK,
                *_arrow((0, 0.50), (0, -0.10), width=0.15, head=0.15),
                Stroke(((-0.26, 0.22), (0.26, 0.22)), 0.11),
            ),
        ),
    ),
    (
        "Priority road",
        (
            (WHITE, Polygon(regular(4, 0.94), 0.05)),
            (BLACK, Polygon(regular(4, 0.80), 0.02)),
            (WHITE, Polygon(regular(4, 0.78), 0.02)),
            (YELLOW, Polygon(regular(4, 0.58), 0.02)),
        ),
    ),
    (
        "Yield",
        (
            (WHITE, Polygon(((0, 0.86), (0.90, -0.70), (-0.90, -0.70)), 0.09)),
            (RED, Polygon(((0, 0.86), (0.90, -0.70), (-0.90, -0.70)), 0.05)),
            (WHITE, Polygon(((0, 0.42), (0.53, -0.50), (-0.53, -0.50)), 0.02)),
        ),
    ),
    (
        "Stop",
        (
            (WHITE, Polygon(regular(8, 1.0, 22.5))),
            (RED, Polygon(regular(8, 0.93, 22.5))),
            *_text("STOP", 1.40, 0.56, 0.12, WHITE),
        ),
    ),
    ("No vehicles", _RING),
    ("Vehicles over 3.5 metric tons prohibited", (*_RING, *moved(_side_lorry(), 0.01, -0.02, 0.98))),
    ("No entry", ((WHITE, Disc(0, 0, 0.99)), (RED, Disc(0, 0, 0.94)), (WHITE, Polygon(box(0, 0, 1.30, 0.32), 0.02)))),
    (
        "General caution",
        (
            *_WARNING,
            *_ink(
                BLACK, Polygon(((-0.09, -0.24), (0.09, -0.24), (0.04, 0.22), (-0.04, 0.22)), 0.02), Disc(0, 0.40, 0.09)
            ),
        ),
    ),
    ("Dangerous curve to the left", (*_WARNING, *moved(mirrored(_CURVE), 0.0, 0.0))),
    ("Dangerous curve to the right", (*_WARNING, *_CURVE)),
    (
        "Double curve",
        (
            *_WARNING,
            *_ink(
                BLACK,
                *_arrow((0.14, 0.50), (0.14, 0.34), (-0.14, 0.16), (-0.14, 0.06), (0.03, -0.08), width=0.12, head=0.14),
            ),
        ),
    ),
    (
        "Bumpy road",
        (
            *_WARNING,
            *_ink(
                BLACK,
                Polygon(
                    (
                        *arc(-0.19, 0.42, 0.18, 0.26, 180, 360),
                        *arc(0.19, 0.42, 0.18, 0.26, 180, 360),
                        (0.46, 0.50),
                        (-0.46, 0.50),
                    )
                ),
            ),
        ),
    ),
    (
        "Slippery road",
        (
            *_WARNING,
            *moved(_car(BLACK), 0, -0.03, 0.66),
            *_ink(
                BLACK,
                *(
                    Stroke(((x + 0.10, 0.26), (x - 0.06, 0.34), (x + 0.08, 0.42), (x - 0.06, 0.51)), 0.06)
                    for x in (-0.16, 0.16)
                ),
            ),
        ),
    ),
    (
        "Road narrows on the right",
        (
            *_WARNING,
            *_ink(
                BLACK,
                Stroke(((-0.17, 0.50), (-0.17, -0.14)), 0.11),
                Stroke(((0.26, 0.50), (0.24, 0.32), (0.08, 0.10), (0.08, -0.14)), 0.11),
            ),
        ),
    ),
    ("Road work", (*_WARNING, *_ink(BLACK, *_DIGGER))),
    (
        "Traffic signals",
        (
            *_WARNING,
            *_ink(BLACK, Polygon(box(0, 0.14, 0.28, 0.74), 0.03)),
            (RED, Disc(0, -0.11, 0.105)),
            (YELLOW, Disc(0, 0.14, 0.105)),
            (GREEN, Disc(0, 0.39, 0.105)),
        ),
    ),
    (
        "Pedestrians",
        (
            *_WARNING,
            *_ink(
                BLACK,
                *_down(_walker(0.0, 0.74), 0.42),
                *(Stroke(((x, 0.54), (x + 0.05, 0.46)), 0.06) for x in (-0.42, -0.24, 0.24, 0.42)),
            ),
        ),
    ),
    (
        "Children crossing",
        (*_WARNING, *_ink(BLACK, *_down(_walker(-0.17, 0.52), 0.51), *_down(_walker(0.15, 0.72), 0.51))),
    ),
    (
        "Bicycles crossing",
        (
            *_WARNING,
            *_ink(
                BLACK,
                *_WHEELS,
                Stroke(((-0.27, 0.36), (-0.12, 0.10), (0.12, 0.10), (0.00, 0.36), (-0.12, 0.10)), 0.05),
                Stroke(((0.00, 0.36), (0.27, 0.36), (0.12, 0.08), (0.10, 0.0), (0.20, -0.02)), 0.05),
                Stroke(((-0.18, 0.03), (-0.06, 0.03)), 0.06),
            ),
        ),
    ),
    ("Beware of ice/snow", (*_WARNING, *_ink(BLACK, *_FLAKE))),
    ("Wild animals crossing", (*_WARNING, *_ink(BLACK, *_DEER))),
    ("End of all speed and passing limits", (*_END, *_BARS)),
    ("Turn right ahead", (*_ROUND, *_TURN)),
    ("Turn left ahead", (*_ROUND, *mirrored(_TURN))),
    ("Ahead only", (*_ROUND, *_ink(WHITE, *_ahead()))),
    ("Go straight or right", (*_ROUND, *_ahead_or_turn())),
    ("Go straight or left", (*_ROUND, *mirrored(_ahead_or_turn()))),
    ("Keep right", (*_ROUND, *_KEEP)),
    ("Keep left", (*_ROUND, *mirrored(_KEEP))),
    ("Roundabout mandatory", (*_ROUND, *_circling())),
    ("End of no passing", (*_END, *moved(_car(GREY), -0.31, 0, 1.02), *moved(_car(GREY), 0.31, 0, 1.02), *_BARS)),
    (
        "End of no passing by vehicles over 3.5 metric tons",
        (*_END, *moved(_lorry(GREY), -0.31, 0, 1.02), *moved(_car(GREY), 0.33, 0.03, 0.92), *_BARS),
    ),
)
"""Name and face of every class, in the benchmark's order; a face fills the canvas."""
