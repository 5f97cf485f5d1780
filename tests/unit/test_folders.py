"""Folders as people have them: each either works as meant, or says in words what to change.

Every folder goes through every door: the one of notebook 06, that of notebooks 00 to 04, and the
strict one, which refuses what the others exclude.
"""

from __future__ import annotations

import gzip
import json
import shutil
import struct
import unicodedata
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from organ_scans import organ, write_oriented

from ssl_lib.data.cohort import Cohort
from ssl_lib.data.fingerprint import Fingerprint, sparse_axis, take_fingerprint
from ssl_lib.data.formats import volume_header
from ssl_lib.data.label_fit import better_fit
from ssl_lib.data.load import load_cohort, open_cohort
from ssl_lib.data.own_scans import open_own_scans
from ssl_lib.data.patients import guess_patients
from ssl_lib.data.reading import read_nifti
from ssl_lib.utils.errors import InputError

NAMES = tuple(f"case_{number:03}" for number in range(1, 9))


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "mine"


def made(
    folder: Path,
    names: tuple[str, ...] = NAMES,
    *,
    labelled: int = 6,
    tests: tuple[str, ...] = ("test_1", "test_2"),
    shape: tuple[int, int, int] = (24, 22, 20),
) -> Path:
    """A sound folder: scans of `names`, the first ones with label maps, and labelled test scans."""
    for number, name in enumerate(names):
        image, label = organ(number, shape)
        write_oriented(folder / "imagesTr" / f"{name}.nii.gz", image)
        if number < labelled:
            write_oriented(folder / "labelsTr" / f"{name}.nii.gz", label)
    for number, name in enumerate(tests):
        image, label = organ(100 + number, shape)
        write_oriented(folder / "imagesTs" / f"{name}.nii.gz", image)
        write_oriented(folder / "labelsTs" / f"{name}.nii.gz", label)
    return folder


def changed(
    folder: Path, part: str, change: Callable[[np.ndarray, int], np.ndarray], affine=None
) -> None:
    """Change the voxels of every file of a part, given with the file's number, or its affine."""
    for number, path in enumerate(sorted((folder / part).iterdir())):
        stored = nibabel.load(path)
        voxels = change(np.asarray(stored.dataobj), number)
        place = stored.affine if affine is None else affine(stored.affine)
        nibabel.Nifti1Image(voxels, place).to_filename(path)


def through_every_door(folder: Path, n_labelled: int = 2) -> tuple[Fingerprint, Cohort]:
    """The fingerprint, and the cohort that all doors agree about."""
    own = open_own_scans(str(folder), "gpu", n_labelled)
    for other in (
        open_cohort(str(folder), "gpu", n_labelled, None),
        load_cohort(str(folder), n_labelled),
    ):
        assert other.content_hash == own.cohort.content_hash
    if own.fingerprint.excluded:
        with pytest.raises(InputError) as refusal:
            open_own_scans(str(folder), "gpu", n_labelled, exclude_broken=False)
        for one in own.fingerprint.excluded:
            assert one.file in str(refusal.value)
            assert one.problem in str(refusal.value) and one.fix in str(refusal.value)
            assert one.file in own.cohort.caveat or len(own.fingerprint.excluded) > 12
    return own.fingerprint, own.cohort


def refused(folder: Path, n_labelled: int = 2) -> str:
    """What every door says of a folder that none of them opens."""
    messages = set()
    for door in (
        lambda: open_own_scans(str(folder), "gpu", n_labelled),
        lambda: open_cohort(str(folder), "gpu", n_labelled, None),
        lambda: load_cohort(str(folder), n_labelled),
    ):
        with pytest.raises(InputError) as refusal:
            door()
        messages.add(str(refusal.value))
    (message,) = messages
    assert "fix: " in message
    return message


def said(found: Fingerprint, weight: str) -> str:
    return "\n".join(map(str, (one for one in found.findings if one.weight == weight)))


def ids(cases) -> set[str]:
    return {case.case_id for case in cases}


# --- names


def test_a_label_map_of_a_test_scan_never_labels_a_training_scan(folder):
    made(folder, tests=("case_007", "test_2"))
    found, cohort = through_every_door(folder)
    assert ids(cohort.test) == {"case_007_imagesTs", "test_2"}
    assert "case_007" in ids(cohort.unlabelled) and "case_007" not in cohort.sealed
    truth = cohort.sealed.open("case_007_imagesTs", "final score")
    np.testing.assert_array_equal(truth, organ(100)[1])
    assert "case_007_imagesTs" in said(found, "warning")


def test_an_own_numbering_is_no_channel(folder):
    found, cohort = through_every_door(made(folder, tuple(f"scan_{n:04}" for n in range(8))))
    assert len(found.listing.images) == 10 and found.excluded == ()
    assert len(cohort.labelled + cohort.unlabelled + cohort.validation) == 8


@pytest.mark.parametrize("labelled", [6, 0])
def test_channels_are_never_scans_of_their_own(folder, labelled):
    for number in range(6):
        image, label = organ(number)
        for channel in range(3):
            name = f"study_{number:03}_{channel:04}.nii.gz"
            write_oriented(folder / "imagesTr" / name, image * (1 + channel))
        if number < labelled:
            write_oriented(folder / "labelsTr" / f"study_{number:03}.nii.gz", label)
    found = take_fingerprint(folder)
    assert set(found.listing.images) == {f"study_{number:03}" for number in range(6)}
    assert found.excluded == () and len(found.channel_names) == 3
    if labelled:
        through_every_door(folder)


