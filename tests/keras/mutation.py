"""Mistakes to plant in a rule: a function of the product, changed in one place and put back."""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from types import CodeType, FunctionType
from typing import Any


@dataclass(frozen=True)
class Mutant:
    """A function with one mistake.

    Attributes:
        module: the name of the module that it stands in.
        function: its qualified name there.
        line: where the mistake is.
        change: what was written there, and what is instead.
        code: the function with it.
    """

    module: str
    function: str
    line: int
    change: str
    code: CodeType

    def __str__(self) -> str:
        return f"{self.module}.{self.function}, line {self.line}: {self.change}"


@contextmanager
def planted_in(mutant: Mutant) -> Iterator[None]:
    """The product with the mistake in it."""
    function = _live(mutant.module, mutant.function)
    true = function.__code__
    function.__code__ = mutant.code
    _forget(mutant)
    try:
        yield
    finally:
        function.__code__ = true
        _forget(mutant)


def _forget(mutant: Mutant) -> None:
    """Clear what a cached function remembers."""
    found = _found(mutant.module, mutant.function)
    if hasattr(found, "cache_clear"):
        found.cache_clear()


def _found(module: str, name: str) -> Any:
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = inspect.getattr_static(found, part)
    return found


def _live(module: str, name: str) -> FunctionType:
    """The function itself, behind what wraps it."""
    found = _found(module, name)
    for inner in ("__func__", "fget", "func", "__wrapped__"):
        found = getattr(found, inner, found)
    assert isinstance(found, FunctionType), f"{module}.{name} is no function"
    return found


@cache
def _source(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(importlib.import_module(module)))


