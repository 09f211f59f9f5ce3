"""Sweeps over parameters: values, tables, fronts, plots, the verb."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import specdsl
from specdsl import SpecError
from specdsl.sweeps import domain, sweep
from specdsl.sweeps.pareto import Goal, front, goals
from specdsl.sweeps.sweep import _useful

ROOT = Path(__file__).parents[1]
RESNET = str(ROOT / "specs" / "zoo" / "resnet_cifar.spec")

GRID = """
model grid(width=8, kernel=3, act="relu") {
    input image: (8, 8, 3)
    Conv2D(width, kernel, activation=act) -> Flatten
    Dense(5)
}
model deep = grid with { before Flatten { Conv2D(4, 1) } }
"""


@pytest.fixture
def grid(tmp_path: Path) -> str:
    path = tmp_path / "grid.spec"
    path.write_text(GRID)
    return str(path)


# ---------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("16..64:16", [16, 32, 48, 64]),
        ("1..3", [1, 2, 3]),
        ("1..10:4", [1, 5, 9]),
        ("8..128:*2", [8, 16, 32, 64, 128]),
        ("20, 56,110", [20, 56, 110]),
        ("1k, 2..4, 8", [1000, 2, 3, 4, 8]),
        ("0.1..0.4:0.1", [0.1, 0.2, 0.3, 0.4]),
        ('"a, b", "c"', ["a, b", "c"]),
        ("true, false, none", [True, False, None]),
        ("[3, 4], [5, 6]", [[3, 4], [5, 6]]),
        ("1, 1.0, true, 1", [1, 1.0, True]),
        ("2 * 3, max(1, 2)", [6, 2]),
        ('"../x"', ["../x"]),
    ],
)
def test_values_as_people_write_them(written: str, values: list[object]) -> None:
    found = list(domain(written, "--set x"))
    assert found == values
    assert list(map(type, found)) == list(map(type, values))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "a value is missing"),
        ("1,,2", "a value is missing"),
        ("8..1", "is empty"),
        ("1..8:0", "above zero"),
        ("1..8:-1", "above zero"),
        ("1..8:*1", "a factor above one"),
        ("8..1:*2", "is empty"),
        ("1..1G:*1.00000001", "more than 1,000 values"),
        ("a..b", "nothing is called"),
        ('"a".."b"', "unexpected '.'"),
        ("1..", "is no range"),
        ("1..1G", "1,000,000 are the most"),
        ("1..8:true", "numbers as its ends"),
        ("rel", "nothing is called 'rel'"),
        ("1; let y = 2", "one expression"),
    ],
)
def test_wrong_values_are_said_to_be(written: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        domain(written, "--set x")
    assert said in str(caught.value)


@given(st.integers(-50, 50), st.integers(0, 60), st.integers(1, 9))
def test_ranges_are_those_of_python_with_the_end(first: int, length: int, step: int) -> None:
    assert list(domain(f"{first}..{first + length}:{step}", "x")) == list(range(first, first + length + 1, step))


def test_long_lists_of_ranges_take_no_time() -> None:
    """Values that stand twice are found without comparing each with all others."""
    assert len(domain("1..200000,5,200001..300000,1.0", "x")) == 300_001


# ---------------------------------------------------------------------------------------------- the front


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6)), max_size=12),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    st.integers(2, 3),
)
def test_front_is_what_nothing_dominates(points: list[tuple[int, int, int]], most: tuple[bool, ...], axes: int) -> None:
    """The front is the set of rows that no other row is at least as good as in all and better than in one."""
    wanted = [Goal(name, sense) for name, sense in zip("abc", most, strict=True)][:axes]
    rows = [dict(zip("abc", point, strict=True)) for point in points]
    signed = [[-row[goal.quantity] if goal.most else row[goal.quantity] for goal in wanted] for row in rows]

    def dominated(one: list[int]) -> bool:
        return any(other != one and all(a <= b for a, b in zip(other, one, strict=True)) for other in signed)

    assert front(wanted, rows) == {number for number, one in enumerate(signed) if not dominated(one)}


@pytest.mark.parametrize("written", ["macs", "min:macs,max:macs", "least:macs,params", "macs,parms", "macs,output", ""])
def test_wrong_goals_are_refused(written: str) -> None:
    with pytest.raises(SpecError):
        goals(written)


# ---------------------------------------------------------------------------------------------- the interface


def test_rows_are_what_models_have(grid: str) -> None:
    """Each row is the combination's own analysis, whatever the number of processes."""
    spec = specdsl.load(grid)
    done = spec.sweep({"width": "4..8:2", "act": ["relu", "elu"], "kernel": [3, 9]}, ["grid", "deep"])
    assert len(done.rows) == len(done.space) == done.tried == 24
    for row in done.rows:
        if row.values["kernel"] == 9:
            assert row.quantities is None
            assert row.reason == "line 4: Conv2D cannot lay a window of (9, 9) on (8, 8)"
        else:
            totals = spec.model(row.model, **row.values).analyse().totals
            assert row.quantities is not None
            assert (row.quantities["params"], row.quantities["macs"]) == (totals.params, totals.macs)
    assert done.pareto
    assert "make no valid model" in str(done)


