"""From Lark's rules to the nodes of the syntax tree: one method a rule, each with its children in order.

Every token is kept, so that a node's span runs from its first child to its last.
"""

from __future__ import annotations

import re
from math import inf
from typing import Any

from lark import Token

from specdsl.source import Source, Span
from specdsl.syntax import tree

SUFFIXES = {"k": 10**3, "M": 10**6, "G": 10**9}
_CONSTANTS = {"TRUE": True, "FALSE": False, "NONE": None}


class Builder:
    """Makes the tree of one source. Lark calls the method that bears the name of each rule it completes."""

    def __init__(self) -> None:
        self.source = Source("", "")

    def _span(self, children: list[Any]) -> Span:
        first, last = children[0], children[-1]
        start: int = first.start_pos if isinstance(first, Token) else first.span.start  # type: ignore[assignment]
        end: int = last.end_pos if isinstance(last, Token) else last.span.end  # type: ignore[assignment]
        return Span(self.source, start, end)

    def _name(self, token: Token) -> tree.Name:
        return tree.Name(str(token), Span(self.source, token.start_pos or 0, token.end_pos or 0))

    def _names(self, children: list[Any]) -> tuple[tree.Name, ...]:
        return tuple(self._name(child) for child in children if type(child) is Token and child.type == "NAME")

    # ------------------------------------------------------------------------------------------ definitions

    def spec(self, children: list[Any]) -> tree.Spec:
        docstring = next((child for child in children if isinstance(child, tree.Docstring)), None)
        span = Span(self.source, 0, len(self.source.text))
        return tree.Spec(docstring, tuple(child for child in _nodes(children) if child is not docstring), span)

    def imports(self, children: list[Any]) -> tree.Import:
        path = tree.Literal(_unquote(children[1]), "", self._span([children[1]]))
        return tree.Import(path, self._names(children), self._span(children))

    def let(self, children: list[Any]) -> tree.Let:
        return tree.Let(self._name(children[1]), children[3], self._span(children))

    def block(self, children: list[Any]) -> tree.Block:
        return tree.Block(self._name(children[1]), _parameters(children), children[-1], self._span(children))

    def model(self, children: list[Any]) -> tree.Model:
        return tree.Model(self._name(children[1]), _parameters(children), children[-1], self._span(children))

    def variant(self, children: list[Any]) -> tree.Variant:
        base = next(child for child in children if type(child) is tree.Call)
        edits = children[-1].items if type(children[-1]) is _List else None
        return tree.Variant(self._name(children[1]), _parameters(children), base, edits, self._span(children))

    def data(self, children: list[Any]) -> tree.Data:
        stages = children[4].items if len(children) > 4 else None
        return tree.Data(self._name(children[1]), children[3], stages, self._span(children))

    def train(self, children: list[Any]) -> tree.Train:
        return tree.Train(self._name(children[1]), children[2].items, self._span(children))

    def experiment(self, children: list[Any]) -> tree.Experiment:
        return tree.Experiment(self._name(children[1]), children[2].items, self._span(children))

    def parameter(self, children: list[Any]) -> tree.Parameter:
        default = children[2] if len(children) > 1 else None
        return tree.Parameter(self._name(children[0]), default, self._span(children))

    def setting(self, children: list[Any]) -> tree.Setting:
        return tree.Setting(self._name(children[0]), children[2], self._span(children))

    def stage(self, children: list[Any]) -> tree.Stage:
        return tree.Stage(children[0], children[1].items if len(children) > 1 else None, self._span(children))

    def _list(self, children: list[Any]) -> _List:
        return _List(tuple(_nodes(children)), self._span(children))

    parameters = edits = pipeline = settings = arguments = _list

    # ------------------------------------------------------------------------------------------ bodies

    def body(self, children: list[Any]) -> tree.Body:
        docstring = next((child for child in children if isinstance(child, tree.Docstring)), None)
        statements = tuple(child for child in _nodes(children) if child is not docstring)
        return tree.Body(docstring, statements, self._span(children))

    def input(self, children: list[Any]) -> tree.Input:
        dtype = self._name(children[4]) if len(children) > 4 else None
        return tree.Input(self._name(children[1]), children[3], dtype, self._span(children))

    def output(self, children: list[Any]) -> tree.Output:
        return tree.Output(self._names(children), self._span(children))

    def layer(self, children: list[Any]) -> tree.Layer:
        return tree.Layer(self._name(children[1]), children[3], self._span(children))

    def expect(self, children: list[Any]) -> tree.Expect:
        return tree.Expect(children[1], self._span(children))

    def repeat(self, children: list[Any]) -> tree.Repeat:
        return tree.Repeat(children[1], children[2], self._span(children))

    def for_loop(self, children: list[Any]) -> tree.For:
        return tree.For(self._name(children[1]), children[3], children[4], self._span(children))

    def condition(self, children: list[Any]) -> tree.If:
        return tree.If(children[1], children[2], children[4] if len(children) > 4 else None, self._span(children))

    def chain(self, children: list[Any]) -> tree.Chain:
        return tree.Chain(tuple(children[::2]), self._span(children))

    def gather(self, children: list[Any]) -> tree.Gather:
        return tree.Gather(self._names(children), self._span(children))

    def step(self, children: list[Any]) -> tree.Step:
        return tree.Step(children[0], self._names(children[1:]), self._span(children))

    def shortcut(self, children: list[Any]) -> tree.Shortcut:
        via = children[4] if len(children) > 4 else None
        return tree.Shortcut(children[1], children[2], via, self._span(children))

    def branch(self, children: list[Any]) -> tree.Branch:
        return tree.Branch(children[1], tuple(children[2::2]), self._span(children))

    def docstring(self, children: list[Any]) -> tree.Docstring:
        return tree.Docstring(_unquote(children[0]), self._span(children))

    def hole(self, children: list[Any]) -> tree.Hole:
        return tree.Hole(self._span(children))

    # ------------------------------------------------------------------------------------------ edits

    def insert(self, children: list[Any]) -> tree.Insert:
        return tree.Insert(str(children[0]), children[1], children[2], self._span(children))

    def remove(self, children: list[Any]) -> tree.Remove:
        return tree.Remove(children[1], self._span(children))

    def set(self, children: list[Any]) -> tree.Set:
        return tree.Set(children[1], self._name(children[3]), children[5], self._span(children))

    def selector(self, children: list[Any]) -> tree.Selector:
        index = children[2] if len(children) > 2 else None
        arguments = children[1].items if len(children) == 2 else None
        return tree.Selector(self._name(children[0]), index, arguments, self._span(children))

    # ------------------------------------------------------------------------------------------ expressions

    def literal(self, children: list[Any]) -> tree.Literal:
        (token,) = children
        if token.type == "NUMBER":
            value: Any = _number(token)
        else:
            value = _unquote(token) if token.type == "STRING" else _CONSTANTS[token.type]
        return tree.Literal(value, "" if token.type == "STRING" else str(token), self._span(children))

    def call(self, children: list[Any]) -> tree.Call:
        arguments = children[1].items if len(children) > 1 else None
        return tree.Call(self._name(children[0]), arguments, self._span(children))

    def keyword(self, children: list[Any]) -> tree.Keyword:
        return tree.Keyword(self._name(children[0]), children[2], self._span(children))

    def operation(self, children: list[Any]) -> tree.Operation:
        return tree.Operation(tuple(children[::2]), tuple(map(str, children[1::2])), self._span(children))

    def prefix(self, children: list[Any]) -> tree.Prefix:
        return tree.Prefix(str(children[0]), children[1], self._span(children))

    def index(self, children: list[Any]) -> tree.Index:
        return tree.Index(children[0], children[2], self._span(children))

    def ternary(self, children: list[Any]) -> tree.Ternary:
        return tree.Ternary(children[0], children[2], children[4], self._span(children))

    def sequence(self, children: list[Any]) -> tree.Sequence:
        return tree.Sequence(tuple(_nodes(children)), children[0] == "(", self._span(children))

    def group(self, children: list[Any]) -> tree.Group:
        return tree.Group(children[1], self._span(children))


class _List:
    """What stands between brackets, until the rule around it takes it."""

    __slots__ = ("items", "span")

    def __init__(self, items: tuple[Any, ...], span: Span) -> None:
        self.items = items
        self.span = span


def _nodes(children: list[Any]) -> list[Any]:
    return [child for child in children if type(child) is not Token]


def _parameters(children: list[Any]) -> tuple[tree.Parameter, ...] | None:
    return children[2].items if type(children[2]) is _List else None


def _number(written: str) -> int | float:
    factor = SUFFIXES.get(written[-1], 1)
    digits = (written[:-1] if factor > 1 else written).replace("_", "")
    try:
        if digits.isdigit():
            return int(digits) * factor
    except ValueError:  # more digits than Python converts: no legal size
        return inf
    value = float(digits) * factor
    return int(value) if factor > 1 and value.is_integer() else value


_ESCAPES = {"n": "\n", "t": "\t", "\\": "\\", '"': '"', "'": "'", "\n": ""}


def _unquote(written: str) -> str:
    marks = 3 if written.startswith('"""') else 1
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), written[marks:-marks], flags=re.DOTALL)
