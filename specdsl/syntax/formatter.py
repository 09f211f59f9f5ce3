"""The one canonical form of a spec: four spaces, one step a line, comments where they were.

Formatting changes no meaning: the tree of the result is the tree of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from textwrap import wrap
from typing import Any

from specdsl.diagnostics import Diagnostic, Slug, SpecError
from specdsl.limits import Limits
from specdsl.source import Source, Span
from specdsl.syntax import tree
from specdsl.syntax.one_line import body_on_one_line, on_one_line
from specdsl.syntax.parser import parse
from specdsl.syntax.printing import (
    Parts,
    bodies_of,
    brackets_of,
    expression,
    has_body,
    link_name,
    link_text,
    only_call,
    parameters_text,
    parts_of,
    selector_text,
    simple_text,
)

WIDTH = 120
"""Columns that a line should not pass."""

_COMMENTS = re.compile(
    r'(?P<skip>"""(?:[^"\\]++|\\.|"(?!""))*+"""|"(?:[^"\\\n]++|\\.)*+"|\'(?:[^\'\\\n]++|\\.)*+\')|(?P<comment>#[^\n]*)',
    re.DOTALL,
)


def format_source(source: Source, limits: Limits | None = None) -> str:
    """The canonical form of a text.

    Raises:
        SpecError: the text is no spec.
    """
    spec = parse(source, limits)
    comments = [(match.start(), match["comment"]) for match in _COMMENTS.finditer(source.text) if match["comment"]]
    formatter = _Formatter(source, comments)
    try:
        formatter.spec(spec)
    except RecursionError:
        raise SpecError([Diagnostic(Slug.LIMIT, f"{source.name} nests too deeply to be formatted")]) from None
    return "\n".join(formatter.lines).strip("\n") + "\n" if formatter.lines else ""


class _Formatter:
    """Writes lines, and before each step the comments that stood before it."""

    def __init__(self, source: Source, comments: list[tuple[int, str]]) -> None:
        self.source = source
        self.comments = comments[::-1]
        self.lines: list[str] = []
        self.level = 0

    # ------------------------------------------------------------------------------------------ lines

    def line(self, text: str) -> None:
        indent = "    " * self.level
        self.lines += [f"{indent}{part}".rstrip() if part else "" for part in text.split("\n")]

    def comments_before(self, offset: int) -> None:
        """Write the comments that stand before an offset on lines of their own, keeping single blank lines."""
        while self.comments and self.comments[-1][0] < offset:
            start, comment = self.comments.pop()
            if self._blank_line_before(start):
                self.blank()
            self.line(comment.rstrip())

    def trailing_comment(self, offset: int) -> None:
        """Write the comment that stands on the same line behind an offset, if one does, behind the last line."""
        if self.comments and "\n" not in self.source.text[offset : self.comments[-1][0]]:
            between = self.source.text[offset : self.comments[-1][0]]
            if between.strip(" \t;,") == "":
                self.lines[-1] += f"  {self.comments.pop()[1].rstrip()}"

    def blank(self) -> None:
        if self.lines and self.lines[-1] and not self.lines[-1].endswith("{"):
            self.lines.append("")

    def _blank_line_before(self, offset: int) -> bool:
        return re.search(r"\n[ \t]*\n[ \t]*$", self.source.text[max(0, offset - 400) : offset]) is not None

    # ------------------------------------------------------------------------------------------ definitions

    def spec(self, spec: tree.Spec) -> None:
        items: list[Any] = [spec.docstring] if spec.docstring else []
        items += spec.items
        before: bool | None = None  # whether the item above stands alone between blank lines
        for item in items:
            mark = len(self.lines)
            if before is not None and (self._blank_line_before(self._start(item.span.start))):
                self.blank()
            self.comments_before(item.span.start)
            start = len(self.lines)
            self.item(item)
            lone = isinstance(item, tree.Docstring) or len(self.lines) - start > 1
            if before is not None and (lone or before):
                self._separate(mark)
            before = lone
        if self.comments:
            if self._blank_line_before(self.comments[-1][0]):
                self.blank()
            self.comments_before(len(self.source.text) + 1)

    def _separate(self, line: int) -> None:
        """A blank line before a line, if there is none."""
        if self.lines[line - 1] and self.lines[line]:
            self.lines.insert(line, "")

    def _start(self, offset: int) -> int:
        """Where a step begins, the comments above it included."""
        return min(offset, self.comments[-1][0]) if self.comments else offset

    def item(self, item: tree.Item | tree.Docstring) -> None:
        match item:
            case tree.Docstring():
                self.docstring(item)
            case tree.Block() | tree.Model():
                word = "block" if isinstance(item, tree.Block) else "model"
                self.body(f"{word} {item.name.text}{parameters_text(item.parameters)}", item.body)
                self.trailing_comment(item.span.end)
            case tree.Variant():
                self.variant(item)
            case tree.Data():
                self.braces(f"data {item.name.text} = {expression(item.source)}", item.stages, item.span)
            case tree.Train():
                self.braces(f"train {item.name.text}", item.settings, item.span)
            case tree.Experiment():
                self.braces(f"experiment {item.name.text}", item.settings, item.span)
            case tree.Let() | tree.Import():
                self.statement(item)

    def docstring(self, docstring: tree.Docstring) -> None:
        self.lines += (
            docstring.span.text.split("\n") if self.level == 0 else [f"{'    ' * self.level}{docstring.span.text}"]
        )
        self.trailing_comment(docstring.span.end)

    def variant(self, item: tree.Variant) -> None:
        head = f"model {item.name.text}{parameters_text(item.parameters)} = {expression(item.base)}"
        if item.edits is None:
            self.simple(head, item.span)
        else:
            self.braces(f"{head} with", item.edits, item.span)

    # ------------------------------------------------------------------------------------------ bodies

    def braces(self, head: str, parts: Sequence[Any] | None, span: Span) -> None:
        """A head with parts in braces; on one line where it stood on one line and fits."""
        if parts is None:
            self.simple(head, span)
            return
        if self._stays_on_one_line(span) and (texts := [on_one_line(part) for part in parts]) is not None:
            line = f"{head} {{ {'; '.join(text or '' for text in texts)} }}" if parts else f"{head} {{}}"
            if None not in texts and self._fits(line):
                self.line(line)
                self.trailing_comment(span.end)
                return
        if not parts and not self._comment_inside(span):
            self.line(f"{head} {{}}")
        else:
            self.line(f"{head} {{")
            self._opening_comment(parts[0].span.start if parts else span.end)
            self.parts(parts, span.end)
            self.line("}")
        self.trailing_comment(span.end)

    def body(self, head: str, body: tree.Body, tail: str = "") -> None:
        """A head with a body in braces; on one line where it stood on one line and fits."""
        inline = body_on_one_line(body) if self._stays_on_one_line(body.span) else None
        if inline is not None and self._fits(f"{head} {inline}{tail}"):
            self.line(f"{head} {inline}{tail}")
            return
        parts: list[Any] = ([body.docstring] if body.docstring else []) + list(body.statements)
        if not parts and not self._comment_inside(body.span):
            self.line(f"{head} {{}}{tail}")
            return
        self.line(f"{head} {{")
        self._opening_comment(parts[0].span.start if parts else body.span.end)
        self.parts(parts, body.span.end)
        self.line(f"}}{tail}")

    def _opening_comment(self, first: int) -> None:
        """The comment behind an opening brace stays behind it."""
        if self.comments and self.comments[-1][0] < first:
            start = self.comments[-1][0]
            before = self.source.text[self.source.text.rfind("\n", 0, start) + 1 : start]
            if before.rstrip().endswith("{"):
                self.lines[-1] += f"  {self.comments.pop()[1].rstrip()}"

    def parts(self, parts: Iterable[Any], end: int) -> None:
        self.level += 1
        for index, part in enumerate(parts):
            if index and self._blank_line_before(self._start(part.span.start)):
                self.blank()
            self.comments_before(part.span.start)
            self.statement(part)
        if self.comments and self.comments[-1][0] < end and self._blank_line_before(self.comments[-1][0]):
            self.blank()
        self.comments_before(end - 1)
        self.level -= 1

    def statement(self, part: Any) -> None:
        match part:
            case tree.Docstring():
                self.docstring(part)
            case tree.Repeat():
                self.body(f"repeat {expression(part.times)}", part.body)
                self.trailing_comment(part.span.end)
            case tree.For():
                self.body(f"for {part.name.text} in {expression(part.values)}", part.body)
                self.trailing_comment(part.span.end)
            case tree.If():
                self.condition(part, "")
                self.trailing_comment(part.span.end)
            case tree.Insert():
                self.body(f"{part.place} {selector_text(part.selector)}", part.body)
                self.trailing_comment(part.span.end)
            case tree.Stage() if part.stages is None:
                self.simple(expression(part.call), part.span, ("", part.call, ""))
            case tree.Stage():
                self.braces(expression(part.call), part.stages, part.span)
            case tree.Chain():
                self.chain(part)
            case _:
                self.simple(simple_text(part), part.span, parts_of(part))

    def simple(self, text: str, span: Span, parts: Parts | None = None) -> None:
        """A step on one line; broken up where it is too long or holds comments, if it has brackets to break."""
        if parts and (not self._fits(text) or self._comment_inside(span)):
            self.broken(*parts)
        else:
            self.comments_before(span.end)
            self.line(text)
        self.trailing_comment(span.end)

    def broken(self, before: str, node: tree.Expression | tree.Keyword, behind: str) -> None:
        """An expression with the items of its outer brackets on lines of their own, if it has such brackets."""
        while isinstance(node, tree.Keyword):
            before, node = f"{before}{node.name.text}=", node.value
        text = f"{before}{expression(node)}{behind}"
        if not (brackets := brackets_of(node)) or (self._fits(text) and not self._comment_inside(node.span)):
            self.comments_before(node.span.end)
            self.line(text)
            return
        opening, items, closing = brackets
        self.line(f"{before}{opening}")
        self.level += 1
        plain = all(isinstance(item, tree.Literal) for item in items) and not self._comment_inside(node.span)
        if plain:
            self.lines += wrap(
                ", ".join(map(expression, items)) + ",",
                WIDTH,
                initial_indent="    " * self.level,
                subsequent_indent="    " * self.level,
                break_long_words=False,
                break_on_hyphens=False,
            )
        for item in () if plain else items:
            self.comments_before(item.span.start)
            self.broken("", item, ",")
            self.trailing_comment(item.span.end)
        self.comments_before(node.span.end)
        self.level -= 1
        self.line(f"{closing}{behind}")

    def condition(self, part: tree.If, lead: str) -> None:
        """An `if` with its `else`; `lead` is what stands before it on its line."""
        mark = len(self.lines)
        self.body(f"{lead}if {expression(part.condition)}", part.then)
        if part.otherwise is None:
            return
        closing = self.lines[-1].lstrip() == "}" and len(self.lines) > mark + 1
        self.between(part.then, part.otherwise.span.start, closing=closing)
        before = "} else " if closing else "else "
        if isinstance(part.otherwise, tree.If):
            self.condition(part.otherwise, before)
        else:
            self.body(before.rstrip(), part.otherwise)

    def chain(self, chain: tree.Chain) -> None:
        line = on_one_line(chain)
        keeps = self._stays_on_one_line(chain.span) or not (has_body(chain) or self._comment_inside(chain.span))
        if line is not None and self._fits(line) and keeps:
            self.simple(line, chain.span)
            return
        if len(chain.links) == 1 and (call := only_call(chain)):
            name = link_name(chain.links[0])
            self.simple(f"{expression(call)}{name}", chain.span, ("", call, name))
            return
        for index, link in enumerate(chain.links):
            self.comments_before(link.span.start)
            lead = "" if index == 0 else "  -> "
            if isinstance(link, tree.Step) and not isinstance(link.action, tree.Call):
                self.structure(lead, link)
            elif isinstance(link, tree.Step):
                assert isinstance(link.action, tree.Call)
                self.broken(lead, link.action, link_name(link))
            else:
                self.line(lead + (link_text(link) or ""))
            self.trailing_comment(link.span.end)

    def structure(self, lead: str, link: tree.Step) -> None:
        """A shortcut or a branch: a head with a body, and further bodies, each behind its word."""
        name = link_name(link)
        parts = bodies_of(link.action)
        for index, (head, body) in enumerate(parts):
            tail = name if index == len(parts) - 1 else ""
            if index == 0:
                self.body(lead + head, body, tail)
                continue
            closing = self.lines[-1].strip() == "}"
            self.between(parts[index - 1][1], body.span.start, closing=closing)
            self.body(f"}} {head}" if closing else f"      {head}", body, tail)

    def between(self, body: tree.Body, start: int, *, closing: bool) -> None:
        """Write the comments between a body and what goes on behind it where they stay with that body.

        Args:
            body: the body.
            start: where what goes on begins.
            closing: whether the last line is the body's closing brace, which that will stand behind.
        """
        if closing:
            self.lines.pop()
            self.level += 1
            self.comments_before(start)
            self.level -= 1
        else:
            self.trailing_comment(body.span.end)
            self.comments_before(start)

    # ------------------------------------------------------------------------------------------ one line

    def _fits(self, line: str) -> bool:
        return 4 * self.level + len(line) <= WIDTH

    def _stays_on_one_line(self, span: Span) -> bool:
        return "\n" not in span.text and not self._comment_inside(span)

    def _comment_inside(self, span: Span) -> bool:
        return any(span.start < start < span.end for start, _ in self.comments)
