"""Values of the language as data has them."""

from __future__ import annotations

from typing import Any

from specdsl.declaration import Declaration
from specdsl.layers import Shape


def batched(shape: Shape) -> list[int | None]:
    """A shape with the batch axis before it, as data has it."""
    return [None, *shape]


def plain(value: Any) -> Any:
    """A value of the language as JSON has it; an object such as an initializer by its text."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Declaration) else value
