"""How fast the machine is just now: what bounds of processor time are told in."""

from __future__ import annotations

from time import process_time

_USUAL = 0.1
"""Seconds of processor time that `_work` takes on a machine of today."""


def slowness() -> float:
    """How many times slower than a machine of today this one is now, at least 1.

    Its processor may be an old one, share its units with another thread or its caches with other programs: all of that
    counts as processor time of whoever runs on it.
    """
    start = process_time()
    _work()
    return max(1.0, (process_time() - start) / _USUAL)


def _work() -> None:
    """Objects, dictionaries and texts, as a compiler handles them."""
    found: dict[str, tuple[int, ...]] = {}
    for number in range(600_000):
        found[f"name {number % 5_000}"] = (number, len(found))
    sorted(found.items(), key=lambda item: (item[1], item[0]))
