"""The syntax tree: frozen nodes that remember their place in the text. Equality ignores the place."""

from __future__ import annotations

from typing import Any, ClassVar, dataclass_transform

from specdsl.source import Span


@dataclass_transform(frozen_default=True)
class _Slotted(type):
    """Makes a class's annotations its slots and its constructor's arguments.

    It is what `dataclass` does, without compiling six functions for each of forty classes at every start.
    """

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _Slotted:
        names = tuple(name for name in namespace.get("__annotations__", ()) if name != "__slots__")
        return super().__new__(cls, name, bases, {**namespace, "__slots__": names, "__match_args__": names})


class Node(metaclass=_Slotted):
    """A node: its fields by position, `span` last. It cannot be changed, and equality leaves the place out."""

    __slots__: ClassVar[tuple[str, ...]]

    def __init__(self, *values: Any) -> None:
        for name, value in zip(self.__slots__, values, strict=True):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def _meaning(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__slots__ if name != "span")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._meaning() == other._meaning()

    def __hash__(self) -> int:
        return hash((type(self), self._meaning()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self._meaning()}"


class Name(Node):
    """A word where it is defined or referred to as a definition, not evaluated."""

    text: str
    span: Span


# ---------------------------------------------------------------------------------------------- expressions


class Literal(Node):
    """A number, string, `true`, `false` or `none`; `written` is how the text spells one that is no string."""

    value: int | float | str | bool | None
    written: str
    span: Span


class Sequence(Node):
    """A tuple `( )` or a list `[ ]`."""

    items: tuple[Expression, ...]
    is_tuple: bool
    span: Span


class Keyword(Node):
    """An argument given by name."""

    name: Name
    value: Expression
    span: Span


class Call(Node):
    """A name with arguments, or without: a layer, a block, a function, an object, a variable.

    `arguments` is None where no parentheses are written.
    """

    name: Name
    arguments: tuple[Expression | Keyword, ...] | None
    span: Span


class Operation(Node):
    """Operands joined by one or several operators of equal rank, as written: `a + b - c`, `0 < x <= 3`."""

    operands: tuple[Expression, ...]
    operators: tuple[str, ...]
    span: Span


class Prefix(Node):
    """`-x`, `+x` or `not x`."""

    operator: str
    operand: Expression
    span: Span


class Index(Node):
    """`x[i]`."""

    value: Expression
    index: Expression
    span: Span


class Ternary(Node):
    """`a if condition else b`."""

    then: Expression
    condition: Expression
    otherwise: Expression
    span: Span


class Group(Node):
    """An expression in parentheses."""

    inner: Expression
    span: Span


Expression = Literal | Sequence | Call | Operation | Prefix | Index | Ternary | Group

# ---------------------------------------------------------------------------------------------- bodies


class Docstring(Node):
    """A text in triple quotes that describes what it stands in."""

    text: str
    span: Span


class Body(Node):
    """Steps in braces."""

    docstring: Docstring | None
    statements: tuple[Statement, ...]
    span: Span


class Import(Node):
    """`from "path" import a, b`."""

    path: Literal
    names: tuple[Name, ...]
    span: Span


class Let(Node):
    """`let name = value`."""

    name: Name
    value: Expression
    span: Span


class Input(Node):
    """`input name: shape dtype`."""

    name: Name
    shape: Expression
    dtype: Name | None
    span: Span


class Output(Node):
    """`output a, b`."""

    names: tuple[Name, ...]
    span: Span


class Expect(Node):
    """`expect condition`."""

    condition: Expression
    span: Span


class Repeat(Node):
    """`repeat times { }`."""

    times: Expression
    body: Body
    span: Span


class For(Node):
    """`for name in values { }`."""

    name: Name
    values: Expression
    body: Body
    span: Span


class If(Node):
    """`if condition { } else { }`; `otherwise` is another If for `else if`."""

    condition: Expression
    then: Body
    otherwise: Body | If | None
    span: Span


class Gather(Node):
    """`[a, b]` at the head of a chain: several tensors for a merge."""

    names: tuple[Name, ...]
    span: Span


class Shortcut(Node):
    """`shortcut merge { body } via { path }`."""

    merge: Call
    body: Body
    via: Body | None
    span: Span


class Branch(Node):
    """`branch merge { body } and { body }`."""

    merge: Call
    bodies: tuple[Body, ...]
    span: Span


class Layer(Node):
    """`layer name = call`: a layer, or a model, that several steps apply."""

    name: Name
    call: Call
    span: Span


class Step(Node):
    """What a tensor passes through, with the names that its results are given."""

    action: Call | Shortcut | Branch
    names: tuple[Name, ...]
    span: Span


class Chain(Node):
    """Steps joined by `->`. The first may be a gathering of tensors, or the name of one."""

    links: tuple[Gather | Step, ...]
    span: Span


class Hole(Node):
    """A step that could not be read; a syntax error speaks of it."""

    span: Span


Statement = Input | Output | Let | Layer | Repeat | For | If | Expect | Chain | Hole

# ---------------------------------------------------------------------------------------------- variants


class Selector(Node):
    """What an edit applies to: a layer class or a name, narrowed by an index or by argument values."""

    name: Name
    index: Expression | None
    arguments: tuple[Expression | Keyword, ...] | None
    span: Span


class Insert(Node):
    """`after selector { }`, `before selector { }` or `replace selector { }`."""

    place: str
    selector: Selector
    body: Body
    span: Span


class Remove(Node):
    """`remove selector`."""

    selector: Selector
    span: Span


class Set(Node):
    """`set selector.argument = value`."""

    selector: Selector
    argument: Name
    value: Expression
    span: Span


Edit = Insert | Remove | Set | Expect | Hole

# ---------------------------------------------------------------------------------------------- definitions


class Parameter(Node):
    """A parameter of a block or model, with its default."""

    name: Name
    default: Expression | None
    span: Span


class Block(Node):
    """`block name(parameters) { }`."""

    name: Name
    parameters: tuple[Parameter, ...] | None
    body: Body
    span: Span


class Model(Node):
    """`model name(parameters) { }`."""

    name: Name
    parameters: tuple[Parameter, ...] | None
    body: Body
    span: Span


class Variant(Node):
    """`model name(parameters) = base(arguments) with { edits }`; `edits` is None without `with`."""

    name: Name
    parameters: tuple[Parameter, ...] | None
    base: Call
    edits: tuple[Edit, ...] | None
    span: Span


class Stage(Node):
    """A step of a data pipeline, with steps of its own where it has braces."""

    call: Call
    stages: tuple[Stage | Hole, ...] | None
    span: Span


class Data(Node):
    """`data name = source { stages }`."""

    name: Name
    source: Call
    stages: tuple[Stage | Hole, ...] | None
    span: Span


class Setting(Node):
    """`name = value` in a `train` or `experiment` block."""

    name: Name
    value: Expression
    span: Span


class Train(Node):
    """`train name { settings }`."""

    name: Name
    settings: tuple[Setting | Hole, ...]
    span: Span


class Experiment(Node):
    """`experiment name { settings }`."""

    name: Name
    settings: tuple[Setting | Hole, ...]
    span: Span


Item = Import | Let | Block | Model | Variant | Data | Train | Experiment | Hole


class Spec(Node):
    """A whole file."""

    docstring: Docstring | None
    items: tuple[Item, ...]
    span: Span
