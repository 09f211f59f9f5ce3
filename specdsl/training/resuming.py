"""What must be as it was when a run is gone on with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from specdsl.recipes.training import TrainRecipe
from specdsl.runs.files import RunError


def check_same(path: Path, config: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Check that a run is gone on with as it was begun.

    Args:
        path: its folder.
        config: what `config.json` says.
        now: what it would say if the run were begun now.

    Raises:
        RunError: something differs; the innermost place is named. The texts of the spec are compared byte by byte, for
            the model itself stands nowhere else; those of a run that says nothing of them are not.
    """
    if config.get("texts_sha256", now["texts_sha256"]) != now["texts_sha256"]:
        raise RunError(
            f"{path} cannot be gone on with: its spec has been changed since it was begun",
            help=f"a changed spec is for a new run: specdsl train {path / str(config.get('entry'))}",
        )
    old, new = _compared(config), _compared(now)
    for what in new:
        if old.get(what) != new[what]:
            where, was, is_now = _difference(what, old.get(what), new[what])
            raise RunError(
                f"{path} cannot be gone on with: its {where} was {json.dumps(was)}, and is {json.dumps(is_now)} now",
                help="a run goes on with what it was begun with, down to the last byte",
            )


def _compared(config: Mapping[str, Any]) -> dict[str, Any]:
    """What must be as it was when a run is gone on with: where the data came from may not, if they are the same."""
    train = dict(config.get("train", {}), epochs=None)
    if isinstance(train.get("data"), dict):
        train["data"] = dict(train["data"], source=None)
    # A file or folder that has been renamed gives its data another name, and the same SHA-256.
    data = {name: value for name, value in config.get("data", {}).items() if name != "name"}
    told = ("request", "trials", "spec", "texts_sha256", "parameters", "why")
    rest = {name: value for name, value in config.items() if name not in told}
    return {**rest, "train": train, "data": data}


def check_longer(path: Path, recipe: TrainRecipe, before: int) -> None:
    """Check that a run of more epochs begins as the run did that was made for fewer.

    Raises:
        RunError: it would have been another from its first epoch on, or is told otherwise.
    """
    if recipe.schedule is not None:
        raise RunError(
            f"{path} was begun for {before} epochs, over which its learning rate follows a schedule: for more epochs "
            "all of them would have been others",
            help="begin a new run for so many epochs, or give the optimizer a schedule of its own, in steps",
        )
    if before % recipe.evaluate_every:
        raise RunError(
            f"{path} was evaluated after epoch {before} because that was its last: a run of more epochs would not have "
            f"been, for it is every {recipe.evaluate_every} epochs",
            help="begin a new run for so many epochs",
        )


def _difference(where: str, was: Any, now: Any) -> tuple[str, Any, Any]:
    """The innermost place where two values of JSON differ."""
    if isinstance(was, dict) and isinstance(now, dict):
        for name in {**was, **now}:
            if was.get(name) != now.get(name):
                return _difference(f"{where}.{name}", was.get(name), now.get(name))
    return where, was, now
