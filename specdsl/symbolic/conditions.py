"""What is left of assumptions when those that follow from others are left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import Any

from specdsl.traced.algebra import Atom, Polynomial, dividend_of, divisor_of, of, whole
from specdsl.traced.conditions import Condition

Bounds = Mapping[Atom, tuple[Any, Any]]
"""The least and the greatest value of atoms: whole numbers, or infinite ones."""


def simplified(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """The same assumptions in fewer words: those that follow from bounds of single parameters are left out."""
    given = list(dict.fromkeys(conditions))
    bounds: dict[Atom, tuple[Any, Any]] = {}
    for condition in given:
        atom, number = _single(condition)
        if atom is None:
            continue
        least, greatest = bounds.get(atom, (-inf, inf))
        if condition.sign == ">=":
            bounds[atom] = (max(least, number), greatest)
        elif condition.sign == "<=":
            bounds[atom] = (least, min(greatest, number))
    for condition in given:
        atom, number = _single(condition)
        if atom in bounds and condition.sign == "!=":
            least, greatest = bounds[atom]
            bounds[atom] = (least + (least == number), greatest - (greatest == number))
    parameters = {atom: bound for atom, bound in bounds.items() if atom.function is None}
    rest = [condition for condition in given if not _bounds(condition) and not _implied(condition, bounds)]
    told = [one for atom, bound in parameters.items() for one in _told(atom, bound)]
    for atom, bound in bounds.items():
        if atom.function is not None:
            told += [one for one in _told(atom, bound) if not _implied(one, parameters)]
    return (*told, *rest)


def _single(condition: Condition) -> tuple[Atom | None, int]:
    """The atom that a condition compares with a number, and the number."""
    if isinstance(condition.left, Polynomial) and isinstance(condition.right, Polynomial):
        number = condition.right.constant
        if number is not None and condition.left.atom is not None:
            return condition.left.atom, int(number)
    return None, 0


def _bounds(condition: Condition) -> bool:
    return condition.sign in (">=", "<=") and _single(condition)[0] is not None


def _told(atom: Atom, bound: tuple[Any, Any]) -> list[Condition]:
    least, greatest = bound
    told = [Condition(of(atom), ">=", whole(int(least)))] if least > -inf else []
    return told + ([Condition(of(atom), "<=", whole(int(greatest)))] if greatest < inf else [])


def _implied(condition: Condition, bounds: Bounds) -> bool:
    """Whether a comparison with a number follows from the bounds of atoms."""
    if not (isinstance(condition.left, Polynomial) and isinstance(condition.right, Polynomial)):
        return False
    number = condition.right.constant
    if number is None:
        return False
    least, greatest = interval(condition.left, bounds)
    match condition.sign:
        case ">=":
            return bool(least >= number)
        case "<=":
            return bool(greatest <= number)
        case "!=":
            return bool(least > number or greatest < number)
    return False


def interval(polynomial: Polynomial, bounds: Bounds) -> tuple[Any, Any]:
    """Between which values a polynomial lies, at the most."""
    least = greatest = 0
    for monomial, factor in polynomial.terms.items():
        low = high = 1
        for atom, power in monomial:
            below, above = _atom_interval(atom, bounds)
            for _ in range(power):
                ends = [_times(one, other) for one in (low, high) for other in (below, above)]
                low, high = min(ends), max(ends)
        ends = [_times(factor, low), _times(factor, high)]
        least, greatest = least + min(ends), greatest + max(ends)
    return least, greatest


def _times(one: Any, other: Any) -> Any:
    return 0 if 0 in (one, other) else one * other


def _atom_interval(atom: Atom, bounds: Bounds) -> tuple[Any, Any]:
    least, greatest = bounds.get(atom, (-inf, inf))
    if atom.name == "divisible":  # never less than what it is divisible by
        by = atom.operands[1] if len(atom.operands) > 1 else 8
        return (max(least, by) if isinstance(by, int) else least), greatest
    if divisor := divisor_of(atom):
        below, above = interval(dividend_of(atom), bounds)
        if atom.name == "floor":
            least = max(least, below // divisor if below > -inf else -inf)
            greatest = min(greatest, above // divisor if above < inf else inf)
        else:
            least, greatest = max(least, 0), min(greatest, divisor - 1)
    return least, greatest
