"""How far outputs are from targets, or how near: what is a loss too, errors and correlations."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from specdsl.recipes.metrics.metric import CLASSED, MEASURED, Metric
from specdsl.recipes.naming import Unit


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
    of_numbers = "sparse_categorical_crossentropy"
    of = "distribution"

    name: str | None = "categorical_crossentropy"
    from_logits: bool = False
    label_smoothing: Unit = 0
    axis: Literal[-1] = -1


class BinaryCrossentropy(Metric):
    """Cross-entropy of yes or no."""

    takes = CLASSED
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

    takes = CLASSED

    name: str | None = "hinge"


class SquaredHinge(Metric):
    """The square of hinge."""

    takes = CLASSED

    name: str | None = "squared_hinge"


# ---------------------------------------------------------------------------------- values predicted


class MeanSquaredError(Metric):
    """The mean of squared differences."""

    takes = MEASURED
    worth = "squared error"

    name: str | None = "mean_squared_error"


class RootMeanSquaredError(Metric):
    """The root of the mean of squared differences."""

    takes = MEASURED

    name: str | None = "root_mean_squared_error"


class MeanAbsoluteError(Metric):
    """The mean of absolute differences."""

    takes = MEASURED
    worth = "absolute error"

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

    takes = MEASURED

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
