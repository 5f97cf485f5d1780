"""Are the files of a public set the published ones?

What was found right is remembered by size and modification time in `.verified.json`, so that a
later start hashes nothing twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ssl_lib.data.published import PublishedSet
from ssl_lib.data.reading import hdf5_arrays
from ssl_lib.utils.atomic import write_atomically
from ssl_lib.utils.errors import InputError

STAMP = ".verified.json"


def file_hash(file: Path, kind: str = "sha256") -> str:
    """The hash of a file's bytes as hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, kind).hexdigest()


def require(entry: PublishedSet, folder: Path, paths: Sequence[str]) -> None:
    """Raise `InputError` unless all those files are there and have the published hash."""
    missing = [path for path in paths if not (folder / path).exists()]
    wrong = wrong_files(entry, folder, paths)
    if not missing and not wrong:
        return
    listed = [f"{path}: wrong sha256" for path in wrong] + [f"{path}: missing" for path in missing]
    more = f"\n    and {len(listed) - 8} more" if len(listed) > 8 else ""
    raise InputError(
        f"{len(wrong)} wrong and {len(missing)} missing of {len(paths)} files"
        + "".join(f"\n    {line}" for line in listed[:8])
        + more,
        where=folder,
        expected="the published files, unchanged",
        fix=f"python data_download.py fetch {entry.name} --data-dir {folder.parent}",
    )


def wrong_files(entry: PublishedSet, folder: Path, paths: Iterable[str]) -> list[str]:
    """Those of `paths` that are there with a wrong hash; nothing unchanged is hashed twice."""
    stamp_file = folder / STAMP
    stamp = _read_stamp(stamp_file)
    known, wrong = dict(stamp), []
    for path in paths:
        file = folder / path
        if not file.exists():
            continue
        status = file.stat()
        seal = [status.st_size, status.st_mtime_ns, entry.hashes[path]]
        if known.get(path) == seal:
            continue
        if _is_right(entry, path, file):
            known[path] = seal
        else:
            known.pop(path, None)
            wrong.append(path)
    if known != stamp:
        _write_stamp(stamp_file, known)
    return wrong


def _read_stamp(stamp_file: Path) -> dict[str, list[object]]:
    """What was found right; nothing, if the note cannot be read: then all is hashed again."""
    with suppress(OSError, ValueError):
        found = json.loads(stamp_file.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


def _write_stamp(stamp_file: Path, known: Mapping[str, Sequence[object]]) -> None:
    """Write it whole or not at all. In a folder that is read-only, files are hashed each time."""
    with suppress(InputError):
        write_atomically(stamp_file, json.dumps(known).encode())


def _is_right(entry: PublishedSet, path: str, file: Path) -> bool:
    """Whether the bytes are the published ones, or (HDF5) at least every voxel is."""
    if file_hash(file) == entry.hashes[path]:
        return True
    hashes, named = entry.voxel_hashes, Path(path)
    expected = hashes.get(named.parent.name) or hashes.get(named.stem)
    return expected is not None and voxel_hash(file) == expected


def voxel_hash(file: Path) -> str:
    """sha256 over shape, type and values of `image` and `label` of an HDF5 file.

    The same voxels in another container (written by another library, or compressed otherwise) have
    the same hash; an unreadable file has the empty one.
    """
    try:
        image, label = hdf5_arrays(file)
    except InputError:
        return ""
    kinds = (image.shape, image.dtype.str, label.shape, label.dtype.str)
    digest = hashlib.sha256(repr(kinds).encode())
    digest.update(image.tobytes())
    digest.update(label.tobytes())
    return digest.hexdigest()
