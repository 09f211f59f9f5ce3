"""How long what is left of several trials will take, by the epochs trained so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace
from itertools import pairwise
from statistics import mean
from time import perf_counter

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0


class Estimate:
    """Notes how long epochs take, evaluation and all else between them included.

    A model of which no epoch is known yet is taken to need as long as those that are known do on average.

    Args:
        trials: the keys of the trials' models, in the order of the trials.
        epochs: how many epochs a trial of each model has.
        lanes: how many trials are trained side by side; what is left goes to whichever is free first.
    """

    def __init__(self, trials: Sequence[str], epochs: Mapping[str, int], lanes: int = 1) -> None:
        self._trials, self._epochs, self._lanes = trials, epochs, lanes
        self._seconds: dict[str, float] = {}
        self._begun = 0
        self._busy: dict[int, _Lane] = {}

    def begin(self, place: int, lane: int = 0) -> None:
        """A trial begins in a lane: its place among all, from 0."""
        key = self._trials[place]
        self._begun = max(self._begun, place + 1)
        self._busy[lane] = _Lane(key, self._epochs[key])

    def epoch(self, number: int, lane: int = 0) -> bool:
        """An epoch has ended; says whether it is the first by which anything can be told."""
        now, one = perf_counter(), self._busy[lane]
        known = bool(self._seconds)
        one.left = self._epochs[one.key] - number
        if one.last is not None:  # the first epoch compiles
            self._seconds[one.key] = now - one.last
        one.last = now
        return not known and bool(self._seconds)

    def end(self, lane: int = 0) -> None:
        """Nothing is trained in a lane any more."""
        self._busy.pop(lane, None)

    def left(self) -> str | None:
        """How long it will take from here, in words; None where nothing is known yet."""
        if not self._seconds:
            return None
        usual = mean(self._seconds.values())
        busy = [one.left * self._seconds.get(one.key, usual) for one in self._busy.values()]
        free = [*busy, *[0.0] * (self._lanes - len(busy))]
        heapify(free)
        for key in self._trials[self._begun :]:
            heapreplace(free, free[0] + self._epochs[key] * self._seconds.get(key, usual))
        return duration(max(free))


@dataclass(slots=True)
class _Lane:
    """What is trained in a lane: its model, the epochs that are left, and when the last one ended."""

    key: str
    left: int
    last: float | None = None


def duration(seconds: float) -> str:
    """A time in words, in two units at the most: `3 h 20 min`, `45 s`."""
    units = ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1.0, "s"))
    for (size, name), (smaller, next_name) in pairwise(units):
        if seconds >= size:
            whole, rest = divmod(round(seconds / smaller), round(size / smaller))
            return f"{whole} {name} {rest} {next_name}" if rest and whole < 10 else f"{whole} {name}"
    return f"{max(1, round(seconds))} s"
