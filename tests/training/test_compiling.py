"""Recipes in Keras: every optimizer, loss, metric and schedule is Keras's own, and does what the recipe says."""

from __future__ import annotations

import inspect
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specdsl.graph import Graph
from specdsl.recipes import (
    LOSSES,
    METRICS,
    OPTIMIZERS,
    RATE_SCHEDULES,
    SCHEDULES,
    DataRecipe,
    Schedule,
    Source,
    Synthetic,
    TrainRecipe,
    Validation,
)
from specdsl.recipes.losses import LEFT_OUT, LOSS_WORDS
from specdsl.recipes.metrics import METRIC_WORDS, METRICS_LEFT_OUT, AutomaticAccuracy
from specdsl.training.targets import class_weights, targets
from tests.training.models import graph

pytestmark = pytest.mark.keras

CLASSES = 4
TABLES: dict[str, tuple[Any, set[str]]] = {
    "optimizers": (OPTIMIZERS, {"Optimizer", "LossScaleOptimizer", "MultiOptimizer", "OptimizerMap"}),
    "losses": (LOSSES, set(LEFT_OUT)),
    "metrics": (METRICS, set(METRICS_LEFT_OUT)),
    "optimizers.schedules": (RATE_SCHEDULES, {"LearningRateSchedule"}),
}


def keras_module(name: str) -> Any:
    import keras

    module: Any = keras
    for part in name.split("."):
        module = getattr(module, part)
    return module


@pytest.mark.parametrize("module", TABLES)
def test_declarations_are_those_of_keras_with_its_arguments_order_and_defaults(module: str) -> None:
    """All but those that are left out; positional arguments stand in Keras's order."""
    table, left_out = TABLES[module]
    classes = {name: kind for name, kind in vars(keras_module(module)).items() if isinstance(kind, type)}
    assert set(classes) == set(table) | left_out
    for name, declared in table.items():
        parameters = {
            key: parameter.default
            for key, parameter in inspect.signature(classes[name]).parameters.items()
            if parameter.kind is not parameter.VAR_KEYWORD
        }
        assert set(declared.names()) == set(parameters), name
        assert declared.positional() == tuple(parameters)[: len(declared.positional())], name
        for key, default in parameters.items():
            assert getattr(declared, key, inspect.Parameter.empty) == default, (name, key)


def test_words_stand_for_what_they_stand_for_in_keras() -> None:
    import keras.src

    losses, metrics = keras.src.losses.ALL_OBJECTS_DICT, keras.src.metrics.ALL_OBJECTS_DICT
    refused = {"ctc", "CTC", "circle", "Circle", "Loss", "LossFunctionWrapper"}
    assert {word for word in losses if word not in LOSS_WORDS} == refused
    for word, kind in losses.items():
        if word in LOSS_WORDS:
            name = LOSS_WORDS[word].__name__
            assert kind.__name__ in (name, LOSS_WORDS[word].word()), word
    for word, kind in metrics.items():
        if word in METRIC_WORDS:
            assert METRIC_WORDS[word] is AutomaticAccuracy or METRIC_WORDS[word].__name__ == kind.__name__, word
        else:
            assert kind.__name__ in METRICS_LEFT_OUT, word


# ------------------------------------------------------------------------------------ small problems


def model(last: str, inputs: int = 3) -> Graph:
    return graph(f"model small {{\n input x: ({inputs},)\n Dense(6, 'tanh') as hidden\n {last}\n}}")


class _Some(Source):
    """Data that nothing loads: batches are made by hand here."""

    abstract = True
    told: Literal["classification", "regression"] = "classification"

    @property
    def task(self) -> Any:
        return self.told


def of_classes(**changes: Any) -> TrainRecipe:
    return TrainRecipe(data=DataRecipe(source=_Some()), **changes)


def of_values(**changes: Any) -> TrainRecipe:
    return TrainRecipe(data=DataRecipe(source=_Some(told="regression")), **{"metrics": ()} | changes)


