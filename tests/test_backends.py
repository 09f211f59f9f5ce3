"""What is made of a graph without Keras: diagram, report, Markdown, JSON, Python source."""

from __future__ import annotations

import cProfile
import re
import shutil
import sys
from collections import Counter
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from rich.console import Console

import specdsl
from specdsl import Graph
from specdsl.backends import diagram, diagram_folding
from specdsl.backends.diagram import FILLS, FORMATS, SHORTCUT, DiagramError
from specdsl.backends.diagram_folding import folding
from specdsl.functional import Functional
from specdsl.layers import LAYERS, Layer
from specdsl.layers.dtypes import BYTES
from tests.spec_strategies import spec_texts
from tests.test_corpus import CORPUS, OK

ROOT = Path(__file__).parents[1]
SPECS = sorted((ROOT / "specs").glob("*.spec"))
SVG = "{http://www.w3.org/2000/svg}"

RESIDUAL = specdsl.load(CORPUS / "ok" / "residual.spec").model()
SEVERAL = specdsl.load(ROOT / "specs" / "functional.spec").model()
STRANGE = specdsl.loads(
    """
    block groesse(né=2, word="a<b> & c", more=[1, 2, 3]) { Dense(né) as h; ReLU }
    model zu {
        \"\"\"Docs with <b>, & and "quotes".\"\"\"
        input ñ: (none, 4)
        groesse
        groesse(5) as graph
        Dense(2) as node -> Dense(3) as edge
    }
    """
).model()


def graphs() -> list[Any]:
    """Every model at hand, as parameters of a test."""
    found = []
    for path in (*SPECS, *OK):
        spec = specdsl.load(path)
        found += [pytest.param(spec.model(name), id=f"{path.stem}-{name}") for name in spec.models]
    return [*found, pytest.param(STRANGE, id="strange")]


every_graph = pytest.mark.parametrize("graph", graphs())


# ---------------------------------------------------------------------------------------------- the DOT source


def edges(dot: str) -> Counter[tuple[str, str]]:
    """The edges of a drawing with how often each is drawn, by the names between which they lead."""
    return Counter(re.findall(r'^\s*"([^"]+)" -> "([^"]+)"', dot, re.MULTILINE))


def nodes(dot: str) -> list[str]:
    return re.findall(r'^\s*"([^"]+)" \[', dot, re.MULTILINE)


def check_dot(graph: Graph) -> None:
    dot = graph.diagram().dot
    outputs = [f"output {number}" for number in range(len(graph.outputs))]
    assert sorted(nodes(dot)) == sorted([*(f"layer {node.name}" for node in graph.nodes), *outputs])
    wanted = Counter((f"layer {one.node}", f"layer {node.name}") for node in graph.nodes for one in node.sources)
    wanted.update((f"layer {one.node}", output) for one, output in zip(graph.outputs, outputs, strict=True))
    assert edges(dot) == wanted
    assert dot.count("{") == dot.count("}")
    assert nesting(dot) == {name: scope.parent for name, scope in graph.scopes.items() if used(graph, name)}


def used(graph: Graph, scope: str) -> bool:
    return any(scope in (around.name for around in graph.enclosing(node.scope)) for node in graph.nodes)


def nesting(dot: str) -> dict[str, str]:
    """For each cluster of a drawing, the one that it stands in."""
    around: list[str] = []
    parents: dict[str, str] = {}
    for line in dot.splitlines():
        if opened := re.search(r'subgraph "?cluster ([^"]+)"? \{', line):
            parents[opened[1]] = around[-1] if around else ""
            around.append(opened[1])
        elif line.strip() == "}" and around:
            around.pop()
    return parents


@every_graph
def test_each_layer_and_each_edge_is_drawn_once(graph: Graph) -> None:
    """Layers, outputs and edges stand once each, and clusters are nested as blocks are."""
    check_dot(graph)


