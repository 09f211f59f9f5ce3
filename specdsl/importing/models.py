"""A serialized model as a graph: its layers applied as its calls say, shapes inferred, every obstacle collected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from specdsl.diagnostics import Diagnostic, Slug
from specdsl.functional import Functional
from specdsl.graph import Graph
from specdsl.importing.application import Application, Entry
from specdsl.importing.calls import Call, Place, Ref, read_calls
from specdsl.importing.reading import printable, quoted, shown
from specdsl.importing.values import Refusal, expect, is_model, policy_of
from specdsl.layers import Layer
from specdsl.limits import Limits


class Reader:
    """Reads the models of one file.

    Attributes:
        found: what no spec can say.
        notes: what a spec says otherwise than the file.
    """

    def __init__(self, limits: Limits) -> None:
        self.found: list[Diagnostic] = []
        self.notes: list[str] = []
        self.limits = limits
        self._count = 0
        self._shared: dict[int, str] = {}

    def main(self, entry: Mapping[str, Any]) -> Graph | None:
        """The graph of the model that a file holds; None where something in it cannot be said."""
        if not is_model(entry):
            kind = quoted(entry.get("class_name"))
            message = f"the file holds a {kind[1:-1]}, and not a model of layers: a Functional or a Sequential"
            self.found.append(
                Diagnostic(Slug.UNKNOWN_STEP, message, help="a model with code of its own cannot be imported")
            )
            return None
        return self.model(entry, "")

    def model(self, entry: Mapping[str, Any], path: str) -> Graph | None:
        """The graph of a serialized model; None where something in it cannot be said.

        Args:
            entry: the model.
            path: the names of the models that it is within, each with a slash behind it.
        """
        try:
            config = expect(entry["config"], dict, "the configuration of a model")
            for key in config:
                if key not in _KNOWN:
                    raise Refusal(f"the model is given {shown(key)}, which a spec cannot say", Slug.UNKNOWN_ARGUMENT)
            name = expect(config.get("name"), str, "the name of a model")
            if policy_of(config.get("dtype")) != "float32" and "input_layers" in config:
                raise Refusal("the model has a data type of its own")
            if entry["class_name"] == "Sequential" or "input_layers" not in config:
                entries, inputs, outputs = _sequence(config)
            else:
                entries = _entries(config)
                inputs = [*self._flat(config["input_layers"], f"{path}{name}", "inputs")]
                outputs = [*self._flat(config.get("output_layers"), f"{path}{name}", "outputs")]
            self._count += len(entries)
            if self._count > self.limits.layers:
                hint = self.limits.raising("layers", self._count)
                raise Refusal(f"the file has more than {self.limits.layers:,} layers", Slug.LIMIT, hint)
        except Refusal as refusal:
            self.refuse(path.rstrip("/"), refusal)
            return None
        before = len(self.found)
        graph = Application(self, entries, path).graph(name, inputs, outputs)
        return graph if len(self.found) == before else None

    def functional(self, entry: Mapping[str, Any], path: str) -> Functional:
        """A model that is a layer of another one.

        Raises:
            Refusal: it cannot be imported; why, is found.
        """
        graph = self.model(entry, f"{path}/")
        if graph is None:
            raise Refusal("it is a model that cannot be imported")
        trainable = entry["config"].get("trainable", True)
        if not isinstance(trainable, bool):
            raise Refusal("its 'trainable' is neither true nor false", Slug.BAD_VALUE)
        return Functional(graph if trainable else thawed(graph), trainable=trainable)

    def _flat(self, data: Any, name: str, what: str) -> Iterator[Place]:
        """The tensors among the inputs or outputs of a model, in the order in which Keras flattens them."""
        if isinstance(data, dict):
            keys = ", ".join(map(quoted, sorted(data)))
            self.notes.append(f"the {what} of '{name}' have names of their own ({keys}): a spec has them in this order")
            for key in sorted(data):
                yield from self._flat(data[key], name, what)
        elif isinstance(data, list) and data and isinstance(data[0], list | dict):
            for item in data:
                yield from self._flat(item, name, what)
        else:
            parts = expect(data, list, f"the {what} of a model")
            if len(parts) != 3 or not isinstance(parts[0], str) or not all(isinstance(one, int) for one in parts[1:]):
                raise Refusal(f"the {what} of the model are not layers with two numbers each", Slug.BAD_VALUE)
            yield parts[0], parts[1], parts[2]

    def refuse(self, name: str, refusal: Refusal) -> None:
        """Take note of what cannot be said of a layer."""
        where = f"the layer {quoted(name)}: " if name else ""
        self.found.append(Diagnostic(refusal.slug, printable(f"{where}{refusal.message}"), help=refusal.help))

    def check_shared(self, entry: Mapping[str, Any], path: str) -> None:
        """Refuse a layer that stands at two places of a file, as where a wrapper and a step share it.

        Raises:
            Refusal: it was met before.
        """
        waiting: list[Any] = [entry]
        while waiting:
            value = waiting.pop()
            if isinstance(value, dict):
                number = value.get("shared_object_id")
                if isinstance(number, int) and str(value.get("module")).startswith("keras.layers"):
                    if number in self._shared:
                        raise Refusal(
                            f"it shares a layer with '{self._shared[number]}', one in a wrapper; a spec cannot say that"
                        )
                    self._shared[number] = path
                waiting += [item for key, item in value.items() if key != "layers"]
            elif isinstance(value, list):
                waiting += value


_KNOWN = {"name", "trainable", "layers", "input_layers", "output_layers", "dtype", "build_input_shape"}


def _entries(config: Mapping[str, Any]) -> list[Entry]:
    entries = []
    names: set[str] = set()
    for data in expect(config["layers"], list, "the layers of a model"):
        data = expect(data, dict, "a layer")
        inner = data.get("config")
        named = inner.get("name") if isinstance(inner, dict) else None
        name = expect(data.get("name", named), str, "the name of a layer")
        if name in names:
            raise Refusal(f"two layers are called {quoted(name)}", Slug.DUPLICATE)
        names.add(name)
        try:
            entries.append(Entry(name, data, read_calls(data.get("inbound_nodes"))))
        except Refusal as refusal:
            raise Refusal(f"the layer {quoted(name)}: {refusal.message}", refusal.slug, refusal.help) from None
    return entries


def _first_shape(config: Mapping[str, Any]) -> Any:
    """The shape of the first layer of a model, None where there is none."""
    layers = config["layers"]
    first = layers[0].get("config") if isinstance(layers, list) and layers and isinstance(layers[0], dict) else None
    return first.get("batch_shape", first.get("batch_input_shape")) if isinstance(first, dict) else None


def _sequence(config: Mapping[str, Any]) -> tuple[list[Entry], list[Place], list[Place]]:
    """The layers of a Sequential, each called with what the one before it makes."""
    layers = [expect(data, dict, "a layer") for data in expect(config.get("layers"), list, "the layers of a model")]
    if layers and layers[0].get("class_name") != "InputLayer":
        first = expect(layers[0].get("config"), dict, "the configuration of a layer")
        shape = first.get("batch_input_shape", config.get("build_input_shape"))
        if shape is None and is_model(layers[0]):
            shape = _first_shape(first)
        if shape is None:
            hint = "build it before it is saved: `model.build(input_shape)`, or begin it with `keras.Input(shape)`"
            raise Refusal("the model does not say what shape enters it", Slug.MISSING_ARGUMENT, hint)
        entering = {"name": "input_layer", "batch_shape": shape, "dtype": "float32"}
        if first.get("batch_input_shape") is not None and isinstance(first.get("dtype"), str):
            entering["dtype"] = first["dtype"]
        layers.insert(0, {"class_name": "InputLayer", "config": entering})
    entries: list[Entry] = []
    for data in layers:
        inner = expect(data.get("config"), dict, "the configuration of a layer")
        name = expect(inner.get("name"), str, "the name of a layer")
        calls = [Call([Ref(entries[-1].name, 0, 0)], {})] if entries else []
        entries.append(Entry(name, data, calls))
    names = [entry.name for entry in entries]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Refusal(f"two layers are called {quoted(twice)}", Slug.DUPLICATE)
    if len(entries) < 2:
        raise Refusal("the model has no layers", Slug.BAD_VALUE)
    return entries, [(names[0], 0, 0)], [(names[-1], 0, 0)]


def thawed(graph: Graph) -> Graph:
    """A model with all its layers trained, those of models within too: what is frozen as a whole is so throughout."""
    nodes = []
    layers: dict[str, Layer] = {}
    for node in graph.nodes:
        if node.owner not in layers:
            layers[node.owner] = _thawed_layer(node.layer)
        nodes.append(node._replace(layer=layers[node.owner]))
    return Graph(graph.name, tuple(nodes), graph.outputs)


def _thawed_layer(layer: Layer) -> Layer:
    if isinstance(layer, Functional):
        return Functional(thawed(layer.graph))
    given = {name: _thawed_value(value) for name, value in layer.arguments().items() if name != "trainable"}
    return layer if given == layer.arguments() else type(layer)(**given)


def _thawed_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_thawed_value, value))
    return _thawed_layer(value) if isinstance(value, Layer) else value
