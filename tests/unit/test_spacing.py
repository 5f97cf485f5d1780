"""Scans with voxels of different sizes: resampled for the network, predicted on their own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from format_scans import as_slices_of_two_sizes, as_two_sizes, write_folder
from organ_scans import SPACING, organ, write_organs, write_oriented
from scipy.ndimage import center_of_mass
from test_formats import said, trained_and_written
from tiny_study import CPU
from torch.nn import functional

from ssl_lib.config import is_todays, settings_for
from ssl_lib.data.cohort import Case
from ssl_lib.data.fingerprint import take_fingerprint
from ssl_lib.data.grid import at_spacing, resize
from ssl_lib.data.load import load_cohort
from ssl_lib.data.own_scans import open_own_scans
from ssl_lib.data.spacing import coarse_axis, common_spacing, size_at
from ssl_lib.export.model import load_model, predict_scan
from ssl_lib.inference import common_grid, predict_label
from ssl_lib.methods import METHODS
from ssl_lib.notebook.fingerprint_tables import description_table
from ssl_lib.training.study import Study


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "mine"


# --- the whole way


def large_slices(part: Path, name: str, seed: int) -> None:
    """Six thick slices of 160 x 144, as long as 5 patches of the profile smoke are wide."""
    image, label = (one.repeat(8, 0).repeat(8, 1) for one in organ(seed, (20, 18, 6)))
    write_oriented(
        part / f"{name}.nii.gz", label if part.name == "labelsTr" else image, "RAS", (0.5, 0.5, 6)
    )


def test_large_slices_are_resampled_so_that_a_patch_holds_most_of_one(folder, tmp_path):
    write_folder(folder, large_slices)
    for name, path in trained_and_written(folder, tmp_path).items():
        scan, written = (nibabel.load(p) for p in (folder / f"imagesTr/{name}.nii.gz", path))
        assert written.shape == scan.shape == (160, 144, 6)
        np.testing.assert_array_equal(written.affine, scan.affine)
    for profile, common in (("quick", (0.625, 0.625)), ("gpu", None)):
        cohort = open_own_scans(str(folder), profile, 2).cohort
        assert cohort.common_spacing == pytest.approx(common) and cohort.dimensions == 2
        assert ("Slices are large: " in cohort.caveat) == (common is not None)
    cohort = open_own_scans(str(folder), "quick", 2).cohort
    assert cohort.training_size(cohort.labelled[0]) == (128, 115)
    assert settings_for("quick", cohort).spacing == cohort.common_spacing
    assert cohort.labelled[0].image.shape == (6, 160, 144), "scores are on the scans' own voxels"


@pytest.mark.parametrize("write", [as_two_sizes, as_slices_of_two_sizes])
def test_two_voxel_sizes_go_the_whole_way(folder, tmp_path, write):
    """The written files are scored like the table: both on the scans' own voxels."""
    write_folder(folder, write)
    for name, path in trained_and_written(folder, tmp_path).items():
        scan, written = (sitk.ReadImage(p) for p in (folder / f"imagesTr/{name}.nii.gz", path))
        assert written.GetSize() == scan.GetSize()
        assert written.GetOrigin() == scan.GetOrigin()
        assert written.GetSpacing() == scan.GetSpacing()
    settings = open_own_scans(str(folder), "smoke", 2).cohort.common_spacing
    results = [json.loads(path.read_text()) for path in (tmp_path / "results").rglob("*.json")]
    stored = " ".join(map(json.dumps, results))
    assert json.dumps({"spacing": list(settings)})[1:-1] in stored, "it stands in the result"
    card = (tmp_path / "supervised_few.md").read_text()
    assert "Every scan is resampled to" in card
    model = load_model(tmp_path / "supervised_few.safetensors")
    assert model.config["inference"]["spacing"] == list(settings)
    coarse = predict_scan(model, folder / "imagesTr" / "a02.nii.gz", tmp_path / "a02.nii.gz")
    assert any("it is resampled for the network" in words for words in coarse.warnings)
    assert nibabel.load(coarse.path).shape[0] == 12


