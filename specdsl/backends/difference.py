"""How one model differs from another: layers added, removed and changed, and what that does to shapes and counts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Any, Literal, NamedTuple

from typing_extensions import TypedDict

from specdsl.analyses import Analysis, LayerAnalysis
from specdsl.backends.table import Cell, Column, Line, fitted, styled
from specdsl.backends.words import shapes_text, type_name
from specdsl.counts import Size, number
from specdsl.declaration import text
from specdsl.functional import models_in
from specdsl.graph import Graph, Node
from specdsl.layers import InputLayer

SCHEMA = 1
"""The version of the dictionary's form. A version only ever gains keys."""

_MARKS = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


class SideData(TypedDict):
    """A layer of one of the two models."""

    name: str
    inbound: list[str]
    output_shape: list[int | None]
    params: int
    macs: int | None


class PairData(TypedDict):
    """A value as the language writes it, in the first model and in the second."""

    before: str
    after: str


class CountData(TypedDict):
    """A number, in the first model and in the second; null where a size is unknown."""

    before: int | None
    after: int | None


class ChangeData(TypedDict):
    """A layer that is not the same in both models."""

    kind: Literal["added", "removed", "changed"]
    type: str
    before: SideData | None
    after: SideData | None
    arguments: dict[str, PairData]
    rewired: bool
    notes: list[str]


class OutputsData(TypedDict):
    """The tensors that leave, in the first model and in the second."""

    before: list[str]
    after: list[str]


class DifferenceData(TypedDict):
    """How one model differs from another, as `diff --format json` writes it."""

    schema: int
    before: str
    after: str
    different: bool
    changes: list[ChangeData]
    unchanged: int
    outputs: OutputsData
    totals: dict[str, CountData]


class Change(NamedTuple):
    """A layer that is not the same in both models.

    Attributes:
        kind: "added", "removed" or "changed".
        before: the layer in the first model, None for one that is added.
        after: the layer in the second model, None for one that is removed.
        arguments: for a layer of the same class in both, the arguments that differ: before and after.
        rewired: whether it takes other tensors than before, not counting those that were added or removed.
        notes: what else is not as before.
    """

    kind: Literal["added", "removed", "changed"]
    before: LayerAnalysis | None
    after: LayerAnalysis | None
    arguments: dict[str, tuple[Any, Any]]
    rewired: bool = False
    notes: tuple[str, ...] = ()