def test_jobs_change_nothing(grid: str) -> None:
    spec = specdsl.load(grid)
    values = {"width": "1..40", "kernel": "1..2"}
    alone, together = (spec.sweep(values, ["grid"], where="params > 2k", jobs=jobs) for jobs in (1, 2))
    assert alone.rows == together.rows
    assert 0 < len(alone.rows) < 80


def test_sorting_puts_what_fails_last(grid: str) -> None:
    done = specdsl.load(grid).sweep({"kernel": "1..9"}, ["grid"]).sorted("macs", descending=True)
    macs = [row.quantities["macs"] for row in done.valid if row.quantities]
    assert macs == sorted(macs, reverse=True)
    assert done.rows[-1].reason
    with pytest.raises(SpecError, match="not by 'maccs'"):
        done.sorted("maccs")


def test_values_of_several_kinds_are_sorted(grid: str) -> None:
    done = specdsl.load(grid).sweep({"kernel": '(3, 1), 3, (1, 5), 1, "a"'}, ["grid"]).sorted("kernel")
    assert [row.values["kernel"] for row in done.rows][:2] == [1, 3]
    assert [list(row.values["kernel"]) for row in done.rows[2:4]] == [[1, 5], [3, 1]]
    fields = [row.quantities["receptive_field"] for row in done.sorted("receptive_field").valid if row.quantities]
    assert fields == sorted(fields)


def test_no_more_processes_than_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    assert [_useful(jobs, size) for jobs, size in ((10**6, 10**6), (2, 10**6), (10**6, 10))] == [3, 2, 1]


# ---------------------------------------------------------------------------------------------- the verb


def test_sweep_shows_a_table(run, grid: str) -> None:
    code, out, err = run("sweep", f"{grid}:grid", "--set", "width=4,8", "--set", "kernel=3,9", columns=100)
    assert (code, err) == (0, "")
    assert out.splitlines()[2].split()[:4] == ["width", "kernel", "Parameters", "MACs"]
    assert "line 4: Conv2D cannot lay a window of (9, 9) on (8, 8)" in out
    assert "4 combinations: 2 models, 2 that make no valid model." in out
    assert "\x1b" not in out


