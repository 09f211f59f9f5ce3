"""The text of a model: its flow as steps, with the names that it needs and no others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from specdsl.declaration import Declaration, snake_case, text
from specdsl.functional import Functional, models_in
from specdsl.graph import Graph, Node, Tensor, option_tensors
from specdsl.importing.renaming import BEGINNINGS, objects_in, writable
from specdsl.importing.structure import Chain, Flow, Join, Unit, steps_in
from specdsl.layers import InputLayer, Layer
from specdsl.layers.base import show
from specdsl.resolve.lookup import MERGES
from specdsl.resolve.naming import Names

WIDTH = 110
"""Columns that a line of steps fills at most."""

_PLAIN = {"cropping", "l1", "l2", "max_value", "negative_slope", "padding", "pool_size", "size", "value"}
"""First arguments that need no name, beside those that are required."""

_INDENT = "    "
_WORTH_A_NAME = 20
_MERGE_WORDS = {kind: word for word, kind in MERGES.items()}


class Values(NamedTuple):
    """How values are written that have names in the text.

    Attributes:
        objects: the names of initializers and other objects that have one.
        models: the names of models, by the identity of their graphs.
    """

    objects: Mapping[Declaration, str]
    models: Mapping[int, str]

    def write(self, value: object) -> str:
        """A value of an argument."""
        if isinstance(value, Functional):
            return self.call(self.models[id(value.graph)], value)
        if isinstance(value, Layer):
            return self.call(type(value).__name__, value)
        return self.objects.get(value) or _object_text(value) if isinstance(value, Declaration) else text(value)

    def call(self, name: str, layer: Layer, options: Iterable[str] = ()) -> str:
        """The call that makes a layer, and says some options with it."""
        given = [*self.arguments(layer), *options]
        return f"{name}({', '.join(given)})" if given else name

    def arguments(self, layer: Layer) -> list[str]:
        """The arguments of a layer that are not as by default: by place as far as it is plain what they are."""
        values = layer.arguments()
        if isinstance(layer, Functional):
            return [f"{name}={text(value)}" for name, value in values.items()]
        written: list[str] = []
        for index, name in enumerate(layer.positional()):
            plain = name in layer.required() or (index == 0 and name in _PLAIN)
            if name not in values or not plain:
                break
            written.append(self.write(layer.compact(name)))
            del values[name]
        return written + [f"{name}={self.write(layer.compact(name))}" for name in values]


def _object_text(value: Declaration) -> str:
    """The call that makes an object, its first argument by place."""
    given = value.arguments()
    if len(given) == 1 and given.keys() & {*value.positional()[:1]} & _PLAIN:
        return f"{type(value).__name__}({text(*given.values())})"
    return f"{type(value).__name__}({', '.join(f'{name}={text(item)}' for name, item in given.items())})"


def spec_text(graph: Graph, comments: Sequence[str]) -> str:
    """The text of a model and of the models within it, not yet in canonical form.

    Args:
        graph: the model, whose names a spec can write.
        comments: what the text begins with.
    """
    models = _models(graph)
    taken = {node.owner for model in models for node in model.nodes if not isinstance(node.layer, Functional)}
    names: dict[int, str] = {}
    for model in models:
        names[id(model)] = writable(model.name, {*taken, *names.values()}, begins=True)
    taken |= {*names.values(), *(node.owner for model in models for node in model.nodes)}
    values = Values(_named_objects(models, taken), names)
    parts = ["".join(f"# {comment}\n" for comment in comments)]
    parts += ["".join(f"let {name} = {_object_text(value)}\n" for value, name in values.objects.items())]
    parts += [f"{_Writer(model, values).model(names[id(model)])}\n" for model in models]
    return "\n".join(parts)


def _models(graph: Graph) -> list[Graph]:
    """A model and those within it, each once, and behind those that it contains."""
    found: dict[int, Graph] = {}
    for node in graph.nodes:
        for model in models_in(node.layer):
            for inner in _models(model.graph):
                found.setdefault(id(inner), inner)
    return [*found.values(), graph]


def _named_objects(models: list[Graph], taken: set[str]) -> dict[Declaration, str]:
    """Names for objects that arguments often take."""
    layers = [layer for model in models for layer in {node.owner: node.layer for node in model.nodes}.values()]
    values = Counter(objects_in(layers))
    names: dict[Declaration, str] = {}
    for value, count in values.items():
        if count > 2 and len(_object_text(value)) > _WORTH_A_NAME:
            names[value] = writable(snake_case(type(value).__name__), {*taken, *names.values()})
    return names


class _Writer:
    """Writes one model."""

    def __init__(self, graph: Graph, values: Values) -> None:
        self.graph = graph
        self.values = values
        self.flow = Flow(graph)
        self.order = [unit.node for chain in self.flow.chains for unit in steps_in(chain.units)]
        self.named = self._named()
        self.declared = {node.owner for node in self.order if node.owner in self.flow.shared}
        self.declared -= {node.owner for node in self.order if isinstance(node.layer, Functional)}
        self.locals: dict[Tensor, str] = {}
        self.aliases: dict[str, str] = {}
        self._name_tensors()

    # ------------------------------------------------------------------------------------------ names

    def _flow_before(self) -> Iterator[tuple[Chain, bool]]:
        """The chains, each with whether it goes on with what flows at its place."""
        inputs = self.graph.input_nodes
        flowing = inputs[0].outputs[0] if len(inputs) == 1 else None
        for chain in self.flow.chains:
            yield chain, chain.start == (flowing,)
            flowing = chain.end if len(chain.units[-1].node.outputs) == 1 else None

    def _ends_by_itself(self) -> bool:
        """Whether the output is what the last step leaves."""
        last = self.flow.chains[-1] if self.flow.chains else None
        return last is not None and self.graph.outputs == last.units[-1].node.outputs and len(self.graph.outputs) == 1

    def _named(self) -> set[Tensor]:
        """The tensors that the text speaks of."""
        named = set[Tensor]() if self._ends_by_itself() else set(self.graph.outputs)
        for chain, goes_on in self._flow_before():
            if not goes_on:
                named.update(chain.start)
        for node in self.order:
            named.update(option_tensors(node.options))
        return named

    def _name_tensors(self) -> None:
        """Name every tensor that the text speaks of, and every layer that would get another name by itself."""
        taken = {name for node in self.graph.nodes for name in (node.name, node.owner)} | {*self.values.models.values()}
        taken |= {*self.values.objects.values()}
        for node in self.graph.nodes:
            for tensor in node.outputs:
                own = isinstance(node.layer, InputLayer) or self._is_plain(node)
                if own and len(node.outputs) == 1:
                    self.locals[tensor] = node.owner
                elif tensor in self.named:
                    stem = f"{node.owner}_{tensor.index}" if len(node.outputs) > 1 else f"{node.owner}_out"
                    self.locals[tensor] = writable(stem, taken)
                    taken.add(self.locals[tensor])
        for node in self.order:
            if len(node.outputs) == 1 and node.outputs[0] in self.named:
                self.aliases[node.name] = self.locals[node.outputs[0]]
        while self._name_layers():
            pass

    def _is_plain(self, node: Node) -> bool:
        """Whether a step makes the layer where it applies it."""
        return node.owner not in self.flow.shared and not isinstance(node.layer, Functional)

    def _name_layers(self) -> bool:
        """Name the layers that would get another name by themselves; whether there were any.

        A name that is given is kept from all others, so that what comes by itself may then be something else.
        """
        names = Names()
        names.keep([node.owner for node in self.graph.input_nodes], "")
        names.keep([*self.declared, *self.aliases.values()], "")
        for owner in [*(node.owner for node in self.graph.input_nodes), *self.declared]:
            names.unique("", owner, given=True)
        before = len(self.declared) + len(self.aliases)
        used, held = set(self.declared), set[str]()
        for node in self.order:
            if isinstance(node.layer, Functional) and node.owner not in used:
                used.add(node.owner)
                if names.would_be("", self._stem(node)) != node.owner:
                    self.declared.add(node.owner)
                else:
                    names.unique("", node.owner, given=False)
            elif (
                self._is_plain(node)
                and node.owner not in self.declared
                and node.name not in self.aliases
                and names.would_be("", self._stem(node)) != node.owner
            ):
                if len(node.outputs) == 1:
                    self.aliases[node.name] = node.owner
                else:
                    self.declared.add(node.owner)
            self._take_name(node, names, held)
        return len(self.declared) + len(self.aliases) > before

    def _take_name(self, node: Node, names: Names, held: set[str]) -> None:
        """Take the name that an application gets; `held` are the layers whose name an application has."""
        if node.name in self.aliases:
            names.unique("", self.aliases[node.name], given=True)
        elif node.owner in self.declared or isinstance(node.layer, Functional):
            if node.owner in held:
                names.unique("", node.owner if node.owner in self.declared else self._stem(node), given=False)
            held.add(node.owner)
        else:
            names.unique("", self._stem(node), given=False)

    def _stem(self, node: Node) -> str:
        """What a layer is called after that the text gives no name."""
        layer = node.layer
        return (
            self.values.models[id(layer.graph)] if isinstance(layer, Functional) else snake_case(type(layer).__name__)
        )

    # ------------------------------------------------------------------------------------------ text

    def model(self, name: str) -> str:
        """The text of the model."""
        lines = [self._input(node) for node in self.graph.input_nodes]
        first: dict[str, Node] = {}
        for node in self.order:
            first.setdefault(node.owner, node)
        lines += [f"layer {owner} = {self._made(node)}" for owner, node in first.items() if owner in self.declared]
        for chain, goes_on in self._flow_before():
            lines += self._chain(chain.units, 1, "" if goes_on else self._start(chain.start))
        if not self._ends_by_itself():
            lines.append(f"output {', '.join(self.locals[tensor] for tensor in self.graph.outputs)}")
        body = "".join(f"{_INDENT}{line}\n" for line in lines)
        return f"model {name} {{\n{body}}}"

    def _input(self, node: Node) -> str:
        layer = node.layer
        assert isinstance(layer, InputLayer)
        dtype = "" if layer.dtype == "float32" else f" {layer.dtype}"
        return f"input {node.owner}: {show(layer.shape)}{dtype}"

    def _start(self, tensors: tuple[Tensor, ...]) -> str:
        names = [self.locals[tensor] for tensor in tensors]
        plain = len(names) == 1 and names[0] not in BEGINNINGS
        return f"{names[0]} -> " if plain else f"[{', '.join(names)}] -> "

    def _chain(self, units: Sequence[Unit], level: int, start: str = "") -> list[str]:
        """The lines of steps: a new one at each layer that multiplies, around braces, and where a line is full."""
        lines: list[str] = []
        line, steps = start, 0
        width = WIDTH - len(_INDENT) * level
        for unit in units:
            if isinstance(unit, Join):
                if steps:
                    lines.append(line)
                    line = ""
                *before, line = self._join(unit, level, line)
                lines += [*before, line]
                line, steps = "", 0
                continue
            written = self._step(unit.node)
            multiplies = unit.node.layer.depth(*self.graph.input_shapes(unit.node))
            if steps and (multiplies or len(line) + len(written) + 4 > width):
                lines.append(line)
                line, steps = "", 0
            line += f" -> {written}" if steps else written
            steps += 1
        return [*lines, line] if steps else lines

    def _join(self, join: Join, level: int, start: str) -> list[str]:
        """The lines of a shortcut or a branch."""
        merge = _MERGE_WORDS[type(join.node.layer)]
        word = f"{'shortcut' if join.is_shortcut else 'branch'} {self.values.call(merge, join.node.layer)}"
        bodies = [self._chain(join.bodies[index], level + 1) for index in join.order]
        if join.is_shortcut and not bodies[-1]:
            bodies.pop()
        behind = "via" if join.is_shortcut else "and"
        tail = self._naming(join.node)
        heads = [f"{start}{word}", *[behind] * (len(bodies) - 1)]
        if all(len(body) <= 1 for body in bodies):
            parts = [
                f"{head} {{ {body[0]} }}" if body else f"{head} {{}}" for head, body in zip(heads, bodies, strict=True)
            ]
            whole = f"{' '.join(parts)}{tail}"
            if len(whole) <= WIDTH - len(_INDENT) * level:
                return [whole]
        lines: list[str] = []
        for head, body in zip(heads, bodies, strict=True):
            opening = f"{lines.pop()} {head} {{" if lines else f"{head} {{"
            lines += [f"{opening}}}"] if not body else [opening, *(f"{_INDENT}{line}" for line in body), "}"]
        lines[-1] += tail
        return lines

    def _step(self, node: Node) -> str:
        if node.owner in self.declared:
            written = node.owner + (f"({', '.join(self._options(node))})" if node.options else "")
        else:
            written = self._made(node, self._options(node))
        return f"{written}{self._naming(node)}"

    def _made(self, node: Node, options: Iterable[str] = ()) -> str:
        layer = node.layer
        name = self.values.models[id(layer.graph)] if isinstance(layer, Functional) else type(layer).__name__
        return self.values.call(name, layer, options)

    def _options(self, node: Node) -> list[str]:
        written: list[str] = []
        for name, value in node.options.items():
            if isinstance(value, bool):
                written.append(f"{name}={text(value)}")
            elif isinstance(value, Tensor):
                written.append(f"{name}={self.locals[value]}")
            else:
                written.append(f"{name}=[{', '.join('none' if one is None else self.locals[one] for one in value)}]")
        return written

    def _naming(self, node: Node) -> str:
        if len(node.outputs) > 1:
            names = [self.locals[tensor] if tensor in self.named else "_" for tensor in node.outputs]
            return f" as {', '.join(names)}"
        return f" as {self.aliases[node.name]}" if node.name in self.aliases else ""
