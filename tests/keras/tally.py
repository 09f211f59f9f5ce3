"""How many times the tests have asked Keras, and how often the answer was another one than specdsl's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

TALLY: Counter[str] = Counter()
"""Cases by what was compared, and `disagreements`. The end of a run of pytest shows it."""


@contextmanager
def counted(what: str) -> Iterator[None]:
    """Count a case, and its disagreement."""
    TALLY[what] += 1
    try:
        yield
    except AssertionError:
        TALLY["disagreements"] += 1
        raise


@contextmanager
def planted() -> Iterator[None]:
    """Leave out what is compared meanwhile, with a mistake put in on purpose."""
    before = TALLY.copy()
    try:
        yield
    finally:
        TALLY.clear()
        TALLY.update(before)
