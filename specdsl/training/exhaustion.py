"""Memory that does not suffice, as each framework tells of it; and giving back what can be had. Light."""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from specdsl.training.engine import OutOfMemory

LESS_MEMORY = 'a smaller batch, or precision = "mixed_bfloat16", needs less'
"""What to do where not even one trial has room."""

_KINDS = frozenset({"ResourceExhaustedError", "OutOfMemoryError"})
"""Errors of TensorFlow and of PyTorch that mean nothing else."""

_SAID = re.compile(
    r"RESOURCE_EXHAUSTED|ResourceExhausted|OUT_OF_MEMORY|out of memory|OOM when allocating|ALLOC_FAILED"
    r"|can't allocate memory|not enough memory",
    re.IGNORECASE,
)
"""What is said by errors that may mean anything: those of JAX and XLA, of CUDA and its libraries, of PyTorch."""


_OF_DEVICES = frozenset({"JaxRuntimeError", "XlaRuntimeError"})
"""Errors of JAX that its runtime raises, by the names that they have had, and nothing else does."""


@contextmanager
def exhaustion_told() -> Iterator[None]:
    """Within, or in a function that it decorates, a framework's error for want of memory becomes `OutOfMemory`.

    Raises:
        OutOfMemory: memory does not suffice.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OutOfMemory) or not is_exhaustion(error):
            raise
        raise OutOfMemory(_first_line(error)) from error


def is_exhaustion(error: BaseException) -> bool:
    """Whether an error of any framework, or of Python, says that memory does not suffice."""
    if isinstance(error, MemoryError | OutOfMemory):
        return True
    if any(kind.__name__ in _KINDS for kind in type(error).__mro__):
        return True
    return isinstance(error, RuntimeError) and bool(_SAID.search(str(error)))


def is_of_device(error: BaseException) -> bool:
    """Whether JAX's runtime says that a device could not do something: what lies on it may be lost."""
    return any(kind.__name__ in _OF_DEVICES for kind in type(error).__mro__)


def give_back() -> None:
    """Give memory back that nothing refers to any more: objects in circles, compiled programs, pools of devices."""
    gc.collect()
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _first_line(error: BaseException) -> str:
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return said or type(error).__name__
