"""Keras's optimizers: its names, arguments, order and defaults, checked without importing it."""

from __future__ import annotations

import re
from math import prod
from typing import Annotated, ClassVar

from pydantic import Field

from specdsl.declaration import Misuse
from specdsl.recipes.naming import FromList, InKeras, NonNegative, Number, Positive, Unit
from specdsl.recipes.rates import RateSchedule

_Decay = Annotated[float, Field(ge=0, lt=1)]
_Above = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Optimizer(InKeras):
    """What every Keras optimizer takes. These stand first among the fields but, save the rate, go by name only."""

    module: ClassVar[str] = "optimizers"
    keyword_only: ClassVar[tuple[str, ...]] = (
        "weight_decay",
        "clipnorm",
        "clipvalue",
        "global_clipnorm",
        "use_ema",
        "ema_momentum",
        "ema_overwrite_frequency",
        "loss_scale_factor",
        "gradient_accumulation_steps",
        "name",
    )

    learning_rate: NonNegative | RateSchedule = 0.001
    weight_decay: NonNegative | None = None
    clipnorm: _Above | None = None
    clipvalue: _Above | None = None
    global_clipnorm: _Above | None = None
    use_ema: bool = False
    ema_momentum: Unit = 0.99
    ema_overwrite_frequency: Positive | None = None
    loss_scale_factor: _Above | None = None
    gradient_accumulation_steps: Annotated[int, Field(ge=2)] | None = None
    name: str | None = None

    def check(self) -> None:
        """Refuse two kinds of clipping at once."""
        given = [name for name in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, name) is not None]
        if len(given) > 1:
            raise Misuse(f"{' and '.join(given)} are given, but only one kind of clipping can be", argument=given[-1])

    def slots(self, path: str, shape: tuple[int, ...]) -> int:
        """How many values are kept from step to step for one trainable weight, beside the weight.

        The few numbers that an optimizer keeps for all weights together are not counted.

        Args:
            path: what Keras calls the weight, `conv2d/kernel`.
            shape: its shape.
        """
        averages = int(self.use_ema) + int(self.gradient_accumulation_steps is not None)
        return (averages + self._moments(path, shape)) * prod(shape)

    def _moments(self, path: str, shape: tuple[int, ...]) -> int:
        """How many tensors of a weight's shape are kept for it to step by."""
        return 0


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (plain or Nesterov) if wanted."""

    learning_rate: NonNegative | RateSchedule = 0.01
    momentum: Unit = 0.0
    nesterov: bool = False

    def _moments(self, path: str, shape: tuple[int, ...]) -> int:
        return int(self.momentum != 0)


class RMSprop(Optimizer):
    """Gradients divided by the root of their decaying mean square."""

    rho: Unit = 0.9
    momentum: Unit = 0.0
    epsilon: NonNegative = 1e-7
    centered: bool = False

    def _moments(self, path: str, shape: tuple[int, ...]) -> int:
        return 1 + int(self.momentum > 0) + int(self.centered)


class _Moments(Optimizer):
    """The family of Adam: decaying means of the gradient and of its square."""

    beta_1: _Decay = 0.9
    beta_2: _Decay = 0.999
    epsilon: NonNegative = 1e-7

    def _moments(self, path: str, shape: tuple[int, ...]) -> int:
        return 2 + int(getattr(self, "amsgrad", False))


class Adam(_Moments):
    """Adaptive moments (Kingma and Ba, 2014)."""

    amsgrad: bool = False


class AdamW(_Moments):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2017)."""

    keyword_only: ClassVar[tuple[str, ...]] = Optimizer.keyword_only[1:]

    weight_decay: NonNegative = 0.004
    amsgrad: bool = False


class Adamax(_Moments):
    """Adam with the infinity norm (Kingma and Ba, 2014)."""


class Nadam(_Moments):
    """Adam with Nesterov momentum (Dozat, 2016)."""


class Lamb(_Moments):
    """Adam with a trust ratio per layer, for large batches (You et al., 2019)."""


class ScheduleFreeAdamW(_Moments):
    """AdamW that averages its iterates in place of a schedule (Defazio et al., 2024)."""

    learning_rate: NonNegative | RateSchedule = 0.0025
    epsilon: NonNegative = 1e-8
    warmup_steps: Annotated[int, Field(ge=0)] = 0


