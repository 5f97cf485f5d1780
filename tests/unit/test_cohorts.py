"""Cohorts: hidden labels stay hidden, patients stay on one side, and the hash sees every voxel."""

from __future__ import annotations

import warnings
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_scans import SHAPE, tiny_image, tiny_label
from torch import nn

from ssl_lib.data.cohort import PURPOSES, Case, Cohort, SealedLabels, seal
from ssl_lib.data.phantom import phantom_cohort
from ssl_lib.inference import predict_label
from ssl_lib.training.batches import Patches
from ssl_lib.utils.errors import InputError

NAMES = {"labelled": "ab", "unlabelled": "cde", "validation": "f", "test": "gh"}
DESCRIPTION = {
    "name": "tiny",
    "dimensions": 3,
    "class_names": ("background", "one", "two"),
    "spacing_unit": "mm",
    "licence": "none",
    "citation": "none",
}


def tiny_case(name: str, **changes: object) -> Case:
    seed = ord(name)
    case = Case(
        name, f"patient {name}", tiny_image(seed), (1.0, 1.0, 1.0), tiny_label(2 + seed % 2)
    )
    return replace(case, **changes)


def tiny_cohort(**changes: Case) -> Cohort:
    """Eight cases, one letter each; a keyword replaces the case of that letter."""
    groups = {
        group: [changes.get(name) or tiny_case(name) for name in names]
        for group, names in NAMES.items()
    }
    return seal(**groups, **DESCRIPTION)


def test_groups_keep_their_cases_and_their_order():
    groups = tiny_cohort().groups
    assert list(groups) == list(NAMES)
    assert {group: "".join(c.case_id for c in cases) for group, cases in groups.items()} == NAMES


def test_only_labelled_and_validation_cases_carry_labels():
    cohort = tiny_cohort()
    assert all(case.label is not None for case in cohort.labelled + cohort.validation)
    assert all(case.label is None for case in cohort.unlabelled + cohort.test)


@pytest.mark.parametrize("purpose", PURPOSES)
@pytest.mark.parametrize("name", NAMES["unlabelled"] + NAMES["test"])
def test_sealed_labels_open_for_a_stated_purpose(name, purpose):
    truth = tiny_cohort().sealed.open(name, purpose)
    np.testing.assert_array_equal(truth, tiny_case(name).label)


@pytest.mark.parametrize("purpose", ["", "training", "Final score"])
def test_sealed_labels_stay_shut_otherwise(purpose):
    with pytest.raises(InputError, match="purpose"):
        tiny_cohort().sealed.open("c", purpose)


def test_labels_in_sight_are_not_sealed():
    sealed = tiny_cohort().sealed
    assert "c" in sealed and "g" in sealed
    assert not any(name in sealed for name in NAMES["labelled"] + NAMES["validation"])
    with pytest.raises(InputError, match="'a'"):
        sealed.open("a", "teaching picture")


def test_no_attribute_of_the_seal_leads_to_a_label():
    sealed = SealedLabels({"c": tiny_label()})
    public = [getattr(sealed, name) for name in dir(sealed) if not name.startswith("_")]
    assert public == [sealed.open]
    assert repr(sealed) == "SealedLabels(1 scans)"


# --- other scans labelled


@pytest.mark.parametrize("draw", [1, 2])
def test_a_draw_labels_as_many_other_scans_and_seals_the_rest(draw):
    cohort = phantom_cohort(3, max_scans=24)
    drawn = cohort.with_draw(draw)
    assert drawn.n_labelled == 3 and drawn.labelled_draw == draw
    training = {c.case_id for c in cohort.labelled + cohort.unlabelled}
    assert {c.case_id for c in drawn.labelled + drawn.unlabelled} == training
    assert {c.case_id for c in drawn.labelled} != {c.case_id for c in cohort.labelled}
    assert drawn.test == cohort.test and drawn.validation == cohort.validation
    truths = {c.case_id: c.label for c in cohort.with_all_labels().labelled}
    for case in drawn.labelled:
        np.testing.assert_array_equal(case.label, truths[case.case_id])
    for case in drawn.unlabelled:
        opened = drawn.sealed.open(case.case_id, "teaching picture")
        np.testing.assert_array_equal(opened, truths[case.case_id])
    assert not any(case.case_id in drawn.sealed for case in drawn.labelled)
    assert drawn.content_hash != cohort.content_hash
    assert drawn.content_hash == cohort.with_draw(draw).content_hash
    fewer = drawn.with_labels(2)
    assert [c.case_id for c in fewer.labelled] == [c.case_id for c in drawn.labelled[:2]]


