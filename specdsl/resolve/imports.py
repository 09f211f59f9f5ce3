"""Definitions from other files of the project."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from specdsl.diagnostics import Diagnostic, Note, Slug, SpecError, did_you_mean
from specdsl.limits import Limits
from specdsl.resolve.scope import Problem
from specdsl.source import Source, Span
from specdsl.syntax import read

Definitions = tuple[dict[str, Any], tuple[Diagnostic, ...]]
"""What the names of a file stand for, and what is wrong in it."""

MARKS = (".git", "pyproject.toml", ".specdsl")
"""What the top folder of a project holds."""


class Importer:
    """Finds the files that a project's files name, and refuses those outside and those that import themselves.

    Args:
        path: the file that everything begins with.
        limits: how large files may be, and how many may import one another in a row.

    Attributes:
        root: the top folder of the project.
        known: the files that are read, each once however often it is named.
        texts: what stood in them.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self._path = path
        self._limits = limits
        start = path.resolve()
        marked = (folder for folder in start.parents if any((folder / mark).exists() for mark in MARKS))
        self.root = next(marked, start.parent)
        self.known: dict[Path, Definitions] = {}
        self.texts: dict[Path, str] = {}
        self._open: list[tuple[Path, Span | None]] = [(start, None)]

    @contextmanager
    def importing(self, name: str, span: Span) -> Iterator[Path]:
        """A file named by the file that is being read; within, that file is the one being read.

        Raises:
            Problem: the file is outside the project, or is being read already.
        """
        folder = self._open[-1][0].parent
        path = (folder / name).resolve()
        if Path(name).is_absolute() or not path.is_relative_to(self.root):
            hint = f"a path is relative to the file that imports, and stays inside {self.root}"
            raise Problem(Slug.UNREADABLE, f"'{name}' stands outside the project", span, help=hint)
        for known, _ in self._open:
            if known == path:
                notes = [Note("it is imported here", place) for _, place in self._open[1:] if place]
                raise Problem(Slug.DUPLICATE, f"'{name}' imports itself", span, *notes)
        if len(self._open) >= self._limits.imports:
            message = f"more than {self._limits.imports} files import one another in a row"
            raise Problem(Slug.LIMIT, message, span, help=self._limits.raising("imports"))
        self._open.append((path, span))
        try:
            yield path
        finally:
            self._open.pop()

    def read(self, path: Path, span: Span) -> Source:
        """The text of a file that is imported at a place.

        Raises:
            Problem: the file cannot be read.
        """
        try:
            source = read(path, self._limits, self._shown(path))
        except SpecError as error:
            (wrong,) = error.diagnostics
            near = did_you_mean(path.name, [found.name for found in path.parent.glob("*.spec")])
            raise Problem(wrong.slug, wrong.message, span, help=wrong.help or near) from None
        self.texts[path] = source.text
        return source

    def _shown(self, path: Path) -> str:
        """A path as messages show it: from the folder of the first file, as that was given."""
        start = self._path.resolve().parent
        return str(self._path.parent / path.relative_to(start)) if path.is_relative_to(start) else str(path)
