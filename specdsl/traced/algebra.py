"""Exact expressions in parameters: polynomials whose indeterminates are parameters and what no polynomial can say.

A polynomial has whole or rational coefficients. What is rounded, or worked out with fractions as machines have them,
is an `Atom` that does again, for other values of the parameters, just what was done.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cached_property
from typing import Any

Number = int | float
Monomial = tuple[tuple["Atom", int], ...]
"""A product of powers of atoms, in a fixed order."""


class Atom:
    """A parameter, or an operation on expressions.

    Attributes:
        name: the parameter's name; of an operation its sign or name.
        function: what the operation does with numbers; None for a parameter.
        operands: what it does it with.
    """

    def __init__(
        self, name: str, function: Callable[..., Any] | None = None, operands: tuple[Operand, ...] = ()
    ) -> None:
        self.name = name
        self.function = function
        self.operands = operands

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """What tells it from others."""
        return (self.name, *(_key(operand) for operand in self.operands))

    def value(self, values: Mapping[str, Any]) -> Any:
        """Its value, where parameters have these values."""
        if self.function is None:
            return values[self.name]
        return self.function(*(evaluate(operand, values) for operand in self.operands))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Atom) and (self is other or self.key == other.key)

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return _atom_text(self)


class Polynomial:
    """A sum of products of atoms, each with a coefficient that is not zero."""

    def __init__(self, terms: Mapping[Monomial, Fraction | int]) -> None:
        self.terms = terms

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """What tells it from others: equal for polynomials that are equal."""
        terms = [(tuple((atom.key, power) for atom, power in one), factor) for one, factor in self.terms.items()]
        return ("polynomial", *sorted(terms, key=repr))

    @property
    def constant(self) -> Fraction | int | None:
        """Its value where it depends on nothing, otherwise None."""
        if not self.terms:
            return 0
        return self.terms[()] if len(self.terms) == 1 and () in self.terms else None

    @property
    def offset(self) -> Fraction | int:
        """Its constant term."""
        return self.terms.get((), 0)

    @property
    def whole(self) -> bool:
        """Whether all coefficients are whole numbers."""
        return all(isinstance(factor, int) for factor in self.terms.values())

    @property
    def atom(self) -> Atom | None:
        """The atom that it is nothing but, if it is."""
        if len(self.terms) == 1:
            ((monomial, factor),) = self.terms.items()
            if factor == 1 and len(monomial) == 1 and monomial[0][1] == 1:
                return monomial[0][0]
        return None

    def value(self, values: Mapping[str, Any]) -> Any:
        """Its value, where parameters have these values: a whole number wherever what it stands for is one."""
        known: dict[Atom, Any] = {}
        result: Any = 0
        for monomial, factor in self.terms.items():
            product: Any = factor
            for atom, power in monomial:
                if atom not in known:
                    known[atom] = atom.value(values)
                product *= known[atom] ** power
            result += product
        return _plain(result)

    def __add__(self, other: Polynomial) -> Polynomial:
        terms = dict(self.terms)
        for monomial, factor in other.terms.items():
            terms[monomial] = terms.get(monomial, 0) + factor
        return made(terms)

    def __neg__(self) -> Polynomial:
        return Polynomial({monomial: -factor for monomial, factor in self.terms.items()})

    def __sub__(self, other: Polynomial) -> Polynomial:
        return self + -other

    def __mul__(self, other: Polynomial) -> Polynomial:
        terms: dict[Monomial, Fraction | int] = {}
        for one, factor in self.terms.items():
            for two, times in other.terms.items():
                monomial = _joined(one, two)
                terms[monomial] = terms.get(monomial, 0) + factor * times
        return made(terms)

    def __pow__(self, power: int) -> Polynomial:
        result = whole(1)
        for _ in range(power):
            result = result * self
        return result

    def scaled(self, factor: Fraction | int) -> Polynomial:
        """It, times a number."""
        return made({monomial: times * factor for monomial, times in self.terms.items()})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Polynomial) and (self is other or self.terms == other.terms)

    def __hash__(self) -> int:
        return hash(frozenset(self.terms.items()))

    def __str__(self) -> str:
        return _polynomial_text(self)


Expression = Polynomial | Atom
"""A polynomial stands for a whole number, an atom alone for a number with a fraction."""

Operand = Polynomial | Atom | int | float | tuple[Any, ...] | None


def _key(operand: Operand) -> Any:
    if isinstance(operand, Polynomial | Atom):
        return operand.key
    return (type(operand).__name__, operand if not isinstance(operand, tuple) else tuple(map(_key, operand)))


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, Fraction) and value.denominator == 1 else value


def made(terms: Mapping[Monomial, Fraction | int]) -> Polynomial:
    """The polynomial of some terms, those that vanish left out."""
    return Polynomial({monomial: _plain(factor) for monomial, factor in terms.items() if factor})


def whole(number: int) -> Polynomial:
    """A whole number as a polynomial."""
    return made({(): number})


def of(atom: Atom) -> Polynomial:
    """An atom as a polynomial."""
    return Polynomial({((atom, 1),): 1})


def parameter(name: str) -> Atom:
    """The parameter of a name."""
    return Atom(name)


def evaluate(operand: Operand, values: Mapping[str, Any]) -> Any:
    """The value of an operand, where parameters have these values."""
    if isinstance(operand, Polynomial | Atom):
        return operand.value(values)
    return tuple(evaluate(item, values) for item in operand) if isinstance(operand, tuple) else operand


def _joined(one: Monomial, two: Monomial) -> Monomial:
    powers = dict(one)
    for atom, power in two:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items(), key=lambda item: _order(item[0])))


def _order(atom: Atom) -> tuple[bool, str]:
    return atom.function is not None, repr(atom.key)


def mentioned(operand: Operand) -> set[str]:
    """The parameters that an expression depends on."""
    match operand:
        case Polynomial():
            return {name for monomial in operand.terms for atom, _ in monomial for name in mentioned(atom)}
        case Atom():
            if operand.function is None:
                return {operand.name}
            return {name for inner in operand.operands for name in mentioned(inner)}
        case tuple():
            return {name for inner in operand for name in mentioned(inner)}
        case _:
            return set()


# ---------------------------------------------------------------------------------------------- division


def divisor_of(atom: Atom) -> int | None:
    """The divisor of a rounded quotient or a remainder of polynomials, where it is a number above zero."""
    if len(atom.operands) == 2 and atom.name in ("floor", "mod"):
        above, below = atom.operands
        if isinstance(above, Polynomial) and isinstance(below, Polynomial):
            by = below.constant
            return by if isinstance(by, int) and by > 0 else None
    return None


def dividend_of(atom: Atom) -> Polynomial:
    """What is divided there."""
    above = atom.operands[0]
    assert isinstance(above, Polynomial)
    return above


def _share(dividend: Polynomial, divisor: int) -> tuple[Polynomial, Polynomial]:
    """A quotient and a rest whose coefficients are at least zero and less than the divisor; `divisor` is above zero."""
    pairs = {monomial: divmod(factor, divisor) for monomial, factor in dividend.terms.items()}
    return made({one: pair[0] for one, pair in pairs.items()}), made({one: pair[1] for one, pair in pairs.items()})


def _split(dividend: Polynomial, divisor: Polynomial) -> tuple[Polynomial, Polynomial]:
    """The quotient of the terms that a single term divides with whole coefficients, and the other terms."""
    kept: dict[Monomial, Fraction | int] = {}
    result = whole(0)
    for monomial, factor in dividend.terms.items():
        share = _exactly(Polynomial({monomial: factor}), divisor)
        if share is None:
            kept[monomial] = factor
        else:
            result = result + share
    return result, Polynomial(kept)


def _exactly(dividend: Polynomial, divisor: Polynomial) -> Polynomial | None:
    """The quotient by a single term, where it leaves whole coefficients."""
    if len(divisor.terms) != 1:
        return whole(1) if dividend == divisor else None
    ((under, factor),) = divisor.terms.items()
    terms: dict[Monomial, Fraction | int] = {}
    for monomial, times in dividend.terms.items():
        powers = dict(monomial)
        for atom, power in under:
            powers[atom] = powers.get(atom, 0) - power
        share = Fraction(times) / factor
        if share.denominator != 1 or any(power < 0 for power in powers.values()):
            return None
        left = sorted(((atom, power) for atom, power in powers.items() if power), key=lambda item: _order(item[0]))
        terms[tuple(left)] = share
    return made(terms)


def remainder(dividend: Polynomial, divisor: Polynomial) -> Polynomial:
    """What a division to whole numbers leaves, as `%` has it."""
    by = divisor.constant
    if isinstance(by, int) and by > 0 and dividend.whole:
        rest = _share(dividend, by)[1]
        return rest if rest.constant is not None else of(Atom("mod", operator.mod, (rest, divisor)))
    if dividend == divisor:
        return whole(0)
    rest = _split(dividend, divisor)[1]
    return of(Atom("mod", operator.mod, (rest, divisor))) if rest.terms else rest


def quotient(dividend: Polynomial, divisor: Polynomial, divides: Callable[[Polynomial], bool]) -> Polynomial:
    """A division to whole numbers, as `//` has it.

    Args:
        dividend: what is divided.
        divisor: by what.
        divides: whether a remainder is known to be zero.
    """
    by = divisor.constant
    if not (isinstance(by, int) and by > 0 and dividend.whole):
        if dividend == divisor:
            return whole(1)
        exact, rest = _split(dividend, divisor)
        return exact + of(Atom("floor", operator.floordiv, (rest, divisor))) if rest.terms else exact
    result, rest = _share(dividend, by)
    if rest.constant is not None:  # less than the divisor, so that nothing of it is left
        return result
    if divides(remainder(rest, divisor)):
        return dividend.scaled(Fraction(1, by))
    if by == 2 and (even := _evened(rest)) is not None:
        return result + quotient(even, divisor, divides)
    inner = (rest - whole(int(rest.offset))).atom
    if inner is not None and inner.name == "floor" and (within := divisor_of(inner)):
        # a floor within a floor: floor((floor(x / a) + c) / b) = floor((x + a c) / (a b))
        numerator = dividend_of(inner) + whole(int(rest.offset) * within)
        return result + quotient(numerator, whole(by * within), divides)
    return result + of(Atom("floor", operator.floordiv, (rest, divisor)))


def _evened(rest: Polynomial) -> Polynomial | None:
    """Of `x + x mod 2`, which is x rounded up to an even number, `x + 1`: half of the one is half of the other."""
    for monomial, factor in rest.terms.items():
        if factor == 1 and len(monomial) == 1 and monomial[0][1] == 1 and monomial[0][0].name == "mod":
            odd = of(monomial[0][0])
            above, below = monomial[0][0].operands
            if isinstance(below, Polynomial) and below.constant == 2 and above == rest - odd:
                return rest - odd + whole(1)
    return None


# ---------------------------------------------------------------------------------------------- in words

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_INFIX = {"+", "-", "*", "/", "**", "//", "%"}


def text_of(operand: Operand) -> str:
    """An expression as people read it."""
    if isinstance(operand, tuple):
        return f"[{', '.join(map(text_of, operand))}]"
    return f"{operand:g}" if isinstance(operand, float) else str(operand)


def _closed(operand: Operand) -> str:
    """An operand in brackets, where it needs them as a factor."""
    told = text_of(operand)
    if isinstance(operand, Polynomial) and len(operand.terms) > 1:
        return f"({told})"
    return f"({told})" if isinstance(operand, Atom) and operand.name in _INFIX else told


def _atom_text(atom: Atom) -> str:
    if atom.function is None:
        return atom.name
    if atom.name == "floor" and len(atom.operands) == 2:
        above, below = atom.operands
        if isinstance(above, Polynomial) and (by := divisor_of(atom)) and above.offset == by - 1:
            return f"⌈{_closed(above - whole(int(above.offset)))}/{below}⌉"
        return f"⌊{_closed(above)}/{_closed(below)}⌋"
    if atom.name == "mod":
        return f"({_closed(atom.operands[0])} mod {_closed(atom.operands[1])})"
    if atom.name == "power":
        return f"{_closed(atom.operands[0])}^{_closed(atom.operands[1])}"
    if atom.name in _INFIX:
        sign = {"*": "·", "-": " − ", "+": " + ", "/": "/", "**": "^", "//": " // ", "%": " % "}[atom.name]
        return sign.join(map(_closed, atom.operands))
    return f"{atom.name}({', '.join(text_of(operand) for operand in atom.operands if operand is not None)})"


def _polynomial_text(polynomial: Polynomial) -> str:
    if not polynomial.terms:
        return "0"
    terms = sorted(polynomial.terms.items(), key=lambda item: _rank(item[0]))
    parts: list[str] = []
    for monomial, factor in terms:
        sign = "−" if factor < 0 else "+"
        size = abs(Fraction(factor))
        factors = [f"{_closed_atom(atom)}{_superscript(power)}" for atom, power in monomial]
        shown = [f"{size.numerator:,}"] if size.numerator != 1 or not factors else []
        told = "·".join(shown + factors) + (f"/{size.denominator:,}" if size.denominator != 1 else "")
        parts.append(f" {sign} {told}" if parts else ("−" if sign == "−" else "") + told)
    return "".join(parts)


def _rank(monomial: Monomial) -> tuple[int, str]:
    """Where a term stands: those of high degree first."""
    return -sum(power for _, power in monomial), repr([(-power, atom.key) for atom, power in monomial])


def _superscript(power: int) -> str:
    return str(power).translate(_SUPERSCRIPTS) if power > 1 else ""


def _closed_atom(atom: Atom) -> str:
    told = str(atom)
    return f"({told})" if atom.name in _INFIX or atom.name == "power" else told
