"""The analysis of a model for people and for programs: a table, Markdown, a dictionary."""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from specdsl.analyses import Analysis, LayerAnalysis, peak_activation_bytes, receptive_field
from specdsl.backends.table import Cell, Column, Line, layout, styled
from specdsl.counts import number
from specdsl.declaration import Declaration, snake_case, text
from specdsl.functional import Functional
from specdsl.graph import SEPARATOR, Graph, Node, Option, Tensor
from specdsl.layers import InputLayer, Layer, Modes, Shape
from specdsl.layers.base import show

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

SCHEMA = 1
"""The version of the dictionary's form. A version only ever gains keys."""

ROOMY = 104
"""Columns from which the table shows types and connections in columns of their own."""

CONVENTIONS = (
    "MACs are the multiply-accumulates of convolutions and matrix products for one example; "
    "additions of a bias, pooling, normalisation and activations are not counted. "
    "FLOPs count them in inference, one for each operation or function of a value, and two for each MAC."
)


class Report:
    """The analysis of a model, ready to be shown: on a terminal, in a notebook, as a dictionary."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis

    def to_dict(self) -> dict[str, Any]:
        """Everything that the report knows, as plain data; a batch axis is None."""
        return to_dict(self.analysis)

    def to_markdown(self) -> str:
        """The report as Markdown."""
        return to_markdown(self.analysis)

    def to_text(self, width: int = 100) -> str:
        """The report as a table of at most `width` columns, with terminal styles."""
        return to_text(self.analysis, width)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        yield Text.from_ansi(self.to_text(options.max_width).rstrip("\n"))

    def __str__(self) -> str:
        return re.sub(r"\x1b\[\d+m", "", self.to_text())

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        return self.to_markdown()


# ---------------------------------------------------------------------------------------------- what is said


def type_name(node: Node) -> str:
    """The Keras class of a node's layer."""
    return type(node.layer).__name__


def local_name(node: Node) -> str:
    """A node's name within its block instance."""
    return node.name[len(node.scope) + len(SEPARATOR) :] if node.scope else node.name


def names_itself(node: Node) -> bool:
    """Whether the name says what the layer is, as `conv2d_1` does."""
    stem = snake_case(type_name(node))
    return isinstance(node.layer, InputLayer) or local_name(node).rstrip("0123456789").rstrip("_") == stem.rstrip(
        "0123456789"
    )


def shapes_text(node: Node) -> str:
    """The shapes of a node's outputs: `(28, 28, 3)`, or several side by side."""
    return " ".join(map(show, node.shapes))


def connections(graph: Graph) -> dict[str, str]:
    """Where each node's input comes from, for the nodes whose input is not just the output of the node above."""
    above: Node | None = None
    told: dict[str, str] = {}
    for node in graph.nodes:
        if node.sources and (above is None or node.sources != above.outputs):
            named = [
                f"{name}={option_text(value)}" for name, value in node.options.items() if not isinstance(value, bool)
            ]
            told[node.name] = ", ".join([*map(str, node.inputs), *named])
        above = node
    return told


def option_text(value: Option) -> str:
    """An option of a call as the language writes it."""
    if isinstance(value, bool):
        return text(value)
    return str(value) if isinstance(value, Tensor) else f"[{', '.join(map(str, value))}]"


def readable_bytes(size: int | None) -> str:
    """An amount of memory in the unit that suits it: `383.4 KiB`."""
    if size is None:
        return "unknown"
    amount, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB"]
    while amount >= 1024 and len(units) > 1:
        amount, units = amount / 1024, units[1:]
    return f"{size:,} B" if units[0] == "B" else f"{amount:,.1f} {units[0]}"


