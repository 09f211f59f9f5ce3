"""Expressions of a model for people and for programs: a table, Markdown, data."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import Any

from specdsl.backends.table import Cell, Column, Line, fitted, side_by_side, styled, wrapped
from specdsl.backends.words import local_name
from specdsl.declaration import Declaration, text
from specdsl.graph import SEPARATOR
from specdsl.symbolic.model import Formula, Symbolic, SymbolicLayer
from specdsl.traced.algebra import text_of
from specdsl.traced.numbers import Traced, expression_of

SCHEMA = 1
"""The version of the form of `to_dict`. A version only ever gains keys."""

TITLES = {
    "params": "Parameters",
    "trainable": "  trainable",
    "non_trainable": "  non-trainable",
    "macs": "MACs",
    "flops": "FLOPs",
}


def value_text(value: Any) -> str:
    """A value as the language writes it, a traced number as its expression."""
    if type(value) is Traced:
        return text_of(expression_of(value))
    if isinstance(value, list | tuple):
        inner = ", ".join(map(value_text, value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(value) == 1)})"
    return text(value)


def shape_text(shape: tuple[Formula, ...]) -> str:
    """A shape whose sizes are expressions."""
    inner = ", ".join("none" if size.expression is None else str(size) for size in shape)
    return f"({inner}{',' * (len(shape) == 1)})"


def holding(found: Symbolic) -> str:
    """What has to hold, in a sentence."""
    parts = [f"{name} = {text(value)}" for name, value in found.decided.items()]
    parts += map(str, found.conditions)
    return "; ".join(parts) or "always"


def notes(found: Symbolic) -> Iterator[str]:
    """What else there is to say of the expressions, a sentence each."""
    for name, value in found.decided.items():
        yield (
            f"'{name}' decides what the model is made of, or is used as a plain number: "
            f"the expressions are for {name} = {text(value)} alone. `--set {name}=...` starts elsewhere."
        )
    if found.checked:
        places = " and ".join(
            ", ".join(f"{name} = {text(value)}" for name, value in values.items()) for values in found.checked
        )
        yield f"Compared with the count itself at {places}."
    if any(str(layer.times) != "1" for layer in found.layers):
        yield "Rounds of a loop that are alike stand there once, with how many there are."


def to_text(found: Symbolic, width: int) -> str:
    """The expressions for a terminal of `width` columns, with the codes of terminal styles."""
    return "\n".join(line.rstrip() for line in _lines(found, width)) + "\n"


def _lines(found: Symbolic, width: int) -> Iterator[str]:
    values = ", ".join(f"{name}={text(value)}" for name, value in found.values.items() if name not in found.open)
    head = f"{styled(found.model, 'bold')} in {', '.join(found.open) or 'numbers'}"
    if values and len(f"{found.model} in {', '.join(found.open)}  ({values})") > width:
        yield head
        yield from wrapped(f"({values})", width, initial_indent="  ", subsequent_indent="  ")
    else:
        yield f"{head}  ({values})" if values else head
    yield ""
    rows = list(_rows(found))
    wide, narrow = (
        [Column("Layer", least=name), Column("Output"), *(Column(one, least=least) for one in ("Parameters", "MACs"))]
        for name, least in ((28, 20), (24, 16))
    )
    for row in side_by_side(wide, rows, width) or fitted(narrow, rows, width):
        yield from row
    yield ""
    totals = [(TITLES[name], str(formula)) for name, formula in found.totals.items()]
    for title, told in [*totals, ("Holds while", holding(found))]:
        beside = 17 if width >= 60 else 4
        shown = styled(title if beside == 4 else f"{title:<15}", "" if title.startswith(" ") else "bold")
        lines = wrapped(told, width - beside)
        if beside == 4:
            yield shown
        else:
            yield f"{shown}  {lines.pop(0) if lines else ''}"
        yield from (f"{'':{beside}}{line}" for line in lines)
    yield ""
    for note in notes(found):
        yield from (styled(line, "dim") for line in wrap(note, width))


def _rows(found: Symbolic) -> Iterator[list[Cell]]:
    graph, scope, level = found.graph, "", 0
    known = {"": "1"}  # how many there are of each block instance
    for layer in found.layers:
        node = layer.node
        if node.scope != scope:
            already = {instance.name for instance in graph.enclosing(scope)}
            for instance in reversed([one for one in graph.enclosing(node.scope) if one.name not in already]):
                indent = "  " * sum(1 for _ in graph.enclosing(instance.parent))
                local = instance.name[len(instance.parent) + len(SEPARATOR) :] if instance.parent else instance.name
                told = ", ".join(f"{name}={value_text(value)}" for name, value in instance.arguments.items())
                lines = [Line(f"{indent}{local}", "bold")] + ([Line(f"{indent}({told})", "dim")] if told else [])
                known[instance.name] = str(layer.times)
                if known[instance.name] != known[instance.parent]:
                    lines.append(Line(f"{indent}{_times(layer)}", "cyan"))
                yield [lines, [], [], []]
            scope, level = node.scope, sum(1 for _ in graph.enclosing(node.scope))
        indent = "  " * level
        name = [Line(f"{indent}{local_name(node)}")]
        if str(layer.times) != known[node.scope]:
            name.append(Line(f"{indent}{_times(layer)}", "cyan"))
        amounts = [[Line(str(one), "dim" if one == Formula(0) else "")] for one in (layer.params, layer.macs)]
        yield [name, [Line(shape_text(shape)) for shape in layer.shapes], *amounts]


def _times(layer: SymbolicLayer) -> str:
    told = str(layer.times)
    return f"× ({told})" if " " in told else f"× {told}"


def to_markdown(found: Symbolic) -> str:
    """The expressions as Markdown."""
    lines = [f"## {found.model} in {', '.join(found.open) or 'numbers'}", ""]
    lines += ["| Layer | How many | Output | Parameters | MACs |", "| --- | --- | --- | --- | --- |"]
    for layer in found.layers:
        shapes = " ".join(f"`{shape_text(shape)}`" for shape in layer.shapes)
        lines.append(f"| `{layer.node.name}` | {layer.times} | {shapes} | {layer.params} | {layer.macs} |")
    lines += ["", "| Total | |", "| --- | --- |"]
    lines += [f"| {TITLES[name].strip()} | {formula} |" for name, formula in found.totals.items()]
    lines += [f"| Holds while | {holding(found)} |", ""]
    return "\n".join([*lines, *notes(found), ""])


def to_dict(found: Symbolic) -> dict[str, Any]:
    """The expressions as plain data: the contract of `--format json`. Expressions are texts."""
    return {
        "schema": SCHEMA,
        "model": found.model,
        "open": list(found.open),
        "values": {name: _plain(value) for name, value in found.values.items()},
        "decided": {name: _plain(value) for name, value in found.decided.items()},
        "conditions": list(map(str, found.conditions)),
        "checked": [dict(values) for values in found.checked],
        "totals": {name: str(formula) for name, formula in found.totals.items()},
        "layers": [
            {
                "name": layer.node.name,
                "times": str(layer.times),
                "shapes": [[None, *(None if size.expression is None else str(size) for size in shape)]
                           for shape in layer.shapes],
                "params": str(layer.params),
                "macs": str(layer.macs),
                "flops": str(layer.flops),
            }
            for layer in found.layers
        ],
    }  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Declaration) else value
