"""`specdsl diff`: what a variant changes is what is shown, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given

import specdsl
from specdsl.backends.difference import Difference
from tests.spec_strategies import spec_texts
from tests.test_cli import SPECS, spec

BASE = """
model base {
    input image: (12, 12, 3)
    Conv2D(8, 3) as stem -> ReLU
    Conv2D(16, 3) -> ReLU
    Flatten
    Dense(10, "softmax")
}
model more = base with { after ReLU { Dropout(0.5) } }
model less = base with { remove ReLU[0] }
model wide = base with { set Conv2D[1].filters = 32 }
model pooled = base with { replace Flatten { GlobalAveragePooling2D } }
"""


def difference(before: str, after: str, text: str = BASE) -> Difference:
    loaded = specdsl.loads(text)
    return loaded.model(before).diff(loaded.model(after))


def kinds(found: Difference) -> list[tuple[str, str]]:
    return [(one.kind, (one.after or one.before).node.name) for one in found.changes]  # type: ignore[union-attr]


def test_edits_show_as_what_they_are() -> None:
    """An insertion, a removal, another argument and a replacement, with what they do to the layers behind them."""
    assert kinds(difference("base", "more")) == [("added", "dropout"), ("added", "dropout_1")]
    assert kinds(difference("base", "less")) == [("removed", "re_lu")]
    assert kinds(difference("base", "pooled")) == [
        ("removed", "flatten"), ("added", "global_average_pooling2d"), ("changed", "dense"),
    ]  # fmt: skip
    wide = difference("base", "wide")
    assert kinds(wide) == [("changed", "conv2d"), ("changed", "re_lu_1"), ("changed", "flatten"), ("changed", "dense")]
    assert wide.changes[0].arguments == {"filters": (16, 32)}
    assert wide.changes[-1].arguments == {}
    assert wide.unchanged == 2


def test_other_wiring_is_a_change() -> None:
    """The same layers that take other tensors are not the same model."""
    text = """
    model a { input x: (4,); Dense(4) as p; ReLU as q; [p, q] -> Add }
    model b { input x: (4,); Dense(4) as p; ReLU as q; [x, q] -> Add }
    """
    (change,) = difference("a", "b", text).changes
    assert (change.kind, change.rewired, change.arguments) == ("changed", True, {})


def test_swapping_the_sides_swaps_added_and_removed() -> None:
    """What is added one way is removed the other way."""
    forth, back = difference("base", "more"), difference("more", "base")
    assert [one.kind for one in forth.changes] == ["added", "added"]
    assert [one.kind for one in back.changes] == ["removed", "removed"]
    assert forth.unchanged == back.unchanged


@given(spec_texts())
def test_a_model_does_not_differ_from_itself(text: str) -> None:
    """Of any model with itself nothing is shown, wherever it stands; any two models of a file can be compared."""
    loaded, again = specdsl.loads(text), specdsl.loads(f"\n{text}")
    names = [name for name in loaded.models if not loaded.program.required(name)]
    graphs = [loaded.model(name).analyse() for name in names]
    for name, graph in zip(names, graphs, strict=True):
        assert not Difference(graph, graph)
        assert not Difference(graph, again.model(name).analyse())
    between = Difference(graphs[0], graphs[-1])
    counted = [layer for layer in graphs[0].layers if not layer.shared and layer.node.inputs]
    most = max(graphs, key=lambda graph: len(graph.layers))
    assert 0 <= between.unchanged <= len(most.layers)
    assert Difference(graphs[0], graphs[0]).unchanged == len(counted)
    assert json.dumps(between.to_dict())
    assert between.to_markdown()
    assert between.to_text(60)


def test_long_models_are_compared_in_a_moment() -> None:
    """Ten thousand equal layers with one more among them."""
    text = """
    model long { input x: (4,); repeat 5000 { Dense(4) }; ReLU; repeat 5000 { Dense(4) } }
    model longer = long with { after ReLU { Dropout(0.5) } }
    """
    assert kinds(difference("long", "longer", text)) == [("added", "dropout")]


def test_diff_on_the_command_line(run, tmp_path) -> None:
    """Exit 1 with what differs, 0 where nothing does, 2 for a wrong name; a bare `:MODEL` is of the first file."""
    code, out, err = run("diff", str(SPECS / "original.spec"), str(SPECS / "dropout.spec") + ":dropout2")
    assert (code, err) == (1, "")
    assert "+  dropout  Dropout  (1024,)" in out
    path = spec(tmp_path, BASE)
    assert run("diff", f"{path}:base", ":base")[0] == 0
    code, out, _ = run("diff", f"{path}:base", ":wide", "--format", "json")
    told = json.loads(out)
    assert (code, told["different"], told["changes"][0]["arguments"]) == (
        1, True, {"filters": {"before": "16", "after": "32"}},
    )  # fmt: skip
    assert "filters 16 → 32" in run("diff", f"{path}:base", ":wide", "--format", "markdown")[1]
    code, _, err = run("diff", f"{path}:base", ":wid")
    assert (code, "did you mean 'wide'?" in err) == (2, True)
    assert run("diff", ":base", path)[0] == 2


def test_a_file_with_models_as_steps_does_not_differ_from_itself(run, tmp_path: Path) -> None:
    """A model within is the same wherever in a text its steps stand, and another one once a step of it is."""
    text = "model inner { input x: (2,); Dense(2); ReLU }\nmodel m { input x: (2,); repeat 3 { inner } }"
    texts = {"first": text, "moved": f"# moved\n\n{text}", "other": text.replace("ReLU", "ELU")}
    for name, content in texts.items():
        (tmp_path / f"{name}.spec").write_text(content)
    first, moved, other = (str(tmp_path / f"{name}.spec") for name in texts)
    assert run("diff", first, first)[0] == 0
    assert run("diff", first, moved)[0] == 0
    code, out, _ = run("diff", first, other, columns=120)
    assert (code, out.count("its model differs within")) == (1, 3)
