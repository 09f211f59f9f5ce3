"""Words and numbers as places in a vocabulary that stands in the text; texts as sequences of them.

They run on TensorFlow alone. A look-up, a sum or a weight counts one operation for each value; work on characters
counts none.
"""

import codecs
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from specdsl.counts import Count, Size, product
from specdsl.declaration import Misuse, text
from specdsl.layers.categories import Categorical
from specdsl.layers.shapes import Shape, show
from specdsl.layers.values import NonNegative, Positive, Salt, as_tuple

OutputMode = Literal["int", "one_hot", "multi_hot", "count", "tf_idf", "binary", "tf-idf"]
_Limit = Annotated[int, Field(ge=2)] | None


def _written(value: Any) -> Any:
    """A vocabulary as a tuple.

    Raises:
        Misuse: it is a file.
    """
    if isinstance(value, str):
        message = f"a vocabulary stands in the text, not in a file such as {text(value)}"
        raise Misuse(message, help='for example vocabulary=["red", "green"]; `let` gives it a name')
    return as_tuple(value)


def _known_encoding(value: str) -> str:
    try:
        codecs.lookup(value)
    except LookupError:
        message = f"there is no encoding {text(value)}"
        raise Misuse(message, help='most texts are in "utf-8"') from None
    return value


Encoding = Annotated[str, AfterValidator(_known_encoding)]
Words = Annotated[tuple[str, ...] | None, BeforeValidator(_written)]
Numbers = Annotated[tuple[int, ...] | None, BeforeValidator(_written)]
Weights = Annotated[tuple[float, ...], BeforeValidator(as_tuple)] | None


class _Vocabulary(Categorical):
    """A layer with a vocabulary."""

    def tokens(
        self, vocabulary: Sequence[Any] | None, reserved: Sequence[Any], mask: Any, oov: Any, limit: int | None
    ) -> int:
        """How many places the vocabulary has, those that are reserved included.

        Args:
            vocabulary: the words or numbers; those reserved may stand at its head.
            reserved: what the first places are for.
            mask: what stands for nothing, None where nothing does.
            oov: what stands for all that is unknown, where it cannot be a word itself.
            limit: how many places there may be.

        Raises:
            Misuse: there is none, or it names something twice, or it is too large.
        """
        vocabulary = vocabulary or ()
        own = vocabulary[len(reserved) :] if list(vocabulary[: len(reserved)]) == list(reserved) else vocabulary
        if not own:
            message = f"{type(self).__name__} needs a vocabulary: a text has no data to find one in"
            raise Misuse(message, argument="vocabulary")
        seen: set[Any] = set()
        for item in own:
            if item in seen:
                raise Misuse(f"{text(item)} stands twice in the vocabulary", argument="vocabulary")
            seen.add(item)
        for item in (mask, oov):
            if item is not None and item in seen:
                message = f"{text(item)} has a place of its own before the vocabulary"
                raise Misuse(message, argument="vocabulary", help="leave it out")
        size = len(reserved) + len(own)
        if limit is not None and size > limit:
            message = f"the vocabulary takes {size} places, and max_tokens allows {limit}"
            raise Misuse(message, argument="max_tokens")
        return size

    def check_weights(self, weights: Sequence[float] | None, vocabulary: Sequence[Any] | None, mode: str) -> None:
        """Check that there is a weight for each word where words are weighed.

        Raises:
            Misuse: there are too few, too many, or none.
        """
        weighed = mode in ("tf_idf", "tf-idf")
        if weights is not None and not weighed:
            raise Misuse('idf_weights are for output_mode="tf_idf"', argument="idf_weights")
        if weighed and weights is None:
            raise Misuse(f'{type(self).__name__} needs idf_weights for output_mode="{mode}"', argument="output_mode")
        if weights is not None and len(weights) != len(vocabulary or ()):
            message = f"there are {len(weights)} idf_weights for {len(vocabulary or ())} in the vocabulary"
            raise Misuse(message, argument="idf_weights", help="a weight for each, in the same order")

    def counted_dtype(self, mode: str) -> str:
        """The type of places and counts: integers, whatever Keras infers for vectors; weights of words are floats."""
        return self.policy.compute if mode in ("tf_idf", "tf-idf") else "int64"

    def looked_up(self, values: Count, mode: str, depth: Size) -> Count:
        """One operation to look up each value, one to sum it, and one to weigh each place of the vector."""
        work = values + (values if mode in self.sums else Count())
        return work + product(depth) if mode in ("tf_idf", "tf-idf") else work


