"""How fast networks train on this machine: by Keras's `fit`, by the fused engine, and as `specdsl train` chooses.

    python -m bench.train [--minutes M] [--rounds N] [--networks A,B] [--out FILE] [--write]

`fit` is measured as it is usually written and as well as it can be set, the fused engine with one trial and several
together by each method. All ways to train a network are made first, then timed epoch by epoch in turn, so that a busy
moment of the machine meets all of them; medians count, and time on the processor stands beside time by the clock.
Exit code 1: a bar is missed.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, get_args

from rich.console import Console

from bench import train_jobs, train_tables
from bench.report import machine, versions
from bench.train_processes import Failed, Measured, Worker
from specdsl.training.choosing import choose
from specdsl.training.ways import Method, Wanted, Way
from specdsl.training.works import Work

HERE = Path(__file__).parent

TRIALS = {"shortcut_mlp": (6, 20)}
"""How many trials are trained together."""

USUAL_TRIALS = (4,)

EXAMPLES = 4096
"""Of an epoch that is timed; of trials together fewer each, so that all have as many."""

TURN = 3.5
"""About how many seconds a way is timed in each round."""

FEW = 256
"""As many where it may be very slow, until that is known."""

SLOW = 1000.0
"""Examples a second that are too few for more than `FEW`."""

SHARES = {"shortcut_mlp": 1.2, "bn_cnn": 2.2}
"""Of the time, of networks that are measured in full, in terms of that of others."""

FULL = 39_209
"""Examples of the whole data set, for which the way is chosen."""

BAR_FIT = 0.95
"""Of the best `fit`, which what is chosen must reach."""

BAR_TINY = 3.0
"""Times the best `fit`, which what is chosen for tiny trials together must reach."""


@dataclass(frozen=True)
class Setup:
    """A way to train that is timed.

    Attributes:
        kind: a to e, as the tables explain.
        label: what it is called in them.
        order: what a worker is told.
        backend: the back end.
        trials: how many at once in a process.
        way: of several processes, or None.
        careful: whether it may be very slow.
        at_once: whether its epochs are timed one right after the other: an iterator that autotunes and waits meanwhile
            stalls longer than it would.
    """

    kind: str
    label: str
    order: dict[str, Any]
    backend: str
    trials: int = 1
    way: Way | None = None
    careful: bool = False
    at_once: bool = False

    @property
    def key(self) -> str:
        """Equal for what is measured alike."""
        return json.dumps([self.order, self.backend, self.trials, 1 if self.way is None else self.way.processes])


def by_hand(kind: str, label: str, *, backend: str = "tensorflow", **order: Any) -> Setup:
    """Keras's `fit` with settings of its own."""
    settings = {"kind": "fit", "pipeline": "own", "autotune": False, "jit": False, "steps": 1, "trials": 1}
    careful = bool(order.get("jit"))
    return Setup(kind, label, settings | order, backend, careful=careful, at_once=bool(order.get("autotune")))


