"""Preparing the benchmark: from the archives, on disk or fetched, to one file of images of one size."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from specdsl.data import gtsrb_cache
from specdsl.data.dataset import DataError
from specdsl.data.downloads import Remote, UnreachableError, fetch, md5_sum
from specdsl.data.files import explained
from specdsl.data.gtsrb import OFFICIAL
from specdsl.data.gtsrb_cache import About, Origin
from specdsl.data.gtsrb_images import decode
from specdsl.data.gtsrb_layouts import Found, Row, find
from specdsl.data.signs import SIGNS
from specdsl.version import __version__

ROOT = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/"

ARCHIVES = (
    Remote(f"{ROOT}GTSRB_Final_Training_Images.zip", "f33fd80ac59bff73c82d25ab499e03a3"),
    Remote(f"{ROOT}GTSRB_Final_Test_Images.zip", "c7e4e6327067d32654124b0fe9e82185"),
    Remote(f"{ROOT}GTSRB_Final_Test_GT.zip", "fe31e9c9270bbcd7b84b7f21a9d9d9e5"),
)
"""The archives as the authors of the benchmark published them."""

COMPETITION = 26_640
"""Training images of the competition of 2011, in `GTSRB-Training_fixed.zip`."""

DOWNLOADS = "downloads"
"""The folder, within that of prepared data, where archives are kept that were fetched."""

Advance = Callable[[int, int | None], None]
"""Told of how much is done by now, and how much there is, if that is known."""


class Reporter(Protocol):
    """Who tells a person what happens."""

    def say(self, text: str) -> None:
        """Tell one thing."""

    def progress(self, what: str, unit: Literal["bytes", "images"]) -> AbstractContextManager[Advance]:
        """Show how far something is, while the context is entered."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of preparing.

    Attributes:
        file: where it lies.
        about: what it holds.
        new: whether it was made now, or was there.
    """

    file: Path
    about: About
    new: bool


def prepare(
    sources: Sequence[Path],
    folder: Path,
    reporter: Reporter,
    *,
    size: int = 32,
    roi: bool = False,
    partial: bool = False,
    workers: int = 1,
    archives: Sequence[Remote] = ARCHIVES,
    rows: tuple[int, int] = OFFICIAL,
) -> Result:
    """Make the file that `gtsrb(size, roi)` loads.

    Args:
        sources: folders and zips that hold the benchmark; if there are none, it is fetched.
        folder: where the file is to lie; it is made.
        reporter: told what happens.
        size: height and width of the images.
        roi: whether to cut them to the region of interest.
        partial: whether less than the whole benchmark will do.
        workers: how many processes decode.
        archives: what to fetch.
        rows: how many training and test images the whole has.

    Raises:
        DataError: the benchmark is not there, not whole, broken, unsafe or cannot be fetched; or the file cannot be
            written.
    """
    _check_libraries(fetching=not sources)
    target = folder / gtsrb_cache.file_name(size, roi)
    there = _there(target, reporter)
    if there and not there.partial:
        if not sources:
            return Result(target, there, new=False)
        if partial:
            raise DataError(
                f"{target} holds the whole benchmark", help="give a part of it another folder with --to DIR"
            )
    sources = sources or (_fetched(archives, folder / DOWNLOADS, reporter),)
    with ExitStack() as opened:
        found = find(sources, opened)
        reporter.say(f"{found.layout} layout: {len(found.train):,} training and {len(found.test):,} test images")
        for part, place in found.places.items():
            reporter.say(f"  {part}: {place}")
        for place in found.unused:
            reporter.say(f"  not used: {place}")
        whole = _check_counts(found, rows, partial, ", ".join(map(str, sources)))
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        sums = _sums(found.zips, reporter)
        published = {archive.name: archive.md5 for archive in archives}
        official = bool(sums) and all(published.get(name) == found_sum for name, found_sum in sums.items())
        if official:
            reporter.say("the archives have the published sums")
        about = About(
            size=size,
            roi=roi,
            partial=not whole,
            train=len(found.train),
            test=len(found.test),
            class_names=tuple(name for name, _ in SIGNS),
            origin=Origin(layout=found.layout, archives=sums, official=official, images=""),
            software=_software(),
        )
        return Result(target, _write(target, about, found, workers, reporter), new=True)


def _check_libraries(fetching: bool) -> None:
    """Refuse at once what would fail later, for want of a library that is an extra."""
    for module, name in (("PIL", "pillow"), *([("requests", "requests")] if fetching else [])):
        if find_spec(module) is None:
            raise DataError(
                f"preparing data needs {name}, which is not installed", help="pip install 'specdsl[training]'"
            )


def _there(target: Path, reporter: Reporter) -> About | None:
    """What a file from before is, when it is whole."""
    if not target.exists():
        return None
    try:
        return gtsrb_cache.read(target).about
    except DataError as error:
        reporter.say(f"{error.message}; it is made anew")
        return None


def _fetched(archives: Sequence[Remote], folder: Path, reporter: Reporter) -> Path:
    """The folder with all archives in it."""
    try:
        for archive in archives:
            with reporter.progress(f"fetching {archive.name}", "bytes") as advance:
                fetch(archive, folder, advance)
    except UnreachableError as error:
        listed = "\n".join(f"  {archive.url}  (MD5 {archive.md5})" for archive in archives)
        raise UnreachableError(
            error.message,
            help="try again, which goes on where it stopped; behind a proxy, set HTTPS_PROXY; or fetch these by hand\n"
            f"{listed}\nand name the folder where they lie: specdsl data prepare gtsrb --from DIR",
        ) from None
    return folder


def _check_counts(found: Found, rows: tuple[int, int], partial: bool, where: str) -> bool:
    """Whether it is the whole benchmark; refused when it is not and a part is not asked for."""
    counts = (len(found.train), len(found.test))
    if not all(counts):
        raise DataError(f"{where}: {counts[0]:,} training and {counts[1]:,} test images")
    if counts == rows:
        return True
    if partial:
        return False
    told = f"{counts[0]:,} training and {counts[1]:,} test images, but the benchmark has {rows[0]:,} and {rows[1]:,}"
    if counts[0] == COMPETITION:
        raise DataError(
            f"{where}: {told}",
            help=f"{COMPETITION:,} training images are those of the competition of 2011 (GTSRB-Training_fixed.zip): "
            "another set, whose results do not compare; fetch GTSRB_Final_Training_Images.zip",
        )
    raise DataError(
        f"{where}: {told}",
        help="something is missing; for a part of the benchmark on purpose, say --partial",
    )


def _sums(zips: Sequence[Path], reporter: Reporter) -> dict[str, str]:
    sums = {}
    for file in zips:
        with reporter.progress(f"reading {file.name}", "bytes") as advance, explained(file.parent):
            sums[file.name] = md5_sum(file, advance)
    return sums


def _write(target: Path, about: About, found: Found, workers: int, reporter: Reporter) -> About:
    """The file, with the images decoded as they are written."""
    digest = sha256()
    done = 0
    with reporter.progress("decoding", "images") as advance:

        def images(rows: Sequence[Row]) -> Iterator[NDArray[np.uint8]]:
            nonlocal done
            with closing(decode(found.trees, rows, about.size, about.roi, workers)) as chunks:
                for chunk in chunks:
                    digest.update(chunk.sums)
                    done += len(chunk.pixels)
                    advance(done, about.train + about.test)
                    yield chunk.pixels

        def told() -> About:
            return about.model_copy(update={"origin": about.origin.model_copy(update={"images": digest.hexdigest()})})

        train, test = _columns(found.train), _columns(found.test)
        columns = {f"train_{name}": values for name, values in train.items()}
        columns |= {f"test_{name}": values for name, values in test.items()}
        columns |= {"test_number": test["frame"]}
        return gtsrb_cache.write(
            target, about, columns | {"train_image": images(found.train), "test_image": images(found.test)}, told
        )


def _columns(rows: Sequence[Row]) -> dict[str, NDArray[Any]]:
    return {
        "label": np.array([row.label for row in rows]),
        "track": np.array([row.track for row in rows]),
        "frame": np.array([row.frame for row in rows]),
        "size": np.array([row.size for row in rows]),
        "roi": np.array([row.roi for row in rows]),
    }


def _software() -> dict[str, str]:
    import PIL

    return {
        "specdsl": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pillow": PIL.__version__,
    }
