"""Operations on tensors, such as `x + y` or `ops.relu(x)`, as layers that do just the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any, NamedTuple

from specdsl.declaration import Misuse
from specdsl.diagnostics import Slug
from specdsl.importing.calls import Call, Ref, Slice, refs_in
from specdsl.importing.reading import quoted, shown
from specdsl.importing.values import Refusal, made
from specdsl.layers import LAYERS, Layer, Shape

Shapes = Callable[[Ref], Shape]
"""The shape of a tensor, without the batch axis."""


class Made(NamedTuple):
    """A layer that stands for an operation, or for a part of it.

    Attributes:
        layer: the layer.
        inputs: the tensors that enter; a number means what the so-manieth layer of the operation makes.
        suffix: what its name has behind that of the operation: nothing for the last.
    """

    layer: Layer
    inputs: list[Ref | int]
    suffix: str = ""


class Operation(NamedTuple):
    """An operation with its call.

    Attributes:
        kind: its class, `Add`.
        config: its arguments, without its name.
        call: what it is called with.
        shape: gives the shape of a tensor.
    """

    kind: str
    config: Mapping[str, Any]
    call: Call
    shape: Shapes

    @property
    def refs(self) -> list[Ref]:
        """The tensors that it takes."""
        return refs_in(self.call)

    def layer(self, name: str, **arguments: Any) -> Layer:
        """A layer of the table."""
        return made(LAYERS[name], arguments)

    def one(self, name: str, **arguments: Any) -> list[Made]:
        """The operation as one layer over the tensors that it takes."""
        return [Made(self.layer(name, **arguments), list(self.refs))]

    def refuse(self, help: str | None = None) -> Refusal:
        """What to raise where no layer does what it does."""
        words = ", ".join([*map(_shown, self.call.args), *(f"{n}={_shown(v)}" for n, v in self._said().items())])
        message = f"it is the operation {shown(self.kind)}({words}), for which there is no layer"
        return Refusal(message, Slug.UNKNOWN_STEP, help)

    def _said(self) -> dict[str, Any]:
        return {**self.config, **self.call.kwargs}


def _shown(value: Any) -> str:
    match value:
        case Ref():
            return "x"
        case list() if refs_in(value):
            return f"[{', '.join(map(_shown, value))}]"
        case Slice():
            return ":".join("" if part is None else str(part) for part in value[: 2 if value.step is None else 3])
    return shown(value)


def is_operation(entry: Mapping[str, Any]) -> bool:
    """Whether what a file has among its layers is an operation of `keras.ops`.

    Where the file names no module, as HDF5 files do, it is told by its configuration: every layer has `trainable`.
    """
    module, config = entry.get("module"), entry.get("config")
    if isinstance(module, str):
        return module.startswith("keras.src.ops.") or module == "keras.ops"
    return (
        "module" not in entry
        and isinstance(config, dict)
        and not {"trainable", "layers", "batch_shape", "batch_input_shape", "dtype"} & config.keys()
    )


def layers_for(operation: Operation) -> list[Made]:
    """The layers that do what an operation does, the last of them under its name.

    Raises:
        Refusal: there are none.
    """
    for ref in operation.refs:
        if ref.dtype is not None and "float" not in ref.dtype:
            raise operation.refuse(
                f"its tensor is of {quoted(ref.dtype)}, which a layer would turn into numbers of its own type"
            )
    rule = _RULES.get(operation.kind)
    found = rule(operation) if rule and not operation.call.kwargs.keys() - {"axis"} else None
    if found is None:
        raise operation.refuse()
    return found


_ELEMENTWISE = {
    "Add": "Add",
    "Subtract": "Subtract",
    "Multiply": "Multiply",
    "Maximum": "Maximum",
    "Minimum": "Minimum",
}


def _binary(operation: Operation) -> list[Made] | None:
    """`x + y` of two tensors, or of a tensor and a number."""
    match operation.call.args:
        case [Ref() as one, Ref() as other]:
            if operation.kind not in _ELEMENTWISE or len(operation.shape(one)) != len(operation.shape(other)):
                return None  # operations put axes that are missing in front, layers behind the batch axis
            return operation.one(_ELEMENTWISE[operation.kind])
        case [Ref(), int() | float() as number] if not isinstance(number, bool):
            return _with_number(operation, float(number), first=False)
        case [int() | float() as number, Ref()] if not isinstance(number, bool):
            return _with_number(operation, float(number), first=True)
    return None


def _with_number(operation: Operation, number: float, *, first: bool) -> list[Made] | None:
    match operation.kind:
        case "Add":
            return operation.one("Rescaling", scale=1.0, offset=number)
        case "Subtract" if first:
            return operation.one("Rescaling", scale=-1.0, offset=number)
        case "Subtract":
            return operation.one("Rescaling", scale=1.0, offset=-number)
        case "Multiply":
            return operation.one("Rescaling", scale=number)
        case "Divide" | "TrueDivide" if not first and number:
            return operation.one("Rescaling", scale=1 / number)
        case "Power" if not first and number in (1.0, 2.0, 3.0):
            (ref,) = operation.refs
            if number == 1:
                return operation.one("Identity")
            return [Made(operation.layer("Multiply"), [ref] * int(number))]
    return None


def _alone(operation: Operation) -> Ref:
    """The one tensor that an operation takes, and nothing beside it.

    Raises:
        Refusal: it takes something else.
    """
    match operation.call.args:
        case [Ref() as ref]:
            return ref
    raise operation.refuse()


def _activation(name: str) -> Callable[[Operation], list[Made] | None]:
    def rule(operation: Operation) -> list[Made] | None:
        _alone(operation)
        return operation.one("Activation", activation=name)

    return rule


def _gelu(operation: Operation) -> list[Made] | None:
    _alone(operation)
    return None if operation.config.get("approximate", True) else operation.one("Activation", activation="gelu")


def _named(name: str, **renamed: str) -> Callable[[Operation], list[Made] | None]:
    """A layer with the arguments of the operation, under other names."""

    def rule(operation: Operation) -> list[Made] | None:
        _alone(operation)
        said = {**operation.config, **operation.call.kwargs}
        return operation.one(name, **{renamed.get(key, key): value for key, value in said.items()})

    return rule


def _sizes(operation: Operation, sizes: Any) -> list[Made] | None:
    """A reshape to sizes that leave the batch axis alone."""
    ref = _alone(operation)
    before = operation.shape(ref)
    if not isinstance(sizes, list) or not sizes or not all(isinstance(size, int) or size is None for size in sizes):
        return None
    batch, *rest = sizes
    if batch not in (-1, None) or (batch == -1 and -1 in rest):
        return None
    if None in before or None in rest or -1 in rest or prod(rest) != prod(size or 0 for size in before):
        return None  # the batch axis might take a part of what it lacks
    return operation.one("Reshape", target_shape=tuple(rest))


def _reshape(operation: Operation) -> list[Made] | None:
    return _sizes(operation, operation.config.get("newshape"))


def _expand(operation: Operation) -> list[Made] | None:
    shape, axis = operation.shape(_alone(operation)), operation.config.get("axis")
    if not isinstance(axis, int) or isinstance(axis, bool):
        return None
    place = axis if axis >= 0 else axis + len(shape) + 2
    if not 1 <= place <= len(shape) + 1 or shape.count(None) > 1:
        return None
    return operation.one("Reshape", target_shape=_flexible((*shape[: place - 1], 1, *shape[place - 1 :])))


def _squeeze(operation: Operation) -> list[Made] | None:
    shape, axis = operation.shape(_alone(operation)), operation.config.get("axis")
    if not isinstance(axis, int) or isinstance(axis, bool):
        return None
    place = axis if axis >= 0 else axis + len(shape) + 1
    if not 1 <= place <= len(shape) or shape[place - 1] != 1 or shape.count(None) > 1:
        return None
    return operation.one("Reshape", target_shape=_flexible((*shape[: place - 1], *shape[place:])))


def _flexible(shape: Shape) -> tuple[int, ...]:
    return tuple(-1 if size is None else size for size in shape)


def _transpose(operation: Operation) -> list[Made] | None:
    _alone(operation)
    axes = operation.config.get("axes")
    if not isinstance(axes, list) or axes[:1] != [0]:
        return None
    return operation.one("Permute", dims=tuple(axes[1:]))


def _swap(operation: Operation) -> list[Made] | None:
    shape = operation.shape(_alone(operation))
    places = [operation.config.get("axis1"), operation.config.get("axis2")]
    if not all(isinstance(place, int) and not isinstance(place, bool) for place in places):
        return None
    one, other = (place % (len(shape) + 1) for place in places if isinstance(place, int))
    dims = list(range(len(shape) + 1))
    dims[one], dims[other] = dims[other], dims[one]
    return operation.one("Permute", dims=tuple(dims[1:])) if dims[0] == 0 else None


def _softmax(operation: Operation) -> list[Made] | None:
    shape, axis = operation.shape(_alone(operation)), operation.config.get("axis", -1)
    if not isinstance(axis, int) or axis % (len(shape) + 1) == 0:
        return None
    return operation.one("Softmax", axis=axis)


def _pooled(kind: str) -> Callable[[Operation], list[Made] | None]:
    """A mean or a maximum over all axes between the batch and the channels."""

    def rule(operation: Operation) -> list[Made] | None:
        shape, axis = operation.shape(_alone(operation)), operation.config.get("axis")
        axes = [axis] if isinstance(axis, int) else axis
        if not isinstance(axes, list) or not all(isinstance(one, int) for one in axes):
            return None
        rank = len(shape) - 1
        if not 1 <= rank <= 3 or sorted(one % (len(shape) + 1) for one in axes) != list(range(1, rank + 1)):
            return None
        if operation.config.get("initial") is not None:
            return None
        return operation.one(f"Global{kind}Pooling{rank}D", keepdims=bool(operation.config.get("keepdims")))

    return rule


def _concatenate(operation: Operation) -> list[Made] | None:
    match operation.call.args:
        case [[_, _, *_] as parts] if all(isinstance(part, Ref) for part in parts):
            axis = operation.config.get("axis", 0)
            return operation.one("Concatenate", axis=axis) if axis else None
    return None


def _item(operation: Operation) -> list[Made] | None:
    """`x[:, n]` of a sequence of vectors: all but that step cut away, and the axis of steps with it."""
    match operation.call.args:
        case [Ref() as ref, [Slice(None, None, None), int() as place, *rest]]:
            shape = operation.shape(ref)
            plain = all(part == Slice(None, None, None) for part in rest)
            if not plain or len(rest) >= len(shape) or len(shape) != 2 or None in shape or isinstance(place, bool):
                return None
            steps, features = (size or 0 for size in shape)
            if not -steps <= place < steps:
                return None
            before = place % steps
            last = Made(operation.layer("Reshape", target_shape=(features,)), [0])
            if steps == 1:
                return [last._replace(inputs=[ref])]
            cut = operation.layer("Cropping1D", cropping=(before, steps - 1 - before))
            return [Made(cut, [ref], "cut"), last]
    return None


_RULES: Mapping[str, Callable[[Operation], list[Made] | None]] = {
    **dict.fromkeys([*_ELEMENTWISE, "Divide", "TrueDivide", "Power"], _binary),
    "Concatenate": _concatenate,
    "Elu": _named("ELU"),
    "ExpandDims": _expand,
    "Gelu": _gelu,
    "GetItem": _item,
    "LeakyRelu": _named("LeakyReLU"),
    "Max": _pooled("Max"),
    "Mean": _pooled("Average"),
    "Negative": lambda operation: operation.one("Rescaling", scale=-1.0),
    "Reshape": _reshape,
    "Softmax": _softmax,
    "Squeeze": _squeeze,
    "Swapaxes": _swap,
    "Transpose": _transpose,
    **{
        kind: _activation(name)
        for kind, name in {
            "Celu": "celu", "Exp": "exponential", "HardSigmoid": "hard_sigmoid", "HardSilu": "hard_silu",
            "HardTanh": "hard_tanh", "LogSigmoid": "log_sigmoid", "Relu": "relu", "Relu6": "relu6", "Selu": "selu",
            "Sigmoid": "sigmoid", "Silu": "silu", "Softplus": "softplus", "Softsign": "softsign", "Tanh": "tanh",
            "TanhShrink": "tanh_shrink",
        }.items()
    },
}  # fmt: skip


# ---------------------------------------------------------------------------------------------- keras.applications

APPLICATIONS = "keras.src.applications."


def application_layers(kind: str, config: Mapping[str, Any], call: Call, shape: Shapes) -> list[Made] | None:
    """What stands for the layers that `keras.applications` has for itself; None for any other.

    `CustomScaleLayer` of InceptionResNetV2 is `a + scale * b`. `LayerScale` of ConvNeXt multiplies each channel
    by a weight of its own, as an EinsumDense over one axis does: the same weight, in the same shape, called `kernel`.

    Raises:
        Refusal: it is not as Keras writes it.
    """
    operation = Operation(kind, {}, call, shape)
    refs = operation.refs
    scale, size = config.get("scale"), config.get("projection_dim")
    if kind == "CustomScaleLayer" and len(refs) == 2 and isinstance(scale, int | float):
        scaled = Made(operation.layer("Rescaling", scale=float(scale)), [refs[1]], "scaled")
        return [scaled, Made(operation.layer("Add"), [refs[0], 0])]
    if kind == "LayerScale" and len(refs) == 1 and isinstance(size, int):
        begin = made_constant(config.get("init_values"))
        try:
            if "EinsumDense" in LAYERS:
                arguments = {"equation": "...c,c->...c", "output_shape": (size,), "kernel_initializer": begin}
                layer = operation.layer("EinsumDense", **arguments)
            else:
                layer = operation.layer("DepthwiseConv2D", kernel_size=1, use_bias=False, depthwise_initializer=begin)
        except Misuse as misuse:
            raise Refusal(misuse.message) from None
        return [Made(layer, [refs[0]])]
    return None


def made_constant(value: Any) -> Any:
    """The initializer with which all values of a weight begin as one number."""
    from specdsl.layers.objects import Constant

    if not isinstance(value, int | float):
        raise Refusal("its initial value is no number", Slug.BAD_VALUE)
    return Constant(value=float(value))
