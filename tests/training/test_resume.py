"""Nothing is lost: runs that were killed, failed or stopped go on as if nothing had happened."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from specdsl.declaration import Misuse
from specdsl.recipes.schedules import Cosine
from specdsl.runs import RunError, read_run
from specdsl.runs.checkpoints import Checkpoints
from specdsl.runs.locking import Lock
from specdsl.training import Way, carrying, engines, frameworks
from tests.training.engine_numpy import NumpyTrial
from tests.training.faults import carry_out, content, numpy_engine, plan


@pytest.fixture
def engine() -> Iterator[None]:
    with numpy_engine():
        yield


def script(module: str, *arguments: str, seconds: float = 250) -> Any:
    """What a module of the tests prints last, run in a process of its own with one thread for matrix products."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.training.{module}", *arguments],
        capture_output=True, text=True, timeout=seconds, cwd=Path(__file__).parents[2],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "default"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("every", [11, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_a_run_goes_on_after_a_fault_at_any_call_that_writes(tmp_path: Path, every: int) -> None:
    """Killed before it, in the midst of it or after it, and with a disk that is full from then on."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        tried = script("faults", folder, str(every), seconds=850)
    assert tried["files"] == 17
    assert min(tried["kill"], tried["kill after"], tried["full"]) >= 120 // every


@pytest.mark.keras
@pytest.mark.parametrize(
    ("backend", "verb", "kills", "epochs"),
    [
        ("tensorflow", "train", 4, 4),
        pytest.param("tensorflow", "experiment", 25, 8, marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
        pytest.param("jax", "experiment", 25, 8, marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
    ],
)
def test_a_run_killed_at_random_moments_is_the_run_that_was_not(
    tmp_path: Path, backend: str, verb: str, kills: int, epochs: int
) -> None:
    """Histories, weights, optimizer, seeds of layers, predictions and final values: all to the last bit."""
    given = {"folder": str(tmp_path), "backend": backend, "kills": kills, "seed": kills, "epochs": epochs, "verb": verb}
    told = script("killing", json.dumps(given), seconds=1700)
    assert told["differing"] == []
    assert told["compared"] >= 60
    assert len(told["kills"]) == kills
    assert told["midway"] >= kills // 4, told


@pytest.mark.parametrize("moment", range(0, 40, 3))
def test_ctrl_c_and_going_on_is_the_run_that_went_through(
    tmp_path: Path, engine: None, moment: int, monkeypatch
) -> None:
    """In training, in the evaluation after an epoch, and in that at the end of a trial."""
    carry_out(tmp_path / "whole")
    asked = 0

    def wanted(interrupts: Any) -> bool:
        nonlocal asked
        asked += 1
        if asked == moment + 1:
            interrupts.requested = True
        return bool(interrupts.requested)

    with monkeypatch.context() as patched:
        patched.setattr("specdsl.training.interrupts.Interrupts.wanted", wanted)
        told = carry_out(tmp_path / "broken", every=100)
    assert "Stopped." in told
    assert read_run(tmp_path / "broken").trials[-1].interrupted
    carry_out(tmp_path / "broken", every=100)
    broken, whole = content(tmp_path / "broken"), content(tmp_path / "whole")
    for found in (broken, whole):  # how many checkpoints there are depends on when they were written
        for name in [name for name in found if name.endswith(".checkpoint") and "3" not in name]:
            del found[name]
    assert broken == whole


def test_a_damaged_checkpoint_is_told_and_the_one_before_it_used(tmp_path: Path, engine: None) -> None:
    """Whatever is done to it: cut off, a bit turned, emptied, or of a later format."""
    carry_out(tmp_path / "whole", plan(trials=1))
    whole = content(tmp_path / "whole")

    def broken_off() -> Path:
        out = tmp_path / "run"
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(tmp_path / "whole", out)
        for name in ("trial.json", "model.keras", "predictions.npz"):
            (out / "trial-1" / name).unlink()
        return out

    def last(out: Path) -> Path:
        return max((out / "trial-1" / "checkpoints").iterdir())

    rng = np.random.default_rng(1)
    good = last(tmp_path / "whole").read_bytes()
    places = [int(rng.integers(0, len(good))) for _ in range(12)]
    damages = [good[:place] for place in (0, 1, 30, 84, 200, len(good) - 1)]
    damages += [good[:place] + bytes([good[place] ^ 1 << place % 8]) + good[place + 1 :] for place in places]
    damages.append(good.replace(b"checkpoint 1\n", b"checkpoint 2\n"))
    for damage in damages:
        out = broken_off()
        last(out).write_bytes(damage)
        told = carry_out(out, plan(trials=1)).replace("\n", " ")
        assert "epoch-000003.checkpoint is damaged" in told
        assert "going on from epoch 2, the one before it" in told
        assert content(out) == whole
    out = broken_off()
    for file in (out / "trial-1" / "checkpoints").iterdir():
        file.write_bytes(b"")
    assert "beginning anew" in carry_out(out, plan(trials=1))
    assert content(out) == whole


def test_a_run_that_has_ended_is_left_as_it_is(tmp_path: Path, engine: None) -> None:
    carry_out(tmp_path / "run")
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("trial-*/*")}
    assert "there is nothing left to do" in carry_out(tmp_path / "run")
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("trial-*/*")} == before


def test_what_a_trial_has_lost_since_its_end_is_made_again(tmp_path: Path, engine: None) -> None:
    """As long as its checkpoints are there its end alone; a history that is lost with them is trained anew."""
    out, trial = tmp_path / "run", tmp_path / "run" / "trial-1"
    carry_out(out, plan(trials=2))
    whole = content(out)
    for name in ("history.csv", "model.keras", "predictions.npz"):
        for damaged in (name == "history.csv", False):
            (trial / name).unlink()
            if damaged:
                (trial / name).write_text("epoch,seconds\n1,2\n")
            told = carry_out(out, plan(trials=2)).replace("\n", "")
            assert f"{name} {'does not have its 3 epochs' if damaged else ''}" in told
            assert "its trial is brought to its end again" in told
            assert content(out) == whole
    for name in ("model.keras", "predictions.npz"):
        (trial / name).unlink()
    shutil.rmtree(trial / "checkpoints")
    assert "there is nothing left to do" in carry_out(out, plan(trials=2))
    (trial / "history.csv").unlink()
    carry_out(out, plan(trials=2))
    assert content(out) == whole


def test_curves_that_were_never_drawn_are_drawn(tmp_path: Path, engine: None) -> None:
    """The process was killed after the last trial; what is drawn is left as it is."""
    carry_out(tmp_path / "run")
    for drawn in (False, True):
        with mock.patch.object(carrying, "_draw") as draw:
            assert "nothing left" in carry_out(tmp_path / "run")
        assert draw.called is not drawn
        (tmp_path / "run" / "loss.svg").touch()


def test_more_trials_are_those_of_a_run_of_so_many(tmp_path: Path, engine: None) -> None:
    carry_out(tmp_path / "two", plan(trials=2))
    carry_out(tmp_path / "two", plan(trials=3))
    carry_out(tmp_path / "three", plan(trials=3))
    assert content(tmp_path / "two") == content(tmp_path / "three")
    with pytest.raises(RunError, match="has 3 trials: none of them is taken back"):
        carry_out(tmp_path / "two", plan(trials=2))


def test_a_run_that_cannot_be_gone_on_with_is_not_made_longer(tmp_path: Path, engine: None) -> None:
    """Because its back end is not installed, or because another run of its experiment is not the same any more."""
    carry_out(tmp_path / "run", plan(trials=1))
    carry_out(tmp_path / "e", plan(trials=1), name="e")
    damaged = json.loads((tmp_path / "e" / "b" / "config.json").read_text())
    (tmp_path / "e" / "b" / "config.json").write_text(json.dumps(damaged | {"seed": 77}))
    before = {file: file.read_bytes() for file in tmp_path.rglob("config.json")}
    with pytest.raises(RunError, match="its seed was 77"):
        carry_out(tmp_path / "e", plan(trials=2), name="e")
    needed = engines.Source("tests.training.engine_numpy")
    with (
        mock.patch.dict(engines.ENGINES, fit=needed, fused=needed),
        mock.patch.object(frameworks, "check_installed", side_effect=Misuse("is not installed")),
    ):
        with pytest.raises(Misuse, match="is not installed"):
            carry_out(tmp_path / "run", plan(trials=2))
        assert "nothing left" in carry_out(tmp_path / "run", plan(trials=1))
    assert {file: file.read_bytes() for file in tmp_path.rglob("config.json")} == before


@pytest.mark.parametrize("choice", [{}, {"keep": "best"}, {"keep": "best", "evaluate_every": 2, "patience": 4}])
def test_more_epochs_are_those_of_a_run_of_so_many(tmp_path: Path, engine, choice: dict[str, Any]) -> None:
    """As far as training does not depend on how many there are to be."""
    carry_out(tmp_path / "longer", plan(trials=1, epochs=4, **choice))
    carry_out(tmp_path / "longer", plan(trials=1, epochs=6, **choice))
    carry_out(tmp_path / "six", plan(trials=1, epochs=6, **choice))
    longer, six = content(tmp_path / "longer"), content(tmp_path / "six")
    assert {name for name in longer if longer[name] != six.get(name)} == set()
    with pytest.raises(RunError, match="has 6 epochs: none of them is taken back"):
        carry_out(tmp_path / "longer", plan(trials=1, epochs=4, **choice))


def test_more_epochs_are_refused_where_the_first_ones_would_have_been_others(tmp_path: Path, engine) -> None:
    scheduled = {"schedule": Cosine()}
    carry_out(tmp_path / "cosine", plan(trials=1, **scheduled))
    with pytest.raises(RunError, match="follows a schedule: for more epochs all of them would have been others"):
        carry_out(tmp_path / "cosine", plan(trials=1, epochs=4, **scheduled))
    carry_out(tmp_path / "thirds", plan(trials=1, evaluate_every=2))
    with pytest.raises(RunError, match="evaluated after epoch 3 because that was its last"):
        carry_out(tmp_path / "thirds", plan(trials=1, epochs=4, evaluate_every=2))


def test_trials_together_are_the_trials_alone(tmp_path: Path, engine, monkeypatch) -> None:
    """Also where they have not come equally far, and where one of them crashes, which the others do not notice."""
    together = replace(plan(trials=4), way=Way("fused", "jax", "vmap", None))
    alone = replace(together, way=Way("fused", "jax", "vmap", 1))
    carry_out(tmp_path / "alone", alone)
    original = NumpyTrial.predict

    def failing(self: NumpyTrial, *arguments: Any) -> Any:
        if self.job.streams.trial == 2:
            raise RuntimeError("out of order")
        return original(self, *arguments)

    carry_out(tmp_path / "together", replace(together, trials=1))
    with monkeypatch.context() as patched:
        patched.setattr(NumpyTrial, "predict", failing)
        carry_out(tmp_path / "together", together)
    failed = [read_run(tmp_path / "together").trials[place].failed for place in range(4)]
    assert failed == [None, "RuntimeError: out of order", None, None]
    shown = carry_out(tmp_path / "together", together)
    assert "trial 2 of 4" in shown
    for number in range(1, 5):
        one, other = (content(tmp_path / name / f"trial-{number}") for name in ("alone", "together"))
        one.pop("trial.json"), other.pop("trial.json"), other.pop("traceback.txt", None)
        assert one == other
    ended = [trial.final for trial in read_run(tmp_path / "together").trials]
    assert ended == [trial.final for trial in read_run(tmp_path / "alone").trials]


def test_the_best_epoch_is_kept_and_patience_ends_a_trial(tmp_path: Path, engine, monkeypatch) -> None:
    """By validation alone: the test part gets better all the time here, and nobody looks."""
    validation = [3.0, 2.0, 1.5, 1.6, 1.49, 1.7, 1.8, 1.9]

    def evaluate(self: NumpyTrial, part: str, stopping: Any = None) -> dict[str, float]:
        epoch = int(self.drawn) // self.job.steps
        return {"loss": validation[epoch - 1] if part == "validation" else 1 / epoch, "accuracy": 0.5}

    monkeypatch.setattr(NumpyTrial, "evaluate", evaluate)
    for how, (epochs, kept, early) in {
        (("keep", "best"),): (8, 5, False),
        (("keep", "best"), ("patience", 3)): (8, 5, True),
        (("keep", "best"), ("patience", 2), ("min_delta", 0.1)): (5, 5, True),
        (("keep", "last"), ("patience", 2), ("min_delta", 0.1)): (5, 5, True),
        (("keep", "best"), ("patience", 1)): (4, 3, True),
    }.items():
        out = tmp_path / str(how)
        carry_out(out, plan(trials=1, epochs=8, **dict(how)))
        (trial,) = read_run(out).trials
        assert (trial.epochs, trial.kept_epoch, trial.stopped_early, trial.evaluated) == (epochs, kept, early, True)
        last, _ = Checkpoints(trial.folder / "checkpoints").last()
        assert last is not None
        weights = last.kept["weight"] if kept < epochs else last.state["weight"]
        assert trial.model_file.read_bytes() == weights.tobytes()


def test_a_run_goes_on_only_with_what_it_was_begun_with(tmp_path: Path, engine: None) -> None:
    carry_out(tmp_path / "run")
    with pytest.raises(RunError, match=r"its seed was 5, and is 6 now"):
        carry_out(tmp_path / "run", plan(seed=6))


def test_other_software_is_told_of(tmp_path: Path, engine: None) -> None:
    carry_out(tmp_path / "run")
    file = tmp_path / "run" / "versions.json"
    versions = json.loads(file.read_text())
    versions["packages"]["keras"] = "3.0.0"
    file.write_text(json.dumps(versions))
    told = carry_out(tmp_path / "run").replace("\n", " ")
    assert "begun with keras 3.0.0, going on with" in told
    assert "packages" not in told
    assert "equality to the last bit is not promised" in told


def test_a_trial_that_crashes_is_recorded_and_tried_again(tmp_path: Path, engine: None, monkeypatch) -> None:
    """The others go on; the next attempt begins at its last checkpoint."""
    predict, asked = NumpyTrial.predict, []

    def failing(self: NumpyTrial, part: Any, stopping: Any) -> Any:
        asked.append(self.job.streams.trial)
        if self.job.streams.trial == 1:
            raise MemoryError("no room for 3 GiB\nof activations")
        return predict(self, part, stopping)

    with monkeypatch.context() as patched:
        patched.setattr(NumpyTrial, "predict", failing)
        told = carry_out(tmp_path / "run")
    assert "This trial failed: MemoryError: no room for 3 GiB." in told
    first, second = read_run(tmp_path / "run").trials
    assert (first.failed, first.well, first.epochs) == ("MemoryError: no room for 3 GiB", False, 3)
    assert (second.failed, second.evaluated) == (None, True)
    assert "in failing" in (tmp_path / "run" / "trial-1" / "traceback.txt").read_text()
    carry_out(tmp_path / "run")
    (tmp_path / "run" / "trial-1" / "traceback.txt").unlink()
    carry_out(tmp_path / "whole")
    assert content(tmp_path / "run") == content(tmp_path / "whole")


def test_two_processes_cannot_write_into_one_folder(tmp_path: Path, engine: None) -> None:
    """The one that has it is named; when it is dead, however it died, its file hinders nobody."""
    carry_out(tmp_path / "run")
    holding = f"""
import os, sys
from pathlib import Path
from specdsl.runs.locking import Lock
with Lock(Path({str(tmp_path / "run")!r})):
    print("held", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", holding], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"is being written to by the process {other.pid} on "):
            carry_out(tmp_path / "run")
        other.kill()
        other.wait()
    assert (tmp_path / "run" / ".lock").exists()
    assert "nothing left" in carry_out(tmp_path / "run")
    assert not (tmp_path / "run" / ".lock").exists()
    carry_out(tmp_path / "e", name="both")
    with Lock(tmp_path / "e" / "b"), pytest.raises(RunError, match=r"e/b is being written to"):
        carry_out(tmp_path / "e", name="both")
    with Lock(tmp_path / "run"), pytest.raises(RunError, match=f"by the process {os.getpid()} on "):
        Lock(tmp_path / "run").__enter__()


def test_an_experiment_goes_trial_by_trial_and_on_after_a_crash(tmp_path: Path, engine: None, monkeypatch) -> None:
    order: list[tuple[str, int]] = []
    carry_out_trials = carrying.Run.carry_out

    def noted(self: carrying.Run, trials: Any, around: Any) -> None:
        order.extend((self.folder.path.name, number) for number in trials)
        if len(order) == 3:
            raise RunError("as if the disk were full")
        carry_out_trials(self, trials, around)

    monkeypatch.setattr(carrying.Run, "carry_out", noted)
    with pytest.raises(RunError):
        carry_out(tmp_path / "e", name="both")
    carry_out(tmp_path / "e", name="both")
    assert order == [("a", 1), ("b", 1), ("a", 2), ("a", 2), ("b", 2)]
    carry_out(tmp_path / "alone")
    shutil.copytree(tmp_path / "e" / "a", tmp_path / "part" / "a")
    shutil.copy(tmp_path / "e" / "experiment.json", tmp_path / "part")
    with pytest.raises(RunError, match=r"part/b cannot be gone on with: there is no config\.json in it"):
        carry_out(tmp_path / "part", name="both")
    assert not (tmp_path / "part" / "b").exists()
    assert content(tmp_path / "e" / "a") == content(tmp_path / "alone")


def test_a_run_goes_on_from_its_folder_alone(tmp_path: Path, engine, run) -> None:
    """The spec and the file that it imports from above are gone by then."""

    folder = tmp_path / "project" / "specs"
    folder.mkdir(parents=True)
    (tmp_path / "project" / "pyproject.toml").touch()
    (tmp_path / "project" / "base.spec").write_text(
        "model tiny(units=4) { input image: (28, 28, 3)\n"
        'AveragePooling2D(4) -> Flatten -> Dense(units, "relu") -> Dense(43, "softmax") }\n'
    )
    (folder / "e.spec").write_text(
        'from "../base.spec" import tiny\ndata few = synthetic(size=28, train=2, test=1)\n'
        "train quick { data = few; epochs = 2; batch = 40 }\n"
    )
    out = tmp_path / "run"
    assert run("train", folder / "e.spec", "--model", "tiny", "--set", "units=6", "--out", out)[0] == 0
    shutil.rmtree(tmp_path / "project")
    assert run("train", "--resume", out, "--trials", "2")[0] == 0
    assert [trial.epochs for trial in read_run(out).trials] == [2, 2]
    assert read_run(out).config["model_parameters"] == {"units": 6}
    code, _, err = run("train", "--resume", out, "--seed", "2")
    assert code == 2
    assert "--seed cannot be said beside it" in err
    (imported,) = (out / "spec").rglob("base.spec")
    imported.write_text(imported.read_text().replace("AveragePooling2D(4)", "AveragePooling2D(2)"))
    code, _, err = run("train", "--resume", out, "--trials", "3")
    assert code == 2
    assert f"{out} cannot be gone on with: its spec has been changed since it was begun" in err
