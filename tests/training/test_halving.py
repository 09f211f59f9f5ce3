"""Trials together that are too many for the memory, or of which one goes wrong: what comes of them is as if alone."""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from specdsl.runs import read_run
from specdsl.runs.history import Epoch
from specdsl.training import Way, engines
from specdsl.training.engine import Job, Outcome, OutOfMemory, Watcher
from specdsl.training.together import Most
from specdsl.training.tracking import Tracking
from specdsl.training.ways import even
from tests.training.engine_numpy import NumpyTrial
from tests.training.faults import carry_out, content, numpy_engine, plan

EPOCHS = 3
TOGETHER = Way("fused", "jax", "vmap", None)

Moment = str
"""What is being done: make, train, state, evaluate, or predict."""


@dataclass
class Fault:
    """What goes wrong, and what was seen.

    Attributes:
        moment: at what; at training and evaluation in one epoch, from 1.
        epoch: in which.
        room: groups of more trials meet it.
        only: only this trial meets it, whatever the size of its group.
        error: makes what is raised; each time anew, for an error refers to where it was raised.
        sizes: of the groups that were made.
    """

    moment: Moment
    epoch: int = 1
    room: int = 0
    only: int | None = None
    error: Callable[[], Exception] = lambda: OutOfMemory("no room")
    sizes: list[int] = field(default_factory=list)

    def meet(self, moment: Moment, epoch: int, size: int, trial: int | None = None) -> None:
        meant = self.only == trial if self.only is not None else size > self.room
        if meant and moment == self.moment and (moment in ("make", "predict") or epoch == self.epoch):
            raise self.error()


class FaultyTrial(NumpyTrial):
    """A trial that meets a fault."""

    def __init__(self, job: Job, group: FaultyGroup) -> None:
        super().__init__(job)
        self.group = group

    def meet(self, moment: Moment) -> None:
        epoch = int(self.drawn) // self.job.steps
        self.group.fault.meet(moment, epoch, self.group.size, self.job.streams.trial)

    def epoch(self, number: int, watcher: Watcher) -> Outcome:
        """Train one epoch, from 0."""
        whole = self.job
        self.job = replace(whole, recipe=whole.recipe.replace(epochs=number + 1))
        self.group.fault.meet("train", number + 1, self.group.size, whole.streams.trial)
        try:
            return super().train(watcher, number)
        finally:
            self.job = whole

    def state(self) -> Any:
        """The state, which lies on the device until somebody asks: it refers to the group as long."""
        self.meet("state")
        return OnDevice(super().state(), self.group)

    def evaluate(self, *arguments: Any) -> Any:
        self.meet("evaluate")
        return super().evaluate(*arguments)

    def predict(self, *arguments: Any) -> Any:
        self.meet("predict")
        return super().predict(*arguments)


class OnDevice(dict[str, Any]):
    """Arrays that need their group."""

    def __init__(self, arrays: Any, group: FaultyGroup) -> None:
        super().__init__(arrays)
        self.group = group


class FaultyGroup:
    """Trials that go epoch by epoch together, or one after the other; the group before it must be gone."""

    before: weakref.ref[FaultyGroup] | None = None

    def __init__(self, jobs: Sequence[Job], fault: Fault, abreast: bool) -> None:
        gc.collect()  # as Keras does where a session is cleared
        assert FaultyGroup.before is None or FaultyGroup.before() is None, "something refers to the group before"
        FaultyGroup.before = weakref.ref(self)
        self.fault, self.size, self._abreast = fault, len(jobs), abreast
        fault.sizes.append(len(jobs))
        fault.meet("make", 0, len(jobs))
        self.trials = [FaultyTrial(job, self) for job in jobs]

    def train(self, watchers: Sequence[Watcher], after: int = 0) -> list[Outcome]:
        outcomes = [Outcome(stopped=watcher.stopping()) for watcher in watchers]
        places = [(epoch, trial) for epoch in range(after, EPOCHS) for trial in range(self.size)]
        for epoch, place in places if self._abreast else sorted(places, key=lambda one: one[1]):
            if not outcomes[place].stopped:
                outcomes[place] = self.trials[place].epoch(epoch, watchers[place])
        return outcomes


class Told:
    """A tracker that notes what it is told."""

    def __init__(self) -> None:
        self.epochs: dict[int, list[int]] = {}
        self.ended: list[int] = []

    def logged(self, trial: int) -> int:
        return self.epochs.get(trial, [0])[-1]

    def epoch(self, trial: int, epoch: Epoch) -> None:
        self.epochs.setdefault(trial, []).append(epoch.number)

    def trial_end(self, summary: Any, folder: Path) -> None:
        self.ended.append(summary.trial)

    def end(self, summary: Any) -> None:
        pass


