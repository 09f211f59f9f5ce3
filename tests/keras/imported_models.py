"""Keras models of every construct that a spec can say, each built by a function, for the tests of imports."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers, ops

Builder = Callable[[], keras.Model]

PLAIN: dict[str, Builder] = {}
"""Models of layers alone: what is imported and compiled again has the same configuration."""

OTHERWISE: dict[str, Builder] = {}
"""Models with parts that a spec says by other layers: operations, and Sequential in the place of Functional."""


def plain(build: Builder) -> Builder:
    PLAIN[build.__name__] = build
    return build


def otherwise(build: Builder) -> Builder:
    OTHERWISE[build.__name__] = build
    return build


@plain
def chain() -> keras.Model:
    image = keras.Input((12, 12, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", strides=(1, 1), activation="relu", kernel_regularizer="l2")(image)
    x = layers.BatchNormalization(axis=3, momentum=0.9, name="bn")(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.SeparableConv2D(5, 3, depth_multiplier=2, pointwise_initializer=keras.initializers.HeNormal(seed=1))(x)
    x = layers.PReLU(shared_axes=[1, 2], alpha_initializer=keras.initializers.Constant(0.2))(x)
    x = layers.LayerNormalization(epsilon=1e-5)(x)
    x = layers.Dropout(0.5, noise_shape=(None, 1, 1, 5))(x)
    x = layers.Flatten()(x)
    x = layers.Dense(6, kernel_constraint=keras.constraints.MaxNorm(3, axis=0), bias_initializer="ones")(x)
    return keras.Model(image, layers.Dense(3, "softmax", name="probabilities")(x), name="chain")


@plain
def shortcuts() -> keras.Model:
    image = keras.Input((8, 8, 4), name="image")
    x = layers.Conv2D(4, 3, padding="same")(image)
    x = layers.Add()([image, x])
    y = layers.Conv2D(6, 1)(x)
    x = layers.Conv2D(6, 3, padding="same")(layers.ReLU()(x))
    x = layers.Add(name="joined")([y, x])
    gate = layers.Dense(6, "sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Multiply()([x, gate])
    x = layers.Concatenate(axis=3)([layers.Conv2D(2, 1)(x), layers.MaxPooling2D(3, 1, "same")(x), x])
    x = layers.Subtract()([layers.Conv2D(14, 1)(x), x])
    return keras.Model(image, layers.Maximum()([x, x]))


@plain
def crossed() -> keras.Model:
    """Branches that leave from several places, as shortcuts cannot."""
    image = keras.Input((8, 8, 4), name="image")
    a = layers.Conv2D(4, 3, padding="same")(image)
    b = layers.Conv2D(4, 3, padding="same")(a)
    c = layers.Conv2D(4, 3, padding="same")(b)
    d = layers.Add()([a, b, c])
    e = layers.Add()([b, d])
    f = layers.Concatenate()([e, c, image])
    return keras.Model(image, [f, layers.GlobalMaxPooling2D()(d), b])


@plain
def unet() -> keras.Model:
    image = keras.Input((16, 16, 2), name="image")
    one = layers.Conv2D(3, 3, padding="same")(image)
    two = layers.Conv2D(4, 3, padding="same")(layers.MaxPooling2D()(one))
    three = layers.Conv2D(5, 3, padding="same")(layers.MaxPooling2D()(two))
    up = layers.Concatenate()([two, layers.Conv2DTranspose(4, 2, 2)(three)])
    up = layers.Concatenate()([one, layers.UpSampling2D()(layers.Conv2D(3, 3, padding="same")(up))])
    return keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(up))


@plain
def several_inputs_and_outputs() -> keras.Model:
    second = keras.Input((4,), name="second")
    first = keras.Input((4,), name="first")
    number = keras.Input((), dtype="int32", name="number")
    x = layers.Concatenate()([first, second])
    y = layers.Embedding(5, 4)(number)
    return keras.Model([second, first, number], [layers.Dense(2, name="b")(x), x, layers.Dense(3, name="a")(y)])


@plain
def shared_layers() -> keras.Model:
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    encode, again = layers.Dense(5, "tanh", name="encode"), layers.Dense(5)
    left, right = again(encode(a)), again(encode(b))
    return keras.Model([a, b], [layers.Dot(1, normalize=True)([left, right]), again(left)])


@plain
def models_within() -> keras.Model:
    x = keras.Input((6,), name="x")
    inner_input = keras.Input((5,))
    inner = keras.Model(inner_input, layers.Dense(5)(inner_input), name="inner")
    outer = keras.Model(x, [inner(layers.Dense(5)(x)), layers.Dense(2, trainable=False)(x)], name="outer")
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    frozen_input = keras.Input((5,))
    frozen = keras.Model(frozen_input, layers.Dense(4)(layers.BatchNormalization()(frozen_input)), name="frozen")
    frozen.trainable = False
    (left, one), (right, other) = outer(a), outer(b)
    return keras.Model([a, b], [layers.Add()([frozen(left), frozen(right)]), one, other], name="pair")


@plain
def model_with_two_inputs_within() -> keras.Model:
    p, q = keras.Input((4,), name="p"), keras.Input((4,), name="q")
    inner = keras.Model([p, q], layers.Add()([p, layers.Dense(4)(q)]), name="inner")
    x = keras.Input((4,), name="x")
    return keras.Model(x, inner([layers.Dense(4)(x), inner([x, x])]))


@plain
def recurrent() -> keras.Model:
    words = keras.Input((None, 5), name="words")
    x = layers.LSTM(4, return_sequences=True, dropout=0.1)(words)
    x = layers.Bidirectional(layers.GRU(3, return_sequences=True), merge_mode="sum")(x)
    back = layers.LSTM(3, go_backwards=True, use_bias=False, name="lstm")
    x = layers.Bidirectional(layers.LSTM(3, name="lstm"), backward_layer=back)(x)
    return keras.Model(words, layers.Dense(2)(x))


@plain
def states() -> keras.Model:
    source, target = keras.Input((9, 5), name="source"), keras.Input((6, 4), name="target")
    keep = keras.Input((9,), dtype="bool", name="keep")
    _, h, c = layers.LSTM(5, return_state=True, name="encoder")(source, mask=keep)
    decoded = layers.LSTM(5, return_sequences=True)(target, initial_state=[h, c])
    found = layers.Attention()([decoded, source])
    found = layers.Dropout(0.5)(found, training=True)
    found = layers.BatchNormalization()(found, training=False)
    _, last = layers.SimpleRNN(5, return_state=True)(found, initial_state=[h])
    return keras.Model([source, target, keep], [decoded, last])


@otherwise
def calls_by_place_and_by_name() -> keras.Model:
    """The same calls in forms that a spec knows one of."""
    x, h = keras.Input((4, 8), name="x"), keras.Input((5,), name="h")
    y = layers.MultiHeadAttention(2, 4)(x, value=x, key=x)
    y = layers.GRU(5, return_sequences=True)(y, h)
    y = layers.LSTM(5, return_sequences=True)(y, [h, h])
    y = layers.SimpleRNN(5)(y, initial_state=h)
    return keras.Model([x, h], layers.Dropout(0.5)(layers.BatchNormalization()(y, training=None), training=False))


@plain
def attention() -> keras.Model:
    query, memory = keras.Input((4, 8), name="query"), keras.Input((7, 5), name="memory")
    seen = keras.Input((4, 7), dtype="bool", name="seen")
    x = layers.MultiHeadAttention(2, 3)(query, memory, attention_mask=seen)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4, value_dim=3)(x, x, use_causal_mask=True)])
    x = layers.MultiHeadAttention(2, 4)(x, query, x)
    return keras.Model([query, memory, seen], layers.AdditiveAttention()([x, query]))


@otherwise
def masks() -> keras.Model:
    words, more = keras.Input((9,), dtype="int32", name="words"), keras.Input((9, 4), name="more")
    x = layers.Embedding(10, 4, mask_zero=True)(words)
    y = layers.Masking(0.5)(more)
    x = layers.LSTM(4, return_sequences=True)(layers.Dropout(0.1)(x))
    x = layers.Concatenate()([x, y])
    return keras.Model([words, more], layers.GRU(3)(layers.TimeDistributed(layers.Dense(5))(x)))


@plain
def wrappers() -> keras.Model:
    image = keras.Input((6, 6, 3))
    frame = keras.Model(image, layers.Flatten()(layers.Conv2D(2, 3)(image)), name="frame")
    video = keras.Input((None, 6, 6, 3), name="video")
    x = layers.TimeDistributed(frame)(video)
    x = layers.TimeDistributed(layers.Dense(4, "relu"))(x)
    return keras.Model(video, layers.LSTM(2)(x))


@plain
def policies() -> keras.Model:
    x = keras.Input((4,), name="x")
    y = layers.Dense(3, dtype="mixed_float16")(x)
    y = layers.Dense(2, dtype="mixed_bfloat16")(y)
    return keras.Model(x, layers.Activation("softmax", dtype="float32")(y))


@plain
def cells() -> keras.Model:
    words = keras.Input((None, 5), name="words")
    x = layers.RNN([layers.LSTMCell(4, name="lstm_cell"), layers.GRUCell(3, name="gru_cell")], return_sequences=True)(
        words
    )
    return keras.Model(words, layers.RNN(layers.SimpleRNNCell(2, name="simple_rnn_cell"))(x))


@plain
def names() -> keras.Model:
    """Names that are automatic, but not those that come by themselves; and words of the language."""
    x = keras.Input((4,), name="input")
    y = layers.Dense(4, name="dense_7")(x)
    y = layers.Dense(4, name="dense")(y)
    y = layers.Dense(4, name="dense_1")(y)
    y = layers.Add(name="output")([y, x])
    y = layers.Add(name="via")([layers.ReLU(name="if")(y), layers.Dense(4, name="model")(y)])
    return keras.Model(x, [layers.Add(name="let")([y, x]), y])


@plain
def preprocessing() -> keras.Model:
    image = keras.Input((6, 6, 3), name="image")
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])(x)
    x = layers.ZeroPadding2D(((1, 0), (2, 1)))(x)
    x = layers.Cropping2D(1)(x)
    x = layers.Reshape((-1, 3))(layers.Permute((2, 1, 3))(x))
    return keras.Model(image, layers.GaussianNoise(0.1)(layers.Softmax(axis=1)(x)))


@otherwise
def sequential() -> keras.Model:
    return keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(), layers.Dense(3, "softmax")]
    )


@otherwise
def sequential_built() -> keras.Model:
    model = keras.Sequential([layers.Dense(4, name="first"), layers.Dense(3)], name="plain")
    model.build((None, 7))
    return model


@otherwise
def sequential_within() -> keras.Model:
    x = keras.Input((6,), name="x")
    part = keras.Sequential([layers.Dense(4), layers.ReLU()], name="part")
    return keras.Model(x, layers.Concatenate()([part(x), part(layers.Dense(6)(x))]))


@otherwise
def sequential_of_models() -> keras.Model:
    x = keras.Input((6,), name="x")
    return keras.Sequential([keras.Model(x, layers.Dense(4)(x), name="base"), layers.Dense(2)])


@otherwise
def arithmetic() -> keras.Model:
    x, y = keras.Input((4,), name="x"), keras.Input((4,), name="y")
    z = (x + y) * 2 - 1.5
    z = 1 - z / 4
    z = ops.maximum(z * (x - y), -z) + z**2
    return keras.Model([x, y], [z, ops.minimum(3 + x, y)])


@otherwise
def functions() -> keras.Model:
    x = keras.Input((4, 6), name="x")
    found = [
        ops.transpose(x, (0, 2, 1)), ops.softmax(x), ops.softmax(x, axis=1), ops.expand_dims(x, -1),
        ops.squeeze(ops.expand_dims(x, 1), 1), ops.gelu(x, approximate=False), ops.leaky_relu(x, 0.1),
        ops.max(x, axis=1), ops.mean(x, axis=1, keepdims=True), ops.tanh(x), ops.swapaxes(x, 1, 2), ops.elu(x, 0.5),
        ops.silu(x), ops.relu(x), ops.exp(x), ops.relu6(x), ops.sigmoid(x), ops.selu(x), ops.softplus(x),
        ops.log_sigmoid(x), ops.hard_sigmoid(x), ops.reshape(x, (-1, 3, 8)), ops.concatenate([x, x], axis=1),
        x[:, 0], x[:, -1], x[:, 2, :],
    ]  # fmt: skip
    return keras.Model(x, found)


@otherwise
def pooled() -> keras.Model:
    image = keras.Input((6, 6, 3), name="image")
    x = layers.Conv2D(4, 3)(image)
    return keras.Model(
        image, [ops.mean(x, axis=(1, 2)), ops.max(x, axis=[1, 2], keepdims=True), ops.mean(x, axis=(-3, -2))]
    )
