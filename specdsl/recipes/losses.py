"""Keras's losses: its names, arguments, order and defaults, and what each makes of targets and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from specdsl.declaration import declared, snake_case
from specdsl.recipes.naming import Dtype, InKeras, NonNegative, Unit, Worth
from specdsl.recipes.words import chosen

Targets = Literal["classes", "one-hot", "binary", "values"]
"""What a loss compares outputs with: the number of each example's class, int32 (n,); a 1 among zeros at its place,
float32 (n, classes); of two classes 0 or 1, float32 (n, 1); or the values to predict, float32 (n, k)."""

Outputs = Literal["distribution", "independent", "probabilities", "logits", "scores", "positive", "values"]
"""What a model must end with: probabilities that sum to 1, as by a softmax; such of which each stands on its own, as by
a sigmoid; any numbers from 0 to 1; what becomes probabilities by a softmax, or by a sigmoid; scores, of which the
largest wins, or of a single value those above 0; numbers of at least 0; or any values.

That of binary cross-entropy matters: behind a softmax, Keras on TensorFlow takes a sigmoid of what entered that, and
behind a sigmoid, categorical cross-entropy a softmax.
"""

_Reduction = Literal["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight"]
_Above = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Smoothing = Annotated[float, Field(ge=0, le=1)]


class Loss(InKeras):
    """What training makes small: a number for each batch."""

    module: ClassVar[str] = "losses"
    setting: ClassVar[str | None] = "loss"
    keyword_only: ClassVar[tuple[str, ...]] = ("reduction", "name", "dtype")

    takes: ClassVar[tuple[Targets, ...]]
    """The targets that it can be given."""
    of_one_hot: ClassVar[str | None] = None
    """Of one that takes the numbers of classes, the word for what takes one-hot targets in its place."""
    worth: ClassVar[Worth | None] = None
    """What it is the mean of over examples, where it is the mean of such a thing."""

    reduction: _Reduction = "sum_over_batch_size"
    name: str | None = None
    dtype: Dtype = None

    def outputs(self) -> Outputs:
        """What the model must end with."""
        return "values"

    @classmethod
    def word(cls) -> str:
        """What Keras calls it in a string."""
        return snake_case(cls.__name__)


class _OfClasses(Loss):
    """A loss of probabilities that sum to 1."""

    def outputs(self) -> Outputs:
        return "logits" if getattr(self, "from_logits", False) else "distribution"


class SparseCategoricalCrossentropy(_OfClasses):
    """The negative logarithm of the probability that the right class is given, from the number of the class."""

    keyword_only: ClassVar[tuple[str, ...]] = ("reduction", "axis", "name", "dtype")
    takes = ("classes",)
    of_one_hot = "categorical_crossentropy"

    from_logits: bool = False
    ignore_class: int | None = None
    axis: Literal[-1] = -1
    name: str | None = "sparse_categorical_crossentropy"


class CategoricalCrossentropy(_OfClasses):
    """The negative logarithm of the probability that the right class is given, with smoothed labels if wanted."""

    takes = ("one-hot",)

    from_logits: bool = False
    label_smoothing: _Smoothing = 0.0
    axis: Literal[-1] = -1
    name: str | None = "categorical_crossentropy"


class CategoricalFocalCrossentropy(_OfClasses):
    """Cross-entropy in which examples that are classified well count less (Lin et al., 2017)."""

    takes = ("one-hot",)

    alpha: NonNegative = 0.25
    gamma: NonNegative = 2.0
    from_logits: bool = False
    label_smoothing: _Smoothing = 0.0
    axis: Literal[-1] = -1
    name: str | None = "categorical_focal_crossentropy"


class CategoricalGeneralizedCrossEntropy(_OfClasses):
    """(1 − p^q) / q of the right class's probability p: between cross-entropy and absolute error, for labels that are
    partly wrong (Zhang and Sabuncu, 2018)."""

    takes = ("classes",)
    of_one_hot = "categorical_crossentropy"

    q: Annotated[float, Field(gt=0, lt=1)] = 0.5
    name: str | None = "categorical_generalized_cross_entropy"


class CategoricalHinge(Loss):
    """By how much the right class's score fails to pass the best other one by 1."""

    takes = ("one-hot",)

    name: str | None = "categorical_hinge"

    def outputs(self) -> Outputs:
        return "scores"


class KLDivergence(_OfClasses):
    """The divergence of Kullback and Leibler of the outputs from the targets, both of them distributions."""

    takes = ("one-hot", "values")

    name: str | None = "kl_divergence"


class _OfTwo(Loss):
    """A loss of a number from 0 to 1, or of one for each class on its own."""

    def outputs(self) -> Outputs:
        return "logits" if getattr(self, "from_logits", False) else "independent"


class BinaryCrossentropy(_OfTwo):
    """Cross-entropy of yes or no: for two classes with one output, or for each class on its own."""

    takes = ("binary", "one-hot")

    from_logits: bool = False
    label_smoothing: _Smoothing = 0.0
    axis: Literal[-1] = -1
    name: str | None = "binary_crossentropy"


