"""`make gpu`: rows at full scale, in the order of their value; resumable, and boxed in time.

python -m ssl_lib.reports.gpu --minutes 60 --jobs 4

First ACDC with three labelled patients at `gpu`, three seeds; then the left atrium with eight
labels by the papers' own schedules; then the other methods, one schedule for all, and the papers'
rows again with our geometry.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from ssl_lib.reports.rows import Folders, Row, run
from ssl_lib.utils.errors import InputError

BASELINES = ("supervised_strong", "mean_teacher", "supervised_weak", "supervised_all")
PASTING = ("bcp", "bcp_ablation")
OTHERS = ("ua_mt", "aau", "dsaif", "dsaif_ablation", "umct")

PLAN: tuple[tuple[str, str, int, tuple[int, ...], tuple[str, ...]], ...] = (
    ("acdc", "gpu", 3, (0, 1, 2), (*BASELINES, *PASTING)),
    ("la2018", "paper", 8, (0,), ("bcp", "mean_teacher", "supervised_weak", "bcp_ablation")),
    ("acdc", "gpu", 3, (0, 1, 2), OTHERS),
    ("acdc", "paper", 3, (0,), (*PASTING, "mean_teacher", "supervised_weak")),
    ("la2018", "paper", 8, (0,), OTHERS),
    ("la2018", "paper_equal", 8, (0,), ("mean_teacher", "ua_mt", "aau", "dsaif")),
)
"""Data set, profile, labelled scans or patients, seeds and methods, the most telling rows first."""


def rows() -> list[Row]:
    """All rows of the plan in their order; within a line seed after seed."""
    planned = [
        Row(dataset, profile, n_labelled, seed, method)
        for dataset, profile, n_labelled, seeds, methods in PLAN
        for seed in seeds
        for method in methods
    ]
    published = (row for row in planned if row.profile == "paper")
    return planned + [replace(row, config=(("geometry", "ours"),)) for row in published]


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is missing of the plan; returns 0 if all is there, 3 if time ran out."""
    parser = argparse.ArgumentParser(prog="python -m ssl_lib.reports.gpu")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--data", default=Folders.data)
    parser.add_argument("--runs", default=Folders.runs)
    parser.add_argument("--results", default=Folders.results)
    asked = parser.parse_args(arguments)
    folders, wanted = Folders(asked.data, asked.runs, asked.results), rows()
    try:
        done = run(wanted, folders, minutes=asked.minutes, jobs=asked.jobs)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0 if len(done) == len(wanted) else 3


if __name__ == "__main__":
    sys.exit(main())
