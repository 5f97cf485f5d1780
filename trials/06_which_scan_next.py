"""Is a chosen scan worth more than a random one? Labels are added on the phantom, and counted.

    python trials/06_which_scan_next.py [RUNS_DIR]

For each seed two rows are trained on 2 labelled scans. From their agreement 2 further scans are
chosen (`ssl_lib.evaluation.next_scan`), once without the diversity rule, and four times at random.
The strong baseline is then trained on the 4 scans of each choice, with the same seed and settings,
and scored on the 24 test scans. No choice sees a label or a test scan. Writes
reports/validation/06_which_scan_next.json.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ssl_lib.config import settings_for
from ssl_lib.data.cohort import Cohort, SealedLabels, known_label
from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.evaluation.metrics import nan_mean
from ssl_lib.evaluation.next_scan import next_scans
from ssl_lib.evaluation.results import score_cohort
from ssl_lib.evaluation.statistics import bootstrap_interval
from ssl_lib.evaluation.watching import agreement
from ssl_lib.methods import METHODS
from ssl_lib.training.study import Study
from ssl_lib.utils.atomic import write_atomically

FILE = Path("reports/validation/06_which_scan_next.json")
SEEDS, START, ADDED, DRAWS = (0, 1, 2), 2, 2, 4
ROWS = ("supervised_strong", "mean_teacher")
OVERRIDES = {
    "warm_up": 120,
    "schedule.iterations": 80,
    "labelled_batch": 4,
    "unlabelled_batch": 4,
    "looks": 1,
}


def labelled_as(cohort: Cohort, names: list[str]) -> Cohort:
    """The cohort with these training scans labelled, in this order, and all others sealed."""
    training = {case.case_id: case for case in (*cohort.labelled, *cohort.unlabelled)}
    everything = (*training.values(), *cohort.test)
    truths = {case.case_id: known_label(cohort, case) for case in everything}
    return replace(
        cohort,
        labelled=tuple(replace(training[name], label=truths[name]) for name in names),
        unlabelled=tuple(
            replace(case, label=None) for name, case in training.items() if name not in names
        ),
        sealed=SealedLabels({name: one for name, one in truths.items() if name not in names}),
    )


def study_of(cohort: Cohort, seed: int, runs: Path | None) -> Study:
    study = Study(cohort, settings_for("quick", cohort), "quick", seed, torch.device("cpu"), runs)
    return study.with_overrides(OVERRIDES)


def test_dice(study: Study) -> dict[str, float]:
    """Mean Dice of each test scan, of the strong baseline's last weights."""
    student = study.train(METHODS["supervised_strong"]).networks.student
    row = score_cohort(study.predict(student, study.cohort.test), study.cohort)
    names = [case.case_id for case in study.cohort.test]
    entries = row["per_case"]
    return {name: nan_mean([e["dice"] for e in entries if e["id"] == name]) for name in names}


def choices(study: Study) -> dict[str, list[str]]:
    """The scans to add by each rule; the random ones are drawn by the seed."""
    free = study.cohort.unlabelled
    networks = [study.train(METHODS[row]).networks.student for row in ROWS]
    agreed = agreement([study.predict(one, free) for one in networks], study.cohort.n_classes)
    random = np.random.default_rng(study.seed)
    names = [case.case_id for case in free]
    drawn = {
        f"random {draw + 1}": [str(one) for one in random.choice(names, ADDED, replace=False)]
        for draw in range(DRAWS)
    }
    return {
        "disagreement and diversity": next_scans(agreed, free, study.cohort.labelled, ADDED),
        "disagreement alone": sorted(names, key=lambda name: agreed[name])[:ADDED],
        **drawn,
    }


def main(runs: Path | None) -> None:
    cohort, done = phantom_cohort(START), []
    for seed in SEEDS:
        study = study_of(cohort, seed, runs)
        start = [case.case_id for case in cohort.labelled]
        for rule, added in {"nothing added": [], **choices(study)}.items():
            dice = test_dice(study_of(labelled_as(cohort, start + added), seed, runs))
            done.append({"seed": seed, "rule": rule, "added": added, "dice": dice})
            print(f"seed {seed}, {rule}: {nan_mean(list(dice.values())):.4f}", flush=True)
    content = {
        "settings": {"dataset": "phantom", "profile": "quick", **OVERRIDES, "labelled": START,
                     "added": ADDED, "random_draws": DRAWS, "seeds": list(SEEDS)},
        "runs": done,
        "gain_over_random": {
            rule: gain(done, rule) for rule in ("disagreement and diversity", "disagreement alone")
        },
    }  # fmt: skip
    write_atomically(FILE, (json.dumps(content, indent=1) + "\n").encode())


def gain(done: list[dict], rule: str) -> dict[str, float | list[float]]:
    """Test Dice over the mean of the random draws, paired over scans and seeds, with the 95 %
    interval over test scans."""

    def table(wanted: str) -> np.ndarray:
        found = [one for one in done if one["rule"].startswith(wanted)]
        return np.array([
            np.mean([list(one["dice"].values()) for one in found if one["seed"] == seed], axis=0)
            for seed in SEEDS
        ])  # fmt: skip

    difference = table(rule) - table("random")
    interval = bootstrap_interval(difference)
    by_seed = [float(value) for value in difference.mean(axis=1)]
    return {"mean": interval.mean, "low": interval.low, "high": interval.high, "by_seed": by_seed}


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
