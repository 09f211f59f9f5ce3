"""Layers that make one tensor of several."""

from functools import reduce
from typing import Annotated, ClassVar

from pydantic import BeforeValidator

from specdsl.counts import Count, Size, number, product
from specdsl.declaration import Misuse
from specdsl.layers.base import Layer
from specdsl.layers.dtypes import Intake
from specdsl.layers.facts import NOTHING_KEPT, POINTWISE, Kept, Reach
from specdsl.layers.shapes import Shape, axis_index, show
from specdsl.layers.values import as_tuple


class _Merging(Layer):
    """A layer over several tensors."""

    family = "merging"
    arity: ClassVar[tuple[int, int | None]] = (2, None)

    def reach(self, *shapes: Shape) -> Reach | None:
        return POINTWISE


class _ElementWise(_Merging):
    """An element-wise merge; as in NumPy, a size of 1 is repeated to match and axes may be missing in front."""

    intake: ClassVar[Intake] = "plain"
    keeps_dtype = True

    def result_shape(self, *shapes: Shape) -> Shape:
        return reduce(self._broadcast, shapes)

    def operations(self, *shapes: Shape) -> Count:
        return (len(shapes) - 1) * product(*self.result_shape(*shapes))

    def account(self, *shapes: Shape) -> str:
        return "sizes of 1 and missing axes are repeated to match" if len(set(shapes)) > 1 else ""

    def _broadcast(self, left: Shape, right: Shape) -> Shape:
        short, long = sorted((left, right), key=len)
        lead = len(long) - len(short)
        sizes = tuple(map(_common, long[lead:], short))
        if -1 in sizes:
            raise Misuse(
                f"{type(self).__name__} cannot join {show(left)} and {show(right)}: sizes must be equal, or 1",
                help=_alike(sizes, equally_long=lead == 0),
            )
        return long[:lead] + sizes


def _alike(sizes: Shape, *, equally_long: bool) -> str | None:
    """How tensors become alike whose common sizes are -1 where they differ."""
    if -1 not in sizes[:-1]:
        return "a Conv2D with kernel_size 1, or a Dense, makes the last axes equal"
    return 'padding="same" keeps sizes, and equal strides change them alike' if equally_long else None


def _common(left: Size, right: Size) -> Size:
    """The size that two axes share when 1 may be repeated: None while one is unknown, -1 where there is none."""
    if left is None or right is None:
        return None
    if 1 in (left, right):
        return left * right
    return left if left == right else -1


class Add(_ElementWise):
    """The element-wise sum."""

    def kept(self, *shapes: Shape) -> Kept:
        return NOTHING_KEPT


class Subtract(_ElementWise):
    """The first tensor less the second, element by element."""

    arity = (2, 2)

    def kept(self, *shapes: Shape) -> Kept:
        return NOTHING_KEPT


class Multiply(_ElementWise):
    """The element-wise product."""


class Average(_ElementWise):
    """The element-wise mean."""

    intake = "floats"

    def operations(self, *shapes: Shape) -> Count:
        return len(shapes) * product(*self.result_shape(*shapes))

    def kept(self, *shapes: Shape) -> Kept:
        return NOTHING_KEPT


class Maximum(_ElementWise):
    """The element-wise maximum."""


class Minimum(_ElementWise):
    """The element-wise minimum."""


class Concatenate(_Merging):
    """The tensors laid end to end along `axis`; along every other axis they agree."""

    intake = "any"
    keeps_dtype = True
    nickname = "concat"

    axis: int = -1

    def kept(self, *shapes: Shape) -> Kept:
        return NOTHING_KEPT

    def result_shape(self, *shapes: Shape) -> Shape:
        first = shapes[0]
        axis = axis_index(self.axis, first, self)
        if axis == 0:
            raise Misuse("Concatenate cannot join along axis 0, the batch axis", argument="axis")
        if any(len(shape) != len(first) for shape in shapes):
            raise Misuse(f"Concatenate cannot join {_list(shapes)}, whose numbers of axes differ")
        sizes = list(zip(*shapes, strict=True))
        common = tuple(-1 if place != axis and _differ(along) else None for place, along in enumerate(sizes, start=1))
        if -1 in common:
            raise Misuse(
                f"Concatenate cannot join {_list(shapes)} along axis {self.axis}: axis {common.index(-1) + 1} differs",
                argument="axis",
                help=_alike(common, equally_long=True),
            )
        along = sizes[axis - 1]
        return (*first[: axis - 1], None if None in along else sum(along), *first[axis:])

    def account(self, *shapes: Shape) -> str:
        axis = axis_index(self.axis, shapes[0], self)
        along = [shape[axis - 1] for shape in shapes]
        whole = number(None if None in along else sum(size for size in along if size))
        others = ", and the other axes as before" if len(shapes[0]) > 1 else ""
        return f"{' + '.join(map(number, along))} = {whole} along axis {axis}{others}"


def _differ(sizes: Shape) -> bool:
    """Whether two of some sizes are known to differ."""
    known = [size for size in sizes if size is not None]
    return any(size != known[0] for size in known[1:])


class Dot(_Merging):
    """The products of two tensors summed along an axis of each; with `normalize`, their cosine similarity.

    Multiply-accumulates are those of the matrix product that joins all other axes of one with all others of the other.
    """

    arity = (2, 2)

    axes: int | Annotated[tuple[int, int], BeforeValidator(as_tuple)]
    normalize: bool = False

    def operations(self, *shapes: Shape) -> Count:
        if not self.normalize:
            return Count()
        # Each value is squared, summed, and multiplied by one over the root of the sum, which is bounded from below.
        left, right, _, _ = self._parts(*shapes)
        return 3 * product(*shapes[0]) + 3 * product(*shapes[1]) + product(*left) + product(*right)

    def reach(self, *shapes: Shape) -> Reach | None:
        return None

    def result_shape(self, *shapes: Shape) -> Shape:
        left, right, size, other = self._parts(*shapes)
        if size != other:
            raise Misuse(
                f"Dot cannot sum {show(shapes[0])} and {show(shapes[1])} along axes {show(self._pair())}, "
                f"whose sizes differ: {show((size, other))}",
                argument="axes",
            )
        return left + right or (1,)

    def macs(self, *shapes: Shape) -> Count:
        left, right, size, _ = self._parts(*shapes)
        return product(*left, *right, size)

    work = "each vector along the axis of one with each of the other"

    def account(self, *shapes: Shape) -> str:
        *_, size, _ = self._parts(*shapes)
        return f"the axes of {number(size)} values that the sums go along are gone"

    def _pair(self) -> tuple[int, int]:
        return (self.axes, self.axes) if isinstance(self.axes, int) else self.axes

    def _parts(self, *shapes: Shape) -> tuple[Shape, Shape, Size, Size]:
        """The axes that remain of each tensor, and the size of the axis that is summed in each."""
        rests, sizes = [], []
        for shape, axis in zip(shapes, self._pair(), strict=True):
            place = axis_index(axis, shape, self, "axes")
            if place == 0:
                raise Misuse("Dot cannot sum along axis 0, the batch axis", argument="axes")
            rests.append(shape[: place - 1] + shape[place:])
            sizes.append(shape[place - 1])
        return rests[0], rests[1], sizes[0], sizes[1]


def _list(shapes: tuple[Shape, ...]) -> str:
    *most, last = map(show, shapes)
    return f"{', '.join(most)} and {last}"
