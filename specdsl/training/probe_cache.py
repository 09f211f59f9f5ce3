"""What probes have measured, kept in the user's cache folder: a file for each way to train, whole or not there. Light.

A file is found by everything that its content depends on. One that cannot be read, or says something else, is as good
as none.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from specdsl.cache import cache_folder
from specdsl.functional import models_in
from specdsl.graph import Graph
from specdsl.runs.files import RunError, make_folder, plain, read_json, write_json
from specdsl.training.hardware import Hardware
from specdsl.training.probing import Rate, sizes_of
from specdsl.training.ways import Way
from specdsl.training.works import Work
from specdsl.version import __version__

_PACKAGES = ("keras", "tensorflow", "tensorflow_cpu", "jax", "jaxlib", "torch", "numpy")
_VARIABLES = ("XLA_FLAGS", "JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES", "TF_XLA_FLAGS", "OMP_NUM_THREADS")
_INDIFFERENT = ("epochs", "schedule", "patience", "min_delta", "monitor", "source", "seed", "path")
"""Settings of a recipe that change nothing in the time that a step takes."""


@dataclass(frozen=True, slots=True)
class Known:
    """What was measured before.

    Attributes:
        rate: what was measured.
        day: when.
        file: where it is kept.
    """

    rate: Rate
    day: str
    file: Path


def folder() -> Path:
    """Where measurements are kept, there or not."""
    return cache_folder() / "ways"


def read(work: Work, way: Way, hardware: Hardware) -> Known | None:
    """What was measured of a way, or None."""
    key = _key(work, way, hardware)
    file = _file(key)
    try:
        kept = read_json(file)
        if kept["key"] != key:
            return None
        return Known(Rate.of(kept["rate"]), str(kept["day"]), file)
    except (RunError, KeyError, ValueError):
        return None


def write(work: Work, way: Way, hardware: Hardware, rate: Rate) -> None:
    """Keep what was measured, where that can be: a cache that cannot be written is none.

    A failure is kept where it is lasting: memory, a device or a process that failed may not fail another time.
    """
    if rate.failed is not None and not rate.lasting:
        return
    key = _key(work, way, hardware)
    with suppress(RunError):
        make_folder(folder())
        write_json(_file(key), {"key": key, "rate": rate.to_dict(), "day": datetime.now().strftime("%Y-%m-%d")})


def _file(key: Mapping[str, Any]) -> Path:
    return folder() / f"{sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]}.json"


def _key(work: Work, way: Way, hardware: Hardware) -> dict[str, Any]:
    """Everything that the time of a way depends on, as JSON has it."""
    job = work.job
    key = {
        "way": {**asdict(way), "together": sizes_of(work, way)},
        "machine": {
            "platform": hardware.platform,
            "name": hardware.name,
            "devices": hardware.devices,
            "cores": hardware.cores,
        },
        "software": _software(),
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "model": _structure(job.graph),
        "recipe": _essentials(plain(job.recipe)),
        "examples": {
            "shape": job.train.x.shape[1:],
            "type": str(job.train.x.dtype),
            "told": [job.train.y.shape[1:], str(job.train.y.dtype)],
            "number": [len(job.train), *(len(job.examples(part)) for part in job.measured)],
        },
    }
    found: dict[str, Any] = json.loads(json.dumps(plain(key)))
    return found


def _structure(graph: Graph) -> list[Any]:
    """The layers of a model with what they are connected to, without names and docstrings."""
    places = {node.name: place for place, node in enumerate(graph.nodes)}
    owners = {owner: place for place, owner in enumerate(dict.fromkeys(node.owner for node in graph.nodes))}
    return [
        [
            _essentials(plain(node.layer)),
            [_structure(model.graph) for model in models_in(node.layer)],
            [[places[tensor.node], tensor.index] for tensor in node.inputs],
            list(node.shapes),
            list(node.dtypes),
            owners[node.owner],
            sorted(node.options),
        ]
        for node in graph.nodes
    ]


def _essentials(value: Any) -> Any:
    """A value of JSON without what changes nothing in the time of a step: those settings, and how large floats are."""
    match value:
        case dict():
            return {name: _essentials(item) for name, item in value.items() if name not in _INDIFFERENT}
        case list():
            return [_essentials(item) for item in value]
        case float():
            return "float"
        case _:
            return value


@cache
def _software() -> dict[str, Any]:
    """The versions of everything that computes; of specdsl what its engines are, to the letter."""
    texts = sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        texts.update(file.read_bytes())
    versions = {name: _version(name) for name in _PACKAGES}
    return {
        "specdsl": __version__,
        "engines": texts.hexdigest()[:16],
        "python": platform.python_version(),
        **{name: one for name, one in versions.items() if one is not None},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
