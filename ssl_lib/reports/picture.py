"""The picture of the README, drawn from stored result files and nothing else.

`python -m ssl_lib.reports.picture` writes `reports/picture.png` from the stored rows of ACDC with
three labelled patients, at the resolution and with the network of the benchmark.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ssl_lib.evaluation.results import read_rows
from ssl_lib.figures import row_comparison, to_png
from ssl_lib.utils.atomic import write_atomically
from ssl_lib.utils.errors import InputError

COHORT: dict[str, Any] = {"dataset": "acdc", "profile": "gpu", "n_labelled": 3}


def draw_picture(reports: Path) -> Path:
    """Write the picture below `reports` and return its path; `InputError` without stored runs."""
    results = read_rows(reports / "results", **COHORT)
    if not results:
        raise InputError(
            "no stored row to draw",
            where=reports / "results",
            fix="run `make rows DATASET=acdc PROFILE=gpu N_LABELLED=3` first",
        )
    path = reports / "picture.png"
    write_atomically(path, to_png(row_comparison(results)))
    return path


if __name__ == "__main__":
    try:
        print(draw_picture(Path("reports")))
    except InputError as error:
        sys.exit(f"error: {error}")
