"""How many trials of a run are trained together. Light: imports no framework."""

from __future__ import annotations

from collections.abc import Callable

from specdsl.training.ways import even


class Most:
    """How many trials of a run are trained together at the most: fewer, once memory has not sufficed for more.

    All groups of the run go by it, those that wait and those that other processes train too.

    Args:
        number: how many; None for all.
        told: is told of each smaller number that is found here.

    Attributes:
        number: how many; None for all.
    """

    def __init__(self, number: int | None = None, told: Callable[[int], None] = lambda number: None) -> None:
        self.number = number
        self._told = told

    def first(self, trials: int) -> int:
        """How many of so many trials make the first group."""
        return even(trials, self.number)[0]

    def lower(self, number: int) -> None:
        """Memory suffices for so many at the most, as was found here."""
        if self._is_less(number):
            self.number = number
            self._told(number)

    def heed(self, number: int | None) -> None:
        """The same, as was found elsewhere; None where nothing was."""
        if number is not None and self._is_less(number):
            self.number = number

    def _is_less(self, number: int) -> bool:
        return self.number is None or number < self.number
