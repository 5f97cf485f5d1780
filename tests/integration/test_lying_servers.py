"""Servers that lie: the right files or one clear message, nothing unverified, a bounded disk."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import tiny_server
from tiny_server import (
    CONTENT,
    ENDLESS_BYTES,
    FIRST,
    HONEST_BYTES,
    MOST_BYTES,
    SOURCE,
    Server,
    assert_complete,
    bytes_in,
    fetch,
    use_tiny_set,
    watched_server,
)

import data_download
from ssl_lib.data import download, transfer, verification
from ssl_lib.data import published as datasets
from ssl_lib.utils.errors import InputError

HERE = f"/{SOURCE}{FIRST}"


@pytest.fixture(autouse=True)
def tiny_set(monkeypatch: pytest.MonkeyPatch) -> datasets.PublishedSet:
    return use_tiny_set(monkeypatch)


def be_impatient(monkeypatch: pytest.MonkeyPatch, lies: list[str]) -> None:
    """Wait half a second instead of thirty, where the server is going to say nothing."""
    if {"silence", "stall", "drip"} & set(lies):
        monkeypatch.setattr(transfer, "TIMEOUT_SECONDS", (5, 0.5))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "hippocampus"


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with watched_server(folder) as running:
        yield running


LIES_OVERCOME = {
    "cut twice": ["cut", "cut"],
    "silent at first": ["silence"],
    "stalls in the middle": ["stall", "stall"],
    "drips at first": ["drip"],
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
    "packed, cut, and taken as it came": ["drop", "packed cut"],
    "packed from the middle": ["cut", "packed", "packed"],
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


@pytest.mark.parametrize("lie", ["packed", "called packed", "longer", "negative length"])
def test_a_server_that_always_lies_about_the_form_still_gives_the_right_file(
    tmp_path: Path, server: Server, folder: Path, lie: str
) -> None:
    server.always[HERE] = lie
    fetch(tmp_path, server)
    assert_complete(folder)


@pytest.mark.parametrize("lie", ["wrong range", "range unsaid"])
def test_another_range_than_asked_for_is_not_taken_for_a_wrong_file(
    tmp_path: Path, server: Server, folder: Path, lie: str
) -> None:
    server.fault(FIRST, "cut", lie)
    fetch(tmp_path, server)
    assert not (folder / "quarantine").exists()


LIES_REFUSED = {
    "404": "HTTP 404",
    "500": "HTTP 500",
    "429": "HTTP 429",
    "429 86400": "HTTP 429, not to be asked again for 86400 s",
    "silence": "nothing came for 0.5 s",
    "stall": "nothing came for 0.5 s",
    "drip": "bytes in 0.5 s",
    "to ITSELF": "no answer (TooManyRedirects)",
    "to file:///etc/passwd": "no answer (InvalidSchema)",
    "to http://[": "no answer (ValueError)",
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
    errors = [process.communicate(timeout=180)[1].decode() for process in running]
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
    assert "No space left on device" in said and "check the network" not in said
    assert not [path for path in CONTENT if (folder / path).exists()]
    full.clear()
    assert data_download.main(fetched) == 0
    assert_complete(folder)
