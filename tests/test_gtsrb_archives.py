"""Folders and zips as trees of files: what is read, and what is refused before or while it is."""

from __future__ import annotations

import os
import pickle
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specdsl.data import DataError
from specdsl.data.archives import HARMLESS, RATIO, FolderTree, Tree, ZipTree

LIMIT = 1 << 24


def zipped(path: Path, *members: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def changed(path: Path, name: str, **changes: int) -> Path:
    """The zip with other fields in the entry of a member in its directory."""
    fields = {"flags": (8, "<H"), "method": (10, "<H"), "packed": (20, "<L"), "size": (24, "<L"), "offset": (42, "<L")}
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02", 0, data.rindex(name.encode()))
    for field, value in changes.items():
        place, form = fields[field]
        struct.pack_into(form, data, entry + place, value)
    path.write_bytes(data)
    return path


@pytest.fixture(params=["folder", "zip"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    files = {"b/2.txt": b"two", "a.txt": b"one", "b/._2.txt": b"x", "__MACOSX/a.txt": b"x", "b/.DS_Store": b"x"}
    if request.param == "zip":
        return ZipTree(zipped(tmp_path / "a.zip", *files.items()))
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return FolderTree(tmp_path)


def test_folders_and_zips_are_read_alike(tree: Tree) -> None:
    assert tree.names == ("a.txt", "b/2.txt")
    assert tree.read("b/2.txt", 3) == b"two"
    with pytest.raises(DataError, match="2 bytes"):
        tree.read("b/2.txt", 2)
    with pytest.raises(DataError, match=r"c\.txt"):
        tree.read("c.txt", 2)
    again = pickle.loads(pickle.dumps(tree))
    assert again.read("a.txt", 3) == b"one"


def test_links_in_a_folder_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_bytes(b"")
    (tmp_path / "data" / "back").symlink_to(tmp_path)
    (tmp_path / "other").symlink_to(tmp_path / "data")
    assert "other/a" in FolderTree(tmp_path).names
    assert len(FolderTree(tmp_path).names) < 10


def test_a_folder_with_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("specdsl.data.archives.MOST_FILES", 2)
    for name in "abc":
        (tmp_path / name).touch()
    with pytest.raises(DataError, match="more than 2 files") as error:
        assert FolderTree(tmp_path).names
    assert "name the folder" in str(error.value.help)
    with pytest.raises(DataError, match="at most 2"):
        assert ZipTree(zipped(tmp_path / "a.zip", *((name, b"") for name in "abc"))).names


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("../up.ppm", "outside"),
        ("a/../../up.ppm", "outside"),
        ("/etc/up.ppm", "outside"),
        ("C:/up.ppm", "outside"),
        ("c:up.ppm", "outside"),
        ("..\\up.ppm", "outside"),
        ("\\up.ppm", "outside"),
        ("a/" * 20 + "up.ppm", "21 folders deep"),
    ],
)
def test_a_member_that_would_leave_its_folder_is_refused(tmp_path: Path, name: str, told: str) -> None:
    tree = ZipTree(zipped(tmp_path / "a.zip", ("good.ppm", b"x"), (name, b"x")))
    with pytest.raises(DataError, match=told) as error:
        assert tree.names
    assert error.value.message.startswith(f"{tmp_path / 'a.zip'}: refused: ")
    with pytest.raises(DataError, match=told):
        tree.read("good.ppm", LIMIT)


@pytest.mark.parametrize(
    ("mode", "told"), [(stat.S_IFLNK, "is a link"), (stat.S_IFIFO, "no plain file"), (stat.S_IFCHR, "no plain file")]
)
def test_a_member_that_is_no_plain_file_is_refused(tmp_path: Path, mode: int, told: str) -> None:
    member = zipfile.ZipInfo("link")
    member.external_attr = (mode | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(DataError, match=told):
        assert ZipTree(tmp_path / "a.zip").names


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds 'a' twice"):
        assert ZipTree(zipped(tmp_path / "a.zip", ("a", b"1"), ("a", b"2"))).names
    with pytest.raises(DataError, match="holds 'a/b' twice"):
        assert ZipTree(zipped(tmp_path / "b.zip", ("a/b", b"1"), ("a//b", b"2"))).names


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"flags": 1}, "is encrypted"), ({"method": 12}, "neither stored nor deflated"), ({"offset": 5}, "over another")],
)
def test_what_the_directory_says_is_checked(tmp_path: Path, changes: dict[str, int], told: str) -> None:
    path = changed(zipped(tmp_path / "a.zip", ("first", bytes(9)), ("second", bytes(9))), "second", **changes)
    with pytest.raises(DataError, match=told):
        assert ZipTree(path).names


def test_a_bomb_is_refused_by_what_it_says(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", ("bomb", bytes(HARMLESS + 1)), ("small", bytes(HARMLESS)))
    with pytest.raises(DataError, match="as a zip bomb does"):
        assert ZipTree(path).names
    noise = os.urandom(HARMLESS // RATIO * 2) + bytes(HARMLESS)
    assert ZipTree(zipped(tmp_path / "b.zip", ("noise", noise))).read("noise", LIMIT) == noise


@pytest.mark.parametrize("size", [0, 10, 999])
def test_a_bomb_that_lies_about_its_size_is_not_unpacked(tmp_path: Path, size: int) -> None:
    """No more comes out of a member than its entry says, and what comes out is then found to be broken."""
    path = changed(zipped(tmp_path / "a.zip", ("bomb", bytes(1 << 24))), "bomb", size=size)
    with pytest.raises(DataError, match="bomb is broken"):
        ZipTree(path).read("bomb", LIMIT)


def test_a_member_that_says_too_much_is_broken(tmp_path: Path) -> None:
    path = changed(zipped(tmp_path / "a.zip", ("a", b"abc")), "a", size=4)
    with pytest.raises(DataError, match=r"a has 3 bytes, and should have 4|a is broken"):
        ZipTree(path).read("a", LIMIT)


@pytest.mark.parametrize("keep", [0, 1, 0.3, 0.9, -1])
def test_half_a_zip_is_no_zip(tmp_path: Path, keep: float) -> None:
    path = zipped(tmp_path / "a.zip", *((f"{i}.ppm", os.urandom(200)) for i in range(20)))
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if 0 < keep < 1 else int(keep)])
    with pytest.raises(DataError, match="not a whole one") as error:
        assert ZipTree(path).names
    assert "by half" in str(error.value.help)


@given(data=st.data())
def test_a_changed_byte_is_found_or_harmless(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever is changed in a zip: the same contents come of it, or a DataError."""
    path = tmp_path_factory.getbasetemp() / "changed.zip"
    zipped(path, ("a/b.ppm", b"pixels" * 50), ("c.csv", b"a;b\n1;2\n"))
    spoiled = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        spoiled[data.draw(st.integers(0, len(spoiled) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(spoiled)
    tree = ZipTree(path)
    try:
        contents = {name: tree.read(name, LIMIT) for name in tree.names}
    except DataError:
        return
    assert set(contents.values()) <= {b"pixels" * 50, b"a;b\n1;2\n"}
