"""What the machine is, from files and from JAX, also where these are others than here."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from specdsl.training import hardware
from specdsl.training.hardware import Hardware, cores, memory, processor

GIB = 2**30

needs_jax = pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is remembered from one test to the next, and JAX does not run in this process."""
    hardware.hardware.cache_clear()
    monkeypatch.delitem(sys.modules, "jax._src.xla_bridge", raising=False)
    for name in ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES", "JAX_PLATFORMS"):
        monkeypatch.delenv(name, raising=False)
    yield
    hardware.hardware.cache_clear()


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


MEMINFO = f"MemTotal: {64 * 2**20} kB\nMemFree: 1 kB\nMemAvailable:   {32 * 2**20} kB\n"


def test_memory_is_what_is_available_where_no_group_limits_it(tmp_path: Path) -> None:
    assert memory(machine(tmp_path, {"proc/meminfo": MEMINFO})) == 32 * GIB
    assert memory(tmp_path / "nowhere") == 0


@pytest.mark.parametrize(
    ("files", "gib"),
    [
        ({"memory.max": 8 * GIB, "memory.current": 2 * GIB}, 6),
        ({"memory.max": 8 * GIB, "memory.current": 7 * GIB, "memory.stat": f"anon 5\ninactive_file {4 * GIB}\n"}, 5),
        ({"memory.max": "max", "memory.current": 2 * GIB}, 32),
        ({"memory.max": 2 * GIB, "memory.current": 3 * GIB}, 0),
    ],
)
def test_memory_within_a_group_of_version_2(tmp_path: Path, files: dict[str, Any], gib: int) -> None:
    """The limit may be that of a group further out."""
    for place in ("job", "job/step", "."):
        root = machine(
            tmp_path / place.replace("/", "-"),
            {"proc/meminfo": MEMINFO, "proc/self/cgroup": "0::/job/step\n"}
            | {f"sys/fs/cgroup/{place}/{name}": f"{value}\n" for name, value in files.items()},
        )
        assert memory(root) == gib * GIB


def test_memory_within_a_group_of_version_1(tmp_path: Path) -> None:
    """In a container the path is that of the host, and the outermost folder the container's."""
    files = {"memory.limit_in_bytes": 16 * GIB, "memory.usage_in_bytes": 10 * GIB}
    stat = {"memory.stat": f"inactive_file 1\ntotal_inactive_file {GIB}\n"}
    for place in ("docker/abc", "."):
        root = machine(
            tmp_path / place.replace("/", "-"),
            {"proc/meminfo": MEMINFO, "proc/self/cgroup": "9:name=systemd:/\n4:memory:/docker/abc\n0::/\n"}
            | {f"sys/fs/cgroup/memory/{place}/{name}": f"{value}\n" for name, value in (files | stat).items()},
        )
        assert memory(root) == 6 * GIB + 1


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        ("0::/job\n", {"job/cpu.max": "300000 100000\n"}, 3),
        ("0::/job\n", {"job/cpu.max": "max 100000\n"}, 16),
        ("0::/job/step\n", {"job/step/cpu.max": "max 100000", "job/cpu.max": "450000 100000"}, 4),
        ("0::/job\n", {"job/cpu.max": "50000 100000\n"}, 1),
        ("3:cpu,cpuacct:/a\n", {"cpu/a/cpu.cfs_quota_us": "800000", "cpu/a/cpu.cfs_period_us": "100000"}, 8),
        ("3:cpu,cpuacct:/a\n", {"cpu/a/cpu.cfs_quota_us": "-1\n", "cpu/a/cpu.cfs_period_us": "100000\n"}, 16),
        ("", {}, 16),
    ],
)
def test_cores_are_those_allowed_within_the_quota(
    tmp_path: Path, cgroup: str, files: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)
    root = machine(tmp_path, {f"sys/fs/cgroup/{name}": text for name, text in files.items()})
    assert cores(machine(root, {"proc/self/cgroup": cgroup})) == expected


def test_a_processor_has_its_name(tmp_path: Path) -> None:
    cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC 7B13\nprocessor\t: 1\nmodel name\t: other\n"
    assert processor(machine(tmp_path / "x86", {"proc/cpuinfo": cpuinfo})) == "AMD EPYC 7B13"
    assert processor(machine(tmp_path / "arm", {"proc/cpuinfo": "BogoMIPS\t: 50.00\n"}))


