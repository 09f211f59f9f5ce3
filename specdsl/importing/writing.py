"""The text of a model: its flow as steps, with the names that it needs and no others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from specdsl.declaration import Declaration, snake_case, text
from specdsl.functional import Functional, models_in
from specdsl.graph import SEPARATOR, Graph, Node, Tensor, option_tensors
from specdsl.importing.folding import Block, fold
from specdsl.importing.instances import with_instances
from specdsl.importing.items import Item, Slot, indented, lines_of
from specdsl.importing.renaming import BEGINNINGS, objects_in, writable
from specdsl.importing.structure import Chain, Flow, Join, Step, Unit, steps_in
from specdsl.layers import InputLayer, Layer
from specdsl.layers.shapes import show
from specdsl.resolve.lookup import MERGES
from specdsl.resolve.naming import Names

_PLAIN = {"cropping", "l1", "l2", "max_value", "negative_slope", "padding", "pool_size", "size", "value"}
"""First arguments that need no name, beside those that are required."""

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

    def call(self, name: str, layer: Layer) -> str:
        """The call that makes a layer."""
        return Item(name, self.slots(layer)).call

    def slots(self, layer: Layer) -> list[Slot]:
        """The arguments of a layer: by place as far as it is plain what they are."""
        given = layer.arguments()
        if isinstance(layer, Functional):
            return [Slot(name, text(value), given=True) for name, value in given.items()]
        required, first = layer.required(), layer.positional()[:1]
        return [
            Slot(
                name,
                self.write(layer.compact(name)),
                given=name in given,
                plain=name in required or (name in _PLAIN and name in first),
            )
            for name in layer.names()
        ]


def _object_text(value: Declaration) -> str:
    """The call that makes an object, its first argument by place."""
    given = value.arguments()
    if len(given) == 1 and given.keys() & {*value.positional()[:1]} & _PLAIN:
        return f"{type(value).__name__}({text(*given.values())})"
    return f"{type(value).__name__}({', '.join(f'{name}={text(item)}' for name, item in given.items())})"


def spec_text(graph: Graph, comments: Sequence[str], *, folded: bool = False) -> str:
    """The text of a model and of the models within it, not yet in canonical form.

    Args:
        graph: the model, whose names a spec can write.
        comments: what the text begins with.
        folded: whether parts that are alike become blocks, and layers have other names for it.
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
    writers = [_Writer(model, values, keep_names=not folded) for model in models]
    if folded:
        spoken = {name for writer in writers for name in writer.locals.values()}
        chains = [items for writer in writers for _, items in writer.chains]
        parts += [_block_text(block) for block in fold(chains, taken | spoken | {*values.objects.values()})]
    else:
        bodies = [[items for _, items in writer.chains] for writer in writers]
        parts += [_block_text(block) for block in with_instances(bodies, taken | {*values.objects.values()})]
    parts += [f"{writer.model(names[id(writer.graph)])}\n" for writer in writers]
    return "\n".join(parts)


def _block_text(block: Block) -> str:
    parameters = [one.name if one.default is None else f"{one.name}={one.default}" for one in block.parameters]
    head = f"block {block.name}({', '.join(parameters)}) {{" if parameters else f"block {block.name} {{"
    return "\n".join([head, *indented(lines_of(block.body, 1)), "}", ""])


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


def _scope(node: Node) -> str:
    """The instance of a block that a layer is in, by its name."""
    return node.owner.rpartition(SEPARATOR)[0]