def _summary(analysis: Analysis) -> Iterator[tuple[str, str, str]]:
    """The totals: what, how much, and what it means."""
    totals = analysis.totals
    yield "Parameters", number(totals.params), ""
    yield "  trainable", number(totals.trainable), ""
    yield (
        "  non-trainable",
        number(totals.non_trainable),
        "moved by statistics or frozen" if totals.non_trainable else "",
    )
    yield "MACs", number(totals.macs), "multiply-accumulates for one example"
    yield "FLOPs", number(totals.flops), "two for each MAC, one for each other operation"
    yield "Weights", readable_bytes(totals.weight_bytes), f"{totals.weight_bytes:,} bytes as float32"
    where = f"{totals.largest_activation}, one example as float32" if totals.largest_activation else "a size is unknown"
    yield "Largest activation", readable_bytes(totals.largest_activation_bytes), where
    peak = peak_activation_bytes(analysis)
    yield "Peak of activations", readable_bytes(peak), "at once in inference" if peak else "a size is unknown"
    if field := receptive_field(analysis.graph):
        yield "Receptive field", show(field), "of the last feature map"
    yield "Depth", str(totals.depth), "layers that multiply, on the longest path"


# ---------------------------------------------------------------------------------------------- the terminal


def to_text(analysis: Analysis, width: int) -> str:
    """The report for a terminal of `width` columns, with the codes of terminal styles."""
    return "\n".join(line.rstrip() for line in _lines(analysis, width)) + "\n"


def _lines(analysis: Analysis, width: int) -> Iterator[str]:
    graph = analysis.graph
    parameters = ", ".join(f"{name}={value}" for name, value in graph.parameters.items())
    yield styled(graph.name, "bold") + (f"  ({parameters})" if parameters else "")
    if graph.docstring:
        yield from (styled(line, "italic") for line in wrap(" ".join(graph.docstring.split("\n\n")[0].split()), width))
    yield ""
    yield from _layer_table(analysis, width)
    yield ""
    rows = [
        [[Line(what, "" if what.startswith(" ") else "bold")], [Line(amount)], [Line(meaning, "dim")]]
        for what, amount, meaning in _summary(analysis)
    ]
    yield from list(layout([Column(""), Column("", right=True), Column("", least=20)], rows, width))[1:]
    if any(_with_modes(analysis)):
        yield ""
        yield from _modes(analysis, width)
    yield ""
    yield from (styled(line, "dim") for line in wrap(CONVENTIONS, width))


def _layer_table(analysis: Analysis, width: int) -> Iterator[str]:
    graph = analysis.graph
    told = connections(graph)
    roomy = width >= ROOMY
    columns = [Column("Layer", least=16)]
    if roomy:
        columns.append(Column("Type"))
    columns += [Column("Output"), Column("Parameters", right=True, least=14), Column("MACs", right=True)]
    if roomy and told:
        columns.append(Column("Connected to", least=16))
    rows = list(_layer_rows(analysis, told, roomy, 0))
    return layout(columns, [row + [[]] * (len(columns) - len(row)) for row in rows], width)


def _layer_rows(analysis: Analysis, told: dict[str, str], roomy: bool, depth: int) -> Iterator[list[Cell]]:
    """The rows of a model's layers, those of a model within it below its own row."""
    graph = analysis.graph
    scope, level = "", depth
    for layer in analysis.layers:
        node = layer.node
        if depth and isinstance(node.layer, InputLayer):
            continue
        if node.scope != scope:
            yield from ([heading] for heading in _headings(graph, scope, node.scope, depth))
            scope, level = node.scope, depth + sum(1 for _ in graph.enclosing(node.scope))
        indent = "  " * level
        name = [Line(f"{indent}{local_name(node)}")]
        if not roomy:
            if not names_itself(node):
                name.append(Line(f"{indent}{type_name(node)}", "cyan"))
            if node.name in told:
                name.append(Line(f"{indent}← {told[node.name]}", "dim"))
        if isinstance(node.layer, Functional) and node.layer.graph.parameters:
            name.append(Line(f"{indent}{node.layer}", "dim"))
        if node.owner != node.name:
            name.append(Line(f"{indent}applies {node.owner}", "dim"))
        flags = [f"{key}={option_text(value)}" for key, value in node.options.items() if isinstance(value, bool)]
        if flags:
            name.append(Line(f"{indent}{', '.join(flags)}", "dim"))
        row: list[Cell] = [name]
        if roomy:
            row.append([Line(type_name(node), "cyan")])
        macs = Line(number(layer.macs.value), "" if layer.macs.terms else "dim")
        row += [[Line(show(shape)) for shape in node.shapes], _parameters(layer), [macs]]
        if roomy and told:
            row.append([Line(told.get(node.name, ""))])
        yield row
        if layer.inner:
            yield from _layer_rows(layer.inner, connections(layer.inner.graph), roomy, level + 1)