def test_of_two_files_of_one_scan_the_message_names_the_one_that_is_not_used(folder):
    made(folder)
    image, _ = organ(77)
    write_oriented(folder / "imagesTr" / "case_002.nii", image)
    found, _ = through_every_door(folder)
    (one,) = found.excluded
    assert one.file == "imagesTr/case_002.nii.gz" and "case_002.nii is used" in one.problem
    assert found.listing.images["case_002"].name == "case_002.nii"


def test_endings_in_capitals_are_read_predicted_and_written_back(folder):
    made(folder)
    for path in list(folder.rglob("*.nii.gz")):
        path.rename(path.with_name(path.name.replace(".nii.gz", ".NII.GZ")))
    found, _ = through_every_door(folder)
    assert len(found.listing.images) == 10 and found.excluded == ()


def test_files_that_are_not_read_are_counted_and_named(folder):
    made(folder)
    others = ("a.mgz", "a.img", "a.npz", "a.zip", "IM0001", "a.nii.gz.part")
    for name in others:
        (folder / "imagesTr" / name).write_bytes(b"\0" * 64)
    write_oriented(folder / "imagesTr" / "pat9" / "scan.nii.gz", organ(9)[0])
    found, _ = through_every_door(folder)
    assert found.excluded == ()
    for name in (*others, "pat9/"):
        assert name in said(found, "warning")
    assert "7 files or folders" in said(found, "warning")


def test_names_in_composed_and_decomposed_letters_are_one_name(folder):
    names = ("Müller_1", *NAMES[1:])
    made(folder, names)
    label = folder / "labelsTr" / "Müller_1.nii.gz"
    label.rename(label.with_name(unicodedata.normalize("NFD", label.name)))
    found, _ = through_every_door(folder)
    assert found.excluded == () and "Müller_1" in found.listing.labels


def test_a_folder_around_folders_of_scans_says_which_to_name(tmp_path):
    made(tmp_path / "A" / "data")
    made(tmp_path / "B" / "data")
    message = refused(tmp_path)
    assert "A/data, B/data" in message


def test_scans_outside_of_their_folder_are_told(tmp_path):
    write_oriented(tmp_path / "a.nii.gz", organ(0)[0])
    assert "move its 1 NIfTI file into imagesTr/" in refused(tmp_path)


# --- patients


@pytest.mark.parametrize(
    ("names", "patients"),
    [
        (("sub-01_ses-01_T2w", "sub-01_ses-02_T2w", "sub-02_ses-01_T2w"), 2),
        (("sub-01_ses-1_run-1", "sub-01_ses-1_run-2", "sub-01_ses-2_run-1", "sub-02_run-1"), 2),
        (("p07_left", "p07_right", "p08_left"), 2),
        (("knee12-L", "knee12-R", "knee13-L"), 2),
        (("pat3_visit1", "pat3_visit2", "pat4_visit1"), 2),
        (("pat3_baseline", "pat3_followup", "pat4"), 2),
        (("patient001_frame01", "patient001_frame12", "patient002_frame01"), 2),
        (("p01_a", "p01_b", "p02_a"), 2),
        (tuple(f"site{n // 3}_{n:03}" for n in range(9)), 9),
        (("2019_1", "2019_2", "2020_1"), 3),
        (("1000_2019-03-04", "1000_2020-05-06", "1001_2019-01-01"), 2),
        (("P00 1", "P00 2", "P01 1"), 2),
        (("P00.1", "P00.2", "P01.1"), 2),
        (("lh_000", "rh_000", "lh_001"), 2),
        (("left-000", "right-000", "left-001"), 2),
        (("smith_pre", "smith_post", "miller_pre"), 2),
        (("ABCDEF_sa_ED", "ABCDEF_sa_ES", "GHIJKL_sa_ED"), 2),
        (("p01_0", "p01_1", "p01_2", "p01_3", "p01_4", "p02_0", "p02_1", "p03_0", "p03_1"), 3),
        (("scan_0001", "scan_0002", "scan_0003"), 3),
    ],
)
def test_patients_are_guessed_from_subjects_sessions_sides_and_repeats(names, patients):
    guess = guess_patients(names)
    assert len({guess.get(name, name) for name in names}) == patients


def test_a_guess_leaves_stated_patients_alone_and_joins_what_belongs_to_them():
    names = ("p01_a", "p01_b", "p01_c", "p02_a", "p02_b")
    guess = guess_patients(names, {"p01_a": "Ann", "p01_b": "Ann"})
    assert guess == {"p01_c": "Ann", "p02_a": "p02", "p02_b": "p02"}


def sides(cohort: Cohort) -> list[set[str]]:
    """Patients by name in training, validation and test."""
    groups = (cohort.labelled + cohort.unlabelled, cohort.validation, cohort.test)
    return [{case.case_id.split("_")[0] for case in cases} for cases in groups]


