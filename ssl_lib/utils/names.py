"""Names of files, made where PyTorch is not needed: workers that only pass runs on import this."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from ssl_lib.utils.errors import InputError

ROWS = "rows"
"""The folder of the rows' files, below that of all results."""
NAMED = ("phantom", "phantom_3d", "phantom_folder", "hippocampus", "la2018", "acdc")
"""Data sets that have a name; everything else is the path of a folder."""


def safe_name(dataset: str) -> str:
    """The dataset's name; of a folder the last part of its path and a hash of the whole path, fit
    for a file name.

    Two folders of one name share nothing, neither results nor predictions. What is no path (a name
    that was made here before) stays as it is.
    """
    if not dataset.strip():
        raise InputError("no name can be made of an empty name", where="DATASET")
    name = re.sub(r"[^A-Za-z0-9_.]+", "_", Path(dataset).name).strip("._")
    if not _is_path(dataset):
        made = re.sub(r"[^A-Za-z0-9_.-]+", "_", dataset).strip("._-")
        if not made:
            raise InputError(f"no name can be made from the dataset {dataset!r}")
        return made
    try:
        whole = str(Path(dataset).expanduser().resolve())
    except (OSError, RuntimeError):  # nobody's home folder: refused where the folder is opened
        whole = dataset
    digest = hashlib.sha256(whole.encode(errors="surrogateescape")).hexdigest()[:6]
    return f"{name or 'scans'}-{digest}"


def of_a_folder(name: str) -> bool:
    """Whether a name was made by `safe_name` of a folder's path: of scans that are somebody's own,
    and no part of what is published here."""
    return bool(re.search(r"-[0-9a-f]{6}$", name))


def notebook_number(notebook: str) -> str:
    """The number that a notebook's name begins with, "00" or "00b"; "" for a name without one."""
    number = notebook.partition("_")[0]
    return number if number[:1].isdigit() else ""


def base_row(row: str) -> str:
    """The row without its changed parameters: `bcp` for `bcp[alpha=0.3]`, `dsaif_ensemble` for
    `dsaif[gate=0.8]_ensemble`."""
    name, _, rest = row.partition("[")
    behind = rest.rpartition("]")[2]
    return name + behind if behind.startswith("_") else name


def draw_suffix(labelled_draw: int) -> str:
    """What a file's name says of the choice of labelled scans: nothing of the data set's own."""
    return f"-draw{labelled_draw}" if labelled_draw else ""


def folds_suffix(folds: int) -> str:
    """What a file's name says of the number of folds: nothing without any."""
    return f"-folds{folds}" if folds else ""


def methods_suffix(methods: str) -> str:
    """What a file's name says of methods other than the notebook's own: nothing of the latter.

    A long list is told by its first name and a hash of all.
    """
    name = "-".join(methods.split())
    if len(name) > 60:
        name = f"{methods.split()[0]}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    return f"-only-{name}" if name else ""


def _is_path(dataset: str) -> bool:
    """Whether a dataset is a folder: by a separator in its name, or because it is there."""
    if dataset in NAMED:
        return False
    try:
        return "/" in dataset or "\\" in dataset or "~" in dataset or Path(dataset).is_dir()
    except (OSError, ValueError):
        return False
