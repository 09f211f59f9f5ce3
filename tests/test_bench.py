"""The benchmarks of training, as far as no framework is needed: arithmetic, tables, packages, what is refused."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, get_args

import pytest

from bench import gpu, gpu_experiments, gpu_tables, train, train_jobs, train_tables
from bench.gpu_grid import FLAGS, PRECISIONS, Variant, grid
from bench.train_jobs import CASES, Work
from bench.train_processes import Failed
from specdsl.training.hardware import Hardware
from specdsl.training.ways import Method

ROOT = Path(__file__).parents[1]

PEAK = {
    "device": "a chip",
    "flops_per_second": {"float32": 1e12, "tensorfloat32": 4e12, "mixed_bfloat16": 8e12},
    "bytes_per_second": 1e12,
    "matrix": 8192,
}


def test_work_of_a_network() -> None:
    """Three times the products of the forward pass, less the gradient of the image, before which nothing learns."""
    work = train_jobs.work(CASES["bn_cnn"])
    assert work.flops == 2 * (3 * 4_703_232 - 1_382_400)
    entering_and_leaving = (28 * 28 * 3, 24 * 24 * 32), (12 * 12 * 32, 8 * 8 * 64), (1024, 43)
    numbers = sum(2 * (before + behind) for before, behind in entering_and_leaving) + 12 * 12 * 32 + 1024
    assert work.example_bytes == 4 * numbers
    assert work.step_bytes == 2 * 4 * (98_155 + 97_963 + 2 * 97_963)
    half = train_jobs.work(CASES["bn_cnn"].changed(precision="mixed_bfloat16"))
    assert (half.flops, half.example_bytes) == (work.flops, work.example_bytes / 2)


def test_least_time_is_of_arithmetic_or_of_memory() -> None:
    work = Work(flops=100, example_bytes=10, step_bytes=60)
    assert work.seconds(4, flops_per_second=100, bytes_per_second=1e9) == 4
    assert work.seconds(4, flops_per_second=1e9, bytes_per_second=10) == 10


def test_cases_have_what_they_are_trained_with() -> None:
    for case in CASES.values():
        (job,) = train_jobs.jobs(case.changed(examples=64, batch=16), 1)
        assert job.recipe.batch == 16
        assert len(job.train) in (64, 1000)
        assert job.recipe.epochs == train_jobs.ENDLESS
    assert train_jobs.batches(CASES["shortcut_mlp"]) == 32


def network(**rates: list[float]) -> dict[str, Any]:
    """What a network with such rows comes to, by the kinds of rows."""
    rows = [
        {"kind": kind, "label": "usual, autotune off" if kind == "a" else kind, "rates": found, "cpu_us": found,
         "starting": 1.0}
        for kind, found in rates.items()
    ]  # fmt: skip
    work = {"flops": 1e6, "example_bytes": 10.0, "step_bytes": 0.0}
    chosen = {"1": {"way": "fit on tensorflow", "why": "because", "seconds": 0.0}}
    return {"model": "bn_cnn", "examples": 64, "batch": 16, "work": work, "rows": rows, "chosen": chosen}


def test_bars_compare_what_is_chosen_with_the_best_fit() -> None:
    (met,) = train.bars([network(a=[9.0], b=[10.0, 20.0, 10.0], e=[9.0, 18.0, 20.0])])
    assert met["value"] == 0.9, "round by round"
    assert not met["met"]
    (met,) = train.bars([network(a=[9.0], b=[10.0], e=[10.0])])
    assert met["met"]
    (met,) = train.bars([network(a=[9.0], b=[10.0], e=[])])
    assert not met["met"], "what was not measured is no success"


def test_table_of_a_processor() -> None:
    data = {
        "date": "2026-01-31T12:00:00+00:00", "minutes": 1.0, "versions": {"python": "3"}, "ceilings": PEAK,
        "machine": {"processor": "p", "cores": 2, "load": 0.1}, "networks": [network(a=[9.0], b=[10.0], d=[], e=[8.0])],
        "bars": [],
    }  # fmt: skip
    data["networks"][0]["rows"][2]["failed"] = "no time was left"
    text = train_tables.markdown(data)
    assert "| b | b | 10 | 10 to 10 | 1.00 |" in text
    assert "| d | d | no time was left |" in text
    assert "at most 1,000,000 examples a second" in text


def test_text_goes_into_its_place_in_a_document(tmp_path: Path) -> None:
    document = tmp_path / "document.md"
    document.write_text("before\n<!-- x: begin -->\nold\n<!-- x: end -->\nbehind\n")
    train_tables.into(document, "x", "new\n")
    assert document.read_text() == "before\n<!-- x: begin -->\n\nnew\n\n<!-- x: end -->\nbehind\n"
    train_tables.into(document, "x", "new\n")
    assert document.read_text().count("new") == 1
    with pytest.raises(ValueError, match="no place for y"):
        train_tables.into(document, "y", "new\n")


def test_losses_that_are_no_numbers_are_never_right() -> None:
    assert gpu_tables.compared([1.0, 2.0], [1.0, 2.001], 1e-3)["right"]
    assert not gpu_tables.compared([1.0, 2.0], [1.0, 2.1], 1e-3)["right"]
    assert not gpu_tables.compared([1.0, math.nan], [1.0, math.nan], 1e-3)["right"]
    assert not gpu_tables.compared([1.0], [1.0, 2.0], 1e-3)["right"]
    assert not gpu_tables.compared([], [], 1e-3)["right"]


def test_what_could_not_be_timed_is_tried_again_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = gpu.Bench(tmp_path, tmp_path, 1, "cpu", tiny=True)
    first, *others = grid(tiny=True)
    bench.results["variants"][first.key] = gpu_tables.told(first) | {"failed": "not done after 100 s", "tries": 1}
    timed = []

    def time(variant: Variant, limit: float) -> dict[str, Any]:
        timed.append(variant)
        return {"failed": "for a test"}

    monkeypatch.setattr(bench, "_timed", time)
    bench.grid()
    assert timed == [*others, first]


def test_grid_holds_every_way_once_and_the_experiments_first() -> None:
    variants = grid(tiny=False)
    assert len({one.key for one in variants}) == len(variants)
    first = variants[: len(get_args(Method))]
    assert {one.method for one in first} == set(get_args(Method))
    assert {(one.network, one.trials, one.batch) for one in first} == {("challenge", 7, 128)}
    assert {one.precision for one in variants} == set(PRECISIONS)
    assert {one.network for one in variants} == set(CASES)


def test_flags_are_timed_one_at_a_time() -> None:
    flagged = [one for one in grid(tiny=False) if one.flags]
    assert [one.flags for one in flagged] == list(FLAGS)
    assert {one.key.removesuffix(one.flags) for one in flagged} == {
        Variant("challenge", 7, "vmap-products", "tensorfloat32", 128).key + " "
    }


class FakeWorker:
    """A worker that fails at what it is told to, by the words of the order."""

    def __init__(self, failing: str) -> None:
        self.failing, self.killed, self.order = failing, False, ""

    def tell(self, **order: Any) -> None:
        self.order = order["do"]

    def answer(self, seconds: float) -> dict[str, Any]:
        if self.order == self.failing:
            raise Failed("the device is gone")
        return PEAK

    def kill(self) -> None:
        self.killed = True


def test_a_step_that_fails_keeps_no_other_from_being_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the device's rate nor the reference can be had, and one way raises what nobody foresaw."""
    begun: list[FakeWorker] = []

    def begin(bench: gpu.Bench) -> Any:
        begun.append(FakeWorker("ceilings"))
        bench._worker = bench._begun(begun[-1])  # type: ignore[assignment, arg-type]
        return begun[-1]

    def time(bench: gpu.Bench, variant: Variant, limit: float) -> dict[str, Any]:
        if variant.flags:
            raise KeyError("rate")
        return {"rate": 1.0, "starting": 1.0, "memory": {}}

    def reference(bench: gpu.Bench) -> list[float]:
        raise Failed("not done after 1 s")

    monkeypatch.setattr(gpu.Bench, "_own", begin)
    monkeypatch.setattr(gpu.Bench, "_timed", time)
    monkeypatch.setattr(gpu.Bench, "_reference", reference)
    for name in ("train-0.npz", "train-1.npz", "test.npz"):
        (tmp_path / name).touch()
    out = tmp_path / "out"
    given = ["--part", "grid", "--minutes", "9", "--data", str(tmp_path), "--out", str(out), "--platform", "cpu"]
    monkeypatch.setattr(sys, "argv", ["gpu", *given, "--tiny"])
    with kept_handlers():
        assert gpu.main() == 1
    assert begun[0].killed
    results = json.loads((out / "results.json").read_text())
    assert results["peak"] is None
    assert results["checks"]["reference on the processor"]["failed"] == "not done after 1 s"
    rates = {key: one.get("rate", one.get("failed")) for key, one in results["variants"].items()}
    assert list(rates.values()) == [1.0, 1.0, 1.0, "KeyError: 'rate'"]
    assert "KeyError" in (out / "results.md").read_text()


