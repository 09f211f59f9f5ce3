"""The base of everything that a spec names with arguments: layers, initialisers, augmentations, optimisers.

A declaration is one class whose fields *are* its arguments: name, order, default and legal values are
stated once, and argument checking, defaults, printing and completion all follow from the fields.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, ClassVar, NamedTuple, TypeVar, dataclass_transform, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model
from pydantic.fields import FieldInfo

from specdsl.traced.numbers import tracing


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


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Declaration:
    """A named thing with arguments: its annotated fields, in the order of positional arguments.

    Pydantic checks the arguments. What it needs for that is made when the first instance of a class is, so that a
    table of hundreds of classes costs nothing to those who use three of them.
    """

    abstract: ClassVar[bool] = False
    """Whether the class that says so, not those below it, is no declaration but a kind of declarations."""

    keyword_only: ClassVar[tuple[str, ...]] = ()
    """Fields that are never given by position."""

    def __init__(self, **arguments: Any) -> None:
        """Check the arguments and keep them.

        Raises:
            pydantic.ValidationError: an argument is missing, unknown, or has no legal value.
            Misuse: the arguments do not go together.
        """
        if arguments or self.required():
            vars(self).update(vars(_checked(type(self), tracing())(**arguments)))
        else:
            vars(self).update({name: getattr(self, name) for name in _signature(type(self)).fields})
        self.check()

    def check(self) -> None:
        """Check what no field can tell alone; classes override this.

        Raises:
            Misuse: the arguments do not go together.
        """

    @classmethod
    def spec_name(cls) -> str:
        """The name by which a spec calls it: that of the class."""
        return cls.__name__

    @classmethod
    def wanted(cls) -> str:
        """What an argument takes that takes a value of this kind, in words that follow "must be"."""
        return f"{'an' if cls.__name__[0] in 'AEIOU' else 'a'} {cls.__name__.lower()} written like a call"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let an argument take any value of this kind, and tell in words what it takes."""
        from pydantic_core import core_schema

        return core_schema.is_instance_schema(cls, cls_repr=cls.wanted())

    @classmethod
    def fields(cls) -> Mapping[str, FieldInfo]:
        """The fields by name, with type, default and bounds."""
        return _checked(cls).model_fields

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """All arguments: those that may be given by position, then the others."""
        return _signature(cls).names

    @classmethod
    def positional(cls) -> tuple[str, ...]:
        """The arguments that may be given by position, in order."""
        return _signature(cls).positional

    @classmethod
    def required(cls) -> tuple[str, ...]:
        """The arguments that have no default."""
        return _signature(cls).required

    def settings(self) -> dict[str, Any]:
        """All arguments with their values, in the order of `names`."""
        return {name: getattr(self, name) for name in self.names()}

    def arguments(self) -> dict[str, Any]:
        """The arguments whose values differ from their defaults, in the order of `names`."""
        kind = type(self)
        return {
            name: value
            for name, value in self.settings().items()
            if not hasattr(kind, name) or value != getattr(kind, name)
        }

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __str__(self) -> str:
        return (
            f"{type(self).__name__}({', '.join(f'{name}={text(value)}' for name, value in self.arguments().items())})"
        )

    __repr__ = __str__


_MODELS: dict[tuple[type[Declaration], bool], type[BaseModel]] = {}


class _Signature(NamedTuple):
    """The names of a class's fields, in the order of the text, those of its bases first."""

    fields: tuple[str, ...]
    names: tuple[str, ...]
    positional: tuple[str, ...]
    required: tuple[str, ...]


_SIGNATURES: dict[type[Declaration], _Signature] = {}


def _signature(kind: type[Declaration]) -> _Signature:
    """The names of a class's fields, read off when they are first needed."""
    if kind not in _SIGNATURES:
        annotations = {name: note for base in reversed(kind.__mro__) for name, note in _notes(base).items()}
        fields = tuple(name for name, note in annotations.items() if "ClassVar" not in str(note))
        positional = tuple(name for name in fields if name not in kind.keyword_only)
        required = tuple(name for name in fields if not hasattr(kind, name))
        _SIGNATURES[kind] = _Signature(fields, (*positional, *kind.keyword_only), positional, required)
    return _SIGNATURES[kind]


def _notes(kind: type) -> Mapping[str, Any]:
    """The annotations in the body of a class."""
    return dict(vars(kind).get("__annotations__", {}))


def _checked(kind: type[Declaration], traced: bool = False) -> type[BaseModel]:
    """The pydantic model that checks the arguments of a class, made when it is first needed.

    Args:
        kind: the class.
        traced: whether numbers among the arguments may be traced ones, which stay so.
    """
    if (kind, traced) not in _MODELS:
        hints = get_type_hints(kind, include_extras=True)
        fields: dict[str, Any] = {name: (hints[name], getattr(kind, name, ...)) for name in _signature(kind).fields}
        config = ConfigDict(strict=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)
        if traced:
            from specdsl.traced.arguments import configured

            _MODELS[kind, traced] = create_model(kind.__name__, __base__=configured(config), **fields)
        else:
            _MODELS[kind, traced] = create_model(kind.__name__, __config__=config, **fields)
    return _MODELS[kind, traced]


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

    A class is no declaration itself but a base that several share where its name begins with an underscore, because it
    is of its file alone, or where it says that it is abstract.
    """
    for child in base.__subclasses__():
        if not child.__name__.startswith("_") and not vars(child).get("abstract"):
            yield child
        yield from declared(child)


@cache
def snake_case(name: str) -> str:
    """A class name as Keras derives layer names from it: `Conv2DTranspose` gives `conv2d_transpose`."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
