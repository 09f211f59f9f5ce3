"""The functions of the language: pure, and quick whatever they are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil, trunc
from typing import Any

from specdsl.traced.numbers import called, is_traced, plain


def divisible(x: float, by: int = 8) -> int:
    """`divisible(x, by=8)`: the multiple of `by` nearest to x, at least `by` and not below 0.9·x (MobileNet's rule)."""
    nearest = max(by, trunc(x + by / 2) // by * by)
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

_KEPT = {"min", "max", "round", "ceil", "divisible"}
"""The functions that an expression in traced numbers keeps as they are, rather than what they are made of."""


def apply(name: str, positional: Sequence[Any], named: Mapping[str, Any]) -> Any:
    """What a function gives.

    Raises:
        TypeError, ValueError, ZeroDivisionError, OverflowError: it has no value.
    """
    function = FUNCTIONS[name]
    if name in _KEPT and is_traced([*positional, *named.values()]):
        from inspect import signature

        given = signature(function).bind(*positional, **named).args
        items = [item for value in given for item in (value if isinstance(value, list | tuple) else [value])]
        kinds = {type(plain(item)) for item in items}
        if len(kinds) == 1 or name in ("round", "ceil") or (name == "divisible" and type(plain(given[1])) is int):
            return called(name, function, *given)  # it is whole or not, whatever the values
    return function(*positional, **named)
