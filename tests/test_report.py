"""The forms of the report: what one tells, all tell; each is well-formed by the rules of its kind."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator

import specdsl
from specdsl import Graph
from specdsl.backends.report.columns import COLUMNS
from specdsl.backends.report.latex import escape
from specdsl.backends.report.totals import TOTALS, told_totals
from specdsl.backends.schemas import SCHEMAS
from tests.spec_strategies import spec_texts
from tests.test_backends import SEVERAL, STRANGE, every_graph, graphs

BN_CNN = specdsl.load(Path(__file__).parents[1] / "specs" / "bn_cnn.spec").model()

# ---------------------------------------------------------------------------------------------- the schemas


def strict(schema: Any) -> Any:
    """A schema that takes no key that it does not name."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {"additionalProperties": False} if "properties" in schema and schema.get("type") == "object" else {}
    return {key: strict(value) for key, value in schema.items()} | closed


VALIDATORS = {name: Draft202012Validator(strict(make())) for name, make in SCHEMAS.items()}


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_schemas(name: str) -> None:
    """Each is one of its dialect, names it, and describes every key of the report."""
    schema = SCHEMAS[name]()
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    if name == "report":
        documented = [schema["properties"], *(schema["$defs"][kind]["properties"] for kind in ("Layer", "Totals"))]
        assert all(part.get("description") or "$ref" in part for keys in documented for part in keys.values())


@every_graph
def test_every_report_and_difference_is_as_the_schema_says(graph: Graph) -> None:
    """With every key that the schema names, and no other."""
    VALIDATORS["report"].validate(json.loads(graph.report().to_json()))
    VALIDATORS["diff"].validate(graph.diff(SEVERAL).to_dict())


def test_the_schema_refuses_what_is_no_report() -> None:
    """A key that is missing, unknown or of another type is noticed, within models too."""
    inner = next(one.values[0] for one in graphs() if any(layer.inner for layer in one.values[0].analyse().layers))
    for spoil in (
        lambda report: report["layers"][0].pop("macs"),
        lambda report: report["totals"].update(depth="3"),
        lambda report: next(one for one in report["layers"] if one["layers"])["layers"][0].update(colour="red"),
    ):
        report = inner.report().to_dict()
        VALIDATORS["report"].validate(report)
        spoil(report)
        assert not VALIDATORS["report"].is_valid(report)


# ---------------------------------------------------------------------------------------------- CSV


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(text, newline=""), strict=True))


