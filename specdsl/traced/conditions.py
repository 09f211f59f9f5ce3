"""What is assumed of a model's parameters: comparisons of expressions, in one form for all that mean the same."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from specdsl.traced.algebra import (
    Expression,
    Operand,
    Polynomial,
    dividend_of,
    divisor_of,
    evaluate,
    of,
    text_of,
    whole,
)

SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
"""What each sign of a comparison asks."""

OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
"""The sign that is true where another one is not."""

_SHOWN = {"<=": "≤", ">=": "≥", "==": "=", "!=": "≠"}


class Condition(NamedTuple):
    """A comparison of two expressions that came out true."""

    left: Operand
    sign: str
    right: Operand

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it is true, where parameters have these values; an expression without a value makes it false."""
        try:
            return bool(SIGNS[self.sign](evaluate(self.left, values), evaluate(self.right, values)))
        except (ArithmeticError, ValueError, TypeError):
            return False

    def __str__(self) -> str:
        left, right = self.left, self.right
        if isinstance(left, Polynomial) and isinstance(right, Polynomial):  # what is subtracted stands on the right
            taken = Polynomial({one: -factor for one, factor in left.terms.items() if factor < 0})
            left, right = left + taken, right + taken
        return f"{text_of(left)} {_SHOWN.get(self.sign, self.sign)} {text_of(right)}"


class Trace:
    """What was assumed of the parameters so far.

    Attributes:
        conditions: the assumptions, each once, in order.
    """

    def __init__(self) -> None:
        self.conditions: dict[Condition, None] = {}
        self._zero: set[Polynomial] = set()
        self._repeated: dict[int, tuple[object, Any]] = {}

    def assume(self, left: Expression | int | float, sign: str, right: Expression | int | float) -> None:
        """Write down a comparison that came out true."""
        if isinstance(left, Polynomial | int) and isinstance(right, Polynomial | int):
            condition = _tidy(polynomial(left) - polynomial(right), sign)
            if condition is None:
                return
            if condition.sign == "==" and condition.right == whole(0):
                self._zero.add(condition.left)  # type: ignore[arg-type]
        else:
            condition = Condition(left, sign, right)
        self.conditions[condition] = None

    def repeated(self, what: object, times: Any) -> None:
        """Write down that something stands for so many of its kind; within a loop around it, as often in each round."""
        self._repeated[id(what)] = (what, times * self.times(what))

    def times(self, what: object) -> Any:
        """How many of its kind something stands for."""
        return self._repeated.get(id(what), (what, 1))[1]

    def divides(self, rest: Polynomial) -> bool:
        """Whether a remainder is assumed to be zero."""
        return rest in self._zero


def polynomial(value: Polynomial | int) -> Polynomial:
    """A whole number as a polynomial, and a polynomial as it is."""
    return value if isinstance(value, Polynomial) else whole(value)


def _tidy(difference: Polynomial, sign: str) -> Condition | None:
    """The comparison of a difference with zero in one form for all that mean the same; None where it always holds.

    What is compared are whole numbers.
    """
    if difference.constant is not None:
        return None
    if sign in ("<", ">"):  # of whole numbers
        difference, sign = (difference + whole(1), "<=") if sign == "<" else (difference - whole(1), ">=")
    if sign == "<=":
        difference, sign = -difference, ">="
    offset = difference.offset
    rest = difference - Polynomial({(): offset} if offset else {})
    common = Fraction(
        math.gcd(*(Fraction(factor).numerator for factor in rest.terms.values())),
        math.lcm(*(Fraction(factor).denominator for factor in rest.terms.values())),
    )
    bound = Fraction(-offset) / common
    rest = rest.scaled(1 / common)
    single = rest.atom or (-rest).atom
    if sign != ">=":
        if bound.denominator != 1:  # whole numbers are never a fraction
            return None if sign == "!=" else Condition(difference, sign, whole(0))
        if next(iter(rest.terms.values())) < 0:
            rest, bound = -rest, -bound
        return Condition(rest, sign, whole(int(bound)))
    upper = rest.atom is None and single is not None
    if single is not None and single.name == "floor" and (by := divisor_of(single)):
        above = dividend_of(single)
        if upper:
            return _tidy(above - whole(math.floor(-bound) * by + by - 1), "<=")
        return _tidy(above - whole(math.ceil(bound) * by), ">=")
    if upper and single is not None:
        return Condition(of(single), "<=", whole(math.floor(-bound)))
    return Condition(rest, ">=", whole(math.ceil(bound)))
