"""Lets each call that writes fail, or kill the process, in turn; what is gone on with must be as if nothing had been.

`python -m tests.training.faults FOLDER EVERY` prints what was tried: every call, or every second, and so on. It is a
process of its own, since it forks for each attempt.
"""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from rich.console import Console

import specdsl
from specdsl.data import DataSet, Examples
from specdsl.recipes import TrainRecipe, Validation
from specdsl.runs import RunError
from specdsl.runs.files import CannotWrite
from specdsl.training import Plan, carrying, engines, frameworks, run_all
from tests.training.models import SPEC, data

KILLED = 9


@cache
def plan(trials: int = 2, epochs: int = 3, seed: int = 5, **recipe: Any) -> Plan:
    """A run of a few milliseconds for each epoch, with a validation part."""
    rng = np.random.default_rng(0)
    train, test = (
        Examples(rng.integers(0, 255, (count, 16, 16, 3), np.uint8), np.arange(count, dtype=np.int32) % 43)
        for count in (86, 43)
    )
    declared = TrainRecipe(data=data(validation=Validation(fraction=0.5, by="image"), augment=[], evaluate=[]),
                           batch=20, epochs=epochs, **recipe)  # fmt: skip
    graph = specdsl.loads(SPEC.replace("(12, 12, 3)", "(16, 16, 3)")).model()
    names = tuple(f"class {number}" for number in range(43))
    texts = {"model.spec": SPEC, "a/b.spec": ""}
    return Plan(graph, declared, DataSet("noise", train, test, names), "tiny.spec", texts, "spec/model.spec",
                trials=trials, seed=seed)  # fmt: skip


def carry_out(out: Path, made: Plan | None = None, every: int | None = 1, name: str | None = None) -> str:
    """Begin a run, or go on with it when it was begun; gives what was shown."""
    begun = (out / ("config.json" if name is None else "experiment.json")).exists()
    console = Console(file=io.StringIO(), width=100)
    made = made or plan()
    run_all(
        name, {"": made} if name is None else {"a": made, "b": made}, out, console=console, every=every, resume=begun
    )
    return console.file.getvalue()  # type: ignore[attr-defined]


@contextmanager
def numpy_engine() -> Iterator[None]:
    """Within, runs are trained by the engine of the tests."""
    ours = engines.Source("tests.training.engine_numpy", framework=False)
    with (
        mock.patch.dict(engines.ENGINES, fit=ours, fused=ours),
        mock.patch.object(carrying, "_draw"),
        mock.patch.object(frameworks, "check_installed"),
    ):
        yield


def content(folder: Path) -> dict[str, bytes]:
    """All files of a run but those that tell times and those that draw."""
    found = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.is_file() and file.suffix not in (".svg", ".png") and file.name != ".lock":
            found[name] = file.read_bytes()
            if file.suffix == ".json":
                found[name] = json.dumps(_timeless(json.loads(found[name]))).encode()
            if file.suffix == ".checkpoint":
                from specdsl.runs.checkpoints import Checkpoint

                read = Checkpoint.from_bytes(found[name])
                arrays = {**read.state, **read.kept}
                found[name] = b"".join(array.tobytes() for array in arrays.values())
                found[name] += json.dumps(_timeless(dict(read.notes))).encode()
    return found


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(item) for name, item in value.items() if name not in ("seconds", "wall_seconds")}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


class Fault:
    """Counts the calls that write, and does something at one of them.

    Args:
        place: at which call, from 1; 0 only counts.
        how: "kill" before the call, "kill after" it, or "full": it and all after it find the disk full.
    """

    def __init__(self, place: int, how: str) -> None:
        self.place, self.how, self.count = place, how, 0

    def wrap(self, original: Callable[..., Any], half: bool) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            now = self.count == self.place or (self.how == "full" and 0 < self.place < self.count)
            if now and half:
                original(args[0], args[1][: len(args[1]) // 2])
            if now and self.how == "full":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if now and self.how == "kill":
                os._exit(KILLED)
            result = original(*args, **kwargs)
            if now:
                os._exit(KILLED)
            return result

        return call

    @contextmanager
    def planted(self) -> Iterator[None]:
        patches = [(os, "fsync", False), (tempfile, "mkstemp", False), (Path, "replace", False), (Path, "mkdir", False),
                   (Path, "write_bytes", True)]  # fmt: skip
        if self.how != "full":
            patches.append((Path, "unlink", False))
        with _all(patches, self):
            yield


@contextmanager
def _all(patches: list[tuple[Any, str, bool]], fault: Fault) -> Iterator[None]:
    if not patches:
        yield
        return
    (owner, name, half), *others = patches
    with mock.patch.object(owner, name, fault.wrap(getattr(owner, name), half)), _all(others, fault):
        yield


def attempt(out: Path, fault: Fault) -> int:
    """The exit code of a process in which a run meets a fault: 1 when it said so, 3 when it came to its end."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    try:
        with fault.planted():
            carry_out(out)
    except RunError as error:
        os._exit(1 if "No space left" in error.message and isinstance(error, CannotWrite) else 4)
    except BaseException:
        os._exit(5)
    os._exit(3)


def main(folder: Path, every: int) -> None:
    with numpy_engine():
        carry_out(folder / "whole")
        expected = content(folder / "whole")
        tried: dict[str, int] = {"files": len(expected)}
        for how in ("kill", "kill after", "full"):
            counted = Fault(0, how)
            with counted.planted():
                carry_out(folder / how)
            assert content(folder / how) == expected
            for place in range(1 + len(how) % every, counted.count + 1, every):
                out = folder / f"{how.replace(' ', '-')}-{place}"
                code = attempt(out, Fault(place, how))
                assert code == (1 if how == "full" else KILLED), (how, place, code)
                carry_out(out)
                found = content(out)
                assert found.keys() == expected.keys(), (how, place, found.keys() ^ expected.keys())
                for name in found:
                    assert found[name] == expected[name], (how, place, name, found[name][-600:], expected[name][-600:])
                shutil.rmtree(out)
                tried[how] = tried.get(how, 0) + 1
    print(json.dumps(tried))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