def cell(value: Any) -> str:
    """A value of the dictionary as CSV has it."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def check_csv(graph: Graph) -> None:
    told = read_csv(graph.report().to_csv())
    report = graph.report().to_dict()
    own = [row for row in told if row["model"] == graph.name]
    for row, layer in zip(own, report["layers"], strict=True):
        assert row == {"model": graph.name} | {key: cell(value) for key, value in layer.items() if key != "layers"}

    def number(layers: list[Any]) -> int:
        return sum(1 + number(layer["layers"] or []) for layer in layers)

    assert len(told) == number(report["layers"])


@every_graph
def test_csv_has_a_row_for_each_layer(graph: Graph) -> None:
    """Read back, each row has what JSON has of the layer."""
    check_csv(graph)


# ---------------------------------------------------------------------------------------------- LaTeX


def check_latex(graph: Graph) -> None:
    """Check that environments and braces close, and that each line of each table has as many cells as its columns."""
    text = graph.report().to_latex()
    opened: list[str] = []
    columns = 0
    for line in text.splitlines():
        for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", line):
            if kind == "begin":
                opened.append(name)
            else:
                assert opened.pop() == name
        bare = re.sub(r"\\[\\{}&%#_$]", "", line)
        assert bare.count("{") == bare.count("}"), line
        if begun := re.search(r"\\begin\{(?:tabular|longtable)\}\{@\{\}([lr]+)@\{\}\}", line):
            columns = len(begun[1])
        elif opened and opened[-1] in ("tabular", "longtable") and line.endswith(r"\\") and r"\caption" not in line:
            spans = sum(int(number) - 1 for number in re.findall(r"\\multicolumn\{(\d+)\}", line))
            assert bare.count("&") + 1 + spans == columns, line
    assert not opened
    assert r"\input" not in text
    for node in graph.nodes:
        assert escape(node.name.removeprefix(f"{node.scope}-")) in text


@every_graph
def test_latex_is_well_formed(graph: Graph) -> None:
    """Whatever names and arguments there are, tables stay tables."""
    check_latex(graph)


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no LaTeX")
@pytest.mark.parametrize("fonts", ["", r"\usepackage[T1]{fontenc}"], ids=["plain", "T1"])
def test_latex_compiles(fonts: str, tmp_path: Path) -> None:
    """With a LaTeX at hand, short tables and long ones come out, with the packages that the documents name."""
    deep = specdsl.loads("model m { input x: (4,); repeat 60 { Dense(4) } }").model()
    body = "\n".join(graph.report().to_latex() for graph in (BN_CNN, SEVERAL, STRANGE, deep))
    packages = rf"{fonts}\usepackage{{booktabs,longtable}}"
    text = rf"\documentclass{{article}}{packages}\begin{{document}}{body}{escape(ODD)}\end{{document}}"
    (tmp_path / "report.tex").write_text(text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]


ODD = "".join(map(chr, range(32, 127))) + "·×←→−é"


def test_nothing_in_a_text_is_a_command_of_latex() -> None:
    """What LaTeX would take for a command, a comment or a place in a table is written as a letter."""
    bare = re.sub(r"\\(text\w+\{\}|[{}$&#%_])|\{\\char34\}|\$\\\w+\$|\$-\$", "", escape(ODD))
    assert not set(bare) & set("\\{}$&#%_^~·×←→−")
    assert escape("a---b") == "a-{}-{}-b"


# ---------------------------------------------------------------------------------------------- HTML

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """What a page holds; it fails where tags do not close in the order in which they were opened."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[list[str]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.cells.append([])
        if tag in ("th", "td"):
            self.cells[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "tr" in self.open and self.cells and self.cells[-1]:
            self.cells[-1][-1] += data


def check_page(graph: Graph) -> Page:
    """Check that a page is well-formed, stands alone, and has a row with as many cells as columns for each layer."""
    page = Page(graph.report().to_html())
    addresses = [value for _, given in page.tags for key, value in given.items() if key in ("src", "href", "srcset")]
    assert all(str(value).startswith("#") for value in addresses)
    identifiers = [given["id"] for _, given in page.tags if given.get("id")]
    assert len(set(identifiers)) == len(identifiers)
    assert all(given["aria-labelledby"] in identifiers for _, given in page.tags if given.get("aria-labelledby"))
    heads = [given for tag, given in page.tags if tag == "th" and given.get("scope") == "col"]
    said = [cells for cells in page.cells if len(cells) == len(heads)]
    names = [cells[0] for cells in said]
    for node in graph.nodes:
        assert any(name.startswith(node.name.removeprefix(f"{node.scope}-")) for name in names), node.name
    return page


def test_a_page_stands_alone() -> None:
    """No address is in it, in no tag, style or script, and nothing in a text is taken for a tag."""
    for graph in (BN_CNN, SEVERAL, STRANGE):
        check_page(graph)
        html = graph.report().to_html()
        assert "://" not in html
        assert "@import" not in html
        assert "<svg" in html
    assert "a&lt;b&gt; &amp; c" in STRANGE.report().to_html()


def test_blocks_of_a_page_fold_together() -> None:
    """Each row names the blocks that it stands in, each of which has a heading with a button above it."""
    page = check_page(BN_CNN)
    rows = [given for tag, given in page.tags if tag == "tr" and "data-in" in given]
    headings = {str(given["data-block"]) for given in rows if given.get("data-block")}
    assert headings == {"conv_bn", "conv_bn_1"}
    assert [given["data-in"] for given in rows][2:6] == ["conv_bn"] * 4
    assert all(set(str(given["data-in"]).split()) <= headings for given in rows)


def test_a_page_of_many_layers_has_no_diagram() -> None:
    """Drawing them would take minutes."""
    graph = specdsl.loads("model m { input x: (4,); repeat 600 { Dense(4) } }").model()
    page = check_page(graph)
    assert "svg" not in {tag for tag, _ in page.tags}


# ---------------------------------------------------------------------------------------------- all of them


@given(spec_texts())
@settings(max_examples=40, deadline=None)
def test_any_model_can_be_told_in_every_form(text: str) -> None:
    """What holds of the models at hand holds of random ones."""
    spec = specdsl.loads(text)
    graph = spec.model()
    VALIDATORS["report"].validate(json.loads(graph.report().to_json()))
    check_csv(graph)
    check_latex(graph)


def test_a_fact_stands_in_all_forms_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry in one of the two tables is all that a new column or total takes."""
    column = COLUMNS[0]._replace(
        key="rank",
        kind=int,
        value=lambda row: len(row.node.shape),
        title="Axes",
        text=lambda row: f"rank {len(row.node.shape)}",
    )
    total = TOTALS[0]._replace(key="answer", value=lambda _: 4242, title="Answer")
    for module in ("columns", "totals", "data", "csv"):
        for name, table in (("COLUMNS", (*COLUMNS, column)), ("TOTALS", (*TOTALS, total))):
            monkeypatch.setattr(f"specdsl.backends.report.{module}.{name}", table, raising=False)
    report = BN_CNN.report()
    assert all(layer["rank"] for layer in report.to_dict()["layers"])
    assert report.to_dict()["totals"]["answer"] == 4242
    assert Draft202012Validator(strict(SCHEMAS["report"]())).is_valid(report.to_dict())
    assert read_csv(report.to_csv())[0]["rank"] == "3"
    for form in (report.to_text(120), report.to_markdown(), report.to_latex(), report.to_html()):
        assert "rank 3" in form
        assert "4,242" in form


def test_totals_for_people_have_the_values_of_the_data() -> None:
    """The amounts that people read are those of the dictionary, in words."""
    said = {total.title: total.amount for total in told_totals(BN_CNN.analyse())}
    assert said["Parameters"] == "98,155"
    assert said["Receptive field"] == "(16, 16)"
    assert said["Peak of activations"] == "144.0 KiB"
