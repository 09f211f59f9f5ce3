"""How fast networks train on a GPU that has JAX and nothing else; `gpu.sh` installs what is missing and calls this.

    python -m bench.gpu --part PART --minutes M --data DIR --out DIR [--platform gpu|cpu] [--tiny] [--options "..."]

Parts: `peak` (what the device can do), `check` (the fused program against float32 on the processor), `grid` (both, then
ways to train in order of importance), `challenge` and `dropout` (the experiments themselves, as far as the time goes).
What is measured is written at once to `results.json` and `results.md` under --out, and is not measured again.
Exit code 1: something failed; 2: what was asked for cannot be; 3: it was ended before its time, or overran it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, get_args

from bench import gpu_experiments, gpu_tables, train_jobs
from bench.gpu_grid import Variant, grid
from bench.report import machine
from bench.train_processes import Failed, Measured, Worker
from bench.train_tables import more_versions
from specdsl.training.hardware import hardware
from specdsl.training.ways import Method

PARTS = ("peak", "check", "grid", *gpu_experiments.EXPERIMENTS)

TOLERANCES = {"float32": 2e-3, "tensorfloat32": 2e-2, "mixed_bfloat16": 6e-2}
"""Between losses on the device and on the processor, relative, after so few steps that rounding has not grown yet."""

LIMIT = 100.0
"""Seconds that a way may take to be built and compiled, and for its first epoch."""

EPOCH = 40.0
"""Seconds that an epoch may take."""


class Bench:
    """Everything that is measured on a device.

    Args:
        out: the folder of results.
        data: the folder of prepared images.
        minutes: after which everything has ended.
        platform: what must be there: gpu, or cpu to try the program itself.
        tiny: whether everything is small.
    """

    def __init__(self, out: Path, data: Path, minutes: float, platform: str, tiny: bool) -> None:
        self.out, self._data, self._platform, self._tiny = out, data, platform, tiny
        self._begin = perf_counter()
        self._end = self._begin + 60 * minutes
        self._file = out / "results.json"
        self._log = out / "log.txt"
        self._worker: Worker | None = None
        self._workers: list[Worker] = []
        self.results: dict[str, Any] = {"peak": None, "checks": {}, "variants": {}}
        if self._file.exists():
            try:
                self.results |= json.loads(self._file.read_text())
            except (ValueError, TypeError):
                self._say(f"{self._file} is damaged; it is kept as results.damaged, and all is measured anew")
                self._file.replace(out / "results.damaged")
        self.results["machine"] = machine() | gpu_tables.cards()
        self.results["versions"] = more_versions(("numpy", "jax", "jaxlib", "jax-cuda13-plugin", "keras"))

    @property
    def left(self) -> float:
        """Seconds left."""
        return self._end - perf_counter()

    def peak(self) -> None:
        """What the device can do at the most."""
        if self.results["peak"] is not None:
            return
        self._say("the most that the device can do")
        worker = self._own()
        worker.tell(do="ceilings", seconds=0.3 if self._tiny else 1.0, size=256 if self._tiny else None)
        try:
            self.results["peak"] = worker.answer(min(LIMIT, self.left))
        except Failed:
            self._close()
            raise
        self.write()

    def check(self, brief: bool) -> bool:
        """Whether the fused program gives on the device what it gives in float32 on the processor.

        Losses of two epochs of four steps each, of two trials with all randomness that there is. A loss that is no
        number is never right.

        Args:
            brief: one method for each precision, and not all of them.
        """
        precisions = ("float32",) if self._tiny else tuple(TOLERANCES)
        every = [(precision, method) for precision in precisions for method in get_args(Method)]
        wanted = (
            [("float32", "map"), ("tensorfloat32", "vmap"), ("mixed_bfloat16", "vmap-products")] if brief else every
        )
        wanted = [one for one in every if one in wanted]
        checks = self.results["checks"]
        if "reference" not in self.results:
            self._say("reference on the processor")
            try:
                self.results["reference"] = self._reference()
            except Failed as error:
                checks["reference on the processor"] = {"failed": str(error), "right": False}
                self.write()
                return False
            checks.pop("reference on the processor", None)
        reference = self.results["reference"]
        for precision, method in wanted:
            name = f"{precision} {method}"
            if (name in checks and ("losses" in checks[name] or checks[name]["tries"] >= 2)) or self.left < 20:
                continue
            self._say(f"check: {name}")
            variant = Variant("challenge", 2, method, precision, 32, 1, 128)
            try:
                losses = self._losses(variant, self._own(), min(LIMIT, self.left))
            except Failed as error:
                self._close()
                tries = checks.get(name, {}).get("tries", 0) + 1
                checks[name] = {"failed": str(error), "right": False, "tries": tries}
            else:
                checks[name] = gpu_tables.compared(losses, reference, TOLERANCES[precision])
            self.write()
        return bool(checks) and all(one["right"] for one in checks.values())

    def grid(self) -> None:
        """Time ways to train, until the time is over; what an earlier call could not do is tried again last."""
        variants = self.results["variants"]
        for variant in sorted(grid(self._tiny), key=lambda one: "failed" in variants.get(one.key, {})):
            known = variants.get(variant.key, {})
            if (
                "rate" in known
                or known.get("tries", 0) >= 2
                or (variant.network == "shortcut_mlp" and variant.precision != "float32")
            ):
                continue
            if self.left < 25:
                return
            self._say(variant.key)
            limit = min(LIMIT, self.left - 5)
            tries = known.get("tries", 0) + (limit == LIMIT)
            try:
                found = self._timed(variant, limit)
            except Exception as error:  # one that cannot be timed must not keep others from it
                self._close()
                found = {"failed": str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"}
            variants[variant.key] = found | {"tries": tries} | gpu_tables.told(variant)
            self.write()

    def write(self) -> None:
        """Write what is known so far; where there is no room for it, say so and go on."""
        try:
            self._write()
        except OSError as error:
            self._say(f"not written: {error}")

    def _write(self) -> None:
        text = json.dumps(self.results | {"date": datetime.now(UTC).isoformat(timespec="seconds")}, indent=1)
        unfinished = self._file.with_suffix(".new")
        unfinished.write_text(text + "\n")
        unfinished.replace(self._file)
        (self.out / "results.md").write_text(gpu_tables.markdown(self.results))

    def close(self) -> None:
        """End all workers, also those that hang."""
        for worker in self._workers:
            worker.kill()
        self._worker = None

    def _timed(self, variant: Variant, limit: float) -> dict[str, Any]:
        begin = perf_counter()
        several = variant.processes > 1 or bool(variant.flags)
        workers = self._several(variant) if several else [self._own()]
        case = self._with_data(variant)
        each = max(1, variant.trials // variant.processes)
        order = {"kind": "engine", "way": variant.way.to_dict(), "trials": each, "case": case.to_dict()}
        measured = Measured(order, variant.key, workers, each * len(train_jobs.jobs(case, 1)[0].train))
        try:
            measured.make(limit - (perf_counter() - begin))
            while len(measured.epochs) < 3 and perf_counter() - begin < limit / 2:
                measured.epoch(min(EPOCH, limit - (perf_counter() - begin)))
            if not measured.epochs:
                measured.epoch(min(EPOCH, limit - (perf_counter() - begin)))
            measured.drop()
        finally:
            if several:
                for worker in workers:
                    worker.kill()
        return gpu_tables.summed(measured)

    def _losses(self, variant: Variant, worker: Worker, limit: float) -> list[float]:
        """The losses of both trials in two epochs."""
        order = {
            "kind": "engine",
            "way": variant.way.to_dict(),
            "trials": 2,
            "case": self._with_data(variant).to_dict(),
        }
        measured = Measured(order, "check", [worker], 1)
        measured.make(limit)
        told = measured.again(limit, 1)
        measured.drop()
        return [float(loss) for loss in told["losses"]]

    def _reference(self) -> list[float]:
        worker = self._begun(Worker("jax", self._log, variables={"JAX_PLATFORMS": "cpu"}))
        try:
            worker.ready()
            variant = Variant("challenge", 2, "map-products", "float32", 32, 1, 128)
            return self._losses(variant, worker, min(150.0, self.left))
        finally:
            worker.kill()

    def _with_data(self, variant: Variant) -> train_jobs.Case:
        return variant.case.changed(data=None if variant.network == "shortcut_mlp" else str(self._data))

    def _own(self) -> Worker:
        """The one worker that all take turns in."""
        if self._worker is None:
            self._worker = self._begun(Worker("jax", self._log, variables=self._variables()))
            self._worker.ready()
        return self._worker

    def _several(self, variant: Variant) -> list[Worker]:
        self._close()  # it has the device's memory
        variables = self._variables()
        if variant.flags:
            variables["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {variant.flags}".strip()
        found = [
            self._begun(Worker("jax", self._log, variant.way, place, variables)) for place in range(variant.processes)
        ]
        for worker in found:
            worker.ready()
        return found

    def _begun(self, worker: Worker) -> Worker:
        self._workers.append(worker)
        return worker

    def _variables(self) -> dict[str, str]:
        return {"JAX_PLATFORMS": "cuda,cpu" if self._platform == "gpu" else "cpu"}

    def _close(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def _say(self, what: str) -> None:
        print(f"[{perf_counter() - self._begin:5.0f} s, {self.left:4.0f} s left] {what}", flush=True)


def _give_up(bench: Bench) -> None:
    """End at once, whatever hangs; all that was measured has been written."""
    bench.close()
    with suppress(RuntimeError):  # a word was being printed
        print(gpu_tables.markdown(bench.results), flush=True)
    os._exit(3)


def main() -> int:
    """Measure or train, and print the table."""
    parser = argparse.ArgumentParser(description="How fast networks train on a GPU.", prog="bench/gpu.sh")
    parser.add_argument("--part", choices=PARTS, required=True, help="what is measured, or trained")
    parser.add_argument("--minutes", type=float, required=True, help="after how many everything has ended")
    parser.add_argument("--data", type=Path, required=True, help="the folder with train-0.npz, train-1.npz, test.npz")
    parser.add_argument("--out", type=Path, required=True, help="the folder of results")
    parser.add_argument("--platform", choices=("gpu", "cpu"), default="gpu", help="cpu tries the program itself")
    parser.add_argument("--tiny", action="store_true", help="little of everything")
    parser.add_argument("--options", default="", help="more options of `specdsl experiment`")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background has it ignored, and so its children
    if arguments.minutes <= 0:
        parser.error("--minutes: it is above 0")
    for name in ("train-0.npz", "train-1.npz", "test.npz"):
        if arguments.part != "peak" and not (arguments.data / name).exists():
            parser.error(f"--data: there is no {name} in {arguments.data}")
    # Where CUDA cannot be had, JAX may go on with the processor without a word.
    if arguments.platform == "gpu" and (here := hardware()).platform != "gpu":
        parser.error(f"--platform gpu: there is none; {here.note or 'JAX has no plug-in for it'}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.part in gpu_experiments.EXPERIMENTS:
        return gpu_experiments.train(
            arguments.part, arguments.out, arguments.data.absolute(), arguments.minutes, arguments.options.split(),
            {"JAX_PLATFORMS": "cuda,cpu" if arguments.platform == "gpu" else "cpu"}, tiny=arguments.tiny,
        )  # fmt: skip
    bench = Bench(arguments.out, arguments.data.absolute(), arguments.minutes, arguments.platform, arguments.tiny)
    # Whatever hangs, the time that was given is kept, and what was measured is there.
    overdue = threading.Timer(max(1.0, bench.left + 5), lambda: _give_up(bench))
    overdue.daemon = True
    overdue.start()
    for kind in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(kind, lambda *_: _give_up(bench))
    right = True
    try:
        for part in _steps(bench, arguments.part):
            try:
                right = part() is not False and right
            except Failed as error:
                print(f"error: {error}; see {arguments.out / 'log.txt'}", file=sys.stderr)
                right = False
    finally:
        bench.close()
        bench.write()
    print(gpu_tables.markdown(bench.results))
    return 0 if right else 1


def _steps(bench: Bench, part: str) -> list[Callable[[], bool | None]]:
    """What a part consists of; that one fails keeps no other from being tried."""
    steps: list[Callable[[], bool | None]] = [bench.peak]
    if part != "peak":
        steps.append(lambda: bench.check(part == "grid"))
    if part == "grid":
        steps.append(bench.grid)
    return steps


if __name__ == "__main__":
    sys.exit(main())
