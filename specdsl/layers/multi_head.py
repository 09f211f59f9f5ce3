"""Attention by several heads, each with learned projections of its own.

Multiply-accumulates count the projections, the products of every query with every key, and the weighted sums of values.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

from pydantic import BeforeValidator

from specdsl.counts import Count, Size, product
from specdsl.declaration import Misuse
from specdsl.layers.activation_functions import softmax_work
from specdsl.layers.arguments import ConstraintArgument, InitializerArgument, RegularizerArgument
from specdsl.layers.attention import AttentionLayer
from specdsl.layers.facts import Kept, OptionKind, Weight
from specdsl.layers.shapes import Shape, axis_index, check_given, known, show
from specdsl.layers.values import Axes, Fraction, Positive, Seed, one_or_more

OutputShape = Annotated[tuple[Positive, ...], BeforeValidator(one_or_more)] | None


class _Heads(NamedTuple):
    """How many heads the query has, and how many key and value; the sizes that query and key, and value, project to."""

    query: int
    key: int
    wide: int
    deep: int


def _places(shape: Shape) -> tuple[Size, ...]:
    return shape[:-1]


class _Projected(AttentionLayer):
    """Several attentions side by side, each with projections of its own.

    A query head looks by one of the key heads; there are as many of these, or fewer that several share. A single tensor
    that enters attends to itself.
    """

    arity = (1, 3)
    apart = True
    repeats = True
    call_arguments = (
        "query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask", "return_attention_scores",
        "training", "use_causal_mask",
    )  # fmt: skip
    call_training = None
    options: ClassVar[Mapping[str, OptionKind]] = {
        "query_mask": "tensor",
        "value_mask": "tensor",
        "key_mask": "tensor",
        "attention_mask": "tensor",
        "return_attention_scores": "flag",
        "training": "flag",
        "use_causal_mask": "flag",
    }

    if TYPE_CHECKING:  # arguments of both that are below
        use_bias: bool
        use_gate: bool
        sliding_window: int | None
        flash_attention: bool | None

    @property
    def heads(self) -> _Heads:
        """How many heads there are, and what they project to."""
        raise NotImplementedError

    def check(self) -> None:
        if self.flash_attention and self.dropout:
            raise Misuse("flash attention cannot drop attention weights", argument="dropout")
        if not self.trainable:
            message = f"Keras does not freeze the projections in a {type(self).__name__} with trainable=false"
            raise Misuse(
                message, argument="trainable", help="a model that holds it can be frozen: `m(trainable=false)`"
            )
        for name in ("kernel_initializer", "bias_initializer"):
            if getattr(self, name) is None:
                raise Misuse(f"{type(self).__name__} needs a {name}: none is no initializer here", argument=name)

    def result_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        leaving = self.result_shape(*shapes)
        if not self.said.get("return_attention_scores"):
            return (leaving,)
        if self.flash_attention:
            raise Misuse("flash attention has no attention scores to return", argument="flash_attention")
        return (leaving, self._scores(*shapes))

    roles: ClassVar[Mapping[str, str]] = {
        "query/kernel": "the factors that project the query to its heads",
        "query/bias": "a summand for each value of the projected query",
        "key/kernel": "the factors that project the key to its heads",
        "key/bias": "a summand for each value of the projected key",
        "value/kernel": "the factors that project the value to its heads",
        "value/bias": "a summand for each value of the projected value",
        "gate/kernel": "the factors that make of the query a gate for each head",
        "gate/bias": "a summand for each value of the gates",
        "attention_output/kernel": "the factors that join what the heads have found",
        "attention_output/bias": "a summand for each value that leaves",
    }
    work = "the projections, each query with each key, the values weighted by these, and the joining of the heads"

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        query, value, key = self._operands(*shapes)
        heads, shared, wide, deep = self.heads
        parts = [("query", query, heads, wide), ("key", key, shared, wide)]
        parts += [("gate", query, heads, deep)] if self.use_gate else []
        parts += [("value", value, shared, deep)]
        weights: list[Weight] = []
        for name, shape, number, size in parts:
            features = known(shape[-1], self, f"the size of the last axis of the {name}")
            weights += self._pair(name, (features, number, size), (number, size))
        output = tuple(known(size, self, "the size of the last axis") for size in self._output(query))
        return (*weights, *self._pair("attention_output", (heads, deep, *output), output))

    def macs(self, *shapes: Shape) -> Count:
        query, value, key = self._operands(*shapes)
        heads, shared, wide, deep = self.heads
        pairs = self._pairs(query, key)
        work = product(*query, heads, wide) + product(*key, shared, wide) + product(*value, shared, deep)
        work += product(*query, heads, deep) if self.use_gate else Count()
        work += product(*pairs, heads, wide) + product(*pairs, heads, deep)
        return work + product(*_places(query), heads, deep, *self._output(query))

    def operations(self, *shapes: Shape) -> Count:
        query, value, key = self._operands(*shapes)
        heads, shared, wide, deep = self.heads
        work = product(*_places(query), heads, wide)  # the queries are scaled
        work += softmax_work((*self._pairs(query, key), heads), (*_places(query), heads))
        if self.use_bias:
            work += product(*_places(query), heads, wide) + product(*_places(key), shared, wide)
            work += product(*_places(value), shared, deep) + product(*self.result_shape(*shapes))
        if self.use_gate:
            work += (2 + int(self.use_bias)) * product(*_places(query), heads, deep)
        return work

    def kept(self, *shapes: Shape) -> Kept:
        """What enters, its projections, how much each query looks at each key, and what the heads find."""
        query, value, key = self._operands(*shapes)
        heads, shared, wide, deep = self.heads
        scores = product(*self._pairs(query, key), heads)
        more = product(*_places(query), heads, wide) + product(*_places(key), shared, wide)
        more += product(*_places(value), shared, deep) + product(*_places(query), heads, deep) + scores
        more += product(*_places(query), heads, deep) if self.use_gate else Count()
        return Kept(inputs=True, more=more + (scores if self.dropout else Count()))

    def check_option(self, name: str, given: tuple[Shape | None, ...], *shapes: Shape) -> None:
        query, value, _ = self._operands(*shapes)
        (mask,) = given
        assert mask is not None, "this option is a tensor"
        if name != "attention_mask":
            if len(query) > 2:
                message = f"'{name}' is for a sequence of shape (steps, features), not for {show(query)}"
                raise Misuse(message, argument=name, help="say it with attention_mask")
            check_given(self, name, given, (query[:1] if name == "query_mask" else value[:1],))
            return
        wanted = (*_places(query), *_places(value))
        heads = self.heads.query
        full = mask if len(mask) > len(wanted) else (1, *mask)
        if len(full) == len(wanted) + 1 and all(
            None in pair or 1 in pair[:1] or pair[0] == pair[1] for pair in zip(full, (heads, *wanted), strict=True)
        ):
            other = [option for option in ("query_mask", "value_mask", "key_mask") if option in self.said]
            if other and len(mask) > len(wanted):
                message = f"'{name}' of {type(self).__name__} cannot speak of each head beside {' and '.join(other)}"
                raise Misuse(message, argument=name)
            return
        raise Misuse(
            f"'{name}' of {type(self).__name__} takes a tensor of shape {show(wanted)}, a size of 1 for all alike, "
            f"perhaps with {heads} heads before, not {show(mask)}",
            argument=name,
        )

    def _operands(self, *shapes: Shape) -> tuple[Shape, Shape, Shape]:
        query, value = shapes[0], shapes[1] if len(shapes) > 1 else shapes[0]
        key = shapes[2] if len(shapes) > 2 else value
        for name, shape in (("query", query), ("value", value), ("key", key)):
            if len(shape) < 2:
                message = f"{type(self).__name__} takes a {name} of shape (steps, features), not {show(shape)}"
                raise Misuse(message)
        if len(value) != len(query):
            raise Misuse(
                f"{type(self).__name__} takes a query and a value with as many axes, "
                f"not {show(query)} and {show(value)}"
            )
        return query, value, key

    def _check_steps(self, value: Shape, key: Shape) -> None:
        if value[:-1] != key[:-1]:
            message = f"{type(self).__name__} takes a value and a key of as many steps"
            raise Misuse(f"{message}, not of {show(value)} and {show(key)}")

    def _output(self, query: Shape) -> Shape:
        """The sizes that leave in place of the last axis."""
        return query[-1:]

    def _pairs(self, query: Shape, key: Shape) -> Shape:
        """The places of the query, and with each of them those that it looks at."""
        return (query[0], key[0])

    def _scores(self, *shapes: Shape) -> Shape:
        query, _, key = self._operands(*shapes)
        return (self.heads.query, *self._pairs(query, key))

    def _pair(self, name: str, kernel: Shape, bias: Shape) -> list[Weight]:
        weights = [Weight(f"{name}/kernel", kernel, role="kernel")]
        return [*weights, Weight(f"{name}/bias", bias, role="bias")] if self.use_bias else weights


class MultiHeadAttention(_Projected):
    """Several attentions side by side, each with projections of its own (Vaswani et al., 2017).

    A single tensor that enters attends to itself.
    """

    # Keras has an option `query_mask` too, and goes by the mask that the query itself carries.
    options: ClassVar[Mapping[str, OptionKind]] = {
        name: kind for name, kind in _Projected.options.items() if name != "query_mask"
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

    @property
    def heads(self) -> _Heads:
        """As many heads of the key as of the query."""
        return _Heads(self.num_heads, self.num_heads, self.key_dim, self.value_dim or self.key_dim)

    def result_shape(self, *shapes: Shape) -> Shape:
        query, value, key = self._operands(*shapes)
        self._check_steps(value, key)
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
        return (*query[:-1], *self._output(query))

    def _output(self, query: Shape) -> Shape:
        return self.output_shape or query[-1:]

    def _pairs(self, query: Shape, key: Shape) -> Shape:
        axes = self._axes(query)
        return (*_places(query), *(size for place, size in enumerate(_places(key), start=1) if place in axes))

    def _scores(self, *shapes: Shape) -> Shape:
        query, _, key = self._operands(*shapes)
        if len(query) > 2 or query[0] != key[0]:
            raise Misuse(
                "MultiHeadAttention returns its scores only for sequences of as many steps, where Keras knows their "
                f"shape, not for a query of shape {show(query)} and a key of shape {show(key)}",
                argument="return_attention_scores",
            )
        return super()._scores(*shapes)

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


class GroupedQueryAttention(_Projected):
    """Several attentions side by side, of which groups share the projections of key and value (Ainslie et al., 2023).

    A single tensor that enters attends to itself.
    """

    aliases = ("GroupQueryAttention",)
    exported = "GroupQueryAttention"

    head_dim: Positive
    num_query_heads: Positive
    num_key_value_heads: Positive
    dropout: Fraction = 0.0
    use_bias: bool = True
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
        super().check()
        if self.num_query_heads % self.num_key_value_heads:
            raise Misuse(
                f"GroupedQueryAttention cannot share {self.num_key_value_heads} heads of key and value "
                f"equally among {self.num_query_heads} heads of the query",
                argument="num_key_value_heads",
            )

    @property
    def heads(self) -> _Heads:
        """Fewer heads of the key, or as many as of the query."""
        return _Heads(self.num_query_heads, self.num_key_value_heads, self.head_dim, self.head_dim)

    def result_shape(self, *shapes: Shape) -> Shape:
        query, value, key = self._operands(*shapes)
        for name, shape in (("query", query), ("value", value), ("key", key)):
            if len(shape) != 2:
                raise Misuse(f"GroupedQueryAttention takes a {name} of shape (steps, features), not {show(shape)}")
        if query[-1] != value[-1]:
            message = "GroupedQueryAttention takes a query and a value with as many features"
            raise Misuse(f"{message}, not {show(query)} and {show(value)}")
        self._check_steps(value, key)
        return query
