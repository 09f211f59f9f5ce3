"""How precisely a model computes: the types of its layers, and products of numbers of 32 bits. Imports Keras.

The frameworks do not agree on the latter. Where hardware can, JAX and TensorFlow round what enters a matrix product or
a convolution to TF32 if nothing is said, and PyTorch does for convolutions alone. So it is always said here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from typing import Any, TypeVar

import keras

from specdsl.recipes.training import Precision

F = TypeVar("F", bound=Callable[..., Any])


@contextmanager
def policy(name: Precision) -> Iterator[None]:
    """Within, layers that say no dtype of their own are made to compute in this precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if name == "tensorfloat32" else name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextmanager
def products(name: Precision) -> Iterator[None]:
    """Within, products and convolutions of float32 are in float32; for "tensorfloat32" in TF32, where hardware can.

    What is compiled is compiled for it; behind, all is as it was. On JAX it holds for the thread, else for the process.
    """
    rounded = name == "tensorfloat32"
    backend = keras.backend.backend()
    if backend == "jax":
        with import_module("jax").default_matmul_precision("tensorfloat32" if rounded else "float32"):
            yield
    elif backend == "tensorflow":
        config = import_module("tensorflow").config.experimental
        before = config.tensor_float_32_execution_enabled()
        config.enable_tensor_float_32_execution(rounded)
        try:
            yield
        finally:
            config.enable_tensor_float_32_execution(before)
    else:
        with _torch(rounded):
            yield


def of_recipe(method: F) -> F:
    """A method of something that has a `job`, with the products that the job's recipe asks for."""

    @wraps(method)
    def within(self: Any, *arguments: Any, **named: Any) -> Any:
        with products(self.job.recipe.precision):
            return method(self, *arguments, **named)

    return within  # type: ignore[return-value]


@contextmanager
def _torch(rounded: bool) -> Iterator[None]:
    """The same on PyTorch, which has a setting each for matrix products, convolutions and recurrent layers."""
    backends = import_module("torch").backends
    if hasattr(backends.cuda.matmul, "fp32_precision"):  # from 2.9 on; the older words are deprecated there
        places: list[tuple[Any, str, Any]] = [
            (place, "fp32_precision", "tf32" if rounded else "ieee")
            for place in (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)
        ]
    else:
        places = [(place, "allow_tf32", rounded) for place in (backends.cuda.matmul, backends.cudnn)]
    before = [getattr(place, name) for place, name, _ in places]
    for place, name, value in places:
        setattr(place, name, value)
    try:
        yield
    finally:
        for (place, name, _), value in zip(places, before, strict=True):
            setattr(place, name, value)
