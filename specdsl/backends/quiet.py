"""Holding back what frameworks write to the terminal while they load."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_NOISE = re.compile(
    rb"^(WARNING: All log messages before absl::InitializeLog|[IW]\d{4} |[IW]0000 |\d{4}-\d\d-\d\d .*: [IW] "
    rb"|INFO: Created TensorFlow Lite )"
)
"""What TensorFlow's C++ parts write while loading, whatever their log level; errors (E, F) look different."""


@contextmanager
def without_noise() -> Iterator[None]:
    """Hold back what is written to the standard error file and pass on all but known noise, also after a failure."""
    try:
        error = os.dup(2)
    except OSError:
        yield
        return
    with tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(error, 2)
            os.close(error)
            held.seek(0)
            for line in held:
                if not _NOISE.match(line):
                    os.write(2, line)
