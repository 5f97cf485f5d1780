"""The last resort: single files out of a set's official archive.

Members are read by their exact names and written to ours, so that nothing in an archive can choose
where it goes; links and devices are no files, and none may be larger than its set's files are. Each
one must have the same sha256 as from any other mirror.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

import requests

from ssl_lib.data.published import PublishedSet
from ssl_lib.data.transfer import Mirror, Wanted, obtain, set_aside
from ssl_lib.data.verification import file_hash
from ssl_lib.utils.atomic import cannot_write
from ssl_lib.utils.errors import InputError


def take_from_archive(
    entry: PublishedSet,
    folder: Path,
    paths: Sequence[str],
    quarantine: Path,
    session: requests.Session,
) -> dict[str, str]:
    """Write those of `paths` that the set's archive holds; return what was wrong with the others.

    Raises `InputError` when the disk takes no more.
    """
    archive = entry.archive
    assert archive is not None, f"{entry.name} has no archive"
    base, _, name = archive.url.rpartition("/")
    file = folder / ".archive" / name
    wanted = Wanted(name, archive.md5, archive.most_bytes, kind="md5")
    if not (file.exists() and wanted.is_in(file)):
        trouble = obtain(wanted, file, [Mirror(base)], quarantine, session=session)
        if not file.exists():
            return dict.fromkeys(paths, trouble[-1])
    problems = {}
    try:
        # "r:" is a plain archive: a compressed one might be endless behind a small file
        with tarfile.open(file, "r:") as opened:
            for path in paths:
                if problem := _take(opened, entry, folder / path, path, quarantine):
                    problems[path] = f"{archive.url}: {problem}"
    except InputError:
        raise
    except (tarfile.TarError, OSError, ValueError, OverflowError):  # cut, or not an archive
        reason = f"{archive.url}: not a whole tar archive"
        problems |= {p: problems.get(p, reason) for p in paths if not (folder / p).exists()}
    return problems


def _take(
    opened: tarfile.TarFile, entry: PublishedSet, target: Path, path: str, quarantine: Path
) -> str:
    """Write one member to its final name; return what was wrong, or nothing."""
    assert entry.archive is not None
    name = entry.archive.member(path)
    try:
        member = opened.getmember(name)
    except KeyError:
        return f"has no member {name}"
    file = opened.extractfile(member) if member.isreg() else None
    if file is None:
        return f"{name} is not a file"
    if member.size > entry.most_bytes:
        return f"{name} is said to have {member.size} bytes, at most {entry.most_bytes} are right"
    content = file.read()
    part = target.with_name(target.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
    except OSError as error:
        raise cannot_write(part, error) from error
    if file_hash(part) == entry.hashes[path]:
        os.replace(part, target)
        return ""
    return f"wrong sha256, moved to {set_aside(part, quarantine, target.name)}"