@contextmanager
def faulty(fault: Fault, abreast: bool = True) -> Iterator[Told]:
    """Within, runs meet a fault; what a tracker is told of them."""
    told = Told()
    FaultyGroup.before = None
    with (
        numpy_engine(),
        mock.patch.object(engines, "maker", return_value=lambda jobs: FaultyGroup(jobs, fault, abreast)),
        mock.patch.object(Tracking, "begin", return_value=Tracking({"told": told})),
    ):
        yield told


def found(folder: Path) -> dict[str, bytes]:
    """What a run has left that must not depend on how its trials were grouped."""
    files = content(folder)
    del files["config.json"], files["summary.json"]
    for name in [name for name in files if name.endswith("trial.json")]:
        files[name] = json.dumps(json.loads(files[name]) | {"together": 1}).encode()
    return files


@cache
def alone(trials: int) -> dict[str, bytes]:
    """What trials leave that nothing happens to, one after the other."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, numpy_engine():
        carry_out(Path(folder) / "run", replace(plan(trials=trials), way=replace(TOGETHER, together=1)))
        return found(Path(folder) / "run")


MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None

MOMENTS = st.sampled_from(["make", "train", "state", "evaluate", "predict"])


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    trials=st.sampled_from([1, 2, 5, 8]), room=st.integers(1, 8), moment=MOMENTS, epoch=st.integers(1, EPOCHS),
    abreast=st.booleans(),
)  # fmt: skip
@example(trials=8, room=1, moment="predict", epoch=1, abreast=True)
@example(trials=5, room=2, moment="evaluate", epoch=2, abreast=False)
@example(trials=5, room=2, moment="train", epoch=3, abreast=True)
def test_groups_that_are_too_large_are_halved(
    trials: int, room: int, moment: Moment, epoch: int, abreast: bool
) -> None:
    """At whatever moment: all files are those of the trials alone, and no epoch is told twice or not at all."""
    fault, wanted = Fault(moment, epoch, room), alone(trials)
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, faulty(fault, abreast) as told:
        out = Path(folder) / "run"
        shown = carry_out(out, replace(plan(trials=trials), way=TOGETHER)).replace("\n", " ")
        assert found(out) == wanted
        together = read_run(out).config["way"]["together"]
    assert told.epochs == {trial: list(range(1, EPOCHS + 1)) for trial in range(1, trials + 1)}
    assert sorted(told.ended) == list(range(1, trials + 1))
    if trials > room:
        assert f"Memory does not suffice for {trials} trials together: going on with" in shown
        assert together <= max(room, -(-trials // 2))
    else:
        assert "Memory does not" not in shown
        assert together is None
        assert fault.sizes == [1, trials]  # one to see whether it can be trained


def test_later_groups_and_a_run_that_is_gone_on_with_are_as_small(tmp_path: Path) -> None:
    fault = Fault("train", 2, room=2)
    with faulty(fault):
        carry_out(tmp_path / "run", replace(plan(trials=8), way=replace(TOGETHER, together=4)))
        assert fault.sizes == [1, 4, 2, 2, 2, 2]
        assert read_run(tmp_path / "run").config["way"]["together"] == 2
        assert found(tmp_path / "run") == alone(8)
        fault.sizes.clear()
        FaultyGroup.before = None
        carry_out(tmp_path / "run", plan(trials=10))
    assert fault.sizes == [2]
    assert found(tmp_path / "run") == alone(10)


def test_a_trial_alone_that_has_no_room_fails_with_a_hint(tmp_path: Path) -> None:
    """The others have none either, but what was trained is kept; with more room all go on."""
    with faulty(Fault("train", 2)):
        shown = carry_out(tmp_path / "run", replace(plan(trials=2), way=TOGETHER)).replace("\n", " ")
        assert "Memory does not suffice for 2 trials together: going on with 1 at the most." in shown
        assert "This trial failed: OutOfMemory: no room." in shown
        assert "Memory does not suffice for a single trial: a smaller batch, or precision" in shown
        assert [(trial.failed, trial.epochs) for trial in read_run(tmp_path / "run").trials] == [
            ("OutOfMemory: no room", 1)
        ] * 2
        assert (tmp_path / "run" / "trial-2" / "traceback.txt").exists()
    with faulty(Fault("never")):
        carry_out(tmp_path / "run", plan(trials=2))
    for number in (1, 2):
        (tmp_path / "run" / f"trial-{number}" / "traceback.txt").unlink()
    assert found(tmp_path / "run") == alone(2)


@pytest.mark.parametrize("abreast", [True, False])
@pytest.mark.parametrize("moment", ["train", "evaluate", "state", "predict"])
def test_only_the_guilty_one_fails(tmp_path: Path, moment: Moment, abreast: bool) -> None:
    """What goes wrong in a trial, or in telling of it, does not fail those beside it."""
    fault = Fault(moment, 2, only=3, error=lambda: ValueError("out of order\nand more"))
    with faulty(fault, abreast) as told:
        shown = carry_out(tmp_path / "run", replace(plan(trials=4), way=TOGETHER)).replace("\n", " ")
        ended = read_run(tmp_path / "run").trials
    assert [trial.failed for trial in ended] == [None, None, "ValueError: out of order", None]
    assert ended[2].epochs == {"predict": 3, "state": 2}.get(moment, 1)
    assert "Training together was broken off: ValueError: out of order. Going on alone." in shown
    assert fault.sizes == ([1, 4, 1, 1, 1, 1] if moment == "train" else [1, 4, 1])
    files, wanted = found(tmp_path / "run"), alone(4)
    for number in (1, 2, 4):
        names = [name for name in wanted if name.startswith(f"trial-{number}/")]
        assert {name: files[name] for name in names} == {name: wanted[name] for name in names}
    assert {trial: told.epochs[trial] for trial in (1, 2, 4)} == {trial: [1, 2, 3] for trial in (1, 2, 4)}


class JaxRuntimeError(RuntimeError):
    """As JAX's runtime raises it."""


