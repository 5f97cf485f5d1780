"""One file from one of several mirrors to its final name, complete and verified, or not at all.

Pooch starts again from the first byte when a connection breaks, and reads whatever comes. Here the
bytes that have come stay in a `.part` file, the rest is asked for
with an HTTP `Range`, and nobody can send more than a file can have.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import requests
import urllib3

from ssl_lib.data.verification import file_hash
from ssl_lib.utils.atomic import cannot_write
from ssl_lib.utils.errors import InputError

ATTEMPTS = 3
PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0
TIMEOUT_SECONDS = (10, 30)
SLOWEST_BYTES = 1000  # that have to come within the second of these times
CHUNK_BYTES = 1 << 14


class NotThereError(Exception):
    """This mirror does not have the file; asking it again is of no use."""


class InterruptedTransferError(Exception):
    """The mirror broke off; asking again may help, after at least `wait` seconds."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass
class Mirror:
    """A folder, or the start of a URL, below which the files lie under their relative paths."""

    base: str
    refusals: int = 0

    @property
    def dead(self) -> bool:
        """Whether it refused or said nothing so often in a row that it is not asked again."""
        return self.refusals >= ATTEMPTS

    @property
    def folder(self) -> Path | None:
        """The folder on this machine, or None for an HTTP mirror."""
        if self.base.startswith(("http://", "https://")):
            return None
        if self.base.startswith("file://"):
            return Path(unquote(urlsplit(self.base).path))
        return Path(unquote(self.base)).expanduser()

    def url(self, path: str) -> str:
        """The address of one file, with spaces and the like quoted."""
        return self.base.rstrip("/") + "/" + quote(path)


@dataclass(frozen=True)
class Wanted:
    """A file: its path below a mirror, its hash, and the most bytes that it can have."""

    path: str
    digest: str
    most_bytes: int
    kind: str = "sha256"

    def is_in(self, file: Path) -> bool:
        """Whether `file` has the published hash."""
        return file_hash(file, self.kind) == self.digest


def obtain(
    wanted: Wanted,
    target: Path,
    mirrors: Sequence[Mirror],
    quarantine: Path,
    *,
    session: requests.Session,
) -> list[str]:
    """Bring one file to `target`; return what went wrong on the way, a line each.

    The mirrors are asked in order. A broken connection is continued, up to three times; a file
    with a wrong hash is moved to `quarantine` and fetched once more before the next mirror has its
    turn. If no mirror delivers, there is no `target` afterwards. Raises `InputError` when the disk
    takes no more.
    """
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(target, error) from error
    trouble: list[str] = []
    for mirror in mirrors:
        for line in _ask(mirror, wanted, part, quarantine, session):
            trouble.append(f"{mirror.url(wanted.path)}: {line}")
        if part.exists() and wanted.is_in(part):
            os.replace(part, target)
            break
    return trouble


def set_aside(file: Path, quarantine: Path, name: str) -> Path:
    """Move a file with a wrong hash to `quarantine`; return the place, named by its hash."""
    quarantine.mkdir(parents=True, exist_ok=True)
    kept = quarantine / f"{name}.{file_hash(file)[:8]}"
    os.replace(file, kept)
    return kept


def _ask(
    mirror: Mirror, wanted: Wanted, part: Path, quarantine: Path, session: requests.Session
) -> Iterator[str]:
    """Ask one mirror until `part` is the wanted file, or it is of no use; yield what was wrong."""
    wrong, wait = 0, 0.0
    for attempt in range(ATTEMPTS):
        if mirror.dead or wrong == 2:
            return
        if attempt:
            time.sleep(max(PAUSE_SECONDS * 2 ** (attempt - 1), wait))
        wait = 0.0
        try:
            _pull(mirror, wanted, part, session, decode=attempt % 2 == 0)
        except InterruptedTransferError as error:
            wait = error.wait
            yield str(error)
            continue
        except NotThereError as error:
            yield str(error)
            return
        if wanted.is_in(part):
            return
        yield f"wrong {wanted.kind}, moved to {set_aside(part, quarantine, part.stem)}"
        wrong += 1


def _pull(
    mirror: Mirror, wanted: Wanted, part: Path, session: requests.Session, decode: bool
) -> None:
    """Copy or download a file into `part`, going on where an earlier attempt ended."""
    have = part.stat().st_size if part.exists() else 0
    if have > wanted.most_bytes:
        part.unlink()
        have = 0
    folder = mirror.folder
    if folder is not None:
        _write(_pieces_of_file(folder / wanted.path), part, 0, wanted.most_bytes)
        return
    # Without "identity" the host may compress on the fly, and byte offsets would mean nothing.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with session.get(
            mirror.url(wanted.path), headers=headers, stream=True, timeout=TIMEOUT_SECONDS
        ) as answer:
            _pull_http(mirror, wanted, part, answer, have, decode)
    except InputError:
        raise
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        reason, refused = _why(error)
        mirror.refusals += refused
        raise InterruptedTransferError(reason) from None


