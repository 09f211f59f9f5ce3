"""Layers that rearrange, repeat, pad or crop values and compute nothing."""

from math import prod
from typing import Annotated, Literal

from pydantic import AfterValidator

from specdsl.counts import Count, Size, number, product
from specdsl.declaration import Misuse
from specdsl.layers.arguments import DataFormat
from specdsl.layers.base import Layer
from specdsl.layers.dtypes import FLOATS
from specdsl.layers.facts import NOTHING_KEPT, Kept, Reach, Window
from specdsl.layers.shapes import Shape, require_rank, show
from specdsl.layers.spatial import TAPS, join, split, told
from specdsl.layers.values import Ints, Margins1, Margins2, Margins3, Positive, Sizes2, Sizes3

Margin = tuple[int, int]
"""What is added or taken before and after an axis."""


class _Reshaping(Layer):
    """A layer without weights whose values are those of its input."""

    family = "reshaping"
    intake = "any"
    keeps_dtype = True

    def kept(self, *shapes: Shape) -> Kept:
        return NOTHING_KEPT


class Flatten(_Reshaping):
    """All axes made one, in row-major order."""

    passes = True

    data_format: DataFormat = None

    def result_shape(self, *shapes: Shape) -> Shape:
        return (_size(shapes[0]),)

    def account(self, *shapes: Shape) -> str:
        return f"{'·'.join(map(number, shapes[0]))} = {number(_size(shapes[0]))} values in a row" if shapes[0] else ""


def _target(value: tuple[int, ...]) -> tuple[int, ...]:
    if value.count(-1) > 1:
        raise Misuse(f"Reshape can leave one size open with -1, not {value.count(-1)} as in {show(value)}")
    if any(size < 1 and size != -1 for size in value):
        raise Misuse(f"Reshape takes positive sizes, and -1 for one that follows from the rest, not {show(value)}")
    return value


class Reshape(_Reshaping):
    """The same values in another shape, in row-major order; -1 stands for the size that follows from the rest."""

    passes = True

    target_shape: Annotated[Ints, AfterValidator(_target)]

    def result_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        given = prod(size for size in shape if size is not None)
        wanted = prod(size for size in self.target_shape if size != -1)
        open_input, open_target = None in shape, -1 in self.target_shape
        fits = {
            (False, False): given == wanted,
            (False, True): given % wanted == 0,
            (True, False): wanted % given == 0,
            (True, True): True,
        }
        if not fits[open_input, open_target]:
            have = f"a multiple of {given}" if open_input else str(given)
            want = f"a multiple of {wanted}" if open_target else str(wanted)
            raise Misuse(
                f"Reshape cannot make {show(self.target_shape)} of {show(shape)}, "
                f"which holds {have} values, not {want}",
                argument="target_shape",
            )
        rest = None if open_input else given // wanted
        return tuple(rest if size == -1 else size for size in self.target_shape)

    def account(self, *shapes: Shape) -> str:
        return f"the same {number(_size(shapes[0]))} values" if _size(shapes[0]) else "the same values"


def _permutation(value: tuple[int, ...]) -> tuple[int, ...]:
    if sorted(value) != list(range(1, len(value) + 1)):
        raise Misuse(f"Permute takes each axis from 1 to {len(value)} once, not {show(value)}")
    return value


class Permute(_Reshaping):
    """The axes in another order, counted from 1."""

    dims: Annotated[Ints, AfterValidator(_permutation)]

    def result_shape(self, *shapes: Shape) -> Shape:
        require_rank(shapes[0], len(self.dims), self, f"a tensor with {_axes(len(self.dims))}, as many as dims names")
        return tuple(shapes[0][axis - 1] for axis in self.dims)

    def account(self, *shapes: Shape) -> str:
        return f"its axes in the order {', '.join(map(str, self.dims))}"


class RepeatVector(_Reshaping):
    """A vector repeated into a sequence of `n` steps."""

    n: Positive

    def result_shape(self, *shapes: Shape) -> Shape:
        require_rank(shapes[0], 1, self, "a tensor of shape (features,)")
        return (self.n, *shapes[0])

    def account(self, *shapes: Shape) -> str:
        return f"the same vector at each of {self.n} steps"


