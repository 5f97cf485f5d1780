"""Few labelled scans: every one of them is tested once, by networks that have not seen its patient.

With six labelled scans one held-out scan is an anecdote. In n folds over patients each fold is the
test set once and the others train; the scores of all folds together are those of n trainings with
fewer labels each. Nothing is chosen inside a fold, so that no validation scans are needed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ssl_lib.data.cohort import Case, Cohort, SealedLabels, known_label
from ssl_lib.data.folder import DRAWN
from ssl_lib.data.folder_files import SPLITS
from ssl_lib.utils.errors import InputError


def read_splits(folder: Path) -> list[list[str]] | None:
    """For each fold the case ids that it is tested on, from the folder's `splits_final.json`.

    None without such a file. It is a list with one entry a fold, `{"train": [...], "val": [...]}`.
    Raises `InputError` for anything else.
    """
    path = folder / SPLITS
    if not path.is_file():
        return None
    try:
        folds = [fold["val"] for fold in json.loads(path.read_text(encoding="utf-8-sig"))]
        right = all(isinstance(name, str) for fold in folds for name in fold)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        folds, right = [], False
    if not right or not all(isinstance(fold, list) for fold in folds) or len(folds) < 2:
        raise InputError(
            "these are no folds",
            where=str(path),
            expected='a list of two or more {"train": [case ids], "val": [case ids]}',
            fix="correct the file, or take it away: patients are then shared out by us",
        )
    return folds


def leave_patients_out(
    cohort: Cohort, n_folds: int, splits: Sequence[Sequence[str]] | None = None
) -> tuple[Cohort, tuple[Cohort, ...]]:
    """A cohort that trains on every labelled scan, and `n_folds` cohorts that each test a part.

    Labelled, validation and test scans of `cohort`, and unlabelled ones whose label is known, are
    shared out by patient, in the order of sha256 of their names, or as `splits` says: the case ids
    that each fold is tested on (see `read_splits`). In each fold the labels of its
    test scans are sealed, and unlabelled scans of its patients are left out. Folds have no
    validation scans, the first cohort has no test scans either. Its labelled scans stand fold after
    fold, so that another number of folds is another cohort. Raises `InputError` unless `n_folds` is
    a whole number from 2 to the number of patients with a labelled scan, and for splits that have
    another number of folds, leave a labelled scan out, name one twice, or part a patient.
    """
    pairs = [(case, known_label(cohort, case)) for case in cohort.cases]
    known = [replace(case, label=label) for case, label in pairs if label is not None]
    free = [case for case, label in pairs if label is None]
    patients = sorted({case.patient for case in known}, key=_rank)
    _refuse(n_folds, len(patients))
    fold_of = {patient: place % n_folds for place, patient in enumerate(patients)}
    if splits is not None:
        fold_of = _as_split(known, n_folds, splits)
    ordered = sorted(known, key=lambda case: fold_of[case.patient])
    source = f" of {SPLITS}" if splits is not None else ""
    said = (
        f"Each of the {len(known)} labelled scans is tested once, in {n_folds} folds{source} over"
        f" {len(patients)} patients; the exported network is trained on all of them."
    )
    cohort = replace(cohort, caveat=re.sub(rf"{DRAWN}[^.]*\.", said, cohort.caveat))
    folds = []
    for fold in range(n_folds):
        away = {patient for patient, place in fold_of.items() if place == fold}
        stay = [case for case in ordered if case.patient not in away]
        seen = [case for case in free if case.patient not in away]
        folds.append(_cohort(cohort, stay, seen, [c for c in ordered if c.patient in away]))
    return _cohort(cohort, ordered, free, ()), tuple(folds)


def _as_split(
    known: Sequence[Case], n_folds: int, splits: Sequence[Sequence[str]]
) -> dict[str, int]:
    """The fold of each patient, as the splits say. Names of scans that are not there do not
    count: they may have been excluded."""

    def refuse(problem: str, fix: str) -> InputError:
        return InputError(problem, where=SPLITS, expected="each labelled scan once", fix=fix)

    if len(splits) != n_folds:
        raise refuse(
            f"it has {len(splits)} folds, FOLDS is {n_folds}", f"set FOLDS = {len(splits)}"
        )
    fold_of: dict[str, int] = {}
    for case in known:
        places = [place for place, names in enumerate(splits) if case.case_id in names]
        if len(places) != 1:
            times = "in no fold" if not places else f"in {len(places)} folds"
            raise refuse(f"{case.case_id} is tested {times}", 'name it in one list "val"')
        if fold_of.setdefault(case.patient, places[0]) != places[0]:
            raise refuse(
                f"scans of the patient {case.patient} are tested in two folds",
                "keep a patient's scans together; patients.csv says who is who",
            )
    return fold_of


def _cohort(
    cohort: Cohort, labelled: Iterable[Case], free: Iterable[Case], test: Iterable[Case]
) -> Cohort:
    """The same task with other groups; the labels of the test scans are sealed."""
    hidden = {case.case_id: case.label for case in test if case.label is not None}
    return replace(
        cohort,
        labelled=tuple(labelled),
        unlabelled=tuple(free),
        validation=(),
        test=tuple(replace(case, label=None) for case in test),
        sealed=SealedLabels(hidden),
    )


def _rank(patient: str) -> str:
    return hashlib.sha256(f"fold: {patient}".encode()).hexdigest()


def _refuse(n_folds: int, n_patients: int) -> None:
    if isinstance(n_folds, bool) or not isinstance(n_folds, int) or not 2 <= n_folds <= n_patients:
        raise InputError(
            f"{n_folds!r} folds were asked for; patients with a labelled scan: {n_patients}",
            where="FOLDS",
            expected=f"0 for one held-out set, or 2 to {n_patients}",
        )
