"""Arguments of layers that are legal only together, or only for some shapes: drawn so that they mostly are."""

from __future__ import annotations

from math import prod
from typing import Any

from hypothesis import strategies as st

from specdsl.layers import Layer, Shape


@st.composite
def coupled(draw: st.DrawFn, kind: type[Layer], shapes: tuple[Shape, ...]) -> dict[str, Any]:
    """Some of the arguments of a layer over tensors of these shapes; in one of two cases none."""
    if not shapes or draw(st.booleans()):
        return {}
    fields, shape = kind.fields(), shapes[0]
    if "output_padding" in fields:
        return draw(_outgrown(len(shape) - 1))
    if "kernel_size" in fields and "dilation_rate" in fields:
        return draw(_strided_or_dilated(kind, shape))
    if kind.__name__ == "Reshape":
        return {"target_shape": draw(_sizes_of(shape))}
    if kind.__name__ == "GroupNormalization" and shape:
        axis = draw(st.sampled_from([-1, -1, *range(1, len(shape) + 1)]))
        size = shape[axis - 1 if axis > 0 else -1] or 4
        return {"axis": axis, "groups": draw(st.sampled_from([*_divisors(size), -1, size + 1]))}
    if kind.__name__ == "Rescaling" and shape:
        numbers = st.sampled_from([1, shape[-1] or 2, shape[-1] or 2, 3]).flatmap(
            lambda size: st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=size, max_size=size)
        )
        return {name: draw(numbers) for name in draw(st.sampled_from([["scale"], ["scale", "offset"]]))}
    return {}


@st.composite
def _outgrown(draw: st.DrawFn, rank: int) -> dict[str, Any]:
    """Of a transposed convolution: strides, and a padding of the output that is mostly smaller than these."""
    each = draw(st.booleans())
    strides = [draw(st.integers(1, 3)) for _ in range(max(rank, 1))]
    paddings = [draw(st.sampled_from([stride - 1, 0, 0, stride])) for stride in strides]
    return {
        "padding": draw(st.sampled_from(["same", "valid"])),
        "strides": tuple(strides) if each else max(strides),
        "output_padding": tuple(paddings) if each else draw(st.integers(0, max(strides))),
        "dilation_rate": 1,
    }


@st.composite
def _strided_or_dilated(draw: st.DrawFn, kind: type[Layer], shape: Shape) -> dict[str, Any]:
    """Of a convolution: strides or dilation, not both; groups that divide the channels on both sides; misfits."""
    given: dict[str, Any] = {"strides": 1, "dilation_rate": 1}
    given[draw(st.sampled_from(sorted(given)))] = draw(st.sampled_from([2, 3]))
    given["padding"] = draw(st.sampled_from(["same", "valid"]))
    if "groups" in kind.fields() and shape and shape[-1]:
        groups = draw(st.sampled_from(_divisors(shape[-1])))
        given |= {"groups": groups, "filters": groups * draw(st.sampled_from([1, 2, 3])), "data_format": None}
    roles = [name for name in kind.fields() if name.startswith(("depthwise_", "pointwise_"))]
    if roles and draw(st.booleans()):
        role = draw(st.sampled_from(roles))
        misfit = {"initializer": "identity", "regularizer": "orthogonal_regularizer", "constraint": "unit_norm"}
        given[role] = draw(st.sampled_from([misfit[role.rpartition("_")[2]], None]))
    return given


@st.composite
def _sizes_of(draw: st.DrawFn, shape: Shape) -> tuple[int, ...]:
    """Sizes for as many values as a tensor has or, by one size, a few more; with one left open, or none."""
    rest = prod(size or 1 for size in shape)
    sizes: list[int] = []
    for _ in range(draw(st.integers(0, 2))):
        sizes.append(draw(st.sampled_from(_divisors(rest))))
        rest //= sizes[-1]
    sizes.append(rest)
    if draw(st.integers(1, 4)) == 1:
        sizes[0] += 1
    if draw(st.booleans()) or (None in shape and draw(st.booleans())):
        sizes[draw(st.integers(0, len(sizes) - 1))] = -1
    return tuple(draw(st.permutations(sizes)))


def _divisors(size: int) -> list[int]:
    return [one for one in range(1, size + 1) if size % one == 0]
