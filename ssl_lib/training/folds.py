"""Rows as they were tested: on one held-out set, or in folds, pooled."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ssl_lib.data.cohort import Case
from ssl_lib.evaluation.metrics import class_dice, nan_mean, summarise
from ssl_lib.training.loop import Training
from ssl_lib.training.study import Study

LabelMaps = Mapping[str, UInt8[np.ndarray, "*space"]]


@dataclass(frozen=True, eq=False)
class Tested:
    """Every test scan with its truth and what each row predicted, by networks that have not learnt
    from it. `truths` and each of `predicted` hold label maps by case id; `rows` are those of a
    result file (see `Study.score`)."""

    cases: tuple[Case, ...]
    truths: LabelMaps
    predicted: Mapping[str, LabelMaps]
    rows: Mapping[str, Mapping[str, Any]]
    n_classes: int

    def dice(self, predicted: LabelMaps) -> float:
        """Mean Dice of other label maps of these scans, over scans and foreground classes."""
        pairs = [(predicted[name], truth) for name, truth in self.truths.items()]
        return nan_mean([dice for one in pairs for dice in class_dice(*one, self.n_classes)])


def pool_tests(studies: Sequence[Study], runs: Sequence[Mapping[str, Training]]) -> Tested:
    """The rows of one study on its test scans, or those of folds with the scores pooled.

    `runs` holds the trainings of each study by row, the last weights of which are tested. Pooled
    means are those over all scans and classes of all folds; seconds are added up.
    """
    predicted: dict[str, dict[str, np.ndarray]] = {row: {} for row in runs[0]}
    scored: dict[str, list[dict[str, Any]]] = {row: [] for row in runs[0]}
    truths: dict[str, np.ndarray] = {}
    for study, trainings in zip(studies, runs, strict=True):
        test, sealed = study.cohort.test, study.cohort.sealed
        truths |= {case.case_id: sealed.open(case.case_id, "final score") for case in test}
        for row, training in trainings.items():
            predicted[row] |= study.predict(training.networks.student, test)
            scored[row].append(study.score(training))
    cases = tuple(case for study in studies for case in study.cohort.test)
    rows = {row: pooled(parts) for row, parts in scored.items()}
    return Tested(cases, truths, predicted, rows, studies[0].cohort.n_classes)


def pooled(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One row of a result file from those of several folds; of one part that part itself.

    `labels_used` is the smallest number of labelled scans of a fold.
    """
    if len(parts) == 1:
        return dict(parts[0])
    found = {**parts[0], **_scores(parts), "folds": len(parts)}
    for key in ("largest_component", "averaged_weights"):
        if all(key in part for part in parts):
            found[key] = {**parts[0][key], **_scores([part[key] for part in parts])}
    together = [part["same_patient"] for part in parts if "same_patient" in part]
    if together:
        found["same_patient"] = dict(ChainMap(*together))
    found["seconds"] = sum(part["seconds"] for part in parts)
    found["labels_used"] = min(part["labels_used"] for part in parts)
    return found


def _scores(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    per_case = [entry for part in parts for entry in part["per_case"]]
    return {**summarise(per_case), "per_case": per_case}
