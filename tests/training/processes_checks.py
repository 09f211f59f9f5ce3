"""A trial in a worker process, and the same in this one when it is kept to as many cores.

`python -m tests.training.processes_checks FOLDER` prints what differs, and which frameworks were in this process
between the two.
"""

from __future__ import annotations

import io
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from specdsl.data import load
from specdsl.training import Plan, Way, hardware, run, workers
from tests.training.killing import results
from tests.training.models import SOURCE, SPEC, graph, recipe


def check(folder: Path) -> dict[str, Any]:
    """Carry out both, and compare all that must be the same."""
    ways = {"worker": Way(processes=max(2, hardware.cores())), "here": Way()}
    plan = Plan(graph(), recipe(), load(SOURCE), "tiny.spec", {"model.spec": SPEC}, "spec/model.spec", seed=3)
    console = Console(file=io.StringIO())
    run(replace(plan, way=ways["worker"]), folder / "worker", console=console)
    frameworks = sorted({"keras", "tensorflow", "jax", "torch"} & set(sys.modules))
    os.environ.update(workers.environment(ways["worker"], 0))
    workers.pin(ways["worker"], 0)
    run(replace(plan, way=ways["here"]), folder / "here", console=console)
    one, other = results(folder / "worker"), results(folder / "here")
    differing = sorted(name for name in {**one, **other} if one.get(name) != other.get(name))
    return {"frameworks": frameworks, "compared": len(one), "differing": differing}


if __name__ == "__main__":
    print(json.dumps(check(Path(sys.argv[1]))))
