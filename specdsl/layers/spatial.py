"""Tensors with spatial axes and channels, and what a sliding window leaves of them."""

from collections.abc import Sequence
from typing import Any, TypeVar

from specdsl.counts import Size
from specdsl.declaration import Misuse
from specdsl.layers.base import Layer
from specdsl.layers.facts import Reach, Window
from specdsl.layers.shapes import Shape, require_rank, show

Sizes = tuple[int, ...]
"""One size for each spatial axis."""

Axis = TypeVar("Axis")

TAPS = {"nearest": 0, "area": 0, "bilinear": 2, "bicubic": 4, "lanczos3": 6, "lanczos5": 10}
"""Pixels along an axis that an interpolation weighs."""

_AXES = {1: ("steps",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def split(shape: Shape, rank: int, layer: Layer, data_format: str | None = None) -> tuple[Shape, Size]:
    """The spatial axes of a tensor with `rank` of them, and its number of channels.

    Raises:
        Misuse: the tensor has another number of axes.
    """
    axes = join(_AXES[rank], "channels", data_format)
    batch = "the shape of an input leaves out the batch axis"
    require_rank(shape, rank + 1, layer, f"a tensor of shape ({', '.join(axes)})", batch)
    return (shape[1:], shape[0]) if data_format == "channels_first" else (shape[:-1], shape[-1])


def join(spatial: tuple[Axis, ...], channels: Axis, data_format: str | None = None) -> tuple[Axis, ...]:
    """Spatial axes and channels in the order of the data format."""
    return (channels, *spatial) if data_format == "channels_first" else (*spatial, channels)


def window(size: Size, kernel: int, stride: int, padding: str, dilation: int = 1) -> Size:
    """How many places a kernel takes along an axis (Dumoulin and Visin, 2016, sections 2 and 5.1)."""
    if size is None:
        return None
    if padding == "valid":
        return (size - dilation * (kernel - 1) - 1) // stride + 1
    return (size - 1) // stride + 1


def seen(spatial: Shape, extent: Sizes, strides: Sizes, padding: str) -> Reach:
    """What each place of a window sees, of which `extent` counts the gaps that dilation makes.

    Where a size is unknown, it is taken for a multiple of the stride.
    """
    reach: list[Window] = []
    for size, wide, stride in zip(spatial, extent, strides, strict=True):
        before = wide - 1 if padding == "causal" else 0
        if padding == "same":
            places = -(-size // stride) if size else 1
            before = max((places - 1) * stride + wide - (size or stride), 0) // 2
        reach.append(Window(-before, wide - 1 - before, stride))
    return tuple(reach)


def told(spatial: Shape, told_sizes: Sequence[str]) -> str:
    """What becomes of each spatial axis, alike ones together: `2·14 = 28 along height and width`."""
    alike: dict[str, list[str]] = {}
    for axis, words in zip(_AXES[len(spatial)], told_sizes, strict=True):
        alike.setdefault(words, []).append(axis)
    return ", ".join(f"{words} along {' and '.join(axes)}" for words, axes in alike.items())


def slid(spatial: Shape, kernel: Sizes, strides: Sizes, padding: str, dilation: Sizes | None = None) -> str:
    """How the places come about that `slide` finds: `(28 - 5) / 1 + 1 = 24 along height and width`."""
    dilation = dilation or (1,) * len(kernel)
    places = told(spatial, list(map(_slid, spatial, kernel, strides, (padding,) * len(kernel), dilation)))
    zeros = {"same": " (with zeros laid around)", "causal": " (with zeros laid before)"}
    return places + zeros.get(padding, "")


def _slid(size: Size, kernel: int, stride: int, padding: str, dilation: int) -> str:
    places = window(size, kernel, stride, padding, dilation)
    if size is None:
        return "as many as the kernel finds places"
    if padding != "valid":
        return f"{size} / {stride}{'' if size % stride == 0 else ' rounded up'} = {places}" if stride > 1 else f"{size}"
    extent = dilation * (kernel - 1) + 1
    gaps = f", as a kernel of {kernel} with gaps reaches over {extent}," if dilation > 1 and kernel > 1 else ""
    rounded = "" if (size - extent) % stride == 0 else " rounded down"
    return f"({size} - {extent}) / {stride}{rounded} + 1 = {places}{gaps}"


def slide(
    spatial: Shape,
    kernel: Sizes,
    strides: Sizes,
    padding: str,
    dilation: Sizes | None = None,
    *,
    layer: Layer,
    argument: str,
) -> Shape:
    """How many places a kernel takes along each axis.

    Raises:
        Misuse: the kernel is larger than the tensor and may not overlap its edges.
    """
    dilation = dilation or (1,) * len(kernel)
    places = tuple(map(window, spatial, kernel, strides, (padding,) * len(kernel), dilation))
    if any(place is not None and place <= 0 for place in places):
        what = f"a window of {show(kernel)}"
        if max(dilation) > 1:
            reach = tuple(step * (size - 1) + 1 for size, step in zip(kernel, dilation, strict=True))
            what += f", {show(reach)} with dilation_rate {show(dilation)},"
        raise Misuse(
            f"{type(layer).__name__} cannot lay {what} on {show(spatial)}",
            argument=argument,
            help=f'a smaller {argument}, or padding="same"',
        )
    return places


def either_stride_or_dilate(layer: Any) -> None:
    """Check that a convolution has not both strides and dilation.

    Raises:
        Misuse: it has.
    """
    if max(layer.strides) > 1 and max(layer.dilation_rate) > 1:
        raise Misuse(
            f"{type(layer).__name__} cannot have strides {show(layer.strides)} and dilation_rate "
            f"{show(layer.dilation_rate)} at once: one of them must be 1",
            argument="dilation_rate",
        )
