"""Label maps as DICOM-SEG, out and in, and scans whose slices are frames of one file.

What is written is opened by readers that are not ours: highdicom, pydicom and SimpleITK.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pytest
import SimpleITK as sitk
from format_scans import (
    SERIES,
    STRAIGHT,
    as_dicom,
    as_dicom_seg,
    as_frames,
    flat_organ,
    itk_image,
    oblique,
    retag,
    write_dicom,
    write_folder,
    write_frames,
    write_seg,
)
from nibabel.orientations import apply_orientation
from organ_scans import organ, write_oriented
from pydicom import dcmread

from ssl_lib.data.fingerprint import read_label, take_fingerprint
from ssl_lib.data.formats import prediction_name, read_volume, write_prediction
from ssl_lib.data.load import load_cohort
from ssl_lib.data.reading import Volume, read_nifti
from ssl_lib.utils.errors import InputError

NAMES = ("background", "left", "right")
VALUES = (0, 1, 2)
SWAP = np.uint8([0, 2, 1])
Written = tuple[Volume, sitk.Image, np.ndarray]
PLACES = [np.eye(3), oblique(), np.eye(3)[[2, 0, 1]], np.diag([-1, 1, -1.0])]


def turned(volume: Volume, label: np.ndarray) -> np.ndarray:
    """A label map as SimpleITK has the scan (x, y, z), with axes to the right, front and top."""
    return apply_orientation(label, volume.turn).astype(np.uint8)


def by_simpleitk(path: Path, scan: sitk.Image) -> np.ndarray:
    """The class of each voxel (x, y, z) of a scan: frames as SimpleITK decodes them, placed by
    SimpleITK where the file says that they lie."""
    frames, tags = sitk.GetArrayFromImage(sitk.ReadImage(path)), dcmread(path)
    found = np.zeros(scan.GetSize(), np.uint8)
    single = len(tags.SegmentSequence) == 1
    for plane, groups in zip(frames, tags.PerFrameFunctionalGroupsSequence, strict=True):
        place = [float(v) for v in groups.PlanePositionSequence[0].ImagePositionPatient]
        x, y, z = scan.TransformPhysicalPointToIndex(place)
        assert (x, y) == (0, 0)
        number = 1 if single else groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        found[..., z] += np.uint8(number) * (plane.T > 0)
    return found


def by_highdicom(path: Path, scan: sitk.Image) -> np.ndarray:
    """The same, by highdicom alone."""
    whole = highdicom.Volume.from_simpleitk(scan, coordinate_system="PATIENT")
    volume = highdicom.seg.segread(path).get_volume(combine_segments=True)
    return volume.match_geometry(whole, tol=1e-3).array


def series(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def in_random_order(folder: Path) -> Path:
    """The files of a series under names that say nothing of their places."""
    names = np.random.default_rng(0).permutation(len(list(folder.iterdir())))
    for name, path in zip(names, sorted(folder.iterdir()), strict=True):
        path.rename(path.with_name(f"{name:03}x.dcm"))
    return folder


def write_organ(folder: Path, seed: int = 3, directions: np.ndarray = STRAIGHT) -> Written:
    """A series of an organ; its volume, as SimpleITK reads it, and its label map (x, y, z) there:
    where directions are left-handed, SimpleITK counts slices the other way."""
    image, label = organ(seed)
    write_dicom(folder, np.round(image), directions)
    scan = series(folder)
    alike = np.array_equal(sitk.GetArrayFromImage(scan).T, np.round(image))
    return read_volume(folder), scan, label if alike else label[..., ::-1]


# --- written


@pytest.mark.parametrize("directions", PLACES)
def test_a_dicom_seg_lies_on_its_series(tmp_path, directions):
    write_organ(tmp_path / "p", directions=directions)
    in_random_order(tmp_path / "p")
    volume, scan, label = write_organ(tmp_path / "q", directions=directions)
    volume = replace(volume, path=tmp_path / "p")
    values = (0, 1, 255)
    path = write_prediction(tmp_path / "p.dcm", turned(volume, label), volume, values, NAMES)
    for read in (by_simpleitk, by_highdicom):
        np.testing.assert_array_equal(read(path, scan), label)
    again = read_label(volume, path, {"left": 1, "right": 255})
    np.testing.assert_array_equal(again, np.uint8(values)[turned(volume, label)])


def test_a_dicom_seg_says_what_it_segments(tmp_path):
    tags = {"PatientName": "Doe^Jo", "StudyID": "7"}
    write_dicom(tmp_path / "p", np.round(organ(3)[0]), patient="Q", tags=tags)
    volume, label = read_volume(tmp_path / "p"), organ(3)[1]
    names = ("background", "linke Niere\\groß " + "x" * 80, "right")
    path = write_prediction(tmp_path / "p.dcm", turned(volume, label), volume, VALUES, names)
    seg = highdicom.seg.segread(path)
    assert [seg.get_segment_description(n).segment_label for n in (1, 2)] == [
        "linke Niere/groß " + "x" * 46,  # of 64 bytes
        "right",
    ]
    assert seg.StudyInstanceUID == f"{SERIES}.10" and seg.FrameOfReferenceUID == f"{SERIES}.20"
    assert (seg.PatientID, seg.PatientName, seg.StudyID) == ("Q", "Doe^Jo", "7")
    assert {uid for _, uid, _ in seg.get_source_image_uids()} == {SERIES}
    for groups in seg.PerFrameFunctionalGroupsSequence:
        (source,) = groups.DerivationImageSequence[0].SourceImageSequence
        (file,) = [
            one
            for one in map(dcmread, (tmp_path / "p").iterdir())
            if one.SOPInstanceUID == source.ReferencedSOPInstanceUID
        ]
        place = groups.PlanePositionSequence[0].ImagePositionPatient
        np.testing.assert_allclose(place, file.ImagePositionPatient, atol=1e-6)
    assert seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices == 2


def test_a_prediction_of_nothing_is_a_dicom_seg_too(tmp_path):
    volume, scan, label = write_organ(tmp_path / "p")
    path = write_prediction(tmp_path / "p.dcm", turned(volume, 0 * label), volume, VALUES)
    assert not by_simpleitk(path, scan).any() and not read_label(volume, path).any()
    labels = [str(one.SegmentLabel) for one in dcmread(path).SegmentSequence]
    assert labels == ["class 1", "class 2"]


def test_the_ending_decides_between_dicom_seg_and_nifti(tmp_path):
    volume, _, label = write_organ(tmp_path / "p")
    assert prediction_name("p", tmp_path / "p") == "p.dcm"
    assert prediction_name("p", tmp_path / "p", ".nii.gz") == "p.nii.gz"
    with pytest.raises(InputError, match="DICOM_AS: DICOM series cannot be predicted as 'dcm'"):
        prediction_name("p", tmp_path / "a.nii.gz", "dcm")  # before it is needed
    written = [
        write_prediction(tmp_path / name, turned(volume, label), volume, VALUES)
        for name in ("a.dcm", "a.nii.gz", "a.nrrd")
    ]
    for path in written:
        np.testing.assert_array_equal(read_label(volume, path), turned(volume, label))
    nifti = read_volume(write_oriented(tmp_path / "s.nii.gz", organ(0)[0]))
    with pytest.raises(InputError, match=r"ends in \.nii\.gz or \.nii or \.mha or \.nrrd$"):
        write_prediction(tmp_path / "b.dcm", label, nifti, VALUES)


def test_a_dicom_seg_replaces_neither_a_slice_nor_a_corrected_one(tmp_path):
    volume, _, label = write_organ(tmp_path / "p")
    with pytest.raises(InputError, match="inside of the series p"):
        write_prediction(tmp_path / "p" / "x.dcm", turned(volume, label), volume, VALUES)
    path = write_prediction(tmp_path / "a.dcm", turned(volume, label), volume, VALUES)
    write_prediction(path, turned(volume, label), volume, VALUES)
    corrected = dcmread(path)
    corrected.SeriesDescription = "corrected"
    corrected.save_as(path)
    with pytest.raises(InputError, match="was changed since"):
        write_prediction(path, turned(volume, label), volume, VALUES)


@pytest.mark.parametrize("tag", ["StudyInstanceUID", "FrameOfReferenceUID"])
def test_a_series_without_a_needed_tag_is_told_early_and_written_as_nifti(tmp_path, tag):
    folder = write_folder(tmp_path / "mine", as_dicom)
    write_dicom(folder / "imagesTr" / "a00", organ(0)[0], oblique(), tags={tag: ""})
    found = take_fingerprint(folder)
    (warning,) = [one for one in found.findings if tag in one.problem]
    assert warning.weight == "warning" and "imagesTr/a00/IM0001.dcm" in warning.file
    volume = read_volume(folder / "imagesTr" / "a00")
    label = np.zeros(volume.voxels.shape, np.uint8)
    with pytest.raises(InputError, match=f"{tag} is missing") as refusal:
        write_prediction(tmp_path / "a.dcm", label, volume, VALUES)
    assert ".nii.gz" in refusal.value.fix and not (tmp_path / "a.dcm").exists()
    assert write_prediction(tmp_path / "a.nii.gz", label, volume, VALUES).exists()


def test_files_of_two_studies_are_refused_and_empty_tags_are_not(tmp_path):
    volume, _, label = write_organ(tmp_path / "p")
    bare = dict.fromkeys(("PatientID", "PatientName", "StudyDate", "AccessionNumber"), "")
    for path in sorted((tmp_path / "p").iterdir()):
        retag(path, bare)
    write_prediction(tmp_path / "a.dcm", turned(volume, label), volume, VALUES)
    retag(path, {"StudyInstanceUID": "1.2.3"})
    with pytest.raises(InputError, match="StudyInstanceUID is another than that of"):
        write_prediction(tmp_path / "b.dcm", turned(volume, label), volume, VALUES)


@pytest.mark.parametrize("frame", ["", f"{SERIES}.20"])
def test_a_radiograph_gets_a_dicom_seg_without_a_place(tmp_path, frame):
    """No place, often no frame of reference: its one frame refers to the one image."""
    image, label = flat_organ(2)
    tags = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1", "Modality": "CR"}
    tags |= {
        "FrameOfReferenceUID": frame,
        "ImagePositionPatient": "",
        "ImageOrientationPatient": "",
    }
    folder = write_dicom(tmp_path / "p", image.T[..., None].astype(float), tags=tags)
    volume = read_volume(folder)
    path = write_prediction(tmp_path / "p.dcm", turned(volume, label.T[..., None]), volume, VALUES)
    np.testing.assert_array_equal(read_label(volume, path), turned(volume, label.T[..., None]))
    frames = dcmread(path).pixel_array  # SimpleITK reads no segment without a place
    np.testing.assert_array_equal(frames > 0, [label == 1, label == 2])


# --- read


def test_dicom_segs_are_the_label_maps_of_their_series(tmp_path):
    """Segments are known by their labels, whatever their numbers; empty slices may be missing."""
    folder = write_folder(tmp_path / "segs", as_dicom_seg)
    (folder / "labelsTr" / "a01").mkdir()
    (folder / "labelsTr" / "a01.dcm").rename(folder / "labelsTr" / "a01" / "seg.dcm")
    found = take_fingerprint(folder)
    assert found.excluded == () and found.values == VALUES
    assert found.class_names == ("background", "right", "left")
    assert "right is 1, left is 2" in "".join(one.problem for one in found.findings)
    assert sorted(found.listing.labels) == [f"a0{n}" for n in range(7)]
    for seed in range(7):
        volume = read_volume(folder / "imagesTr" / f"a0{seed}")
        label = read_label(volume, found.listing.labels[f"a0{seed}"], found.listing.codes)
        np.testing.assert_array_equal(label, SWAP[turned(volume, organ(seed)[1])])
    (folder / "dataset.json").write_text('{"labels": {"background": 0, "right": 1, "left": 5}}')
    found = take_fingerprint(folder)
    assert found.excluded == () and found.values == (0, 1, 5)
    (folder / "dataset.json").write_text('{"labels": {"background": 0, "right": 1, "Left": 2}}')
    problems = [one.problem for one in take_fingerprint(folder).excluded]
    assert len(problems) == 7 and "is called 'left'" in problems[0]
    cohort = load_cohort(str(write_folder(tmp_path / "plain", as_dicom)), 2)
    (folder / "dataset.json").unlink()
    same = load_cohort(str(folder), 2)
    for mine, theirs in zip(same.labelled, cohort.labelled, strict=True):
        np.testing.assert_array_equal(mine.label, SWAP[theirs.label])


def test_dicom_segs_that_cannot_be_label_maps_are_refused(tmp_path):
    volume, _, label = write_organ(tmp_path / "p")
    write_organ(tmp_path / "q", directions=oblique())
    names = ["left", "right"]
    both = {"pixel_array": np.stack([label.transpose(2, 1, 0)[::-1] > 0] * 2, axis=-1)}
    part = {"pixel_array": both["pixel_array"] * 0.5, "segmentation_type": "FRACTIONAL"}
    for more, where, words in (
        (both, "p", "its segments overlap"),
        (part, "p", "DICOM-SEG of fractions"),
        ({}, "q", "does not lie on the voxels of its image p"),
    ):
        path = write_seg(tmp_path / "x.dcm", tmp_path / where, label, names, [1, 2], **more)
        with pytest.raises(InputError, match=words) as refusal:
            read_label(volume, path)
        assert refusal.value.where == path and refusal.value.fix
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError):
        read_label(volume, path)


def test_a_dicom_seg_among_scans_and_loose_slices_are_told(tmp_path):
    folder = write_folder(tmp_path / "mine", as_dicom_seg)
    (folder / "labelsTr" / "a00.dcm").rename(folder / "imagesTr" / "x00.dcm")
    (folder / "imagesTr" / "u00" / "IM0001.dcm").rename(folder / "imagesTr" / "loose.dcm")
    found = take_fingerprint(folder)
    excluded = {one.file: one for one in found.excluded}
    assert "is a DICOM-SEG, a label map" in excluded["imagesTr/x00.dcm"].problem
    (one,) = [one for one in found.findings if "not read" in one.problem]
    assert "loose.dcm" in one.problem and "a folder of its own" in one.fix


# --- many frames in one file


@pytest.mark.parametrize("directions", PLACES)
@pytest.mark.parametrize("own_groups", [False, True])
def test_frames_are_the_volume_that_their_nifti_copy_is(tmp_path, directions, own_groups):
    """Whatever their order, and with an intercept for each."""
    voxels = np.round(organ(3)[0])
    depth = voxels.shape[2]
    path = write_frames(
        tmp_path / "p" / "p.dcm",
        voxels,
        directions,
        order=np.random.default_rng(1).permutation(depth).tolist(),
        intercepts=[-1024 + 3 * z for z in range(depth)],
        own_groups=own_groups,
    )
    sitk.WriteImage(itk_image(voxels.astype(np.float32), directions), tmp_path / "b.nii")
    nifti = read_nifti(tmp_path / "b.nii")
    for one in (path, path.parent):
        ours = read_volume(one)
        np.testing.assert_array_equal(ours.voxels, nifti.voxels)
        np.testing.assert_allclose(ours.affine, nifti.affine, atol=1e-4)
    label = (ours.voxels > 150).astype(np.uint8)
    seg = write_prediction(tmp_path / "s.dcm", label, ours, (0, 1), ("background", "bright"))
    np.testing.assert_array_equal(read_label(ours, seg), label)
    found = by_simpleitk(seg, itk_image(voxels, directions))
    np.testing.assert_array_equal(found, voxels > 150)
    frames = dcmread(path).PerFrameFunctionalGroupsSequence
    for groups in dcmread(seg).PerFrameFunctionalGroupsSequence:
        (source,) = groups.DerivationImageSequence[0].SourceImageSequence
        referred = frames[source.ReferencedFrameNumber - 1]
        np.testing.assert_allclose(
            *(one.PlanePositionSequence[0].ImagePositionPatient for one in (groups, referred)),
            atol=1e-6,
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"times": 3}, "holds 60 images for 20 places"),
        ({"stacks": 2}, "holds 2 stacks of slices"),
        ({"order": [z for z in range(20) if z != 7]}, "1 slice is missing: frame 7 and frame 8"),
    ],
)
def test_several_times_stacks_or_a_gap_in_one_file_are_refused(tmp_path, options, words):
    path = write_frames(tmp_path / "a.dcm", organ(0)[0], **options)
    with pytest.raises(InputError, match=words) as refusal:
        read_volume(path)
    assert refusal.value.where == path and refusal.value.fix


def test_frames_without_a_place_and_cut_off_files_are_refused(tmp_path):
    path = write_frames(tmp_path / "a.dcm", organ(0)[0])
    tags = dcmread(path)
    del tags.PerFrameFunctionalGroupsSequence
    tags.save_as(tmp_path / "b.dcm")
    with pytest.raises(InputError, match=r"frames lie \(ImagePositionPatient is missing"):
        read_volume(tmp_path / "b.dcm")
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(InputError, match="cannot be decoded"):
        read_volume(path)


def test_a_folder_of_multi_frame_files_is_a_cohort(tmp_path):
    folder = write_folder(tmp_path / "mine", as_frames)
    other = load_cohort(str(write_folder(tmp_path / "series", as_dicom)), 2)
    found = take_fingerprint(folder)
    assert found.excluded == () and len(found.properties) == 9
    cohort = load_cohort(str(folder), 2)
    for mine, theirs in zip(cohort.labelled, other.labelled, strict=True):
        np.testing.assert_array_equal(mine.label, theirs.label)
    write_dicom(folder / "imagesTr" / "mixed", organ(0)[0])
    write_frames(folder / "imagesTr" / "mixed" / "all.dcm", organ(0)[0])
    (one,) = take_fingerprint(folder).excluded
    assert "multi-frame file (20 frames) among others" in one.problem