def test_without_a_plug_in_it_is_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "entry_points", lambda group: ())
    monkeypatch.setattr(hardware, "find_spec", lambda name: name == "jax" or None)
    monkeypatch.setattr(hardware, "_asked", lambda: pytest.fail("nobody is to be asked"))
    monkeypatch.setattr(hardware, "memory", lambda: 8 * GIB)
    found = hardware.hardware()
    assert (found.platform, found.devices, found.memory, found.note) == ("cpu", 1, 8 * GIB, None)
    assert found.cores >= 1
    assert str(found).startswith(found.name)
    hardware.hardware.cache_clear()
    monkeypatch.setenv("XLA_FLAGS", "--a=b --xla_force_host_platform_device_count=4")
    assert hardware.hardware().devices == 4
    assert hardware.hardware().memory == 2 * GIB


PLUGIN = """
import sys, types
{before}
jax = types.ModuleType("jax")
class Device:
    platform, device_kind = "{platform}", "NVIDIA H100 80GB HBM3"
    def memory_stats(self):
        {stats}
jax.local_devices = lambda: [Device()] * {devices}
sys.modules["jax"] = jax
"""


def plugged(folder: Path, monkeypatch: pytest.MonkeyPatch, **said: Any) -> Hardware:
    """What is found where a plug-in is installed, and JAX says in another process what is given here."""
    values = {"before": "", "platform": "gpu", "stats": "return {'bytes_limit': 60_000_000_000}", "devices": 2} | said
    (folder / "sitecustomize.py").write_text(PLUGIN.format(**values))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    point = EntryPoint("cuda", "jax_plugins.cuda", "jax_plugins")
    monkeypatch.setattr(hardware, "entry_points", lambda group: (point,))
    monkeypatch.setattr(hardware, "find_spec", lambda name: True)
    return hardware.hardware()


def test_an_accelerator_is_asked_for_in_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = plugged(tmp_path, monkeypatch, before="print('noise')")
    assert found == Hardware("gpu", "NVIDIA H100 80GB HBM3", 2, 60_000_000_000, cores())
    assert str(found) == "2 × NVIDIA H100 80GB HBM3"
    assert "jax._src.xla_bridge" not in sys.modules


@pytest.mark.parametrize(
    ("said", "memory_known", "note"),
    [
        ({"stats": "raise NotImplementedError"}, False, None),
        ({"stats": "return None"}, False, None),
        ({"platform": "TPU"}, True, None),
        ({"platform": "cpu"}, True, "JAX finds none"),
        ({"devices": "no"}, True, "NameError: name 'no' is not defined"),
        ({"before": "import os; os._exit(6)"}, True, "exit code 6"),
        ({"before": "import time; time.sleep(60)"}, True, "did not say within"),
    ],
)
def test_a_broken_plug_in_leaves_the_processor_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: dict[str, Any], memory_known: bool, note: str | None
) -> None:
    monkeypatch.setattr(hardware, "PATIENCE", 1.0 if "sleep" in said.get("before", "") else 60.0)
    found = plugged(tmp_path, monkeypatch, **said)
    if note is None:
        assert found.platform == ("tpu" if "platform" in said else "gpu")
        assert bool(found.memory) is memory_known
        assert found.note is None
    else:
        assert (found.platform, found.devices) == ("cpu", 1)
        assert note in (found.note or "")


def test_a_plug_in_is_left_alone_where_jax_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    found = plugged(tmp_path, monkeypatch, before="raise SystemExit")
    assert (found.platform, found.note) == ("cpu", None)


def test_jax_is_asked_directly_where_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    device = SimpleNamespace(platform="gpu", device_kind="A100", memory_stats=lambda: {"bytes_limit": 3 * GIB})
    jax = SimpleNamespace(local_devices=lambda: [device] * 4)
    monkeypatch.setitem(sys.modules, "jax", jax)  # type: ignore[misc]
    running = SimpleNamespace(backends_are_initialized=lambda: True)
    monkeypatch.setitem(sys.modules, "jax._src.xla_bridge", running)  # type: ignore[misc]
    monkeypatch.setattr(hardware, "_asked", lambda: pytest.fail("nobody else is to be asked"))
    assert hardware.hardware() == Hardware("gpu", "A100", 4, 3 * GIB, cores())
    assert json.dumps(hardware._devices(jax))


@needs_jax
@pytest.mark.keras
def test_jax_itself_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as a processor goes: the question is understood by the JAX that is installed."""
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=3")
    told, note = hardware._asked()
    assert note is None
    assert told is not None
    assert (told["platform"], told["devices"], told["memory"]) == ("cpu", 3, 0)
