"""Keras's metrics: its names, arguments, order and defaults, what each takes, and whether more of it is better."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from specdsl.declaration import Misuse, declared, snake_case
from specdsl.recipes.losses import ALIASES, Targets
from specdsl.recipes.naming import Dtype, FromList, InKeras, NonNegative, Positive, Unit
from specdsl.recipes.words import chosen

_Threshold = Annotated[float, Field(ge=0, le=1)]
_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
_CLASSED: tuple[Targets, ...] = ("one-hot", "binary")
_MEASURED: tuple[Targets, ...] = ("values", "one-hot", "binary")


class Metric(InKeras):
    """A number that tells how good a model is on a set of examples."""

    module: ClassVar[str] = "metrics"

    takes: ClassVar[tuple[Targets, ...]]
    """The targets that it can be given."""
    larger: ClassVar[bool] = False
    """Whether a larger value is better."""
    of: ClassVar[Literal["any", "probabilities", "independent", "distribution"]] = "any"
    """What the outputs must be, unless it says `from_logits`: anything; numbers from 0 to 1; such of which each stands
    on its own, as by a sigmoid; or such that sum to 1, as by a softmax."""

    name: str | None = None
    dtype: Dtype = None

    def check(self) -> None:
        """Refuse names that no column can have."""
        name = vars(self).get("name")
        if name is not None and not _NAME.fullmatch(name):
            raise Misuse(
                f'a metric cannot be named "{name}": a name is of letters, digits and underscores', argument="name"
            )

    @property
    def column(self) -> str:
        """What it is called in histories: its name; without one, Keras's name and the arguments that are not defaults.

        `sparse_top_k_categorical_accuracy_k_3`, `f1_score_macro`, `auc_pr`.
        """
        given = self.arguments()
        if self.name is not None and "name" in given:
            return self.name
        parts = [self.word()]
        for name, value in given.items():
            if isinstance(value, bool) or value is None:
                parts.append(name)
            elif isinstance(value, str):
                parts.append(value)
            else:
                parts += [name, *(f"{item:g}" for item in (value if isinstance(value, tuple) else (value,)))]
        return re.sub(r"\W", "_", "_".join(parts)).lower()

    @classmethod
    def word(cls) -> str:
        """What Keras calls it by default."""
        name = getattr(cls, "name", None)
        return name if isinstance(name, str) else snake_case(cls.__name__.replace("IoU", "Iou"))

    def targets(self) -> tuple[Targets, ...]:
        """The targets that it can be given, with its arguments."""
        return self.takes

    def on_logits(self) -> bool:
        """Whether it can be given what is no probability yet."""
        return self.of == "any" or getattr(self, "from_logits", False)


class AutomaticAccuracy(Metric):
    """The share of examples whose class is told rightly: what "accuracy" stands for, whatever the targets are."""

    abstract = True
    takes = ("classes", "one-hot", "binary")
    larger = True

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


# ------------------------------------------------------------------------------- classes told rightly


class SparseCategoricalAccuracy(Metric):
    """The share of examples whose class has the largest output, from the numbers of the classes."""

    takes = ("classes",)
    larger = True

    name: str | None = "sparse_categorical_accuracy"


class CategoricalAccuracy(Metric):
    """The share of examples whose class has the largest output."""

    takes = ("one-hot",)
    larger = True

    name: str | None = "categorical_accuracy"


class BinaryAccuracy(Metric):
    """The share of outputs that lie on the right side of `threshold`."""

    takes = _CLASSED
    larger = True

    name: str | None = "binary_accuracy"
    threshold: float = 0.5

    def on_logits(self) -> bool:
        """With a threshold that is said, whatever the outputs are."""
        return "threshold" in self.arguments()


class SparseTopKCategoricalAccuracy(Metric):
    """The share of examples whose class is among the `k` with the largest outputs, from the numbers of the classes."""

    keyword_only: ClassVar[tuple[str, ...]] = ("name", "dtype", "from_sorted_ids")
    takes = ("classes",)
    larger = True

    k: Positive = 5
    name: str | None = "sparse_top_k_categorical_accuracy"
    from_sorted_ids: Literal[False] = False


class TopKCategoricalAccuracy(Metric):
    """The share of examples whose class is among the `k` with the largest outputs."""

    keyword_only: ClassVar[tuple[str, ...]] = ("name", "dtype")
    takes = ("one-hot",)
    larger = True

    k: Positive = 5
    name: str | None = "top_k_categorical_accuracy"


# ------------------------------------------------------------------------- what is found, and what is missed


class _Found(Metric):
    """Counts of what is found and missed, by thresholds of probabilities."""

    takes = _CLASSED
    of = "probabilities"


class _Curve(_Found):
    """A value where another one is given."""

    larger = True

    num_thresholds: Positive = 200
    class_id: Annotated[int, Field(ge=0)] | None = None


class AUC(_Found):
    """The area under the curve of true over false positive rates, or of precision over recall."""

    keyword_only: ClassVar[tuple[str, ...]] = (
        "name", "dtype", "thresholds", "multi_label", "num_labels", "label_weights", "from_logits",
    )  # fmt: skip
    larger = True

    num_thresholds: Annotated[int, Field(ge=2)] = 200
    curve: Literal["ROC", "PR"] = "ROC"
    summation_method: Literal["interpolation", "minoring", "majoring"] = "interpolation"
    thresholds: Annotated[tuple[_Threshold, ...], FromList] | None = None
    multi_label: bool = False
    num_labels: Positive | None = None
    label_weights: Annotated[tuple[NonNegative, ...], FromList] | None = None
    from_logits: bool = False


class Precision(_Found):
    """The share of what is found that is right."""

    keyword_only: ClassVar[tuple[str, ...]] = ("name", "dtype")
    larger = True

    thresholds: _Threshold | None = None
    top_k: Positive | None = None
    class_id: Annotated[int, Field(ge=0)] | None = None


class Recall(Precision):
    """The share of what is right that is found."""


class PrecisionAtRecall(_Curve):
    """The best precision with a recall of at least `recall`."""

    keyword_only: ClassVar[tuple[str, ...]] = ("num_thresholds", "class_id", "name", "dtype")

    recall: Unit


class RecallAtPrecision(_Curve):
    """The best recall with a precision of at least `precision`."""

    keyword_only: ClassVar[tuple[str, ...]] = ("num_thresholds", "class_id", "name", "dtype")

    precision: Unit


class SensitivityAtSpecificity(_Curve):
    """The best share found of what is there, with a specificity of at least `specificity`."""

    keyword_only: ClassVar[tuple[str, ...]] = ("num_thresholds", "class_id", "name", "dtype")

    specificity: Unit


class SpecificityAtSensitivity(_Curve):
    """The best share left alone of what is not there, with a sensitivity of at least `sensitivity`."""

    keyword_only: ClassVar[tuple[str, ...]] = ("num_thresholds", "class_id", "name", "dtype")

    sensitivity: Unit


class _Count(_Found):
    keyword_only: ClassVar[tuple[str, ...]] = ("name", "dtype")

    thresholds: _Threshold | None = None


class TruePositives(_Count):
    """How many outputs of what is there are above the threshold."""

    larger = True


class TrueNegatives(_Count):
    """How many outputs of what is not there are below the threshold."""

    larger = True


class FalsePositives(_Count):
    """How many outputs of what is not there are above the threshold."""


class FalseNegatives(_Count):
    """How many outputs of what is there are below the threshold."""


class _FScore(Metric):
    takes = _CLASSED
    larger = True

    average: Literal["micro", "macro", "weighted"] | None = None
    threshold: Annotated[float, Field(gt=0, le=1)] | None = None

    def check(self) -> None:
        """Refuse a value for each class, for which a history has no place."""
        super().check()
        if self.average is None:
            name = type(self).__name__
            raise Misuse(
                f"{name} gives a number for each class, and a history has one for each epoch",
                argument="average",
                help=f'{name}(average="macro") is their mean; there are "micro" and "weighted" too',
            )

    def on_logits(self) -> bool:
        """Without a threshold the largest output counts, whatever it is."""
        return self.threshold is None


class F1Score(_FScore):
    """The harmonic mean of precision and recall of each class, averaged."""

    keyword_only: ClassVar[tuple[str, ...]] = ("name", "dtype")

    name: str | None = "f1_score"


class FBetaScore(_FScore):
    """The mean of precision and recall of each class in which recall counts `beta` times as much, averaged."""

    keyword_only: ClassVar[tuple[str, ...]] = ("threshold", "name", "dtype")

    beta: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    name: str | None = "fbeta_score"


# ----------------------------------------------------------------------------------- overlap of classes


class _Overlap(Metric):
    """What is found and right over what is found or right; a class is found where its output is the largest."""

    larger = True

    num_classes: Annotated[int, Field(ge=2)]


class OneHotIoU(_Overlap):
    """The overlap of what is found and what is right, over both together, averaged over some classes."""

    keyword_only: ClassVar[tuple[str, ...]] = ("name", "dtype", "ignore_class", "sparse_y_pred", "axis")
    takes = ("one-hot",)

    target_class_ids: Annotated[tuple[Annotated[int, Field(ge=0)], ...], FromList]
    ignore_class: int | None = None
    sparse_y_pred: Literal[False] = False
    axis: Literal[-1] = -1


class OneHotMeanIoU(_Overlap):
    """The overlap of what is found and what is right, over both together, averaged over all classes."""

    keyword_only: ClassVar[tuple[str, ...]] = ("name", "dtype", "ignore_class", "sparse_y_pred", "axis")
    takes = ("one-hot",)

    ignore_class: int | None = None
    sparse_y_pred: Literal[False] = False
    axis: Literal[-1] = -1


class BinaryIoU(Metric):
    """The overlap of what is found and what is there, over both together, of yes and no."""

    takes = ("binary",)
    larger = True
    of = "probabilities"
    keyword_only: ClassVar[tuple[str, ...]] = ("name", "dtype")

    target_class_ids: Annotated[tuple[Literal[0, 1], ...], FromList] = (0, 1)
    threshold: _Threshold = 0.5


# ------------------------------------------------------------------------------- what is a loss too


class SparseCategoricalCrossentropy(Metric):
    """The negative logarithm of the probability that the right class is given, from the number of the class."""

    takes = ("classes",)
    of = "distribution"

    name: str | None = "sparse_categorical_crossentropy"
    from_logits: bool = False
    ignore_class: int | None = None
    axis: Literal[-1] = -1


class CategoricalCrossentropy(Metric):
    """The negative logarithm of the probability that the right class is given."""

    takes = ("one-hot",)
    of = "distribution"

    name: str | None = "categorical_crossentropy"
    from_logits: bool = False
    label_smoothing: Unit = 0
    axis: Literal[-1] = -1


class BinaryCrossentropy(Metric):
    """Cross-entropy of yes or no."""

    takes = _CLASSED
    of = "independent"

    name: str | None = "binary_crossentropy"
    from_logits: bool = False
    label_smoothing: Unit = 0


class KLDivergence(Metric):
    """The divergence of Kullback and Leibler of the outputs from the targets, both of them distributions."""

    takes = ("one-hot", "values")
    of = "probabilities"

    name: str | None = "kl_divergence"


class Poisson(Metric):
    """output − target · log(output)."""

    takes = ("values",)

    name: str | None = "poisson"


class CategoricalHinge(Metric):
    """By how much the right class's score fails to pass the best other one by 1."""

    takes = ("one-hot",)

    name: str | None = "categorical_hinge"