@given(spec_texts())
@settings(max_examples=60)
def test_any_graph_is_drawn_whole(text: str) -> None:
    """The same for random specs; and nothing that is made of a graph without Keras fails."""
    spec = specdsl.loads(text)
    for name in spec.models:
        graph = spec.model(name)
        check_dot(graph)
        check_sums(graph)
        check_markdown(graph.report().to_markdown())
        check_width(graph, 100)
        compile(graph.to_python(), "emitted", "exec")


@pytest.mark.parametrize(
    "text",
    [
        "model m { input x: (2,); repeat TIMES { Dense(2) } }",
        "model m { input x: (2,); repeat TIMES { shortcut add { Dense(2) } } }",
        "block b(n) { Dense(n); Dense(2) }\nmodel m { input x: (2,); for n in range(TIMES) { b(n + 1) } }",
        "BLOCKS\nmodel m { input x: (2,); CALLS }",
        "block b { Dense(2); Dense(2) }\nmodel m { input x: (2,); WIDE; [NAMES] -> Add }",
    ],
    ids=["row", "shortcuts", "instances", "blocks", "side by side"],
)
def test_source_takes_work_in_proportion_to_layers(text: str) -> None:
    """Four times the layers take about four times the calls of functions, not sixteen times."""

    def calls(times: int) -> int:
        numbers = range(times)
        whole = text.replace("BLOCKS", "\n".join(f"block b{i} {{ Dense(2); Dense(3) }}" for i in numbers))
        whole = whole.replace("CALLS", "; ".join(f"b{i}; b{i}" for i in numbers)).replace("TIMES", str(times))
        whole = whole.replace("WIDE", "; ".join(f"x -> b as d{i}" for i in numbers))
        graph = specdsl.loads(whole.replace("NAMES", ", ".join(f"d{i}" for i in numbers))).model()
        profiler = cProfile.Profile()
        profiler.runcall(graph.to_python)
        return sum(entry.callcount for entry in profiler.getstats())

    calls(2)
    assert calls(800) < 5 * calls(200)


LONG = """
block a(n) { shortcut add { Dense(n); Dense(n) }; ReLU }
block b(n) { a(n); a(n) }
model m { input x: (2,); Dense(2); repeat 300 { b(2) }; Dense(3); repeat 3 { b(3) } }
"""


def test_a_long_run_of_equal_blocks_is_drawn_once() -> None:
    """Of a large model one instance stands for all in a run, and what follows takes from it."""
    graph = specdsl.loads(LONG).model()
    dot = graph.diagram().dot
    assert "b × 300" in dot
    assert len(nodes(dot)) == 1 + 1 + 8 + 1 + 3 * 8 + 1
    last = graph.by_name["dense_1"].inputs[0].node
    assert last not in dot
    assert edges(dot)["layer b-a_1-re_lu", "layer dense_1"] == 1
    small = specdsl.loads(LONG.replace("300", "100")).model()
    assert len(nodes(small.diagram().dot)) == len(small.nodes) + 1


def test_a_run_ends_where_instances_differ() -> None:
    """Other arguments, and a result that is used from outside, end a run."""
    text = "block a(n) { Dense(n) }\nmodel m { input x: (2,); repeat 600 { a(2) }; repeat 600 { a(3) } }"
    assert folding(specdsl.loads(text).model()).times == {"a": 600, "a_600": 600}
    runs = "repeat 500 { a(2) }; a(2) as h; repeat 600 { a(2) }; a(2) as y; [h, y] -> Add"
    text = f"block a(n) {{ Dense(n) }}\nmodel m {{ input x: (2,); {runs} }}"
    assert folding(specdsl.loads(text).model()).times == {"a": 501, "a_500": 601}


