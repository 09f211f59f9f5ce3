"""What a call of a layer says: the tensors that enter, and what it says beside them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from specdsl.diagnostics import Slug
from specdsl.functional import Functional
from specdsl.graph import Option, Tensor
from specdsl.importing.reading import quoted, shown
from specdsl.importing.values import Refusal, expect
from specdsl.layers import Layer


class Ref(NamedTuple):
    """A tensor as a file names it.

    Attributes:
        layer: the name of the layer that makes it.
        call: which of the calls of that layer.
        output: which of the results of that call.
        dtype: its data type, where the file says it.
    """

    layer: str
    call: int
    output: int
    dtype: str | None = None

    @property
    def place(self) -> Place:
        """Where it comes from."""
        return self[:3]


Place = tuple[str, int, int]
"""The name of a layer, which of its calls, which of the results of that call."""


class Call(NamedTuple):
    """A call: its arguments by place and by name, with `Ref` where a tensor stands."""

    args: list[Any]
    kwargs: dict[str, Any]


class Slice(NamedTuple):
    """A `start:stop:step` between square brackets."""

    start: Any
    stop: Any
    step: Any


class Other(NamedTuple):
    """A value of a kind that no call of a spec can have."""

    kind: str


def read_calls(nodes: Any) -> list[Call]:
    """The calls of a layer, from what a file has as `inbound_nodes`.

    Raises:
        Refusal: it is not what Keras writes.
    """
    return [_call(node) for node in expect(nodes, list, "the calls of a layer")]


def _call(node: Any) -> Call:
    if isinstance(node, list):
        return _older_call(node)
    node = expect(node, dict, "a call")
    args = expect(node.get("args"), list, "the arguments of a call")
    kwargs = expect(node.get("kwargs"), dict, "the named arguments of a call")
    return Call([_value(item) for item in args], {name: _value(item) for name, item in kwargs.items()})


def _older_call(node: list[Any]) -> Call:
    """A call as Keras 2 writes it: a list of `[layer, call, output, named arguments]`."""
    tensors = []
    kwargs: dict[str, Any] = {}
    for item in node:
        item = expect(item, list, "a tensor of a call")
        if len(item) not in (3, 4):
            raise Refusal("a tensor of a call has not three or four parts", Slug.BAD_VALUE)
        if item[0] == "_CONSTANT_VALUE":
            raise Refusal("it is called with a constant, which a spec cannot say")
        tensors.append(_ref(item[:3]))
        if len(item) == 4:
            given = expect(item[3], dict, "the named arguments of a call")
            kwargs |= {name: _older_value(value) for name, value in given.items()}
    return Call([tensors if len(tensors) > 1 else tensors[0]] if tensors else [], kwargs)


def _older_value(value: Any) -> Any:
    if isinstance(value, list) and len(value) in (3, 4) and isinstance(value[0], str) and isinstance(value[1], int):
        return _ref(value[:3])
    return [_older_value(item) for item in value] if isinstance(value, list) else _value(value)


def _value(value: Any) -> Any:
    if isinstance(value, list):
        return [_value(item) for item in value]
    if not isinstance(value, dict):
        return value
    kind, config = value.get("class_name"), value.get("config")
    if kind == "__tuple__":
        return [_value(item) for item in expect(value.get("items"), list, "a tuple")]
    if kind == "__keras_tensor__":
        config = expect(config, dict, "a tensor")
        ref = _ref(expect(config.get("keras_history"), list, "the origin of a tensor"))
        dtype = config.get("dtype")
        return ref._replace(dtype=dtype if isinstance(dtype, str) else None)
    if kind == "__slice__" and isinstance(config, dict):
        return Slice(config.get("start"), config.get("stop"), config.get("step"))
    if kind is None:
        return {name: _value(item) for name, item in value.items()}
    return Other(str(kind))


def _ref(history: list[Any]) -> Ref:
    if len(history) != 3 or not isinstance(history[0], str) or not all(map(_is_count, history[1:])):
        raise Refusal("the origin of a tensor is not a layer and two numbers", Slug.BAD_VALUE)
    return Ref(*history)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def refs_in(value: Any) -> list[Ref]:
    """The tensors among arguments, in order."""
    if isinstance(value, Ref):
        return [value]
    if isinstance(value, dict):
        return [ref for item in value.values() for ref in refs_in(item)]
    if isinstance(value, list | Slice | Call):
        return [ref for item in value for ref in refs_in(item)]
    return []


# ---------------------------------------------------------------------------------------------- calls of layers

_OPERANDS = ("query", "value", "key")


class Told(NamedTuple):
    """A call of a layer taken apart: the tensors that enter, and what is said beside them; masks for themselves.

    What Keras writes whether it is said or not stands in `noted`.
    """

    inputs: list[Ref]
    options: dict[str, bool | Ref | list[Ref | None]]
    masks: list[Any]
    noted: dict[str, bool]


def told_by(call: Call, layer: Layer, input_names: Sequence[str] = ()) -> Told:
    """What a call of a layer says.

    Args:
        call: the call.
        layer: the layer.
        input_names: the names of the inputs, where the layer is a model.

    Raises:
        Refusal: something that a spec cannot say.
    """
    names = layer.call_arguments
    if len(call.args) > len(names):
        raise Refusal(f"it is called with {len(call.args)} arguments, of which a spec can say {len(names)}")
    given = dict(zip(names, call.args, strict=False))
    doubled = given.keys() & call.kwargs.keys()
    if doubled:
        raise Refusal(f"it is called with {quoted(min(doubled))} twice", Slug.BAD_VALUE)
    given |= call.kwargs
    inputs = _inputs(given, layer, names, input_names)
    told = Told(inputs, {}, [], {})
    for name, value in given.items():
        _tell(name, value, layer, told)
    return told


def _inputs(given: dict[str, Any], layer: Layer, names: Sequence[str], input_names: Sequence[str]) -> list[Ref]:
    """The tensors that enter, taken out of the arguments."""
    if names[0] == "query":
        operands = [given.pop(name, None) for name in _OPERANDS]
        while operands and operands[-1] is None:
            operands.pop()
        return _tensors(operands)
    first = next((name for name in (names[0], "inputs", "sequence") if name in given), None)
    entering = given.pop(first) if first else None
    if isinstance(entering, dict) and isinstance(layer, Functional):
        if set(entering) != set(input_names):
            raise Refusal("it is called with tensors by names that are not those of its inputs")
        entering = [entering[name] for name in input_names]
    if isinstance(entering, list):
        if not layer.in_list and len(entering) != 1:
            raise Refusal(f"it is called with {len(entering)} tensors, and takes one")
        return _tensors(entering)
    return _tensors([entering])


def _tensors(values: list[Any]) -> list[Ref]:
    for value in values:
        if not isinstance(value, Ref):
            what = "a number" if isinstance(value, int | float) else quoted(value)
            raise Refusal(f"it is called with {what}, where a spec takes a tensor")
    return values


def _tell(name: str, value: Any, layer: Layer, told: Told) -> None:
    """Take note of an argument of a call beside its tensors."""
    kind = layer.options.get(name)
    if value is None:
        return
    if name == "training" and value == layer.call_training and isinstance(value, bool):
        told.noted[name] = value
        return
    if name in ("return_attention_scores", "use_causal_mask") and value is False:
        return
    if kind == "flag" and isinstance(value, bool):
        told.options[name] = value
    elif kind == "tensors" and refs_in(value) and isinstance(value, Ref | list):
        told.options[name] = [*_tensors(_flat(value))]
    elif kind == "masks" and isinstance(value, list):
        told.options[name] = [None if item is None else _tensors([item])[0] for item in value]
    elif kind == "tensor" and isinstance(value, Ref):
        told.options[name] = value
    elif name == "mask" or (name.endswith("_mask") and kind is None):
        told.masks.extend(value if isinstance(value, list) else [value])
    else:
        message = f"it is called with {shown(name)}={_shown(value)}, which a spec cannot say"
        raise Refusal(message, Slug.UNKNOWN_ARGUMENT)


def _flat(value: Any) -> list[Any]:
    """What stands in lists, and in lists of these, in order."""
    return [part for item in value for part in _flat(item)] if isinstance(value, list) else [value]


def _shown(value: Any) -> str:
    return "..." if refs_in(value) or isinstance(value, Other) else shown(value)


def plain_options(options: Mapping[str, Any], found: Mapping[Place, Tensor]) -> dict[str, Option]:
    """Options with the graph's tensors in the place of the file's."""
    plain: dict[str, Option] = {}
    for name, value in options.items():
        if isinstance(value, bool):
            plain[name] = value
        else:
            plain[name] = (
                found[value.place]
                if isinstance(value, Ref)
                else tuple(None if ref is None else found[ref.place] for ref in value)
            )
    return plain


# ---------------------------------------------------------------------------------------------- masks

MASKING = frozenset(
    {
        "All", "Any", "BroadcastTo", "Cast", "Concatenate", "Equal", "ExpandDims", "LogicalAnd", "LogicalNot",
        "LogicalOr", "NotEqual", "OnesLike", "Repeat", "Reshape", "Squeeze", "Tile", "Transpose", "ZerosLike",
    }
)  # fmt: skip
"""Operations with which Keras computes the masks that it passes on, unasked, behind Embedding and Masking."""

_SHAPES_ALONE = frozenset({"OnesLike", "ZerosLike"})


def masks_alone(operations: Mapping[str, str], calls: Mapping[str, list[Call]], outputs: Collection[str]) -> set[str]:
    """The operations that lead to nothing but masks of calls.

    Args:
        operations: the classes of all operations by name.
        calls: the calls of all layers and operations by name.
        outputs: the names of those that make outputs.
    """
    uses: dict[str, list[tuple[str, bool]]] = {}
    for name, own in calls.items():
        for call in own:
            for ref in refs_in(call.args):
                uses.setdefault(ref.layer, []).append((name, False))
            for argument, value in call.kwargs.items():
                for ref in refs_in(value):
                    mask = name not in operations and "mask" in argument and argument != "attention_mask"
                    uses.setdefault(ref.layer, []).append((name, mask))
    alone = {name for name, kind in operations.items() if kind in MASKING and name not in outputs and name in uses}
    lost = [name for name in alone if not all(mask or user in alone for user, mask in uses[name])]
    while lost:
        name = lost.pop()
        if name in alone:
            alone.remove(name)
            lost += (ref.layer for call in calls[name] for ref in refs_in(call) if ref.layer in alone)
    return alone


def roots_of(name: str, operations: Mapping[str, str], calls: Mapping[str, list[Call]]) -> set[Place]:
    """The tensors, made by layers, whose values an operation's result depends on."""
    roots: set[Place] = set()
    waiting, seen = [name], {name}
    while waiting:
        current = waiting.pop()
        for call in calls[current]:
            for ref in refs_in(call):
                if ref.layer not in operations:
                    if operations[current] not in _SHAPES_ALONE:
                        roots.add(ref.place)
                elif ref.layer not in seen:
                    seen.add(ref.layer)
                    waiting.append(ref.layer)
    return roots
