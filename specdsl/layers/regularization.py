"""Layers that act in training alone: dropout, noise, penalties on activity."""

from collections.abc import Mapping
from math import sqrt
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator

from specdsl.counts import Count, product
from specdsl.declaration import Misuse
from specdsl.layers.arguments import DataFormat
from specdsl.layers.base import Layer
from specdsl.layers.facts import NOTHING_KEPT, POINTWISE, TRAINING, Kept, Modes, OptionKind, Reach
from specdsl.layers.shapes import Shape, show
from specdsl.layers.spatial import split
from specdsl.layers.values import Fraction, NonNegativeFloat, Positive, Seed, as_tuple

NoiseShape = Annotated[tuple[Positive | None, ...], BeforeValidator(as_tuple)] | None


class _Regularization(Layer):
    """A layer that keeps the shape; what it does in training, it does not do in inference."""

    family = "regularization"
    options = TRAINING

    def reach(self, *shapes: Shape) -> Reach | None:
        return POINTWISE

    def modes(self) -> Modes | None:
        deed = self._in_training()
        return Modes(training=deed, inference="passes its input on unchanged") if deed else None

    def kept(self, *shapes: Shape) -> Kept:
        """The values that it drew, as many as its noise has."""
        return Kept(more=self._noise(shapes[0])) if self._in_training() else NOTHING_KEPT

    def _noise(self, shape: Shape) -> Count:
        """How many values it draws for one example."""
        return product(*shape)

    def _in_training(self) -> str | None:
        """What it does to its input in training, None where that is nothing."""
        return None


def _drop(what: str, rate: float) -> str | None:
    if rate == 0:
        return None
    if rate == 1:
        return f"sets each {what} to 0"
    return f"sets each {what} to 0 with probability {rate:.4g} and multiplies the rest by {1 / (1 - rate):.4g}"


class Dropout(_Regularization):
    """Each value dropped by chance; a size of 1 in `noise_shape` drops along that axis together.

    Srivastava et al., 2014.
    """

    passes = True

    rate: Fraction
    noise_shape: NoiseShape = None
    seed: Seed = None

    def result_shape(self, *shapes: Shape) -> Shape:
        _fits(self.noise_shape, shapes[0], self)
        return shapes[0]

    def _noise(self, shape: Shape) -> Count:
        return _spread(self.noise_shape, shape)

    def _in_training(self) -> str | None:
        return _drop(_dropped_together(self.noise_shape), self.rate)


class _SpatialDropout(_Regularization):
    """Each channel dropped by chance as a whole (Tompson et al., 2015)."""

    rank: ClassVar[int]

    rate: Fraction
    trainable: Literal[True] = True

    def _noise(self, shape: Shape) -> Count:
        _, channels = split(shape, self.rank, self, getattr(self, "data_format", None))
        return product(channels)

    def _in_training(self) -> str | None:
        return _drop("channel", self.rate)


class SpatialDropout1D(_SpatialDropout):
    """Each channel of a sequence dropped by chance as a whole."""

    rank = 1

    seed: Seed = None

    def result_shape(self, *shapes: Shape) -> Shape:
        split(shapes[0], self.rank, self)
        return shapes[0]


class _FormattedSpatialDropout(_SpatialDropout):
    data_format: DataFormat = None
    seed: Seed = None

    def result_shape(self, *shapes: Shape) -> Shape:
        split(shapes[0], self.rank, self, self.data_format)
        return shapes[0]


class SpatialDropout2D(_FormattedSpatialDropout):
    """Each channel of an image dropped by chance as a whole."""

    rank = 2


class SpatialDropout3D(_FormattedSpatialDropout):
    """Each channel of a volume dropped by chance as a whole."""

    rank = 3


class GaussianDropout(_Regularization):
    """Each value times noise around 1, as varied as dropout of that rate (Srivastava et al., 2014, section 10)."""

    passes = True

    rate: Fraction
    seed: Seed = None

    def result_shape(self, *shapes: Shape) -> Shape:
        _below_one(self.rate, self)
        return shapes[0]

    def _in_training(self) -> str | None:
        if self.rate == 0:
            return None
        deviation = sqrt(self.rate / (1 - self.rate))
        return f"multiplies each value by normal noise of mean 1 and standard deviation {deviation:.4g}"