class Difference:
    """How one model differs from another; false when it does not.

    Attributes:
        before: the first model.
        after: the second model.
        changes: the layers that are not the same in both, in the order of the text.
        unchanged: the number of layers that are.
        outputs_differ: whether other tensors leave, or in another order.
    """

    def __init__(self, before: Analysis, after: Analysis) -> None:
        self.before = before
        self.after = after
        pairs = list(_pairs(before, after))
        self.changes = tuple(change for change in _changes(pairs, (before.graph, after.graph)) if change)
        same = {one.node.name: two.node.name for one, two in pairs if one and two}
        mapped = tuple(replace(tensor, node=same.get(tensor.node, "")) for tensor in before.graph.outputs)
        self.outputs_differ = mapped != after.graph.outputs and (
            len(mapped) != len(after.graph.outputs) or len(mapped) > 1 or _outputs(before) != _outputs(after)
        )
        kept = sum(1 for _, after in pairs if after and _counts(after)) - sum(
            1 for change in self.changes if change.kind != "removed" and change.after and _counts(change.after)
        )
        self.unchanged = kept

    def __bool__(self) -> bool:
        return bool(self.changes) or self.outputs_differ

    def totals(self) -> list[tuple[str, Size, Size]]:
        """What is counted of a model, before and after."""
        names = ("layers", "params", "trainable", "non_trainable", "macs", "flops", "depth")
        return [(name, getattr(self.before.totals, name), getattr(self.after.totals, name)) for name in names]

    def to_dict(self) -> DifferenceData:
        """The difference as plain data: the contract of `--format json`."""
        return {
            "schema": SCHEMA,
            "before": self.before.graph.name,
            "after": self.after.graph.name,
            "different": bool(self),
            "changes": [_plain(change) for change in self.changes],
            "unchanged": self.unchanged,
            "outputs": {
                "before": list(map(str, self.before.graph.outputs)),
                "after": list(map(str, self.after.graph.outputs)),
            },
            "totals": {name: {"before": before, "after": after} for name, before, after in self.totals()},
        }

    def to_markdown(self) -> str:
        """The difference as Markdown."""
        lines = [f"## {self.before.graph.name} → {self.after.graph.name}", ""]
        if self.changes:
            lines += [
                "| | Layer | Type | Output | Parameters | MACs | |",
                "| --- | --- | --- | --- | ---: | ---: | --- |",
            ]
            lines += [
                f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in _row(one))} |" for one in self.changes
            ]
            lines.append("")
        lines += [
            f"Layers that are the same in both: {self.unchanged}.",
            *([f"Outputs: {_listed(self.before)} → {_listed(self.after)}."] if self.outputs_differ else []),
            "",
            "| | before | after |",
            "| --- | ---: | ---: |",
        ]
        lines += [f"| {name} | {number(before)} | {number(after)} |" for name, before, after in self.totals()]
        return "\n".join([*lines, ""])

    def __str__(self) -> str:
        return re.sub(r"\x1b\[\d+m", "", self.to_text())

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        return self.to_markdown()

    def to_text(self, width: int = 100) -> str:
        """The difference as a table of at most `width` columns, with terminal styles."""
        return "\n".join(self._lines(width)) + "\n"

    def _lines(self, width: int) -> Iterator[str]:
        yield styled(f"{self.before.graph.name} → {self.after.graph.name}", "bold")
        yield ""
        if self.changes:
            rows: list[list[Cell]] = []
            for change in self.changes:
                mark, *cells = _row(change)
                style = _MARKS[change.kind][1]
                rows.append([[Line(mark, style)], *([Line(cell)] for cell in cells)])
            columns = [
                Column(""), Column("Layer", least=12), Column("Type", least=10), Column("Output", least=12),
                Column("Parameters", right=True, least=11), Column("MACs", right=True, least=11), Column("", least=10),
            ]  # fmt: skip
            for row in fitted(columns, rows, width, names=3):
                yield from row
            yield ""
        same = (
            "no layer is"
            if self.unchanged == 0
            else f"{self.unchanged} layer{'s are' if self.unchanged > 1 else ' is'}"
        )
        yield styled(f"{same} the same in both", "dim")
        if self.outputs_differ:
            yield f"outputs: {_listed(self.before)} → {_listed(self.after)}"
        yield ""
        rows = [
            [[Line(name)], [Line(number(before))], [Line(number(after))], [Line(_delta(before, after), "dim")]]
            for name, before, after in self.totals()
        ]
        columns = [Column(""), Column("before", right=True), Column("after", right=True), Column("", right=True)]
        for row in fitted(columns, rows, width):
            yield from row


def _counts(layer: LayerAnalysis) -> bool:
    """Whether it is one of the layers of its model: no input, and no further use of a layer."""
    return not layer.shared and not isinstance(layer.node.layer, InputLayer)


def _pairs(before: Analysis, after: Analysis) -> Iterator[tuple[LayerAnalysis | None, LayerAnalysis | None]]:
    """The layers of both models side by side: the same ones, changed ones of the same class, and those of one alone."""
    left, right = before.layers, after.layers
    old, new = ([str(one.node.layer) for one in side] for side in (left, right))
    for kind, a, b, c, d in _opcodes(old, new):
        if kind == "equal":
            yield from zip(left[a:b], right[c:d], strict=True)
            continue
        olds, news = [type_name(one.node) for one in left[a:b]], [type_name(one.node) for one in right[c:d]]
        for inner, e, f, g, h in _opcodes(olds, news):
            if inner == "equal":
                yield from zip(left[a + e : a + f], right[c + g : c + h], strict=True)
            else:
                yield from ((one, None) for one in left[a + e : a + f])
                yield from ((None, one) for one in right[c + g : c + h])


def _opcodes(old: list[str], new: list[str]) -> Iterator[tuple[str, int, int, int, int]]:
    """What `SequenceMatcher` says, which is only asked of what lies between the common ends."""
    start = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    rest = min(len(old), len(new)) - start
    tails = enumerate(zip(reversed(old), reversed(new), strict=False))
    end = min(rest, next((i for i, (a, b) in tails if a != b), rest))
    if start:
        yield "equal", 0, start, 0, start
    middle = SequenceMatcher(None, old[start : len(old) - end], new[start : len(new) - end], autojunk=False)
    for kind, a, b, c, d in middle.get_opcodes():
        yield kind, a + start, b + start, c + start, d + start
    if end:
        yield "equal", len(old) - end, len(old), len(new) - end, len(new)


