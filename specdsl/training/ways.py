"""Ways to train: which engine on which back end, and how trials share it. Light: imports no framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from specdsl.declaration import Misuse

Engine = Literal["fit", "fused"]
"""What trains: Keras's `fit`, or one program on JAX for an epoch of several trials together."""

Method = Literal["vmap", "vmap-products", "map", "map-products"]
"""How trials run together in the fused engine.

`vmap` is one wider computation, in which convolutions have a group for each trial; `map` is one trial after the other
within the program. With `-products` convolutions are matrix products, those of a wider computation batched.
"""

Devices = int | Literal["all"]
"""How many devices are asked for; all that there are."""


@dataclass(frozen=True, slots=True)
class Way:
    """How the trials of a run are trained. What a trial comes to does not depend on it, but for the rounding of floats.

    Attributes:
        engine: what trains.
        backend: the Keras back end.
        method: how trials run together; None for `fit`.
        together: how many trials one program trains at the most; None for all. 1 for `fit`.
        processes: how many processes share the trials, each with its share of the cores.
        devices: how many devices a program runs on: of several trials each has some, of one alone a part of its batch.
        deterministic: whether the same computation gives the same bits on a GPU too.
    """

    engine: Engine = "fit"
    backend: str = "tensorflow"
    method: Method | None = None
    together: int | None = 1
    processes: int = 1
    devices: int = 1
    deterministic: bool = False

    def __str__(self) -> str:
        more: list[str] = [self.method] if self.method else []
        more += [f"{self.processes} processes"] if self.processes > 1 else []
        more += [f"{self.devices} devices"] if self.devices > 1 else []
        more += ["deterministic"] if self.deterministic else []
        return f"{self.engine} on {self.backend}" + (f" ({', '.join(more)})" if more else "")

    def to_dict(self) -> dict[str, Any]:
        """What `config.json` says."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Way:
        """The way that `to_dict` told.

        Raises:
            TypeError: it is none.
        """
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for of a way; None leaves it to be chosen.

    Attributes:
        engine, backend, method, together, processes, deterministic: as in `Way`.
        devices: how many, or all; there may be use for fewer.
        probe: whether ways are timed before one is chosen; None where that pays.
    """

    engine: Engine | None = None
    backend: str | None = None
    method: Method | None = None
    together: int | None = None
    processes: int | None = None
    devices: Devices | None = None
    deterministic: bool = False
    probe: bool | None = None

    def check(self) -> None:
        """Check that it is not contradictory.

        Raises:
            Misuse: it is.
        """
        if self.engine == "fused" and self.backend not in (None, "jax"):
            raise Misuse(
                f'the engine "fused" is a program of JAX, and the back end is {self.backend}',
                argument="engine",
                help="say --backend jax, or leave the back end out",
            )
        alone: Mapping[str, str] = {"method": "one trial after the other", "together": "one trial after the other"}
        given = {name: what for name, what in alone.items() if getattr(self, name) is not None}
        given |= {} if self.devices in (None, 1) else {"devices": "on one device"}
        for argument, what in given.items():
            if self.engine == "fit" or (self.engine is None and self.backend not in (None, "jax")):
                only = "" if self.engine else f", the only one on {self.backend},"
                raise Misuse(
                    f'the engine "fit"{only} trains {what}',
                    argument=argument,
                    help="say --engine fused" if self.engine else "leave the back end out, or say --backend jax",
                )


def even(trials: int, most: int | None) -> list[int]:
    """How many trials each group has: as few groups as can be, all as large as each other or one smaller.

    What is left after the first group falls into the groups that are left, so that a run that is gone on with has the
    groups that it was begun with.

    Args:
        trials: how many there are.
        most: how many a group may have, None for all.
    """
    groups = -(-trials // most) if most else min(trials, 1)
    return [-(-(trials - place) // groups) for place in range(groups)]


ANY = Wanted()
"""That everything is left to be chosen."""
