"""What is remembered of trials that go on: arrays stay on the device, and are fetched when somebody asks for them.

A step uses the state up that it begins with. Who holds what a state was gets it nevertheless: before it is used up it
is copied, on the device where there is room and into memory where there is not. Nobody holds it: nothing is copied.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from specdsl.training.engine import stored_bits
from specdsl.training.fused_program import State

Arrays = dict[str, NDArray[Any]]


class Held(Mapping[str, NDArray[Any]]):
    """Arrays of one trial by their names, which lie on the device until one is asked for.

    Args:
        names: their names, in order.
        fetch: gives them as copies; asked once.
    """

    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def __init__(self, names: Sequence[str], fetch: Callable[[], Arrays]) -> None:
        self._names = names
        self._fetch: Callable[[], Arrays] | None = fetch
        self._arrays: Arrays = {}

    @property
    def fetched(self) -> bool:
        """Whether they are in memory."""
        return self._fetch is None

    def take(self, arrays: Arrays) -> None:
        """Have them in memory from now on, and nothing on the device."""
        self._arrays, self._fetch = arrays, None

    def __getitem__(self, name: str) -> NDArray[Any]:
        if self._fetch is not None:
            self.take(self._fetch())
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Snapshot:
    """The state of all trials at one moment.

    Args:
        state: the state, which training may go on to use up once `keep` was called.
        places: where each named array stands in it: the list and the index.
    """

    def __init__(self, state: State, places: Mapping[str, tuple[int, int]]) -> None:
        self._state, self._places = state, places
        self._names = tuple(places)
        self._holders: WeakKeyDictionary[Held, int] = WeakKeyDictionary()

    @property
    def wanted(self) -> bool:
        """Whether somebody still holds a trial of it that was not fetched."""
        return any(not one.fetched for one in self._holders)

    def of(self, place: int) -> Held:
        """What a trial is in it."""
        held = Held(self._names, lambda: self._fetched(place))
        self._holders[held] = place
        return held

    def keep(self) -> None:
        """Be independent of the state that it was made from, which is about to be used up."""
        if not self.wanted:
            return
        if room(self._state):
            self._state = _copy(self._state)
        else:
            self.fetch()

    def fetch(self) -> None:
        """Bring it into memory for all who hold it: all at once, as each copy waits for the device."""
        found: State = jax.device_get(self._state)
        for held, place in list(self._holders.items()):
            if not held.fetched:
                held.take(self._arrays(found, place))

    def _fetched(self, place: int) -> Arrays:
        found: State = jax.device_get(self._state)
        for held, other in list(self._holders.items()):
            if other != place and not held.fetched:
                held.take(self._arrays(found, other))
        return self._arrays(found, place)

    def _arrays(self, found: State, place: int) -> Arrays:
        return {name: stored_bits(np.array(found[part][index][place])) for name, (part, index) in self._places.items()}


@jax.jit
def _copy(state: State) -> State:
    copied: State = jax.tree.map(jnp.copy, state)
    return copied


def room(state: Any) -> bool:
    """Whether each device has room for a second one of what lies on it."""
    sizes: Counter[Any] = Counter()
    for array in jax.tree.leaves(state):
        part = math.prod(array.sharding.shard_shape(array.shape)) * array.dtype.itemsize
        sizes.update(dict.fromkeys(array.sharding.addressable_devices, part))
    return all(size * 1.1 <= _left(device) for device, size in sizes.items())


def _left(device: Any) -> float:
    """Bytes that a device has never used; no end where it does not tell. What steps need, it has used once."""
    told = device.memory_stats() or {}
    limit, peak = told.get("bytes_limit"), told.get("peak_bytes_in_use")
    return math.inf if limit is None or peak is None else limit - peak
