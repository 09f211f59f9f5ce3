"""What stands several times in a text, written once: as blocks with parameters where values differ, and as loops."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from specdsl.importing.items import Item, Slot
from specdsl.importing.renaming import writable
from specdsl.layers import NAMES

Body = list[Item]

LONGEST = 24
"""Steps in a row, at most, that are looked for elsewhere."""

MOST = 4_000
"""Steps of a text, at most, in which parts that are alike are looked for."""

ROUNDS = 20
"""Blocks that a text gets, at most."""

MOST_PARAMETERS = 8

_PARAMETER_COST, _BLOCK_COST = 0.35, 2.0
"""Steps that an argument of a use, and a block in itself, weigh as much as."""


class Parameter(NamedTuple):
    """A parameter of a block, with its default where it has one."""

    name: str
    default: str | None


class Block(NamedTuple):
    """A block of the text."""

    name: str
    parameters: list[Parameter]
    body: Body


class _Column(NamedTuple):
    """An argument in all places where a block will stand: what the block writes for it, and what the uses give."""

    expression: str
    parameter: str | None


def fold(bodies: list[Body], taken: set[str]) -> list[Block]:
    """Put blocks and loops in the place of steps that are alike; the blocks, each behind those that it uses.

    Args:
        bodies: the chains of all models, which are changed.
        taken: names that blocks cannot have; those that they get are added.
    """
    blocks: list[Block] = []
    if sum(item.size for body in bodies for item in body) > MOST:
        return blocks
    for body in bodies:
        _loop(body)
    while len(blocks) < ROUNDS:
        block = _best_block([*bodies, *(block.body for block in blocks)], taken)
        if block is None:
            break
        blocks.append(block)
    for body in [*bodies, *(block.body for block in blocks)]:
        _loop(body)
    return _ordered(blocks)


def _ordered(blocks: list[Block]) -> list[Block]:
    """Blocks behind those that they use, which is how they are read."""
    by_name = {block.name: block for block in blocks}
    ordered: dict[str, Block] = {}

    def visit(block: Block) -> None:
        for name in _heads(block.body):
            if name in by_name and name not in ordered and name != block.name:
                visit(by_name[name])
        ordered.setdefault(block.name, block)

    for block in blocks:
        visit(block)
    return list(ordered.values())


def _heads(body: Body) -> list[str]:
    return [name for item in body for name in (item.head, *(name for inner in item.bodies for name in _heads(inner)))]


# ---------------------------------------------------------------------------------------------- blocks


class Shapes:
    """Numbers for steps that are alike but for the values of their arguments; for their names too if these count."""

    def __init__(self, *, tails: bool = False) -> None:
        self._tails = tails
        self._numbers: dict[tuple[object, ...], int] = {}

    def number(self, item: Item) -> int:
        """The number of a step, the same for all that are alike."""
        bodies = tuple(tuple(map(self.number, body)) for body in item.bodies)
        key = (item.head, tuple(slot.name for slot in item.slots), bodies, item.joint, item.tail * self._tails)
        return self._numbers.setdefault(key, len(self._numbers))


class Place(NamedTuple):
    """Steps in a row: the body, and where they begin in it."""

    body: Body
    start: int


def _all_bodies(bodies: Sequence[Body]) -> list[Body]:
    """Bodies with those in the braces within."""
    found: list[Body] = []
    waiting = list(bodies)
    while waiting:
        body = waiting.pop(0)
        found.append(body)
        waiting += [inner for item in body for inner in item.bodies]
    return found


def _best_block(bodies: Sequence[Body], taken: set[str]) -> Block | None:
    """The block that spares most, put in the place of what it stands for; None where none spares anything."""
    shapes = Shapes()
    found: dict[tuple[int, ...], list[Place]] = {}
    for body in _all_bodies(bodies):
        numbers = [shapes.number(item) if item.free else -1 for item in body]
        for start in range(len(body)):
            for end in range(start + 1, min(len(body), start + LONGEST) + 1):
                if numbers[end - 1] < 0 or (end - 1 > start and body[end - 2].tail):
                    break
                found.setdefault(tuple(numbers[start:end]), []).append(Place(body, start))
    best: tuple[float, tuple[int, ...], list[Place]] | None = None
    for key, places in found.items():
        if len(places) < 2:
            continue
        apart = _apart(places, len(key))
        size = sum(item.size for item in _items(apart[0], len(key)))
        if len(apart) < 2 or size < 2 or (best and (len(apart) - 1) * size <= best[0]):
            continue
        _, parameters = _columns(apart, len(key))
        if len(parameters) > MOST_PARAMETERS:
            continue
        spared = (len(apart) - 1) * (size - 1) - _BLOCK_COST - _PARAMETER_COST * len(apart) * len(parameters)
        if spared > 0 and (best is None or spared > best[0]):
            best = (spared, key, apart)
    if best is None:
        return None
    _, key, apart = best
    lasts = [_items(place, len(key))[-1] for place in apart]
    tails = [last.tail for last in lasts]
    for last in lasts:
        last.tail = ""
    name = writable(_name(_items(apart[0], len(key))), taken, begins=True)
    taken.add(name)
    block, uses = abstracted(apart, len(key), name)
    for place, use, tail in reversed([*zip(apart, uses, tails, strict=True)]):
        use.tail = tail
        place.body[place.start : place.start + len(key)] = [use]
    return block


def _items(place: Place, length: int) -> Body:
    return place.body[place.start : place.start + length]


def _apart(places: list[Place], length: int) -> list[Place]:
    """The places that do not overlap, from the left."""
    apart: list[Place] = []
    for place in places:
        if not apart or apart[-1].body is not place.body or place.start >= apart[-1].start + length:
            apart.append(place)
    return apart


def _columns(places: list[Place], length: int) -> tuple[list[_Column], dict[str, list[str]]]:
    """What a block writes for each of its arguments; its parameters, with their values at all places."""
    rows = [[slot for item in _items(place, length) for slot in item.all_slots()] for place in places]
    parameters: dict[str, list[str]] = {}
    columns: list[_Column] = []
    for slots in zip(*rows, strict=True):
        texts = [slot.text for slot in slots]
        if len(set(texts)) == 1 and all(slot.literal for slot in slots):
            columns.append(_Column(texts[0], None))
            continue
        expression = next((known for name, values in parameters.items() if (known := _from(name, values, texts))), None)
        if expression is None:
            expression = writable(slots[0].name, parameters, begins=True)
            parameters[expression] = texts
        columns.append(_Column(expression, expression))
    return columns, parameters


def _from(name: str, values: list[str], texts: list[str]) -> str | None:
    """Values as those of a parameter, or as a multiple of them; None where they are neither."""
    if values == texts:
        return name
    if not all(re.fullmatch(r"[1-9]\d{0,8}", text) for text in (*values, *texts)) or len(set(values)) == 1:
        return None
    times, rest = divmod(int(texts[0]), int(values[0]))
    if rest or times < 2 or any(int(text) != times * int(value) for value, text in zip(values, texts, strict=True)):
        return None
    return f"{times} * {name}"


def abstracted(places: list[Place], length: int, name: str) -> tuple[Block, list[Item]]:
    """The block that stands for what is alike at some places, and its use at each of them.

    Args:
        places: where the steps begin, from the left in each body.
        length: how many they are.
        name: the name of the block.
    """
    columns, values = _columns(places, length)
    body = [_copied(item) for item in _items(places[0], length)]
    given = [any(slot.given for slot in slots) for slots in _all_slots(places, length)]
    slots = [slot for item in body for slot in item.all_slots()]
    for slot, column, is_given in zip(slots, columns, given, strict=True):
        slot.text, slot.literal = column.expression, column.parameter is None
        slot.given = is_given or column.parameter is not None
    parameters = [Parameter(parameter, _default(texts, places, length)) for parameter, texts in values.items()]
    parameters.sort(key=lambda parameter: parameter.default is not None)
    uses: list[Item] = []
    for index, place in enumerate(places):
        given_here = [
            Slot(
                one.name,
                values[one.name][index],
                given=values[one.name][index] != one.default,
                plain=one.default is None,
                literal=_is_literal(place, length, values[one.name][index]),
            )
            for one in parameters
        ]
        spoken = place.body[place.start + length - 1].spoken
        uses.append(Item(name, given_here, breaks=True, spoken=spoken))
    return Block(name, parameters, body), uses


def _all_slots(places: list[Place], length: int) -> list[tuple[Slot, ...]]:
    rows = [[slot for item in _items(place, length) for slot in item.all_slots()] for place in places]
    return list(zip(*rows, strict=True))


def _is_literal(place: Place, length: int, text: str) -> bool:
    return all(slot.literal for item in _items(place, length) for slot in item.all_slots() if slot.text == text)


def _default(texts: list[str], places: list[Place], length: int) -> str | None:
    """The value that most uses give, where these are more than half and it means the same everywhere."""
    text, count = Counter(texts).most_common(1)[0]
    return text if 2 * count > len(texts) and all(_is_literal(place, length, text) for place in places) else None


def _copied(item: Item) -> Item:
    return replace(
        item,
        slots=[replace(slot) for slot in item.slots],
        bodies=[[_copied(inner) for inner in body] for body in item.bodies],
    )


_JOINS = {
    "shortcut add": "residual", "shortcut concat": "growing", "shortcut multiply": "gated", "branch add": "residual",
    "branch concat": "branches",
}  # fmt: skip
"""What blocks are called whose bodies join, by how they join."""


def _name(body: Body) -> str:
    """A name for a block, after what stands in it."""
    braced = [item for item in body if item.bodies]
    if braced:
        return _JOINS.get(braced[0].head, braced[0].head.replace(" ", "_"))
    words = [(item.head in NAMES and NAMES[item.head].nickname) or item.head.lower() for item in body]
    return "_".join(words[:3] if len(words) < 5 else [*words[:2], "block"])


# ---------------------------------------------------------------------------------------------- loops


def _loop(body: Body) -> None:
    """Put loops in the place of steps that follow one another and are the same."""
    for item in body:
        for inner in item.bodies:
            _loop(inner)
    start = 0
    while start < len(body):
        length, times = _run(body, start)
        if times > 1:
            part = body[start : start + length]
            loop = Item(f"repeat {times}", [], [part], is_loop=True)
            body[start : start + length * times] = [loop]
        start += 1


def _run(body: Body, start: int) -> tuple[int, int]:
    """The steps from a place on that are repeated, and how often; those that spare most."""
    best = (1, 1)
    for length in range(1, min(6, (len(body) - start) // 2) + 1):
        first = [_written(item) for item in body[start : start + length]]
        times = 1
        while True:
            place = start + times * length
            following = body[place : place + length]
            if [_written(item) for item in following] != first:
                break
            times += 1
        usable = all(item.free and not item.tail for item in body[start : start + length * times])
        if usable and times > 1 and length * (times - 1) > best[0] * (best[1] - 1):
            best = (length, times)
    return best


def _written(item: Item) -> tuple[object, ...]:
    """All that is written of a step."""
    return (item.call, item.tail, item.joint, tuple(tuple(map(_written, body)) for body in item.bodies))
