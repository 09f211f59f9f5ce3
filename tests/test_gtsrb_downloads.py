"""Fetching from a server at hand: whole, resumed, broken off, wrong, refused; nothing here leaves the machine."""

from __future__ import annotations

import random
import shutil
import socket
import threading
from collections import namedtuple
from collections.abc import Iterator
from contextlib import suppress
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from specdsl.data import DataError
from specdsl.data.downloads import ATTEMPTS, BLOCK, Remote, UnreachableError, fetch
from specdsl.data.files import Growing, OutsideError

CONTENT = random.Random(0).randbytes(700_000)
SUM = md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `content` at every path, well or badly.

    Attributes:
        ranges: whether it heeds `Range`.
        cut: after how many bytes of an answer it hangs up; each answer takes the next one, and None is not cut.
        length: whether it says how much there is.
        status: what it answers, in place of 200.
        shift: how many bytes before the range that is asked for its answers start.
        asked: path and range of each request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.ranges, self.length, self.status = CONTENT, True, True, 0
        self.cut: list[int | None] = []
        self.shift = 0
        self.asked: list[tuple[str, str | None]] = []

    def remote(self, md5: str = SUM) -> Remote:
        return Remote(f"http://127.0.0.1:{self.server_port}/files/A.zip", md5)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name but numbers can be resolved."""
    resolve = socket.getaddrinfo

    def numbers(host: str, *rest: Any, **named: Any) -> Any:
        if not host[0].isdigit():
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return resolve(host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", numbers)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers["Range"]
        self.server.asked.append((self.path, asked))
        if self.server.status:
            self.send_error(self.server.status)
            return
        content, start = self.server.content, 0
        if asked and self.server.ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start -= self.server.shift
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if self.server.length:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        cut = self.server.cut.pop(0) if self.server.cut else None
        with suppress(OSError):
            self.wfile.write(content[start : len(content) if cut is None else start + cut])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def got(server: Server, folder: Path, md5: str = SUM) -> list[tuple[int, int | None]]:
    """Fetch, and see that all is there and nothing else is; what was told on the way."""
    told: list[tuple[int, int | None]] = []
    file = fetch(server.remote(md5), folder, lambda *progress: told.append(progress), pause=0)
    assert file == folder / "A.zip"
    assert file.read_bytes() == server.content
    assert [path.name for path in folder.iterdir()] == ["A.zip"]
    return told


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    told = got(server, tmp_path / "new" / "folder")
    assert told[0] == (0, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    got(server, tmp_path / "new" / "folder")
    assert len(server.asked) == 1


@pytest.mark.parametrize("there", [1, 400_000, len(CONTENT) - 1, len(CONTENT)])
@pytest.mark.parametrize("ranges", [True, False])
def test_what_is_there_is_not_fetched_again(server: Server, tmp_path: Path, there: int, ranges: bool) -> None:
    """The rest is asked for; a server that ignores that sends all of it, which replaces what was there."""
    (tmp_path / "A.zip.part").write_bytes(CONTENT[:there])
    server.ranges = ranges
    told = got(server, tmp_path)
    assert server.asked == [("/files/A.zip", f"bytes={there}-")]
    if there < len(CONTENT) or not ranges:
        assert told[0] == (there if ranges else 0, len(CONTENT))


def test_a_connection_that_breaks_is_taken_up_again(server: Server, tmp_path: Path) -> None:
    server.cut = [4 * BLOCK, BLOCK, 10, None]
    got(server, tmp_path)
    assert [asked for _, asked in server.asked][:3] == [None, f"bytes={4 * BLOCK}-", f"bytes={5 * BLOCK}-"]


def test_where_no_length_is_told_the_sum_finds_what_is_missing(server: Server, tmp_path: Path) -> None:
    server.cut, server.length = [4 * BLOCK, None, 3 * BLOCK, None], False
    with pytest.raises(DataError, match="not the published file"):
        fetch(server.remote(), tmp_path, pause=0)
    (tmp_path / "A.zip.wrong").unlink()
    assert got(server, tmp_path)[-1] == (len(CONTENT), None)


def test_a_part_of_something_else_is_dropped(server: Server, tmp_path: Path) -> None:
    (tmp_path / "A.zip.part").write_bytes(bytes(1000))
    got(server, tmp_path)
    assert [asked for _, asked in server.asked] == ["bytes=1000-", None]


@pytest.mark.parametrize("shift", [0, 7])
def test_a_part_that_is_too_long_or_answered_from_elsewhere_is_dropped(
    server: Server, tmp_path: Path, shift: int
) -> None:
    (tmp_path / "A.zip.part").write_bytes(CONTENT[:500] if shift else CONTENT + b"more")
    server.shift = shift
    got(server, tmp_path)
    assert [asked for _, asked in server.asked][-1] is None


def test_a_file_with_the_wrong_sum_is_set_aside(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"MD5 sum is {SUM}, not 0123") as error:
        fetch(server.remote("0123"), tmp_path, pause=0)
    assert "A.zip.wrong" in str(error.value.help)
    assert not isinstance(error.value, UnreachableError)
    assert [path.name for path in tmp_path.iterdir()] == ["A.zip.wrong"]


def test_a_whole_file_with_the_wrong_sum_is_replaced(server: Server, tmp_path: Path) -> None:
    (tmp_path / "A.zip").write_bytes(b"half a copy")
    fetch(server.remote(), tmp_path)
    assert (tmp_path / "A.zip").read_bytes() == CONTENT
    assert (tmp_path / "A.zip.wrong").read_bytes() == b"half a copy"


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_what_the_server_refuses_is_told(server: Server, tmp_path: Path, status: int) -> None:
    (tmp_path / "A.zip.part").write_bytes(CONTENT[:10])
    server.status = status
    with pytest.raises(UnreachableError, match=f"A.zip: the server answers {status} "):
        fetch(server.remote(), tmp_path, pause=0)
    assert (tmp_path / "A.zip.part").read_bytes() == CONTENT[:10]


def test_a_server_that_always_breaks_off_is_given_up_and_what_came_is_kept(server: Server, tmp_path: Path) -> None:
    server.cut = [BLOCK, *[0] * 99]
    with pytest.raises(UnreachableError, match=f"broke off; {BLOCK:,} bytes are kept"):
        fetch(server.remote(), tmp_path, pause=0)
    assert len(server.asked) == ATTEMPTS
    assert (tmp_path / "A.zip.part").read_bytes() == CONTENT[:BLOCK]
    server.cut = []
    got(server, tmp_path)


@pytest.mark.usefixtures("offline", "server")
def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = Remote(f"http://127.0.0.1:{taken.getsockname()[1]}/A.zip", SUM)
        with pytest.raises(UnreachableError, match="the connection is refused"):
            fetch(nobody, tmp_path, pause=0)
    with pytest.raises(UnreachableError, match="the name of the server cannot be resolved"):
        fetch(Remote("http://no-such-server.invalid/A.zip", SUM), tmp_path, pause=0)


@pytest.mark.usefixtures("offline")
def test_proxies_are_taken_from_the_environment(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    fetch(Remote("http://archive.invalid/A.zip", SUM), tmp_path / "by", pause=0)
    assert server.asked == [("http://archive.invalid/A.zip", None)]
    monkeypatch.setenv("NO_PROXY", "archive.invalid")
    with pytest.raises(UnreachableError, match="cannot be resolved"):
        fetch(Remote("http://archive.invalid/A.zip", SUM), tmp_path / "past", pause=0)
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with pytest.raises(UnreachableError, match="the proxy of HTTP_PROXY or HTTPS_PROXY cannot be used"):
        fetch(Remote("http://archive.invalid/A.zip", SUM), tmp_path / "dead", pause=0)


def test_a_disk_without_room_is_refused_before_anything_comes(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, len(CONTENT) - 1))
    with pytest.raises(OutsideError, match=r"A\.zip: needs 0 MiB more") as error:
        fetch(server.remote(), tmp_path)
    assert "--to" in str(error.value.help)
    (tmp_path / "A.zip.part").write_bytes(CONTENT[:2])
    got(server, tmp_path)


def test_a_server_fills_no_disk(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("specdsl.data.downloads.LARGEST", 1000)
    for server.length in (True, False):
        with pytest.raises(UnreachableError, match="1,000"):
            fetch(server.remote(), tmp_path / str(server.length), pause=0)


def test_ctrl_c_keeps_what_came(server: Server, tmp_path: Path) -> None:
    def advance(done: int, total: int | None) -> None:
        if done > 300_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(server.remote(), tmp_path, advance)
    part = (tmp_path / "A.zip.part").read_bytes()
    assert len(part) > 300_000
    assert part == CONTENT[: len(part)]
    got(server, tmp_path)
    assert server.asked[-1] == ("/files/A.zip", f"bytes={len(part)}-")


def test_two_processes_do_not_write_one_file(server: Server, tmp_path: Path) -> None:
    with Growing(tmp_path / "A.zip"), pytest.raises(OutsideError, match="another process is writing it"):
        fetch(server.remote(), tmp_path)
    got(server, tmp_path)


def test_a_folder_that_cannot_be_written_is_told(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutsideError, match="file"):
        fetch(server.remote(), tmp_path / "file" / "folder")
