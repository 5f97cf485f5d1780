"""Servers and archives that lie: the right files or one clear message, and a bounded disk."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import tiny_server
from tiny_server import (
    CONTENT,
    ENDLESS_BYTES,
    FIRST,
    MOST_BYTES,
    SOURCE,
    Server,
    use_tiny_set,
    with_archive,
)

import data_download
from ssl_lib import datasets, download, transfer, verification
from ssl_lib.errors import InputError

HERE = f"/{SOURCE}{FIRST}"


@pytest.fixture(autouse=True)
def tiny_set(monkeypatch: pytest.MonkeyPatch) -> datasets.PublishedSet:
    return use_tiny_set(monkeypatch)


def be_impatient(monkeypatch: pytest.MonkeyPatch, lies: list[str]) -> None:
    """Wait half a second instead of thirty, where the server is going to say nothing."""
    if {"silence", "stall"} & set(lies):
        monkeypatch.setattr(transfer, "TIMEOUT_SECONDS", (5, 0.5))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "hippocampus"


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    """A server that looks, while it answers, for wrong bytes under a final name."""
    running, seen = Server(), []

    def look() -> None:
        for path, content in CONTENT.items():
            try:
                found = (folder / path).read_bytes()
            except OSError:  # not there
                continue
            if found != content:
                seen.append(path)

    running.witness = look
    yield running
    running.close()
    look()
    assert seen == [], "something unverified stood under its final name"


def fetch(tmp_path: Path, server: Server) -> None:
    download.fetch("hippocampus", tmp_path / "data", mirror=server.url, say=lambda _: None)


def assert_complete(folder: Path) -> None:
    assert {path: (folder / path).read_bytes() for path in CONTENT} == CONTENT
    assert not list(folder.rglob("*.part"))


def bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


HONEST_BYTES = sum(map(len, CONTENT.values()))

LIES_OVERCOME = {
    "cut twice": ["cut", "cut"],
    "silent at first": ["silence"],
    "stalls in the middle": ["stall", "stall"],
    "server error": ["500"],
    "too many requests, no word when": ["429", "429"],
    "too many requests, come back at once": ["429 0"],
    "come back at some nonsense": ["503 soon"],
    "redirected to the file": [f"to {HERE}"],
    "announces too much": ["longer"],
    "announces too little": ["shorter"],
    "announces a negative length": ["negative length"],
    "announces two lengths": ["two lengths"],
    "wrong bytes": ["wrong"],
    "ignores the range": ["cut", "no range"],
    "another range than asked for": ["cut", "wrong range"],
    "a part without saying so": ["cut", "range unsaid"],
    "hangs up": ["drop", "drop"],
    "no web server": ["babble"],
    "redirected to nowhere": ["to http://127.0.0.1:9/"],
    "redirected to no address": ["to http://["],
    "packed for the way": ["packed"],
    "packed, and cut": ["packed cut", "no range"],
    "packed from the middle": ["cut", "packed", "packed"],
    "says packed, and is not": ["called packed", "called packed"],
}


@pytest.mark.parametrize("faults", LIES_OVERCOME.values(), ids=LIES_OVERCOME)
def test_a_server_that_lies_once_or_twice_still_gives_the_right_files(
    tmp_path: Path, server: Server, folder: Path, monkeypatch, faults: list[str]
) -> None:
    be_impatient(monkeypatch, faults)
    server.fault(FIRST, *faults)
    fetch(tmp_path, server)
    assert_complete(folder)
    assert not server.faults[HERE], "every lie was told"


LIES_REFUSED = {
    "404": "HTTP 404",
    "500": "HTTP 500",
    "429": "HTTP 429",
    "429 86400": "HTTP 429, not to be asked again for 86400 s",
    "silence": "nothing came for 0.5 s",
    "stall": "nothing came for 0.5 s",
    "to ITSELF": "TooManyRedirects",
    "to file:///etc/passwd": "InvalidSchema",
    "to http://[": "ValueError",
    "shorter": "wrong sha256",
    "two lengths": "InvalidHeader",
    "wrong": "wrong sha256",
    "drop": "the connection broke",
    "babble": "the connection broke",
    "endless": f"sends more than the {MOST_BYTES} bytes",
    "packed bomb": f"sends more than the {MOST_BYTES} bytes",
}


@pytest.mark.parametrize(("lie", "said"), LIES_REFUSED.items(), ids=LIES_REFUSED)
def test_a_server_that_keeps_lying_about_a_file_is_one_message(
    tmp_path: Path, server: Server, folder: Path, monkeypatch, lie: str, said: str
) -> None:
    be_impatient(monkeypatch, [lie])
    server.always[HERE] = lie
    with pytest.raises(InputError) as refusal:
        fetch(tmp_path, server)
    text = str(refusal.value)
    assert said in text, text
    assert FIRST in text and "1 of 8 files" in text and "--mirror" in text
    assert not (folder / FIRST).exists()
    assert sum((folder / path).exists() for path in CONTENT) == len(CONTENT) - 1
    assert server.bytes_sent < ENDLESS_BYTES / 2
    assert bytes_in(folder) < HONEST_BYTES + 3 * MOST_BYTES
    server.always.clear()
    fetch(tmp_path, server)
    assert_complete(folder)


def test_a_server_that_drops_every_second_connection_gives_all_files(
    tmp_path: Path, server: Server, folder: Path
) -> None:
    for path in CONTENT:
        server.fault(path, "drop", "cut", "")
    fetch(tmp_path, server)
    assert_complete(folder)


def test_a_server_that_never_answers_is_given_up_before_every_file_has_waited(
    tmp_path: Path, server: Server, monkeypatch
) -> None:
    be_impatient(monkeypatch, ["silence"])
    server.always = {f"/{SOURCE}{path}": "silence" for path in CONTENT}
    with pytest.raises(InputError, match=r"8 of 8 files.*no mirror could be reached"):
        download.fetch_files(
            datasets.PUBLISHED["hippocampus"],
            tmp_path / "data",
            list(CONTENT),
            mirror=server.url,
            workers=1,
            say=lambda _: None,
        )
    assert len(server.requests) == transfer.ATTEMPTS


@pytest.mark.parametrize(
    ("answer", "least", "most"),
    [("7", 7, 7), ("0", 0, 0.01), ("DATE", 30, 50), ("yesterday", 0, 0.01)],
    ids=["seconds", "at once", "date", "nonsense"],
)
def test_the_server_says_when_to_come_back(
    tmp_path: Path, server: Server, monkeypatch, answer: str, least: float, most: float
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(transfer.time, "sleep", slept.append)
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True)
    server.fault(FIRST, "429 " + answer.replace("DATE", date))
    fetch(tmp_path, server)
    assert len(slept) == 1 and least <= slept[0] <= most


def test_two_processes_that_fetch_at_once_do_no_harm(
    tmp_path: Path, server: Server, folder: Path
) -> None:
    for path in CONTENT:
        server.fault(path, "cut", "wrong range", "")
    command = [sys.executable, tiny_server.__file__, server.url, str(tmp_path / "data")]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    errors = [process.communicate(timeout=60)[1].decode() for process in running]
    assert [process.returncode for process in running] == [0, 0], errors
    assert_complete(folder)
    whole = [path for path, asked in server.requests if asked is None]
    assert len(whole) <= 2 * len(CONTENT), "the second process found what the first had fetched"


# --- the disk


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe\x00"])
def test_a_damaged_note_of_what_was_verified_is_made_anew(
    tmp_path: Path, server: Server, folder: Path, content: bytes
) -> None:
    fetch(tmp_path, server)
    for note in (verification.STAMP, download.SUBSET):
        (folder / note).write_bytes(content)
    assert download.verify("hippocampus", tmp_path / "data") == len(CONTENT)
    (folder / verification.STAMP).write_bytes(content)
    fetch(tmp_path, server)
    assert_complete(folder)


def test_a_data_folder_that_is_a_file_is_one_message(tmp_path: Path, server: Server) -> None:
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(InputError, match="could not be written"):
        fetch(tmp_path, server)


@pytest.mark.parametrize("through", ["http", "folder"])
def test_a_full_disk_is_one_message_and_the_next_fetch_goes_on(
    tmp_path: Path, server: Server, folder: Path, monkeypatch, capsys, through: str
) -> None:
    mirror = server.url
    if through == "folder":
        mirror = str(tmp_path / "mirror")
        for path, content in CONTENT.items():
            file = tmp_path / "mirror" / SOURCE / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    fetched = ["fetch", "hippocampus", "--data-dir", str(tmp_path / "data"), "--mirror", mirror]
    full = threading.Event()

    def no_space(handle: int) -> None:
        if full.is_set():
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    full.set()
    assert data_download.main(fetched) == 2
    said = capsys.readouterr().err
    assert (
        "No space left on device" in said and "space left" in said and "check the net" not in said
    )
    assert not [path for path in CONTENT if (folder / path).exists()]
    full.clear()
    assert data_download.main(fetched) == 0
    assert_complete(folder)


# --- archives

Member = tuple[str, bytes, dict[str, object]]
"""Name, content and further fields of the header."""

ONLY = FIRST.replace("images/", "Task/imagesTr/")


def tar_of(*members: Member, mode: str = "w") -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as archive:
        for name, data, fields in members:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            for field, value in fields.items():
                setattr(header, field, value)
            if header.isreg():
                archive.addfile(header, io.BytesIO(data))
            else:
                header.size = 0
                archive.addfile(header)
    return content.getvalue()


def said_to_have(size: int) -> bytes:
    """An archive whose only member's header promises more than there is."""
    header = tarfile.TarInfo(ONLY)
    header.size = size
    return header.tobuf(tarfile.GNU_FORMAT) + CONTENT[FIRST] + bytes(10_000)


