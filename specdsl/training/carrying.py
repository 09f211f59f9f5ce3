"""Runs in their folders, and carrying out what is left of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rich.console import Console

from specdsl.runs.folder import RunFolder
from specdsl.runs.layout import EXPERIMENT
from specdsl.runs.records import RunSummary, TrialSummary
from specdsl.training import engines
from specdsl.training.estimate import Estimate
from specdsl.training.interrupts import Interrupts
from specdsl.training.plans import Plan
from specdsl.training.progress import say
from specdsl.training.tracking import Tracking
from specdsl.training.trials import Surroundings, run_trials
from specdsl.training.ways import even


class Run:
    """A run in its folder.

    Args:
        plan: everything that it depends on.
        folder: its folder, which is there.

    Attributes:
        tracking: who else is told how it goes.
    """

    def __init__(self, plan: Plan, folder: RunFolder) -> None:
        self.plan, self.folder = plan, folder
        self.tracking = Tracking()

    def left(self) -> list[int]:
        """The trials that have not come to their end; one that crashed is among them, for it may go well next time."""
        return [number for number in range(1, self.plan.trials + 1) if not self._finished(self.folder.ended(number))]

    def groups(self) -> list[list[int]]:
        """Those of them that are trained together."""
        left, groups = self.left(), []
        for size in even(len(left), self.plan.chosen.together):
            groups.append(left[:size])
            left = left[size:]
        return groups

    def carry_out(self, trials: Sequence[int], around: Surroundings) -> None:
        """Carry out trials, from where they were broken off or from their beginning.

        Raises:
            RunError: the folder cannot be written.
            KeyboardInterrupt: Ctrl-C was pressed twice.
        """
        jobs, folders = zip(*((self.plan.job(number), self.folder.trial(number)) for number in trials), strict=True)
        most = self.plan.chosen.together
        run_trials(jobs, folders, replace(around, tracking=self.tracking, most=most, fewer=self.fewer))
        self.summarise()

    def fewer(self, most: int) -> None:
        """Train so many together at the most from now on, also when the run is gone on with."""
        way = replace(self.plan.chosen, together=most)
        self.plan = replace(self.plan, way=way)
        self.folder.change(way=way.to_dict())

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
        )
        self.folder.summarise(summary)
        return summary

    def _finished(self, ended: TrialSummary | None) -> bool:
        if ended is None or ended.interrupted or ended.failed is not None:
            return False
        return bool(ended.diverged) or ended.stopped_early or ended.epochs >= self.plan.recipe.epochs


def carry_out(runs: Mapping[str, Run], console: Console, every: int | None) -> dict[str, RunSummary]:
    """Carry out what is left of runs: all first trials, then all second ones."""

    def told() -> None:
        say(console, "Stopping after this step and saving what there is. Ctrl-C again stops at once.")

    left = [(numbers, key) for key, run in runs.items() for numbers in run.groups()]
    left.sort(key=lambda one: one[0])
    if not left:
        say(console, "All trials have come to their end: there is nothing left to do.")
        summaries = {key: run.summarise() for key, run in runs.items()}
        if not _drawn(runs):  # the process may have been ended before it drew
            _draw(runs)
        return summaries
    with Interrupts(told) as interrupts:
        makers = {key: engines.maker(run.plan.chosen) for key, run in runs.items()}
        estimate = Estimate([key for _, key in left], {key: run.plan.recipe.epochs for key, run in runs.items()})

        def ended(epoch: int) -> None:
            if estimate.epoch(epoch) and len(left) > 1:
                trials = sum(len(numbers) for numbers, _ in left)
                say(console, f"by these epochs all {trials} trials will take about {estimate.left()}")

        for place, (numbers, key) in enumerate(left):
            if interrupts.requested:
                break
            estimate.begin(place)
            trials = runs[key].plan.trials
            if len(runs) > 1 or trials > 1:
                model = f"{key}, " if key else ""
                which = f"trial {numbers[0]}" if len(numbers) == 1 else f"trials {numbers[0]} to {numbers[-1]}"
                of = f" ({place + 1} of {len(left)})" if len(runs) > 1 else ""
                to_go = f", about {estimate.left()} to go" if estimate.left() else ""
                say(console, f"{model}{which} of {trials}{of}{to_go}", style="bold")
            runs[key].carry_out(numbers, Surroundings(makers[key], interrupts, console, every, ended))
        summaries = {key: run.summarise() for key, run in runs.items()}
        _draw(runs)
        for key, run in runs.items():
            run.tracking.end(summaries[key])
    if any(summary.interrupted for summary in summaries.values()):
        say(console, "Stopped.")
    return summaries


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