def batch(kind: str, outputs: int, seed: int = 0, count: int = 24) -> tuple[Any, Any, Any]:
    """Inputs, labels or values, and the targets that Keras is to see, made by hand."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 3)).astype(np.float32)
    if kind == "values":
        values = rng.uniform(0.1, 2, (count, outputs)).astype(np.float32)
        return x, values, values
    labels = rng.integers(0, max(outputs, 2), count).astype(np.int32)
    made: Any = {"classes": labels, "one-hot": np.eye(CLASSES)[labels], "binary": labels[:, None]}[kind]
    return x, labels, made.astype(np.int32 if kind == "classes" else np.float32)


ENDS = {
    "distribution": f'Dense({CLASSES}, "softmax")',
    "independent": f'Dense({CLASSES}, "sigmoid")',
    "probabilities": f'Dense({CLASSES}, "softmax")',
    "logits": f"Dense({CLASSES})",
    "scores": f'Dense({CLASSES}, "tanh")',
    "positive": f'Dense({CLASSES}, "softplus")',
    "values": f"Dense({CLASSES})",
}


def ready(kind: str, recipe: TrainRecipe, ends: str) -> tuple[Any, Any]:
    """The compiled model, and a batch as the feed would make it."""
    from specdsl.training import compiling

    text = ENDS[ends] if kind != "binary" else ENDS[ends].replace(str(CLASSES), "1").replace("softmax", "sigmoid")
    outputs = 1 if kind == "binary" else CLASSES
    x, labels, made = batch(kind, outputs)
    fed = targets(recipe, outputs).batch(np, x, labels)
    np.testing.assert_array_equal(fed[1], made)
    return compiling.compiled(model(text), recipe, 5), fed


def cases(kinds: Any) -> list[tuple[str, str]]:
    return [(name, target) for name, kind in kinds.items() for target in kind.takes]


ARGUMENTS: dict[str, dict[str, Any]] = {
    "F1Score": {"average": "macro"}, "FBetaScore": {"average": "weighted", "beta": 2.0},
    "PrecisionAtRecall": {"recall": 0.5}, "RecallAtPrecision": {"precision": 0.5},
    "SensitivityAtSpecificity": {"specificity": 0.5}, "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "OneHotIoU": {"num_classes": CLASSES, "target_class_ids": [0, 1]}, "OneHotMeanIoU": {"num_classes": CLASSES},
    "TopKCategoricalAccuracy": {"k": 2}, "SparseTopKCategoricalAccuracy": {"k": 2},
}  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), cases(LOSSES))
def test_every_loss_has_the_value_of_kerass_own(name: str, kind: str) -> None:
    """By targets made from labels, against Keras's class called with targets made by hand."""
    import keras

    loss = LOSSES[name]()
    recipe = (of_values if kind == "values" else of_classes)(loss=loss, metrics=())
    made, (x, y) = ready(kind, recipe, loss.outputs())
    found = float(made.test_on_batch(x, y, return_dict=True)["loss"])
    expected = float(getattr(keras.losses, name)()(y, made.predict_on_batch(x)))
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("name", "kind"), cases(METRICS))
def test_every_metric_has_the_value_of_kerass_own_and_its_direction(name: str, kind: str) -> None:
    import keras

    losses = {"classes": "sparse_categorical_crossentropy", "one-hot": "categorical_crossentropy"}
    losses |= {"binary": "binary_crossentropy", "values": "mse"}
    metric = METRICS[name](**ARGUMENTS.get(name, {}))
    losses["one-hot"] = "binary_crossentropy" if metric.of == "independent" else losses["one-hot"]
    recipe = (of_values if kind == "values" else of_classes)(loss=losses[kind], metrics=[metric])
    made, (x, y) = ready(kind, recipe, recipe.loss.outputs())
    values = made.test_on_batch(x, y, return_dict=True)
    assert set(values) == {"loss", metric.column} == set(recipe.columns)
    expected = getattr(keras.metrics, name)(**ARGUMENTS.get(name, {}))
    expected.update_state(y, made.predict_on_batch(x))
    np.testing.assert_allclose(values[metric.column], np.asarray(expected.result()), rtol=1e-4, atol=1e-6)
    assert np.ndim(values[metric.column]) == 0
    told = getattr(expected, "_direction", None)
    assert told in (None, "up" if metric.larger else "down")


