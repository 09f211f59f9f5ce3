"""The experiments themselves on a machine that is there for minutes: begun, broken off, packed up, gone on with."""

from __future__ import annotations

import ctypes
import lzma
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.train_processes import ROOT
from specdsl.runs.layout import EXPERIMENT

EXPERIMENTS = {
    "challenge": "specs/experiments/challenge.spec",
    "dropout": "specs/experiments/dropout_position.spec",
}
"""The spec of each experiment that can be trained."""

LITTLE = ["--data", "synthetic(train=10,test=2)", "--trials", "2", "--epochs", "3"]
"""What is trained where everything is small."""

PACKING = 40.0
"""Seconds that are kept for ending a step, for evaluation and for packing up."""

HURRY = 10.0
"""Seconds that training has to end when this process is asked to end before its time."""

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
        out: where the package `NAME.tar.xz.00` and so on lies, and `NAME.txt`, which says how it went; meanwhile
            the runs lie there too, in the folder NAME, and an earlier call that was killed has left them there.
        data: the folder of prepared images.
        minutes: after which it has stopped and is packed.
        options: more for `specdsl experiment`, when it begins.
        variables: more of the environment.
        tiny: two trials of three epochs on a few drawn signs, in place of the experiment.

    Returns:
        The exit code: 0 if it ended or can be gone on with.
    """
    end = perf_counter() + 60 * minutes - PACKING
    folder = out.absolute() / name
    command = [sys.executable, "-m", "specdsl", "experiment"]
    try:
        begun = (folder / EXPERIMENT).exists() or unpack(out, name, out)
    except (OSError, EOFError, tarfile.TarError, lzma.LZMAError) as error:
        print(f"error: {out}/{name}.tar.xz.*: cannot be unpacked; is a part missing? ({error})", file=sys.stderr)
        return 2
    if begun:
        command += ["--resume", str(folder), *([] if tiny else ["--data", str(data)])]
    else:
        where = LITTLE if tiny else ["--data", str(data)]
        command += [EXPERIMENTS[name], *where, "--out", str(folder), *options]
    code = _for_a_time(command, end, out / f"{name}.txt", dict(os.environ) | dict(variables))
    if not folder.exists():
        print(f"error: nothing was trained (exit code {code}); see {out / f'{name}.txt'}", file=sys.stderr)
        return code or 1
    try:
        pack(folder, out, name)
    except OSError as error:
        print(f"error: {error}: not packed; what was trained lies in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    return 0 if code in (0, STOPPED) else 1


def _end_with_parent() -> None:
    """Let this process be killed when the one that has begun it is, so that the next call finds the device free."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, of Linux


@contextmanager
def _hurried(process: subprocess.Popen[str]) -> Iterator[None]:
    """While this process waits for another, it asks that one to stop when it is asked to end itself."""
    asked = False
    end = threading.Timer(HURRY, process.kill)
    end.daemon = True

    def hurry(*_: Any) -> None:
        nonlocal asked
        if not asked:
            asked = True  # before anything is called: another signal may come within
            process.send_signal(signal.SIGINT)
            end.start()

    kinds = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.signal(kind, hurry) for kind in kinds]
    try:
        yield
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)
        end.cancel()


def _for_a_time(command: Sequence[str], end: float, log: Path, environment: Mapping[str, str]) -> int:
    """Run a command, and ask it to stop when the time is over; what it prints is shown and kept."""
    begin = perf_counter()
    given = dict(environment) | {"PYTHONUNBUFFERED": "1", "COLUMNS": "120"}
    given["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), given.get("PYTHONPATH", "")]))
    with _kept(log) as kept:
        with suppress(OSError):
            kept.write(f"$ {' '.join(command)}\n")
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", cwd=ROOT, env=given,
            process_group=0, preexec_fn=_end_with_parent,
        )  # fmt: skip
        left = max(1.0, end - perf_counter())
        timers = [
            threading.Timer(left, process.send_signal, [signal.SIGINT]),
            threading.Timer(left + PACKING / 2, process.send_signal, [signal.SIGINT]),
            threading.Timer(left + PACKING * 0.65, process.kill),
        ]
        for timer in timers:
            timer.daemon = True
            timer.start()
        assert process.stdout is not None
        with _hurried(process):
            for line in process.stdout:
                print(line, end="", flush=True)
                with suppress(OSError):  # no room for words need not end training
                    kept.write(line)
                    kept.flush()
            code = process.wait()
        for timer in timers:
            timer.cancel()
        with suppress(OSError):
            kept.write(f"exit code {code} after {perf_counter() - begin:.0f} s\n")
            kept.flush()
    return code


@contextmanager
def _kept(log: Path) -> Iterator[Any]:
    """A file to add lines to; what could not be written when it is closed is lost."""
    kept = log.open("a", errors="replace")
    try:
        yield kept
    finally:
        with suppress(OSError):
            kept.close()


def pack(folder: Path, out: Path, name: str) -> list[Path]:
    """Pack a folder of runs into files below `PART` bytes; of trials that have ended without what they went on from.

    Where that is too much, the answers to the test examples are left out; `specdsl evaluate` gives them again.

    Returns:
        The files; an earlier package is replaced once they are whole.

    Raises:
        OSError: there is no room for them; the earlier package is as it was.
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
    with tempfile.TemporaryDirectory(dir=out) as temporary:
        unfinished = []
        for place, first in enumerate(range(0, len(content), PART)):
            unfinished.append(Path(temporary) / f"{name}.tar.xz.{place:02}")
            unfinished[-1].write_bytes(content[first : first + PART])
        for old in out.glob(f"{name}.tar.xz.*"):
            old.unlink()
        return [file.rename(out / file.name) for file in unfinished]


def unpack(out: Path, name: str, where: Path) -> bool:
    """Unpack what `pack` has packed, all or nothing, and say whether there was anything."""
    parts = sorted(out.glob(f"{name}.tar.xz.*"))
    if not parts:
        return False
    with tempfile.TemporaryDirectory(dir=where) as temporary:
        whole = Path(temporary) / "package"
        whole.write_bytes(b"".join(part.read_bytes() for part in parts))
        with tarfile.open(whole) as package:
            package.extractall(temporary, filter="data")
        shutil.rmtree(where / name, ignore_errors=True)
        (Path(temporary) / name).rename(where / name)
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
