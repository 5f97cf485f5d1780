"""The picture of the README, drawn from stored result files and nothing else.

`python -m ssl_lib.reports.picture` writes `reports/picture.png` from the stored quick runs of
notebook 00 on the phantom.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ssl_lib.evaluation.results import read_results
from ssl_lib.figures import row_comparison, to_png
from ssl_lib.utils.atomic import write_atomically
from ssl_lib.utils.errors import InputError

NOTEBOOK, DATASET, PROFILE, N_LABELLED = "00_few_labels_many_scans", "phantom", "quick", 4


def draw_picture(reports: Path) -> Path:
    """Write the picture below `reports` and return its path; `InputError` without stored runs."""
    results = read_results(reports / "results", NOTEBOOK, DATASET, PROFILE, N_LABELLED)
    if not results:
        raise InputError(
            "no stored run to draw", where=reports / "results", fix="run `make reports` first"
        )
    path = reports / "picture.png"
    write_atomically(path, to_png(row_comparison(results)))
    return path


if __name__ == "__main__":
    try:
        print(draw_picture(Path("reports")))
    except InputError as error:
        sys.exit(f"error: {error}")
