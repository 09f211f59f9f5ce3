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

    Attributes:
        size: how many places of the input.
        stride: how many places of the input lie between neighbours, less than one where the tensor is larger.
    """

    size: tuple[float, ...]
    stride: tuple[float, ...]


def receptive_field(graph: Graph) -> tuple[int, ...] | None:
    """The receptive field along each spatial axis, the largest of all tensors that see less than everything.

    It is that of the last feature map, before a Flatten or a global pooling looks at all of it. Padding is ignored, so
    a field may be larger than the input. None where no layer slides over spatial axes. Araujo et al., 2019.
    """
    fields = _fields(graph, {})
    largest: tuple[float, ...] = ()
    for field in fields.values():
        if field and len(field.size) >= len(largest) and field.size > largest:
            largest = tuple(map(max, field.size, largest)) if len(field.size) == len(largest) else field.size
    return tuple(ceil(size - ROUNDING) for size in largest) or None


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
            fields[tensor] = entering[tensor] if tensor in entering else (Field(one, one) if one else None)
        elif isinstance(node.layer, Functional):
            inner = node.layer.graph
            starts = {start.outputs[0]: field for start, field in zip(inner.input_nodes, known, strict=True)}
            within = _fields(inner, starts)
            fields |= {made: within[tensor] for made, tensor in zip(node.outputs, inner.outputs, strict=True)}
        else:
            fields |= dict.fromkeys(node.outputs, _seen(node.layer.reach(), known))
    return fields


def _seen(reach: Reach | None, known: list[Field | None]) -> Field | None:
    """What a place of a layer's output sees, from what those of its inputs see."""
    fields = [field for field in known if field]
    if reach is None or len(fields) < len(known) or len({len(field.size) for field in fields}) != 1:
        return None
    size = tuple(map(max, *(field.size for field in fields))) if len(fields) > 1 else fields[0].size
    stride = tuple(map(max, *(field.stride for field in fields))) if len(fields) > 1 else fields[0].stride
    extent, step = reach.extent or (1,) * len(size), reach.stride or (1,) * len(size)
    if not len(extent) == len(step) == len(size):
        return None
    size = tuple(one + (places - 1) * apart for one, places, apart in zip(size, extent, stride, strict=True))
    factors = (1 / times if reach.enlarges else times for times in step)
    return Field(size, tuple(apart * factor for apart, factor in zip(stride, factors, strict=True)))
