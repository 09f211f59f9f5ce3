"""The Keras objects that layers take as arguments: initializers, regularizers, constraints."""

from math import inf
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from specdsl.declaration import Declaration, Kind, declared, snake_case
from specdsl.layers.values import Axes, Fraction, Ints, NonNegativeFloat, Seed, WindowArgument


class KerasObject(Declaration):
    """A declared object with a counterpart of the same name in a module of Keras."""

    module: ClassVar[str]
    """The module of `keras` that holds the counterpart."""

    least_axes: ClassVar[int] = 0
    most_axes: ClassVar[float] = inf
    """How many axes the tensor may have that it makes, measures or changes."""

    unmade: ClassVar[frozenset[str]] = frozenset()
    """Types of value that no back end makes with it."""

    single_axis: ClassVar[int | None] = None
    """The axis of that tensor that has but one place."""

    axis_arguments: ClassVar[tuple[str, ...]] = ()
    """The arguments that name axes of that tensor; Keras looks at them only where all are given."""


class Initializer(KerasObject):
    """How the values of a weight begin."""

    module = "initializers"


class Regularizer(KerasObject):
    """A penalty on a weight, added to the loss."""

    module = "regularizers"


class Constraint(KerasObject):
    """A projection of a weight after each update."""

    module = "constraints"


class Zeros(Initializer):
    """All values 0."""


class Ones(Initializer):
    """All values 1."""


class Constant(Initializer):
    """All values the same."""

    value: float = 0.0


class Identity(Initializer):
    """The identity matrix times `gain`."""

    least_axes = 2
    most_axes = 2

    gain: float = 1.0


class RandomNormal(Initializer):
    """Normally distributed values."""

    mean: float = 0.0
    stddev: NonNegativeFloat = 0.05
    seed: Seed = None


class TruncatedNormal(Initializer):
    """Normally distributed values, redrawn beyond two standard deviations."""

    mean: float = 0.0
    stddev: NonNegativeFloat = 0.05
    seed: Seed = None


class RandomUniform(Initializer):
    """Uniformly distributed values."""

    minval: float = -0.05
    maxval: float = 0.05
    seed: Seed = None


class VarianceScaling(Initializer):
    """Values whose variance is `scale` over the number of connections.

    The connections are those of a kernel whose last axes are inputs and outputs, unless both axes say otherwise.
    """

    axis_arguments = ("input_axes", "output_axes")

    scale: Annotated[float, Field(gt=0)] = 1.0
    mode: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"
    distribution: Literal["normal", "truncated_normal", "untruncated_normal", "uniform"] = "truncated_normal"
    seed: Seed = None
    input_axes: Ints | None = None
    output_axes: Ints | None = None


class STFT(Initializer):
    """The real or the imaginary part of a Fourier transform, windowed: the kernel of an `STFTSpectrogram`."""

    least_axes = 3
    most_axes = 3
    single_axis = 1

    side: Literal["real", "imag"] = "real"
    window: WindowArgument = "hann"
    scaling: Literal["density", "spectrum"] | None = "density"
    periodic: bool = False


class Orthogonal(Initializer):
    """An orthogonal matrix times `gain`."""

    least_axes = 2
    unmade = frozenset({"bfloat16"})  # there is no QR decomposition of it

    gain: float = 1.0
    seed: Seed = None


class _Scaled(Initializer):
    """A variance scaling whose scale, mode and distribution are settled."""

    axis_arguments = ("input_axes", "output_axes")

    seed: Seed = None
    input_axes: Ints | None = None
    output_axes: Ints | None = None


class GlorotUniform(_Scaled):
    """Uniform within ±sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010)."""


class GlorotNormal(_Scaled):
    """Truncated normal of variance 2 / (fan_in + fan_out) (Glorot and Bengio, 2010)."""


class HeUniform(_Scaled):
    """Uniform within ±sqrt(6 / fan_in) (He et al., 2015)."""


class HeNormal(_Scaled):
    """Truncated normal of variance 2 / fan_in (He et al., 2015)."""