def test_sessions_of_a_subject_never_part(folder):
    names = tuple(f"sub-{i:02}_ses-{j:02}_T2w" for i in range(1, 5) for j in (1, 2))
    found, cohort = through_every_door(made(folder, names, labelled=8, tests=()))
    training, validation, test = sides(cohort)
    assert training.isdisjoint(validation | test) and validation.isdisjoint(test)
    assert "sub-01_ses-01_T2w" in said(found, "note"), "the guess is named"
    assert "patients.csv decides" in cohort.caveat


def test_scans_that_no_table_names_are_guessed_and_named(folder):
    names = tuple(f"p{i:02}_{s}" for i in range(1, 7) for s in "ab")
    made(folder, names, labelled=12, tests=())
    (folder / "patients.csv").write_text("scan,patient\np01_a,A\np01_b,A\n")
    found, cohort = through_every_door(folder)
    training, validation, test = sides(cohort)
    assert training.isdisjoint(validation | test) and validation.isdisjoint(test)
    assert "does not name p02_a" in said(found, "warning")


def test_a_guess_never_refuses_a_folder(folder):
    """All scans of two patients: kept together, none would be left to train on."""
    names = tuple(f"sub-{i}_ses-{j}" for i in (1, 2) for j in range(4))
    _, cohort = through_every_door(made(folder, names, labelled=8, tests=()))
    assert "keeping them together leaves too little" in cohort.caveat
    assert len({case.patient for case in cohort.cases}) == len(cohort.cases)


def test_a_guess_across_training_and_test_is_a_warning(folder):
    names = tuple(f"sub-{i}_ses-1" for i in range(1, 9))
    found, cohort = through_every_door(made(folder, names, tests=("sub-1_ses-2", "sub-30_ses-1")))
    assert "sub-1_ses-2" in ids(cohort.test) and "sub-1_ses-1" in ids(cohort.cases)
    assert "are one patient" in said(found, "warning")
    (folder / "patients.csv").write_text("scan,patient\nsub-1_ses-1,one\nsub-1_ses-2,two\n")
    assert "are one patient" not in said(take_fingerprint(folder), "warning")


# --- label maps


def test_voxels_that_nobody_outlined_are_no_class(folder):
    made(folder)
    changed(folder, "labelsTr", lambda v, n: np.where(np.arange(20) < 6, 3, v).astype(np.uint8))
    labels = {"background": 0, "front": 1, "back": 2, "ignore": 3}
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    assert take_fingerprint(folder).class_names == ("background", "front", "back")
    message = refused(folder)
    assert "'ignore'" in message and "labelsTr/case_001.nii.gz" in message


def test_two_codings_of_one_class_are_a_warning_with_their_files(folder):
    made(folder)
    for part in ("labelsTr", "labelsTs"):
        changed(folder, part, lambda v, n: ((v > 0) * (255 if n % 2 else 1)).astype(np.uint8))
    found, _ = through_every_door(folder)
    warning = said(found, "warning")
    assert "not the same value" in warning and "255 in" in warning
    assert "labelsTr/case_002.nii.gz" in warning and "labelsTr/case_001.nii.gz" in warning


def test_a_lone_value_that_some_maps_hold_is_asked_about(folder):
    made(folder)
    changed(folder, "labelsTr", lambda v, n: np.where((v == 0) & (n < 3), 255, v).astype(np.uint8))
    found, _ = through_every_door(folder)
    assert "the value 255 stands in" in said(found, "warning")


def test_the_label_map_of_a_broken_image_is_named(folder):
    made(folder)
    (folder / "imagesTr" / "case_001.nii.gz").write_bytes(b"")
    found, _ = through_every_door(folder)
    assert "labelsTr/case_001.nii.gz: is not used, for its image" in said(found, "note")


def test_axes_in_another_order_are_said_where_shapes_differ(folder):
    made(folder)
    changed(folder, "labelsTr", lambda v, n: np.ascontiguousarray(np.swapaxes(v, 0, 2)))
    assert "are its axes in another order?" in refused(folder)


def test_outlines_on_every_fourth_slice_are_a_warning(folder):
    made(folder, shape=(24, 22, 40))
    changed(folder, "labelsTr", lambda v, n: (v * (np.arange(40) % 4 == 0)).astype(np.uint8))
    found, _ = through_every_door(folder)
    assert "outlined slices alternate with empty ones along z" in said(found, "warning")


def test_two_organs_side_by_side_are_not_sparse():
    label = np.zeros((40, 20, 20), np.uint8)
    label[5:9, 5:15, 5:15] = label[30:34, 5:15, 5:15] = 1
    assert sparse_axis(label) is None
    assert sparse_axis(np.zeros((4, 4, 4), np.uint8)) is None


def test_label_maps_with_two_axes_exchanged_are_a_warning(folder):
    made(folder, shape=(24, 24, 20))
    changed(folder, "labelsTr", lambda v, n: np.ascontiguousarray(np.swapaxes(v, 0, 1)))
    found, _ = through_every_door(folder)
    assert "with the axes x and y exchanged" in said(found, "warning")


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1)])
def test_the_fit_names_the_flip_that_undoes_a_flip(axes):
    image, label = organ(3, (24, 24, 24))
    image[label > 0] += 200
    corner = np.roll(image, -6, axis=(0, 1, 2)), np.roll(label, -6, axis=(0, 1, 2))
    spoilt = np.flip(corner[1], axes)
    fit = better_fit(corner[0], spoilt, np.quantile(image, (0.01, 0.99)))
    assert fit is not None and fit.flipped == axes and fit.order == (0, 1, 2)
    assert better_fit(*corner, np.quantile(image, (0.01, 0.99))) is None


