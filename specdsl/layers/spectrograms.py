"""Spectrograms: which frequencies a signal holds at which time."""

from collections.abc import Mapping
from math import ceil, log2
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from specdsl.counts import Count, Size, product
from specdsl.declaration import Misuse
from specdsl.layers.arguments import DataFormat, Padding
from specdsl.layers.base import Layer
from specdsl.layers.facts import Weight
from specdsl.layers.shapes import Shape, known, require_rank, show
from specdsl.layers.spatial import join, slide, split
from specdsl.layers.values import NonNegativeFloat, Positive, WindowArgument

_OPERATIONS = {"real": 0, "imag": 0, "stft": 0, "angle": 1, "psd": 4, "magnitude": 5, "log": 7}
"""Operations for each value beside the convolutions: an arctangent; two squares and their sum; doubled; a maximum and a
root; a maximum and a logarithm."""


class STFTSpectrogram(Layer):
    """The short-time Fourier transform of each channel, by convolutions that can be trained."""

    family = "preprocessing"
    call_training = True

    roles: ClassVar[Mapping[str, str]] = {
        "real_kernel": "a cosine for each frequency, under the window",
        "imag_kernel": "a sine for each frequency, under the window",
    }
    work = "the real and the imaginary kernel, at each place of the output"

    mode: Literal["log", "magnitude", "psd", "real", "imag", "angle", "stft"] = "log"
    frame_length: Positive = 256
    frame_step: Positive | None = None
    fft_length: Positive | None = None
    window: WindowArgument = "hann"
    periodic: bool = False
    scaling: Literal["density", "spectrum"] | None = "density"
    padding: Padding = "valid"
    expand_dims: bool = False
    data_format: DataFormat = None
    dtype: Literal["float16", "float32", "float64", "mixed_float16"] | None = None  # Keras refuses bfloat16 when called

    def check(self) -> None:
        if self.frame_step and self.frame_step > self.frame_length:
            message = f"a frame_step of {self.frame_step} leaves gaps between frames of {self.frame_length}"
            raise Misuse(message, argument="frame_step")
        if not self.frame_step and self.frame_length == 1:
            raise Misuse("frames of 1 need a frame_step: half of that is none", argument="frame_length")
        if self.fft_length and self.fft_length < self.frame_length:
            message = f"a transform of {self.fft_length} values cannot hold a frame of {self.frame_length}"
            raise Misuse(message, argument="fft_length")
        if self.mode == "psd" and self._bands() == 1:
            message = 'STFTSpectrogram of one frequency: with mode="psd" Keras infers one band and makes two'
            raise Misuse(message, argument="mode", help="a frame_length or fft_length of 2 or more")

    def result_shape(self, *shapes: Shape) -> Shape:
        frames, channels = self._frames(shapes[0])
        bands = self._bands() * (2 if self.mode == "stft" else 1)
        if not self.expand_dims:
            return join((frames,), channels * bands, self.data_format)
        return (channels, frames, bands) if self.data_format == "channels_first" else (frames, bands, channels)

    def weights(self, *shapes: Shape) -> tuple[Weight, ...]:
        names = [part for part, without in (("real", "imag"), ("imag", "real")) if self.mode != without]
        return tuple(Weight(f"{part}_kernel", (self.frame_length, 1, self._bands())) for part in names)

    def macs(self, *shapes: Shape) -> Count:
        frames, channels = self._frames(shapes[0])
        parts = 1 if self.mode in ("real", "imag") else 2
        return product(frames, self.frame_length, self._bands(), channels, parts)

    def operations(self, *shapes: Shape) -> Count:
        each = _OPERATIONS[self.mode]
        return each * product(*self.result_shape(*shapes)) if each else Count()

    def _bands(self) -> int:
        """How many frequencies it tells apart."""
        return (self.fft_length or 2 ** ceil(log2(self.frame_length))) // 2 + 1

    def _frames(self, shape: Shape) -> tuple[Size, int]:
        """How many frames there are, and how many channels."""
        spatial, channels = split(shape, 1, self, self.data_format)
        step = self.frame_step or self.frame_length // 2
        places = slide(spatial, (self.frame_length,), (step,), self.padding, layer=self, argument="frame_length")
        return places[0], known(channels, self, "the number of channels")


class MelSpectrogram(Layer):
    """How strong a signal is at each time in bands of frequencies that sound evenly spaced, in decibels."""

    family = "preprocessing"
    call_training = True

    work = "the strength of each frequency, with its share in each band"

    fft_length: Positive = 2048
    sequence_stride: Positive = 512
    sequence_length: Positive | None = None
    window: Literal["hann", "hamming"] | None = "hann"
    sampling_rate: Positive = 16000
    num_mel_bins: Positive = 128
    min_freq: NonNegativeFloat = 20.0
    max_freq: NonNegativeFloat | None = None
    power_to_db: bool = True
    top_db: float = 80.0
    mag_exp: float = 2.0
    min_power: Annotated[float, Field(gt=0)] = 1e-10
    ref_power: float = 1.0

    def check(self) -> None:
        if self.sequence_length and self.sequence_length > self.fft_length:
            message = f"a transform of {self.fft_length} values cannot hold a sequence of {self.sequence_length}"
            raise Misuse(message, argument="sequence_length")
        highest = self.max_freq or self.sampling_rate // 2
        if self.min_freq >= highest:
            raise Misuse(f"no frequencies lie between {self.min_freq:g} and {highest:g} Hz", argument="min_freq")
        if self.power_to_db and self.policy.compute == "float64":
            message = "MelSpectrogram makes no decibels in float64: TensorFlow subtracts no float32 from it"
            raise Misuse(message, argument="dtype", help='dtype="float32", or power_to_db=false')

    def result_shape(self, *shapes: Shape) -> Shape:
        (shape,) = shapes
        require_rank(shape, 1, self, "a signal of shape (samples,)")
        (samples,) = shape
        margin = self.fft_length // 2
        if samples is not None and samples <= margin:
            message = f"MelSpectrogram mirrors {margin} samples at either end"
            hint = f"fft_length={max(2 * (samples - 1), 1)}"
            raise Misuse(
                f"{message}, and a tensor of shape {show(shape)} has no more", argument="fft_length", help=hint
            )
        frames = self._frames(samples)
        if samples is not None and (samples + self.sequence_stride + 1) // self.sequence_stride != frames:
            message = f"MelSpectrogram makes {frames} frames of {samples} samples, and Keras infers one more"
            raise Misuse(
                message, argument="sequence_stride", help=f"{samples - 1} or {samples + 1} samples go together"
            )
        return (self.num_mel_bins, frames)

    def macs(self, *shapes: Shape) -> Count:
        return product(self._frames(shapes[0][0]), self._bands(), self.num_mel_bins)

    def operations(self, *shapes: Shape) -> Count:
        # For each frame the window, and a fast Fourier transform of about 5·n·log2(n) operations (Cooley and Tukey,
        # 1965); for each frequency two squares, a sum, a root and a power; for each band the decibels: a bound, a
        # logarithm, a factor, a difference, and two comparisons with the greatest of all.
        frames, size = self._frames(shapes[0][0]), self.fft_length
        work = product(frames, 5, size, ceil(log2(size))) + product(frames, 5, self._bands())
        work = product(frames, size) + work if self.window else work
        return work + (6 * product(frames, self.num_mel_bins) if self.power_to_db else Count())

    def _bands(self) -> int:
        return self.fft_length // 2 + 1

    def _frames(self, samples: Size) -> Size:
        if samples is None:
            return None
        return 1 + (samples - self.fft_length % 2) // self.sequence_stride
