"""The verbs under `data`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from specdsl.cli.preparing import prepare
from specdsl.cli.shared import WrongInput
from specdsl.diagnostics import did_you_mean

if TYPE_CHECKING:
    from specdsl.recipes import Source


@click.group()
def data() -> None:
    """Data sets: what they hold, and how they come here."""


data.add_command(prepare)


def data_at(written: str) -> tuple[Source, Path | None]:
    """The source that a word or a path names, and the folder of its prepared files where it is one of those.

    Raises:
        WrongInput: it names none.
        SpecError: it is the call of a source, and its arguments are wrong.
    """
    from specdsl.data import DataError
    from specdsl.data.origin import is_path, source_at
    from specdsl.recipes import SOURCES, Gtsrb
    from specdsl.resolve import source_called

    if is_path(written):
        try:
            source = source_at(Path(written))
        except DataError as error:
            raise WrongInput(told(error)) from None
        place = Path(written)
        return source, (place if place.is_dir() else place.parent) if isinstance(source, Gtsrb) else None
    if "(" not in written and written not in SOURCES:
        hint = did_you_mean(written, SOURCES) or f"data are one of {', '.join(SOURCES)}, or a path"
        raise WrongInput(f"there is no data set, file or folder '{written}'\n  help: {hint}")
    return source_called(written, "--data"), None


def told(error: Exception) -> str:
    """A mistake in data or in arguments, with its help, as the command line tells it."""
    hint = getattr(error, "help", None)
    return getattr(error, "message", str(error)) + (f"\n  help: {hint}" if hint else "")
