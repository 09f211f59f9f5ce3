"""Pictures of all kinds as arrays of one size."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ExifTags, Image

from specdsl.data import pictures
from specdsl.data.pictures import Fit, PictureError, files_in, read_picture

SHAPE = (16, 16, 3)


def colours(height: int = 24, width: int = 32) -> NDArray[np.uint8]:
    """Smooth colours, left and right, above and below not alike."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [rows * 255 // height, columns * 255 // width, (rows + columns) * 255 // (height + width)]
    return np.stack(planes, axis=-1).astype(np.uint8)


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def wanted(image: Image.Image, mode: str = "RGB") -> NDArray[np.uint8]:
    coloured = image if image.mode == mode else image.convert("RGB").convert(mode)
    return np.asarray(coloured.resize((16, 16), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("format", ["PPM", "PNG", "BMP", "TIFF", "WEBP", "GIF", "JPEG"])
def test_formats_and_sizes(format: str, tmp_path: Path) -> None:
    """A file of each gives its own pixels, brought to the size by the filter that data are prepared with."""
    image = Image.fromarray(colours())
    options = {"lossless": True} if format == "WEBP" else {}
    file = tmp_path / "picture"  # what a file is called says nothing
    file.write_bytes(saved(image, format, **options))
    picture = read_picture(file, SHAPE)
    assert (picture.name, picture.size) == (str(file), (32, 24))
    assert picture.notes == ("stretched to 16 × 16",)
    assert picture.pixels.dtype == np.uint8
    with Image.open(file) as again:
        np.testing.assert_array_equal(picture.pixels, wanted(again))
    near = 40 if format in ("GIF", "JPEG") else 0
    assert np.abs(picture.pixels.astype(int) - wanted(image)).max() <= near


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "LAB"])
@pytest.mark.parametrize("channels", [1, 3])
def test_modes(mode: str, channels: int) -> None:
    """Each mode becomes colours, or grey for a model of one channel."""
    image = Image.fromarray(colours()).convert("L" if mode == "1" else "RGB").convert(mode)
    if mode == "LAB":
        image = Image.merge("LAB", Image.fromarray(colours()).split())
    picture = read_picture(image, (16, 16, channels))
    assert picture.pixels.shape == (16, 16, channels)
    np.testing.assert_array_equal(picture.pixels.squeeze(), wanted(image, "RGB" if channels == 3 else "L").squeeze())


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    """In PNG, TIFF of either byte order and PGM; Pillow alone would cut off what is above 255."""
    grey = np.linspace(0, 65535, 16 * 16).reshape(16, 16)
    eight = np.rint(grey / 257).astype(int)
    for name in ("grey.png", "grey.tif", "grey.pgm"):
        Image.fromarray(grey.astype(np.uint16)).save(tmp_path / name)
    (tmp_path / "big.tif").write_bytes(saved(Image.frombytes("I;16B", (16, 16), grey.astype(">u2").tobytes()), "TIFF"))
    for file in sorted(tmp_path.iterdir()):
        picture = read_picture(file, SHAPE)
        assert np.abs(picture.pixels[:, :, 0] - eight).max() <= 1, file
        assert "values of more than 8 bits became 8 bits" in picture.notes


def test_floats_are_taken_from_0_to_1_and_nothing_is_guessed() -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    file = saved(Image.fromarray(ramp), "TIFF")
    np.testing.assert_array_equal(read_picture(file, SHAPE).pixels[:, :, 1], np.arange(256).reshape(16, 16))
    with pytest.raises(PictureError, match="grey values from 0 to 300: floats are taken from 0 to 1"):
        read_picture(saved(Image.fromarray(ramp * 300), "TIFF"), SHAPE)
    with pytest.raises(PictureError, match="integers are taken from 0 to 65,535"):
        read_picture(Image.fromarray(np.full((16, 16), 70_000, np.int32)), SHAPE)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_becomes_black(mode: str) -> None:
    """Whatever colour hides behind it."""
    image = Image.new("RGBA", (16, 16), (255, 255, 255, 0))
    image.paste((255, 255, 255, 255), (0, 0, 8, 16))
    made = image.convert("RGBA" if mode == "P" else mode)
    options: dict[str, Any] = {}
    if mode == "P":
        made = Image.new("P", (16, 16), 1)
        made.putpalette([255, 255, 255, 9, 9, 9])
        made.paste(0, (0, 0, 8, 16))
        options = {"transparency": 1}
    picture = read_picture(saved(made, "PNG", **options), SHAPE)
    assert (picture.pixels[:, :8] == 255).all()
    assert (picture.pixels[:, 8:] == 0).all()
    assert picture.notes == ("what is transparent became black",)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(orientation: int) -> None:
    """Every orientation of EXIF, undone as Pillow's `transpose` does it."""
    upright = Image.fromarray(colours())
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    picture = read_picture(saved(stored, "PNG", exif=exif), SHAPE)
    np.testing.assert_array_equal(picture.pixels, wanted(upright))
    assert picture.size == (32, 24)
    assert ("turned as its EXIF data say" in picture.notes) == (orientation > 1)


