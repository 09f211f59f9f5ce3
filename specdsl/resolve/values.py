"""The values of expressions. Evaluation is total: it ends, it is bounded, and it runs nothing but arithmetic."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, inf, isfinite, trunc
from typing import Any

from specdsl.declaration import Declaration, text
from specdsl.diagnostics import Slug, did_you_mean, in_quotes
from specdsl.graph import Tensor
from specdsl.layers import NAMES, InputLayer
from specdsl.layers.arguments import WORDS
from specdsl.layers.objects import OBJECTS
from specdsl.layers.shapes import Shape
from specdsl.limits import HIGHEST
from specdsl.resolve.binding import WHOLE, bind
from specdsl.resolve.functions import FUNCTIONS, apply
from specdsl.resolve.lookup import refuse_undeclarable
from specdsl.resolve.scope import Collector, Defined, Frame, Limits, Poison, Problem, Shared, Skip, Steps
from specdsl.source import Span
from specdsl.syntax import tree
from specdsl.traced.numbers import plain


@dataclass(frozen=True)
class Evaluator:
    """Evaluates expressions against frames.

    Attributes:
        limits: bounds of numbers and sequences.
        found: where mistakes in the arguments of objects go, which are many at once.
        lost_names: words in unreadable parts of the text: a name among them is not reported as unknown.
        shape_of: the shape of a tensor, for `channels` and `shape`.
        steps: what the work is counted with.
        objects: what a call may make, by name.
        model: makes a layer of a model that a call names, where that can be.
    """

    limits: Limits
    found: Collector
    lost_names: frozenset[str]
    shape_of: Callable[[Tensor], Shape]
    steps: Steps
    objects: Mapping[str, type[Declaration]] = field(default_factory=lambda: VALUES)
    model: Callable[[Defined, tree.Call, Frame], Any] | None = None

    def value(self, expression: tree.Expression, frame: Frame) -> Any:
        """The value of an expression.

        Raises:
            Problem: the expression has no value.
            Skip: it depends on something that is already reported.
        """
        self.steps.take(expression.span, Steps.EXPRESSION)
        try:
            return self._value(expression, frame)
        except RecursionError:
            hint = "give parts of it names with `let`"
            raise Problem(Slug.LIMIT, "this expression nests too deeply", expression.span, help=hint) from None

    def _value(self, expression: tree.Expression, frame: Frame) -> Any:
        match expression:
            case tree.Literal():
                return self.bounded(expression.value, expression.span)
            case tree.Call():
                return self._call(expression, frame)
            case tree.Sequence():
                items = [self.value(item, frame) for item in expression.items]
                return self.bounded(tuple(items) if expression.is_tuple else items, expression.span)
            case tree.Group():
                return self.value(expression.inner, frame)
            case tree.Operation():
                return self._operation(expression, frame)
            case tree.Prefix():
                return self._prefix(expression, frame)
            case tree.Ternary():
                return self.value(
                    expression.then if self.truth(expression.condition, frame) else expression.otherwise, frame
                )
            case tree.Index():
                return self._index(expression, frame)

    def truth(self, expression: tree.Expression, frame: Frame) -> bool:
        """The value of a condition.

        Raises:
            Problem: it is neither true nor false.
            Skip: it depends on something that is already reported.
        """
        value = self.value(expression, frame)
        if not isinstance(value, bool):
            raise Problem(Slug.BAD_VALUE, f"a condition must be true or false, not {text(value)}", expression.span)
        return value

    def whole(self, expression: tree.Expression, frame: Frame, what: str) -> int:
        """The value of an expression that must be a whole number.

        Raises:
            Problem: it is none.
            Skip: it depends on something that is already reported.
        """
        value = self.value(expression, frame)
        if not isinstance(value, int) or isinstance(value, bool):
            hint = WHOLE if isinstance(value, float) and value.is_integer() else None
            if value is None:
                hint = "`none` is a size that is unknown until run time"
            message = f"{what} must be a whole number, not {text(value)}"
            raise Problem(Slug.BAD_VALUE, message, expression.span, help=hint)
        return value

    def _call(self, call: tree.Call, frame: Frame) -> Any:
        name = call.name.text
        bound = frame.lookup(name)
        if bound is not None:
            if self.model and isinstance(bound[0], Defined) and isinstance(bound[0].node, tree.Model | tree.Variant):
                return self.model(bound[0], call, frame)
            if isinstance(bound[0], Poison):
                raise Skip
            if call.arguments is not None:
                raise Problem(
                    Slug.BAD_VALUE, f"'{name}' takes no arguments here: it is {_meaning(bound[0])}", call.span
                )
            return self._plain(name, bound[0], call.span)
        if name in FUNCTIONS and call.arguments is not None:
            return self._function(call, frame)
        if name in FUNCTIONS:
            usage = FUNCTIONS[name].__doc__
            raise Problem(Slug.BAD_VALUE, f"'{name}' is a function, not a value", call.span, help=usage)
        if call.arguments is None and name in ("channels", "shape"):
            return self._entering(call, frame)
        if name in self.objects:
            return bind(self.objects[name], call, lambda argument: self.value(argument, frame), self.found)
        if name in self.lost_names:
            raise Skip
        refuse_undeclarable(call.name)
        raise Problem(Slug.UNKNOWN_NAME, f"nothing is called '{name}'", call.name.span, help=self._hint(call, frame))

    def _plain(self, name: str, value: Any, span: Span) -> Any:
        if isinstance(value, Poison):
            raise Skip
        if isinstance(value, Tensor | Defined | Shared):
            hint = None
            if isinstance(value, Tensor):
                hint = f"a tensor enters by `{name} -> ...`, several by `[a, b] -> ...`"
            elif isinstance(value, Shared):
                hint = f"`let {name} = ...` names a layer that a wrapper takes"
            raise Problem(Slug.BAD_VALUE, f"'{name}' is {_meaning(value)}, not a value", span, help=hint)
        return value

    def _hint(self, call: tree.Call, frame: Frame) -> str | None:
        name = call.name.text
        if name in _PYTHON:
            return _PYTHON[name]
        if call.arguments and (hint := did_you_mean(name, self.objects)):
            return hint
        if word := next((word for word in (name, name.lower()) if word in WORDS), None):
            return in_quotes(word)
        if name in NAMES:
            return f"{name} is a layer, and stands as a step of its own"
        span = call.name.span
        if re.search(rf"^let\s+{name}\b", span.source.text[span.end :], re.MULTILINE):
            return f"`let {name} = ...` stands further down: a value is named above its uses"
        values = frame.visible(lambda value: not isinstance(value, Defined))
        folded = {known.lower() for known in self.objects}
        called = self.objects if call.arguments or name[0].isupper() or name in folded else ()
        return did_you_mean(name, [*values, "channels", "shape", "true", "false", "none", *FUNCTIONS, *called])

    def _entering(self, call: tree.Call, frame: Frame) -> Any:
        around: Frame | None = frame
        while around is not None and around.entering is None:
            around = around.parent
        if around is None:
            raise Problem(Slug.BAD_VALUE, f"no tensor has entered yet, so there is no '{call.name.text}'", call.span)
        if isinstance(around.entering, Poison) or around.entering is None:
            raise Skip
        shape = self.shape_of(around.entering)
        if call.name.text == "shape":
            return shape
        if not shape:
            raise Problem(Slug.BAD_VALUE, "the entering tensor has no axes, so it has no channels", call.span)
        return shape[-1]

    def _function(self, call: tree.Call, frame: Frame) -> Any:
        positional: list[Any] = []
        named: dict[str, Any] = {}
        for argument in call.arguments or ():
            if isinstance(argument, tree.Keyword):
                named[argument.name.text] = self.value(argument.value, frame)
            else:
                positional.append(self.value(argument, frame))
        for sequence in (*positional, *named.values()):
            self._count_items(sequence, call.span)
        try:
            result = apply(call.name.text, positional, named)
            if isinstance(result, range):
                if len(result) > self.limits.items:
                    raise self._too_many(len(result), call.span)
                self.steps.take(call.span, len(result) * Steps.ITEM)
                return list(result)
        except (TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
            given = ", ".join([*map(text, positional), *(f"{name}={text(value)}" for name, value in named.items())])
            usage = FUNCTIONS[call.name.text].__doc__
            raise Problem(Slug.BAD_VALUE, f"{call.name.text}({given}) has no value", call.span, help=usage) from error
        return self.bounded(result, call.span)

    def _prefix(self, expression: tree.Prefix, frame: Frame) -> Any:
        if expression.operator == "not":
            return not self.truth(expression.operand, frame)
        value = self.value(expression.operand, frame)
        if not _is_number(value):
            message = f"'{expression.operator}' takes a number, not {text(value)}"
            raise Problem(Slug.BAD_VALUE, message, expression.operand.span)
        return -value if expression.operator == "-" else value

    def _operation(self, expression: tree.Operation, frame: Frame) -> Any:
        operators = expression.operators
        if operators[0] in ("and", "or"):
            stop = operators[0] == "or"
            return next((stop for operand in expression.operands if self.truth(operand, frame) is stop), not stop)
        values = [self.value(operand, frame) for operand in expression.operands]
        if operators[0] in _COMPARISONS:
            pairs = pairwise(values)
            return all(self._compare(sign, *pair, expression.span) for sign, pair in zip(operators, pairs, strict=True))
        result = values[0]
        for sign, value in zip(operators, values[1:], strict=True):
            result = self._arithmetic(sign, result, value, expression.span)
        return result

    def _compare(self, sign: str, left: Any, right: Any, span: Span) -> bool:
        if sign in ("==", "!="):
            self._count_items(left, span)
            self._count_items(right, span)
            if isinstance(left, list | tuple) and isinstance(right, list | tuple):
                left, right = tuple(left), tuple(right)
            return (left == right and isinstance(left, bool) == isinstance(right, bool)) is (sign == "==")
        if not (_is_number(left) and _is_number(right)):
            raise Problem(Slug.BAD_VALUE, f"'{sign}' compares numbers, not {text(left)} with {text(right)}", span)
        return bool(_COMPARISONS[sign](left, right))

    def _arithmetic(self, sign: str, left: Any, right: Any, span: Span) -> Any:
        if sign == "+" and type(left) is type(right) and isinstance(left, tuple | list | str):
            return self.bounded(left + right, span)
        if not (_is_number(left) and _is_number(right)):
            raise Problem(Slug.BAD_VALUE, f"'{sign}' takes numbers, not {text(left)} and {text(right)}", span)
        whole = isinstance(left, int) and isinstance(right, int)
        if sign == "**" and whole and abs(plain(left)) > 1 and plain(right) > self.limits.magnitude.bit_length():
            raise self._too_large(span, power=(int(plain(left)), int(plain(right))))
        try:
            return self.bounded(_ARITHMETIC[sign](left, right), span)
        except ZeroDivisionError:
            raise Problem(Slug.BAD_VALUE, f"division by zero: {text(left)} {sign} {text(right)}", span) from None
        except OverflowError:
            raise self._too_large(span) from None

    def _index(self, expression: tree.Index, frame: Frame) -> Any:
        value = self.value(expression.value, frame)
        index = self.whole(expression.index, frame, "an index")
        if not isinstance(value, tuple | list):
            raise Problem(Slug.BAD_VALUE, f"only a list or a tuple has items, not {text(value)}", expression.value.span)
        if not -len(value) <= index < len(value):
            message = f"there is no item {index} among {len(value)}"
            raise Problem(Slug.BAD_VALUE, message, expression.index.span)
        return value[index]

    def bounded(self, value: Any, span: Span) -> Any:
        """A value that is within the limits.

        Raises:
            Problem: it is too large, or no real number.
        """
        if _is_number(value):
            number = plain(value)
            if not isfinite(number) or abs(number) > self.limits.magnitude:
                raise self._too_large(span, abs(number))
        elif isinstance(value, complex):
            raise Problem(Slug.BAD_VALUE, "this has no real value", span)
        else:
            self._count_items(value, span)
        return value

    def _count_items(self, value: Any, span: Span) -> None:
        """Count the work that the size of a value makes.

        Raises:
            Problem: it has too many items, or this is one step too many.
        """
        if isinstance(value, list | tuple | str):
            size = _size(value)
            if size > self.limits.items:
                raise self._too_many(size, span)
            self.steps.take(span, size * Steps.ITEM)

    def _too_many(self, size: int, span: Span) -> Problem:
        message = f"{size:,} items are too many; the limit is {self.limits.items:,}"
        return Problem(Slug.LIMIT, message, span, help=self.limits.raising("items", size))

    def _too_large(self, span: Span, number: float = inf, power: tuple[int, int] | None = None) -> Problem:
        """A number beyond the limit, or the power of a base and an exponent, with a limit that would let it through."""
        if power is not None and power[1] * abs(power[0]).bit_length() <= HIGHEST.bit_length():
            number = abs(power[0] ** power[1])
        message = f"the number is too large; the limit is {self.limits.magnitude:,}"
        hint = self.limits.raising("magnitude", ceil(number)) if number <= HIGHEST else None
        return Problem(Slug.LIMIT, message, span, help=hint)


VALUES: Mapping[str, type[Declaration]] = {
    **{name: kind for name, kind in NAMES.items() if kind is not InputLayer},
    **OBJECTS,
}
"""What a call in an expression may make: an initialiser or its like, or a layer that a wrapper takes."""


def no_shape(tensor: Tensor) -> Shape:
    """The shape of a tensor where there can be none in sight."""
    raise AssertionError(f"no tensor is in sight outside a model, not even {tensor}")


def _size(value: list[Any] | tuple[Any, ...] | str) -> int:
    """The items of a sequence, those of sequences within it and characters of strings included."""
    if isinstance(value, str):
        return len(value)
    return len(value) + sum(_size(item) for item in value if isinstance(item, list | tuple | str))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _meaning(value: Any) -> str:
    match value:
        case Tensor():
            return "a tensor"
        case Shared():
            return "a layer"
        case Defined(node=tree.Block()):
            return "a block"
        case Defined(node=tree.Model() | tree.Variant()):
            return "a model"
        case Defined(node=tree.Data()):
            return "a data set"
        case Defined(node=tree.Train()):
            return "a training recipe"
        case Defined(node=tree.Experiment()):
            return "an experiment"
        case Poison():
            return "unknown"
        case _:
            return f"the value {text(value)}"


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": lambda left, right: trunc(left // right),
    "%": operator.mod,
    "**": operator.pow,
}
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


_PYTHON = {
    "None": "it is written 'none' here",
    "True": "it is written 'true' here",
    "False": "it is written 'false' here",
    "abs": "`max(x, -x)` is the absolute value",
    "int": "`round(x)` and `//` give whole numbers",
    "sqrt": "`x ** 0.5` is the square root",
}
"""What stands here for words of Python."""
