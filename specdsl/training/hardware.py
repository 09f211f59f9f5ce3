"""The machine that trains: its processor or accelerator, and how much of it this process may use. Light.

JAX is not imported here. Where it already runs it is asked; otherwise, where a plug-in for an accelerator is installed,
another process asks it, so that this one stays free to run on something else.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from specdsl.training.processes import import_path

Platform = Literal["cpu", "gpu", "tpu"]

PATIENCE = 120.0
"""Seconds that a plug-in may take to say what devices there are."""

_QUESTION = f"import json, jax; from {__name__} import _devices; print(json.dumps(_devices(jax)))"

_VIRTUAL = re.compile(r"--xla_force_host_platform_device_count=(\d+)")


@dataclass(frozen=True, slots=True)
class Hardware:
    """What trains.

    Attributes:
        platform: the processor, or a kind of accelerator.
        name: what the processor or the chip is called.
        devices: how many devices JAX has on it; a processor counts as one, unless `XLA_FLAGS` divide it.
        memory: bytes of one device that this process may use, 0 where that is not known. On a processor what was
            available when it was asked; on an accelerator what JAX's allocator may take.
        cores: those of the processor that this process may run on.
        note: why an accelerator is not used although a plug-in for one is installed; None where all is well.
    """

    platform: Platform
    name: str
    devices: int
    memory: int
    cores: int
    note: str | None = None

    def __str__(self) -> str:
        several = f"{self.devices} × " if self.devices > 1 else ""
        cores = f", {self.cores} {'core' if self.cores == 1 else 'cores'}" if self.platform == "cpu" else ""
        return f"{several}{self.name}{cores}"


@cache
def hardware() -> Hardware:
    """The machine as this process may use it; asked once.

    `JAX_PLATFORMS` and the variables that hide devices hold, as they do in training.
    """
    running = _running()
    told, note = (running, None) if running else _asked() if _accelerated() else (None, None)
    if told and told["platform"] != "cpu":
        kind: Platform = "tpu" if told["platform"] == "tpu" else "gpu"
        return Hardware(kind, told["name"], told["devices"], told["memory"], cores())
    if told and note is None and not running:
        note = "a plug-in for an accelerator is installed, and JAX finds none"
    devices = running["devices"] if running else _virtual()
    return Hardware("cpu", processor(), devices, memory() // devices, cores(), note)


def processor(root: Path = Path("/")) -> str:
    """The name of the processor.

    Args:
        root: where `proc` and `sys` lie.
    """
    for line in _text(root / "proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "cpu model") and value.strip():
            return value.strip()
    return platform.processor() or platform.machine() or "processor"


def cores(root: Path = Path("/")) -> int:
    """How many cores this process may keep busy: those that it may run on, within the quota of its control groups."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = []
    for folder in _groups(root, "cpu"):
        limit, _, period = _text(folder / "cpu.max").strip().partition(" ")
        if not limit:
            limit, period = (_text(folder / f"cpu.cfs_{what}_us").strip() for what in ("quota", "period"))
        if limit.isdigit() and period.isdigit() and int(period):
            quotas.append(int(limit) / int(period))
    return max(1, int(min([allowed, *quotas])))


def memory(root: Path = Path("/")) -> int:
    """Bytes that this process may still take, 0 where nothing says so: of the machine's and of its control groups'."""
    found = []
    for line in _text(root / "proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            found.append(int(value.split()[0]) * 1024)
    if not found and root == Path("/") and hasattr(os, "sysconf"):  # as on macOS, which tells all that it has
        try:
            found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        except (ValueError, OSError):
            return 0
    for folder in _groups(root, "memory"):
        names = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))
        for limit, used in ((_text(folder / one).strip(), _text(folder / other).strip()) for one, other in names):
            if limit.isdigit() and used.isdigit():
                found.append(int(limit) - max(0, int(used) - _given_back(folder)))
    return max(0, min(found, default=0))


def _given_back(folder: Path) -> int:
    """Bytes of a control group that hold files, and which the system takes back when they are needed."""
    for line in _text(folder / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file") and value.isdigit():
            return int(value)
    return 0


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """The folders of the control groups that this process is in, from its own outwards, of version 2 and of 1.

    In a container the path is often that of the host, which is not there: then the outermost folder is its own.
    """
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / (controller if controllers else "")
        place = top / path.lstrip("/")
        yield from (one for one in (place, *place.parents) if one == top or top in one.parents)


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""


def _virtual() -> int:
    """How many devices JAX will make of the processor."""
    asked = _VIRTUAL.search(os.environ.get("XLA_FLAGS", ""))
    number = asked[1] if asked else os.environ.get("JAX_NUM_CPU_DEVICES", "1")
    return max(1, int(number)) if number.isdigit() else 1


def _accelerated() -> bool:
    """Whether JAX is there, with a plug-in for something else than the processor, and not told to leave it alone."""
    if find_spec("jax") is None or os.environ.get("JAX_PLATFORMS", "").replace(" ", "") == "cpu":
        return False
    return bool(entry_points(group="jax_plugins")) or any(find_spec(name) for name in ("jax_plugins", "libtpu"))


def _running() -> dict[str, Any] | None:
    """What JAX says of its devices, where it runs in this process already."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    if bridge is None or not bridge.backends_are_initialized():
        return None
    return _devices(sys.modules["jax"])


def _devices(jax: Any) -> dict[str, Any]:
    """What JAX says of the devices that it trains on; this starts it."""
    devices = jax.local_devices()
    try:
        stats = devices[0].memory_stats() or {}
    except Exception:  # some have no such thing, each with an error of its own
        stats = {}
    return {
        "platform": devices[0].platform.lower(),
        "name": devices[0].device_kind,
        "devices": len(devices),
        "memory": int(stats.get("bytes_limit", 0)),
    }


def _asked() -> tuple[dict[str, Any] | None, str | None]:
    """What JAX says in another process, or why it says nothing. It takes no memory of the device beforehand there."""
    environment = os.environ | {
        "PYTHONPATH": import_path(),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    try:
        done = subprocess.run(
            [sys.executable, "-c", _QUESTION],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=PATIENCE,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None, f"JAX did not say within {PATIENCE:.0f} s what devices there are"
    except OSError as error:
        return None, f"JAX could not be asked what devices there are: {error}"
    for line in reversed(done.stdout.splitlines()):
        if line.startswith('{"platform": '):
            told: dict[str, Any] = json.loads(line)
            return told, None
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return None, f"JAX cannot use the accelerator: {said[-1][:300] if said else f'exit code {done.returncode}'}"
