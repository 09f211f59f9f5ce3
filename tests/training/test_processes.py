"""Runs whose trials several processes share, with an engine of numpy in them."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from specdsl.declaration import Misuse
from specdsl.runs import RunError, locking, read_run
from specdsl.training import Way, engines, run_all
from specdsl.training.runner import _with_ways
from specdsl.training.ways import Wanted
from specdsl.training.workers import WorkerLost
from specdsl.training.workers_shares import Share
from tests.training.engine_faulty import FAULTS
from tests.training.faults import carry_out, content, numpy_engine, plan
from tests.waiting import lives, state, until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="several processes need what only such systems have")

ONE, TWO = Way(), Way(processes=2)
Faults = Callable[..., Path]


@pytest.fixture(autouse=True)
def engine() -> Iterator[None]:
    with numpy_engine():
        yield


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Faults:
    """Lets workers meet faults; gives the folder where they leave their numbers."""

    def plant(**what: Any) -> Path:
        notes = tmp_path / "notes"
        notes.mkdir(exist_ok=True)
        monkeypatch.setenv(FAULTS, json.dumps({"notes": str(notes), **what}))
        ours = engines.Source("tests.training.engine_faulty", framework=False)
        for engine in ("fit", "fused"):
            monkeypatch.setitem(engines.ENGINES, engine, ours)
        return notes

    return plant


def alive(notes: Path) -> list[int]:
    """The workers that have left their numbers and run."""
    numbers = [int(file.name.removeprefix("worker-")) for file in notes.glob("worker-*")]
    return [number for number in numbers if lives(number)]


def same(one: Path, two: Path) -> None:
    """Check that the runs in two folders differ in nothing but their times and the number of processes."""
    first, second = content(one), content(two)
    assert first.keys() == second.keys()
    for name in first:
        told = first[name]
        if name.endswith(".json"):
            told = told.replace(b'"processes": 1', b'"processes": 2')
        assert told == second[name], name


def test_several_processes_come_to_what_one_comes_to(tmp_path: Path) -> None:
    carry_out(tmp_path / "one", replace(plan(trials=5), way=ONE))
    began = time.perf_counter()
    told = carry_out(tmp_path / "two", replace(plan(trials=5), way=TWO))
    lasted = time.perf_counter() - began
    same(tmp_path / "one", tmp_path / "two")
    lines = told.splitlines()
    assert lines[0].startswith("2 processes with ")
    assert sorted(line.split()[2] for line in lines if line.startswith("trial 5  ")) == ["1/3", "2/3", "3/3"]
    assert len([line for line in lines if "train loss" in line]) == 1
    summary = json.loads((tmp_path / "two" / "summary.json").read_text())
    assert 0 < summary["wall_seconds"] < lasted
    assert "nothing left" in carry_out(tmp_path / "two", replace(plan(trials=5), way=TWO))


@pytest.mark.keras
def test_a_worker_does_what_one_process_does_on_as_many_cores(tmp_path: Path) -> None:
    """On TensorFlow: history, weights, optimizer, seeds, predictions to the last bit; the run imports no framework."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.processes_checks", str(tmp_path)],
        capture_output=True, text=True, timeout=280, cwd=Path(__file__).parents[2], env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["frameworks"] == []
    assert told["differing"] == []
    assert told["compared"] >= 30


def test_groups_of_an_experiment_are_shared(tmp_path: Path) -> None:
    """Groups of both models; trials that are trained together stay so, and go round."""
    three = replace(plan(trials=3), way=Way("fused", "jax", "vmap", together=2, processes=2))
    told = carry_out(tmp_path / "e", three, name="both")
    begun = [line for line in told.splitlines() if " of 3 (" in line]
    assert [line.split(" of 3")[0] for line in begun] == [
        "a, trials 1 to 2",
        "b, trials 1 to 2",
        "a, trial 3",
        "b, trial 3",
    ]
    carry_out(tmp_path / "alone", replace(three, way=replace(three.chosen, processes=1)))
    same(tmp_path / "alone", tmp_path / "e" / "a")
    assert [trial.together for trial in read_run(tmp_path / "e" / "b").trials] == [2, 2, 1]


