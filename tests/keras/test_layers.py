"""The layer table against the installed Keras: every name, argument and default, every shape and weight."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_args

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from keras.src.activations import ALL_OBJECTS_DICT as KERAS_ACTIVATIONS
from keras.src.constraints import ALL_OBJECTS_DICT as KERAS_CONSTRAINTS
from keras.src.initializers import ALL_OBJECTS_DICT as KERAS_INITIALIZERS
from keras.src.regularizers import ALL_OBJECTS_DICT as KERAS_REGULARIZERS

from specdsl.declaration import Declaration, Misuse, declared
from specdsl.layers import KERAS_LAYERS, LAYERS, NAMES, NO_LAYER, UNDECLARABLE, InputLayer, Layer, Shape
from specdsl.layers.activation_functions import ACTIVATIONS
from specdsl.layers.arguments import UNUSABLE_ACTIVATIONS
from specdsl.layers.core import Dense
from specdsl.layers.dtypes import FLOATS, Dtype, promoted
from specdsl.layers.objects import CONSTRAINTS, INITIALIZERS, REGULARIZERS, Constraint, Initializer, Regularizer
from specdsl.layers.pipeline import Pipeline
from specdsl.layers.pooling import MaxPooling2D
from specdsl.layers.recurrent import GRU
from specdsl.layers.regularization import Dropout
from specdsl.layers.wrappers import Bidirectional, SpectralNormalization, TimeDistributed
from tests.keras.mutation import planted_in, rewritten
from tests.keras.oracle import compare, compare_run, run
from tests.keras.tally import planted
from tests.strategies import APPLICABLE, Call, calls, objects

pytestmark = [
    pytest.mark.keras,
    pytest.mark.filterwarnings("ignore::UserWarning:keras"),  # Keras warns of what is legal and unwise
]

LEFT_OUT = {
    # Of every layer: what the graph decides (names), what all have and some name (dtypes), or Python needs.
    "name", "dtype", "kwargs",
    # Of Dense, EinsumDense and Embedding: an object that says how to quantise a model that exists, and what came of it.
    "quantization_config", "gptq_unpacked_column_size",
    # Of Embedding and Bidirectional: an array of values.
    "weights",
    # Of BatchNormalization: a dictionary.
    "renorm_clipping",
}  # fmt: skip
"""Keras's arguments that the table does not have."""

REQUIRED: dict[str, Any] = {
    "units": 1, "filters": 1, "kernel_size": 1, "pool_size": 1, "activation": "relu", "rate": 0.5, "stddev": 0.5,
    "axes": 1, "dims": (1,), "n": 1, "target_shape": (1,), "input_dim": 2, "output_dim": 2, "scale": 1.0,
    "num_heads": 2, "key_dim": 3, "layer": LAYERS["SimpleRNN"](units=2), "layers": (LAYERS["Dense"](units=2),),
    "cell": LAYERS["GRUCell"](units=2), "cells": [LAYERS["GRUCell"](units=2)] * 2,
    "height": 4, "width": 4, "factor": 1, "height_factor": 0.5, "width_factor": 0.5, "max_number": 3, "num_bins": 3,
    "output_size": 2, "equation": "ab,bc->ac", "output_shape": 3,
    "head_dim": 3, "num_query_heads": 2, "num_key_value_heads": 1,
}  # fmt: skip
"""A legal value for each argument without a default."""

NEEDED: dict[str, dict[str, Any]] = {
    "CategoryEncoding": {"num_tokens": 3},
    "Discretization": {"bin_boundaries": (0.5,)},
    "IntegerLookup": {"vocabulary": (5, 6)},
    "StringLookup": {"vocabulary": ("what", "why")},
    "TextVectorization": {"vocabulary": ("what", "why")},
}
"""Arguments with a default that nothing comes of, with values of which something does."""

THOROUGH = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)
QUICK = settings(THOROUGH, max_examples=10)


# ---------------------------------------------------------------------------------------------- names and arguments


@pytest.mark.parametrize("kind", APPLICABLE, ids=lambda kind: kind.__name__)
def test_arguments_and_defaults_are_those_of_keras(kind: type[Layer]) -> None:
    """Same names in the same order, same ones required, and Keras's defaults mean what ours mean."""
    _assert_same_signature(kind, getattr(keras.layers, kind.exported or kind.__name__))


