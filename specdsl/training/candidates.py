"""The ways to train that can be had for some work here, and why others cannot. Light: imports no framework."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec

from specdsl.declaration import Misuse
from specdsl.training import frameworks
from specdsl.training.hardware import Hardware, hardware
from specdsl.training.sharing import of_use, sharing
from specdsl.training.sizing import most_together
from specdsl.training.ways import Devices, Engine, Method, Wanted, Way
from specdsl.training.works import Work

_SEVERAL = 4
"""How many processes may share one accelerator."""

_PROCESS = 2 << 30
"""Bytes of a processor's memory that there must be for each process: frameworks alone take half of one to one GiB."""


@dataclass(frozen=True, slots=True)
class Here:
    """What there is to train on.

    Attributes:
        hardware: the machine.
        installed: the back ends that can be imported.
        running: the one that Keras already runs on in this process, or None.
        variable: what the variable KERAS_BACKEND says, or None.
    """

    hardware: Hardware
    installed: frozenset[str]
    running: str | None = None
    variable: str | None = None

    @classmethod
    def now(cls) -> Here:
        """What there is in this process."""
        installed = {name for name in frameworks.BACKENDS if name in sys.modules or find_spec(name) is not None}
        running = str(sys.modules["keras"].backend.backend()) if "keras" in sys.modules else None
        return cls(hardware(), frozenset(installed), running, os.environ.get("KERAS_BACKEND") or None)


@dataclass(frozen=True, slots=True)
class Candidates:
    """The ways that can be had.

    Attributes:
        ways: those, and of ways that are equally good the one to take before others.
        asked: what was asked for, so that it was not to be chosen, in words; or None.
        missing: why an engine on a back end cannot be had, by its name in words, where it was not ruled out by asking.
    """

    ways: tuple[Way, ...]
    asked: str | None = None
    missing: Mapping[str, str] = field(default_factory=dict)


def check_wanted(wanted: Wanted, trials: int, batch: int, here: Here | None = None) -> None:
    """Check what is asked for against what there is, as far as that can be done before there are data.

    Args:
        wanted: what is asked for.
        trials: how many of a model are trained.
        batch: examples of a step.
        here: what there is to train on.

    Raises:
        Misuse: it cannot be had.
    """
    wanted.check()
    here = here or Here.now()
    _backends(wanted, here)
    if wanted.devices is not None:
        _of_use(wanted, wanted.devices, trials, batch, here, wanted.processes or 1)


def candidates(work: Work, here: Here) -> Candidates:
    """The ways in which some work can be done here, as far as what was asked for leaves them open.

    Raises:
        Misuse: what is asked for cannot be had.
    """
    wanted = work.wanted
    wanted.check()
    backends, asked = _backends(wanted, here)
    engine = _engine(wanted)
    missing: dict[str, str] = {}
    fused: list[Way] = []
    fits = [] if engine == "fused" else [way for backend in backends for way in _fit(work, here, backend)]
    if engine != "fit":
        try:
            if "jax" not in backends and not ((asked or wanted.backend) and engine is None):
                raise _without_jax(here)
            if "jax" in backends:
                fused = _fused(work, here)
        except Misuse as misuse:
            if engine == "fused":
                raise
            missing["fused on jax"] = misuse.message + (f": {misuse.help}" if misuse.help else "")
    ways = [way for way in fits if way.backend == "tensorflow"] + fused
    ways += [way for way in fits if way.backend != "tensorflow"]
    ways = [replace(way, deterministic=wanted.deterministic) for way in ways]
    assert ways, "a back end has been found, and fit runs on all of them"
    said = ", and ".join(filter(None, (asked, _said(wanted))))
    return Candidates(tuple(dict.fromkeys(ways)), said or None, missing)


def _said(wanted: Wanted) -> str:
    """What was asked for, in words; nothing where all was left open."""
    names = ("engine", "backend", "method", "together", "processes", "devices")
    *most, last = [f"--{name} {getattr(wanted, name)}" for name in names if getattr(wanted, name) is not None] or [""]
    said = f"{', '.join(most)} and {last} were" if most else f"{last} was"
    return f"{said} asked for" if last else ""


def _engine(wanted: Wanted) -> Engine | None:
    """The engine that was asked for, in so many words or by what only the fused one takes."""
    if wanted.engine is not None:
        return wanted.engine
    return "fused" if wanted.method or wanted.together or wanted.devices not in (None, 1) else None