def test_draw_0_is_the_data_sets_own_choice_and_a_draw_is_drawn_once():
    cohort = phantom_cohort(3, max_scans=24)
    assert cohort.with_draw(0) is cohort
    for wrong in (lambda: cohort.with_draw(-1), lambda: cohort.with_draw(1).with_draw(2)):
        with pytest.raises(InputError, match="draw"):
            wrong()


def test_patients_are_drawn_whole():
    cohort = tiny_cohort()
    cases = tuple(
        replace(case, patient=f"p{number // 2}") for number, case in enumerate(cohort.labelled)
    )
    drawn = replace(cohort, labelled=cases, unit="patient").with_draw(1)
    of_a_patient = {case.patient for case in drawn.labelled}
    assert of_a_patient.isdisjoint(case.patient for case in drawn.unlabelled)


def test_a_cohort_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        tiny_cohort().test = ()
    with pytest.raises(TypeError):
        tiny_cohort().groups["test"] = ()


@pytest.mark.parametrize("group", ["labelled", "validation"])
def test_a_case_without_label_is_refused_where_one_is_needed(group):
    cohort = tiny_cohort()
    blind = tuple(replace(case, label=None) for case in cohort.groups[group])
    with pytest.raises(InputError, match="has no label"):
        replace(cohort, **{group: blind})


@pytest.mark.parametrize("group", ["unlabelled", "test"])
def test_a_case_with_label_is_refused_where_none_may_be(group):
    cohort = tiny_cohort()
    open_cases = tuple(replace(case, label=tiny_label()) for case in cohort.groups[group])
    with pytest.raises(InputError, match="carries its label"):
        replace(cohort, **{group: open_cases})


@pytest.mark.parametrize("pair", ["af", "ag", "cf", "ch", "fg"])
def test_a_patient_in_two_splits_is_refused(pair):
    shared = {name: tiny_case(name, patient="the same") for name in pair}
    with pytest.raises(InputError, match="'the same' stands in two splits"):
        tiny_cohort(**shared)


@pytest.mark.parametrize("pair", ["ab", "ac", "de", "gh"])
def test_a_patient_may_have_several_scans_on_one_side(pair):
    shared = {name: tiny_case(name, patient="the same") for name in pair}
    assert len(tiny_cohort(**shared).content_hash) == 16


def test_the_hash_is_the_same_for_the_same_content():
    assert tiny_cohort().content_hash == tiny_cohort().content_hash


@given(st.sampled_from("abcdefgh"), st.tuples(*(st.integers(0, size - 1) for size in SHAPE)))
def test_the_hash_sees_every_voxel_of_every_image(name, voxel):
    image = tiny_case(name).image
    image[voxel] = np.nextafter(image[voxel], np.float32(np.inf))
    changed = tiny_cohort(**{name: tiny_case(name, image=image)})
    assert changed.content_hash != tiny_cohort().content_hash


@given(st.sampled_from("abcdefgh"), st.tuples(*(st.integers(0, size - 1) for size in SHAPE)))
def test_the_hash_sees_every_voxel_of_every_label_sealed_or_not(name, voxel):
    label = tiny_case(name).label
    label[voxel] = 1 if label[voxel] == 0 else 0
    changed = tiny_cohort(**{name: tiny_case(name, label=label)})
    assert changed.content_hash != tiny_cohort().content_hash