def in_engine(kind: str, way: Way, trials: int, label: str = "", careful: bool = False) -> Setup:
    """A way of an engine; of several processes each trains its share of the trials."""
    each = 1 if way.engine == "fit" else max(1, min(way.together or trials, trials // way.processes))
    told = way if way.engine == "fit" else replace(way, together=None)
    order = {"kind": "engine", "way": told.to_dict(), "trials": each}
    several = way if way.processes > 1 else None
    return Setup(kind, label or str(way), order, way.backend, each, several, careful)


def setups(name: str, brief: bool, chosen: Mapping[int, Way]) -> list[Setup]:
    """The ways to train a network.

    Args:
        name: of the network.
        brief: whether those are left out that another network has shown to matter little.
        chosen: those that the runner chooses, by the number of trials.
    """
    tiny = name in TRIALS
    found = [
        in_engine("e", way, trials, f"chosen for {trials} trial{'s' * (trials > 1)}: {way}")
        for trials, way in chosen.items()
    ]
    found += [] if brief else [by_hand("a", "fit, usual pipeline", pipeline="usual", autotune=True)]
    found.append(by_hand("a", "fit, usual pipeline, autotune off", pipeline="usual"))
    for jit, steps in ((False, (1, 16, 64)), (True, (1, 16, 64))):
        for count in steps:
            if not brief or (jit, count) in ((False, 1), (True, 16)):
                label = f"fit, own feed, jit {'on' if jit else 'off'}, {count} step{'s' * (count > 1)} a call"
                found.append(by_hand("b", label, jit=jit, steps=count))
    found.append(in_engine("b", Way("fit", "tensorflow"), 1, "fit engine on tensorflow"))
    if not brief:
        found.append(in_engine("b", Way("fit", "jax"), 1, "fit engine on jax"))
    several = TRIALS.get(name, USUAL_TRIALS)
    for trials in (1, *several):
        for method in _methods(tiny, trials):
            careful = not tiny and not method.endswith("products")
            if not (brief and careful):
                label = f"fused, {trials} trial{'s' * (trials > 1)}, {method}"
                way = Way("fused", "jax", method, None)
                found.append(in_engine("c" if trials == 1 else "d", way, trials, label, careful))
    two = [Way("fit", "tensorflow", processes=2)]
    two += [] if brief else [Way("fused", "jax", "vmap" if tiny else "map-products", None, processes=2)]
    two += [Way("fit", "jax", processes=2)] if tiny else []
    found += [in_engine("d", way, several[0], f"{way}, {several[0]} trials") for way in two]
    return found


def _methods(tiny: bool, trials: int) -> tuple[Method, ...]:
    """The methods that differ: a tiny network has no convolutions to be products, and one trial is its own turn."""
    if tiny:
        return ("vmap",) if trials == 1 else ("vmap", "map")
    return ("map", "map-products") if trials == 1 else get_args(Method)


class Bench:
    """Everything that is measured.

    Args:
        folder: for logs.
        minutes: after which nothing more is begun.
        rounds: how often each way is timed, where time suffices.
    """

    def __init__(self, folder: Path, minutes: float, rounds: int) -> None:
        self._folder, self._rounds = folder, rounds
        self._end = perf_counter() + 60 * minutes
        self._shared: dict[str, Worker] = {}

    @property
    def left(self) -> float:
        """Seconds left."""
        return self._end - perf_counter()

    def network(self, name: str, brief: bool, share: float) -> dict[str, Any]:
        """Time the ways to train a network.

        Args:
            name: of it.
            brief: as in `setups`.
            share: of the time left, which it may take.
        """
        end = perf_counter() + share * self.left
        case = train_jobs.CASES[name]
        chosen = {trials: self._choice(case, trials) for trials in (1, *TRIALS.get(name, USUAL_TRIALS))}
        rows: list[dict[str, Any]] = []
        made: list[tuple[dict[str, Any], Measured]] = []
        for one in setups(name, brief, {trials: told["way"] for trials, told in chosen.items()}):
            row: dict[str, Any] = {"kind": one.kind, "label": one.label, "key": one.key, "trials": one.trials}
            row |= {"rates": [], "cpu_us": []}
            rows.append(row)
            with _told(row):
                if perf_counter() > end - len(made) * TURN and one.kind != "e":
                    raise Failed("no time was left")
                if any(other["key"] == one.key for other, _ in made):
                    continue
                say(f"{name}: {one.label}")
                made.append((row, self._made(one, case, name)))
                row["starting"] = made[-1][1].starting
                if one.at_once:
                    row |= _at_once(made.pop()[1], self._rounds)
        for turn in range(self._rounds):
            for row, measured in made if turn % 2 == 0 else reversed(made):
                usual = median(one["seconds"] for one in measured.epochs) if measured.epochs else 0.0
                if "failed" in row or (turn and perf_counter() + usual > end):
                    continue
                say(f"{name}, round {turn + 1} of {self._rounds}: {row['label']}")
                with _told(row):
                    told = measured.epoch(120.0)
                    row["rates"].append(told["rate"])
                    row["cpu_us"].append(told["cpu_us"])
        self.close()
        for row in rows:  # what is chosen was measured above if it stands there
            same = next((other for other, _ in made if other["key"] == row["key"]), row)
            row |= {name: value for name, value in same.items() if name not in ("kind", "label")}
        rows.sort(key=lambda row: row["kind"])
        work = train_jobs.work(case)
        return {
            "model": name,
            "examples": EXAMPLES if name not in TRIALS else len(train_jobs.jobs(case, 1)[0].train),
            "batch": train_jobs.batches(case),
            "work": {"flops": work.flops, "example_bytes": work.example_bytes, "step_bytes": work.step_bytes},
            "chosen": {
                str(trials): {"way": str(told["way"]), "why": told["why"], "seconds": told["seconds"]}
                for trials, told in chosen.items()
            },
            "rows": rows,
        }

    def ceilings(self) -> dict[str, Any]:
        """What the machine can do at the most."""
        worker = self._worker("jax")
        worker.tell(do="ceilings", seconds=2.0)
        return worker.answer(120.0)

    def close(self) -> None:
        """End all workers."""
        for worker in self._shared.values():
            worker.kill()
        self._shared.clear()

    def _choice(self, case: train_jobs.Case, trials: int) -> dict[str, Any]:
        """What the runner chooses, by known costs, for many epochs of trials on the whole data set, and why."""
        say(f"{case.model}: choosing for {trials}")
        whole = train_jobs.jobs(case.changed(examples=FULL), 1)[0]
        console = Console(file=io.StringIO(), width=200)
        begin = perf_counter()
        choice = choose({"": Work(whole, trials, Wanted(probe=False))}, console)[""]
        return {"way": choice.way, "why": choice.why, "seconds": round(perf_counter() - begin, 1)}

    def _made(self, one: Setup, case: train_jobs.Case, name: str) -> Measured:
        processes = one.way.processes if one.way else 1
        all_ = None if name in TRIALS else EXAMPLES // (one.trials if one.way is None else one.trials * processes)
        if one.careful:
            probe = self._measured(one, case.changed(examples=FEW))
            if probe.epoch(120.0)["rate"] < SLOW:
                return probe
            probe.drop()
        return self._measured(one, case.changed(examples=all_))

    def _measured(self, one: Setup, case: train_jobs.Case) -> Measured:
        examples = one.trials * len(train_jobs.jobs(case, 1)[0].train)
        workers = [self._worker(one.backend)] if one.way is None else self._several(one.way)
        measured = Measured(one.order | {"case": case.to_dict()}, f"{id(one)}", workers, examples)
        measured.make(min(300.0, max(30.0, self.left)))
        return measured

    def _worker(self, backend: str) -> Worker:
        if backend not in self._shared:
            worker = Worker(backend, self._folder / f"{backend}.log")
            worker.ready()
            self._shared[backend] = worker
        return self._shared[backend]

    def _several(self, way: Way) -> list[Worker]:
        """The workers of a way, which trains in several processes."""
        found = []
        for place in range(way.processes):
            name = f"{way.backend} {place + 1} of {way.processes}"
            if name not in self._shared:
                self._shared[name] = Worker(way.backend, self._folder / "several.log", way, place)
                self._shared[name].ready()
            found.append(self._shared[name])
        return found


def _at_once(measured: Measured, epochs: int) -> dict[str, Any]:
    """What epochs right after each other give."""
    told = measured.again(120.0, epochs)
    measured.drop()
    return {"rates": [measured.examples / seconds for seconds in told["each"]], "cpu_us": [told["cpu_us"]]}


@contextmanager
def _told(row: dict[str, Any]) -> Iterator[None]:
    """Within, what cannot be measured is noted in its row."""
    try:
        yield
    except Failed as error:
        row["failed"] = str(error)


def bars(networks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What counts, with what it must be: round by round what is chosen over the best `fit`, of that the median."""
    found = []
    for network in networks:
        best = train_tables.best_fit(network)
        for row in network["rows"]:
            if row["kind"] != "e":
                continue
            limit = BAR_TINY if network["model"] in TRIALS and not row["label"].startswith("chosen for 1 ") else BAR_FIT
            shares = [mine / other for mine, other in zip(row["rates"], best["rates"] if best else [], strict=False)]
            value = median(shares) if shares else 0.0
            name = f"{network['model']}: {row['label']}, over the best stall-free fit"
            found.append({"name": name, "value": round(value, 3), "limit": limit, "met": value >= limit})
    return found


def say(text: str) -> None:
    """Show progress where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def main() -> int:
    """Measure, write, print; the exit code says whether all bars are met."""
    parser = argparse.ArgumentParser(description="How fast networks train on this machine.")
    parser.add_argument("--minutes", type=float, default=11.0, help="begin nothing more after so many (default 11)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is timed (default 3)")
    parser.add_argument(
        "--networks", default="shortcut_mlp,bn_cnn,dropout1,challenge", help="which, separated by commas"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results" / "train-cpu.json", help="where the figures go")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md too")
    arguments = parser.parse_args()
    names = arguments.networks.split(",")
    if unknown := [name for name in names if name not in train_jobs.CASES]:
        parser.error(f"there is no network {unknown[0]}: there are {', '.join(train_jobs.CASES)}")
    networks: list[dict[str, Any]] = []
    on = machine()
    begin = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(folder) / "compiled")  # nothing is found from before
        bench = Bench(Path(folder), arguments.minutes, arguments.rounds)
        try:
            ceilings = bench.ceilings()
            for place, name in enumerate(names):
                still = sum(SHARES.get(one, 1.0) for one in names[place:])
                networks.append(bench.network(name, name not in SHARES, SHARES.get(name, 1.0) / still))
        finally:
            bench.close()
    say("")
    data = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": on | {"load_at_the_end": machine()["load"]},
        "versions": versions() | train_tables.more_versions(),
        "minutes": round((perf_counter() - begin) / 60, 1),
        "ceilings": ceilings,
        "networks": networks,
    }
    data["bars"] = met = bars(networks)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(data, indent=2) + "\n")
    text = train_tables.markdown(data)
    arguments.out.with_suffix(".md").write_text(text)
    if arguments.write:
        train_tables.into(HERE.parent / "docs" / "performance.md", "train-cpu", text)
    print(text)
    return 0 if all(bar["met"] for bar in met) else 1


if __name__ == "__main__":
    sys.exit(main())