@given(spec_texts())
@settings(max_examples=40)
def test_any_graph_is_folded_soundly(text: str) -> None:
    """However small a model is that is folded: each layer is drawn or has one like it that is."""
    spec = specdsl.loads(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diagram_folding, "LARGE", 0)
        patch.setattr(diagram_folding, "RUN", 2)
        for name in spec.models:
            graph = spec.model(name)
            folded, dot = folding(graph), graph.diagram().dot
            for one in folded.drawn:
                same = graph.by_name[folded.shown(one)]
                assert (same.layer, same.shapes) == (graph.by_name[one].layer, graph.by_name[one].shapes)
            outputs = {f"output {number}" for number in range(len(graph.outputs))}
            drawn = {f"layer {node.name}" for node in graph.nodes if node.name not in folded.drawn}
            assert set(nodes(dot)) == drawn | outputs
            assert {end for edge in edges(dot) for end in edge} <= drawn | outputs


def test_a_tangle_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The packaged engine is not asked to draw 300 layers in a row that are all gathered; a .dot file is written."""
    names = [f"d{i}" for i in range(300)]
    steps = "; ".join(f"Dense(2) as {name}" for name in names)
    drawing = specdsl.loads(f"model m {{ input x: (2,); {steps}; [{', '.join(names)}] -> Add }}").model().diagram()
    monkeypatch.setattr(diagram, "engine", lambda: Path("graphviz-pure"))
    monkeypatch.setattr(diagram, "draw", lambda *_: pytest.fail("asked the engine"))
    with pytest.raises(DiagramError, match="install Graphviz, or write"):
        drawing.svg()
    assert drawing.render(".dot").startswith(b"digraph")


def test_shortcuts_are_seen() -> None:
    """Edges of a shortcut have a colour of their own, all along what the shortcut passes through; no others have it."""
    lines = [line for line in RESIDUAL.diagram().dot.splitlines() if "->" in line]
    orange = {edge for line in lines if SHORTCUT in line for edge in edges(line)}
    assert ("layer image", "layer residual-conv2d_2") in orange
    assert ("layer residual-conv2d_2", "layer residual-add") in orange
    assert ("layer residual_1-re_lu_1", "layer residual_2-add") in orange
    assert len(orange) == 2 + 2 + 1 + 1
    assert SHORTCUT not in SEVERAL.diagram().dot


def test_what_a_drawing_says() -> None:
    """Shapes stand on edges, parameters and arguments in nodes, arguments of a block in its cluster's label."""
    dot = specdsl.load(ROOT / "specs" / "bn_cnn.spec").model().diagram().dot
    assert 'label=" 28×28×3"' in dot
    assert 'label=" 24×24×32"' in dot
    assert "2,432 parameters" in dot
    assert "32, 5×5" in dot
    assert "filters=64" in dot
    assert "TruncatedNormal" not in dot, "how weights begin is left out"
    unknown = specdsl.load(CORPUS / "ok" / "unknown_sizes.spec").model().diagram().dot
    assert 'label=" ?×?×3"' in unknown


def test_each_family_has_a_colour() -> None:
    """Every family of layers that a drawing shows has a fill of its own, but for rare ones."""
    layers: list[type[Layer]] = [*LAYERS.values(), Functional]
    families = {layer.family for layer in layers}
    assert set(FILLS) <= families
    assert families - set(FILLS) <= {"preprocessing"}


def test_names_are_escaped() -> None:
    """Words that mean something to Graphviz or to HTML are drawn as they are."""
    dot = STRANGE.diagram().dot
    assert "a&lt;b&gt; &amp; c" in dot
    assert "<b>Dense</b> <i>node</i>" in dot
    root = ElementTree.fromstring(STRANGE.diagram().svg())
    said = "".join(text.text or "" for text in root.iter(f"{SVG}text"))
    for word in ("groesse", "a<b>", "& c", "ñ", "node", "edge", "graph", "né=2", "?×4"):
        assert word in said


# ---------------------------------------------------------------------------------------------- pictures


