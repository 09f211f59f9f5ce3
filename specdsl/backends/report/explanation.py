"""A model in prose: what enters each layer, what it does, what leaves, and why it has as many parameters as it has.

Every sentence follows from the declaration of a layer: its documentation, its arguments, `account` for the sizes,
`role` for the weights, `work` for the multiply-accumulates, `modes` for training and inference. What is repeated is
told once: the class of a layer, a block with other numbers, and a run of equal layers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Any, NamedTuple

from specdsl.analyses import Analysis, LayerAnalysis
from specdsl.backends.report.columns import derivation
from specdsl.backends.report.rows import Row, block_name, own_rows
from specdsl.backends.report.totals import CONVENTIONS
from specdsl.backends.table import styled
from specdsl.backends.words import local_name, option_text, type_name
from specdsl.declaration import text
from specdsl.functional import Functional
from specdsl.graph import Scope
from specdsl.layers import InputLayer, Modes
from specdsl.layers.shapes import show

LONGEST_RUN = 12
"""The most layers and blocks that are looked at as one turn of a repetition."""

WIDEST = 100
"""Columns of running text at most."""


class Piece(NamedTuple):
    """A heading, a paragraph or an item of a list. Names and formulas stand between backticks.

    Attributes:
        kind: "heading", "text" or "item".
        text: the words.
        level: how many headings a heading stands under.
    """

    kind: str
    text: str
    level: int = 0


def to_markdown(analysis: Analysis) -> str:
    """The explanation as Markdown."""
    lines: list[str] = []
    before = ""
    for piece in pieces(analysis):
        if lines and not (piece.kind == before == "item"):
            lines.append("")
        before = piece.kind
        mark = {"heading": "#" * (piece.level + 2) + " ", "item": "- "}.get(piece.kind, "")
        lines.append(f"{mark}{piece.text}")
    return "\n".join([*lines, ""])


def to_text(analysis: Analysis, width: int) -> str:
    """The explanation for a terminal of `width` columns, with the codes of terminal styles."""
    lines: list[str] = []
    width = min(width, WIDEST)
    before = ""
    for piece in pieces(analysis):
        if lines and not (piece.kind == before == "item"):
            lines.append("")
        before = piece.kind
        plain = re.sub(r"`([^`]*)`", r"\1", piece.text)
        if piece.kind == "heading":
            lines += [styled(line, "bold") for line in wrap(plain, width, break_on_hyphens=False)]
            continue
        first, rest = ("- ", "  ") if piece.kind == "item" else ("", "")
        lines += wrap(plain, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
    return "\n".join([*lines, ""])


def pieces(analysis: Analysis) -> Iterator[Piece]:
    """The explanation, piece by piece."""
    graph, totals = analysis.graph, analysis.totals
    yield Piece("heading", f"`{graph.name}`")
    for paragraph in filter(None, graph.docstring.split("\n\n")):
        yield Piece("text", " ".join(paragraph.split()))
    entering = [f"`{node.name}` of shape {_code(node.shape)}" for node in graph.input_nodes]
    leaving = [f"`{one}` of shape {_code(graph.shape(one))}" for one in graph.outputs]
    given = ", ".join(f"`{name}={text(value)}`" for name, value in graph.parameters.items())
    yield Piece(
        "text",
        f"The model {f'with {given} ' if given else ''}takes {_listed(entering)}, and gives {_listed(leaving)}. "
        "Shapes leave out the batch axis: everything is said of one example. "
        "A layer acts in inference as in training where nothing else is said of it.",
    )
    yield from _Teller(analysis).body(0)
    yield Piece("heading", "In all", 1)
    parts = f"`{totals.trainable:,}` that training changes by gradient and `{totals.non_trainable:,}` that it does not"
    split = f", {parts}" if totals.non_trainable and totals.trainable else ""
    if totals.params and not totals.trainable:
        split = ", none of which training changes by gradient"
    macs = "an unknown number of" if totals.macs is None else f"`{totals.macs:,}`"
    yield Piece(
        "text",
        f"The model has {_count(totals.layers, 'layer')} and {_count(totals.params, 'parameter')}{split}. "
        f"One example takes {macs} multiply-accumulates. {CONVENTIONS}",
    )


# ---------------------------------------------------------------------------------------------- what is told together


class _Unit(NamedTuple):
    """A layer, or a block instance with all that stands in it."""

    rows: tuple[Row, ...]
    scope: Scope | None

    @property
    def name(self) -> str:
        """What it is called where it stands."""
        return block_name(self.scope) if self.scope else local_name(self.rows[0].node)

    @property
    def params(self) -> int:
        """The parameters of its layers."""
        return sum(row.layer.params for row in self.rows)


class _Told(NamedTuple):
    """The first layer of a class: its name, and how it acts in training and in inference."""

    name: str
    modes: Modes | None


class _Teller:
    """Tells the layers of one model, and remembers what it has told."""

    def __init__(self, analysis: Analysis, within: str = "", known: dict[str, _Told] | None = None) -> None:
        self.graph = analysis.graph
        self.within = within
        self.rows = tuple(own_rows(analysis, within))
        self.places = {node.name: place for place, node in enumerate(self.graph.nodes)}
        self.classes: dict[str, _Told] = known if known is not None else {}
        """For each class that has been told, the layer that it was told of."""
        self.blocks: dict[tuple[str, ...], _Unit] = {}
        """For each block that has been told, by its name and the classes in it, the instance."""

    def body(self, level: int) -> Iterator[Piece]:
        """The pieces of all its layers."""
        yield from self._units(self.rows, "", level)

    def _units(self, rows: Sequence[Row], scope: str, level: int) -> Iterator[Piece]:
        units = list(self._split(rows, scope))
        marks = [self._mark(unit) for unit in units]
        place = 0
        while place < len(units):
            turn, times = _repetition(marks, place)
            for unit in units[place : place + turn]:
                yield from self._unit(unit, level)
            if times:
                yield self._again(units[place : place + turn * (times + 1)], turn, times)
            place += turn * (times + 1)

    def _split(self, rows: Sequence[Row], scope: str) -> Iterator[_Unit]:
        """The rows in a block instance, gathered by the instances in it."""
        gathered: list[Row] = []
        current: Scope | None = None
        for row in rows:
            inner = next((one for one in self.graph.enclosing(row.node.scope) if one.parent == scope), None)
            if row.node.scope == scope:
                inner = None
            if gathered and (inner is None or inner is not current):
                yield _Unit(tuple(gathered), current)
                gathered = []
            current = inner
            gathered.append(row)
        if gathered:
            yield _Unit(tuple(gathered), current)

    def _mark(self, unit: _Unit) -> Any:
        """What two units have in common that do the same with the same sizes; None for one that is like no other."""
        if any(isinstance(row.node.layer, InputLayer) or row.layer.shared for row in unit.rows):
            return None
        return tuple(
            (
                str(row.node.layer),
                tuple(self.graph.input_shapes(row.node)),
                row.node.shapes,
                tuple((self.places[row.node.name] - self.places[one.node], one.index) for one in row.node.sources),
            )
            for row in unit.rows
        )

    def _again(self, units: Sequence[_Unit], turn: int, times: int) -> Piece:
        first, rest = units[:turn], units[turn:]
        each = sum(unit.params for unit in first)
        said = _listed([f"`{unit.name}`" for unit in first])
        more = _range([f"`{unit.name}`" for unit in rest])
        what = f"{more} {'does' if len(rest) == 1 else 'do'} the same as {said}"
        if turn > 1:
            what = f"{said} are repeated {_times(times)}, as {more}"
        if not each:
            return Piece("text", f"{_capital(what)}.")
        owns = "with weights of its own" if times == 1 and turn == 1 else "each time with weights of their own"
        together = f" each time, `{times * each:,}` together" if times > 1 else ""
        return Piece("text", f"{_capital(what)}, {owns}: `{each:,}` parameters{together}.")

    def _unit(self, unit: _Unit, level: int) -> Iterator[Piece]:
        if unit.scope is None:
            yield from self._layer(unit.rows[0], level)
            return
        yield Piece("heading", f"The block `{self.within}{unit.scope.name}`", level + 1)
        key = (unit.scope.block, *(f"{type_name(row.node)} {row.node.scope.count('-')}" for row in unit.rows))
        told = self.blocks.get(key)
        arguments = _arguments(unit.scope.arguments)
        if told is None or told.scope is None:
            given = f", with {arguments}," if arguments else ""
            inside = _count(len(unit.rows), "layer")
            yield Piece("text", f"An instance of `{unit.scope.block}`{given} of {inside}.")
            yield from self._units(unit.rows, unit.scope.name, level + 1)
            self.blocks[key] = unit
            return
        before = told.scope.arguments
        other = {name: value for name, value in unit.scope.arguments.items() if before.get(name) != value}
        changed = [f"`{name}={text(value)}` in place of `{text(before.get(name))}`" for name, value in other.items()]
        how = f", with {_listed(changed)}" if changed else ", on tensors of other sizes or with other connections"
        yield Piece("text", f"It does the same as `{told.scope.name}`{how}:")
        for row in unit.rows:
            yield Piece("item", self._short(row, unit.scope))

    # ------------------------------------------------------------------------------------------ one layer

    def _short(self, row: Row, scope: Scope) -> str:
        """A layer of a block that has been told, in one sentence."""
        node, layer = row.node, row.layer
        name = node.name[len(scope.name) + 1 :]
        entering = _listed([_code(shape) for shape in self.graph.input_shapes(node)])
        leaving = _listed([_code(shape) for shape in node.shapes])
        said = [f"`{name}` makes {leaving} of {entering}" if entering != leaving else f"`{name}` keeps {leaving}"]
        if layer.shared:
            said.append(f"with the weights of `{node.owner}`")
        counts = [f"{_derived(layer)} parameters"] if layer.params else []
        counts += [f"{_code(layer.macs.derivation)} multiply-accumulates"] if layer.macs.terms else []
        if counts:
            said.append(f"with {_listed(counts)}")
        return f"{', '.join(said)}."

    def _layer(self, row: Row, level: int) -> Iterator[Piece]:
        """All of a layer; what its class does only where that is told the first time."""
        node = row.node
        yield Piece("heading", f"`{self.within}{node.name}`: {type_name(node)}", level + 1)
        if isinstance(node.layer, InputLayer):
            kind = "" if node.layer.dtype == "float32" else f", values of type `{node.layer.dtype}`"
            yield Piece("text", f"Here a tensor of shape {_code(node.shape)} enters the model{kind}.")
            return
        first = self.classes.get(type_name(node)) if not isinstance(node.layer, Functional) else None
        yield Piece("text", f"{self._deed(row, first)} {self._flow(row)}")
        said = (self._parameters(row, brief=bool(first)), self._work(row), self._behaviour(row))
        numbers = " ".join(filter(None, said))
        if numbers:
            yield Piece("text", numbers)
        self.classes.setdefault(type_name(node), _Told(f"{self.within}{node.name}", row.layer.modes))
        if row.layer.inner:
            inner = _Teller(row.layer.inner, f"{self.within}{node.owner}/", self.classes)
            yield from inner.body(level + 1)

    def _deed(self, row: Row, first: _Told | None) -> str:
        """What a layer does, and with which arguments."""
        node, layer = row.node, row.node.layer
        if row.layer.shared:
            return f"The layer `{node.owner}` is applied again, with the same weights."
        if isinstance(layer, Functional):
            given = _arguments(dict(layer.graph.parameters) | layer.arguments())
            return f"The model `{layer.graph.name}`{f' with {given}' if given else ''} as a layer of this one."
        arguments = _arguments(layer.arguments())
        if first:
            return f"{_article(type_name(node))}, like `{first.name}`{f', here with {arguments}' if arguments else ''}."
        does = layer.summary()
        return f"{does} Here it has {arguments}." if arguments else does

    def _flow(self, row: Row) -> str:
        """What enters, what leaves, and how the sizes come about."""
        node = row.node
        shapes = self.graph.input_shapes(node)
        entering = _listed([f"{_code(shape)} from `{one}`" for one, shape in zip(node.inputs, shapes, strict=True)])
        options = [f"`{name}={option_text(value)}`" for name, value in node.options.items()]
        call = f" The call says {_listed(options)}." if options else ""
        reason = self.graph.applied(node).account(*shapes)
        because = f": {_quoted(reason)}" if reason else ""
        if len(shapes) == 1 and node.shapes == shapes:
            return f"What enters, {entering}, leaves in the same shape{because}.{call}"
        several = "is" if len(node.shapes) == 1 else "are"
        leaving = f"What leaves {several} {_listed(list(map(_code, node.shapes)))}"
        return f"What enters {'is' if len(shapes) == 1 else 'are'} {entering}. {leaving}{because}.{call}"

    def _parameters(self, row: Row, *, brief: bool) -> str:
        """How many parameters a layer has, and why."""
        layer, node = row.layer, row.node
        if layer.shared:
            return f"It has no parameters of its own: those of `{node.owner}` are counted there."
        if not layer.weights:
            return "" if brief else "It has no parameters: there is nothing in it to learn."
        shared = [other.name for other in row.graph.nodes if other.owner == node.owner and other.name != node.name]
        also = f" They are used by {_listed([f'`{name}`' for name in shared])} too, and counted once." if shared else ""
        if layer.inner:
            frozen = "" if layer.trainable else ", none of which is trained"
            return f"It has {_count(layer.params, 'parameter')}{frozen}, those of its layers.{also}"
        parts: list[str] = []
        for weight in layer.weights:
            role = "" if brief else _quoted(node.layer.role(weight.name))
            parts.append(f"{_code(weight.count.derivation)} in `{weight.name}`{f' ({role})' if role else ''}")
        said = f"It has {_derived(layer)} {'parameter' if layer.params == 1 else 'parameters'}"
        said += f": {_listed(parts)}." if len(parts) > 1 else f", all {parts[0][parts[0].index('in `') :]}."
        still = [f"`{weight.name}`" for weight in layer.weights if not weight.trainable]
        if still and not layer.trainable:
            said += " Training changes none of them." if not node.layer.trainable else " No gradient changes them."
        elif still:
            said += f" The `{layer.non_trainable:,}` in {_listed(still)} are not changed by gradient."
        return f"{said}{also}"

    def _work(self, row: Row) -> str:
        layer = row.layer
        if not layer.macs.terms:
            return ""
        what = f": {work}" if (work := row.node.layer.work) else ""
        unknown = ", where `?` is a size unknown until run time" if layer.macs.value is None else ""
        return f"One example takes {_code(layer.macs.derivation)} multiply-accumulates{what}{unknown}."

    def _behaviour(self, row: Row) -> str:
        modes = row.layer.modes
        first = self.classes.get(type_name(row.node))
        if modes and first and first.modes == modes:
            return "In training and in inference it acts as that does."
        return f"In training it {modes.training}; in inference it {modes.inference}." if modes else ""


def _repetition(marks: Sequence[Any], place: int) -> tuple[int, int]:
    """How many units from a place on are one turn of a repetition, and how many times it is done again."""
    best = (1, 0)
    for turn in range(1, min(LONGEST_RUN, (len(marks) - place) // 2) + 1):
        pattern = marks[place : place + turn]
        if None in pattern:
            break
        times = 0
        while marks[place + turn * (times + 1) : place + turn * (times + 2)] == pattern:
            times += 1
        if turn * times > best[0] * best[1]:
            best = (turn, times)
    return best


# ---------------------------------------------------------------------------------------------- words


def _derived(layer: LayerAnalysis) -> str:
    return _code(derivation(layer))


def _code(value: Any) -> str:
    """A shape or a formula, marked as what is no word."""
    return f"`{value if isinstance(value, str) else show(value)}`"


_FORMULA = re.compile(r"[\d(?][\d\s()·/+,?-]*(?: rounded (?:up|down)[\d\s()·/+-]*)? = [\d,?]*[\d?]")


def _quoted(words: str) -> str:
    """Words with the formulas in them marked."""
    return _FORMULA.sub(lambda match: f"`{match[0]}`", words)


def _arguments(values: Any) -> str:
    return _listed([f"`{name}={text(value)}`" for name, value in values.items()])


def _listed(items: Sequence[str], separator: str = ", ") -> str:
    """`a, b and c`."""
    *most, last = items or [""]
    return f"{separator.join(most)} and {last}" if most else last


def _range(items: Sequence[str]) -> str:
    """A few by name, many by the first and the last."""
    return _listed(items) if len(items) <= 3 else f"{items[0]} to {items[-1]}"


def _times(number: int) -> str:
    return {1: "once more", 2: "twice more"}.get(number, f"{number} times more")


def _count(amount: int, what: str) -> str:
    return f"`{amount:,}` {what}{'' if amount == 1 else 's'}"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _article(name: str) -> str:
    return f"{'An' if name[0] in 'AEIOU' else 'A'} {name}"
