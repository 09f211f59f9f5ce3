"""The largest value that fits: against every value tried, also where a quantity falls as the value grows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import specdsl
from specdsl import SpecError
from specdsl.analyses import analyse
from specdsl.sweeps.solving import amount
from specdsl.symbolic.growth import grows_from, holds_from, rises_around
from specdsl.traced.algebra import of, parameter, quotient, whole
from specdsl.traced.conditions import Condition

RESNET = str(Path(__file__).parents[1] / "specs" / "zoo" / "resnet_cifar.spec") + ":resnet20"

SIZES = ["p", "2 * p", "p + 3", "p // 2 + 1", "p // 3 * 2 + 1", "p % 5 + 1", "9 - p % 9", "max(p, 6)", "40 - p",
         "p ** 2 + 1", "4 if p < 9 else p", "p if p % 4 == 0 else 2 * p"]  # fmt: skip


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A model whose sizes follow a parameter, up, down, or up and down."""
    sizes = draw(st.lists(st.sampled_from(SIZES), min_size=1, max_size=3))
    body = "; ".join(f"Dense({size})" for size in sizes)
    loop = draw(st.sampled_from(["", "; repeat p { Dense(3) }", "; repeat p // 4 { Dense(4) -> Dense(4) }"]))
    return f"model m(p=8) {{ input x: ({draw(st.sampled_from(['5', 'p', 'p // 2']))},); {body}{loop} }}"


def params(spec: specdsl.Spec, value: int) -> int | None:
    try:
        return analyse(spec.graph(None, {"p": value})).totals.params
    except SpecError:
        return None


def _proves(spec: specdsl.Spec, most: int) -> bool:
    """Whether a solution without a range is given; it is refused for want of a proof, or of any valid model."""
    try:
        return bool(spec.solve({"p": None}, {"params": most}).bound)
    except SpecError:
        return False


@settings(max_examples=40)
@given(texts(), st.integers(0, 900), st.sampled_from([None, "1..60", "2..64:3"]))
def test_solutions_are_those_of_trying_everything(written: str, most: int, domain: str | None) -> None:
    """Over a range, and without one where growth is proved, the answer is the largest value that fits."""
    spec = specdsl.loads(written)
    if domain is None and not _proves(spec, most):
        return
    found = spec.solve({"p": domain}, {"params": most})
    values = {None: range(1, 1000), "1..60": range(1, 61), "2..64:3": range(2, 65, 3)}[domain]
    if found.bound:  # all counts from the bound on are above the budget: some hundred values of them
        values = range(1, 160)
    fitting = [value for value in values if (count := params(spec, value)) is not None and count <= most]
    assert (found.best.values["p"] if found.best else None) == (max(fitting) if fitting else None)


@settings(max_examples=40)
@given(texts())
def test_what_is_said_to_grow_grows(written: str) -> None:
    spec = specdsl.loads(written)
    try:
        found = spec.symbolic(["p"])
    except SpecError:
        return
    least = grows_from(found, "p", found.params)
    if least is None:
        return
    counts = [params(spec, value) for value in range(least, least + 40)]
    assert None not in counts
    assert counts == sorted(counts)  # type: ignore[type-var]
    assert found.params(p=least + 10_000) > found.params(p=least)  # type: ignore[operator]


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=4), st.integers(0, 12))
def test_polynomials_rise_where_they_are_said_to(factors: list[int], least: int) -> None:
    p = of(parameter("p"))
    total = whole(0)
    for power, factor in enumerate(factors):
        total = total + (p**power).scaled(factor)
    values = [total.value({"p": value}) for value in range(least, least + 60)]
    if rises_around(total, "p", least):
        assert values == sorted(values)
        assert values[-1] > values[0]
    elif len(factors) <= 2:  # a straight line is told apart from others without fail
        assert values[0] >= values[-1]


@given(
    st.integers(-3, 6), st.integers(1, 6), st.integers(-9, 9), st.sampled_from([">=", "!="]), st.integers(-9, 20),
    st.integers(0, 40),
)  # fmt: skip
def test_conditions_hold_from_where_they_are_said_to(
    factor: int, by: int, summand: int, sign: str, bound: int, least: int
) -> None:
    p = of(parameter("p"))
    left = quotient(p + whole(summand), whole(by), lambda rest: False).scaled(factor) + p
    condition = Condition(left, sign, whole(bound))
    if holds_from(condition, "p", least):
        assert all(condition.holds({"p": value}) for value in range(least, least + 80))


