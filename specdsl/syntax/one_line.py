"""Steps and bodies on one line, where they can be."""

from __future__ import annotations

from typing import Any

from specdsl.syntax import tree
from specdsl.syntax.printing import bodies_of, expression, link_name, link_text, selector_text, simple_text


def body_on_one_line(body: tree.Body) -> str | None:
    """A body in braces on one line, None where it cannot be."""
    if body.docstring:
        return None
    texts = [on_one_line(statement) for statement in body.statements]
    if None in texts:
        return None
    return f"{{ {'; '.join(text for text in texts if text)} }}" if texts else "{}"


def on_one_line(part: Any) -> str | None:
    """A step on one line, None where it cannot be."""
    match part:
        case tree.Chain():
            links = [_link_on_one_line(link) for link in part.links]
            return None if None in links else " -> ".join(link for link in links if link)
        case tree.Repeat():
            return _headed(f"repeat {expression(part.times)}", part.body)
        case tree.For():
            return _headed(f"for {part.name.text} in {expression(part.values)}", part.body)
        case tree.Insert():
            return _headed(f"{part.place} {selector_text(part.selector)}", part.body)
        case tree.If():
            then = _headed(f"if {expression(part.condition)}", part.then)
            if part.otherwise is None or then is None:
                return then
            is_if = isinstance(part.otherwise, tree.If)
            otherwise = on_one_line(part.otherwise) if is_if else body_on_one_line(part.otherwise)  # type: ignore[arg-type]
            return None if otherwise is None else f"{then} else {otherwise}"
        case tree.Stage():
            if part.stages is None:
                return expression(part.call)
            texts = [on_one_line(stage) for stage in part.stages]
            return (
                None if None in texts else f"{expression(part.call)} {{ {'; '.join(text for text in texts if text)} }}"
            )
        case tree.Docstring():
            return None
        case _:
            return simple_text(part)


def _headed(head: str, body: tree.Body) -> str | None:
    inline = body_on_one_line(body)
    return None if inline is None else f"{head} {inline}"


def _link_on_one_line(link: tree.Gather | tree.Step) -> str | None:
    if not (isinstance(link, tree.Step) and not isinstance(link.action, tree.Call)):
        return link_text(link)
    texts = [_headed(head, body) for head, body in bodies_of(link.action)]
    if None in texts:
        return None
    return " ".join(text for text in texts if text) + link_name(link)
