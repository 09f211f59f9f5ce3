"""What the declarations of data and training have in common: lower-case names in a spec, sequences from lists."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field

from specdsl.declaration import Declaration, text


class RecipePart(Declaration):
    """What recipes are made of: runs write it down as JSON, and read it again."""

    setting: ClassVar[str | None] = None
    """The setting of a recipe that takes it, where declarations of other settings have the same names."""

    def replace(self, **changes: Any) -> Self:
        """The same with other arguments, checked again.

        Raises:
            Misuse, pydantic.ValidationError: when the new values cannot be.
        """
        return type(self)(**self.settings() | changes)


class Named(RecipePart):
    """A declaration that a spec calls by the snake_case of its class name: `RandomCrop` is `random_crop`."""

    @classmethod
    def spec_name(cls) -> str:
        """The name by which a spec calls it: that of the class, in small letters."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()

    def __str__(self) -> str:
        return f"{self.spec_name()}({', '.join(f'{name}={text(value)}' for name, value in self.arguments().items())})"


def as_tuple(value: Any) -> Any:
    """A list as a tuple, anything else as it is: specs write `[1, 2]`, frozen declarations hold `(1, 2)`."""
    return tuple(value) if isinstance(value, list) else value


FromList = BeforeValidator(as_tuple)
"""Lets a tuple field take a list, which strict validation would refuse."""

Positive = Annotated[int, Field(ge=1)]
"""An integer of at least one."""

Number = Annotated[float, Field(allow_inf_nan=False)]
"""A finite number."""

NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A finite number of at least zero."""

Unit = Annotated[float, Field(ge=0, le=1)]
"""A number from 0 to 1, both included."""


class InKeras(RecipePart):
    """A declaration with a counterpart in Keras, of the same name and with the same arguments."""

    module: ClassVar[str]
    """The module of `keras` that holds the counterpart."""

    @classmethod
    def summary(cls) -> str:
        """The first paragraph of what it is, on one line."""
        return " ".join((cls.__doc__ or "").split("\n\n")[0].split())


Dtype = Literal["float16", "bfloat16", "float32", "float64"] | None
"""What something is computed in; None for float32."""

Worth = Literal["told rightly", "squared error", "absolute error"]
"""What is measured of one example: whether the largest output is that of its class, 1 or 0; or the mean over its values
of the squares, or of the absolute values, of the errors."""