class BinaryFocalCrossentropy(_OfTwo):
    """Binary cross-entropy in which examples that are classified well count less (Lin et al., 2017)."""

    takes = ("binary", "one-hot")

    apply_class_balancing: bool = False
    alpha: Unit = 0.25
    gamma: NonNegative = 2.0
    from_logits: bool = False
    label_smoothing: _Smoothing = 0.0
    axis: Literal[-1] = -1
    name: str | None = "binary_focal_crossentropy"


class Dice(Loss):
    """1 less the overlap of outputs and targets over their mean size (Dice, 1945)."""

    keyword_only: ClassVar[tuple[str, ...]] = ("reduction", "name", "axis", "dtype")
    takes = ("one-hot", "binary")

    axis: int | None = None
    name: str | None = "dice"

    def outputs(self) -> Outputs:
        return "probabilities"


class Tversky(Dice):
    """Dice with a weight for what is found wrongly and one for what is missed (Salehi et al., 2017)."""

    keyword_only: ClassVar[tuple[str, ...]] = ("reduction", "name", "axis", "dtype")

    alpha: Unit = 0.5
    beta: Unit = 0.5
    name: str | None = "tversky"


class Hinge(Loss):
    """By how much an output fails to pass 1 on its side of 0; targets of 0 are taken as −1."""

    takes = ("binary", "one-hot")

    name: str | None = "hinge"

    def outputs(self) -> Outputs:
        return "scores"


class SquaredHinge(Hinge):
    """The square of hinge."""

    name: str | None = "squared_hinge"


class MeanSquaredError(Loss):
    """The mean of squared differences."""

    takes = ("values", "one-hot", "binary")
    worth = "squared error"

    name: str | None = "mean_squared_error"


class MeanAbsoluteError(Loss):
    """The mean of absolute differences."""

    takes = ("values", "one-hot", "binary")
    worth = "absolute error"

    name: str | None = "mean_absolute_error"


class MeanAbsolutePercentageError(Loss):
    """The mean of absolute differences in percent of the targets."""

    takes = ("values",)

    name: str | None = "mean_absolute_percentage_error"


class MeanSquaredLogarithmicError(Loss):
    """The mean of squared differences of log(1 + value)."""

    takes = ("values",)

    name: str | None = "mean_squared_logarithmic_error"

    def outputs(self) -> Outputs:
        return "positive"


class Huber(Loss):
    """Squared difference up to `delta`, and beyond it linear (Huber, 1964)."""

    takes = ("values", "one-hot", "binary")

    delta: _Above = 1.0
    name: str | None = "huber_loss"


class LogCosh(Loss):
    """The logarithm of the hyperbolic cosine of the difference."""

    takes = ("values", "one-hot", "binary")

    name: str | None = "log_cosh"


class CosineSimilarity(Loss):
    """Minus the cosine of the angle between outputs and targets."""

    keyword_only: ClassVar[tuple[str, ...]] = ("reduction", "name", "dtype")
    takes = ("values", "one-hot")

    axis: Literal[-1] = -1
    name: str | None = "cosine_similarity"


class Poisson(Loss):
    """output − target · log(output): the targets are counts, the outputs their expected values."""

    takes = ("values",)

    name: str | None = "poisson"

    def outputs(self) -> Outputs:
        return "positive"


LOSSES: Mapping[str, type[Loss]] = {kind.__name__: kind for kind in declared(Loss)}
"""Every loss by its name."""

LEFT_OUT: Mapping[str, str] = {
    "Loss": "it is the base of the others",
    "CTC": "it takes sequences of labels, and a model here has one label for each example",
    "Circle": "it takes embeddings, which tell no classes apart that could be evaluated",
}
"""Losses of Keras that a recipe cannot have, with the reasons."""

ALIASES: Mapping[str, str] = {
    "bce": "BinaryCrossentropy", "BCE": "BinaryCrossentropy",
    "kld": "KLDivergence", "KLD": "KLDivergence",
    "mae": "MeanAbsoluteError", "MAE": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError", "MAPE": "MeanAbsolutePercentageError",
    "mse": "MeanSquaredError", "MSE": "MeanSquaredError",
    "msle": "MeanSquaredLogarithmicError", "MSLE": "MeanSquaredLogarithmicError",
}  # fmt: skip
"""Other words that Keras has for losses."""

LOSS_WORDS: Mapping[str, type[Loss]] = {
    **{kind.word(): kind for kind in LOSSES.values()},
    **LOSSES,
    **{alias: LOSSES[name] for alias, name in ALIASES.items()},
}
"""Every word in quotes that stands for a loss."""


def _loss(value: Any) -> Any:
    return chosen(value, "loss", Loss, LOSS_WORDS, LEFT_OUT)


LossArgument = Annotated[Loss, BeforeValidator(_loss)]
"""A loss, or the word that stands for it."""
