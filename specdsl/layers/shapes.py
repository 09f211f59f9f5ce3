"""Shapes of tensors: how they are shown, and what rules check of those that enter a layer."""

from specdsl.counts import Size
from specdsl.declaration import Declaration, Misuse

Shape = tuple[Size, ...]
"""A shape as Keras prints it, without the batch axis; None for a size unknown until run time."""


def require_rank(shape: Shape, rank: int, layer: Declaration, meaning: str, one_more: str | None = None) -> None:
    """Check the number of axes, batch axis not counted.

    Args:
        shape: the tensor's.
        rank: how many axes it must have.
        layer: what takes it.
        meaning: what the layer takes, in words.
        one_more: how to mend a tensor with one axis too many.

    Raises:
        Misuse: the tensor has another number of axes.
    """
    if len(shape) != rank:
        hint = None
        if len(shape) > rank == 1:
            hint = "a Flatten or a GlobalAveragePooling2D before it makes one axis of many"
        elif len(shape) == rank - 1:
            hint = "a Reshape before it can add the axis that is missing"
        elif len(shape) == rank + 1:
            hint = one_more
        raise Misuse(f"{type(layer).__name__} takes {meaning}, not a tensor of shape {show(shape)}", help=hint)


def axis_index(axis: int, shape: Shape, layer: Declaration, argument: str = "axis") -> int:
    """The place of an axis as Keras counts them: 0 for the batch axis, which shapes here leave out.

    Raises:
        Misuse: the tensor has no such axis.
    """
    count = len(shape) + 1
    axes = "its only axis is 1, also -1" if count == 2 else f"its axes are 1 to {count - 1}, the last of them also -1"
    if not -count <= axis < count:
        raise Misuse(
            f"{type(layer).__name__} finds no axis {axis} in a tensor of shape {show(shape)}",
            argument=argument,
            help=f"{axes}; 0 is the batch axis" if shape else None,
        )
    return axis % count


def known(size: Size, layer: Declaration, what: str) -> int:
    """A size that a weight depends on, which must be known before run time.

    Raises:
        Misuse: the size is unknown.
    """
    if size is None:
        hint = "give the input a size in place of `none`"
        raise Misuse(f"{type(layer).__name__} needs to know {what}, which is `none` here", help=hint)
    return size


def show(shape: Shape) -> str:
    """A shape as the language writes it: `(28, 28, 3)`, with `none` where a size is unknown."""
    inner = ", ".join("none" if size is None else str(size) for size in shape)
    return f"({inner}{',' if len(shape) == 1 else ''})"


def check_given(layer: Declaration, name: str, given: tuple[Shape | None, ...], wanted: tuple[Shape, ...]) -> None:
    """Check the shapes of the tensors that an option of a call gives; None fits anything.

    Raises:
        Misuse: there are more or fewer than wanted, or one of them has another shape.
    """
    fits = len(given) == len(wanted) and all(
        a is None or (len(a) == len(b) and all(None in pair or pair[0] == pair[1] for pair in zip(a, b, strict=True)))
        for a, b in zip(given, wanted, strict=True)
    )
    if not fits:
        what = " and ".join(map(show, wanted))
        got = " and ".join("none" if shape is None else show(shape) for shape in given) or "nothing"
        number = f"{len(wanted)} tensors of shape" if len(wanted) > 1 else "a tensor of shape"
        raise Misuse(f"'{name}' of {type(layer).__name__} takes {number} {what}, not {got}", argument=name)
