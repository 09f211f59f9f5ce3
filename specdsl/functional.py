"""A model as a layer of another model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

from specdsl.counts import Count, Size, product, total
from specdsl.declaration import Misuse, text
from specdsl.graph import Graph, Tensor, longest_path, said_layer
from specdsl.layers import Layer, Shape, Weight
from specdsl.layers.facts import Arithmetic, Kept, OptionKind
from specdsl.layers.shapes import show
from specdsl.traced.numbers import key as same


def models_in(layer: Layer) -> Iterator[Functional]:
    """The models that a layer is or takes as arguments."""
    if isinstance(layer, Functional):
        yield layer
        return
    for inner in layer.layers_within():
        yield from models_in(inner)


def models_within(graph: Graph) -> list[Functional]:
    """The models in a model, those in these too: each once, however often it is used."""
    found: dict[tuple[int, bool], Functional] = {}
    waiting = [graph]
    while waiting:
        for node in waiting.pop().nodes:
            for model in models_in(node.layer):
                if (id(model.graph), model.trainable) not in found:
                    found[id(model.graph), model.trainable] = model
                    waiting.append(model.graph)
    return list(found.values())


def pinned_layers(graph: Graph) -> tuple[str, ...]:
    """The layers whose calls say whether to act as in training, those of models within behind the names of these."""
    names = [node.owner for node in graph.nodes if "training" in node.options]
    for owner, layer in {node.owner: node.layer for node in graph.nodes}.items():
        for model in models_in(layer):
            names += [f"{owner}/{name}" for name in pinned_layers(model.graph)]
    return tuple(dict.fromkeys(names))


class _Flow(NamedTuple):
    """What goes through a model: the shape of every tensor, the multiply-accumulates, other operations, the depth."""

    shapes: Mapping[Tensor, Shape]
    macs: Size
    operations: Size
    depth: int


def _fits(shape: Shape, wanted: Shape) -> bool:
    """Whether a tensor of a shape can enter where another is expected: equal sizes wherever both are known."""
    return len(shape) == len(wanted) and all(
        one is None or other is None or one == other for one, other in zip(shape, wanted, strict=True)
    )


class Functional(Layer):
    """A model as a layer of another, which Keras calls `Functional`. What it does follows from its graph.

    It takes other sizes than its own inputs have only where those are unknown until run time.
    """

    family = "model"
    settles_types = True
    options: ClassVar[Mapping[str, OptionKind]] = {"training": "flag"}
    call_training = None

    graph: Graph

    def __init__(self, graph: Graph, *, trainable: bool = True) -> None:
        vars(self).update(graph=graph, trainable=trainable, _flows={}, _kept={}, _weights=[])

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """None but `trainable`: the parameters of a model are part of its graph."""
        return ("trainable",)

    def settings(self) -> dict[str, Any]:
        """The parameters of the model with their values, and whether it is trained."""
        return {**self.graph.parameters, "trainable": self.trainable}

    def arguments(self) -> dict[str, Any]:
        """What Keras is told: nothing but that the model is not trained, where that is so."""
        return {} if self.trainable else {"trainable": False}

    @property
    def own_name(self) -> str:
        """The model's name."""
        return self.graph.name

    @property
    def makes_sparse(self) -> bool:
        """Whether an output of the model is sparse."""
        return any(self.graph.by_name[tensor.node].layer.makes_sparse for tensor in self.graph.outputs)

    @property
    def in_list(self) -> bool:
        """Whether it has several inputs."""
        return len(self.graph.input_nodes) > 1

    def check_number(self, number: int) -> None:
        wanted = len(self.graph.input_nodes)
        if number != wanted:
            names = ", ".join(node.name for node in self.graph.input_nodes)
            inputs = "one tensor" if wanted == 1 else f"{wanted} tensors"
            hint = f"give it several with `[{names}] -> {self.graph.name}`" if wanted > 1 else None
            raise Misuse(f"the model '{self.graph.name}' takes {inputs}, not {number}", help=hint)

    def result_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        flow = self._flow(shapes).shapes
        return tuple(flow[tensor] for tensor in self.graph.outputs)

    def result_dtypes(self, count: int, *dtypes: str) -> tuple[str, ...]:
        for node, dtype in zip(self.graph.input_nodes, dtypes, strict=True):
            if "string" in (dtype, node.dtypes[0]) and dtype != node.dtypes[0]:
                raise Misuse(
                    f"the input '{node.name}' of the model '{self.graph.name}' takes a tensor of {node.dtypes[0]}, "
                    f"not of {dtype}"
                )
        return tuple(map(self.graph.dtype, self.graph.outputs))  # it turns what enters into what its inputs are

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        known: list[Weight] = vars(self)["_weights"]
        if not known:  # whatever shapes enter, they are the same
            inner = self.graph.weights.items()
            known += (replace(weight, name=f"{owner}/{weight.name}") for owner, own in inner for weight in own)
        return tuple(known)

    def macs(self, *shapes: Shape) -> Count:
        flow = self._flow(shapes)
        return Count(((flow.macs,),)) if flow.macs != 0 else Count()

    def operations(self, *shapes: Shape) -> Count:
        flow = self._flow(shapes)
        return Count(((flow.operations,),)) if flow.operations != 0 else Count()

    def work_by_kind(self, *shapes: Shape) -> Mapping[Arithmetic, Size]:
        found: dict[Arithmetic, Size] = {}
        for layer, entering in self._applied(shapes):
            for kind, macs in layer.work_by_kind(*entering).items():
                before = found.get(kind, 0)
                found[kind] = None if before is None or macs is None else before + macs
        return found

    def turns(self, *shapes: Shape) -> Size:
        turns = [layer.turns(*entering) for layer, entering in self._applied(shapes)]
        return None if None in turns else sum(one for one in turns if one is not None)

    def _applied(self, shapes: tuple[Shape, ...]) -> Iterator[tuple[Layer, tuple[Shape, ...]]]:
        """Its layers as they are called, and the shapes that enter each."""
        flow = self._flow(shapes).shapes
        for node in self.graph.nodes:
            if node.inputs:
                yield said_layer(node.layer, node.options, flow.__getitem__), tuple(flow[one] for one in node.inputs)

    work = "those of its layers"

    def depth(self, *shapes: Shape) -> int:
        return self._flow(shapes).depth

    def kept(self, *shapes: Shape) -> Kept:
        """All that its layers keep."""
        known: dict[Any, Kept] = vars(self)["_kept"]
        entering = same(shapes)
        if entering not in known:
            known[entering] = self._kept_by_layers(self._flow(shapes).shapes)
        return known[entering]

    def _kept_by_layers(self, flow: Mapping[Tensor, Shape]) -> Kept:
        more, tensors = Count(), set[Tensor]()
        for node in self.graph.nodes:
            if node.inputs:
                layer = said_layer(node.layer, node.options, flow.__getitem__)
                kept = layer.kept(*(flow[tensor] for tensor in node.inputs))
                tensors.update(node.inputs if kept.inputs else ())
                tensors.update(node.outputs if kept.outputs else ())
                more += kept.more
        entering = {tensor for node in self.graph.input_nodes for tensor in node.outputs}
        leaving = set(self.graph.outputs)
        value = total([more, *(product(*flow[tensor]) for tensor in tensors - entering - leaving)])
        return Kept(bool(tensors & entering), bool(tensors & leaving), Count(((value,),)) if value != 0 else Count())

    def _flow(self, shapes: tuple[Shape, ...]) -> _Flow:
        """What goes through the model when `shapes` enter, worked out once for each.

        Raises:
            Misuse: an input has another number of axes or another size, or a layer cannot take what reaches it.
        """
        known: dict[Any, _Flow] = vars(self)["_flows"]
        entering = same(shapes)
        if entering not in known:
            known[entering] = self._flow_of(shapes)
        return known[entering]

    def _flow_of(self, shapes: tuple[Shape, ...]) -> _Flow:
        flow: dict[Tensor, Shape] = {}
        for node, shape in zip(self.graph.input_nodes, shapes, strict=True):
            if not _fits(shape, node.shape):
                raise Misuse(
                    f"the input '{node.name}' of the model '{self.graph.name}' takes a tensor of shape "
                    f"{show(node.shape)}, not {show(shape)}"
                )
            flow[Tensor(node.name)] = shape
        macs: list[Count] = []
        operations: list[Count] = []
        depths: dict[str, int] = {}
        for node in self.graph.nodes:
            entering = tuple(flow[tensor] for tensor in node.inputs)
            layer = said_layer(node.layer, node.options, flow.__getitem__)
            if entering:
                try:
                    leaving = layer.infer(*entering)
                except Misuse as misuse:
                    raise Misuse(f"in '{self.graph.name}': {misuse.message}", help=misuse.help) from None
                flow.update(zip(node.outputs, leaving, strict=True))
            macs.append(layer.macs(*entering))
            operations.append(layer.operations(*entering))
            depths[node.name] = layer.depth(*entering)
        depth = longest_path(self.graph, lambda node: depths[node.name])
        return _Flow(flow, total(macs), total(operations), depth)

    @property
    def thawed(self) -> Functional:
        """The same model, trained."""
        return self if self.trainable else Functional(self.graph)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Functional) or self.trainable != other.trainable:
            return False
        return self.graph is other.graph or self.graph == other.graph

    def __hash__(self) -> int:
        return hash((Functional, self.graph.name, self.trainable))

    def __str__(self) -> str:
        given = {**self.graph.parameters, **self.arguments()}
        return f"{self.graph.name}({', '.join(f'{name}={text(value)}' for name, value in given.items())})"

    __repr__ = __str__
