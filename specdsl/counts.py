"""Exact counts that carry their derivation: the number and its formula come from one object."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

Size = int | None
"""The size of an axis; None while it is unknown until run time."""


@dataclass(frozen=True, slots=True)
class Count:
    """A sum of products of sizes.

    `Count(((5, 5, 3, 32), (32,)))` is worth 2,432 and reads `5·5·3·32 + 32`. A product with an unknown size
    makes the whole count unknown: its value is None and its formula shows `?`, never a wrong number.
    """

    terms: tuple[tuple[Size, ...], ...] = ()

    @property
    def value(self) -> int | None:
        """The number, or None when it depends on a size that is unknown until run time."""
        value = 0
        for term in self.terms:
            known = [size for size in term if size is not None]
            if len(known) < len(term):
                return None
            value += prod(known)
        return value

    @property
    def formula(self) -> str:
        """The derivation, equal terms gathered: `4·32` for gamma, beta, mean and variance of 32 channels."""
        gathered: dict[tuple[Size, ...], int] = {}
        for term in self.terms:
            gathered[term] = gathered.get(term, 0) + 1
        return " + ".join(_product(term if times == 1 else (times, *term)) for term, times in gathered.items()) or "0"

    @property
    def derivation(self) -> str:
        """The formula with its value, `5·5·3·32 + 32 = 2,432`; the bare value where nothing is derived."""
        value = number(self.value)
        return value if self.formula.replace(",", "") == value.replace(",", "") else f"{self.formula} = {value}"

    def __add__(self, other: Count) -> Count:
        return Count(self.terms + other.terms)

    def __rmul__(self, factor: Size) -> Count:
        return Count(tuple((factor, *term) for term in self.terms))


def product(*sizes: Size) -> Count:
    """The count of one product of sizes."""
    return Count((sizes,))


def total(counts: Iterable[Count]) -> int | None:
    """The sum of counts as a number, None when one of them is unknown."""
    return Count(tuple(term for count in counts for term in count.terms)).value


def number(value: int | None) -> str:
    """A count for people: thousands separated, `?` for one that is unknown."""
    return "?" if value is None else f"{value:,}"


def _product(factors: tuple[Size, ...]) -> str:
    return "·".join("?" if factor is None else str(factor) for factor in factors) or "1"
