"""Label maps and scans by their names: sure pairs only, and a reason for each that has none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssl_lib.data.label_names import (
    ELSEWHERE,
    NO_IMAGE,
    SECOND,
    SEVERAL,
    label_maps_among,
    match_names,
)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("{}", "{}_seg"),
        ("{}", "{}-label"),
        ("{}", "{}.mask"),
        ("{}", "mask_{}"),
        ("{}", "{}_ground_truth"),
        ("{}_image", "{}_label"),
        ("{}_T1w", "{}_T1w_dseg"),
        ("image{}", "label{}"),
        ("image{}", "{}"),
        ("volume-{}", "segmentation-{}"),
        ("IMG_{}", "{}_GT"),
        ("Case{}", "case{}_Segmentation"),
        ("Case{}", "CASE{}"),
        ("masked_{}", "masked_{}_seg"),
        ("SEG_{}", "SEG_{}_mask"),
        ("segment_{}", "segment_{}_mask"),
        ("Vogt-{}", "Vogt-{}_seg"),
        ("1.2.840.{}", "1.2.840.{}.seg"),
    ],
)
def test_one_word_more_is_a_pair(image, label):
    images, labels = ([form.format(n) for n in range(1, 4)] for form in (image, label))
    found = match_names(images, labels)
    assert found.scan_of == dict(zip(labels, images, strict=True)) and not found.problems


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (["1", "image1"], ["1", "1_manual"]),  # a second map of scan 1, not one of image1
        (["c1", "image_c1", "C1"], ["c1", "c1_seg"]),
        (["p1", "p1_image"], ["p1", "p1_mask"]),
    ],
)
def test_a_second_label_map_goes_to_no_other_scan(images, labels):
    assert match_names(images, labels).problems == {labels[1]: SECOND}


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("imagery_1", "ry_1"),
        ("p1-", "p1_"),
        ("1", "-1"),
        ("---", "seg"),
        ("image", "labels"),
        ("p1-2", "p1_seg-2"),
        ("p1_2", "p1_seg_2"),
        ("21_training", "21_manual1"),
        ("p01", "p1_seg"),
    ],
)
def test_names_that_only_look_alike_are_no_pair(image, label):
    assert match_names([image], [label]).problems == {label: NO_IMAGE}


def test_several_label_maps_of_a_scan_are_all_left_out():
    """Of two lesions in two files neither alone is the truth."""
    found = match_names(["a", "b"], ["a_mask", "a_mask_1", "b_seg", "b_manual"])
    assert not found.scan_of and set(found.problems.values()) == {SEVERAL}
    assert len(found.problems) == 4


def test_a_label_map_of_two_scans_is_left_out():
    problems = match_names(["1_image", "img1"], ["1_label"]).problems
    assert problems == {"1_label": "may belong to 1_image or to img1"}


def test_what_is_written_down_comes_first():
    found = match_names(["s1", "s2"], ["t1", "s2_seg"], {"t1": "s1", "s2_seg": "s2"})
    assert found.scan_of == {"t1": "s1", "s2_seg": "s2"}
    crossed = match_names(["s1", "s2"], ["s1_seg", "s2_seg"], {"s1_seg": "s2", "s2_seg": "s1"})
    assert crossed.scan_of == {"s1_seg": "s2", "s2_seg": "s1"}


def test_a_scan_of_the_other_folder_is_mentioned():
    found = match_names(["a"], ["t_seg", "x_seg"], elsewhere=["t"])
    assert found.problems == {"t_seg": ELSEWHERE, "x_seg": NO_IMAGE}


def test_label_maps_among_scans_are_found_behind_a_name_only():
    names = ["p1", "p1_mask", "seg_p1", "brain_seg", "p2"]
    assert label_maps_among(names) == {"p1_mask": "p1"}


NAME = st.text("ab1_-. ", min_size=1, max_size=4)
WORD = st.sampled_from(["", "_seg", "-label", "_mask", "_mask_1", "_image"])
NAMES = st.lists(st.builds(str.__add__, NAME, WORD), max_size=6, unique=True)


@given(NAMES, NAMES)
def test_every_label_map_has_its_own_scan_or_a_reason(images, labels):
    found = match_names(images, labels)
    lone = set(labels) - set(images)
    assert found.scan_of.keys() | found.problems.keys() == lone
    assert not found.scan_of.keys() & found.problems.keys()
    taken = [*found.scan_of.values(), *(set(labels) & set(images))]
    assert len(taken) == len(set(taken)) and set(taken) <= set(images)
