"""Validation trials behind the settings of notebook 04. No test scan is looked at.

python trials/04_structure_aware_filtering.py [RUNS_DIR]

Writes reports/validation/04_structure_aware_filtering.json: every variant that was tried, with the
mean Dice on validation scans of network 1, network 2 and their average. Trials that the file
already holds are not run again; one that is listed below and not in the file was never finished.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from ssl_lib.methods import METHODS
from ssl_lib.models.ensemble import Ensemble
from ssl_lib.notebook.source import work_in_project
from ssl_lib.training.loop import Training
from ssl_lib.training.study import Study
from ssl_lib.utils.atomic import write_atomically

NAME = "04_structure_aware_filtering"
REPORT = Path(f"reports/validation/{NAME}.json")
GAMMA = "T = 8, gamma for strong appearance"
TRIALS = {
    ("phantom", 0): ("T = 1", "T = 4", "T = 8", "T = 16", GAMMA),
    ("phantom", 1): ("T = 1", "T = 4", "T = 8"),
    ("phantom_3d", 0): ("T = 2", "T = 5", "T = 20"),
}


def validate(study: Study, training: Training) -> dict[str, float]:
    """Validation Dice of both networks and of their average."""
    first, second = training.networks.students
    networks = {"network 1": first, "network 2": second, "averaged": Ensemble([first, second])}
    return {name: round(study.validate(network), 4) for name, network in networks.items()}


def run(study: Study, variant: str, runs: Path) -> dict[str, float]:
    """Train one variant, named `T = ...`, and score it."""
    area = int(variant.split(",")[0].removeprefix("T = "))
    method = replace(METHODS["dsaif"], prepare_config={"area": area})
    done = study.train(method.with_config(strong=variant != GAMMA))
    return validate(study, done)


def main(runs: Path) -> None:
    """All trials that are missing; the file is written anew after each."""
    report = {"labelled scans": 4, "profile": "quick", "score": "mean Dice on validation scans"}
    report = json.loads(REPORT.read_text()) if REPORT.exists() else {**report, "trials": []}
    known = {(line["dataset"], line["seed"], line["variant"]) for line in report["trials"]}
    for (dataset, seed), variants in TRIALS.items():
        for variant in variants:
            if (dataset, seed, variant) in known:
                continue
            study = Study.open(dataset, "quick", 4, seed, runs_dir=runs)
            line = {"dataset": dataset, "seed": seed, "variant": variant}
            report["trials"].append({**line, **run(study, variant, runs)})
            print(report["trials"][-1], flush=True)
            write_atomically(REPORT, (json.dumps(report, indent=1) + "\n").encode())


if __name__ == "__main__":
    work_in_project()
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/runs"))
