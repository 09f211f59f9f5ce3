"""What all convolutions have in common: a kernel that lies over places of spatial axes."""

from typing import TYPE_CHECKING, ClassVar

from specdsl.layers.base import Layer
from specdsl.layers.facts import Reach, Weight
from specdsl.layers.shapes import Shape, known
from specdsl.layers.spatial import seen, slid, slide, split

if TYPE_CHECKING:
    from specdsl.layers.arguments import DataFormat
    from specdsl.layers.values import Ints


class Kernelled(Layer):
    """A layer with a kernel."""

    abstract = True
    family = "convolution"
    rank: ClassVar[int]

    if TYPE_CHECKING:  # arguments of all that are below, which each declares at the place that Keras has them at
        kernel_size: Ints
        strides: Ints
        padding: str
        data_format: DataFormat
        dilation_rate: Ints
        use_bias: bool

    def _channels(self, shape: Shape) -> int:
        _, channels = split(shape, self.rank, self, self.data_format)
        return known(channels, self, "the number of channels")

    def _extent(self) -> tuple[int, ...]:
        """How far the kernel reaches along each axis, its gaps included."""
        pairs = zip(self.kernel_size, self.dilation_rate, strict=True)
        return tuple(dilation * (kernel - 1) + 1 for kernel, dilation in pairs)

    def _bias(self, channels: int) -> tuple[Weight, ...]:
        return (Weight("bias", (channels,)),) if self.use_bias else ()


class Sliding(Kernelled):
    """A layer whose kernel is slid over what enters."""

    abstract = True

    def reach(self, *shapes: Shape) -> Reach | None:
        spatial, _ = split(shapes[0], self.rank, self, self.data_format)
        return seen(spatial, self._extent(), self.strides, self.padding)

    def _places(self, shape: Shape) -> Shape:
        """How many places the kernel takes along each axis."""
        spatial, _ = split(shape, self.rank, self, self.data_format)
        window = (self.kernel_size, self.strides, self.padding, self.dilation_rate)
        return slide(spatial, *window, layer=self, argument="kernel_size")

    def _slid(self, shape: Shape) -> str:
        """How these places come about, in words."""
        spatial, _ = split(shape, self.rank, self, self.data_format)
        return slid(spatial, self.kernel_size, self.strides, self.padding, self.dilation_rate)
