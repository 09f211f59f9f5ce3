"""What is found and what is missed, by thresholds, and how far what is found and what is there overlap."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from specdsl.declaration import Misuse
from specdsl.recipes.metrics.metric import CLASSED, Metric
from specdsl.recipes.naming import FromList, NonNegative, Positive, Unit

_Threshold = Annotated[float, Field(ge=0, le=1)]


class _Found(Metric):
    """Counts of what is found and missed, by thresholds of probabilities."""

    takes = CLASSED
    of = "probabilities"


class _Curve(_Found):
    """A value where another one is given."""

    larger = True
    bounded = True

    num_thresholds: Positive = 200
    class_id: Annotated[int, Field(ge=0)] | None = None


class AUC(_Found):
    """The area under the curve of true over false positive rates, or of precision over recall."""

    keyword_only: ClassVar[tuple[str, ...]] = (
        "name", "dtype", "thresholds", "multi_label", "num_labels", "label_weights", "from_logits",
    )  # fmt: skip
    larger = True
    bounded = True

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
    bounded = True

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
    takes = CLASSED
    larger = True
    bounded = True

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
    bounded = True

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
    bounded = True
    of = "probabilities"
    keyword_only: ClassVar[tuple[str, ...]] = ("name", "dtype")

    target_class_ids: Annotated[tuple[Literal[0, 1], ...], FromList] = (0, 1)
    threshold: _Threshold = 0.5