def sparse_bomb() -> bytes:
    """A few bytes that stand for a terabyte of zeros."""
    fields = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.name": ONLY,
        "GNU.sparse.size": str(10**12),
        "GNU.sparse.map": "0,1",
    }
    return tar_of((ONLY, b"x", {"pax_headers": fields}), mode="w")


RIGHT = (ONLY, CONTENT[FIRST], {})
STRANGERS = [
    ("/tmp/stranger-absolute", b"no", {}),
    ("../stranger", b"no", {}),
    ("Task/imagesTr/../../../stranger", b"no", {}),
    ("Task/device", b"", {"type": tarfile.CHRTYPE}),
]


def link(kind: bytes, to: str) -> Member:
    return (ONLY, b"", {"type": kind, "linkname": to})


ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "strangers only": (lambda: tar_of(*STRANGERS), "has no member"),
    "absolute path": (lambda: tar_of(("/" + ONLY, CONTENT[FIRST], {})), "has no member"),
    "symlink out": (lambda: tar_of(link(tarfile.SYMTYPE, "/etc/passwd")), "is not a file"),
    "symlink to itself": (lambda: tar_of(link(tarfile.SYMTYPE, Path(ONLY).name)), "not a file"),
    "hard link": (lambda: tar_of(link(tarfile.LNKTYPE, ONLY)), "is not a file"),
    "device": (lambda: tar_of((ONLY, b"", {"type": tarfile.CHRTYPE})), "is not a file"),
    "pipe": (lambda: tar_of((ONLY, b"", {"type": tarfile.FIFOTYPE})), "is not a file"),
    "folder": (lambda: tar_of((ONLY, b"", {"type": tarfile.DIRTYPE})), "is not a file"),
    "other bytes": (lambda: tar_of((ONLY, b"other", {})), "wrong sha256"),
    "too large": (lambda: tar_of((ONLY, bytes(20_000), {})), "at most 10000 are right"),
    "promises a terabyte": (lambda: said_to_have(10**12), "not a whole tar"),
    "sparse bomb": (sparse_bomb, "1000000000000 bytes, at most 10000"),
    "packed bomb": (lambda: tar_of((ONLY, bytes(10**7), {}), mode="w:gz"), "not a whole tar"),
    "cut in a header": (lambda: tar_of(RIGHT)[:300], "not a whole tar"),
    "cut in a member": (lambda: tar_of(RIGHT)[:1500], "not a whole tar"),
    "no archive": (lambda: b"<html>moved</html>" * 100, "not a whole tar"),
    "empty": (lambda: b"", "not a whole tar"),
}


