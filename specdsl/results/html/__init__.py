"""Runs and experiments as one page of HTML that needs nothing beside it: styles, figures and diagrams stand in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from pygments import highlight
from pygments.formatters import HtmlFormatter

from specdsl.declaration import Misuse
from specdsl.highlight import SpecLexer
from specdsl.results.document import Document
from specdsl.results.html import content, inline
from specdsl.version import __version__

if TYPE_CHECKING:
    from specdsl.results.figures import Gallery, Picture
    from specdsl.results.samples import Sample
    from specdsl.results.summary import Results
    from specdsl.runs import RunRecord

LARGEST = 100_000
"""Characters of a text that is shown with its words by kind."""


def to_html(results: Results, pictures: Gallery, page: Path) -> str:
    """The results of runs as one page.

    Args:
        results: the results.
        pictures: their figures, by the keys of the results' samples.
        page: the folder that the page will lie in, which links to files of the runs start from.
    """
    samples = results.samples
    measures = results.measures
    documents, without = _documents(results)
    warnings = [
        *dict.fromkeys(warning for document in documents for warning in document.warnings),
        *_unfinished(results),
    ]
    names = _Names()
    models = []
    for sample in samples:
        model = content.model(sample)
        diagram = model.svg and inline.diagram(
            model.svg, names.fresh(), f"The layers of {sample.key}, from input to output"
        )
        models.append({
            "model": model,
            "id": names.fresh("model"),
            "diagram": Markup(diagram),
            "trials": content.trials(sample, measures, page),
            "figures": [_figure(picture, names) for picture in pictures.runs.get(sample.key, ())],
            "missing": pictures.missing.get(sample.key, ()),
        })  # fmt: skip
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.get_template("page.html.jinja").render(
        title=results.title,
        several=len(samples) > 1,
        facts=documents[0].facts,
        warnings=warnings,
        parts=[part for document in documents for part in document.parts],
        without=without,
        together=[_figure(picture, names) for picture in pictures.together],
        models=models,
        measures=[measured.title for measured in measures],
        settings=content.settings(samples),
        data=_each(samples, content.data_of),
        environment=_each(samples, content.environment),
        texts=[{"text": text, "code": Markup(_coloured(text.source))} for text in content.texts(samples)],
        commands=content.commands(samples),
        version=__version__,
    )


def _documents(results: Results) -> tuple[list[Document], str]:
    """What is told of the results, and why they are not compared where they are not."""
    keys = [measured.key for measured in results.measures]
    chosen = [key for key in ("test_accuracy", "test_loss") if key in keys]
    documents = [results.table(*chosen)]
    if len(results.samples) < 2:
        return documents, ""
    try:
        return [*documents, results.compare().table()], ""
    except Misuse as misuse:
        return documents, misuse.message


def _unfinished(results: Results) -> Iterator[str]:
    """What makes the results of a run less than they were meant to be, in sentences."""
    for sample in results.samples:
        states = {name: count for name, count in sample.states().items() if name != "finished"}
        if states:
            told = ", ".join(f"{count} {name}" for name, count in states.items())
            yield f"{sample.key}: of {sample.planned} planned {'trial' if sample.planned == 1 else 'trials'}, {told}."


class _Names:
    """Ids that no two things on the page share."""

    def __init__(self) -> None:
        self._count = 0

    def fresh(self, kind: str = "drawing") -> str:
        self._count += 1
        return f"{kind}-{self._count}"


def _figure(picture: Picture, names: _Names) -> dict[str, object]:
    svg = inline.figure(picture.svg(), names.fresh(), picture.alternative)
    width, height = (float(size) for size in re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)', svg)[0])
    return {
        "title": picture.title,
        "caption": picture.caption,
        "svg": Markup(svg),
        "size": "narrow" if width < 400 else "large" if height > 360 else "",
    }


def _each(
    samples: Sequence[Sample], of: Callable[[RunRecord], list[tuple[str, str]]]
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Tables that say the same of several runs, each once with the runs that it holds for; of all without a word."""
    found: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for sample in samples:
        found.setdefault(tuple(of(sample.run)), []).append(sample.key)
    several = len(found) > 1
    return [(", ".join(keys) if several else "", list(rows)) for rows, keys in found.items()]


def _coloured(text: str) -> str:
    """A spec with its words by kind, as HTML."""
    from markupsafe import escape

    if len(text) > LARGEST:
        return str(escape(text))
    return str(highlight(text, SpecLexer(stripnl=False), HtmlFormatter(nowrap=True)))