@pytest.mark.parametrize("spoil", [lambda v: np.swapaxes(v, 0, 1), lambda v: np.flip(v, 0)])
def test_an_organ_that_is_faint_beside_air_is_found_by_its_rim(spoil):
    """As in CT: of all variance that of air against body is nearly everything."""
    place = np.stack(np.meshgrid(*(np.arange(40),) * 2, np.arange(12), indexing="ij"))
    body = ((place[:2] - 19.5) ** 2).sum(0) < 17**2
    label = (((place[:2] - np.array([11, 20])[:, None, None, None]) ** 2).sum(0) < 5**2) & (
        abs(place[2] - 6) < 4
    )
    noise = np.random.default_rng(0).normal(0, 20, body.shape)
    image = (np.where(body, 40.0, -1000.0) + 90 * label + noise).astype(np.float32)
    limits, label = np.quantile(image, (0.01, 0.99)), label.astype(np.uint8)
    assert better_fit(image, label, limits) is None
    assert better_fit(image, np.ascontiguousarray(spoil(label)), limits) is not None


def test_labels_that_a_header_scaled_and_many_classes_are_label_maps(folder):
    made(folder)
    blocks = np.arange(24)[:, None, None] // 2 * 11 + np.arange(22)[None, :, None] // 2
    changed(folder, "labelsTr", lambda v, n: np.broadcast_to(blocks, v.shape).astype(np.float32))
    for path in (folder / "labelsTr").iterdir():
        stored = nibabel.load(path)
        header = nibabel.Nifti1Header()
        header.set_data_dtype(np.int16)
        image = nibabel.Nifti1Image(np.asarray(stored.dataobj, dtype=float), stored.affine, header)
        image.to_filename(path)
    raw = np.asarray(nibabel.load(path).dataobj)
    assert np.abs(raw - np.rint(raw)).max() > 0, "the header's scaling is felt"
    found, _ = through_every_door(folder)
    assert found.excluded == () and len(found.values) > 64


def test_empty_label_maps_are_refused_before_any_training(folder):
    made(folder)
    changed(folder, "labelsTr", lambda v, n: v * 0)
    message = refused(folder)
    assert "holds anything but background" in message
    assert "2 of the 8 label maps of the folder hold a class" in message


def test_a_class_that_no_labelled_scan_holds_is_told_before_training(folder):
    made(folder)
    changed(folder, "labelsTr", lambda v, n: np.minimum(v, 1) if n < 3 else v)
    _, cohort = through_every_door(folder, 2)
    assert "No labelled training scan of 2 (" in cohort.caveat and "class 2" in cohort.caveat
    _, cohort = through_every_door(folder, 5)
    assert "None of the" not in cohort.caveat


def test_too_few_label_maps_say_how_many_are_needed_and_what_for(folder):
    message = refused(made(folder, labelled=2, tests=()))
    assert "3 or more: one to train on, one to validate on, one to test on" in message


# --- place


def test_a_hair_beside_is_a_note_and_a_third_of_a_voxel_is_not(folder):
    made(folder)

    def moved(millimetres: float):
        def place(affine):
            affine = affine.copy()
            affine[0, 3] += millimetres
            return affine

        return place

    changed(folder, "labelsTr", lambda v, n: v, moved(0.03))  # 3 % of a voxel
    found, _ = through_every_door(folder)
    assert found.excluded == () and "0.03 voxels beside its image" in said(found, "note")
    changed(folder, "labelsTr", lambda v, n: v, moved(0.33))
    message = refused(folder)
    assert "its origin differs by 0.36 x 0 x 0 mm" in message and "affine of the image" in message


def test_an_identity_affine_is_called_one(folder):
    made(folder)
    changed(folder, "labelsTr", lambda v, n: v, lambda affine: np.eye(4))
    assert "its header holds the identity" in refused(folder)


def test_sform_and_qform_that_disagree_are_a_warning(folder):
    made(folder)
    path = folder / "imagesTr" / "case_001.nii.gz"
    stored = nibabel.load(path)
    other = stored.affine.copy()
    other[0, 3] += 5
    stored.set_qform(other, code=1)
    stored.set_sform(stored.affine, code=1)
    stored.to_filename(path)
    found, _ = through_every_door(folder)
    assert "its sform and its qform differ by up to 5 voxels" in said(found, "warning")
    assert volume_header(read_nifti(folder / "imagesTr" / "case_002.nii.gz")).apart < 1e-3


