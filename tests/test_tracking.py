"""Trackers: what is written can be read back, nothing is told twice, and nothing that fails gets in the way."""

from __future__ import annotations

import io
import json
import math
import struct
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from specdsl.declaration import Misuse
from specdsl.runs.history import Epoch
from specdsl.runs.records import RunSummary, TrialSummary
from specdsl.training import Way, run_all, tracking
from specdsl.training.tracking import Described, Target, Tracking, flattened, target
from tests.training import faults

CONFIG = {
    "schema": 2,
    "seed": 3,
    "train": {"type": "TrainRecipe", "optimizer": {"type": "Adam", "learning_rate": 0.001}, "metrics": ["accuracy"]},
    "request": {"model": None},
}


def epoch(number: int, loss: float = 1.0) -> Epoch:
    values = {"train": {"loss": loss / number, "accuracy": 0.5}, "test": {"loss": 2 * loss / number, "accuracy": 0.25}}
    return Epoch(number, values, seconds=2.0, images=100, learning_rate=0.001)


def ended(trial: int, **changes: Any) -> TrialSummary:
    values = {
        "trial": trial,
        "epochs": 3,
        "kept_epoch": 2,
        "final": {"test_loss": 0.75, "test_accuracy": 0.5},
        **changes,
    }
    return TrialSummary(**values)


def described(folder: Path, *, resumed: bool = False) -> Described:
    (folder / "spec").mkdir(parents=True, exist_ok=True)
    (folder / "spec" / "model.spec").write_text("model m { input x: (4,); Dense(2) }\n")
    return Described("m", "an experiment", folder, CONFIG, resumed)


def carry_out(run: Tracking, folder: Path, first: int = 1, last: int = 3) -> None:
    """Two trials with their epochs, as the runner tells of them; the first of them knows what came before."""
    for trial in (1, 2):
        run.trial_begin(trial, [epoch(number) for number in range(1, first)])
        for number in range(first, last + 1):
            run.epoch(trial, epoch(number))


def finish(run: Tracking, folder: Path) -> None:
    for trial in (1, 2):
        place = folder / f"trial-{trial}"
        place.mkdir(exist_ok=True)
        (place / "model.keras").write_bytes(b"a model")
        run.trial_end(ended(trial), place)
    (folder / "loss.svg").write_text("<svg/>")
    run.end(RunSummary("m", folder, (ended(1), ended(2)), 2, 10, False, 4.0))


def broken_off(folder: Path) -> RunSummary:
    return RunSummary("m", folder, (), 2, 10, True, 4.0)


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


# ------------------------------------------------------------------------------------------- TensorBoard


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """All scalars in the event files of a folder, by tag, in the order in which they were written."""
    from tensorboardX.proto.event_pb2 import Event

    found: dict[str, list[tuple[int, float]]] = {}
    for file in sorted(folder.glob("events.*")):
        content, place = file.read_bytes(), 0
        while place < len(content):
            (length,) = struct.unpack_from("<Q", content, place)
            event = Event.FromString(content[place + 12 : place + 12 + length])
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found.setdefault(value.tag, []).append((event.step, value.simple_value))
            place += 12 + length + 4
    return found


def test_event_files_hold_every_value(tmp_path: Path) -> None:
    """Each metric of each part at its epoch, and of the kept weights at theirs."""
    pytest.importorskip("tensorboardX")
    run = Tracking.begin([Target("tensorboard")], described(tmp_path), quiet())
    carry_out(run, tmp_path)
    finish(run, tmp_path)
    for trial in (1, 2):
        found = scalars(tmp_path / "tensorboard" / f"trial-{trial}")
        assert dict(found["loss/train"]) == pytest.approx({1: 1.0, 2: 0.5, 3: 1 / 3})
        assert found["accuracy/test"] == [(1, 0.25), (2, 0.25), (3, 0.25)]
        assert dict(found["learning_rate"]) == pytest.approx(dict.fromkeys((1, 2, 3), 0.001))
        assert found["images_per_second"] == [(1, 50), (2, 50), (3, 50)]
        assert found["kept/test_loss"] == [(2, 0.75)]
    recipe = b"".join(file.read_bytes() for file in (tmp_path / "tensorboard" / "trial-1").iterdir())
    assert b'"learning_rate": 0.001' in recipe