def _headings(graph: Graph, before: str, scope: str, depth: int) -> Iterator[Cell]:
    """A cell for each block instance that begins here, with its arguments."""
    already = {instance.name for instance in graph.enclosing(before)}
    entered = [instance for instance in graph.enclosing(scope) if instance.name not in already]
    for instance in reversed(entered):
        indent = "  " * (depth + sum(1 for _ in graph.enclosing(instance.parent)))
        local = instance.name[len(instance.parent) + len(SEPARATOR) :] if instance.parent else instance.name
        arguments = ", ".join(f"{name}={value}" for name, value in instance.arguments.items())
        yield [Line(f"{indent}{local}", "bold"), *([Line(f"{indent}({arguments})", "dim")] if arguments else [])]


def _parameters(layer: LayerAnalysis) -> Cell:
    if not layer.weights:
        return [Line("0", "dim")]
    lines = [Line(_derivation(layer))]
    if layer.non_trainable:
        lines.append(Line(f"{layer.trainable:,} trainable" if layer.trainable else "not trainable", "dim"))
    return lines


def _with_modes(analysis: Analysis) -> Iterator[tuple[str, Modes]]:
    """The layers that act differently in training and in inference, those of a model within behind its name."""
    for layer in analysis.layers:
        if layer.modes:
            yield layer.node.name, layer.modes
        if layer.inner and "training" not in layer.node.options:
            yield from ((f"{layer.node.owner}/{name}", modes) for name, modes in _with_modes(layer.inner))


def _derivation(layer: LayerAnalysis) -> str:
    """The parameters with their derivation; of a model within the model it stands with its own layers."""
    return number(layer.params) if layer.inner else layer.count.derivation


