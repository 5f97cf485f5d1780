"""Label maps and scans by their names: sure pairs only, and a reason for each that has none."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssl_lib.data import label_names
from ssl_lib.data.label_names import (
    ELSEWHERE,
    NO_IMAGE,
    NUMBERED_MAP,
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
    assert len(set(found.patterns.values())) == 1, "one way of naming, told in one line"


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (["1", "image1"], ["1", "1_manual"]),  # a second map of scan 1, not one of image1
        (["c1", "image_c1", "C1"], ["c1", "c1_seg"]),
        (["p1", "p1_image"], ["p1", "p1_mask"]),
    ],
)
def test_a_second_label_map_goes_to_no_other_scan(images, labels):
    (problem,) = match_names(images, labels).problems.items()
    assert problem[0] == labels[1] and problem[1].startswith((SECOND, "may belong to"))


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
        ("mask", "mask_mask_mask"),
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


def test_one_that_ends_in_a_number_may_lack_the_others():
    assert match_names(["b1"], ["b1_seg_1"]).problems == {"b1_seg_1": NUMBERED_MAP}


@pytest.mark.parametrize(
    ("images", "label"), [(["1_image", "img1"], "1_label"), (["1", "image_1"], "label_1")]
)
def test_a_label_map_of_two_scans_is_left_out(images, label):
    problems = match_names(images, [label]).problems
    assert problems == {label: f"may belong to {images[0]} or to {images[1]}"}


def test_capital_letters_tell_two_scans_apart():
    assert match_names(["C1", "c1"], ["C1_seg"]).scan_of == {"C1_seg": "C1"}


def test_a_label_map_of_the_first_channel_is_a_second_one_of_its_scan():
    found = match_names(["c1", "c1_0000", "c1_0001"], ["c1", "c1_0000_seg"])
    assert found.scan_of == {"c1": "c1"} and found.problems == {"c1_0000_seg": SECOND}


def test_what_is_written_down_comes_first():
    found = match_names(["s1", "s2"], ["t1", "s2_seg"], {"t1": "s1", "s2_seg": "s2"})
    assert found.scan_of == {"t1": "s1", "s2_seg": "s2"}
    stale = match_names(["c1"], ["c1", "c1_new", "c1_seg"], {"c1_new": "c1"})
    assert stale.scan_of == {"c1_new": "c1"}
    assert stale.problems == {"c1": SECOND, "c1_seg": SECOND}
    crossed = match_names(["s1", "s2"], ["s1", "s2"], {"s1": "s2", "s2": "s1"})
    assert crossed.scan_of == {"s1": "s2", "s2": "s1"}, "against the exact names, too"
    crossed = match_names(["s1", "s2"], ["s1_seg", "s2_seg"], {"s1_seg": "s2", "s2_seg": "s1"})
    assert crossed.scan_of == {"s1_seg": "s2", "s2_seg": "s1"}


def test_a_scan_of_the_other_folder_is_mentioned():
    labels = ["t_seg", "t", "t_seg_1", "u", "x_seg"]
    found = match_names(["a"], labels, {"u": "t"}, elsewhere=["t"])
    assert found.problems == {**dict.fromkeys(labels[:4], ELSEWHERE), "x_seg": NO_IMAGE}


@pytest.mark.parametrize(
    ("scan", "label"),
    [
        ("x", "x_seg"),
        ("x", "mask_x"),
        ("X", "x_SEG"),
        ("x", "x_mask_1"),
        ("1_image", "1_mask"),
        ("image1", "label1"),
    ],
)
def test_label_maps_among_scans_are_found(scan, label):
    assert label_maps_among([scan, label, "y"]) == {label: scan}
    assert label_maps_among([label, "y"]) == {}
    assert label_maps_among([scan, label], [scan, label]) == {}, "both have a label map"


def test_label_maps_among_channels_are_found():
    assert label_maps_among(["x_0000", "x_0001", "x_seg"], (), ["x"]) == {"x_seg": "x"}


@pytest.mark.parametrize("form", ["label_{}", "other{}"])
def test_the_time_grows_with_the_number_of_names(form):
    """Counted, not timed: each name is cut by each expression once."""
    cuts = Counter()

    def counted(name, ends):
        cuts[name] += 1
        return stems(name, ends)

    names = range(50)
    stems = label_names._stems
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(label_names, "_stems", counted)
        match_names([f"image_{n}" for n in names], [form.format(n) for n in names])
    assert max(cuts.values()) < 12


NAME = st.text("ab1_-. ", min_size=1, max_size=4)
WORD = st.sampled_from(["", "_seg", "-label", "_mask", "_mask_1", "_image"])
NAMES = st.lists(st.builds(str.__add__, NAME, WORD), max_size=6, unique=True)


@given(NAMES, NAMES)
def test_every_label_map_has_its_own_scan_or_a_reason(images, labels):
    found = match_names(images, labels)
    assert found.scan_of.keys() | found.problems.keys() == set(labels)
    assert not found.scan_of.keys() & found.problems.keys()
    taken = list(found.scan_of.values())
    assert len(taken) == len(set(taken)) and set(taken) <= set(images)
    assert all(found.scan_of[name] == name for name in set(labels) & set(images))
