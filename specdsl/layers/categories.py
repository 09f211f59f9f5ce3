"""Categories as numbers: integers as vectors of zeros and ones, values as bins, anything as a hash.

A look-up, a hash or a sum counts one operation for each value; a one-hot vector costs none.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator

from specdsl.counts import Count, Size, product
from specdsl.declaration import Misuse, text
from specdsl.layers.base import Layer
from specdsl.layers.dtypes import FLOATS
from specdsl.layers.facts import NOTHING_KEPT, Kept, OptionKind
from specdsl.layers.shapes import Shape, check_given, show
from specdsl.layers.values import NonNegativeFloat, Positive, Salt, as_tuple


class Categorical(Layer):
    """A layer whose output is a category for each value, or a vector for it, or one for all values along the last axis.

    Sparse tensors that leave it are of the same shape. It has no weights.
    """

    abstract = True
    family = "preprocessing"
    call_training = True

    dtype: Literal["float32", "float64"] | None = None

    taken: ClassVar[tuple[str, ...]] = ("integers", "strings", "floats")
    """What it takes: of "floats", "integers" and "strings"."""

    sums: ClassVar[tuple[str, ...]] = ("multi_hot", "binary", "count", "tf_idf", "tf-idf")
    """The output modes in which one vector tells of all values of an example."""

    def check_intake(self, *dtypes: str) -> None:
        for dtype in dtypes:
            others = "strings" if dtype == "string" else "truth values" if dtype == "bool" else "integers"
            if ("floats" if dtype in FLOATS else others) not in self.takes:
                taken = " or ".join(self.takes)
                message = f"{type(self).__name__} takes {taken} as values, and a tensor of {dtype} enters"
                raise Misuse(message, help="the type of an input stands behind its shape: `input word: () string`")

    def kept(self, *shapes: Shape) -> Kept:
        return NOTHING_KEPT

    @property
    def takes(self) -> tuple[str, ...]:
        """What it takes as its arguments are."""
        return self.taken

    def encoded(self, shape: Shape, mode: str, depth: Size) -> Shape:
        """The shape of encoded values: a vector for each value, in place of a last axis of size 1; or one for all.

        Raises:
            Misuse: Keras would sum over examples, or along another axis than the shape tells.
        """
        if mode == "int":
            return shape
        if mode in self.sums:
            if len(shape) != 1:
                raise Misuse(
                    f'{type(self).__name__} sums the values along one axis with output_mode="{mode}", '
                    f"and {show(shape)} has {len(shape) or 'none'}",
                    argument="output_mode",
                    help='`output_mode="one_hot"` makes a vector for each value' if shape else _NO_AXIS,
                )
            return (depth,)
        return (*(shape[:-1] if shape and shape[-1] == 1 else shape), depth)

    def summed(self, shape: Shape, mode: str) -> Count:
        """The sums over all values of an example, where the output mode has any."""
        return product(*shape) if mode in self.sums else Count()

    def refuse_sparse(self, sparse: bool, mode: str) -> None:
        """Refuse sparse integers, and sparse weights.

        Raises:
            Misuse: `sparse` is set, and one of these leaves the layer.
        """
        if sparse and mode in ("int", "tf_idf", "tf-idf"):
            what = "integers" if mode == "int" else "weights"
            raise Misuse(f"{type(self).__name__} makes no sparse tensor of {what}", argument="sparse")


_NO_AXIS = "an input of one value for each example has the shape (1,)"


class CategoryEncoding(Categorical):
    """Integers as vectors with a place for each: a 1 for one, for all of an example, or how often each is there."""

    taken = ("floats", "integers")
    options: ClassVar[Mapping[str, OptionKind]] = {"count_weights": "tensor"}
    call_arguments = ("inputs", "count_weights")

    num_tokens: Positive | None = None
    output_mode: Literal["multi_hot", "one_hot", "count", "binary"] = "multi_hot"
    sparse: bool = False

    def check(self) -> None:
        if self.num_tokens is None:
            raise Misuse("CategoryEncoding needs to know how many categories there are", argument="num_tokens")
        if self.sparse:
            raise Misuse("Keras cannot make sparse categories in a model that is compiled", argument="sparse")

    def result_shape(self, *shapes: Shape) -> Shape:
        return self.encoded(shapes[0], self.output_mode, self.num_tokens)

    def check_option(self, name: str, given: tuple[Shape | None, ...], *shapes: Shape) -> None:
        if self.output_mode != "count":
            raise Misuse('count_weights weigh what is counted, with output_mode="count"', argument=name)
        check_given(self, name, given, shapes[:1])

    def operations(self, *shapes: Shape) -> Count:
        return self.summed(shapes[0], self.output_mode)


def _rising(value: tuple[float, ...] | None) -> tuple[float, ...] | None:
    if value is not None and sorted(value) != list(value):
        raise Misuse(f"'bin_boundaries' takes numbers from the least to the greatest, not {text(value)}")
    return value


class Discretization(Categorical):
    """Numbers as the bins that they fall into; `bin_boundaries` begin a bin each, and one lies before the first."""

    taken = ("floats",)

    bin_boundaries: Annotated[
        Annotated[tuple[float, ...], BeforeValidator(as_tuple)] | None, AfterValidator(_rising)
    ] = None
    num_bins: Positive | None = None
    epsilon: NonNegativeFloat = 0.01
    output_mode: Literal["int", "one_hot", "multi_hot", "count"] = "int"
    sparse: bool = False
    trainable: Literal[True] = True

    def check(self) -> None:
        if self.bin_boundaries is None:
            raise Misuse(
                "Discretization needs its bin_boundaries: a text has no data to find a number of bins in",
                argument="num_bins",
                help="for example bin_boundaries=[0, 10, 20]",
            )
        if self.num_bins is not None:
            raise Misuse("Discretization takes bin_boundaries or num_bins, not both", argument="num_bins")
        self.refuse_sparse(self.sparse, self.output_mode)

    def result_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        depth = len(self.bin_boundaries or ()) + 1
        if self.output_mode in self.sums and len(shape) > 1:
            return (*shape[1:], depth)
        return self.encoded(shape, self.output_mode, depth)

    def result_dtype(self, *dtypes: str) -> str:
        return "int32" if self.output_mode == "int" else self.policy.compute

    def operations(self, *shapes: Shape) -> Count:
        """For each value as many comparisons as it takes to find its bin by halves."""
        search = len(self.bin_boundaries or ()).bit_length()
        return search * product(*shapes[0]) + self.summed(shapes[0], self.output_mode)


class Hashing(Categorical):
    """Integers or strings as one of `num_bins` numbers, by a hash of each. It runs on TensorFlow alone."""

    num_bins: Positive
    mask_value: int | str | None = None
    salt: Salt = None
    output_mode: Literal["int", "one_hot", "multi_hot", "count"] = "int"
    sparse: bool = False

    def check(self) -> None:
        self.refuse_sparse(self.sparse, self.output_mode)
        if self.dtype is not None and self.output_mode == "int":
            raise Misuse("Hashing makes integers, and no floats of a kind", argument="dtype")

    @property
    def takes(self) -> tuple[str, ...]:
        """What can be compared with `mask_value`."""
        if self.mask_value is None:
            return self.taken
        return ("strings",) if isinstance(self.mask_value, str) else ("floats", "integers")

    def result_dtype(self, *dtypes: str) -> str:
        return "int64" if self.output_mode == "int" else self.policy.compute

    def result_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        if self.output_mode == "one_hot" and (not shape or shape[-1] != 1):
            raise Misuse(
                f'Hashing makes one vector of one value, with output_mode="one_hot", along a last axis of size 1, '
                f"which {show(shape)} has not",
                argument="output_mode",
                help="Hashing and then CategoryEncoding make a vector for each",
            )
        return self.encoded(shape, self.output_mode, self.num_bins)

    def operations(self, *shapes: Shape) -> Count:
        return product(*shapes[0]) + self.summed(shapes[0], self.output_mode)


class HashedCrossing(Categorical):
    """Two features as one: a hash of both values of an example. It runs on TensorFlow alone."""

    arity = (2, 2)
    taken = ("integers", "strings")

    num_bins: Positive
    output_mode: Literal["int", "one_hot"] = "int"
    sparse: bool = False
    trainable: Literal[True] = True
    dtype: None = None

    def result_shape(self, *shapes: Shape) -> Shape:
        one, other = shapes
        if one != other or one not in ((), (1,)):
            raise Misuse(
                f"HashedCrossing takes two tensors of shape () or two of shape (1,), not {show(one)} and {show(other)}"
            )
        return self.encoded(one, self.output_mode, self.num_bins)

    def result_dtype(self, *dtypes: str) -> str:
        return "int64" if self.output_mode == "int" else self.policy.compute

    def operations(self, *shapes: Shape) -> Count:
        return product(*shapes[0])
