"""What an experiment declares beside what its runs did: published figures are of the former."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from specdsl.diagnostics import SpecError
from specdsl.limits import Limits
from specdsl.resolve import Importer, Program, experiment, train_recipe
from specdsl.runs import RunRecord
from specdsl.runs.files import plain
from specdsl.syntax import read

_PLACES = ("path",)
"""Arguments of a source that say where data lie, and not which."""


def departures(run: RunRecord, name: str) -> tuple[str, ...]:
    """How a run's recipe departs from that of its experiment, such as `epochs 5 in place of 800`.

    The experiment is read again from the texts in the run's folder. Where that cannot be, nothing is told.

    Args:
        run: a run of the experiment.
        name: the experiment's name.
    """
    limits = Limits()
    try:
        program = Program(read(run.entry, limits), limits, Importer(run.entry, limits))
        graph = program.graph(run.model, run.config.get("model_parameters") or {})
        declared = plain(train_recipe(program, experiment(program, name).train, graph.input_nodes[0].shape))
    except (OSError, ValueError, KeyError, IndexError, SpecError):
        return ()
    return tuple(_departures(declared, run.recipe, ""))


def _departures(declared: Any, made: Any, place: str) -> Iterator[str]:
    """The settings that differ, the outermost that do."""
    if declared == made:
        return
    if _kind(declared) is None or _kind(declared) != _kind(made):
        yield f"{place} {_told(made)} in place of {_told(declared)}"
        return
    for name, value in made.items():
        # What a later version has added is not in an older run, and the other way round.
        if name in declared and name not in _PLACES:
            yield from _departures(declared[name], value, f"{place}.{name}" if place else name)


def _kind(value: Any) -> Any:
    return value.get("type") if isinstance(value, Mapping) else None


def _told(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_told, value)) or "none"
    return "none" if value is None else str(_kind(value) or value)