@pytest.fixture(params=["whatever there is", "graphviz-pure"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The engine that a user has, and the one of the environment where there is no `dot`."""
    if request.param == "graphviz-pure":
        monkeypatch.setenv("PATH", "/nonexistent")
    diagram.engine.cache_clear()
    yield diagram.engine().name
    diagram.engine.cache_clear()


@pytest.mark.parametrize("graph", [RESIDUAL, SEVERAL, STRANGE], ids=["residual", "several", "strange"])
def test_pictures(engine: str, graph: Graph, tmp_path: Path) -> None:
    """SVG is XML with all layers, PNG is a picture, through whichever engine there is."""
    assert engine in ("dot", "dot.exe", "graphviz-pure")
    root = ElementTree.fromstring(graph.diagram().svg())
    assert root.tag == f"{SVG}svg"
    assert {text.get("font-family") for text in root.iter(f"{SVG}text")} == {diagram.FONTS}
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert {f"layer {node.name}" for node in graph.nodes} <= set(titles)
    path = tmp_path / "m.png"
    graph.diagram().save(path)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert path.stat().st_size > 1000


@pytest.mark.parametrize("graph", [RESIDUAL, SEVERAL, STRANGE], ids=["residual", "several", "strange"])
def test_words_stay_in_their_boxes_whatever_font_shows_them(engine: str, graph: Graph) -> None:
    """Every word of a node says where it begins and how wide it is to be shown: within the box, beside the others."""
    assert engine
    root = ElementTree.fromstring(graph.diagram().svg())
    nodes = [group for group in root.iter(f"{SVG}g") if group.get("class") == "node"]
    boxes = [group for group in nodes if group.find(f"{SVG}path") is not None]
    assert len(boxes) == len(graph.nodes)
    for group in boxes:
        outline = group.find(f"{SVG}path").get("d")
        across = [float(pair.split(",")[0]) for pair in re.findall(r"-?[\d.]+,-?[\d.]+", outline)]
        ends: dict[str, float] = {}
        for words in group.iter(f"{SVG}text"):
            if not (words.text or "").strip():
                continue
            begin, line = float(words.get("x")), words.get("y")
            assert begin >= ends.get(line, min(across))
            ends[line] = begin + float(words.get("textLength"))
            assert begin < ends[line] <= max(across)
    edges = [group for group in root.iter(f"{SVG}g") if group.get("class") == "edge"]
    assert all(words.get("textLength") for group in edges for words in group.iter(f"{SVG}text"))


def test_without_dot_the_packaged_engine_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH without `dot` leaves the engine that was installed with the package."""
    monkeypatch.setenv("PATH", "/nonexistent")
    diagram.engine.cache_clear()
    assert diagram.engine() == Path(sys.executable).with_name("graphviz-pure")
    diagram.engine.cache_clear()


def test_failures_of_drawing_say_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither engine, a broken one, a PDF without `dot`, an unknown format: an error that says so."""
    with pytest.raises(ValueError, match=r"\.svg, \.png, \.pdf, \.dot"):
        SEVERAL.diagram().save(tmp_path / "m.bmp")
    monkeypatch.setattr(diagram, "engine", lambda: tmp_path / "gone")
    with pytest.raises(DiagramError, match="could not be run"):
        SEVERAL.diagram().svg()
    broken = tmp_path / "graphviz-pure"
    broken.write_text("#!/bin/sh\necho 'out of ink' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(diagram, "engine", lambda: broken)
    with pytest.raises(DiagramError, match="out of ink"):
        SEVERAL.diagram().render(".png")
    with pytest.raises(DiagramError, match="PDF needs the program `dot`"):
        SEVERAL.diagram().render(".pdf")
    broken.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(diagram, "PATIENCE", 0.1)
    with pytest.raises(DiagramError, match="was stopped"):
        SEVERAL.diagram().render(".png")
    monkeypatch.undo()
    monkeypatch.setattr(shutil, "which", lambda *_: None)
    diagram.engine.cache_clear()
    with pytest.raises(DiagramError, match="pip install graphviz-pure"):
        SEVERAL.diagram().svg()
    monkeypatch.undo()
    diagram.engine.cache_clear()


def test_dot_needs_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The source for Graphviz comes without Graphviz."""
    monkeypatch.setattr(diagram, "engine", lambda: pytest.fail("asked for an engine"))
    assert ".dot" in FORMATS
    assert SEVERAL.diagram().render(".dot").startswith(b"digraph")


# ---------------------------------------------------------------------------------------------- numbers


def check_sums(graph: Graph) -> None:
    report = graph.report().to_dict()
    layers, totals = report["layers"], report["totals"]
    for total in ("params", "trainable", "non_trainable"):
        assert totals[total] == sum(layer[total] for layer in layers)
    macs = [layer["macs"] for layer in layers]
    assert totals["macs"] == (None if None in macs else sum(macs))
    assert totals["params"] == totals["trainable"] + totals["non_trainable"]
    weights = [weight for layer in layers for weight in layer["weights"]]
    assert totals["weight_bytes"] == sum(BYTES[weight["dtype"]] * product(weight["shape"]) for weight in weights)
    for layer in layers:
        sizes = [(weight["trainable"], product(weight["shape"])) for weight in layer["weights"]]
        assert layer["params"] == sum(size for _, size in sizes)
        assert layer["trainable"] == sum(size for trainable, size in sizes if trainable)
        assert worth(layer["formula"]) == layer["params"]
        assert layer["macs"] is None or worth(layer["macs_formula"]) == layer["macs"]
        assert all(name.split("[")[0] in {other["name"] for other in layers} for name in layer["inbound"])
        inner = layer["layers"] or []
        assert not inner or layer["params"] == sum(one["params"] for one in inner)


def product(sizes: list[int]) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result


def worth(formula: str) -> int:
    """The value of a sum of products, `5·5·3·32 + 32`."""
    return sum(product([int(factor) for factor in term.split("·")]) for term in formula.replace(",", "").split("+"))


@every_graph
def test_totals_are_sums_and_formulas_are_true(graph: Graph) -> None:
    """The totals of the JSON report are the sums of its rows, and each formula is worth its number."""
    check_sums(graph)


def numbers(graph: Graph) -> Any:
    """What a report says but for names."""
    report = graph.report().to_dict()
    rows = [
        (layer["type"], layer["output_shape"], layer["params"], layer["trainable"], layer["macs"], layer["formula"])
        for layer in report["layers"]
    ]
    totals = {name: value for name, value in report["totals"].items() if name != "largest_activation"}
    return rows, totals


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ("residual.spec", {"residual": "remaining", "image": "picture"}),
        ("merges.spec", {"sum": "total", r"\ba\b": "left", r"\bb\b": "right"}),
        ("scopes.spec", {"inner": "inside", "outer": "outside", r"\bfirst\b": "one", r"\bh\b": "hidden"}),
        ("variants.spec", {"stem": "beginning", "base": "ground", "after_all": "later"}),
    ],
)
def test_renaming_changes_no_number(text: str, renamed: dict[str, str]) -> None:
    """Other names for tensors, blocks and models change nothing but names."""
    before = (CORPUS / "ok" / text).read_text()
    after = before
    for old, new in renamed.items():
        after = re.sub(old, new, after)
    assert after != before
    old_spec, new_spec = specdsl.loads(before), specdsl.loads(after)
    for old_name, new_name in zip(old_spec.models, new_spec.models, strict=True):
        assert numbers(old_spec.model(old_name)) == numbers(new_spec.model(new_name))


