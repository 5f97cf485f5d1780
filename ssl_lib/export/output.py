"""Where predictions and models of a run go: into a folder that holds nothing of the reader's."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from ssl_lib.data.preprocessing import is_own_label_map
from ssl_lib.utils.atomic import is_unchanged


def output_folder(parent: str | Path, name: str) -> Path:
    """`parent/name`, or `parent/name-2`, `-3`, ...: the first that does not exist or holds nothing
    but files as they were written here.

    A prediction that somebody has corrected, a note or a table of one's own stays where it is, and
    no run ends over it after hours of training.
    """
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    folders = (Path(parent) / one for one in names)
    return next(
        folder
        for folder in folders
        if not folder.is_symlink() and all(map(_is_own, _files(folder)))
    )


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("[!.]*") if path.is_symlink() or not path.is_dir()]


def _is_own(path: Path) -> bool:
    label_map = path.name.lower().endswith((".nii", ".nii.gz")) and is_own_label_map(path)
    return label_map or is_unchanged(path)