@contextmanager
def kept_handlers() -> Iterator[None]:
    """Signals are taken behind as before."""
    kinds = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(kind) for kind in kinds]
    yield
    for kind, handler in zip(kinds, before, strict=True):
        signal.signal(kind, handler)


def test_results_that_cannot_be_written_or_read_do_not_end_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results.json").write_text('{"peak": ')
    bench = gpu.Bench(tmp_path, tmp_path, 1, "cpu", tiny=True)
    assert "is damaged" in capsys.readouterr().out
    assert (tmp_path / "results.damaged").exists()
    assert bench.results["peak"] is None
    bench.write()
    before = (tmp_path / "results.json").read_text()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    bench.results["peak"] = PEAK
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full)
        bench.write()
    assert "not written: [Errno 28] No space left" in capsys.readouterr().out
    assert (tmp_path / "results.json").read_text() == before


@pytest.mark.parametrize(("used", "before", "told"), [(None, None, "–"), (2e9, 1e9, "2.0"), (2e9, 2e9, "≤ 2.0")])
def test_memory_of_a_way_is_not_that_of_one_before_it(used: float | None, before: float | None, told: str) -> None:
    assert gpu_tables._gigabytes({"peak_bytes_in_use": used, "peak_before": before}) == told


def test_slow_products_are_told() -> None:
    """Where the precision that programs state makes the device slower than it can be."""
    assert "slower" not in gpu_tables.markdown({"machine": {"processor": "p", "cores": 2}, "versions": {}, "peak": PEAK,
                                                "checks": {}, "variants": {}})  # fmt: skip
    slow = PEAK | {"flops_as_asked": {"float32": 1e12, "mixed_bfloat16": 1e12}}
    (line, _) = gpu_tables._slower(slow)
    assert line.endswith("slower: mixed_bfloat16 1 of 8 TFLOP/s.**")


