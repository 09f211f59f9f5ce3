"""A model with parameters left open: its text is carried out with numbers that know where they come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from specdsl.analyses import analyse, analyse_layer
from specdsl.diagnostics import Diagnostic, Slug, SpecError
from specdsl.graph import Graph, Node
from specdsl.resolve import Program
from specdsl.symbolic.conditions import simplified
from specdsl.traced.algebra import Atom, Polynomial, evaluate, mentioned, text_of
from specdsl.traced.conditions import Condition, Trace
from specdsl.traced.numbers import expression_of, traced

QUANTITIES = ("params", "trainable", "non_trainable", "macs", "flops")
"""What is worked out as expressions."""

CHECKS = 3
"""How many other values of the parameters the expressions are compared at with the count itself."""


class Formula:
    """A quantity as an expression in parameters."""

    def __init__(self, expression: Any) -> None:
        self.expression = expression

    def __call__(self, **values: Any) -> int | None:
        """Its value, where parameters have these values; None where it depends on a size unknown until run time."""
        value: int | None = evaluate(self.expression, values)
        return value

    @property
    def names(self) -> frozenset[str]:
        """The parameters that it depends on."""
        return frozenset(mentioned(self.expression))

    def __str__(self) -> str:
        if self.expression is None:
            return "?"
        return f"{self.expression:,}" if isinstance(self.expression, int) else text_of(self.expression)

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Formula) and self.expression == other.expression

    def __hash__(self) -> int:
        return hash(self.expression)


@dataclass(frozen=True)
class SymbolicLayer:
    """One layer, or the layers of all rounds of a loop that are like it.

    Attributes:
        node: the layer in the graph of the values that the model was carried out with.
        shapes: the shapes of its outputs, their sizes expressions.
        times: how many such layers there are.
        params: the parameters of one of them.
        macs: the multiply-accumulates of one of them.
        flops: the floating-point operations of one of them.
    """

    node: Node
    shapes: tuple[tuple[Formula, ...], ...]
    times: Formula
    params: Formula
    macs: Formula
    flops: Formula


@dataclass(frozen=True)
class Symbolic:
    """A model with some of its parameters left open.

    Attributes:
        model: its name.
        values: the values of all its parameters that it was carried out with.
        open: the parameters that are left open.
        decided: those that should be, and on which the expressions cannot be right for more than one value.
        conditions: what has to hold for the expressions to be right; where it does, the model is valid.
        layers: layer by layer.
        totals: params, trainable, non_trainable, macs and flops of the whole model.
        checked: the other values at which the expressions were compared with the count itself.
    """

    model: str
    values: Mapping[str, Any]
    open: tuple[str, ...]
    decided: Mapping[str, Any]
    conditions: tuple[Condition, ...]
    layers: tuple[SymbolicLayer, ...]
    totals: Mapping[str, Formula]
    graph: Graph
    checked: tuple[Mapping[str, Any], ...] = ()

    def holds(self, **values: Any) -> bool:
        """Whether the expressions are known to be right at these values of the open parameters."""
        return all(condition.holds(values) for condition in self.conditions)

    @property
    def params(self) -> Formula:
        """The parameters of the model."""
        return self.totals["params"]

    @property
    def macs(self) -> Formula:
        """Its multiply-accumulates for one example."""
        return self.totals["macs"]

    @property
    def flops(self) -> Formula:
        """Its floating-point operations for one example, in inference."""
        return self.totals["flops"]

    def to_text(self, width: int = 100) -> str:
        """The expressions as a table of at most `width` columns where that can be, with terminal styles."""
        from specdsl.symbolic.shown import to_text

        return to_text(self, width)

    def to_markdown(self) -> str:
        """The expressions as Markdown."""
        from specdsl.symbolic.shown import to_markdown

        return to_markdown(self)

    def to_dict(self) -> dict[str, Any]:
        """The expressions as plain data."""
        from specdsl.symbolic.shown import to_dict

        return to_dict(self)

    def to_json(self) -> str:
        """The expressions as JSON."""
        import json

        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"

    def __str__(self) -> str:
        import re

        return re.sub(r"\x1b\[\d+m", "", self.to_text())

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        return self.to_markdown()


def symbolic(
    program: Program, names: Sequence[str], model: str | None = None, values: Mapping[str, Any] | None = None
) -> Symbolic:
    """A model with some of its parameters left open.

    Args:
        program: the definitions of its text.
        names: the parameters to leave open.
        model: its name, by default the file's only or last one.
        values: values for parameters. Those left open have one too, their default otherwise: the expressions follow the
            way that the text takes there, and their conditions say for which others it is the same.

    Raises:
        SpecError: there is no such model or parameter, the model is not valid at these values, or what a parameter is
            to leave open is no number.
    """
    model = model or program.default_model()
    given = dict(values or {})
    known = program.graph(model, given).parameters
    start = {name: known[name] for name in names if name in known}
    for name in names:
        if name not in start:
            program.graph(model, {**given, name: 1})  # says that there is no such parameter, and which there are
        if isinstance(start[name], bool) or not isinstance(start[name], int | float):
            message = f"'{name}' is {_kind(start[name])}: only a number can be left open"
            raise SpecError([Diagnostic(Slug.BAD_VALUE, message)])
    decided: dict[str, Any] = {}
    while True:
        left = {name: value for name, value in start.items() if name not in decided}
        trace, graph, layers, totals = _carried_out(program, model, {**given, **decided}, left)
        more = _decided(trace.conditions, left)
        if not more:
            break
        decided |= more
    conditions = simplified(trace.conditions)
    found = Symbolic(model, known, tuple(left), decided, conditions, layers, totals, graph)
    checked = tuple(_checks(program, found, given, decided, left))
    return Symbolic(model, known, tuple(left), decided, conditions, layers, totals, graph, checked)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    return "a string" if isinstance(value, str) else "a list" if isinstance(value, list | tuple) else "no number"


def _carried_out(
    program: Program, model: str, fixed: Mapping[str, Any], start: Mapping[str, Any]
) -> tuple[Trace, Graph, tuple[SymbolicLayer, ...], dict[str, Formula]]:
    with traced(start) as (trace, values):
        graph = program.graph(model, {**fixed, **values})
        layers: list[SymbolicLayer] = []
        sums: dict[str, Any] = dict.fromkeys(QUANTITIES, 0)
        for node in graph.nodes:
            counted = _counted(graph, node)
            times = trace.times(node)
            for name in QUANTITIES:
                one, so_far = counted[name], sums[name]
                sums[name] = None if one is None or so_far is None else so_far + times * one
            shapes = tuple(tuple(map(_formula, shape)) for shape in node.shapes)
            told = (_formula(counted[name]) for name in ("params", "macs", "flops"))
            layers.append(SymbolicLayer(node, shapes, _formula(times), *told))
        totals = {name: _formula(value) for name, value in sums.items()}
    return trace, graph, tuple(layers), totals


def _counted(graph: Graph, node: Node) -> dict[str, Any]:
    """The quantities of one layer."""
    layer = analyse_layer(graph, node, within=False)
    counts = (layer.params, layer.trainable, layer.non_trainable, layer.macs.value, layer.flops)
    return dict(zip(QUANTITIES, counts, strict=True))


def _formula(value: Any) -> Formula:
    return Formula(expression_of(value))


def _decided(conditions: Iterable[Condition], start: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that are assumed to have one value."""
    found: dict[str, Any] = {}
    for condition in conditions:
        left = condition.left.atom if isinstance(condition.left, Polynomial) else condition.left
        if condition.sign == "==" and isinstance(left, Atom) and left.function is None:
            found[left.name] = start[left.name]
    return found