class Hinge(Metric):
    """By how much an output fails to pass 1 on its side of 0; targets of 0 are taken as −1."""

    takes = _CLASSED

    name: str | None = "hinge"


class SquaredHinge(Metric):
    """The square of hinge."""

    takes = _CLASSED

    name: str | None = "squared_hinge"


# ---------------------------------------------------------------------------------- values predicted


class MeanSquaredError(Metric):
    """The mean of squared differences."""

    takes = _MEASURED

    name: str | None = "mean_squared_error"


class RootMeanSquaredError(Metric):
    """The root of the mean of squared differences."""

    takes = _MEASURED

    name: str | None = "root_mean_squared_error"


class MeanAbsoluteError(Metric):
    """The mean of absolute differences."""

    takes = _MEASURED

    name: str | None = "mean_absolute_error"


class MeanAbsolutePercentageError(Metric):
    """The mean of absolute differences in percent of the targets."""

    takes = ("values",)

    name: str | None = "mean_absolute_percentage_error"


class MeanSquaredLogarithmicError(Metric):
    """The mean of squared differences of log(1 + value)."""

    takes = ("values",)

    name: str | None = "mean_squared_logarithmic_error"


class LogCoshError(Metric):
    """The logarithm of the hyperbolic cosine of the difference."""

    takes = _MEASURED

    name: str | None = "logcosh"