def _pull_http(
    mirror: Mirror, wanted: Wanted, part: Path, answer: requests.Response, have: int, decode: bool
) -> None:
    """Read an answer to a `Range`; a server that ignores it answers 200: read from the start.

    A server that packs the bytes for the way is asked for the whole file. Some only say so, of
    files that end in .gz: with `decode` False such bytes are taken as they come.
    """
    if answer.status_code == requests.codes.requested_range_not_satisfiable and have:
        return  # nothing is left to send: the hash decides whether the part is whole
    if answer.status_code != requests.codes.ok:
        mirror.refusals = 0
    _refuse_bad_status(answer)
    packed = "Content-Encoding" in answer.headers
    goes_on = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-") and not packed
    if answer.status_code == requests.codes.partial_content and not goes_on:
        part.unlink(missing_ok=True)
        raise InterruptedTransferError("answered with another range than was asked for")

    try:
        pieces = _pieces_of_answer(answer, mirror, decode)
        _write(pieces, part, have if goes_on else 0, wanted.most_bytes)
    except (urllib3.exceptions.HTTPError, InterruptedTransferError):
        if packed:  # the bytes that have come are not those that a `Range` counts
            part.unlink(missing_ok=True)
        raise


def _pieces_of_answer(answer: requests.Response, mirror: Mirror, decode: bool) -> Iterator[bytes]:
    """What a server sends, as it comes; one that only drips is as good as silent."""
    read = getattr(answer.raw, "read1", answer.raw.read)  # not in old versions of urllib3
    since, came = time.monotonic(), 0
    while piece := read(CHUNK_BYTES, decode_content=decode):
        yield piece
        came += len(piece)
        if time.monotonic() - since > TIMEOUT_SECONDS[1]:
            if came < SLOWEST_BYTES:
                mirror.refusals += 1
                raise InterruptedTransferError(f"only {came} bytes in {TIMEOUT_SECONDS[1]} s")
            since, came, mirror.refusals = time.monotonic(), 0, 0
    mirror.refusals = 0


def _write(pieces: Iterable[bytes], part: Path, start: int, most_bytes: int) -> None:
    """Write pieces behind the first `start` bytes of `part`, no more than it can have."""
    try:
        with open(part, "ab" if start else "wb") as file:
            for piece in pieces:
                start += len(piece)
                if start > most_bytes:
                    break
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise cannot_write(part, error) from error
    if start > most_bytes:
        part.unlink()
        raise NotThereError(f"sends more than the {most_bytes} bytes that this file can have")


def _pieces_of_file(file: Path) -> Iterator[bytes]:
    """A file of a mirror that is a folder, in pieces."""
    try:
        with open(file, "rb") as source:
            while piece := source.read(CHUNK_BYTES):
                yield piece
    except OSError as error:
        raise NotThereError(error.strerror or str(error)) from None


def _why(error: Exception) -> tuple[str, bool]:
    """What broke off, in words, and whether the mirror did not answer at all."""
    text = str(error)
    if "Max retries exceeded" in text:  # requests says so when no connection came about
        return "unreachable", True
    if isinstance(error, requests.Timeout) or "timed out" in text:
        return f"nothing came for {TIMEOUT_SECONDS[1]} s", True
    broke = requests.ConnectionError, urllib3.exceptions.ProtocolError
    name = type(error).__name__
    return "the connection broke" if isinstance(error, broke) else f"no answer ({name})", False


def _refuse_bad_status(answer: requests.Response) -> None:
    code = answer.status_code
    if code in (requests.codes.too_many_requests, *range(500, 600)):
        wait = _retry_after(answer.headers.get("Retry-After", ""))
        if wait > LONGEST_PAUSE_SECONDS:
            raise NotThereError(f"HTTP {code}, not to be asked again for {wait:.0f} s")
        raise InterruptedTransferError(f"HTTP {code}", wait)
    if code not in (requests.codes.ok, requests.codes.partial_content):
        raise NotThereError(f"HTTP {code}")


def _retry_after(text: str) -> float:
    """Seconds to wait, from a number of them or from a date; 0 for anything else."""
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # no date, or one without a zone
        return 0.0
