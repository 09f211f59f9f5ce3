"""What a spec says of training: the `train` block as a value."""

from __future__ import annotations

from typing import Annotated, Literal

from specdsl.declaration import Misuse
from specdsl.diagnostics import did_you_mean
from specdsl.recipes.data import DataRecipe
from specdsl.recipes.fitting import check_class_numbers, check_metrics, check_weights, possible_targets
from specdsl.recipes.losses import LossArgument, SparseCategoricalCrossentropy, Targets
from specdsl.recipes.metrics import AutomaticAccuracy, Metric, MetricArgument
from specdsl.recipes.naming import FromList, NonNegative, Positive, RecipePart
from specdsl.recipes.optimizers import Adafactor, Adam, Optimizer
from specdsl.recipes.rates import RateSchedule
from specdsl.recipes.schedules import Schedule

Precision = Literal["float32", "tensorfloat32", "mixed_bfloat16", "mixed_float16"]
"""What layers compute in: a dtype policy of Keras, or float32 with matrix products and convolutions of TF32."""


class TrainRecipe(RecipePart):
    """The `train` block.

    Args:
        data: what to train on.
        optimizer: with which steps.
        loss: what is made small: a loss, or Keras's word for it.
        metrics: what else is recorded of each part of the data: metrics, or Keras's words for them.
        batch: examples per step; the last step of an epoch takes what is left.
        epochs: how many times every training example is seen.
        schedule: how the optimizer's learning rate changes over the run, or None.
        class_weight: how much examples of each class count in the loss of training: a weight for each class,
            `"balanced"` for n / (classes · count of the class), or None where all count alike.
        precision: what layers compute in that say nothing themselves; mixed ones keep weights in float32, and
            `"tensorfloat32"` everything, with matrix products and convolutions in TF32 where hardware can.
        evaluate_every: how many epochs lie between evaluations; the last epoch is always evaluated.
        keep: whether the result is the last epoch's weights, or those of the best epoch by `monitor`.
        monitor: what epochs are chosen by: the loss or the name of a metric, always on the validation part.
        patience: after how many epochs without a better one training ends, or None.
        min_delta: by how much an epoch must be better for `patience` to begin anew.
    """

    data: DataRecipe
    optimizer: Optimizer = Adam()
    loss: LossArgument = SparseCategoricalCrossentropy()
    metrics: Annotated[tuple[MetricArgument, ...], FromList] = (AutomaticAccuracy(),)
    batch: Positive = 128
    epochs: Positive = 10
    schedule: Schedule | None = None
    class_weight: Literal["balanced"] | Annotated[tuple[NonNegative, ...], FromList] | None = None
    precision: Precision = "float32"
    evaluate_every: Positive = 1
    keep: Literal["last", "best"] = "last"
    monitor: str = "loss"
    patience: Positive | None = None
    min_delta: NonNegative = 0.0

    def check(self) -> None:
        """Refuse what does not go together."""
        source = self.data.source
        check_metrics(self.loss, self.metrics, possible_targets(self.loss, source.task))
        if self.class_weight is not None and source.task == "regression":
            raise Misuse("class_weight is for classes, but this data has values to predict", argument="class_weight")
        if source.classes is not None:
            self.check_classes(source.classes)
        self._check_schedule()
        self._check_choice()

    def check_classes(self, classes: int) -> None:
        """Check what the recipe says of classes.

        Raises:
            Misuse: there are not so many.
        """
        check_class_numbers(self.metrics, classes)
        if isinstance(self.class_weight, tuple):
            check_weights(self.class_weight, classes)

    def _check_schedule(self) -> None:
        if self.schedule is None:
            return
        if isinstance(self.optimizer.learning_rate, RateSchedule):
            raise Misuse(
                f"the optimizer's learning rate follows {type(self.optimizer.learning_rate).__name__} already",
                argument="schedule",
                help="give the optimizer a number, which `schedule` changes, or leave `schedule` out",
            )
        if isinstance(self.optimizer, Adafactor) and self.optimizer.relative_step:
            raise Misuse(
                "Adafactor with relative_step has a learning rate of its own, which a schedule would replace",
                argument="schedule",
                help="say Adafactor(relative_step=false), or leave `schedule` out",
            )
        try:
            self.schedule.check_epochs(self.epochs)
        except Misuse as misuse:
            raise Misuse(misuse.message, argument="schedule", help=misuse.help) from None

    def _check_choice(self) -> None:
        """Check what epochs are chosen by."""
        user = next((name for name, used in (("keep", self.keep == "best"), ("patience", self.patience)) if used), None)
        if user and self.data.validation is None:
            what = 'keep = "best"' if user == "keep" else "patience"
            raise Misuse(
                f"{what} chooses an epoch by the validation part, and no data is kept out for validation",
                argument=user,
                help="add `validation(0.1)` to the data; the test part is for the end alone",
            )
        if self.monitor != "loss" and not user:
            message = "monitor says what epochs are chosen by, and none are"
            raise Misuse(message, argument="monitor", help='give `keep = "best"` or `patience`')
        if self.min_delta and not self.patience:
            raise Misuse("min_delta is for patience, and there is none", argument="min_delta", help="give `patience`")
        if self.monitor in self.columns:
            return
        part, _, name = self.monitor.partition("_")
        if part == "test":
            message, hint = "nothing is chosen by the test part, which is for the end alone", None
            if name in self.columns:
                hint = f'`monitor = "{name}"` is that of the validation part'
        elif part in ("validation", "val", "train") and name in self.columns:
            message = f'monitor names a metric without the part, which is always validation, not "{self.monitor}"'
            hint = f'`monitor = "{name}"`'
        else:
            message = f'monitor names nothing that is recorded: "{self.monitor}"'
            hint = did_you_mean(self.monitor, self.columns) or f"there are {', '.join(self.columns)}"
        raise Misuse(message, argument="monitor", help=hint)

    @property
    def columns(self) -> tuple[str, ...]:
        """What is measured of each part: `loss`, and the metrics by the names that they have in histories."""
        return ("loss", *(metric.column for metric in self.metrics))

    @property
    def larger_is_better(self) -> bool:
        """Whether an epoch is better where `monitor` is larger."""
        return next((metric.larger for metric in self.metrics if metric.column == self.monitor), False)

    def targets(self, outputs: int) -> Targets:
        """What the loss and the metrics are given, with a model that ends with so many numbers for an example.

        Raises:
            Misuse: the loss or a metric cannot be taken of them.
        """
        targets = possible_targets(self.loss, self.data.source.task, outputs)
        check_metrics(self.loss, self.metrics, targets)
        return targets[0]

    def resolved_metrics(self, outputs: int) -> tuple[Metric, ...]:
        """The metrics of Keras, `"accuracy"` as the one that it is, with a model that ends with so many numbers.

        Raises:
            Misuse: as `targets`.
        """
        targets = self.targets(outputs)
        probabilities = self.loss.outputs() not in ("logits", "scores")
        return tuple(
            metric.resolved(targets, probabilities) if isinstance(metric, AutomaticAccuracy) else metric
            for metric in self.metrics
        )