def _changes(
    pairs: list[tuple[LayerAnalysis | None, LayerAnalysis | None]], graphs: tuple[Graph, Graph]
) -> Iterator[Change | None]:
    """For each pair its change, None where nothing changed."""
    same = {before.node.name: after.node.name for before, after in pairs if before and after}
    kept = set(same.values())
    for before, after in pairs:
        if before is None or after is None:
            yield Change("added" if after else "removed", before, after, {})
            continue
        old, new = before.node.layer, after.node.layer
        was, now = old.settings(), new.settings()
        arguments = {name: (was.get(name), now.get(name)) for name in was | now if was.get(name) != now.get(name)}
        old_inputs = [replace(one, node=same[one.node]) for one in before.node.sources if one.node in same]
        new_inputs = [one for one in after.node.sources if one.node in kept]
        whole = len(old_inputs) == len(before.node.sources) and len(new_inputs) == len(after.node.sources)
        rewired = whole and old_inputs != new_inputs
        arguments |= _options(before.node, after.node)
        first, other = (graph.first_uses[one.node.owner] for graph, one in ((graphs[0], before), (graphs[1], after)))
        notes = [] if same.get(first) == other else ["has other weights"]
        told = {name: pair for name, pair in arguments.items() if text(pair[0]) != text(pair[1])}
        if old != new and len(told) < max(1, len(arguments)) and any(models_in(old)):
            notes.append("its model differs within")
        arguments = told
        shapes = before.node.shapes != after.node.shapes or before.params != after.params or before.macs != after.macs
        different = arguments or rewired or shapes or notes
        yield Change("changed", before, after, arguments, rewired, tuple(notes)) if different else None


def _options(before: Node, after: Node) -> dict[str, tuple[Any, Any]]:
    """The flags of the two calls that differ."""
    names = [name for name, kind in before.layer.options.items() if kind == "flag"]
    pairs = ((name, before.options.get(name), after.options.get(name)) for name in names)
    return {name: (old, new) for name, old, new in pairs if old != new}


def _row(change: Change) -> list[str]:
    """A change in words: mark, name, type, shape, parameters, MACs, arguments."""
    one = change.after or change.before
    assert one is not None
    sides = [side for side in (change.before, change.after) if side]
    shapes, params, macs = (
        list(dict.fromkeys(values))
        for values in (
            (shapes_text(side.node) for side in sides),
            (number(side.params) for side in sides),
            (number(side.macs.value) for side in sides),
        )
    )
    told = [f"{name} {text(old)} → {text(new)}" for name, (old, new) in change.arguments.items()]
    if change.kind != "changed":
        flags = {name: value for name, value in one.node.options.items() if isinstance(value, bool)}
        told = [f"{name} {text(value)}" for name, value in (one.node.layer.arguments() | flags).items()]
    if change.rewired:
        told.append("takes other tensors")
    told += change.notes
    cells = [
        one.node.name,
        type_name(one.node),
        " → ".join(shapes),
        " → ".join(params),
        " → ".join(macs),
        ", ".join(told),
    ]
    return [_MARKS[change.kind][0], *cells]


def _plain(change: Change) -> ChangeData:
    def side(layer: LayerAnalysis | None) -> SideData | None:
        if layer is None:
            return None
        return {
            "name": layer.node.name,
            "inbound": list(map(str, layer.node.sources)),
            "output_shape": [None, *layer.node.shape],
            "params": layer.params,
            "macs": layer.macs.value,
        }

    one = change.after or change.before
    assert one is not None
    return {
        "kind": change.kind,
        "type": type_name(one.node),
        "before": side(change.before),
        "after": side(change.after),
        "arguments": {name: {"before": text(old), "after": text(new)} for name, (old, new) in change.arguments.items()},
        "rewired": change.rewired,
        "notes": list(change.notes),
    }


def _outputs(analysis: Analysis) -> tuple[tuple[Size, ...], ...]:
    return analysis.graph.output_shapes


def _listed(analysis: Analysis) -> str:
    return ", ".join(map(str, analysis.graph.outputs))


def _delta(before: Size, after: Size) -> str:
    if before is None or after is None or before == after:
        return ""
    return f"{after - before:+,}"