def test_a_quaternion_that_rounding_made_too_long_is_fine(tmp_path):
    path = write_oriented(tmp_path / "a.nii", organ(0)[0])
    stored = nibabel.load(path)
    stored.set_sform(None, code=0)
    stored.set_qform(np.diag([-1.0, -1.5, 2.0, 1.0]), code=1)  # half a turn about z
    voxels = np.asarray(stored.dataobj).copy()  # the file is mapped
    nibabel.Nifti1Image(voxels, None, stored.header).to_filename(path)
    content = bytearray(path.read_bytes())
    content[264:268] = struct.pack("<f", 1 + 1e-6)  # quatern_d
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="w2 should be positive"):
        nibabel.load(path)
    volume = read_nifti(path)
    assert volume.spacing == (1.0, 1.5, 2.0) and volume_header(volume).orientation == "LPS"


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1000), ("micron", 0.001), ("mm", 1)])
def test_units_of_the_header_are_honoured(tmp_path, unit, factor):
    path = write_oriented(tmp_path / "a.nii.gz", organ(0)[0])
    stored = nibabel.load(path)
    stored.header.set_xyzt_units(unit)
    nibabel.Nifti1Image(np.asarray(stored.dataobj), stored.affine, stored.header).to_filename(path)
    volume = read_nifti(path)
    assert volume.spacing == pytest.approx((factor, 1.5 * factor, 2 * factor))
    assert volume.millilitres == pytest.approx(3e-3 * factor**3)


def test_volumes_are_those_of_oblique_axes(tmp_path):
    affine = np.array([[2.0, 1, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
    nibabel.Nifti1Image(organ(0)[0], affine).to_filename(tmp_path / "a.nii")
    volume = read_nifti(tmp_path / "a.nii")
    assert volume.millilitres == pytest.approx(8e-3)
    assert np.prod(volume.spacing) / 1000 > 8.5e-3


# --- grey levels and shapes


def test_nan_around_the_body_is_filled_and_told(folder):
    made(folder)
    before = load_cohort(str(folder), 2).labelled[0].image
    changed(folder, "imagesTr", lambda v, n: np.where(np.arange(20) < 2, np.nan, v))
    found, cohort = through_every_door(folder)
    assert found.excluded == () and "10.0\u00a0% of its voxels are NaN" in said(found, "warning")
    assert np.isfinite(cohort.labelled[0].image).all()
    assert (
        np.corrcoef(cohort.labelled[0].image[..., 2:].ravel(), before[..., 2:].ravel())[0, 1] > 0.9
    )


def test_a_scout_among_volumes_is_excluded_by_name(folder):
    made(folder)
    write_oriented(folder / "imagesTr" / "case_scout.nii.gz", organ(50)[0][:, :, 10:11])
    found, cohort = through_every_door(folder)
    (one,) = found.excluded
    assert one.file == "imagesTr/case_scout.nii.gz" and "single slice" in one.problem
    assert "case_scout" not in ids(cohort.cases)


def test_a_name_without_ascii_letters_works(tmp_path):
    _, cohort = through_every_door(made(tmp_path / "数据"))
    assert cohort.name == "数据"


def test_unreadable_tables_are_refused_in_words_of_our_own(folder):
    made(folder)
    (folder / "dataset.json").write_text('{"labels": {"background": 0,}}')
    assert "no valid JSON at line 1" in refused(folder)
    (folder / "dataset.json").unlink()
    (folder / "patients.csv").write_text("name,patient\ncase_001,A\n")
    assert "no columns scan,patient" in refused(folder)
    (folder / "patients.csv").write_text("scan,patient\ncase_001\n")
    assert "line 2 has 1 cells" in refused(folder)


@pytest.mark.parametrize(
    "text",
    [
        "scan;patient\n{0};A\n{1};A\n",
        "scan\tpatient\n{0}\tA\n{1}\tA\n",
        "sep=;\nPatient;Scan;age\nA;{0};5\nA;imagesTr/{1}.nii.gz;6\n;;\n",
        "\ufeffscan,patient\r\n{0}.nii.gz,A\r\n\r\n{1},A\r\n",
    ],
)
def test_tables_as_spreadsheets_write_them_are_read(folder, text):
    made(folder)
    (folder / "patients.csv").write_text(text.format("case_001", "case_004"), encoding="utf-8")
    patients = take_fingerprint(folder).listing.patients
    assert patients == {"case_001": "A", "case_004": "A"}


def test_zeros_that_a_spreadsheet_took_away_are_found_again(folder):
    made(folder, tuple(f"{n:04}" for n in range(1, 9)))
    (folder / "patients.csv").write_text("scan,patient\n1,A\n2,A\n")
    assert take_fingerprint(folder).listing.patients == {"0001": "A", "0002": "A"}


def test_a_stated_patient_in_training_and_test_leaves_the_training(folder):
    made(folder)
    (folder / "patients.csv").write_text("scan,patient\ncase_001,A\ncase_007,A\ntest_1,A\n")
    found, cohort = through_every_door(folder)
    training = ids(cohort.labelled + cohort.unlabelled + cohort.validation)
    assert "test_1" in ids(cohort.test) and training.isdisjoint({"case_001", "case_007"})
    assert "case_001, case_007 are not used" in said(found, "warning")
    (folder / "labelsTs" / "test_1.nii.gz").unlink()
    found, cohort = through_every_door(folder)
    assert "are not used" not in said(found, "warning"), "without a label map it tests nothing"
    assert {"case_001", "case_007"} <= ids(cohort.cases)


def test_more_labelled_scans_than_patients_allow_are_refused_and_protection_stays(folder):
    names = tuple(f"sub-{i}_ses-{j}" for i in range(4) for j in range(3))
    made(folder, names, labelled=12, tests=())
    through_every_door(folder, 6)
    assert "1 to 6" in refused(folder, 7)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("LabelsTr", "labelsTr"), ("labelTs", "labelsTs"), ("Patients.csv", "patients.csv")],
)
def test_a_misspelt_name_is_told_with_the_right_one(folder, wrong, meant):
    made(folder)
    if meant.endswith(".csv"):
        (folder / wrong).write_text("scan,patient\n")
    else:
        (folder / meant).rename(folder / wrong)
    assert f"meant to be {meant}?" in refused(folder)


def test_years_and_lone_numbers_are_no_channels(folder):
    made(folder, tests=())
    for number, name in enumerate(("hospA_2019", "hospA_2020", "case_001_2019")):
        write_oriented(folder / "imagesTr" / f"{name}.nii.gz", organ(50 + number)[0])
    for number in (1, 2):
        write_oriented(folder / "imagesTs" / f"test_{number:04}.nii.gz", organ(60 + number)[0])
    (folder / "dataset.json").write_text('{"modality": {"0": "CT"}}')
    found = take_fingerprint(folder)
    assert {"hospA_2019", "hospA_2020", "test_0001", "test_0002"} <= found.listing.images.keys()


def test_channels_that_dataset_json_names_are_none_of_the_scans(folder):
    for number in range(6):
        image, label = organ(number)
        for channel in range(2):
            name = f"case_{number:02}_{channel:04}.nii.gz"
            write_oriented(folder / "imagesTr" / name, image * (1 + channel))
        write_oriented(folder / "labelsTr" / f"case_{number:02}_0000.nii.gz", label)
    (folder / "dataset.json").write_text('{"channel_names": {"0": "T1", "1": "T2"}}')
    found = take_fingerprint(folder)
    assert set(found.listing.images) == {f"case_{number:02}" for number in range(6)}
    assert set(found.listing.labels) == set(found.listing.images)


def test_sequences_of_one_examination_are_asked_about(folder):
    names = tuple(f"BraTS_{n:03}_{kind}" for n in range(4) for kind in ("t1", "flair"))
    found = take_fingerprint(made(folder, names, tests=()))
    assert "names end in flair, t1" in said(found, "warning")


def test_an_invalid_qform_beside_a_valid_sform_is_a_note(folder):
    made(folder)
    path = folder / "imagesTr" / "case_001.nii.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    for offset in (256, 260, 264):
        content[offset : offset + 4] = struct.pack("<f", 0.9)
    content[252:256] = struct.pack("<hh", 1, 1)
    path.write_bytes(gzip.compress(bytes(content)))
    found, _ = through_every_door(folder)
    assert "its qform is invalid" in said(found, "note")


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ({"0": "background", "1": "kidney", "2": "kidney"}, "twice"),
        ({"0": "background", "1": ""}, "each by a text"),
        ({"background": 0, "ignore": 1, "organ": 2}, "another value than the highest"),
        ({"background": 0, "whole": [1, 2]}, "regions"),
        ({"organ": 1, "other": 2}, "the value 0 (background)"),
    ],
)
def test_names_of_classes_that_would_mislead_are_refused(folder, labels, problem):
    made(folder)
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    assert problem in refused(folder)


