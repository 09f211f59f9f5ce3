"""Small models and recipes for the tests of training."""

from __future__ import annotations

import specdsl
from specdsl.graph import Graph
from specdsl.recipes import DataRecipe, Synthetic, TrainRecipe
from specdsl.recipes.augmentation import CenterCrop, Clip, FlipLeftRight, RandomBrightness, RandomCrop
from specdsl.recipes.optimizers import Adam

SOURCE = Synthetic(size=16, train=6, test=2)

SPEC = """
model tiny {
    input image: (12, 12, 3)
    Conv2D(4, 3, strides=2)
    BatchNormalization
    ReLU
    Dropout(0.2)
    Flatten
    Dense(43, "softmax")
}
"""


def graph(text: str = SPEC) -> Graph:
    """The only model of a text."""
    spec = specdsl.loads(text)
    return spec.model(spec.models[-1])


def data(**changes: object) -> DataRecipe:
    """Signs of 16 pixels, cropped to 12, with some augmentation."""
    return DataRecipe(
        source=SOURCE,
        augment=[
            RandomCrop(height=12, width=12),
            FlipLeftRight(classes=[11, 12]),
            RandomBrightness(max_delta=0.1),
            Clip(),
        ],
        evaluate=[CenterCrop(height=12, width=12)],
    ).replace(**changes)


def recipe(**changes: object) -> TrainRecipe:
    """Two epochs of five steps, the last one smaller."""
    return TrainRecipe(data=data(), optimizer=Adam(learning_rate=0.003), batch=60, epochs=2).replace(**changes)
