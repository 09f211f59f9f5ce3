"""How fast the report comes, and how much memory it takes: measured in one run against what it must reach.

    python bench/report.py [--rounds N] [--out FILE]

Whole processes are timed from outside, one after the other in rounds, so that a busy moment of the machine meets all
of them; medians count. This program imports nothing large itself: a child's peak memory, as the system tells it, is
never below that of the process that started it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, median
from time import perf_counter
from typing import Any, NamedTuple

HERE = Path(__file__).parent
SPEC = HERE.parent / "specs" / "bn_cnn.spec"
SPECDSL = str(Path(sys.executable).with_name("specdsl"))

SIZES = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
KERAS_SIZES = (1_000, 5_000)
LONG = 10_000
"""Layers of the spec that has a bar of its own."""

LAYERS = ('Conv2D(8, 3, padding="same")', "BatchNormalization", "ELU", "Dropout(0.1)")
"""What a long spec repeats."""

PUBLISHED = {
    "ResNet50": ("resnet50.spec", "resnet50"),
    "EfficientNetB7": ("efficientnet.spec", "efficientnet_b7"),
}
"""Models of `keras.applications`, with the spec and the model in it that describe the same network."""

SUMMARISE = """
import sys
import keras
model = getattr(keras.applications, sys.argv[1])(weights=None)
model.summary()
print(model.count_params())
"""
"""Builds a model of `keras.applications` and prints what a report tells, as far as Keras knows it."""

TITLES = {
    "imports": "python -c 'import lark, pydantic'",
    "report": "specdsl compile specs/bn_cnn.spec --report",
    "keras": "the same model built and summarised in Keras",
    "long_written": f"report of {LONG:,} layers, one on each line",
    "long_repeat": f"report of {LONG:,} layers by `repeat`",
}
TITLES |= {f"report_{name}": f"report of {name}" for name in PUBLISHED}
TITLES |= {f"keras_{name}": f"{name} built and summarised in Keras" for name in PUBLISHED}
"""The processes that are timed."""

ANALYSE = """
import gc, sys
from pathlib import Path
from time import process_time
from specdsl import Limits, loads
gc.set_threshold(100_000, 20, 20)
limits = Limits(characters=10**8, words=10**7, layers=10**6, steps=10**8)
for path in sys.argv[1:]:
    text = Path(path).read_text()
    begin = process_time()
    analysis = loads(text, limits=limits).model().analyse()
print(process_time() - begin, analysis.totals.layers)
"""
"""Analyses several specs and prints how long the last one took, when all that is done but once had been done.

Garbage is looked for as seldom as in the command `specdsl`. At Python's own settings its searches through everything
that lives take a third of the time at 20,000 layers, and make growth a little more than linear.
"""


BUILD = """
import sys
from pathlib import Path
from time import process_time
import specdsl, specdsl.backends.keras_model
for path in sys.argv[1:]:
    graph = specdsl.loads(Path(path).read_text()).model()
    begin = process_time()
    model = graph.to_keras()
print(process_time() - begin, len(model.layers) - 1)
"""
"""Builds several specs in Keras and prints how long the last one took, Keras's import and the spec's reading aside."""


class Run(NamedTuple):
    """One process: wall time, time on the processor, peak memory in megabytes (10^6 bytes), and what it printed."""

    seconds: float
    cpu_seconds: float
    megabytes: float
    output: str


class Bar(NamedTuple):
    """Something measured, and what it must be."""

    name: str
    value: float
    limit: float
    least: bool = False
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.least else self.value <= self.limit


def run(*command: str) -> Run:
    """Run a command to its end.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    with tempfile.TemporaryFile("w+") as output:
        begin = perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode:
        print(text, file=sys.stderr)
        raise subprocess.CalledProcessError(process.returncode, command)
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Run(seconds, usage.ru_utime + usage.ru_stime, peak / 1e6, text)