def test_the_json_report_is_plain_data() -> None:
    """Nothing in it but what JSON has, and the keys of the contract."""
    report = STRANGE.report().to_dict()
    assert set(report) >= {"schema", "model", "inputs", "outputs", "layers", "totals"}
    assert report["inputs"] == [{"name": "ñ", "shape": [None, None, 4], "dtype": "float32"}]
    keys = {"name", "type", "inbound", "output_shape", "params", "trainable", "non_trainable", "weights", "formula"}
    assert all(set(layer) >= {*keys, "macs"} for layer in report["layers"])
    assert report["totals"]["macs"] is None

    def plain(value: Any) -> bool:
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(item) for key, item in value.items())
        return all(map(plain, value)) if isinstance(value, list) else isinstance(value, str | int | float | None)

    for graph in (STRANGE, RESIDUAL, specdsl.load(CORPUS / "ok" / "frozen_and_regularized.spec").model()):
        assert plain(graph.report().to_dict())


# ---------------------------------------------------------------------------------------------- text


def check_markdown(markdown: str) -> None:
    rows: list[int] = []
    for line in [*markdown.splitlines(), ""]:
        if line.startswith("|"):
            assert line.endswith("|")
            rows.append(len(re.findall(r"(?<!\\)\|", line)))
        else:
            assert len(set(rows)) <= 1, markdown
            rows = []


