"""Why DSAIF loses on ACDC: what filtered scans do to a network that has never seen them.

python trials/04_dsaif_on_acdc.py [RUNS_DIR]

Writes reports/validation/04_dsaif_on_acdc.json: mean Dice on validation scans of the two networks
as their warm-up leaves them (labels only, no filter), when they are shown the scan itself, its Max-
and its Min-filtered version, and blurs that change the scan by as much, or by as much as a blur can
(`mean change`); for several thresholds T.
The filtered scans are what each network sees in half of its training, and its pseudo-labels there
are what the other one learns. No test scan is looked at.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from ssl_lib.data.cohort import Case
from ssl_lib.data.grid import training_scans
from ssl_lib.evaluation.metrics import mean_dice
from ssl_lib.methods import METHODS, dsaif
from ssl_lib.notebook.source import work_in_project
from ssl_lib.training.study import Study
from ssl_lib.utils.atomic import write_atomically

REPORT = Path("reports/validation/04_dsaif_on_acdc.json")
AREAS = (1, 2, 4, 16, 64)


def dice(study: Study, network: object, cases: list[Case]) -> list[float]:
    """Dice of each scan over the classes, on the grid of training."""
    found = study.predict(network, cases)
    n_classes = study.cohort.n_classes
    return [mean_dice(found[one.case_id], one.label, n_classes=n_classes) for one in cases]


def versions(cases: list[Case], area: int) -> dict[str, list[Case]]:
    """The scans filtered and blurred, by what was done."""
    found: dict[str, list[Case]] = {"Max": [], "Min": [], "blur like Max": [], "blur like Min": []}
    for case in cases:
        both = dsaif.filter_scan(case.image, 2, area=area)
        blurs = [dsaif.blur_like(case.image, one, 2) for one in both]
        for name, image in zip(found, (*both, *blurs), strict=True):
            found[name].append(replace(case, image=image))
    return found


def main(runs: Path) -> None:
    """Both networks of seed 0, at three labelled patients."""
    study = Study.open("acdc", "evening", 3, 0, runs_dir=runs)
    shown = replace(study.cohort, labelled=study.cohort.validation, unlabelled=(), validation=())
    cases = list(training_scans(shown, study.settings.grid, study.settings.spacing).labelled)
    _, warm_up = METHODS["dsaif"].bound()
    networks = [study._warm_up("DSAIF", warm_up, i, None).networks.student for i in (0, 1)]
    lines = []
    for area in (None, *AREAS):
        kinds = {"the scan": cases} if area is None else versions(cases, area)
        for name, these in kinds.items():
            scores = [dice(study, network, these) for network in networks]
            changed = [np.abs(a.image - b.image).mean() for a, b in zip(these, cases, strict=True)]
            line = {"T": area, "shown": name, "mean change": round(float(np.mean(changed)), 5)}
            line |= {f"network {i}": round(float(np.mean(s)), 4) for i, s in enumerate(scores, 1)}
            lines.append(line)
            print(line, flush=True)
    report = {
        "dataset": "acdc", "labelled patients": 3, "profile": "evening", "seed": 0,
        "score": "mean Dice on validation scans, on the grid of 128 x 128", "lines": lines,
    }  # fmt: skip
    write_atomically(REPORT, (json.dumps(report, indent=1) + "\n").encode())


if __name__ == "__main__":
    work_in_project()
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/runs"))
