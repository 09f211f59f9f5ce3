"""The test examples of runs, loaded again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from specdsl.declaration import Misuse
from specdsl.recipes.sources import Cifar10, Mnist, Source
from specdsl.recipes.stored import restored
from specdsl.runs import RunRecord

if TYPE_CHECKING:
    from specdsl.data import DataSet, Examples

DIFFERENT = "the data at hand are not those that it was tested on"


@dataclass
class Reloaded:
    """Loads the data of runs, each set once. Called with a run, it gives its test examples or says why there are none.

    Args:
        source: where the data come from; by default where each run's recipe says. What Keras would have to fetch is
            then left alone.
        folder: where the prepared files of `gtsrb` lie.
    """

    source: Source | None = None
    folder: Path | None = None
    _loaded: dict[Source, DataSet | str] = field(default_factory=dict)

    def __call__(self, run: RunRecord) -> Examples | str:
        """The test examples of a run, or why there are none: only those count that are equal to the last byte."""
        try:
            source = _declared(run) if self.source is None else self.source.completed(_declared(run))
        except Misuse:
            if self.source is None:
                return "its recipe names no data that this version knows"
            source = self.source
        if self.source is None and isinstance(source, Mnist | Cifar10):
            return f"the test examples were not loaded (--data {source.spec_name()} loads them)"
        if source not in self._loaded:
            self._loaded[source] = self._load(source)
        found = self._loaded[source]
        if isinstance(found, str):
            return found
        return found.test if found.fingerprint() == run.data.get("sha256") else DIFFERENT

    def _load(self, source: Source) -> DataSet | str:
        from specdsl.data import DataError, load

        try:
            return load(source, folder=self.folder)
        except DataError as error:
            return error.message


def _declared(run: RunRecord) -> Source:
    """The source that a run's recipe names.

    Raises:
        Misuse: this version has no such source, or it does not take its arguments.
    """
    data = run.recipe.get("data")
    source = restored(data.get("source") if isinstance(data, Mapping) else None, "sources")
    if not isinstance(source, Source):
        raise Misuse("the recipe names no data")
    return source
