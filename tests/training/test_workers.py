"""Worker processes: their share of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from specdsl.training import hardware, workers
from specdsl.training.ways import Way

pinnable = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here")


@pytest.mark.parametrize("cores", [1, 2, 3, 7, 16])
@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_each_process_has_as_many_cores_and_none_has_those_of_another(cores: int, processes: int) -> None:
    shares = [workers.share_of(list(range(cores)), processes, place) for place in range(processes)]
    assert len({len(one) for one in shares}) == 1
    if cores >= processes:
        assert len({core for one in shares for core in one}) == processes * len(shares[0])
        assert (len(shares[0]) + 1) * processes > cores
    else:
        assert all(len(one) == 1 for one in shares)


def test_threads_of_one_core_stay_in_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system numbers the second threads of all cores after the first ones."""
    for core in range(4):
        topology = tmp_path / f"cpu{core}" / "topology"
        topology.mkdir(parents=True)
        (topology / "physical_package_id").write_text("0\n")
        (topology / "core_id").write_text(f"{core % 2}\n")
    monkeypatch.setattr(workers, "_CPUS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3}, raising=False)
    assert workers.share_of(workers._cores(), 2, 1) == [1, 3]


def test_the_memory_of_a_device_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The share that was given to one process, under either name, is that of all together."""
    two = Way(processes=2)
    monkeypatch.delenv("XLA_CLIENT_MEM_FRACTION", raising=False)
    monkeypatch.delenv("XLA_PYTHON_CLIENT_MEM_FRACTION", raising=False)
    assert workers.environment(Way(), 0) == {}
    assert workers.environment(two, 1)["XLA_CLIENT_MEM_FRACTION"] == "0.460"
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", ".5")
    given = workers.environment(two, 0)
    assert (given["XLA_CLIENT_MEM_FRACTION"], given["XLA_PYTHON_CLIENT_MEM_FRACTION"]) == ("0.250", "")


def test_each_process_has_devices_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four GPUs, two for each program of a process, with the names that they are given; the third process shares."""
    machine = hardware.Hardware("gpu", "a chip", 4, 0, 8)
    monkeypatch.setattr(hardware, "hardware", lambda: machine)
    monkeypatch.delenv("XLA_CLIENT_MEM_FRACTION", raising=False)
    monkeypatch.delenv("XLA_PYTHON_CLIENT_MEM_FRACTION", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,6,7")
    given = [workers.environment(Way("fused", "jax", processes=3, devices=2), place) for place in range(3)]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in given] == ["3,5", "6,7", "3,5"]
    assert {one["XLA_CLIENT_MEM_FRACTION"] for one in given} == {"0.460"}
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    given = [workers.environment(Way("fit", "jax", processes=2), place) for place in range(2)]
    assert [(one["CUDA_VISIBLE_DEVICES"], one["XLA_CLIENT_MEM_FRACTION"]) for one in given] == [
        ("0", "0.920"),
        ("1", "0.920"),
    ]


def test_a_quota_bounds_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that may use two cores' time on a machine of eight."""
    monkeypatch.setattr(hardware, "cores", lambda: 8)
    assert workers.cores_each(2) == 4
    monkeypatch.setattr(hardware, "cores", lambda: 2)
    assert workers.cores_each(2) == 1
    assert workers.environment(Way(processes=2), 0)["OMP_NUM_THREADS"] == "1"


@pinnable
def test_a_pinned_process_has_its_cores_with_all_its_threads() -> None:
    code = """
import os, threading
from specdsl.training import hardware, workers
from specdsl.training.ways import Way
waiting = threading.Event()
before = threading.Thread(target=waiting.wait, daemon=True)
before.start()
cores = workers._cores()
hardware.cores = lambda: len(cores)  # whatever a quota leaves of them
workers.pin(Way(processes=len(cores)), len(cores) - 1)
assert os.sched_getaffinity(0) == os.sched_getaffinity(before.native_id) == {cores[-1]}, os.sched_getaffinity(0)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
