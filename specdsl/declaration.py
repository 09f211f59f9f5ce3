"""The base of everything that a spec names with arguments: layers, initialisers, augmentations, optimisers.

A declaration is one class whose fields *are* its arguments: name, order, default and legal values are
stated once, and argument checking, defaults, printing and completion all follow from the fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict


class Misuse(ValueError):  # noqa: N818 - a user's mistake in a spec, not a program error
    """A legal-looking declaration that cannot be: without a position, which its caller knows.

    Args:
        message: what is wrong, in one sentence without a final full stop.
        argument: the argument at fault, when one is.
        help: how to mend it, when that is known.
    """

    def __init__(self, message: str, *, argument: str | None = None, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.argument = argument
        self.help = help


class Declaration(BaseModel):
    """A named thing with arguments. Fields stand in the order of positional arguments."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", defer_build=True, arbitrary_types_allowed=True)

    keyword_only: ClassVar[tuple[str, ...]] = ()
    """Fields that are never given by position."""

    @classmethod
    def names(cls) -> list[str]:
        """All arguments: those that may be given by position, then the others."""
        return [*cls.positional(), *cls.keyword_only]

    @classmethod
    def positional(cls) -> list[str]:
        """The arguments that may be given by position, in order."""
        return [name for name in cls.model_fields if name not in cls.keyword_only]

    @classmethod
    def required(cls) -> list[str]:
        """The arguments that have no default."""
        return [name for name, field in cls.model_fields.items() if field.is_required()]

    def arguments(self) -> dict[str, Any]:
        """The arguments whose values differ from their defaults, in the order of the fields."""
        return {
            name: getattr(self, name)
            for name, field in type(self).model_fields.items()
            if field.is_required() or getattr(self, name) != field.default
        }

    def __str__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={text(value)}' for name, value in self.arguments().items())})"


def text(value: Any) -> str:
    """A value as the spec language writes it: `true`, `none`, `"same"`, `(3, 3)`."""
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
        case tuple():
            return f"({', '.join(map(text, value))}{',' * (len(value) == 1)})"
        case list():
            return f"[{', '.join(map(text, value))}]"
        case _:
            return str(value)


Kind = TypeVar("Kind", bound=Declaration)


def declared(base: type[Kind]) -> Iterator[type[Kind]]:
    """The declarations below `base`, in the order of the text.

    A class whose name begins with an underscore is no declaration itself but a base that several share.
    """
    for child in base.__subclasses__():
        if not child.__name__.startswith("_"):
            yield child
        yield from declared(child)


def snake_case(name: str) -> str:
    """A class name as Keras derives layer names from it: `Conv2DTranspose` gives `conv2d_transpose`."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