def _checks(
    program: Program, found: Symbolic, given: Mapping[str, Any], decided: Mapping[str, Any], left: Mapping[str, Any]
) -> Iterable[Mapping[str, Any]]:
    """Other values at which the expressions hold and are what the analysis counts, or else the compiler is at fault."""
    number = 0
    seen: list[Mapping[str, Any]] = []
    for values in (left, *_others(left)):
        if number > CHECKS or not left:
            return
        if values in seen:
            continue
        seen.append(values)
        if not found.holds(**values):
            continue
        try:
            totals = analyse(program.graph(found.model, {**given, **decided, **values})).totals
        except SpecError as error:
            if error.diagnostics[0].slug is Slug.LIMIT:
                continue
            raise AssertionError(f"{found.model} is not valid at {values}, where the conditions hold") from error
        for name, formula in found.totals.items():
            assert formula(**values) == getattr(totals, name), f"{name} of {found.model} is wrong at {values}"
        if number:
            yield values
        number += 1


def _others(start: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Values near and far from those at which a model was carried out."""
    for factor, summand in ((1, 1), (2, 0), (1, 8), (3, 1), (4, 0), (1, -1)):
        yield {name: factor * value + summand for name, value in start.items()}
    yield {name: value // 2 for name, value in start.items()}
    for name, value in start.items():
        yield {**start, name: value + 1}
        yield {**start, name: 2 * value}
