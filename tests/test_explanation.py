"""Models in prose: every layer can be told, every formula is true, and the parameters told are those of the model."""

from __future__ import annotations

import re
from fractions import Fraction
from math import ceil, floor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, reject, settings

import specdsl
from specdsl import Graph
from specdsl.backends.report.explanation import pieces
from specdsl.declaration import Misuse
from specdsl.layers import Layer, Shape
from tests.spec_strategies import spec_texts
from tests.strategies import APPLICABLE, layers
from tests.test_backends import every_graph

ROOT = Path(__file__).parents[1]
FORMULA = re.compile(r"([\d(?][\d\s()·/+,?-]*(?: rounded (?:up|down)[\d\s()·/+-]*)?) = ([\d,?]*[\d?])")


def worth(formula: str) -> int | None:
    """What a formula comes to; None where a size in it is unknown."""
    if "?" in formula:
        return None
    divided = re.fullmatch(r"(.+) / (\d+)(?: rounded (up|down))?(?: \+ (\d+))?", formula)
    if divided:
        exact = Fraction(eval(divided[1]), int(divided[2]))
        whole = {"up": ceil, "down": floor}.get(divided[3] or "")
        assert (whole is None) == (exact.denominator == 1), formula
        return (whole(exact) if whole else int(exact)) + int(divided[4] or 0)
    value = eval(formula.replace("·", "*").replace(",", ""))
    assert isinstance(value, int)
    return value


def check_formulas(text: str) -> int:
    """Check that every formula in a text is worth the number behind it.

    Returns:
        how many there are.
    """
    found = FORMULA.findall(text)
    for formula, value in found:
        known = worth(formula)
        assert (value == "?") if known is None else known == int(value.replace(",", "")), f"{formula} = {value}"
    return len(found)


@pytest.mark.parametrize("kind", APPLICABLE, ids=lambda kind: kind.__name__)
def test_every_class_can_be_told(kind: type[Layer]) -> None:
    """What a layer does is a sentence; each weight has a purpose, and multiply-accumulates are told."""

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(layers([kind]))
    def check(drawn: tuple[Layer, tuple[Shape, ...]]) -> None:
        layer, shapes = drawn
        try:
            layer.check_number(len(shapes))
            layer.result_shapes(*shapes)
            weights = layer.variables(*shapes)
        except Misuse:
            reject()
        assert layer.summary().endswith((".", ")", "`")), layer.summary()
        for weight in weights:
            assert layer.role(weight.name), f"{kind.__name__} does not say what {weight.name} is for"
        assert layer.work or not layer.macs(*shapes).terms, f"{kind.__name__} does not say what it multiplies"
        check_formulas(layer.account(*shapes))

    check()


def check_explanation(graph: Graph) -> None:
    """Check that all formulas are true, and that all parameters are told, none of them twice."""
    analysis = graph.analyse()
    found = list(pieces(analysis))
    told = 0
    for piece in found[:-1]:
        check_formulas(piece.text)
        words = piece.text.replace("`", "")
        if "those of its layers" in words or piece.kind == "heading":
            continue
        counted = re.search(r"(?:It has|, with) (?:[\d·+ ]+ = )?([\d,]+) parameter", words)
        again = re.search(r"weights of (?:its|their) own: ([\d,]+) parameters(?: each time, ([\d,]+) together)?", words)
        if again:
            told += int((again[2] or again[1]).replace(",", ""))
        elif counted:
            told += int(counted[1].replace(",", ""))
    assert told == analysis.totals.params, graph.report().explain()
    assert f"{analysis.totals.params:,}" in found[-1].text


@every_graph
def test_an_explanation_tells_all_parameters_once(graph: Graph) -> None:
    """Layer by layer, block by block and repetition by repetition, they add up to those of the model."""
    check_explanation(graph)


@pytest.mark.parametrize("path", sorted((ROOT / "specs" / "zoo").glob("*.spec")), ids=lambda path: path.stem)
def test_an_explanation_of_a_published_architecture(path: Path) -> None:
    """The same for networks of hundreds of layers, many of which repeat themselves."""
    check_explanation(specdsl.load(path).model())


@given(spec_texts())
@settings(max_examples=25, deadline=None)
def test_any_model_can_be_explained(text: str) -> None:
    """What holds of the models at hand holds of random ones."""
    graph = specdsl.loads(text).model()
    check_explanation(graph)
    plain = re.sub(r"\x1b\[\d+m", "", graph.report().explain(width=60))
    assert "`" not in plain
    assert all(len(line) <= 60 or " " not in line.strip() for line in plain.splitlines())


def test_what_is_told_of_a_convolution() -> None:
    """Sizes, parameters and work come with the numbers that they follow from."""
    told = specdsl.load(ROOT / "specs" / "bn_cnn.spec").model().report().explain()
    assert "`(28 - 5) / 1 + 1 = 24` along height and width, and a channel for each of the 32 filters." in told
    assert "It has `5·5·3·32 + 32 = 2,432` parameters: `5·5·3·32 = 2,400` in `kernel` (a factor for each" in told
    assert "The `64` in `moving_mean` and `moving_variance` are not changed by gradient." in told
    assert "It does the same as `conv_bn`, with `filters=64` in place of `32`:" in told


REPEATED = """
block residual(n) { shortcut add { Conv2D(n, 3, padding="same") -> BatchNormalization } }
model m {
    input x: (8, 8, 4)
    repeat 3 { residual(4) }
    repeat 4 { Conv2D(4, 3, padding="same") -> ReLU }
    Flatten
    Dense(2) -> Dense(2, trainable=false)
    layer twice = Dense(2)
    twice -> twice
}
"""


def test_what_is_repeated_is_told_once() -> None:
    """Equal blocks, turns of several layers, shared and frozen layers."""
    told = specdsl.loads(REPEATED).model().report().explain()
    assert told.count("The block `residual") == 1
    assert "`residual_1` and `residual_2` do the same as `residual`, each time with weights of their own: `164`" in told
    assert "`conv2d` and `re_lu` are repeated 3 times more, as `conv2d_1` to `re_lu_3`" in told
    assert "Training changes none of them." in told
    assert "They are used by `twice_1` too, and counted once." in told
    assert "The layer `twice` is applied again, with the same weights." in told
