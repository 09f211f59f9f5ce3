"""The pages that explain the kinds of mistakes: one for each, each with an example that is really refused so.

After a change that is meant to change a message: `pytest tests/test_errors.py --accept`, then read the difference.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from specdsl import SpecError, load
from specdsl.analyses import broken_expectations
from specdsl.cli.explaining import PAGES, page, summary
from specdsl.diagnostics import Diagnostic, Slug, render

ROOT = Path(__file__).parents[1]
EXAMPLE = re.compile(r"```wrong-spec\n(?P<spec>.*?)```\n\n```text\n(?P<shown>.*?)```", re.DOTALL)
INDEX = re.compile(r"<!-- kinds -->\n.*?\n<!-- end -->", re.DOTALL)


def mistakes(path: Path) -> tuple[Diagnostic, ...]:
    """Everything that `specdsl check` would say of a file."""
    try:
        spec = load(path)
    except SpecError as error:
        return error.diagnostics
    graphs = filter(None, map(spec.default_graph, spec.models))
    return tuple(wrong for graph in graphs for wrong in broken_expectations(graph.analyse()))


def test_every_kind_has_a_page_and_every_page_a_kind() -> None:
    assert {path.name for path in PAGES.iterdir()} == {"README.md", *(f"{slug}.md" for slug in Slug)}


@pytest.mark.parametrize("slug", Slug)
def test_a_page_says_what_why_and_how(slug: Slug) -> None:
    """A page has its kind as title, a sentence on what it means, a wrong example, and under a heading a mended one."""
    text = page(slug)
    assert text.startswith(f"# {slug}\n\n")
    assert re.fullmatch(r"[A-Z`][^.]*(`\.[^.]*)?\.", summary(text)), summary(text)
    assert len(summary(text)) <= 120
    head, _, mending = text.partition("\n## How to mend it\n")
    assert len(EXAMPLE.findall(head)) == 1
    assert mending.count("```spec\n") == 1


@pytest.mark.parametrize("slug", Slug)
def test_the_wrong_example_gives_that_kind_and_the_shown_text(
    slug: Slug, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example is refused with no other kind of mistake, in just the words that the page shows."""
    text = page(slug)
    match = EXAMPLE.search(text)
    assert match
    monkeypatch.chdir(tmp_path)
    Path("example.spec").write_text(match["spec"], encoding="utf-8")
    found = mistakes(Path("example.spec"))
    assert {wrong.slug for wrong in found} == {slug}
    shown = "".join(f"{render(wrong)}\n" for wrong in found)
    if request.config.getoption("--accept"):
        begin, end = match.span("shown")
        text = text[:begin] + shown + text[end:]
        (PAGES / f"{slug}.md").write_text(text, encoding="utf-8")
    match = EXAMPLE.search(text)
    assert match
    assert match["shown"] == shown


def test_the_list_in_the_documents_is_that_of_the_pages(request: pytest.FixtureRequest) -> None:
    """docs/errors/README.md links each page, with its first sentence."""
    path = ROOT / "docs" / "errors" / "README.md"
    text = path.read_text(encoding="utf-8")
    rows = [f"| [`{slug}`]({slug}.md) | {summary(page(slug))} |" for slug in sorted(Slug)]
    table = "\n".join(["<!-- kinds -->", "| kind | what it means |", "| --- | --- |", *rows, "<!-- end -->"])
    produced = INDEX.sub(lambda _: table, text)
    if request.config.getoption("--accept"):
        path.write_text(produced, encoding="utf-8")
        text = produced
    assert produced == text


def test_explain_lists_all_kinds(run) -> None:
    code, out, err = run("explain", columns=120)
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == sorted(Slug)
    assert "selector          The selector of an edit matches nothing in the base of the variant." in out


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("slug", Slug)
def test_explain_shows_a_page(run, slug: Slug, columns: int) -> None:
    """Every page is shown without marks of Markdown, its text in the width of the terminal, its examples whole."""
    code, out, err = run("explain", str(slug), columns=columns)
    assert (code, err) == (0, "")
    assert out.startswith(f"{slug}\n\n")
    assert "\x1b" not in out
    assert not re.search(r"^#|```|\]\(", out, re.MULTILINE)
    assert max(len(line) for line in out.splitlines() if not line.startswith("    ")) <= min(columns, 100)
    match = EXAMPLE.search(page(slug))
    assert match
    for line in (match["spec"] + match["shown"]).splitlines():
        assert f"    {line}".rstrip() in out.splitlines()


@pytest.mark.parametrize(
    ("kind", "says"),
    [("shape-missmatch", "did you mean 'shape-mismatch'?"), ("zzz", "`specdsl explain` lists them")],
)
def test_explain_knows_no_other_kind(run, kind: str, says: str) -> None:
    code, out, err = run("explain", kind)
    assert (code, out) == (2, "")
    assert says in err


def test_only_a_terminal_is_told_where_more_is_said(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line of a run that found mistakes names the verb; files and pipes are spared it."""
    for name in ("a.spec", "b.spec"):
        (tmp_path / name).write_text("model m {\n    input x: (3,)\n    Dens(3) -> Dense\n}\n")
    commands = [
        ("check", str(tmp_path)),
        ("compile", str(tmp_path / "a.spec")),
        ("check", str(tmp_path), "--format", "json"),
    ]
    for command in commands:
        assert "specdsl explain" not in run(*command)[2]
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    said = "`specdsl explain unknown-step` says more; also: missing-argument"
    for command in commands[:2]:
        err = run(*command)[2]
        assert err.count("specdsl explain") == 1
        assert err.splitlines()[-1].endswith(said)
    assert "specdsl explain" not in run(*commands[2])[2]
