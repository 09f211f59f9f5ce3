"""The kinds of plain value that arguments hold: counts, fractions, sizes of axes, numbers of axes."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from specdsl.declaration import Misuse, text

Positive = Annotated[int, Field(gt=0)]
NonNegative = Annotated[int, Field(ge=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Signed = Annotated[float, Field(ge=-1, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)] | None
"""A seed that every back end of Keras can take."""


WindowArgument = (
    Literal[
        "barthann", "bartlett", "black", "blackman", "blackmanharris", "blk", "bohman", "box", "boxcar",
        "brt", "brthan", "bth", "cosine", "exponential", "flattop", "flt", "halfcosine", "ham", "hamming",
        "han", "hann", "lanczos", "nut", "nutl", "nuttall", "par", "parzen", "poisson", "rect",
        "rectangular", "taylor", "tri", "triang", "triangle", "tukey",
    ]
    | None
)  # fmt: skip
"""A window that SciPy knows by name, and that needs no numbers beside it."""


def as_tuple(value: Any) -> Any:
    """A list as a tuple; anything else as it is."""
    return tuple(value) if isinstance(value, list) else value


def one_or_more(value: Any) -> Any:
    """A single number as a tuple of one; anything else as `as_tuple`."""
    return (value,) if isinstance(value, int) else as_tuple(value)


def spread(rank: int) -> Callable[[Any, ValidationInfo], Any]:
    """A converter of one value for all axes into a value for each: `5` becomes `(5, 5)`."""

    def convert(value: Any, info: ValidationInfo) -> Any:
        value = as_tuple(value)
        if not isinstance(value, int | tuple):
            several = f"{rank} whole numbers or a single one" if rank > 1 else "a whole number"
            raise Misuse(f"'{info.field_name}' takes {several}, not {text(value)}")
        if isinstance(value, tuple) and len(value) != rank:
            several = f"{rank} values or a single one" if rank > 1 else "one value"
            raise Misuse(f"'{info.field_name}' takes {several}, not {text(value)}")
        return (value,) * rank if isinstance(value, int) else value

    return convert


_one, _two, _three = (BeforeValidator(spread(rank)) for rank in (1, 2, 3))

Sizes1 = Annotated[tuple[Positive], _one]
Sizes2 = Annotated[tuple[Positive, Positive], _two]
Sizes3 = Annotated[tuple[Positive, Positive, Positive], _three]
NonNegativeSizes1 = Annotated[tuple[NonNegative], _one]
NonNegativeSizes2 = Annotated[tuple[NonNegative, NonNegative], _two]
NonNegativeSizes3 = Annotated[tuple[NonNegative, NonNegative, NonNegative], _three]

Margins1 = NonNegativeSizes2
"""What lies before and after an axis."""
Margins2 = Annotated[tuple[Margins1, Margins1], _two]
Margins3 = Annotated[tuple[Margins1, Margins1, Margins1], _three]

SPREADING = (_one, _two, _three)
"""What makes a tuple of one value for all axes."""

Ints = Annotated[tuple[int, ...], BeforeValidator(as_tuple)]
Axes = int | Ints
AxisList = Annotated[tuple[int, ...], BeforeValidator(one_or_more)]


def _table(value: Any, info: ValidationInfo) -> Any:
    """Lists in lists of numbers as tuples in tuples, checked to be of equal length at each level; None as it is."""
    if value is None:
        return None
    if isinstance(value, list | tuple):
        rows = tuple(_table(row, info) for row in value)
        if len({extents(row) for row in rows}) > 1:
            raise Misuse(f"'{info.field_name}' takes numbers in lists of equal length, not {text(value)}")
        return rows
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Misuse(f"'{info.field_name}' takes a number, or lists of numbers, not {text(value)}")
    return float(value)


def extents(table: Any) -> tuple[int, ...]:
    """How many values a table has along each of its axes, as `numpy.shape` counts them: none for a single number."""
    if not isinstance(table, tuple):
        return ()
    return (len(table), *(extents(table[0]) if table else ()))


Table = Annotated[float | tuple[Any, ...] | None, BeforeValidator(_table)]
"""A number, numbers along an axis, along two axes and so on; or none."""


_listed = BeforeValidator(as_tuple)

FractionRange = Fraction | Annotated[tuple[Fraction, Fraction], _listed]
"""A number that something is drawn up to, or two that it is drawn between; a share of a whole."""
SignedRange = Signed | Annotated[tuple[Signed, Signed], _listed]
"""The same, where what is drawn may be negative."""


def _upwards(value: tuple[float, float], info: ValidationInfo) -> tuple[float, float]:
    if value[0] >= value[1]:
        raise Misuse(f"'{info.field_name}' takes the least value and then the greatest, not {text(value)}")
    return value


ValueRange = Annotated[tuple[float, float], _listed, AfterValidator(_upwards)]
"""The least and the greatest value of an image."""

Salt = int | Annotated[tuple[int, int], _listed] | None
"""What makes a hash another one: one number, or two."""
