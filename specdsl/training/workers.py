"""What worker processes get of the machine: cores of their own, and their share of a device's memory. Light.

The worker at a place, from 0, is started with `environment(way, place)` beside the variables that there are, and calls
`pin(way, place)` before it imports any framework.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from specdsl.runs.files import RunError
from specdsl.training import hardware
from specdsl.training.ways import Way

Part = TypeVar("Part")

_CPUS = Path("/sys/devices/system/cpu")

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "PJRT_NPROC",
    "NPROC",
)
"""How many threads BLAS, TensorFlow and JAX begin, each under its names."""

_MEMORY = "XLA_CLIENT_MEM_FRACTION"
_MEMORY_BEFORE = "XLA_PYTHON_CLIENT_MEM_FRACTION"
"""Which share of a GPU's memory JAX takes at its start; the older name may not be given beside the newer one."""

_VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The GPUs that a process sees, by number or by name."""

_USABLE = 0.92
"""The share of a GPU's memory that processes have between them: each needs some beside, for its context and kernels."""


class WorkerLost(RunError):  # noqa: N818 - no mistake of anybody
    """A worker process ended before it could do anything."""


def environment(way: Way, place: int) -> dict[str, str]:
    """The variables of the environment that make a worker keep to its share; none where one process has everything.

    Args:
        way: how trials are trained.
        place: which of its processes it is, from 0.
    """
    if way.processes == 1:
        return {}
    threads = dict.fromkeys(_THREADS, str(cores_each(way.processes)))
    devices, processes = _devices(way, place)
    return {
        **threads,
        **devices,
        _MEMORY: f"{int(_usable(os.environ) / processes * 1000) / 1000:.3f}",
        _MEMORY_BEFORE: "",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }


def pin(way: Way, place: int) -> None:
    """Keep this process, with all its threads, to the cores of a worker, where the system lets it.

    Not where a quota, as that of a container, leaves less than the cores there are: which of them are free it does not
    say, and the number of threads follows it all the same.
    """
    cores = _cores()
    if way.processes == 1 or not hasattr(os, "sched_setaffinity") or hardware.cores() < len(cores):
        return
    mine = share_of(cores, way.processes, place)
    for thread in _threads():
        try:
            os.sched_setaffinity(thread, mine)
        except ProcessLookupError:
            continue


def cores_each(processes: int) -> int:
    """How many cores each of several processes has: all as many, so that a trial's sums do not depend on its place."""
    return max(1, hardware.cores() // processes)


def share_of(parts: list[Part], processes: int, place: int) -> list[Part]:
    """The cores or devices of one of several processes; where there are more processes than those, they take turns."""
    each = len(parts) // processes
    return parts[place * each : (place + 1) * each] if each else [parts[place % len(parts)]]


def _devices(way: Way, place: int) -> tuple[dict[str, str], int]:
    """The variables that let a process see devices of its own, and how many processes share these.

    Of several GPUs each process has as many as a program runs on, in turn; a GPU alone is shared by all.
    """
    machine = hardware.hardware()
    shares = machine.devices // way.devices
    if machine.platform != "gpu" or shares < 2:
        return {}, way.processes
    named = os.environ.get(_VISIBLE, "")
    visible = named.split(",") if named else [str(number) for number in range(machine.devices)]
    mine = share_of(visible[: machine.devices], shares, place % shares)
    return {_VISIBLE: ",".join(mine)}, -(-way.processes // shares)


def _usable(variables: Mapping[str, str]) -> float:
    """The share of a GPU's memory that all processes have together: what was said for one, or nearly all."""
    for name in (_MEMORY, _MEMORY_BEFORE):
        try:
            return float(variables[name])
        except (KeyError, ValueError):
            continue
    return _USABLE


def _cores() -> list[int]:
    """The cores that this process may run on; threads of one core stand next to each other."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0), key=_seat)
    return list(range(os.cpu_count() or 1))


def _seat(core: int) -> tuple[int, int, int]:
    """Where a core sits: the chip, the core on it, and its own number; threads of one core are neighbours."""
    topology = _CPUS / f"cpu{core}" / "topology"
    try:
        return int((topology / "physical_package_id").read_text()), int((topology / "core_id").read_text()), core
    except (OSError, ValueError):
        return 0, core, core


def _threads() -> list[int]:
    """The threads of this process: those that a library has begun before keep the cores that they began with."""
    try:
        return [int(one.name) for one in Path("/proc/self/task").iterdir()]
    except OSError:
        return [0]
