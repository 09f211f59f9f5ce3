"""Recipes: what they hold, and what they refuse."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from specdsl.declaration import Misuse
from specdsl.recipes import (
    OPERATIONS,
    OPTIMIZERS,
    SOURCES,
    DataRecipe,
    Gtsrb,
    Npz,
    Synthetic,
    TrainRecipe,
    Validation,
    default_data,
)
from specdsl.recipes.augmentation import (
    FAMILIES,
    CenterCrop,
    Clip,
    FlipLeftRight,
    RandomBrightness,
    RandomContrast,
    RandomCrop,
    RandomSaturation,
)
from specdsl.recipes.data import shape_text
from specdsl.recipes.fitting import check_metrics, possible_targets
from specdsl.recipes.losses import LOSS_WORDS
from specdsl.recipes.metrics import METRIC_WORDS, METRICS


def test_every_operation_is_in_the_table_and_documented() -> None:
    assert all(kind.__doc__ for kind in [*OPERATIONS.values(), *SOURCES.values(), *OPTIMIZERS.values()])
    assert {operation.family for operation in OPERATIONS.values()} == set(FAMILIES)
    assert str(RandomCrop(height=28, width=28)) == "random_crop(height=28, width=28)"
    assert str(Gtsrb()) == "gtsrb()"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: RandomCrop(height=0, width=3), "greater than or equal to 1"),
        (lambda: RandomCrop(height=2.0, width=3), "valid integer"),
        (lambda: RandomBrightness(max_delta=-0.1), "greater than or equal to 0"),
        (lambda: RandomBrightness(max_delta=float("nan")), "finite"),
        (lambda: RandomSaturation(lower=2, upper=1), "lower is 2, which is more than upper, 1"),
        (lambda: RandomContrast(lower=-1, upper=1), "greater than or equal to 0"),
        (lambda: FlipLeftRight(classes=[-1]), "greater than or equal to 0"),
        (lambda: FlipLeftRight(probability=1.5), "less than or equal to 1"),
        (lambda: Clip(low=1, high=0), "low is 1"),
        (lambda: Clip(log=1), "Extra inputs"),
        (lambda: Gtsrb(size=0), "greater than or equal to 8"),
        (lambda: Synthetic(train=0), "greater than or equal to 1"),
        (lambda: Validation(fraction=1.0), "less than 1"),
        (lambda: Validation(fraction=0.1, by="frame"), "'track' or 'image'"),
        (lambda: OPTIMIZERS["Adam"](learning_rate=-1), "greater than or equal to 0"),
        (lambda: OPTIMIZERS["Adam"](clipnorm=1.0, clipvalue=1.0), "clipnorm and clipvalue are given"),
        (lambda: OPTIMIZERS["SGD"](momentum=1.5), "less than or equal to 1"),
        (lambda: TrainRecipe(data=DataRecipe(), loss="msee"), "there is no loss named"),
        (lambda: TrainRecipe(data=DataRecipe(), metrics=["accuracy", "accuracy"]), "listed twice"),
        (lambda: TrainRecipe(data=DataRecipe(), batch=True), "valid integer"),
        (lambda: DataRecipe(evaluate=[RandomBrightness(max_delta=0.1)]), "must not be random"),
        (lambda: DataRecipe(augment=[RandomCrop(height=28, width=28)]), r"28, 28, 3. and evaluate with .*32, 32"),
        (lambda: DataRecipe(augment=[FlipLeftRight(classes=[0, 43])]), "names class 43, but there are 43"),
        (lambda: DataRecipe(source=Gtsrb(), augment=[RandomCrop(height=33, width=28)]), "height of 33"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make: Any, told: str) -> None:
    with pytest.raises((ValidationError, Misuse), match=told):
        make()


def test_a_recipe_takes_lists_and_is_checked_again_when_changed() -> None:
    data = DataRecipe(augment=[RandomCrop(height=28, width=28)], evaluate=[CenterCrop(height=28, width=28)])
    assert data.shape == (28, 28, 3)
    recipe = TrainRecipe(data=data, metrics=["accuracy"])
    assert recipe.replace(epochs=3).epochs == 3
    assert recipe.replace(epochs=3).data == data
    with pytest.raises(ValidationError, match="batch"):
        recipe.replace(batch=0)
    assert data.taken_from(Gtsrb()) == data.replace(source=Gtsrb())
    assert data.taken_from(Synthetic()) == data
    larger = data.replace(source=Synthetic(size=40, train=7))
    assert larger.taken_from(Gtsrb()).source == Gtsrb(size=40)
    assert larger.taken_from(Synthetic(test=3)).source == Synthetic(size=40, train=7, test=3)
    assert larger.taken_from(Synthetic(size=48)).source == Synthetic(size=48, train=7)
    assert larger.taken_from(Npz(path="x.npz")).source == Npz(path="x.npz")
    with pytest.raises(Misuse, match="height of 28"):
        data.replace(source=Synthetic(size=24))


@given(st.integers(8, 64), st.integers(8, 64))
@settings(max_examples=20)
def test_default_data_fits_any_model_of_colour_images(height: int, width: int) -> None:
    assert default_data((height, width, 3)).shape == (height, width, 3)


def test_default_data_does_not_crop_what_fits_and_never_flips() -> None:
    data = default_data((32, 32, 3), Gtsrb())
    assert not len(data.evaluate)
    names = [operation.spec_name() for operation in default_data((28, 28, 3)).augment]
    assert names == ["random_crop", "random_brightness", "random_saturation", "random_contrast", "clip"]


@pytest.mark.parametrize(
    ("loss", "metric", "advice"),
    [
        ("SparseCategoricalCrossentropy", "CategoricalAccuracy", '"sparse_categorical_accuracy" tells the same'),
        ("SparseCategoricalCrossentropy", "TopKCategoricalAccuracy", '"sparse_top_k_categorical_accuracy" tells'),
        ("SparseCategoricalCrossentropy", "CategoricalCrossentropy", '"sparse_categorical_crossentropy" tells the'),
        ("CategoricalCrossentropy", "SparseCategoricalAccuracy", '"categorical_accuracy" tells the same'),
        ("SparseCategoricalCrossentropy", "AUC", 'with `loss = "categorical_crossentropy"` the labels become'),
        ("CategoricalGeneralizedCrossEntropy", "AUC", 'with `loss = "categorical_crossentropy"` the labels become'),
    ],
)
def test_a_metric_of_other_targets_is_told_its_counterpart(loss: str, metric: str, advice: str) -> None:
    made = LOSS_WORDS[loss]()
    with pytest.raises(Misuse) as refused:
        check_metrics(made, [METRICS[metric]()], possible_targets(made, "classification", 10))
    assert (refused.value.help or "").startswith(advice)


def test_counterparts_are_there_and_take_the_other_targets() -> None:
    for metric in METRICS.values():
        if metric.of_numbers:
            assert (metric.takes, METRIC_WORDS[metric.of_numbers].takes) == (("one-hot",), ("classes",))
    for loss in LOSS_WORDS.values():
        if loss.of_one_hot:
            assert "one-hot" not in loss.takes
            assert "one-hot" in LOSS_WORDS[loss.of_one_hot].takes


@pytest.mark.parametrize("shape", [(28, 28, 1), (784,), (None, None, 3)])
def test_default_data_refuses_models_of_something_else(shape: tuple[int | None, ...]) -> None:
    with pytest.raises(Misuse, match="colour images"):
        default_data(shape)


def test_shapes_are_written_as_in_a_spec() -> None:
    assert [shape_text(shape) for shape in ((28, 28, 3), (43,), (None, 3))] == ["(28, 28, 3)", "(43,)", "(none, 3)"]


def test_recipes_are_light() -> None:
    code = "import sys, specdsl.recipes; print([m for m in ('numpy', 'keras', 'tensorflow') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
