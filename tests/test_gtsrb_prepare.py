"""Preparing small benchmarks: both layouts, packed and not; what does not match; what the images become."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from specdsl.data import DataError
from specdsl.data.downloads import Remote
from specdsl.data.gtsrb import VARIABLE
from specdsl.data.gtsrb_cache import read
from specdsl.data.gtsrb_images import open_image, region, resize
from specdsl.data.gtsrb_prepare import Result, prepare
from specdsl.data.signs import SIGNS
from tests.gtsrb_archives import (
    LABELS,
    TEST,
    TRAINING,
    Benchmark,
    Files,
    Heard,
    benchmark,
    kaggle,
    official,
    pack,
    png,
    ppm,
    unpack,
)
from tests.waiting import lives, until

DATA = benchmark()
FOLDER = "GTSRB/Final_Training/Images/00005"


def prepared(source: Path, to: Path, data: Benchmark = DATA, **settings: Any) -> Result:
    settings = {"size": 16, "rows": data.rows} | settings
    return prepare([source], to, settings.pop("reporter", Heard()), **settings)


def arrays(result: Result) -> dict[str, Any]:
    return dict(read(result.file).arrays)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What comes of the benchmark in the official layout."""
    folder = tmp_path_factory.mktemp("plain")
    return arrays(prepared(pack(official(DATA), folder / "from"), folder / "to"))


