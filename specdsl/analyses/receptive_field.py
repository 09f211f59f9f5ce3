"""How much of its input a place of a feature map sees, and how far apart neighbours see it."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil, gcd, lcm
from typing import Any, NamedTuple

from specdsl.functional import Functional
from specdsl.graph import Graph, Node, Tensor
from specdsl.layers.facts import Reach, Window

PHASES = 128
"""How many neighbours may see differently until they are all taken to see what the one with the widest view does."""


class Axis(NamedTuple):
    """What the places of a tensor see along an axis of the input, each from a first place to a last one.

    Behind a layer that enlarges, neighbours do not see equally much. There are as many phases as it takes until it
    begins anew: place p + len(first) sees what place p sees, `step` places further.

    Attributes:
        step: how far the view of the first phase lies before that of the next first phase.
        first: the first place that each phase sees; below 0 in the padding before the input.
        last: the last one.
    """

    step: int | Fraction
    first: tuple[int | Fraction, ...]
    last: tuple[int | Fraction, ...]

    @property
    def seen(self) -> int:
        """How many places of the input a place sees at most."""
        return ceil(max(last - first for first, last in zip(self.first, self.last, strict=True))) + 1

    @property
    def stride(self) -> Fraction:
        """How many places of the input lie between the views of neighbours, on average."""
        return Fraction(self.step) / len(self.first)

    def view(self, place: int | Fraction) -> tuple[int | Fraction, int | Fraction]:
        """The first and the last place of the input that a place sees; between places only where there is one phase."""
        if len(self.first) == 1:
            moved = self.step * place
            return self.first[0] + moved, self.last[0] + moved
        times, phase = divmod(int(place), len(self.first))
        return self.first[phase] + times * self.step, self.last[phase] + times * self.step

    def through(self, window: Window) -> Axis:
        """What the places behind a layer see."""
        if window == Window():
            return self
        phases = window.share * len(self.first)
        phases //= gcd(phases, window.step)
        if phases > PHASES:
            return self.evened()._evenly_through(window)
        times = window.step * phases // (window.share * len(self.first))
        first = ((window.step * place + window.first) // window.share for place in range(phases))
        last = ((window.step * place + window.last) // window.share for place in range(phases))
        return Axis(
            times * self.step, tuple(self.view(one)[0] for one in first), tuple(self.view(one)[1] for one in last)
        )

    def _evenly_through(self, window: Window) -> Axis:
        """At least what the places behind a layer see, each as far from the next one, of a tensor with one phase."""
        each = self.step * Fraction(1, window.share)
        first, last = each * (window.first - window.share + 1), each * window.last
        return Axis(each * window.step, (self.first[0] + first,), (self.last[0] + last,))

    def evened(self) -> Axis:
        """At least what the places see, each as far from the next one."""
        if len(self.first) == 1:
            return self
        each = self.stride
        first = min(first - each * place for place, first in enumerate(self.first))
        return Axis(each, (first,), (max(last - each * place for place, last in enumerate(self.last)),))

    def repeated(self, phases: int) -> Axis:
        """The same with a multiple of its phases."""
        if phases == len(self.first):
            return self
        views = [self.view(place) for place in range(phases)]
        return Axis(self.step * (phases // len(self.first)), *zip(*views, strict=True))


Field = tuple[Axis, ...]
"""What the places of a tensor see along each spatial axis of the input."""


class Sight(NamedTuple):
    """What is seen of a model's inputs.

    Attributes:
        fields: by each tensor; None where it may be everything.
        largest: along each axis, the view of the tensors that see most, yet not everything.
        last: by the last tensor that does not see everything, those of models within counted.
        slides: whether a layer has a window, if only of one place.
    """

    fields: Mapping[Tensor, Field | None]
    largest: Field | None
    last: Field | None
    slides: bool


def receptive_field(graph: Graph) -> tuple[int, ...] | None:
    """The receptive field along each spatial axis, the largest of all tensors that see less than everything.

    It is that of the last feature map, before a Flatten or a global pooling looks at all of it. It is what a place far
    from the edges sees: a field may be larger than the input. Where neighbours see differently, behind layers that
    enlarge, it is that of those that see most. None where no layer slides over spatial axes. Araujo et al., 2019.
    """
    seen = sight(graph)
    return tuple(axis.seen for axis in seen.largest) if seen.largest and seen.slides else None


def effective_stride(graph: Graph) -> tuple[int | float, ...] | None:
    """How many places of the input lie between neighbours of the last feature map, along each spatial axis.

    That is the last tensor in the order of the graph that does not see everything. Below 1 where it is larger than the
    input. None where no layer slides over spatial axes.
    """
    seen = sight(graph)
    return strides(seen.last) if seen.last and seen.slides else None


def strides(field: Field) -> tuple[int | float, ...]:
    """How many places of the input lie between neighbours along each axis, on average."""
    return tuple(int(axis.stride) if axis.stride.denominator == 1 else float(axis.stride) for axis in field)


START = Axis(1, (0,), (0,))
"""What the places of an input see: themselves."""


def sight(graph: Graph) -> Sight:
    """What each tensor of a model sees of its inputs, worked out once for each graph, however often it is used."""
    known: dict[str, Any] = vars(graph)
    if _KNOWN not in known:
        known[_KNOWN] = _sight(graph)
    found: Sight = known[_KNOWN]
    return found


_KNOWN = "_sight"
"""Where a graph remembers it."""


def _sight(graph: Graph) -> Sight:
    fields: dict[Tensor, Field | None] = {}
    largest: Field | None = None
    last: Field | None = None
    slides = False
    channels = 0 if any(getattr(node.layer, "data_format", None) == "channels_first" for node in graph.nodes) else -1
    for node in graph.nodes:
        field = _gathered(graph, node, fields, channels)
        tops: list[Field | None]
        if not node.inputs:
            made: tuple[Field | None, ...] = ((START,) * (len(node.shape) - 1) or None,)
            tops = [*made]
        elif isinstance(node.layer, Functional):
            inner = node.layer.graph
            within = sight(inner)
            made = tuple(_behind(field, within.fields[tensor]) for tensor in inner.outputs)
            tops = [_behind(field, within.largest), *made]
            last = _behind(field, within.last) or last
            slides |= within.slides
        else:
            reach = graph.applied(node).reach(*graph.input_shapes(node)) if field else None
            made = (_through(field, reach),) * len(node.shapes)
            slides |= bool(reach)
            tops = [*made]
        fields.update(zip(node.outputs, made, strict=True))
        for top in tops:
            largest = _larger(largest, top)
        last = next(filter(None, reversed(made)), last)
    return Sight(fields, largest, last, slides)


def _gathered(graph: Graph, node: Node, fields: Mapping[Tensor, Field | None], channels: int) -> Field | None:
    """What the tensors see together that enter a node; None where one may see everything, or they do not fit."""
    entering = [fields[tensor] for tensor in node.inputs]
    if len(entering) < 2:
        return entering[0] if entering else None
    known = [field for field in entering if field]
    if len(known) < len(entering) or len({len(field) for field in known}) > 1:
        return None
    shapes = [list(graph.shape(tensor)) for tensor in (*node.inputs, *node.outputs)]
    if not isinstance(node.layer, Functional):
        for shape in shapes:
            del shape[channels]
        if any(shape != shapes[0] for shape in shapes):  # laid end to end, or repeated: place is not upon place
            return None
    axes = [_together(axes) for axes in zip(*known, strict=True)]
    return tuple(axis for axis in axes if axis) if all(axes) else None


def _together(axes: tuple[Axis, ...]) -> Axis | None:
    """What places see that are made of places of several tensors; None where they drift apart from one to the next."""
    first = axes[0]
    if all(axis == first for axis in axes):
        return first
    if any(axis.stride != first.stride for axis in axes):
        return None
    phases = lcm(*(len(axis.first) for axis in axes))
    if phases > PHASES:
        phases, axes = 1, tuple(axis.evened() for axis in axes)
    axes = tuple(axis.repeated(phases) for axis in axes)
    begin = tuple(map(min, *(axis.first for axis in axes)))
    return Axis(axes[0].step, begin, tuple(map(max, *(axis.last for axis in axes))))


def _through(field: Field | None, reach: Reach | None) -> Field | None:
    if field is None or reach is None:
        return None
    if not reach:
        return field
    if len(reach) != len(field):
        return None
    return tuple(axis.through(window) for axis, window in zip(field, reach, strict=True))


def _behind(field: Field | None, inner: Field | None) -> Field | None:
    """What is seen by a place that sees `inner` of a tensor whose places see `field`."""
    if field is None or inner is None or len(field) != len(inner):
        return None
    return tuple(map(_axis_behind, field, inner))


def _axis_behind(outer: Axis, inner: Axis) -> Axis:
    if any(isinstance(place, Fraction) for place in (inner.step, *inner.first, *inner.last)):
        outer = outer.evened()
    if len(outer.first) == 1:
        first = tuple(outer.view(place)[0] for place in inner.first)
        return Axis(outer.step * inner.step, first, tuple(outer.view(place)[1] for place in inner.last))
    assert isinstance(inner.step, int)
    rounds = len(outer.first) // gcd(len(outer.first), inner.step)
    if rounds * len(inner.first) > PHASES:
        return _axis_behind(outer.evened(), inner)
    inner = inner.repeated(rounds * len(inner.first))
    first = tuple(outer.view(place)[0] for place in inner.first)
    step = outer.step * (int(inner.step) // len(outer.first))
    return Axis(step, first, tuple(outer.view(place)[1] for place in inner.last))


def _larger(one: Field | None, other: Field | None) -> Field | None:
    """Along each axis, the view that is wider; of fields of other axes, the one with more."""
    if one is None or other is None:
        return one or other
    if len(one) != len(other):
        return max(one, other, key=len)
    if one == other:
        return one
    return tuple(b if b.seen >= a.seen else a for a, b in zip(one, other, strict=True))
