"""What trials of a run have in common while they are trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from rich.console import Console

from specdsl.training.engine import Group, Job
from specdsl.training.interrupts import Interrupts
from specdsl.training.progress import Display, Displayed
from specdsl.training.together import Most
from specdsl.training.tracking import Tracking


@dataclass(frozen=True)
class Surroundings:
    """What trials of a run have in common beside what they are made from.

    Attributes:
        make: makes trials in the engine, to be trained together.
        interrupts: whether somebody wants the run to end.
        console: where progress is shown.
        every: epochs from one checkpoint to the next, None for the usual pace.
        told: is told the number of each epoch that has ended.
        tracking: who else is told how it goes.
        most: how many trials may be trained together.
        display: what shows progress, as `Display` does.
        processes: how many processes train trials at the same time.
    """

    make: Callable[[Sequence[Job]], Group]
    interrupts: Interrupts
    console: Console
    every: int | None = None
    told: Callable[[int], None] = lambda epoch: None
    tracking: Tracking = field(default_factory=Tracking)
    most: Most = field(default_factory=Most)
    display: Callable[..., AbstractContextManager[Displayed]] = Display
    processes: int = 1
