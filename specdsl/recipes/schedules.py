"""Learning rates over a run, in epochs: factors on the optimizer's rate, each a pure function of the step.

Where a step stands is its number from 0 over the steps of an epoch: 2.5 is the middle of the third epoch. During the
warm-up the factor rises linearly from `start`; what follows is stretched from its end to the end of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from specdsl.declaration import Misuse, declared, text
from specdsl.recipes.naming import FromList, Named, NonNegative

_PI = 3.141592653589793
_Above = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Schedule(Named):
    """A factor on the optimizer's learning rate for each step of a run."""

    keyword_only: ClassVar[tuple[str, ...]] = ("warmup", "start")

    warmup: NonNegative = 0
    start: NonNegative = 0.0

    def check(self) -> None:
        """Refuse a start of a warm-up that there is not."""
        if self.start and not self.warmup_of(1):
            raise Misuse("start is where a warm-up begins, and there is none", argument="start", help="give `warmup`")

    def warmup_of(self, epochs: int) -> float:
        """How many epochs the warm-up takes."""
        return self.warmup

    def check_epochs(self, epochs: int) -> None:
        """Check that the schedule fits into a run.

        Raises:
            Misuse: it does not.
        """
        if self.warmup_of(epochs) >= epochs:
            raise Misuse(
                f"a warm-up of {self.warmup:g} epochs leaves nothing of {epochs}",
                argument="warmup",
                help="train longer, or give a shorter `warmup`; it may be a part of an epoch, such as 0.5",
            )

    def multiplier(self, xp: Any, step: Any, steps_per_epoch: int, epochs: int) -> Any:
        """The factor at a step.

        Args:
            xp: numpy, jax.numpy or keras.ops.
            step: the number of the step from 0, a float or an array of floats.
            steps_per_epoch: how many steps an epoch has.
            epochs: how many epochs the run has.
        """
        at = step / steps_per_epoch
        warmup = self.warmup_of(epochs)
        if not warmup:
            return self.after(xp, at, 0.0, epochs)
        rising = self.rise(xp, at / warmup)
        return xp.where(at < warmup, rising, self.after(xp, xp.maximum(at, 1.0 * warmup), warmup, epochs))

    def rise(self, xp: Any, part: Any) -> Any:
        """The factor when a part of the warm-up is done."""
        return self.start + (1 - self.start) * part

    def after(self, xp: Any, at: Any, warmup: float, epochs: int) -> Any:
        """The factor after the warm-up, at a place in epochs from the beginning of the run."""
        raise NotImplementedError


class Constant(Schedule):
    """The optimizer's rate, after a warm-up."""

    def after(self, xp: Any, at: Any, warmup: float, epochs: int) -> Any:
        return xp.ones_like(at)


class Cosine(Schedule):
    """Down to `final` of the rate along half a cosine (Loshchilov and Hutter, 2016)."""

    final: NonNegative = 0.0

    def after(self, xp: Any, at: Any, warmup: float, epochs: int) -> Any:
        return self.final + (1 - self.final) * 0.5 * (1 + xp.cos(_PI * (at - warmup) / (epochs - warmup)))


class Linear(Schedule):
    """Down to `final` of the rate in a straight line."""

    final: NonNegative = 0.0

    def after(self, xp: Any, at: Any, warmup: float, epochs: int) -> Any:
        return 1 - (1 - self.final) * (at - warmup) / (epochs - warmup)


class OneCycle(Schedule):
    """Up to the rate and down to almost nothing, along half a cosine each (Smith and Topin, 2017).

    The warm-up is three tenths of the run if `warmup` is none. `start` and `final` are parts of the rate at the top.
    """

    keyword_only: ClassVar[tuple[str, ...]] = ("warmup", "start", "final")

    warmup: _Above | None = None  # type: ignore[assignment]
    start: NonNegative = 0.04
    final: NonNegative = 4e-6

    def warmup_of(self, epochs: int) -> float:
        return 0.3 * epochs if self.warmup is None else self.warmup

    def rise(self, xp: Any, part: Any) -> Any:
        return self.start + (1 - self.start) * 0.5 * (1 - xp.cos(_PI * part))

    def after(self, xp: Any, at: Any, warmup: float, epochs: int) -> Any:
        return self.final + (1 - self.final) * 0.5 * (1 + xp.cos(_PI * (at - warmup) / (epochs - warmup)))


class Step(Schedule):
    """Times `factor` after each of the epochs `at`, counted from the beginning of the run."""

    at: Annotated[tuple[_Above, ...], FromList]
    factor: _Above = 0.1

    def check(self) -> None:
        """Refuse places out of order."""
        super().check()
        if not self.at or list(self.at) != sorted(set(self.at)):
            raise Misuse(
                f"at is one epoch or several, each later than the one before, not {text(self.at)}", argument="at"
            )

    def check_epochs(self, epochs: int) -> None:
        """Refuse steps that the run does not reach, and such within the warm-up."""
        super().check_epochs(epochs)
        if self.at[-1] >= epochs:
            raise Misuse(
                f"a step after {self.at[-1]:g} epochs is never reached in {epochs}",
                argument="at",
                help="train longer, or give earlier steps",
            )
        if self.at[0] < self.warmup:
            raise Misuse(f"a step after {self.at[0]:g} epochs stands within the warm-up", argument="at")

    def after(self, xp: Any, at: Any, warmup: float, epochs: int) -> Any:
        reached = xp.ones_like(at)
        for place in self.at:
            reached = xp.where(at >= place, reached * self.factor, reached)
        return reached


class Exponential(Schedule):
    """Times `factor` over each epoch, smoothly."""

    factor: _Above = 0.95

    def after(self, xp: Any, at: Any, warmup: float, epochs: int) -> Any:
        return self.factor ** (at - warmup)


SCHEDULES: Mapping[str, type[Schedule]] = {kind.spec_name(): kind for kind in declared(Schedule)}
"""Every schedule by the name that a spec uses."""
