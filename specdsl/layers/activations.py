"""Activation layers."""

from collections.abc import Mapping
from typing import ClassVar

from specdsl.counts import Count, product
from specdsl.declaration import Misuse
from specdsl.layers.activation_functions import INVERTIBLE, activation_work, softmax_work
from specdsl.layers.arguments import ActivationArgument, ConstraintArgument, InitializerArgument, RegularizerArgument
from specdsl.layers.base import Layer
from specdsl.layers.facts import NOTHING_KEPT, POINTWISE, Kept, OptionKind, Reach, Weight
from specdsl.layers.shapes import Shape, axis_index, known, show
from specdsl.layers.values import Axes, AxisList, NonNegativeFloat


class _Activation(Layer):
    """An element-wise function, or one along an axis; the shape stays."""

    family = "activation"

    def kept(self, *shapes: Shape) -> Kept:
        return Kept(outputs=True)

    def operations(self, *shapes: Shape) -> Count:
        return product(*shapes[0])

    def reach(self, *shapes: Shape) -> Reach | None:
        return POINTWISE


class Activation(_Activation):
    """A named activation function."""

    nickname = "act"

    activation: ActivationArgument

    def operations(self, *shapes: Shape) -> Count:
        return activation_work(self.activation, shapes[0])

    def kept(self, *shapes: Shape) -> Kept:
        if self.activation in (None, "linear"):
            return NOTHING_KEPT
        return Kept(outputs=True) if self.activation in INVERTIBLE else Kept(inputs=True)


class ReLU(_Activation):
    """max(0, x), optionally capped, with a slope below a threshold."""

    applies = "relu"
    nickname = "relu"

    max_value: NonNegativeFloat | None = None
    negative_slope: NonNegativeFloat = 0.0
    threshold: NonNegativeFloat = 0.0


class LeakyReLU(_Activation):
    """x above 0, `negative_slope`·x below."""

    negative_slope: NonNegativeFloat = 0.3


class ELU(_Activation):
    """x above 0, alpha·(exp(x) - 1) below (Clevert et al., 2016)."""

    alpha: float = 1.0


class PReLU(_Activation):
    """x above 0, alpha·x below, where training finds an alpha for each place that axes do not share.

    He et al., 2015.
    """

    alpha_initializer: InitializerArgument = "Zeros"
    alpha_regularizer: RegularizerArgument = None
    alpha_constraint: ConstraintArgument = None
    shared_axes: AxisList | None = None

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        (shape,) = shapes
        shared = self.shared_axes or ()
        if any(not 1 <= axis <= len(shape) for axis in shared):
            raise Misuse(
                f"PReLU cannot share alpha along axes {show(shared)} of a tensor of shape {show(shape)}, "
                "whose axes are counted from 1",
                argument="shared_axes",
            )
        sizes = tuple(
            1 if axis in shared else known(size, self, f"the size of axis {axis} or to share it")
            for axis, size in enumerate(shape, start=1)
        )
        return (Weight("alpha", sizes),)

    roles: ClassVar[Mapping[str, str]] = {"alpha": "the slope below 0, for each place that no axis shares"}

    def kept(self, *shapes: Shape) -> Kept:
        return Kept(inputs=True)


class Softmax(_Activation):
    """exp(x), divided so that the values along `axis` sum to 1."""

    applies = "softmax"
    options: ClassVar[Mapping[str, OptionKind]] = {"mask": "tensor"}
    call_arguments = ("inputs", "mask")

    axis: Axes = -1

    def check_option(self, name: str, given: tuple[Shape | None, ...], *shapes: Shape) -> None:
        (mask,) = given
        assert mask is not None, "this option is a tensor"
        (shape,) = shapes
        if len(mask) != len(shape) or any(
            a != 1 and None not in (a, b) and a != b for a, b in zip(mask, shape, strict=True)
        ):
            message = f"'{name}' of Softmax takes a tensor of shape {show(shape)}, a size of 1 for all alike"
            raise Misuse(f"{message}, not {show(mask)}", argument=name)

    def result_shape(self, *shapes: Shape) -> Shape:
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        if not axes or len({axis_index(axis, shapes[0], self) for axis in axes}) < len(axes):
            raise Misuse(f"Softmax needs one axis or several different ones, not {show(axes)}", argument="axis")
        return shapes[0]

    def operations(self, *shapes: Shape) -> Count:
        axes = (self.axis,) if isinstance(self.axis, int) else self.axis
        along = {axis_index(axis, shapes[0], self) for axis in axes}
        return softmax_work(shapes[0], tuple(size for axis, size in enumerate(shapes[0], 1) if axis not in along))

    def reach(self, *shapes: Shape) -> Reach | None:
        return POINTWISE if self.axis == -1 else None
