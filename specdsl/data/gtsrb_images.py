"""Pixels of the benchmark: read, checked against what the tables say, cut and resized, on several cores.

An image becomes `size` by `size` pixels by Pillow's bicubic filter, which is antialiased: where it shrinks, its kernel
grows with the step. Width and height are scaled each on its own, so that what is not square becomes square. Without
`roi` the whole frame is taken: the box around the sign, and a border of about a tenth of the sign. With `roi` it is the
box, widened at every side by a twentieth of its width or height, in whole pixels and at least one, as far as the frame
reaches; pixels outside of that do not enter.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from specdsl.data.archives import Tree
from specdsl.data.dataset import DataError
from specdsl.data.gtsrb_layouts import LARGEST_SIDE, Row

if TYPE_CHECKING:
    from PIL.Image import Image

MARGIN = 20
"""A region of interest is widened by one part in so many."""

MOST_WORKERS = 8
"""Each takes some 100 MB."""

_FEW = 2_000
"""Images that are decoded sooner than other processes have started."""

_CHUNK_BYTES = 1 << 20
_LARGEST_FILE = 3 * LARGEST_SIDE**2 + 4096


class Chunk(NamedTuple):
    """Images that follow each other.

    Attributes:
        pixels: uint8 (n, size, size, 3).
        sums: the SHA-256 of each file as it was read, one behind the other.
    """

    pixels: NDArray[np.uint8]
    sums: bytes


def cores() -> int:
    """How many processes decode when nobody says: the cores that this process may use, and at most `MOST_WORKERS`."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, MOST_WORKERS)


def region(size: tuple[int, int], roi: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """The part of an image that `roi` stands for: left, top, and right and bottom, which are outside of it."""
    left, top, right, bottom = roi
    across = max(1, (right - left + MARGIN // 2) // MARGIN)
    down = max(1, (bottom - top + MARGIN // 2) // MARGIN)
    return max(0, left - across), max(0, top - down), min(size[0], right + across), min(size[1], bottom + down)


def decode(
    trees: Sequence[Tree], rows: Sequence[Row], size: int, roi: bool, workers: int
) -> Generator[Chunk, None, None]:
    """The images of rows in their order, in chunks of about a megabyte, of which few are in memory at any time.

    Raises:
        DataError: an image is broken, or is not what its row says; or a process was killed.
    """
    step = max(1, min(256, _CHUNK_BYTES // (3 * size * size)))
    chunks = [rows[start : start + step] for start in range(0, len(rows), step)]
    if workers == 1 or len(rows) <= _FEW:
        for chunk in chunks:
            yield _chunk(trees, chunk, size, roi)
        return
    # Not by fork: this process may have threads, and then a forked one may hang.
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_start, initargs=(tuple(trees), size, roi)
    )
    waiting: deque[Future[Chunk]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(_work, chunk))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise DataError(
            "a process that decodes images was ended from outside", help="memory may be short: try --workers 1"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


_settings: tuple[Sequence[Tree], int, bool] = ((), 0, False)
"""What every chunk of a process has in common."""


def _start(trees: Sequence[Tree], size: int, roi: bool) -> None:
    global _settings
    _settings = (trees, size, roi)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The first process hears of Ctrl-C as well, and ends the others.
    threading.Thread(target=_end_with_the_first, daemon=True).start()


def _end_with_the_first() -> None:
    """End this process when the one that started it was killed: nobody else would."""
    first = multiprocessing.parent_process()
    assert first is not None
    first.join()
    os._exit(1)


def _work(rows: Sequence[Row]) -> Chunk:
    trees, size, roi = _settings
    return _chunk(trees, rows, size, roi)


def _chunk(trees: Sequence[Tree], rows: Sequence[Row], size: int, roi: bool) -> Chunk:
    pixels = np.empty((len(rows), size, size, 3), np.uint8)
    sums = []
    for i, row in enumerate(rows):
        tree = trees[row.tree]
        data = tree.read(row.name, _LARGEST_FILE)
        sums.append(sha256(data).digest())
        try:
            pixels[i] = resize(open_image(data, row.size), size, region(row.size, row.roi) if roi else None)
        except DataError as error:
            raise DataError(f"{tree.place(row.name)}: {error.message}", help=_AGAIN) from None
    return Chunk(pixels, b"".join(sums))


_AGAIN = "copy or fetch the images again, and prepare anew"


def open_image(data: bytes, size: tuple[int, int]) -> Image:
    """The colour image in the bytes of a PPM or PNG file.

    The header is read first: an image of another size is refused before memory is taken for it.

    Raises:
        DataError: it is neither, broken, of another size, or not of 8 bits a colour.
    """
    # The classes of the two formats, since Image.open warns of large images in a way that cannot be caught in threads.
    from PIL.PngImagePlugin import PngImageFile
    from PIL.PpmImagePlugin import PpmImageFile

    opener = {b"\x89PNG": PngImageFile, b"P6": PpmImageFile}.get(data[:4] if data[:1] == b"\x89" else data[:2])
    if opener is None:
        raise DataError("neither a PPM (P6) nor a PNG image")
    try:
        image = opener(io.BytesIO(data))
        if image.size == size:
            image.load()
    # A broken image fails in Pillow with whatever it comes upon.
    except Exception as error:
        raise DataError(f"a broken image ({error})") from None
    if image.size != size:
        raise DataError(f"an image of {image.width}x{image.height} pixels, where the table says {size[0]}x{size[1]}")
    if image.mode not in ("RGB", "RGBA", "L", "P"):
        raise DataError(f"an image of the kind {image.mode}, and not of 8 bits a colour")
    return image if image.mode == "RGB" else image.convert("RGB")


def resize(image: Image, size: int, box: tuple[int, int, int, int] | None) -> NDArray[np.uint8]:
    """An image, or a box of it, at `size` by `size` pixels.

    Returns:
        uint8 (size, size, 3).
    """
    from PIL.Image import Resampling

    # `resize` has an argument `box`, but its filter sees pixels outside of it.
    return np.asarray((image.crop(box) if box else image).resize((size, size), Resampling.BICUBIC))
