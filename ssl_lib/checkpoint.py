"""Files that are either whole or not there.

A write goes to a temporary file beside the target, is flushed to disk and then takes the target's
name in one step; the previous checkpoint is kept, so that a broken disk block costs minutes, not a
night. Only tensors and plain Python values are stored, and nothing else is ever unpickled.
"""

from __future__ import annotations

import io
import os
import uuid
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from ssl_lib.errors import InputError


def write_atomically(path: Path, content: bytes, keep_previous: bool = False) -> None:
    """Write bytes so that a kill at any moment leaves the old file or the new one, never a part.

    Raises `InputError` when the folder is read-only or the disk is full; the old file is untouched.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if keep_previous:
            with suppress(FileNotFoundError):  # none yet, or a twin of this run has just moved it
                os.replace(path, previous(path))
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"could not be written ({error.strerror})",
            where=path,
            expected="a folder that can be written to, with space left",
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def save(path: Path, state: dict[str, Any]) -> None:
    """Store tensors and plain values; the file that was there becomes `<name>.previous`."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue(), keep_previous=True)


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """The stored state, the previous one if the last is damaged, None if there is none at all.

    A damaged file is put aside as `<name>.damaged`: the next save must not move it over the good
    one before it. Raises `InputError` when files are there but none of them can be read.
    """
    path, damaged = Path(path), None
    for candidate in (path, previous(path)):
        try:
            with zipfile.ZipFile(candidate) as archive:
                if archive.testzip() is not None:  # torch itself checks no check sum
                    raise zipfile.BadZipFile("wrong check sum")
            state = torch.load(candidate, map_location=device, weights_only=True)
            if not isinstance(state, dict):
                raise TypeError(f"it holds a {type(state).__name__}")
        except FileNotFoundError:
            continue
        except Exception as error:  # whatever a broken file makes the reader stumble over
            damaged = error
        else:
            if damaged is not None:
                with suppress(OSError):  # a twin was faster, or nothing can be moved here
                    os.replace(path, path.with_name(path.name + ".damaged"))
            return state
    if damaged is None:
        return None
    raise InputError(
        "this checkpoint and the one before it are damaged",
        where=path,
        expected="a file written by this library",
        fix="delete the folder it lies in; the training then starts anew",
    ) from damaged


def previous(path: Path) -> Path:
    """Where the checkpoint before the last one is kept."""
    return path.with_name(path.name + ".previous")