@every_graph
def test_markdown_is_well_formed(graph: Graph) -> None:
    """Every row of every table has as many cells as its heading, and every layer has a row."""
    markdown = graph.report().to_markdown()
    check_markdown(markdown)
    assert all(re.search(rf"^\| `{node.name}`( applies `{node.owner}`)? \|", markdown, re.M) for node in graph.nodes)


def check_width(graph: Graph, width: int) -> None:
    plain = re.sub(r"\x1b\[\d+m", "", graph.report().to_text(width))
    assert max(map(len, plain.splitlines())) <= width, plain


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_the_report_fits_its_width(path: Path) -> None:
    """At every width from 40 to 200 columns no line is longer, nothing is lost, and no line ends in blanks."""
    spec = specdsl.load(path)
    for name in spec.models:
        graph = spec.model(name)
        for width in (40, 59, 60, 72, 80, 100, 103, 104, 120, 160, 200):
            plain = re.sub(r"\x1b\[\d+m", "", graph.report().to_text(width))
            lines = plain.splitlines()
            assert max(map(len, lines)) <= width, "\n".join(lines)
            assert all(line == line.rstrip() for line in lines)
            for layer in graph.analyse().layers:
                assert f"{layer.params:,}" in plain
                assert layer.node.name.removeprefix(f"{layer.node.scope}-") in plain


@pytest.mark.parametrize("width", [40, 60, 66, 80])
def test_the_report_fits_its_width_whatever_it_has_to_tell(width: int) -> None:
    """A name longer than a line, types beside float32, and large numbers."""
    name = "_".join(["long"] * 20)
    text = f"""model {name} {{
        input image: (224, 224, 3) uint8
        Rescaling(1 / 255) as {name}_first
        Conv2D(4096, 3, dtype="mixed_float16") -> Conv2D(4096, 3, dtype="mixed_float16") -> GlobalAveragePooling2D
        Dense(100_000)
    }}"""
    check_width(specdsl.loads(text).model(), width)


@every_graph
@pytest.mark.parametrize("width", [60, 140])
def test_every_model_has_a_table(graph: Graph, width: int) -> None:
    """A table comes of every model, narrow or roomy, with a line for each layer, those of models within included."""
    plain = re.sub(r"\x1b\[\d+m", "", graph.report().to_text(width))

    def names(layers: list[dict[str, Any]]) -> list[str]:
        own = [layer["name"].removeprefix(f"{layer['block']}-") for layer in layers]
        return own + [name for layer in layers for name in names((layer["layers"] or [])[1:])]

    assert all(
        re.search(rf"^ *{re.escape(name[:10])}", plain, re.M) for name in names(graph.report().to_dict()["layers"])
    )


def test_a_report_in_rich_and_in_notebooks() -> None:
    """A rich console shows the report at its own width, a notebook the Markdown and the drawing."""
    report = SEVERAL.report()
    for width in (60, 120):
        shown = StringIO()
        Console(file=shown, width=width).print(report)
        assert max(map(len, shown.getvalue().splitlines())) <= width
        assert "13,675" in shown.getvalue()
    coloured = StringIO()
    Console(file=coloured, width=100, force_terminal=True).print(report)
    assert "\x1b[" in coloured.getvalue()
    assert report._repr_markdown_() == report.to_markdown()
    assert "13,675" in str(report)
    assert "\x1b" not in str(report) + repr(report)
    assert SEVERAL.diagram()._repr_svg_().rstrip().endswith("</svg>")
    assert "<svg" in SEVERAL._repr_html_()
