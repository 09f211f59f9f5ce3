"""What must hold of trials on several devices, in a process of its own, whose processor passes for four devices.

    XLA_FLAGS=--xla_force_host_platform_device_count=4 python -m tests.training.device_checks FOLDER [slow]

Prints what was found as JSON; `test_devices.py` judges it.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from click.testing import CliRunner

from specdsl.recipes import TrainRecipe
from specdsl.recipes.optimizers import SGD
from specdsl.training import frameworks
from specdsl.training.sharing import sharing
from tests.training.fused_checks import CASES, Listener, difference, histories, job
from tests.training.models import recipe

DEVICES = 4

SMALL = """
model small {
    input image: (16, 16, 3)
    Flatten
    Dense(8, "relu")
    Dropout(0.2)
    Dense(43, "softmax")
}

data signs = synthetic(size=16, train=6, test=2) {
}

train short {
    data = signs
    optimizer = SGD(learning_rate=0.01)
    loss = "sparse_categorical_crossentropy"
    batch = 60
    epochs = 2
}
"""

POOLED = """
model pooled {
    input image: (12, 12, 3)
    Conv2D(4, 3)
    BatchNormalization
    MaxPooling2D(2)
    Dropout(0.2)
    Conv2D(4, 3, padding="same")
    LayerNormalization
    AveragePooling2D(2)
    Flatten
    Dense(43, "softmax")
}
"""

COLLECTIVE = re.compile(
    r" (all-reduce|all-gather|all-to-all|reduce-scatter|collective-permute|collective-broadcast)(?:-start)?\("
)


class Read:
    """A program that is compiled at its first call, for just what it is called with, and whose text can be read.

    What lies elsewhere than it did at the first call is refused.
    """

    def __init__(self, jitted: Any) -> None:
        self._jitted, self._compiled = jitted, None

    def __call__(self, *arguments: Any) -> Any:
        if self._compiled is None:
            self._compiled = self._jitted.lower(*arguments).compile()
        return self._compiled(*arguments)

    @property
    def collectives(self) -> list[str]:
        """By what its devices speak with each other, each kind once."""
        assert self._compiled is not None, "it was called"
        return sorted(set(COLLECTIVE.findall(self._compiled.as_text())))


KINDS = {(3, True): "train", (2, False): "measure", (2, True): "answer"}
"""What a program does, by how many of its arguments are of trials and whether it uses up the first one."""


def readable() -> None:
    """Let all programs on several devices be such ones from now on."""
    from specdsl.training import fused_devices

    for kind in (fused_devices.TrialsApart, fused_devices.BatchApart):

        def program(
            self: Any, function: Any, of_trials: int, *, uses_up: bool = False, compiled: Any = kind.program
        ) -> Any:
            read = Read(compiled(self, function, of_trials, uses_up=uses_up))
            self.__dict__.setdefault("read", []).append((KINDS[of_trials, uses_up], read))
            return read

        kind.program = program  # type: ignore[method-assign]


def group(
    declared: TrainRecipe, trials: int, devices: int = DEVICES, method: Any = "vmap-products", **text: Any
) -> Any:
    """Trials from the first on, on devices."""
    from specdsl.training.engine_fused import FusedGroup

    jobs = [job(declared, trial, **text) for trial in range(1, trials + 1)]
    return FusedGroup(jobs, method, sharing(trials, declared.batch, devices))


def collectives(made: Any) -> dict[str, list[str]]:
    """By what the devices of a group speak with each other in each kind of program that was called."""
    found: dict[str, set[str]] = {}
    for kind, program in made._spread.read:
        found.setdefault(kind, set()).update(program.collectives)
    return {kind: sorted(names) for kind, names in found.items()}


class Copying(Listener):
    """Keeps the state of its trial after each epoch too."""

    def __init__(self, trial: Any) -> None:
        super().__init__(trial)
        self.states: list[Any] = []

    def on_epoch(self, epoch: Any) -> None:
        super().on_epoch(epoch)
        self.states.append(self.trial.state())


def gone_on_with(made: Any) -> tuple[Any, bool]:
    """What the epochs of a group gave, and whether the last one gives the same bits from the state before it."""
    whole = [Copying(trial) for trial in made.trials]
    made.train(whole)
    answers = [trial.predict("test") for trial in made.trials]
    for one in whole:
        one.trial.restore(one.states[0])
    again = [Copying(trial) for trial in made.trials]
    made.train(again, after=1)
    same = all(
        one.rows[1:] == other.rows and all(_same(*pair) for pair in zip(one.states[1:], other.states, strict=True))
        for one, other in zip(whole, again, strict=True)
    )
    return ([one.rows for one in whole], answers), same


def _same(one: Any, other: Any) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one) and list(one) == list(other)


def held(made: Any) -> dict[str, Any]:
    """How many devices hold the training images, how many bytes each, and on how many the state of trials lies."""
    images = made.resident("train").x
    pieces = {piece.device: piece.data.nbytes for piece in images.addressable_shards}
    weight = made.states.now.trainable[0]
    return {
        "images": sorted(pieces.values()),
        "stored": int(images.nbytes),
        "type": str(images.dtype),
        "trials": [piece.data.shape[0] for piece in weight.addressable_shards],
    }


def room_for(made: Any, bytes_left: int) -> bool:
    """Whether there is room for a second state of trials where so many bytes are left on each device."""
    from specdsl.training import fused_snapshots

    with mock.patch.object(fused_snapshots, "_left", return_value=bytes_left):
        return fused_snapshots.room(made.states.now)


def command_line(folder: Path, *, resume: bool) -> dict[str, Any]:
    """Two trials on two devices by the command line: whole, and where that is wanted gone on with after two epochs."""
    from specdsl.cli import cli

    spec = folder / "small.spec"
    spec.write_text(SMALL)

    def told(*arguments: str) -> str:
        result = CliRunner().invoke(cli, ["train", *arguments])
        return f"{result.exit_code}: {result.output}"

    def histories(run: str) -> list[list[list[str]]]:
        files = [folder / run / f"trial-{trial}" / "history.csv" for trial in (1, 2)]
        return [[line.split(",")[:-2] for line in file.read_text().splitlines()] for file in files]

    given = [str(spec), "--trials", "2", "--devices", "2", "--checkpoint-every", "1"]
    found: dict[str, Any] = {"whole": told(*given, "--epochs", "3", "--out", str(folder / "whole"))}
    found["way"] = json.loads((folder / "whole" / "config.json").read_text())["way"]
    found["epochs"] = [len(lines) - 1 for lines in histories("whole")]
    found["trials differ"] = histories("whole")[0] != histories("whole")[1]
    found["too many"] = told(*given[:3], "--devices", "5")
    found["few trials"] = told(*given[:3], "--devices", "4")
    if resume:
        told(*given, "--out", str(folder / "parts"))
        found["parts"] = told("--resume", str(folder / "parts"), "--epochs", "3")
        found["resumed"] = histories("whole") == histories("parts")
    return found


def made_elsewhere(declared: TrainRecipe, trials: int) -> tuple[Any, list[list[int]]]:
    """The histories of trials on another device than the first, on which models are made as on an accelerator's host.

    Beside them the devices that the model and the state of trials lie on, by number.
    """
    import jax

    jax.config.update("jax_default_device", jax.devices()[-1])
    try:
        made = group(declared, trials, 1)
        told = histories(made)
        arrays = [*(one.value for one in made.model.trainable_variables)], jax.tree.leaves(tuple(made.states.now))
        return told, [sorted({device.id for one in some for device in one.devices()}) for some in arrays]
    finally:
        jax.config.update("jax_default_device", None)


def main(folder: Path, slow: bool) -> dict[str, Any]:
    frameworks.start("jax")
    found: dict[str, Any] = {"command line": command_line(folder, resume=slow)}
    readable()
    declared = recipe()
    several, found["elsewhere"] = made_elsewhere(declared, 6 if slow else 5)
    for trials in (3, 4, 6) if slow else (5,):
        made = group(declared, trials)
        one = f"{trials} trials"
        given, found[f"{one}: gone on with"] = gone_on_with(made)
        found[f"{one}: difference"] = difference(given, (several[0][:trials], several[1][:trials]))
        found[f"{one}: collectives"], found[f"{one}: held"] = collectives(made), held(made)
        size = sum(array.nbytes for state in made.states.now for array in state)
        each = size // len(made.states.now.trainable[0].devices())
        found[f"{one}: room"] = [room_for(made, bytes_left) for bytes_left in (each, each * 6 // 5, size)]
    for batch in (63, 62) if slow else (60,):
        other = declared.replace(batch=batch)
        alone = several[0][:1], several[1][:1]
        if slow:
            alone = histories(group(other, 1, 1))
        made = group(other, 1, method="map-products" if slow else "vmap-products")
        given, found[f"batch {batch}: gone on with"] = gone_on_with(made)
        found[f"batch {batch}: difference"] = difference(given, alone)
        found[f"batch {batch}: collectives"], found[f"batch {batch}: held"] = collectives(made), held(made)
    if slow:
        averaged = histories(group(CASES["averaged"], 5, 1))
        found["averaged: difference"] = difference(histories(group(CASES["averaged"], 5)), averaged)
        found["averaged, batch: difference"] = difference(
            histories(group(CASES["averaged"], 1)), (averaged[0][:1], averaged[1][:1])
        )
        for method in ("vmap", "vmap-products"):
            plain = declared.replace(optimizer=SGD(learning_rate=0.05))  # which makes nothing large of what is small
            made = group(plain, 1, method=method, text=POOLED)
            given, found[f"pooled {method}: gone on with"] = gone_on_with(made)
            found[f"pooled {method}: difference"] = difference(
                given, histories(group(plain, 1, 1, method="vmap", text=POOLED))
            )
            found[f"pooled {method}, one device: difference"] = difference(
                given, histories(group(plain, 1, 1, method=method, text=POOLED))
            )
            found[f"pooled {method}: collectives"] = collectives(made)
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), "slow" in sys.argv[2:])))
