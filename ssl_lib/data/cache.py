"""Arrays that are made once: found again on disk by everything that decides what they hold."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from ssl_lib.data.parallel import in_processes
from ssl_lib.utils.atomic import write_atomically

Array = Shaped[np.ndarray, "..."]


def content_name(*parts: object) -> str:
    """A short name made of all parts: arrays by type, shape and bytes, everything else by `repr`.

    A part whose `repr` holds an address in memory (a function, say) gives a new name in every
    process; give its source instead.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(repr((part.shape, part.dtype.str)).encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(repr(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:24]


def made_once(
    folder: Path | str | None, parts: tuple[object, ...], make: Callable[[], Array]
) -> Array:
    """The array that `make()` returns; the next call with equal `parts` reads it from `folder`.

    `parts` must hold everything that decides the array: the scan, all options, the code's text. A
    damaged file is made anew, a kill leaves none. Without a folder nothing is stored. Raises
    `InputError` if the folder cannot be written to.
    """
    if folder is None:
        return make()
    path = Path(folder) / f"{content_name(*parts)}.npz"
    stored = _read(path)
    if stored is not None:
        return stored
    array = make()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, array=array)
    write_atomically(path, buffer.getvalue())
    return array


def all_made_once(
    folder: Path | str | None,
    parts: Mapping[str, tuple[object, ...]],
    make: Callable[..., Array],
    calls: Mapping[str, tuple[tuple, dict]],
    workers: int = 1,
) -> dict[str, Array]:
    """`made_once` for many arrays by name, those that are missing made by `workers` processes.

    `calls` holds the arguments and options of `make` for each name. Each array is stored as it is
    finished, so that a kill costs one of them. Raises what `made_once` and `in_processes` do.
    """
    found: dict[str, Array] = {}
    for name in calls:
        stored = _read(Path(folder) / f"{content_name(*parts[name])}.npz") if folder else None
        if stored is not None:
            found[name] = stored
    missing = [name for name in calls if name not in found]
    arrays = in_processes(make, [calls[name] for name in missing], workers)
    for name, array in zip(missing, arrays, strict=True):
        found[name] = made_once(folder, parts[name], partial(_given, array))
    return {name: found[name] for name in calls}


def _given(array: Array) -> Array:
    return array


def _read(path: Path) -> Array | None:
    """The stored array, None if there is no whole one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return file["array"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
