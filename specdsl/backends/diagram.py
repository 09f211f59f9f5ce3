"""A model drawn by Graphviz: shapes on the edges, parameters in the nodes, blocks as clusters, shortcuts as such."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from html import escape
from pathlib import Path
from textwrap import shorten

import graphviz

from specdsl.analyses import Analysis, LayerAnalysis
from specdsl.backends.diagram_folding import Folding, folding, tangle
from specdsl.backends.diagram_words import fixed
from specdsl.backends.words import local_name, names_itself, type_name
from specdsl.counts import number
from specdsl.declaration import text
from specdsl.functional import Functional
from specdsl.graph import SEPARATOR, Graph, Node, Scope, Tensor, option_tensors
from specdsl.layers import InputLayer, Shape

FORMATS = (".svg", ".png", ".pdf", ".dot")

FILLS = {
    "input": "#e5e7eb",
    "core": "#c7d2fe",
    "convolution": "#bfdbfe",
    "pooling": "#bbf7d0",
    "normalization": "#fde68a",
    "activation": "#fed7aa",
    "regularization": "#fecdd3",
    "reshaping": "#ddd6fe",
    "merging": "#99f6e4",
    "recurrent": "#f5d0fe",
    "attention": "#a5f3fc",
    "wrapper": "#e9d5ff",
    "augmentation": "#fbcfe8",
    "model": "#cbd5e1",
}
"""A light fill for each family of layers; dark text on it reads on a light and on a dark page alike."""

FILL = "#f3f4f6"
"""The fill of a family that has none of its own."""

INK, GREY, SHORTCUT = "#1f2937", "#808891", "#e07b00"
"""Text in nodes; lines and text on the page itself; shortcuts. The last two stand out from white and from black."""

PATIENCE = 300
"""Seconds that a drawing may take; a model of 2,000 layers in a row takes two."""

TANGLE = 300_000
"""How tangled a model may be that graphviz-pure draws: 170,000 take it ten seconds, 580,000 more than a minute."""

FONT = "Helvetica"
FONTS = "Helvetica,Arial,Liberation Sans,Nimbus Sans,sans-serif"
"""What an SVG asks for: fonts that are as wide as the one that boxes were measured for; see also `diagram_words.py`."""

HEADING = 16
"""Characters in a line of a cluster's label."""

STRAIGHT = "20"
"""How much an edge of the main flow wants to be straight, against 1 for a shortcut."""


class DiagramError(Exception):
    """The drawing failed: no program draws it, or the program refused."""


class Diagram:
    """A drawing of a model, made when it is asked for."""

    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis

    @property
    def dot(self) -> str:
        """The drawing in Graphviz's own language."""
        return dot_source(self.analysis)

    def render(self, form: str) -> bytes:
        """The drawing in one of `FORMATS`.

        Raises:
            DiagramError: there is no program that draws this format, or it refused.
            ValueError: there is no such format.
        """
        if form not in FORMATS:
            raise ValueError(f"a diagram is drawn as {', '.join(FORMATS)}, not as {form}")
        if form == ".dot":
            return self.dot.encode()
        if engine().name.startswith("graphviz-pure") and tangle(self.analysis.graph) > TANGLE:
            raise DiagramError(
                "too many connections pass by other layers for graphviz-pure to draw: "
                "install Graphviz, or write a .dot file, which needs no drawing"
            )
        return draw(self.dot, form[1:])

    def svg(self) -> str:
        """The drawing as SVG."""
        return self.render(".svg").decode()

    def save(self, path: str | Path) -> None:
        """Write the drawing to a file; its ending says in which format.

        Raises:
            DiagramError: there is no program that draws this format, or it refused.
            ValueError: there is no such format.
            OSError: the file cannot be written.
        """
        Path(path).write_bytes(self.render(Path(path).suffix.lower()))

    def _repr_svg_(self) -> str:
        return self.svg()


@cache
def engine() -> Path:
    """The program that draws: the system's `dot` where there is one, else the `graphviz-pure` of this environment.

    Raises:
        DiagramError: there is neither.
    """
    beside = Path(sys.executable).with_name("graphviz-pure")
    for candidate in (shutil.which("dot"), shutil.which(str(beside)), shutil.which("graphviz-pure")):
        if candidate:
            return Path(candidate)
    raise DiagramError("no program draws diagrams: `pip install graphviz-pure`, or install Graphviz")