def test_what_is_done_stands_in_the_findings_and_the_table(folder):
    found = take_fingerprint(write_folder(folder, as_two_sizes))
    assert found.common_spacing == SPACING
    assert "voxel sizes differ (1 to 2, 1.5 to 1.5, 2 to 4 mm" in said(folder, "note")
    assert "1, 1.5, 2 mm, all scans resampled" in description_table(found).data
    assert "nothing is resampled" not in said(folder, "warning")


def test_scans_of_one_voxel_size_are_what_they_were(folder):
    found = take_fingerprint(write_organs(folder))
    cohort = load_cohort(str(folder), 2)
    assert found.common_spacing is None is cohort.common_spacing
    assert "resampled" not in cohort.caveat and "voxel sizes differ" not in said(folder, "note")
    settings = settings_for("smoke", cohort)
    study = Study(cohort, settings, "smoke", 0, CPU)
    assert settings.spacing is None and study.training_scans is cohort


def test_the_patch_is_that_of_the_resampled_scans_and_runs_have_another_key(folder):
    cohort = load_cohort(str(write_folder(folder, as_two_sizes)), 2)
    settings = settings_for("quick", cohort)
    assert settings.spacing == SPACING and settings.patch == (24, 16, 16)
    assert is_todays("quick", json.loads(json.dumps(settings.__dict__, default=vars)))
    step = METHODS["supervised_strong"].step
    study = Study(cohort, settings, "smoke", 0, CPU)
    other = replace(study, settings=replace(settings, spacing=None))
    assert study.key(step) != other.key(step)
    sizes = {case.image.shape for case in study.training_scans.labelled}
    assert sizes == {(24, 22, 20)}, "training sees scans of one voxel size"
    assert not study.training_scans.test, "test scans stay as they are"


@pytest.mark.parametrize("method", ["mean_teacher", "bcp", "dsaif", "umct"])
def test_methods_train_on_resampled_scans(folder, method):
    cohort = load_cohort(str(write_folder(folder, as_two_sizes)), 2)
    study = Study(cohort, settings_for("smoke", cohort), "smoke", 0, CPU)
    done = study.train(METHODS[method])
    predicted = study.predict(done.networks.student, cohort.test)
    for case in cohort.test:
        assert predicted[case.case_id].shape == case.image.shape
        probabilities = study.probabilities(done.networks.student, case)
        label = probabilities.max(dim=0).indices.byte().numpy()
        np.testing.assert_array_equal(label, predicted[case.case_id])


# --- the rules


def test_voxel_sizes_differ_by_more_than_a_fifth():
    assert common_spacing([(1, 1, 2), (1.19, 1, 2.2)]) is None
    assert common_spacing([(1, 1, 2), (1.21, 1, 2), (1, 1, 2)]) == (1, 1, 2)
    assert size_at((10, 11, 3), (2, 1.5, 1), (1, 3, 9)) == (20, 6, 1)


def test_thick_slices_are_an_axis_of_their_own():
    assert coarse_axis((1, 1, 4), (1, 1, 1)) == 2
    assert coarse_axis((1, 1, 1), (5, 1, 1)) == 0
    assert coarse_axis((1, 1, 2.9), (1, 1, 1)) is None
    assert coarse_axis((0.25, 1, 1), (1, 1, 1)) is None, "two coarse axes are none"


def test_only_slices_that_lie_apart_differently_are_not_resampled(folder):
    def write(part: Path, name: str, seed: int) -> None:
        from organ_scans import write_oriented

        voxels = organ(seed, (24, 22, 8))[part.name == "labelsTr"]
        write_oriented(part / f"{name}.nii.gz", voxels, "RAS", (1.0, 1.0, 8.0 + 3 * (seed % 2)))

    found = take_fingerprint(write_folder(folder, write))
    assert found.axis == 2 and found.common_spacing is None


# --- interpolation


