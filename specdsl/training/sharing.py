"""How several devices share the trials of a program, or the batch of one trial. Light: imports no framework."""

from __future__ import annotations

from dataclasses import dataclass

from specdsl.declaration import Misuse


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


def check_sharing(trials: int, batch: int, devices: int, together: int | None) -> str:
    """Check that a run has something to do for all devices that were asked for, and say where that is not all.

    Args:
        trials: how many the run has.
        batch, devices, together: as in `sharing`.

    Returns:
        A sentence without a full stop, or "".

    Raises:
        Misuse: it has not.
    """
    at_once = min(trials, together or trials)
    found = sharing(at_once, batch, devices, together)
    if found.devices == devices:
        return ""
    if at_once == 1:
        told = f"a batch of {batch} cannot be split evenly over {devices} devices"
        if not found.batch:
            raise Misuse(told, argument="devices", help=f"take a batch that {devices} divides, or fewer devices")
        return f"{told}: {found.devices} have a part of it each"
    if at_once < devices:
        raise Misuse(
            f"{at_once} trials together have use for {at_once} devices, not for {devices}",
            argument="devices",
            help=f"say --devices {at_once}, or --together 1 to spread the batch of one trial after the other over all",
        )
    return f"{at_once} trials take {found.devices} of {devices} devices, {found.each} each: more would be no faster"
