"""Names of files, made where PyTorch is not needed: workers that only pass runs on import this."""

from __future__ import annotations

import re
from pathlib import Path

from ssl_lib.utils.errors import InputError


def safe_name(dataset: str) -> str:
    """The dataset's name, or the last part of a folder's path, fit for a file name."""
    name = re.sub(r"[^A-Za-z0-9_.]+", "_", Path(dataset).name).strip("._")
    if not name:
        raise InputError(f"no name can be made from the dataset {dataset!r}")
    return name
