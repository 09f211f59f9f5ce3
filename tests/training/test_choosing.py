"""The choice of the way to train: what can be had, what is asked for, the rule, and what becomes of timings."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, replace
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import specdsl
from bench import train, train_jobs
from specdsl.data.dataset import Examples
from specdsl.declaration import Misuse
from specdsl.recipes import DataRecipe, Sinc, TrainRecipe
from specdsl.recipes.losses import MeanSquaredError
from specdsl.recipes.optimizers import Adam
from specdsl.training import Wanted, Way, choosing, costs, frameworks, probe_cache, probing
from specdsl.training.candidates import Here, candidates
from specdsl.training.engine import Job
from specdsl.training.hardware import Hardware
from specdsl.training.probing import Rate
from specdsl.training.streams import Streams
from specdsl.training.ways import Method
from specdsl.training.works import Work

ROOT = Path(__file__).parents[2]
BOTH = frozenset({"tensorflow", "jax"})
PROCESSOR = Hardware("cpu", "a processor", 1, 8 << 30, 2)
GPU = Hardware("gpu", "a chip", 1, 80 << 30, 16)

TEXTS = {
    "products": 'model m { input x: (64,)\n Dense(1024, "relu")\n Dense(1024, "relu")\n Dense(1) }',
    "sequence": "model m { input x: (64, 16)\n LSTM(64)\n Dense(1) }",
    "grouped": "model m { input x: (28, 28, 8)\n SeparableConv2D(32, 3)\n DepthwiseConv2D(3)\n Flatten\n Dense(1) }",
    "tiny": 'model m { input x: (1,)\n Dense(64, "tanh")\n Dense(32, "tanh")\n Dense(1) }',
}


@cache
def job(name: str, examples: int = 4000, batch: int = 128, epochs: int = 50) -> Job:
    """A trial of a model of values, or of the images of a spec that is shipped."""
    if name in TEXTS:
        graph = specdsl.loads(TEXTS[name]).model("m")
        x = np.zeros((1, *graph.input_nodes[0].shape), np.float32)  # type: ignore[arg-type]
        recipe = TrainRecipe(data=DataRecipe(source=Sinc()), loss=MeanSquaredError(), metrics=[])
        y = np.zeros((1, 1), np.float32)
    else:
        spec = specdsl.load(ROOT / "specs" / f"{name}.spec")
        graph = spec.model(spec.models[-1])
        x, y = np.zeros((1, *graph.input_nodes[0].shape), np.uint8), np.zeros(1, np.int32)  # type: ignore[arg-type]
        recipe = TrainRecipe(data=DataRecipe())
    whole = Examples(*(np.broadcast_to(one, (examples, *one.shape[1:])) for one in (x, y)))
    return Job(graph, recipe.replace(batch=batch, epochs=epochs), whole, None, whole.take(np.arange(9)), Streams(0, 1))


def work(name: str, trials: int = 1, wanted: Wanted | None = None, **sizes: int) -> Work:
    return Work(job(name, **sizes), trials, wanted or Wanted(probe=False))


def here(hardware: Hardware = PROCESSOR, installed: Iterable[str] = BOTH, **more: Any) -> Here:
    return Here(hardware, frozenset(installed), **more)


def chosen(one: Work, place: Here, width: int = 200) -> tuple[Way, str]:
    """The way that is chosen, and all that is said."""
    console = Console(file=io.StringIO(), width=width)
    choice = choosing.choose({"": one}, console, place)[""]
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert choice.why in said
    return choice.way, said


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever runs in the tests' own process, and a cache of their own."""
    monkeypatch.setattr(frameworks, "check_installed", lambda backend: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


# ------------------------------------------------------------------------------------------------------ the rule


@pytest.mark.parametrize(
    ("name", "trials", "cores", "expected"),
    [
        ("bn_cnn", 1, 2, Way("fit", "tensorflow")),
        ("bn_cnn", 6, 2, Way("fit", "tensorflow", processes=2)),
        ("bn_cnn", 6, 16, Way("fit", "tensorflow", processes=6)),
        ("challenge", 8, 2, Way("fit", "tensorflow", processes=2)),
        ("challenge", 7, 2, Way("fit", "tensorflow")),  # the last trial would have half of the cores to itself
        ("products", 1, 2, Way("fit", "tensorflow")),
        ("grouped", 1, 2, Way("fit", "tensorflow")),
    ],
)
def test_work_that_takes_its_time_is_done_by_fit_on_a_processor(
    name: str, trials: int, cores: int, expected: Way
) -> None:
    one = work(name, trials, examples=39209, epochs=20)
    way, said = chosen(one, here(replace(PROCESSOR, cores=cores, memory=64 << 30)))
    assert way == expected
    assert "fused on jax" in said, "the other engine is compared"


def test_no_more_processes_are_begun_than_there_is_memory_for() -> None:
    one = work("bn_cnn", 12, examples=39209, epochs=20)
    way, _ = chosen(one, here(replace(PROCESSOR, cores=64)))
    assert way == Way("fit", "tensorflow", processes=4)


@pytest.mark.parametrize(("name", "trials"), [("tiny", 10), ("tiny", 1), ("sequence", 6)])
def test_steps_that_are_over_at_once_are_fused(name: str, trials: int) -> None:
    one = work(name, trials, examples=1000, batch=32, epochs=1000)
    way, said = chosen(one, here())
    assert way.engine == "fused"
    assert "less time than it takes to begin them" in said


def test_a_run_of_seconds_does_not_start_more_than_it_needs() -> None:
    way, _ = chosen(work("bn_cnn", 2, examples=100, epochs=1), here())
    assert way == Way("fit", "tensorflow")
    way, said = chosen(work("tiny", 1, examples=1000, batch=32, epochs=1), here())
    assert (way, "the run is short, and this starts sooner" in said) == (Way("fit", "tensorflow"), True)


@pytest.mark.parametrize("name", [*TEXTS, "bn_cnn", "challenge"])
@pytest.mark.parametrize("trials", [1, 7])
def test_an_accelerator_has_one_program_of_all_trials(name: str, trials: int) -> None:
    way, said = chosen(work(name, trials, epochs=1), here(GPU))
    assert (way.engine, way.processes, way.together) == ("fused", 1, trials)
    assert "a chip" in said


def test_trials_are_spread_over_all_accelerators() -> None:
    way, _ = chosen(work("bn_cnn", 7), here(replace(GPU, devices=4)))
    assert way.devices == 4


def test_models_of_an_experiment_share_a_back_end() -> None:
    """What takes nearly all of the time decides, each model has the best way there."""
    console = Console(file=io.StringIO(), width=200)
    works = {"large": work("bn_cnn", 4, examples=39209, epochs=50), "tiny": work("tiny", 4)}
    choices = choosing.choose(works, console, here())
    assert {one.way.backend for one in choices.values()} == {"tensorflow"}
    works = {"large": work("bn_cnn", 4, examples=300, epochs=1), "tiny": work("tiny", 4, batch=32, epochs=5000)}
    choices = choosing.choose(works, console, here())
    assert {one.way.backend for one in choices.values()} == {"jax"}
    assert choices["tiny"].way.engine == "fused"


def benched(model: str) -> Job:
    """A trial as the bench has it, with epochs so long that what follows them hardly counts: that was not timed."""
    case = train_jobs.CASES[model]
    (one,) = train_jobs.jobs(case.changed(examples=None if model in train.TRIALS else 1), 1)
    many = Examples(*(np.broadcast_to(part[:1], (1_000_000, *part.shape[1:])) for part in (one.train.x, one.train.y)))
    return replace(one, train=many, test=one.test.take(np.arange(9)), recipe=one.recipe.replace(epochs=1000))


def timings(network: dict[str, Any], trials: int) -> dict[Way, list[float]]:
    """Examples a second of the engines' ways to train so many trials, each time that they were timed."""
    found = {}
    for row in network["rows"]:
        order, _, together, processes = json.loads(row["key"])
        if order["kind"] == "engine" and row["rates"]:
            way = replace(Way.of(order["way"]), together=together)
            if trials == together * processes if way.engine == "fused" else trials >= processes:
                found[way] = row["rates"]
    return found


MEASURED = json.loads((ROOT / "bench" / "results" / "train-cpu.json").read_text(encoding="utf-8"))
CASES = [(network, int(trials)) for network in MEASURED["networks"] for trials in network["chosen"]]
NAMES = [f"{network['model']}-{trials}" for network, trials in CASES]

FORETOLD = 2.0
"""How many times too fast or too slow a way may be by the constants, where it was measured."""

TOLD = 1.5
"""The same of how many times as long the best way of the other engine is said to take."""


@pytest.mark.parametrize(("network", "trials"), CASES, ids=NAMES)
def test_the_constants_agree_with_what_was_measured(network: dict[str, Any], trials: int) -> None:
    one = Work(benched(network["model"]), trials)
    for way, rates in timings(network, trials).items():
        foretold = costs.predicted(one, way, PROCESSOR).images_per_second
        assert 1 / FORETOLD < foretold / median(rates) < FORETOLD, (str(way), foretold, rates)


@pytest.mark.parametrize(("network", "trials"), CASES, ids=NAMES)
def test_what_is_chosen_was_measured_to_be_the_fastest(network: dict[str, Any], trials: int) -> None:
    """Within what each was timed at; and how much longer the other engine is said to take, it took."""
    one = Work(benched(network["model"]), trials, Wanted(probe=False))
    way, said = chosen(one, here(PROCESSOR))
    rates = timings(network, trials)
    fastest = max(rates.values(), key=median)
    assert max(rates[way]) >= min(fastest), str(way)
    told = re.search(r"by known costs (.+) would take about (?:([0-9.]+) times )?as long", said)
    assert told is not None, said
    ratio, rival = float(told[2] or 1), [found for other, found in rates.items() if str(other) == told[1]]
    processes = 1
    if not rival:  # the best of its kind was timed, and two processes are at the most twice as fast as one
        rival = [found for other, found in rates.items() if told[1].startswith(f"{other.engine} on {other.backend}")]
        processes = PROCESSOR.cores
    longer = median(rates[way]) / max(map(median, rival))
    assert longer / processes / TOLD < ratio < longer * TOLD, (said, longer)


def test_the_document_has_the_constants_of_the_rule() -> None:
    said = (ROOT / "docs" / "engines.md").read_text(encoding="utf-8").splitlines()
    digits = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    for (engine, backend), known in costs.PROCESSOR.items():
        (row,) = [line for line in said if line.startswith(f"| `{engine}` on {backend} | ") and "·" in line]
        cells = [cell.strip().translate(digits).replace("·10", "e") for cell in row.strip("|").split("|")[1:]]
        assert [float(cell) for cell in cells] == list(astuple(known))


# ------------------------------------------------------------------------------------------------ what can be had


def test_what_keeps_an_engine_away_is_told() -> None:
    _, said = chosen(work("tiny", 10), here(installed=["tensorflow", "torch"]))
    assert "it needs JAX, which is not installed: pip install 'specdsl[jax]'" in said
    _, said = chosen(work("tiny", 10), here(running="tensorflow"))
    assert "Keras already runs on tensorflow in this process" in said
    _, said = chosen(work("tiny", 10, Wanted(backend="tensorflow")), here())
    assert "--backend tensorflow was asked for" in said
    way, said = chosen(work("tiny", 10), here(variable="torch", installed=["tensorflow", "jax", "torch"]))
    assert (way.backend, "KERAS_BACKEND is torch" in said) == ("torch", True)
    way, said = chosen(work("tiny", 10, Wanted(backend="jax", engine="fit", processes=2)), here(variable="torch"))
    assert (way.backend, "--engine fit, --backend jax and --processes 2 were asked for" in said) == ("jax", True)


@pytest.mark.parametrize(
    ("wanted", "place", "says"),
    [
        (Wanted(backend="torch"), here(), "needs the package torch, which is not installed"),
        (Wanted(engine="fused"), here(installed=["tensorflow"]), "needs the package jax, which is not installed"),
        (Wanted(engine="fused"), here(running="tensorflow"), "Keras already runs on tensorflow in this process"),
        (Wanted(backend="jax"), here(running="tensorflow"), "Keras already runs on tensorflow in this process"),
        (Wanted(engine="fused", devices=4), here(), "there is 1 device here, not 4"),
        (Wanted(), here(installed=[]), "is not installed"),
        (Wanted(), here(variable="torch"), "KERAS_BACKEND is torch, and the package torch is not installed"),
        (Wanted(engine="fit"), here(variable="numpy"), "KERAS_BACKEND is numpy, and that is no back end that trains"),
    ],
)
def test_what_cannot_be_had_is_refused(wanted: Wanted, place: Here, says: str) -> None:
    with pytest.raises(Misuse, match=says):
        candidates(work("tiny", 3, wanted), place)


def wishes() -> Iterator[Any]:
    """Strategies of what may be asked for."""
    yield st.sampled_from([None, "fit", "fused"])
    yield st.sampled_from([None, *frameworks.BACKENDS])
    yield st.sampled_from([None, *get_args(Method)])
    for most in (9, 5):
        yield st.none() | st.integers(1, most)
    yield st.none() | st.integers(1, 5) | st.just("all")


@given(
    st.builds(Wanted, *wishes(), probe=st.just(False)),
    st.builds(
        Here,
        st.sampled_from([PROCESSOR, GPU, replace(GPU, devices=4), replace(PROCESSOR, cores=1)]),
        st.frozensets(st.sampled_from(frameworks.BACKENDS)),
        st.none() | st.sampled_from(frameworks.BACKENDS),
        st.none() | st.sampled_from(frameworks.BACKENDS),
    ),
    st.sampled_from(["tiny", "bn_cnn"]),
    st.integers(1, 8),
)
def test_what_is_asked_for_is_had_or_refused(wanted: Wanted, place: Here, name: str, trials: int) -> None:
    """And nothing is ever chosen that is not installed, or beside a framework that runs."""
    if place.running is not None:
        place = replace(place, installed=place.installed | {place.running})
    try:
        way, said = chosen(work(name, trials, wanted), place)
    except Misuse:
        return
    assert way.backend in place.installed
    assert place.running in (None, way.backend)
    assert way.engine == "fit" or way.backend == "jax"
    for asked in ("engine", "backend", "method", "processes"):
        if (value := getattr(wanted, asked)) is not None:
            assert getattr(way, asked) == value
    assert way.devices <= place.hardware.devices
    if wanted.devices not in (None, "all") and way.devices != wanted.devices:
        assert "devices have" in said
    assert way.together is not None
    assert 1 <= way.together <= (wanted.together or trials)


# ------------------------------------------------------------------------------------------------------- timings


def timed(monkeypatch: pytest.MonkeyPatch, rate: Callable[[Way], Rate]) -> list[Way]:
    """Let timing give what a function says; the ways that were timed, in order."""
    seen: list[Way] = []

    def rates(one: Work, ways: Iterable[Way], **more: Any) -> dict[Way, Rate]:
        seen.extend(ways)
        return {way: rate(way) for way in ways}

    monkeypatch.setattr(probing, "rates", rates)
    return seen


def test_what_was_timed_decides_and_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second run of the same kind says that it is from the cache; one of another batch is timed anew."""
    seen = timed(monkeypatch, lambda way: Rate(9000 if way.engine == "fused" else 100, 1, 1))
    asked = Wanted(probe=True)
    way, said = chosen(work("bn_cnn", 2, asked), here())
    assert way.engine == "fused"
    assert len(seen) == len(set(seen)) >= 3
    assert f"the fastest of {len(seen)} ways that were timed" in said
    assert all(str(one) in said for one in seen)
    before = list(seen)
    again, said = chosen(work("bn_cnn", 2, asked), here())
    assert (again, seen) == (way, before)
    assert f"kept in {probe_cache.folder()}" in said
    without, said = chosen(work("bn_cnn", 2, Wanted()), here())
    assert (without, seen) == (way, before)
    assert "kept in" in said, "also where nobody asks for timing"
    by_rule, _ = chosen(work("bn_cnn", 2), here())
    assert by_rule.engine == "fit"
    chosen(work("bn_cnn", 2, asked, batch=64), here())
    assert len(seen) == 2 * len(before)


def test_long_runs_are_timed_and_short_ones_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = timed(monkeypatch, lambda way: Rate(1000, 1, 1))
    chosen(work("bn_cnn", 2, Wanted(), examples=39209, epochs=2), here())
    assert not seen
    chosen(work("bn_cnn", 2, Wanted(), examples=39209, epochs=2000), here())
    assert seen
    count = len(seen)
    chosen(work("bn_cnn", 2, Wanted(probe=False), examples=39209, epochs=3000), here())
    chosen(work("bn_cnn", 1, Wanted(engine="fit", backend="jax", probe=True)), here())
    assert len(seen) == count, "not where that is ruled out, nor where there is but one way"


def test_ways_that_fail_are_out_with_their_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Wanted(probe=True)
    timed(monkeypatch, lambda way: Rate(failed="it broke") if way.engine == "fit" else Rate(10, 1, 1))
    way, said = chosen(work("bn_cnn", 2, asked), here())
    assert way.engine == "fused"
    assert "cannot be had: it broke" in said
    kept = sorted(probe_cache.folder().iterdir())
    timed(monkeypatch, lambda way: Rate(failed="all broke", lasting=True))
    way, said = chosen(work("bn_cnn", 3, asked), here())
    assert way.engine == "fit", "where nothing could be timed the rule holds"
    assert "all broke" in said
    assert sorted(probe_cache.folder().iterdir()) == kept, "where all fail, the reason lies elsewhere"


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_what_was_timed_is_told_within_the_width_of_a_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    timed(monkeypatch, lambda way: Rate(123_456, 1, 1))
    _, said = chosen(work("bn_cnn", 2, Wanted(probe=True)), here(), columns)
    table = said[said.index("timed" + ("\n" if columns < 69 else " ")) : said.index("Trained by")].splitlines()
    assert max(len(line) for line in table if "fused" not in line or columns > 42) <= columns
    assert sum("123,456" in line for line in table) == len(list(probe_cache.folder().iterdir()))


@pytest.mark.parametrize("lasting", [True, False])
def test_a_failure_is_kept_where_it_is_of_the_nature_of_the_model(
    lasting: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = work("bn_cnn", 2, Wanted(probe=True))
    failing = Rate(failed="it broke", lasting=lasting)
    seen = timed(monkeypatch, lambda way: failing if way.engine == "fit" else Rate(10, 1, 1))
    assert chosen(asked, here())[0].engine == "fused"
    fit = [way for way in seen if way.engine == "fit"]
    again = timed(monkeypatch, lambda way: Rate(10_000, 1, 1))
    way, said = chosen(asked, here())
    if lasting:
        assert not again
        assert way.engine == "fused"
        assert "cannot be had: it broke" in said
    else:
        assert again == fit, "what was measured well is kept"
        assert way.engine == "fit"


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff\x00", b'{"key": 1, "rate": {}, "day": "x"}', b"[1]"])
def test_a_damaged_cache_is_made_anew(damage: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = timed(monkeypatch, lambda way: Rate(1000, 1, 1))
    asked = work("bn_cnn", 2, Wanted(probe=True))
    chosen(asked, here())
    count = len(seen)
    first = sorted(probe_cache.folder().iterdir())[0]
    whole = first.read_bytes()
    first.write_bytes(damage)
    chosen(asked, here())
    assert len(seen) == count + 1
    assert len(first.read_bytes()) == len(whole)


def test_measurements_are_found_by_what_they_depend_on() -> None:
    """Names, rates and epochs change nothing; structure, batch, precision, machine and way do."""
    way, rate = Way("fused", "jax", "vmap", 2), Rate(5.0, 1.0, 2.0)
    one = work("tiny", 2)
    assert probe_cache.read(one, way, PROCESSOR) is None
    probe_cache.write(one, way, PROCESSOR, rate)
    known = probe_cache.read(one, way, PROCESSOR)
    assert known is not None
    assert known.rate == rate

    def found(changed: Work, other: Way = way, machine: Hardware = PROCESSOR) -> bool:
        return probe_cache.read(changed, other, machine) is not None

    def recipe(**changes: Any) -> Work:
        return replace(one, job=replace(one.job, recipe=one.job.recipe.replace(**changes)))

    assert found(recipe(epochs=7))
    assert found(recipe(optimizer=Adam(learning_rate=0.5)))
    assert not found(recipe(optimizer=Adam(use_ema=True)))
    assert not found(recipe(batch=7))
    assert not found(recipe(precision="mixed_bfloat16"))
    assert not found(one, replace(way, processes=2))
    assert not found(one, machine=replace(PROCESSOR, cores=3))
    text = TEXTS["tiny"]
    for changed, same in ((text.replace("Dense(1)", "Dense(1) as out"), True), (text.replace("32", "33"), False)):
        graph = specdsl.loads(changed).model("m")
        assert found(replace(one, job=replace(one.job, graph=graph))) is same


def test_a_cache_that_cannot_be_written_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    probe_cache.write(work("tiny"), Way(), PROCESSOR, Rate(1.0))
    assert probe_cache.read(work("tiny"), Way(), PROCESSOR) is None


def test_as_many_ways_are_timed_as_cost_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """On an accelerator the most promising first: several trials in one program, with convolutions in either form."""
    seen = timed(monkeypatch, lambda way: Rate(1000, 1, 1))
    chosen(work("challenge", 7, Wanted(), examples=39209, epochs=1200), here(GPU))
    assert [way.method for way in seen] == ["vmap-products", "vmap"]
    chosen(work("challenge", 7, Wanted(), examples=39209, epochs=5000), here(GPU))
    assert len(seen) == 2, "what was timed before is enough"
    chosen(work("challenge", 7, Wanted(probe=True), examples=39209, epochs=5000), here(GPU))
    assert len(seen) == len(set(seen)) > 4
