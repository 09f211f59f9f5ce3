"""The Pareto front: the models that no other one is better than in everything that matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from specdsl.analyses import QUANTITIES
from specdsl.diagnostics import Diagnostic, Slug, SpecError, did_you_mean

SHAPES = ("receptive_field", "stride", "input", "output")
"""Quantities that are no single number."""


class Goal(NamedTuple):
    """A quantity of which a model should have as little or as much as can be."""

    quantity: str
    most: bool = False

    def __str__(self) -> str:
        return f"{'most' if self.most else 'least'} {self.quantity}"


DEFAULT_FRONT = (Goal("macs"), Goal("params", most=True))
"""The most parameters for the work. The least of both would be a single model, the smallest."""


def goals(written: str) -> tuple[Goal, ...]:
    """The goals that a text such as `min:macs,max:params` lists; a bare quantity should be least.

    Raises:
        SpecError: it lists something else.
    """
    found: list[Goal] = []
    for part in written.split(","):
        sense, _, name = part.strip().rpartition(":")
        numbers = [known for known in QUANTITIES if known not in SHAPES]
        if sense not in ("", "min", "max") or name not in numbers:
            hint = None if name in numbers else did_you_mean(name, numbers) or f"quantities are {', '.join(numbers)}"
            message = f"the front is written as in 'min:macs,max:params', not '{part.strip()}'"
            raise SpecError([Diagnostic(Slug.BAD_VALUE, message, help=hint)])
        if any(name == goal.quantity for goal in found):
            raise SpecError([Diagnostic(Slug.DUPLICATE, f"the front names '{name}' twice")])
        found.append(Goal(name, sense == "max"))
    if len(found) < 2:
        raise SpecError(
            [Diagnostic(Slug.BAD_VALUE, "a front is of two quantities or more, as in 'min:macs,max:params'")]
        )
    return tuple(found)


def front(goals: Sequence[Goal], rows: Sequence[Mapping[str, Any] | None]) -> frozenset[int]:
    """The numbers of the rows that no other row dominates: none is at least as good in all and better in one.

    Rows that are equal in all goals are on it together. Rows that lack a quantity are not on it.
    """
    points: dict[tuple[float, ...], list[int]] = {}
    for number, row in enumerate(rows):
        values = [None if row is None else row.get(goal.quantity) for goal in goals]
        if all(isinstance(value, int | float) for value in values):
            point = tuple(
                -value if goal.most else value for goal, value in zip(goals, values, strict=True) if value is not None
            )
            points.setdefault(point, []).append(number)
    best: list[tuple[float, ...]] = []
    for point in sorted(points):  # what dominates a point comes before it
        if len(goals) == 2:
            if not best or point[1] < best[-1][1]:
                best.append(point)
        elif not any(all(one <= other for one, other in zip(known, point, strict=True)) for known in best):
            best.append(point)
    return frozenset(number for point in best for number in points[point])
