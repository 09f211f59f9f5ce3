"""The colours of images as they vary: brighter, greyer, sharper, with fewer shades, in training alone."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from specdsl.declaration import Misuse
from specdsl.layers.arguments import DataFormat
from specdsl.layers.augmentation import Augmentation, Range, bounds, chance, either_way, span
from specdsl.layers.shapes import Shape
from specdsl.layers.values import Fraction, FractionRange, Positive, Seed, SignedRange, ValueRange, as_tuple

_Bits = Annotated[int, Field(ge=1, le=8)]
BitRange = _Bits | Annotated[tuple[_Bits, _Bits], BeforeValidator(as_tuple)]


def _brightness(factor: Range, value_range: tuple[float, float]) -> str:
    low, high = value_range
    return f"adds {span(either_way(factor), high - low)} to all values of an image and clips them"


def _contrast(factor: Range) -> str:
    less, more = bounds(factor)
    return f"multiplies each value's distance from the mean of its channel by {span((1 - less, 1 + more))} and clips it"


def _saturation(factor: Range) -> str:
    return f"multiplies the saturation of each image by f / (1 - f), f = {span(either_way(factor))}"


def _hue(factor: Range) -> str:
    return f"turns the hue of each image by {span(bounds(factor), 180)} degrees, one way or the other"


class RandomBrightness(Augmentation):
    """Images made brighter or darker, by shares of the range of values."""

    factor: SignedRange
    value_range: ValueRange = (0, 255)
    seed: Seed = None

    def in_training(self) -> str:
        return _brightness(self.factor, self.value_range)


class RandomContrast(Augmentation):
    """Images with more contrast, or less: a single factor only adds to it, the smaller of two takes away."""

    factor: FractionRange
    value_range: ValueRange = (0, 255)
    seed: Seed = None

    def in_training(self) -> str:
        return _contrast(self.factor)


class RandomSaturation(Augmentation):
    """Colours made stronger or paler: a factor of 0.5 leaves them, 0 makes grey. Its images have values from 0 to 1."""

    channels = (3,)

    factor: SignedRange
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = None
    seed: Seed = None

    def in_training(self) -> str:
        return _saturation(self.factor)


class RandomHue(Augmentation):
    """Colours turned around the colour wheel, half a turn at most."""

    channels = (3,)

    factor: FractionRange
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = None
    seed: Seed = None

    def in_training(self) -> str:
        return _hue(self.factor)


class RandomColorJitter(Augmentation):
    """Brightness, contrast, saturation and hue varied one after the other, those that have a factor."""

    value_range: ValueRange = (0, 255)
    brightness_factor: SignedRange | None = None
    contrast_factor: FractionRange | None = None
    saturation_factor: SignedRange | None = None
    hue_factor: FractionRange | None = None
    seed: Seed = None
    data_format: DataFormat = None

    def check(self) -> None:
        looks = next((name for name in ("contrast", "saturation", "hue") if self._has(name)), None)
        if looks and self.data_format == "channels_first":
            message = f"RandomColorJitter varies the {looks} of images that have their channels last"
            raise Misuse(message, argument="data_format")

    def result_shape(self, *shapes: Shape) -> Shape:
        _, _, channels = self.image(shapes[0])
        if self._has("saturation") or self._has("hue"):
            self.check_channels(channels, (3,))
        return shapes[0]

    def _has(self, name: str) -> bool:
        return getattr(self, f"{name}_factor") is not None

    def in_training(self) -> str | None:
        deeds: list[str] = []
        if self.brightness_factor is not None:
            deeds.append(_brightness(self.brightness_factor, self.value_range))
        if self.contrast_factor is not None:
            deeds.append(_contrast(self.contrast_factor))
        if self.saturation_factor is not None:
            deeds.append(_saturation(self.saturation_factor))
        if self.hue_factor is not None:
            deeds.append(_hue(self.hue_factor))
        return "; ".join(deeds) or None


class RandomColorDegeneration(Augmentation):
    """Colours moved towards grey, or away from it."""

    channels = (3,)

    factor: SignedRange
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = None
    seed: Seed = None

    def in_training(self) -> str:
        return f"moves the colours of each image by {span(either_way(self.factor), 100, ' %')} of the way towards grey"


class RandomGrayscale(Augmentation):
    """Images without their colours, by chance; they keep three channels."""

    channels = (1, 3)

    factor: Fraction = 0.5
    data_format: DataFormat = None
    seed: Seed = None

    def in_training(self) -> str:
        return f"makes an image grey with probability {self.factor:.4g}"


class RandomInvert(Augmentation):
    """Images turned into negatives by chance."""

    factor: FractionRange = 1.0
    value_range: ValueRange = (0, 255)
    seed: Seed = None
    data_format: DataFormat = None

    def in_training(self) -> str:
        return f"{chance(self.factor)} takes the values of an image off {self.value_range[1]:.4g}"


class RandomPosterization(Augmentation):
    """Values of 8 bits with some of them left; the greater of two factors is never drawn, nor is a single one."""

    factor: BitRange
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = None
    seed: Seed = None

    def in_training(self) -> str:
        least, most = bounds(self.factor, 1)
        return f"leaves {span((least, max(least, most - 1)))} of 8 bits of each value, the highest"


class RandomSharpness(Augmentation):
    """Images sharpened or blurred: a factor of 0.5 leaves them, 0 blurs."""

    intake = "numbers"

    factor: FractionRange
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = None
    seed: Seed = None

    def in_training(self) -> str:
        low, high = bounds(self.factor)
        times = span((2 * low - 1, 2 * high - 1))
        return f"adds to each value its distance from a mean of the 9 values around it, times {times}, and clips it"


def _odd(value: int | tuple[int, int]) -> int | tuple[int, int]:
    if any(size % 2 == 0 for size in (value if isinstance(value, tuple) else (value,))):
        raise Misuse("'kernel_size' takes odd numbers, so that a pixel is in the middle")
    return value


class RandomGaussianBlur(Augmentation):
    """Images blurred by chance; the deviations of the blur are drawn for the whole batch."""

    intake = "numbers"

    factor: FractionRange = 1.0
    kernel_size: Annotated[
        Positive | Annotated[tuple[Positive, Positive], BeforeValidator(as_tuple)], AfterValidator(_odd)
    ] = 3
    sigma: FractionRange = 1.0
    value_range: ValueRange = (0, 255)
    data_format: DataFormat = None
    seed: Seed = None

    def in_training(self) -> str:
        size = self.kernel_size if isinstance(self.kernel_size, tuple) else (self.kernel_size, self.kernel_size)
        return (
            f"{chance(self.factor)} blurs an image with a Gaussian of {size[0]}·{size[1]} pixels "
            f"and a deviation of {span(bounds(self.sigma))}"
        )


class Solarization(Augmentation):
    """Images made brighter, and their values inverted from a threshold on, as film that is exposed too long."""

    intake = "numbers"

    addition_factor: FractionRange = 0.0
    threshold_factor: FractionRange = 0.0
    value_range: ValueRange = (0, 255)
    seed: Seed = None

    def in_training(self) -> str:
        addition, threshold = (_levels(factor) for factor in (self.addition_factor, self.threshold_factor))
        return f"of 255 levels, adds {addition} to each value and inverts those not below {threshold}"


def _levels(factor: Range) -> str:
    low, high = bounds(factor)
    return span((low, 255 * high))


class Equalization(Augmentation):
    """The values of each channel spread evenly over their range, those of all images of a batch together."""

    needs = ("channels",)
    no_step = "Keras leaves an Equalization out of a model that it is a step of"

    value_range: ValueRange = (0, 255)
    bins: Positive = 256
    data_format: DataFormat = None

    def in_training(self) -> str:
        return f"spreads the values of each channel evenly over {self.bins} bins, with one table for the whole batch"