@pytest.mark.parametrize(("fit", "done"), [("crop", "cut"), ("pad", "padded"), ("stretch", "stretched")])
def test_ratios(fit: Fit, done: str) -> None:
    """A wide picture loses its sides, gets black above and below, or is squeezed."""
    wide = Image.new("RGB", (64, 32), "red")
    wide.paste("blue", (16, 0, 48, 32))
    picture = read_picture(wide, SHAPE, fit)
    assert picture.notes == (f"{done} to 16 × 16",)
    blue = (picture.pixels == [0, 0, 255]).all(axis=2)
    black = (picture.pixels == 0).all(axis=2)
    assert black.any() == (fit == "pad")
    assert {"crop": blue[:, 2:-2].all(), "pad": blue[8, 8] and black[0].all(), "stretch": not blue[0, 0]}[fit]


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    picture = read_picture(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]), SHAPE)
    assert (picture.pixels == [255, 0, 0]).all()
    assert picture.notes == ("the first of 3 frames",)


def test_too_large_pictures_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the size in their head: nothing of the pixels is read. So are those that Pillow itself takes for bombs."""
    head = b"P6 20000 20000 255\n"
    with pytest.raises(PictureError, match="more than 100,000,000 pixels"):
        read_picture(head, SHAPE)
    with pytest.raises(PictureError, match=r"12000 × 12000 pixels, which is more than 100,000,000"):
        read_picture(b"P6 12000 12000 255\n", SHAPE)
    monkeypatch.setattr(pictures, "PIXELS", 24 * 32)
    assert read_picture(Image.fromarray(colours()), SHAPE).size == (32, 24)
    monkeypatch.setattr(pictures, "PIXELS", 24 * 32 - 1)
    with pytest.raises(PictureError, match="32 × 24 pixels"):
        read_picture(Image.fromarray(colours()), SHAPE)


@pytest.mark.parametrize("format", ["PPM", "PNG", "TIFF", "WEBP", "GIF", "JPEG", "BMP"])
def test_broken_pictures_are_refused(format: str) -> None:
    whole = saved(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)), format)
    with pytest.raises(PictureError, match=r"broken picture|no picture"):
        read_picture(whole[: len(whole) // 2], SHAPE)


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"P6 4 4 255\n", b"II*\0", b"BM"])
)
def test_any_bytes_are_read_or_refused(rest: bytes, head: bytes) -> None:
    """Never another exception, nor a warning."""
    try:
        picture = read_picture(head + rest, SHAPE)
    except PictureError:
        return
    assert picture.pixels.shape == SHAPE


def test_arrays(tmp_path: Path) -> None:
    """Bytes as numpy has them are pictures too; other arrays are refused."""
    array = colours(16, 16)
    np.testing.assert_array_equal(read_picture(array, SHAPE).pixels, array)
    np.testing.assert_array_equal(read_picture(array[:, :, :1], (16, 16, 1)).pixels, array[:, :, :1])
    np.testing.assert_array_equal(read_picture(array[:, :, 0], SHAPE).pixels[:, :, 2], array[:, :, 0])
    with pytest.raises(PictureError, match=re.escape("an array of float64 (16, 16, 3)")):
        read_picture(array / 255, SHAPE)


def test_files_and_folders(tmp_path: Path) -> None:
    """A folder stands for its pictures, in order; anything else in it is passed over."""
    for name in ("b.png", "a.JPG", "c.ppm"):
        Image.fromarray(colours()).save(tmp_path / name, "PPM")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "deeper.png").mkdir()
    assert [file.name for file in files_in(tmp_path)] == ["a.JPG", "b.png", "c.ppm"]
    assert files_in(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]
    with pytest.raises(PictureError, match="a folder without pictures"):
        files_in(tmp_path / "deeper.png")
    with pytest.raises(PictureError, match="there is no such file"):
        read_picture(tmp_path / "missing.png", SHAPE)
    with pytest.raises(PictureError, match="a folder"):
        read_picture(tmp_path, SHAPE)
    with pytest.raises(PictureError, match="no picture in a format that Pillow knows"):
        read_picture(tmp_path / "notes.txt", SHAPE)