class _Lookup(_Vocabulary):
    """A look-up of each value in a vocabulary, or with `invert` of each place in it."""

    max_tokens: _Limit = None
    num_oov_indices: NonNegative = 1
    trainable: Literal[True] = True
    dtype: None = None

    if TYPE_CHECKING:  # arguments of both, which each declares at the place that Keras has them at
        mask_token: Any
        oov_token: Any
        vocabulary: Sequence[Any] | None
        idf_weights: tuple[float, ...] | None
        invert: bool
        output_mode: str
        sparse: bool
        pad_to_max_tokens: bool

    def check(self) -> None:
        if self.invert and self.output_mode != "int":
            raise Misuse(f'{type(self).__name__} inverts integers alone, output_mode="int"', argument="output_mode")
        if self.invert and self.oov_token is None:
            message = f"{type(self).__name__} needs an oov_token for places that are none in the vocabulary"
            raise Misuse(message, argument="oov_token")
        _limited(self.pad_to_max_tokens, self.max_tokens)
        self.refuse_sparse(self.sparse, self.output_mode)
        self.check_weights(self.idf_weights, self.vocabulary, self.output_mode)
        self.places()

    def places(self) -> int:
        """How many places the vocabulary has.

        Raises:
            Misuse: there is no legal vocabulary.
        """
        masks = [self.mask_token] if self.mask_token is not None and self.output_mode == "int" else []
        reserved = [*masks, *[self.oov_token] * self.num_oov_indices]
        unknown = self.oov_token if self.invert else None
        return self.tokens(self.vocabulary, reserved, self.mask_token, unknown, self.max_tokens)

    @property
    def depth_of_vectors(self) -> Size:
        """How long a vector is in which each place of the vocabulary has one."""
        return self.max_tokens if self.pad_to_max_tokens else self.places()

    def result_shape(self, *shapes: Shape) -> Shape:
        return self.encoded(shapes[0], self.output_mode, self.depth_of_vectors)

    def result_dtype(self, *dtypes: str) -> str:
        return self.counted_dtype(self.output_mode)

    def operations(self, *shapes: Shape) -> Count:
        return self.looked_up(product(*shapes[0]), self.output_mode, self.depth_of_vectors)


class IntegerLookup(_Lookup):
    """Integers as their places in a vocabulary, or as vectors with a place for each.

    Those that are unknown share the first places; with `mask_token` the very first is for that. It runs on TensorFlow
    alone.
    """

    taken = ("integers",)
    implied: ClassVar[Mapping[str, Any]] = {"vocabulary_size": None}

    mask_token: int | None = None
    oov_token: int | None = -1
    vocabulary: Numbers = None
    vocabulary_dtype: Literal["int64"] = "int64"
    idf_weights: Weights = None
    invert: bool = False
    output_mode: OutputMode = "int"
    sparse: bool = False
    pad_to_max_tokens: bool = False
    oov_method: Literal["floormod", "farmhash"] = "floormod"
    salt: Salt = None

    def check(self) -> None:
        super().check()
        if self.salt is not None and self.oov_method != "farmhash":
            raise Misuse('IntegerLookup salts a hash, oov_method="farmhash"', argument="salt")


class StringLookup(_Lookup):
    """Words as their places in a vocabulary, or as vectors with a place for each.

    Those that are unknown share the first places; with `mask_token` the very first is for that. It runs on TensorFlow
    alone.
    """

    taken = ("strings",)
    implied: ClassVar[Mapping[str, Any]] = {"vocabulary_size": None, "oov_method": "floormod"}

    mask_token: str | None = None
    oov_token: str | None = "[UNK]"
    vocabulary: Words = None
    idf_weights: Weights = None
    invert: bool = False
    output_mode: OutputMode = "int"
    pad_to_max_tokens: bool = False
    sparse: bool = False
    encoding: Encoding = "utf-8"
    salt: Salt = None

    @property
    def takes(self) -> tuple[str, ...]:
        """Words, or with `invert` their places."""
        return ("integers",) if self.invert else ("strings",)

    def result_dtype(self, *dtypes: str) -> str:
        return "string" if self.invert else super().result_dtype(*dtypes)


