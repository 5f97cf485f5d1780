"""The last resort: single files out of a set's official archive.

Members are read by their exact names and written to ours, so that nothing in an archive can choose
where it goes. Each one must have the same sha256 as from any other mirror.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import requests

from ssl_lib.datasets import OfficialArchive
from ssl_lib.transfer import set_aside


def take_from_archive(
    archive: OfficialArchive,
    folder: Path,
    paths: Sequence[str],
    hashes: Mapping[str, str],
    quarantine: Path,
) -> dict[str, str]:
    """Write those of `paths` that the archive holds; return what was wrong with the others."""
    name = Path(urlsplit(archive.url).path).name
    fetcher = pooch.create(
        path=folder / ".archive",
        base_url="",
        registry={name: f"md5:{archive.md5}"},
        urls={name: archive.url},
        retry_if_failed=1,
    )
    try:
        file = fetcher.fetch(name, downloader=pooch.HTTPDownloader(timeout=30))
        with tarfile.open(file) as opened:
            return {
                path: problem
                for path in paths
                if (problem := _take(opened, archive, folder / path, path, hashes, quarantine))
            }
    except (requests.RequestException, ValueError, OSError, tarfile.TarError) as error:
        reason = "wrong md5" if isinstance(error, ValueError) else type(error).__name__
        return dict.fromkeys(paths, f"{archive.url}: {reason}")


def _take(
    opened: tarfile.TarFile,
    archive: OfficialArchive,
    target: Path,
    path: str,
    hashes: Mapping[str, str],
    quarantine: Path,
) -> str:
    """Write one member to its final name; return what was wrong, or nothing."""
    member = archive.member(path)
    try:
        content = opened.extractfile(member)
    except KeyError:
        content = None
    if content is None:
        return f"{archive.url}: has no member {member}"
    part = target.with_name(target.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(content.read())
    if pooch.file_hash(part, alg="sha256") == hashes[path]:
        os.replace(part, target)
        return ""
    return f"{archive.url}: wrong sha256, moved to {set_aside(part, quarantine, target.name)}"
