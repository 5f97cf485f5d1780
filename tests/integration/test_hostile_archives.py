"""Archives that want to write elsewhere or to fill the disk: one message, and nothing of theirs."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
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
    with_archive,
)

from ssl_lib.data import published as datasets
from ssl_lib.utils.errors import InputError

HERE = f"/{SOURCE}{FIRST}"


@pytest.fixture(autouse=True)
def tiny_set(monkeypatch: pytest.MonkeyPatch) -> datasets.PublishedSet:
    return use_tiny_set(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "hippocampus"


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with watched_server(folder) as running:
        yield running


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