def test_arrays_hold_what_the_archives_say(plain: dict[str, Any]) -> None:
    """In order of class, track and frame, and of test images' numbers; pixels as Pillow resizes the whole frame."""
    signs = sorted(DATA.train, key=lambda sign: sign[:3])
    for name, values in (
        ("label", [sign.label for sign in signs]),
        ("track", [sign.track for sign in signs]),
        ("frame", [sign.frame for sign in signs]),
        ("size", [[sign.pixels.shape[1], sign.pixels.shape[0]] for sign in signs]),
        ("roi", [list(sign.roi) for sign in signs]),
    ):
        assert plain[f"train_{name}"].tolist() == values
    assert plain["test_label"].tolist() == [sign.label for sign in DATA.test]
    assert plain["test_number"].tolist() == [0, 1, 2]
    for images, expected in ((plain["train_image"], signs), (plain["test_image"], DATA.test)):
        for image, sign in zip(images, expected, strict=True):
            assert np.array_equal(image, Image.fromarray(sign.pixels).resize((16, 16), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("layout", ["official", "Kaggle"])
@pytest.mark.parametrize("within", [".", "archive", "a/GTSRB"])
@pytest.mark.parametrize("put", [pack, unpack])
def test_every_layout_gives_the_same_arrays(
    plain: dict[str, Any],
    tmp_path: Path,
    layout: str,
    within: str,
    put: Callable[[dict[str, Files], Path], Path],
) -> None:
    heard = Heard()
    put((kaggle if layout == "Kaggle" else official)(DATA), tmp_path / "from" / within)
    result = prepared(tmp_path / "from", tmp_path / "to", reporter=heard)
    assert heard.said[0] == f"{layout} layout: 12 training and 3 test images"
    assert heard.progressed["decoding"] == (15, 15)
    for name, array in arrays(result).items():
        assert np.array_equal(array, plain[name]), name
    assert result.about.origin.layout == layout
    assert not result.about.origin.official
    assert len(result.about.origin.archives) == (0 if put is unpack else 3 if layout == "official" else 1)


def test_zips_can_be_named_one_by_one_and_mixed_with_folders(plain: dict[str, Any], tmp_path: Path) -> None:
    files = official(DATA)
    folder = pack({TRAINING: files[TRAINING], LABELS: files[LABELS]}, tmp_path / "zips")
    unpack({TEST: files[TEST]}, tmp_path / "unpacked")
    result = prepare(
        [folder / TRAINING, folder / LABELS, tmp_path / "unpacked"], tmp_path / "to", Heard(), size=16, rows=DATA.rows
    )
    assert np.array_equal(arrays(result)["test_image"], plain["test_image"])


def test_zips_go_before_what_was_unpacked_of_them(tmp_path: Path) -> None:
    heard = Heard()
    unpack(official(DATA), pack(official(DATA), tmp_path / "from"))
    result = prepared(tmp_path / "from", tmp_path / "to", reporter=heard)
    assert set(result.about.origin.archives) == {TRAINING, TEST, LABELS}
    assert len([line for line in heard.said if "not used" in line]) == 3


def test_the_training_set_of_the_competition_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where both lie beside each other the folders' names decide; alone it is refused as what it is."""
    small = official(benchmark(classes=(1, 2)))[TRAINING]
    older = {name.replace("Final_Training/Images", "Training"): data for name, data in small.items()}
    files = official(DATA)
    pack(files | {"GTSRB-Training_fixed.zip": older}, tmp_path / "both")
    assert prepared(tmp_path / "both", tmp_path / "to").about.train == 12
    monkeypatch.setattr("specdsl.data.gtsrb_prepare.COMPETITION", 8)
    pack(files | {TRAINING: older}, tmp_path / "alone")
    with pytest.raises(DataError, match="8 training and 3 test images, but the benchmark has 12 and 3") as error:
        prepared(tmp_path / "alone", tmp_path / "to")
    assert "another set" in str(error.value.help)


def test_a_part_is_taken_only_when_it_is_asked_for(tmp_path: Path) -> None:
    folder = pack(official(DATA), tmp_path / "from")
    with pytest.raises(DataError, match="but the benchmark has 39,209 and 12,630") as error:
        prepare([folder], tmp_path / "to", Heard())
    assert "--partial" in str(error.value.help)
    assert not (tmp_path / "to").exists()
    part = prepare([folder], tmp_path / "to", Heard(), size=16, partial=True)
    assert part.about.partial
    assert not prepared(folder, tmp_path / "to", partial=True).about.partial
    with pytest.raises(DataError, match="holds the whole benchmark"):
        prepare([folder], tmp_path / "to", Heard(), size=16, partial=True)


def edit(files: dict[str, Files], archive: str, name: str, old: bytes, new: bytes) -> None:
    assert old in files[archive][name]
    files[archive][name] = files[archive][name].replace(old, new, 1)


TABLE = f"{FOLDER}/GT-00005.csv"
IMAGE = f"{FOLDER}/00001_00000.ppm"


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda f: f[TRAINING].pop(IMAGE), r"there is no .*00001_00000\.ppm, which .*GT-00005\.csv, line 4 names"),
        (lambda f: f[TRAINING].update({f"{FOLDER}/00009_00000.ppm": b""}), r"00009_00000\.ppm stands in no table"),
        (lambda f: f[TEST].update({"GTSRB/Final_Test/Images/00007.ppm": b""}), r"00007\.ppm stands in no table"),
        (lambda f: f[TRAINING].pop(TABLE), r"00005/00000_00000\.ppm stands in no table, and 3 more"),
        (lambda f: edit(f, TRAINING, TABLE, b"00001_00000", b"00000_00000"), "line 4: .* stands in .* line 2 already"),
        (lambda f: edit(f, TRAINING, TABLE, b"00001_00000.ppm", b"../00000/x.ppm"), "no name of a training image"),
        (lambda f: edit(f, TRAINING, TABLE, b"Roi.X1", b"X1"), r"has no column Roi\.X1"),
        (lambda f: edit(f, TRAINING, TABLE, b";5;6;", b";5;six;"), "not all whole numbers"),
        (lambda f: edit(f, TRAINING, TABLE, b";5;6;", b";5;6;6;"), "9 cells, and the table has 8 columns"),
        (lambda f: edit(f, TRAINING, TABLE, b";5;6;", b";500;6;"), r"the box 500, .* does not lie in"),
        (lambda f: edit(f, TRAINING, TABLE, b";5\r\n", b";6\r\n"), "class 6 in the folder of class 5"),
        (lambda f: edit(f, LABELS, "GT-final_test.csv", b";7\r\n", b";43\r\n"), "class 43, but classes are 0 to 42"),
        (lambda f: f[LABELS].update({"GT-final_test.csv": b"\xff\xfe"}), "not a text"),
        (lambda f: f[LABELS].update({"GT-final_test.csv": b'"'}), "has no column"),
        (lambda f: f[TRAINING].update({IMAGE: b""}), r"00001_00000\.ppm: neither a PPM \(P6\) nor a PNG image"),
        (lambda f: f[TRAINING].update({IMAGE: b"GIF89a" + bytes(99)}), "neither a PPM"),
        (lambda f: f[TRAINING].update({IMAGE: f[TRAINING][IMAGE][:-1]}), r"00001_00000\.ppm: a broken image"),
        (lambda f: f[TRAINING].update({IMAGE: ppm(np.zeros((9, 8, 3), np.uint8))}), "8x9 pixels, where the table says"),
        (lambda f: f.pop(LABELS), f"but no labels of the test images\n.*{LABELS} holds what is missing.*no classes"),
        (lambda f: f.pop(TRAINING), f"but no training images\n.*{TRAINING}"),
        (lambda f: (f.pop(TEST), f.pop(TRAINING)), "but no training images and no test images"),
        (lambda f: f.clear(), "no images of the benchmark among 0 files"),
    ],
)  # fmt: skip
def test_what_does_not_match_is_named(tmp_path: Path, spoil: Callable[[dict[str, Files]], None], told: str) -> None:
    files = official(DATA)
    spoil(files)
    with pytest.raises(DataError) as error:
        prepared(pack(files, tmp_path / "from"), tmp_path / "to")
    assert re.search(told, str(error.value), re.DOTALL), str(error.value)
    assert not list((tmp_path / "to").glob("*"))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda f: f.pop("Train/5/00005_00001_00000.png"), r"there is no Train/5/00005_00001_00000\.png"),
        (lambda f: f.update({"Train/5/more.PNG": b""}), "stands in no table"),
        (lambda f: f.update({"Train.csv": f["Train.csv"].replace(b"in/5/", b"in/6/", 1)}), "class 5, and the path"),
        (lambda f: f.update({"Train.csv": f["Train.csv"].replace(b"Train/5/", b"/Train/5/", 1)}), "no path of an im"),
        (lambda f: f.pop("Test.csv"), "no images of the benchmark among"),
    ],
)  # fmt: skip
def test_what_does_not_match_in_the_other_layout_is_named(tmp_path: Path, spoil: Any, told: str) -> None:
    files = kaggle(DATA)
    spoil(files["archive.zip"])
    with pytest.raises(DataError, match=told):
        prepared(unpack(files, tmp_path / "from"), tmp_path / "to")