@pytest.mark.parametrize(
    ("loss", "kind", "expected"),
    [
        ("sparse_categorical_crossentropy", "classes", "SparseCategoricalAccuracy"),
        ("categorical_crossentropy", "one-hot", "CategoricalAccuracy"),
        ("binary_crossentropy", "binary", "BinaryAccuracy"),
        (LOSSES["BinaryCrossentropy"](from_logits=True), "binary", "BinaryAccuracy"),
        ("hinge", "binary", "BinaryAccuracy"),
    ],
)
def test_accuracy_is_the_share_of_classes_told_rightly(loss: Any, kind: str, expected: str) -> None:
    """As Keras resolves the word; of a single score above or below 0, which Keras would compare with 0.5."""
    recipe = of_classes(loss=loss)
    made, (x, y) = ready(kind, recipe, recipe.loss.outputs())
    (metric,) = recipe.resolved_metrics(1 if kind == "binary" else CLASSES)
    assert type(metric).__name__ == expected
    outputs = np.asarray(made.predict_on_batch(x))
    edge = 0.0 if recipe.loss.outputs() in ("logits", "scores") else 0.5
    told = (outputs[:, 0] > edge) if kind == "binary" else outputs.argmax(axis=1)
    right = y[:, 0] if kind == "binary" else (y if kind == "classes" else y.argmax(axis=1))
    assert float(made.test_on_batch(x, y, return_dict=True)["accuracy"]) == pytest.approx((told == right).mean())


def test_smoothed_labels_are_made_from_numbers_of_classes() -> None:
    recipe = of_classes(loss=LOSSES["CategoricalCrossentropy"](label_smoothing=0.2), metrics=())
    made, (x, y) = ready("one-hot", recipe, "distribution")
    smooth = y * 0.8 + 0.2 / CLASSES
    expected = -(smooth * np.log(np.asarray(made.predict_on_batch(x)))).sum(axis=1).mean()
    assert float(made.test_on_batch(x, y, return_dict=True)["loss"]) == pytest.approx(expected, rel=1e-5)


# ----------------------------------------------------------------------------------- learning rates


def rate_schedules() -> st.SearchStrategy[Any]:
    some, steps = st.floats(0.001, 1), st.integers(1, 30)
    made = {
        "CosineDecay": st.fixed_dictionaries(
            {"initial_learning_rate": some, "decay_steps": steps, "alpha": st.floats(0, 1)}
        ),
        "CosineDecayRestarts": st.fixed_dictionaries(
            {
                "initial_learning_rate": some,
                "first_decay_steps": steps,
                "t_mul": st.sampled_from([1.0, 1.5, 2.0]),
                "m_mul": some,
            }
        ),
        "PolynomialDecay": st.fixed_dictionaries(
            {"initial_learning_rate": some, "decay_steps": steps, "power": st.floats(0.5, 3), "cycle": st.booleans()}
        ),
        "PiecewiseConstantDecay": st.fixed_dictionaries(
            {"boundaries": st.sets(steps, min_size=2, max_size=2).map(sorted), "values": st.tuples(some, some, some)}
        ),
        **{
            name: st.fixed_dictionaries(
                {"initial_learning_rate": some, "decay_steps": steps, "decay_rate": some, "staircase": st.booleans()}
            )
            for name in ("ExponentialDecay", "InverseTimeDecay")
        },
    }  # fmt: skip
    assert set(made) == set(RATE_SCHEDULES)
    warm = st.fixed_dictionaries(
        {"initial_learning_rate": some, "decay_steps": steps, "warmup_target": some, "warmup_steps": steps}
    ).map(lambda given: RATE_SCHEDULES["CosineDecay"](**given))
    return warm | st.one_of(
        *(given.map(lambda arguments, name=name: RATE_SCHEDULES[name](**arguments)) for name, given in made.items())
    )


