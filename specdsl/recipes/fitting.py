"""What must go together in a recipe: a loss with the task and the outputs, metrics with both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from specdsl.declaration import Misuse, text
from specdsl.recipes.losses import Loss, Targets
from specdsl.recipes.metrics import METRICS, AutomaticAccuracy, Metric
from specdsl.recipes.sources import Task

_OF_VALUES = '`loss = "mean_squared_error"` or `loss = "mean_absolute_error"`'
"""Losses of values to predict, as help names them."""


def possible_targets(loss: Loss, task: Task, outputs: int | None = None) -> tuple[Targets, ...]:
    """The targets that a loss may be given; one, where it is known how many numbers the model ends with.

    Args:
        loss: the loss.
        task: what is to be told of an example.
        outputs: how many numbers the model gives for one; a single one is for two classes.

    Raises:
        Misuse: it takes none of these.
    """
    name = type(loss).__name__
    if task == "regression":
        if "values" not in loss.takes:
            message = f"{name} compares classes, but this data has values to predict"
            raise Misuse(message, argument="loss", help=f"for example {_OF_VALUES}")
        return ("values",)
    kinds = tuple(kind for kind in loss.takes if kind != "values")
    if not kinds:
        message = f"{name} compares values, but this data has classes"
        raise Misuse(message, argument="loss", help='for example `loss = "sparse_categorical_crossentropy"`')
    if outputs == 1:
        if "binary" not in kinds:
            message = f"{name} needs an output for each class, and the model has a single one"
            raise Misuse(
                message,
                argument="loss",
                help='of two classes, `loss = "binary_crossentropy"` takes one output; where the data have values to '
                f'predict, they say task="regression", and the loss is for example {_OF_VALUES}',
            )
        return ("binary",)
    return kinds if outputs is None else tuple(kind for kind in kinds if kind != "binary")


def check_metrics(loss: Loss, metrics: Sequence[Metric], targets: Sequence[Targets]) -> None:
    """Check that metrics can be taken of what a loss is given.

    Args:
        loss: the loss.
        metrics: the metrics.
        targets: the targets that the loss may be given.

    Raises:
        Misuse: one of them cannot, or two of them have one name.
    """
    seen = {"loss"}
    for metric in metrics:
        if not set(targets) & set(metric.targets()):
            message = f"{_called(metric)} takes {_told(metric.targets())}, but {type(loss).__name__} {_given(targets)}"
            raise Misuse(message, argument="metrics", help=_other(loss, metric, targets))
        if loss.outputs() in ("logits", "scores") and not metric.on_logits():
            message = (
                f"{_called(metric)} takes probabilities, but with {type(loss).__name__}"
                f"{'(from_logits=true)' if loss.outputs() == 'logits' else ''} the model ends with {loss.outputs()}"
            )
            raise Misuse(message, argument="metrics", help=_with_logits(metric, loss))
        if {metric.of, loss.outputs()} == {"independent", "distribution"} and not getattr(metric, "from_logits", False):
            sums = "that sum to 1, as by a softmax", "each on its own, as by a sigmoid"
            taken, given = sums if metric.of == "distribution" else sums[::-1]
            message = f"{_called(metric)} takes probabilities {taken}, and {type(loss).__name__} such {given}"
            raise Misuse(message, argument="metrics", help="Keras would make something else of them")
        if metric.column == "loss":
            raise Misuse('a metric cannot be called "loss", as the loss is', argument="metrics")
        if metrics.count(metric) > 1:
            raise Misuse(f"the metric {_called(metric)} is listed twice", argument="metrics")
        if metric.column in seen:
            message = f'two metrics are called "{metric.column}"'
            raise Misuse(message, argument="metrics", help="give one of them another name, with name=...")
        seen.add(metric.column)


def check_class_numbers(metrics: Iterable[Metric], classes: int) -> None:
    """Check that metrics speak of no class, and no number of classes, that there is not.

    Raises:
        Misuse: one of them does.
    """
    for metric in metrics:
        given = metric.settings()
        for name, most in (
            ("k", classes),
            ("top_k", classes),
            ("class_id", classes - 1),
            ("ignore_class", classes - 1),
        ):
            value = given.get(name)
            if value is not None and value > most:
                message = f"{name}={value} of {_called(metric)} is more than {most}: there are {classes} classes"
                raise Misuse(message, argument="metrics")
        if given.get("num_classes", classes) != classes:
            message = f"{_called(metric)} counts {given['num_classes']} classes, but there are {classes}"
            raise Misuse(message, argument="metrics")
        if "num_classes" in given and max(given.get("target_class_ids", (0,))) >= classes:
            message = f"{_called(metric)} names class {max(given['target_class_ids'])}, but there are {classes}"
            raise Misuse(message, argument="metrics")


def check_weights(class_weight: Sequence[float], classes: int) -> None:
    """Check that there is a weight for each class.

    Raises:
        Misuse: there are more, or fewer.
    """
    if len(class_weight) != classes:
        message = f"class_weight has {len(class_weight)} weights, but there are {classes} classes"
        raise Misuse(message, argument="class_weight")


def _called(metric: Metric) -> str:
    return text(metric.column) if isinstance(metric, AutomaticAccuracy) else type(metric).__name__


_WORDS: dict[Targets, str] = {
    "classes": "the numbers of classes",
    "one-hot": "one-hot targets",
    "binary": "0 or 1 of a single output",
    "values": "values to predict",
}


def _told(targets: Iterable[Targets]) -> str:
    return " or ".join(_WORDS[kind] for kind in targets)


def _given(targets: Sequence[Targets]) -> str:
    return f"is given {_told(targets)}"


def _other(loss: Loss, metric: Metric, targets: Sequence[Targets]) -> str | None:
    """How a metric and a loss can be brought together."""
    if targets == ("values",):
        return 'there are "mean_absolute_error", "root_mean_squared_error", "r2_score" and others'
    if "classes" in targets and metric.of_numbers:
        return f'"{metric.of_numbers}" tells the same from the numbers of classes'
    for kind in METRICS.values():
        if kind.of_numbers == metric.word():
            return f'"{kind.word()}" tells the same from one-hot targets'
    if "one-hot" in metric.targets() and loss.of_one_hot:
        return f'with `loss = "{loss.of_one_hot}"` the labels become one-hot targets'
    return None


def _with_logits(metric: Metric, loss: Loss) -> str:
    """How a metric of probabilities can be had beside a loss of something else."""
    if "threshold" in metric.names():
        return (
            "say the threshold in what the model gives: threshold=0.0"
            if metric.free_threshold
            else "leave the threshold out"
        )
    if loss.outputs() == "logits" and "from_logits" in metric.names():
        return "it takes from_logits=true too"
    return "end the model with probabilities, and take a loss of them"
