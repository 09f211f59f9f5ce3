"""Attention: what of a sequence each step of another looks at, by similarity, without projections.

Multiply-accumulates count the products of every query with every key, and the weighted sums of values.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from specdsl.counts import Count, Size, product
from specdsl.declaration import Misuse
from specdsl.layers.activation_functions import softmax_work
from specdsl.layers.base import Layer
from specdsl.layers.facts import Kept, Modes, OptionKind, Weight
from specdsl.layers.shapes import Shape, check_given, known, show
from specdsl.layers.values import Fraction, Seed


class AttentionLayer(Layer):
    """A layer that takes a query, a value, and perhaps a key, which is the value where it is not given."""

    abstract = True
    family = "attention"
    arity: ClassVar[tuple[int, int | None]] = (2, 3)

    if TYPE_CHECKING:  # an argument of all that are below, which each declares at the place that Keras has it at
        dropout: float

    def modes(self) -> Modes | None:
        if not self.dropout:
            return None
        return Modes(f"drops each attention weight with probability {self.dropout:.4g}", "drops nothing")


class _SimpleAttention(AttentionLayer):
    """Attention without projections, over sequences."""

    call_arguments = ("inputs", "mask", "training", "return_attention_scores", "use_causal_mask")
    options: ClassVar[Mapping[str, OptionKind]] = {
        "mask": "masks",
        "training": "flag",
        "return_attention_scores": "flag",
        "use_causal_mask": "flag",
    }

    def result_shapes(self, *shapes: Shape) -> tuple[Shape, ...]:
        query, value, key = self._operands(*shapes)
        leaving = (*query[:-1], value[-1])
        return (leaving, (query[0], key[0])) if self.said.get("return_attention_scores") else (leaving,)

    def check_option(self, name: str, given: tuple[Shape | None, ...], *shapes: Shape) -> None:
        query, value, key = self._operands(*shapes)
        if len(given) not in (2, 3):
            message = f"'{name}' of {type(self).__name__} takes a list of two masks, of query and value, or of three"
            hint = "`none` stands for a mask that there is not: `mask=[none, m]`"
            raise Misuse(f"{message}, not of {len(given)}", argument=name, help=hint)
        check_given(self, name, given, (query[:1], value[:1], key[:1])[: len(given)])

    roles: ClassVar[Mapping[str, str]] = {
        "scale": "a factor of all scores",
        "concat_score_weight": "a factor of all scores",
    }
    work = "the score of each query with each key, and the values weighted by them"

    def account(self, *shapes: Shape) -> str:
        return "a sum of the values for each step of the query"

    def macs(self, *shapes: Shape) -> Count:
        query, value, key = self._operands(*shapes)
        scores = product(*query, key[-2]) if self._multiplies() else Count()
        return scores + product(*query[:-1], *value[-2:])

    def operations(self, *shapes: Shape) -> Count:
        query, _, key = self._operands(*shapes)
        scores = (*query[:-1], key[-2])
        return softmax_work(scores, query[:-1]) + self._score_work(scores, query[-1])

    def kept(self, *shapes: Shape) -> Kept:
        """What enters, how much each query looks at each key, and the terms of the scores where these are sums."""
        query, _, key = self._operands(*shapes)
        scores = (*query[:-1], key[-2])
        more = product(*scores, query[-1]) if self.sums else Count()
        return Kept(inputs=True, more=more + (1 + bool(self.dropout)) * product(*scores))

    @property
    def sums(self) -> bool:
        """Whether a score is a sum of tanh(query + key)."""
        raise NotImplementedError

    def _score_work(self, scores: Shape, features: Size) -> Count:
        """Operations of the scores beside the multiply-accumulates."""
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

    def _score_work(self, scores: Shape, features: Size) -> Count:
        if not self.sums:
            return product(*scores) if self.use_scale else Count()
        # For each feature a sum, perhaps a scale, and a function; these are added up, and a weight goes with the sum.
        return (3 + int(self.use_scale)) * product(*scores, features)

    def _multiplies(self) -> bool:
        return not self.sums


class AdditiveAttention(_SimpleAttention):
    """The values weighted by a learned sum over tanh(query + key) (Bahdanau et al., 2015)."""

    implied: ClassVar[Mapping[str, Any]] = {"seed": None}

    use_scale: bool = True
    dropout: Fraction = 0.0

    roles: ClassVar[Mapping[str, str]] = {"scale": "a factor for each feature of a score"}

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        if not self.use_scale:
            return ()
        return (Weight("scale", (known(shapes[0][-1], self, "the number of features"),)),)

    @property
    def sums(self) -> bool:
        """Whether the scores are sums."""
        return True

    def _score_work(self, scores: Shape, features: Size) -> Count:
        terms = 2 * product(*scores, features)
        return terms if self.use_scale else terms + product(*scores, features) + product(-1, *scores)

    def _multiplies(self) -> bool:
        return self.use_scale
