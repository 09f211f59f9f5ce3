"""Software and machine, as far as they can change a result."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from specdsl.runs.files import RunError, read_json
from specdsl.training.hardware import cores
from specdsl.version import __version__


def versions(backend: str) -> dict[str, Any]:
    """What `versions.json` says."""
    return {
        "specdsl": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cpus": cores(),
        "packages": {name: _version(name) for name in ("keras", backend, "numpy")},
    }


def changes(file: Path, backend: str) -> list[str]:
    """What a run was begun with and is not gone on with, in words."""
    try:
        was = read_json(file)
    except RunError:
        return [f"it is not known what the run was begun with, for there is no {file.name}"]
    old, new = _flat(was), _flat(versions(backend))
    return [
        f"begun with {name} {old.get(name)}, going on with {new[name]}" for name in new if old.get(name) != new[name]
    ]


def _flat(told: Mapping[str, Any]) -> dict[str, Any]:
    """Software and machine by their names, packages among them."""
    return {name: value for name, value in told.items() if name != "packages"} | dict(told.get("packages", {}))


def _version(package: str) -> str | None:
    for name in (package, f"{package}_cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None
