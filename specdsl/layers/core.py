"""Core layers: input, dense, identity and its kin."""

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from specdsl.counts import Count, number, product
from specdsl.declaration import Misuse
from specdsl.layers.arguments import ActivationArgument, ConstraintArgument, InitializerArgument, RegularizerArgument
from specdsl.layers.base import Layer
from specdsl.layers.dtypes import Dtype, Float, Intake
from specdsl.layers.facts import NOTHING_KEPT, POINTWISE, Kept, OptionKind, Reach, Weight
from specdsl.layers.lora import check_lora, lora_macs, lora_operations, with_lora
from specdsl.layers.shapes import Shape, known, show
from specdsl.layers.values import Positive, as_tuple


class InputLayer(Layer):
    """Where a tensor enters the model."""

    family = "input"
    arity = (0, 0)

    shape: Annotated[tuple[Positive | None, ...], BeforeValidator(as_tuple)]
    dtype: Dtype = "float32"  # type: ignore[assignment]

    def result_shape(self, *shapes: Shape) -> Shape:
        return self.shape

    def result_dtype(self, *dtypes: str) -> str:
        return self.dtype


class Dense(Layer):
    """A matrix product over the last axis plus a bias: `activation(x·kernel + bias)`."""

    intake = "numbers"
    call_training = None

    units: Positive
    activation: ActivationArgument = None
    use_bias: bool = True
    kernel_initializer: InitializerArgument = "glorot_uniform"
    bias_initializer: InitializerArgument = "zeros"
    kernel_regularizer: RegularizerArgument = None
    bias_regularizer: RegularizerArgument = None
    activity_regularizer: RegularizerArgument = None
    kernel_constraint: ConstraintArgument = None
    bias_constraint: ConstraintArgument = None
    lora_rank: Positive | None = None
    lora_alpha: float | None = None

    def check(self) -> None:
        check_lora(self, self.kernel_constraint, alpha_counts=False)

    def result_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        if not shape:
            raise Misuse(f"Dense takes a tensor with at least one axis, not a tensor of shape {show(shape)}")
        return (*shape[:-1], self.units)

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        features = known(shapes[0][-1], self, "the size of the last axis")
        bias = (Weight("bias", (self.units,)),) if self.use_bias else ()
        return with_lora(self, Weight("kernel", (features, self.units)), *bias)

    def takes_sparse(self, *shapes: Shape) -> bool:
        return len(shapes[0]) == 1

    roles: ClassVar[Mapping[str, str]] = {
        "kernel": "a factor for each value that enters and each unit",
        "bias": "a summand for each unit",
    }
    work = "each value that enters, with each unit"

    def account(self, *shapes: Shape) -> str:
        values = f"a value for each of the {self.units} units" if self.units > 1 else "the value of its one unit"
        return f"the last axis has {values} in place of {number(shapes[0][-1])}"

    def macs(self, *shapes: Shape) -> Count:
        kernel = (shapes[0][-1], self.units)
        return product(*shapes[0], self.units) + lora_macs(self, kernel)

    def operations(self, *shapes: Shape) -> Count:
        return super().operations(*shapes) + lora_operations(self, (shapes[0][-1], self.units))

    def reach(self, *shapes: Shape) -> Reach | None:
        return POINTWISE


class Identity(Layer):
    """The tensor as it is."""

    passes = True

    intake = "any"
    keeps_dtype = True

    def kept(self, *shapes: Shape) -> Kept:
        return NOTHING_KEPT

    def reach(self, *shapes: Shape) -> Reach | None:
        return POINTWISE


class Embedding(Layer):
    """A vector of `output_dim` values looked up for each of `input_dim` integers, without a multiplication."""

    intake = "numbers"
    keyword_only = ("lora_rank", "lora_alpha", *Layer.keyword_only)

    looks_up = True
    work = "the two factors of its low-rank adaptation, with each other"

    input_dim: Positive
    output_dim: Positive
    embeddings_initializer: InitializerArgument = "uniform"
    embeddings_regularizer: RegularizerArgument = None
    embeddings_constraint: ConstraintArgument = None
    mask_zero: bool = False
    lora_rank: Positive | None = None
    lora_alpha: float | None = None

    def check(self) -> None:
        check_lora(self, self.embeddings_constraint, alpha_counts=False)

    def result_shape(self, *shapes: Shape) -> Shape:
        return (*shapes[0], self.output_dim)

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        return with_lora(self, Weight("embeddings", (self.input_dim, self.output_dim)))

    def macs(self, *shapes: Shape) -> Count:
        return lora_macs(self, (self.input_dim, self.output_dim))

    def operations(self, *shapes: Shape) -> Count:
        return lora_operations(self, (self.input_dim, self.output_dim))

    roles: ClassVar[Mapping[str, str]] = {"embeddings": "a vector for each of the integers"}

    def account(self, *shapes: Shape) -> str:
        return f"a vector of {self.output_dim} values stands in place of each integer"