@pytest.mark.parametrize(
    "kind",
    [kind for base in (Initializer, Regularizer, Constraint) for kind in declared(base)],
    ids=lambda kind: kind.__name__,
)
def test_arguments_and_defaults_of_objects_are_those_of_keras(kind: Any) -> None:
    _assert_same_signature(kind, getattr(getattr(keras, kind.module), kind.__name__))


def _assert_same_signature(kind: type[Declaration], real: type) -> None:
    told = inspect.signature(real.__init__).parameters  # of the class itself, some Pythons tell less
    starred = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    signature = {name: given for name, given in told.items() if name != "self" and given.kind not in starred}
    theirs = {name: parameter for name, parameter in signature.items() if name not in LEFT_OUT}
    assert [name for name in kind.fields() if name not in ("trainable", "dtype")] == list(theirs)
    defaults = {name: given.default for name, given in theirs.items() if given.default is not inspect.Parameter.empty}
    assert set(kind.required()) == set(theirs) - set(defaults)
    needed = NEEDED.get(kind.__name__, {})
    required = {name: REQUIRED[name] for name in kind.required()} | needed
    assert kind(**{**defaults, **required}) == kind(**required)
    assert all(getattr(kind, name) == defaults[name] for name in needed)
    places = tuple(name for name in signature if name not in LEFT_OUT)
    assert kind.positional() == places[: len(kind.positional())]


def test_each_keras_name_of_a_layer_is_known() -> None:
    public = {name: layer for name, layer in vars(keras.layers).items() if inspect.isclass(layer)}
    covered = {name for name, layer in public.items() if layer.__name__ in LAYERS}
    assert covered == {name for name, kind in NAMES.items() if name != kind.__name__ or not kind.exported}
    for name in covered:
        assert public[name].__name__ == NAMES[name].__name__


def test_every_layer_of_keras_is_declared_or_said_why_not() -> None:
    """The classes of `keras.layers` are those of the table and those that no text can declare, none twice."""
    public = {name: layer for name, layer in vars(keras.layers).items() if inspect.isclass(layer)}
    declared = {public[kind.exported or name] for name, kind in LAYERS.items()}
    others = {public[name] for name in UNDECLARABLE}
    aside = {public[name] for name in NO_LAYER}
    assert declared | others | aside == set(public.values())
    assert not declared & others
    assert not any(issubclass(kind, keras.Layer) for kind in aside)
    assert len(set(public.values()) - aside) == KERAS_LAYERS


def test_each_activation_of_keras_is_known() -> None:
    theirs = {name for name in KERAS_ACTIVATIONS if isinstance(name, str)}
    assert theirs == {*ACTIVATIONS, *UNUSABLE_ACTIVATIONS}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_of_activations_are_those_that_are_told(name: str) -> None:
    drawn = np.random.default_rng(1).normal(scale=3.0, size=(200, 5)).astype(np.float32)
    found = np.asarray(keras.activations.get(name)(drawn))
    told = "any" if found.min() < 0 else "positive" if found.max() > 1 else "unit"
    assert ACTIVATIONS[name].values == ("distribution" if np.allclose(found.sum(axis=1), 1, atol=1e-5) else told)


NAMED_OBJECTS: list[tuple[dict[str, Any], dict[str, Any], Callable[[str], Any], set[str]]] = [
    (
        INITIALIZERS,
        KERAS_INITIALIZERS,
        keras.initializers.get,
        # Base classes, second names of classes, and a name that lacks its value.
        {"Initializer", "initializer", "IdentityInitializer", "OrthogonalInitializer", "STFTInitializer"}
        | {"Constant", "constant"},
    ),
    (REGULARIZERS, KERAS_REGULARIZERS, keras.regularizers.get, {"Regularizer", "regularizer"}),
    (CONSTRAINTS, KERAS_CONSTRAINTS, keras.constraints.get, {"Constraint", "constraint"}),
]


@pytest.mark.parametrize(("ours", "theirs", "get", "left_out"), NAMED_OBJECTS, ids=["init", "regularize", "constrain"])
def test_names_of_objects_mean_what_they_mean_to_keras(
    ours: dict[str, Any], theirs: dict[str, Any], get: Callable[[str], Any], left_out: set[str]
) -> None:
    assert set(ours) == set(theirs) - left_out
    for name, kind in ours.items():
        assert type(get(name)).__name__ == kind.__name__


