"""Operations that turn an image over, for the classes that can bear it, and exchange labels where meanings change."""

# ruff: noqa: D102 - what each method gives is documented once, in `Operation`

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from specdsl.declaration import Misuse, text
from specdsl.recipes.augmentation.base import UNIT, Array, Namespace, Operation, Uniform, cast, per_image
from specdsl.recipes.naming import FromList, Unit

Class = Annotated[int, Field(ge=0)]
"""A class by its label."""


def _two(value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise Misuse(
            f"'swaps' takes pairs of classes that become one another, and {text(value)} is none",
            argument="swaps",
            help="for example swaps=[(19, 20), (33, 34)]",
        )
    return tuple(value)


Pair = Annotated[tuple[Class, Class], BeforeValidator(_two)]
"""Two classes that become one another."""


class _Flip(Operation):
    """What the flips share: whom they take, and how labels change.

    `classes` lists the classes that stay what they are when turned over, `swaps` pairs of classes that become one
    another. With either of them, images of all other classes are left alone; with neither every image may turn, and
    keeps its label.
    """

    abstract: ClassVar[bool] = True
    family: ClassVar[str] = "flips"
    axes: ClassVar[tuple[int, ...]]

    classes: Annotated[tuple[Class, ...], FromList] | None = None
    swaps: Annotated[tuple[Pair, ...], FromList] = ()
    probability: Unit = 0.5

    def check(self) -> None:
        seen: set[int] = set()
        for argument, label in self._named():
            if label in seen:
                message = f"{self.spec_name()} names class {label} twice"
                hint = "a class stays itself, or becomes one other"
                raise Misuse(message, argument=argument, help=hint)
            seen.add(label)

    @property
    def uses_labels(self) -> bool:
        return self.classes is not None or bool(self.swaps)

    def check_classes(self, count: int) -> None:
        for argument, label in self._named():
            if label >= count:
                raise Misuse(
                    f"{self.spec_name()} names class {label}, but there are {count}, from 0 to {count - 1}",
                    argument=argument,
                )

    def draws(self) -> dict[str, Uniform]:
        return {"chance": UNIT}

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        flips = draws["chance"] < self.probability
        if self.uses_labels:
            classes = self.classes or ()
            first = xp.array((*classes, *(a for a, _ in self.swaps), *(b for _, b in self.swaps)), dtype="int32")
            other = xp.array((*classes, *(b for _, b in self.swaps), *(a for a, _ in self.swaps)), dtype="int32")
            known = cast(xp, labels, "int32")
            meant = known[:, None] == first[None, :]
            flips = flips & xp.any(meant, axis=1)
            if self.swaps:
                partner = xp.sum(xp.where(meant, other[None, :], 0), axis=1)
                labels = xp.where(flips, cast(xp, partner, "int32"), known)
        return xp.where(per_image(flips), xp.flip(images, axis=self.axes), images), labels

    def _named(self) -> Iterator[tuple[str, int]]:
        """Every class that is listed, with the argument that lists it."""
        for label in self.classes or ():
            yield "classes", label
        for pair in self.swaps:
            for label in pair:
                yield "swaps", label


class FlipLeftRight(_Flip):
    """Mirrors an image left to right with the given probability, if its label is in `classes` or `swaps`.

    Many signs mean something else in the mirror, or nothing: `classes` lists those that stay themselves, `swaps` the
    pairs that become one another, whose labels are exchanged when they are mirrored. Without either list every image
    may flip, and keeps its label.
    """

    axes: ClassVar[tuple[int, ...]] = (2,)


class FlipUpDown(_Flip):
    """Mirrors an image top to bottom with the given probability; `classes` and `swaps` as in `flip_left_right`."""

    axes: ClassVar[tuple[int, ...]] = (1,)


class HalfTurn(_Flip):
    """Turns an image by 180 degrees with the given probability; `classes` and `swaps` as in `flip_left_right`."""

    axes: ClassVar[tuple[int, ...]] = (1, 2)


MIRRORED = (11, 12, 13, 15, 17, 18, 22, 26, 30, 35)
"""Classes of the German benchmark that look the same in the mirror."""

EXCHANGED = ((19, 20), (33, 34), (36, 37), (38, 39))
"""Classes of the German benchmark that are mirror images of each other: curves and arrows to the left and the right."""

UPENDED = (1, 5, 12, 15, 17)
"""Classes of the German benchmark that look the same when top and bottom are exchanged."""

TURNED = (32, 40)
"""Classes of the German benchmark that look the same upside down, and not in a mirror."""


class SignFlips(Operation):
    """All flips under which the 43 classes of the German benchmark keep a meaning, each with the given probability.

    In this order: `flip_left_right` of classes 11, 12, 13, 15, 17, 18, 22, 26, 30 and 35, and of the pairs 19-20,
    33-34, 36-37 and 38-39, which exchange their labels; `flip_up_down` of classes 1, 5, 12, 15 and 17; `half_turn` of
    classes 32 and 40. Every flip has a random number of its own.
    """

    family: ClassVar[str] = "flips"

    probability: Unit = 0.5

    @property
    def uses_labels(self) -> bool:
        return True

    def check_classes(self, count: int) -> None:
        if count != 43:
            raise Misuse(
                f"sign_flips is for the 43 classes of the German benchmark, and there are {count}",
                help="flip_left_right(classes=[...], swaps=[...]) takes classes of your own",
            )

    def draws(self) -> dict[str, Uniform]:
        return {"left_right": UNIT, "up_down": UNIT, "turn": UNIT}

    def apply(self, xp: Namespace, images: Array, labels: Array, draws: dict[str, Array]) -> tuple[Array, Array]:
        for name, flip in (
            ("left_right", FlipLeftRight(classes=MIRRORED, swaps=EXCHANGED, probability=self.probability)),
            ("up_down", FlipUpDown(classes=UPENDED, probability=self.probability)),
            ("turn", HalfTurn(classes=TURNED, probability=self.probability)),
        ):
            images, labels = flip.apply(xp, images, labels, {"chance": draws[name]})
        return images, labels
