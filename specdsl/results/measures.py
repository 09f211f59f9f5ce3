"""What is measured: a metric on a part of the data, which way is better, and how its values are written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from specdsl.recipes.metrics import Metric
    from specdsl.recipes.naming import Worth

PARTS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric on a part of the data, such as test accuracy.

    Attributes:
        part: "train", "validation" or "test".
        metric: what histories call the metric, such as "loss" or "accuracy".
        larger: whether larger values are better.
        share: whether it is the share of examples that are told rightly: then differences are in percentage points,
            and in examples.
        worth: what it is the mean of over examples; None where it is no such mean, or the recipe does not tell.
        bounded: whether it lies from 0 to 1, and is best at 1.
    """

    part: str
    metric: str
    larger: bool
    share: bool
    worth: Worth | None = None
    bounded: bool = False

    @property
    def key(self) -> str:
        """The name that `trial.json` has for it: `test_accuracy`."""
        return f"{self.part}_{self.metric}"

    @property
    def title(self) -> str:
        """Its name in words: `test accuracy`."""
        return self.key.replace("_", " ")

    @property
    def unit(self) -> str:
        """What differences of it are in: points, or nothing."""
        return "points" if self.share else ""

    def value(self, value: float | None) -> str:
        """A value as tables show it, rounded once: shares to four decimals, others as `amount` does."""
        if value is None:
            return ""
        shown = f"{value:.4f}" if self.share else amount(value)
        return shown.replace("-", "−")

    def difference(self, value: float | None, *, sign: bool = True) -> str:
        """A difference of values, or a deviation: of shares in points to two decimals."""
        if value is None:
            return ""
        mark = "+" if sign else ""
        shown = f"{100 * value:{mark}.2f}" if self.share else amount(value, mark)
        return re.sub(r"^[+-](?=[0.]+$)", "", shown).replace("-", "−")

    def margin(self, margin: float) -> str:
        """A margin or a difference without sign and with its unit: `0.5 points`."""
        return f"{100 * margin:.3g} points" if self.share else amount(margin)


def amount(value: float, sign: str = "") -> str:
    """A number for people: four decimals, or four significant digits where it is below 0.01 or from 10,000 on."""
    if value == 0 or 0.01 <= abs(value) < 10_000:
        return f"{value:{sign}.4f}"
    return f"{value:{sign}.4g}"


def probability(p: float | None) -> str:
    """A p-value for people: two significant digits, and no smaller than 0.0001."""
    if p is None:
        return ""
    if p < 0.0001:
        return "< 0.0001"
    return f"{p:.2f}" if p >= 0.1 else f"{p:#.2g}"


def measure(key: str, recipe: Mapping[str, Any]) -> Measure | None:
    """The measure of a key such as `test_accuracy`; None where the key names no part.

    Args:
        key: a key of a trial's final values.
        recipe: the `train` block, as `config.json` has it.
    """
    part, separator, metric = key.partition("_")
    if not separator or part not in PARTS or not metric:
        return None
    if metric == "loss":
        from specdsl.recipes.losses import LOSSES

        said = recipe.get("loss")
        loss = LOSSES.get(str(said.get("type"))) if isinstance(said, Mapping) else None
        return Measure(part, metric, False, False, loss.worth if loss else None)
    known = _metrics(recipe.get("metrics")).get(metric)
    if known is None:
        return Measure(part, metric, False, False)
    return Measure(part, metric, known.larger, known.share, known.worth, known.bounded)


def _metrics(listed: Any) -> dict[str, Metric]:
    """A recipe's metrics by what histories call them, but for those that cannot be read."""
    from specdsl.declaration import Misuse
    from specdsl.recipes.metrics import Metric
    from specdsl.recipes.stored import restored

    found: dict[str, Metric] = {}
    for one in listed if isinstance(listed, list) else ():
        try:
            metric = restored(one, "metrics")
        except Misuse:
            continue
        if isinstance(metric, Metric):
            found[metric.column] = metric
    return found
