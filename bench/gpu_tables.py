"""What `gpu.py` has measured: checks, sums and tables. Imports no framework."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from bench import train_jobs
from bench.train_processes import Measured
from bench.train_tables import number

IMAGES = 39_209
"""Training images of the whole data set."""

PUBLISHED = {"challenge": (7, 1200), "dropout1": (24, 800)}
"""Trials and epochs of the experiments, by one of their networks; the four of that on dropout cost about the same."""


def cards() -> dict[str, Any]:
    """What `nvidia-smi` tells of the GPUs; nothing where it is not there. It is only read."""
    query = "name,driver_version,memory.total,power.limit,clocks.max.sm"
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {"gpus": []}
    return {"gpus": [line.strip() for line in told.splitlines() if line.strip()]}


def compared(losses: Sequence[float], reference: Sequence[float], tolerance: float) -> dict[str, Any]:
    """Whether losses are those of the reference: all there, all numbers, none further off, relatively."""
    alike = len(losses) == len(reference) > 0 and all(map(math.isfinite, [*losses, *reference]))
    off = [abs(one - other) / max(abs(other), 0.1) for one, other in zip(losses, reference, strict=False)]
    return {
        "losses": list(losses),
        "furthest": max(off) if alike else None,
        "tolerance": tolerance,
        "right": alike and max(off) <= tolerance,
    }


def summed(measured: Measured) -> dict[str, Any]:
    """What epochs that were timed amount to."""
    last = measured.epochs[-1]
    losses = measured.first["losses"] + last["losses"]
    if not all(map(math.isfinite, losses)):
        return {"failed": f"a loss was no number: {losses[-1]}"}
    return {
        "rate": median(one["rate"] for one in measured.epochs),
        "rates": [one["rate"] for one in measured.epochs],
        "cpu_us": median(one["cpu_us"] for one in measured.epochs),
        "starting": measured.starting,
        "loss": last["losses"][-1],
        "memory": last["memory"] | {"peak_before": measured.first.get("peak_before")},
    }


def told(variant: Any) -> dict[str, Any]:
    """What a table says of a variant."""
    return {
        "network": variant.network,
        "trials": variant.trials,
        "method": variant.method or "Keras fit",
        "precision": variant.precision,
        "batch": variant.batch,
        "processes": variant.processes,
        "flags": variant.flags,
    }


def share_of_peak(row: Mapping[str, Any], peak: Mapping[str, Any]) -> tuple[float, float] | None:
    """The share of what matrix products reach, and of the rate at the floor; None where neither is known."""
    flops = peak["flops_per_second"].get(row["precision"]) or (
        peak["flops_per_second"]["float32"] if peak["device"] == "cpu" else None
    )
    if flops is None or "rate" not in row:
        return None
    case = train_jobs.CASES[row["network"]]
    work = train_jobs.work(case.changed(batch=row["batch"], precision=row["precision"]))
    least = work.seconds(row["batch"], flops, peak["bytes_per_second"]) / row["batch"]
    return row["rate"] * work.flops / flops, row["rate"] * least


def minutes(row: Mapping[str, Any]) -> float | None:
    """Minutes that the published experiment would take at this rate, training alone; None where there is none."""
    if row["network"] not in PUBLISHED or "rate" not in row:
        return None
    trials, epochs = PUBLISHED[row["network"]]
    return trials * epochs * IMAGES / row["rate"] / 60


def markdown(results: Mapping[str, Any]) -> str:
    """Everything measured so far."""
    on, peak = results["machine"], results["peak"]
    lines = [
        f"{', '.join(on.get('gpus') or []) or on['processor']}; {on['cores']} cores; "
        + ", ".join(f"{name} {version}" for name, version in results["versions"].items()),
        "",
    ]
    if peak is not None:
        reached = ", ".join(f"{name} {value / 1e12:.3g}" for name, value in peak["flops_per_second"].items())
        lines += [
            f"Products of matrices of {peak['matrix']} rows and columns: TFLOP/s {reached}; "
            f"memory: {peak['bytes_per_second'] / 1e9:.0f} GB/s.",
            "",
            *_slower(peak),
        ]
    if checks := results["checks"]:
        lines += ["| losses against float32 on the processor | furthest | at most | |", "| --- | ---: | ---: | --- |"]
        for name, one in checks.items():
            far = "–" if one.get("furthest") is None else f"{one['furthest']:.1e}"
            verdict = "right" if one["right"] else one.get("failed", "WRONG")
            lines.append(f"| {name} | {far} | {one.get('tolerance', '–')} | {verdict} |")
        lines.append("")
    if variants := results["variants"]:
        lines += [
            "| network | trials | method | precision | batch | processes "
            "| examples/s | of peak | of floor | start, s | GB | experiment, min |",
            "| --- | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        lines += [_row(row, peak) for row in variants.values()]
        lines += ["", "GB: the most in use at once; after ≤ the most that a way before it had in the same process."]
    return "\n".join(lines) + "\n"


def _row(row: Mapping[str, Any], peak: Mapping[str, Any] | None) -> str:
    cells = [str(row[name]) for name in ("network", "trials", "method", "precision", "batch", "processes")]
    cells[2] += f" `{row['flags']}`" if row.get("flags") else ""
    if "rate" not in row:
        return f"| {' | '.join(cells)} | {row['failed']} | | | | | |"
    shares = None if peak is None else share_of_peak(row, peak)
    cells += [number(row["rate"]), *(f"{share:.1%}" for share in shares or ())] + ([] if shares else ["–", "–"])
    projected = minutes(row)
    cells += [f"{row['starting']:.0f}", _gigabytes(row["memory"])]
    cells.append("" if projected is None else number(projected))
    return f"| {' | '.join(cells)} |"


def _gigabytes(memory: Mapping[str, Any]) -> str:
    """The most memory that a way had in use. What a device tells is the most of a whole process."""
    used, before = memory.get("peak_bytes_in_use"), memory.get("peak_before")
    if used is None:
        return "–"
    return ("" if before is None or used > before else "≤ ") + f"{used / 1e9:.1f}"


def _slower(peak: Mapping[str, Any]) -> list[str]:
    """A line where products are much slower with the precision that programs state than they could be."""
    found = {
        name: (rate, peak["flops_per_second"][name])
        for name, rate in peak.get("flops_as_asked", {}).items()
        if rate < 0.8 * peak["flops_per_second"][name]
    }
    told = ", ".join(f"{name} {rate / 1e12:.3g} of {most / 1e12:.3g} TFLOP/s" for name, (rate, most) in found.items())
    return [f"**As programs state their precision, products are slower: {told}.**", ""] if told else []
