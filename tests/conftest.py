"""What all tests share."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import HealthCheck, settings

# Keras runs on one back end in a process: nobody is to choose another for the tests' own.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

settings.register_profile(
    "default",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--accept", action="store_true", help="take what the corpus gives now as what it must give")


@pytest.fixture(scope="module", autouse=True)
def _nothing_old_is_searched() -> None:
    """Take what there is before the tests of a file out of Python's search for garbage.

    Keras searches through everything whenever its state is cleared, which each trial of a run begins with. TensorFlow
    and Keras alone are half a million objects, and searching through these took more time than training.
    """
    gc.collect()
    gc.freeze()
