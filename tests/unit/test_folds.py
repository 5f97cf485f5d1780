"""Folds over patients: every labelled scan is tested once, by networks that cannot have seen it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from organ_scans import write_organs
from tiny_study import CPU, method, row, tiny_settings, tiny_study

from ssl_lib.data.cohort import SealedLabels, known_label, seal
from ssl_lib.data.folder_files import SPLITS
from ssl_lib.data.folds import leave_patients_out, read_splits
from ssl_lib.data.own_scans import open_own_scans
from ssl_lib.evaluation.metrics import summarise
from ssl_lib.training.folds import pool_tests
from ssl_lib.training.study import Study, weights_hash
from ssl_lib.utils.errors import InputError


@pytest.fixture(scope="module")
def cohort():
    """Seven labelled scans of four patients in all four groups; two unlabelled scans, one of them
    of a patient with a labelled one."""
    found = tiny_study().cohort.cases
    base = tiny_study().cohort
    labels = [known_label(base, case) for case in found]
    owners = {"a1": "A", "a2": "A", "b1": "B", "c1": "C", "c2": "C", "d1": "D", "d2": "D"}
    cases = {
        name: replace(found[place % len(found)], case_id=name, patient=owner,
                      label=labels[place % len(found)])
        for place, (name, owner) in enumerate(owners.items())
    }  # fmt: skip
    free = [
        replace(found[0], case_id="b9", patient="B", label=None),
        replace(found[1], case_id="e9", patient="E", label=None),
    ]
    return seal(
        labelled=[cases["a1"], cases["b1"]],
        unlabelled=[cases["a2"], *free],
        validation=[cases["c1"], cases["c2"]],
        test=[cases["d1"], cases["d2"]],
        caveat="First. Drawn by us from the labelled scans: 2 test scans and so on. Last.",
        **{
            key: getattr(base, key)
            for key in ("name", "dimensions", "class_names", "spacing_unit", "licence", "citation")
        },
    )


def names_of(cases) -> list[str]:
    return [case.case_id for case in cases]


@pytest.mark.parametrize("n_folds", [2, 3, 4])
def test_every_labelled_scan_is_tested_once_and_no_patient_crosses(cohort, n_folds):
    everything, folds = leave_patients_out(cohort, n_folds)
    labelled = {"a1", "a2", "b1", "c1", "c2", "d1", "d2"}
    assert set(names_of(everything.labelled)) == labelled and not everything.test
    tested = [name for fold in folds for name in names_of(fold.test)]
    assert sorted(tested) == sorted(labelled) and len(folds) == n_folds
    for fold in folds:
        away = {case.patient for case in fold.test}
        training = fold.labelled + fold.unlabelled
        assert away.isdisjoint(case.patient for case in training) and not fold.validation
        assert set(names_of(fold.labelled)) == labelled - set(names_of(fold.test))
        assert ("b9" in names_of(fold.unlabelled)) == ("B" not in away)
        assert "e9" in names_of(fold.unlabelled)


def test_labels_of_a_folds_test_scans_are_sealed_and_are_the_true_ones(cohort):
    everything, folds = leave_patients_out(cohort, 3)
    truths = {case.case_id: case.label for case in everything.labelled}
    for fold in folds:
        assert all(case.label is None for case in fold.test)
        assert all((case.case_id in fold.sealed) == (case in fold.test) for case in fold.cases)
        for case in fold.test:
            found = fold.sealed.open(case.case_id, "final score")
            np.testing.assert_array_equal(found, truths[case.case_id])


def test_another_number_of_folds_is_another_cohort_and_the_caveat_says_how_it_was_tested(cohort):
    hashes = {leave_patients_out(cohort, n)[0].content_hash for n in (2, 3, 4)}
    assert len(hashes) == 3
    caveat = leave_patients_out(cohort, 3)[0].caveat
    assert caveat.startswith(
        "First. Each of the 7 labelled scans is tested once, in 3 folds over 4"
    )
    assert "Drawn by us" not in caveat and caveat.endswith("Last.")


@pytest.mark.parametrize("n_folds", [1, 5, -1, True, 2.0])
def test_folds_that_cannot_be_are_refused(cohort, n_folds):
    with pytest.raises(InputError, match="FOLDS"):
        leave_patients_out(cohort, n_folds)


def test_one_held_out_set_is_scored_as_before():
    study = tiny_study()
    trainings = study.rows(row("tiny", method, teacher=True))
    tested = pool_tests([study], [trainings])
    before = study.score(trainings["tiny"])
    assert str(tested.rows["tiny"]) == str(before)
    assert tested.dice(tested.predicted["tiny"]) == pytest.approx(before["dice"])


def test_scores_of_folds_are_pooled_over_scans(cohort):
    _, folds = leave_patients_out(cohort, 3)
    studies = [Study(fold, tiny_settings(), "smoke", 0, CPU) for fold in folds]
    runs = [study.rows(row("tiny", method, teacher=True)) for study in studies]
    tested = pool_tests(studies, runs)
    found = tested.rows["tiny"]
    assert {entry["id"] for entry in found["per_case"]} == tested.truths.keys()
    assert len(tested.cases) == 7 and found["folds"] == 3
    assert found["dice"] == pytest.approx(summarise(found["per_case"])["dice"], nan_ok=True)
    assert found["dice"] == pytest.approx(tested.dice(tested.predicted["tiny"]), nan_ok=True)
    assert found["labels_used"] == min(len(fold.labelled) for fold in folds)
    assert len(found["largest_component"]["per_case"]) == len(found["per_case"])
    apart = {case.patient for case in tested.cases}
    assert len(found["same_patient"]) == len(tested.cases) - len(apart) == 3


def test_a_folder_is_opened_in_folds(tmp_path):
    folder = str(write_organs(tmp_path / "mine", labelled=5))
    scans = open_own_scans(folder, "smoke", 99, folds=5)
    assert len(scans.folds) == 5 and len(scans.cohort.labelled) == 5
    assert [len(fold.test) for fold in scans.folds] == [1] * 5
    assert "tested once, in 5 folds over 5 patients" in scans.cohort.caveat
    assert not open_own_scans(folder, "smoke", 2).folds


def as_nnunet(*tested: list[str]) -> list[dict[str, list[str]]]:
    names = {name for fold in tested for name in fold}
    return [{"train": sorted(names - set(fold)), "val": fold} for fold in tested]


def test_the_folders_own_splits_decide_the_folds(tmp_path):
    folder = write_organs(tmp_path / "mine", labelled=5)
    names = sorted(path.name.split(".")[0] for path in (folder / "labelsTr").iterdir())
    wanted = [[names[4], names[0]], [names[1]], [names[3], names[2]]]
    (folder / SPLITS).write_text(json.dumps(as_nnunet(*wanted)))
    scans = open_own_scans(str(folder), "smoke", 9, folds=3)
    assert [sorted(names_of(fold.test)) for fold in scans.folds] == [sorted(f) for f in wanted]
    assert f"in 3 folds of {SPLITS} over 5 patients" in scans.cohort.caveat
    assert not open_own_scans(str(folder), "smoke", 2).folds, "without FOLDS they do not count"


@pytest.mark.parametrize(
    ("tested", "said"),
    [
        ([["a1", "a2", "b1"], ["c1", "c2", "d1", "d2"], []], "it has 3 folds, FOLDS is 2"),
        ([["a1", "a2", "b1"], ["c1", "c2", "d1"]], "d2 is tested in no fold"),
        ([["a1", "a2", "b1", "c1", "c2"], ["c1", "c2", "d1", "d2"]], "c1 is tested in 2 folds"),
        ([["a1", "b1", "c1", "c2"], ["a2", "d1", "d2"]], "patient A are tested in two folds"),
    ],
)
def test_splits_that_would_test_wrongly_are_refused(cohort, tested, said):
    with pytest.raises(InputError, match=said):
        leave_patients_out(cohort, 2, tested)


def test_names_of_excluded_scans_in_the_splits_do_not_count(cohort):
    tested = [["a1", "a2", "b1", "gone"], ["c1", "c2", "d1", "d2"]]
    _, folds = leave_patients_out(cohort, 2, tested)
    assert [len(fold.test) for fold in folds] == [3, 4]


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '[{"train": []}]', '[{"val": ["a"]}]', '[{"val": "ab"}, {"val": []}]',
             '[{"val": [1]}, {"val": [2]}]', "null", "[" * 5000],
)  # fmt: skip
def test_a_splits_file_that_is_none_is_refused_by_name(tmp_path, text):
    (tmp_path / SPLITS).write_text(text)
    with pytest.raises(InputError, match="these are no folds") as caught:
        read_splits(tmp_path)
    assert SPLITS in str(caught.value)
    assert read_splits(tmp_path / "elsewhere") is None


def test_labels_of_a_folds_test_scans_decide_no_weight(cohort):
    _, (fold, *_) = leave_patients_out(cohort, 3)
    hidden = {case.case_id: fold.sealed.open(case.case_id, "final score") for case in fold.test}
    lies = SealedLabels({name: np.ones_like(label) for name, label in hidden.items()})
    hashes = set()
    for one in (fold, replace(fold, sealed=lies)):
        study = Study(one, tiny_settings(), "smoke", 0, CPU)
        trained = study.train(row("tiny", method, teacher=True))
        hashes.add(weights_hash(trained.networks.student))
    assert len(hashes) == 1
