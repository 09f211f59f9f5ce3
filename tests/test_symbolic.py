"""Expressions in a model's own parameters: wherever their conditions hold, they are what the analysis counts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import specdsl
from specdsl import SpecError
from specdsl.analyses import analyse
from specdsl.declaration import text
from specdsl.symbolic import Symbolic
from specdsl.traced.algebra import Polynomial, evaluate, of, parameter, quotient, remainder, whole
from specdsl.traced.numbers import Traced, expression_of, traced
from tests.strategies import layers

ROOT = Path(__file__).parents[1]
ZOO = ROOT / "specs" / "zoo"


def counted(spec: specdsl.Spec, model: str | None, values: Mapping[str, Any]) -> dict[str, Any]:
    totals = analyse(spec.graph(model, values)).totals
    return {name: getattr(totals, name) for name in ("params", "trainable", "non_trainable", "macs", "flops")}


def agrees(spec: specdsl.Spec, found: Symbolic, values: Mapping[str, Any]) -> bool:
    """Whether the conditions hold at these values; if so, the model is valid, and the expressions are its counts."""
    if not found.holds(**values):
        return False
    expected = counted(spec, found.model, {**found.values, **values})
    assert {name: formula(**values) for name, formula in found.totals.items()} == expected, (values, str(found))
    return True


# ---------------------------------------------------------------------------------------------- numbers

OPERATIONS = st.recursive(
    st.sampled_from(["a", "b", "1", "2", "3", "7"]),
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*", "//", "%", "**", "/", "<", "=="]), inner),
    max_leaves=8,
)


def worked_out(tree: Any, values: Mapping[str, Any]) -> Any:
    """The value of a drawn expression, comparisons choosing one side or the other."""
    if isinstance(tree, str):
        return values.get(tree) if tree in values else int(tree)
    left, sign, right = worked_out(tree[0], values), tree[1], worked_out(tree[2], values)
    match sign:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case "//":
            return left // right
        case "%":
            return left % right
        case "/":
            return round(left / right)
        case "**":
            return left ** (right if 0 <= right <= 4 else 2)
        case "<":
            return left if left < right else right
    return left + 1 if left == right else right


@settings(max_examples=400)
@given(OPERATIONS, st.tuples(*[st.integers(-9, 30)] * 4))
def test_traced_numbers_are_what_they_stand_for(tree: Any, drawn: tuple[int, int, int, int]) -> None:
    """At the values traced and, where what was assumed holds, at all others, an expression gives the plain result."""
    here, there = dict(zip("ab", drawn[:2], strict=True)), dict(zip("ab", drawn[2:], strict=True))
    try:
        plainly = worked_out(tree, here)
        with traced(here) as (trace, values):
            result = worked_out(tree, values)
    except (ZeroDivisionError, OverflowError):
        assume(False)
    assert evaluate(expression_of(result), here) == plainly
    assert all(condition.holds(here) for condition in trace.conditions), list(map(str, trace.conditions))
    if all(condition.holds(there) for condition in trace.conditions):
        assert evaluate(expression_of(result), there) == worked_out(tree, there)


@given(st.integers(-40, 40), st.integers(-9, 9), st.integers(-20, 20), st.integers(1, 12), st.integers(1, 6))
def test_division_is_that_of_python(value: int, factor: int, summand: int, by: int, then: int) -> None:
    """Quotients, remainders and quotients of quotients, simplified, are what `//` and `%` give."""
    x = of(parameter("x")).scaled(factor) + whole(summand)

    def never(rest: Polynomial) -> bool:
        return False

    inner = quotient(x, whole(by), never)
    number = factor * value + summand
    assert inner.value({"x": value}) == number // by
    assert remainder(x, whole(by)).value({"x": value}) == number % by
    nested = quotient(inner + whole(summand), whole(then), never)
    assert nested.value({"x": value}) == (number // by + summand) // then
    evened = quotient(x + remainder(x, whole(2)), whole(2), never)
    assert evened.value({"x": value}) == (number + number % 2) // 2


@pytest.mark.parametrize(
    "use",
    [
        lambda number: [5, 6, 7, 8][number],
        lambda number: list(range(number)),
        lambda number: (1,) * number,
        lambda number: number * "ab",
        lambda number: {number: 1},
        lambda number: f"{number}",
        lambda number: f"{number:,}",
        lambda number: [5, 6, 7, 8][:number],
        lambda number: int(number),
        lambda number: float(number),
        lambda number: bin(number),
        lambda number: number.bit_length(),
        lambda number: 0 <= number <= 3 and {1, 2, 3} & {number},
    ],
)
def test_nothing_takes_a_traced_number_for_a_plain_one_in_silence(use: Any) -> None:
    """Whatever is no arithmetic assumes the value, so that no other one is claimed to give the same."""
    with traced({"n": 3}) as (trace, values):
        assert isinstance(values["n"], int)
        use(values["n"])
    assert "n = 3" in map(str, trace.conditions)


def test_limits_assume_nothing() -> None:
    with traced({"n": 3}) as (trace, values):
        assert type(values["n"] + 1) is Traced
        assert not trace.conditions


# ---------------------------------------------------------------------------------------------- layers


def opened(value: Any, names: dict[str, int]) -> str:
    """A value as the language writes it, every whole number in it a parameter of its own."""
    if isinstance(value, bool) or not isinstance(value, int | list | tuple):
        return text(value)
    if isinstance(value, int):
        names[f"p{len(names)}"] = value
        return f"p{len(names) - 1}"
    inner = ", ".join(opened(item, names) for item in value)
    return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(value) == 1)})"


@settings(max_examples=150)
@given(layers(), st.data())
def test_every_layer_in_all_its_numbers(drawn: Any, data: st.DataObject) -> None:
    """Of any layer, with every size of its inputs and every whole number among its arguments left open."""
    layer, shapes = drawn
    names: dict[str, int] = {}
    inputs = [f"input x{number}: {opened(tuple(shape), names)}" for number, shape in enumerate(shapes)]
    arguments = ", ".join(f"{name}={opened(value, names)}" for name, value in layer.arguments().items())
    start = f"[{', '.join(f'x{number}' for number in range(len(shapes)))}] -> " if len(shapes) > 1 else ""
    head = ", ".join(f"{name}={value}" for name, value in names.items())
    written = f"model m({head}) {{ {'; '.join(inputs)}; {start}{type(layer).__name__}({arguments}) }}"
    try:
        spec = specdsl.loads(written)
        found = spec.symbolic(list(names))
    except SpecError:
        assume(False)
    assert agrees(spec, found, {name: names[name] for name in found.open})
    for _ in range(4):
        agrees(spec, found, {name: data.draw(st.integers(-1, 2 * abs(names[name]) + 3)) for name in found.open})


# ---------------------------------------------------------------------------------------------- models

MODELS = [
    ("resnet_cifar.spec", "resnet20", {"n": 3, "width": 16, "classes": 10}),
    ("resnet_cifar.spec", "resnet56", {"width": 16, "classes": 10}),
    ("mlp_mixer.spec", "mixer_s16", {"patch": 16, "width": 64, "blocks": 3, "classes": 10}),
    ("transformer.spec", "transformer", {"vocabulary": 50, "steps": 20, "width": 64, "heads": 4, "depth": 2}),
    ("transformer.spec", "causal", {"steps": 20, "width": 64, "heads": 4, "depth": 2}),
    ("mobilenet_v2.spec", None, {"alpha": 0.75, "classes": 10}),
    ("efficientnet.spec", "efficientnet_b0", {"widen": 1.0, "deepen": 1.0, "size": 64}),
    ("convnext.spec", "convnext_base", {"width": 32}),
    ("bilstm.spec", None, {"vocabulary": 20, "width": 12, "units": 6}),
    ("siamese.spec", "encoder", {"features": 12}),
    ("unet.spec", None, {"classes": 3}),
]


@pytest.fixture(scope="module")
def zoo() -> dict[str, tuple[specdsl.Spec, Symbolic]]:
    """The models of the zoo with their parameters left open."""
    found = {}
    for file, model, start in MODELS:
        spec = specdsl.load(ZOO / file)
        found[f"{file} {model}"] = spec, spec.symbolic(list(start), model, **start)
    return found


@pytest.mark.parametrize("index", range(len(MODELS)), ids=[f"{file} {model}" for file, model, _ in MODELS])
@settings(max_examples=8)
@given(data=st.data())
def test_zoo_in_its_own_parameters(zoo: dict[str, tuple[specdsl.Spec, Symbolic]], index: int, data: Any) -> None:
    """Each architecture of the zoo that has parameters, at drawn values of them."""
    file, model, start = MODELS[index]
    spec, found = zoo[f"{file} {model}"]
    drawn = {}
    for name in found.open:
        value = start[name]
        values = st.floats(0.3, 2.0) if isinstance(value, float) else st.integers(max(0, value // 3), 2 * value + 2)
        drawn[name] = data.draw(values, label=name)
    agrees(spec, found, drawn)


LOOPS = """
block unit(filters, times=2) {
    repeat times {
        shortcut add { Conv2D(filters, 3, padding="same") -> BatchNormalization }
    }
}
model loops(width=6, outer=3, inner=2, size=12) {
    layer tied = Conv2D(width, 1)
    input image: (size, size, 3)
    Conv2D(width, 3, padding="same")
    repeat outer {
        unit(width, inner)
        tied
        repeat 2 * inner { Conv2D(width, 1, use_bias=false) }
    }
    repeat inner + 1 { Conv2D(width * 2, 1) -> tied2 }
    GlobalAveragePooling2D
    Dense(4)
}
block tied2 { Conv2D(width2, 1) }
let width2 = 6
"""


@settings(max_examples=12)
@given(st.integers(1, 9), st.integers(0, 5), st.integers(0, 4), st.integers(1, 20), st.integers(2, 3))
def test_loops_within_loops(width: int, outer: int, inner: int, size: int, first: int) -> None:
    """Rounds that are alike are counted once, times their number, in loops within loops and with shared layers."""
    spec = specdsl.loads(LOOPS)
    found = spec.symbolic(["width", "outer", "inner", "size"], "loops", outer=first)
    assert found.decided == {}
    agrees(spec, found, {"width": width, "outer": outer, "inner": inner, "size": size})


@pytest.mark.parametrize(
    ("body", "names", "params", "holds"),
    [
        ("input x: (9,); Dense(p)", ["p"], "10·p", "p ≥ 1"),
        ("input x: (p,); Dense(3)", ["p"], "3·p + 3", "p ≥ 1"),
        ("input x: (p, p, 4); Conv2D(4 * q, 3, groups=2)", ["p", "q"], "76·q", "p ≥ 3; q ≥ 1"),
        ("input x: (p,); Dense(p // 2)", ["p"], "p·⌊p/2⌋ + ⌊p/2⌋", "p ≥ 2"),
        ("input x: (p,); Dense(p // 2 * 2 + 1 if p > 3 else 4)", ["p"], None, "p ≥ 4"),
        ("input x: (7,); for i in range(p) { Dense(q) }", ["p", "q"], "q² + 9·q", "p = 8; q ≥ 1"),
        ("input x: (7,); repeat p { Dense(q) }", ["p", "q"], "p·q² + p·q − q² + 7·q", "p ≥ 2; q ≥ 1"),
        ("input x: (7,); Dense(max(p, 4))", ["p"], "8·max(p, 4)", "max(p, 4) ≥ 1"),
        ("input x: (7,); Dense(round(1.5 * p))", ["p"], "8·round(1.5·p)", "round(1.5·p) ≥ 1"),
        ("input x: (8, 8, p); Conv2D(4, 1, groups=4)", ["p"], "p + 4", "p ≥ 1; (p mod 4) = 0"),
    ],
)
def test_what_is_said(body: str, names: list[str], params: str | None, holds: str) -> None:
    head = ", ".join(f"{name}=8" for name in names)
    spec = specdsl.loads(f"model m({head}) {{ {body} }}")
    found = spec.symbolic(names)
    shown = "; ".join([*(f"{name} = {value}" for name, value in found.decided.items()), *map(str, found.conditions)])
    assert shown == holds
    if params is not None and not found.decided:
        assert str(found.params) == params


def test_models_within_are_the_same_only_where_their_values_are() -> None:
    """Two uses of a model that are one at the values traced may be two at others: that is assumed, not forgotten."""
    body = "input a: (4,); a -> part(width=p) as b; a -> part(width=8) as c; [b, c] -> Concatenate"
    spec = specdsl.loads(f"model part(width=2) {{ input x: (4,); Dense(width) }}\nmodel m(p=8) {{ {body} }}")
    one, two = spec.symbolic(["p"], "m"), spec.symbolic(["p"], "m", p=5)
    assert one.decided == {"p": 8}
    assert one.params() == 40
    assert "p ≠ 8" in map(str, two.conditions)
    assert str(two.params) == "5·p + 40"


@pytest.mark.parametrize(("value", "kind"), [("true", "true or false"), ('"relu"', "a string"), ("[1, 2]", "a list")])
def test_only_numbers_are_left_open(value: str, kind: str) -> None:
    spec = specdsl.loads(f"model m(p={value}) {{ input x: (4,); Dense(3) }}")
    with pytest.raises(SpecError, match=f"'p' is {kind}: only a number can be left open"):
        spec.symbolic(["p"])


# ---------------------------------------------------------------------------------------------- the verb


def test_symbolic_report(run) -> None:
    arguments = ("compile", str(ZOO / "resnet_cifar.spec"), "--model", "resnet20", "--symbolic", "width,n")
    code, out, err = run(*arguments, columns=100)
    assert (code, err) == (0, "")
    assert re.search(r"^Parameters +378·n·width² \+ 56·n·width − 80·width² \+ 95·width \+ 10$", out, re.MULTILINE)
    assert re.search(r"^Holds while +width ≥ 2; n ≥ 2$", out, re.MULTILINE)
    assert "× (n − 2)" in out
    assert "\x1b" not in out
    code, out, _ = run(*arguments, "--format", "json")
    data = json.loads(out)
    assert (data["open"], data["conditions"]) == (["width", "n"], ["width ≥ 2", "n ≥ 2"])
    assert data["layers"][0]["shapes"] == [[None, "32", "32", "3"]]
    code, out, _ = run(*arguments, "--format", "markdown")
    assert "| MACs | 55,296·n·width² − 8,192·width² + 27,688·width |" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--symbolic", "widht"], "did you mean 'width'?"),
        (["--symbolic", "blocks"], "has no parameter 'blocks'"),
        (["--symbolic", "width", "--set", "width=0"], "must be greater than 0"),
        (["--symbolic", "width", "--emit", "python"], "neither --emit nor --diagram"),
    ],
)
def test_wrong_input_is_refused(run, arguments: list[str], said: str) -> None:
    code, out, err = run("compile", str(ZOO / "resnet_cifar.spec"), "--model", "resnet20", *arguments)
    assert (code, out) == (2, "")
    assert said in err
