"""A worker: a process that carries out trials for a run in another one. `python -P -m specdsl.training.worker HANDLE`.

It begins no framework before it is kept to its cores. It tells everything to the run by the socket that it is handed,
and ends when that is closed: with the run, however that ends.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from specdsl.declaration import Misuse
from specdsl.runs.files import RunError
from specdsl.runs.folder import RunFolder
from specdsl.training import engines, workers
from specdsl.training.engine import Group, Job
from specdsl.training.interrupts import Interrupts
from specdsl.training.streams import Streams
from specdsl.training.surroundings import Surroundings
from specdsl.training.together import Most
from specdsl.training.trials import run_trials
from specdsl.training.ways import Way
from specdsl.training.workers_telling import ToldConsole, ToldDisplay, ToldTracking
from specdsl.training.workers_wire import Channel, Packed, unpacked


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker is told at its start.

    Attributes:
        place: which of the workers it is, from 0.
        parent: the process of the run.
        path: where Python looks for modules.
        ways: how the trials of each run are trained, by its key.
        engines: where the engine of each run comes from.
        jobs: a trial of each run, made ready; its arrays are in a file that comes with this.
    """

    place: int
    parent: int
    path: Sequence[str]
    ways: Mapping[str, Way]
    engines: Mapping[str, engines.Source]
    jobs: Packed


class _Worker:
    """Does what it is told, one thing after the other."""

    def __init__(self, channel: Channel, setup: Setup, arrays: int) -> None:
        self._channel, self._setup = channel, setup
        self._interrupts = Interrupts(lambda: None)
        self._work: SimpleQueue[tuple[str, tuple[Any, ...]]] = SimpleQueue()
        self._makers: dict[str, Callable[[Sequence[Job]], Group]] = {}
        self._most = {key: Most(way.together, partial(channel.send, "fewer")) for key, way in setup.ways.items()}
        self._held: list[int] = []
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._outlived, daemon=True).start()
        self._jobs: Mapping[str, Job] = unpacked(setup.jobs, arrays)

    def serve(self) -> None:
        """Do what there is to do, until the run is over."""
        try:
            for key, way in self._setup.ways.items():
                self._makers[key] = engines.maker(way, self._setup.engines[key], self._most[key])
        except Misuse as error:
            self._channel.send("broken", error)
        self._channel.send("ready")
        doing: dict[str, Callable[..., None]] = {"check": self._check, "train": self._train}
        while True:
            name, values = self._work.get()
            doing[name](*values)

    def _check(self, key: str) -> None:
        """See whether the model of a run can be trained."""
        try:
            self._channel.send("checked", key, engines.built(self._makers[key], self._jobs[key]))
        except Misuse as error:
            self._channel.send("refused", key, error)

    def _train(self, key: str, numbers: Sequence[int], folder: Path, every: int | None, most: int | None) -> None:
        """Carry out trials of a run that are trained together."""
        send = self._channel.send
        job, run = self._jobs[key], RunFolder(folder)
        self._most[key].heed(most)
        around = Surroundings(
            self._makers[key],
            self._interrupts,
            ToldConsole(send),
            every,
            told=lambda epoch: send("told", epoch),
            tracking=ToldTracking(send),
            most=self._most[key],
            display=ToldDisplay(send),
            processes=self._setup.ways[key].processes,
        )
        try:
            if not self._interrupts.requested:
                jobs = [replace(job, streams=Streams(job.streams.seed, number)) for number in numbers]
                run_trials(jobs, [run.trial(number) for number in numbers], around)
            send("done")
        except RunError as error:
            send("broken", error)

    def _listen(self) -> None:
        """Take what the run says; when it says nothing more, there is nothing more to do."""
        try:
            while True:
                name, values, files = self._channel.receive()
                if name == "stop":
                    self._interrupts.requested = True
                elif name == "fewer":
                    key, most = values
                    self._most[key].heed(most)
                elif name == "hold":
                    self._held += files
                else:
                    self._work.put((name, values))
        except BaseException:  # also where it says what cannot be understood
            os._exit(0)

    def _outlived(self) -> None:
        """End with the run, also where somebody else still holds its end of the socket."""
        while os.getppid() == self._setup.parent:
            time.sleep(1)
        os._exit(0)


def main() -> None:
    """Begin, and serve."""
    # Ctrl-C at a terminal reaches all processes, and it is for the run to say what follows from it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    handle = int(sys.argv[1])
    os.set_inheritable(handle, False)
    channel = Channel(socket.socket(fileno=handle))
    try:
        _, (setup,), (arrays,) = channel.receive()
    except EOFError:
        return
    sys.path[:] = setup.path
    workers.pin(next(iter(setup.ways.values())), setup.place)
    _Worker(channel, setup, arrays).serve()


if __name__ == "__main__":
    # By its real name, so that what is pickled here and there is the same.
    from specdsl.training import worker

    worker.main()