class CosineSimilarity(Metric):
    """The cosine of the angle between outputs and targets, of several values each."""

    takes = ("values", "one-hot")
    larger = True

    name: str | None = "cosine_similarity"
    axis: Literal[-1] = -1


class PearsonCorrelation(Metric):
    """The correlation of outputs and targets: of the values of each example, or along axis 0 of those of a batch."""

    takes = ("values",)
    larger = True

    name: str | None = "pearson_correlation"
    axis: Literal[-1, 0] = -1


class ConcordanceCorrelation(PearsonCorrelation):
    """The correlation of outputs and targets, less for means or spreads that differ (Lin, 1989)."""

    name: str | None = "concordance_correlation"


class R2Score(Metric):
    """The share of the targets' variance that the outputs explain."""

    keyword_only: ClassVar[tuple[str, ...]] = ("name", "dtype")
    takes = ("values",)
    larger = True

    class_aggregation: Literal["uniform_average", "variance_weighted_average"] = "uniform_average"
    num_regressors: Annotated[int, Field(ge=0)] = 0
    name: str | None = "r2_score"


METRICS: Mapping[str, type[Metric]] = {kind.__name__: kind for kind in declared(Metric)}
"""Every metric by its name."""

METRICS_LEFT_OUT: Mapping[str, str] = {
    "Metric": "it is the base of the others",
    "Mean": "it averages values that nobody would give it",
    "Sum": "it adds values that nobody would give it",
    "MeanMetricWrapper": "it wraps code",
    "Accuracy": 'it asks whether outputs are equal to labels; "accuracy", in small letters, is meant',
    "IoU": "it takes outputs that are the numbers of classes; OneHotIoU takes probabilities",
    "MeanIoU": "it takes outputs that are the numbers of classes; OneHotMeanIoU takes probabilities",
}
"""Metrics of Keras that a recipe cannot have, with the reasons."""

METRIC_WORDS: Mapping[str, type[Metric]] = {
    "accuracy": AutomaticAccuracy,
    "acc": AutomaticAccuracy,
    **{snake_case(kind.__name__): kind for kind in METRICS.values()},
    **{kind.word(): kind for kind in METRICS.values()},
    **METRICS,
    **{alias: METRICS[name] for alias, name in ALIASES.items()},
}
"""Every word in quotes that stands for a metric."""


def _metric(value: Any) -> Any:
    if value == "Accuracy":
        value = "accuracy"
    return chosen(value, "metric", Metric, METRIC_WORDS, METRICS_LEFT_OUT)


MetricArgument = Annotated[Metric, BeforeValidator(_metric)]
"""A metric, or the word that stands for it."""
