"""Choosing the way to train: by known costs, or where a run is long by timing the ways that there are. Light."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from specdsl.training import costs, frameworks, probe_cache, probing
from specdsl.training.candidates import Candidates, Here, candidates
from specdsl.training.estimate import duration
from specdsl.training.probe_cache import Known
from specdsl.training.probing import Rate
from specdsl.training.progress import room, say
from specdsl.training.sharing import left_out
from specdsl.training.sizing import why_not_all
from specdsl.training.ways import Way
from specdsl.training.works import Work

SHARE = 0.05
"""The share of a run that timing may take, where nobody asks for it."""

ALIKE = 1.15
"""How many times as long as the best a way may take by known costs to pass for as good: of those the first is taken."""

NEARLY = 1.03
"""The same where ways have been timed."""

HOPELESS = 4.0
"""How many times as long as the best a way may take by known costs to be timed all the same."""


@dataclass(frozen=True)
class Choice:
    """How a model's trials are to be trained.

    Attributes:
        way: that.
        why: the reason, in words.
    """

    way: Way
    why: str


Shared = tuple[str, int]
"""What all models of an experiment share: the back end, and how many processes there are."""


def _shared(way: Way) -> Shared:
    return way.backend, way.processes


@dataclass
class _Case:
    """One model, with the ways that it could be trained in and what is known of them.

    Attributes:
        work: what is to be trained.
        here: what there is to train on.
        found: the ways that can be had.
        foretold: how fast each should be.
        timed: how fast each was that has been timed, now or before.
        before: what of that is from the cache.
    """

    work: Work
    here: Here
    found: Candidates
    foretold: Mapping[Way, Rate]
    timed: dict[Way, Rate] = field(default_factory=dict)
    before: dict[Way, Known] = field(default_factory=dict)

    @property
    def hopeful(self) -> list[Way]:
        """The ways that are worth timing, in the order of how much they promise."""
        least = min(map(self._foretold, self.usual))
        ways = sorted(self.found.ways, key=lambda way: (way not in self.usual, self._foretold(way)))
        return [way for way in ways if self._foretold(way) <= HOPELESS * least]

    @property
    def compared(self) -> bool:
        """Whether the choice is by what was timed."""
        return any(rate.failed is None for rate in self.timed.values())

    @property
    def usual(self) -> Sequence[Way]:
        """The ways to choose from: on an accelerator one fused program, where there is one and nothing was timed."""
        if self.compared or self.here.hardware.platform == "cpu":
            return self.found.ways
        fused = [way for way in self.found.ways if way.engine == "fused"] or self.found.ways
        return [way for way in fused if way.processes == min(one.processes for one in fused)]

    def seconds(self, way: Way) -> float:
        """How long a run takes in a way: by what was timed, if anything was."""
        if self.compared:
            return self.timed[way].total(self.work, way) if way in self.timed else float("inf")
        return self._foretold(way)

    def best(self, shared: Shared) -> Way:
        """The way that takes the least time of those that share this, or the first of those that take hardly more."""
        ways = [way for way in self.usual if _shared(way) == shared]
        least = min(map(self.seconds, ways))
        return next(way for way in ways if self.seconds(way) <= least * (NEARLY if self.compared else ALIKE))

    def _foretold(self, way: Way) -> float:
        return self.foretold[way].total(self.work, way)


def choose(works: Mapping[str, Work], console: Console, here: Here | None = None) -> dict[str, Choice]:
    """The way of each model of an experiment, all on one back end, with the reason told.

    Args:
        works: what is to be trained, by the keys of the models; what is asked for is the same for all.
        console: where the choice is told.
        here: what there is to train on.

    Raises:
        Misuse: what is asked for cannot be had here.
        KeyboardInterrupt: Ctrl-C was pressed while ways were timed; nothing is left behind.
    """
    if not works:
        return {}
    here = here or Here.now()
    cases = {key: _case(work, here) for key, work in works.items()}
    probe = next(iter(works.values())).wanted.probe
    if probe is not False:
        _recall(cases, here)
        if due := _due(cases, bool(probe)):
            _probe(due, here, console)
        for case in cases.values():
            if case.timed or len(case.before) > 1:
                case.timed |= {way: known.rate for way, known in case.before.items()}
    chosen = {key: Choice(way, _reason(cases[key], way, here)) for key, way in _best(cases).items()}
    for choice in chosen.values():
        frameworks.check_installed(choice.way.backend)
    _tell(cases, chosen, here, console)
    return chosen


def _case(work: Work, here: Here) -> _Case:
    found = candidates(work, here)
    foretold = {way: costs.predicted(work, way, here.hardware) for way in found.ways}
    for way, rate in foretold.items():
        if way.backend == here.running and way.processes == 1:
            foretold[way] = replace(rate, starting_seconds=0.0)
    return _Case(work, here, found, foretold)


def _best(cases: Mapping[str, _Case]) -> dict[str, Way]:
    """The way of each model, where all together take the least time with what they share, or hardly more."""
    first, *others = ([_shared(way) for way in case.usual] for case in cases.values())
    possible = [one for one in dict.fromkeys(first) if all(one in other for other in others)]
    ways = {one: {key: case.best(one) for key, case in cases.items()} for one in possible}
    needed = {one: sum(cases[key].seconds(way) for key, way in best.items()) for one, best in ways.items()}
    alike = NEARLY if any(case.compared for case in cases.values()) else ALIKE
    return next(ways[one] for one in possible if needed[one] <= alike * min(needed.values()))


# ------------------------------------------------------------------------------------------------------ timing


def _recall(cases: Mapping[str, _Case], here: Here) -> None:
    """Look up what was timed before."""
    for case in _open(cases):
        found = {way: probe_cache.read(case.work, way, here.hardware) for way in case.hopeful}
        case.before = {way: known for way, known in found.items() if known is not None}


def _due(cases: Mapping[str, _Case], asked: bool) -> list[tuple[_Case, Way]]:
    """What is to be timed: all where it is asked for, or else as much as costs little of the run, if that compares."""
    due = []
    share = SHARE * sum(cases[key].seconds(way) for key, way in _best(cases).items()) / max(1, len(_open(cases)))
    for case in _open(cases):
        left = [way for way in case.hopeful if way not in case.before]
        if not asked:
            spent, affordable = 0.0, []
            for way in left if len(case.before) < 2 else []:
                spent += _cost(case, way)
                affordable += [way] if spent <= share else []
            left = affordable if len(affordable) + len(case.before) > 1 else []
        due += [(case, way) for way in left]
    return due


def _open(cases: Mapping[str, _Case]) -> list[_Case]:
    """The models with several ways that are worth timing."""
    return [case for case in cases.values() if len(case.hopeful) > 1]


def _cost(case: _Case, way: Way) -> float:
    """About how many seconds it takes to time a way."""
    rate = case.foretold[way]
    return rate.starting_seconds + rate.compiling_seconds + 2 * probing.SECONDS


def _probe(due: Sequence[tuple[_Case, Way]], here: Here, console: Console) -> None:
    """Time ways, and keep what comes of it."""
    about = duration(sum(_cost(case, way) for case, way in due))
    several = f"{len(due)} ways to train" if len(due) > 1 else "a way to train"
    say(console, f"Timing {several}, which takes about {about}; --no-probe chooses without.")
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    ) as progress:  # fmt: skip
        for place, (case, way) in enumerate(due):
            task = progress.add_task(f"{place + 1} of {len(due)}: {way}", total=None)
            case.timed[way] = probing.rates(case.work, [way], examples=_examples(case, way))[way]
            progress.remove_task(task)
    for case, way in due:
        if case.compared:  # where all have failed, the reason lies elsewhere
            probe_cache.write(case.work, way, here.hardware, case.timed[way])


def _examples(case: _Case, way: Way) -> int:
    """How many examples an epoch of a probe has: an epoch's, or as many as take a few seconds by known costs."""
    job, rate = case.work.job, case.foretold[way]
    of_each = rate.images_per_second / (sum(probing.sizes_of(case.work, way)) or 1)
    return min(len(job.train), max(2 * job.recipe.batch, int(of_each * probing.SECONDS / 3)))


