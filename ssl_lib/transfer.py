"""One file from one of several mirrors to its final name, complete and verified, or not at all.

Pooch downloads and hashes, but starts again from the first byte when a connection breaks; here the
bytes that have come stay in a `.part` file and the rest is asked for with an HTTP `Range`.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pooch
import requests

ATTEMPTS = 3
PAUSE_SECONDS = 0.5
TIMEOUT_SECONDS = (10, 30)
CHUNK_BYTES = 1 << 14


class NotThereError(Exception):
    """This mirror does not have the file; asking it again is of no use."""


class InterruptedTransferError(Exception):
    """The mirror broke off; asking again may help."""


@dataclass
class Mirror:
    """A folder, or the start of a URL, below which the files lie under their relative paths."""

    base: str
    refusals: int = 0

    @property
    def dead(self) -> bool:
        """Whether connections to it failed so often in a row that it is not asked again."""
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


def obtain(
    path: str,
    target: Path,
    sha256: str,
    mirrors: Sequence[Mirror],
    quarantine: Path,
    *,
    session: requests.Session,
) -> list[str]:
    """Bring one file to `target`; return what went wrong on the way, a line each.

    The mirrors are asked in order. A broken connection is continued, up to three times; a file
    with a wrong hash is moved to `quarantine` and fetched once more before the next mirror has its
    turn. If no mirror delivers, there is no `target` afterwards.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    trouble: list[str] = []
    for mirror in mirrors:
        wrong = 0
        for _ in _attempts(mirror):
            try:
                _pull(mirror, path, part, session)
            except InterruptedTransferError as error:
                trouble.append(f"{mirror.url(path)}: {error}")
                continue
            except NotThereError as error:
                trouble.append(f"{mirror.url(path)}: {error}")
                break
            if pooch.file_hash(part, alg="sha256") == sha256:
                os.replace(part, target)
                return trouble
            kept = set_aside(part, quarantine, target.name)
            trouble.append(f"{mirror.url(path)}: wrong sha256, moved to {kept}")
            wrong += 1
            if wrong == 2:
                break
    return trouble


def set_aside(file: Path, quarantine: Path, name: str) -> Path:
    """Move a file with a wrong hash to `quarantine`; return the place, named by its hash."""
    quarantine.mkdir(parents=True, exist_ok=True)
    kept = quarantine / f"{name}.{pooch.file_hash(file, alg='sha256')[:8]}"
    os.replace(file, kept)
    return kept


def _attempts(mirror: Mirror) -> Iterable[int]:
    """Count attempts, waiting longer before each, and stop once the mirror is known to be dead."""
    for attempt in range(ATTEMPTS):
        if mirror.dead:
            return
        if attempt:
            time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
        yield attempt


def _pull(mirror: Mirror, path: str, part: Path, session: requests.Session) -> None:
    """Copy or download a file into `part`, going on where an earlier attempt ended."""
    folder = mirror.folder
    if folder is None:
        _pull_http(mirror, path, part, session)
        return
    try:
        shutil.copyfile(folder / path, part)
    except OSError as error:
        raise NotThereError(error.strerror or str(error)) from None


def _pull_http(mirror: Mirror, path: str, part: Path, session: requests.Session) -> None:
    """Download with `Range`; a server that ignores it answers 200 and is read from the start."""
    have = part.stat().st_size if part.exists() else 0
    # Without "identity" the host may compress on the fly, and byte offsets would mean nothing.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with session.get(
            mirror.url(path), headers=headers, stream=True, timeout=TIMEOUT_SECONDS
        ) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable and have:
                return  # nothing is left to send: the hash decides whether the part is whole
            mirror.refusals = 0
            _refuse_bad_status(answer)
            goes_on = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            with open(part, "ab" if goes_on else "wb") as file:
                for chunk in answer.iter_content(CHUNK_BYTES):
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
    except requests.exceptions.ConnectionError as error:
        # Requests says so when no connection came about; a connection that broke reads otherwise.
        refused = "Max retries exceeded" in str(error)
        mirror.refusals += refused
        reason = "unreachable" if refused else "the connection broke"
        raise InterruptedTransferError(reason) from None
    except requests.exceptions.RequestException as error:
        raise InterruptedTransferError(type(error).__name__) from None


def _refuse_bad_status(answer: requests.Response) -> None:
    code = answer.status_code
    if code in (requests.codes.too_many_requests, *range(500, 600)):
        raise InterruptedTransferError(f"HTTP {code}")
    if code not in (requests.codes.ok, requests.codes.partial_content):
        raise NotThereError(f"HTTP {code}")