@pytest.mark.parametrize(
    "change", [{"spacing": (1.0, 1.0, 2.0)}, {"patient": "another"}, {"label": None}]
)
def test_the_hash_sees_spacing_patient_and_whether_a_truth_is_known(change):
    changed = tiny_cohort(c=tiny_case("c", **change))
    assert changed.content_hash != tiny_cohort().content_hash


def test_the_hash_sees_who_is_labelled():
    cohort = tiny_cohort()
    fewer = replace(cohort, labelled=cohort.labelled[:1])
    assert fewer.content_hash != cohort.content_hash


def test_all_labels_are_opened_for_the_reference_row():
    cohort = tiny_cohort(d=tiny_case("d", label=None))
    full = cohort.with_all_labels()
    assert "".join(case.case_id for case in full.labelled) == "abce"
    np.testing.assert_array_equal(full.labelled[2].label, tiny_case("c").label)
    assert [case.case_id for case in full.unlabelled] == ["d"]
    assert full.test == cohort.test and all(case.label is None for case in full.test)
    assert full.content_hash != cohort.content_hash


def test_groups_may_come_as_generators():
    groups = {group: (tiny_case(name) for name in names) for group, names in NAMES.items()}
    cohort = seal(**groups, **DESCRIPTION)
    assert cohort.content_hash == tiny_cohort().content_hash
    assert {group: "".join(c.case_id for c in cases) for group, cases in cohort.groups.items()} == (
        NAMES
    )
    assert "h" in cohort.sealed


@pytest.mark.parametrize("pair", ["ab", "ac", "ch", "fg", "gh", "de"])
def test_an_identity_that_stands_twice_is_refused_by_name(pair):
    first, second = pair
    second_of_a_name = tiny_case(second, case_id=first, patient=f"patient {first}")
    with pytest.raises(InputError, match=f"the scan '{first}' stands in it 2 times"):
        tiny_cohort(**{second: second_of_a_name})


@pytest.mark.parametrize("name", NAMES["labelled"] + NAMES["unlabelled"] + NAMES["test"])
@pytest.mark.parametrize(
    ("label", "words"),
    [
        (tiny_label(shape=(6, 4, 5)), r"shape \(6, 4, 5\), its image \(6, 5, 4\)"),
        (tiny_label(4), "holds the value 3"),
        (tiny_label().astype(np.int64), "int64"),
        (tiny_label().astype(bool), "bool"),
    ],
)
def test_a_label_that_does_not_fit_is_refused_by_name_sealed_or_not(name, label, words):
    with pytest.raises(InputError, match=words) as caught:
        tiny_cohort(**{name: tiny_case(name, label=label)})
    assert f"scan '{name}'" in str(caught.value)


@pytest.mark.parametrize("name", "acfg")
def test_an_image_that_is_not_float32_is_refused_by_name(name):
    with pytest.raises(InputError, match=f"scan '{name}'.*float64"):
        tiny_cohort(**{name: tiny_case(name, image=tiny_image(1).astype(np.float64))})


def test_no_array_of_a_cohort_can_be_written_to():
    cohort = tiny_cohort()
    arrays = [case.image for case in cohort.cases]
    arrays += [case.label for case in cohort.labelled + cohort.validation]
    arrays += [cohort.sealed.open(name, "final score") for name in "cdegh"]
    assert len(arrays) == 8 + 3 + 5
    for array in arrays:
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0, 0] = 0
    with pytest.raises(ValueError, match="WRITEABLE"):
        arrays[-1].setflags(write=True)


def test_training_and_prediction_take_read_only_arrays_without_a_warning():
    case = tiny_cohort().labelled[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for dimensions in (2, 3):
            patches = Patches([case], dimensions, (4, 4, 4)[:dimensions], torch.device("cpu"))
            assert not np.shares_memory(patches.images[0].tensor.numpy(), case.image)
            network = {2: nn.Conv2d, 3: nn.Conv3d}[dimensions](1, 2, 1)
            predict_label(network, case.image, dimensions=dimensions, device="cpu")