def long_specs(layers: int) -> dict[str, str]:
    """Models of so many layers: written out, one on each line, and as a `repeat`."""
    assert layers % len(LAYERS) == 0
    input_ = "    input image: (16, 16, 8)"
    lines = "\n".join(f"    {layer}" for layer in LAYERS)
    written = "\n".join([lines] * (layers // len(LAYERS)))
    return {
        "written": f"model long {{\n{input_}\n{written}\n}}\n",
        "repeat": f"model long {{\n{input_}\n    repeat {layers // len(LAYERS)} {{\n{lines}\n    }}\n}}\n",
    }


def measure_processes(folder: Path, rounds: int) -> dict[str, list[Run]]:
    """The report, what it is compared with, reports of a long spec and of published models; Keras each third round."""
    source = folder / "bn_cnn.py"
    run(SPECDSL, "compile", str(SPEC), "--emit", "python", "-o", str(source))
    commands: dict[str, tuple[str, ...]] = {
        "imports": (sys.executable, "-c", "import lark, pydantic"),
        "report": (SPECDSL, "compile", str(SPEC), "--report"),
        "keras": (sys.executable, str(source)),
    }
    for form, text in long_specs(LONG).items():
        path = folder / f"{form}.spec"
        path.write_text(text)
        commands[f"long_{form}"] = (SPECDSL, "compile", str(path), "--report")
    for name, (file, model) in PUBLISHED.items():
        spec = str(HERE.parent / "specs" / "zoo" / file)
        commands[f"report_{name}"] = (SPECDSL, "compile", spec, "--model", model, "--report", "--format", "json")
        commands[f"keras_{name}"] = (sys.executable, "-c", SUMMARISE, name)
    first = {name: run(*command) for name, command in commands.items()}  # so that all files have been read once
    for name in PUBLISHED:  # what is compared is the same network
        params = json.loads(first[f"report_{name}"].output)["totals"]["params"]
        assert params == int(first[f"keras_{name}"].output.split()[-1]), name
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for turn in range(rounds):
        for name, command in commands.items():
            if name in ("imports", "report") or turn % 3 == 0:
                runs[name].append(run(*command))
        say(f"round {turn + 1} of {rounds}")
    return runs


def measure_growth(folder: Path, rounds: int) -> dict[str, dict[int, list[float]]]:
    """Seconds on the processor from text to analysis in a fresh process, by form and number of layers."""
    times: dict[str, dict[int, list[float]]] = {form: {size: [] for size in SIZES} for form in long_specs(SIZES[0])}
    small, path = folder / "small.spec", folder / "growth.spec"
    small.write_text(long_specs(len(LAYERS))["written"])
    for turn in range(rounds):
        for size in SIZES:
            for form, text in long_specs(size).items():
                path.write_text(text)
                seconds, layers = run(sys.executable, "-c", ANALYSE, str(small), str(path)).output.split()
                assert int(layers) == size
                times[form][size].append(float(seconds))
        say(f"growth, round {turn + 1} of {rounds}")
    return times


def measure_keras(folder: Path) -> dict[int, float]:
    """Seconds on the processor that Keras takes to build the same models, by number of layers."""
    times: dict[int, float] = {}
    small, path = folder / "small.spec", folder / "growth.spec"
    for size in KERAS_SIZES:
        path.write_text(long_specs(size)["written"])
        seconds, layers = run(sys.executable, "-c", BUILD, str(small), str(path)).output.split()[-2:]
        assert int(layers) == size
        times[size] = float(seconds)
        say(f"Keras, {size:,} layers")
    return times


def exponent(points: Iterable[tuple[float, float]]) -> float:
    """The p of y = c·x^p that fits best, by least squares of the logarithms."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    mean_x, mean_y = (fmean(values) for values in zip(*logs, strict=True))
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)


def machine() -> dict[str, Any]:
    """What this ran on."""
    processor = platform.processor()
    cpus = Path("/proc/cpuinfo")
    if cpus.exists():
        names = (line.partition(": ")[2] for line in cpus.read_text().splitlines() if line.startswith("model name"))
        processor = next(names, processor)
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "load": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """The software that this ran."""
    tensorflow = "tensorflow"
    try:
        version(tensorflow)
    except ModuleNotFoundError:
        tensorflow = "tensorflow-cpu"
    packages = ("specdsl", "lark", "pydantic", "click", "keras", tensorflow)
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def bars(runs: dict[str, list[Run]], growth: dict[str, dict[int, list[float]]]) -> list[Bar]:
    """What counts, with what it must be."""
    seconds = {name: median(run.seconds for run in of) for name, of in runs.items()}
    memory = max(run.megabytes for run in runs["report"])
    return [
        Bar("report / `import lark, pydantic`", seconds["report"] / seconds["imports"], 2.5, unit="x"),
        Bar("peak memory of the report", memory, 120, unit="MB"),
        Bar("built and summarised in Keras / report", seconds["keras"] / seconds["report"], 20, least=True, unit="x"),
        *(
            Bar(
                f"{name}: Keras / report",
                seconds[f"keras_{name}"] / seconds[f"report_{name}"],
                20,
                least=True,
                unit="x",
            )
            for name in PUBLISHED
        ),
        *(Bar(f"report of {LONG:,} layers, {form}", seconds[f"long_{form}"], 5, unit="s") for form in growth),
        *(
            Bar(f"growth, {form}: seconds ~ layers^p, p", exponent((n, median(t)) for n, t in times.items()), 1.15)
            for form, times in growth.items()
        ),
    ]


def spread(values: Iterable[float]) -> dict[str, float]:
    """The median of some values, the least and the most of them."""
    ordered = sorted(values)
    return {"median": round(median(ordered), 4), "least": round(ordered[0], 4), "most": round(ordered[-1], 4)}


def as_data(
    runs: dict[str, list[Run]],
    growth: dict[str, dict[int, list[float]]],
    keras: dict[int, float],
    checked: list[Bar],
) -> dict[str, Any]:
    """Everything measured, as JSON keeps it."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "bars": [bar._asdict() | {"value": round(bar.value, 3), "met": bar.met} for bar in checked],
        "processes": {
            name: {
                "runs": len(of),
                "seconds": spread(run.seconds for run in of),
                "cpu_seconds": spread(run.cpu_seconds for run in of),
                "peak_megabytes": spread(run.megabytes for run in of),
            }
            for name, of in runs.items()
        },
        "growth": {
            form: [
                {
                    "layers": size,
                    "runs": len(of),
                    "cpu_seconds": spread(of),
                    "per_thousand": round(median(of) / size * 1_000, 5),
                    "layers_per_second": round(size / median(of)),
                }
                for size, of in times.items()
            ]
            for form, times in growth.items()
        },
        "keras_build": [
            {"layers": size, "cpu_seconds": round(seconds, 3), "layers_per_second": round(size / seconds)}
            for size, seconds in keras.items()
        ],
    }


def table(data: dict[str, Any]) -> str:
    """Everything measured, for people."""
    lines = [f"{'whole process':46} {'median':>9} {'least':>9} {'most':>9} {'CPU':>9} {'peak':>7}  runs"]
    for name, of in data["processes"].items():
        seconds = [*(of["seconds"][kind] for kind in ("median", "least", "most")), of["cpu_seconds"]["median"]]
        cells = " ".join(f"{value:8.3f}s" for value in seconds)
        lines.append(f"{TITLES[name]:46} {cells} {of['peak_megabytes']['most']:4.0f} MB {of['runs']:5}")
    forms = list(data["growth"])
    lines += ["", f"{'text to analysis, CPU':21}" + "".join(f"{form:>12}{'layers/s':>12}" for form in forms)]
    for row in zip(*data["growth"].values(), strict=True):
        figures = (f"{of['cpu_seconds']['median']:11.3f}s{of['layers_per_second']:12,}" for of in row)
        lines.append(f"{row[0]['layers']:14,} layers{''.join(figures)}")
    for built in data["keras_build"]:
        seconds, speed = built["cpu_seconds"], built["layers_per_second"]
        lines.append(f"{built['layers']:14,} layers{seconds:11.3f}s{speed:12,}  built in Keras")
    lines += ["", f"{'bar':46} {'measured':>12} {'limit':>12}"]
    for bar in map(dict, data["bars"]):
        limit = f"{'>=' if bar['least'] else '<='} {bar['limit']:g} {bar['unit']}"
        measured = f"{bar['value']:.2f} {bar['unit']}"
        lines.append(f"{bar['name']:46} {measured:>12} {limit:>12}  {'met' if bar['met'] else 'MISSED'}")
    on = data["machine"]
    lines += [
        "",
        f"{on['processor']}, {on['cores']} cores, {on['system']}, load {on['load']}; {data['date']}",
        ", ".join(f"{name} {number}" for name, number in data["versions"].items()),
    ]
    return "\n".join(lines)


def say(text: str) -> None:
    """Show progress where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the report against its bars.")
    parser.add_argument("--rounds", type=int, default=21, help="repetitions of the report (default 21)")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "report.json", help="where to write the figures")
    arguments = parser.parse_args()
    os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2", "COLUMNS": "100"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = measure_processes(folder, arguments.rounds)
        growth = measure_growth(folder, max(1, arguments.rounds // 7))
        keras = measure_keras(folder)
    say("")
    data = as_data(runs, growth, keras, bars(runs, growth))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(data, indent=2) + "\n")
    print(table(data))
    return 0 if all(bar["met"] for bar in data["bars"]) else 1


if __name__ == "__main__":
    sys.exit(main())
