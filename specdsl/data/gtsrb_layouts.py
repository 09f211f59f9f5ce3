"""Where the images of the benchmark lie in folders and zips, and what the tables beside them say of each.

Two layouts are known. The official one, as the three archives unpack:

    GTSRB/Final_Training/Images/00000/00000_00000.ppm    class folder, track_frame
    GTSRB/Final_Training/Images/00000/GT-00000.csv       a table for each class, with semicolons
    GTSRB/Final_Test/Images/00000.ppm
    GT-final_test.csv                                    anywhere

and that of the copy on Kaggle:

    Train.csv, Test.csv                                  with commas, and the path of each image
    Train/0/00000_00000_00000.png                        class folder, class_track_frame
    Test/00000.png
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from specdsl.data.archives import FolderTree, Tree, ZipTree
from specdsl.data.dataset import DataError
from specdsl.recipes.sources import CLASSES

LARGEST_TABLE = 16 << 20
"""The most bytes of a table."""

LARGEST_SIDE = 4096
"""The most pixels that an image may be wide or high; the largest of the benchmark has 266."""

TRAINING, TEST, TEST_LABELS = "training images", "test images", "labels of the test images"

ARCHIVE_OF = {
    TRAINING: "GTSRB_Final_Training_Images.zip",
    TEST: "GTSRB_Final_Test_Images.zip",
    TEST_LABELS: "GTSRB_Final_Test_GT.zip",
}
"""The official archive that holds each part."""

_CLASS_TABLE = re.compile(r"(?:(.*)/)?(\d{5})/GT-\2\.csv")
_TEST_IMAGE = re.compile(r"(?:(.*)/)?\d{5}\.ppm")
_TEST_TABLE = re.compile(r"(?:.*/)?GT-final_test\.csv")
_KAGGLE_TABLE = re.compile(r"(?:(.*)/)?Train\.csv")
_IMAGE = re.compile(r".*\.(ppm|png)", re.IGNORECASE)
_NUMBERS = ("Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2", "ClassId")


class Row(NamedTuple):
    """What is known of an image before it is read.

    Attributes:
        tree: the number of its tree in `Found.trees`.
        name: its name there.
        label: its class.
        track: the number of the physical sign within its class; 0 for test images, where it is not known.
        frame: its number within the track; of a test image, its number.
        size: width and height in pixels.
        roi: the box around the sign: left, top, and right and bottom, which are outside of it.
        told: the table and its line, for messages.
    """

    tree: int
    name: str
    label: int
    track: int
    frame: int
    size: tuple[int, int]
    roi: tuple[int, int, int, int]
    told: str


@dataclass(frozen=True, slots=True)
class Found:
    """The images of a training and a test part, in order of class, track and frame, and of number.

    Attributes:
        layout: "official" or "Kaggle".
        trees: where files are read from.
        train: training images.
        test: test images.
        places: where each part lies, for people, by what it is.
        zips: the zips that anything is read from.
        unused: other places with images of the benchmark, which were left alone.
    """

    layout: str
    trees: tuple[Tree, ...]
    train: tuple[Row, ...]
    test: tuple[Row, ...]
    places: dict[str, str]
    zips: tuple[Path, ...]
    unused: tuple[str, ...]


@dataclass(slots=True)
class _Candidates:
    """All places that could be a part: the number of a tree, and a folder or file in it."""

    training: list[tuple[int, str]] = field(default_factory=list)
    test: list[tuple[int, str]] = field(default_factory=list)
    labels: list[tuple[int, str]] = field(default_factory=list)
    kaggle: list[tuple[int, str]] = field(default_factory=list)
    without_classes: str | None = None


def find(sources: Sequence[Path], opened: ExitStack) -> Found:
    """The images of the benchmark in folders and zips; zips that lie in a folder are looked into.

    Where a part is found more than once, zips go before folders, and otherwise the first by name is taken. All zips are
    closed with `opened`.

    Raises:
        DataError: a source cannot be read or is unsafe; a part is missing; or rows and images do not match.
    """
    trees, unread = _trees(sources, opened)
    candidates = _candidates(trees)
    if candidates.training and candidates.test and candidates.labels:
        return _official(trees, candidates)
    if candidates.kaggle:
        return _kaggle(trees, candidates)
    raise _missing(sources, trees, candidates, unread)


def _trees(sources: Sequence[Path], opened: ExitStack) -> tuple[tuple[Tree, ...], list[DataError]]:
    """Every source as a tree, behind the zips that lie in it; and of those, what makes some unreadable."""
    zips: dict[Path, ZipTree] = {}
    folders: dict[Path, FolderTree] = {}
    unread: list[DataError] = []
    for source in sources:
        if source.is_dir():
            folder = folders[source.resolve()] = FolderTree(source)
            for name in folder.names:
                if name.lower().endswith(".zip"):
                    within = ZipTree(source / name)
                    opened.callback(within.close)
                    try:
                        assert within.names is not None
                        zips.setdefault(within.path.resolve(), within)
                    except DataError as error:
                        unread.append(error)
        elif source.is_file():
            if source.suffix.lower() == ".part":
                raise DataError(f"{source}: a download that did not end", help="run `specdsl data prepare gtsrb` again")
            alone = ZipTree(source)
            opened.callback(alone.close)
            zips.setdefault(source.resolve(), alone)
        else:
            raise DataError(f"{source}: no such file or folder")
    trees: tuple[Tree, ...] = (*zips.values(), *folders.values())
    for tree in trees:
        assert tree.names is not None
    return trees, unread


def _candidates(trees: Iterable[Tree]) -> _Candidates:
    found = _Candidates()
    for number, tree in enumerate(trees):
        training, test, labels, kaggle = set(), set(), [], []
        present = set(tree.names)
        for name in tree.names:
            if match := _CLASS_TABLE.fullmatch(name):
                training.add(match[1] or "")
            elif match := _TEST_IMAGE.fullmatch(name):
                test.add(match[1] or "")
            elif _TEST_TABLE.fullmatch(name):
                labels.append(name)
            elif (match := _KAGGLE_TABLE.fullmatch(name)) and name.removesuffix("Train.csv") + "Test.csv" in present:
                kaggle.append(match[1] or "")
            elif name.endswith("GT-final_test.test.csv"):
                found.without_classes = f"{tree.path}: {name}"
        found.training += [(number, folder) for folder in sorted(training)]
        found.test += [(number, folder) for folder in sorted(test)]
        found.labels += [(number, name) for name in labels]
        found.kaggle += [(number, folder) for folder in kaggle]
    # Archives of the competition of 2011 have the same form: where there are both, the names of the folders decide.
    found.training.sort(key=lambda place: not place[1].endswith("Final_Training/Images"))
    found.test.sort(key=lambda place: not place[1].endswith("Final_Test/Images"))
    return found


def _missing(
    sources: Sequence[Path], trees: Sequence[Tree], candidates: _Candidates, unread: Sequence[DataError]
) -> DataError:
    """What to say when not all parts are there."""
    where = ", ".join(map(str, sources))
    parts = {TRAINING: candidates.training, TEST: candidates.test, TEST_LABELS: candidates.labels}
    there = [f"{part} in {_place(trees, places[0])}" for part, places in parts.items() if places]
    lacking = [part for part, places in parts.items() if not places]
    lines = [f"also: {error.message}" for error in unread]
    if not there:
        files = sum(len(tree.names) for tree in trees)
        lines.insert(0, f"{where}: no images of the benchmark among {files:,} files")
        wanted = " and ".join(ARCHIVE_OF.values())
        return DataError(
            "\n".join(lines),
            help=f"name the folder with {wanted}, or where they are unpacked, or Kaggle's with Train.csv and Test.csv",
        )
    lines.insert(0, f"{where}: {' and '.join(there)}, but no {' and no '.join(lacking)}")
    told = f"the official archive {' and '.join(ARCHIVE_OF[part] for part in lacking)} holds what is missing"
    if lacking == [TEST_LABELS] and candidates.without_classes:
        told += "; GT-final_test.test.csv, which comes with the images, has no classes"
    return DataError("\n".join(lines), help=f"{told}: put it beside the others, or name it too")


def _official(trees: tuple[Tree, ...], candidates: _Candidates) -> Found:
    (training, *more), (test, *other), (labels, *further) = candidates.training, candidates.test, candidates.labels
    return Found(
        layout="official",
        trees=trees,
        train=_official_training(trees, *training),
        test=_official_test(trees, test, labels),
        places={part: _place(trees, place) for part, place in zip(ARCHIVE_OF, (training, test, labels), strict=True)},
        zips=_zips(trees, training, test, labels),
        unused=tuple(_place(trees, place) for place in (*more, *other, *further, *candidates.kaggle)),
    )


def _official_training(trees: Sequence[Tree], number: int, folder: str) -> tuple[Row, ...]:
    tree, prefix = trees[number], f"{folder}/" if folder else ""
    rows: list[Row] = []
    for name in tree.names:
        match = _CLASS_TABLE.fullmatch(name)
        if not match or (match[1] or "") != folder:
            continue
        for told, values, row in _table(tree, name, "Filename"):
            parts = re.fullmatch(r"(\d{5})_(\d{5})\.ppm", row)
            if not parts:
                raise DataError(f"{told}: '{row}' is no name of a training image, such as 00000_00000.ppm")
            if values[6] != int(match[2]):
                raise DataError(f"{told}: class {values[6]} in the folder of class {int(match[2])}")
            rows.append(_row(number, f"{prefix}{match[2]}/{row}", int(parts[1]), int(parts[2]), values, told))
    return _by_track(_matched(rows, tree, prefix))


def _official_test(trees: Sequence[Tree], images: tuple[int, str], labels: tuple[int, str]) -> tuple[Row, ...]:
    number, folder = images
    prefix = f"{folder}/" if folder else ""
    rows: list[Row] = []
    for told, values, row in _table(trees[labels[0]], labels[1], "Filename"):
        parts = re.fullmatch(r"(\d{5})\.ppm", row)
        if not parts:
            raise DataError(f"{told}: '{row}' is no name of a test image, such as 00000.ppm")
        rows.append(_row(number, prefix + row, 0, int(parts[1]), values, told))
    return _by_number(_matched(rows, trees[number], prefix, deep=False))


def _kaggle(trees: tuple[Tree, ...], candidates: _Candidates) -> Found:
    (number, folder), *others = candidates.kaggle
    tree, prefix = trees[number], f"{folder}/" if folder else ""
    parts: list[tuple[Row, ...]] = []
    for part, form, example in (
        ("Train", r"Train/(\d+)/(\d{5})_(\d{5})_(\d{5})\.png", "Train/0/00000_00000_00000.png"),
        ("Test", r"Test/()()()(\d{5})\.png", "Test/00000.png"),
    ):
        rows: list[Row] = []
        for told, values, row in _table(tree, f"{prefix}{part}.csv", "Path"):
            match = re.fullmatch(form, row)
            if not match:
                raise DataError(f"{told}: '{row}' is no path of an image, such as {example}")
            if any(label and int(label) != values[6] for label in match.groups()[:2]):
                raise DataError(f"{told}: class {values[6]}, and the path is {row}")
            rows.append(_row(number, prefix + row, int(match[3] or 0), int(match[4]), values, told))
        parts.append(_matched(rows, tree, f"{prefix}{part}/"))
    return Found(
        layout="Kaggle",
        trees=trees,
        train=_by_track(parts[0]),
        test=_by_number(parts[1]),
        places={"tables and images": _place(trees, (number, folder))},
        zips=_zips(trees, (number, folder)),
        unused=tuple(
            _place(trees, place) for place in (*others, *candidates.training, *candidates.test, *candidates.labels)
        ),
    )


def _table(tree: Tree, name: str, column: str) -> list[tuple[str, tuple[int, ...], str]]:
    """The rows of a table: where each stands, the numbers of `_NUMBERS`, and what stands in `column`."""
    shown = tree.place(name)
    try:
        text = tree.read(name, LARGEST_TABLE).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{shown}: not a text") from None
    header = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";" if ";" in header else ",")
    rows: list[tuple[str, tuple[int, ...], str]] = []
    try:
        columns = next(reader, [])
        missing = [wanted for wanted in (*_NUMBERS, column) if wanted not in columns]
        if missing:
            raise DataError(f"{shown}: has no column {' and no column '.join(missing)}")
        places, place = [columns.index(wanted) for wanted in _NUMBERS], columns.index(column)
        for cells in reader:
            told = f"{shown}, line {reader.line_num}"
            if not cells:
                continue
            if len(cells) != len(columns):
                raise DataError(f"{told}: {len(cells)} cells, and the table has {len(columns)} columns")
            numbers = [cells[i] for i in places]
            # Sizes of images have a few digits; int() of very long ones would take long.
            if not all(re.fullmatch(r"[0-9]{1,6}", cell) for cell in numbers):
                raise DataError(f"{told}: {';'.join(numbers)} are not all whole numbers")
            rows.append((told, tuple(map(int, numbers)), cells[place]))
    except csv.Error as error:
        raise DataError(f"{shown}, line {reader.line_num}: not a table ({error})") from None
    return rows


def _row(tree: int, name: str, track: int, frame: int, values: tuple[int, ...], told: str) -> Row:
    width, height, left, top, right, bottom, label = values
    if label >= CLASSES:
        raise DataError(f"{told}: class {label}, but classes are 0 to {CLASSES - 1}")
    if not 0 < max(width, height) <= LARGEST_SIDE or not width * height:
        raise DataError(f"{told}: an image of {width}x{height} pixels, and at most {LARGEST_SIDE} are read")
    if not (left < right <= width and top < bottom <= height):
        raise DataError(f"{told}: the box {left}, {top}, {right}, {bottom} does not lie in {width}x{height} pixels")
    return Row(tree, name, label, track, frame, (width, height), (left, top, right, bottom), told)


def _matched(rows: list[Row], tree: Tree, prefix: str, deep: bool = True) -> tuple[Row, ...]:
    """The rows, when each has its image and each image below `prefix` its row."""
    named: dict[str, Row] = {}
    for row in rows:
        if row.name in named:
            raise DataError(f"{row.told}: {row.name} stands in {named[row.name].told} already")
        named[row.name] = row
    images = {
        name
        for name in tree.names
        if name.startswith(prefix) and _IMAGE.fullmatch(name) and (deep or "/" not in name[len(prefix) :])
    }
    missing = [row for row in rows if row.name not in images]
    if missing:
        others = f", and {len(missing) - 1:,} more are missing" if len(missing) > 1 else ""
        raise DataError(
            f"{tree.path}: there is no {missing[0].name}, which {missing[0].told} names{others}",
            help="the set is not whole: copy or unpack it again",
        )
    extra = sorted(images - named.keys())
    if extra:
        others = f", and {len(extra) - 1:,} more" if len(extra) > 1 else ""
        raise DataError(
            f"{tree.path}: {extra[0]} stands in no table{others}",
            help="images and tables must match one to one: something was added, or a table is cut off",
        )
    return tuple(rows)


def _by_track(rows: Iterable[Row]) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda row: (row.label, row.track, row.frame)))


def _by_number(rows: Iterable[Row]) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda row: row.frame))


def _zips(trees: Sequence[Tree], *places: tuple[int, str]) -> tuple[Path, ...]:
    used = dict.fromkeys(trees[number] for number, _ in places)
    return tuple(tree.path for tree in used if isinstance(tree, ZipTree))


def _place(trees: Sequence[Tree], place: tuple[int, str]) -> str:
    tree, name = trees[place[0]], place[1]
    return tree.place(name) if name else str(tree.path)
