"""How several devices share the trials of a program, or the batch of one trial. Light: imports no framework."""

from __future__ import annotations

from dataclasses import dataclass

from specdsl.declaration import Misuse
from specdsl.training.ways import Devices


@dataclass(frozen=True, slots=True)
class Sharing:
    """Who has what.

    Attributes:
        devices: how many devices a program runs on; those beyond have nothing to do.
        each: trials on each of them.
        spare: how many of these places no trial needs: a copy of the first trial fills them, of which nothing is kept.
        batch: whether they share the batch of one trial; otherwise each device has trials of its own.
    """

    devices: int = 1
    each: int = 1
    spare: int = 0
    batch: bool = False


def sharing(trials: int, batch: int, devices: int, together: int | None = None) -> Sharing:
    """How trials that are trained together are shared, or one whose recipe has this batch.

    Trials are spread over the fewest devices with which the one that has most has no more than it must: so few places
    are left over, and filling those takes no time, for the devices work at once. One trial is spread by its batch, over
    the most devices that divide it, unless others are trained with such a one together: it is what is left of them.

    Args:
        trials: how many, at least 1.
        batch: examples of a step.
        devices: how many there are to share.
        together: how many trials a program of the run has at the most; None for all.
    """
    if trials == 1 and together in (None, 1):
        split = next(count for count in range(min(devices, batch), 0, -1) if batch % count == 0)
        return Sharing(split, batch=split > 1)
    each = -(-trials // devices)
    used = -(-trials // each)
    return Sharing(used, each, used * each - trials)


def of_use(asked: Devices, there: int, together: int, batch: int) -> int:
    """How many of the devices that are asked for a run has use for.

    Args:
        asked: how many are asked for.
        there: how many there are.
        together: how many trials a program has at the most.
        batch: examples of a step.

    Raises:
        Misuse: there are fewer, or too little is trained at once for so many.
    """
    if asked != "all" and asked > there:
        raise Misuse(
            f"there {'is 1 device' if there == 1 else f'are {there} devices'} here, not {asked}",
            argument="devices",
            help="--devices all takes those that there are",
        )
    found = sharing(together, batch, there if asked == "all" else asked, together)
    if asked == "all" or found.devices == asked:
        return found.devices
    if together == 1 and not found.batch:
        raise Misuse(
            f"a batch of {batch} cannot be split evenly over {asked} devices, or over fewer",
            argument="devices",
            help=f"take a batch that {asked} divides",
        )
    if 1 < together < asked:
        raise Misuse(
            f"{together} trials together have use for {together} devices, not for {asked}",
            argument="devices",
            help=f"say --devices {together}, or --together 1 to spread the batch of one trial after the other over all",
        )
    return found.devices


def left_out(asked: Devices, there: int, together: int, batch: int) -> str:
    """Why some of the devices that are asked for have nothing to do; "" where all have something.

    Args:
        asked, there, together, batch: as in `of_use`.
    """
    count = there if asked == "all" else asked
    used = sharing(together, batch, count, together).devices
    if used == count:
        return ""
    of = f"{used} of {count} devices"
    if together == 1:
        return f"{of} have a part of the batch: {batch} cannot be split evenly over more"
    each = -(-together // used)
    return f"{of} have trials, {'one' if each == 1 else f'at most {each}'} each: with more it would take as long"
