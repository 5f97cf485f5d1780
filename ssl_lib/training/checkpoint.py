"""Checkpoints: whole or not there (see `ssl_lib.utils.atomic`), and the one before as a spare.

The spare is kept so that a broken disk block costs minutes, not a night. Only tensors and plain
Python values are stored, and nothing else is ever unpickled.
"""

from __future__ import annotations

import io
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from ssl_lib.utils.atomic import previous, write_atomically
from ssl_lib.utils.errors import InputError


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