class ZeroPadding1D(_Reshaping):
    """Zeros before and after a sequence."""

    nickname = "pad"

    padding: Margins1 = (1, 1)
    data_format: DataFormat = None

    def reach(self, *shapes: Shape) -> Reach | None:
        return tuple(Window(-before, -before) for before, _ in (self.padding,))

    def result_shape(self, *shapes: Shape) -> Shape:
        return _padded(self, shapes[0], (self.padding,), self.data_format)

    def account(self, *shapes: Shape) -> str:
        return _framed(self, shapes[0], (self.padding,), self.data_format, "+")


class ZeroPadding2D(_Reshaping):
    """A frame of zeros around an image."""

    nickname = "pad"

    padding: Margins2 = ((1, 1), (1, 1))
    data_format: DataFormat = None

    def reach(self, *shapes: Shape) -> Reach | None:
        return tuple(Window(-before, -before) for before, _ in self.padding)

    def result_shape(self, *shapes: Shape) -> Shape:
        return _padded(self, shapes[0], self.padding, self.data_format)

    def account(self, *shapes: Shape) -> str:
        return _framed(self, shapes[0], self.padding, self.data_format, "+")


class ZeroPadding3D(_Reshaping):
    """A shell of zeros around a volume."""

    nickname = "pad"

    padding: Margins3 = ((1, 1), (1, 1), (1, 1))
    data_format: DataFormat = None

    def reach(self, *shapes: Shape) -> Reach | None:
        return tuple(Window(-before, -before) for before, _ in self.padding)

    def result_shape(self, *shapes: Shape) -> Shape:
        return _padded(self, shapes[0], self.padding, self.data_format)

    def account(self, *shapes: Shape) -> str:
        return _framed(self, shapes[0], self.padding, self.data_format, "+")


class Cropping1D(_Reshaping):
    """A sequence without its first and last steps."""

    cropping: Margins1 = (1, 1)

    def reach(self, *shapes: Shape) -> Reach | None:
        return tuple(Window(before, before) for before, _ in (self.cropping,))

    def result_shape(self, *shapes: Shape) -> Shape:
        return _cropped(self, shapes[0], (self.cropping,), None)

    def account(self, *shapes: Shape) -> str:
        return _framed(self, shapes[0], (self.cropping,), None, "-")


class Cropping2D(_Reshaping):
    """An image without its margins."""

    cropping: Margins2 = ((0, 0), (0, 0))
    data_format: DataFormat = None

    def reach(self, *shapes: Shape) -> Reach | None:
        return tuple(Window(before, before) for before, _ in self.cropping)

    def result_shape(self, *shapes: Shape) -> Shape:
        return _cropped(self, shapes[0], self.cropping, self.data_format)

    def account(self, *shapes: Shape) -> str:
        return _framed(self, shapes[0], self.cropping, self.data_format, "-")


class Cropping3D(_Reshaping):
    """A volume without its margins."""

    cropping: Margins3 = ((1, 1), (1, 1), (1, 1))
    data_format: DataFormat = None

    def reach(self, *shapes: Shape) -> Reach | None:
        return tuple(Window(before, before) for before, _ in self.cropping)

    def result_shape(self, *shapes: Shape) -> Shape:
        return _cropped(self, shapes[0], self.cropping, self.data_format)

    def account(self, *shapes: Shape) -> str:
        return _framed(self, shapes[0], self.cropping, self.data_format, "-")


class UpSampling1D(_Reshaping):
    """Each step repeated `size` times."""

    size: Positive = 2

    def reach(self, *shapes: Shape) -> Reach | None:
        return (Window(share=self.size),)

    def result_shape(self, *shapes: Shape) -> Shape:
        return _repeated(self, shapes[0], (self.size,), None)

    def account(self, *shapes: Shape) -> str:
        return _enlarged(self, shapes[0], (self.size,), None)