def draw(dot: str, form: str) -> bytes:
    """A drawing made by the engine.

    Raises:
        DiagramError: there is no engine, or it refused, or it took too long.
    """
    program = engine()
    command = [str(program), "-Kdot", f"-T{form}"]
    try:
        done = subprocess.run(command, input=dot.encode(), capture_output=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        message = f"{program.name} has drawn for {PATIENCE} seconds, and was stopped; a .dot file needs no drawing"
        raise DiagramError(message) from None
    except OSError as error:
        raise DiagramError(f"{program} could not be run: {error}") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        if form == "pdf" and program.name.startswith("graphviz-pure"):
            raise DiagramError("a PDF needs the program `dot` of Graphviz itself; .svg and .png do not")
        reason = said[-1] if said else f"it ended with {done.returncode}"
        raise DiagramError(f"{program.name} could not draw the diagram: {reason}")
    if form != "svg":
        return done.stdout
    return fixed(done.stdout.decode().replace('"Helvetica,sans-Serif"', f'"{FONTS}"')).encode()


def dot_source(analysis: Analysis) -> str:
    """The drawing in Graphviz's own language."""
    graph = analysis.graph
    drawing = graphviz.Digraph(
        graph.name,
        graph_attr={"bgcolor": "transparent", "ranksep": "0.35", "nodesep": "0.3",
                    "fontname": FONT, "fontcolor": GREY},
        node_attr={"shape": "box", "style": "rounded,filled", "fontname": FONT, "fontsize": "11",
                   "fontcolor": INK, "color": GREY, "margin": "0.14,0.07", "height": "0.3"},
        edge_attr={"color": GREY, "fontcolor": GREY, "fontname": FONT, "fontsize": "9", "arrowsize": "0.7"},
    )  # fmt: skip
    folded = folding(graph)
    inside: dict[str, list[LayerAnalysis | Scope]] = {}
    for layer in analysis.layers:
        if layer.node.name in folded.drawn:
            continue
        inner: LayerAnalysis | Scope = layer
        for scope in graph.enclosing(layer.node.scope):
            contents = inside.setdefault(scope.name, [])
            if inner not in contents[-1:]:
                contents.append(inner)
            inner = scope
        contents = inside.setdefault("", [])
        if inner not in contents[-1:]:
            contents.append(inner)
    _draw_contents(drawing, "", inside, folded)
    shortcuts = _shortcut_edges(graph)
    for node in graph.nodes:
        if node.name in folded.drawn:
            continue
        for tensor, what in _entering(node):
            label = f" {_dimensions(graph.shape(tensor))}{f' {what}' if what else ''}"
            if (tensor, node.name) in shortcuts:
                style = {"color": SHORTCUT, "fontcolor": SHORTCUT, "penwidth": "2"}
            else:
                style = {"style": "dashed"} if what else {"weight": STRAIGHT}
            drawing.edge(_id(folded.shown(tensor.node)), _id(node.name), label=label, **style)
    for position, tensor in enumerate(graph.outputs):
        label = "output"
        if len(graph.outputs) > 1:
            label = str(replace(tensor, node=local_name(graph.by_name[tensor.node])))
        drawing.node(f"output {position}", graphviz.escape(label), shape="plaintext", style="", fontcolor=GREY)
        shape = _dimensions(graph.shape(tensor))
        drawing.edge(_id(folded.shown(tensor.node)), f"output {position}", label=f" {shape}", weight=STRAIGHT)
    return str(drawing.source)


def _draw_contents(
    drawing: graphviz.Digraph, scope: str, inside: dict[str, list[LayerAnalysis | Scope]], folded: Folding
) -> None:
    """Draw what stands in a block instance: its layers, and a cluster for each instance in it."""
    for part in inside.get(scope, ()):
        if isinstance(part, LayerAnalysis):
            fill = FILLS.get(part.node.layer.family, FILL)
            drawing.node(_id(part.node.name), _label(part), fillcolor=fill)
            continue
        with drawing.subgraph(name=f"cluster {part.name}") as cluster:
            cluster.attr(
                label=_heading(part, folded.times.get(part.name, 1)),
                style="rounded",
                color=GREY,
                labeljust="l",
                margin="10",
            )
            _draw_contents(cluster, part.name, inside, folded)


def _entering(node: Node) -> Iterator[tuple[Tensor, str]]:
    """The tensors that enter a node, and for those that an option of its call names that option."""
    yield from ((tensor, "") for tensor in node.inputs)
    for name, value in node.options.items():
        yield from ((tensor, name) for tensor in option_tensors({name: value}))


def _shortcut_edges(graph: Graph) -> set[tuple[Tensor, str]]:
    """The edges that a shortcut takes, from the tensor that enters it to the merge that it ends in."""
    users = Counter(tensor for node in graph.nodes for tensor in node.sources)
    edges: set[tuple[Tensor, str]] = set()
    for node in graph.nodes:
        if node.skip is None:
            continue
        tensor, user = node.inputs[node.skip], node.name
        edges.add((tensor, user))
        while users[tensor] == 1 and len(graph.by_name[tensor.node].sources) == 1:
            tensor, user = graph.by_name[tensor.node].sources[0], tensor.node
            edges.add((tensor, user))
    return edges


def _id(name: str) -> str:
    """A node's name as Graphviz takes it, in which a colon would mean a port."""
    return f"layer {name}"


def _label(layer: LayerAnalysis) -> str:
    """The text in a node, in Graphviz's HTML-like form: what it is, its arguments, its cost."""
    node = layer.node
    title = local_name(node) if isinstance(node.layer, InputLayer) else type_name(node)
    if isinstance(node.layer, Functional):
        title = node.layer.graph.name
    lines = [f"<b>{escape(title)}</b>"]
    if not names_itself(node) and local_name(node) != title:
        lines[0] += f" <i>{escape(local_name(node))}</i>"
    arguments = _arguments(node)
    if arguments and not isinstance(node.layer, InputLayer):
        lines.append(f'<font point-size="9">{escape(arguments)}</font>')
    cost = f"{number(layer.params)} parameters" if layer.params else ""
    if layer.shared:
        cost = "the same weights"
    if cost:
        lines.append(f'<font point-size="9">{cost}</font>')
    return f"<{'<br/>'.join(lines)}>"


def _heading(scope: Scope, times: int) -> str:
    """The label of a cluster: the name of the block instance, how many it stands for, and its arguments below.

    Half of it is empty, so that the cluster is wide enough for the flow to pass beside the text.
    """
    local = scope.name[len(scope.parent) + len(SEPARATOR) :] if scope.parent else scope.name
    if times > 1:
        local += f" × {times:,}"
    told: list[str] = []
    for name, value in scope.arguments.items():
        item = shorten(f"{name}={text(value)}", 2 * HEADING, placeholder="…")
        if told and len(told[-1]) + len(item) < HEADING:
            told[-1] += f", {item}"
        else:
            told.append(item)
    lines = [f'<font point-size="10">{escape(local)}</font>']
    lines += [f'<font point-size="8">{escape(line)}</font>' for line in told]
    inner = "".join(f'{line}<br align="left"/>' for line in lines)
    width = max(6 * len(local), *(5 * len(line) for line in told), 0)
    cells = f'<td align="left">{inner}</td><td width="{width}"></td>'
    return f'<<table border="0" cellspacing="0" cellpadding="0"><tr>{cells}</tr></table>>'


def _arguments(node: Node) -> str:
    """The arguments that shape a layer, `32, 5×5, softmax`; how its weights begin and are kept is left out."""
    told, layer = [], node.layer
    flags = {name: value for name, value in node.options.items() if isinstance(value, bool)}
    for name, value in (layer.arguments() | flags).items():
        if name.endswith(("_initializer", "_regularizer", "_constraint")):
            continue
        required = name in type(layer).required() or name in ("activation", "padding", "pool_size")
        shown = "×".join(map(str, value)) if isinstance(value, tuple) and len(value) > 1 else text(value).strip('"')
        told.append(shown if required else f"{name} {shown}")
    return ", ".join(told)


def _dimensions(shape: Shape) -> str:
    return "×".join("?" if size is None else str(size) for size in shape) or "scalar"