def test_named_values_may_have_gaps(folder):
    made(folder)
    for part in ("labelsTr", "labelsTs"):
        changed(folder, part, lambda v, n: np.where(v == 2, 4, v).astype(np.uint8))
    labels = {"background": 0, "core": 1, "enhancing": 4}
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    found, cohort = through_every_door(folder)
    assert found.values == (0, 1, 4) and cohort.class_names == tuple(labels)
    assert set(np.unique(cohort.labelled[0].label)) == {0, 1, 2}


def test_label_maps_without_background_are_a_warning(folder):
    made(folder)
    for part in ("labelsTr", "labelsTs"):
        changed(folder, part, lambda v, n: (v + 1).astype(np.uint8))
    found, _ = through_every_door(folder)
    assert "no label map holds 0" in said(found, "warning")


def test_an_oblique_label_map_is_turned_as_its_image(folder):
    """At 45 degrees the nearest axes of two headers may differ by a rounding."""
    turn = np.eye(4)
    turn[:2, :2] = np.array([[1, -1], [1, 1]]) / np.sqrt(2)
    for number, name in enumerate(NAMES):
        image, label = organ(number)
        for part, voxels, tilt in (("imagesTr", image, 1e-7), ("labelsTr", label, -1e-7)):
            affine = turn.copy()
            affine[0, 0] += tilt
            (folder / part).mkdir(parents=True, exist_ok=True)
            stored = nibabel.Nifti1Image(voxels, affine)
            stored.to_filename(folder / part / f"{name}.nii.gz")
    found, _ = through_every_door(folder)
    assert found.excluded == ()


def test_axes_of_length_one_are_no_reason(folder):
    made(folder)
    changed(folder, "imagesTr", lambda v, n: v[..., None, None])
    found, _ = through_every_door(folder)
    assert found.excluded == ()


