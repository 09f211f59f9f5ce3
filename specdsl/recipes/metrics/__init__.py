"""Keras's metrics: its names, arguments, order and defaults, what each takes, and whether more of it is better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from specdsl.declaration import declared, snake_case
from specdsl.recipes.losses import ALIASES
from specdsl.recipes.metrics import accuracies, detection, distances  # noqa: F401 - declared when they are imported
from specdsl.recipes.metrics.accuracies import AutomaticAccuracy
from specdsl.recipes.metrics.metric import Metric
from specdsl.recipes.words import chosen

__all__ = ["METRICS", "METRICS_LEFT_OUT", "METRIC_WORDS", "AutomaticAccuracy", "Metric", "MetricArgument"]

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
