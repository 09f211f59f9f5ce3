"""Steps as they will stand in a text: what is called, with which arguments, and the braces behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

WIDTH = 110
"""Columns that a line of steps fills at most."""

INDENT = "    "


@dataclass(slots=True)
class Slot:
    """An argument of a call.

    Attributes:
        name: its name.
        text: its value as it is written.
        given: whether it is written: it is not as by default.
        plain: whether it may stand without its name, behind others that do.
        literal: whether its value means the same everywhere.
    """

    name: str
    text: str
    given: bool
    plain: bool = False
    literal: bool = True


@dataclass(slots=True, eq=False)
class Item:
    """A step: a layer, a shortcut or a branch with its bodies, a block, or a loop around steps.

    Attributes:
        head: what stands before the arguments: `Conv2D`, `shortcut add`, the name of a block, `repeat 3`.
        slots: the arguments.
        bodies: what stands in braces.
        tail: what stands behind: names of results.
        joint: the word between two bodies.
        breaks: whether a line begins with it.
        free: whether it may move into a block: one tensor enters, one leaves, and nothing else is spoken of.
        name: the full name of the layer or of the instance of a block.
        spoken: whether the text speaks of its result.
        is_loop: whether it is a loop, which stands behind no arrow.
    """

    head: str
    slots: list[Slot]
    bodies: list[list[Item]] = field(default_factory=list)
    tail: str = ""
    joint: str = "and"
    breaks: bool = False
    free: bool = True
    name: str = ""
    spoken: bool = False
    is_loop: bool = False

    @property
    def size(self) -> int:
        """How many steps it is made of."""
        return 1 + sum(item.size for body in self.bodies for item in body)

    def all_slots(self) -> Iterator[Slot]:
        """Its arguments, and those of what stands in its braces."""
        yield from self.slots
        for body in self.bodies:
            for item in body:
                yield from item.all_slots()

    @property
    def call(self) -> str:
        """The call without its braces."""
        written: list[str] = []
        by_place = True
        for slot in self.slots:
            if slot.given:
                by_place = by_place and slot.plain
                written.append(slot.text if by_place else f"{slot.name}={slot.text}")
            else:
                by_place = False
        return f"{self.head}({', '.join(written)})" if written else self.head


def lines_of(items: Sequence[Item], level: int, start: str = "") -> list[str]:
    """The lines of steps: a new one at each that multiplies, around braces, and where a line is full.

    Args:
        items: the steps.
        level: how many braces they stand in.
        start: what stands before the first.
    """
    lines: list[str] = []
    line, steps = start, 0
    width = WIDTH - len(INDENT) * level
    for item in items:
        if item.bodies:
            if steps or (line and item.is_loop):
                lines.append(line.removesuffix(" -> "))
                line = ""
            lines += _braced(item, level, line)
            line, steps = "", 0
            continue
        written = f"{item.call}{item.tail}"
        if steps and (item.breaks or len(line) + len(written) + 4 > width):
            lines.append(line)
            line, steps = "", 0
        line += f" -> {written}" if steps else written
        steps += 1
    return [*lines, line] if steps else lines


def _braced(item: Item, level: int, start: str) -> list[str]:
    """The lines of a step with bodies in braces: one, where all of it is short."""
    bodies = [lines_of(body, level + 1) for body in item.bodies]
    heads = [f"{start}{item.call}", *[item.joint] * (len(bodies) - 1)]
    if all(len(body) <= 1 for body in bodies):
        parts = [f"{head} {_inline(body)}" for head, body in zip(heads, bodies, strict=True)]
        whole = f"{' '.join(parts)}{item.tail}"
        if len(whole) <= WIDTH - len(INDENT) * level:
            return [whole]
    lines: list[str] = []
    for head, body in zip(heads, bodies, strict=True):
        opening = f"{lines.pop()} {head} {{" if lines else f"{head} {{"
        lines += [f"{opening}}}"] if not body else [opening, *indented(body), "}"]
    lines[-1] += item.tail
    return lines


def _inline(body: Sequence[str]) -> str:
    return f"{{ {body[0]} }}" if body else "{}"


def indented(lines: Iterable[str]) -> list[str]:
    """Lines one level further in."""
    return [f"{INDENT}{line}" for line in lines]
