"""Recipes of training: what losses, metrics and schedules say of themselves, and what cannot be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import specdsl
from specdsl.declaration import Misuse
from specdsl.diagnostics import SpecError, render
from specdsl.recipes import LOSSES, METRICS, SCHEDULES, DataRecipe, Sinc, Synthetic, TrainRecipe, Validation
from specdsl.recipes.metrics import METRIC_WORDS
from specdsl.resolve import check_roots, data_recipe, overridden, train_recipe
from specdsl.training.outputs import check_outputs, last_activation

SIGNS = DataRecipe(source=Synthetic(), validation=Validation(fraction=0.1))
CURVE = DataRecipe(source=Sinc())


def recipe(**changes: Any) -> TrainRecipe:
    return TrainRecipe(**{"data": SIGNS} | changes)


def metric(name: str, /, **given: Any) -> Any:
    return METRICS[name](**given)


@pytest.mark.parametrize(
    ("declared", "column"),
    [
        ("accuracy", "accuracy"), ("acc", "accuracy"), ("mse", "mean_squared_error"),
        (metric("SparseTopKCategoricalAccuracy", k=3), "sparse_top_k_categorical_accuracy_k_3"),
        (metric("SparseTopKCategoricalAccuracy", k=3, name="top3"), "top3"),
        (metric("F1Score", average="macro"), "f1_score_macro"), (metric("AUC", curve="PR"), "auc_pr"),
        (metric("Precision", thresholds=0.25), "precision_thresholds_0_25"),
        (metric("OneHotIoU", num_classes=43, target_class_ids=[1, 2]),
         "one_hot_iou_num_classes_43_target_class_ids_1_2"),
    ],
)  # fmt: skip
def test_columns_of_histories_are_stable_words(declared: Any, column: str) -> None:
    found = METRIC_WORDS[declared]() if isinstance(declared, str) else declared
    assert found.column == column
    assert column.isidentifier()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"metrics": ["auc"]}, "AUC takes one-hot targets or 0 or 1 of a single output"),
        ({"metrics": ["mae"]}, "MeanAbsoluteError takes values to predict"),
        ({"metrics": [metric("Precision"), metric("Precision")], "loss": "bce"}, "listed twice"),
        ({"metrics": ["accuracy", metric("SparseCategoricalAccuracy", name="accuracy")]}, "two metrics are called"),
        ({"metrics": [metric("SparseCategoricalAccuracy", name="loss")]}, 'cannot be called "loss"'),
        ({"metrics": [metric("SparseTopKCategoricalAccuracy", k=44)]}, "k=44 of SparseTopKCategoricalAccuracy"),
        ({"metrics": [metric("OneHotMeanIoU", num_classes=42)], "loss": "categorical_crossentropy"},
         "counts 42 classes"),
        ({"loss": LOSSES["SparseCategoricalCrossentropy"](from_logits=True),
          "metrics": ["sparse_categorical_crossentropy"]}, "the model ends with logits"),
        ({"loss": "categorical_crossentropy", "metrics": ["binary_crossentropy"]}, "each on its own"),
        ({"loss": "poisson"}, "Poisson compares values, but this data has classes"),
        ({"data": CURVE}, "SparseCategoricalCrossentropy compares classes"),
        ({"data": CURVE, "loss": "mse"}, '"accuracy" takes the numbers of classes'),
        ({"data": CURVE, "loss": "mse", "metrics": [], "class_weight": "balanced"}, "class_weight is for classes"),
        ({"class_weight": [1.0, 2.0]}, "2 weights, but there are 43 classes"),
        ({"monitor": "accuracy"}, "and none are"),
        ({"keep": "best", "monitor": "test_accuracy"}, "nothing is chosen by the test part"),
        ({"keep": "best", "monitor": "val_accuracy"}, "without the part"),
        ({"keep": "best", "monitor": "auc"}, "names nothing that is recorded"),
        ({"keep": "best", "data": DataRecipe()}, "no data is kept out for validation"),
        ({"patience": 3, "data": DataRecipe()}, "no data is kept out for validation"),
        ({"keep": "best", "min_delta": 0.1}, "min_delta is for patience"),
        ({"schedule": SCHEDULES["cosine"](warmup=10)}, "a warm-up of 10 epochs leaves nothing of 10"),
        ({"schedule": SCHEDULES["step"](at=[3, 12])}, "after 12 epochs is never reached in 10"),
        ({"schedule": SCHEDULES["step"](at=[3], warmup=4)}, "within the warm-up"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(Misuse, match=told):
        recipe(**changes)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: SCHEDULES["cosine"](start=0.5), "there is none"),
        (lambda: SCHEDULES["step"](at=[5, 3]), "each later than the one before"),
        (lambda: metric("F1Score"), "a number for each class"),
        (lambda: metric("AUC", name="a b"), "a name is of letters"),
    ],
)
def test_declarations_refuse_what_cannot_be(make: Any, told: str) -> None:
    with pytest.raises(Misuse, match=told):
        make()


@given(st.sampled_from(sorted(SCHEDULES)), st.integers(1, 9), st.integers(2, 12), st.floats(0.1, 1.9))
def test_schedules_follow_the_length_of_the_run(name: str, steps: int, epochs: int, warmup: float) -> None:
    """Within 0 and the rate; from `start` at the first step, the rate when the warm-up is over."""
    more = {"at": [1.95]} if name == "step" else {}
    schedule = SCHEDULES[name](warmup=warmup, start=0.25, **more)
    assert recipe(schedule=schedule, epochs=epochs).schedule == schedule

    def factor(step: Any) -> Any:
        return schedule.multiplier(np, np.asarray(step, float), steps, epochs)

    found = factor(np.arange(steps * epochs))
    assert found[0] == pytest.approx(0.25)
    assert ((found >= 0) & (found <= 1 + 1e-9)).all()
    assert factor(warmup * steps) == pytest.approx(1)
    if name in ("cosine", "linear"):
        assert factor(steps * epochs) == pytest.approx(0, abs=1e-6)


# ------------------------------------------------------------------------------ the end of a model


def ends(last: str) -> Any:
    return specdsl.loads(f"model m {{\n input x: (8,)\n {last}\n}}").model()


@pytest.mark.parametrize(
    ("last", "activation"),
    [
        ('Dense(3, "softmax")', "softmax"), ("Dense(3)", "linear"), ("Dense(3) -> Softmax", "softmax"),
        ('Dense(3, "softmax") -> Dropout(0.1) -> Reshape(target_shape=(3,))', "softmax"),
        ('Dense(3) -> Activation("sigmoid")', "sigmoid"), ("LayerNormalization", None), ("Dense(3) -> ReLU", "relu"),
    ],
)  # fmt: skip
def test_the_activation_that_a_model_ends_with(last: str, activation: str | None) -> None:
    assert last_activation(ends(last)) == activation


@pytest.mark.parametrize(
    ("last", "loss", "told"),
    [
        ("Dense(3)", "sparse_categorical_crossentropy", "ends with no activation, but"),
        ('Dense(3, "sigmoid")', "categorical_crossentropy", "that sum to 1"),
        ('Dense(3, "sparsemax")', "categorical_crossentropy", "that sum to 1"),
        ('Dense(3, "softmax")', LOSSES["CategoricalCrossentropy"](from_logits=True), "makes the probabilities itself"),
        ('Dense(1, "softmax")', "bce", "always 1"),
        ('Dense(3, "softmax")', "bce", "stands on its own"),
        ("Dense(1)", "bce", "takes numbers from 0 to 1"),
        ("Dense(1)", "poisson", "of at least 0"),
    ],
)
def test_a_model_that_ends_with_something_else_is_refused(last: str, loss: Any, told: str) -> None:
    with pytest.raises(Misuse, match=told):
        check_outputs(ends(last), loss if not isinstance(loss, str) else METRIC_LOSSES[loss]())
    check_outputs(ends("LayerNormalization"), LOSSES["CategoricalCrossentropy"]())


METRIC_LOSSES = {
    "sparse_categorical_crossentropy": LOSSES["SparseCategoricalCrossentropy"],
    "categorical_crossentropy": LOSSES["CategoricalCrossentropy"],
    "bce": LOSSES["BinaryCrossentropy"],
    "poisson": LOSSES["Poisson"],
}

# -------------------------------------------------------------------------------- set from outside

TEXT = """
data signs = synthetic(size=16)
data others = synthetic(size=16, train=5) { validation(0.3) }
train main { data = signs; schedule = cosine(warmup=2); epochs = 8 }
"""


def changed(*given: str) -> TrainRecipe:
    program = specdsl.loads(TEXT).program
    settings = [("--set", *one.split("=", 1)) for one in given]
    return overridden(program, train_recipe(program, None, (16, 16, 3)), settings)  # type: ignore[arg-type]


def test_a_recipe_is_set_from_outside_in_any_order() -> None:
    """Wholes before their parts; what is checked is the recipe with all of them."""
    made = changed(
        "train.optimizer.learning_rate=0.02", "train.optimizer=SGD(0.05, momentum=0.9)", "train.epochs=2 * 3",
        "data.validation.fraction=0.2", 'train.keep="best"', 'train.monitor="top"', "train.schedule.final=0.1",
        'train.loss="categorical_crossentropy"', "train.loss.label_smoothing=0.1",
        'train.metrics=[TopKCategoricalAccuracy(3, name="top")]', "train.batch=7",
    )  # fmt: skip
    assert str(made.optimizer) == "SGD(learning_rate=0.02, momentum=0.9)"
    assert str(made.schedule) == "cosine(final=0.1, warmup=2.0)"
    assert (made.epochs, made.batch, made.keep, made.monitor) == (6, 7, "best", "top")
    assert str(made.loss) == "CategoricalCrossentropy(label_smoothing=0.1)"
    assert made.data.validation == Validation(fraction=0.2)
    assert made.larger_is_better
    other = changed(
        "train.data=others", 'data.validation.by="image"', "train.optimizer.learning_rate=CosineDecay(1, 9)",
        "train.schedule=none",
    )  # fmt: skip
    assert other.data.validation == Validation(fraction=0.3, by="image")
    assert str(other.optimizer) == "Adam(learning_rate=CosineDecay(initial_learning_rate=1.0, decay_steps=9))"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["train.epoch=5"], "--set:1:7: error[unknown-argument]: training has no setting 'epoch'"),
        (["train.epochs=0"], "--set train.epochs:1:1: error[bad-argument]: 'epochs' of train must be at least 1"),
        (["train.epochs=2"], "a warm-up of 2 epochs leaves nothing of 2"),
        (["train.epochs=5", "train.epochs=6"], "'train.epochs' is set twice"),
        (["train.optimizer.lerning_rate=1"], "Adam has no argument 'lerning_rate'"),
        (["train.optimizer.lr=1"], "help: did you mean 'learning_rate'?"),
        (["data.source=synthetc"], "help: did you mean 'synthetic'?"),
        (["train.optimizer=SDG(1)"], "nothing is called 'SDG'"),
        (['train.optimizer.learning_rate="x"'], "'learning_rate' of Adam must be a number or a schedule"),
        (["train.metrics.k=3"], 'train.metrics is ("accuracy",), which has no \'k\''),
        (["train.loss=[1"], "this '[' is never closed"),
        (["train.epochs=1; let b = 2"], "takes one value for 'train.epochs'"),
        (["train.data=others", "train.data.validation=none"], "the data have settings of their own"),
        (["data.augment=3"], "'augment' has operations"),
        (["data.validation.fraction=2"], "'fraction' of validation must be less than 1, not 2"),
        (["data.source.size=4"], "'size' of synthetic must be at least 8, not 4"),
        (["data.validation.seed=1"], "validation needs 'fraction'"),
        (['train.keep="best"'], "no data is kept out for validation"),
    ],
)  # fmt: skip
def test_what_is_set_wrongly_from_outside_is_told_with_its_place(given: list[str], told: str) -> None:
    with pytest.raises(SpecError) as error:
        changed(*given)
    shown = "\n".join(render(diagnostic) for diagnostic in error.value.diagnostics)
    assert told in shown


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("train=3", "--set:1:1: error[unknown-argument]: 'train' is not set as a whole"),
        ("data=synthetic", "help: --data names other data"),
        ("trian.epochs=3", "help: did you mean 'train'?"),
        ("Conv2D.filters=3", "help: what can be set begins with `train.` or `data.`"),
    ],
)
def test_what_is_set_in_nothing_is_told_where_it_was_given(given: str, told: str) -> None:
    with pytest.raises(SpecError) as error:
        check_roots(["width"], ["width=3", given])
    assert told in render(error.value.diagnostics[0])
    check_roots(["train", "data"], ["train=3", "data=3"])


def test_where_no_data_are_named_the_last_of_the_file_are_meant() -> None:
    """With a `train` block and without one, and for whoever looks at data; the loss has to go with them."""
    two = "data first = synthetic\ndata last = sinc\n"
    regression = 'train t { loss = "mse"; metrics = [] }\n'
    for text in (two, two + regression, regression + two):
        program = specdsl.loads(text).program
        assert train_recipe(program, None, (1,)).data.source == Sinc()
        assert data_recipe(program).source == Sinc()
    with pytest.raises(SpecError, match="compares classes, but this data has values"):
        specdsl.loads("data curve = sinc\ntrain t { epochs = 2 }\n")