class ReversibleEmbedding(Layer):
    """An embedding that calls with `reverse=true` undo: scores for `input_dim` integers (Press and Wolf, 2017).

    Its vectors serve both ways, unless `tie_weights` is false.
    """

    options: ClassVar[Mapping[str, OptionKind]] = {"reverse": "flag"}
    call_arguments = ("inputs", "reverse")
    intake: ClassVar[Intake] = "numbers"

    input_dim: Positive
    output_dim: Positive
    tie_weights: bool = True
    embeddings_initializer: InitializerArgument = "uniform"
    embeddings_regularizer: RegularizerArgument = None
    embeddings_constraint: ConstraintArgument = None
    mask_zero: bool = False
    reverse_dtype: Float | None = None
    logit_soft_cap: Annotated[float, Field(gt=0)] | None = None

    def result_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        if not self.said.get("reverse"):
            return (*shape, self.output_dim)
        if not shape or shape[-1] not in (None, self.output_dim):
            message = f"ReversibleEmbedding takes vectors of {self.output_dim} values with reverse=true"
            raise Misuse(f"{message}, not a tensor of shape {show(shape)}", argument="reverse")
        return (*shape[:-1], self.input_dim)

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        back = () if self.tie_weights else (Weight("reverse_embeddings", (self.output_dim, self.input_dim)),)
        return (Weight("embeddings", (self.input_dim, self.output_dim)), *back)

    def macs(self, *shapes: Shape) -> Count:
        return product(*shapes[0][:-1], self.output_dim, self.input_dim) if self.said.get("reverse") else Count()

    def operations(self, *shapes: Shape) -> Count:
        capped = self.said.get("reverse") and self.logit_soft_cap
        return 3 * product(*self.result_shape(*shapes)) if capped else Count()  # a quotient, a tanh, a product

    roles: ClassVar[Mapping[str, str]] = {
        "embeddings": "a vector for each of the integers",
        "reverse_embeddings": "a factor for each value of a vector and each of the integers",
    }
    work = "each value of a vector, with each of the integers"

    def account(self, *shapes: Shape) -> str:
        if self.said.get("reverse"):
            return f"a score for each of {self.input_dim} integers stands in place of each vector"
        return f"a vector of {self.output_dim} values stands in place of each integer"


class Masking(Layer):
    """The tensor with a mask that later layers skip: steps whose every value is `mask_value`."""

    intake = "plain"
    keeps_dtype = True
    makes_mask = True

    mask_value: float = 0.0

    def operations(self, *shapes: Shape) -> Count:
        return product(*shapes[0])

    def reach(self, *shapes: Shape) -> Reach | None:
        return POINTWISE


Factors = float | Annotated[tuple[float, ...], BeforeValidator(as_tuple)]


class Rescaling(Layer):
    """x·scale + offset, with one number for all, or one for each size of the last axis."""

    family = "preprocessing"
    call_training = True
    intake = "numbers"

    scale: Factors
    offset: Factors = 0.0

    def operations(self, *shapes: Shape) -> Count:
        return 2 * product(*shapes[0])

    def kept(self, *shapes: Shape) -> Kept:
        return NOTHING_KEPT

    def reach(self, *shapes: Shape) -> Reach | None:
        return POINTWISE

    def result_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        for name, value in (("scale", self.scale), ("offset", self.offset)):
            if isinstance(value, tuple) and (not shape or len(value) not in (1, shape[-1] or len(value))):
                raise Misuse(
                    f"Rescaling has {len(value)} values of {name} for the last axis of {show(shape)}", argument=name
                )
        return shape
