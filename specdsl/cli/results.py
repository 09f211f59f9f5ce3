"""The verbs `results` and `compare`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specdsl.cli.shared import PATH, Failure, WrongInput, count, write

if TYPE_CHECKING:
    from specdsl.results.document import Document
    from specdsl.results.summary import Results

_RUNS = click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN...")
_CONFIDENCE = click.option(
    "--confidence",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    help="Of all intervals.",
)
_OUTPUT = click.option("--output", "-o", type=PATH, metavar="FILE", help="Write to a file.")


@click.command()
@_RUNS
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Whose spread is told: `test_loss`, or `all`.")
@_CONFIDENCE
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "markdown", "csv", "trials", "json", "latex"]),
    default="table",
    show_default=True,
    help="`csv` has a row for each model and measure, `trials` one for each trial.",
)
@_OUTPUT
@click.option("--figures", type=PATH, metavar="DIR", help="Draw all figures into a folder, as SVG and PNG.")
@click.option("--html", "page", type=PATH, metavar="FILE", help="Write all that is known of the runs as one page.")
@click.option(
    "--data",
    metavar="NAME|PATH",
    help="Where the data lie that figures show test examples of; by default where the recipes say.",
)
@click.option(
    "--trial",
    type=click.IntRange(1),
    help="The trial whose predictions figures show class by class; by default the average of all.",
)
def results(
    runs: tuple[Path, ...],
    metrics: tuple[str, ...],
    confidence: float,
    form: str,
    output: Path | None,
    figures: Path | None,
    page: Path | None,
    data: str | None,
    trial: int | None,
) -> None:
    """Tell what runs amount to: means, spreads and intervals over trials, beside published figures.

    A RUN is the folder of a run or of an experiment.
    """
    if figures is None and page is None and (data is not None or trial is not None):
        said = "--trial" if data is None else "--data"
        raise WrongInput(f"{said} is for what is drawn: it goes with --figures or --html")
    with _told():
        found = _load(runs, confidence)
        if form in ("csv", "trials", "json"):
            forms: dict[str, Callable[[], str]] = {
                "csv": found.to_csv,
                "trials": found.trials_csv,
                "json": lambda: _json(found.to_dict()),
            }
            text = forms[form]()
        else:
            chosen = [measured.key for measured in found.measures] if "all" in metrics else list(metrics)
            text = _shown(found.table(*chosen), form, output)
        if figures is not None or page is not None:
            _draw(found, figures, page, data, trial)
    _write(text, output)


@click.command()
@_RUNS
@click.option("--metric", metavar="NAME", help="What is compared; by default the test accuracy, or else the test loss.")
@click.option("--baseline", metavar="MODEL", help="Compare all others with this one, and not all pairs.")
@click.option(
    "--margin",
    type=click.FloatRange(0, min_open=True),
    help="The largest difference that counts as none: in points of accuracies (by default 0.5), else in units.",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0, 0.5, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="The level of the tests, over all pairs.",
)
@_CONFIDENCE
@click.option("--paired", is_flag=True, help="Compare trials of the same number, which share order and augmentation.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "markdown", "csv", "json", "latex"]),
    default="table",
    show_default=True,
)
@_OUTPUT
def compare(
    runs: tuple[Path, ...],
    metric: str | None,
    baseline: str | None,
    margin: float | None,
    alpha: float,
    confidence: float,
    paired: bool,
    form: str,
    output: Path | None,
) -> None:
    """Compare the models of runs in pairs: tests, effects, equivalence, and a verdict on each pair.

    A RUN is the folder of a run or of an experiment.
    """
    with _told():
        found = _load(runs, confidence).compare(metric, baseline=baseline, margin=margin, alpha=alpha, paired=paired)
        if form == "csv":
            text = found.to_csv()
        elif form == "json":
            text = _json(found.to_dict())
        else:
            text = _shown(found.table(), form, output)
    _write(text, output)


def show_results(folder: Path) -> None:
    """Print what the runs of an experiment amount to."""
    with _told():
        _write(_shown(_load((folder,), 0.95).table(), "table", None), None)


@contextmanager
def _told() -> Iterator[None]:
    """Makes mistakes in what the user gave, and packages that are missing, messages."""
    from specdsl.declaration import Misuse
    from specdsl.runs import RunError

    try:
        yield
    except (Misuse, RunError) as error:
        raise WrongInput(error.message + (f"\n  help: {error.help}" if error.help else "")) from None
    except ModuleNotFoundError as error:
        if error.name not in ("scipy", "statsmodels", "matplotlib"):
            raise
        raise Failure(f"results need {error.name}: `pip install 'specdsl[training]'` brings it") from None


def _load(runs: tuple[Path, ...], confidence: float) -> Results:
    from specdsl.results.summary import load_results
    from specdsl.runs import missing

    for path in runs:
        for lost in missing(path):
            click.echo(f"{lost.name}: left out: there is no run in {lost}", err=True)
    return load_results(runs, confidence)


def _draw(results: Results, folder: Path | None, page: Path | None, data: str | None, trial: int | None) -> None:
    """Write figures and the page, and say what is left out of them."""
    from dataclasses import replace

    from specdsl.cli.data import data_at
    from specdsl.results.figures import gallery
    from specdsl.results.reloading import Reloaded
    from specdsl.results.telling import unlike_published

    source, prepared = (None, None) if data is None else data_at(data)
    samples = results.samples
    pictures = gallery(
        [replace(sample.run, key=sample.key) for sample in samples],
        Reloaded(source, prepared),
        {sample.key: sample.published for sample in samples},
        trial,
        results.confidence,
        " ".join(unlike_published(samples)),
    )
    if folder is not None:
        try:
            files = pictures.save(folder)
        except OSError as error:
            raise Failure(f"{error.filename or folder} cannot be written: {error.strerror or error}") from None
        click.echo(f"wrote {count(len(files) // 2, 'figure')} to {folder}", err=True)
    if page is not None:
        from specdsl.results.html import to_html

        write(page, to_html(results, pictures, page.parent).encode())
        click.echo(f"wrote {page}", err=True)
    for key, reasons in pictures.missing.items():
        for why in reasons:
            click.echo(f"{key}: left out: {why}", err=True)


def _shown(document: Document, form: str, output: Path | None) -> str:
    if form == "markdown":
        return document.to_markdown()
    if form == "latex":
        return document.to_latex()
    text = document.to_text(shutil.get_terminal_size().columns)
    return text if output is None else click.unstyle(text)


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _write(text: str, output: Path | None) -> None:
    if output is None:
        click.echo(text, nl=False)
        return
    write(output, text.encode())
    click.echo(f"wrote {output}", err=True)
