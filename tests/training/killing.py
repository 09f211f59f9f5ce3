"""Kills runs at random moments and goes on with them, in processes of their own: `python -m tests.training.killing`.

The framework is imported once and each attempt is a fork of that, which saves most of the time of a start.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

SPEC = """
data few = synthetic(size=16, train=4, test=1) {
    validation(0.5, by="image")
    augment { random_crop(12, 12); random_brightness(0.1); random_contrast(0.7, 1.3); clip }
    evaluate { center_crop(12, 12) }
}
train quick {
    data = few
    optimizer = Adam(0.01, use_ema=true, ema_momentum=0.9, clipnorm=1.0)
    batch = 16
    epochs = EPOCHS
}
model tiny {
    input image: (12, 12, 3)
    Conv2D(4, 3, strides=2)
    BatchNormalization
    ReLU
    Dropout(0.3)
    Flatten
    Dense(43, "softmax")
}
model noisy = tiny with { after ReLU { GaussianNoise(0.1) } }
experiment both { models = [tiny, noisy]; train = quick; trials = 2 }
"""


def attempt(arguments: list[str], log: Path) -> int:
    """The process of one attempt: a fork in which the verb is carried out."""
    process = os.fork()
    if process:
        return process
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    from specdsl import cli

    sys.argv = ["specdsl", *arguments]
    try:
        cli.main()
    except SystemExit as ended:
        sys.stdout.flush()
        os._exit(int(ended.code or 0))
    os._exit(70)


def results(folder: Path) -> dict[str, Any]:
    """All that must be the same: every history without its times, every final value, every weight, every prediction."""
    from specdsl.runs import read
    from specdsl.runs.checkpoints import Checkpoints

    found: dict[str, Any] = {}
    for run in read([folder]):
        for trial in run.trials:
            here = f"{run.key}/{trial.trial}"
            timeless = {name: column for name, column in trial.history.items() if "second" not in name}
            last, damaged = Checkpoints(trial.folder / "checkpoints").last()
            assert last is not None
            assert not damaged
            kept = {f"kept {name}": array for name, array in last.kept.items()}
            arrays = {**timeless, **last.state, **kept, **trial.predictions()}
            found |= {f"{here} {name}": (array.dtype.str, array.tobytes()) for name, array in arrays.items()}
            found |= {f"{here} {name}": value for name, value in trial.final.items()}
            found[f"{here} how"] = (trial.epochs, trial.kept_epoch, trial.stopped_early, trial.interrupted)
    return found


def run_killed(folder: Path, backend: str, kills: int, seed: int, epochs: int, verb: str) -> dict[str, Any]:
    """Carry out a run once as it is, and then killed so many times; say in what they differ.

    A run that has come to its end before all kills are done is compared, and the next one is killed.
    """
    from specdsl.training import frameworks

    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / "tiny.spec"
    spec.write_text(SPEC.replace("EPOCHS", str(epochs)))
    frameworks.start(backend)
    model = [] if verb == "experiment" else ["--model", "tiny", "--trials", "2"]
    options = [verb, str(spec), *model, "--backend", backend, "--seed", "3", "--checkpoint-every", "1"]
    log = folder / "log.txt"
    began = time.monotonic()
    _, status = os.waitpid(attempt([*options, "--out", str(folder / "whole")], log), 0)
    assert status == 0, log.read_text()
    lasted = time.monotonic() - began
    soon = min(0.3, lasted / 20)
    whole = results(folder / "whole")
    rng = random.Random(seed)
    differing: set[str] = set()
    moments: list[tuple[int, float]] = []
    runs = 0
    while len(moments) < kills:
        runs += 1
        broken = folder / f"broken-{runs}"
        status = None
        while status is None:
            resumed = [verb, "--resume", str(broken), "--checkpoint-every", "1"]
            begun = any((broken / name).exists() for name in ("config.json", "experiment.json"))
            process = attempt(resumed if begun else [*options, "--out", str(broken)], log)
            kill = None
            if len(moments) < kills:  # at any moment of a whole run, or soon behind some checkpoint
                checkpoints = rng.randrange(4)
                kill = checkpoints, rng.uniform(0, soon if checkpoints else lasted)
                kill = kill if moments else (1, 0.0)  # the first one midway, however fast the machine is
            status = ended(process, broken, kill)
            if status is None:
                assert kill is not None
                moments.append((kill[0], round(kill[1], 2)))
        assert status == 0, log.read_text()
        found = results(broken)
        differing |= {name for name in {**whole, **found} if whole.get(name) != found.get(name)}
    return {
        "compared": len(whole), "differing": sorted(differing), "kills": moments, "lasted": round(lasted, 2),
        "runs": runs, "midway": log.read_text().count("going on after epoch"),
    }  # fmt: skip


def ended(process: int, folder: Path, kill: tuple[int, float] | None) -> int | None:
    """The exit code of a process; None if it was killed, so many checkpoints and then seconds after its start."""
    before, seen, deadline = written(folder), set[Path](), math.inf
    while time.monotonic() < deadline:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        seen |= written(folder) - before
        if kill is not None and deadline == math.inf and len(seen) >= kill[0]:
            deadline = time.monotonic() + kill[1]
        time.sleep(0.01)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None


def written(folder: Path) -> set[Path]:
    """All checkpoints of a run or an experiment."""
    return set(folder.rglob("*.checkpoint"))


if __name__ == "__main__":
    given = SimpleNamespace(**json.loads(sys.argv[1]))
    print(json.dumps(run_killed(Path(given.folder), given.backend, given.kills, given.seed, given.epochs, given.verb)))
