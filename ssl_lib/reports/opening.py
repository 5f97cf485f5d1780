"""The first figure of the front page: test scans of ACDC, labels only against unlabelled scans.

python -m ssl_lib.reports.opening --data data --runs build/runs

Trains (or finds) the strong baseline and the mean teacher with three labelled patients, predicts
the test scans, and writes `reports/opening.json`, which the front page takes in. Nothing is chosen
by its looks: the scans are those whose gain in Dice is the lower quartile, the median and the upper
quartile of all test scans.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ssl_lib.data.published import PUBLISHED
from ssl_lib.evaluation.metrics import mean_dice
from ssl_lib.methods import METHODS
from ssl_lib.notebook.files import write_text
from ssl_lib.notebook.interactive import Compared, wipe
from ssl_lib.notebook.interactive.page import Piece
from ssl_lib.reports.findings import ROOT, STRONG, TWO_CORES
from ssl_lib.training.study import Study
from ssl_lib.utils.words import signed

FILE = ROOT / "reports" / "opening.json"
TAUGHT = "mean_teacher"
QUARTILES = {"the median gain": 0.5, "a smaller gain": 0.25, "a larger gain": 0.75}


def opening(study: Study) -> Piece:
    """The figure for that study, with the terms of the data in its caption."""
    networks = {name: study.train(METHODS[name]).networks.student for name in (STRONG, TAUGHT)}
    maps = {name: study.predict(network, study.cohort.test) for name, network in networks.items()}
    truths = {
        case.case_id: study.cohort.sealed.open(case.case_id, "teaching picture")
        for case in study.cohort.test
    }
    dice = {name: _dice(found, truths, study.cohort.n_classes) for name, found in maps.items()}
    gains = {case: dice[TAUGHT][case] - dice[STRONG][case] for case in truths}
    rank = sorted(gains, key=lambda case: gains[case])
    chosen = {words: rank[round(q * (len(rank) - 1))] for words, q in QUARTILES.items()}
    words = {STRONG: "labels only", TAUGHT: "with unlabelled scans"}
    cases = {case.case_id: case for case in study.cohort.test}
    scans = [
        Compared(
            f"{label}, {signed(gains[case])}",
            cases[case],
            truths[case],
            {words[name]: maps[name][case] for name in maps},
            {words[name]: dice[name][case] for name in maps},
        )
        for label, case in chosen.items()
    ]
    return wipe(scans, study.cohort.class_names, alt=_alt(list(gains.values())))


def _dice(
    found: Mapping[str, np.ndarray], truths: Mapping[str, np.ndarray], n_classes: int
) -> dict[str, float]:
    return {case: mean_dice(found[case], truth, n_classes) for case, truth in truths.items()}


def _alt(gains: Sequence[float]) -> str:
    """The caption: what is compared, which scans, and whose they are."""
    acdc = PUBLISHED[TWO_CORES["dataset"]]
    return (
        "A heart in MRI, segmented by a network that learnt from the labels of "
        f"{TWO_CORES['n_labelled']} patients (left), and by the mean teacher, which learnt from "
        f"these and from unlabelled scans (right). Of {len(gains)} test scans, those at the "
        f"quartiles of the gain in Dice (seed 0; median {signed(float(np.median(gains)))}, mean "
        f"{signed(float(np.mean(gains)))}). "
        f"Data: ACDC ({acdc.citation}), {acdc.licence}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--runs", type=Path, default=Path("build/runs"))
    folders = parser.parse_args()
    dataset, profile, n_labelled = (TWO_CORES[key] for key in ("dataset", "profile", "n_labelled"))
    study = Study.open(
        dataset, profile, n_labelled, 0, data_dir=folders.data, runs_dir=folders.runs
    )
    write_text(FILE, json.dumps(asdict(opening(study))))


if __name__ == "__main__":
    main()
