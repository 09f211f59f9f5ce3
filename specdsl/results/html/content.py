"""What the page of an experiment tells, before it is HTML."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from specdsl.analyses import analyse
from specdsl.backends.diagram import Diagram, DiagramError
from specdsl.diagnostics import SpecError
from specdsl.limits import Limits
from specdsl.resolve import Importer, Program
from specdsl.results.measures import Measure
from specdsl.results.samples import Sample, reason, state
from specdsl.runs import RunError, RunRecord
from specdsl.runs.layout import HISTORY, MODEL, PREDICTIONS
from specdsl.syntax import read

MOST_DRAWN = 300
"""Layers up to which the page has a model's diagram."""

FILES = {HISTORY: "history", PREDICTIONS: "predictions", MODEL: "model"}
"""The files of a trial that the page links to, and what they are called there."""


@dataclass(frozen=True, slots=True)
class Link:
    """A way to a file: relative to the page where that can be."""

    title: str
    address: str


@dataclass(frozen=True, slots=True)
class Trial:
    """A row of the table of trials."""

    number: int
    folder: Link
    state: str
    why: str
    epochs: str
    kept: str
    values: tuple[str, ...]
    seconds: str
    speed: str
    files: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """A file of a spec, and the models that were made of it."""

    name: str
    models: tuple[str, ...]
    source: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model as it was run.

    Attributes:
        key: what it is called on the page.
        docstring: what its spec says of it, in paragraphs.
        arguments: the values of its own parameters.
        parameters: how many it has, or an empty text.
        svg: its diagram, or an empty text.
        why: why there is no diagram.
        layers: how many it has; None where it could not be read.
    """

    key: str
    docstring: tuple[str, ...]
    arguments: str
    parameters: str
    svg: str
    why: str
    layers: int | None


def model(sample: Sample) -> Model:
    """A run's model, read again from the texts in its folder; what is wrong with these is told and no more."""
    run = sample.run
    parameters = "" if sample.parameters is None else f"{sample.parameters:,}"
    chosen = run.config.get("model_parameters") or {}
    arguments = ", ".join(f"{name} = {told(value)}" for name, value in chosen.items())
    try:
        limits = Limits()
        graph = Program(read(run.entry, limits), limits, Importer(run.entry, limits)).graph(run.model, chosen)
        layers = len(graph.nodes)
        docstring = tuple(" ".join(one.split()) for one in graph.docstring.split("\n\n") if one.strip())
        if layers > MOST_DRAWN:
            return Model(
                sample.key, docstring, arguments, parameters, "", f"of {layers:,} layers is not drawn here", layers
            )
        svg = Diagram(analyse(graph)).svg()
        return Model(sample.key, docstring, arguments, parameters, svg, "", layers)
    except (OSError, ValueError, KeyError):
        why = "cannot be drawn: its spec is not in the run's folder"
    except SpecError as error:
        why = f"cannot be drawn: {error.diagnostics[0].message}"
    except DiagramError as error:
        why = f"cannot be drawn: {error}"
    return Model(sample.key, (), arguments, parameters, "", why, None)


def texts(samples: Sequence[Sample]) -> list[Text]:
    """The texts that runs keep of their specs, each once."""
    found: dict[tuple[str, str], list[str]] = {}
    for sample in samples:
        try:
            entry = sample.run.entry
            others = sorted(path for path in entry.parent.rglob("*.spec") if path != entry)
            for path in (entry, *others):
                text = path.read_text(encoding="utf-8")
                found.setdefault((path.relative_to(entry.parent).as_posix(), text), []).append(sample.key)
        except (OSError, ValueError, KeyError):
            continue
    return [Text(name, tuple(keys), source) for (name, source), keys in found.items()]


def trials(sample: Sample, measures: Sequence[Measure], page: Path) -> list[Trial]:
    """Every trial that was begun, with its files."""
    return [
        Trial(
            number=trial.trial,
            folder=link(trial.folder, f"trial {trial.trial}", page),
            state=state(trial),
            why="" if state(trial) == "finished" else reason(trial),
            epochs=f"{trial.epochs:,}" + (", stopped early" if trial.stopped_early else ""),
            kept=f"{trial.kept_epoch:,}" if trial.kept_epoch else "",
            values=tuple(one.value(trial.final.get(one.key)) for one in measures),
            seconds=f"{trial.seconds:,.0f}",
            speed=f"{trial.images_per_second:,.0f}" if trial.images_per_second else "",
            files=tuple(link(trial.folder / name, title, page) for name, title in FILES.items()
                        if (trial.folder / name).exists()),
        )
        for trial in sample.run.trials
    ]  # fmt: skip