def test_objective_and_several_unknowns() -> None:
    """With `maximise`, the best of all that fit; otherwise the first unknown counts most."""
    spec = specdsl.loads("model m(a=1, b=1) { input x: (4,); Dense(a); Dense(b) }")
    pairs = [(a, b) for a in range(1, 13) for b in range(1, 13)]
    fitting = {(a, b): 5 * a + (a + 1) * b for a, b in pairs if 5 * a + (a + 1) * b <= 71}
    domains: dict[str, Any] = {"a": "1..12", "b": range(1, 13)}
    best = spec.solve(domains, {"params": 71}).best
    assert best is not None
    assert tuple(best.values.values()) == max(fitting)
    best = spec.solve(domains, {"params": 71}, maximise="params").best
    assert best is not None
    assert best.quantities is not None
    assert best.quantities["params"] == max(fitting.values())
    best = spec.solve(domains, {"params": 71}, where="a == b").best
    assert best is not None
    assert best.values == {"a": 5, "b": 5}


@pytest.mark.parametrize(
    ("written", "quantity", "value"),
    [
        ("1M", "params", 10**6), ("1.5k", "macs", 1500), ("12_000", "params", 12000), ("12,000", "params", 12000),
        ("4MiB", "weight_bytes", 4 * 2**20), ("4 MB", "weight_bytes", 4 * 10**6), ("512B", "weight_bytes", 512),
        ("0.5GiB", "peak_activation_bytes", 2**29), ("100", "weight_bytes", 100), ("2Ki", "weight_bytes", 2048),
    ],
)  # fmt: skip
def test_amounts_as_people_write_them(written: str, quantity: str, value: int) -> None:
    assert amount(written, quantity) == value


@pytest.mark.parametrize("written", ["", "M", "1X", "-1", "1e6", "4MiB", "1.M", "1 000"])
def test_wrong_amounts_are_refused(written: str) -> None:
    with pytest.raises(SpecError, match="an amount of params is written 1M"):
        amount(written, "params")


def test_solve_tells_how_far_and_what_comes_next(run) -> None:
    code, out, err = run("solve", RESNET, "--set", "width=?", "--params", "1M", columns=100)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "resnet20: width = 30 is the largest that fits"
    assert "Next: width = 31 has params = 1,021,057, 2.1 % too many." in out
    assert "params = 1,054·width² + 263·width + 10 grows with width from 2 on" in out
    budgets = ("--params", "1M", "--macs", "11M")
    code, out, _ = run("solve", RESNET, "--set", "width=?8..64:8", *budgets, "--format", "json")
    data = json.loads(out)
    assert code == 0
    assert (data["best"]["values"], data["next"]["values"], data["tried"]) == ({"width": 8}, {"width": 16}, 8)


def test_solve_says_when_nothing_fits(run) -> None:
    code, out, err = run("solve", RESNET, "--set", "width=?", "--params", "1k")
    assert (code, out) == (1, "")
    assert err == "error: nothing fits params of at most 1,000: closest is width = 1 with params = 1,327\n"
    _, _, err = run("solve", RESNET, "--set", "width=?", "--params", "0")
    assert "closest is width = 1" in err
    code, _, err = run("solve", RESNET, "--set", "width=?0..0", "--params", "1k")
    assert code == 1
    assert "no value makes a valid model; width=0: line 17: 'filters' of Conv2D must be greater than 0, not 0" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "width=?"], "a budget is missing"),
        (["--params", "1M"], "nothing is to be looked for"),
        (["--set", "width=?", "--peak", "1MiB"], "give it a range"),
        (["--set", "width=?", "--set", "n=?", "--params", "1M"], "each needs a range"),
        (["--set", "width=?", "--set", "width=3", "--params", "1M"], "gives 'width' twice"),
        (["--set", 'width=?"a","b"', "--params", "1M"], "none is the largest"),
        (["--set", "widht=?", "--params", "1M"], "did you mean 'width'?"),
        (["--set", "width=?1..9", "--params", "4MiB"], "an amount of params is written"),
        (["--set", "width=?1..9", "--params", "1M", "--maximise", "receptive_field"], "no quantity that can be"),
        (["--set", "width=?1..9", "--params", "1M", "--where", "parms > 1"], "did you mean 'params'?"),
        (["--set", "width=?9..1", "--params", "1M"], "is empty"),
    ],
)
def test_wrong_input_is_refused(run, arguments: list[str], said: str) -> None:
    code, out, err = run("solve", RESNET, *arguments)
    assert (code, out) == (2, "")
    assert said in err
