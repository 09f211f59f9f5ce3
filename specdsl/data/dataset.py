"""What every source of images gives: arrays with names, checked; and the split that keeps tracks whole."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from specdsl.recipes.training import Validation


class DataError(Exception):
    """Images that are missing, broken or not what was asked for.

    Attributes:
        message: what is wrong, naming the file where there is one.
        help: what to do about it, when that is known.
    """

    def __init__(self, message: str, *, help: str | None = None) -> None:
        super().__init__(f"{message}\n{help}" if help else message)
        self.message = message
        self.help = help


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """Images with labels.

    Attributes:
        image: uint8 (n, height, width, 3), red, green, blue.
        label: int32 (n,), the class of each image.
        track: int32 (n,), equal for frames of one physical sign and different between signs of any class; None where
            it is not known.
    """

    image: NDArray[np.uint8]
    label: NDArray[np.int32]
    track: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        assert self.image.dtype == np.uint8
        assert self.image.ndim == 4
        assert self.label.shape == (len(self.image),)
        assert self.track is None or self.track.shape == (len(self.image),)

    def __len__(self) -> int:
        return len(self.image)

    def take(self, index: NDArray[Any]) -> Images:
        """The images at some positions, or where a mask is true."""
        return Images(self.image[index], self.label[index], None if self.track is None else self.track[index])


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """Training and test images of the same classes.

    Attributes:
        name: what people call it.
        train: images to learn from.
        test: images for evaluation alone.
        class_names: the name of each class, by its label.
    """

    name: str
    train: Images
    test: Images
    class_names: tuple[str, ...]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels of every image."""
        height, width, channels = self.train.image.shape[1:]
        return (height, width, channels)

    def fingerprint(self) -> str:
        """A SHA-256 over all arrays, in hexadecimal: equal exactly when all images, labels and tracks are."""
        digest = sha256()
        for images in (self.train, self.test):
            for array in (images.image, images.label, images.track):
                if array is not None:
                    digest.update(f"{array.dtype.str}{array.shape}".encode())
                    digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def split(images: Images, validation: Validation, seed: int) -> tuple[Images, Images]:
    """Training images in two: what stays for training, and what validates.

    Of every class about `validation.fraction` of its tracks (or images) is kept out, chosen by the seed: at least one
    where the class has two or more, and never all of them. By track, all images of a track land on one side.

    Raises:
        DataError: a split by track of images whose tracks are not known, or too few images to keep any out.
    """
    if validation.by == "image":
        unit = np.arange(len(images), dtype=np.int32)
    elif images.track is None:
        raise DataError("these images have no tracks to split by", help='write validation(..., by="image")')
    else:
        unit = images.track
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    held = np.zeros(len(images), bool)
    for label in np.unique(images.label):
        units = np.unique(unit[images.label == label])
        count = min(max(1, round(validation.fraction * len(units))), len(units) - 1)
        held |= np.isin(unit, rng.choice(units, count, replace=False)) & (images.label == label)
    if not held.any():
        raise DataError(f"no class has two {validation.by}s, so that none can be kept out for validation")
    return images.take(~held), images.take(held)
