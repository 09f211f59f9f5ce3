"""How much the device is given at once, and what is made for it while it works."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter
from typing import Any

from specdsl.training.engine import AT_ONCE

_MOST = 4096
_FASTER = 8


class Portion:
    """How many steps are handed over at once, by how long those before took. What comes of them does not depend on it.

    Attributes:
        steps: how many it is.
    """

    def __init__(self) -> None:
        self.steps = 1
        self._waiting: deque[tuple[int, float]] = deque()
        self._ended = 0.0

    def sent(self, steps: int) -> None:
        """Steps were handed over; what had to be compiled for them is."""
        self._waiting.append((steps, perf_counter()))

    def done(self) -> None:
        """The first of them that were handed over are done."""
        now = perf_counter()
        steps, sent = self._waiting.popleft()
        seconds = now - max(sent, self._ended)
        self._ended = now
        fitting = int(AT_ONCE * steps / max(seconds, 1e-6))
        self.steps = max(1, min(fitting, _FASTER * self.steps, _MOST))

    def forget(self) -> None:
        """Nobody will ask when the others are done."""
        self._waiting.clear()


class Ahead:
    """What each epoch takes, made in a thread while the epoch before it is trained.

    Args:
        make: makes it for an epoch, from 0.
        epochs: how many there are.
    """

    def __init__(self, make: Callable[[int], Any], epochs: int) -> None:
        self._make, self._epochs = make, epochs
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._begun: dict[int, Future[Any]] = {}

    def take(self, epoch: int) -> Any:
        """What an epoch takes; that of the next one is begun."""
        begun = self._begun.pop(epoch, None)
        made = begun.result() if begun else self._make(epoch)
        self._begun.clear()
        if epoch + 1 < self._epochs:
            self._begun[epoch + 1] = self._thread.submit(self._make, epoch + 1)
        return made