class Adagrad(Optimizer):
    """Rates that shrink with the sum of squared gradients (Duchi et al., 2011)."""

    initial_accumulator_value: NonNegative = 0.1
    epsilon: NonNegative = 1e-7

    def _moments(self, path: str, shape: tuple[int, ...]) -> int:
        return 1


class Adadelta(Optimizer):
    """Adagrad over a decaying window (Zeiler, 2012)."""

    rho: Unit = 0.95
    epsilon: NonNegative = 1e-7

    def _moments(self, path: str, shape: tuple[int, ...]) -> int:
        return 2


class Adafactor(Optimizer):
    """Second moments kept as row and column sums (Shazeer and Stern, 2018)."""

    beta_2_decay: Number = -0.8
    epsilon_1: NonNegative = 1e-30
    epsilon_2: NonNegative = 1e-3
    clip_threshold: _Above = 1.0
    relative_step: bool = True

    def slots(self, path: str, shape: tuple[int, ...]) -> int:
        """As others, and a value for each row and each column; two that nothing uses where there are neither."""
        factors = prod(shape[:-1]) + prod((*shape[:-2], shape[-1])) if len(shape) > 1 else 2
        return super().slots(path, shape) + factors

    def _moments(self, path: str, shape: tuple[int, ...]) -> int:
        return 1


class Ftrl(Optimizer):
    """Follow the regularised leader (McMahan et al., 2013)."""

    learning_rate_power: Annotated[float, Field(le=0, allow_inf_nan=False)] = -0.5
    initial_accumulator_value: NonNegative = 0.1
    l1_regularization_strength: NonNegative = 0.0
    l2_regularization_strength: NonNegative = 0.0
    l2_shrinkage_regularization_strength: NonNegative = 0.0
    beta: NonNegative = 0.0

    def _moments(self, path: str, shape: tuple[int, ...]) -> int:
        return 2


class Lion(Optimizer):
    """The sign of a momentum (Chen et al., 2023)."""

    beta_1: Annotated[float, Field(gt=0, le=1)] = 0.9
    beta_2: Unit = 0.99

    def _moments(self, path: str, shape: tuple[int, ...]) -> int:
        return 1


class Muon(Optimizer):
    """Momentum made orthogonal for matrices, AdamW for the rest (Jordan et al., 2024)."""

    keyword_only: ClassVar[tuple[str, ...]] = (
        *Optimizer.keyword_only,
        "exclude_layers",
        "exclude_embeddings",
        "muon_a",
        "muon_b",
        "muon_c",
        "adam_lr_ratio",
        "momentum",
        "ns_steps",
        "nesterov",
        "rms_rate",
    )

    adam_beta_1: _Decay = 0.9
    adam_beta_2: _Decay = 0.999
    adam_weight_decay: NonNegative | None = 0.004
    epsilon: NonNegative = 1e-7
    weight_decay: NonNegative | None = 0.004
    exclude_layers: Annotated[tuple[str, ...] | None, FromList] = None
    exclude_embeddings: bool = True
    muon_a: Number = 3.4445
    muon_b: Number = -4.775
    muon_c: Number = 2.0315
    adam_lr_ratio: NonNegative = 1.0
    momentum: Unit = 0.95
    ns_steps: Positive = 5
    nesterov: bool = True
    rms_rate: NonNegative | None = 0.2

    def _moments(self, path: str, shape: tuple[int, ...]) -> int:
        """One for a matrix, two where AdamW takes the steps."""
        named = self.exclude_embeddings and "embedding" in path.lower()
        return 1 + (len(shape) != 2 or named or any(re.search(one, path) for one in self.exclude_layers or ()))


OPTIMIZERS: dict[str, type[Optimizer]] = {
    optimizer.__name__: optimizer
    for optimizer in (
        Adadelta, Adafactor, Adagrad, Adam, Adamax, AdamW, Ftrl, Lamb, Lion, Muon, Nadam, RMSprop,
        ScheduleFreeAdamW, SGD,
    )
}  # fmt: skip
"""Every optimizer by its name."""