# ---------------------------------------------------------------------------------------------- shapes and weights


@pytest.mark.parametrize("kind", APPLICABLE, ids=lambda kind: kind.__name__)
def test_a_layer_agrees_with_keras(kind: type[Layer]) -> None:
    """What one accepts, the other accepts, with the same output shape and weights."""

    @QUICK
    @given(calls([kind]))
    def check(call: Call) -> None:
        compare(call)

    check()


@pytest.mark.slow
@pytest.mark.parametrize("kind", APPLICABLE, ids=lambda kind: kind.__name__)
def test_a_layer_agrees_with_keras_and_with_its_own_output(kind: type[Layer]) -> None:
    """Many more calls; and the real layer, run on numbers, returns the shape that was inferred."""

    @THOROUGH
    @given(calls([kind]))
    def check(call: Call) -> None:
        if compare(call) == "accepted":
            compare_run(call)

    check()


@QUICK
@given(st.sampled_from([Initializer, Regularizer, Constraint]).flatmap(objects))
def test_objects_can_be_built(drawn: Any) -> None:
    name = {"initializers": "kernel_initializer", "regularizers": "kernel_regularizer"}.get(drawn.module)
    compare(Call(LAYERS["Dense"], {"units": 3, name or "kernel_constraint": drawn}, ((4,),)))


_WHOLE = [dtype for dtype in get_args(Dtype) if dtype not in FLOATS and dtype != "string"]


@pytest.mark.parametrize("one", _WHOLE)
@pytest.mark.parametrize("other", _WHOLE)
def test_integers_of_two_types_become_what_keras_makes_of_them(one: str, other: str) -> None:
    if one != other:
        assert promoted((one, other)) == keras.backend.result_type(one, other)


# ---------------------------------------------------------------------------------------------- behaviour


@pytest.mark.parametrize(
    "kind",
    [kind for kind in APPLICABLE if kind.family in ("regularization", "normalization", "activation")],
    ids=lambda kind: kind.__name__,
)
@pytest.mark.parametrize("trainable", [True, False])
def test_training_differs_from_inference_where_the_table_says_so(kind: type[Layer], trainable: bool) -> None:
    arguments = {name: REQUIRED[name] for name in kind.required()}
    if "groups" in kind.fields():
        arguments["groups"] = 2
    if kind.fields()["trainable"].annotation is bool:
        arguments["trainable"] = trainable
    shape = (4, 5, 6, 2)[-1 - (getattr(kind, "rank", None) or 1) :]
    call = Call(kind, arguments, (shape,))
    differs = not np.array_equal(run(call, training=True)[0], run(call, training=False)[0])
    assert differs == (kind(**arguments).modes() is not None)


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_dropout_multiplies_by_what_the_table_says(rate: float) -> None:
    (dropped,) = run(Call(Dropout, {"rate": rate, "seed": 1}, ((1000,),)), training=True)
    (plain,) = run(Call(Dropout, {"rate": 0.0}, ((1000,),)))
    kept = dropped != 0
    np.testing.assert_allclose(dropped[kept], plain[kept] / (1 - rate), rtol=1e-5)
    modes = Dropout(rate=rate).modes()
    assert modes is not None
    assert f"{1 / (1 - rate):.4g}" in modes.training
    assert abs(1 - kept.mean() - rate) < 0.05


@pytest.mark.parametrize("kind", ["GRU", "LSTM", "RNN"])
@pytest.mark.parametrize("merge_mode", [None, "concat", "sum"])
def test_directions_of_other_shapes_are_known_to_mislead(kind: str, merge_mode: str | None) -> None:
    """Keras takes a layer backwards with other outputs or states than forwards, and infers what it never makes."""
    cell = {"cell": LAYERS["StackedRNNCells"](cells=[LAYERS["GRUCell"](units=size) for size in (3, 2)])}
    back = LAYERS[kind](**(cell if kind == "RNN" else {"units": 3}), return_state=True, go_backwards=True)
    both = {"layer": GRU(units=2, return_state=True), "backward_layer": back, "merge_mode": merge_mode}
    assert compare(Call(Bidirectional, both, ((4, 2),))) == "stricter"


