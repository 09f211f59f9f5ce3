"""Where data come from: declarations only; `specdsl.data` loads what they name."""

from __future__ import annotations

from os.path import abspath, expanduser
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from specdsl.declaration import Misuse, declared
from specdsl.recipes.naming import Named, NonNegative, Number, Positive

CLASSES = 43
"""Classes of the German Traffic Sign Recognition Benchmark."""

Task = Literal["classification", "regression"]
"""What is to be told of an example: its class, or values."""

Shape = tuple[int, ...]
"""The shape of one example: height, width, channels of an image."""

Size = Annotated[int, Field(ge=8, le=1024)]
"""The height and width of square images, in pixels."""


Seed = Annotated[int, Field(ge=0)]
"""What random numbers come from."""

Part = Annotated[float, Field(gt=0, lt=1)]
"""A part of a whole, neither nothing nor all."""


class Source(Named):
    """A set of examples in a training and a test part. What only loading tells is None."""

    abstract: ClassVar[bool] = True

    @property
    def shape(self) -> Shape | None:
        """The shape of every example before any operation; None where only loading tells."""
        return None

    @property
    def classes(self) -> int | None:
        """How many classes the labels tell apart; None where only loading tells, or where values are predicted."""
        return None

    @property
    def task(self) -> Task:
        """What is to be told of an example."""
        return "classification"

    @property
    def outputs(self) -> int | None:
        """How many numbers a model gives for an example: one for each class, or the values to predict; None where only
        loading tells.
        """
        return self.classes

    def placed(self, folder: Path) -> Source:
        """The same source where a relative path, if it has one, is read from a folder."""
        return self

    def sized(self, size: int) -> Source:
        """The same source with images of a size in pixels, where it takes one and has not been given another."""
        return self.replace(size=size) if "size" in self.names() and "size" not in self.arguments() else self

    def completed(self, other: Source) -> Source:
        """The same source, what it leaves open taken from another one.

        That is the size of images and, where both are of the same kind, every argument that stands at its default.
        """
        if type(self) is type(other):
            return other.replace(**self.arguments())
        size = getattr(other, "size", None)
        return self if size is None else self.sized(size)


DEFAULT_SIZE = 32
"""The size of images of signs where nothing else is said."""


class _Signs(Source):
    """Square colour images of the 43 traffic signs of the benchmark."""

    size: Size = DEFAULT_SIZE

    @property
    def shape(self) -> Shape:
        """Height, width, channels of every image."""
        return (self.size, self.size, 3)

    @property
    def classes(self) -> int:
        """The 43 of the benchmark."""
        return CLASSES


class Gtsrb(_Signs):
    """The German Traffic Sign Recognition Benchmark: 39,209 training and 12,630 test images of 43 classes.

    `size` is the height and width in pixels at which the images were prepared, `roi` whether they were cut to the sign
    with a small margin then, or show the whole frame.
    """

    roi: bool = False


class Synthetic(_Signs):
    """Traffic signs drawn by program, after the 43 classes of the benchmark: no download, the same for the same seed.

    `train` and `test` count images *per class*. Training images come in tracks of several frames that show one sign
    in one place.
    """

    train: Positive = 150
    test: Positive = 30
    seed: Seed = 0


class Sinc(Source):
    """The curve sin(x)/x, to be predicted from x: data for regression, made by program.

    The `train` places x are drawn uniformly between `low` and `high` from the seed, and normal noise of standard
    deviation `noise` is added to their values. The `test` places lie on an even grid from `low` to `high`, both
    included, and have the values of the curve itself, without noise.
    """

    train: Positive = 1000
    test: Annotated[int, Field(ge=2)] = 200
    low: Number = -10.0
    high: Number = 10.0
    noise: NonNegative = 0.0
    seed: Seed = 0

    def check(self) -> None:
        """Refuse an interval that is none."""
        if self.low >= self.high:
            raise Misuse(f"low is {self.low:g}, which is not below high, {self.high:g}", argument="low")

    @property
    def shape(self) -> Shape:
        """One number, x."""
        return (1,)

    @property
    def task(self) -> Task:
        """One value is predicted."""
        return "regression"

    @property
    def outputs(self) -> int:
        """One value, sin(x)/x."""
        return 1


class Mnist(Source):
    """Handwritten digits as Keras loads them: 60,000 training and 10,000 test images of 28x28 pixels, one channel."""

    @property
    def shape(self) -> Shape:
        """Height, width and one channel."""
        return (28, 28, 1)

    @property
    def classes(self) -> int:
        """The ten digits."""
        return 10


class Cifar10(Source):
    """CIFAR-10 as Keras loads it: 50,000 training and 10,000 test colour images of 32x32 pixels, ten classes."""

    @property
    def shape(self) -> Shape:
        """Height, width and three channels."""
        return (32, 32, 3)

    @property
    def classes(self) -> int:
        """Ten kinds of animals and vehicles."""
        return 10


class _OnDisk(Source):
    """What lies in a file or folder of the user's own."""

    path: Annotated[str, Field(min_length=1)]

    def placed(self, folder: Path) -> Self:
        """The same source with an absolute path; a relative one is read from a folder."""
        return self.replace(path=abspath(folder / expanduser(self.path)))


class Folder(_OnDisk):
    """Images in a folder with a folder for each class, in any format that Pillow reads.

    A class has the name of its folder; folders within it are searched too. Where the folder holds `train` and `test`,
    each of them has the folders of the classes; otherwise the part `test` of every class, chosen by the seed, is kept
    out for testing.

    Args:
        path: the folder. A relative path in a spec is read from the spec's own folder.
        size: the height and width in pixels that images are scaled to.
        channels: 3 for colours, 1 for grey.
        fit: what becomes of images that are not square: `"stretch"` scales height and width each for itself, `"crop"`
            cuts out the middle, `"pad"` adds black.
        tracks: whether each folder within the folder of a class holds pictures of one thing, which validation by track
            and the test part keep together.
        test: the part of each class that is kept for testing where there is no folder `test`.
        seed: what that part is chosen by.
    """

    size: Size = 32
    channels: Literal[1, 3] = 3
    fit: Literal["stretch", "crop", "pad"] = "stretch"
    tracks: bool = False
    test: Part = 0.2
    seed: Seed = 0

    @property
    def shape(self) -> Shape:
        """Height, width, channels of every image."""
        return (self.size, self.size, self.channels)


class Npz(_OnDisk):
    """Arrays that `numpy.savez` has written: `x_train`, `y_train`, `x_test` and `y_test`, or `image` and `label`.

    Examples are images, uint8 (n, height, width) or (n, height, width, channels) with 1 or 3 channels, or numbers of
    any other shape. Labels are integers from 0, or names; of a regression the values to predict, (n,) or (n, k).
    Optional are `track`, integers that are equal for examples of one thing, and `class_names`. Where there is no test
    part, the part `test` of every class, chosen by the seed, is kept out for testing.

    Args:
        path: the file. A relative path in a spec is read from the spec's own folder.
        task: `"classification"`, or `"regression"` where values are predicted.
        test: the part of each class that is kept for testing where the file has no test part.
        seed: what that part is chosen by.
    """

    task: Task = "classification"
    test: Part = 0.2
    seed: Seed = 0


SOURCES: dict[str, type[Source]] = {source.spec_name(): source for source in declared(Source)}
"""Every source by the name that a spec uses."""
