"""Sources: who is labelled, unlabelled, validation or test, and what a broken folder says."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_scans import tiny_image, tiny_label, write_folder, write_hdf5, write_nifti

from ssl_lib.data import download
from ssl_lib.data import published as datasets
from ssl_lib.data.load import DATASETS, load_cohort, published_split
from ssl_lib.data.own_scans import open_own_scans
from ssl_lib.data.published import PUBLISHED
from ssl_lib.data.splits import Split, cap, hold_out
from ssl_lib.utils.errors import InputError

MIRROR = os.environ.get("SSL_MIRROR")
needs_mirror = pytest.mark.skipif(not MIRROR, reason="SSL_MIRROR names no mirror of the data")


def ids(cases) -> list[str]:
    return [case.case_id for case in cases]


def refusal_of(*arguments, **options) -> str:
    with pytest.raises(InputError) as refusal:
        load_cohort(*arguments, **options)
    return str(refusal.value)


# What is published ---------------------------------------------------------------------------


def test_every_published_scan_has_its_files():
    for entry in PUBLISHED.values():
        scans = [scan for group in entry.subset(None) for scan in group]
        assert len(scans) == len(set(scans))
        assert sorted(path for scan in scans for path in entry.files_of(scan)) == sorted(
            entry.hashes
        )


def test_the_broken_hippocampus_scans_are_left_out_by_name():
    entry = PUBLISHED["hippocampus"]
    for scan in ("hippocampus_010", "hippocampus_118", "hippocampus_281"):
        assert scan in entry.left_out
        assert not any(scan in path for path in entry.hashes)


def test_the_hippocampus_test_list_follows_from_its_rule():
    """Pairs in the order of a hash go to the test scans while no more than 52 result."""
    entry = PUBLISHED["hippocampus"]
    pairs: dict[int, list[str]] = {}
    for scan in sorted(entry.training + entry.test):
        pairs.setdefault((int(scan[-3:]) + 1) // 2, []).append(scan)
    order = sorted(
        pairs, key=lambda k: hashlib.sha256(f"msd-hippocampus-ssl-v1:{k:03}".encode()).hexdigest()
    )
    test: list[str] = []
    for pair in order:
        if len(test) + len(pairs[pair]) <= 52:
            test += pairs[pair]
    assert sorted(test) == sorted(entry.test)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_splits_share_no_patient_and_keep_published_labels(name):
    entry = PUBLISHED[name]
    for count in entry.published_label_counts:
        split = published_split(entry, count)
        assert split.labelled == entry.training[:count]
        sides = (split.labelled + split.unlabelled, split.validation, split.test)
        patients = [{entry.patient_of(scan) for scan in side} for side in sides]
        assert all(patients) and sum(map(len, patients)) == len(set.union(*patients))
        assert sorted(split.all) == sorted(entry.training + entry.validation + entry.test)


@pytest.mark.parametrize("count", PUBLISHED["hippocampus"].published_label_counts)
def test_published_hippocampus_labels_cut_no_pair(count):
    entry = PUBLISHED["hippocampus"]
    split = published_split(entry, count)
    labelled = {entry.patient_of(scan) for scan in split.labelled}
    assert not labelled & {entry.patient_of(scan) for scan in split.unlabelled}


@pytest.mark.parametrize(("patients", "slices"), [(3, 68), (7, 136), (14, 256)])
def test_acdc_patients_have_the_published_numbers_of_slices(patients, slices):
    entry = PUBLISHED["acdc"]
    labelled = published_split(entry, patients).labelled
    assert sum(len(entry.files_of(patient)) for patient in labelled) == slices


def test_a_small_download_splits_what_it_has():
    split = published_split(PUBLISHED["la2018"], 4, subset=8)
    assert sorted(split.all) == sorted(
        PUBLISHED["la2018"].training[:8] + PUBLISHED["la2018"].test[:4]
    )
    assert split.labelled == PUBLISHED["la2018"].training[:4] and len(split.validation) == 2


# Drawing scans -------------------------------------------------------------------------------


@given(st.permutations([f"scan{number}" for number in range(12)]), st.integers(1, 12))
def test_drawing_depends_on_names_not_on_order_and_cuts_no_group(scans, count):
    def group_of(scan: str) -> str:
        return str(int(scan[4:]) // 2)

    drawn = hold_out(scans, count, group_of)
    assert set(drawn) == set(hold_out(sorted(scans), count, group_of))
    assert {group_of(scan) for scan in drawn}.isdisjoint(
        group_of(scan) for scan in set(scans) - set(drawn)
    )
    assert len(drawn) == max(2, count // 2 * 2)


def test_drawing_spares_groups_and_follows_its_seed():
    scans = [f"scan{number}" for number in range(40)]
    drawn = [hold_out(scans, 10, str, never=scans[:20], seed=seed) for seed in (0, 1)]
    assert drawn[0] != drawn[1]
    assert not set(drawn[0] + drawn[1]) & set(scans[:20])


def test_capping_keeps_labelled_scans_and_the_order():
    names = [f"scan{number}" for number in range(60)]
    split = Split(tuple(names[:4]), tuple(names[4:40]), tuple(names[40:50]), tuple(names[50:]))
    small = cap(split, 16)
    assert [len(group) for group in (small.labelled, small.unlabelled)] == [4, 4]
    assert (small.validation, small.test) == (split.validation[:4], split.test[:4])
    many = cap(replace(split, labelled=split.labelled * 5), 16)
    assert len(many.labelled) == 20 and len(many.unlabelled) == 1
    assert cap(split, None) == split


# Names and numbers ---------------------------------------------------------------------------


def test_an_unknown_data_set_is_refused_with_the_names():
    message = refusal_of("hipocampus", 4)
    assert all(name in message for name in DATASETS)


@pytest.mark.parametrize("count", [0, 189])
def test_more_labels_than_scans_are_refused_before_a_file_is_read(tmp_path, count):
    assert "188 can be had" in refusal_of("hippocampus", count, data_dir=tmp_path)


@pytest.mark.parametrize("name", ["la2018", "acdc"])
def test_a_large_set_that_is_not_there_names_the_command(tmp_path, name):
    assert f"data_download.py fetch {name}" in refusal_of(name, 3, data_dir=tmp_path)


@pytest.mark.parametrize(("name", "dimensions"), [("phantom", 2), ("phantom_3d", 3)])
def test_phantoms_are_sources_too(name, dimensions):
    cohort = load_cohort(name, 2, max_scans=8)
    assert cohort.dimensions == dimensions and len(cohort.labelled) == 2


# A folder ------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_folder(tmp_path / "mine")


def test_a_folder_becomes_a_cohort(folder):
    cohort = load_cohort(str(folder), 3)
    groups = cohort.groups
    assert {name: len(cases) for name, cases in groups.items()} == {
        "labelled": 3,
        "unlabelled": 5,
        "validation": 1,
        "test": 2,
    }
    case = cohort.labelled[0]
    assert (cohort.name, cohort.spacing_unit) == ("mine", "mm")
    assert (cohort.dimensions, case.spacing) == (2, (3.0, 1.0, 2.0))  # four slices: learnt singly
    assert case.path == folder / "imagesTr" / f"{case.case_id}.nii.gz"
    assert case.image.dtype == np.float32 and case.label.dtype == np.uint8
    assert cohort.class_names == ("background", "class 1", "class 2")
    assert "labelsTs has none" in cohort.caveat


def test_who_is_held_out_does_not_depend_on_the_number_of_labels(folder):
    few, many = load_cohort(str(folder), 1), load_cohort(str(folder), 5)
    assert ids(few.test) == ids(many.test) and ids(few.validation) == ids(many.validation)
    assert ids(few.labelled) == ids(many.labelled)[:1]


def test_labels_that_are_not_asked_for_are_sealed(folder):
    cohort = load_cohort(str(folder), 1)
    sealed = [case.case_id for case in cohort.unlabelled if case.case_id in cohort.sealed]
    assert len(sealed) == 4 and all(name.startswith("a") for name in sealed)


def test_given_test_scans_are_the_test_set(folder):
    for number, name in enumerate(("t1", "t2")):
        write_nifti(folder / "imagesTs" / f"{name}_0000.nii.gz", tiny_image(40 + number))
    write_nifti(folder / "labelsTs" / "t1.nii.gz", tiny_label())
    cohort = load_cohort(str(folder), 3)
    assert ids(cohort.test) == ["t1"]
    assert "1 scan of imagesTs without label map" in cohort.caveat


def test_image_names_may_end_in_a_channel_number(folder):
    for image in (folder / "imagesTr").iterdir():
        image.rename(image.with_name(image.name.replace(".nii.gz", "_0000.nii.gz")))
    assert ids(load_cohort(str(folder), 1).labelled)[0].startswith("a")


@pytest.mark.parametrize(
    "labels",
    [{"0": "background", "1": "rim", "2": "core"}, {"background": 0, "rim": 1, "core": 2}],
)
def test_class_names_licence_and_reference_come_from_the_description(folder, labels):
    about = {"labels": labels, "licence": "CC0", "reference": "Us, 2020"}
    (folder / "dataset.json").write_text(json.dumps(about))
    cohort = load_cohort(str(folder), 1)
    assert cohort.class_names == ("background", "rim", "core")
    assert (cohort.licence, cohort.citation) == ("CC0", "Us, 2020")


def test_patients_of_a_table_are_never_cut(folder):
    rows = [f"a{index:02},{'AB'[index % 2] if index < 4 else index}" for index in range(8)]
    rows += ["u00,A", "u01,B", "u02,C"]
    (folder / "patients.csv").write_text("\n".join(["scan,patient", *rows]))
    for seed in range(5):
        cohort = load_cohort(str(folder), 1, split_seed=seed)
        held_out = {case.patient for case in cohort.validation + cohort.test}
        assert held_out.isdisjoint(case.patient for case in cohort.labelled + cohort.unlabelled)
    assert "patients.csv" not in cohort.caveat


def test_a_small_look_reads_no_other_file(folder):
    few = load_cohort(str(folder), 1, max_scans=4)
    read = {case.case_id for cases in few.groups.values() for case in cases}
    for image in (folder / "imagesTr").iterdir():
        if image.name.removesuffix(".nii.gz") not in read:
            image.write_bytes(b"broken")
    assert load_cohort(str(folder), 1, max_scans=4).content_hash == few.content_hash


# Broken folders ------------------------------------------------------------------------------


def test_an_empty_folder_says_what_belongs_in_it(tmp_path):
    assert "imagesTr/NAME.nii.gz" in refusal_of(str(tmp_path), 1)


def test_a_folder_without_labels_says_so(tmp_path):
    write_folder(tmp_path, labelled=0)
    assert "0 of them have a usable label map" in refusal_of(str(tmp_path), 1)


def test_a_folder_with_too_few_labels_says_how_many_remain(folder):
    message = refusal_of(str(folder), 6)
    assert "of 8 in labelsTr, 3 are held out and 5 remain" in message


def test_all_problems_are_reported_together_a_line_each(folder):
    images, labels = folder / "imagesTr", folder / "labelsTr"
    truncated = images / "a00.nii.gz"
    truncated.write_bytes(truncated.read_bytes()[:-20])
    undefined = tiny_image(1)
    undefined[0, 0, 0] = np.inf
    write_nifti(images / "a01.nii.gz", undefined)
    write_nifti(labels / "a02.nii.gz", tiny_image(2))
    write_nifti(labels / "a03.nii.gz", tiny_label()[:-1])
    write_nifti(labels / "a04.nii.gz", tiny_label(), spacing=(1.0, 2.0, 3.5))
    extra = tiny_label()
    extra[0, 0, 0] = 7
    write_nifti(labels / "a05.nii.gz", extra)
    write_nifti(labels / "lone.nii.gz", tiny_label())
    write_nifti(images / "a06.nii", tiny_image(6))
    write_nifti(images / "u00_0001.nii.gz", tiny_image(50))
    with pytest.raises(InputError) as refusal:
        open_own_scans(str(folder), "quick", 1, exclude_broken=False)
    message = str(refusal.value)
    expected = {
        "imagesTr/a00.nii.gz": "cut off or damaged",
        "imagesTr/a01.nii.gz": "1 voxels are infinite",
        "labelsTr/a02.nii.gz": "an image, not a label map",
        "labelsTr/a03.nii.gz": "shape",
        "labelsTr/a04.nii.gz": "its voxels are 1 x 2 x 3.5 mm",
        "labelsTr/a05.nii.gz": "the value 7",
        "labelsTr/lone.nii.gz": "no image of its name",
        "imagesTr/a06.nii.gz": "a06.nii is used",
        "imagesTr/u00.nii.gz": "has the channels 0000, 0001; most scans have 0000",
    }
    lines = {line.split(": ")[0].strip(): line for line in message.splitlines() if ": " in line}
    for file, problem in expected.items():
        assert problem in lines[file]
        assert file == "imagesTr/a06.nii.gz" or "fix: " in lines[file], "and a way out"
    assert f"{len(expected)} files in this folder cannot be used" in message


def test_a_value_without_a_name_in_the_description_is_refused(folder):
    (folder / "dataset.json").write_text('{"labels": {"0": "background", "1": "organ"}}')
    assert "holds the value 2" in refusal_of(str(folder), 1)


@pytest.mark.parametrize("text", ["not json", "[]", '{"labels": {"0": "b", "2": "c"}}'])
def test_a_description_that_cannot_be_used_is_refused(folder, text):
    (folder / "dataset.json").write_text(text)
    assert "dataset.json" in refusal_of(str(folder), 1)


@pytest.mark.parametrize("text", ["a00,A", "scan,patient\na00", "scan,patient\na00,"])
def test_a_table_of_patients_that_cannot_be_used_is_refused(folder, text):
    (folder / "patients.csv").write_text(text)
    assert "patients.csv" in refusal_of(str(folder), 1)


def test_empty_label_maps_are_refused(tmp_path):
    folder = write_folder(tmp_path / "mine")
    for label in (folder / "labelsTr").iterdir():
        write_nifti(label, np.zeros_like(tiny_label()))
    assert "holds anything but background" in refusal_of(str(folder), 1)


# ACDC and LA in miniature ---------------------------------------------------------------------


@pytest.fixture
def tiny_acdc(tmp_path, monkeypatch) -> Path:
    """Three training patients (slice files), a validation and a test patient (volume files)."""
    folder = tmp_path / "acdc"
    for number, patient in enumerate(("p3", "p1", "p2")):
        for frame in (1, 12):
            for piece in range(1, 12):
                name = f"{patient}_frame{frame:02}_slice_{piece}.h5"
                image = np.full((6, 5), piece / 100, np.float32)
                image[0, 0] = number
                write_hdf5(folder / "data" / name, image, tiny_label(4, (6, 5)))
    for patient in ("p4", "p5"):
        volume = tiny_image(5, (4, 6, 5))
        write_hdf5(folder / "data" / f"{patient}_frame01.h5", volume, tiny_label(4, (4, 6, 5)))
    entry = replace(PUBLISHED["acdc"])
    entry.__dict__["hashes"] = {
        f"data/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (folder / "data").iterdir()
    }
    entry.__dict__.update(training=("p3", "p1", "p2"), validation=("p4",), test=("p5",))
    monkeypatch.setitem(datasets.PUBLISHED, "acdc", entry)
    return folder


def test_acdc_slices_become_stacks_in_their_order(tiny_acdc):
    cohort = load_cohort("acdc", 1, data_dir=tiny_acdc.parent)
    assert ids(cohort.labelled) == ["p3_frame01", "p3_frame12"]
    assert ids(cohort.unlabelled)[:2] == ["p1_frame01", "p1_frame12"]
    stack = cohort.labelled[0]
    assert stack.image.shape == stack.label.shape == (11, 6, 5)
    np.testing.assert_allclose(stack.image[:, 1, 1], np.arange(1, 12) / 100)
    assert (cohort.dimensions, cohort.spacing_unit, stack.spacing) == (2, "voxel", (1.0,) * 3)
    assert cohort.validation[0].image.shape == (4, 6, 5) and ids(cohort.test) == ["p5_frame01"]


def test_a_small_look_at_acdc_counts_scans_and_needs_no_other_patient(tiny_acdc):
    for path in (tiny_acdc / "data").glob("p2_*"):
        path.unlink()
    cohort = load_cohort("acdc", 1, data_dir=tiny_acdc.parent, max_scans=8)
    assert len(cohort.labelled) == len(cohort.unlabelled) == 2


def test_acdc_names_a_missing_slice(tiny_acdc):
    (tiny_acdc / "data" / "p3_frame01_slice_5.h5").unlink()
    message = refusal_of("acdc", 1, data_dir=tiny_acdc.parent)
    assert "p3_frame01_slice_5.h5: missing" in message


def test_a_published_file_that_was_changed_is_refused(tiny_acdc):
    write_hdf5(tiny_acdc / "data" / "p4_frame01.h5", tiny_image(6), tiny_label())
    assert "p4_frame01.h5: wrong sha256" in refusal_of("acdc", 1, data_dir=tiny_acdc.parent)


# Real scans, where a mirror of them is at hand --------------------------------------------------


@needs_mirror
def test_hippocampus_fetches_itself_and_reads_what_nibabel_reads(tmp_path):
    cohort = load_cohort("hippocampus", 2, data_dir=tmp_path, max_scans=16)
    folder = tmp_path / "hippocampus"
    assert len(list(folder.glob("images/*.nii.gz"))) == 16
    case = cohort.labelled[0]
    label = nibabel.as_closest_canonical(nibabel.load(folder / "labels" / f"{case.case_id}.nii.gz"))
    np.testing.assert_array_equal(case.label, np.asarray(label.dataobj))
    assert case.patient == cohort.labelled[1].patient
    assert {len(cases) for cases in (cohort.validation, cohort.test)} == {4}
    own = open_own_scans(str(folder), "quick", 2)
    assert own.cohort.class_names == cohort.class_names
    assert own.cohort.licence == cohort.licence
    patients = [{c.patient for c in cases} for cases in own.cohort.groups.values()]
    assert sum(map(len, patients)) == len(set.union(*patients)), "no head on two sides"
    assert own.fingerprint.excluded == ()


@needs_mirror
def test_all_hippocampus_scans_are_read(tmp_path):
    cohort = load_cohort("hippocampus", 11, data_dir=tmp_path)
    cases = [case for group in cohort.groups.values() for case in group]
    assert len(cases) == 260
    for case in cases:
        assert max(np.array(case.image.shape) - (48, 64, 48)) <= 0
        assert abs(float(case.image.mean())) < 1e-3 and case.spacing == (1.0, 1.0, 1.0)
    assert all(case.label.max() == 2 for case in cohort.labelled + cohort.validation)


@needs_mirror
def test_a_few_left_atria_are_fetched_and_read(tmp_path):
    download.fetch("la2018", tmp_path, subset=8, say=lambda _: None)
    cohort = load_cohort("la2018", 4, data_dir=tmp_path, max_scans=16)
    assert ids(cohort.labelled) == list(PUBLISHED["la2018"].training[:4])
    assert len(cohort.validation) == 2 and len(cohort.test) == 4
    for case in cohort.labelled:
        assert np.all(np.array(case.image.shape) >= (112, 112, 80))
        assert set(np.unique(case.label)) == {0, 1}
