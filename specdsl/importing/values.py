"""What a configuration says of one layer, as a declaration of the layer table; what the table has not is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from specdsl.declaration import snake_case, text
from specdsl.diagnostics import Diagnostic, Slug
from specdsl.importing.reading import quoted, shown
from specdsl.layers import NAMES, InputLayer, Layer
from specdsl.layers.objects import CONSTRAINTS, INITIALIZERS, OBJECTS, REGULARIZERS, KerasObject
from specdsl.resolve.binding import construct
from specdsl.resolve.scope import Collector
from specdsl.source import Source, Span


class Refusal(Exception):  # noqa: N818 - what a file holds is refused; the program does not err
    """Something in a file that no spec can say.

    Args:
        message: why, in one sentence without a final full stop; what it is said of goes before it.
        slug: the kind of mistake.
        help: how to mend it, where that is known.
    """

    def __init__(self, message: str, slug: Slug = Slug.BAD_ARGUMENT, help: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.slug = slug
        self.help = help


_HOMES = ("keras.layers", "keras.src.layers.", "keras.engine.", "keras.models", "keras.src.models.", "tf_keras.")
"""Where the classes of layers live, by the modules that files name; `Sequential` lives in `keras` itself."""

IMPLIED: Mapping[str, Any] = {
    "autocast": True,
    "activity_regularizer": None,
    "lora_rank": None,
    "data_format": "channels_last",
    "quantization_config": None,
    "zero_output_for_mask": False,
}
"""Keys of the configuration of any class beside those of the table, with the one value that a spec means."""

_SPELLED: Mapping[str, Any] = {"data_format": "channels_last", "activation": "linear", "dtype": "float32"}
"""How Keras spells what an argument means that is `none`."""

_CODE = {"__lambda__", "function"}

_MODELS = ("Functional", "Model", "Sequential")


def is_model(entry: Mapping[str, Any]) -> bool:
    """Whether a serialized layer is a model of layers."""
    config = entry.get("config")
    return entry.get("class_name") in _MODELS and is_builtin(entry) and isinstance(config, dict) and "layers" in config


def is_builtin(entry: Mapping[str, Any]) -> bool:
    """Whether a class is Keras's own by the module that a file names; older files name none."""
    module = entry.get("module")
    registered = entry.get("registered_name")
    if "module" not in entry:
        return True
    if not isinstance(module, str):
        return False
    ours = module == "keras" or module.startswith(_HOMES)
    return ours and registered in (None, entry.get("class_name"))


class Layers:
    """Reads serialized layers.

    Args:
        model_of: reads a serialized model that stands where a layer may.
    """

    def __init__(self, model_of: Callable[[Mapping[str, Any]], Layer]) -> None:
        self._model_of = model_of

    def read(self, entry: Any, inner: bool = False) -> Layer:
        """The declaration that a serialized layer stands for.

        Args:
            entry: the layer with class and configuration.
            inner: whether it stands in a wrapper.

        Raises:
            Refusal: there is no such layer in the table, or it has arguments that the table does not know.
        """
        entry = expect(entry, dict, "a layer")
        name = expect(entry.get("class_name"), str, "the class of a layer")
        config = expect(entry.get("config"), dict, f"the configuration of {quoted(name)}")
        if is_model(entry):
            return self._model_of(entry)
        if name == "Lambda":
            message = "it is a Lambda, whose code is in the file; no code from a file is run, or written out"
            raise Refusal(message, Slug.UNKNOWN_STEP, "put layers of Keras in its place")
        kind = NAMES.get(name)
        if not is_builtin(entry):
            whose = f"{shown(name)}, a class of its author's own"
            raise Refusal(f"it is a layer of {whose}, and a spec takes those of Keras alone", Slug.UNKNOWN_STEP)
        if kind is None or kind is InputLayer:
            raise Refusal(f"it is a layer of Keras's class {shown(name)}, which a spec has not", Slug.UNKNOWN_STEP)
        return _shortened(self._declared(kind, config, inner))

    def _declared(self, kind: type[Layer], config: Mapping[str, Any], inner: bool) -> Layer:
        implied = {**IMPLIED, **kind.implied}
        values: dict[str, Any] = {}
        for key, value in config.items():
            if key in ("name", "batch_input_shape"):  # the latter is read with the model
                continue
            if key == "dtype":
                values[key] = policy_of(value)
            elif key in kind.names():
                values[key] = self._value(value, key)
            elif _follows(key, config, inner):
                continue
            elif key not in implied or (None if value == {} else value) != implied[key]:
                said = text(value) if isinstance(value, bool | int | float | None) else quoted(value)
                message = f"{kind.__name__} is given {shown(key)}={said}, which a spec cannot say"
                raise Refusal(message, Slug.UNKNOWN_ARGUMENT)
        return made(kind, _tidied(kind, values))

    def _value(self, value: Any, key: str) -> Any:
        """An argument as the layer table has it: objects and layers declared, lists as tuples."""
        if isinstance(value, dict) and value.get("class_name") == "__tuple__":  # as HDF5 files write them
            value = expect(value.get("items"), list, "a tuple")
        if isinstance(value, list):
            return tuple(self._value(item, key) for item in value)
        if not isinstance(value, dict):
            return value
        if key in ("layer", "layers", "backward_layer", "cell", "cells"):
            return self.read(value, inner=True)
        return _function_of(value, key) if key.endswith("activation") else _object_of(value, key)


