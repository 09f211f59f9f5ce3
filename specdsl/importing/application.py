"""Layers applied as the calls in a file say, in an order in which every tensor is there before it is taken."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol

from specdsl.declaration import Misuse
from specdsl.diagnostics import Diagnostic, Slug
from specdsl.functional import Functional
from specdsl.graph import Graph, Node, Option, Tensor, said_layer
from specdsl.importing.calls import Call, Place, Ref, masks_alone, plain_options, refs_in, roots_of, told_by
from specdsl.importing.operations import (
    APPLICATIONS,
    Made,
    Operation,
    application_layers,
    is_operation,
    layers_for,
)
from specdsl.importing.reading import quoted, shown
from specdsl.importing.values import Layers, Refusal, expect, is_model, made, policy_of
from specdsl.layers import InputLayer, Layer, Shape
from specdsl.source import Source, Span


class Entry(NamedTuple):
    """What a file has for one layer: its name, what it says of it, and its calls."""

    name: str
    data: Mapping[str, Any]
    calls: list[Call]

    @property
    def is_input(self) -> bool:
        """Whether a tensor enters the model here."""
        return self.data.get("class_name") == "InputLayer"


class Home(Protocol):
    """What reads the models of a file."""

    found: list[Diagnostic]

    def functional(self, entry: Mapping[str, Any], path: str) -> Functional:
        """A model that is a layer.

        Raises:
            Refusal: it cannot be imported; why, is found.
        """
        ...

    def refuse(self, name: str, refusal: Refusal) -> None:
        """Take note of what cannot be said of a layer."""
        ...

    def check_shared(self, entry: Mapping[str, Any], path: str) -> None:
        """Refuse a layer that stands at two places of a file.

        Raises:
            Refusal: it was met before.
        """
        ...


class Application:
    """Applies the layers of one model, in an order in which every tensor is there before it is taken."""

    def __init__(self, home: Home, entries: list[Entry], path: str) -> None:
        self.home = home
        self.path = path
        self.entries = {entry.name: entry for entry in entries}
        self.operations = {
            entry.name: str(entry.data.get("class_name")) for entry in entries if is_operation(entry.data)
        }
        self.calls = {entry.name: entry.calls for entry in entries}
        self.layers: dict[str, Layer | None] = {}
        self.nodes: dict[str, Node] = {}
        self.tensors: dict[Place, Tensor] = {}
        self.carried: dict[Tensor, frozenset[Place]] = {}
        self.masked: set[Place] = set()
        self.names = set(self.entries)
        self.older = any(isinstance(node, list) for entry in entries for node in entry.data.get("inbound_nodes") or ())
        self.masks: set[str] = set()
        self.span = Span(Source(path, ""), 0, 0)

    def graph(self, name: str, inputs: list[Place], outputs: list[Place]) -> Graph | None:
        """The graph of the model; None where something is wrong, which its home now knows."""
        outputs = [self._counted(place, output=True) for place in outputs]
        self.masks = masks_alone(self.operations, self.calls, {place[0] for place in outputs})
        before = len(self.home.found)
        self._make_layers()
        for entry in self.entries.values():
            if entry.is_input:
                self._try(entry.name, partial(self._input, entry))
        try:
            order = self._order()
            for place in inputs:
                if place[0] not in self.entries or not self.entries[place[0]].is_input:
                    raise Refusal(f"the input {quoted(place[0])} is no InputLayer of the model", Slug.BAD_VALUE)
            entering = [place[0] for place in inputs]
            if len(set(entering)) < len(entering):
                raise Refusal("an input of the model stands twice", Slug.DUPLICATE)
            missing = [name for name, entry in self.entries.items() if entry.is_input and name not in entering]
            if missing:
                raise Refusal(f"the InputLayer {quoted(missing[0])} is no input of the model", Slug.UNUSED)
        except Refusal as refusal:
            self.home.refuse(self.path.rstrip("/"), refusal)
            return None
        for layer, number in order:
            self._try(layer, partial(self._apply, layer, number))
        if len(self.home.found) > before:
            return None
        leaving: list[Tensor] = []
        for place in outputs:
            tensor = self.tensors.get(place)
            if tensor is None or tensor in leaving:
                wrong = "is made by no layer" if tensor is None else "stands twice"
                self.home.refuse(
                    self.path.rstrip("/"), Refusal(f"an output of the model, of {quoted(place[0])}, {wrong}")
                )
                return None
            leaving.append(tensor)
        first = [self.nodes.pop(name) for name in entering]
        return Graph(name, (*first, *self.nodes.values()), tuple(leaving))

    def _try(self, name: str, act: Callable[[], None]) -> None:
        try:
            act()
        except Refusal as refusal:
            self.home.refuse(f"{self.path}{name}", refusal)
        except Misuse as misuse:
            self.home.refuse(f"{self.path}{name}", Refusal(misuse.message, Slug.SHAPE, misuse.help))

    # ------------------------------------------------------------------------------------------ what there is

    def _make_layers(self) -> None:
        for name, entry in self.entries.items():
            if name in self.operations or entry.is_input:
                continue
            if str(entry.data.get("module")).startswith(APPLICATIONS):
                continue
            self.layers[name] = None
            before = len(self.home.found)
            try:
                self.home.check_shared(entry.data, f"{self.path}{name}")
                layers = Layers(partial(self.home.functional, path=f"{self.path}{name}"))
                self.layers[name] = layers.read(entry.data)
            except Refusal as refusal:
                if len(self.home.found) == before:  # or else it is known what is wrong within
                    self.home.refuse(f"{self.path}{name}", refusal)

    def _input(self, entry: Entry) -> None:
        config = expect(entry.data.get("config"), dict, "the configuration of an input")
        shape = expect(config.get("batch_shape", config.get("batch_input_shape")), list, "the shape of an input")
        for key, plain in _PLAIN_INPUT.items():
            if config.get(key, plain) not in (plain, None):
                raise Refusal(f"it is an input with {key}={quoted(config[key])}, which a spec cannot say")
        for key in config:
            if key not in {*_PLAIN_INPUT, "name", "batch_shape", "batch_input_shape", "dtype", "trainable"}:
                raise Refusal(f"InputLayer is given {shown(key)}, which a spec cannot say", Slug.UNKNOWN_ARGUMENT)
        if not shape or shape[0] is not None:
            raise Refusal("it is an input of a fixed number of examples, which a spec cannot say")
        layer = made(InputLayer, {"shape": tuple(shape[1:]), "dtype": policy_of(config.get("dtype"))})
        self._add(entry.name, entry.name, layer, (), {}, (entry.name, 0))

    def _order(self) -> list[tuple[str, int]]:
        """The calls of all layers, each behind those that make what it takes, else in the order of the file.

        Raises:
            Refusal: a call takes what no layer makes, or its own result.
        """
        numbers = {name: number for number, name in enumerate(self.entries)}
        waits: dict[tuple[str, int], int] = {}
        users: dict[tuple[str, int], list[tuple[str, int]]] = {}
        for name, calls in self.calls.items():
            for index, call in enumerate(calls):
                sources = {(ref.layer, self._counted(ref.place)[1]) for ref in refs_in(call)}
                if index:
                    sources.add((name, index - 1))
                for source in sources:
                    if source[0] not in self.entries or source[1] >= max(len(self.calls[source[0]]), 1):
                        raise Refusal(
                            f"the layer {quoted(name)} takes a tensor of {quoted(source[0])}, which makes no such one"
                        )
                    if self.calls[source[0]]:
                        users.setdefault(source, []).append((name, index))
                waits[name, index] = sum(bool(self.calls[source[0]]) for source in sources)
        ready = [(numbers[name], index, name) for (name, index), count in waits.items() if not count]
        heapq.heapify(ready)
        order: list[tuple[str, int]] = []
        while ready:
            _, index, name = heapq.heappop(ready)
            order.append((name, index))
            for user in users.get((name, index), ()):
                waits[user] -= 1
                if not waits[user]:
                    heapq.heappush(ready, (numbers[user[0]], user[1], user[0]))
        if len(order) < len(waits):
            name = next(name for (name, _), count in waits.items() if count)
            raise Refusal(f"the layer {quoted(name)} takes what depends on itself", Slug.BAD_VALUE)
        return order

    def _counted(self, place: Place, *, output: bool = False) -> Place:
        """A place with the calls of its layer counted from 0.

        The making of a model counts as its first call: in Keras 2 always, in Keras 3 where outputs are named.
        """
        layer, call, number = place
        entry = self.entries.get(layer)
        if entry is None or not is_model(entry.data) or not (self.older or output):
            return place
        first = self.older or entry.data.get("class_name") != "Sequential"
        return layer, call - first, number

    # ------------------------------------------------------------------------------------------ calls

    def _apply(self, name: str, number: int) -> None:
        entry = self.entries[name]
        call = entry.calls[number]
        if name in self.masks:
            return
        known = [self._counted(ref.place) in self.tensors for ref in refs_in(call) if ref.layer not in self.masks]
        if not all(known):
            return  # what makes it is refused already
        if name in self.operations:
            config = expect(entry.data.get("config"), dict, "the configuration of an operation")
            plain = {key: value for key, value in config.items() if key != "name"}
            self._chain(entry, number, layers_for(Operation(self.operations[name], plain, call, self._shape)))
            return
        layer = self.layers.get(name)
        if name not in self.layers:
            config = expect(entry.data.get("config"), dict, "the configuration of a layer")
            chain = application_layers(str(entry.data.get("class_name")), config, call, self._shape)
            if chain is None:
                kind = shown(entry.data.get("class_name"))
                raise Refusal(
                    f"it is a layer of {kind}, a class of keras.applications that a spec has not", Slug.UNKNOWN_STEP
                )
            self._chain(entry, number, chain)
        elif layer is not None:
            self._layer(entry, number, layer)

    def _layer(self, entry: Entry, number: int, layer: Layer) -> None:
        names = [node.name for node in layer.graph.input_nodes] if isinstance(layer, Functional) else []
        told = told_by(entry.calls[number], layer, names)
        inputs = tuple(self._tensor(ref) for ref in told.inputs)
        for mask in told.masks:
            self._check_mask(mask, inputs)
        options: dict[str, Any] = {}
        for name, value in told.options.items():
            given = refs_in(value)
            if "mask" in name and given and all(ref.layer in self.masks for ref in given):
                for ref in given:
                    self._check_mask(ref, inputs)
            else:
                options[name] = value
        for ref in (ref for value in options.values() for ref in refs_in(value)):
            if ref.layer in self.masks:
                raise Refusal("it is told something that operations compute, which a spec cannot say")
        plain = plain_options(options, self.tensors)
        if told.noted and not self._takes(layer, plain, inputs):
            plain |= told.noted  # as a RandomCrop that cuts in training alone
        self._add(self._free(entry.name, number), entry.name, layer, inputs, plain, (entry.name, number))

    def _takes(self, layer: Layer, options: Mapping[str, Option], inputs: tuple[Tensor, ...]) -> bool:
        """Whether a layer takes these tensors when its call says nothing but these options."""
        try:
            said_layer(layer, options, self._shape_of).infer(*map(self._shape_of, inputs))
        except Misuse:
            return False
        return True

    def _chain(self, entry: Entry, number: int, chain: list[Made]) -> None:
        made: list[Tensor] = []
        for part in chain:
            inputs = tuple(made[source] if isinstance(source, int) else self._tensor(source) for source in part.inputs)
            name = self._free(
                f"{entry.name}_{part.suffix}" if part.suffix else entry.name, number, fresh=bool(part.suffix)
            )
            place = (entry.name, number) if part is chain[-1] else None
            owner = name if part.suffix or not part.layer.weights(*map(self._shape_of, inputs)) else entry.name
            made.append(self._add(name, owner, part.layer, inputs, {}, place))

    def _add(
        self,
        name: str,
        owner: str,
        layer: Layer,
        inputs: tuple[Tensor, ...],
        options: Mapping[str, Option],
        place: tuple[str, int] | None,
    ) -> Tensor:
        entering = tuple(map(self._shape_of, inputs))
        said = said_layer(layer, options, self._shape_of)
        shapes = said.infer(*entering)
        dtypes = said.result_dtypes(len(shapes), *(self.nodes[one.node].dtypes[one.index] for one in inputs))
        layer = _without_usual_axes(layer, entering)
        node = Node(name, layer, inputs, shapes, dtypes, "", None, self.span, owner, options)
        self.nodes[name] = node
        carried = frozenset[Place]().union(*(self.carried[tensor] for tensor in inputs))
        places = {tensor: where for where, tensor in self.tensors.items()} if "mask" in options else {}
        if isinstance(mask := options.get("mask"), Tensor):
            carried = frozenset({places[mask]})
        for tensor in node.outputs:
            self.carried[tensor] = carried
            if place:
                self.tensors[*place, tensor.index] = tensor
        if layer.makes_mask:
            self.masked.update(where for where, tensor in self.tensors.items() if tensor in inputs)
        return node.outputs[0]

    def _check_mask(self, mask: Any, inputs: tuple[Tensor, ...]) -> None:
        """Refuse a mask that is not the one that Keras passes on unasked.

        Raises:
            Refusal: it is not.
        """
        if mask is None:
            return
        if isinstance(mask, Ref) and mask.layer in self.masks:
            if roots_of(mask.layer, self.operations, self.calls) <= self.masked:
                return
        elif isinstance(mask, Ref) and any(self._counted(mask.place) in self.carried[tensor] for tensor in inputs):
            return
        raise Refusal("it is called with a mask that no Embedding or Masking makes, which a spec cannot say")

    def _free(self, stem: str, number: int, *, fresh: bool = False) -> str:
        """A name for an application: that of its layer for the first one."""
        if number == 0 and not fresh:
            return stem
        name, count = (stem, 0) if fresh and number == 0 else (f"{stem}_{number}", number)
        while name in self.names:
            count += 1
            name = f"{stem}_{count}"
        self.names.add(name)
        return name

    def _tensor(self, ref: Ref) -> Tensor:
        place = self._counted(ref.place)
        if place not in self.tensors:
            raise Refusal(f"it takes result {ref.output} of {quoted(ref.layer)}, which has fewer", Slug.BAD_VALUE)
        return self.tensors[place]

    def _shape(self, ref: Ref) -> Shape:
        return self._shape_of(self._tensor(ref))

    def _shape_of(self, tensor: Tensor) -> Shape:
        return self.nodes[tensor.node].shapes[tensor.index]


_PLAIN_INPUT: Mapping[str, Any] = {"sparse": False, "ragged": False, "optional": False}


def _without_usual_axes(layer: Layer, entering: tuple[Shape, ...]) -> Layer:
    """An attention without its axes where it would have them by itself: Keras writes what it has worked out."""
    axes = layer.arguments().get("attention_axes")
    if axes is None or not entering or tuple(axes) != tuple(range(1, len(entering[0]))):
        return layer
    return type(layer)(**{name: value for name, value in layer.arguments().items() if name != "attention_axes"})
