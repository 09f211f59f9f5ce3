"""Runs in their folders, and carrying out what is left of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

from rich.console import Console

from specdsl.runs.files import RunError, read_json
from specdsl.runs.folder import RunFolder
from specdsl.runs.layout import EXPERIMENT, SUMMARY
from specdsl.runs.records import RunSummary
from specdsl.training import engines, workers
from specdsl.training.estimate import Estimate
from specdsl.training.interrupts import Interrupts
from specdsl.training.plans import Plan
from specdsl.training.progress import Bars, say
from specdsl.training.surroundings import Surroundings
from specdsl.training.together import Most
from specdsl.training.tracking import Tracking
from specdsl.training.trials import run_trials
from specdsl.training.ways import Way, even

if TYPE_CHECKING:
    from specdsl.training.workers_pool import Workers
    from specdsl.training.workers_shares import Share


class Clock:
    """The time in which anything of a run is trained.

    Args:
        before: seconds of it that have passed before.
    """

    def __init__(self, before: float) -> None:
        self._before, self._since, self._running = before, 0.0, 0

    def begin(self) -> None:
        """Something begins."""
        if not self._running:
            self._since = perf_counter()
        self._running += 1

    def end(self) -> None:
        """Something of what was begun has ended."""
        self._before, self._running = self.seconds, self._running - 1
        self._since = perf_counter()

    @property
    def seconds(self) -> float:
        """How long that was so far."""
        return self._before + (perf_counter() - self._since if self._running else 0.0)


class Run:
    """A run in its folder.

    Args:
        plan: everything that it depends on.
        folder: its folder, which is there.

    Attributes:
        tracking: who else is told how it goes.
        clock: the time in which it is carried out, all the times that it was gone on with included.
        most: how many of its trials are trained together at the most.
    """

    def __init__(self, plan: Plan, folder: RunFolder) -> None:
        self.plan, self.folder = plan, folder
        self.tracking = Tracking()
        before = 0.0
        with suppress(RunError, TypeError, ValueError):
            before = float(read_json(folder.path / SUMMARY).get("wall_seconds", 0.0))
        self.clock = Clock(before)
        self.most = Most(plan.chosen.together, self._fewer)

    def left(self) -> list[int]:
        """The trials that have not come to their end, or have lost what they ended with; one that crashed is among
        them, for it may go well next time.
        """
        numbers = range(1, self.plan.trials + 1)
        return [number for number in numbers if not self._finished(number) or self.folder.lost(number)]

    def groups(self) -> list[list[int]]:
        """Those of them that are trained together."""
        return grouped(self.left(), self.plan.chosen)

    def carry_out(self, trials: Sequence[int], around: Surroundings) -> None:
        """Carry out trials, from where they were broken off or from their beginning.

        Raises:
            RunError: the folder cannot be written.
            KeyboardInterrupt: Ctrl-C was pressed twice.
        """
        jobs, folders = zip(*((self.plan.job(number), self.folder.trial(number)) for number in trials), strict=True)
        self.clock.begin()
        run_trials(jobs, folders, replace(around, tracking=self.tracking, most=self.most))
        self.clock.end()
        self.summarise()

    def summarise(self) -> RunSummary:
        """Write down, and give, how the run ended or how far it has come."""
        ended = [self.folder.ended(number) for number in range(1, self.plan.trials + 1)]
        trials = [trial for trial in ended if trial is not None]
        summary = RunSummary(
            model=self.plan.graph.name,
            folder=self.folder.path,
            trials=trials,
            planned=self.plan.trials,
            parameters=self.folder.config.get("parameters"),
            interrupted=len(trials) < self.plan.trials or any(trial.interrupted for trial in trials),
            seconds=sum(trial.seconds / trial.together for trial in trials),
            wall_seconds=self.clock.seconds,
        )
        self.folder.summarise(summary)
        return summary

    def _fewer(self, most: int) -> None:
        """So many are trained together at the most from now on, also when the run is gone on with."""
        way = replace(self.plan.chosen, together=most)
        self.plan = replace(self.plan, way=way)
        self.folder.change(way=way.to_dict())

    def lost(self) -> list[str]:
        """What trials that came to their end have lost since, in words."""
        numbers = range(1, self.plan.trials + 1)
        return [what for number in numbers if self._finished(number) and (what := self.folder.lost(number))]

    def _finished(self, number: int) -> bool:
        ended = self.folder.ended(number)
        if ended is None or ended.interrupted or ended.failed is not None:
            return False
        return bool(ended.diverged) or ended.stopped_early or ended.epochs >= self.plan.recipe.epochs


def carry_out(
    runs: Mapping[str, Run], console: Console, every: int | None, others: Workers | None = None
) -> dict[str, RunSummary]:
    """Carry out what is left of runs: all first trials, then all second ones.

    Args:
        runs: the runs by their keys.
        console: where progress is shown.
        every: epochs from one checkpoint to the next, None for the usual pace.
        others: the processes that train; None for this one.
    """

    def told() -> None:
        say(console, "Stopping after this step and saving what there is. Ctrl-C again stops at once.")
        if others is not None:
            others.wake()

    left = [(numbers, key) for key, run in runs.items() for numbers in run.groups()]
    left.sort(key=lambda one: one[0])
    if not left:
        say(console, "All trials have come to their end: there is nothing left to do.")
        summaries = {key: run.summarise() for key, run in runs.items()}
        if not _drawn(runs):  # the process may have been ended before it drew
            _draw(runs)
        return summaries
    with Interrupts(told) as interrupts:
        announcements = _Announcements(runs, left, console, others.count if others else 1)
        if others is None:
            makers = {key: engines.maker(run.plan.chosen, most=run.most) for key, run in runs.items()}
            for place, (numbers, key) in enumerate(left):
                if interrupts.requested:
                    break
                announcements.begin(place)
                surroundings = Surroundings(makers[key], interrupts, console, every, announcements.epoch(0))
                runs[key].carry_out(numbers, surroundings)
        else:
            with Bars(console, max(map(len, announcements.names))) as bars:
                others.carry_out([announcements.share(place, bars) for place in range(len(left))], interrupts, every)
        summaries = {key: run.summarise() for key, run in runs.items()}
        _draw(runs)
        for key, run in runs.items():
            run.tracking.end(summaries[key])
    if any(summary.interrupted for summary in summaries.values()):
        say(console, "Stopped.")
    return summaries


def grouped(trials: Sequence[int], way: Way) -> list[list[int]]:
    """Trials by those that are trained together: in as many groups as there are processes, where they go round."""
    each = max(1, -(-len(trials) // way.processes))
    left, groups = list(trials), []
    for size in even(len(left), min(way.together or each, each)):
        groups.append(left[:size])
        left = left[size:]
    return groups


class _Announcements:
    """Says what begins, and how long all of it will take.

    Args:
        runs: the runs by their keys.
        left: the trials that are trained together, with the keys of their runs, in order.
        console: where to.
        lanes: how many of them are trained side by side.

    Attributes:
        names: what each of `left` is called beside others.
    """

    def __init__(
        self, runs: Mapping[str, Run], left: Sequence[tuple[Sequence[int], str]], console: Console, lanes: int
    ) -> None:
        self._runs, self._left, self._console = runs, left, console
        self._estimate = Estimate(
            [key for _, key in left], {key: run.plan.recipe.epochs for key, run in runs.items()}, lanes
        )
        self.names = [f"{key} {_which(numbers)}".strip() for numbers, key in left]
        if lanes > 1:
            each = workers.cores_each(next(iter(runs.values())).plan.chosen.processes)
            say(console, f"{lanes} processes with {each} core{'s' if each > 1 else ''} each")

    def begin(self, place: int, lane: int = 0) -> None:
        """One of `left` begins."""
        self._estimate.begin(place, lane)
        numbers, key = self._left[place]
        trials = self._runs[key].plan.trials
        if len(self._runs) > 1 or trials > 1:
            model = f"{key}, " if key else ""
            of = f" ({place + 1} of {len(self._left)})" if len(self._runs) > 1 else ""
            to_go = f", about {self._estimate.left()} to go" if self._estimate.left() else ""
            say(self._console, f"{model}{_which(numbers)} of {trials}{of}{to_go}", style="bold")

    def epoch(self, lane: int) -> Callable[[int], None]:
        """What is told of the epochs of what is trained in a lane."""

        def ended(epoch: int) -> None:
            if self._estimate.epoch(epoch, lane) and len(self._left) > 1:
                trials = sum(len(numbers) for numbers, _ in self._left)
                which = f"all {trials}" if trials > 2 else "both"
                say(self._console, f"by these epochs {which} trials will take about {self._estimate.left()}")

        return ended

    def share(self, place: int, bars: Bars) -> Share:
        """One of `left`, to be handed to a worker; each has a lane of its own."""
        from specdsl.training.workers_shares import Share

        numbers, key = self._left[place]

        def begun() -> None:
            self.begin(place, place)

        def ended() -> None:
            self._estimate.end(place)

        return Share(self._runs[key], key, numbers, self.names[place], bars, begun, self.epoch(place), ended)


def _which(numbers: Sequence[int]) -> str:
    return f"trial {numbers[0]}" if len(numbers) == 1 else f"trials {numbers[0]} to {numbers[-1]}"


def _drawn(runs: Mapping[str, Run]) -> bool:
    """Whether there are curves in the folder of each run, and in that of their experiment."""
    folders = {run.folder.path for run in runs.values()}
    folders |= {folder.parent for folder in folders if (folder.parent / EXPERIMENT).exists()}
    return all(any(folder.glob("*.svg")) for folder in folders)


def _draw(runs: Mapping[str, Run]) -> None:
    """Draw the curves of each run into its folder, and those of an experiment side by side into the folder around."""
    from specdsl.results.figures import draw_experiment, draw_run

    for run in runs.values():
        draw_run(run.folder.path)
    around = {run.folder.path.parent for run in runs.values()}
    for folder in around:
        if "" not in runs and (folder / EXPERIMENT).exists():
            draw_experiment(folder)