# ------------------------------------------------------------------------------------------------------ telling


def _reason(case: _Case, way: Way, here: Here) -> str:
    """Why a way was chosen, in words."""
    others = [one for one in case.found.ways if one != way]
    if not others:
        return case.found.asked or _only(case)
    asked = f"{case.found.asked}; " if case.found.asked else ""
    if case.compared:
        days = {known.day for known in case.before.values()}
        when = f", on {min(days)}: kept in {probe_cache.folder()}" if days else ""
        return f"{asked}the fastest of {len(case.timed)} ways that were timed{when}"
    rival = min((one for one in others if one.engine != way.engine), key=case.seconds, default=None)
    if rival is None:
        return asked + _among(case, way, here)
    ratio = case.seconds(rival) / case.seconds(way)
    times = f"about {ratio:.0f} times" if ratio >= 3 else f"about {ratio:.1f} times" if ratio >= 1.15 else "about"
    longer = f"{times} as long"
    return f"{asked}{_kind(case, way, here)}; by known costs {rival} would take {longer}"


def _only(case: _Case) -> str:
    missing = "; ".join(f"{name} cannot be had: {why}" for name, why in case.found.missing.items())
    return missing or "there is no other way here"


def _among(case: _Case, way: Way, here: Here) -> str:
    """Why one of the ways of an engine was chosen."""
    missing = "; ".join(f"{name} cannot be had: {why}" for name, why in case.found.missing.items())
    if missing:
        return missing
    if way.processes > 1 and case.work.wanted.processes is None:
        return f"{way.processes} processes have a share of the {here.hardware.cores} cores each"
    return "the fastest by known costs"


