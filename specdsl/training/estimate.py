"""How long what is left of several trials will take, by the epochs trained so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """

    def __init__(self, trials: Sequence[str], epochs: Mapping[str, int]) -> None:
        self._trials, self._epochs = trials, epochs
        self._seconds: dict[str, float] = {}
        self._place = 0
        self._left = 0
        self._last: float | None = None

    def begin(self, place: int) -> None:
        """A trial begins: its place among all, from 0."""
        self._place, self._last = place, None
        self._left = self._epochs[self._trials[place]]

    def epoch(self, number: int) -> bool:
        """An epoch has ended; says whether it is the first by which anything can be told."""
        now, key = perf_counter(), self._trials[self._place]
        known = bool(self._seconds)
        self._left = self._epochs[key] - number
        if self._last is not None:  # the first epoch compiles
            self._seconds[key] = now - self._last
        self._last = now
        return not known and bool(self._seconds)

    def left(self) -> str | None:
        """How long it will take from here, in words; None where nothing is known yet."""
        if not self._seconds:
            return None
        usual = mean(self._seconds.values())
        here, *later = self._trials[self._place :]
        seconds = self._left * self._seconds.get(here, usual)
        return duration(seconds + sum(self._epochs[key] * self._seconds.get(key, usual) for key in later))


def duration(seconds: float) -> str:
    """A time in words, in two units at the most: `3 h 20 min`, `45 s`."""
    units = ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1.0, "s"))
    for (size, name), (smaller, next_name) in pairwise(units):
        if seconds >= size:
            whole, rest = divmod(round(seconds / smaller), round(size / smaller))
            return f"{whole} {name} {rest} {next_name}" if rest and whole < 10 else f"{whole} {name}"
    return f"{max(1, round(seconds))} s"