def link(file: Path, title: str, page: Path) -> Link:
    """A link from a page in a folder."""
    try:
        way = os.path.relpath(file.resolve(), page.resolve())
    except ValueError:  # another drive
        return Link(title, file.resolve().as_uri())
    return Link(title, quote(Path(way).as_posix()))


def settings(samples: Sequence[Sample]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The recipes' settings, each with its value, or with several and the models that have them."""
    flat = [dict(_settings(sample.run.recipe)) for sample in samples]
    rows = []
    for name in dict.fromkeys(name for one in flat for name in one):
        values: dict[str, list[str]] = {}
        for sample, one in zip(samples, flat, strict=True):
            values.setdefault(one.get(name, "none"), []).append(sample.key)
        several = len(values) > 1
        rows.append((name, [(value, ", ".join(keys) if several else "") for value, keys in values.items()]))
    return rows


def _settings(recipe: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    for name, value in recipe.items():
        title = f"{within}{name}".replace("_", " ")
        if name == "type":
            continue
        if name == "data" and isinstance(value, Mapping):
            yield from _settings(value, "data: ")
        else:
            yield title, told(value)


def told(value: Any) -> str:
    """A value of `config.json` as a spec would say it."""
    match value:
        case {"type": str(name), **arguments}:
            given = ", ".join(f"{key}={told(one)}" for key, one in arguments.items() if one is not None)
            return f"{name}({given})"
        case [first, *_] if isinstance(first, dict) and "type" in first:
            return " → ".join(map(told, value))
        case list():
            return ", ".join(map(told, value)) or "none"
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case _:
            return json.dumps(value, ensure_ascii=False)


def data_of(run: RunRecord) -> list[tuple[str, str]]:
    """What is known of a run's data."""
    data = run.data
    rows = [("name", str(data["name"])), ("task", str(data["task"])), ("shape", " × ".join(map(str, data["shape"])))]
    if data["class_names"]:
        rows.append(("classes", f"{len(data['class_names']):,}"))
    rows += [(part, f"{int(data[part]):,} examples") for part in ("train", "validation", "test") if data.get(part)]
    return [*rows, ("sha256", str(data.get("sha256", "")))]


def environment(run: RunRecord) -> list[tuple[str, str]]:
    """Software and machine of a run."""
    try:
        versions = run.versions
    except RunError:
        return []
    way = run.config.get("way") or {}
    flat: dict[str, Any] = {"back end": run.config.get("backend")}
    flat |= {name: value for name, value in way.items() if name != "backend" and value not in (None, 1)}
    flat["chosen for"] = run.config.get("why") or None
    for name, value in versions.items():
        flat |= value if isinstance(value, Mapping) else {name: value}
    return [(str(name), str(value)) for name, value in flat.items() if value is not None]


def commands(samples: Sequence[Sample]) -> list[str]:
    """The commands that repeat runs, from the texts in their folders: one for an experiment, else one for each run."""
    found: dict[str, None] = {}
    grouped: dict[tuple[Path, str], list[Sample]] = {}
    for sample in samples:
        grouped.setdefault((sample.run.folder.resolve().parent, sample.run.experiment or ""), []).append(sample)
    for (_, experiment), group in grouped.items():
        if experiment:
            found[_command(group[0].run, experiment, group)] = None
        else:
            found |= {_command(sample.run, "", [sample]): None for sample in group}
    return list(found)


def _way(way: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The options by which trials are trained in the way in which they were."""
    engine = way.get("engine")
    names = ("method", "together", "processes", "devices") if engine == "fused" else ("processes",)
    said = [(f"--{name}", way.get(name)) for name in names if name == "together" or way.get(name) != 1]
    return [("--engine", engine), *said] if engine else []


def _command(run: RunRecord, experiment: str, group: Sequence[Sample]) -> str:
    """A command as a shell takes it, with every option that is not the default of the text."""
    asked = run.config.get("request") or {}
    words = ["specdsl", "experiment" if experiment else "train"]
    words.append(str(run.folder / str(run.config.get("entry", "spec/model.spec"))))
    if experiment:
        words += [experiment, "--models", ",".join(one.run.key for one in group)]
        chosen = asked.get("settings") or []
    else:
        words += ["--model", run.model]
        chosen = asked.get("settings")
        if chosen is None:
            chosen = [f"{name}={told(value)}" for name, value in (run.config.get("model_parameters") or {}).items()]
    words += [word for one in chosen for word in ("--set", str(one))]
    for option, value in (
        ("--recipe", asked.get("recipe")),
        ("--data", asked.get("data")),
        ("--epochs", run.recipe.get("epochs")),
        ("--batch", run.recipe.get("batch")),
        ("--trials", run.config.get("trials")),
        ("--seed", run.config.get("seed")),
        ("--backend", run.config.get("backend")),
        *_way(run.config.get("way") or {}),
    ):
        if value is not None:
            words += [option, str(value)]
    return shlex.join(words)
