"""Scans in the formats that people have, from the folder to the written prediction and back.

What is written is opened by readers that are not ours: SimpleITK and Pillow.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from format_scans import (
    COLOURS,
    ORIGIN,
    SERIES,
    as_coloured,
    as_dicom,
    as_itk,
    as_pictures,
    flat_organ,
    itk_image,
    oblique,
    write_dicom,
    write_folder,
    write_itk,
    write_picture,
)
from organ_scans import SPACING, organ, write_organs, write_oriented
from PIL import Image
from pydicom import dcmread
from tiny_study import CPU

from ssl_lib import methods
from ssl_lib.config import settings_for
from ssl_lib.data.fingerprint import read_label, take_fingerprint
from ssl_lib.data.formats import read_volume, write_prediction
from ssl_lib.data.load import load_cohort, open_cohort
from ssl_lib.data.own_scans import open_own_scans, scan_groups
from ssl_lib.data.reading import read_nifti
from ssl_lib.export import model as exporting
from ssl_lib.export.model import load_model
from ssl_lib.export.predictions import predict_files, score_files, write_list
from ssl_lib.notebook.fingerprint_tables import description_table, findings_table
from ssl_lib.training.method import Method
from ssl_lib.training.study import Study
from ssl_lib.utils.errors import InputError

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "mine"


def said(folder: Path, weight: str) -> str:
    found = take_fingerprint(folder).findings
    return "\n".join(str(one) for one in found if one.weight == weight)


def affine_of(image: sitk.Image) -> np.ndarray:
    """Voxels to mm in RAS, by ITK itself: where it puts the first voxel and its neighbours."""
    n = image.GetDimension()
    corner = np.array(image.TransformIndexToPhysicalPoint([0] * n))
    steps = [
        np.array(image.TransformIndexToPhysicalPoint([int(i == a) for i in range(n)])) - corner
        for a in range(n)
    ]
    affine = np.eye(4)
    affine[:n, :n], affine[:n, 3] = np.array(steps).T, corner
    return LPS @ affine


# --- each format the whole way


def trained_and_written(folder: Path, out: Path, dicom: str = ".dcm") -> dict[str, Path]:
    """Open a folder by every door, train for some iterations at smoke, export, predict all scans of
    the test set (DICOM series into files of that ending); returns the written files by scan."""
    scans = open_own_scans(str(folder), "smoke", 2)
    assert scans.fingerprint.excluded == (), scans.fingerprint.excluded
    hashes = {open_cohort(str(folder), "gpu", 2, None).content_hash}
    hashes |= {load_cohort(str(folder), 2).content_hash}
    assert len(hashes) == 1
    settings = settings_for("smoke", scans.cohort)
    study = Study(scans.cohort, settings, "smoke", 0, CPU)
    step = methods.baselines.supervised_plain_step
    done = study.train(Method("row", step, step))
    result = study.save("06_your_own_scans", "mine", {"supervised_few": done}, out / "results")
    weights = exporting.export_model(
        out,
        "supervised_few",
        done.networks.student,
        study=study,
        scans=scans,
        result=result,
    )
    model, names = load_model(weights), [case.case_id for case in scans.cohort.test]
    where = scans.fingerprint, names, out, dicom
    predicted, refused = (of["predictions"] for of in predict_files({"predictions": model}, *where))
    assert not refused, refused
    again, _ = predict_files({"predictions": model}, *where)
    assert set(again["predictions"]) == set(names), "its own files are replaced"
    scored = score_files(out, scans.fingerprint, {"predictions": names}, dicom)
    means, _ = scored["predictions"]
    row = result["rows"]["supervised_few"]
    if max(scans.geometry.factors) == 1:
        assert means == pytest.approx({key: row[key] for key in means}, abs=1e-9, nan_ok=True)
    write_list(out / "list.csv", predicted, scan_groups(scans))
    assert description_table(scans.fingerprint).data and findings_table(scans.fingerprint.findings)
    for name in names:
        files = scans.fingerprint.listing.files(name)
        assert exporting.main([*map(str, [weights, *files, predicted[name].path])]) == 0
    return {name: one.path for name, one in predicted.items()}


@pytest.mark.parametrize("ending", [".mha", ".nrrd", ".mhd"])
def test_itk_files_come_back_with_the_header_of_their_scan(folder, tmp_path, ending):
    write_folder(folder, as_itk(ending, oblique()))
    for name, path in trained_and_written(folder, tmp_path).items():
        written, scan = (sitk.ReadImage(p) for p in (path, folder / "imagesTr" / (name + ending)))
        assert path.suffix == (".mha" if ending == ".mhd" else ending)
        assert written.GetSize() == scan.GetSize() and written.GetPixelID() == sitk.sitkUInt8
        assert written.GetOrigin() == scan.GetOrigin()
        assert written.GetSpacing() == scan.GetSpacing()
        assert written.GetDirection() == pytest.approx(scan.GetDirection(), abs=1e-12)


@pytest.mark.parametrize("ending", [".dcm", ".nii.gz"])
def test_a_dicom_series_gets_a_label_map_on_its_grid(folder, tmp_path, ending):
    write_folder(folder, as_dicom)
    for name, path in trained_and_written(folder, tmp_path, ending).items():
        assert path.name == f"{name}{ending}"
        if ending == ".dcm":  # what it holds: see test_dicom
            assert dcmread(path).FrameOfReferenceUID == f"{SERIES}.20"
            continue
        series = folder / "imagesTr" / name
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(series)))
        image, written = reader.Execute(), sitk.ReadImage(path)
        assert written.GetSize() == image.GetSize()
        corners = [(0, 0, 0), tuple(side - 1 for side in image.GetSize())]
        places = [
            sorted(one.TransformIndexToPhysicalPoint(c) for c in corners)
            for one in (image, written)
        ]
        np.testing.assert_allclose(*places, atol=1e-3)


@pytest.mark.parametrize("write", [as_pictures, as_coloured])
def test_pictures_get_index_pictures_of_their_size(folder, tmp_path, write):
    write_folder(folder, write)
    found = take_fingerprint(folder)
    assert found.unit == "pixel" and found.axis == 2 and found.values == (0, 1, 2)
    for name, path in trained_and_written(folder, tmp_path).items():
        written = Image.open(path)
        assert path.suffix == ".png" and written.mode == "L"
        assert written.size == Image.open(folder / "imagesTr" / f"{name}.png").size
        assert set(np.unique(np.asarray(written))) <= {0, 1, 2}
    text = (tmp_path / "list.csv").read_text()
    assert "(pixels)" in text and "(ml)" not in text
    assert "Pictures, measured in pixels" in (tmp_path / "supervised_few.md").read_text()


def test_a_label_map_lies_on_the_picture_it_was_drawn_on(folder, tmp_path):
    """Rows stay rows: a mark in a corner comes back in that corner."""
    image, _ = flat_organ(0)
    path = write_picture(folder / "a.png", image)
    volume = read_volume(path)
    label = np.zeros(volume.voxels.shape, np.uint8)
    label[0, -1, 0], label[-1, 0, 0] = 1, 2  # left and above; right and below
    np.testing.assert_array_equal(volume.voxels[:, ::-1, 0].T, image)
    written = np.asarray(
        Image.open(write_prediction(tmp_path / "b.png", label, volume, (0, 50, 9)))
    )
    assert written.shape == image.shape and written[0, 0] == 50 and written[-1, -1] == 9


# --- voxels and places are those of other readers


@pytest.mark.parametrize("ending", [".mha", ".MHA", ".nrrd", ".NRRD", ".mhd", ".nhdr", ".seg.nrrd"])
@pytest.mark.parametrize("directions", [oblique(), np.eye(3)[[2, 0, 1]], np.diag([-1, 1, -1.0])])
def test_an_itk_file_is_the_volume_that_its_nifti_copy_is(tmp_path, ending, directions):
    voxels = np.round(organ(3)[0]).astype(np.int16)
    path = write_itk(tmp_path / f"a{ending}", voxels, directions)
    sitk.WriteImage(itk_image(voxels, directions), tmp_path / "b.nii")
    ours, nifti = read_volume(path), read_nifti(tmp_path / "b.nii")
    np.testing.assert_array_equal(ours.voxels, nifti.voxels)
    np.testing.assert_allclose(ours.affine, nifti.affine, atol=1e-4)
    assert ours.voxels.dtype == np.int16
    copy = write_prediction(
        tmp_path / "c.nrrd", (ours.voxels > 150).astype(np.uint8), nifti, (0, 7)
    )
    written = sitk.ReadImage(copy)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(written).T, 7 * (voxels > 150))
    np.testing.assert_allclose(affine_of(written), affine_of(sitk.ReadImage(tmp_path / "b.nii")))


def test_a_dicom_series_is_the_volume_of_its_slices(tmp_path):
    """Grey levels with slope and intercept, slices by their place and not by their number."""
    voxels = np.round(organ(3)[0]) * 0.5 - 1000
    write_dicom(tmp_path / "p", voxels, oblique(), slope=0.5, intercept=-1000)
    sitk.WriteImage(itk_image(voxels.astype(np.float32), oblique()), tmp_path / "b.nii")
    ours, nifti = read_volume(tmp_path / "p"), read_nifti(tmp_path / "b.nii")
    np.testing.assert_allclose(ours.voxels, nifti.voxels, atol=1e-3)
    np.testing.assert_allclose(ours.affine, nifti.affine, atol=1e-4)
    assert ours.spacing == pytest.approx(SPACING)


def test_a_series_may_lie_deeper_and_beside_other_files(folder):
    write_dicom(folder / "study" / "series", organ(0)[0])
    (folder / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (folder / "notes.txt").write_text("nothing")
    for path in (folder / "study" / "series").iterdir():
        path.rename(path.with_suffix(""))  # as scanners write them, without an ending
    assert read_volume(folder).voxels.shape == (24, 22, 20)


def test_a_flat_itk_image_stays_flat(tmp_path):
    image, _ = flat_organ(1)
    path = write_itk(tmp_path / "a.mha", image.T)
    volume = read_volume(path)
    assert volume.voxels.shape == (36, 40, 1)
    written = sitk.ReadImage(
        write_prediction(tmp_path / "b.mha", volume.voxels // 255, volume, (0, 1))
    )
    assert written.GetDimension() == 2 and written.GetOrigin() == ORIGIN[:2]


def test_a_nrrd_file_without_a_space_is_a_warning(folder):
    write_folder(folder, as_itk(".nrrd"))
    for path in folder.rglob("*.nrrd"):
        head, voxels = path.read_bytes().split(b"\n\n", 1)
        lines = [line for line in head.split(b"\n") if not line.startswith(b"space")]
        path.write_bytes(b"\n".join([*lines, b"spacings: 1 1.5 2"]) + b"\n\n" + voxels)
    assert "states no orientation" in said(folder, "warning")


# --- one case in two formats, other endings


def test_of_two_formats_of_one_scan_nifti_is_used_and_the_other_named(folder):
    write_organs(folder)
    before = load_cohort(str(folder), 2)
    write_itk(folder / "imagesTr" / "a00.mha", organ(40)[0])
    write_picture(folder / "imagesTr" / "a01.png", flat_organ(1)[0])
    found = take_fingerprint(folder)
    assert [one.file for one in found.excluded] == ["imagesTr/a00.mha", "imagesTr/a01.png"]
    assert "a00.nii.gz is used" in found.excluded[0].problem
    assert load_cohort(str(folder), 2).content_hash == before.content_hash


def test_voxels_beside_their_header_are_no_stray_files(folder):
    write_folder(folder, as_itk(".mhd"))
    assert "not read" not in said(folder, "note") + said(folder, "warning")


def test_endings_in_capitals_are_read(folder):
    write_folder(folder, as_itk(".MHA"))
    assert take_fingerprint(folder).excluded == ()


def test_scans_outside_of_their_folder_are_told(folder):
    write_itk(folder / "a.mha", organ(0)[0])
    with pytest.raises(InputError, match="move its 1 image file into imagesTr/"):
        take_fingerprint(folder)


# --- itk files that cannot be used


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda content: b"", "0 bytes"),
        (lambda content: content[:-60], "cut off or damaged"),
        (lambda content: b"\0" * 64, "cannot be read as"),
        (lambda content: content[:40], "cannot be read as"),
    ],
)
def test_a_damaged_itk_file_is_refused_by_name(tmp_path, ending, spoil, words):
    path = write_itk(tmp_path / f"a{ending}", organ(0)[0])
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(InputError, match=words) as refusal:
        read_volume(path)
    assert refusal.value.where == path and refusal.value.fix


@pytest.mark.parametrize(
    ("ending", "old", "new", "words"),
    [
        (".mhd", b"a.raw", b"/etc/passwd", "elsewhere"),
        (".mhd", b"a.raw", b"../b/a.raw", "elsewhere"),
        (".mhd", b"a.raw", b"LIST", "elsewhere"),
        (".nhdr", b"a.raw", b"/dev/zero", "elsewhere"),
        (".nhdr", b"a.raw", b"b.raw", "no file b.raw beside it"),
    ],
)
def test_voxels_elsewhere_are_never_fetched(tmp_path, ending, old, new, words):
    path = write_itk(tmp_path / f"a{ending}", organ(0)[0])
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(InputError, match=words):
        read_volume(path)


def test_time_points_are_refused_and_several_numbers_are_channels(tmp_path):
    path = tmp_path / "a.mha"
    sitk.WriteImage(sitk.Compose([itk_image(organ(n)[0]) for n in range(2)]), path)
    assert len(read_volume(path).further) == 1
    sitk.WriteImage(sitk.JoinSeries([itk_image(organ(n)[0]) for n in range(2)]), path)
    with pytest.raises(InputError, match=r"has the shape \(24, 22, 20, 2\)"):
        read_volume(path)


# --- DICOM that cannot be used


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"without": [7]}, "1 slice is missing: IM0014.dcm and IM0012.dcm lie 4 mm apart"),
        ({"without": [3, 4, 11]}, "3 slices are missing"),
        ({"moved": lambda z: np.array([0, 0.3 * z, 0])}, "the gantry was tilted"),
        ({"moved": lambda z: np.array([0, 0, 0.6 * (z == 5)])}, "slices lie 1.4 to 2.6 mm apart"),
        ({"moved": lambda z: np.array([0, 0, -2.0 * (z == 5)])}, "lie at one place"),
    ],
)
def test_a_series_with_a_gap_is_never_read(tmp_path, options, words):
    write_dicom(tmp_path / "p", organ(0)[0], **options)
    with pytest.raises(InputError, match=words) as refusal:
        read_volume(tmp_path / "p")
    assert refusal.value.where == tmp_path / "p" and refusal.value.fix


def test_two_series_a_scout_and_a_report_are_findings(folder):
    write_folder(folder, as_dicom)
    images = folder / "imagesTr"
    write_dicom(images / "a00", organ(0)[0], series="1.2.826.0.1.3680043.2.1125.2", without=[1])
    scout = write_dicom(images / "u00" / "x", organ(0)[0][:16, :, :1])
    next(scout.iterdir()).rename(images / "u00" / "scout.dcm")
    (images / "u01" / "report.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 60)
    found = {one.file: one.problem for one in take_fingerprint(folder).excluded}
    assert "2 series: " in found["imagesTr/a00"] and "CT 'series 2'" in found["imagesTr/a00"]
    assert "another size" in " ".join(found.values())
    assert found["imagesTr/u01/report.dcm"] == "cannot be read as a DICOM image"
    cohort = load_cohort(str(folder), 2)
    assert "a00" not in {case.case_id for case in cohort.cases}


def test_series_of_one_patient_stay_together_whatever_their_folders_are_called(folder):
    write_folder(folder, as_dicom)
    named = {"a01": "Q", "u01": "Q", "a04": "R", "a05": "R", "a06": "S"}
    for seed, (name, patient) in enumerate(named.items()):
        image = organ(60 + seed)[0]
        write_dicom(folder / "imagesTr" / name, image, oblique(), patient=patient)
    found = take_fingerprint(folder)
    assert found.listing.guessed == {"a01": "a01", "u01": "a01", "a04": "a04", "a05": "a04"}
    assert "or their DICOM files, suggest 2 patients with several scans" in said(folder, "note")
    (folder / "patients.csv").write_text("scan,patient\na01,one\nu01,two\n")
    assert take_fingerprint(folder).listing.patient_of("u01") == "two", "the table decides"


def test_a_picture_is_the_label_map_of_a_radiograph_in_dicom(folder, tmp_path):
    """It has no place: its rows and columns are those of the DICOM file, whatever its axes."""

    def write(part: Path, name: str, seed: int) -> None:
        image, label = flat_organ(seed)
        if part.name == "labelsTr":
            write_picture(part / f"{name}.png", label)
        else:
            write_dicom(part / name, image.T[..., None].astype(float), np.diag([-1.0, 1, -1]))

    write_folder(folder, write)
    found = take_fingerprint(folder)
    assert found.excluded == () and found.axis == 2 and found.unit == "mm"
    volume = read_volume(folder / "imagesTr" / "a00")
    label = read_label(volume, folder / "labelsTr" / "a00.png")
    image, truth = flat_organ(0)
    for value in (1, 2):
        assert volume.voxels[label == value].mean() == pytest.approx(image[truth == value].mean())
    for path in trained_and_written(folder, tmp_path, ".nii.gz").values():
        assert sitk.ReadImage(path).GetSize() == (36, 40, 1)
    write_picture(folder / "labelsTr" / "a01.png", flat_organ(1)[1][:30])
    (one,) = take_fingerprint(folder).excluded
    assert one.file == "labelsTr/a01.png" and "the shape" in one.problem


# --- pictures


def test_grey_levels_of_many_bits_are_kept(tmp_path):
    deep = (np.arange(30 * 20).reshape(30, 20) * 100).astype(np.uint16)
    for path in (
        write_picture(tmp_path / "a.png", deep),
        write_picture(tmp_path / "a.tif", deep),
        write_picture(tmp_path / "b.TIFF", deep.astype(np.float32)),
    ):
        np.testing.assert_array_equal(read_volume(path).voxels[:, ::-1, 0].T, deep)


def test_grey_saved_as_colour_is_grey_and_other_colours_are_told(tmp_path):
    image, _ = flat_organ(0)
    grey = write_picture(tmp_path / "a.png", np.stack([image] * 3, axis=-1))
    opaque = np.dstack([image, image, image, np.full_like(image, 255)])
    for path in (grey, write_picture(tmp_path / "b.png", opaque)):
        np.testing.assert_array_equal(read_volume(path).voxels[:, ::-1, 0].T, image)
    see_through = opaque.copy()
    see_through[0, 0, 3] = 10
    with pytest.raises(InputError, match="transparent pixels"):
        read_volume(write_picture(tmp_path / "d.png", see_through))


def test_a_palette_is_numbers_in_a_label_map_and_grey_levels_in_an_image(tmp_path):
    image, label = flat_organ(0)
    painted = Image.fromarray(label)
    painted.putpalette([0, 0, 0, 9, 9, 9, 200, 200, 200])
    painted.save(tmp_path / "p.png")
    assert set(np.unique(read_volume(tmp_path / "p.png").voxels)) == {0, 9, 200}
    images, labels = tmp_path / "mine" / "imagesTr", tmp_path / "mine" / "labelsTr"
    for number in range(4):
        image, label = flat_organ(number)
        write_picture(images / f"{number}.png", image)
        labels.mkdir(exist_ok=True)
        painted = Image.fromarray(label)
        painted.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 10 * (number == 3)])
        painted.save(labels / f"{number}.png")
    found = take_fingerprint(tmp_path / "mine")
    assert found.values == (0, 1, 2) and found.excluded == ()
    assert "another colour than other files" in said(tmp_path / "mine", "warning")


def test_colours_have_one_value_in_all_files(folder):
    write_folder(folder, as_coloured)
    path = folder / "labelsTr" / "a02.png"
    write_picture(path, COLOURS[np.where(flat_organ(2)[1] == 1, 0, flat_organ(2)[1])])
    found = take_fingerprint(folder)
    assert "#000000 is 0, #0080ff is 1, #ff0000 is 2" in said(folder, "note")
    assert found.properties["a02"].classes.keys() == {0, 1}
    (folder / "dataset.json").write_text(
        '{"labels": {"background": "#000000", "front": "#FF0000", "back": "#0080ff"}}'
    )
    found = take_fingerprint(folder)
    assert found.class_names == ("background", "front", "back") and found.values == (0, 1, 2)
    assert found.properties["a02"].classes.keys() == {0, 2}
    cohort = load_cohort(str(folder), 2)
    assert cohort.class_names == ("background", "front", "back")


def test_colours_that_mislead_are_findings(folder):
    write_folder(folder, as_coloured)
    labels = folder / "labelsTr"
    Image.open(labels / "a00.png").save(labels / "a00.jpg")
    (labels / "a00.png").unlink()
    Image.open(labels / "a01.png").resize((18, 20), Image.BICUBIC).resize((36, 40)).save(
        labels / "a01.png"
    )
    write_picture(labels / "a02.png", flat_organ(2)[1])
    clear = np.dstack([COLOURS[flat_organ(3)[1]], np.where(flat_organ(3)[1] > 0, 255, 0)])
    write_picture(labels / "a03.png", clear.astype(np.uint8))
    found = {one.file: one.problem for one in take_fingerprint(folder).excluded}
    assert "JPEG" in found["labelsTr/a00.jpg"]
    assert "different colours" in found["labelsTr/a01.png"]
    assert "transparent" in found["labelsTr/a03.png"]
    assert "labelsTr/a02.png: holds plain numbers" in said(folder, "warning")


def test_pictures_that_cannot_be_used_are_refused_by_name(tmp_path):
    image, _ = flat_organ(0)
    (tmp_path / "empty.png").write_bytes(b"")
    cut = write_picture(tmp_path / "cut.png", image)
    cut.write_bytes(cut.read_bytes()[:-300])
    pages = [Image.fromarray(image)] * 2
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(image).save(tmp_path / "turned.jpg", exif=exif)
    Image.fromarray(image).convert("CMYK").save(tmp_path / "ink.tif")
    for name, words in (
        ("empty.png", "0 bytes"),
        ("cut.png", "cannot be read as a picture"),
        ("pages.tif", "2 pages"),
        ("turned.jpg", "stored turned"),
        ("ink.tif", "the colours CMYK"),
        ("none.png", "is not there"),
    ):
        with pytest.raises(InputError, match=words):
            read_volume(tmp_path / name)


def test_a_picture_among_volumes_is_excluded_by_name(folder):
    write_organs(folder)
    write_picture(folder / "imagesTr" / "screenshot.png", flat_organ(0)[0])
    (one,) = take_fingerprint(folder).excluded
    assert one.file == "imagesTr/screenshot.png" and "single slice" in one.problem


# --- what is never overwritten


def test_a_scan_or_a_corrected_label_map_is_never_replaced(tmp_path):
    scan = write_itk(tmp_path / "a.mha", organ(0)[0])
    volume = read_volume(scan)
    label = np.zeros(volume.voxels.shape, np.uint8)
    with pytest.raises(InputError, match="is the scan itself"):
        write_prediction(scan, label, volume, (0, 1))
    for name in ("p.mha", "p.nrrd", "p.nii.gz"):
        path = write_prediction(tmp_path / name, label, volume, (0, 1))
        write_prediction(path, label, volume, (0, 1))
        sitk.WriteImage(itk_image(organ(0)[1]), path)
        before = path.read_bytes()
        with pytest.raises(InputError, match="was changed since"):
            write_prediction(path, label, volume, (0, 1))
        assert path.read_bytes() == before
    with pytest.raises(InputError, match="no name for the label map"):
        write_prediction(tmp_path / "p.png", label, volume, (0, 1))
    with pytest.raises(InputError, match="the shape"):
        write_prediction(tmp_path / "q.mha", label[1:], volume, (0, 1))


def test_a_name_of_no_format_is_refused(tmp_path):
    (tmp_path / "a.mgz").write_bytes(b"0")
    with pytest.raises(InputError, match="is no scan by its name"):
        read_volume(tmp_path / "a.mgz")
    scan = write_oriented(tmp_path / "a.nii.gz", organ(0)[0])
    volume = replace(read_volume(scan))
    label = np.zeros(volume.voxels.shape, np.uint8)
    with pytest.raises(InputError, match="is no name for a label map"):
        write_prediction(tmp_path / "a.png", label, volume, (0, 1))
    written = nibabel.load(write_prediction(tmp_path / "b.nii", label, volume, (0, 1)))
    np.testing.assert_array_equal(written.affine, nibabel.load(scan).affine)
