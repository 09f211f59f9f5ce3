"""Which of Keras's layers the table has, and what it knows of each: the page docs/layers.md, from the table alone."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc
from itertools import product
from typing import Any, get_args

from specdsl.layers import KERAS_LAYERS, LAYERS, NO_LAYER, UNDECLARABLE, Layer, Shape, Weight

_HEAD = """\
# Keras's layers

Of the {total} classes of layers in `keras.layers` of Keras 3.15, {declared} can stand in a text, under {names}
names, and {others} cannot, for the [reasons below](#what-cannot-be-declared). `specdsl layers NAME` tells what each
argument takes and what it is when it is not given. `specdsl layers --coverage` makes this page, from the table that
all else comes from.

Arguments are Keras's, in Keras's order; bold ones are required. What a text cannot give is left out: `name`, which `as`
gives, and functions and files where Keras takes them too. The weights are those that a layer has where its arguments
say nothing. *MACs* says whether it multiplies and accumulates, *operations* whether others are counted in inference,
*field* whether a place of its output may see a known part of its input, so that a receptive field goes on through it,
and *training* whether it may act differently there, so that a call may say `training`. Parameters, memory and depth are
known of every layer.
"""

_UNDECLARABLE = """\
## What cannot be declared

| in Keras | why not | in its place |
| --- | --- | --- |
"""


def coverage() -> str:
    """The page: how many of Keras's layers there are, each of them by family, and why the others cannot be declared."""
    aliases = sum(len(kind.aliases) for kind in LAYERS.values())
    numbers = {"declared": len(LAYERS), "names": len(LAYERS) + aliases, "others": len(UNDECLARABLE)}
    parts = [_HEAD.format(total=KERAS_LAYERS, **numbers)]
    for family in dict.fromkeys(kind.family for kind in LAYERS.values()):
        kinds = [kind for kind in LAYERS.values() if kind.family == family]
        parts.append("\n".join([f"## {family.capitalize()}", "", *_table(kinds), ""]))
    rows = (
        f"| `{name}` | {why.reason} | {why.instead} |\n" for name, why in [*UNDECLARABLE.items(), *NO_LAYER.items()]
    )
    return "\n".join([*parts, _UNDECLARABLE + "".join(rows)])


def _table(kinds: list[type[Layer]]) -> Iterator[str]:
    yield "| layer | what it computes | arguments | weights | MACs | operations | field | training |"
    yield "| --- | --- | --- | --- | :-: | :-: | :-: | :-: |"
    for kind in kinds:
        names = f"`{kind.__name__}`" + "".join(f", `{alias}`" for alias in kind.aliases)
        summary = cleandoc(kind.__doc__ or "").split("\n\n")[0].replace("\n", " ")
        known = (_has(kind, "macs"), _counts(kind), _has(kind, "reach"), "training" in kind.options)
        cells = [names, summary, _arguments(kind), _weights(kind), *("yes" if one else "" for one in known)]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _arguments(kind: type[Layer]) -> str:
    required = kind.required()
    return ", ".join(f"**{name}**" if name in required else name for name in kind.positional())


def _has(kind: type[Layer], rule: str) -> bool:
    """Whether a layer states a rule of its own."""
    return getattr(kind, rule) is not getattr(Layer, rule)


def _counts(kind: type[Layer]) -> bool:
    """Whether operations are counted: by a rule of its own, or for a bias or an activation."""
    return _has(kind, "operations") or bool({"use_bias", "activation"} & set(kind.names()))


def _weights(kind: type[Layer]) -> str:
    """The names of the weights that a layer has with its defaults; those of a layer within are its own business."""
    if not _has(kind, "weights"):
        return ""
    if any(_holds_layers(field.annotation) for field in kind.fields().values()):
        return "those of the layers within"
    return ", ".join(dict.fromkeys(weight.name for weight in _example(kind)))


def _holds_layers(annotation: Any) -> bool:
    """Whether values of a type are layers, or lists of them."""
    if isinstance(annotation, type):
        return issubclass(annotation, Layer)
    return any(map(_holds_layers, get_args(annotation)))


_VALUES = (2, 0.5, (1,), "relu", "ab,bc->ac")
"""What required arguments are tried with."""


def _example(kind: type[Layer]) -> tuple[Weight, ...]:
    """The weights of a layer of a class: of the first that takes shapes that are tried."""
    required = kind.required()
    for values, size, rank in product(product(_VALUES, repeat=len(required)), (32, 512), range(1, 6)):
        shapes: tuple[Shape, ...] = ((size,) * rank,) * max(kind.arity[0], 1)
        try:
            arguments: dict[str, Any] = dict(zip(required, values, strict=True))
            layer = kind(**arguments)
            layer.result_shapes(*shapes)
            return layer.weights(*shapes)
        except ValueError:  # of pydantic, or a Misuse
            continue
    raise AssertionError(f"no example of a {kind.__name__} is found")
