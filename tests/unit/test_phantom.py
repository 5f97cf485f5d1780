"""The phantom: the same bits for the same seed, every class in every scan, sizes as promised."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from ssl_lib.data.cohort import Cohort
from ssl_lib.data.phantom import (
    CLASS_NAMES,
    GRIDS,
    TEST,
    TRAINING,
    VALIDATION,
    phantom_cohort,
    phantom_scan,
    subject,
)
from ssl_lib.utils.errors import InputError


@lru_cache
def small(dimensions: int, n_labelled: int = 2) -> Cohort:
    return phantom_cohort(n_labelled, dimensions=dimensions, max_scans=8)


def truth(cohort: Cohort, case_id: str) -> np.ndarray:
    for case in cohort.labelled + cohort.validation:
        if case.case_id == case_id:
            return case.label
    return cohort.sealed.open(case_id, "teaching picture")


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_same_seed_gives_the_same_bits(dimensions):
    again = phantom_cohort(2, dimensions=dimensions, max_scans=8)
    assert again.content_hash == small(dimensions).content_hash
    other = phantom_cohort(2, dimensions=dimensions, max_scans=8, seed=1)
    assert other.content_hash != small(dimensions).content_hash


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_subject_does_not_depend_on_how_many_are_asked_for(dimensions):
    few, more = small(dimensions), phantom_cohort(3, dimensions=dimensions, max_scans=12)
    for group in ("labelled", "validation", "test"):
        for one, two in zip(few.groups[group], more.groups[group], strict=False):
            assert one.case_id == two.case_id and np.array_equal(one.image, two.image)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_every_class_is_in_every_scan_and_no_other(dimensions):
    cohort = small(dimensions)
    assert cohort.class_names == CLASS_NAMES
    for case in cohort.cases:
        assert np.unique(truth(cohort, case.case_id)).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_images_have_the_grids_shape_and_are_standardised(dimensions):
    shape, spacing = GRIDS[dimensions]
    cohort = small(dimensions)
    assert cohort.dimensions == dimensions and cohort.spacing_unit == "mm"
    for case in cohort.cases:
        assert case.image.shape == shape and case.image.dtype == np.float32
        assert case.spacing == spacing
        assert abs(case.image.mean()) < 1e-4 and case.image.std() == pytest.approx(1, abs=1e-4)


def test_subjects_differ():
    images = [case.image.tobytes() for case in small(2).cases]
    labels = [truth(small(2), case.case_id).tobytes() for case in small(2).cases]
    assert len(set(images)) == len(set(labels)) == len(images)


def test_the_muscle_surrounds_the_pool_and_a_pool_is_bright():
    """In the slices through the middle, no blood pool touches the background."""
    for number in range(4):
        case = subject(number, 3, 2026)
        middle = case.label.shape[0] // 2
        pool, rest = case.label[middle] == 1, np.isin(case.label[middle], (0, 3))
        grown = pool.copy()
        for axis in (0, 1):
            grown |= np.roll(pool, 1, axis) | np.roll(pool, -1, axis)
        assert pool.sum() > 20 and not (grown & rest).any()
        assert case.image[case.label == 1].mean() > case.image[case.label == 2].mean()


def test_scans_come_in_arbitrary_units_before_they_are_standardised():
    image, label = phantom_scan(np.random.default_rng(0), 2)
    assert image.shape == label.shape == GRIDS[2][0]
    assert image.min() >= 0 and image.max() > 50 and label.dtype == np.uint8


@pytest.mark.parametrize("n_labelled", [1, 3, 5])
def test_labelled_are_the_first_subjects(n_labelled):
    cohort = small(2, n_labelled)
    training = [case.case_id for case in cohort.labelled + cohort.unlabelled]
    assert training == [f"subject_{i + 1:03d}" for i in range(len(training))]
    assert len(cohort.labelled) == n_labelled
    assert cohort.validation[0].case_id == f"subject_{TRAINING + 1:03d}"
    assert cohort.test[0].case_id == f"subject_{TRAINING + VALIDATION + 1:03d}"


@pytest.mark.slow
def test_the_whole_cohort_has_its_promised_sizes():
    cohort = phantom_cohort(4)
    sizes = [len(cases) for cases in cohort.groups.values()]
    assert sizes == [4, TRAINING - 4, VALIDATION, TEST] == [4, 60, 8, 24]


@pytest.mark.parametrize(("max_scans", "n_labelled"), [(4, 2), (12, 6), (12, 8), (1, 1)])
def test_a_small_cohort_keeps_all_labels_asked_for_and_an_unlabelled_scan(max_scans, n_labelled):
    cohort = phantom_cohort(n_labelled, max_scans=max_scans)
    assert len(cohort.labelled) == n_labelled and len(cohort.unlabelled) >= 1
    assert len(cohort.validation) == 2 and len(cohort.test) >= 2


def test_asking_for_more_scans_than_there_are_gives_all():
    sizes = [len(cases) for cases in phantom_cohort(4, max_scans=500).groups.values()]
    assert sizes[0] + sizes[1] == TRAINING and sizes[3] == TEST


@pytest.mark.parametrize(
    ("n_labelled", "max_scans", "most"),
    [(0, None, TRAINING), (-1, None, TRAINING), (0, 12, 6), (TRAINING + 1, 12, TRAINING)],
)
def test_impossible_numbers_of_labels_are_refused(n_labelled, max_scans, most):
    with pytest.raises(InputError, match=f"{n_labelled} labelled scans.*\n.*between 1 and {most}"):
        phantom_cohort(n_labelled, max_scans=max_scans)
