"""What does choosing the checkpoint on the test scans buy? The one place where that is done.

python trials/05_checkpoint_choice.py DATASET N_LABELLED

Trains a few rows at the quick profile, looks at the network `LOOKS` times while the method runs,
and scores validation *and test* scans each time. Writes the whole curves to
reports/selection/DATASET-quick-nN_LABELLED.json, from which notebook 05 takes three scores of one
and the same training: its last weights, those best on validation, those best on the test scans.
Nothing is chosen from these numbers; the last one is computed to be shown as a trap.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import nn

from ssl_lib.evaluation.results import score_cohort
from ssl_lib.methods import METHODS
from ssl_lib.notebook.source import work_in_project
from ssl_lib.training.study import Study
from ssl_lib.utils.atomic import write_atomically
from ssl_lib.utils.provenance import git_commit

PROFILE, SEEDS, LOOKS = "quick", (0, 1, 2), 20

ROWS = ("supervised_strong", "mean_teacher", "bcp")


@dataclass(frozen=True)
class PeekingStudy(Study):
    """A study whose every look at validation scans also scores the test scans, on the side."""

    seen: list[dict[str, float]] = field(default_factory=list)

    def validate(self, network: nn.Module) -> float:
        dice = super().validate(network)
        test = score_cohort(self.predict(network, self.cohort.test), self.cohort)["dice"]
        self.seen.append({"validation": dice, "test": test})
        return dice


def watched(dataset: str, n_labelled: int, seed: int, name: str) -> dict[str, object]:
    """One training with its two curves over the looks of the second stage."""
    plain = Study.open(dataset, PROFILE, n_labelled, seed)
    warm, method = plain.settings.warm_up, plain.settings.schedule.iterations
    study = PeekingStudy(**{**vars(plain), "settings": replace(plain.settings, looks=LOOKS)})
    study.train(METHODS[name])
    looks = study.seen[-LOOKS:]
    marks = [warm + round((i + 1) * method / LOOKS) for i in range(LOOKS)]
    return {
        "row": name,
        "seed": seed,
        "iterations": marks,
        "validation": [round(look["validation"], 5) for look in looks],
        "test": [round(look["test"], 5) for look in looks],
    }


def main(dataset: str, n_labelled: int) -> None:
    """Every row and seed that the file does not hold yet; it is written anew after each."""
    path = Path(f"reports/selection/{dataset}-{PROFILE}-n{n_labelled}.json")
    report = {
        "dataset": dataset,
        "profile": PROFILE,
        "n_labelled": n_labelled,
        "score": "mean Dice over scans and classes, student, second stage",
        "warning": "test scores along a training: made to show what choosing on them buys",
        "commit": git_commit(),
        "trainings": [],
    }
    report = json.loads(path.read_text()) if path.exists() else report
    there = {(one["row"], one["seed"]) for one in report["trainings"]}
    for seed in SEEDS:
        for name in ROWS:
            if (name, seed) in there:
                continue
            report["trainings"].append(watched(dataset, n_labelled, seed, name))
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, (json.dumps(report, indent=1) + "\n").encode())
            print(name, seed, report["trainings"][-1]["test"][-1], flush=True)


if __name__ == "__main__":
    work_in_project()
    main(sys.argv[1], int(sys.argv[2]))
