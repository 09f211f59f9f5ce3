"""The verb `explain`."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import click

from specdsl.backends.table import Column, Line, fitted
from specdsl.cli.shared import WrongInput, colour, running_text
from specdsl.diagnostics import Slug, did_you_mean
from specdsl.source import Source

_PACKAGE = Path(__file__).parents[1]
PAGES = next(
    (folder for folder in (_PACKAGE / "errors", _PACKAGE.parent / "docs" / "errors") if folder.is_dir()),
    _PACKAGE / "errors",
)
"""A page of Markdown for each kind of mistake: within the installed package, or among the project's documents."""

_FENCED = re.compile(r"^```([\w-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


@click.command()
@click.argument("kind", required=False)
def explain(kind: str | None) -> None:
    """Explain a kind of mistake, with an example and how to mend it, or list all kinds."""
    kinds = [str(slug) for slug in Slug]
    if kind is None:
        columns = [Column(""), Column("", least=30)]
        rows = [[[Line(name)], [Line(summary(page(name)))]] for name in sorted(kinds)]
        for lines in fitted(columns, rows, shutil.get_terminal_size().columns)[1:]:
            click.echo("\n".join(lines))
    elif kind in kinds:
        click.echo(_readable(page(kind), running_text()), nl=False, color=colour())
    else:
        hint = did_you_mean(kind, kinds) or "`specdsl explain` lists them"
        raise WrongInput(f"there is no kind of mistake '{kind}'; {hint}")


def page(kind: str) -> str:
    """The page of a kind of mistake, as Markdown."""
    return (PAGES / f"{kind}.md").read_text(encoding="utf-8")


def summary(markdown: str) -> str:
    """The first paragraph of a page: what the kind means, in one sentence."""
    return markdown.split("\n\n")[1].replace("\n", " ")


def _readable(markdown: str, width: int) -> str:
    """A page for a terminal: text wrapped, headings bold, what is fenced set in."""
    parts: list[str] = []
    end = 0
    for fence in _FENCED.finditer(markdown):
        parts += _paragraphs(markdown[end : fence.start()], width)
        parts.append("\n".join(f"    {line}".rstrip() for line in _painted(fence[1], fence[2]).splitlines()))
        end = fence.end()
    parts += _paragraphs(markdown[end:], width)
    return "\n\n".join(parts) + "\n"


def _painted(language: str, text: str) -> str:
    """What is fenced, in colours where it is a spec and goes to a terminal."""
    if not language.endswith("spec") or colour() is False or not sys.stdout.isatty():
        return text
    from specdsl.cli.painting import paint

    return paint(Source("", text), 0, len(text))


def _paragraphs(markdown: str, width: int) -> list[str]:
    paragraphs = []
    for paragraph in filter(None, markdown.strip().split("\n\n")):
        if paragraph.startswith("#"):
            paragraphs.append(click.style(paragraph.lstrip("# "), bold=True))
        else:
            paragraphs.append(click.wrap_text(_LINK.sub(r"\1", paragraph).replace("\n", " "), width))
    return paragraphs