def _backends(wanted: Wanted, here: Here) -> tuple[list[str], str | None]:
    """The back ends that are open, and what else than an option has closed others, in words.

    Raises:
        Misuse: the one that is asked for, by an option or by the variable, cannot be had.
    """
    needed = wanted.backend or ("jax" if _engine(wanted) == "fused" else None)
    if needed is not None:
        frameworks.check_installed(needed)
        if needed not in here.installed:
            raise _not_installed(needed)
        if here.running not in (None, needed):
            raise Misuse(
                f"Keras already runs on {here.running} in this process, so that {needed} cannot be had",
                argument="backend" if wanted.backend else "engine",
            )
        return [needed], None
    if here.running is not None:
        return [here.running], f"Keras already runs on {here.running} in this process"
    if here.variable is not None:
        if here.variable not in here.installed:
            raise _not_had(here.variable)
        return [here.variable], f"KERAS_BACKEND is {here.variable}"
    found = [name for name in frameworks.BACKENDS if name in here.installed]
    if not found:
        raise _not_installed("tensorflow")
    return found, None


def _not_installed(backend: str) -> Misuse:
    return Misuse(
        f"training on {backend} needs the package {backend}, which is not installed",
        argument="backend",
        help=f"pip install 'specdsl[{backend}]'",
    )


def _not_had(variable: str) -> Misuse:
    """What is wrong with KERAS_BACKEND."""
    known = variable in frameworks.BACKENDS
    why = f"the package {variable} is not installed" if known else "that is no back end that trains"
    return Misuse(
        f"KERAS_BACKEND is {variable}, and {why}",
        argument="backend",
        help=f"--backend goes before it: {', '.join(frameworks.BACKENDS)}",
    )


def _without_jax(here: Here) -> Misuse:
    return Misuse("it needs JAX, which is not installed", argument="engine", help="pip install 'specdsl[jax]'")


def _processes(work: Work, here: Here) -> Iterator[int]:
    """How many processes may share the trials."""
    if work.wanted.processes is not None or work.wanted.devices not in (None, 1):
        yield work.wanted.processes or 1
        return
    yield 1
    machine = here.hardware
    room = min(machine.cores, machine.memory // _PROCESS) if machine.platform == "cpu" else _SEVERAL
    most = min(work.trials + work.beside, room)
    if most > 1:
        yield most


def _fit(work: Work, here: Here, backend: str) -> Iterator[Way]:
    for processes in _processes(work, here):
        yield Way("fit", backend, processes=processes)


def _fused(work: Work, here: Here) -> list[Way]:
    """The ways of the fused engine.

    Raises:
        Misuse: there are not so many devices, or not even one trial fits into the memory.
    """
    found: list[Way] = []
    full = None
    for processes in _processes(work, here):
        for devices in _devices(work, here, processes):
            for method in [work.wanted.method] if work.wanted.method is not None else _methods(work, here):
                try:
                    together = _together(work, here, method, processes, devices)
                except Misuse as misuse:
                    full = misuse
                    continue
                found.append(Way("fused", "jax", method, together, processes, devices))
    if full is not None and not found:
        raise full
    return found


def _together(work: Work, here: Here, method: Method, processes: int, devices: int) -> int:
    """How many trials a program trains at the most: as many as were asked for, or as memory suffices for.

    Raises:
        Misuse: it does not suffice for one.
    """
    if work.wanted.together is not None:
        return min(work.wanted.together, -(-work.trials // processes))
    return most_together(work.job, method, work.trials, here.hardware, devices, processes)


def _methods(work: Work, here: Here) -> list[Method]:
    """The methods that may be the best ones. On a processor convolutions in a loop are tens of times slower."""
    convolves = work.effort.convolutions + work.effort.grouped > 0
    if not convolves:
        return ["vmap", "map"] if work.trials > 1 else ["vmap"]
    if here.hardware.platform == "cpu":
        return ["map-products", "vmap-products"] if work.trials > 1 else ["map-products"]
    return ["vmap-products", "vmap", "map", "map-products"] if work.trials > 1 else ["vmap", "vmap-products"]


def _devices(work: Work, here: Here, processes: int) -> list[int]:
    """On how many devices: several trials on as many as there are, one alone on one or on all.

    Raises:
        Misuse: so many as are asked for are not there, or of no use.
    """
    asked, there, batch = work.wanted.devices, here.hardware.devices, work.job.recipe.batch
    if asked is not None:
        return [_of_use(work.wanted, asked, work.trials, batch, here, processes)]
    if here.hardware.platform == "cpu":
        return [1]
    together = _at_once(work.wanted, work.trials, processes)
    found = sharing(together, batch, there, together).devices
    return [found] if together > 1 else sorted({1, found})


def _of_use(wanted: Wanted, asked: Devices, trials: int, batch: int, here: Here, processes: int) -> int:
    """How many of the devices that are asked for a program has use for.

    Raises:
        Misuse: so many are not there, or of no use.
    """
    return of_use(asked, here.hardware.devices, _at_once(wanted, trials, processes), batch)


def _at_once(wanted: Wanted, trials: int, processes: int) -> int:
    """How many trials a program would train, had it the memory for all of its process."""
    most = -(-trials // processes)
    return min(wanted.together or most, most)