@pytest.mark.parametrize(
    ("kind", "arguments", "shape"),
    [
        ("Dropout", {"rate": 0.5, "noise_shape": (3, 1)}, (5,)),
        ("AdaptiveAveragePooling1D", {"output_size": 1}, (4, 2)),
        ("AdaptiveAveragePooling2D", {"output_size": (3, 2)}, (4, 1, 2)),
        ("MelSpectrogram", {"fft_length": 8, "sequence_stride": 4, "dtype": "float64"}, (41,)),
        ("STFTSpectrogram", {"frame_length": 8, "dtype": "mixed_bfloat16"}, (40, 2)),
        ("CenterCrop", {"height": 2, "width": 2, "dtype": "float16"}, (4, 1, 3)),
        ("Discretization", {"bin_boundaries": [0.5], "epsilon": -0.5}, (4,)),
    ],
)
def test_what_fails_or_misleads_when_it_is_run_is_refused(kind: str, arguments: dict[str, Any], shape: Shape) -> None:
    """Keras infers a shape and a type of these, and `fit` and `predict` fail, or make something else."""
    assert compare(Call(LAYERS[kind], arguments, (shape,))) == "stricter"


@pytest.mark.parametrize(
    ("kind", "arguments", "shape", "dtype"),
    [
        (
            "MelSpectrogram",
            {"fft_length": 8, "sequence_stride": 4, "dtype": "float64", "power_to_db": False},
            (41,),
            "",
        ),
        ("STFTSpectrogram", {"frame_length": 8, "dtype": "mixed_float16"}, (40, 2), ""),
        ("CenterCrop", {"height": 2, "width": 2, "dtype": "float16"}, (4, 2, 3), ""),
        ("CategoryEncoding", {"num_tokens": 2}, (4,), "int8"),  # TensorFlow runs it where it is compiled
        ("SpectralNormalization", {"layer": LAYERS["Embedding"](input_dim=1, output_dim=2)}, (4, 4), "int8"),
        ("AdaptiveMaxPooling3D", {"output_size": 2, "dtype": "float16"}, (4, 4, 4, 2), ""),
    ],
)
def test_what_runs_is_taken(kind: str, arguments: dict[str, Any], shape: Shape, dtype: str) -> None:
    call = Call(LAYERS[kind], arguments, (shape,), types=(dtype,) if dtype else ())
    assert compare(call) == "accepted"
    if not dtype:
        compare_run(call)


def test_adaptive_pooling_in_a_pipeline_knows_its_sizes() -> None:
    """Keras traces it there, and does not know how large the windows are."""
    layers = (LAYERS["AdaptiveAveragePooling2D"](output_size=(2, 2)),)
    assert compare(Call(Pipeline, {"layers": layers}, ((4, None, 3),))) == "refused"
    assert compare(Call(Pipeline, {"layers": layers}, ((4, 4, None),))) == "accepted"


@pytest.mark.parametrize("name", ["Conv2D", "DepthwiseConv2D", "SeparableConv2D"])
def test_dilated_convolutions_in_a_pipeline_forget_sizes(name: str) -> None:
    """Traced there, all sizes are unknown where one is; we refuse what would be told otherwise than it is."""
    filters = {} if name == "DepthwiseConv2D" else {"filters": 2}
    cases = ((2, (8, None, 3), "stricter"), (1, (8, None, 3), "accepted"), (2, (8, 8, 3), "accepted"))
    for dilation, shape, told in cases:
        layers = (LAYERS[name](kernel_size=2, dilation_rate=dilation, **filters),)
        assert compare(Call(Pipeline, {"layers": layers}, (shape,))) == told


def test_what_distorts_images_knows_their_channels() -> None:
    """Keras counts them in Python when it traces the layer: as a step in training, in a Pipeline at once."""
    layer = LAYERS["RandomElasticTransform"]
    assert compare(Call(layer, {}, ((4, 4, None),))) == "stricter"
    assert compare(Call(Pipeline, {"layers": (layer(),)}, ((4, 4, None),))) == "refused"


def test_layers_in_a_pipeline_return_one_tensor() -> None:
    """Keras lets all leave that the last one returns, which is no single tensor to go on with."""
    assert compare(Call(Pipeline, {"layers": (GRU(units=2, return_state=True),)}, ((3, 2),))) == "stricter"