def test_sweep_in_other_forms(run, grid: str, tmp_path: Path) -> None:
    arguments = ("sweep", grid, "--model", "all", "--set", "width=4,8", "--set", "kernel=3,9")
    _, out, _ = run(*arguments, "--format", "json")
    data = json.loads(out)
    assert (data["schema"], data["combinations"], data["tried"], len(data["rows"])) == (1, 8, 8, 8)
    _, out, _ = run(*arguments, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["params"] for row in rows] == [str((one["quantities"] or {}).get("params", "")) for one in data["rows"]]
    assert [row["pareto"] for row in rows] == [str(one["pareto"]).lower() for one in data["rows"]]
    code, out, err = run(*arguments, "--format", "markdown", "-o", str(tmp_path / "t.md"))
    assert (code, out) == (0, "")
    assert "wrote" in err
    assert len((tmp_path / "t.md").read_text().splitlines()) == 2 + 8 + 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "widht=1"], "did you mean 'width'?"),
        (["--set", "width"], "--set takes NAME=VALUES"),
        (["--set", "width=1", "--set", "width=2"], "gives 'width' twice"),
        (["--set", "width=3..1"], "is empty"),
        (["--where", "parms < 1"], "did you mean 'params'?"),
        (["--where", "width > 1 and parms < 1"], "--where:1:15: error[unknown-name]: no quantity or parameter"),
        (["--where", "params +"], "syntax"),
        (["--columns", "param"], "'param' is not counted\n  help: did you mean 'params'?"),
        (["--sort", "height"], "'height' is not counted"),
        (["--pareto", "macs"], "two quantities or more"),
        (["--pareto", "most:macs,params"], "'min:macs,max:params', not 'most:macs'\n"),
        (["--model", "wide"], "has no model 'wide'"),
        (["--plot", "x.gif"], "ends in .svg, .png, .pdf"),
        (["--set", "width=1..1000", "--set", "kernel=1..1001"], "1,000,000 are the most"),
    ],
)
def test_wrong_input_is_refused_before_any_work(run, grid: str, arguments: list[str], said: str) -> None:
    code, out, err = run("sweep", grid, *arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_places_are_looked_at_before_any_work(run, grid: str, tmp_path: Path) -> None:
    """Neither is the spec lost, nor an hour's work for want of a folder."""
    text = Path(grid).read_text()
    for option in ("-o", "--plot"):
        spec = Path(grid).rename(tmp_path / "grid.svg") if Path(grid).exists() else tmp_path / "grid.svg"
        code, out, err = run("sweep", str(spec), option, str(spec))
        assert (code, out, err) == (2, "", f"error: {spec} is the spec itself, which would be lost\n")
        code, out, err = run("sweep", str(spec), option, str(tmp_path / "no" / "t.svg"))
        assert (code, out) == (1, "")
        assert "cannot be written: No such file or directory" in err
    code, out, err = run("sweep", str(spec), "-o", str(tmp_path / "t.svg"), "--plot", str(tmp_path / "t.svg"))
    assert (code, out) == (2, "")
    assert "two things would be written" in err
    assert (spec.read_text(), [path.name for path in tmp_path.iterdir()]) == (text, [spec.name])


def test_a_condition_that_has_no_value_is_a_reason(run, grid: str) -> None:
    """A filter that cannot be worked out leaves nothing out in silence."""
    code, out, _ = run("sweep", grid, "--where", "receptive_field < 3")
    assert code == 1
    assert "--where: '<' compares numbers" in out


def test_plots_are_drawn(run, grid: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for ending, mark in ((".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")):
        file = tmp_path / f"plot{ending}"
        code, _, err = run(
            "sweep", f"{grid}:grid", "--set", "width=1..64:*2", "--set", "kernel=1,3", "--plot", str(file)
        )
        assert (code, err) == (0, f"wrote {file}\n")
        assert file.read_bytes().startswith(mark)
    code, _, err = run("sweep", f"{grid}:grid", "--set", "kernel=9", "--plot", str(tmp_path / "none.svg"))
    assert code == 1
    assert "to draw" in err


def test_a_plot_without_matplotlib_is_an_error_that_says_so(tmp_path: Path, grid: str) -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        f"sys.argv = ['specdsl', 'sweep', {grid!r}, '--plot', 'x.svg']\nfrom specdsl.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert "a plot needs matplotlib: `pip install 'specdsl[training]'` brings it" in done.stderr


def test_ctrl_c_wherever_it_comes_leaves_whole_counts(grid: str) -> None:
    """Raised at each line of the loop in turn: all that counts as tried has its row."""
    spec, counts = specdsl.load(grid), set()
    for place in range(1, 40):
        left = place

        def line(frame: FrameType, event: str, _: object) -> Any:
            nonlocal left
            left -= event == "line"
            if left == 0:
                raise KeyboardInterrupt
            return line

        before = sys.gettrace()
        sys.settrace(lambda frame, *_: line if frame.f_code is sweep.__code__ else None)
        try:
            done = spec.sweep({"width": "1..5"}, ["grid"])
        except KeyboardInterrupt:  # before its beginning, or behind its end
            continue
        finally:
            sys.settrace(before)
        assert done.tried == len(done.rows)
        counts.add(done.tried)
    assert counts == set(range(6))


def test_processes_hear_nothing_of_ctrl_c_while_they_begin(monkeypatch: pytest.MonkeyPatch, grid: str) -> None:
    """They have the mask of the thread that begins them, and would tell of Ctrl-C with a traceback each."""
    masks = []

    class Pool:
        def __init__(self, *_: object) -> None:
            pass

        def map(self, *_: object, **__: object) -> Iterator[None]:
            masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, set()))
            return iter([None] * 40)

        def shutdown(self, **_: object) -> None:
            masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, set()))

    monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor", Pool)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    specdsl.load(grid).sweep({"width": "1..40"}, ["grid"], jobs=2)
    assert [signal.SIGINT in mask for mask in masks] == [True, False]


MANY = 50_000
"""More combinations than are analysed before anybody could press Ctrl-C."""


def test_an_interrupted_sweep_keeps_what_is_done(tmp_path: Path) -> None:
    """Ctrl-C ends a sweep on a terminal with the table of what is done, and exit code 130."""
    out = tmp_path / "out.json"
    command = [sys.executable, "-m", "specdsl", "sweep", f"{RESNET}:resnet20", "--set", f"width=1..{MANY}"]
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*command, "-o", str(out), "--format", "json"], stdout=slave, stderr=slave, stdin=slave, cwd=tmp_path
    )
    os.close(slave)
    seen = b""
    while f"/{MANY}".encode() not in seen:  # which stands there when the first one is done
        seen += os.read(master, 4096)
    process.send_signal(signal.SIGINT)
    try:
        while os.read(master, 4096):
            pass
    except OSError:
        pass  # the other side is closed
    assert process.wait() == 130
    data = json.loads(out.read_text())
    assert 0 < data["tried"] == len(data["rows"]) < MANY
