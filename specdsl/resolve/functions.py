"""The functions of the language: pure, and quick whatever they are given."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any


def divisible(x: float, by: int = 8) -> int:
    """`divisible(x, by=8)`: the multiple of `by` nearest to x, at least `by` and not below 0.9·x (MobileNet's rule)."""
    nearest = max(by, int(x + by / 2) // by * by)
    return nearest + by if nearest < 0.9 * x else nearest


def least(*values: Any) -> Any:
    """`min(a, b, ...)` or `min([a, b, ...])`: the least of some numbers."""
    return min(*values)


def greatest(*values: Any) -> Any:
    """`max(a, b, ...)` or `max([a, b, ...])`: the greatest of some numbers."""
    return max(*values)


def rounded(x: float, digits: int | None = None) -> float:
    """`round(x)` or `round(x, digits)`: the nearest number, the even one of two as near."""
    return round(x, digits)


def length(sequence: Any) -> int:
    """`len(sequence)`: the number of items of a list or a tuple."""
    return len(sequence)


def numbers(*bounds: int) -> range:
    """`range(stop)`, `range(start, stop)` or `range(start, stop, step)`: whole numbers, `stop` left out."""
    return range(*bounds)


def ceiling(x: float) -> int:
    """`ceil(x)`: the least whole number that is not less."""
    return ceil(x)


def total(sequence: Any) -> Any:
    """`sum(sequence)`: the sum of a list or a tuple of numbers."""
    return sum(sequence)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "min": least,
    "max": greatest,
    "round": rounded,
    "ceil": ceiling,
    "sum": total,
    "len": length,
    "range": numbers,
    "divisible": divisible,
}
"""The functions of the language; the docstring of each says how it is used."""
