"""How much of its input a place of a feature map sees."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import NamedTuple

from specdsl.functional import Functional
from specdsl.graph import Graph, Tensor
from specdsl.layers.base import Reach

ROUNDING = 1e-6
"""What a sum of fractions of a place may be off by."""


class Field(NamedTuple):
    """What a place of a tensor sees along each spatial axis of the input.

    Where a tensor has been enlarged, several neighbours see the same places, and then the next one sees a grid further.

    Attributes:
        size: how many places of the input, what has been added since the last enlargement aside.
        added: how many places of the input neighbours have added since, were they spread evenly.
        grid: how many places of the input lie between those that were neighbours before it.
        stride: how many places of the input lie between neighbours on average.
    """

    size: tuple[float, ...]
    added: tuple[float, ...]
    grid: tuple[float, ...]
    stride: tuple[float, ...]

    @property
    def seen(self) -> tuple[float, ...]:
        """How many places of the input a place sees at most."""
        steps = (ceil(added / grid - ROUNDING) for added, grid in zip(self.added, self.grid, strict=True))
        return tuple(size + step * grid for size, step, grid in zip(self.size, steps, self.grid, strict=True))


def receptive_field(graph: Graph) -> tuple[int, ...] | None:
    """The receptive field along each spatial axis, the largest of all tensors that see less than everything.

    It is that of the last feature map, before a Flatten or a global pooling looks at all of it. Padding is ignored, so
    a field may be larger than the input; behind layers that enlarge, it is that of the places that see most, or more.
    None where no layer slides over spatial axes. Araujo et al., 2019.
    """
    if not _slides(graph):
        return None
    fields = _fields(graph, {})
    largest: tuple[float, ...] = ()
    for field in fields.values():
        if field and len(field.size) >= len(largest):
            same = len(field.size) == len(largest)
            largest = tuple(map(max, field.seen, largest)) if same else field.seen
    return tuple(ceil(size - ROUNDING) for size in largest) or None


def _slides(graph: Graph) -> bool:
    """Whether a layer of a model moves over spatial axes."""
    return any(
        _slides(node.layer.graph) if isinstance(node.layer, Functional) else any(node.layer.reach() or ())
        for node in graph.nodes
    )


def _fields(graph: Graph, entering: Mapping[Tensor, Field | None]) -> dict[Tensor, Field | None]:
    """The field of each tensor, None for one that may see everything.

    Args:
        graph: the model.
        entering: the fields of its inputs, where they are no inputs of the whole.
    """
    fields: dict[Tensor, Field | None] = {}
    for node in graph.nodes:
        known = [fields[tensor] for tensor in node.inputs]
        if not node.inputs:
            tensor = node.outputs[0]
            one = (1.0,) * max(len(node.shape) - 1, 0)
            fields[tensor] = entering[tensor] if tensor in entering else _start(one)
        elif isinstance(node.layer, Functional):
            inner = node.layer.graph
            starts = {start.outputs[0]: field for start, field in zip(inner.input_nodes, known, strict=True)}
            within = _fields(inner, starts)
            fields |= {made: within[tensor] for made, tensor in zip(node.outputs, inner.outputs, strict=True)}
        else:
            fields |= dict.fromkeys(node.outputs, _seen(node.layer.reach(), known))
    return fields


def _start(one: tuple[float, ...]) -> Field | None:
    """What a place of an input sees: itself."""
    return Field(one, (0.0,) * len(one), one, one) if one else None


def _seen(reach: Reach | None, known: list[Field | None]) -> Field | None:
    """What a place of a layer's output sees, from what those of its inputs see."""
    fields = [field for field in known if field]
    if reach is None or len(fields) < len(known) or len({len(field.size) for field in fields}) != 1:
        return None
    field = fields[0]
    if len(fields) > 1:
        strides = tuple(map(max, *(field.stride for field in fields)))
        field = Field(tuple(map(max, *(field.seen for field in fields))), (0.0,) * len(strides), strides, strides)
    axes = len(field.size)
    extent, step = reach.extent or (1,) * axes, reach.stride or (1,) * axes
    if not len(extent) == len(step) == axes:
        return None
    more = ((places - 1) * apart for places, apart in zip(extent, field.stride, strict=True))
    field = field._replace(added=tuple(map(sum, zip(field.added, more, strict=True))))
    if reach.enlarges:
        finer = tuple(stride / times for stride, times in zip(field.stride, step, strict=True))
        return Field(field.seen, (0.0,) * axes, tuple(map(max, field.stride, field.grid)), finer)
    return field._replace(stride=tuple(stride * times for stride, times in zip(field.stride, step, strict=True)))