@pytest.mark.parametrize("frames", [{"frame_length": 8}, {"frame_length": 8, "expand_dims": True}, {}])
def test_signals_of_unknown_length_go_through_a_pipeline(frames: dict[str, Any]) -> None:
    """They are compared with what it makes of a signal that is long enough for a frame."""
    layers = (LAYERS["STFTSpectrogram"](**frames),)
    assert compare(Call(Pipeline, {"layers": layers}, ((None, 2),))) == "accepted"


_POLICIES = [None, "float16", "mixed_float16"]


@pytest.mark.parametrize("within", _POLICIES)
@pytest.mark.parametrize("around", _POLICIES)
def test_the_types_of_wrappers_are_those_of_real_runs(around: Any, within: Any) -> None:
    """Each wrapper with each policy around layers with each policy."""
    both = {"layer": GRU(units=2, return_state=True, dtype=within), "dtype": around}
    for backward in (None, "float16", "float32"):
        other = GRU(units=2, return_state=True, go_backwards=True, dtype=backward)
        assert compare(Call(Bidirectional, both | {"backward_layer": other}, ((3, 2),))) == "accepted"
    dense = {"layer": Dense(units=3, dtype=within), "dtype": around}
    assert compare(Call(SpectralNormalization, dense, ((4,),))) == "accepted"
    handed = compare(Call(TimeDistributed, dense, ((3, 4),)))
    assert (handed == "accepted") == (around == within or (around, within) == ("mixed_float16", "float16"))


# ---------------------------------------------------------------------------------------------- the oracle itself


WRONG = [
    ("spatial", "window", "(size - 1) // stride + 1", "size // stride", "AveragePooling1D"),
    ("spatial", "window", "(size - 1) // stride + 1", "size // stride", "MaxPooling2D"),
    ("spatial", "window", "dilation * (kernel - 1)", "(kernel - 1)", "SeparableConv2D"),
    ("kernels", "Kernelled._bias", " if self.use_bias else ()", "", "Conv1D"),
    ("convolution", "_Convolution.weights", "// self.groups", "// 1", "Conv2D"),
    ("convolution_separable", "_SeparableConvolution.weights", "channels * self.depth_multiplier", "channels",
     "SeparableConv1D"),
    ("convolution_transposed", "_TransposedConvolution._grow", "max(kernel, stride)", "kernel", "Conv2DTranspose"),
    ("spatial", "either_stride_or_dilate", "max(layer.strides) > 1", "False", "Conv1D"),
    ("normalization", "BatchNormalization.weights", "*(Weight(name, sizes, trainable=False) for name in ('moving_mean'",
     "*(Weight(name, sizes) for name in ('moving_mean'",
     "BatchNormalization"),
    ("merging", "Concatenate.result_shape", "*first[axis:]", "", "Concatenate"),
    ("reshaping", "Permute.result_shape", "axis - 1", "axis % len(self.dims)", "Permute"),
    ("wrappers", "Bidirectional.result_shapes", "(*forward[:-1], wide)", "forward", "Bidirectional"),
]  # fmt: skip
"""Mistakes in rules: where, what is true, what is wrong, and a layer class that it is wrong of."""


@pytest.mark.parametrize(("module", "function", "true", "wrong", "kind"), WRONG)
def test_a_wrong_rule_is_noticed(module: str, function: str, true: str, wrong: str, kind: str) -> None:
    """The drawn calls are good enough to tell it from the true one. `make mutants` makes every mistake that it can."""
    with planted_in(rewritten(f"specdsl.layers.{module}", function, true, wrong)):
        assert _finds_a_disagreement(LAYERS[kind])


def test_a_refusal_too_many_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: MaxPooling2D, *shapes: Any) -> Any:
        raise Misuse("MaxPooling2D takes nothing")

    monkeypatch.setattr(MaxPooling2D, "result_shape", refuse)
    assert _finds_a_disagreement(MaxPooling2D)


def _finds_a_disagreement(kind: type[Layer]) -> bool:
    def disagrees(call: Call) -> bool:
        try:
            compare(call)
        except AssertionError:
            return True
        return False

    search = settings(THOROUGH, max_examples=300, phases=[Phase.generate], derandomize=True, database=None)
    with planted():
        return disagrees(find(calls([kind]), disagrees, settings=search))


def test_input_layer_is_where_tensors_enter() -> None:
    assert InputLayer(shape=(None, 3)).infer() == (tuple(keras.Input((None, 3)).shape)[1:],)