class Lost(dict[str, Any]):
    """Arrays that cannot be had any more once training was broken off, if they are from before."""

    def __init__(self, arrays: Any, fault: Fault, error: Callable[[], Exception]) -> None:
        super().__init__(arrays)
        self.fault, self.error, self.before = fault, error, fault.epoch < 100

    def _check(self) -> None:
        if self.before and self.fault.epoch == 100:
            raise self.error()

    def items(self) -> Any:
        self._check()
        return super().items()

    def __getitem__(self, name: str) -> Any:
        self._check()
        return super().__getitem__(name)

    def keys(self) -> Any:
        self._check()
        return super().keys()


@pytest.mark.parametrize("kind", [JaxRuntimeError, MemoryError, KeyError])
def test_what_cannot_be_fetched_is_taken_from_the_last_checkpoint(tmp_path: Path, kind: type[Exception]) -> None:
    """Here from the beginning, also where memory has no room for it; whatever else goes wrong is not hidden."""
    fault, state = Fault("train", 3, room=0), FaultyTrial.state

    def once(moment: Moment, epoch: int, *others: Any) -> None:
        if (moment, epoch) == ("train", fault.epoch):
            fault.epoch = 100
            raise ValueError("a cosmic ray")

    def lost(trial: FaultyTrial) -> Any:
        return Lost(state(trial), fault, lambda: kind("it is lost"))

    made = replace(plan(trials=2), way=TOGETHER)
    with faulty(fault), mock.patch.object(fault, "meet", once), mock.patch.object(FaultyTrial, "state", lost):
        if kind is KeyError:
            with pytest.raises(KeyError, match="it is lost"):
                carry_out(tmp_path / "run", made, every=100)
            return
        carry_out(tmp_path / "run", made, every=100)
    assert [(trial.failed, trial.epochs) for trial in read_run(tmp_path / "run").trials] == [(None, EPOCHS)] * 2
    assert fault.sizes == [1, 2, 1, 1]


def test_what_goes_wrong_once_has_no_consequence(tmp_path: Path) -> None:
    fault = Fault("train", 2, error=lambda: ValueError("a cosmic ray"))

    def once(moment: Moment, epoch: int, *others: Any) -> None:
        if (moment, epoch) == ("train", fault.epoch):
            fault.epoch = 100
            raise fault.error()

    with faulty(fault), mock.patch.object(fault, "meet", once):
        carry_out(tmp_path / "run", replace(plan(trials=3), way=TOGETHER))
    assert fault.sizes == [1, 3, 1, 1, 1]
    assert found(tmp_path / "run") == alone(3)


def test_trials_together_become_fewer_and_never_more() -> None:
    """Whoever finds it out; an engine is told of it with each group, as where a run is gone on with."""
    told: list[int] = []
    most = Most(8, told.append)
    ways: list[int | None] = []
    engine = SimpleNamespace(group=lambda jobs, way: ways.append(way.together))
    with mock.patch.dict(sys.modules, {"tests.training.engine_of_none": engine}):
        make = engines.maker(TOGETHER, engines.Source("tests.training.engine_of_none", framework=False), most)
        for found in (lambda: most.lower(4), lambda: most.heed(2), lambda: most.lower(4), lambda: most.heed(None)):
            make([])
            found()
        make([])
    assert ways == [8, 4, 2, 2, 2]
    assert told == [4]
    assert most.first(5) == 2


@given(trials=st.integers(0, 200), most=st.integers(1, 60))
def test_groups_are_even_and_stay_the_same_when_a_run_is_gone_on_with(trials: int, most: int) -> None:
    groups = even(trials, most)
    assert sum(groups) == trials
    assert len(groups) == -(-trials // most)
    assert not groups or max(groups) - min(groups) <= 1
    assert max(groups, default=0) <= most
    assert groups[1:] == even(trials - groups[0], most) if groups else True
    assert even(trials, None) == ([trials] if trials else [])