def test_half_an_archive_in_a_folder_is_told_as_the_reason(tmp_path: Path) -> None:
    folder = pack(official(DATA), tmp_path / "from")
    whole = (folder / TRAINING).read_bytes()
    (folder / TRAINING).write_bytes(whole[: len(whole) // 2])
    pack({"unrelated.zip": {"readme.txt": b""}}, folder)
    with pytest.raises(DataError, match=f"but no training images\nalso: .*{TRAINING}: no zip, or not a whole one"):
        prepared(folder, tmp_path / "to")
    with pytest.raises(DataError, match="not a whole one") as error:
        prepared(folder / TRAINING, tmp_path / "to")
    assert "by half" in str(error.value.help)


@pytest.mark.parametrize("name", ["nothing", "GTSRB_Final_Test_GT.zip.part"])
def test_what_is_no_source_is_refused(tmp_path: Path, name: str) -> None:
    if name != "nothing":
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"no such file or folder|a download that did not end"):
        prepared(tmp_path / name, tmp_path / "to")


def test_a_header_that_claims_a_large_image_takes_no_memory() -> None:
    for header in (b"P6\n30000 30000\n255\n", b"P6\n4097 1\n255\n", png(np.zeros((1, 4097, 3), np.uint8))):
        with pytest.raises(DataError, match="where the table says 30x30"):
            open_image(header + bytes(100), (30, 30))


@pytest.mark.parametrize("kind", ["RGBA", "L", "P"])
def test_images_of_other_kinds_become_red_green_blue(kind: str, tmp_path: Path) -> None:
    image = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).convert(kind)
    image.save(tmp_path / "a.png")
    assert np.array_equal(open_image((tmp_path / "a.png").read_bytes(), (4, 4)), image.convert("RGB"))


