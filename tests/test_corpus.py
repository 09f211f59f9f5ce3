"""Small specs with what must come of each beside it: `ok/*.spec` to a graph, `bad/*.spec` to messages.

After a change that is meant to change them: `pytest tests/test_corpus.py --accept`, then read the difference.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from specdsl.analyses import analyse, broken_expectations
from specdsl.backends.words import option_text, type_name
from specdsl.counts import number
from specdsl.diagnostics import Diagnostic, SpecError, render, render_concise, render_json
from specdsl.graph import Graph, verify
from specdsl.layers.shapes import show
from specdsl.resolve import Importer, Program, all_mistakes
from specdsl.resolve.recipes import train_recipe
from specdsl.source import Source
from specdsl.syntax.formatter import format_source
from specdsl.syntax.parser import parse
from specdsl.syntax.tree import Train

CORPUS = Path(__file__).parent / "corpus"
OK = sorted((CORPUS / "ok").glob("*.spec"))
BAD = sorted((CORPUS / "bad").glob("*.spec"))


def mistakes(source: Source, importer: Importer | None = None) -> tuple[Diagnostic, ...]:
    """Everything that `specdsl check` would say of a text; one that imports needs an importer."""
    try:
        program = Program(source, importer=importer)
        found = all_mistakes(program)
        if found:
            return SpecError(found).diagnostics
        return tuple(wrong for name in program.models for wrong in broken_expectations(analyse(program.graph(name))))
    except SpecError as error:
        return error.diagnostics


def describe(graph: Graph) -> str:
    """A graph as lines of text, those of a model within it further to the right."""
    lines = [f"model {graph.name}"]
    for layer in analyse(graph).layers:
        node = layer.node
        given = [*map(str, node.inputs), *(f"{name}={option_text(value)}" for name, value in node.options.items())]
        inputs = f" <- {', '.join(given)}" if given else ""
        arguments = ", ".join(f"{name}={value}" for name, value in node.layer.arguments().items())
        applied = f" applies {node.owner}" if node.owner != node.name or layer.shared else ""
        made = zip(node.shapes, node.dtypes, strict=True)
        shapes = " ".join(show(shape) + (f" {dtype}" if dtype != "float32" else "") for shape, dtype in made)
        lines.append(f"  {node.name}: {type_name(node)}({arguments}) {shapes} {number(layer.params)}{applied}{inputs}")
        if layer.inner:
            lines += [f"  {line}" for line in describe(layer.inner.graph).split("\n")]
    return "\n".join([*lines, f"  output {', '.join(map(str, graph.outputs))}"])


def describe_recipes(program: Program, graphs: list[Graph]) -> list[str]:
    """The training recipes of a file, one on a line, for its last model."""
    names = [item.name.text for item in program.spec.items if isinstance(item, Train)]
    shape = graphs[-1].input_nodes[0].shape
    return [f"train {name}: {train_recipe(program, name, shape)}" for name in names]


def compare(path: Path, text: str, request: pytest.FixtureRequest) -> None:
    expected = path.with_suffix(".txt")
    if request.config.getoption("--accept"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", OK, ids=lambda path: path.stem)
def test_good_specs_resolve(path: Path, request: pytest.FixtureRequest) -> None:
    """Every good spec gives just the graphs and training recipes that stand beside it, and each graph is valid."""
    source = Source(path.name, path.read_text(encoding="utf-8"))
    assert mistakes(source) == ()
    program = Program(source)
    graphs = [program.graph(name) for name in program.models]
    for graph in graphs:
        verify(graph)
    compare(path, "\n\n".join([*map(describe, graphs), *describe_recipes(program, graphs)]) + "\n", request)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_specs_explain_themselves(path: Path, request: pytest.FixtureRequest) -> None:
    """Every bad spec gives just the messages beside it; every message has a place, and all renderings work."""
    found = mistakes(Source(path.name, path.read_text(encoding="utf-8")))
    assert found
    assert all(diagnostic.span for diagnostic in found)
    assert all("\n" not in render_concise(diagnostic) for diagnostic in found)
    assert render_json(found).count('"kind"') == len(found)
    compare(path, "\n\n".join(map(render, found)) + "\n", request)


@pytest.mark.parametrize("path", OK, ids=lambda path: path.stem)
def test_formatting_keeps_the_tree(path: Path) -> None:
    """The canonical form of a spec has the same tree and comments, and is its own canonical form."""
    source = Source(path.name, path.read_text(encoding="utf-8"))
    formatted = Source(path.name, format_source(source))
    assert parse(formatted) == parse(source)
    assert format_source(formatted) == formatted.text
    assert formatted.text.count("#") == source.text.count("#")
