"""What a broken input is: how it is made, who reads it, and what must be said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Make = Callable[[Path], object]
Change = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Broken:
    """One input that must be refused.

    `make` writes it into an empty folder and returns what `read`, a public reader, is given. The
    message must hold all `words`, and `named`: the name of the file, unless another is stated (the
    name of a parameter, for example).
    """

    name: str
    make: Make
    read: Callable[[object], object]
    words: tuple[str, ...]
    named: str = ""


def group(
    kind: str, read: Callable[[object], object], *entries: tuple[object, ...], named: str = ""
) -> tuple[Broken, ...]:
    """Inputs of one reader: each entry is (name, make, word, word, ...)."""
    prefix = f"{kind}: " if kind else ""
    return tuple(
        Broken(prefix + name, make, read, tuple(words), named) for name, make, *words in entries
    )


def flipped(place: int) -> Change:
    """Turns over the bits of one byte; places below 0 count from the end."""

    def change(content: bytes) -> bytes:
        spoilt = bytearray(content)
        spoilt[place] ^= 255
        return bytes(spoilt)

    return change


def written(name: str, content: bytes) -> Callable[[Path], Path]:
    """Makes a file with that content."""

    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def missing(name: str) -> Callable[[Path], Path]:
    """Makes nothing of that name."""
    return lambda folder: folder / name


def a_folder(name: str) -> Callable[[Path], Path]:
    """Makes a folder where a file should be."""

    def make(folder: Path) -> Path:
        (folder / name).mkdir()
        return folder / name

    return make
