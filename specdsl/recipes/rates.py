"""Keras's learning rate schedules: rates that follow the number of the step, which Keras computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from specdsl.declaration import Misuse, declared
from specdsl.recipes.naming import FromList, InKeras, NonNegative, Number, Positive


class RateSchedule(InKeras):
    """A learning rate for each step, counted from 0 over the whole run."""

    module: ClassVar[str] = "optimizers.schedules"
    keyword_only: ClassVar[tuple[str, ...]] = ("name",)

    @classmethod
    def wanted(cls) -> str:
        return "a schedule such as CosineDecay(0.1, 1000)"


class CosineDecay(RateSchedule):
    """Down along half a cosine to `alpha` of the rate, after a linear warm-up if wanted (Loshchilov, Hutter, 2016)."""

    keyword_only: ClassVar[tuple[str, ...]] = ("name", "warmup_target", "warmup_steps")

    initial_learning_rate: NonNegative
    decay_steps: Positive
    alpha: NonNegative = 0.0
    name: str | None = "CosineDecay"
    warmup_target: NonNegative | None = None
    warmup_steps: Annotated[int, Field(ge=0)] = 0

    def check(self) -> None:
        """Refuse a warm-up of no length, and one to nowhere."""
        if self.warmup_target is not None and not self.warmup_steps:
            raise Misuse("warmup_target needs warmup_steps of at least 1", argument="warmup_target")
        if self.warmup_steps and self.warmup_target is None:
            raise Misuse("warmup_steps needs a warmup_target", argument="warmup_steps", help="the rate to rise to")


class CosineDecayRestarts(RateSchedule):
    """Half a cosine again and again, each `t_mul` times as long and `m_mul` times as high (SGDR)."""

    initial_learning_rate: NonNegative
    first_decay_steps: Positive
    t_mul: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 2.0
    m_mul: NonNegative = 1.0
    alpha: NonNegative = 0.0
    name: str | None = "SGDRDecay"


class ExponentialDecay(RateSchedule):
    """Times `decay_rate` every `decay_steps` steps, smoothly or by stairs."""

    initial_learning_rate: NonNegative
    decay_steps: Positive
    decay_rate: NonNegative
    staircase: bool = False
    name: str | None = "ExponentialDecay"


class InverseTimeDecay(RateSchedule):
    """Over 1 + `decay_rate` · step / `decay_steps`, smoothly or by stairs."""

    initial_learning_rate: NonNegative
    decay_steps: Positive
    decay_rate: NonNegative
    staircase: bool = False
    name: str | None = "InverseTimeDecay"


class PiecewiseConstantDecay(RateSchedule):
    """The first of `values` up to and with step `boundaries[0]`, then the next, and so on."""

    boundaries: Annotated[tuple[Annotated[int, Field(ge=0)], ...], FromList]
    values: Annotated[tuple[NonNegative, ...], FromList]
    name: str | None = "PiecewiseConstant"

    def check(self) -> None:
        """Refuse boundaries out of order, and a wrong number of values."""
        if not self.boundaries or list(self.boundaries) != sorted(set(self.boundaries)):
            raise Misuse("boundaries are one step or several, each later than the one before", argument="boundaries")
        if len(self.values) != len(self.boundaries) + 1:
            raise Misuse(
                f"values must be one more than boundaries: {len(self.boundaries) + 1}, not {len(self.values)}",
                argument="values",
            )


class PolynomialDecay(RateSchedule):
    """From one rate to another along a power of the steps left, once or again and again."""

    initial_learning_rate: NonNegative
    decay_steps: Positive
    end_learning_rate: NonNegative = 0.0001
    power: Number = 1.0
    cycle: bool = False
    name: str | None = "PolynomialDecay"


RATE_SCHEDULES: Mapping[str, type[RateSchedule]] = {kind.__name__: kind for kind in declared(RateSchedule)}
"""Every learning rate schedule of Keras by its name."""
