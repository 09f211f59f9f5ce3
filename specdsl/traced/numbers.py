"""Numbers that remember how they came about from the parameters of a model.

A traced number acts as the number that it is, and carries its expression. It is no `int` underneath, though
`isinstance` says so: whatever takes it for a plain number has to ask it for one, by a comparison or a conversion, and
each of these is written down as a condition. Where all conditions hold for other values of the parameters, the same
things would have happened with them, and the expressions are right for them too. So nothing can be forgotten, only be
said too narrowly.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from specdsl.traced.algebra import (
    Atom,
    Expression,
    Polynomial,
    of,
    parameter,
    quotient,
    remainder,
)
from specdsl.traced.conditions import OPPOSITE, SIGNS, Trace, polynomial

_TRACE: ContextVar[Trace | None] = ContextVar("trace", default=None)


class Traced:
    """A number with its expression. Whatever is not arithmetic writes down what it assumes."""

    __slots__ = ("expression", "number", "trace")

    def __init__(self, number: int | float, expression: Expression, trace: Trace) -> None:
        self.number = number
        self.expression = expression
        self.trace = trace

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self.number)

    # ------------------------------------------------------------------------------------------ arithmetic

    def __add__(self, other: Any) -> Any:
        return _arithmetic("+", operator.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return _arithmetic("+", operator.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return _arithmetic("-", operator.sub, self, other)

    def __rsub__(self, other: Any) -> Any:
        return _arithmetic("-", operator.sub, other, self)

    def __mul__(self, other: Any) -> Any:
        return _arithmetic("*", operator.mul, self, other)

    def __rmul__(self, other: Any) -> Any:
        return _arithmetic("*", operator.mul, other, self)

    def __truediv__(self, other: Any) -> Any:
        return _arithmetic("/", operator.truediv, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _arithmetic("/", operator.truediv, other, self)

    def __floordiv__(self, other: Any) -> Any:
        return _arithmetic("//", operator.floordiv, self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return _arithmetic("//", operator.floordiv, other, self)

    def __mod__(self, other: Any) -> Any:
        return _arithmetic("%", operator.mod, self, other)

    def __rmod__(self, other: Any) -> Any:
        return _arithmetic("%", operator.mod, other, self)

    def __pow__(self, other: Any) -> Any:
        return _arithmetic("**", operator.pow, self, other)

    def __rpow__(self, other: Any) -> Any:
        return _arithmetic("**", operator.pow, other, self)

    def __neg__(self) -> Any:
        return 0 - self if isinstance(self.number, int) else _real("−", operator.neg, self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return -self if self < 0 else self

    def __round__(self, digits: int | None = None) -> Any:
        return called("round", round, self) if digits is None else called("round", round, self, digits)

    def __floor__(self) -> Any:
        return called("floor", math.floor, self)

    def __ceil__(self) -> Any:
        return called("ceil", math.ceil, self)

    def __trunc__(self) -> Any:
        return called("trunc", math.trunc, self)

    # ------------------------------------------------------------------------------------------ assumptions

    def __lt__(self, other: Any) -> bool:
        return _compare("<", self, other)  # type: ignore[no-any-return]

    def __le__(self, other: Any) -> bool:
        return _compare("<=", self, other)  # type: ignore[no-any-return]

    def __gt__(self, other: Any) -> bool:
        return _compare(">", self, other)  # type: ignore[no-any-return]

    def __ge__(self, other: Any) -> bool:
        return _compare(">=", self, other)  # type: ignore[no-any-return]

    def __eq__(self, other: object) -> bool:
        return _is_number(other) and bool(_compare("==", self, other))

    def __ne__(self, other: object) -> bool:
        return not _is_number(other) or bool(_compare("!=", self, other))

    def __bool__(self) -> bool:
        return bool(_compare("!=", self, 0))

    def settled(self) -> Any:
        """The plain number, which is assumed from here on."""
        self.trace.assume(self.expression, "==", self.number)
        return self.number

    def __hash__(self) -> int:
        return hash(self.settled())

    def __index__(self) -> int:
        return operator.index(self.settled())

    def __int__(self) -> int:
        return int(self.settled())

    def __float__(self) -> float:
        return float(self.settled())

    def __str__(self) -> str:
        return str(self.settled())

    def __repr__(self) -> str:
        return repr(self.settled())

    def __format__(self, form: str) -> str:
        return format(self.settled(), form)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.settled(), name)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def plain(value: Any) -> Any:
    """A number as it is, without any assumption: for limits, which refuse what is too large, and for what is shown."""
    return value.number if is_one(value) else value


def expression_of(value: Any) -> Any:
    """The expression of a traced number; anything else as it is, sequences by their items."""
    if is_one(value):
        return value.expression
    if isinstance(value, list | tuple):
        return tuple(map(expression_of, value))
    return value


def is_one(value: object) -> bool:
    """Whether a value is a traced number, which `isinstance` does not tell."""
    return type(value) is Traced


def trace_of(value: object) -> Trace | None:
    """The trace that a number is part of, if it is."""
    return value.trace if type(value) is Traced else None


def is_traced(value: Any) -> bool:
    """Whether a value is a traced number, or a sequence that holds one."""
    return is_one(value) or (isinstance(value, list | tuple) and any(map(is_traced, value)))


def _trace_of(*values: Any) -> Trace:
    return next(trace for value in values if (trace := trace_of(value)))


def _compare(sign: str, left: Any, right: Any) -> Any:
    if not _is_number(right):
        return NotImplemented
    truth = bool(SIGNS[sign](plain(left), plain(right)))
    trace = _trace_of(left, right)
    trace.assume(_operand(left), sign if truth else OPPOSITE[sign], _operand(right))
    return truth


def _operand(value: Any) -> Any:
    return value.expression if is_one(value) else (int(value) if isinstance(value, bool) else value)


def _arithmetic(sign: str, function: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    if not (_is_number(left) and _is_number(right)):  # a sequence, repeated
        return function(*(value.settled() if is_one(value) else value for value in (left, right)))
    number = function(plain(left), plain(right))
    trace = _trace_of(left, right)
    if sign in ("/", "//", "%") and is_one(right):
        trace.assume(right.expression, "!=", 0)
    if not (isinstance(left, int) and isinstance(right, int) and type(number) is int):
        if sign == "**" and isinstance(number, complex):
            return function(*(value.settled() if is_one(value) else value for value in (left, right)))
        if sign == "**" and isinstance(left, int) and isinstance(right, int):
            _compare("<", right, 0) if is_one(right) else None  # otherwise it would be whole
        return Traced(number, Atom(sign, function, (_operand(left), _operand(right))), trace)
    one, two = (polynomial(_operand(value)) for value in (left, right))
    match sign:
        case "+":
            result = one + two
        case "-":
            result = one - two
        case "*":
            result = one * two
        case "//":
            result = quotient(one, two, trace.divides)
        case "%":
            result = remainder(one, two)
            if trace.divides(result):
                return 0
        case _:
            if is_one(right):
                trace.assume(two, ">=", 0)
                result = of(Atom("power", operator.pow, (one, two)))
            elif right <= _LARGEST_POWER:
                result = one**right
            else:
                result = of(Atom("power", operator.pow, (one, two)))
    return _made(number, result, trace)


_LARGEST_POWER = 12


def _made(number: int, result: Polynomial, trace: Trace) -> Any:
    return Traced(number, result, trace) if result.constant is None else number


def _real(name: str, function: Callable[..., Any], *operands: Any) -> Traced:
    number = function(*map(plain, operands))
    return Traced(number, Atom(name, function, tuple(map(_operand, operands))), _trace_of(*operands))


def called(name: str, function: Callable[..., Any], *given: Any) -> Any:
    """What a pure function makes of numbers, and of sequences of numbers, some of them traced: it is worked out anew.

    Whether it is whole must follow from what kinds of numbers are given, not from their values.
    """
    number = function(*map(_plainly, given))
    if type(number) is int and name in ("round", "floor", "ceil", "trunc") and isinstance(given[0], int):
        return given[0]
    atom = Atom(name, function, tuple(map(expression_of, given)))
    trace = _trace_of(*_numbers(given))
    return Traced(number, of(atom) if type(number) is int else atom, trace)


def _plainly(value: Any) -> Any:
    return type(value)(map(_plainly, value)) if type(value) in (list, tuple) else plain(value)


def _numbers(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _numbers(value)
        else:
            yield value


# ---------------------------------------------------------------------------------------------- keys


class _Same:
    """A key that is the same as another when comparing the two says so, which is written down either way."""

    __slots__ = ("what",)

    def __init__(self, what: Any) -> None:
        self.what = what

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and _alike(self.what, other.what)


def _alike(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    kinds = [type(plain(value)) for value in (one, other)]
    return kinds[0] is kinds[1] and bool(one == other)


def key(value: Any, otherwise: Callable[[Any], Any] = lambda value: value) -> Any:
    """What a value is remembered by: what `otherwise` makes of it, unless a trace runs."""
    return _Same(value) if _TRACE.get() else otherwise(value)


# ---------------------------------------------------------------------------------------------- tracing


def tracing() -> bool:
    """Whether a trace runs."""
    return _TRACE.get() is not None


@contextmanager
def traced(values: Mapping[str, int | float]) -> Iterator[tuple[Trace, dict[str, Traced]]]:
    """A trace, and the parameters that it follows, at these values."""
    trace = Trace()
    token = _TRACE.set(trace)
    try:
        yield trace, {name: Traced(value, _start(name, value), trace) for name, value in values.items()}
    finally:
        _TRACE.reset(token)


def _start(name: str, value: int | float) -> Expression:
    return of(parameter(name)) if isinstance(value, int) else parameter(name)
