"""Kills runs at random moments and goes on with them, in processes of their own: `python -m tests.training.killing`.

The framework is imported once and each attempt is a fork of that, which saves most of the time of a start.
"""

from __future__ import annotations

import json
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
    """Carry out a run once as it is, and once killed again and again; say in what they differ."""
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
    rng = random.Random(seed)
    broken = folder / "broken"
    moments: list[float] = []
    while True:
        resumed = [verb, "--resume", str(broken), "--checkpoint-every", "1"]
        begun = any((broken / name).exists() for name in ("config.json", "experiment.json"))
        process = attempt(resumed if begun else [*options, "--out", str(broken)], log)
        if len(moments) < kills:
            # A resumed attempt needs some time to get as far as training.
            moment = rng.uniform(0, 1) * lasted * rng.choice((0.3, 0.6, 1))
            ended, deadline = 0, time.monotonic() + moment
            while not ended and time.monotonic() < deadline:
                time.sleep(0.01)
                ended, status = os.waitpid(process, os.WNOHANG)
            if not ended:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                moments.append(round(moment, 2))
                continue
        else:
            _, status = os.waitpid(process, 0)
        assert os.waitstatus_to_exitcode(status) == 0, log.read_text()
        break
    whole, other = results(folder / "whole"), results(broken)
    differing = sorted(name for name in {**whole, **other} if whole.get(name) != other.get(name))
    return {"compared": len(whole), "differing": differing, "kills": moments, "lasted": round(lasted, 2)}


if __name__ == "__main__":
    given = SimpleNamespace(**json.loads(sys.argv[1]))
    print(json.dumps(run_killed(Path(given.folder), given.backend, given.kills, given.seed, given.epochs, given.verb)))
