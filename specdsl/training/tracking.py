"""Telling trackers of experiments how runs go, beside the run folder: optional, and never in the way of training.

A tracker is told of every epoch once, also when a run is gone on with: it says what it has, and gets the rest. What
goes wrong in one is told once, and training goes on without it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from rich.console import Console

from specdsl.declaration import Misuse
from specdsl.runs.history import Epoch
from specdsl.runs.records import RunSummary, TrialSummary
from specdsl.training.progress import say

PACKAGES = {"tensorboard": "tensorboardX", "mlflow": "mlflow"}
"""What each kind of tracker needs."""


@dataclass(frozen=True, slots=True)
class Described:
    """A run as a tracker is told of it.

    Attributes:
        name: what it is called: the model, in an experiment its key.
        experiment: the name of the experiment; that of the model where the run is a part of none.
        folder: its folder.
        config: `config.json`.
        resumed: whether it is gone on with.
    """

    name: str
    experiment: str
    folder: Path
    config: Mapping[str, Any]
    resumed: bool


class Tracker(Protocol):
    """One run in one tracker. Every method may raise whatever it likes."""

    def logged(self, trial: int) -> int:
        """The last epoch of a trial that it has been told of, 0 where there is none."""

    def epoch(self, trial: int, epoch: Epoch) -> None:
        """An epoch was trained and measured."""

    def trial_end(self, summary: TrialSummary, folder: Path) -> None:
        """A trial has ended, and left what it leaves in its folder."""

    def end(self, summary: RunSummary) -> None:
        """The run has ended, or was broken off."""


@dataclass(frozen=True, slots=True)
class Target:
    """A tracker that is wanted.

    Attributes:
        kind: "tensorboard" or "mlflow".
        place: a folder or an address; None for the usual one.
        models: whether it is handed the trained models too.
    """

    kind: str
    place: str | None = None
    models: bool = False

    def reach(self, begun: Sequence[Path] = ()) -> None:
        """See whether it can be told of anything, and of runs that are to be begun. Imports its package.

        Args:
            begun: the folders that these are to have.

        Raises:
            Misuse: it cannot.
        """
        try:
            import_module(f"specdsl.training.tracking_{self.kind}").reach(self.place, begun)
        except Exception as error:  # every client fails in ways of its own
            raise Misuse(f"{self.kind} cannot be logged to: {_in_short(error)}", argument="log") from None

    def open(self, run: Described) -> Tracker:
        """Begin to tell it of a run. Imports its package."""
        module = import_module(f"specdsl.training.tracking_{self.kind}")
        made: Tracker = module.open_run(run, self.place, self.models)
        return made


def target(written: str, models: bool = False) -> Target:
    """The tracker that `tensorboard`, `tensorboard=DIR`, `mlflow` or `mlflow=URI` names.

    Raises:
        Misuse: there is no such tracker, its package is not installed, or nothing follows the `=`.
    """
    kind, separator, place = written.partition("=")
    if kind not in PACKAGES:
        known = " and ".join(f"{name}[=...]" for name in PACKAGES)
        raise Misuse(f"there is no tracker '{kind}'", argument="log", help=f"there are {known}")
    if separator and not place:
        raise Misuse(f"--log {written} names no place", argument="log", help=f"--log {kind} takes the usual one")
    if find_spec(PACKAGES[kind]) is None:
        raise Misuse(
            f"logging to {kind} needs the package {PACKAGES[kind]}, which is not installed",
            argument="log",
            help="pip install 'specdsl[tracking]'",
        )
    return Target(kind, place or None, models)


class Tracking:
    """All trackers of one run; whoever fails is left out from then on.

    Args:
        trackers: by their kinds.
        console: where failures are told.
    """

    def __init__(self, trackers: Mapping[str, Tracker] | None = None, console: Console | None = None) -> None:
        self._trackers, self._console = dict(trackers or {}), console or Console()

    @classmethod
    def begin(cls, targets: Sequence[Target], run: Described, console: Console) -> Tracking:
        """Begin to tell trackers of a run.

        Raises:
            Misuse: one cannot be reached, or cannot write; nothing has been trained then.
        """
        trackers: dict[str, Tracker] = {}
        for one in targets:
            try:
                trackers[one.kind] = one.open(run)
            except Exception as error:  # every client fails in ways of its own
                raise Misuse(f"{one.kind} cannot be logged to: {_in_short(error)}", argument="log") from None
        return cls(trackers, console)

    def trial_begin(self, trial: int, epochs: Sequence[Epoch]) -> None:
        """A trial begins, or goes on after the epochs that are given: those that a tracker does not have it is told."""

        def catch_up(tracker: Tracker) -> None:
            logged = tracker.logged(trial)
            for epoch in epochs:
                if epoch.number > logged:
                    tracker.epoch(trial, epoch)

        self._tell(catch_up)

    def epoch(self, trial: int, epoch: Epoch) -> None:
        """An epoch was trained and measured."""
        self.trial_begin(trial, [epoch])

    def trial_end(self, summary: TrialSummary, folder: Path) -> None:
        """A trial has ended, and left what it leaves in its folder."""
        self._tell(lambda tracker: tracker.trial_end(summary, folder))

    def end(self, summary: RunSummary) -> None:
        """The run has ended, or was broken off; nothing more is told after that."""
        self._tell(lambda tracker: tracker.end(summary))

    def _tell(self, tell: Callable[[Tracker], None]) -> None:
        """Tell every tracker something; one that fails is told nothing more."""
        for kind, tracker in list(self._trackers.items()):
            try:
                tell(tracker)
            except Exception as error:  # a server that is gone, a full disk: whatever it is, training goes on
                del self._trackers[kind]
                what = f"{kind} cannot be logged to any more: {_in_short(error)}. Training goes on without it."
                say(self._console, what, style="yellow")


def flattened(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """The settings in values of JSON, by their paths with dots between names; what is a list is told whole."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from flattened(item, f"{name}.{key}" if name else str(key))
    else:
        yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _in_short(error: BaseException) -> str:
    """The first line of what an error says, or its kind; of one in reaching a server, which one and what is wrong."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    said = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    # What is raised by `requests` has the request with it, and says at length by what means it was sent.
    if asked := next((url for one in chain if (url := getattr(getattr(one, "request", None), "url", None))), None):
        server = urlsplit(asked)
        at = f"{server.scheme}://{server.hostname}" + (f":{server.port}" if server.port else "")
        why = next((one.strerror for one in reversed(chain) if isinstance(one, OSError) and one.strerror), None)
        said = [f"{at} cannot be reached: {why}" if why else f"{at} does not answer as it should: {chain[-1]}"]
    return said[0] if len(said[0]) <= 300 else f"{said[0][:300]} ..."
