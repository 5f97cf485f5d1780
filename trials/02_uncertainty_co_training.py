"""Validation trials behind the settings of notebook 02. No test scan is looked at.

python trials/02_uncertainty_co_training.py [RUNS_DIR [NAME ...]]

Writes reports/validation/02_uncertainty_co_training.json: every variant that was tried, with the
mean Dice on validation scans of each view and of their average, how often the views disagree
there, and what was chosen. Trainings are stored below RUNS_DIR and found again; NAMEs run only
those variants and keep the others in the file.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ssl_lib.methods import umct
from ssl_lib.models.ensemble import Ensemble
from ssl_lib.notebook.source import work_in_project
from ssl_lib.training.loop import Training
from ssl_lib.training.method import Method, Prepared
from ssl_lib.training.study import Study
from ssl_lib.utils.atomic import write_atomically

NAME = "02_uncertainty_co_training"
DATASET, PROFILE, N_LABELLED, SEEDS = "phantom_3d", "quick", 4, (0, 1)

VARIANTS = {
    "labels only": umct.views_supervised_step,
    "weight 0.2": partial(umct.umct_step, weight=0.2),
    "weight 1": partial(umct.umct_step, weight=1.0),
    "weight 3": partial(umct.umct_step, weight=3.0),
    "weight 1, same appearance": partial(umct.umct_step, weight=1.0, strong=False),
    "weight 0.2, running statistics": partial(umct.umct_step, batch_statistics=False),
}
SYMMETRIC = "labels only, symmetric kernels"

CHOSEN = "weight 0.2"
REASONS = (
    "Weight 0.2 has the best average on both seeds. 8 channels and half resolution keep a"
    " co-training step of three views near the cost of one mean-teacher step; 16 channels were"
    " better for a single view and took too long for the profile."
)


def disagreement(study: Study, members: list[torch.nn.Module]) -> float:
    """Share of the voxels of validation scans where not all views name the same class."""
    labels = [study.predict(member, study.cohort.validation) for member in members]
    differ = [
        np.any([found[scan] != labels[0][scan] for found in labels[1:]], axis=0).mean()
        for scan in labels[0]
    ]
    return float(np.mean(differ))


def validate(study: Study, training: Training) -> dict[str, object]:
    """Validation Dice of each view and of their average, and their disagreement."""
    members = training.networks.students
    return {
        "views": [round(study.validate(member), 4) for member in members],
        "averaged": round(study.validate(Ensemble(members)), 4),
        "disagreement": round(disagreement(study, members), 4),
        "seconds": round(training.seconds, 1),
    }


def train(study: Study, name: str) -> Training:
    """One variant with three views, from the shared warm-up of its kind of kernel."""
    options = {"symmetric": True} if name == SYMMETRIC else {}
    step = VARIANTS.get(name, umct.views_supervised_step)
    build = partial(umct.view_network, views=umct.views_of(3, 3), **options)
    prepared = Prepared(networks=3, build=build)
    return study.train(
        Method(name, step, umct.views_supervised_step, prepare=lambda study: prepared)
    )


def main(runs: Path, names: list[str]) -> None:
    work_in_project()
    path = Path("reports/validation") / f"{NAME}.json"
    report = json.loads(path.read_text()) if path.exists() else {}
    variants = report.get("variants", {})
    for seed in SEEDS:
        study = Study.open(DATASET, PROFILE, N_LABELLED, seed, runs_dir=runs)
        for name in names or [*VARIANTS, SYMMETRIC]:
            found = validate(study, train(study, name))
            variants.setdefault(name, {})[f"seed {seed}"] = found
            print(name, seed, found, flush=True)
            write(path, variants)


def write(path: Path, variants: dict[str, dict]) -> None:
    """The report: where it was measured, every variant in the order of this file, the choice."""
    order = [name for name in [*VARIANTS, SYMMETRIC] if name in variants]
    report = {
        "dataset": DATASET,
        "profile": PROFILE,
        "n_labelled": N_LABELLED,
        "measured on": "validation scans, last weights",
        "variants": {name: variants[name] for name in order},
        "kernels": {
            kernel: variants[name]
            for kernel, name in (("flat", "labels only"), ("symmetric", SYMMETRIC))
            if name in variants
        },
        "not measured yet": [name for name in [*VARIANTS, SYMMETRIC] if name not in variants],
        "chosen": CHOSEN,
        "reasons": REASONS,
    }
    write_atomically(path, (json.dumps(report, indent=1) + "\n").encode())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/trials"), sys.argv[2:])