class UpSampling2D(_Reshaping):
    """An image made larger by repeating its pixels, or by interpolating between them."""

    size: Sizes2 = (2, 2)
    data_format: DataFormat = None
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5", "area"] = "nearest"

    def check_intake(self, *dtypes: str) -> None:
        super().check_intake(*dtypes)
        if self.interpolation != "nearest" and not FLOATS.issuperset(dtypes):
            message = f"UpSampling2D interpolates between floats, and a tensor of {dtypes[0]} enters"
            raise Misuse(message, argument="interpolation", help="Rescaling(1) makes floats of integers")

    def operations(self, *shapes: Shape) -> Count:
        taps = 2 * TAPS[self.interpolation]  # along each of two axes, a multiplication and an addition for each
        return 2 * taps * product(*self.result_shape(*shapes)) if taps else Count()

    def reach(self, *shapes: Shape) -> Reach | None:
        # The middle of place q lies at (2q + 1 - size) / 2 size; as many places on both sides of it are weighed.
        taps = TAPS[self.interpolation]
        if not taps:
            return tuple(Window(share=size) for size in self.size)
        more = taps - 1
        return tuple(Window(1 - more * s, more * s, 2, 2 * s) if s > 1 else Window() for s in self.size)

    def result_shape(self, *shapes: Shape) -> Shape:
        return _repeated(self, shapes[0], self.size, self.data_format)

    def account(self, *shapes: Shape) -> str:
        return _enlarged(self, shapes[0], self.size, self.data_format)


class UpSampling3D(_Reshaping):
    """A volume made larger by repeating its voxels."""

    size: Sizes3 = (2, 2, 2)
    data_format: DataFormat = None

    def reach(self, *shapes: Shape) -> Reach | None:
        return tuple(Window(share=size) for size in self.size)

    def result_shape(self, *shapes: Shape) -> Shape:
        return _repeated(self, shapes[0], self.size, self.data_format)

    def account(self, *shapes: Shape) -> str:
        return _enlarged(self, shapes[0], self.size, self.data_format)


def _axes(number: int) -> str:
    return "one axis" if number == 1 else f"{number} axes"


def _size(shape: Shape) -> Size:
    return None if None in shape else prod(size for size in shape if size is not None)


def _framed(layer: Layer, shape: Shape, margins: tuple[Margin, ...], data_format: str | None, sign: str) -> str:
    """How the sizes come about of what has margins added or taken."""
    spatial, _ = split(shape, len(margins), layer, data_format)
    sums = [
        f"{number(size)} {sign} {before} {sign} {after} = "
        f"{number(size and size + (before + after) * (1 if sign == '+' else -1))}"
        for size, (before, after) in zip(spatial, margins, strict=True)
    ]
    return told(spatial, sums)


def _enlarged(layer: Layer, shape: Shape, factors: tuple[int, ...], data_format: str | None) -> str:
    """How the sizes come about of what has its places repeated."""
    spatial, _ = split(shape, len(factors), layer, data_format)
    sizes = zip(spatial, factors, strict=True)
    return told(spatial, [f"{factor}·{number(size)} = {number(size and size * factor)}" for size, factor in sizes])


def _padded(layer: Layer, shape: Shape, margins: tuple[Margin, ...], data_format: str | None) -> Shape:
    spatial, channels = split(shape, len(margins), layer, data_format)
    sizes = (size and size + sum(margin) for size, margin in zip(spatial, margins, strict=True))
    return join(tuple(sizes), channels, data_format)


def _cropped(layer: Layer, shape: Shape, margins: tuple[Margin, ...], data_format: str | None) -> Shape:
    spatial, channels = split(shape, len(margins), layer, data_format)
    sizes = tuple(size and size - sum(margin) for size, margin in zip(spatial, margins, strict=True))
    if any(size is not None and size <= 0 for size in sizes):
        taken = tuple(map(sum, margins))
        raise Misuse(
            f"{type(layer).__name__} cannot take {show(taken)} off {show(spatial)} and leave anything",
            argument="cropping",
        )
    return join(sizes, channels, data_format)


def _repeated(layer: Layer, shape: Shape, factors: tuple[int, ...], data_format: str | None) -> Shape:
    spatial, channels = split(shape, len(factors), layer, data_format)
    sizes = tuple(size and size * factor for size, factor in zip(spatial, factors, strict=True))
    return join(sizes, channels, data_format)
