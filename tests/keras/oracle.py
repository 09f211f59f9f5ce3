"""The one place where the tests ask Keras: what does the real layer make of these arguments and these shapes?"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from pydantic import ValidationError

from specdsl.backends.keras_model import keras_layer
from specdsl.declaration import Misuse
from specdsl.layers import LAYERS, Layer, Shape
from specdsl.layers.categories import Categorical
from specdsl.layers.dtypes import FLOATS
from specdsl.layers.images import ImageLayer
from specdsl.layers.lookups import IntegerLookup, StringLookup, TextVectorization
from specdsl.layers.pipeline import Pipeline
from specdsl.layers.wrappers import TimeDistributed
from tests.keras.tally import counted
from tests.strategies import Call

STRICTER = {
    # Keras infers a shape that is wrong or has an axis of size 0; the layer then fails or misleads.
    r"the activation '(glu|threshold)'": "glu halves an axis unseen; threshold lacks its arguments",
    r"Conv\dDTranspose would make .* TensorFlow cannot": "its gradient is of another size, and the call fails",
    r"cannot spread noise of shape": "dropout fails, for other batches at least, or returns a larger tensor",
    r"Rescaling has \d+ values": "the product fails, or is larger than inferred",
    r"Dot cannot sum along axis 0": "the inferred shape is nonsense and the call fails",
    r"Dot finds no axis": "a negative axis wraps round, and the call fails",
    r"Reshape cannot make .* a multiple of": "no size of the unknown axis makes the numbers of values equal",
    r"Reshape takes positive sizes": "sizes of 0, which pass where the input has an unknown size",
    r"padding\..*greater than or equal to 0": "negative padding",
    r"Concatenate cannot join along axis 0": "the batch grows, and no shape tells",
    r"in a Pipeline Keras forgets the sizes of what a dilated": "fewer sizes are known than those of the convolution",
    # Keras looks at these only when the layer is called or trained, and then fails.
    r"OrthogonalRegularizer is for two axes": "a penalty on a tensor that is no matrix",
    r"OrthogonalRegularizer cannot weigh values of": "a product of two types of floats, which fails in training",
    r"(MaxNorm|MinMaxNorm|UnitNorm) names axis": "a norm along an axis out of range",
    r"noise_shape.*greater than 0": "AlphaDropout with noise of size 0 or less",
    r"Softmax (finds no axis|needs one axis or several)": "an axis out of range, twice or missing",
    r"(LayerNormalization|UnitNormalization) names an axis twice": "a mean over one axis twice",
    r"^Normalization names an axis twice": "weights that fit only where that axis has the size 1",
    r"(GaussianDropout|AlphaDropout) divides by 1 - rate": "a division by zero in training",
    r"strides.*greater than 0": "pooling with strides of 0, a division by zero",
    r"(Attention|AdditiveAttention) takes": "sizes that do not fit, which fail or are repeated when it is called",
    r"MultiHeadAttention (attends along axes|finds no axis)": "attention over examples or features, which misleads",
    r"MultiHeadAttention takes a (query|value)": "sizes that do not fit, which fail when it is called",
    r"dropout.*(greater than or equal to 0|less than or equal to 1)": "rates that Keras moves into their range",
    r"MultiHeadAttention returns its scores only": "Keras infers a wrong shape for the scores of other sequences",
    r"GroupedQueryAttention takes a (query|value|key)": "sizes that do not fit, which fail when it is called",
    r"'(query_mask|value_mask|key_mask|attention_mask|mask)' (of|is for)": "masks that do not fit: the call fails",
    r"num_query_heads.*greater than 0": "GroupedQueryAttention without heads",
    r"'(initial_state|states)' of": "states that do not fit: the call fails",
    r"drops by chance what enters only": "dropout of integers in a recurrent layer, which fails when it is called",
    r"Keras does not freeze the cell in a ConvLSTM": "it is trained nevertheless",
    r"(Cell takes a step|RNN takes a sequence) of shape": "states of several axes, which Keras cannot compute",
    r"Bidirectional cannot (merge|return) (outputs|states) of": "Keras infers the shapes forwards for both",
    r"Pipeline takes layers that return one tensor": "all that the last one returns leaves; behind others it fails",
    r"shares its initial states equally": "a layer gets states of the other one, and the call fails",
    r"leaves it to recurrent layers to forget": "a cell by itself drops what it dropped first; a second batch fails",
    r"a stack is made of two cells": "Keras takes the states of one cell for those of the stack; a mask fails",
    r"a stack is made of cells": "the states of a stack within a stack have shapes that Keras infers wrongly",
    r"RMSNormalization takes the last axis": "its scale is spread over the last axes, which fails or misleads",
    r"lora_alpha means nothing": "an argument that does nothing",
    r"takes lora_rank for the lora_alpha": "Keras ignores it",
    r"Keras infers one band and makes two": "the shape that it infers is not that of what it makes",
    r"lora_rank.*greater than 0": "a rank of 0, which Keras takes for none",
    r"SpectralNormalization cannot change": "the kernel is a sum, to which nothing can be assigned in training",
    r"(names the axis|no equation of|is none of what enters)": "equations that fail when the layer is called",
    r"the first axis of '.*' is the batch axis": "the batch axis in the kernel, or in another place",
    r"for which '\.\.\.' stands in": "Keras infers sizes in the wrong order",
    r"output_shape of EinsumDense is": "Keras infers a wrong number of axes",
    r"bias_axes names": "fails without a reason",
    r"logit_soft_cap": "a division by 0, or a cap that is the same as a positive one",
    r"ReversibleEmbedding takes vectors": "fails when it is called",
    r"output_size.*greater than 0": "no places at all",
    r"AdaptiveMaxPooling\dD cannot make (a single|places)": "TensorFlow mostly divides by zero and ends",
    r"AdaptiveAveragePooling\dD cannot make (a single|places)": "`fit` and `predict` fail in TensorFlow",
    r"Adaptive\w+D takes a tensor": "Keras infers a wrong shape",
    r"errors? for MelSpectrogram": "sizes and frequencies of 0 or less, of which nothing can be made",
    r"MelSpectrogram takes a signal": "Keras infers a wrong shape for signals with channels",
    r"MelSpectrogram mirrors": "the call fails",
    r"MelSpectrogram makes no decibels in float64": "`fit` and `predict` fail in TensorFlow",
    r"and Keras infers one more": "Keras infers another shape than it makes",
    r"epsilon\n.*greater than or equal to 0": "Discretization ignores it, or merges what lies far apart",
    r"no frequencies lie between": "silence, whatever enters",
    r"STFT is for": "the initializer makes values of another shape",
    r"flash attention has no attention scores": "the call fails",
    r"(MultiHead|GroupedQuery)Attention with trainable=false": "its projections are trained nevertheless",
    r"a sliding window lies over the steps": "a window over several axes, which fails when it is called",
    r"cannot unroll an unknown number": "the call fails",
    r"activity_regularizer.*no regularizer": "recurrent layers, which forget it",
    r"seed.*(greater than or equal to 0|less than 4294967296)": "JAX takes seeds of 32 bits without a sign",
    r"filters\n.*greater than 0": "a convolution that makes nothing",
    r"'initial_state' of \w+ takes": "states that are too many, too few, or of another size, which fail or are lost",
    # Keras looks at types only when the layer is called.
    r"takes (floats|integers|strings)( or \w+)* as values": "the call fails, or casts what cannot be cast",
    r"does not compute with": "the call fails, or makes values of another type than inferred",
    r"interpolates between floats": "the call fails, or makes values of another type than inferred",
    r"cannot join strings": "the call fails",
    # Layers over images look at what they have got when they run; some fail only where a graph is compiled.
    rf"^({'|'.join(name for name, kind in LAYERS.items() if issubclass(kind, ImageLayer))}) takes a tensor of shape": (
        "images without a batch axis: the batch is taken for their height"
    ),
    r"cannot run Softmax behind a mask": "a mask with an axis less is spread over the values, and the shape is lost",
    r"needs to know the (height of the images|width of the images|number of channels)": "`fit` and `predict` fail",
    r"RandomCrop cuts": "in inference it leaves the images as they are, and the shape that follows is wrong",
    r"RandomShear with a single": "a file with it cannot be loaded",
    r"takes images of (1 or )?3 channels": "it fails when an augmentation for colours is drawn, or compiled",
    r"takes the least value and then the greatest": "empty ranges, and ranges that some layers turn round",
    r"ngrams' takes a number": "nothing is left of a text",
    r"(factor|scale|sigma).*(greater than or equal|less than or equal)": "of two, Keras looks at the wrong end of each",
    r"(height|width|max_number|bins|alpha|num_chains|chain_depth|num_ops)\n.*greater than 0": "nothing is left",
    r"value_range\n.*valid tuple": "a jitter without factors does not look at it",
    r"RandomColorJitter varies": "other axes are taken for the channels",
    r"TimeDistributed hands": "what leaves is of one type or the other, or it fails, by the layer within",
    # What makes vectors of categories may sum over other axes than it infers, and look-ups fail without a vocabulary.
    r"sums the values along one axis": "it sums along the axis behind the batch, whatever it infers",
    r"needs a vocabulary": "a table that is not there",
    r"there is no encoding": "it is asked for when the vocabulary is",
    r"CenterCrop enlarges images of shape": "it makes float32 of them, whatever it infers",
    r"dtype\n.*'float64' or 'mixed_float16'": "STFTSpectrogram refuses bfloat16 when it is called",
    r"dtype\n.*'float32' or 'float64'": "TensorFlow sums no halves, and mixed policies make other types than inferred",
    r"cannot make sparse categories": "`predict` fails",
    r"hands no sparse tensors": "the call fails behind all but a few layers",
    # Keras takes these and makes something of them that nobody means.
    r"PReLU cannot share alpha along axes": "axes below 1 count from the wrong end",
    r"takes (exactly |at least )?2 (to 3 )?tensors, not one": "merging a single tensor, which Keras takes in a list",
}
"""Where specdsl refuses what Keras takes at first: a pattern of the refusal, and why."""


NO_KERNEL = "|".join(
    (
        "No OpKernel was registered",
        "Could not find device for node",
        "not implemented for",
        "Input dims must be <= 5",
        "is not in the list of allowed values",
        "is not supported yet",
        "does not yet support dilation rates larger than 1",
        "only supports NHWC",
    )
)
"""What TensorFlow says where it cannot run an operation for a type, or for so many axes."""


@dataclass(frozen=True)
class Facts:
    """What is known of an applied layer before it runs: outputs, weights, number of parameters."""

    shapes: tuple[Shape, ...]
    dtypes: tuple[str, ...]
    weights: tuple[tuple[str, Shape, bool, str | None], ...]
    parameters: int | None


class RefusalError(Exception):
    """The layer cannot be, or cannot take the shapes."""


def declared_facts(call: Call) -> Facts:
    """What the layer table says.

    Raises:
        RefusalError: the arguments are illegal, alone or with these shapes.
    """
    try:
        layer = call.kind(**call.arguments).called(call.options)
        shapes = layer.infer(*call.shapes)
        dtypes = layer.result_dtypes(len(shapes), *call.dtypes)
        weights = layer.variables(*call.shapes)
    except (ValidationError, Misuse) as refusal:
        raise RefusalError(str(refusal)) from refusal
    counts = [weight.count.value for weight in weights]
    total = None if None in counts else sum(counts)  # type: ignore[arg-type]
    made = tuple((weight.name, weight.shape, weight.trainable, weight.dtype) for weight in weights)
    return Facts(shapes, dtypes, made, total)


def keras_facts(call: Call) -> Facts:
    """What Keras says, from a symbolic call of the real layer.

    Raises:
        RefusalError: Keras raises an error.
    """
    try:
        layer, outputs = _apply(call)
    except Exception as error:  # Keras's refusals are ValueErrors, TypeErrors, IndexErrors, whatever comes
        raise RefusalError(f"{type(error).__name__}: {error}") from error
    trainable = {id(weight) for weight in layer.trainable_weights}
    shapes = tuple(tuple(output.shape)[1:] for output in keras.tree.flatten(outputs))
    dtypes = tuple(output.dtype for output in keras.tree.flatten(outputs))
    if any(isinstance(one, ImageLayer | Categorical | Pipeline) for one in _layers(call)):
        dtypes = _check_run(layer, call, shapes)
    elif "layer" in call.arguments and any(one.dtype for one in _layers(call)):
        dtypes = _types_when_run(layer, call, dtypes)
    own = f"{layer.name}/"
    weights = tuple(
        (weight.path.removeprefix(own), tuple(weight.shape), id(weight) in trainable, weight.dtype)
        for weight in layer.weights
    )
    return Facts(shapes, dtypes, weights, layer.count_params())


def fits(made: Shape, wanted: Shape) -> bool:
    """Whether a shape is as inferred, of any size where that is unknown."""
    return len(made) == len(wanted) and all(b in (a, None) for a, b in zip(made, wanted, strict=True))


def _layers(call: Call) -> list[Layer]:
    """The layer, and those within it."""
    layer = _declared(call)
    return [layer, *layer.layers_within()]


def _check_run(layer: keras.Layer, call: Call, shapes: tuple[Shape, ...]) -> tuple[str, ...]:
    """Check that a layer runs on values, and makes of them what was inferred: some look at nothing before that.

    Returns:
        The types of what it makes in training, which are not always those that Keras infers.

    Raises:
        RefusalError: it does not.
    """
    unknown = _enough(call)
    try:
        made = _run(layer, call, unknown=unknown, training=True)
    except Exception as error:
        try:
            if not re.search(NO_KERNEL, str(error)):
                raise
            made = _run(layer, call, unknown=unknown, training=True, compiled=True)  # as `fit` and `predict` do
        except Exception as reason:
            raise RefusalError(f"when it is run: {type(reason).__name__}: {reason}") from reason
    wanted = [(2, *shape) for shape in shapes]
    if not all(fits(value.shape, shape) for value, shape in zip(made, wanted, strict=True)):
        raise RefusalError(f"when it is run it makes {[value.shape for value in made]}, not {shapes}")
    return _types(made)


def _enough(call: Call) -> int:
    """A number for unknown sizes that the layer takes: a spectrogram lets signals that are too short pass unchanged."""
    for unknown in (3, 40, 1_100):
        shapes = [tuple(shape) for shape in _known(call.shapes, unknown)]
        with suppress(Misuse, ValidationError):
            call.kind(**call.arguments).called(call.options).infer(*shapes)
            return unknown
    return 3


def _types_when_run(layer: keras.Layer, call: Call, inferred: tuple[str, ...]) -> tuple[str, ...]:
    """The types of what a wrapper makes: Keras infers that all wrappers make what they compute in.

    Raises:
        RefusalError: it does not run.
    """
    try:
        return _types(_run(layer, call, unknown=12))
    except Exception as error:
        if re.search(NO_KERNEL, str(error)):
            return inferred
        raise RefusalError(f"when it is run: {type(error).__name__}: {error}") from error


def _types(made: list[Any]) -> tuple[str, ...]:
    return tuple(value.dtype.name.replace("object", "string") for value in made)


@counted("calls of layers")
def compare(call: Call) -> str:
    """Check that specdsl and Keras agree on a call: both refuse it, or both accept it with the same facts.

    Returns:
        "accepted", "refused", or "stricter" where specdsl alone refuses, for a reason that `STRICTER` holds.

    Raises:
        AssertionError: they disagree.
    """
    ours: Facts | str
    theirs: Facts | str
    try:
        ours = declared_facts(call)
    except RefusalError as refusal:
        ours = str(refusal)
    try:
        theirs = keras_facts(call)
    except RefusalError as refusal:
        theirs = str(refusal)
    if isinstance(ours, Facts):
        if call.kind is Pipeline and isinstance(theirs, Facts) and all(map(fits, theirs.shapes, ours.shapes)):
            theirs = replace(theirs, shapes=ours.shapes)  # Keras may find out a size where numbers are spread over it
        if isinstance(theirs, Facts) and ours.dtypes != theirs.dtypes:
            # Keras says of most layers that they make floats, of wrappers that they make what they compute in.
            assert "layer" in call.arguments or not FLOATS.issuperset(call.dtypes), (
                f"{call}\n  specdsl: {ours}\n  keras:   {theirs}"
            )
            theirs = replace(theirs, dtypes=_types(run(call, unknown=12)))
        assert ours == theirs, f"{call}\n  specdsl: {ours}\n  keras:   {theirs}"
        return "accepted"
    if isinstance(theirs, str):
        return "refused"
    if any(re.search(pattern, ours, re.DOTALL) for pattern in STRICTER):
        return "stricter"
    inner = call.arguments.get("layer")
    if call.kind is TimeDistributed and isinstance(inner, Layer) and all(len(shape) > 1 for shape in call.shapes):
        # Keras asks the layer within for a shape, and calls it only when the whole is called.
        steps = tuple(shape[1:] for shape in call.shapes)
        assert compare(Call(type(inner), inner.arguments(), steps, types=call.types)) != "accepted"
        return "stricter"
    raise AssertionError(f"{call}\n  specdsl: {ours}\n  keras:   {theirs}")


def _known(shapes: tuple[Shape, ...], unknown: int) -> list[list[int]]:
    """The shapes with numbers for sizes that are unknown: those that other shapes have there, where one has any."""
    known: dict[int, int] = {}  # by distance from the last axis
    for shape in shapes:
        for place, size in enumerate(reversed(shape)):
            known[place] = max(size or 0, known.get(place, 0))
    return [[size or known[len(shape) - 1 - place] or unknown for place, size in enumerate(shape)] for shape in shapes]


def numbers(random: np.random.Generator, shape: tuple[int, ...], dtype: str, words: list[Any]) -> Any:
    """Random values of a type, some of `words` where these are of it and it is no type of floats."""
    if dtype == "string":
        known = [word for word in words if isinstance(word, str)]
        return tf.constant(random.choice(known or ["a", "b c"], shape))
    if dtype not in FLOATS and words and isinstance(words[0], int):
        return tf.cast(random.choice(words, shape), dtype)
    if dtype in FLOATS:
        return tf.cast(random.random(shape, "float32"), dtype)
    return tf.cast(random.integers(0, 2, shape), dtype)


def run(call: Call, batch: int = 2, unknown: int = 3, training: bool = False) -> Any:
    """The outputs of the real layer, in TensorFlow, on random values, with a number in place of unknown sizes."""
    return _run(_apply(call)[0], call, batch, unknown, training)


def _run(
    layer: keras.Layer,
    call: Call,
    batch: int = 2,
    unknown: int = 3,
    training: bool = False,
    *,
    compiled: bool = False,
) -> list[Any]:
    random = np.random.default_rng(0)

    def drawn(shape: Shape) -> Any:
        return random.random((batch, *(unknown if size is None else size for size in shape)), "float32")

    entering = zip(_known(call.shapes, unknown), call.dtypes, strict=True)
    words = _words(call)
    inputs = [numbers(random, (batch, *shape), dtype, words) for shape, dtype in entering]
    if "value_range" in call.kind.fields():  # of colours, by default from 0 to 255
        inputs = [tf.cast(255 * tf.cast(one, "float32"), one.dtype) for one in inputs]
    options: dict[str, Any] = {"training": training} if layer._call_has_training_arg else {}
    called = tf.function(layer.__call__, autograph=False, jit_compile=True) if compiled else layer
    outputs = called(*_entering(call, inputs), **options | _told(call, drawn))
    return [_dense(output).numpy() for output in keras.tree.flatten(outputs)]


def _dense(output: Any) -> Any:
    if isinstance(output, tf.SparseTensor):
        return tf.sparse.to_dense(output)
    return output.to_tensor() if isinstance(output, tf.RaggedTensor) else output


def _words(call: Call) -> list[Any]:
    """What a layer looks up or counts: words or numbers that it knows, or categories that it has."""
    if issubclass(call.kind, IntegerLookup | StringLookup | TextVectorization) and not call.arguments.get("invert"):
        return list(call.arguments.get("vocabulary") or [])
    inner = call.arguments.get("layer")
    arguments = inner.arguments() if isinstance(inner, Layer) else call.arguments
    return list(range(arguments.get("num_tokens") or min(arguments.get("input_dim", 0), 2)))


def compare_run(call: Call) -> None:
    """Check that the real layer, run on numbers, in training and in inference, returns what the layer table infers.

    What has sizes that are unknown, needs a GPU, or has an operation that TensorFlow lacks on a CPU, is not run.

    Raises:
        AssertionError: it returns other shapes.
    """
    needs_gpu = re.search(r"(use_cudnn|flash_attention)=True", str(call), re.IGNORECASE)
    if needs_gpu or any(None in shape for shape in call.shapes):
        return
    expected = call.kind(**call.arguments).called(call.options).infer(*call.shapes)
    for training in (False, True):
        try:
            made = [value.shape[1:] for value in run(call, training=training)]
        except tf.errors.OpError as error:
            if re.search(NO_KERNEL, str(error)):
                return
            raise
        assert all(fits(one, other) for one, other in zip(made, expected, strict=True)), (str(call), made)


def _apply(call: Call) -> tuple[keras.Layer, Any]:
    layer = keras_layer(_declared(call))
    drawn = zip(call.shapes, call.dtypes, strict=True)
    entering = [keras.KerasTensor((None, *shape), dtype=dtype) for shape, dtype in drawn]
    return layer, layer(*_entering(call, entering), **_told(call, lambda shape: keras.KerasTensor((None, *shape))))


def _declared(call: Call) -> Layer:
    try:
        return call.kind(**call.arguments)
    except (ValidationError, Misuse):
        return _unchecked(call)


def _told(call: Call, tensor: Callable[[Shape], Any]) -> dict[str, Any]:
    """The options of a call as Keras takes them, with tensors of the shapes that they give."""
    told: dict[str, Any] = {}
    for name, given in call.options.items():
        if isinstance(given, bool):
            told[name] = given
            continue
        tensors = [None if shape is None else tensor(shape) for shape in given]
        if "mask" in name:
            tensors = [None if one is None else keras.ops.cast(one, "bool") for one in tensors]
        try:
            sizes = _declared(call).lists(name, *call.shapes)
        except Misuse:
            sizes = ()
        if sizes:
            rest = iter(tensors)
            told[name] = [list(islice(rest, size)) for size in sizes]
        else:
            told[name] = tensors[0] if call.kind.options[name] == "tensor" and tensors else tensors
    return told


def _unchecked(call: Call) -> Layer:
    """The layer with arguments that specdsl refuses and Keras shall see nevertheless."""
    layer = object.__new__(call.kind)
    defaults = {name: field.default for name, field in call.kind.fields().items() if not field.is_required()}
    vars(layer).update(defaults | call.arguments)
    return layer


def _entering(call: Call, tensors: list[Any]) -> list[Any]:
    """The tensors as Keras takes them: one, several each for itself, or several in a list."""
    if call.kind.arity == (1, 1):
        return tensors[:1]
    if call.kind.apart:
        return tensors * 2 if call.kind.repeats and len(tensors) == 1 else tensors
    return [tensors]
