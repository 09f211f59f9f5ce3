"""Attention: what of a sequence each step of another looks at, learned or by similarity.

Multiply-accumulates count the projections, the products of every query with every key, and the weighted sums of values.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator

from specdsl.counts import Count, Size, product
from specdsl.declaration import Misuse
from specdsl.layers.arguments import ConstraintArgument, InitializerArgument, RegularizerArgument
from specdsl.layers.base import Layer, Modes, OptionKind, Shape, Weight, axis_index, known, show
from specdsl.layers.values import Axes, Fraction, Positive, Seed, one_or_more

OutputShape = Annotated[tuple[Positive, ...], BeforeValidator(one_or_more)] | None


class _Attention(Layer):
    """A layer that takes a query, a value, and perhaps a key, which is the value where it is not given."""

    family = "attention"
    arity: ClassVar[tuple[int, int | None]] = (2, 3)

    if TYPE_CHECKING:  # an argument of all that are below, which each declares at the place that Keras has it at
        dropout: float

    def modes(self) -> Modes | None:
        if not self.dropout:
            return None
        return Modes(f"drops each attention weight with probability {self.dropout:.4g}", "drops nothing")


def _places(shape: Shape) -> tuple[Size, ...]:
    return shape[:-1]


class MultiHeadAttention(_Attention):
    """Several attentions side by side, each with projections of its own (Vaswani et al., 2017).

    A single tensor that enters attends to itself.
    """

    arity = (1, 3)
    apart = True
    repeats = True
    options: ClassVar[Mapping[str, OptionKind]] = {
        "attention_mask": "tensor",
        "training": "flag",
        "use_causal_mask": "flag",
    }

    num_heads: Positive
    key_dim: Positive
    value_dim: Positive | None = None
    dropout: Fraction = 0.0
    use_bias: bool = True
    output_shape: OutputShape = None
    attention_axes: Axes | None = None
    sliding_window: Positive | None = None
    flash_attention: bool | None = None
    kernel_initializer: InitializerArgument = "glorot_uniform"
    bias_initializer: InitializerArgument = "zeros"
    kernel_regularizer: RegularizerArgument = None
    bias_regularizer: RegularizerArgument = None
    activity_regularizer: RegularizerArgument = None
    kernel_constraint: ConstraintArgument = None
    bias_constraint: ConstraintArgument = None
    use_gate: bool = False
    seed: Seed = None

    def check(self) -> None:
        if self.flash_attention and self.dropout:
            raise Misuse("flash attention cannot drop attention weights", argument="dropout")
        if not self.trainable:
            message = "Keras does not freeze the projections in a MultiHeadAttention with trainable=false"
            raise Misuse(
                message, argument="trainable", help="a model that holds it can be frozen: `m(trainable=false)`"
            )
        for name in ("kernel_initializer", "bias_initializer"):
            if getattr(self, name) is None:
                raise Misuse(f"MultiHeadAttention needs a {name}: none is no initializer here", argument=name)

    def result_shape(self, *shapes: Shape) -> Shape:
        query, value, key = self._operands(*shapes)
        if value[:-1] != key[:-1]:
            raise Misuse(
                f"MultiHeadAttention takes a value and a key of as many steps, not of {show(value)} and {show(key)}"
            )
        axes = self._axes(query)
        if self.sliding_window and len(query) > 2:
            message = f"a sliding window lies over the steps of a sequence, not over a tensor of shape {show(query)}"
            raise Misuse(message, argument="sliding_window")
        for place, (a, b) in enumerate(zip(query[:-1], value[:-1], strict=True), start=1):
            if place not in axes and None not in (a, b) and a != b:
                raise Misuse(
                    f"MultiHeadAttention takes a query and a value that agree along axis {place}, "
                    f"not {show(query)} and {show(value)}"
                )
        return (*query[:-1], *self.output_shape) if self.output_shape else query

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        query, value, key = self._operands(*shapes)
        heads, wide, deep = self.num_heads, self.key_dim, self.value_dim or self.key_dim
        parts = [("query", query, wide), ("key", key, wide)]
        parts += [("gate", query, deep)] if self.use_gate else []
        parts += [("value", value, deep)]
        weights: list[Weight] = []
        for name, shape, size in parts:
            features = known(shape[-1], self, f"the size of the last axis of the {name}")
            weights += self._pair(name, (features, heads, size), (heads, size))
        output = self.output_shape or (known(query[-1], self, "the size of the last axis"),)
        return (*weights, *self._pair("attention_output", (heads, deep, *output), output))

    def macs(self, *shapes: Shape) -> Count:
        query, value, key = self._operands(*shapes)
        heads, wide, deep = self.num_heads, self.key_dim, self.value_dim or self.key_dim
        axes = self._axes(query)
        pairs = (*_places(query), *(size for place, size in enumerate(_places(key), start=1) if place in axes))
        output = self.output_shape or (query[-1],)
        work = product(*query, heads, wide) + product(*key, heads, wide) + product(*value, heads, deep)
        work += product(*query, heads, deep) if self.use_gate else Count()
        work += product(*pairs, heads, wide) + product(*pairs, heads, deep)
        return work + product(*_places(query), heads, deep, *output)

    def operations(self, *shapes: Shape) -> Count:
        query, value, key = self._operands(*shapes)
        heads, wide, deep = self.num_heads, self.key_dim, self.value_dim or self.key_dim
        axes = self._axes(query)
        scores = (*_places(query), *(size for place, size in enumerate(_places(key), start=1) if place in axes), heads)
        work = product(*_places(query), heads, wide) + 3 * product(*scores)  # the queries are scaled, then a softmax
        if self.use_bias:
            work += product(*_places(query), heads, wide) + product(*_places(key), heads, wide)
            work += product(*_places(value), heads, deep) + product(*self.result_shape(*shapes))
        if self.use_gate:
            work += (2 + int(self.use_bias)) * product(*_places(query), heads, deep)
        return work

    def check_option(self, name: str, given: tuple[Shape, ...], *shapes: Shape) -> None:
        query, value, _ = self._operands(*shapes)
        wanted = (*_places(query), *_places(value))
        (mask,) = given
        full = mask if len(mask) > len(wanted) else (1, *mask)
        if len(full) == len(wanted) + 1 and all(
            None in pair or 1 in pair[:1] or pair[0] == pair[1]
            for pair in zip(full, (self.num_heads, *wanted), strict=True)
        ):
            return
        raise Misuse(
            f"'{name}' of {type(self).__name__} takes a tensor of shape {show(wanted)}, a size of 1 for all alike, "
            f"perhaps with {self.num_heads} heads before, not {show(mask)}",
            argument=name,
        )

    def _operands(self, *shapes: Shape) -> tuple[Shape, Shape, Shape]:
        query, value = shapes[0], shapes[1] if len(shapes) > 1 else shapes[0]
        key = shapes[2] if len(shapes) > 2 else value
        for name, shape in (("query", query), ("value", value), ("key", key)):
            if len(shape) < 2:
                raise Misuse(f"MultiHeadAttention takes a {name} of shape (steps, features), not {show(shape)}")
        if len(value) != len(query):
            raise Misuse(
                f"MultiHeadAttention takes a query and a value with as many axes, not {show(query)} and {show(value)}"
            )
        return query, value, key

    def _axes(self, query: Shape) -> tuple[int, ...]:
        """The axes along which steps look at one another, all but the last where none are named."""
        if self.attention_axes is None:
            return tuple(range(1, len(query)))
        named = (self.attention_axes,) if isinstance(self.attention_axes, int) else self.attention_axes
        axes = tuple(axis_index(axis, query, self, "attention_axes") for axis in named)
        if not axes or len(set(axes)) < len(axes) or 0 in axes or len(query) in axes:
            raise Misuse(
                f"MultiHeadAttention attends along axes 1 to {len(query) - 1} of {show(query)}, each named once, "
                f"not along {show(named)}",
                argument="attention_axes",
            )
        return axes

    def _pair(self, name: str, kernel: tuple[int, ...], bias: tuple[int, ...]) -> list[Weight]:
        weights = [Weight(f"{name}/kernel", kernel, role="kernel")]
        return [*weights, Weight(f"{name}/bias", bias, role="bias")] if self.use_bias else weights


class _SimpleAttention(_Attention):
    """Attention without projections, over sequences."""

    options: ClassVar[Mapping[str, OptionKind]] = {"training": "flag", "use_causal_mask": "flag"}

    def result_shape(self, *shapes: Shape) -> Shape:
        query, value, _ = self._operands(*shapes)
        return (*query[:-1], value[-1])

    def macs(self, *shapes: Shape) -> Count:
        query, value, key = self._operands(*shapes)
        scores = product(*query, key[-2]) if self._multiplies() else Count()
        return scores + product(*query[:-1], *value[-2:])

    def operations(self, *shapes: Shape) -> Count:
        query, _, key = self._operands(*shapes)
        scores = (*query[:-1], key[-2])
        softmax = 3 * product(*scores)
        return softmax + 3 * product(*scores, query[-1]) if self.sums else softmax

    @property
    def sums(self) -> bool:
        """Whether a score is a sum of tanh(query + key): for each feature two additions and a function."""
        raise NotImplementedError

    def _multiplies(self) -> bool:
        """Whether a score takes a multiplication for each feature."""
        raise NotImplementedError

    def _operands(self, *shapes: Shape) -> tuple[Shape, Shape, Shape]:
        query, value = shapes[0], shapes[1]
        key = shapes[2] if len(shapes) > 2 else value
        kind = type(self).__name__
        if any(len(shape) != 2 for shape in (query, value, key)):
            raise Misuse(f"{kind} takes tensors of shape (steps, features), not {', '.join(map(show, shapes))}")
        if None not in (query[-1], key[-1]) and query[-1] != key[-1]:
            raise Misuse(f"{kind} takes a query and a key with as many features, not {show(query)} and {show(key)}")
        if None not in (value[0], key[0]) and value[0] != key[0]:
            raise Misuse(f"{kind} takes a value and a key of as many steps, not of {show(value)} and {show(key)}")
        return query, value, key


class Attention(_SimpleAttention):
    """The values weighted by how well the query agrees with each key, without projections (Luong et al., 2015)."""

    use_scale: bool = False
    score_mode: Literal["dot", "concat"] = "dot"
    dropout: Fraction = 0.0
    seed: Seed = None

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        scale = (Weight("scale", ()),) if self.use_scale else ()
        return (*scale, *((Weight("concat_score_weight", ()),) if self.score_mode == "concat" else ()))

    @property
    def sums(self) -> bool:
        """Whether the scores are sums."""
        return self.score_mode == "concat"

    def _multiplies(self) -> bool:
        return self.score_mode == "dot" or self.use_scale


class AdditiveAttention(_SimpleAttention):
    """The values weighted by a learned sum over tanh(query + key) (Bahdanau et al., 2015)."""

    use_scale: bool = True
    dropout: Fraction = 0.0

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        if not self.use_scale:
            return ()
        return (Weight("scale", (known(shapes[0][-1], self, "the number of features"),)),)

    @property
    def sums(self) -> bool:
        """Whether the scores are sums."""
        return True

    def _multiplies(self) -> bool:
        return self.use_scale
