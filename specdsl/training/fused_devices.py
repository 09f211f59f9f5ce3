"""Where the arrays of a program lie among devices, and how it is compiled for them. Imports JAX: start it first.

Trials on several devices are apart: each device carries out the program of its own ones, and none waits for another.
The batch of one trial is split: each device makes and passes on its part of the examples, and what is worked out over
the batch, such as gradients and the statistics of a normalisation, is that of the whole batch, as on one device.
"""

from __future__ import annotations

from collections.abc import Callable
from math import gcd
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import sharding as of_jax
from jax.sharding import Mesh, NamedSharding

from specdsl.declaration import Misuse
from specdsl.training.sharing import Sharing

Tree = Any
"""Arrays within lists, tuples and dictionaries."""

Make = Callable[[Any, Any, Any], Any]
"""What makes a batch for the model of rows, random numbers and the examples."""

_TRIALS, _BATCH, _COPIES = "trials", "batch", "copies"

PartitionSpec: Any = of_jax.PartitionSpec  # JAX gives no types for it


class Spread(Protocol):
    """How the arrays of trials lie on devices."""

    @property
    def spare(self) -> int:
        """How many places in the axis of trials stand behind those of the trials, for a copy of the first one each."""

    def own(self, arrays: Tree) -> Tree:
        """Arrays with an axis of trials in front, laid where the program takes them; those that lie there stay."""

    def shared(self, arrays: Tree) -> Tree:
        """Arrays that all trials share: once on each device."""

    def batch(self, make: Make, rows: Any, draws: Any, data: Tree) -> Tree:
        """Within a program: a batch of one trial, each part of it made by the device that works on it.

        Args:
            make: what makes it of these; an example of it depends on its row and its draws alone.
            rows: int32 (examples,), which examples.
            draws: (examples, columns), their random numbers.
            data: all examples.
        """

    def program(self, function: Callable[..., Any], of_trials: int, *, uses_up: bool = False) -> Any:
        """Compile a function whose first arguments, and results, have an axis of trials; `uses_up` the first one."""


class OneDevice:
    """All of it on one device."""

    spare = 0

    def own(self, arrays: Tree) -> Tree:
        """On the device."""
        return jax.tree.map(jnp.asarray, arrays)

    def shared(self, arrays: Tree) -> Tree:
        """On the device."""
        return jax.tree.map(jnp.asarray, arrays)

    def batch(self, make: Make, rows: Any, draws: Any, data: Tree) -> Tree:
        """On the device."""
        return make(rows, draws, data)

    def program(self, function: Callable[..., Any], of_trials: int, *, uses_up: bool = False) -> Any:
        """Compiled for the device."""
        return jax.jit(function, donate_argnums=0 if uses_up else ())


class TrialsApart:
    """Each device has trials of its own.

    Args:
        sharing: how many devices, and how many trials each.
    """

    def __init__(self, sharing: Sharing) -> None:
        self._mesh = Mesh(np.array(present(sharing.devices)), (_TRIALS,))
        self.spare = sharing.spare

    def own(self, arrays: Tree) -> Tree:
        """Each trial on its device."""
        return jax.device_put(arrays, NamedSharding(self._mesh, PartitionSpec(_TRIALS)))

    def shared(self, arrays: Tree) -> Tree:
        """On each device."""
        return jax.device_put(arrays, NamedSharding(self._mesh, PartitionSpec()))

    def batch(self, make: Make, rows: Any, draws: Any, data: Tree) -> Tree:
        """On the device of the trial."""
        return make(rows, draws, data)

    def program(self, function: Callable[..., Any], of_trials: int, *, uses_up: bool = False) -> Any:
        """Compiled once, for the trials of one device; each device carries it out for its own."""
        own, all_alike = PartitionSpec(_TRIALS), PartitionSpec()

        def apart(*arguments: Any) -> Any:
            specs = tuple(own if place < of_trials else all_alike for place in range(len(arguments)))
            here = jax.shard_map(function, mesh=self._mesh, in_specs=specs, out_specs=own, check_vma=False)
            return here(*arguments)

        return jax.jit(apart, donate_argnums=0 if uses_up else ())


class BatchApart:
    """Each device has a part of the batch of one trial, and the trial's state.

    Args:
        sharing: how many devices; the batch is a multiple of that.
    """

    spare = 0

    def __init__(self, sharing: Sharing) -> None:
        self._devices = np.array(present(sharing.devices))
        self._alike = NamedSharding(Mesh(self._devices, (_BATCH,)), PartitionSpec())

    def own(self, arrays: Tree) -> Tree:
        """On each device."""
        return jax.device_put(arrays, self._alike)

    def shared(self, arrays: Tree) -> Tree:
        """On each device."""
        return jax.device_put(arrays, self._alike)

    def batch(self, make: Make, rows: Any, draws: Any, data: Tree) -> Tree:
        """A part on each device. What is left of an epoch may be no multiple: then several devices do the same part."""
        parts = gcd(len(rows), len(self._devices))
        mesh = Mesh(self._devices.reshape(parts, -1), (_BATCH, _COPIES))
        part, all_of_it = PartitionSpec(_BATCH), PartitionSpec()
        here = jax.shard_map(make, mesh=mesh, in_specs=(part, part, all_of_it), out_specs=part, check_vma=False)
        return here(rows, draws, data)

    def program(self, function: Callable[..., Any], of_trials: int, *, uses_up: bool = False) -> Any:
        """Compiled for all devices together: what comes of it is on each of them."""
        return jax.jit(function, donate_argnums=0 if uses_up else (), out_shardings=self._alike)


def spread(sharing: Sharing) -> Spread:
    """How arrays lie where trials are shared so.

    Raises:
        Misuse: there are not so many devices.
    """
    if sharing.devices == 1:
        return OneDevice()
    return BatchApart(sharing) if sharing.batch else TrialsApart(sharing)


def present(count: int) -> list[Any]:
    """The first devices of this machine that JAX computes on.

    Raises:
        Misuse: there are not so many.
    """
    found: list[Any] = jax.local_devices()
    if len(found) < count:
        several = "device" if len(found) == 1 else "devices"
        raise Misuse(
            f"JAX finds {len(found)} {found[0].platform.upper()} {several} here, and {count} are needed",
            argument="devices",
        )
    return found[:count]
