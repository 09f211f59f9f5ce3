"""Large files fetched once: a download that stopped goes on where it stopped, and what has the wrong sum is never used.

While it is fetched a file is called NAME.part. It gets its name when its MD5 sum is right, and not before. Proxies are
taken from the variables `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, as `requests` does.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import TYPE_CHECKING

from specdsl.data.dataset import DataError
from specdsl.data.files import Growing, OutsideError, check_room, explained

if TYPE_CHECKING:
    from requests import Response, Session

LARGEST = 4 << 30
"""The most bytes that are fetched of a file: no server fills a disk."""

ATTEMPTS = 5
"""How often a download that breaks off is taken up again without a byte of progress."""

TIMEOUTS = (15, 60)
"""Seconds to wait for a connection, and for the next byte."""

BLOCK = 1 << 16
"""Bytes that are taken at once: of a connection that breaks, less than that is lost."""

Advance = Callable[[int, int | None], None]
"""Told of the bytes that are there by now, and of all that there will be, where the server says."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A file to fetch.

    Attributes:
        url: where it lies.
        md5: its MD5 sum, in hexadecimal. It tells a broken file from a whole one, and is what was published.
    """

    url: str
    md5: str

    @property
    def name(self) -> str:
        """What it is called."""
        return self.url.rpartition("/")[2]


class UnreachableError(OutsideError):
    """A server that cannot be reached, or does not give the file."""


def fetch(remote: Remote, folder: Path, advance: Advance = lambda done, total: None, *, pause: float = 1.0) -> Path:
    """A file in a folder, which is made if there is none; what lies there already and has the right sum is not fetched.

    Args:
        remote: what to fetch.
        folder: where to.
        advance: told how far it is.
        pause: seconds before the first new attempt; each further one waits twice as long.

    Raises:
        UnreachableError: the server cannot be reached, refuses, or breaks off again and again. What came is kept.
        DataError: what came is another file, the disk is full, or another process is at it.
    """
    target, aside = folder / remote.name, folder / f"{remote.name}.wrong"
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if target.is_file():
            if md5_sum(target) == remote.md5:
                return target
            target.replace(aside)
        with Growing(target) as growing:
            # A part from before may be of another file: when its sum is wrong at the end, all is fetched again, once.
            resumed = growing.size > 0
            _fetch_all(remote, growing, advance, pause)
            found = md5_sum(growing.part)
            if resumed and found != remote.md5:
                growing.restart()
                _fetch_all(remote, growing, advance, pause)
                found = md5_sum(growing.part)
            if found != remote.md5:
                growing.become(aside)
                raise DataError(
                    f"{remote.url}: what came is not the published file: its MD5 sum is {found}, not {remote.md5}",
                    help=f"it is kept as {aside}: a proxy or a login page may have answered; fetch the file by hand",
                )
            growing.become()
    return target


def _fetch_all(remote: Remote, growing: Growing, advance: Advance, pause: float) -> None:
    """The rest of a file, appended to what is there; taken up again when the connection breaks."""
    import requests

    failed = 0
    with requests.Session() as session:
        while True:
            before = growing.size
            try:
                if _fetch_once(session, remote, growing, advance):
                    return
                reason = "it broke off"
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                reason = _cause(error)
            except requests.RequestException as error:
                raise UnreachableError(f"{remote.url}: {_cause(error)}") from None
            failed = 1 if growing.size > before else failed + 1
            never = not growing.size and failed == 2
            if never or failed == ATTEMPTS:
                kept = (
                    f"; {growing.size:,} bytes are kept, and the next attempt goes on from there"
                    if growing.size
                    else ""
                )
                raise UnreachableError(f"{remote.url}: {reason}{kept}")
            time.sleep(pause * 2 ** (failed - 1))


def _fetch_once(session: Session, remote: Remote, growing: Growing, advance: Advance) -> bool:
    """What one answer of the server gives; whether that is all."""
    there = growing.size
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={there}-"} if there else {})
    with session.get(remote.url, headers=headers, stream=True, timeout=TIMEOUTS) as response:
        total = _total(response, there)
        if response.status_code == 416:
            # There is nothing behind what is there: it is all, or it is more than all.
            if total != there:
                growing.restart()
            return total == there
        if response.status_code not in (200, 206):
            raise UnreachableError(
                f"{remote.url}: the server answers {response.status_code} {response.reason}".rstrip()
            )
        if response.status_code == 200 or _start(response) != there:
            # The server ignores the range and sends all of it, or sends another one.
            growing.restart()
            if response.status_code == 206:
                return False
            there = 0
        if total is not None:
            if total > LARGEST:
                raise UnreachableError(f"{remote.url}: {total:,} bytes, and at most {LARGEST:,} are fetched")
            check_room(growing.target, total - there)
        advance(there, total)
        for block in response.iter_content(BLOCK):
            growing.file.write(block)
            there += len(block)
            if there > (LARGEST if total is None else total):
                raise UnreachableError(
                    f"{remote.url}: the server sends more than it said, or more than {LARGEST:,} bytes"
                )
            advance(there, total)
        growing.file.flush()
    return total is None or there == total


def _total(response: Response, there: int) -> int | None:
    """The size of the whole file, as the server says it."""
    if match := re.fullmatch(r"bytes (?:\d+-\d+|\*)/(\d+)", response.headers.get("Content-Range", "")):
        return int(match[1])
    length = response.headers.get("Content-Length", "")
    return int(length) if response.status_code == 200 and length.isdigit() else None


def _start(response: Response) -> int | None:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _cause(error: BaseException) -> str:
    """Why a request failed, in short: what the system said, below what libraries wrapped around it."""
    import requests

    text = str(error)
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy of HTTP_PROXY or HTTPS_PROXY cannot be used"
    if isinstance(error, requests.exceptions.SSLError):
        return f"the certificate of the server is not accepted ({text[-120:]})"
    if isinstance(error, requests.Timeout):
        return "the server does not answer in time"
    for sign, told in (
        ("Connection refused", "the connection is refused"),
        ("NameResolution", "the name of the server cannot be resolved: this machine may be offline"),
        ("Network is unreachable", "the network cannot be reached: this machine may be offline"),
        ("IncompleteRead", "it broke off"),
    ):
        if sign in text:
            return told
    return text[:200]


def md5_sum(file: Path, advance: Advance = lambda done, total: None) -> str:
    """The MD5 sum of a file, in hexadecimal."""
    digest = md5(usedforsecurity=False)
    size = file.stat().st_size
    with file.open("rb") as opened:
        while block := opened.read(BLOCK):
            digest.update(block)
            advance(opened.tell(), size)
    return digest.hexdigest()