def made(kind: type[Layer], values: dict[str, Any]) -> Layer:
    """A layer with these arguments.

    Raises:
        Refusal: they are not legal, or one is missing.
    """
    missing = [name for name in kind.required() if name not in values]
    if missing:
        names = " and ".join(f"'{name}'" for name in missing)
        raise Refusal(f"{kind.__name__} lacks {names}", Slug.MISSING_ARGUMENT)
    found = Collector()
    layer = construct(kind, values, {}, Span(Source("", ""), 0, 0), found)
    if layer is None:
        wrong: Diagnostic = found.diagnostics[0]
        raise Refusal(wrong.message, wrong.slug, wrong.help)
    return layer


def _tidied(kind: type[Layer], values: dict[str, Any]) -> dict[str, Any]:
    """Arguments as the table takes them, where Keras writes them in another form."""
    tidied = dict(values)
    for name, value in values.items():
        default = getattr(kind, name, ...)
        if default is None and value == _SPELLED.get(name, ...):
            del tidied[name]
        elif name == "axis" and isinstance(value, tuple) and len(value) == 1:
            tidied[name] = value[0]  # Keras lists the only axis
        elif isinstance(value, str) and isinstance(default, str) and _same_object(value, default):
            del tidied[name]
    return tidied


def _same_object(one: str, other: str) -> bool:
    return one in INITIALIZERS and INITIALIZERS[one] is INITIALIZERS.get(other)


def _shortened(layer: Layer) -> Layer:
    """The layer without arguments that say what would hold without them."""
    given = layer.arguments()
    if layer.family == "pooling" and given.get("strides") == getattr(layer, "pool_size", None):
        given.pop("strides", None)
    if given.get("value_dim") == getattr(layer, "key_dim", ...):
        del given["value_dim"]
    backward = given.get("backward_layer")
    if backward is not None and backward == type(given["layer"])(
        **{**given["layer"].arguments(), "go_backwards": True}
    ):
        del given["backward_layer"]
    return type(layer)(**given)


def policy_of(value: Any) -> str:
    """The name of a data type or of a policy.

    Raises:
        Refusal: it has no name, or is one of quantization.
    """
    if isinstance(value, dict):
        config = value.get("config")
        if value.get("class_name") != "DTypePolicy" or not isinstance(config, dict):
            raise Refusal(f"it has the data type policy {quoted(value.get('class_name'))}, which a spec cannot say")
        value = config.get("name")
    return "float32" if value is None else str(expect(value, str, "a data type"))


def _follows(key: str, config: Mapping[str, Any], inner: bool) -> bool:
    """Whether a key says what follows from others: a vocabulary has a size, a Bidirectional says how masks act."""
    if key == "vocabulary_size":
        return isinstance(config.get("vocabulary"), list)
    return key == "zero_output_for_mask" and inner


def _function_of(value: Mapping[str, Any], key: str) -> str:
    """The name of an activation."""
    name, config = value.get("class_name"), value.get("config")
    if name == "function" and isinstance(config, str) and str(value.get("module")).startswith(("keras", "builtins")):
        return config
    what = f"an object of the class {shown(name)}" if name and name not in _CODE else "code"
    raise Refusal(f"'{key}' is {what}, and a spec takes the name of a function of Keras")


def _object_of(value: Mapping[str, Any], key: str) -> str | KerasObject:
    """An initializer, a regularizer or a constraint."""
    name = value.get("class_name")
    ours = str(value.get("module", "keras")).startswith(("keras.", "keras", "tf_keras"))
    if not isinstance(name, str) or name not in OBJECTS or not ours or value.get("registered_name") not in (None, name):
        what = f"an object of the class {shown(name)}" if name else "an object"
        raise Refusal(f"'{key}' is {what}, which a spec cannot name")
    return _object(OBJECTS[name], expect(value.get("config"), dict, f"the configuration of {name}"))


def _object(kind: type[KerasObject], config: Mapping[str, Any]) -> str | KerasObject:
    """An object, by its name alone where that says all."""
    unknown = [key for key in config if key not in kind.names() and key != "name"]
    if unknown:
        raise Refusal(f"{kind.__name__} is given {quoted(unknown[0])}, which a spec cannot say", Slug.UNKNOWN_ARGUMENT)
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in config.items() if key != "name"}
    found = Collector()
    chosen = construct(kind, values, {}, Span(Source("", ""), 0, 0), found)
    if chosen is None:
        wrong = found.diagnostics[0]
        raise Refusal(wrong.message, wrong.slug, wrong.help)
    short = snake_case(kind.__name__)
    known = short in INITIALIZERS or short in REGULARIZERS or short in CONSTRAINTS
    return short if known and not chosen.arguments() else chosen


def expect(value: Any, kind: type[Any], what: str) -> Any:
    """A value, if it is of the kind that it must be.

    Raises:
        Refusal: it is not.
    """
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        names = {dict: "an object", list: "a list", str: "a string", int: "a whole number"}
        said = "null or missing" if value is None else shown(value)
        raise Refusal(f"{what} must be {names[kind]}, and it is {said}", Slug.BAD_VALUE)
    return value
