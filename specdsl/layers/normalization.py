"""Normalisation layers: over the batch, over axes, over groups of channels, to unit length."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator

from specdsl.counts import Count, product
from specdsl.declaration import Misuse, text
from specdsl.layers.arguments import ConstraintArgument, InitializerArgument, RegularizerArgument
from specdsl.layers.base import Layer
from specdsl.layers.dtypes import Intake
from specdsl.layers.facts import POINTWISE, TRAINING, Modes, Reach, Weight
from specdsl.layers.shapes import Shape, axis_index, known, show
from specdsl.layers.values import Axes, Table, extents


class _Normalization(Layer):
    """A layer that keeps the shape and may scale and shift what it has normalised."""

    family = "normalization"
    intake: ClassVar[Intake] = "numbers"
    statistics: ClassVar[tuple[int, int]] = (5, 2)
    """Operations beside a scale and a shift: for each value, and for each of the values normalised together.

    Those of a mean and a variance: the sum of the values and its division by their number are as many as there are
    values, so are those of the squares; each is less the mean, squared, and multiplied by one over the deviation, which
    takes a sum with epsilon and a root.
    """

    def operations(self, *shapes: Shape) -> Count:
        each, together = self.statistics
        times = each + int(getattr(self, "scale", False)) + int(getattr(self, "center", False))
        return times * product(*shapes[0]) + together * self._parts(shapes[0])

    def _parts(self, shape: Shape) -> Count:
        """How many times values are normalised together: once for each place of the axes that are not named."""
        named: int | tuple[int, ...] = vars(self)["axis"]
        along = {axis_index(axis, shape, self) for axis in ((named,) if isinstance(named, int) else named)}
        return product(*(size for axis, size in enumerate(shape, 1) if axis not in along))

    def reach(self, *shapes: Shape) -> Reach | None:
        return POINTWISE if getattr(self, "axis", None) == -1 else None


_RENORM = ("moving_stddev", "renorm_mean", "renorm_stddev")


class BatchNormalization(_Normalization):
    """Each channel less its mean, over its deviation, by the batch in training and by moving averages afterwards.

    Ioffe and Szegedy, 2015.
    """

    keyword_only = ("renorm_momentum", "synchronized", *Layer.keyword_only)
    options = TRAINING
    call_training = None
    implied: ClassVar[Mapping[str, Any]] = {"renorm": False, "renorm_clipping": None, "renorm_momentum": 0.99}
    nickname = "bn"

    axis: int = -1
    momentum: float = 0.99
    epsilon: float = 0.001
    center: bool = True
    scale: bool = True
    beta_initializer: InitializerArgument = "zeros"
    gamma_initializer: InitializerArgument = "ones"
    moving_mean_initializer: InitializerArgument = "zeros"
    moving_variance_initializer: InitializerArgument = "ones"
    beta_regularizer: RegularizerArgument = None
    gamma_regularizer: RegularizerArgument = None
    beta_constraint: ConstraintArgument = None
    gamma_constraint: ConstraintArgument = None
    renorm: bool = False
    renorm_momentum: float = 0.99
    synchronized: bool = False

    roles: ClassVar[Mapping[str, str]] = {
        "moving_stddev": "the deviation of each channel, gathered from the batches of training",
        "renorm_mean": "the mean that the corrections of training go by",
        "renorm_stddev": "the deviation that the corrections of training go by",
    }

    def check(self) -> None:
        if self.renorm and self.moving_variance_initializer is None:
            raise Misuse(
                "renorm begins with the root of what moving_variance_initializer gives, and there is none",
                argument="moving_variance_initializer",
            )

    def operations(self, *shapes: Shape) -> Count:
        return 2 * product(*shapes[0])  # by the moving averages it is one factor and one summand for each channel

    def reach(self, *shapes: Shape) -> Reach | None:
        return POINTWISE

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        sizes = _sizes(shapes[0], (self.axis,), self)
        return (
            *_scale_and_shift(self, sizes),
            *(Weight(name, sizes, trainable=False) for name in ("moving_mean", "moving_variance")),
            *(Weight(name, sizes, trainable=False) for name in (_RENORM if self.renorm else ())),
        )

    def modes(self) -> Modes | None:
        if not self.trainable:
            return None
        by = "the batch's mean and variance"
        if self.renorm:
            by += ", corrected towards averages of them as in inference (batch renormalisation; Ioffe, 2017)"
        return Modes(
            training=f"normalises with {by}, and moves the moving averages "
            f"{100 * (1 - self.momentum):.4g} % of the way towards them (momentum {self.momentum:.6g})",
            inference="normalises with the moving mean and variance, and changes nothing",
        )


class LayerNormalization(_Normalization):
    """Each example less its mean, over its deviation, along `axis` (Ba et al., 2016)."""

    implied: ClassVar[Mapping[str, Any]] = {"rms_scaling": False}
    nickname = "norm"

    axis: Axes = -1
    epsilon: float = 0.001
    center: bool = True
    scale: bool = True
    beta_initializer: InitializerArgument = "zeros"
    gamma_initializer: InitializerArgument = "ones"
    beta_regularizer: RegularizerArgument = None
    gamma_regularizer: RegularizerArgument = None
    beta_constraint: ConstraintArgument = None
    gamma_constraint: ConstraintArgument = None

    def result_shape(self, *shapes: Shape) -> Shape:
        _distinct(shapes[0], self.axis, self)
        return shapes[0]

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        if not (self.center or self.scale):
            return ()
        axes = (self.axis,) if isinstance(self.axis, int) else tuple(sorted(self.axis))
        return _scale_and_shift(self, _sizes(shapes[0], axes, self))


def _groups(value: int) -> int:
    if value <= 0 and value != -1:
        raise Misuse(
            f"GroupNormalization takes a positive number of groups, or -1 for one of each channel, not {value}"
        )
    return value


class GroupNormalization(_Normalization):
    """Each group of channels of an example less its mean, over its deviation (Wu and He, 2018)."""

    groups: Annotated[int, AfterValidator(_groups)] = 32
    axis: int = -1
    epsilon: float = 0.001
    center: bool = True
    scale: bool = True
    beta_initializer: InitializerArgument = "zeros"
    gamma_initializer: InitializerArgument = "ones"
    beta_regularizer: RegularizerArgument = None
    gamma_regularizer: RegularizerArgument = None
    beta_constraint: ConstraintArgument = None
    gamma_constraint: ConstraintArgument = None

    def reach(self, *shapes: Shape) -> Reach | None:
        return None

    def _parts(self, shape: Shape) -> Count:
        return product(_sizes(shape, (self.axis,), self)[0] if self.groups == -1 else self.groups)

    def result_shape(self, *shapes: Shape) -> Shape:
        (channels,) = _sizes(shapes[0], (self.axis,), self)
        if self.groups > 0 and channels % self.groups:
            raise Misuse(
                f"GroupNormalization cannot share {channels} channels equally among {self.groups} groups",
                argument="groups",
                help="groups=-1 makes a group of each channel" if channels < self.groups else None,
            )
        return shapes[0]

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        return _scale_and_shift(self, _sizes(shapes[0], (self.axis,), self))


class RMSNormalization(_Normalization):
    """Each example over the root of its mean square along `axis`, times a learned scale (Zhang and Sennrich, 2019)."""

    intake = "floats"
    statistics = (4, 2)  # squares, their sum, and products with the root's inverse and the scale; as of a variance
    roles: ClassVar[Mapping[str, str]] = {"scale": "a factor for each value along the axis"}

    axis: Axes = -1
    epsilon: float = 1e-6

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        (shape,) = shapes
        axes = (self.axis,) if isinstance(self.axis, int) else tuple(sorted(self.axis))
        last = list(range(len(shape) + 1))[len(shape) + 1 - len(axes) :]
        if not axes or 0 in last or [axis_index(axis, shape, self) for axis in axes] != last:
            message = f"RMSNormalization takes the last axis or the last ones of {show(shape)}, not {text(self.axis)}"
            raise Misuse(message, argument="axis", help="its scale is spread over the last axes")
        return (Weight("scale", tuple(known(shape[axis - 1], self, f"the size of axis {axis}") for axis in last)),)


class UnitNormalization(_Normalization):
    """Each example scaled to a Euclidean length of 1 along `axis`."""

    intake = "floats"
    statistics = (3, 1)  # squares, their sum, and a product; the sum is bounded from below before its root is taken

    axis: Axes = -1

    def result_shape(self, *shapes: Shape) -> Shape:
        _distinct(shapes[0], self.axis, self)
        return shapes[0]


class Normalization(Layer):
    """Each value less a mean, over a deviation: those given, or for each place along `axis` those of the weights.

    Keras sets the weights when the layer is adapted to data; until then the mean is 0 and the variance 1.
    """

    family = "preprocessing"
    call_training = True
    intake = "numbers"

    axis: Axes | None = -1
    mean: Table = None
    variance: Table = None
    invert: bool = False

    def operations(self, *shapes: Shape) -> Count:
        return 2 * product(*shapes[0])

    def reach(self, *shapes: Shape) -> Reach | None:
        return POINTWISE

    def check(self) -> None:
        """Refuse one of mean and variance without the other, and values that do not go with each other or the axes."""
        if (self.mean is None) != (self.variance is None):
            given, missing = ("mean", "variance") if self.variance is None else ("variance", "mean")
            raise Misuse(f"Normalization takes {given} only together with {missing}", argument=given)
        if extents(self.mean) != extents(self.variance):
            raise Misuse(
                f"Normalization has a mean of shape {show(extents(self.mean))} "
                f"and a variance of shape {show(extents(self.variance))}, which must be equal",
                argument="variance",
            )
        if len(extents(self.mean)) > len(self._axes()):
            raise Misuse(
                f"Normalization has a mean of shape {show(extents(self.mean))}, which has more axes "
                f"than {text(self.axis)} names",
                argument="mean",
            )

    def _axes(self) -> tuple[int, ...]:
        match self.axis:
            case None:
                return ()
            case int(axis):
                return (axis,)
            case axes:
                return axes

    def result_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        _distinct(shape, self._axes(), self)
        kept = self._kept(shape)
        given = extents(self.mean)
        if any(count not in (1, size) for count, size in zip(reversed(given), reversed(kept), strict=False)):
            raise Misuse(
                f"Normalization cannot spread a mean of shape {show(given)} over the sizes {show(kept)} "
                f"of axis {text(self.axis)} of {show(shape)}",
                argument="mean",
            )
        return shape

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        if self.mean is not None:
            return ()
        sizes = self._kept(shapes[0])
        return (
            Weight("mean", sizes, trainable=False),
            Weight("variance", sizes, trainable=False),
            Weight("count", (), trainable=False, dtype="int64"),
        )

    roles: ClassVar[Mapping[str, str]] = {
        "mean": "the mean of the data that it has been adapted to",
        "variance": "the variance of the data that it has been adapted to",
        "count": "how many values these have been worked out from",
    }

    def _kept(self, shape: Shape) -> tuple[int, ...]:
        """The sizes along the axes that keep values of their own, in the order of the tensor's axes."""
        return _sizes(shape, tuple(sorted(self._axes(), key=lambda axis: axis_index(axis, shape, self))), self)


def _sizes(shape: Shape, axes: tuple[int, ...], layer: Layer) -> tuple[int, ...]:
    """The sizes along axes, of which the batch axis is none that is known."""
    whole = (None, *shape)
    return tuple(known(whole[axis_index(axis, shape, layer)], layer, f"the size of axis {axis}") for axis in axes)


def _distinct(shape: Shape, axis: int | tuple[int, ...], layer: Layer) -> None:
    axes = (axis,) if isinstance(axis, int) else axis
    if len({axis_index(one, shape, layer) for one in axes}) < len(axes):
        raise Misuse(f"{type(layer).__name__} names an axis twice in {show(axes)}", argument="axis")


def _scale_and_shift(
    layer: BatchNormalization | LayerNormalization | GroupNormalization, sizes: tuple[int, ...]
) -> tuple[Weight, ...]:
    gamma = (Weight("gamma", sizes),) if layer.scale else ()
    beta = (Weight("beta", sizes),) if layer.center else ()
    return gamma + beta