def test_a_run_chooses_no_more_processes_than_trials() -> None:
    """And as many for each model of an experiment."""
    nine = Wanted(engine="fit", backend="tensorflow", processes=9)
    plans = {key: replace(plan(trials=trials), wanted=nine) for key, trials in (("a", 2), ("b", 1))}
    chosen = _with_ways(plans, Console(file=io.StringIO()))
    assert {made.chosen.processes for made in chosen.values()} == {3}


def test_a_model_that_cannot_be_trained_is_refused_before_anything_is_written(tmp_path: Path, faults: Faults) -> None:
    notes = faults(refuse="tiny")
    with pytest.raises(Misuse, match="it cannot be trained") as error:
        carry_out(tmp_path / "run", replace(plan(), way=TWO))
    assert (error.value.argument, error.value.help) == ("loss", "take another")
    assert not (tmp_path / "run").exists()
    assert list(notes.glob("worker-*"))
    assert not alive(notes)


def test_a_worker_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(engines.ENGINES, "fit", engines.Source("tests.training.no_such_engine", framework=False))
    with pytest.raises(WorkerLost, match="exit code 1: ModuleNotFoundError: No module named 'tests"):
        carry_out(tmp_path / "run", replace(plan(), way=TWO))
    assert not (tmp_path / "run").exists()


def test_what_has_no_room_in_one_process_is_not_tried_in_another(tmp_path: Path, faults: Faults) -> None:
    """Neither by those that wait nor by those that are at work; and a run that is gone on with knows the least."""
    notes = faults(room=1, later=5)
    way = Way("fused", "jax", "vmap", together=4, processes=2)
    carry_out(tmp_path / "run", replace(plan(trials=12), way=way))
    made = [list(map(int, line.split())) for line in (notes / "groups").read_text().splitlines()]
    assert sorted(trials for trials in made if len(trials) > 1) == [[1, 2], [1, 2, 3, 4], [5, 6, 7, 8]]
    assert read_run(tmp_path / "run").config["way"]["together"] == 1
    assert not any(trial.failed for trial in read_run(tmp_path / "run").trials)


def test_trials_of_a_worker_that_dies_go_on_in_another(tmp_path: Path, faults: Faults) -> None:
    """From the last checkpoint, to the same end, whatever it died of."""
    carry_out(tmp_path / "one", replace(plan(trials=4), way=ONE))
    faults(die=[(2, 2, signal.SIGKILL, 1), (3, 1, -7, 1)])
    told = carry_out(tmp_path / "two", replace(plan(trials=4), way=TWO)).replace("\n", " ")
    same(tmp_path / "one", tmp_path / "two")
    killed = "trial 2: its process was ended by SIGKILL (perhaps because memory ran out). Another one goes on from the"
    assert killed in told
    assert "trial 2, going on after epoch 2 of 3" in told
    assert "trial 3: its process ended with exit code 7: it goes wrong now" in told


def test_trials_whose_workers_die_twice_have_failed(tmp_path: Path, faults: Faults) -> None:
    """The others come to their end; when the run is gone on with, they have another chance."""
    carry_out(tmp_path / "one", replace(plan(trials=3), way=ONE))
    faults(die=[(1, 2, signal.SIGSEGV, 2)])
    made = replace(plan(trials=3), way=TWO)
    carry_out(tmp_path / "two", made, every=100)
    first, *others = read_run(tmp_path / "two").trials
    assert first.failed == "its process was ended by SIGSEGV"
    assert first.epochs == 2
    assert not any(trial.failed for trial in others)
    assert "it goes wrong now" in (tmp_path / "two" / "trial-1" / "traceback.txt").read_text()
    carry_out(tmp_path / "two", made, every=100)
    assert [trial.final for trial in read_run(tmp_path / "two").trials] == [
        trial.final for trial in read_run(tmp_path / "one").trials
    ]


