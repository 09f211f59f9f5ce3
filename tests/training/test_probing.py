"""Timing ways in processes of their own: what these may do, and that nothing of them is left."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from specdsl.data import load
from specdsl.declaration import Misuse
from specdsl.training import Wanted, Way, probe_worker, probing, workers
from specdsl.training.choosing import choose
from specdsl.training.engine import Job, OutOfMemory
from specdsl.training.probe_worker import Stopwatch
from specdsl.training.probing import Rate
from specdsl.training.streams import Streams
from specdsl.training.works import Work
from tests.training.models import SOURCE, graph, recipe
from tests.waiting import lives, until

FIT = Way("fit", "tensorflow")
TWO = Way("fit", "tensorflow", processes=2)

GOOD = """
import json, sys, time
print(json.dumps({"ready": True}), flush=True)
assert sys.stdin.readline() == "go\\n"
print(json.dumps({"examples": 300, "seconds": 2.0, "starting": 1.0, "compiling": 3.0}), flush=True)
"""

FAULTS = {
    "nothing": ("", "its process ended with code 0"),
    "crash": ("import sys; sys.exit('the device is gone')", "its process ended with code 1: the device is gone"),
    "killed": ("import os; os.kill(os.getpid(), 9)", "was ended by SIGKILL, as it is where the machine's memory runs"),
    "garbage": ("print('not JSON', flush=True); input()", "said what cannot be understood"),
    "another": ("print('[]', flush=True); input()", "said what cannot be understood"),
    "bytes": ("import sys; sys.stdout.buffer.write(b'\\xff\\n'); sys.stdout.flush(); input()", "cannot be understood"),
    "failed": ('print(\'{"failed": "no memory"}\', flush=True); input()', "no memory"),
    "refused": ('print(\'{"failed": "no such layer", "lasting": true}\', flush=True); input()', "no such layer"),
    "slow to start": ("import time; time.sleep(1000)", "it was not ready to train after 1 s"),
    "slow to train": ("print('{\"ready\": true}', flush=True); import time; time.sleep(1000)", "an epoch took longer"),
    "no time": (GOOD.replace("2.0", "0"), "said what cannot be understood"),
    "half": (GOOD.replace('"starting": 1.0, ', ""), "said what cannot be understood"),
}


def work(trials: int = 1) -> Work:
    data = load(SOURCE)
    return Work(Job(graph(), recipe(), data.train, None, data.test, Streams(0, 1)), trials, Wanted(probe=True))


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> object:
    """Let probes run a text in place of the worker, which leaves the number of its process."""

    def runs(text: str) -> None:
        noted = f"import os; open({str(tmp_path)!r} + f'/{{os.getpid()}}.pid', 'w').close()\n{text}"
        monkeypatch.setattr(probing, "_WORKER", (sys.executable, "-c", noted))

    return runs


def alive(folder: Path) -> list[int]:
    """The processes that are still there of those that left their numbers."""
    return [int(file.stem) for file in folder.glob("*.pid") if lives(int(file.stem))]


def test_the_rates_of_all_processes_add_up(worker, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    worker(GOOD)
    told: list[Way] = []
    found = probing.rates(work(3), [FIT, TWO], told=told.append)
    assert found == {FIT: Rate(150.0, 1.0, 3.0), TWO: Rate(300.0, 1.0, 3.0)}
    assert told == [FIT, TWO]
    assert len(list(tmp_path.glob("*.pid"))) == 3
    assert not alive(tmp_path)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_way_that_fails_says_why(fault: str, worker, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    text, says = FAULTS[fault]
    worker(text)
    patience = {"slow to start": 1.0, "slow to train": 5.0}.get(fault, 200.0)
    (rate,) = probing.rates(work(), [FIT], patience=patience).values()
    assert rate.failed is not None
    assert says in rate.failed
    assert rate.lasting is (fault == "refused")
    assert not alive(tmp_path)


def test_one_of_several_processes_that_fails_ends_all(worker, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    worker(f"import sys\nif '/1/' in sys.argv[1]: sys.exit('the second')\n{GOOD}\ninput()")
    (rate,) = probing.rates(work(2), [TWO], patience=200.0).values()
    assert rate.failed is not None
    assert "the second" in rate.failed
    assert not alive(tmp_path)


def test_ctrl_c_ends_at_once_and_leaves_no_process(worker, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    worker("import time; time.sleep(1000)")

    def press() -> None:
        until(lambda: list(tmp_path.glob("*.pid")))
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        probing.rates(work(2), [TWO, FIT])
    assert not alive(tmp_path)


def test_the_worker_ends_with_the_process_that_began_it(tmp_path: Path) -> None:
    """Also where that was killed: the pipe to its standard input breaks."""
    task = probing._tasks(work(), FIT, 60, 1.0)[0]
    (tmp_path / "task").write_bytes(task.packed())
    process = subprocess.Popen(
        [*probing._WORKER, str(tmp_path / "task")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(200) == 1
    assert process.stdout is not None
    process.stdout.close()


def test_tasks_have_every_trial_once_and_examples_in_proportion() -> None:
    tasks = probing._tasks(work(5), replace(TWO, engine="fused", together=2), 60, 1.0)
    assert [task.trials for task in tasks] == [(1, 2), (3, 4)]
    tasks = probing._tasks(work(5), replace(TWO, engine="fused", together=None), 60, 1.0)
    assert [task.trials for task in tasks] == [(1, 2, 3), (4, 5)]
    one = work(5)
    sizes = tasks[0].sizes
    assert (sizes.train, sizes.shape, sizes.classes) == (60, (16, 16, 3), 43)
    assert sizes.test == round(60 / len(one.job.train) * len(one.job.test))
    (again, *_) = tasks[0].jobs()
    assert (again.train.x.shape, again.train.x.dtype) == ((60, 16, 16, 3), np.uint8)
    assert again.graph == one.job.graph


def test_the_time_of_a_run_follows_from_the_rate() -> None:
    one = work(5)
    images = one.job.recipe.epochs * len(one.job.train)
    assert Rate(100.0, 7.0, 3.0).total(one, FIT) == pytest.approx(7 + 5 * 3 + 5 * images / 100)
    assert Rate(100.0, 7.0, 3.0).total(one, TWO) == pytest.approx(7 + 3 * 3 + 6 * images / 100)
    assert Rate(failed="no").total(one, FIT) == float("inf")


def test_a_stopwatch_counts_whole_epochs_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, object]] = []
    clock = iter([5.0, 6.0, 7.5, 9.0])
    monkeypatch.setattr("specdsl.training.probe_worker.perf_counter", lambda: next(clock))
    monkeypatch.setattr(os, "_exit", lambda code: None)
    watch = Stopwatch(100, 3.0, lambda **said: told.append(said), lambda: None, 1.0)
    watch.trained = 2.0
    for number in (1, 2, 3):
        watch.epoch(number)
    assert told == [{"ready": True}, {"examples": 200, "seconds": 3.0, "starting": 1.0, "compiling": 1.5}]


@pytest.mark.parametrize(
    ("error", "says", "lasting"),
    [
        (NotImplementedError("no such layer"), "NotImplementedError: no such layer", True),
        (Misuse("no such loss"), "no such loss", True),
        (TypeError("no such argument"), "TypeError: no such argument", True),
        (type("TracerError", (TypeError,), {"__module__": "jax.errors"})("traced"), "TracerError: traced", True),
        (json.JSONDecodeError("Expecting value", "", 0), "JSONDecodeError: Expecting value", False),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "UnicodeDecodeError", False),
        (type("InvalidHeaderError", (ValueError,), {"__module__": "tarfile"})("bad"), "InvalidHeaderError", False),
        (RuntimeError("the device is busy"), "RuntimeError: the device is busy", False),
        (OSError("the disk is full"), "OSError: the disk is full", False),
        (OutOfMemory("2 GiB"), "the memory does not suffice for a trial", False),
    ],
)
def test_a_worker_tells_refusals_from_what_breaks(
    error: Exception, says: str, lasting: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first may be kept, the second may be otherwise another time."""

    class EndedError(BaseException):
        """In place of the end of the process."""

    def ended(code: int) -> None:
        raise EndedError

    def making(jobs: object) -> None:
        raise error

    monkeypatch.setattr(os, "_exit", ended)
    monkeypatch.setattr(workers, "pin", lambda way, place: None)
    monkeypatch.setattr("specdsl.training.engines.maker", lambda way: making)
    told: list[dict[str, object]] = []
    task = probing._tasks(work(), FIT, 60, 1.0)[0]
    with pytest.raises(EndedError):
        probe_worker.measure(task, tmp_path, lambda **said: told.append(said), lambda: None, 0.0)
    (said,) = told
    assert says in str(said["failed"])
    assert said.get("lasting", False) is lasting


@pytest.mark.keras
@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
@pytest.mark.parametrize("way", [FIT, pytest.param(Way("fused", "jax", "vmap-products", 2), marks=pytest.mark.slow)])
def test_a_tiny_model_is_timed_in_earnest(way: Way) -> None:
    rate = probing.rates(work(2), [way], examples=120, seconds=0.2)[way]
    assert rate.failed is None
    assert rate.images_per_second > 0
    assert rate.starting_seconds > 0
    assert rate.compiling_seconds > 0


def test_what_is_asked_for_is_not_timed_alone() -> None:
    console = Console(file=io.StringIO(), width=100)
    one = replace(work(), wanted=Wanted(engine="fit", backend="tensorflow", probe=True))
    assert choose({"": one}, console)[""].way == FIT
    assert "Timing" not in console.file.getvalue()  # type: ignore[attr-defined]
