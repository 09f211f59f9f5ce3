"""Image operations: what each does to one image, stated once for every engine."""

from specdsl.declaration import declared
from specdsl.recipes.augmentation.base import Operation, Shape, Uniform
from specdsl.recipes.augmentation.colours import (
    Clip,
    Grayscale,
    Normalize,
    RandomBrightness,
    RandomContrast,
    RandomGamma,
    RandomGrayscale,
    RandomHue,
    RandomSaturation,
)
from specdsl.recipes.augmentation.flips import FlipLeftRight, FlipUpDown, HalfTurn, SignFlips
from specdsl.recipes.augmentation.framing import CenterCrop, Pad, RandomCrop, Resize
from specdsl.recipes.augmentation.geometry import (
    RandomAffine,
    RandomPerspective,
    RandomRotation,
    RandomScale,
    RandomShear,
    RandomTranslation,
)
from specdsl.recipes.augmentation.noise import RandomBlur, RandomErasing, RandomNoise
from specdsl.recipes.augmentation.pipeline import Operations, Pipeline, Views, as_pipeline, unit_range

FAMILIES = ("framing", "flips", "geometry", "colours", "noise")
"""The kinds of operations, in the order of the documents."""

OPERATIONS: dict[str, type[Operation]] = {
    operation.spec_name(): operation
    for operation in sorted(
        declared(Operation),  # type: ignore[type-abstract]
        key=lambda operation: FAMILIES.index(operation.family),
    )
}
"""Every operation by the name that a spec uses."""

__all__ = [
    "FAMILIES",
    "OPERATIONS",
    "CenterCrop",
    "Clip",
    "FlipLeftRight",
    "FlipUpDown",
    "Grayscale",
    "HalfTurn",
    "Normalize",
    "Operation",
    "Operations",
    "Pad",
    "Pipeline",
    "RandomAffine",
    "RandomBlur",
    "RandomBrightness",
    "RandomContrast",
    "RandomCrop",
    "RandomErasing",
    "RandomGamma",
    "RandomGrayscale",
    "RandomHue",
    "RandomNoise",
    "RandomPerspective",
    "RandomRotation",
    "RandomSaturation",
    "RandomScale",
    "RandomShear",
    "RandomTranslation",
    "Resize",
    "Shape",
    "SignFlips",
    "Uniform",
    "Views",
    "as_pipeline",
    "unit_range",
]
