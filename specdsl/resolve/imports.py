"""Definitions from other files of the project."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from specdsl.diagnostics import Note, Slug, SpecError, did_you_mean
from specdsl.resolve.scope import Problem
from specdsl.source import Source, Span
from specdsl.syntax import read

DEEPEST = 32
"""Files that import one another in a row, at most."""

MARKS = (".git", "pyproject.toml")
"""What the top folder of a project holds."""


class Importer:
    """Finds the files that a project's files name, and refuses those outside and those that import themselves.

    Args:
        path: the file that everything begins with.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        start = path.resolve()
        marked = (folder for folder in start.parents if any((folder / mark).exists() for mark in MARKS))
        self.root = next(marked, start.parent)
        self._open: list[tuple[Path, Span | None]] = [(start, None)]

    @contextmanager
    def importing(self, name: str, span: Span) -> Iterator[Source]:
        """The text of a file named by the file that is being read; within, that file is the one being read.

        Raises:
            Problem: the file is outside the project, cannot be read, or is being read already.
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
        if len(self._open) >= DEEPEST:
            raise Problem(Slug.LIMIT, f"more than {DEEPEST} files import one another in a row", span)
        try:
            source = read(path, self._shown(path))
        except SpecError as error:
            near = did_you_mean(Path(name).name, [found.name for found in path.parent.glob("*.spec")])
            raise Problem(Slug.UNREADABLE, error.diagnostics[0].message, span, help=near) from None
        self._open.append((path, span))
        try:
            yield source
        finally:
            self._open.pop()

    def _shown(self, path: Path) -> str:
        """A path as messages show it: from the folder of the first file, as that was given."""
        start = self._path.resolve().parent
        return str(self._path.parent / path.relative_to(start)) if path.is_relative_to(start) else str(path)
