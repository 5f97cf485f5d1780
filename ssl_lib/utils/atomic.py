"""Files that are either whole or not there, whatever kills the process or fills the disk."""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from contextlib import suppress
from pathlib import Path

from ssl_lib.utils.errors import InputError

ROOM = "a folder that can be written to, with space left"
LEFT_BEHIND_SECONDS = 600.0


def write_atomically(path: Path, content: bytes, keep_previous: bool = False) -> None:
    """Write bytes so that a kill at any moment leaves the old file or the new one, never a part.

    The content goes to a temporary file beside the target, is flushed to disk and then takes the
    target's name in one step. Raises `InputError` when the folder is read-only or the disk is full;
    the old file is untouched.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(path)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if keep_previous:
            with suppress(FileNotFoundError):  # none yet, or a twin of this run has just moved it
                os.replace(path, previous(path))
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


LEDGER = ".written_by_ssl_lib.json"
"""Beside files that people may edit: the sha256 of each as it was written here."""


def replace_own(path: Path, content: bytes) -> None:
    """Write a file that people may edit, but never over one that was not written here or was
    changed since, nor over a link.

    Raises `InputError` in these cases, and as `write_atomically`.
    """
    path = Path(path)
    if not is_unchanged(path):
        raise not_ours(path)
    ledger = path.parent / LEDGER
    written = {**_ledger(ledger), path.name: hashlib.sha256(content).hexdigest()}
    write_atomically(path, content)
    write_atomically(ledger, json.dumps(written, indent=1, sort_keys=True).encode())


def is_unchanged(path: Path) -> bool:
    """Whether nothing is there, or a file as `replace_own` has written it."""
    if path.is_symlink():
        return False
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return _ledger(path.parent / LEDGER).get(path.name) == hashlib.sha256(content).hexdigest()


def not_ours(path: Path) -> InputError:
    """What to say of a file that must not be replaced."""
    return InputError(
        "is there already, and was not written by this project or was changed since",
        where=path,
        expected="a new name, or a file of an earlier run",
        fix="move the file away, or choose another name or folder for the output",
    )


def _ledger(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def previous(path: Path) -> Path:
    """Where the file before the last one is kept."""
    return path.with_name(path.name + ".previous")


def cannot_write(path: Path, error: OSError) -> InputError:
    """What to say when the system refuses a write."""
    return InputError(
        f"could not be written ({error.strerror or error})", where=path, expected=ROOM
    )


def _remove_left_behind(path: Path) -> None:
    """Remove the temporary files of writers that were killed, or every kill would cost disk space.

    Only old ones: a young one may belong to another process that is writing the same file.
    """
    with suppress(OSError):
        for part in path.parent.iterdir():
            ours = part.name.startswith(f".{path.name}.") and part.name.endswith(".part")
            if ours and time.time() - part.stat().st_mtime > LEFT_BEHIND_SECONDS:
                part.unlink()
