"""Ctrl-C, taken gently the first time."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any


class Interrupts:
    """While it is entered the first Ctrl-C sets `requested`; a second one raises KeyboardInterrupt at once.

    Only the main thread can catch signals: elsewhere nothing changes.

    Args:
        on_request: called at the first Ctrl-C.
    """

    def __init__(self, on_request: Callable[[], None]) -> None:
        self.requested = False
        self.insisted = False
        self._on_request = on_request
        self._before: Any = None

    def wanted(self) -> bool:
        """Whether somebody wants an end."""
        return self.requested

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            self.insisted = True
            raise KeyboardInterrupt
        self.requested = True
        self._on_request()