def test_ctrl_c_stops_all_and_going_on_is_the_run_that_went_through(
    tmp_path: Path, faults: Faults, monkeypatch
) -> None:
    carry_out(tmp_path / "one", replace(plan(trials=3), way=ONE))
    notes = faults(hold=1)
    made, show = replace(plan(trials=3), way=TWO), Share._epoch
    pressed: list[int] = []

    def press_once(*all: Any) -> None:
        show(*all)
        if not pressed:
            pressed.append(1)
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(Share, "_epoch", press_once)
        told = carry_out(tmp_path / "two", made, every=100)
    assert "Stopping after this step" in told
    assert "Stopped." in told
    assert not alive(notes)
    trials = read_run(tmp_path / "two").trials
    assert trials
    assert all(trial.interrupted for trial in trials)
    faults()
    carry_out(tmp_path / "two", made)
    assert [trial.final for trial in read_run(tmp_path / "two").trials] == [
        trial.final for trial in read_run(tmp_path / "one").trials
    ]


def test_ctrl_c_twice_ends_everything_at_once(tmp_path: Path, faults: Faults, monkeypatch) -> None:
    """Although the steps of its trials take so long that none would end."""
    notes = faults(pause=1000)
    monkeypatch.setattr(Share, "_step", lambda *all: None)
    begin = Share._begin

    def pressed(self: Share, *given: Any) -> None:
        begin(self, *given)
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Share, "_begin", pressed)
    with pytest.raises(KeyboardInterrupt):
        carry_out(tmp_path / "run", replace(plan(), way=TWO))
    assert not alive(notes)


SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
from specdsl.training import Way, engines
from tests.training.faults import carry_out, numpy_engine, plan
with numpy_engine():
    engines.ENGINES["fit"] = engines.Source("tests.training.engine_faulty", framework=False)
    print(carry_out(Path(sys.argv[1]), replace(plan(trials=3), way=Way(processes=2))))
"""


def test_workers_end_with_their_run_and_hold_its_lock_until_then(
    tmp_path: Path, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is killed while one of its workers stands still: nobody else gets in before that has gone too.

    The script has no guard around what it does, and comes from standard input.
    """
    carry_out(tmp_path / "one", replace(plan(trials=3), way=ONE))
    notes = faults(hold=1)
    out = tmp_path / "two"
    with subprocess.Popen(
        [sys.executable, "-", str(out)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdin is not None
        process.stdin.write(SCRIPT.encode())
        process.stdin.close()
        until(lambda: len(alive(notes)) == 2 and len(list(out.glob("trial-*/history.csv"))) == 2)
        still, _ = alive(notes)
        os.kill(still, signal.SIGSTOP)
        until(lambda: state(still) in ("T", ""))  # until then it may yet see that the run is gone
        process.kill()
    try:
        until(lambda: alive(notes) == [still])
        monkeypatch.setattr(locking, "_ENDING", 0.5)
        with pytest.raises(RunError, match=rf"by workers of the process {process.pid} on .*, which has ended"):
            carry_out(out, replace(plan(trials=3), way=TWO))
    finally:
        os.kill(still, signal.SIGCONT)
    faults()
    monkeypatch.setattr(locking, "_ENDING", 120.0)
    carry_out(out, replace(plan(trials=3), way=TWO))
    same(tmp_path / "one", out)
    assert not alive(notes)


def test_trackers_are_told_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each epoch of each trial once, then its end, and the end of the run last."""
    heard: list[tuple[Any, ...]] = []

    class Tracker:
        def logged(self, trial: int) -> int:
            return max((number for kind, one, number in heard if kind == "epoch" and one == trial), default=0)

        def epoch(self, trial: int, epoch: Any) -> None:
            heard.append(("epoch", trial, epoch.number))

        def trial_end(self, summary: Any, folder: Path) -> None:
            assert (folder / "model.keras").exists()
            heard.append(("end", summary.trial, summary.epochs))

        def end(self, summary: Any) -> None:
            heard.append(("run", 0, len(summary.trials)))

    class Target:
        kind = "ours"

        def reach(self, begun: object) -> None:
            pass

        def open(self, run: Any) -> Tracker:
            return Tracker()

    made = replace(plan(), way=TWO)
    console = Console(file=io.StringIO(), width=40, force_terminal=True)
    run_all(None, {"": made}, tmp_path / "run", console=console, logs=[Target()])  # type: ignore[list-item]
    for trial in (1, 2):
        mine = [one for one in heard if one[1] == trial]
        assert mine == [("epoch", trial, 1), ("epoch", trial, 2), ("epoch", trial, 3), ("end", trial, 3)]
    assert heard[-1] == ("run", 0, 2)