def _some(value: Any) -> Any:
    if value == ():
        raise Misuse("'ngrams' takes a number of words, or several")
    return value


class TextVectorization(_Vocabulary):
    """Texts as sequences of the places of their words in a vocabulary, or as vectors with a place for each word.

    Place 0 is for nothing and place 1 for words that are unknown; in a vector, place 0 is for these. How to standardize
    and to split is a word of Keras: a function cannot stand in a text. It runs on TensorFlow alone.
    """

    taken = ("strings",)
    implied: ClassVar[Mapping[str, Any]] = {"vocabulary_size": 2}

    max_tokens: _Limit = None
    standardize: Literal["lower_and_strip_punctuation", "lower", "strip_punctuation"] | None = (
        "lower_and_strip_punctuation"
    )
    split: Literal["whitespace", "character"] | None = "whitespace"
    ngrams: Annotated[
        Positive | Annotated[tuple[Positive, ...], BeforeValidator(as_tuple)] | None, AfterValidator(_some)
    ] = None
    output_mode: OutputMode = "int"
    output_sequence_length: Positive | None = None
    pad_to_max_tokens: bool = False
    vocabulary: Words = None
    idf_weights: Weights = None
    sparse: bool = False
    ragged: bool = False
    encoding: Encoding = "utf-8"
    dtype: None = None

    def check(self) -> None:
        whole = self.output_mode == "int"
        if self.output_sequence_length is not None and not whole:
            raise Misuse('output_sequence_length is for output_mode="int"', argument="output_sequence_length")
        if self.ragged and (not whole or self.output_sequence_length is not None):
            message = 'ragged sequences are as long as they are: they go with output_mode="int" and no length'
            raise Misuse(message, argument="ragged")
        _limited(self.pad_to_max_tokens, self.max_tokens)
        self.refuse_sparse(self.sparse, self.output_mode)
        if self.sparse and self.output_mode == "one_hot" and self.split is not None:
            raise Misuse("TextVectorization cannot make sparse vectors of words that it splits", argument="sparse")
        self.check_weights(self.idf_weights, self.vocabulary, self.output_mode)
        self._places()

    def _places(self) -> int:
        reserved = ["", "[UNK]"] if self.output_mode == "int" else ["[UNK]"]
        return self.tokens(self.vocabulary, reserved, "", None, self.max_tokens)

    def result_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        depth = self.max_tokens if self.pad_to_max_tokens else self._places()
        whole, single = self.output_mode == "int", self.output_mode == "one_hot"
        if self.split is not None and shape != () and not (whole and shape == (1,)):
            message = f"TextVectorization splits one text for each example, not a tensor of shape {show(shape)}"
            raise Misuse(message, help="`input text: () string` is one text for each example")
        if self.split is None and len(shape) != 1 and not (single and shape == ()):
            message = f"TextVectorization takes words of shape (words,) where it does not split, not {show(shape)}"
            raise Misuse(message, argument="split")
        if self.split is None and single and self.ngrams is not None:
            message = 'TextVectorization makes more than a vector for each word with ngrams and output_mode="one_hot"'
            raise Misuse(message, argument="ngrams")
        if whole:
            return (self.output_sequence_length,)
        if self.split is None:
            return self.encoded(shape, self.output_mode, depth)
        return (None, depth) if single else (depth,)

    def result_dtype(self, *dtypes: str) -> str:
        return self.counted_dtype(self.output_mode)

    def operations(self, *shapes: Shape) -> Count:
        depth = self.max_tokens if self.pad_to_max_tokens else self._places()
        counted = self.split is None and self.ngrams is None
        words = product(*shapes[0]) if counted else product(self.output_sequence_length)
        return self.looked_up(words, self.output_mode, depth)


def _limited(pads: bool, limit: int | None) -> None:
    if pads and limit is None:
        raise Misuse("pad_to_max_tokens needs max_tokens to pad to", argument="pad_to_max_tokens")
