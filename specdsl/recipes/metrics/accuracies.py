"""How often the class is told rightly."""

from __future__ import annotations

from typing import ClassVar, Literal

from specdsl.recipes.losses import Targets
from specdsl.recipes.metrics.metric import CLASSED, Metric
from specdsl.recipes.naming import Positive


class AutomaticAccuracy(Metric):
    """The share of examples whose class is told rightly: what "accuracy" stands for, whatever the targets are."""

    abstract = True
    takes = ("classes", "one-hot", "binary")
    larger = True
    share = True
    bounded = True
    worth = "told rightly"

    name: str | None = "accuracy"

    def resolved(self, targets: Targets, probabilities: bool) -> Metric:
        """The metric of Keras that it is, under the same name.

        Args:
            targets: what the loss is given.
            probabilities: whether the outputs are; a single output says yes above 0.5, and above 0 where it is a score.
        """
        name = self.name
        if targets == "classes":
            return SparseCategoricalAccuracy(name=name)
        if targets == "one-hot":
            return CategoricalAccuracy(name=name)
        return BinaryAccuracy(name=name, threshold=0.5 if probabilities else 0.0)

    def __str__(self) -> str:
        return f'"{self.column}"'


class SparseCategoricalAccuracy(Metric):
    """The share of examples whose class has the largest output, from the numbers of the classes."""

    takes = ("classes",)
    larger = True
    share = True
    bounded = True
    worth = "told rightly"

    name: str | None = "sparse_categorical_accuracy"


class CategoricalAccuracy(Metric):
    """The share of examples whose class has the largest output."""

    takes = ("one-hot",)
    of_numbers = "sparse_categorical_accuracy"
    larger = True
    share = True
    bounded = True
    worth = "told rightly"

    name: str | None = "categorical_accuracy"


class BinaryAccuracy(Metric):
    """The share of outputs that lie on the right side of `threshold`."""

    takes = CLASSED
    larger = True
    share = True
    bounded = True
    of = "probabilities"
    free_threshold = True

    name: str | None = "binary_accuracy"
    threshold: float = 0.5


class SparseTopKCategoricalAccuracy(Metric):
    """The share of examples whose class is among the `k` with the largest outputs, from the numbers of the classes."""

    keyword_only: ClassVar[tuple[str, ...]] = ("name", "dtype", "from_sorted_ids")
    takes = ("classes",)
    larger = True
    share = True
    bounded = True

    k: Positive = 5
    name: str | None = "sparse_top_k_categorical_accuracy"
    from_sorted_ids: Literal[False] = False


class TopKCategoricalAccuracy(Metric):
    """The share of examples whose class is among the `k` with the largest outputs."""

    keyword_only: ClassVar[tuple[str, ...]] = ("name", "dtype")
    takes = ("one-hot",)
    of_numbers = "sparse_top_k_categorical_accuracy"
    larger = True
    share = True
    bounded = True

    k: Positive = 5
    name: str | None = "top_k_categorical_accuracy"
