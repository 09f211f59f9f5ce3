"""The prepared file: what it keeps, what is found wrong with it, how it is found; and the command that makes it."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specdsl import cli
from specdsl.cli.planning import Request, plans
from specdsl.cli.shared import load_spec
from specdsl.data import DataError, load
from specdsl.data.gtsrb import VARIABLE, load_gtsrb
from specdsl.data.gtsrb_cache import VERSION, About, Origin, arrays_of, read, source_of, write
from specdsl.data.gtsrb_prepare import prepare
from specdsl.data.origin import source_at
from specdsl.data.signs import SIGNS
from specdsl.recipes import Gtsrb
from tests.gtsrb_archives import Heard, benchmark, official, pack

NAMES = tuple(name for name, _ in SIGNS)
SIZE, ROWS = 8, (4, 3)


def about(**changes: Any) -> About:
    settings: dict[str, Any] = {
        "size": SIZE,
        "roi": False,
        "partial": False,
        "train": ROWS[0],
        "test": ROWS[1],
        "class_names": NAMES,
        "origin": Origin(layout="official", archives={"a.zip": "0"}, official=False, images="0"),
        "software": {},
    }
    return About(**settings | changes)


def columns() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    found = {name: rng.integers(0, 40, shape).astype(kind) for name, (kind, shape) in arrays_of(SIZE, *ROWS).items()}
    return found | {"train_label": np.array([0, 0, 1, 1]), "train_track": np.array([3, 4, 3, 3])}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / f"gtsrb-{SIZE}.npz"
    write(path, about(), columns())
    return path


def test_what_is_written_is_read(file: Path) -> None:
    found = read(file)
    assert found.about.model_copy(update={"sha256": ""}) == about()
    for name, array in columns().items():
        assert np.array_equal(found.arrays[name], array)
    with np.load(file, allow_pickle=False) as opened:
        assert np.array_equal(opened["train_image"], found.arrays["train_image"])
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_the_same_data_make_the_same_file(file: Path, tmp_path: Path) -> None:
    pieces = columns()
    pieces["train_image"] = iter([pieces["train_image"][:1], pieces["train_image"][1:]])
    write(tmp_path / "other.npz", about(), pieces)
    assert (tmp_path / "other.npz").read_bytes() == file.read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "a.npz"
    write(path, about(), columns())
    return path.read_bytes()


@settings(max_examples=200)
@given(data=st.data())
def test_a_changed_byte_is_found_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, whole: bytes, data: st.DataObject
) -> None:
    """Never a traceback of another kind, and never other arrays."""
    path = tmp_path_factory.getbasetemp() / "changed.npz"
    spoiled = bytearray(whole)
    # Arrays make most of the file; what surrounds them is where more can go wrong.
    place = data.draw(st.integers(0, len(spoiled) - 1) | st.integers(len(spoiled) - 2500, len(spoiled) - 1))
    spoiled[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(spoiled)
    try:
        found = read(path)
    except DataError:
        return
    assert found.about.model_copy(update={"sha256": ""}) == about()
    assert all(np.array_equal(found.arrays[name], array) for name, array in columns().items())


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, -1])
def test_a_truncated_file_is_told(file: Path, keep: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(keep * len(data)) if 0 < keep < 1 else int(keep)])
    with pytest.raises(DataError, match="truncated or corrupt") as error:
        read(file)
    assert "specdsl data prepare gtsrb" in str(error.value.help)


def rewritten(file: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """The file with another content of a member, and right CRC sums."""
    with zipfile.ZipFile(file) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    members[name] = change(members[name])
    with zipfile.ZipFile(file, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)


def told(**changes: Any) -> Callable[[bytes], bytes]:
    return lambda data: json.dumps(json.loads(data) | changes).encode()


@pytest.mark.parametrize(
    ("member", "change", "message"),
    [
        ("about.json", told(version=VERSION - 1), "an older version of specdsl"),
        ("about.json", told(version=VERSION + 1), "a newer version of specdsl"),
        ("about.json", told(partial=True), "does not have the sum"),
        ("about.json", told(class_names=["x", *NAMES[1:]]), "does not have the sum"),
        ("about.json", told(train=5), "train_label has"),
        ("about.json", told(size=10**9), "train_image has"),
        ("about.json", told(size=-1), "greater than or equal"),
        ("about.json", told(format="something else"), "does not say"),
        ("about.json", lambda _: b"{", "truncated or corrupt"),
        ("about.json", lambda _: b"[1]", "does not say"),
        ("train_image.npy", lambda data: data[:-1] + b"\xff", "does not have the sum"),
        ("train_image.npy", lambda data: data[:-1], "train_image has"),
        ("test_roi.npy", lambda data: data.replace(b"<u2", b"<i2"), "another array"),
        ("test_roi.npy", lambda data: b"\x93NUMPX" + data[6:], "another array"),
    ],
)
def test_what_is_not_what_was_written_is_told(file: Path, member: str, change: Any, message: str) -> None:
    """Also where every CRC sum is right."""
    rewritten(file, member, change)
    with pytest.raises(DataError, match=message) as error:
        read(file)
    assert "specdsl data prepare gtsrb" in str(error.value.help)


def test_other_files_are_not_taken_for_it(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=np.zeros(3))
    (tmp_path / "b.npz").write_bytes(b"no zip")
    for name in ("a.npz", "b.npz"):
        with pytest.raises(DataError, match="truncated or corrupt"):
            read(tmp_path / name)
    with pytest.raises(DataError, match="No such file"):
        read(tmp_path / "c.npz")


def test_what_fails_while_it_is_written_leaves_what_was_there(file: Path) -> None:
    before = file.read_bytes()

    def broken() -> Any:
        yield columns()["train_image"][:1]
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DataError, match="the disk is full") as error:
        write(file, about(), columns() | {"train_image": broken()})
    assert "--to DIR" in str(error.value.help)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_disk_without_room_is_refused_at_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: os.terminal_size((1, 1)) and type("U", (), {"free": 10})())
    with pytest.raises(DataError, match="needs 0 MiB more, and 0 MiB are free"):
        write(file.with_name("other.npz"), about(), columns())
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_it_is_loaded_as_a_data_set(file: Path) -> None:
    data = load_gtsrb(Gtsrb(size=SIZE), file.parent, rows=ROWS)
    assert data.name == "gtsrb"
    assert data.class_names == NAMES
    assert data.train.y.tolist() == [0, 0, 1, 1]
    # A track's number counts within its class.
    assert data.train.track is not None
    assert data.train.track.tolist() == [0, 1, 2, 2]
    assert data.test.track is None
    assert np.array_equal(data.test.x, columns()["test_image"])
    with pytest.raises(DataError, match="4 training images, but the benchmark has 39,209"):
        load_gtsrb(Gtsrb(size=SIZE), file.parent)


def test_a_part_says_so_by_its_name(tmp_path: Path) -> None:
    write(tmp_path / f"gtsrb-{SIZE}-roi.npz", about(partial=True, roi=True), columns())
    data = load(Gtsrb(size=SIZE, roi=True), folder=tmp_path)
    assert data.name == "gtsrb (a part: 4 of 39,209 training images, 3 of 12,630 test images)"
    assert data.partial


def test_where_nothing_is_prepared_the_command_is_told(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DataError, match=f"there is no folder {tmp_path / 'cache' / 'specdsl' / 'data'}") as error:
        load(Gtsrb())
    assert "`specdsl data prepare gtsrb` fetches" in str(error.value.help)
    assert f"makes {tmp_path / 'cache/specdsl/data/gtsrb-32.npz'}, 159 MB" in str(error.value.help)
    monkeypatch.setenv(VARIABLE, str(file.parent))
    with pytest.raises(DataError, match=r"there is no .*gtsrb-48-roi\.npz, but gtsrb-8\.npz") as error:
        load(Gtsrb(size=48, roi=True))
    assert "`specdsl data prepare gtsrb --size 48 --roi`" in str(error.value.help)
    with pytest.raises(DataError, match="not prepared") as error:
        load(Gtsrb(), folder=tmp_path / "other")
    assert f"--to {tmp_path / 'other'}" in str(error.value.help)


def test_a_file_or_its_folder_names_it(file: Path) -> None:
    assert source_at(file) == Gtsrb(size=SIZE)
    assert isinstance(source_at(file.parent), Gtsrb)
    assert source_of("gtsrb-64-roi.npz") == Gtsrb(size=64, roi=True)
    for name in ("gtsrb-7.npz", "gtsrb-.npz", "gtsrb-9999.npz", "gtsrb-032.npz", "other.npz"):
        assert source_of(name) is None


@pytest.fixture
def run(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `data prepare gtsrb` in this process; gives exit code, standard output and standard error."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    return partial(run, "data", "prepare", "gtsrb")


def test_the_command_makes_what_a_spec_finds(run: Any, tmp_path: Path) -> None:
    folder = pack(official(benchmark(test=2)), tmp_path / "from")
    code, out, err = run("--from", folder, "--size", "16", "--partial")
    assert code == 0
    assert "gtsrb at 16x16 pixels, whole frames: 12 training and 2 test images, a part of the benchmark" in out
    assert "to train on it: --data 'gtsrb(size=16)', or in the spec: data signs = gtsrb(size=16)\n" in out
    assert err.startswith("official layout: 12 training and 2 test images\n")
    assert load(Gtsrb(size=16)).train.x.shape == (12, 16, 16, 3)
    code, out, _ = run("--from", *folder.iterdir(), "--roi", "--partial", "--to", tmp_path / "to")
    assert code == 0
    assert f"to train on it: --data {tmp_path / 'to' / 'gtsrb-32-roi.npz'}\n" in out


def test_mistakes_end_with_their_code_and_help(run: Any, tmp_path: Path) -> None:
    code, _, err = run("--from", tmp_path)
    assert code == 2
    assert "no images of the benchmark among 0 files\n  help: " in err
    code, _, err = run("a.zip")
    assert (code, err) == (2, "error: to read a.zip, write --from a.zip\n")
    (tmp_path / "cache").write_bytes(b"")
    code, _, err = run("--from", pack(official(benchmark()), tmp_path / "from"), "--partial")
    assert code == 1
    assert "Not a directory" in err


def test_ctrl_c_while_fetching_says_that_it_will_go_on(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("specdsl.data.gtsrb_prepare.fetch", interrupted)
    code, out, err = run()
    assert (code, out) == (130, "")
    assert "the same command goes on from there" in err


def test_a_reader_that_goes_away_does_not_stop_it(tmp_path: Path) -> None:
    folder = pack(official(benchmark()), tmp_path / "from")
    arguments = ["data", "prepare", "gtsrb", "--partial", "--to", "to", "--from", str(folder)]
    source, sink = os.pipe()
    os.close(source)
    ended = subprocess.run(
        [sys.executable, "-m", "specdsl", *arguments],
        cwd=tmp_path,
        stdout=sink,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2])},
    )
    os.close(sink)
    assert b"Traceback" not in ended.stderr
    assert read(tmp_path / "to" / "gtsrb-32.npz").about.partial


def test_training_on_a_part_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = pack(official(benchmark(classes=range(43), test=43)), tmp_path / "from")
    prepare([source], tmp_path, Heard(), partial=True)
    spec = Path(cli.__file__).parents[2] / "specs" / "bn_cnn.spec"
    made = plans(Request(data=str(tmp_path / "gtsrb-32.npz")), load_spec(spec))
    warned = "warning: gtsrb (a part: 172 of 39,209 training images, 43 of 12,630 test images): results on it do not"
    assert capsys.readouterr().err.startswith(warned)
    assert made[""].dataset.partial