def test_images_of_sixteen_bits_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="not of 8 bits"):
        open_image((tmp_path / "a.png").read_bytes(), (4, 4))


@pytest.mark.parametrize(
    ("size", "roi", "expected"),
    [
        ((100, 100), (20, 20, 60, 80), (18, 17, 62, 83)),
        ((30, 32), (5, 6, 25, 26), (4, 5, 26, 27)),
        ((50, 50), (0, 1, 50, 49), (0, 0, 50, 50)),
        ((200, 200), (20, 20, 169, 170), (13, 12, 176, 178)),
    ],
)
def test_a_region_is_widened_by_a_twentieth_and_clamped(size: Any, roi: Any, expected: Any) -> None:
    assert region(size, roi) == expected


def test_a_region_of_interest_is_all_that_is_seen() -> None:
    """Outside of the widened box there is magenta, which must leave no trace; its outermost pixels are green."""
    box = region((60, 50), (10, 8, 50, 40))
    pixels = np.full((50, 60, 3), (255, 0, 255), np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = (0, 255, 0)
    pixels[box[1] + 2 : box[3] - 2, box[0] + 2 : box[2] - 2] = (0, 128, 0)
    seen = resize(Image.fromarray(pixels), 24, box)
    assert not seen[..., (0, 2)].any()
    edge = np.concatenate([seen[0, :, 1], seen[-1, :, 1], seen[:, 0, 1], seen[:, -1, 1]])
    assert edge.min() > 200
    assert seen[12, 12, 1] == 128


def test_small_details_are_averaged_and_not_skipped() -> None:
    """A chess board of single pixels, five times too large, becomes grey: the filter is antialiased."""
    board = np.indices((80, 80)).sum(axis=0) % 2 * np.uint8(255)
    seen = resize(Image.fromarray(np.repeat(board[..., None], 3, axis=2).astype(np.uint8)), 16, None)
    assert np.abs(seen.astype(int) - 127).max() <= 3


def test_roi_and_whole_frames_lie_beside_each_other(plain: dict[str, Any], tmp_path: Path) -> None:
    folder = pack(official(DATA), tmp_path / "from")
    files = [prepared(folder, tmp_path / "to", roi=roi).file.name for roi in (False, True)]
    assert files == ["gtsrb-16.npz", "gtsrb-16-roi.npz"]
    sign = DATA.test[1]
    cut = resize(Image.fromarray(sign.pixels), 16, region((sign.pixels.shape[1], sign.pixels.shape[0]), sign.roi))
    assert np.array_equal(read(tmp_path / "to" / files[1]).arrays["test_image"][1], cut)


def test_several_processes_give_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is wrong in one of them is told as it is in this one."""
    folder = pack(official(DATA), tmp_path / "from")
    one = prepared(folder, tmp_path / "one").file.read_bytes()
    monkeypatch.setattr("specdsl.data.gtsrb_images._FEW", 0)
    monkeypatch.setattr("specdsl.data.gtsrb_images._CHUNK_BYTES", 3 * 16 * 16 * 2)
    assert prepared(folder, tmp_path / "two", workers=2).file.read_bytes() == one
    files = official(DATA)
    files[TRAINING][IMAGE] = b"P6\n"
    with pytest.raises(DataError, match=r"00001_00000\.ppm: a broken image") as error:
        prepared(pack(files, tmp_path / "broken"), tmp_path / "three", workers=2)
    assert "copy or fetch" in str(error.value.help)


def test_archives_are_fetched_when_none_are_named(tmp_path: Path) -> None:
    """They are kept beside the result, checked by their sums, and not fetched again; a file that is there is kept."""
    served = pack(official(DATA), tmp_path / "to" / "downloads")
    remotes = [Remote(f"http://127.0.0.1:1/{p.name}", md5(p.read_bytes()).hexdigest()) for p in served.iterdir()]
    heard = Heard()
    settings: dict[str, Any] = {"size": 16, "rows": DATA.rows, "archives": remotes}
    result = prepare([], tmp_path / "to", heard, **settings)
    assert result.new
    assert result.about.origin.official
    assert "the archives have the published sums" in heard.said
    assert not prepare([], tmp_path / "to", Heard(), **settings).new
    result.file.write_bytes(result.file.read_bytes()[:-1])
    heard = Heard()
    assert prepare([], tmp_path / "to", heard, **settings).new
    assert "truncated or corrupt" in heard.said[0]


def test_offline_all_that_is_needed_to_help_oneself_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with pytest.raises(DataError, match="the connection is refused") as error:
        prepare([], tmp_path, Heard(), archives=[Remote("http://127.0.0.1:1/A.zip", "0123")])
    told = str(error.value.help)
    assert "http://127.0.0.1:1/A.zip  (MD5 0123)" in told
    assert "--from DIR" in told
    assert "HTTPS_PROXY" in told


def test_a_library_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("specdsl.data.gtsrb_prepare.find_spec", lambda _: None)
    with pytest.raises(DataError, match="needs pillow") as error:
        prepare([tmp_path], tmp_path / "to", Heard())
    assert "specdsl[training]" in str(error.value.help)


REAL = Path(os.environ.get(VARIABLE, "/nowhere"))
SAMPLE = REAL / "official-layout-sample"


@pytest.mark.skipif(not SAMPLE.is_dir(), reason=f"{VARIABLE} names no folder with a sample of the official archives")
def test_the_real_archives_give_the_arrays_that_were_prepared_elsewhere(tmp_path: Path) -> None:
    """Bit for bit: every training image of the sample is, at 32x32, the one of its class, track and frame."""
    result = prepare([SAMPLE], tmp_path, Heard(), partial=True)
    assert (result.about.train, result.about.test) == (258, 120)
    mine = arrays(result)
    shards = [np.load(REAL / f"train-{i}.npz") for i in (0, 1)]
    theirs = {name: np.concatenate([shard[name] for shard in shards]) for name in shards[0].files}
    for shard in shards:
        shard.close()
    keys = zip(*(theirs[name].tolist() for name in ("label", "track", "frame")), strict=True)
    places = {key: place for place, key in enumerate(keys)}
    chosen = [
        places[key] for key in zip(*(mine[f"train_{n}"].tolist() for n in ("label", "track", "frame")), strict=True)
    ]
    for name in ("image", "size", "roi"):
        assert np.array_equal(mine[f"train_{name}"], theirs[name][chosen])
    with np.load(REAL / "test.npz") as test:
        for name in ("label", "size", "roi"):
            assert len(mine[f"test_{name}"]) == 120
            assert mine["test_number"].max() < len(test[name])
    with (REAL / "classes.csv").open(newline="") as lines:
        assert [row["SignName"] for row in csv.DictReader(lines)] == [name for name, _ in SIGNS]
    with zipfile.ZipFile(result.file) as archive:
        assert "about.json" in archive.namelist()


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="processes are counted in /proc")
def test_processes_end_with_the_one_that_was_killed(tmp_path: Path) -> None:
    """Nobody else ends them; and what was written is not taken for the whole, but written anew."""
    folder = pack(official(DATA), tmp_path / "from")
    script = tmp_path / "prepare.py"
    script.write_text(f"""
import os, signal, sys
from pathlib import Path
import specdsl.data.gtsrb_images as images
from tests.test_gtsrb_prepare import Heard, prepared

def kill(*_):
    print(Path(f"/proc/{{os.getpid()}}/task/{{os.getpid()}}/children").read_text(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    images._FEW, images._CHUNK_BYTES = 0, 1
    heard = Heard()
    heard.progressed = type("Progressed", (), {{"update": lambda self, told: "decoding" in told and kill()}})()
    prepared(Path({str(folder)!r}), Path({str(tmp_path / "to")!r}), reporter=heard, workers=2)
""")
    root = Path(__file__).parents[1]
    ended = subprocess.run(
        [sys.executable, script], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(root)}, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    children = [int(number) for number in ended.stdout.decode().split()]
    assert len(children) >= 2
    until(lambda: not any(lives(child) for child in children))
    assert (tmp_path / "to" / "gtsrb-16.npz.part").exists()
    assert prepared(folder, tmp_path / "to").about.train == 12
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["gtsrb-16.npz"]
