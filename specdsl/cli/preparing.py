"""The verb `data prepare`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from time import perf_counter
from typing import Literal

import click

from specdsl.cli.shared import PATH, Failure, WrongInput, told


@click.command()
@click.argument("name", type=click.Choice(["gtsrb"]))
@click.argument("more", nargs=-1, type=PATH, metavar="[ZIP]...")
@click.option(
    "--from",
    "sources",
    multiple=True,
    type=PATH,
    metavar="DIR|ZIP",
    help="Archives or folders that you have; without it they are fetched. Can be given several times.",
)
@click.option("--size", type=click.IntRange(8, 1024), default=32, show_default=True, help="Height and width in pixels.")
@click.option("--roi", is_flag=True, help="Cut images to the sign, with a small margin, in place of the whole frame.")
@click.option("--to", type=PATH, metavar="DIR", help="Where the result is to lie; by default where training looks.")
@click.option("--partial", is_flag=True, help="Take less than the whole benchmark; what is trained on it says so.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that decode; by default one a core, at most 8.")
def prepare(
    name: str,
    more: tuple[Path, ...],
    sources: tuple[Path, ...],
    size: int,
    roi: bool,
    to: Path | None,
    partial: bool,
    workers: int | None,
) -> None:
    """Make the images of a benchmark ready for training: fetched or read, checked, resized, and kept in one file.

    The German Traffic Sign Recognition Benchmark is known, as its authors' archives or as the copy on Kaggle, packed or
    unpacked. A fetch that was stopped goes on where it stopped.
    """
    if more and not sources:
        raise WrongInput(f"to read {more[0]}, write --from {more[0]}")
    from specdsl.data import DataError
    from specdsl.data.files import OutsideError
    from specdsl.data.gtsrb import data_folder
    from specdsl.data.gtsrb_images import cores
    from specdsl.data.gtsrb_prepare import prepare as prepare_gtsrb

    reporter, begun = _Reporter(), perf_counter()
    try:
        result = prepare_gtsrb(
            (*sources, *more),
            to or data_folder(),
            reporter,
            size=size,
            roi=roi,
            partial=partial,
            workers=workers or cores(),
        )
    except KeyboardInterrupt:
        if reporter.fetching:
            click.echo("what was fetched is kept: the same command goes on from there", err=True)
        raise
    except DataError as error:
        raise (Failure if isinstance(error, OutsideError) else WrongInput)(told(error)) from None
    about = result.about
    part = ", a part of the benchmark" if about.partial else ""
    click.echo(
        f"{name} at {size}x{size} pixels, {'regions of interest' if roi else 'whole frames'}: "
        f"{about.train:,} training and {about.test:,} test images{part}"
    )
    megabytes = result.file.stat().st_size / 1e6
    made = f"made in {perf_counter() - begun:.0f} s" if result.new else "was there, and is whole"
    click.echo(f"{result.file}: {megabytes:,.0f} MB, {made}")
    called = f"{name}({', '.join(['size=' + str(size)] * (size != 32) + ['roi=true'] * roi)})".removesuffix("()")
    if result.file.parent == data_folder():
        click.echo(f"to train on it: --data {quote(called)}, or in the spec: data signs = {called}")
    else:
        click.echo(f"to train on it: --data {quote(str(result.file))}")


class _Reporter:
    """Tells what happens on standard error, so that a pipe that is closed stops nothing; on a terminal, with bars."""

    def __init__(self) -> None:
        self.fetching = False

    def say(self, text: str) -> None:
        click.echo(text, err=True)

    @contextmanager
    def progress(self, what: str, unit: Literal["bytes", "images"]) -> Iterator[Callable[[int, int | None], None]]:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.table import Column

        if not sys.stderr.isatty():
            self.say(what)
        self.fetching = what.startswith("fetching")
        counted: ProgressColumn = (
            DownloadColumn(table_column=Column(no_wrap=True)) if unit == "bytes" else MofNCompleteColumn()
        )
        columns = [
            TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", ratio=2)),
            BarColumn(bar_width=None, table_column=Column(ratio=1, min_width=4)),
            counted,
            TimeRemainingColumn(compact=True),
        ]
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty(), expand=True) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        self.fetching = False