def _modes(analysis: Analysis, width: int) -> Iterator[str]:
    """What the layers do in training and in inference that act differently in the two, alike ones together."""
    alike: dict[Modes, list[str]] = {}
    for name, modes in _with_modes(analysis):
        alike.setdefault(modes, []).append(name)
    yield styled("Training and inference differ in", "bold")
    for modes, names in alike.items():
        yield from wrap(", ".join(names), width, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
        for when, what in (("training ", modes.training), ("inference", modes.inference)):
            first, *rest = wrap(what, max(20, width - 15)) or [""]
            yield f"    {styled(when, 'dim')}  {first}"
            yield from (f"{' ' * 15}{line}" for line in rest)


# ---------------------------------------------------------------------------------------------- Markdown


def to_markdown(analysis: Analysis) -> str:
    """The report as Markdown: a table of the layers, the totals, and what training changes."""
    told = connections(analysis.graph)
    lines = [f"## {analysis.graph.name}", ""]
    if analysis.graph.docstring:
        lines += [analysis.graph.docstring, ""]
    head = ["Layer", "Type", "Output", "Parameters", "Trainable", "MACs"] + (["Connected to"] if told else [])
    lines += [markdown_row(head), "| --- | --- | --- | ---: | ---: | ---: |" + (" --- |" if told else "")]
    lines += [markdown_row(cells if told else cells[:-1]) for cells in _markdown_cells(analysis, "")]
    lines += ["", "| Total | | |", "| --- | ---: | --- |"]
    lines += [markdown_row([what.strip(), amount, meaning]) for what, amount, meaning in _summary(analysis)]
    if differing := list(_with_modes(analysis)):
        lines += ["", "| Layer | In training | In inference |", "| --- | --- | --- |"]
        lines += [markdown_row([f"`{name}`", modes.training, modes.inference]) for name, modes in differing]
    return "\n".join([*lines, "", CONVENTIONS, ""])


def _markdown_cells(analysis: Analysis, prefix: str) -> Iterator[list[str]]:
    """The cells of each layer, where it comes from last; those of a model within behind its name."""
    told = connections(analysis.graph)
    for layer in analysis.layers:
        node = layer.node
        if prefix and isinstance(node.layer, InputLayer):
            continue
        name = f"`{prefix}{node.name}`" + (f" applies `{node.owner}`" if node.owner != node.name else "")
        cells = [name, type_name(node), " ".join(f"`{show(shape)}`" for shape in node.shapes), _derivation(layer)]
        yield [*cells, number(layer.trainable), number(layer.macs.value), told.get(node.name, "")]
        if layer.inner:
            yield from _markdown_cells(layer.inner, f"{prefix}{node.owner}/")


def markdown_row(cells: list[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


# ---------------------------------------------------------------------------------------------- data


def to_dict(analysis: Analysis) -> dict[str, Any]:
    """The report as plain data: the contract of `--format json`. A batch axis or an unknown size is None."""
    graph, totals = analysis.graph, analysis.totals
    return {
        "schema": SCHEMA,
        "model": graph.name,
        "docstring": graph.docstring,
        "parameters": {name: _plain(value) for name, value in graph.parameters.items()},
        "inputs": [
            {"name": node.name, "shape": _batched(node.shape), "dtype": node.layer.dtype}
            for node in graph.input_nodes
            if isinstance(node.layer, InputLayer)
        ],
        "outputs": [{"name": str(tensor), "shape": _batched(graph.shape(tensor))} for tensor in graph.outputs],
        "layers": [_layer_dict(layer) for layer in analysis.layers],
        "totals": {
            "params": totals.params,
            "trainable": totals.trainable,
            "non_trainable": totals.non_trainable,
            "macs": totals.macs,
            "flops": totals.flops,
            "weight_bytes": totals.weight_bytes,
            "largest_activation": totals.largest_activation,
            "largest_activation_bytes": totals.largest_activation_bytes,
            "peak_activation_bytes": peak_activation_bytes(analysis),
            "receptive_field": _plain(receptive_field(graph)),
            "depth": totals.depth,
            "layers": totals.layers,
        },
        "conventions": CONVENTIONS,
    }


def _layer_dict(layer: LayerAnalysis) -> dict[str, Any]:
    node = layer.node
    return {
        "name": node.name,
        "type": type_name(node),
        "block": node.scope or None,
        "layer": node.owner,
        "inbound": list(map(str, node.sources)),
        "output_shape": _batched(node.shape),
        "output_shapes": [_batched(shape) for shape in node.shapes],
        "arguments": {name: _plain(value) for name, value in _told(node.layer).items()},
        "options": {name: _plain_option(value) for name, value in node.options.items()},
        "params": layer.params,
        "trainable": layer.trainable,
        "non_trainable": layer.non_trainable,
        "weights": [
            {"name": weight.name, "shape": list(weight.shape), "trainable": weight.trainable}
            for weight in layer.weights
        ],
        "formula": layer.count.formula,
        "macs": layer.macs.value,
        "macs_formula": layer.macs.formula,
        "flops": layer.flops,
        "modes": {"training": layer.modes.training, "inference": layer.modes.inference} if layer.modes else None,
        "layers": [_layer_dict(inner) for inner in layer.inner.layers] if layer.inner else None,
    }


def _told(layer: Layer) -> dict[str, Any]:
    """The arguments of a layer that are not defaults; of a model the values of its parameters too."""
    return {**layer.graph.parameters, **layer.arguments()} if isinstance(layer, Functional) else layer.arguments()


def _batched(shape: Shape) -> list[int | None]:
    return [None, *shape]


def _plain_option(value: Option) -> Any:
    if isinstance(value, bool):
        return value
    return str(value) if isinstance(value, Tensor) else list(map(str, value))


def _plain(value: Any) -> Any:
    """A value of the language as JSON has it; an object such as an initializer by its text."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Declaration) else value