class LecunUniform(_Scaled):
    """Uniform within ±sqrt(3 / fan_in) (LeCun et al., 1998)."""


class LecunNormal(_Scaled):
    """Truncated normal of variance 1 / fan_in (LeCun et al., 1998)."""


class L1(Regularizer):
    """`l1` times the sum of absolute values."""

    l1: NonNegativeFloat = 0.01


class L2(Regularizer):
    """`l2` times the sum of squares."""

    l2: NonNegativeFloat = 0.01


class L1L2(Regularizer):
    """`l1` times the sum of absolute values plus `l2` times the sum of squares."""

    l1: NonNegativeFloat = 0.0
    l2: NonNegativeFloat = 0.0


class OrthogonalRegularizer(Regularizer):
    """A penalty on rows or columns that are not orthogonal to each other."""

    unmade = frozenset({"float16", "bfloat16", "float64"})  # Keras multiplies them by a float32
    least_axes = 2
    most_axes = 2

    factor: NonNegativeFloat = 0.01
    mode: Literal["rows", "columns"] = "rows"


class MaxNorm(Constraint):
    """Norms along `axis` of at most `max_value`."""

    axis_arguments = ("axis",)

    max_value: NonNegativeFloat = 2
    axis: Axes = 0


class MinMaxNorm(Constraint):
    """Norms along `axis` between two values, approached at `rate`."""

    axis_arguments = ("axis",)

    min_value: NonNegativeFloat = 0.0
    max_value: NonNegativeFloat = 1.0
    rate: Fraction = 1.0
    axis: Axes = 0


class NonNeg(Constraint):
    """No negative values."""


class UnitNorm(Constraint):
    """Norms of 1 along `axis`."""

    axis_arguments = ("axis",)

    axis: Axes = 0


def _named(base: type[Kind]) -> dict[str, type[Kind]]:
    names = {spelling: kind for kind in declared(base) for spelling in (kind.__name__, snake_case(kind.__name__))}
    if base is Initializer:
        short = {"normal": "RandomNormal", "uniform": "RandomUniform", "one": "Ones", "zero": "Zeros"}
        names |= {spelling: names[kind] for spelling, kind in short.items()}
        for spelling in ("Constant", "constant"):  # Keras knows the name, and then asks for the value
            del names[spelling]
    return names


INITIALIZERS = _named(Initializer)
REGULARIZERS = _named(Regularizer)
CONSTRAINTS = _named(Constraint)
OBJECTS: dict[str, type[KerasObject]] = {
    kind.__name__: kind for base in (Initializer, Regularizer, Constraint) for kind in declared(base)
}
"""Every object that may be called by name in an argument."""

_BY_NAME: dict[str, type[KerasObject]] = {**INITIALIZERS, **REGULARIZERS, **CONSTRAINTS}


_AXES = {(2, 2): "two axes", (2, inf): "two axes or more", (3, 3): "three axes"}


def misfit(chosen: str | KerasObject, shape: tuple[int | None, ...], dtype: str) -> str | None:
    """What keeps an object from serving a tensor of a shape and a type, None where nothing does."""
    kind = _BY_NAME[chosen] if isinstance(chosen, str) else type(chosen)
    if not kind.least_axes <= len(shape) <= kind.most_axes:
        return f"{kind.__name__} is for {_AXES[kind.least_axes, kind.most_axes]}"
    if dtype in kind.unmade:
        does = "make values" if issubclass(kind, Initializer) else "weigh values"
        return f"{kind.__name__} cannot {does} of {dtype}"
    if kind.single_axis is not None and shape[kind.single_axis] not in (1, None):
        return f"{kind.__name__} is for a size of 1 along axis {kind.single_axis}"
    named = [] if isinstance(chosen, str) else [getattr(chosen, argument) for argument in chosen.axis_arguments]
    if None not in named:
        for axes in named:
            for axis in (axes,) if isinstance(axes, int) else axes:
                if not -len(shape) <= axis < len(shape):
                    return f"{kind.__name__} names axis {axis}"
    return None
