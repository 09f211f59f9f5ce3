"""Where trials that are trained together stand: taken from it, put back, and held as it was. Imports Keras and JAX.

Arrays of one trial have the names that the `fit` engine gives them, so that what one engine has kept the other takes.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

import jax
import jax.numpy as jnp
import numpy as np

from specdsl.runs.checkpoints import State as Stored
from specdsl.training.engine import stored_bits
from specdsl.training.fused_devices import Spread
from specdsl.training.fused_models import averages, places, stored_as, variables
from specdsl.training.fused_program import State
from specdsl.training.fused_snapshots import Arrays, Held, Snapshot, room


class States:
    """The state of all trials.

    Args:
        model: their Keras model.
        state: what they begin with.
        trials: how many there are.
        spread: how they lie on devices.

    Attributes:
        now: the state as it is; whoever uses it up says so by `hand_over` before, and sets what came of it.
        changes: how often it was handed over or put back; what was worked out of it holds until the next time.
    """

    def __init__(self, model: Any, state: State, trials: int, spread: Spread) -> None:
        self.now, self.changes = state, 0
        self._model, self._spread = model, spread
        self._places = places(model)
        self._averages = averages(model)
        self._fixed = [False] * trials
        self._snapshots: WeakSet[Snapshot] = WeakSet()
        self._snapshot: Snapshot | None = None

    @property
    def fixed(self) -> bool:
        """Whether the training of a trial has ended with weights that were put back for it."""
        return any(self._fixed)

    def shown(self) -> State:
        """The state that is evaluated: with the averaged weights where the optimizer averages."""
        if not self._averages:
            return self.now
        fixed = jnp.asarray(self._fixed + [False] * self._spread.spare)
        trainable = [
            jnp.where(fixed.reshape(-1, *[1] * (own.ndim - 1)), own, self.now.optimizer[place])
            for own, place in zip(self.now.trainable, self._averages, strict=True)
        ]
        return self.now._replace(trainable=trainable)

    def held(self, place: int) -> Held:
        """The arrays of a trial; they are copied when they have to be."""
        if self._snapshot is None:
            self._snapshot = Snapshot(self.now, {name: at[1:] for name, at in self._places.items()})
            self._snapshots.add(self._snapshot)
        return self._snapshot.of(place)

    def weights(self, place: int) -> Held:
        """Those of its model, with the averaged weights where the optimizer averages."""
        state = self.shown()
        names = [name for name, (kind, _, _) in self._places.items() if kind == "model"]
        own = _one_of((state.trainable, state.others), place)

        def fetch() -> Arrays:
            found = jax.device_get(own)
            return {name: stored_bits(np.array(found[part][index])) for name in names
                    for _, part, index in [self._places[name]]}  # fmt: skip

        held = Held(names, fetch)
        if not room(own):
            held.take(fetch())
        return held

    def expected(self) -> dict[str, jax.ShapeDtypeStruct]:
        """What the arrays of a trial are."""
        return {name: stored_as(self.now[part][index]) for name, (_, part, index) in self._places.items()}

    def put(self, place: int, stored: Stored, fixed: bool = False) -> None:
        """Put arrays back that were held, all or those of the model; `fixed` where training ends with them."""
        parts: list[list[Any]] = [list(part) for part in self.now]
        given: list[list[Any]] = [[None] * len(part) for part in parts]
        for name, array in stored.items():
            _, part, index = self._places[name]
            given[part][index] = array.view(np.dtype(parts[part][index].dtype))
        whole = [number for number, part in enumerate(given) if part and all(one is not None for one in part)]
        changed = _with_one([parts[number] for number in whole], [given[number] for number in whole], place)
        for number, part in zip(whole, changed, strict=True):
            parts[number] = part
        if self._snapshot is not None and self._snapshot.wanted:  # of all trials, to be held beside the new state
            self._snapshot.fetch()
        self.now = self._spread.own(State(*parts))
        self._fixed[place] = self._fixed[place] or fixed
        self._snapshot = None
        self.changes += 1

    def hand_over(self) -> None:
        """The state is about to be used up: who holds what it was gets it for himself."""
        for snapshot in list(self._snapshots):
            if snapshot is self._snapshot:
                snapshot.keep()
            elif snapshot.wanted:  # of a trial that has ended: it would lie on the device to the end
                snapshot.fetch()
        self._snapshot = None
        self.changes += 1

    def into_model(self, place: int) -> None:
        """Let the Keras model have the weights of a trial; of the others nothing is fetched."""
        parts = variables(self._model)
        for name, array in self.weights(place).items():
            _, part, index = self._places[name]
            parts[part][index].assign(array.view(np.dtype(self.now[part][index].dtype)))


@jax.jit
def _one_of(state: Any, place: int) -> Any:
    """The arrays of one trial."""
    return jax.tree.map(lambda one: one[place], state)


@jax.jit
def _with_one(state: Any, own: Any, place: int) -> Any:
    """The arrays of all trials, with others for one of them."""
    return jax.tree.map(lambda one, new: one.at[place].set(new), state, own)
