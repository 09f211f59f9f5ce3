"""Several images mixed, and several augmentations."""

from typing import Annotated, Literal

from pydantic import Field

from specdsl.layers.arguments import DataFormat
from specdsl.layers.augmentation import Augmentation, Interpolation, bounds, span
from specdsl.layers.shapes import Shape
from specdsl.layers.values import FractionRange, Positive, Seed, ValueRange


class MixUp(Augmentation):
    """Each image mixed with another one of the batch (Zhang et al., 2018).

    As a layer of a model it leaves the labels as they are.
    """

    alpha: Annotated[float, Field(gt=0)] = 0.2
    data_format: DataFormat = None
    seed: Seed = None

    def in_training(self) -> str:
        drawn = f"Beta({self.alpha:.4g}, {self.alpha:.4g})"
        return (
            f"mixes each image with another one of the batch, with a weight drawn from {drawn}; labels stay as they are"
        )


class CutMix(Augmentation):
    """A box of each image replaced by that of another one of the batch (Yun et al., 2019).

    As a layer of a model it leaves the labels as they are.
    """

    intake = "numbers"
    needs = ("height", "width", "channels")

    factor: FractionRange = 1.0
    seed: Seed = None
    data_format: DataFormat = None
    dtype: Literal["float16", "float32", "float64", "mixed_float16"] | None = None  # no Beta is drawn in bfloat16

    def in_training(self) -> str:
        alpha = span(bounds(self.factor))
        return (
            "fills a box of each image with that of another one of the batch, and leaves a share of it drawn from "
            f"Beta(a, a) with a = {alpha}; labels stay as they are"
        )


class AugMix(Augmentation):
    """A mean of several chains of augmentations, mixed with the image itself (Hendrycks et al., 2020).

    Which augmentations a chain holds is drawn once, when a graph is traced, and not for each batch.
    """

    intake = "numbers"

    value_range: ValueRange = (0, 255)
    num_chains: Positive = 3
    chain_depth: Positive = 3
    factor: FractionRange = 0.3
    alpha: Annotated[float, Field(gt=0)] = 1.0
    all_ops: bool = True
    interpolation: Interpolation = "bilinear"
    seed: Seed = None
    data_format: DataFormat = None

    def result_shape(self, *shapes: Shape) -> Shape:
        _, _, channels = self.image(shapes[0])
        if self.all_ops:
            self.check_channels(channels, (1, 3))
        return shapes[0]

    def in_training(self) -> str:
        number = 11 if self.all_ops else 7
        return (
            f"mixes images with {self.num_chains} chains of {self.chain_depth} of {number} augmentations, "
            f"with factors of {span(bounds(self.factor))}"
        )


class RandAugment(Augmentation):
    """Some augmentations of a list, drawn for the whole batch (Cubuk et al., 2020)."""

    intake = "numbers"
    channels = (1, 3)

    value_range: ValueRange = (0, 255)
    num_ops: Positive = 2
    factor: FractionRange = 0.5
    interpolation: Interpolation = "bilinear"
    seed: Seed = None
    data_format: DataFormat = None

    def in_training(self) -> str:
        factors = span(bounds(self.factor))
        return f"applies {self.num_ops} of 11 augmentations, drawn for the whole batch, with factors of {factors}"