class GaussianNoise(_Regularization):
    """Each value plus noise around 0."""

    passes = True

    stddev: Fraction
    seed: Seed = None

    def _noise(self, shape: Shape) -> Count:
        return Count()  # a sum needs none of its summands

    def _in_training(self) -> str | None:
        return f"adds normal noise of standard deviation {self.stddev:.4g} to each value" if self.stddev else None


_SELU_LIMIT = -1.6732632423543772 * 1.0507009873554805


class AlphaDropout(_Regularization):
    """Dropout for SELU networks, which keeps mean and variance (Klambauer et al., 2017)."""

    passes = True

    rate: Fraction
    noise_shape: NoiseShape = None
    seed: Seed = None

    def result_shape(self, *shapes: Shape) -> Shape:
        _below_one(self.rate, self)
        _fits(self.noise_shape, shapes[0], self)
        return shapes[0]

    def _noise(self, shape: Shape) -> Count:
        return _spread(self.noise_shape, shape)

    def _in_training(self) -> str | None:
        if self.rate == 0:
            return None
        scale = ((1 - self.rate) * (1 + self.rate * _SELU_LIMIT**2)) ** -0.5
        return (
            f"sets each value to {_SELU_LIMIT:.4g} with probability {self.rate:.4g}, "
            f"then multiplies all by {scale:.4g} and adds {-scale * _SELU_LIMIT * self.rate:.4g}"
        )


class ActivityRegularization(_Regularization):
    """The tensor as it is, with a penalty on its size added to the loss."""

    options: ClassVar[Mapping[str, OptionKind]] = {}

    l1: NonNegativeFloat = 0.0
    l2: NonNegativeFloat = 0.0

    def kept(self, *shapes: Shape) -> Kept:
        return Kept(inputs=bool(self.l1 or self.l2))


def _fits(noise_shape: tuple[int | None, ...] | None, shape: Shape, layer: Layer) -> None:
    """Check that noise of a shape, batch axis counted, can be spread over every tensor and makes none larger.

    A number for an axis whose size is not known, such as that of the batch, would fit tensors of that size alone.
    """
    if noise_shape is None:
        return
    whole = (None, *shape)
    missing = len(whole) - len(noise_shape)
    larger = any(
        noise not in (None, 1, size) for size, noise in zip(whole[max(missing, 0) :], noise_shape, strict=False)
    )
    if missing < 0 or larger or (missing and None in noise_shape):
        raise Misuse(
            f"{type(layer).__name__} cannot spread noise of shape {show(noise_shape)} over {show(shape)}",
            argument="noise_shape",
            help="noise_shape counts the batch axis: `none` for it and for each axis as it is, 1 to drop along an axis",
        )


def _dropped_together(noise_shape: tuple[int | None, ...] | None) -> str:
    """What noise of a shape drops as a whole, in words."""
    alike = [axis for axis, size in enumerate(noise_shape or ()) if size == 1]
    if not alike:
        return "value"
    if noise_shape and len(alike) == len(noise_shape) - 1 and noise_shape[0] is None:
        return "example"
    return f"value, alike along axis {' and '.join(map(str, alike))},"


def _spread(noise_shape: tuple[int | None, ...] | None, shape: Shape) -> Count:
    """The number of values in noise of a shape, batch axis counted, that is spread over a tensor."""
    if noise_shape is None:
        return product(*shape)
    whole = (None, *shape)[len(shape) + 1 - len(noise_shape) :]
    sizes = [size if noise is None else noise for size, noise in zip(whole, noise_shape, strict=True)]
    return product(*(sizes[1:] if len(sizes) > len(shape) else sizes))


def _below_one(rate: float, layer: Layer) -> None:
    if rate == 1:
        raise Misuse(f"{type(layer).__name__} divides by 1 - rate, so that rate must be below 1", argument="rate")
