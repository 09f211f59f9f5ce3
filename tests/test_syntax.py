"""Parsing and formatting: nothing that anybody may write crashes them, and formatting changes no meaning."""

from __future__ import annotations

import gc
from pathlib import Path
from time import process_time

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from specdsl import loads
from specdsl.diagnostics import SpecError, render
from specdsl.graph import verify
from specdsl.resolve import Program
from specdsl.source import Source
from specdsl.syntax import tree
from specdsl.syntax.formatter import format_source
from specdsl.syntax.parser import parse
from tests.strategies import grammar_texts, mutated_texts
from tests.test_corpus import CORPUS, mistakes

TEXTS = [path.read_text(encoding="utf-8") for path in sorted(CORPUS.rglob("*.spec"))]
SPECS = sorted((Path(__file__).parents[1] / "specs").rglob("*.spec"))


def attempt(text: str) -> None:
    """Do all that can be done with a text; only mistakes may come out, and they must be showable."""
    for diagnostic in mistakes(Source("text.spec", text)):
        render(diagnostic)


def use(text: str) -> None:
    """Make all that needs no framework of each model of a text that holds no mistake."""
    try:
        spec = loads(text)
    except SpecError:
        return
    for name in spec.models:
        graph = spec.default_graph(name)
        if graph is None:
            continue
        verify(graph)
        report = graph.report()
        report.to_text(80)
        report.to_dict()
        report.to_markdown()
        compile(graph.to_python(), "model.py", "exec")
        assert graph.diagram().dot
        assert not graph.diff(graph)


def round_trip(text: str) -> None:
    try:
        before = parse(Source("text.spec", text))
    except SpecError:
        return
    formatted = format_source(Source("text.spec", text))
    assert parse(Source("text.spec", formatted)) == before
    assert format_source(Source("text.spec", formatted)) == formatted


SWEEP = settings(
    phases=[Phase.explicit, Phase.generate, Phase.shrink], database=None, suppress_health_check=list(HealthCheck)
)
"""For many examples, which are not kept."""


@settings(max_examples=300)
@given(grammar_texts())
def test_texts_of_the_grammar(text: str) -> None:
    """Any text of the grammar is read, formatted without changing its tree, and resolved or explained."""
    round_trip(text)
    attempt(text)


@settings(max_examples=2_000)
@given(mutated_texts(TEXTS))
def test_mutated_specs(text: str) -> None:
    """Specs with pieces cut out, doubled, swapped or replaced end in a graph or in messages."""
    attempt(text)
    round_trip(text)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@settings(SWEEP, max_examples=10_000)
@given(grammar_texts())
def test_many_texts_of_the_grammar(text: str) -> None:
    """The same, of many more."""
    round_trip(text)
    attempt(text)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@settings(SWEEP, max_examples=80_000)
@given(mutated_texts(TEXTS))
def test_many_mutated_specs(text: str) -> None:
    """The same, of many more; and what is a spec nevertheless can be reported, drawn and compiled to Python."""
    attempt(text)
    round_trip(text)
    use(text)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@settings(SWEEP, max_examples=10_000)
@given(st.text(st.sampled_from('modelinputDns(){}[]:;,=->"#. \n\t0123456789_+*/%\x00é\u200b\U0001f6d1'), max_size=300))
def test_many_random_texts(text: str) -> None:
    """Texts of the signs and letters that specs are made of, without sense."""
    attempt(text)
    round_trip(text)


@settings(max_examples=500)
@given(st.text(max_size=200))
@example("\x00")
@example('"""')
@example("{" * 3000)
@example("let a = " + "(" * 3000 + "1" + ")" * 3000)
@example("let a = " + "-" * 5000 + "1")
@example("let a = 1" + " + 1" * 20_000)
@example("model m { " + "repeat 1 { " * 500 + "} " * 500 + "}")
@example("model m { input x: (1,); " + "shortcut add { " * 300 + "Dense(1)" + " }" * 300 + " }")
@example("let a = " + "9" * 10_000)
@example("model m { input x: (9e999,) }")
@example("let a = [" + "[" * 200 + "]" * 200 + "]")
@example("model m { if true {} else if true {} " + "else if true {} " * 2000 + "}")
def test_random_texts(text: str) -> None:
    """No text at all crashes, however strange or deep."""
    attempt(text)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_shipped_specs_are_canonical(path: Path) -> None:
    """The specs that the project ships are in canonical form."""
    text = path.read_text(encoding="utf-8")
    assert format_source(Source(path.name, text)) == text


def test_a_step_that_fits_only_without_its_name_keeps_it() -> None:
    """It is broken up, as one that is too long by itself."""
    step = f'Conv2D(16, 3, padding="same", use_bias=false, name_{"x" * 60}=1) as {"y" * 20}'
    formatted = format_source(Source("text", f"model m {{\n    input x: (8, 8, 3)\n    {step}\n}}\n"))
    assert f") as {'y' * 20}\n" in formatted
    assert format_source(Source("text", formatted)) == formatted


def test_every_node_knows_its_place() -> None:
    """The span of a node covers just the text that made it."""
    text = 'model m { input x: (8,); Dense(units=2 ** 3, activation="relu") as h -> ReLU }'
    (model,) = parse(Source("m.spec", text)).items
    assert isinstance(model, tree.Model)
    chain = model.body.statements[1]
    assert isinstance(chain, tree.Chain)
    assert chain.span.text == 'Dense(units=2 ** 3, activation="relu") as h -> ReLU'
    step = chain.links[0]
    assert isinstance(step, tree.Step)
    assert isinstance(step.action, tree.Call)
    assert [argument.span.text for argument in step.action.arguments or ()] == ["units=2 ** 3", 'activation="relu"']


def test_every_mistake_is_reported() -> None:
    """At least ten independent mistakes in one text are all reported in one run."""
    text = (CORPUS / "bad" / "many_mistakes.spec").read_text()
    program = Program(Source("m.spec", text))
    assert len(program.mistakes()) >= 10


def test_words_are_keywords_only_where_they_must_be() -> None:
    """`output`, `data`, `train` and the like stay free as names."""
    parse(Source("m.spec", "let data = 1\nmodel train(output=2) { input input: (1,); Dense(output) as block -> ReLU }"))


def seconds_to_resolve(layers: int) -> float:
    text = "model m {\n    input x: (8, 8, 4)\n" + '    Conv2D(4, 3, padding="same", use_bias=false)\n' * layers + "}\n"
    gc.collect()
    start = process_time()
    graph = Program(Source("m.spec", text)).graph()
    assert len(graph.nodes) == layers + 1
    return process_time() - start


def test_time_grows_linearly() -> None:
    """Ten times the layers take about ten times the time: far from the hundred of a quadratic pass."""
    seconds_to_resolve(100)
    few = min(seconds_to_resolve(1_000) for _ in range(3))
    assert any(seconds_to_resolve(10_000) < 25 * few for _ in range(3))  # one may meet other work on the machine
