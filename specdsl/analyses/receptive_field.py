"""How much of its input a place of a feature map sees."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from specdsl.functional import Functional, models_within
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
    slides = (graph, *(model.graph for model in models_within(graph)))
    if not any(any(node.layer.reach() or ()) for one in slides for node in one.nodes):
        return None
    largest = _through(graph, {}).largest
    return tuple(ceil(size - ROUNDING) for size in largest.seen) if largest else None


class _Through(NamedTuple):
    """What is seen of a model's inputs: from each of its outputs, and the most from any tensor in it."""

    outputs: tuple[Field | None, ...]
    largest: Field | None


def _through(graph: Graph, known: dict[int, _Through]) -> _Through:
    """What is seen in a model. Models within it are in `known` once they have been looked through, each once."""
    if id(graph) in known:
        return known[id(graph)]
    fields: dict[Tensor, Field | None] = {}
    largest: Field | None = None
    for node in graph.nodes:
        entering = [fields[tensor] for tensor in node.inputs]
        if not node.inputs:
            fields[node.outputs[0]] = _start((1.0,) * max(len(node.shape) - 1, 0))
        elif isinstance(node.layer, Functional):
            within, field = _through(node.layer.graph, known), _merged(entering)
            fields |= {made: _behind(field, inner) for made, inner in zip(node.outputs, within.outputs, strict=True)}
            largest = _larger(largest, _behind(field, within.largest))
        else:
            fields |= dict.fromkeys(node.outputs, _seen(node.layer.reach(), _merged(entering)))
        for tensor in node.outputs:
            largest = _larger(largest, fields[tensor])
    known[id(graph)] = _Through(tuple(fields[tensor] for tensor in graph.outputs), largest)
    return known[id(graph)]


def _larger(one: Field | None, other: Field | None) -> Field | None:
    """A field that sees as much as either of two along each axis; of two with other axes, the one with more."""
    if one is None or other is None:
        return one or other
    if len(one.size) != len(other.size):
        return max(one, other, key=lambda field: len(field.size))
    return Field(tuple(map(max, one.seen, other.seen)), (0.0,) * len(one.size), one.grid, one.stride)


def _behind(field: Field | None, inner: Field | None) -> Field | None:
    """What is seen by a place that sees `inner` of a tensor whose places see `field`."""
    if field is None or inner is None or len(field.size) != len(inner.size):
        return None
    more = ((seen - 1) * apart for seen, apart in zip(inner.seen, field.stride, strict=True))
    field = field._replace(added=tuple(map(sum, zip(field.added, more, strict=True))))
    grids = (max(grid, inner_grid * apart if inner_grid != 1 else grid) for grid, inner_grid, apart
             in zip(field.grid, inner.grid, field.stride, strict=True))  # fmt: skip
    stride = tuple(a * b for a, b in zip(field.stride, inner.stride, strict=True))
    return Field(field.seen, (0.0,) * len(stride), tuple(grids), stride)


def _merged(known: list[Field | None]) -> Field | None:
    """What several tensors see together; None where one of them may see everything, or they have other axes."""
    fields = [field for field in known if field]
    if len(fields) < len(known) or len({len(field.size) for field in fields}) != 1:
        return None
    if len(fields) == 1:
        return fields[0]
    size, grid, stride = (
        tuple(map(max, *values))
        for values in ([one.seen for one in fields], [one.grid for one in fields], [one.stride for one in fields])
    )
    return Field(size, (0.0,) * len(size), grid, stride)


def _start(one: tuple[float, ...]) -> Field | None:
    """What a place of an input sees: itself."""
    return Field(one, (0.0,) * len(one), one, one) if one else None


def _seen(reach: Reach | None, field: Field | None) -> Field | None:
    """What a place of a layer's output sees, from what those of its input see."""
    if reach is None or field is None:
        return None
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
