"""The syntax tree: frozen nodes that remember their place in the text. Equality ignores the place."""

from __future__ import annotations

from dataclasses import dataclass, field

from specdsl.source import Span


@dataclass(frozen=True, slots=True)
class Name:
    """A word where it is defined or referred to as a definition, not evaluated."""

    text: str
    span: Span = field(compare=False, repr=False)


# ---------------------------------------------------------------------------------------------- expressions


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, string, `true`, `false` or `none`; `written` is how the text spells it."""

    value: int | float | str | bool | None
    written: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Sequence:
    """A tuple `( )` or a list `[ ]`."""

    items: tuple[Expression, ...]
    is_tuple: bool
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Keyword:
    """An argument given by name."""

    name: Name
    value: Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """A name with arguments, or without: a layer, a block, a function, an object, a variable.

    `arguments` is None where no parentheses are written.
    """

    name: Name
    arguments: tuple[Expression | Keyword, ...] | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Operation:
    """Operands joined by one or several operators of equal rank, as written: `a + b - c`, `0 < x <= 3`."""

    operands: tuple[Expression, ...]
    operators: tuple[str, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Prefix:
    """`-x`, `+x` or `not x`."""

    operator: str
    operand: Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Index:
    """`x[i]`."""

    value: Expression
    index: Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Ternary:
    """`a if condition else b`."""

    then: Expression
    condition: Expression
    otherwise: Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Group:
    """An expression in parentheses."""

    inner: Expression
    span: Span = field(compare=False, repr=False)


Expression = Literal | Sequence | Call | Operation | Prefix | Index | Ternary | Group

# ---------------------------------------------------------------------------------------------- bodies


@dataclass(frozen=True, slots=True)
class Docstring:
    """A text in triple quotes that describes what it stands in."""

    text: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Body:
    """Steps in braces."""

    docstring: Docstring | None
    statements: tuple[Statement, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Let:
    """`let name = value`."""

    name: Name
    value: Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Input:
    """`input name: shape dtype`."""

    name: Name
    shape: Expression
    dtype: Name | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Output:
    """`output a, b`."""

    names: tuple[Name, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Expect:
    """`expect condition`."""

    condition: Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Repeat:
    """`repeat times { }`."""

    times: Expression
    body: Body
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class For:
    """`for name in values { }`."""

    name: Name
    values: Expression
    body: Body
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class If:
    """`if condition { } else { }`; `otherwise` is another If for `else if`."""

    condition: Expression
    then: Body
    otherwise: Body | If | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Gather:
    """`[a, b]` at the head of a chain: several tensors for a merge."""

    names: tuple[Name, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Shortcut:
    """`shortcut merge { body } via { path }`."""

    merge: Call
    body: Body
    via: Body | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Step:
    """What a tensor passes through, with the name that its result is given."""

    action: Call | Shortcut
    name: Name | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Chain:
    """Steps joined by `->`. The first may be a gathering of tensors, or the name of one."""

    links: tuple[Gather | Step, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Hole:
    """A step that could not be read; a syntax error speaks of it."""

    span: Span = field(compare=False, repr=False)


Statement = Input | Output | Let | Repeat | For | If | Expect | Chain | Hole

# ---------------------------------------------------------------------------------------------- variants


@dataclass(frozen=True, slots=True)
class Selector:
    """What an edit applies to: a layer class or a name, narrowed by an index or by argument values."""

    name: Name
    index: Expression | None
    arguments: tuple[Expression | Keyword, ...] | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Insert:
    """`after selector { }`, `before selector { }` or `replace selector { }`."""

    place: str
    selector: Selector
    body: Body
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Remove:
    """`remove selector`."""

    selector: Selector
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Set:
    """`set selector.argument = value`."""

    selector: Selector
    argument: Name
    value: Expression
    span: Span = field(compare=False, repr=False)


Edit = Insert | Remove | Set | Expect | Hole

# ---------------------------------------------------------------------------------------------- definitions


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a block or model, with its default."""

    name: Name
    default: Expression | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Block:
    """`block name(parameters) { }`."""

    name: Name
    parameters: tuple[Parameter, ...] | None
    body: Body
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Model:
    """`model name(parameters) { }`."""

    name: Name
    parameters: tuple[Parameter, ...] | None
    body: Body
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Variant:
    """`model name(parameters) = base(arguments) with { edits }`; `edits` is None without `with`."""

    name: Name
    parameters: tuple[Parameter, ...] | None
    base: Call
    edits: tuple[Edit, ...] | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of a data pipeline, with steps of its own where it has braces."""

    call: Call
    stages: tuple[Stage | Hole, ...] | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Data:
    """`data name = source { stages }`."""

    name: Name
    source: Call
    stages: tuple[Stage | Hole, ...] | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Setting:
    """`name = value` in a `train` block."""

    name: Name
    value: Expression
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Train:
    """`train name { settings }`."""

    name: Name
    settings: tuple[Setting | Hole, ...]
    span: Span = field(compare=False, repr=False)


Item = Let | Block | Model | Variant | Data | Train | Hole


@dataclass(frozen=True, slots=True)
class Spec:
    """A whole file."""

    docstring: Docstring | None
    items: tuple[Item, ...]
    span: Span = field(compare=False, repr=False)
