"""The fingerprint of a folder: what cannot be used is named and excluded, mistakes are told."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
from organ_scans import SHAPE, SPACING, organ, write_organs, write_oriented

from ssl_lib.data.example_folder import (
    LABELLED,
    MISTAKES,
    NEW,
    TEST,
    UNLABELLED,
    write_example_folder,
)
from ssl_lib.data.fingerprint import take_fingerprint
from ssl_lib.data.folder import folder_cohort
from ssl_lib.data.load import load_cohort, open_cohort
from ssl_lib.data.own_scans import how_much_to_believe, open_own_scans, scan_groups
from ssl_lib.data.patients import guess_patients
from ssl_lib.data.preprocessing import slice_axis
from ssl_lib.notebook.fingerprint_tables import description_table, findings_table
from ssl_lib.utils.errors import InputError


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_organs(tmp_path / "mine")


def image_of(folder: Path, name: str) -> Path:
    return folder / "imagesTr" / f"{name}.nii.gz"


def label_of(folder: Path, name: str) -> Path:
    return folder / "labelsTr" / f"{name}.nii.gz"


def said(folder: Path, weight: str) -> dict[str, str]:
    """File and problem of every finding of that weight."""
    return {
        one.file: one.problem for one in take_fingerprint(folder).findings if one.weight == weight
    }


def rewrite(path: Path, change) -> None:
    """Change the voxels of a file, nothing else."""
    stored = nibabel.load(path)
    nibabel.Nifti1Image(change(np.asarray(stored.dataobj).copy()), stored.affine).to_filename(path)


# --- a clean folder


def test_a_clean_folder_has_nothing_wrong_and_the_same_cohort_through_every_door(folder):
    found = take_fingerprint(folder)
    assert {one.weight for one in found.findings} <= {"note"}
    first, _ = folder_cohort(found, 2)
    for other in (
        load_cohort(str(folder), 2),
        open_cohort(str(folder), "gpu", 2, None),
        open_own_scans(str(folder), "gpu", 2).cohort,
        open_own_scans(str(folder), "gpu", 2, exclude_broken=False).cohort,
    ):
        assert other.content_hash == first.content_hash and other.caveat == first.caveat
    assert found.values == (0, 1, 2) and found.axis is None
    fact = found.properties["a01"]
    assert fact.orientation == "LPS" and fact.shape == SHAPE and fact.spacing == SPACING


def test_orientations_are_told_but_not_blamed(folder):
    (note,) = [one for one in take_fingerprint(folder).findings if "orientations" in one.problem]
    assert note.weight == "note" and "3 RAS" in note.problem and "2 SAL" in note.problem


# --- what cannot be used


def spoil_empty(folder: Path) -> None:
    image_of(folder, "a00").write_bytes(b"")


def spoil_cut_off(folder: Path) -> None:
    path = image_of(folder, "a00")
    path.write_bytes(path.read_bytes()[:-40])


def spoil_constant(folder: Path) -> None:
    rewrite(image_of(folder, "a00"), np.zeros_like)


def spoil_infinite(folder: Path) -> None:
    rewrite(image_of(folder, "a00"), lambda voxels: np.where(voxels > 150, np.inf, voxels))


def spoil_channels(folder: Path) -> None:
    rewrite(image_of(folder, "a00"), lambda voxels: np.stack([voxels, voxels], axis=-1))


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (spoil_empty, "0 bytes"),
        (spoil_cut_off, "damaged"),
        (spoil_constant, "every voxel"),
        (spoil_infinite, "voxels are infinite"),
        (spoil_channels, "the shape"),
    ],
)
def test_a_broken_image_is_left_out_by_name_and_the_rest_goes_on(folder, spoil, problem):
    spoil(folder)
    assert problem in said(folder, "excluded")["imagesTr/a00.nii.gz"]
    cohort, _ = folder_cohort(take_fingerprint(folder), 2)
    assert "a00" not in {case.case_id for case in cohort.cases}
    assert "imagesTr/a00.nii.gz" in cohort.caveat
    assert load_cohort(str(folder), 2).content_hash == cohort.content_hash
    with pytest.raises(InputError, match="a00"):
        open_own_scans(str(folder), "quick", 2, exclude_broken=False)


def spoil_mirrored_header(folder: Path) -> None:
    path = label_of(folder, "a00")
    stored = nibabel.load(path)
    affine = stored.affine @ np.diag([-1.0, 1, 1, 1])
    nibabel.Nifti1Image(np.asarray(stored.dataobj), affine).to_filename(path)


def spoil_image_as_label(folder: Path) -> None:
    label_of(folder, "a00").write_bytes(image_of(folder, "a00").read_bytes())


def spoil_other_grid(folder: Path) -> None:
    write_oriented(label_of(folder, "a00"), organ(0, (24, 22, 19))[1])


def spoil_stray_value(folder: Path) -> None:
    rewrite(label_of(folder, "a00"), lambda voxels: np.where(voxels == 1, 9, voxels))


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (spoil_mirrored_header, "mirrored"),
        (spoil_image_as_label, "an image, not a label map"),
        (spoil_other_grid, "shape"),
        (spoil_stray_value, "value 9"),
    ],
)
def test_a_scan_with_a_wrong_label_map_stays_without_it(folder, spoil, problem):
    spoil(folder)
    assert problem in said(folder, "excluded")["labelsTr/a00.nii.gz"]
    assert take_fingerprint(folder).broken_labels == ("a00",), "to be repaired, not drawn again"
    cohort, _ = folder_cohort(take_fingerprint(folder), 2)
    (case,) = [case for case in cohort.unlabelled if case.case_id == "a00"]
    assert case.label is None and case.case_id not in cohort.sealed


def test_a_label_map_without_an_image_is_named(folder):
    image_of(folder, "a00").unlink()
    assert "no image of its name" in said(folder, "excluded")["labelsTr/a00.nii.gz"]


def test_of_duplicates_the_labelled_one_stays(folder):
    image_of(folder, "u00").write_bytes(image_of(folder, "a03").read_bytes())
    assert "imagesTr/a03.nii.gz" in said(folder, "excluded")["imagesTr/u00.nii.gz"]
    assert "a03" in take_fingerprint(folder).listing.labels
    assert take_fingerprint(folder).broken_labels == ()


def test_a_second_file_of_an_image_is_no_broken_label_map(folder):
    image_of(folder, "a00").rename(folder / "imagesTr" / "a00.nii")
    rewritten = (folder / "imagesTr" / "a00.nii").read_bytes()
    (folder / "imagesTr" / "a00.nii").write_bytes(gzip.decompress(rewritten))
    (folder / "imagesTr" / "a00.nii.gz").write_bytes(rewritten)
    found = take_fingerprint(folder)
    assert any("a00" in one.file for one in found.excluded) and found.broken_labels == ()


def test_too_little_is_refused_with_everything_that_was_left_out(folder):
    for number in range(5):
        image_of(folder, f"a0{number}").write_bytes(b"")
    with pytest.raises(InputError) as refusal:
        folder_cohort(take_fingerprint(folder), 2)
    for number in range(5):
        assert f"imagesTr/a0{number}.nii.gz" in str(refusal.value)
    assert "is empty (0 bytes) (fix: copy or download" in str(refusal.value)


def test_a_folder_of_broken_scans_and_no_folder_are_refused(tmp_path, folder):
    for image in (folder / "imagesTr").iterdir():
        image.write_bytes(b"")
    with pytest.raises(InputError, match="none of its 9 scans can be used"):
        take_fingerprint(folder)
    with pytest.raises(InputError, match="there is no folder"):
        open_own_scans(str(tmp_path / "nowhere"), "smoke", 1)


def test_a_strict_reader_refuses_all_problems_at_once(folder):
    spoil_empty(folder)
    spoil_mirrored_header(folder)
    label_of(folder, "a01").write_bytes(b"")
    with pytest.raises(InputError, match="2 files in this folder") as refusal:
        open_own_scans(str(folder), "smoke", 1, exclude_broken=False)
    assert "imagesTr/a00" in str(refusal.value) and "labelsTr/a01" in str(refusal.value)


def test_scans_larger_than_the_memory_are_kept_in_files(folder, monkeypatch):
    found = take_fingerprint(folder)
    held, _ = folder_cohort(found, 2)
    monkeypatch.setattr("ssl_lib.data.scan_files.room_for_scans", lambda device: 9)
    stored, _ = folder_cohort(found, 2)
    assert all(isinstance(case.image, np.memmap) for case in stored.cases)
    assert not any(isinstance(case.image, np.memmap) for case in held.cases)
    assert stored.content_hash == held.content_hash


# --- likely mistakes


def other_spacing(folder: Path) -> str:
    write_oriented(image_of(folder, "u00"), organ(50)[0], spacing=(3.0, 1.5, 2.0))
    return "imagesTr/u00.nii.gz: voxels of 3 x 1.5 x 2 mm"


def other_shape(folder: Path) -> str:
    write_oriented(image_of(folder, "u00"), organ(50, (70, 22, 20))[0])
    return "imagesTr/u00.nii.gz: 70 x 22 x 20 voxels"


def padding(folder: Path) -> str:
    rewrite(image_of(folder, "u01"), lambda v: np.where(np.indices(v.shape)[0] < 3, -3024, v))
    return "imagesTr/u01.nii.gz: 12\u00a0% of its voxels hold -3024"


def another_modality(folder: Path) -> str:
    rewrite(image_of(folder, "u00"), lambda voxels: 20 * (voxels - 150))
    return "imagesTr/u00.nii.gz: grey levels from"


def label_among_images(folder: Path) -> str:
    write_oriented(image_of(folder, "u00"), organ(50)[1])
    return "imagesTr/u00.nii.gz: has only 3 different grey levels"


def no_orientation(folder: Path) -> str:
    path = image_of(folder, "u00")
    stored = nibabel.load(path)
    stored.header["qform_code"] = stored.header["sform_code"] = 0
    stored._affine = None
    nibabel.Nifti1Image(np.asarray(stored.dataobj), None, stored.header).to_filename(path)
    return "imagesTr/u00.nii.gz: its header states no orientation"


def empty_label(folder: Path) -> str:
    rewrite(label_of(folder, "a02"), np.zeros_like)
    return "labelsTr/a02.nii.gz: holds nothing but 0"


def single_use(folder: Path) -> str:
    for number in range(1, 7):
        rewrite(label_of(folder, f"a0{number}"), lambda v: np.minimum(v, 1))
    (folder / "dataset.json").write_text('{"labels": {"air": 0, "front": 1, "back": 2}}')
    return "labelsTr/a00.nii.gz: is the only label map with the value 2 (back)"


def tiny_organ(folder: Path) -> str:
    corner = np.zeros(SHAPE, np.uint8)
    corner[16:18, 12:14, 10:12], corner[16:18, 8:10, 10:12] = 1, 2
    write_oriented(label_of(folder, "a00"), corner)
    return "labelsTr/a00.nii.gz: class 1 of 0.024 ml"


def mirrored_content(folder: Path) -> str:
    rewrite(label_of(folder, "a00"), lambda voxels: voxels[::-1])
    return "labelsTr/a00.nii.gz: suits its image much better flipped along x"


def twin_label(folder: Path) -> str:
    write_oriented(image_of(folder, "a01"), organ(1)[0])
    label_of(folder, "a01").write_bytes(label_of(folder, "a00").read_bytes())
    return "labelsTr/a01.nii.gz: has the same voxels as labelsTr/a00.nii.gz"


@pytest.mark.parametrize(
    "mistake",
    [
        other_spacing,
        other_shape,
        padding,
        another_modality,
        label_among_images,
        no_orientation,
        empty_label,
        single_use,
        tiny_organ,
        mirrored_content,
        twin_label,
    ],
)
def test_a_likely_mistake_is_told_and_nothing_is_left_out(folder, mistake):
    expected = mistake(folder)
    found = take_fingerprint(folder)
    lines = [f"{one.file}: {one.problem}" for one in found.findings if one.weight == "warning"]
    assert any(line.startswith(expected) for line in lines), lines
    assert found.excluded == ()
    assert expected.split(":")[0] in findings_table(found.findings).data


def test_a_class_that_is_missing_somewhere_is_a_note(folder):
    rewrite(label_of(folder, "a03"), lambda voxels: np.where(voxels == 2, 0, voxels))
    (note,) = [one for one in take_fingerprint(folder).findings if "missing" in one.problem]
    assert note.weight == "note" and "a03" in note.problem and "1 of 7" in note.expected


def test_stacks_in_another_plane_are_told(tmp_path):
    for number in range(5):
        image, _ = organ(number, (20, 20, 18))
        spacing = (1.0, 1.0, 5.0) if number else (1.0, 5.0, 1.0)
        write_oriented(tmp_path / "imagesTr" / f"{number}.nii.gz", image, spacing=spacing)
    problems = said(tmp_path, "warning")
    assert any("its slices follow each other along y" in text for text in problems.values())


# --- classes and patients


def test_values_with_gaps_are_classes_in_their_order(folder):
    for label in (folder / "labelsTr").iterdir():
        rewrite(label, lambda voxels: np.array([0, 50, 255])[voxels].astype(np.float32))
    found = take_fingerprint(folder)
    assert found.values == (0, 50, 255)
    assert found.class_names == ("background", "class 50", "class 255")
    cohort, _ = folder_cohort(found, 2)
    assert set(np.unique(cohort.labelled[0].label)) == {0, 1, 2}


def test_a_single_class_is_the_foreground_whatever_its_value(folder):
    for label in (folder / "labelsTr").iterdir():
        rewrite(label, lambda voxels: 255 * (voxels > 0).astype(np.uint8))
    found = take_fingerprint(folder)
    assert found.values == (0, 255) and found.class_names == ("background", "foreground")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("p1_a", "p1_b", "p2_a"), {"p1_a": "p1", "p1_b": "p1"}),
        (("sub-01-t1", "sub-01-t2", "sub-02-t1"), {"sub-01-t1": "sub-01", "sub-01-t2": "sub-01"}),
        (("heart_1", "heart_2"), {}),
        (("s1_1", "s1_2"), {"s1_1": "s1", "s1_2": "s1"}),
        (("plain", "other"), {}),
        ([f"{year}_{n}" for year in (2019, 2020) for n in range(6)], {}),
    ],
)
def test_patients_are_guessed_from_names_with_a_number(names, expected):
    assert guess_patients(names) == expected


def test_guessed_patients_stay_on_one_side(tmp_path):
    folder = write_organs(tmp_path, labelled=8, unlabelled=0)
    for number in range(8):
        new = f"p{number // 2}_{number % 2}.nii.gz"
        for part in ("imagesTr", "labelsTr"):
            (folder / part / f"a0{number}.nii.gz").rename(folder / part / new)
    cohort, _ = folder_cohort(take_fingerprint(folder), 1)
    held_out = {case.case_id[:2] for case in cohort.validation + cohort.test}
    assert held_out.isdisjoint(c.case_id[:2] for c in cohort.labelled + cohort.unlabelled)


# --- slices or volumes


@pytest.mark.parametrize(
    ("shape", "spacing", "axis"),
    [
        ((64, 64, 40), (1, 1, 2.9), None),
        ((64, 64, 40), (1, 1, 3.0), 2),
        ((40, 64, 64), (6, 1.5, 1.5), 0),
        ((64, 64, 15), (1, 1, 1), 2),
        ((64, 1, 64), (1, 1, 1), 1),
        ((64, 64, 16), (1, 1, 1), None),
        ((64, 64, 40), (3, 3, 1), None),
    ],
)
def test_thick_or_few_slices_are_learnt_singly(shape, spacing, axis):
    assert slice_axis([shape], [spacing]) == axis


@pytest.mark.parametrize("orientation", ["RAS", "PIR"])
def test_a_stack_of_thick_slices_becomes_a_2d_cohort(tmp_path, orientation):
    for number in range(6):
        image, label = organ(number)
        name, spacing = f"{number}.nii.gz", (1.0, 6.0, 1.0)
        write_oriented(tmp_path / "imagesTr" / name, image, orientation, spacing)
        write_oriented(tmp_path / "labelsTr" / name, label, orientation, spacing)
    cohort, geometry = folder_cohort(take_fingerprint(tmp_path), 1, largest_side=8)
    case = cohort.labelled[0]
    assert cohort.dimensions == 2 and geometry.axis == 1 and geometry.factors == (1, 1, 1)
    assert case.image.shape == (22, 24, 20) and case.spacing == (6.0, 1.0, 1.0)
    np.testing.assert_array_equal(case.label, organ(int(case.case_id))[1].transpose(1, 0, 2))
    assert load_cohort(str(tmp_path), 1).content_hash == cohort.content_hash


def test_volumes_are_shrunk_while_they_are_read(folder):
    cohort, geometry = folder_cohort(take_fingerprint(folder), 2, largest_side=12)
    assert geometry.factors == (2, 2, 2) and cohort.labelled[0].image.shape == (12, 11, 10)
    assert "downsampled by 2 x 2 x 2" in cohort.caveat


# --- the example folder


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Path:
    return write_example_folder(tmp_path_factory.mktemp("example") / "phantom_folder")


def test_every_planted_mistake_of_the_example_is_found_and_no_other(example):
    found = take_fingerprint(example)
    blamed = {
        Path(one.file).name.removesuffix(".nii.gz")
        for one in found.findings
        if one.weight != "note"
    }
    assert blamed == set(MISTAKES)
    assert (
        len(found.properties) == LABELLED + UNLABELLED + TEST + NEW - 2
    )  # one broken, one duplicate
    assert len(found.listing.scored_test) == TEST
    assert "8, 2" in description_table(found).data  # test scans with and without a label map


def test_the_example_is_written_once(example):
    before = (example / "dataset.json").stat().st_mtime_ns
    assert write_example_folder(example) == example
    assert (example / "dataset.json").stat().st_mtime_ns == before
    assert [path.name for path in example.parent.iterdir()] == ["phantom_folder"]


def test_groups_name_every_usable_scan(example):
    scans = open_own_scans(str(example), "quick", 4)
    groups = scan_groups(scans)
    assert set(groups) == set(scans.fingerprint.properties)
    assert sum(group == "outside" for group in groups.values()) == NEW


@pytest.mark.parametrize(
    ("n", "words"),
    [(1, "anecdote"), (3, "p = 0.25"), (5, "0.0625"), (6, "one sign"), (20, "other")],
)
def test_few_scans_are_said_to_be_few(n, words):
    assert words in how_much_to_believe(n)