def _functions(tree: ast.AST, within: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """The functions and methods of a module by qualified name, those within functions left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{within}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield f"{within}{node.name}", node


def _code(tree: ast.Module, name: str) -> CodeType:
    """The code of a function in a module."""
    code = compile(ast.fix_missing_locations(tree), "<mutant>", "exec")
    for part in name.split("."):
        code = next(inner for inner in code.co_consts if isinstance(inner, CodeType) and inner.co_name == part)
    return code


def _within(function: ast.FunctionDef, name: str) -> ast.Module:
    """The function alone, in classes of the names that it stands in."""
    function.decorator_list = []
    inner: ast.stmt = function
    for part in reversed(name.split(".")[:-1]):
        inner = ast.ClassDef(name=part, bases=[], keywords=[], body=[inner], decorator_list=[])
        if sys.version_info >= (3, 12):
            inner.type_params = []
    return ast.Module([inner], [])


def rewritten(module: str, function: str, true: str, wrong: str) -> Mutant:
    """A function with another text in place of one that stands in it once."""
    name, node = next(one for one in _functions(_source(module)) if one[0] == function)
    text = ast.unparse(node)
    assert text.count(true) == 1, f"{true!r} stands {text.count(true)} times in {text}"
    (changed,) = ast.parse(text.replace(true, wrong)).body
    assert isinstance(changed, ast.FunctionDef)
    return Mutant(module, name, node.lineno, f"{true} → {wrong}", _code(_within(changed, name), name))


def mutants(module: str, spared: frozenset[str] = frozenset()) -> Iterator[Mutant]:
    """Each mistake that can be made in one place of a module's functions, but not in those of the names `spared`.

    Numbers one more or less, other signs, comparisons and words; conditions that always or never hold, among them
    those that refuse; statements, items of tuples and filters left out, neighbours swapped. What only makes a message
    stays as it is.
    """
    tree = _source(module)
    for name, node in _functions(tree):
        if name.rpartition(".")[2] in spared or name in spared:
            continue
        sites = [one for statement in node.body for one in _sites(statement)]
        for index, site in enumerate(sites):
            for number in range(len(_changes(deepcopy(site)))):
                body = deepcopy(node)
                wrong = [one for statement in body.body for one in _sites(statement)][index]
                before = ast.unparse(site)
                replacement = _changes(wrong)[number]
                body.body = [_Replace(wrong, replacement).visit(statement) for statement in body.body]
                after = ast.unparse(ast.fix_missing_locations(replacement))
                line = getattr(site, "lineno", node.lineno)
                try:
                    code = _code(_within(body, name), name)
                except (SyntaxError, ValueError):
                    continue
                if code.co_freevars != _live(module, name).__code__.co_freevars:
                    continue
                yield Mutant(module, name, line, f"{_short(before)} → {_short(after)}", code)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) < 90 else f"{text[:87]}..."


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        return self.new if node is self.old else self.generic_visit(node)


def _sites(node: ast.AST) -> Iterator[ast.AST]:
    """Where a mistake can be made, but not where that would change a message alone, an annotation or a docstring."""
    match node:
        case ast.JoinedStr() | ast.FunctionDef() | ast.Assert() | ast.Raise() | ast.Expr(value=ast.Constant()):
            return
        case ast.AnnAssign(value=value):
            yield from _sites(value) if value else ()
            return
        case ast.Call(func=ast.Name(id="Misuse" | "show" | "Modes")):
            return
        case ast.If(test=test, body=[*_, ast.Raise()], orelse=orelse):
            yield node
            for child in (test, *orelse):
                yield from _sites(child)
            return
        case ast.keyword(arg="argument" | "help" | "strict"):
            return
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=keywords) if name in _NAMING:
            yield node
            for child in (*arguments, *keywords):
                yield from () if isinstance(child, ast.Constant) else _sites(child)
            return
        case ast.Subscript(value=value, slice=ast.Constant(value=0)):
            # The last of all tensors that enter is the first one where one enters.
            yield from _sites(value)
            return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _sites(child)


_NAMING = {"known", "require_rank", "axis_index", "infer_inner", "freeze_inner", "slide", "check_given"}
"""Functions that take words for messages."""

_SIGNS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
}  # fmt: skip
_COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_FUNCTIONS = {"min": "max", "max": "min", "any": "all", "all": "any"}


def _changes(node: ast.AST) -> list[ast.AST]:
    """The node with a mistake, in each way that there is."""
    match node:
        case ast.Constant(value=bool() as value):
            return [ast.Constant(not value)]
        case ast.Constant(value=int() as value):
            return [ast.Constant(value + 1), ast.Constant(value - 1)]
        case ast.Constant(value=str() as value) if value and " " not in value:
            return [ast.Constant(f"{value}_")]
        case ast.BinOp(left=left, op=ast.FloorDiv(), right=right):
            return [_ceiling(left, right), ast.BinOp(left, ast.Mult(), right)]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _SIGNS:
            return [ast.BinOp(left, _SIGNS[type(op)](), right)]
        case ast.Compare(left=left, ops=[op], comparators=comparators) if type(op) in _COMPARISONS:
            return [ast.Compare(left, [_COMPARISONS[type(op)]()], comparators)]
        case ast.BoolOp(op=op, values=values):
            return [ast.BoolOp(ast.And() if isinstance(op, ast.Or) else ast.Or(), values)]
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return [operand]
        case ast.If(body=body, orelse=orelse):
            return [ast.If(ast.Constant(value), body, orelse) for value in (True, False)]
        case ast.IfExp(body=body, orelse=orelse):
            return [body, orelse]
        case ast.Expr(value=ast.Call()) | ast.AugAssign():
            return [ast.Pass()]
        case ast.Tuple(elts=items, ctx=ast.Load() as load):
            dropped = [ast.Tuple(items[:place] + items[place + 1 :], load) for place in range(len(items))]
            swapped = [
                ast.Tuple([*items[:place], items[place + 1], items[place], *items[place + 2 :]], load)
                for place in range(len(items) - 1)
            ]
            return [*dropped, *swapped]
        case ast.comprehension(ifs=[_, *_]):
            return [ast.comprehension(node.target, node.iter, [], node.is_async)]
        case ast.Call(func=ast.Name(id=name)) if name in _FUNCTIONS:
            return [ast.Call(ast.Name(_FUNCTIONS[name], ast.Load()), node.args, node.keywords)]
    return []


def _ceiling(left: ast.expr, right: ast.expr) -> ast.AST:
    """The division rounded up."""
    minus = ast.USub()
    return ast.UnaryOp(minus, ast.BinOp(ast.UnaryOp(minus, left), ast.FloorDiv(), right))
