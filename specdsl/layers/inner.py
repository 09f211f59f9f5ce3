"""Layers within layers: wrappers and recurrent layers take a layer, or several, as an argument."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from specdsl.declaration import Misuse
from specdsl.layers.base import Layer
from specdsl.layers.dtypes import FLOATS
from specdsl.layers.facts import Weight
from specdsl.layers.shapes import Shape


def freeze_inner(wrapper: Layer, *arguments: str) -> None:
    """Freeze the layers within a layer that is not trained: Keras freezes only what a layer has when it is made.

    Raises:
        Misuse: one of them cannot be frozen.
    """
    if wrapper.trainable:
        return
    for name in arguments:
        inner = getattr(wrapper, name)
        if isinstance(inner, tuple):
            vars(wrapper)[name] = tuple(map(_frozen, inner))
        elif inner is not None:
            vars(wrapper)[name] = _frozen(inner)


def _frozen(inner: Layer) -> Layer:
    if not inner.trainable:
        return inner
    frozen = inner.frozen()
    frozen.check()
    return frozen


def infer_inner(layer: Layer, argument: str, *shapes: Shape) -> tuple[Shape, ...]:
    """The output shapes of a layer within another; what is wrong with it is wrong with that argument of the other.

    Raises:
        Misuse: the layer cannot take these shapes.
    """
    with fault_of(argument):
        return layer.infer(*shapes)


@contextmanager
def fault_of(argument: str) -> Iterator[None]:
    """Say of what is wrong with a layer within another that it is wrong with that argument of the other.

    Raises:
        Misuse: what was raised within, of the argument.
    """
    try:
        yield
    except Misuse as misuse:
        raise Misuse(misuse.message, argument=argument, help=misuse.help) from None


def inner_dtypes(wrapper: Layer, layer: Layer, count: int, *dtypes: str) -> tuple[str, ...]:
    """The types that leave a wrapper around a layer: floats are of the kind that the wrapper computes in.

    Raises:
        Misuse: the layer cannot take tensors of these types.
    """
    made = layer.result_dtypes(count, *dtypes)
    return tuple(wrapper.policy.compute if dtype in FLOATS else dtype for dtype in made)


def inner_names(layers: Sequence[Layer]) -> tuple[str, ...]:
    """The names of several layers in one argument: each is called after its class, and numbered from the second on."""
    names: list[str] = []
    for layer in layers:
        before = sum(other.own_name == layer.own_name for other in layers[: len(names)])
        names.append(f"{layer.own_name}_{before}" if before else layer.own_name)
    return tuple(names)


def inner_weights(prefix: str, layer: Layer, *shapes: Shape, name: str | None = None) -> tuple[Weight, ...]:
    """The variables of a layer within another, behind the name that it bears there, by default after its class."""
    return tuple(
        Weight(
            f"{prefix}{name or layer.own_name}/{weight.name}",
            weight.shape,
            weight.trainable,
            weight.role or weight.name,
            weight.dtype,
        )
        for weight in layer.variables(*shapes)
    )
