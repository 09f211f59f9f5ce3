"""The worker processes of a run: started, given trials one share after the other, and never left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from queue import SimpleQueue
from threading import Thread
from time import monotonic
from types import TracebackType
from typing import IO, Any

from rich.console import Console

from specdsl.declaration import Misuse
from specdsl.interrupts import interrupts_held
from specdsl.training import engines, workers
from specdsl.training.engine import Job
from specdsl.training.interrupts import Interrupts
from specdsl.training.plans import Plan
from specdsl.training.processes import import_path
from specdsl.training.progress import say
from specdsl.training.worker import Setup
from specdsl.training.workers import WorkerLost
from specdsl.training.workers_shares import Share
from specdsl.training.workers_wire import Channel, packed

_ATTEMPTS = 2
"""How often trials are handed to a worker, where their worker dies."""

_PATIENCE = 5.0
"""Seconds that workers have to end when they are asked to."""

_REMEMBERED = 40
"""Lines of what a worker writes that are kept for when it dies."""


class Workers:
    """The worker processes of a run, or of all runs of an experiment. Entered, they run; left, none of them does.

    Args:
        plans: the runs by their keys, all with ways of as many processes.
        count: how many workers there is work for.
        console: where lines are shown that a library writes in them.
    """

    def __init__(self, plans: Mapping[str, Plan], count: int, console: Console) -> None:
        self.count = count
        self._console = console
        self._ways = {key: plan.chosen for key, plan in plans.items()}
        self._way = next(iter(self._ways.values()))
        assert {way.processes for way in self._ways.values()} == {self._way.processes}
        self._sources = {key: engines.ENGINES[way.engine] for key, way in self._ways.items()}
        self._jobs, self._arrays = packed(_jobs(plans))
        self._events: SimpleQueue[tuple[_Process | None, str, tuple[Any, ...]]] = SimpleQueue()
        self._held: list[int] = []
        self._processes: list[_Process] = []

    def __enter__(self) -> Workers:
        try:
            for place in range(self.count):
                self._processes.append(self._started(place))
        except BaseException:
            self._end(at_once=True)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end(at_once=kind is not None)
        self._arrays.close()

    def check(self) -> dict[str, int]:
        """See whether the models can be trained, and give the parameters of each.

        Raises:
            Misuse: one cannot, or the back end is not installed.
            WorkerLost: a worker died over it.
        """
        for place, key in enumerate(self._ways):
            self._processes[place % self.count].tell("check", key)
        answers: dict[str, int | Misuse] = {}
        while len(answers) < len(self._ways):
            process, name, values = self._events.get()
            if name in ("checked", "refused"):
                key, answers[key] = values
            elif name == "ended":
                assert process is not None
                raise WorkerLost(f"a worker process was lost while it built a model: {process.how()}")
            else:
                self._heed(process, name, values)
        found: dict[str, int] = {}
        for key in self._ways:
            answer = answers[key]
            if isinstance(answer, Misuse):
                raise answer
            found[key] = answer
        return found

    @contextmanager
    def holding(self, handles: Sequence[int]) -> Iterator[None]:
        """Within, workers hold open files with this process, such as those of locks; with it they all end.

        A lock then holds as long as one of them writes, also where this process is killed.
        """
        self._held = list(handles)
        for process in self._processes:
            process.tell("hold", files=self._held)
        try:
            yield
        except BaseException:
            self._end(at_once=True)
            raise
        self._end(at_once=False)

    def wake(self) -> None:
        """Let `carry_out` look whether somebody wants an end; a handler of signals may call it."""
        self._events.put((None, "wake", ()))

    def carry_out(self, shares: Sequence[Share], interrupts: Interrupts, every: int | None) -> None:
        """Hand out trials until none are left, in their order, to whichever worker is free.

        Raises:
            RunError: a folder cannot be written.
            WorkerLost: workers do not come as far as their work.
            KeyboardInterrupt: Ctrl-C was pressed twice.
        """
        waiting = deque(shares)
        stopped = False
        while True:
            if interrupts.requested and not stopped:
                stopped = True
                waiting.clear()
                for process in self._processes:
                    process.tell("stop")
            for process in self._processes:
                if waiting and process.share is None:
                    process.take(waiting.popleft(), every)
            if not any(process.share for process in self._processes):
                return
            source, name, values = self._events.get()
            if source is not None and name == "ended":
                self._lost(source, waiting, stopped)
            else:
                self._heed(source, name, values)

    def _heed(self, process: _Process | None, name: str, values: tuple[Any, ...]) -> None:
        """Take what a worker tells."""
        if process is None or process not in self._processes:
            return
        if name == "ready":
            process.ready = True
        elif name == "line":
            say(self._console, values[0], style="dim")
        elif name == "broken":
            raise values[0]
        elif process.share is not None:
            if name == "done":
                process.share.leave()
                process.share = None
                return
            process.share.heed(name, values)
            if name == "fewer":  # the others need not find it out again
                for other in self._processes:
                    other.tell("fewer", process.share.key, *values)

    def _lost(self, process: _Process, waiting: deque[Share], stopped: bool) -> None:
        """A worker has died: another takes its place, and its trials for once go on from their last checkpoints."""
        place, how, share = self._processes.index(process), process.how(), process.share
        process.end(at_once=True)
        if not process.ready and process.exit_code > 0:
            raise WorkerLost(f"a worker process cannot start: {how}")
        if share is not None:
            share.leave()
            if share.attempts < _ATTEMPTS and not stopped:
                share.again(how)
                waiting.appendleft(share)
            elif not stopped:
                share.fail(how, process.said())
        self._processes[place] = self._started(place)

    def _started(self, place: int) -> _Process:
        setup = Setup(place, os.getpid(), list(sys.path), self._ways, self._sources, self._jobs)
        process = _Process(workers.environment(self._way, place), self._events)
        process.tell("setup", setup, files=[self._arrays.fileno()])
        if self._held:
            process.tell("hold", files=self._held)
        return process

    def _end(self, *, at_once: bool) -> None:
        """End all workers; whatever they still write is lost where it must be at once."""
        for process in self._processes:
            process.end(at_once=at_once)
        deadline = monotonic() + _PATIENCE
        for process in self._processes:
            process.wait(deadline)
        self._processes.clear()


class _Process:
    """A worker as the run sees it.

    Args:
        variables: those of the environment that it has beside those of this process.
        events: where what it tells is put.

    Attributes:
        share: the trials that it has.
        ready: whether its framework runs.
    """

    def __init__(
        self, variables: Mapping[str, str], events: SimpleQueue[tuple[_Process | None, str, tuple[Any, ...]]]
    ) -> None:
        self.share: Share | None = None
        self.ready = False
        self._lines: deque[str] = deque(maxlen=_REMEMBERED)
        self._events = events
        here, there = socket.socketpair()
        with there, interrupts_held():
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "specdsl.training.worker", str(there.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=[there.fileno()],
                env=os.environ | variables | {"PYTHONPATH": import_path(), "PYTHONUNBUFFERED": "1"},
            )
        self._channel = Channel(here)
        assert self._process.stdout is not None
        self._reading = Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reading.start()
        Thread(target=self._listen, daemon=True).start()

    @property
    def exit_code(self) -> int:
        """How it ended: below zero by a signal."""
        return self._process.wait()

    def tell(self, name: str, *values: Any, files: Sequence[int] = ()) -> None:
        """Tell it something; where it has died, that is told elsewhere."""
        with suppress(OSError):
            self._channel.send(name, *values, files=files)

    def take(self, share: Share, every: int | None) -> None:
        """Let it carry out trials."""
        self.share = share
        share.begin()
        self.tell("train", share.key, share.left, share.folder, every, share.most)

    def how(self) -> str:
        """How it ended, in words."""
        code = self.exit_code
        if code < 0:
            perhaps = " (perhaps because memory ran out)" if -code == signal.SIGKILL else ""
            return f"its process was ended by {signal.Signals(-code).name}{perhaps}"
        said = [line for line in self.said().splitlines() if line.strip()]
        return f"its process ended with exit code {code}" + (f": {said[-1].strip()[:200]}" if said else "")

    def said(self) -> str:
        """The last lines that it wrote."""
        self._reading.join(1)
        return "".join(self._lines)

    def end(self, *, at_once: bool) -> None:
        """Let it end; nothing can be told to it any more."""
        if at_once:
            self._process.kill()
        self._channel.close()

    def wait(self, deadline: float) -> None:
        """Wait for its end, and make it end at a moment of `monotonic`."""
        try:
            self._process.wait(max(0.0, deadline - monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        try:
            while True:
                name, values, _ = self._channel.receive()
                self._events.put((self, name, values))
        except Exception:  # it has ended, or tells what cannot be understood
            with suppress(OSError):
                self._process.kill()
            self._process.wait()
            self._events.put((self, "ended", ()))

    def _read(self, output: IO[bytes]) -> None:
        with output:
            for written in output:
                line = written.decode("utf-8", "replace")
                self._lines.append(line)
                if self.ready:  # what it says at its start is told if it goes no further
                    self._events.put((self, "line", (line.rstrip(),)))


def _jobs(plans: Mapping[str, Plan]) -> dict[str, Job]:
    """A trial of each run, without what training does not need; equal parts of data are the same object."""
    parts: dict[Any, Job] = {}
    jobs = {}
    for key, plan in plans.items():
        job = plan.job(1)
        same = parts.setdefault((id(plan.dataset), plan.recipe.data.validation, plan.seed), job)
        graph = replace(job.graph, expectations=())
        jobs[key] = replace(job, graph=graph, train=same.train, validation=same.validation)
    return jobs