class _Writer:
    """Writes one model."""

    def __init__(self, graph: Graph, values: Values, *, keep_names: bool) -> None:
        self.graph = graph
        self.keep_names = keep_names
        self.values = values
        self.flow = Flow(graph)
        self.order = [unit.node for chain in self.flow.chains for unit in steps_in(chain.units)]
        self.named = self._named()
        self.declared = {node.owner for node in self.order if node.owner in self.flow.shared}
        self.declared -= {node.owner for node in self.order if isinstance(node.layer, Functional)}
        self.locals: dict[Tensor, str] = {}
        self.aliases: dict[str, str] = {}
        self._name_tensors()
        self.chains = [
            ("" if goes_on else self._start(chain.start), self._items(chain.units))
            for chain, goes_on in self._flow_before()
        ]

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
                    self.locals[tensor] = node.owner.partition(SEPARATOR)[0]  # of an instance, its last step leaves it
                elif tensor in self.named:
                    stem = f"{node.owner}_{tensor.index}" if len(node.outputs) > 1 else f"{node.owner}_out"
                    self.locals[tensor] = writable(stem, taken)
                    taken.add(self.locals[tensor])
        for node in self.order:
            if len(node.outputs) == 1 and node.outputs[0] in self.named and not _scope(node):
                self.aliases[node.name] = self.locals[node.outputs[0]]
        while self.keep_names and self._name_layers():
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
        names.keep(self.declared, "")
        for node in self.order:
            names.keep([self.aliases[node.name]] if node.name in self.aliases else [], _scope(node))
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
                and names.would_be(_scope(node), self._stem(node)) != node.owner
            ):
                if len(node.outputs) == 1:
                    self.aliases[node.name] = node.owner.rpartition(SEPARATOR)[2]
                else:
                    self.declared.add(node.owner)
            self._take_name(node, names, held)
        return len(self.declared) + len(self.aliases) > before

    def _take_name(self, node: Node, names: Names, held: set[str]) -> None:
        """Take the name that an application gets; `held` are the layers whose name an application has."""
        if node.name in self.aliases:
            names.unique(_scope(node), self.aliases[node.name], given=True)
        elif node.owner in self.declared or isinstance(node.layer, Functional):
            if node.owner in held:
                names.unique("", node.owner if node.owner in self.declared else self._stem(node), given=False)
            held.add(node.owner)
        else:
            names.unique(_scope(node), self._stem(node), given=False)

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
        lines += [
            f"layer {owner} = {self.values.call(self._kind(node), node.layer)}"
            for owner, node in first.items()
            if owner in self.declared
        ]
        for start, items in self.chains:
            lines += lines_of(items, 1, start)
        if not self._ends_by_itself():
            lines.append(f"output {', '.join(self.locals[tensor] for tensor in self.graph.outputs)}")
        return "\n".join([f"model {name} {{", *indented(lines), "}"])

    def _input(self, node: Node) -> str:
        layer = node.layer
        assert isinstance(layer, InputLayer)
        dtype = "" if layer.dtype == "float32" else f" {layer.dtype}"
        return f"input {node.owner}: {show(layer.shape)}{dtype}"

    def _start(self, tensors: tuple[Tensor, ...]) -> str:
        names = [self.locals[tensor] for tensor in tensors]
        plain = len(names) == 1 and names[0] not in BEGINNINGS
        return f"{names[0]} -> " if plain else f"[{', '.join(names)}] -> "

    def _items(self, units: Sequence[Unit]) -> list[Item]:
        return [self._join(unit) if isinstance(unit, Join) else self._step(unit) for unit in units]

    def _join(self, join: Join) -> Item:
        """A shortcut or a branch."""
        word = "shortcut" if join.is_shortcut else "branch"
        bodies = [self._items(join.bodies[index]) for index in join.order]
        if join.is_shortcut and not bodies[-1]:
            bodies.pop()
        return Item(
            f"{word} {_MERGE_WORDS[type(join.node.layer)]}",
            self.values.slots(join.node.layer),
            bodies,
            tail=self._naming(join.node),
            name=join.node.owner,
            spoken=join.node.outputs[0] in self.named,
            joint="via" if join.is_shortcut else "and",
        )

    def _step(self, unit: Step) -> Item:
        node = unit.node
        declared = node.owner in self.declared
        slots = [] if declared else self.values.slots(node.layer)
        return Item(
            node.owner if declared else self._kind(node),
            slots + self._options(node),
            tail=self._naming(node),
            name=node.owner,
            spoken=node.outputs[0] in self.named,
            breaks=bool(self.graph.applied(node).depth(*self.graph.input_shapes(node))),
            free=not declared
            and len(unit.entering) == len(node.outputs) == 1
            and node.owner not in self.flow.shared
            and not option_tensors(node.options),
        )

    def _kind(self, node: Node) -> str:
        layer = node.layer
        return self.values.models[id(layer.graph)] if isinstance(layer, Functional) else type(layer).__name__

    def _options(self, node: Node) -> list[Slot]:
        written: list[Slot] = []
        for name, value in node.options.items():
            if isinstance(value, bool):
                said = text(value)
            elif isinstance(value, Tensor):
                said = self.locals[value]
            else:
                said = f"[{', '.join('none' if one is None else self.locals[one] for one in value)}]"
            written.append(Slot(name, said, given=True))
        return written

    def _naming(self, node: Node) -> str:
        if len(node.outputs) > 1:
            names = [self.locals[tensor] if tensor in self.named else "_" for tensor in node.outputs]
            return f" as {', '.join(names)}"
        return f" as {self.aliases[node.name]}" if node.name in self.aliases else ""