@pytest.mark.parametrize("lost", [0, 1, 5, 40])
def test_epochs_are_in_event_files_once_also_after_a_crash(lost: int, tmp_path: Path) -> None:
    """A run is killed while it writes epoch 3, and goes on from the checkpoint of epoch 1."""
    pytest.importorskip("tensorboardX")
    begun = Tracking.begin([Target("tensorboard")], described(tmp_path), quiet())
    carry_out(begun, tmp_path)
    begun.end(broken_off(tmp_path))  # so that everything is on the disk, of which the end is cut off now
    first = tmp_path / "tensorboard" / "trial-1"
    (file,) = first.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) - lost])
    again = Tracking.begin([Target("tensorboard")], described(tmp_path, resumed=True), quiet())
    carry_out(again, tmp_path, first=2, last=4)
    again.end(broken_off(tmp_path))
    found = scalars_of_whole_records(first)
    assert [step for step, _ in found["loss/train"]] == [1, 2, 3, 4]
    second = scalars_of_whole_records(tmp_path / "tensorboard" / "trial-2")
    assert [step for step, _ in second["loss/train"]] == [1, 2, 3, 4]


def scalars_of_whole_records(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """As `scalars`, without a record that is cut off."""
    for file in folder.glob("events.*"):
        content, place = file.read_bytes(), 0
        while place + 12 <= len(content):
            (length,) = struct.unpack_from("<Q", content, place)
            if place + 16 + length > len(content):
                break
            place += 16 + length
        file.write_bytes(content[:place])
    return scalars(folder)


# ------------------------------------------------------------------------------------------------ MLflow


def client(place: Path) -> Any:
    pytest.importorskip("mlflow")
    tracker = import_module("specdsl.training.tracking_mlflow")  # which settles how MLflow keeps files
    return tracker.MlflowClient(tracking_uri=place.as_uri())


def stored(place: Path) -> tuple[Any, dict[str, Any]]:
    """The whole run, and those of its trials by number."""
    there = client(place)
    identity = there.get_experiment_by_name("an experiment").experiment_id
    runs = there.search_runs([identity])
    trials = {run.data.tags["specdsl.trial"]: run for run in runs if "specdsl.trial" in run.data.tags}
    (whole,) = [run for run in runs if "specdsl.trial" not in run.data.tags]
    assert len(runs) == len(trials) + 1
    return whole, trials


def steps(place: Path, run: Any, metric: str) -> list[tuple[int, float]]:
    return [(one.step, one.value) for one in client(place).get_metric_history(run.info.run_id, metric)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("models", [False, True])
def test_mlflow_holds_every_value(models: bool, tmp_path: Path) -> None:
    """The recipe as parameters, each value at its epoch, the spec and what trials leave as artifacts."""
    store, folder = tmp_path / "store", tmp_path / "a 'run'"
    client(store)
    run = Tracking.begin([Target("mlflow", str(store), models)], described(folder), quiet())
    carry_out(run, folder)
    finish(run, folder)
    whole, trials = stored(store)
    assert set(trials) == {"1", "2"}
    for trial in trials.values():
        assert trial.data.tags["mlflow.parentRunId"] == whole.info.run_id
        assert trial.info.status == "FINISHED"
        assert steps(store, trial, "train_loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
        assert steps(store, trial, "kept_test_accuracy") == [(2, 0.5)]
        assert trial.data.params["train.optimizer.learning_rate"] == "0.001"
        left = {one.path for one in client(store).list_artifacts(trial.info.run_id)}
        assert left == {"spec"} | ({"model.keras"} if models else set())
    assert whole.data.params == dict(flattened({name: CONFIG[name] for name in ("seed", "train")}))
    assert steps(store, whole, "mean_test_loss") == [(0, 0.75)]
    assert {one.path for one in client(store).list_artifacts(whole.info.run_id)} == {"spec", "loss.svg"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_run_that_goes_on_goes_on_in_mlflow(tmp_path: Path) -> None:
    """In the same runs, every epoch once; one that is begun anew in the same folder has runs of its own."""
    store = tmp_path / "store"
    client(store)
    carry_out(Tracking.begin([Target("mlflow", str(store))], described(tmp_path), quiet()), tmp_path)
    again = Tracking.begin([Target("mlflow", str(store))], described(tmp_path, resumed=True), quiet())
    carry_out(again, tmp_path, first=2, last=4)
    _, trials = stored(store)
    assert [step for step, _ in steps(store, trials["2"], "train_loss")] == [1, 2, 3, 4]
    Tracking.begin([Target("mlflow", str(store))], described(tmp_path), quiet())
    identity = client(store).get_experiment_by_name("an experiment").experiment_id
    assert len(client(store).search_runs([identity])) == 4


# ------------------------------------------------------------------------------------------- what goes wrong


class Failing:
    """Takes what it is told until it is told of an epoch that it cannot bear."""

    def __init__(self, unbearable: int) -> None:
        self.unbearable, self.told = unbearable, 0

    def logged(self, trial: int) -> int:
        return 0

    def epoch(self, trial: int, epoch: Epoch) -> None:
        self.told += 1
        if epoch.number == self.unbearable:
            raise ConnectionError("the server is gone\nand so on")

    def trial_end(self, summary: TrialSummary, folder: Path) -> None:
        self.told += 1

    def end(self, summary: RunSummary) -> None:
        self.told += 1


def test_a_tracker_that_fails_is_told_of_once_and_left_out(tmp_path: Path) -> None:
    """The others are told everything."""
    console, failing, well = quiet(), Failing(2), Failing(99)
    run = Tracking({"mlflow": failing, "tensorboard": well}, console)
    carry_out(run, tmp_path)
    finish(run, tmp_path)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert said.splitlines() == [
        "mlflow cannot be logged to any more: the server is gone. Training goes on without it."
    ]
    assert (failing.told, well.told) == (2, 9)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("wandb", "there is no tracker 'wandb'"),
        ("mlflow=", "--log mlflow= names no place"),
        ("tensorboard", "needs the package no_such_package"),
    ],
)
def test_what_cannot_be_is_refused(written: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(tracking.PACKAGES, "tensorboard", "no_such_package")
    with pytest.raises(Misuse, match=told):
        target(written)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_server_that_is_not_there_is_told_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a port of this machine where nobody listens."""
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(Misuse, match=r"to: http://127\.0\.0\.1:9 cannot be reached: Connection refused$"):
        target("mlflow=http://127.0.0.1:9").reach()
    (tmp_path / "file").write_text("")
    pytest.importorskip("tensorboardX")
    with pytest.raises(Misuse, match="tensorboard cannot be logged to"):
        target(f"tensorboard={tmp_path / 'file'}").reach()


class Reading(BaseHTTPRequestHandler):
    """A server that knows no run and lets nothing be written."""

    def do_POST(self) -> None:
        self._answer(200 if self.path.endswith("/search") else 500)

    def do_GET(self) -> None:
        self._answer(500)

    def _answer(self, code: int) -> None:
        self.send_response(code)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", [None, "an_experiment"])
def test_a_server_that_fails_when_a_run_begins_leaves_no_folder(
    name: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wrong with it is told, and not by what library it was asked."""
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Reading)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    place, out = f"http://127.0.0.1:{server.server_port}", tmp_path / "run"
    plans = {key: replace(faults.plan(), way=Way()) for key in ([""] if name is None else ["a", "b"])}
    try:
        with faults.numpy_engine(), pytest.raises(Misuse, match=f"{place} does not answer as it should: too many 500"):
            run_all(name, plans, out, console=quiet(), logs=[Target("mlflow", place)])
    finally:
        server.shutdown()
        server.server_close()
    assert not out.exists()


def test_settings_by_their_paths() -> None:
    values = {"a": {"b": 1, "c": None, "d": {}}, "e": [1, {"f": 2}], "g": "text", "h": math.inf}
    assert dict(flattened(values)) == {"a.b": "1", "a.c": "null", "e": '[1, {"f": 2}]', "g": "text", "h": "Infinity"}
    assert json.loads(dict(flattened(CONFIG))["train.metrics"]) == ["accuracy"]


def test_event_files_of_two_runs_are_not_mixed(tmp_path: Path) -> None:
    """Two experiments with a model of one name, and one folder for all events."""
    pytest.importorskip("tensorboardX")
    place = str(tmp_path / "events")
    first = Tracking.begin([Target("tensorboard", place)], described(tmp_path / "one" / "m"), quiet())
    first.epoch(1, epoch(1))
    with pytest.raises(Misuse, match="holds the events of another run"):
        Target("tensorboard", place).reach([tmp_path / "two" / "m"])
    Target("tensorboard", place).reach([tmp_path / "two" / "other"])
    with pytest.raises(Misuse, match="holds the events of another run"):
        Tracking.begin([Target("tensorboard", place)], described(tmp_path / "two" / "m"), quiet())
    Tracking.begin([Target("tensorboard", place)], described(tmp_path / "one" / "m", resumed=True), quiet())
