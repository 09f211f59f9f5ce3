"""Waiting for what other processes do, and seeing whether they are there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path


def until(true: Callable[[], object], seconds: float = 120) -> None:
    """Wait until something is true, for much longer than it takes on a machine that has more to do than it can."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it does not become true"
        time.sleep(0.02)


def state(number: int) -> str:
    """The letter of the state of a process: Z for one that has ended, T for one that stands still; "" for none."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def lives(number: int) -> bool:
    """Whether a process is there and has not ended, also where nobody takes note of its end."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return state(number) != "Z"
