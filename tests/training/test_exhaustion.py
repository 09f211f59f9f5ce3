"""Errors for want of memory, of each framework, and what is none."""

from __future__ import annotations

import subprocess
import sys
import weakref
from importlib.util import find_spec
from pathlib import Path

import pytest

from specdsl.training.engine import OutOfMemory
from specdsl.training.exhaustion import exhaustion_told, give_back


class JaxRuntimeError(RuntimeError): ...


class ResourceExhaustedError(Exception): ...


class OutOfMemoryError(RuntimeError): ...


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        JaxRuntimeError(
            "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 12884901888 bytes.\n[tf-allocator]"
        ),
        JaxRuntimeError("INTERNAL: Failed to load PTX: CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
        JaxRuntimeError("INTERNAL: cuDNN: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("Exception encountered when calling Conv2D.call().\n\nOOM when allocating tensor with shape[9]"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried"),
        ResourceExhaustedError("failed to allocate memory [Op:AddV2]"),
        OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
    ],
)
def test_want_of_memory_is_told_as_such(error: Exception) -> None:
    @exhaustion_told()
    def work() -> None:
        raise error

    with pytest.raises(OutOfMemory) as told:
        work()
    assert told.value.__cause__ is error
    assert "\n" not in str(told.value)
    assert str(told.value)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("INTERNAL: out of luck"), ValueError("out of memory"), OSError(28, "No space left"), KeyError(1)],
)
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as told, exhaustion_told():
        raise error
    assert told.value is error


def test_what_is_told_already_is_not_told_again() -> None:
    first = OutOfMemory("once")
    with pytest.raises(OutOfMemory) as told, exhaustion_told(), exhaustion_told():
        raise first
    assert told.value is first


def test_circles_are_given_back() -> None:
    class Circle:
        pass

    circle = Circle()
    circle.itself = circle  # type: ignore[attr-defined]
    gone = weakref.ref(circle)
    del circle
    give_back()
    assert gone() is None


REAL = """
import jax.numpy as jnp
from specdsl.training.engine import OutOfMemory
from specdsl.training.exhaustion import exhaustion_told, give_back, is_of_device
try:
    with exhaustion_told():
        jnp.zeros(2**46, jnp.float32).block_until_ready()
except OutOfMemory as error:
    print("told:", error)
    print(is_of_device(error.__cause__))
give_back()
print(float(jnp.ones(3).sum()))
"""


@pytest.mark.keras
@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
def test_jax_runs_out_of_memory_and_goes_on() -> None:
    """With the error that JAX itself raises for 2^48 bytes, more than a process can address."""
    done = subprocess.run(
        [sys.executable, "-c", REAL], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told, of_device, after = done.stdout.splitlines()
    assert of_device == "True"
    assert told.startswith("told: RESOURCE_EXHAUSTED")
    assert after == "3.0"