def test_table_of_a_device() -> None:
    row = gpu_tables.told(Variant("challenge", 7, "map", "tensorfloat32", 128)) | {
        "rate": 1e5, "starting": 3.0, "memory": {"peak_bytes_in_use": 2e9},
    }  # fmt: skip
    flops = train_jobs.work(CASES["challenge"]).flops
    peak, floor = gpu_tables.share_of_peak(row, PEAK) or (0, 0)
    assert peak == pytest.approx(1e5 * flops / 4e12)
    assert floor == pytest.approx(peak), "of arithmetic, not of memory"
    assert gpu_tables.minutes(row) == pytest.approx(7 * 1200 * 39_209 / 1e5 / 60)
    failed = gpu_tables.told(Variant("original", 1, None, "float32", 128)) | {"failed": "not done after 9 s"}
    results = {"machine": {"gpus": ["a chip"], "cores": 2}, "versions": {"jax": "1"}, "peak": PEAK,
               "checks": {"float32 map": gpu_tables.compared([1.0], [1.0], 0.1)},
               "variants": {"one": row, "other": failed}}  # fmt: skip
    text = gpu_tables.markdown(results)
    assert "| challenge | 7 | map | tensorfloat32 | 128 | 1 | 100,000 | 67.5% |" in text
    assert "not done after 9 s" in text
    widths = {
        line.count("|") for line in text.splitlines() if line.startswith(("| challenge", "| original", "| network"))
    }
    assert widths == {13}