def use_archive(
    entry: datasets.PublishedSet, server: Server, content: bytes, monkeypatch, **fields: object
) -> None:
    """Only the archive has the first file."""
    server.always[HERE] = "404"
    server.files["/Task.tar"] = content
    about = {
        "url": server.url + "/Task.tar",
        "md5": hashlib.md5(content).hexdigest(),
        "folders": {"images": "Task/imagesTr", "labels": "Task/labelsTr"},
        "most_bytes": 100_000,
    }
    archive = datasets.OfficialArchive(**{**about, **fields})
    monkeypatch.setitem(datasets.PUBLISHED, "hippocampus", with_archive(entry, archive))


@pytest.mark.parametrize(("make", "said"), ARCHIVES.values(), ids=ARCHIVES)
def test_a_malicious_archive_is_one_message_and_writes_nothing_elsewhere(
    tmp_path: Path, server: Server, folder: Path, tiny_set, monkeypatch, make, said: str
) -> None:
    use_archive(tiny_set, server, make(), monkeypatch)
    outside = Path("/tmp/stranger-absolute")
    with pytest.raises(InputError, match="1 of 8 files") as refusal:
        fetch(tmp_path, server)
    assert said in str(refusal.value)
    assert not (folder / FIRST).exists() and not outside.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["hippocampus"]
    assert bytes_in(folder) < HONEST_BYTES + 100_000 + MOST_BYTES


def test_strangers_in_an_archive_do_not_keep_the_right_file_from_being_taken(
    tmp_path: Path, server: Server, folder: Path, tiny_set, monkeypatch
) -> None:
    use_archive(tiny_set, server, tar_of(*STRANGERS, RIGHT), monkeypatch)
    fetch(tmp_path, server)
    assert (folder / FIRST).read_bytes() == CONTENT[FIRST]
    assert not list(tmp_path.rglob("*stranger*"))


def test_an_endless_archive_is_not_read_to_its_end(
    tmp_path: Path, server: Server, folder: Path, tiny_set, monkeypatch
) -> None:
    use_archive(tiny_set, server, tar_of(RIGHT), monkeypatch)
    server.always["/Task.tar"] = "endless"
    with pytest.raises(InputError, match="sends more than the 100000 bytes"):
        fetch(tmp_path, server)
    assert server.bytes_sent < ENDLESS_BYTES / 2
    assert bytes_in(folder) < HONEST_BYTES + 200_000


def test_an_archive_that_breaks_off_is_continued(
    tmp_path: Path, server: Server, folder: Path, tiny_set, monkeypatch
) -> None:
    use_archive(tiny_set, server, tar_of(RIGHT), monkeypatch)
    server.faults["/Task.tar"] = ["cut", "cut"]
    fetch(tmp_path, server)
    assert_complete(folder)
    asked = [asked for path, asked in server.requests if path == "/Task.tar"]
    assert asked == [None, "bytes=1000-", "bytes=2000-"]
