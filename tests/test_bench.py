"""The benchmarks of training, as far as no framework is needed: arithmetic, tables, packages, what is refused."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from bench import gpu, gpu_experiments, gpu_tables, train, train_jobs, train_tables
from bench.train_jobs import CASES, Work
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
    first, *others = gpu.grid(tiny=True)
    bench.results["variants"][first.key] = gpu_tables.told(first) | {"failed": "not done after 100 s", "tries": 1}
    timed = []

    def time(variant: gpu.Variant, limit: float) -> dict[str, Any]:
        timed.append(variant)
        return {"failed": "for a test"}

    monkeypatch.setattr(bench, "_timed", time)
    bench.grid()
    assert timed == [*others, first]


def test_grid_holds_every_way_once_and_the_experiments_first() -> None:
    variants = gpu.grid(tiny=False)
    assert len({one.key for one in variants}) == len(variants)
    first = variants[: len(get_args(Method))]
    assert {one.method for one in first} == set(get_args(Method))
    assert {(one.network, one.trials, one.batch) for one in first} == {("challenge", 7, 128)}
    assert {one.precision for one in variants} == set(gpu.PRECISIONS)
    assert {one.network for one in variants} == set(CASES)


def test_table_of_a_device() -> None:
    row = gpu_tables.told(gpu.Variant("challenge", 7, "map", "tensorfloat32", 128)) | {
        "rate": 1e5, "starting": 3.0, "memory": {"peak_bytes_in_use": 2e9},
    }  # fmt: skip
    flops = train_jobs.work(CASES["challenge"]).flops
    peak, floor = gpu_tables.share_of_peak(row, PEAK) or (0, 0)
    assert peak == pytest.approx(1e5 * flops / 4e12)
    assert floor == pytest.approx(peak), "of arithmetic, not of memory"
    assert gpu_tables.minutes(row) == pytest.approx(7 * 1200 * 39_209 / 1e5 / 60)
    failed = gpu_tables.told(gpu.Variant("original", 1, None, "float32", 128)) | {"failed": "not done after 9 s"}
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