def test_a_link_to_nothing_says_how_to_fetch_it(folder):
    made(folder)
    (folder / "imagesTr" / "gone.nii.gz").symlink_to(folder / "annex" / "object")
    found, _ = through_every_door(folder)
    assert "a link to a file that is not there" in said(found, "excluded")
    assert "datalad get" in said(found, "excluded")


def renamed(folder: Path, part: str, name_of: Callable[[str], str]) -> None:
    """Give every file of a part another name; `name_of` is told the name without ending."""
    for path in list((folder / part).iterdir()):
        path.rename(path.with_name(name_of(path.name.removesuffix(".nii.gz")) + ".nii.gz"))


@pytest.mark.parametrize(
    ("image", "label", "pattern"),
    [
        ("{}", "{}_seg", "NAME_seg"),
        ("{}_image", "{}_label", "NAME_label"),
        ("volume-{}", "segmentation-{}", "segmentation-NAME"),
    ],
)
def test_label_maps_with_a_word_in_their_name_are_matched_and_told(
    folder, image, label, pattern, capsys
):
    made(folder)
    for part, form in (("imagesTr", image), ("labelsTr", label)):
        renamed(folder, part, form.format)
    found, cohort = through_every_door(folder)
    pairs = {
        found.listing.images[scan].name: path.name for scan, path in found.listing.labels.items()
    }
    training = {f"{image.format(n)}.nii.gz": f"{label.format(n)}.nii.gz" for n in NAMES[:6]}
    assert training.items() <= pairs.items() and len(pairs) == 6 + 2
    told = f"6 label maps called {pattern} are matched by name: {label.format(NAMES[0])}.nii.gz to"
    assert told in said(found, "note") and told in cohort.caveat
    assert told in capsys.readouterr().err
    assert found.excluded == ()


def test_label_maps_that_are_not_sure_are_excluded_with_the_reason(folder):
    made(folder)
    label = organ(0)[1]
    for name in ("case_008_seg", "case_008_mask", "case_001_seg", "test_1_seg", "other"):
        write_oriented(folder / "labelsTr" / f"{name}.nii.gz", label)
    found, _ = through_every_door(folder)
    excluded = said(found, "excluded")
    for name, reason in {
        "case_008_mask": "is one of several label maps of its scan",
        "case_008_seg": "is one of several label maps of its scan",
        "case_001_seg": "is a second label map of its scan",
        "test_1_seg": "belongs to a scan of the other folder",
        "other": "has no image of its name",
    }.items():
        assert f"labelsTr/{name}.nii.gz: {reason}" in excluded
    assert "case_008" not in found.listing.labels


@pytest.mark.parametrize("behind", ["_gt", ".seg"])
def test_a_label_map_among_the_scans_is_no_scan(folder, behind):
    made(folder)
    ending = ".nrrd" if behind == ".seg" else ".nii.gz"
    label = organ(0)[1]
    for part in ("imagesTr", "labelsTr"):
        path = folder / part / f"case_008{behind}{ending}"
        write_oriented(path.with_name("made.nii.gz"), label)
        if ending == ".nrrd":
            image = SimpleITK.ReadImage(path.with_name("made.nii.gz"))
            SimpleITK.WriteImage(image, path)
        else:
            shutil.copy(path.with_name("made.nii.gz"), path)
        path.with_name("made.nii.gz").unlink()
    found, _ = through_every_door(folder)
    excluded = said(found, "excluded")
    words = "is a segmentation" if ending == ".nrrd" else "lies among the scans"
    assert f"imagesTr/case_008{behind}{ending}: {words}" in excluded
    assert set(found.listing.images) == {*NAMES, "test_1", "test_2"}
    if ending == ".nrrd":
        assert found.listing.labels["case_008"].parent.name == "labelsTr"
    else:
        assert f"labelsTr/case_008{behind}{ending}: has the name of a file in imagesTr" in excluded


def test_numbered_scans_and_channels_may_have_marked_label_maps(folder):
    made(folder, tuple(f"pat{n}_{m:04}" for n in range(3) for m in range(2)), tests=())
    renamed(folder, "labelsTr", "{}_seg".format)
    found, _ = through_every_door(folder)
    assert len(found.listing.images) == len(found.listing.labels) == 6
    other = made(folder / "other", tests=())
    renamed(other, "imagesTr", "{}_0000".format)
    renamed(other, "labelsTr", "{}_0000-label".format)
    found, _ = through_every_door(other)
    assert len(found.listing.images) == len(NAMES) and len(found.listing.labels) == 6


def test_pairs_that_dataset_json_states_come_first(folder):
    made(folder, tests=())
    renamed(folder, "labelsTr", "{}_of_ours".format)
    pairs = [
        {"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}_of_ours.nii.gz"}
        for name in NAMES[:6]
    ]
    listed = {"training": [*pairs, "unlabelled.nii.gz", {}]}
    (folder / "dataset.json").write_text(json.dumps(listed))
    found, _ = through_every_door(folder)
    assert set(found.listing.labels) == set(NAMES[:6])
    assert "6 label maps are matched as dataset.json states" in said(found, "note")
    listed["training"].append({"image": "case_007.nii.gz", "label": "case_001_of_ours.nii.gz"})
    (folder / "dataset.json").write_text(json.dumps(listed))
    assert "names the label map 'case_001_of_ours' for two scans" in refused(folder)