def _kind(case: _Case, way: Way, here: Here) -> str:
    """What it is in the work that makes a way the best."""
    effort = case.work.effort
    convolved = effort.convolutions + effort.grouped
    if way.engine == "fit":
        others = [rate.images_per_second for one, rate in case.foretold.items() if one.engine == "fused"]
        if max(others, default=0.0) > case.foretold[way].images_per_second:
            return "the run is short, and this starts sooner"
        if convolved > effort.products:
            return f"convolutions are {convolved / max(1, effort.macs):.0%} of the multiply-accumulates"
        return "steps take much longer than to begin them"
    if here.hardware.platform != "cpu":
        return f"whole epochs stay on the device ({here.hardware})"
    return "steps are over in less time than it takes to begin them one by one"


def _tell(cases: Mapping[str, _Case], chosen: Mapping[str, Choice], here: Here, console: Console) -> None:
    """Say what was chosen, and what was measured."""
    if here.hardware.note:
        say(console, f"{here.hardware.note[0].upper()}{here.hardware.note[1:]}.", style="yellow")
    for key, case in cases.items():
        if case.timed:
            for line in _table(case, chosen[key].way, key, room(console)):
                say(console, line)
    told: dict[tuple[Way, str], list[str]] = {}
    for key, choice in chosen.items():
        told.setdefault((choice.way, choice.why), []).append(key)
    for key, case in cases.items():
        way, asked = chosen[key].way, case.work.wanted.devices
        if asked is not None and way.engine == "fused":
            batch = case.work.job.recipe.batch
            if idle := left_out(asked, here.hardware.devices, way.together or case.work.trials, batch):
                say(console, f"{key}: {idle}." if len(cases) > 1 else f"{idle}.")
    for (way, why), keys in told.items():
        which = f"{', '.join(keys)}: trained" if len(told) > 1 else "Trained"
        say(console, f"{which} by {way}: {why}.")
    for key, choice in chosen.items():
        work = cases[key].work
        groups = why_not_all(work.job, work.trials, choice.way, here.hardware)
        if groups and work.wanted.together is None:
            say(console, groups)


def _table(case: _Case, way: Way, key: str, room: float) -> Sequence[str]:
    """What was timed, the best first; where there is no room beside the ways, below each of them."""
    ways = sorted(case.timed, key=case.seconds)
    width = max(len(str(one)) for one in ways)
    wide = 2 + width + 26 <= room
    title = f"timed{f' for {key}' if key else ''}"
    lines = [f"{title:<{width + 2}}{'examples/s':>12}{'whole run':>14}" if wide else title]
    for one in ways:
        rate = case.timed[one]
        head = f"{'*' if one == way else ' '} {one!s:<{width if wide else 0}}"
        if rate.failed is not None:
            told = [f"  cannot be had: {rate.failed}"]
        elif wide:
            told = [f"{rate.images_per_second:>12,.0f}{duration(case.seconds(one)):>14}"]
        else:
            told = [f"    {rate.images_per_second:,.0f} examples/s", f"    whole run {duration(case.seconds(one))}"]
        lines += [head + told[0]] if wide else [head, *told]
    return lines
