"""The experiments themselves on a machine that is there for minutes: begun, broken off, packed up, gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter

from bench.train_processes import ROOT

EXPERIMENTS = {
    "challenge": "specs/experiments/challenge.spec",
    "dropout": "specs/experiments/dropout_position.spec",
}
"""The spec of each experiment that can be trained."""

LITTLE = ["--data", "synthetic(train=10,test=2)", "--trials", "2", "--epochs", "3"]
"""What is trained where everything is small."""

PACKING = 40.0
"""Seconds that are kept for ending a step, for evaluation and for packing up."""

PART = 15 * 10**6
"""Bytes of a file of the package at the most."""

PARTS = 5
"""Files of the package at the most."""

STOPPED = 130
"""The exit code of a run that was asked to stop and can be gone on with."""


def train(
    name: str,
    out: Path,
    data: Path,
    minutes: float,
    options: Sequence[str],
    variables: Mapping[str, str],
    *,
    tiny: bool = False,
) -> int:
    """Train an experiment for some minutes, from its beginning or from what an earlier call has packed into `out`.

    Args:
        name: of `EXPERIMENTS`.
        out: where the package `NAME.tar.xz.00` and so on lies, and `NAME.txt`, which says how it went.
        data: the folder of prepared images.
        minutes: after which it has stopped and is packed.
        options: more for `specdsl experiment`, when it begins.
        variables: more of the environment.
        tiny: two trials of three epochs on a few drawn signs, in place of the experiment.

    Returns:
        The exit code: 0 if it ended or can be gone on with.
    """
    end = perf_counter() + 60 * minutes - PACKING
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / name
        command = [sys.executable, "-m", "specdsl", "experiment"]
        if unpack(out, name, Path(temporary)):
            command += ["--resume", str(folder), *([] if tiny else ["--data", str(data)])]
        else:
            where = LITTLE if tiny else ["--data", str(data)]
            command += [EXPERIMENTS[name], *where, "--out", str(folder), *options]
        code = _for_a_time(command, end, out / f"{name}.txt", dict(os.environ) | dict(variables))
        if not folder.exists():
            print(f"error: nothing was trained (exit code {code}); see {out / f'{name}.txt'}", file=sys.stderr)
            return code or 1
        pack(folder, out, name)
    return 0 if code in (0, STOPPED) else 1


def _for_a_time(command: Sequence[str], end: float, log: Path, environment: Mapping[str, str]) -> int:
    """Run a command, and ask it to stop when the time is over; what it prints is shown and kept."""
    begin = perf_counter()
    given = dict(environment) | {"PYTHONUNBUFFERED": "1", "COLUMNS": "120"}
    given["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), given.get("PYTHONPATH", "")]))
    with log.open("a") as kept:
        kept.write(f"$ {' '.join(command)}\n")
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=given
        )

        def stop(how: int) -> Callable[[], None]:
            return lambda: process.send_signal(how)

        left = max(1.0, end - perf_counter())
        timers = [
            threading.Timer(left, stop(signal.SIGINT)),
            threading.Timer(left + PACKING / 2, stop(signal.SIGINT)),
            threading.Timer(left + PACKING * 0.65, process.kill),
        ]
        for timer in timers:
            timer.daemon = True
            timer.start()
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            kept.write(line)
            kept.flush()
        code = process.wait()
        for timer in timers:
            timer.cancel()
        kept.write(f"exit code {code} after {perf_counter() - begin:.0f} s\n")
    return code


def pack(folder: Path, out: Path, name: str) -> list[Path]:
    """Pack a folder of runs into files below `PART` bytes; of trials that have ended without what they went on from.

    Where that is too much, the answers to the test examples are left out; `specdsl evaluate` gives them again.

    Returns:
        The files; an earlier package is replaced.
    """
    for leave in ((), ("predictions.npz",)):
        with tempfile.TemporaryDirectory() as temporary:
            whole = Path(temporary) / f"{name}.tar.xz"
            with tarfile.open(whole, "w:xz", preset=0) as package:
                for path in sorted(folder.rglob("*")):
                    if path.is_file() and path.name not in leave and not _needless(path):
                        package.add(path, path.relative_to(folder.parent))
            content = whole.read_bytes()
        if len(content) <= PART * PARTS:
            break
    for old in out.glob(f"{name}.tar.xz.*"):
        old.unlink()
    files = []
    for place, first in enumerate(range(0, len(content), PART)):
        files.append(out / f"{name}.tar.xz.{place:02}")
        files[-1].write_bytes(content[first : first + PART])
    return files


def unpack(out: Path, name: str, where: Path) -> bool:
    """Unpack what `pack` has packed, and say whether there was anything."""
    parts = sorted(out.glob(f"{name}.tar.xz.*"))
    if not parts:
        return False
    whole = where / "package"
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    with tarfile.open(whole) as package:
        package.extractall(where, filter="data")
    whole.unlink()
    return True


def _needless(path: Path) -> bool:
    """Whether a file is a checkpoint of a trial that has ended."""
    from specdsl.runs.files import RunError, read_json

    for folder in path.parents:
        summary = folder / "trial.json"
        if summary.exists():
            try:
                ended = read_json(summary)
            except RunError:
                return False
            over = not ended.get("interrupted") and not ended.get("failed")
            return over and path.parent.name == "checkpoints"
    return False