def test_runs_are_packed_in_parts_and_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a trial that has ended what it went on from is left out; one that was broken off keeps it."""
    folder, out, back = (tmp_path / name for name in ("runs", "out", "back"))
    for trial, interrupted in (("trial-1", False), ("trial-2", True)):
        (folder / trial / "checkpoints").mkdir(parents=True)
        (folder / trial / "checkpoints" / "epoch-1.checkpoint").write_bytes(bytes(range(256)) * 40)
        (folder / trial / "trial.json").write_text(json.dumps({"interrupted": interrupted}))
    out.mkdir()
    back.mkdir()
    monkeypatch.setattr(gpu_experiments, "PART", 300)
    assert not gpu_experiments.unpack(out, "runs", back)
    files = gpu_experiments.pack(folder, out, "runs")
    assert len(files) > 1
    assert max(file.stat().st_size for file in files) <= 300
    assert gpu_experiments.pack(folder, out, "runs") == files
    assert gpu_experiments.unpack(out, "runs", back)
    found = sorted(str(path.relative_to(back)) for path in back.rglob("*") if path.is_file())
    assert found == [
        "runs/trial-1/trial.json",
        "runs/trial-2/checkpoints/epoch-1.checkpoint",
        "runs/trial-2/trial.json",
    ]


def test_a_package_that_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "runs", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    (folder / "a").write_text("first")
    (package,) = gpu_experiments.pack(folder, out, "runs")
    before = package.read_bytes()
    (folder / "a").write_text("second")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            gpu_experiments.pack(folder, out, "runs")
    assert [file.name for file in out.iterdir()] == ["runs.tar.xz.00"]
    assert package.read_bytes() == before


def test_a_package_with_a_part_missing_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "challenge.tar.xz.01").write_bytes(b"no archive")
    assert gpu_experiments.train("challenge", tmp_path, tmp_path, 1, [], {}) == 2
    assert "challenge.tar.xz.*: cannot be unpacked; is a part missing?" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["challenge.tar.xz.01"]


LONG = """
import pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[sys.argv.index("--out") + 1] if "--out" in sys.argv else
                      sys.argv[sys.argv.index("--resume") + 1])
asked = []
signal.signal(signal.SIGINT, lambda *_: asked.append(1))
folder.mkdir(exist_ok=True)
(folder / "experiment.json").write_text("{}")
with (folder / "told").open("a") as told:
    told.write("resumed\\n" if "--resume" in sys.argv else "begun\\n")
print("training", flush=True)
while not asked:
    time.sleep(0.01)
sys.exit(130)
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_training_that_is_ended_from_outside_is_gone_on_with(how: signal.Signals, tmp_path: Path) -> None:
    """Asked to end before its time, it stops training and packs; killed, the next call finds the folder."""
    package = tmp_path / "stand_in" / "specdsl"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(LONG)
    (tmp_path / "call.py").write_text(
        "import sys; from pathlib import Path; from bench import gpu_experiments as made\n"
        f"made.ROOT = Path({str(package.parent)!r})\n"
        f"sys.exit(made.train('challenge', Path({str(tmp_path)!r}), Path('data'), 9, [], {{}}))\n"
    )
    out: list[str] = []
    for signalled in (how, signal.SIGTERM):
        process = subprocess.Popen(
            [sys.executable, str(tmp_path / "call.py")],
            stdout=subprocess.PIPE, text=True, env=dict(os.environ) | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "training\n"
        process.send_signal(signalled)
        process.stdout.close()
        out.append(str(process.wait(60)))
    assert out == ["-9" if how == signal.SIGKILL else "0", "0"]
    assert not (tmp_path / "challenge").exists()
    assert gpu_experiments.unpack(tmp_path, "challenge", tmp_path)
    assert (tmp_path / "challenge" / "told").read_text() == "begun\nresumed\n"


def test_asked_to_end_again_while_it_passes_that_on_it_asks_once() -> None:
    """Its group gets a signal, and the script passes its own on: asked twice, training would end without saving."""

    class Training:
        asked: ClassVar[list[int]] = []

        def send_signal(self, number: int) -> None:
            self.asked.append(number)
            if len(self.asked) < 3:
                signal.raise_signal(signal.SIGTERM)

        def kill(self) -> None:
            raise AssertionError("it was in time")

    with kept_handlers(), gpu_experiments._hurried(Training()):  # type: ignore[arg-type]
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    assert Training.asked == [signal.SIGINT]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--part", "grid", "--minutes", "1"], "--wheels DIR"),
        (["--wheels", "nowhere", "--part", "grid"], "there is no wheel in nowhere"),
    ],
)
def test_wrong_arguments_of_the_script(arguments: list[str], message: str) -> None:
    done = subprocess.run(
        ["bash", str(ROOT / "bench" / "gpu.sh"), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert message in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--part", "all"], "invalid choice"),
        (["--part", "peak", "--minutes", "0"], "--minutes: it is above 0"),
        (["--part", "grid"], "there is no train-0.npz"),
        (["--part", "peak"], "there is none; the driver is too old"),
    ],
)
def test_wrong_arguments(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["--minutes", "1", "--data", str(tmp_path), "--out", str(tmp_path / "out"), *arguments]
    monkeypatch.setattr(sys, "argv", ["gpu", "--part", "peak", *given])
    monkeypatch.setattr(gpu, "hardware", lambda: Hardware("cpu", "a chip", 1, 0, 2, "the driver is too old"))
    with pytest.raises(SystemExit) as stopped:
        gpu.main()
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