def test_volumes_are_interpolated_like_torch_does_and_averaged_where_they_become_smaller():
    items = torch.randn(2, 3, 5, 6, 7)
    larger = functional.interpolate(items, (9, 11, 8), mode="trilinear", align_corners=False)
    torch.testing.assert_close(resize(items, (9, 11, 8)), larger)
    assert resize(items, (5, 6, 7)) is items
    ones = torch.zeros(1, 1, 12, 12, 12)
    ones[..., ::2] = 1
    small = resize(ones, (4, 4, 3))[..., 1:-1]
    torch.testing.assert_close(small, torch.full_like(small, 0.5), atol=0.1, rtol=0)


def test_along_a_coarse_axis_slices_are_copied():
    items = torch.randn(1, 1, 8, 8, 4)
    found = resize(items, (16, 16, 10), 2)[0, 0]
    planes = resize(items.movedim(-1, 0)[:, 0], (16, 16))[:, 0]
    for z in range(10):
        expected = planes[min(int((z + 0.5) * 4 / 10), 3)]
        torch.testing.assert_close(found[..., z], expected)


@pytest.mark.parametrize("target", [(1.0, 1.5, 2.0), (0.7, 1.1, 1.3), (3.0, 3.0, 3.0)])
def test_an_organ_stays_where_it_is_and_as_large(target):
    image, label = organ(5, (36, 33, 30))
    case = Case("s", "p", image, (1.0, 1.5, 2.0), label)
    moved = at_spacing(case, target)
    assert moved.spacing == target and moved.image.shape == moved.label.shape
    assert set(np.unique(moved.label)) == {0, 1, 2}
    for value in (1, 2):
        before, after = ((one.label == value).astype(float) for one in (case, moved))
        voxels = [np.array(label.shape) * case.spacing / mask.shape for mask in (before, after)]
        sizes = [
            mask.sum() * voxel.prod() for mask, voxel in zip((before, after), voxels, strict=True)
        ]
        assert sizes[1] == pytest.approx(sizes[0], rel=0.12)
        places = [
            (np.array(center_of_mass(mask)) + 0.5) * voxel
            for mask, voxel in zip((before, after), voxels, strict=True)
        ]
        np.testing.assert_allclose(*places, atol=0.3 * max(target))
    grey = [np.median(one.image[one.label == 1]) for one in (case, moved)]
    assert grey[1] == pytest.approx(grey[0], rel=0.05)


def test_labels_are_interpolated_class_by_class():
    """Between classes 0 and 2 no border of class 1 comes up, as interpolated numbers would give."""
    label = np.zeros((8, 8, 8), np.uint8)
    label[4:] = 2
    case = Case("s", "p", np.zeros((8, 8, 8), np.float32), (2.0, 2.0, 2.0), label)
    moved = at_spacing(case, (1.0, 1.5, 2.0)).label
    assert set(np.unique(moved)) == {0, 2} and (moved[:8] == 0).all() and (moved[8:] == 2).all()


class Bright(torch.nn.Module):
    """A network that finds what is bright."""

    divisor = 1

    def forward(self, image):
        return torch.cat([-20 * image, 20 * image], dim=1)


@pytest.mark.parametrize("own", [(2.0, 1.5, 3.0), (0.8, 1.5, 2.0), (1.0, 1.0, 6.0)])
def test_a_prediction_comes_back_onto_the_voxels_of_its_scan(own):
    label = (organ(1, (20, 22, 24))[1] > 0).astype(np.float32)
    grid = common_grid(label.shape, own, (1.0, 1.5, 2.0))
    found = predict_label(Bright(), label, dimensions=3, device="cpu", divisor=1, **grid)
    overlap = 2 * (found * label).sum() / (found.sum() + label.sum())
    shifted = [np.roll(found, step, axis) for axis in range(3) for step in (-1, 1)]
    others = [2 * (one * label).sum() / (one.sum() + label.sum()) for one in shifted]
    assert found.shape == label.shape and overlap > 0.8 and overlap > max(others)
