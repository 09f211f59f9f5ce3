"""Whether an expression grows with a parameter, proved from its form."""

from __future__ import annotations

from fractions import Fraction
from math import comb, inf

from specdsl.symbolic.conditions import interval
from specdsl.symbolic.model import Formula, Symbolic
from specdsl.traced.algebra import Atom, Polynomial, dividend_of, divisor_of, parameter
from specdsl.traced.conditions import Condition

HIGHEST = 21
"""Up to which power of two a value is looked for from which on all conditions hold."""


def grows_from(found: Symbolic, name: str, formula: Formula) -> int | None:
    """The least value from which on an expression in one parameter holds and grows without end; None if not known to.

    It is proved where all conditions say no more than that the parameter is large enough, or not some small value, and
    either every coefficient is positive and every atom grows, or the polynomial around that value has no negative
    coefficient.
    """
    if found.decided or name not in found.open or not isinstance(formula.expression, Polynomial):
        return None
    least = _least(found, name)
    if least is None:
        return None
    expression = formula.expression
    terms = {monomial: factor for monomial, factor in expression.terms.items() if monomial}
    rising = all(factor > 0 and all(_rises(atom, name, least) for atom, _ in one) for one, factor in terms.items())
    if not rising and not rises_around(expression, name, least):
        return None
    endless = any(any(_endless(atom) for atom, _ in monomial) for monomial in terms)
    return least if endless else None


def _least(found: Symbolic, name: str) -> int | None:
    """From where on all conditions hold; None where that is not known."""
    least = 0
    others: list[Condition] = []
    for condition in found.conditions:
        number = condition.right.constant if isinstance(condition.right, Polynomial) else None
        alone = isinstance(condition.left, Polynomial) and condition.left.atom == parameter(name)
        if not (alone and isinstance(number, int) and condition.sign in (">=", "!=")):
            others.append(condition)
            continue
        least = max(least, int(number if condition.sign == ">=" else number + 1))
    for trial in (least, *(1 << power for power in range(1, HIGHEST) if 1 << power > least)):
        if all(holds_from(condition, name, trial) for condition in others):
            return trial
    return None


def holds_from(condition: Condition, name: str, least: int) -> bool:
    """Whether a condition holds for all values of the parameter from one on."""
    if not (isinstance(condition.left, Polynomial) and isinstance(condition.right, Polynomial)):
        return False
    number = condition.right.constant
    if number is None or condition.sign not in (">=", "!="):
        return False
    low = interval(condition.left, {parameter(name): (least, inf)})[0]
    return bool(low >= number if condition.sign == ">=" else low > number)


def _rises(atom: Atom, name: str, least: int) -> bool:
    """Whether an atom never falls as the parameter grows, and is never below zero."""
    if atom == parameter(name):
        return least >= 0
    if atom.name == "floor" and divisor_of(atom):
        above = dividend_of(atom)
        rising = all(factor > 0 or not monomial for monomial, factor in above.terms.items())
        inner = all(_rises(one, name, least) for monomial in above.terms for one, _ in monomial)
        return rising and inner and interval(above, {parameter(name): (least, inf)})[0] >= 0
    return False


def _endless(atom: Atom) -> bool:
    return atom.function is None or (atom.name == "floor" and divisor_of(atom) is not None)


def rises_around(expression: Polynomial, name: str, least: int) -> bool:
    """Whether a polynomial in the parameter alone never falls from a value on: it has no negative coefficient there."""
    powers: dict[int, Fraction | int] = {}
    for monomial, factor in expression.terms.items():
        if any(atom != parameter(name) for atom, _ in monomial):
            return False
        powers[monomial[0][1] if monomial else 0] = factor
    if not powers:
        return False
    shifted: list[Fraction | int] = []
    for place in range(max(powers) + 1):
        above = [(power, factor) for power, factor in powers.items() if power >= place]
        shifted.append(sum(factor * comb(power, place) * least ** (power - place) for power, factor in above))
    return all(factor >= 0 for factor in shifted[1:]) and any(shifted[1:])
