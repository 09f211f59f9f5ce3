"""The Python interface: `load`, `loads`, `Spec`, `Graph`, `SpecError`, and a package that loads nothing too early."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import specdsl
from specdsl import Diagnostic, Graph, Spec, SpecError
from specdsl.api import Limits
from specdsl.diagnostics import Slug

ROOT = Path(__file__).parents[1]
TEXT = """\"\"\"Two models.\"\"\"
model small(n=2, act="relu") {
    \"\"\"A small one.\"\"\"
    input x: (4,)
    Dense(n, act)
}
model large(n) { input x: (4,); Dense(n) -> Dense(n) }
"""


def test_public_names_are_completed() -> None:
    """Before any of them has been used."""
    code = "import specdsl; print({'load', 'loads', 'SpecError', '__version__'} <= set(dir(specdsl)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "True\n"


def test_a_spec_from_a_text() -> None:
    """`loads` gives the models by name, in the order of the text, and the text itself."""
    spec = specdsl.loads(TEXT)
    assert isinstance(spec, Spec)
    assert spec.models == ("small", "large")
    assert spec.text == TEXT
    assert repr(spec) == "<Spec <text>: small, large>"
    assert specdsl.loads(TEXT, "mine.spec").name == "mine.spec"


def test_a_spec_from_a_file(tmp_path: Path) -> None:
    """`load` takes a path as a string or a `Path`; line ends of Windows and a byte order mark do not matter."""
    path = tmp_path / "m.spec"
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    assert specdsl.load(path).models == specdsl.load(str(path)).models == ("small", "large")
    assert specdsl.load(path).text == TEXT


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"model m { input x: (4,)\nDense(\xe9) }"])
def test_files_that_cannot_be_read(content: bytes | None, tmp_path: Path) -> None:
    """A missing file and one that is no UTF-8 are `SpecError`s that name the file."""
    path = tmp_path / "m.spec"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SpecError, match=str(path)) as refused:
        specdsl.load(path)
    assert refused.value.diagnostics[0].slug is Slug.UNREADABLE


def test_models_and_their_parameters() -> None:
    """`model` gives the last model, or the one named, with values for its parameters."""
    spec = specdsl.loads(TEXT)
    small = spec.model("small")
    assert isinstance(small, Graph)
    assert (small.name, small.docstring, dict(small.parameters)) == ("small", "A small one.", {"n": 2, "act": "relu"})
    assert spec.model("small", n=5, act=None).nodes[-1].shape == (5,)
    assert spec.model(n=3).name == "large"
    assert spec.model(n=3) == spec.model("large", n=3) != spec.model(n=4)
    with pytest.raises(SpecError, match="needs a value for 'n'"):
        spec.model()
    with pytest.raises(SpecError, match="did you mean 'small'"):
        spec.model("smal")
    with pytest.raises(SpecError, match="has no parameter 'm'"):
        spec.model("small", m=2)
    assert spec.default_graph("large") is None
    assert spec.default_graph("small") == small
    assert spec.graph("small", {"n": 2}) == small


def test_what_a_graph_gives() -> None:
    """Report, source and drawing are a method each."""
    graph = specdsl.load(ROOT / "specs" / "bn_cnn.spec").model()
    report = graph.report().to_dict()
    assert report["totals"]["params"] == 98_155
    assert graph.analyse().totals.params == 98_155
    assert "def build_model() -> keras.Model:" in graph.to_python()
    assert graph.diagram().dot.startswith("digraph bn_cnn")
    assert [node.name for node in graph.input_nodes] == ["image"]
    assert graph.output_shapes == ((43,),)


def test_graphs_cannot_be_changed() -> None:
    """A graph and its layers are values."""
    graph = specdsl.loads(TEXT).model("small")
    with pytest.raises(AttributeError):
        graph.name = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        graph.nodes[-1].layer.units = 3  # type: ignore[attr-defined]


def test_mistakes_are_values() -> None:
    """A `SpecError` holds every mistake with kind, message and place, and reads well as a string."""
    with pytest.raises(SpecError) as refused:
        specdsl.loads("model m {\n    input x: (4,)\n    Dens(3)\n    Dense(3, activaton=none)\n}", "m.spec")
    first, second = refused.value.diagnostics
    assert isinstance(first, Diagnostic)
    assert (first.slug, first.help) == (Slug.UNKNOWN_STEP, "did you mean 'Dense'?")
    assert first.span is not None
    assert (str(first.span), first.span.position, first.span.text) == ("m.spec:3:5", (3, 5), "Dens")
    assert second.slug is Slug.UNKNOWN_ARGUMENT
    assert "m.spec:4:14: error[unknown-argument]" in str(refused.value)


def test_expectations_do_not_keep_a_model_back() -> None:
    """A model whose promises are broken is still a model: `check` and `compile` speak of promises."""
    assert specdsl.loads("model m { input x: (4,); Dense(2); expect params == 11 }").model().expectations


def test_limits_are_an_argument(tmp_path: Path) -> None:
    """`load` and `loads` take limits."""
    text = "model m { input x: (4,); repeat 4 { Dense(2) } }"
    (tmp_path / "m.spec").write_text(text)
    for made in (
        lambda: specdsl.loads(text, limits=Limits(layers=3)),
        lambda: specdsl.load(tmp_path / "m.spec", Limits(layers=3)),
    ):
        with pytest.raises(SpecError, match="more than 3 layers"):
            made()


def test_a_file_without_models() -> None:
    """It is a good file, and asking for its model is a mistake."""
    spec = specdsl.loads("let a = 1\nblock b { Dense(a) }")
    assert spec.models == ()
    with pytest.raises(SpecError, match="has no model"):
        spec.model()


def test_the_package_loads_what_is_asked_for() -> None:
    """Public names are found when they are used, all of them; others are attribute errors."""
    assert set(specdsl.__all__) >= {"Diagnostic", "Graph", "Spec", "SpecError", "__version__", "load", "loads"}
    assert all(getattr(specdsl, name) is not None for name in specdsl.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        specdsl.lode  # noqa: B018
    code = (
        "import sys, specdsl; assert 'lark' not in sys.modules; specdsl.loads('let a = 1');"
        "assert 'lark' in sys.modules; assert 'specdsl.backends.report' not in sys.modules;"
        "g = specdsl.loads('model m { input x: (4,); Dense(1) }').model(); g.report(); g.to_python();"
        "assert not {'keras', 'numpy', 'graphviz', 'rich'} & set(sys.modules); g.diagram().dot;"
        "assert 'graphviz' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
