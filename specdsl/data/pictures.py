"""Image files of any size, mode and format that Pillow reads, as arrays of one size: for data sets, and to predict."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

PIXELS = 100_000_000
"""How many pixels a picture may have: as red, green and blue it takes three bytes for each."""

BYTES = 1 << 28
"""How long a picture that comes by standard input may be."""

Fit = Literal["stretch", "crop", "pad"]
"""What becomes of pictures that have another ratio of height to width than is wanted."""

STANDARD_INPUT = "<stdin>"


class PictureError(Exception):
    """A picture that cannot be read; its message says why, without the name."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture in the size that a model's data were prepared in.

    Attributes:
        name: where it came from.
        pixels: uint8 (height, width, channels).
        size: its own width and height, upright.
        notes: what was done to it that one may not expect.
    """

    name: str
    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    notes: tuple[str, ...] = ()


def files_in(path: Path) -> list[Path]:
    """The file itself, or the files of a folder that are called like pictures, in order of their names.

    Raises:
        PictureError: the folder holds none, or cannot be read.
    """
    if not path.is_dir():
        return [path]
    known = image_endings()
    try:
        found = sorted(file for file in path.iterdir() if file.suffix.lower() in known and file.is_file())
    except OSError as error:
        raise PictureError(error.strerror or str(error)) from None
    if not found:
        raise PictureError("a folder without pictures")
    return found


def image_endings() -> frozenset[str]:
    """The endings of files that Pillow opens, such as `.png`."""
    from PIL import Image

    return frozenset(ending for ending, form in Image.registered_extensions().items() if form in Image.OPEN)


def read_picture(
    source: Path | bytes | Any, shape: tuple[int, int, int], fit: Fit = "stretch", name: str | None = None
) -> Picture:
    """A picture, upright, in colours or in grey, in one size.

    It is turned as its EXIF data say, of an animation the first frame is taken, what is transparent is laid upon black,
    16 bits a value become 8, and it is brought to the size by an antialiased bicubic filter.

    Args:
        source: a file, the bytes of one, a `PIL.Image.Image`, or an array uint8 (height, width), (height, width, 1), 3
            or 4 channels.
        shape: height, width and channels (1 or 3) of the result.
        fit: what becomes of one that has another ratio of height to width: "stretch" scales both each for itself,
            "crop" cuts out the middle, "pad" adds black.
        name: what to call it, by default the file's name.

    Raises:
        PictureError: it cannot be read, is too large, or holds numbers of unknown range.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return decoded(source, shape, fit, name)


def decoded(source: Path | bytes | Any, shape: tuple[int, int, int], fit: Fit, name: str | None = None) -> Picture:
    """As `read_picture`, but whoever calls it from several threads keeps Pillow's warnings away, once for all of them.

    Pillow warns of large pictures, which are refused here, and of odd EXIF data.
    """
    from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

    notes: list[str] = []
    height, width, channels = shape
    try:
        with _opened(source, Image) as image:
            columns, rows = image.size
            if columns * rows > PIXELS:
                raise PictureError(f"{columns} × {rows} pixels, which is more than {PIXELS:,}: make it smaller")
            if getattr(image, "is_animated", False):
                notes.append(f"the first of {getattr(image, 'n_frames', 'several')} frames")
            image.load()
            if image.getexif().get(ExifTags.Base.Orientation, 1) in range(2, 9):
                notes.append("turned as its EXIF data say")
            upright = ImageOps.exif_transpose(image)
            coloured = _coloured(upright, "L" if channels == 1 else "RGB", notes)
    except PictureError:
        raise
    except Image.DecompressionBombError:
        raise PictureError(f"more than {PIXELS:,} pixels: make it smaller") from None
    except FileNotFoundError:
        raise PictureError("there is no such file") from None
    except UnidentifiedImageError:
        raise PictureError("no picture in a format that Pillow knows") from None
    except Exception as error:  # each of Pillow's formats fails at broken files in ways of its own
        raise PictureError(f"a broken picture: {getattr(error, 'strerror', None) or error}") from None
    size = coloured.size
    if size[0] * height != size[1] * width:
        notes.append({"stretch": "stretched", "crop": "cut", "pad": "padded"}[fit] + f" to {width} × {height}")
    if fit == "crop":
        coloured = ImageOps.fit(coloured, (width, height), Image.Resampling.BICUBIC)
    elif fit == "pad":
        coloured = ImageOps.pad(coloured, (width, height), Image.Resampling.BICUBIC)
    elif size != (width, height):
        coloured = coloured.resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(coloured, np.uint8).reshape(height, width, channels)
    return Picture(
        name or (os.fspath(source) if isinstance(source, Path) else STANDARD_INPUT), pixels, size, tuple(notes)
    )


def _opened(source: Any, image: Any) -> Any:
    """The source as a Pillow image, whose pixels may not be read yet."""
    if isinstance(source, Path):
        if source.is_dir():
            raise PictureError("a folder")
        return image.open(source)
    if isinstance(source, bytes):
        return image.open(BytesIO(source))
    if isinstance(source, image.Image):
        return source.copy()
    array = np.asarray(source)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise PictureError(
            f"an array of {array.dtype} {array.shape}: bytes (height, width) or (height, width, 1, 3 or 4) are taken"
        )
    return image.fromarray(array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array)


def _coloured(image: Any, mode: str, notes: list[str]) -> Any:
    """The image in bytes of grey (`L`) or of red, green and blue (`RGB`)."""
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_bytes(np.asarray(image), image.mode, notes)).convert(mode)
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        if clear.getextrema()[3][0] < 255:
            notes.append("what is transparent became black")
        black = Image.new("RGBA", clear.size, "black")
        return Image.alpha_composite(black, clear).convert(mode)
    # Pillow has no way from some modes, such as LAB, to grey, but one to colours from each.
    return image.convert("RGB").convert(mode) if image.mode != mode else image


def _bytes(values: NDArray[Any], mode: str, notes: list[str]) -> NDArray[np.uint8]:
    """Grey values of more than eight bits as bytes: 16-bit integers from 0 to 65,535, floats from 0 to 1.

    Raises:
        PictureError: the values are in no such range.
    """
    least, greatest = float(values.min()), float(values.max())
    top = 1.0 if mode == "F" else 65535.0
    if not (least >= 0 and greatest <= top):  # what is no number is refused too
        what = "floats" if mode == "F" else "integers"
        raise PictureError(f"grey values from {least:g} to {greatest:g}: {what} are taken from 0 to {top:,.0f}")
    notes.append("values of more than 8 bits became 8 bits")
    return np.rint(values.astype(np.float64) * (255 / top)).astype(np.uint8)


def stacked(pictures: Iterable[Picture]) -> NDArray[np.uint8]:
    """Pictures of one size as one array, uint8 (n, height, width, channels)."""
    return np.stack([picture.pixels for picture in pictures])
