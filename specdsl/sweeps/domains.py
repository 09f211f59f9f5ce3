"""The values that a parameter is to take: `16..256:16`, `20, 56, 110`, `1..1024:*2`, `"relu", "gelu"`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from math import log
from typing import Any

from specdsl.declaration import text
from specdsl.diagnostics import Diagnostic, Slug, SpecError
from specdsl.limits import Limits
from specdsl.resolve.conditions import Given

Domain = Sequence[Any]
"""The values of one parameter, in the order in which they are tried."""

MOST = 1_000_000
"""The most values of one range, and the most combinations of one sweep."""

MOST_POWERS = 1_000
"""The most values of a range that multiplies: they are exact, and each has more digits than the one before."""

_OPENING, _CLOSING = "([{", ")]}"


def domain(written: str, label: str, limits: Limits | None = None) -> Domain:
    """The values that a text lists: ranges and expressions of the language, separated by commas.

    `a..b` counts from a to b by ones, both included; `a..b:step` by a step, and `a..b:*factor` multiplies.

    Args:
        written: the text.
        label: where it is given, for messages: `--set width`.
        limits: how large an expression may be.

    Raises:
        SpecError: it lists no values.
    """
    parts = _parts(written)
    if len(parts) == 1 and ".." in parts[0] and not _quoted(parts[0]):
        return _range(parts[0], label, limits)
    values: dict[str, Any] = {}  # by how they are written, which tells 1, 1.0 and true apart
    for part in parts:
        more = _range(part, label, limits) if ".." in part and not _quoted(part) else [_value(part, label, limits)]
        for value in more:
            values.setdefault(text(value), value)
    return list(values.values())


def _parts(written: str) -> list[str]:
    """A text cut at the commas that stand in no brackets and no quotes."""
    parts, depth, quote, current = [], 0, "", ""
    for character in written:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(current)
            current = ""
            continue
        current += character
    return [*parts, current]


def _quoted(part: str) -> bool:
    return part.strip()[:1] in ("'", '"')


def _value(part: str, label: str, limits: Limits | None) -> Any:
    if not part.strip():
        raise _wrong(label, "a value is missing between commas")
    return Given(part.strip(), label, limits).value({})


def _range(part: str, label: str, limits: Limits | None) -> Domain:
    match = re.fullmatch(r"([^:]+)\.\.([^:]+)(?::\s*(\*?)([^:]+))?", part.strip())
    if not match:
        raise _wrong(label, f"'{part.strip()}' is no range", "a range is written first..last or first..last:step")
    first, last = (_number(word, label, limits) for word in (match[1], match[2]))
    step = _number(match[4], label, limits) if match[4] else 1
    if match[3]:
        return _powers(first, last, step, label, part)
    if step <= 0:
        raise _wrong(label, f"the step of a range must be above zero, and it is {text(step)}")
    if last < first:
        raise _wrong(label, f"the range {part.strip()} is empty: it ends before it begins")
    number = int((Fraction(str(last)) - Fraction(str(first))) / Fraction(str(step))) + 1
    if number > MOST:
        raise _wrong(label, f"the range {part.strip()} has {number:,} values, and {MOST:,} are the most")
    if isinstance(first, int) and isinstance(step, int):
        return range(first, first + number * step, step)
    return [float(Fraction(str(first)) + index * Fraction(str(step))) for index in range(number)]


def _powers(first: float, last: float, factor: float, label: str, part: str) -> Domain:
    if factor <= 1 or first <= 0:
        raise _wrong(label, f"the range {part.strip()} must begin above zero and have a factor above one")
    if last < first:
        raise _wrong(label, f"the range {part.strip()} is empty: it ends before it begins")
    if log(last / first) > log(factor) * MOST_POWERS:
        raise _wrong(label, f"the range {part.strip()} has more than {MOST_POWERS:,} values")
    values: list[Any] = []
    value = Fraction(str(first))
    whole = isinstance(first, int) and isinstance(factor, int)
    while value <= Fraction(str(last)):
        values.append(int(value) if whole else float(value))
        value *= Fraction(str(factor))
    return values


def _number(word: str, label: str, limits: Limits | None) -> int | float:
    value = Given(word.strip(), label, limits).value({}) if word.strip() else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(label, f"a range has numbers as its ends, not '{word.strip()}'")
    return value


def _wrong(label: str, message: str, help: str | None = None) -> SpecError:
    return SpecError([Diagnostic(Slug.BAD_VALUE, f"{label}: {message}", help=help)])
