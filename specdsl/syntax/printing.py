"""Nodes of the syntax tree as text on one line, in canonical form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from specdsl.syntax import tree


def bodies_of(action: tree.Call | tree.Shortcut | tree.Branch) -> list[tuple[str, tree.Body]]:
    """The bodies of a structure, each with what stands before its brace."""
    match action:
        case tree.Shortcut():
            via = [("via", action.via)] if action.via else []
            return [(f"shortcut {expression(action.merge)}", action.body), *via]
        case tree.Branch():
            first, *others = action.bodies
            return [(f"branch {expression(action.merge)}", first), *(("and", body) for body in others)]
        case tree.Call():
            return []


def has_body(chain: tree.Chain) -> bool:
    """Whether a chain holds a shortcut or a branch."""
    return any(isinstance(link, tree.Step) and not isinstance(link.action, tree.Call) for link in chain.links)


Parts = tuple[str, tree.Expression, str]
"""An expression with what stands before and behind it on its line."""


def parts_of(part: Any) -> Parts | None:
    """Where a step can be broken: at its value."""
    match part:
        case tree.Let() | tree.Setting():
            return f"{'let ' if isinstance(part, tree.Let) else ''}{part.name.text} = ", part.value, ""
        case tree.Layer():
            return f"layer {part.name.text} = ", part.call, ""
        case tree.Input():
            return f"input {part.name.text}: ", part.shape, f" {part.dtype.text}" if part.dtype else ""
        case tree.Set():
            return f"set {selector_text(part.selector)}.{part.argument.text} = ", part.value, ""
    return None


def brackets_of(node: tree.Expression) -> tuple[str, Sequence[tree.Expression | tree.Keyword], str] | None:
    """The outer brackets of an expression, opening, items, closing; None where it has none or nothing in them."""
    match node:
        case tree.Call() if node.arguments:
            return f"{node.name.text}(", node.arguments, ")"
        case tree.Sequence() if node.items:
            return ("(", node.items, ")") if node.is_tuple else ("[", node.items, "]")
    return None


def only_call(chain: tree.Chain) -> tree.Call | None:
    """The call that a chain begins with, None where it begins otherwise."""
    link = chain.links[0]
    return link.action if isinstance(link, tree.Step) and isinstance(link.action, tree.Call) else None


def link_name(link: tree.Gather | tree.Step) -> str:
    """The ` as name` behind a link, if its result has a name."""
    names = link.names if isinstance(link, tree.Step) else ()
    return f" as {', '.join(name.text for name in names)}" if names else ""


def link_text(link: tree.Gather | tree.Step) -> str:
    """A link of a chain that has no body."""
    if isinstance(link, tree.Gather):
        return f"[{', '.join(name.text for name in link.names)}]"
    assert isinstance(link.action, tree.Call)
    return expression(link.action) + link_name(link)


def simple_text(part: Any) -> str:
    """A step or setting that has no body."""
    match part:
        case tree.Let() | tree.Setting():
            return f"{'let ' if isinstance(part, tree.Let) else ''}{part.name.text} = {expression(part.value)}"
        case tree.Layer():
            return f"layer {part.name.text} = {expression(part.call)}"
        case tree.Import():
            return f"from {expression(part.path)} import {', '.join(name.text for name in part.names)}"
        case tree.Input():
            return f"input {part.name.text}: {expression(part.shape)}{f' {part.dtype.text}' if part.dtype else ''}"
        case tree.Output():
            return f"output {', '.join(name.text for name in part.names)}"
        case tree.Expect():
            return f"expect {expression(part.condition)}"
        case tree.Remove():
            return f"remove {selector_text(part.selector)}"
        case tree.Set():
            return f"set {selector_text(part.selector)}.{part.argument.text} = {expression(part.value)}"
    raise AssertionError(f"{type(part).__name__} is no simple step")


def selector_text(selector: tree.Selector) -> str:
    """What an edit applies to."""
    if selector.index is not None:
        return f"{selector.name.text}[{expression(selector.index)}]"
    return selector.name.text + _arguments(selector.arguments)


def parameters_text(parameters: Sequence[tree.Parameter] | None) -> str:
    """The parameters of a definition in their parentheses, nothing where it has none."""
    if parameters is None:
        return ""
    texts = [p.name.text + (f"={expression(p.default)}" if p.default is not None else "") for p in parameters]
    return f"({', '.join(texts)})"


def _arguments(arguments: Sequence[tree.Expression | tree.Keyword] | None) -> str:
    return "" if arguments is None else f"({', '.join(map(expression, arguments))})"


def expression(node: tree.Expression | tree.Keyword) -> str:
    """The canonical text of an expression."""
    match node:
        case tree.Literal():
            return _string(node.value) if isinstance(node.value, str) else node.written
        case tree.Keyword():
            return f"{node.name.text}={expression(node.value)}"
        case tree.Call():
            return node.name.text + _arguments(node.arguments)
        case tree.Group():
            return f"({expression(node.inner)})"
        case tree.Sequence():
            inner = ", ".join(map(expression, node.items))
            return f"({inner}{',' * (len(node.items) == 1)})" if node.is_tuple else f"[{inner}]"
        case tree.Prefix():
            return (
                f"not {expression(node.operand)}"
                if node.operator == "not"
                else node.operator + expression(node.operand)
            )
        case tree.Index():
            return f"{expression(node.value)}[{expression(node.index)}]"
        case tree.Ternary():
            return f"{expression(node.then)} if {expression(node.condition)} else {expression(node.otherwise)}"
        case tree.Operation():
            return "".join(_interleave(node))


def _interleave(operation: tree.Operation) -> Iterator[str]:
    yield expression(operation.operands[0])
    for operator, operand in zip(operation.operators, operation.operands[1:], strict=True):
        yield f" {operator} {expression(operand)}"


def _string(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
