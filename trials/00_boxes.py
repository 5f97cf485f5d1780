"""What the boxes of the strong augmentation are worth: rows trained without any of them.

python trials/00_boxes.py DATASET N_LABELLED SEED ROW [RUNS_DIR]

Every row but the plainest pastes boxes of its neighbour in the batch: into half of the labelled
patches, and into every view of an unlabelled one. Here one row of the profile `evening` is trained
with the same random numbers and no box. Writes a line to reports/validation/00_boxes.json: Dice on
validation scans, and of each test scan, at the last weights; the row with boxes is the stored one.
Nothing is chosen by it. `SSL_DATA_DIR` says where downloaded data lie.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from unittest.mock import patch

from ssl_lib.methods import METHODS, baselines, newer
from ssl_lib.notebook.source import work_in_project
from ssl_lib.training import augmentation
from ssl_lib.training.study import Study
from ssl_lib.utils.atomic import write_atomically

FILE = Path("reports/validation/00_boxes.json")
CELL = ("dataset", "n_labelled", "seed", "row")


def without_boxes(stack: ExitStack) -> None:
    """Inside, no box is pasted; as many random numbers are drawn as with them."""
    none = partial(augmentation.random_boxes, probability=0.0)
    plain = partial(augmentation.strong_augmentation, copy_paste=0.0)
    for place in (baselines, newer):
        stack.enter_context(patch.object(place, "random_boxes", none))
    stack.enter_context(patch.object(newer, "strong_augmentation", plain))
    stack.enter_context(patch.object(augmentation, "strong_augmentation", plain))


def main(dataset: str, n_labelled: int, seed: int, row: str, runs: Path) -> None:
    """One row, without boxes from its first update on."""
    study = Study.open(dataset, "evening", n_labelled, seed, runs_dir=runs / "no boxes")
    with ExitStack() as stack:
        without_boxes(stack)
        scored = study.score(study.train(METHODS[row]))
    dice: dict[str, list[float]] = {}
    for entry in scored["per_case"]:
        dice.setdefault(entry["id"], []).append(entry["dice"])
    line = {
        "dataset": dataset, "n_labelled": n_labelled, "seed": seed, "row": row,
        "validation": round(scored["validation_curve"][-1][1], 5),
        "test": {scan: round(sum(each) / len(each), 5) for scan, each in dice.items()},
    }  # fmt: skip
    lines = json.loads(FILE.read_text())["lines"] if FILE.exists() else []
    lines = [one for one in lines if any(one[key] != line[key] for key in CELL)] + [line]
    lines.sort(key=lambda one: [str(one[key]) for key in CELL])
    report = {"profile": "evening", "score": "Dice, last weights, without boxes", "lines": lines}
    write_atomically(FILE, (json.dumps(report, indent=1) + "\n").encode())
    print({key: line[key] for key in (*CELL, "validation")}, round(scored["dice"], 4))


if __name__ == "__main__":
    work_in_project()
    name, count, number, trained, *where = sys.argv[1:]
    main(name, int(count), int(number), trained, Path(where[0] if where else "build/runs"))
