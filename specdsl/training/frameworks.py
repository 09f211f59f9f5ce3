"""Starting Keras on a back end, quietly. Nothing here imports a framework before it is asked to."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec

from specdsl.backends.quiet import without_noise
from specdsl.declaration import Misuse

BACKENDS = ("tensorflow", "jax", "torch")
"""Keras back ends that can train."""


def check_installed(backend: str) -> None:
    """Make sure that a back end can be imported, without importing it.

    Raises:
        Misuse: it is unknown or not installed, or Keras already runs on another.
    """
    if backend not in BACKENDS:
        raise Misuse(
            f'there is no back end "{backend}"', argument="backend", help=f"choose one of {', '.join(BACKENDS)}"
        )
    for package in ("keras", backend, "matplotlib"):
        if package not in sys.modules and find_spec(package) is None:
            raise Misuse(
                f"training on {backend} needs the package {package}, which is not installed",
                argument="backend",
                help=f"pip install 'specdsl[{backend}]'",
            )
    if "keras" in sys.modules:
        running = sys.modules["keras"].backend.backend()
        if running != backend:
            raise Misuse(
                f"Keras already runs on {running} in this process, so that {backend} cannot be had", argument="backend"
            )


def start(backend: str, *, fit: bool = True) -> None:
    """Import Keras on a back end, with its layout and precision set, and without the noise of its logs.

    Args:
        backend: the back end.
        fit: whether `fit` or `evaluate` will be called, which import TensorFlow on every back end where it is there.

    Raises:
        Misuse: as `check_installed`.
    """
    check_installed(backend)
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with without_noise():
        keras = import_module("keras")
        import_module(backend)
        # Let it make its noise here.
        if fit and find_spec("tensorflow") is not None:
            # Each trial has functions of its own, which TensorFlow takes for one that is traced again and again.
            import_module("tensorflow").get_logger().setLevel("ERROR")
    # A user's keras.json may say otherwise, and the same spec would then mean something else.
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
