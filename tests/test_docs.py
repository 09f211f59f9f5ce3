"""The documents are true: their specs are valid, their commands exist, the output they show is the output.

After a change that is meant to change an output: `pytest tests/test_docs.py --accept`, then read the difference.
"""

from __future__ import annotations

import inspect
import re
import shlex
from pathlib import Path

import click
import pytest

import specdsl
from specdsl import cli
from specdsl.backends import diagram
from specdsl.backends.coverage import coverage
from specdsl.backends.operations import markdown
from specdsl.backends.recipes import markdown as recipes
from specdsl.layers.normalization import RMSNormalization
from specdsl.limits import Limits
from specdsl.resolve import Importer
from specdsl.source import Source
from specdsl.syntax.formatter import format_source
from tests.test_corpus import mistakes

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "errors").glob("*.md")),
]
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"<!-- file: (.*?) -->\n```spec\n(.*?)```", re.DOTALL)
DROPOUTS = ("dropout1", "dropout2", "dropout3")
SHOWN = re.compile(r"<!-- output: (.*?) -->\n```text\n(.*?)```", re.DOTALL)


def blocks(language: str) -> list[pytest.param]:
    found = []
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        for match in FENCED.finditer(text):
            if match[1] == language:
                line = text.count("\n", 0, match.start()) + 1
                found.append(pytest.param(match[2], id=f"{path.relative_to(ROOT)}:{line}"))
    return found


@pytest.mark.parametrize("text", blocks("spec"))
def test_specs_in_documents_are_valid_and_canonical(text: str) -> None:
    """Every spec in a document holds no mistake, keeps its promises and is in canonical form.

    What it imports lies among the examples.
    """
    source = Source("document", text)
    importer = Importer(ROOT / "docs" / "examples" / "document.spec", Limits())
    assert [str(wrong.message) for wrong in mistakes(source, importer)] == []
    assert format_source(source) == text


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_outputs_in_documents_are_what_comes_out(
    path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, run
) -> None:
    """What a document shows as a file is that file, and as the output of a command its output at 100 columns."""
    monkeypatch.chdir(ROOT)

    def produce(match: re.Match[str]) -> str:
        _, out, err = run(*shlex.split(match[1]), columns=100)
        return f"<!-- output: {match[1]} -->\n```text\n{out}{err}```"

    text = path.read_text(encoding="utf-8")
    copied = FILE.sub(lambda match: f"<!-- file: {match[1]} -->\n```spec\n{Path(match[1]).read_text('utf-8')}```", text)
    produced = SHOWN.sub(produce, copied)
    if request.config.getoption("--accept") and produced != text:
        path.write_text(produced, encoding="utf-8")
        text = produced
    assert produced == text


def test_the_page_of_layers_is_what_the_table_says(request: pytest.FixtureRequest) -> None:
    """docs/layers.md is made from the layer table and from nothing else."""
    path = ROOT / "docs" / "layers.md"
    made = coverage()
    if request.config.getoption("--accept"):
        path.write_text(made, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == made


def test_the_page_of_recipes_is_what_the_declarations_say(request: pytest.FixtureRequest) -> None:
    """docs/recipes.md is what `specdsl recipes --markdown` prints."""
    path = ROOT / "docs" / "recipes.md"
    made = recipes()
    if request.config.getoption("--accept"):
        path.write_text(made, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == made


def test_the_tables_of_operations_are_what_the_declarations_say(request: pytest.FixtureRequest) -> None:
    """docs/augmentation.md shows what `specdsl operations --markdown` prints."""
    path = ROOT / "docs" / "augmentation.md"
    text = path.read_text(encoding="utf-8")
    begin, end = "<!-- operations -->\n", "<!-- end of operations -->"
    before, after = text.partition(begin)[0], text.partition(end)[2]
    made = f"{before}{begin}\n{markdown()}\n{end}{after}"
    if request.config.getoption("--accept"):
        path.write_text(made, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == made


def test_the_layer_that_contributors_are_shown_is_that_layer() -> None:
    """CONTRIBUTING.md shows all of RMSNormalization, as it is."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```python\n(class .*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert shown == [inspect.getsource(RMSNormalization)]


@pytest.mark.parametrize("text", blocks("console"))
def test_commands_in_documents_exist(text: str) -> None:
    """Every `specdsl` command in a document names a verb and options that there are, and files that exist."""
    for line in re.findall(r"^\$ specdsl (.*)$", text, re.MULTILINE):
        verb, *arguments = shlex.split(line, comments=True)
        command = cli.cli.get_command(click.Context(cli.cli), verb)
        assert command is not None, line
        if isinstance(command, click.Group):
            command = command.commands[arguments.pop(0)]
        known = {name for parameter in command.params for name in parameter.opts}
        assert {argument for argument in arguments if argument.startswith("-")} <= known, line
        for argument in arguments:
            if argument.startswith(("specs/", "docs/")):
                assert list(ROOT.glob(argument.partition(":")[0])), argument


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link and picture of a document is there, and so is the heading that a link names."""
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text):
        if re.match(r"https?:", target):
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, target


@pytest.mark.parametrize("spec", sorted((ROOT / "specs").glob("*.spec")), ids=lambda path: path.stem)
def test_every_spec_has_its_place_in_the_documents(spec: Path) -> None:
    """Each shipped spec is described in docs/specs.md with its diagram."""
    text = (ROOT / "docs" / "specs.md").read_text(encoding="utf-8")
    assert f"specs/{spec.name}" in text
    assert f"images/{spec.stem}" in text


def drawn() -> list[pytest.param]:
    """The diagrams in the documents, each with the spec and the model that it is of."""
    paths = sorted((ROOT / "specs").glob("*.spec"))
    models = [(path, model) for path in paths for model in (DROPOUTS if path.stem == "dropout" else [path.stem])]
    models.append((ROOT / "docs" / "examples" / "residual.spec", "two_blocks"))
    return [pytest.param(path, model, id=model) for path, model in models]


@pytest.mark.parametrize(("path", "model"), drawn())
def test_diagrams_are_what_is_drawn(
    path: Path, model: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each diagram in the documents is what the engine that comes with specdsl draws today."""
    monkeypatch.setenv("PATH", "/nonexistent")
    diagram.engine.cache_clear()
    svg = specdsl.load(path).model(model).diagram().svg()
    diagram.engine.cache_clear()
    shown = ROOT / "docs" / "images" / (f"{model}.svg" if model != "two_blocks" else "residual.svg")
    if request.config.getoption("--accept"):
        shown.write_text(svg, encoding="utf-8")
    assert shown.read_text(encoding="utf-8") == svg


def test_every_published_architecture_is_in_the_zoo_page() -> None:
    """Each file of the zoo stands in the table of docs/zoo.md with the parameters that its models have."""
    text = (ROOT / "docs" / "zoo.md").read_text(encoding="utf-8")
    for path in sorted((ROOT / "specs" / "zoo").glob("*.spec")):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        rows = re.findall(rf"\| `{path.name}`, {lines} \| [\d,]+ \| ([\d,]+) \|", text)
        spec = specdsl.load(path)
        known = {f"{spec.model(name).report().to_dict()['totals']['params']:,}" for name in spec.models}
        assert rows, path.name
        assert set(rows) <= known, path.name
