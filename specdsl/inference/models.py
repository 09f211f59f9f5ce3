"""Models in Keras: the only file of this room that imports it, once a back end has been started."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import keras
import numpy as np
from numpy.typing import NDArray

from specdsl.data.dataset import Examples
from specdsl.recipes.augmentation import Pipeline, unit_range
from specdsl.recipes.training import TrainRecipe
from specdsl.runs.files import RunError
from specdsl.training.compiling import in_keras
from specdsl.training.feed_numpy import Feed
from specdsl.training.precision import products as products
from specdsl.training.targets import targets


def load_model(file: Path) -> Any:
    """The model in a `.keras` file, for prediction, on whatever back end runs.

    Raises:
        RunError: it cannot be read.
    """
    if not is_zipfile(file):  # of which Keras says that there is no such file
        raise RunError(f"{file} cannot be loaded: it is no archive, as .keras files are")
    try:
        # Not compiled: an optimizer of another back end, which is not installed, could not be made.
        return keras.models.load_model(file, compile=False)
    except Exception as error:  # a damaged archive fails in Keras, zipfile or h5py, in ways of their own
        raise RunError(f"{file} cannot be loaded: {first_line(error)}") from None


def outputs(model: Any, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a model gives for examples as they enter it: float32 (n, k). Call it within `products` of its recipe."""
    made = keras.ops.convert_to_numpy(keras.ops.cast(model(x, training=False), "float32"))
    return np.asarray(made, np.float32).reshape(len(x), -1)


def measured(model: Any, recipe: TrainRecipe, examples: Examples) -> dict[str, float]:
    """Loss and metrics of a recipe on examples, with the evaluate pipeline: what a run records of its parts.

    Args:
        model: the model; it is compiled with the recipe's loss and metrics.
        recipe: the recipe.
        examples: what to evaluate on.

    Raises:
        Misuse: the loss or a metric cannot be taken of what the model ends with.
    """
    ends = int(model.output_shape[-1])
    metrics = [in_keras(metric, name=metric.column) for metric in recipe.resolved_metrics(ends)]
    model.compile(loss=in_keras(recipe.loss), metrics=metrics)
    feed = Feed(examples, recipe.data.evaluate, recipe.batch, targets=targets(recipe, ends))
    with products(recipe.precision):
        values = model.evaluate(feed.batches, verbose=0, return_dict=True)
    return {name: float(value) for name, value in values.items()}


def in_float32(model: Any) -> Any:
    """The same model with the same weights, whose layers compute in float32 where a policy has them take 16 bits."""
    made = keras.saving.deserialize_keras_object(_widened(keras.saving.serialize_keras_object(model), set()))
    made.set_weights(model.get_weights())
    return made


def policies_of_16_bits(model: Any) -> set[str]:
    """The policies by which layers of a model compute in 16 bits, those of models and layers within too."""
    found: set[str] = set()
    _widened(keras.saving.serialize_keras_object(model), found)
    return found


_OF_16_BITS = ("mixed_bfloat16", "mixed_float16", "bfloat16", "float16")


def _widened(config: Any, found: set[str]) -> Any:
    """What Keras serialized, with float32 in place of policies of 16 bits, which are added to those that are found."""
    if isinstance(config, list | tuple):
        return type(config)(_widened(one, found) for one in config)
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy" and config["config"]["name"] in _OF_16_BITS:
        found.add(config["config"]["name"])
        return {**config, "config": {"name": "float32"}}
    return {name: _widened(value, found) for name, value in config.items()}


def first_line(error: Exception) -> str:
    """The first line of what an error says, or its kind."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def with_preprocessing(model: Any, evaluate: Pipeline, shape: tuple[int, ...], *, scaled: bool) -> Any:
    """A model that takes examples as data hold them, and does itself what is done before the evaluated model.

    It is made of Keras's own operations, so that its file needs nothing of specdsl.

    Args:
        model: takes prepared examples.
        evaluate: what prepares them.
        shape: the shape of one example as data hold it.
        scaled: whether these are images of bytes, from 0 to 255, which become floats from 0 to 1.
    """
    given = keras.Input(shape, name="image" if len(shape) == 3 else "values")
    x = unit_range(keras.ops, given) if scaled else given
    x, _ = evaluate.apply(_Symbolic(), x, None, None)
    return keras.Model(given, model(x), name=model.name)


class _Symbolic:
    """`keras.ops` for tensors without values: a tensor made beforehand would be an input of an exported graph.

    Arrays of numpy are constants in it.
    """

    array = staticmethod(np.array)

    def __getattr__(self, name: str) -> Any:
        return getattr(keras.ops, name)
