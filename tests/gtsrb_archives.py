"""Small benchmarks in the layouts of the large one, made for tests."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TRAINING, TEST, LABELS = (
    "GTSRB_Final_Training_Images.zip",
    "GTSRB_Final_Test_Images.zip",
    "GTSRB_Final_Test_GT.zip",
)
Files = dict[str, bytes]
"""Contents by names."""


class Sign(NamedTuple):
    """An image and what the tables say of it; `track` is 0 for test images, and `frame` their number."""

    label: int
    track: int
    frame: int
    pixels: NDArray[np.uint8]
    roi: tuple[int, int, int, int]


class Benchmark(NamedTuple):
    """Signs of both parts."""

    train: list[Sign]
    test: list[Sign]

    @property
    def rows(self) -> tuple[int, int]:
        return len(self.train), len(self.test)


def benchmark(classes: Iterable[int] = (0, 5, 42), tracks: int = 2, frames: int = 2, test: int = 3) -> Benchmark:
    """Smooth pictures of 25 to 60 pixels a side."""
    rng = np.random.default_rng(0)
    train = [sign(rng, label, t, f) for label in classes for t in range(tracks) for f in range(frames)]
    return Benchmark(train, [sign(rng, (7 * i) % 43, 0, i) for i in range(test)])


def sign(rng: np.random.Generator, label: int, track: int, frame: int) -> Sign:
    width, height = (int(side) for side in rng.integers(25, 60, 2))
    coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    return Sign(label, track, frame, np.asarray(coarse.resize((width, height))), (5, 6, width - 5, height - 4))


def ppm(pixels: NDArray[np.uint8]) -> bytes:
    return b"P6\n%d %d\n255\n" % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes()


def png(pixels: NDArray[np.uint8]) -> bytes:
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return written.getvalue()


def official(data: Benchmark) -> dict[str, Files]:
    """The files of the three official archives."""
    columns = ["Filename", "Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2", "ClassId"]
    training: Files = {"GTSRB/Readme-Images.txt": b"a text"}
    tables: dict[int, list[list[Any]]] = {}
    for one in data.train:
        name = f"{one.track:05d}_{one.frame:05d}.ppm"
        training[f"GTSRB/Final_Training/Images/{one.label:05d}/{name}"] = ppm(one.pixels)
        tables.setdefault(one.label, []).append([name, *shape(one), *one.roi, one.label])
    for label, rows in tables.items():
        training[f"GTSRB/Final_Training/Images/{label:05d}/GT-{label:05d}.csv"] = table(columns, rows, ";")
    rows = [[f"{one.frame:05d}.ppm", *shape(one), *one.roi, one.label] for one in data.test]
    test: Files = {f"GTSRB/Final_Test/Images/{one.frame:05d}.ppm": ppm(one.pixels) for one in data.test}
    # The archive of test images comes with a table that has no classes.
    test["GTSRB/Final_Test/Images/GT-final_test.test.csv"] = table(columns[:-1], [row[:-1] for row in rows], ";")
    return {TRAINING: training, TEST: test, LABELS: {"GT-final_test.csv": table(columns, rows, ";")}}


def kaggle(data: Benchmark) -> dict[str, Files]:
    """The files of the copy on Kaggle, which has every folder twice, differing in case."""
    columns = ["Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2", "ClassId", "Path"]
    train = {f"Train/{s.label}/{s.label:05d}_{s.track:05d}_{s.frame:05d}.png": s for s in reversed(data.train)}
    test = {f"Test/{s.frame:05d}.png": s for s in data.test}
    files: Files = {"Meta.csv": b"Path,ClassId\nMeta/27.png,27\n", "Meta/27.png": png(data.test[0].pixels)}
    for part, signs in (("Train", train), ("Test", test)):
        rows = [[*shape(one), *one.roi, one.label, path] for path, one in signs.items()]
        files[f"{part}.csv"] = table(columns, rows, ",")
        files |= {path: png(one.pixels) for path, one in signs.items()}
        files |= {path.lower(): png(one.pixels) for path, one in signs.items()}
    return {"archive.zip": files}


def shape(one: Sign) -> tuple[int, int]:
    return one.pixels.shape[1], one.pixels.shape[0]


def table(columns: list[str], rows: list[list[Any]], delimiter: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


def pack(archives: Mapping[str, Files], folder: Path) -> Path:
    """Zips in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, files in archives.items():
        with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, data in files.items():
                archive.writestr(member, data)
    return folder


def unpack(archives: Mapping[str, Files], folder: Path) -> Path:
    """All files in a folder, which is made."""
    for files in archives.values():
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
    return folder


class Heard:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.progressed: dict[str, tuple[int, int | None]] = {}

    def say(self, text: str) -> None:
        self.said.append(text)

    @contextmanager
    def progress(self, what: str, unit: str) -> Iterator[Callable[[int, int | None], None]]:
        yield lambda done, total: self.progressed.update({what: (done, total)})