@given(rate_schedules(), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_schedules_in_steps_are_keras_s_own(schedule: Any, step: int) -> None:
    from specdsl.training.compiling import in_keras

    made = in_keras(schedule)
    given = {name: list(one) if isinstance(one, tuple) else one for name, one in schedule.settings().items()}
    assert type(made).__name__ == type(schedule).__name__
    assert made.get_config() == given
    assert np.isfinite(float(np.asarray(made(step))))


def schedules(epochs: int) -> st.SearchStrategy[Schedule]:
    warm = st.fixed_dictionaries({"warmup": st.just(0.0) | st.floats(0.1, epochs - 0.6), "start": st.floats(0, 1)}).map(
        lambda given: given if given["warmup"] else {}
    )
    final, factor = st.floats(0, 1), st.floats(0.1, 1)
    one = st.builds(
        lambda given, start, final: SCHEDULES["one_cycle"](warmup=given or None, start=start, final=final),
        st.just(0.0) | st.floats(0.1, epochs - 0.6), final, final,
    )  # fmt: skip
    at = st.sets(st.floats(epochs - 0.6, epochs - 0.1), min_size=1, max_size=3).map(sorted)
    return st.one_of(
        one,
        st.builds(lambda given: SCHEDULES["constant"](**given), warm),
        st.builds(lambda given, final: SCHEDULES["cosine"](final=final, **given), warm, final),
        st.builds(lambda given, final: SCHEDULES["linear"](final=final, **given), warm, final),
        st.builds(lambda given, at, factor: SCHEDULES["step"](at=at, factor=factor, **given), warm, at, factor),
        st.builds(lambda given, factor: SCHEDULES["exponential"](factor=factor, **given), warm, factor),
    )


def used_rates(recipe: TrainRecipe, steps_per_epoch: int) -> list[float]:
    """The rates that Keras's optimizer really moves a weight by: gradients of 1 under plain descent."""
    import keras

    from specdsl.training import compiling

    stepper = compiling.optimizer(recipe, steps_per_epoch)
    weight = keras.Variable(0.0)
    stepper.build([weight])
    moved = []
    for _ in range(steps_per_epoch * recipe.epochs):
        weight.assign(0.0)
        stepper.apply([keras.ops.ones(())], [weight])
        moved.append(-float(weight))
    return moved


@given(schedules(3), st.integers(1, 4), st.floats(0.01, 1))
@settings(max_examples=25, deadline=None)
def test_an_optimizer_really_uses_the_rate_of_each_step(schedule: Schedule, steps_per_epoch: int, rate: float) -> None:
    recipe = of_classes(optimizer=OPTIMIZERS["SGD"](learning_rate=rate), schedule=schedule, epochs=3)
    expected = rate * schedule.multiplier(np, np.arange(3.0 * steps_per_epoch), steps_per_epoch, 3)
    np.testing.assert_allclose(used_rates(recipe, steps_per_epoch), expected, rtol=1e-4, atol=1e-6)


def test_a_cosine_with_warm_up_is_that_of_keras() -> None:
    import keras

    found = 0.001 * SCHEDULES["cosine"](warmup=2, final=0.1).multiplier(np, np.arange(40.0), 5, 8)
    theirs = keras.optimizers.schedules.CosineDecay(0.0, 30, 0.1, warmup_target=0.001, warmup_steps=10)
    expected = [float(np.asarray(theirs(step))) for step in range(40)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-9)


# -------------------------------------------------------------------------- what optimizers are told


def trained(recipe: TrainRecipe, steps: int = 6) -> tuple[list[Any], list[Any], Any]:
    """Weights before and after some steps, and the model."""
    import keras

    keras.utils.set_random_seed(3)
    made, fed = ready("classes", recipe, "distribution")
    before = made.get_weights()
    for _ in range(steps):
        made.train_on_batch(*fed)
    return before, made.get_weights(), made


def by_hand(optimizer: Any, steps: int = 6) -> list[Any]:
    """The same with a Keras model and optimizer made by hand."""
    import keras

    keras.utils.set_random_seed(3)
    x, y, _ = batch("classes", CLASSES)
    layers = [keras.layers.Dense(6, "tanh"), keras.layers.Dense(CLASSES, "softmax")]
    made = keras.Sequential([keras.Input((3,)), *layers])
    made.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    for _ in range(steps):
        made.train_on_batch(x, y)
    return made.get_weights()  # type: ignore[no-any-return]


OPTIONS: list[dict[str, Any]] = [
    {"clipnorm": 0.01}, {"clipvalue": 0.001}, {"global_clipnorm": 0.01}, {"gradient_accumulation_steps": 3},
    {"weight_decay": 0.5}, {"use_ema": True, "ema_momentum": 0.5, "ema_overwrite_frequency": 2},
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: next(iter(options)))
def test_what_an_optimizer_is_told_changes_its_steps_as_in_keras(options: dict[str, Any]) -> None:
    """With a schedule in epochs, against Keras's own optimizer with the same rates from a schedule of its own."""
    import keras

    recipe = of_classes(
        optimizer=OPTIMIZERS["SGD"](learning_rate=0.5, **options), schedule=SCHEDULES["linear"](), epochs=2
    )
    theirs = keras.optimizers.schedules.PolynomialDecay(0.5, 10, 0.0)
    _, after, _ = trained(recipe)
    for mine, hand in zip(after, by_hand(keras.optimizers.SGD(theirs, **options)), strict=True):
        np.testing.assert_allclose(mine, hand, rtol=1e-4, atol=1e-6)
    plain = by_hand(keras.optimizers.SGD(theirs))
    assert max(np.abs(mine - other).max() for mine, other in zip(after, plain, strict=True)) > 1e-4


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_trains_with_a_schedule_and_averages(name: str) -> None:
    """A rate of nothing at the end leaves the weights where they are; before, they move."""
    told = {"relative_step": False} if name == "Adafactor" else {}
    declared = OPTIMIZERS[name](use_ema=True, clipnorm=1.0, weight_decay=0.0, **told)
    recipe = of_classes(optimizer=declared, schedule=SCHEDULES["step"](at=[1], factor=1e-9), epochs=2)
    before, after, made = trained(recipe, 5)
    assert max(np.abs(a - b).max() for a, b in zip(before, after, strict=True)) > 1e-7
    x, labels, _ = batch("classes", CLASSES)
    made.train_on_batch(x, labels)
    if name not in ("Ftrl", "ScheduleFreeAdamW", "Adadelta"):  # these keep more than their rate says
        for one, other in zip(after, made.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-6)


# ------------------------------------------------------------------- weights of classes, and precision


def test_balanced_weights_make_each_class_count_alike() -> None:
    recipe = of_classes(class_weight="balanced")
    labels = np.array([0, 0, 0, 1, 2, 2, 0, 0], np.int32)
    weights = class_weights(recipe, labels, 4)
    assert weights is not None
    assert weights.tolist() == pytest.approx([8 / (4 * 5), 8 / 4, 8 / (4 * 2), 1])
    assert class_weights(of_classes(), labels, 4) is None


def test_weights_of_classes_train_as_kerass_class_weight_does() -> None:
    import keras

    from specdsl.data.dataset import Examples
    from specdsl.training import compiling, feed_numpy

    given = [0.5, 2.0, 1.0, 4.0, *[1.0] * 39]
    recipe = of_classes(class_weight=given, loss="categorical_crossentropy", batch=24)
    x, labels, made = batch("one-hot", CLASSES)
    results = []
    for mine in (True, False):
        keras.utils.set_random_seed(3)
        small = compiling.compiled(model(ENDS["distribution"]), recipe, 1)
        if mine:
            examples = Examples(x, labels)
            feed = feed_numpy.Feed(examples, recipe.data.augment, 24, None, targets(recipe, CLASSES, examples))
            history = small.fit(feed.batches, shuffle=False, verbose=0)
        else:
            history = small.fit(
                x, made, batch_size=24, class_weight=dict(enumerate(given[:4])), shuffle=False, verbose=0
            )
        results.append((history.history["loss"], small.get_weights()))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-6)
    for one, other in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_precision_is_that_of_layers_which_say_none(policy: Any) -> None:
    import keras

    from specdsl.training import compiling

    text = f'Dense(5, "relu", dtype="float64")\n Dense({CLASSES}, "softmax")'
    made = compiling.compiled(model(text), of_classes(precision=policy, schedule=SCHEDULES["cosine"]()), 5)
    assert [layer.dtype_policy.name for layer in made.layers[1:]] == [policy, "float64", policy]
    assert keras.config.dtype_policy().name == "float32"
    scaled = type(made.optimizer).__name__ == "LossScaleOptimizer"
    assert scaled is (policy == "mixed_float16")
    x, labels, _ = batch("classes", CLASSES)
    before = made.get_weights()
    losses = [float(made.train_on_batch(x, labels, return_dict=True)["loss"]) for _ in range(3)]
    assert np.isfinite(losses).all()
    assert any(np.any(one != other) for one, other in zip(before, made.get_weights(), strict=True))


def test_a_validated_recipe_is_needed_to_choose_an_epoch() -> None:
    data = DataRecipe(source=Synthetic(size=16), validation=Validation(fraction=0.2))
    assert TrainRecipe(data=data, keep="best", monitor="accuracy").larger_is_better
    assert not TrainRecipe(data=data, keep="best").larger_is_better