def test_stated_pairs_of_training_scans_say_nothing_of_test_scans(folder):
    made(folder, NAMES, tests=NAMES[:2])
    renamed(folder, "labelsTs", "{}_seg".format)
    pairs = [{"image": "imagesTr/case_001.nii.gz", "label": "labelsTr/case_002_seg.nii.gz"}]
    (folder / "dataset.json").write_text(json.dumps({"training": pairs}))
    found, _ = through_every_door(folder)
    for name in NAMES[:2]:
        assert found.listing.labels[f"{name}_imagesTs"].name == f"{name}_seg.nii.gz"


def test_a_label_map_of_another_name_than_its_scan_of_channels_is_told_with_the_first(folder):
    for number in range(6):
        image, label = organ(number)
        for channel in range(2):
            write_oriented(folder / "imagesTr" / f"c{number}_{channel:04}.nii.gz", image + channel)
        write_oriented(folder / "labelsTr" / f"c{number}_seg.nii.gz", label)
    found, _ = through_every_door(folder)
    assert "c0_seg.nii.gz to c0_0000.nii.gz" in said(found, "note")
    assert len(found.listing.labels) == 6


def test_tables_may_name_the_label_maps(folder):
    made(folder, tests=())
    renamed(folder, "labelsTr", "{}_seg".format)
    lines = [f"{name}_seg,p{number // 2}" for number, name in enumerate(NAMES[:6])]
    (folder / "patients.csv").write_text("\n".join(["scan,patient", *lines]))
    found, _ = through_every_door(folder, 1)
    assert found.listing.patients["case_002"] == "p0"
    assert "names scans that are not there" not in said(found, "warning")
    folds = [{"train": [], "val": [f"{n}_seg" for n in half]} for half in (NAMES[:2], NAMES[2:6])]
    (folder / "splits_final.json").write_text(json.dumps(folds))
    parts = open_own_scans(str(folder), "gpu", 1, folds=2).folds
    assert [len(one.test) for one in parts] == [2, 4]


@pytest.mark.parametrize(
    ("images", "labels"), [("images", "labels"), ("Images", "Masks"), ("image", "ground_truth")]
)
def test_usual_names_of_the_training_folders_are_read_and_told(folder, images, labels):
    _, cohort = through_every_door(made(folder))
    (folder / "imagesTr").rename(folder / images)
    (folder / "labelsTr").rename(folder / labels)
    (folder / "imagesTr").mkdir()
    found, other = through_every_door(folder)
    assert other.content_hash == cohort.content_hash
    notes = said(found, "note")
    assert f"{images}: is read as imagesTr: imagesTr holds nothing that is read" in notes
    assert f"{labels}: is read as labelsTr" in notes and "not read" not in notes


def test_a_usual_name_beside_the_right_one_is_not_read_and_two_of_them_are_refused(folder):
    made(folder)
    write_oriented(folder / "images" / "old.nii.gz", organ(0)[0])
    found, _ = through_every_door(folder)
    assert "old" not in found.listing.images
    assert "images: holds NIfTI files, and is not read" in said(found, "note")
    (folder / "labelsTr").rename(folder / "masks")
    shutil.copytree(folder / "masks", folder / "labels")
    assert "holds labels and masks: which of them is labelsTr?" in refused(folder)


def test_a_folder_that_may_hold_the_outlines_is_named_by_a_warning_and_by_the_refusal(folder):
    """Beside the masks of the field of view, as in DRIVE, and with no other label map at all."""
    made(folder)
    shutil.copytree(folder / "labelsTr", folder / "1st_manual")
    (folder / "labelsTr").rename(folder / "mask")
    found, _ = through_every_door(folder)
    assert "1st_manual: holds NIfTI files, and is not read" in said(found, "warning")
    shutil.rmtree(folder / "mask")
    assert "1st_manual: holds NIfTI files, and is not read" in refused(folder)


@pytest.mark.parametrize(
    ("part", "name"),
    [("labelsTr", "labels"), ("labelsTr", "labelsTr"), ("imagesTs", "imagesTs")],
)
def test_a_link_to_no_folder_is_refused(folder, part, name):
    made(folder)
    (folder / part).rename(folder / "moved")
    (folder / name).symlink_to(folder / "gone")
    assert f"{name}: is a link to what is not there" in refused(folder)


def test_a_file_with_the_name_of_a_folder_is_refused(folder):
    made(folder)
    (folder / "labelsTr").rename(folder / "moved")
    (folder / "labels").write_text("")
    assert "labels: is a file" in refused(folder)


def test_where_the_scans_are_is_told_where_there_are_none(folder):
    made(folder / "deeper")
    for part, name in (("imagesTr", "images"), ("labelsTr", "masks")):
        (folder / "deeper" / part).rename(folder / "deeper" / name)
    assert "give the path of a folder inside it: deeper" in refused(folder)
    flat = folder / "flat"
    for number in range(3):
        image, label = organ(number)
        write_oriented(flat / f"c{number}.nii.gz", image)
        write_oriented(flat / f"c{number}_seg.nii.gz", label)
    message = refused(flat)
    assert "move its 3 scans into imagesTr/, and its 3 label maps" in message
