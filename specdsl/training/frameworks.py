"""Starting Keras on a back end, quietly. Nothing here imports a framework before it is asked to."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from specdsl.backends.quiet import without_noise
from specdsl.declaration import Misuse
from specdsl.training import compilation

BACKENDS = ("tensorflow", "jax", "torch")
"""Keras back ends that can train."""

_JAX = {"jax_default_prng_impl": "threefry2x32", "jax_threefry_partitionable": True, "jax_enable_x64": False}
"""What JAX is held to: the same random numbers for a trial alone and together with others, and numbers of 32 bits."""


def check_installed(backend: str) -> None:
    """Make sure that a back end can be imported, without importing it.

    Raises:
        Misuse: it is unknown or not installed, or Keras already runs on another.
    """
    if backend not in BACKENDS:
        raise Misuse(
            f'there is no back end "{backend}"', argument="backend", help=f"choose one of {', '.join(BACKENDS)}"
        )
    for package in ("keras", backend):
        if not _is_there(package):
            raise Misuse(
                f"Keras on {backend} needs the package {package}, which is not installed",
                argument="backend",
                help=f"pip install 'specdsl[{backend}]'",
            )
    if "keras" in sys.modules:
        running = sys.modules["keras"].backend.backend()
        if running != backend:
            raise Misuse(
                f"Keras already runs on {running} in this process, so that {backend} cannot be had", argument="backend"
            )


def check_drawing() -> None:
    """Make sure that the curves of a run can be drawn, without importing what draws them.

    Raises:
        Misuse: matplotlib is not installed.
    """
    if not _is_there("matplotlib"):
        raise Misuse(
            "the curves of a run need the package matplotlib, which is not installed",
            help="pip install 'specdsl[training]'",
        )


def _is_there(package: str) -> bool:
    return package in sys.modules or find_spec(package) is not None


def start(backend: str, *, deterministic: bool = False) -> None:
    """Import Keras on a back end, with its layout and precision set, and without the noise of its logs.

    A user's `keras.json` or environment may say otherwise, and the same spec would then mean something else.

    Args:
        backend: the back end.
        deterministic: whether the same computation gives the same bits on a GPU too, at the price of some speed.

    Raises:
        Misuse: as `check_installed`, or JAX already runs in this process and was not told to be deterministic.
    """
    check_installed(backend)
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if backend != "tensorflow":  # which Keras may import all the same, for layers that are made of it
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    if deterministic:
        compilation.before_deterministic(backend)
    with without_noise():
        keras = import_module("keras")
        framework = import_module(backend)
        if backend == "tensorflow":
            # Each trial has functions of its own, which TensorFlow takes for one that is traced again and again.
            framework.get_logger().setLevel("ERROR")
        elif "tensorflow" in sys.modules:
            with suppress(RuntimeError):  # it runs already
                sys.modules["tensorflow"].config.set_visible_devices([], "GPU")
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    if backend == "jax":
        for name, value in _JAX.items():
            framework.config.update(name, value)
        compilation.keep_compiled(framework)
    if deterministic:
        compilation.be_deterministic(backend, framework)


@contextmanager
def without_tensorflow() -> Iterator[None]:
    """Within, Keras on another back end takes TensorFlow for not installed, unless it has been imported.

    Keras looks for it where it seeds and where it saves, to seed it too and to save what is of its types. Where it has
    not been imported there is nothing of its, and importing it would take many seconds, and a GPU's memory.
    """
    found: Any = getattr(sys.modules.get("keras.src.utils.module_utils"), "tensorflow", None)
    if "tensorflow" in sys.modules or not hasattr(found, "_available"):
        yield
        return
    before = found._available
    found._available = False
    try:
        yield
    finally:
        found._available = before
