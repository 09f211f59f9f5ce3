"""What all processes that are begun for training have in common. Light."""

from __future__ import annotations

import os
from pathlib import Path


def import_path() -> str:
    """Where a new Python finds this package: a value for `PYTHONPATH`."""
    return os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]))
