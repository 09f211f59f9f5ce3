"""Blocks as the names of layers tell them: `conv_bn_1-conv2d` is the layer `conv2d` in the instance `conv_bn_1`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from string import ascii_lowercase
from typing import NamedTuple

from specdsl.graph import SEPARATOR
from specdsl.importing.folding import Block, Body, Place, Shapes, abstracted
from specdsl.importing.items import Item
from specdsl.importing.renaming import writable
from specdsl.resolve.naming import Names


class _Instance(NamedTuple):
    """Steps in a row in one instance: their place, how many they are, the name of the instance."""

    place: Place
    length: int
    name: str

    @property
    def last(self) -> Item:
        """The last of the steps."""
        return self.place.body[self.place.start + self.length - 1]


class _Group(NamedTuple):
    """Instances that are alike but for values, and the block that they are of."""

    instances: list[_Instance]
    block: str


def with_instances(models: Sequence[Sequence[Body]], taken: set[str]) -> list[Block]:
    """Put blocks in the place of the steps of their instances; the blocks, each behind those that it uses.

    Instances that are alike but for values are of one block, which is called as most of them are. Steps of an instance
    that stand apart get other names by this: it is for the caller to compare what the text makes.

    Args:
        models: the chains of each model, which are changed.
        taken: names that blocks cannot have; those that they get are added.
    """
    blocks: list[Block] = []
    while depth := max(map(_depth, (body for model in models for body in model)), default=0):
        found = [[one for body in model for one in _instances(body, depth)] for model in models]
        taken |= {one.name for instances in found for one in instances if one.last.spoken}
        groups = _groups([one for instances in found for one in instances], taken)
        called = {id(one.place): group.block for group in groups for one in group.instances}
        tails = {id(one.place): tail for instances in found for one, tail in _tails(instances, called)}
        used: dict[int, Item] = {}
        for group in groups:
            block, uses = abstracted([one.place for one in group.instances], group.instances[0].length, group.block)
            blocks.append(block)
            for one, use in zip(group.instances, uses, strict=True):
                use.name, use.tail = one.name, tails[id(one.place)]
                used[id(one.place)] = use
        for one in (one for instances in found for one in reversed(instances)):
            one.place.body[one.place.start : one.place.start + one.length] = [used[id(one.place)]]
    return blocks


def _depth(body: Body) -> int:
    """How many instances a step of a body is in, one within the other, at the most."""
    within = (_depth(inner) for item in body for inner in item.bodies)
    return max([item.name.count(SEPARATOR) for item in body] + list(within), default=0)


def _scope(name: str) -> str:
    return name.rpartition(SEPARATOR)[0]


def _instances(body: Body, depth: int) -> Iterator[_Instance]:
    """The instances at a depth whose steps stand in a body or in the braces within, in the order of the text."""
    start = 0
    while start < len(body):
        name = body[start].name
        end = start + 1
        if name.count(SEPARATOR) == depth:
            while (
                end < len(body) and body[end].name.count(SEPARATOR) == depth and _scope(body[end].name) == _scope(name)
            ):
                end += 1
            yield _Instance(Place(body, start), end - start, _scope(name))
        else:
            for inner in body[start].bodies:
                yield from _instances(inner, depth)
        start = end


def _groups(instances: list[_Instance], taken: set[str]) -> list[_Group]:
    """Instances by what stands in them, each group with the name of a block."""
    shapes = Shapes(tails=True)
    alike: dict[tuple[int, ...], list[_Instance]] = {}
    for one in instances:
        steps = one.place.body[one.place.start : one.place.start + one.length]
        alike.setdefault(tuple(map(shapes.number, steps)), []).append(one)
    groups: list[_Group] = []
    for group in alike.values():
        stems = Counter(re.sub(r"_\d+$", "", one.name.rpartition(SEPARATOR)[2]) for one in group)
        (stem, _), *_ = stems.most_common(1)
        groups.append(_Group(group, _free(stem, taken)))
        taken.add(groups[-1].block)
    return groups


def _free(stem: str, taken: set[str]) -> str:
    """A name for a block: the stem, or one with a letter behind it, since numbers are for instances."""
    wanted = (stem, *(f"{stem}_{letter}" for letter in ascii_lowercase[1:]))
    names = (writable(one, (), begins=True) for one in wanted)
    return next((name for name in names if name not in taken), None) or writable(
        f"{stem}_z{len(taken)}", taken, begins=True
    )


def _tails(instances: list[_Instance], called: dict[int, str]) -> Iterator[tuple[_Instance, str]]:
    """What the text says behind each instance of one model: its name, where it would get another one by itself."""
    names = Names()
    for one in instances:
        scope, local = _scope(one.name), one.name.rpartition(SEPARATOR)[2]
        block = called[id(one.place)]
        given = (one.last.spoken and not scope) or names.would_be(scope, block) != one.name
        names.unique(scope, local if given else block, given=given)
        yield one, f" as {local}" if given else ""
