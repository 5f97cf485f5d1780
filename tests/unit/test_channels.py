"""Scans of several channels: nnU-Net's numbered files and colour pictures, the whole way."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from format_scans import (
    as_colour_pictures,
    as_two_channels,
    flat_organ,
    itk_image,
    write_folder,
    write_picture,
)
from organ_scans import organ, write_organs, write_oriented
from PIL import Image
from test_formats import said, trained_and_written
from tiny_study import CPU

from ssl_lib import figures
from ssl_lib.config import settings_for
from ssl_lib.data.cohort import Case
from ssl_lib.data.downsampling import downsampled
from ssl_lib.data.fingerprint import take_fingerprint
from ssl_lib.data.formats import read_scan, read_volume
from ssl_lib.data.grid import on_grid
from ssl_lib.data.load import load_cohort
from ssl_lib.data.own_scans import open_own_scans
from ssl_lib.data.reading import as_image, normalise
from ssl_lib.data.scan_files import ScanStore
from ssl_lib.export import model as exporting
from ssl_lib.inference import predict_together, standardise
from ssl_lib.methods import METHODS
from ssl_lib.models.networks import build_network
from ssl_lib.training.augmentation import random_appearance, strong_augmentation
from ssl_lib.training.batches import TwoStreams, generator_at
from ssl_lib.training.study import Study
from ssl_lib.utils.errors import InputError


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "mine"


# --- the whole way


def test_two_channels_go_the_whole_way(folder, tmp_path, capsys):
    write_folder(folder, as_two_channels)
    (folder / "dataset.json").write_text(json.dumps({"channel_names": {"0": "T1", "1": "T2"}}))
    found = take_fingerprint(folder)
    assert found.excluded == () and found.channel_names == ("T1", "T2")
    assert set(found.listing.images) == {*(f"a{n:02}" for n in range(7)), "u00", "u01"}
    for name, path in trained_and_written(folder, tmp_path).items():
        scan = nibabel.load(folder / "imagesTr" / f"{name}_0000.nii.gz")
        written = nibabel.load(path)
        np.testing.assert_array_equal(written.affine, scan.affine)
        assert written.shape == scan.shape
    card = (tmp_path / "supervised_few.md").read_text()
    assert "Channels, in this order: T1, T2." in card
    capsys.readouterr()
    weights, first = (
        tmp_path / "supervised_few.safetensors",
        folder / "imagesTr" / "a00_0000.nii.gz",
    )
    second = first.with_name("a00_0001.nii.gz")
    for files in ([first], [first, second, second]):
        assert exporting.main([str(weights), *map(str, files), str(tmp_path / "o.nii.gz")]) == 2
        assert "2: T1, T2" in capsys.readouterr().err
    assert exporting.main(list(map(str, [weights, first, second, tmp_path / "o.nii.gz"]))) == 0


def test_colour_pictures_are_three_channels(folder, tmp_path):
    write_folder(folder, as_colour_pictures)
    found = take_fingerprint(folder)
    assert found.channel_names == ("red", "green", "blue") and found.excluded == ()
    for name, path in trained_and_written(folder, tmp_path).items():
        size = Image.open(folder / "imagesTr" / f"{name}.png").size
        assert Image.open(path).size == size


@pytest.mark.parametrize("name", ["supervised_strong", "mean_teacher", "bcp", "umct", "aau"])
@pytest.mark.parametrize("write", [as_two_channels, as_colour_pictures])
def test_methods_train_on_several_channels(folder, name, write):
    cohort = load_cohort(str(write_folder(folder, write)), 2)
    study = Study(cohort, settings_for("smoke", cohort), "smoke", 0, CPU)
    done = study.train(METHODS[name])
    row = study.score(done)
    assert np.isfinite(row["dice"]) and len(cohort.channel_names) == cohort.n_channels
    for case in cohort.test:
        assert study.predict(done.networks.student, [case])[case.case_id].shape == case.image.shape
    assert figures.cohort_grid(cohort) is not None


def test_dsaif_takes_one_channel_and_says_so(folder):
    """Its trees order the grey levels of one image; vectors have no order."""
    cohort = load_cohort(str(write_folder(folder, as_two_channels)), 2)
    study = Study(cohort, settings_for("smoke", cohort), "smoke", 0, CPU)
    with pytest.raises(InputError, match="takes scans of one channel; these have 2"):
        study.train(METHODS["dsaif"])


# --- what is read


def test_channels_are_normalised_alone_and_stand_in_their_order(folder):
    cohort = load_cohort(str(write_folder(folder, as_two_channels)), 2)
    case = cohort.labelled[0]
    for number, channel in enumerate(case.channels):
        path = folder / "imagesTr" / f"{case.case_id}_{number:04}.nii.gz"
        expected = normalise(as_image(read_volume(path).voxels, path))
        np.testing.assert_array_equal(channel, expected)
    assert case.seen.shape == (2, *case.image.shape)
    assert not case.further.flags.writeable


def test_the_second_channel_is_in_the_hash(folder):
    write_folder(folder, as_two_channels)
    before = load_cohort(str(folder), 2).content_hash
    path = folder / "imagesTr" / "a03_0001.nii.gz"
    write_oriented(path, np.asarray(nibabel.load(path).dataobj) + np.arange(20))
    assert load_cohort(str(folder), 2).content_hash != before


def test_numbers_in_one_file_are_channels(tmp_path):
    path = tmp_path / "a.nrrd"
    sitk.WriteImage(sitk.Compose([itk_image(organ(n)[0]) for n in range(2)]), path)
    volume = read_volume(path)
    assert len(volume.further) == 1 and volume.voxels.shape == (24, 22, 20)
    np.testing.assert_array_equal(volume.further[0][0][::-1, ::-1], organ(1)[0])


# --- what cannot be used


def test_channels_on_two_grids_and_missing_ones_are_findings(folder):
    write_folder(folder, as_two_channels)
    images = folder / "imagesTr"
    write_oriented(images / "a00_0001.nii.gz", organ(0, (24, 22, 19))[0])
    write_oriented(images / "a01_0001.nii.gz", organ(0)[0], spacing=(1.0, 1.5, 2.5))
    (images / "a02_0001.nii.gz").unlink()
    (images / "u00_0000.nii.gz").unlink()
    (images / "u01_0001.nii.gz").rename(images / "u01_0002.nii.gz")
    found = {one.file: str(one) for one in take_fingerprint(folder).excluded}
    assert "its shape is (24, 22, 19), not (24, 22, 20)" in found["imagesTr/a00_0001.nii.gz"]
    assert "lies on other voxels than a01_0000.nii.gz" in found["imagesTr/a01_0001.nii.gz"]
    assert "has the channels 0000; most scans" in found["imagesTr/a02_0000.nii.gz"]
    assert "has the channels 0000; most scans" in found["imagesTr/u00_0001.nii.gz"]
    assert "has the channels 0000, 0002" in found["imagesTr/u01_0000.nii.gz"]
    cohort = load_cohort(str(folder), 2)
    assert {"a00", "a01", "a02", "u01"}.isdisjoint(case.case_id for case in cohort.cases)


def test_a_grey_picture_among_colours_is_excluded_by_name(folder):
    write_folder(folder, as_colour_pictures)
    write_picture(folder / "imagesTr" / "a01.png", flat_organ(1)[0])
    (one,) = take_fingerprint(folder).excluded
    assert one.file == "imagesTr/a01.png" and "most scans have red, green, blue" in one.problem


def test_a_label_map_of_several_numbers_is_refused(folder):
    write_organs(folder, mixed=False)
    (folder / "labelsTr" / "a00.nii.gz").unlink()
    both = sitk.Compose([itk_image(organ(0)[1]) for _ in range(2)])
    sitk.WriteImage(both, folder / "labelsTr" / "a00.nrrd")
    assert "holds 2 numbers for each voxel" in said(folder, "excluded")


def test_a_scan_is_never_read_with_a_channel_of_another(folder):
    write_folder(folder, as_two_channels)
    files = [folder / "imagesTr" / f"a00_{n:04}.nii.gz" for n in range(2)]
    volume = read_scan(files)
    assert [path for _, path in volume.further] == files[1:]


# --- the parts


def two_channels(seed: int, shape: tuple[int, ...] = (6, 20, 18), label: bool = True) -> Case:
    random = np.random.default_rng(seed)
    image, other = random.normal(size=(2, *shape)).astype(np.float32)
    truth = (image > 1).astype(np.uint8) if label else None
    return Case(f"s{seed}", f"p{seed}", image, (1.0,) * 3, truth, None, other[None])


@pytest.mark.parametrize(
    ("dimensions", "kind"), [(2, "small"), (2, "unet"), (3, "small"), (3, "vnet")]
)
def test_a_scan_of_several_channels_is_predicted_like_its_slices_or_windows(dimensions, kind):
    case = two_channels(0, (16, 32, 32))
    network = build_network(kind, dimensions=dimensions, n_classes=2, width=4, channels=2, seed=0)
    options = {"dimensions": dimensions, "device": "cpu"}
    found = predict_together(network, case.seen[None], **options)[0]
    assert found.shape == (2, *case.image.shape)
    item = torch.from_numpy(case.seen[:, 3] if dimensions == 2 else case.seen)[None]
    with torch.inference_mode():
        alone = network.eval()(standardise(item)).softmax(dim=1)[0]
    torch.testing.assert_close(found[:, 3] if dimensions == 2 else found, alone)


def test_each_channel_changes_its_appearance_alone():
    images = torch.randn(3, 2, 16, 16)
    images[:, 1] = images[:, 0]
    changed = random_appearance(images, generator_at("cpu", 1))
    assert not torch.allclose(changed[:, 0], changed[:, 1])
    means = changed.mean(dim=(2, 3))
    torch.testing.assert_close(means, torch.zeros_like(means), atol=1e-5, rtol=0)
    folded = random_appearance(images.reshape(6, 1, 16, 16), generator_at("cpu", 1))
    torch.testing.assert_close(changed.reshape(6, 1, 16, 16), folded)


def test_channels_and_labels_move_together():
    images = torch.zeros(4, 2, 24, 24)
    images[:, :, 8:14, 5:12] = 1
    labels = images[:, 0].byte()
    moved, truth = strong_augmentation(images, labels, generator_at("cpu", 0), copy_paste=1.0)
    for channel in range(2):
        inside = torch.stack(
            [m[t > 0].mean() for m, t in zip(moved[:, channel], truth, strict=True)]
        )
        outside = torch.stack(
            [m[t == 0].mean() for m, t in zip(moved[:, channel], truth, strict=True)]
        )
        assert (inside > outside + 1).all()


@pytest.mark.parametrize("stored", [True, False])
def test_batches_hold_the_channels_of_their_scans(folder, stored, monkeypatch):
    cohort = load_cohort(str(write_folder(folder, as_two_channels)), 2)
    if stored:
        monkeypatch.setattr("ssl_lib.training.batches.room_for_scans", lambda device: 0)
    options = {"patch": (8, 8, 8), "labelled": 2, "unlabelled": 2, "seed": 0, "device": CPU}
    batch = TwoStreams(cohort, **options).at(0)
    assert batch.images.shape == (2, 2, 8, 8, 8) == batch.unlabelled.shape
    patches = {case.case_id: case.seen for case in cohort.labelled}
    windows = [
        np.lib.stride_tricks.sliding_window_view(one, (2, 8, 8, 8)).reshape(-1, 2, 8, 8, 8)
        for one in patches.values()
    ]
    for image in batch.images.numpy():
        assert any((window == image).all(axis=(1, 2, 3, 4)).any() for window in windows)


def test_channels_are_kept_in_files_resized_and_downsampled_like_the_first(folder, tmp_path):
    case = two_channels(3)
    stored = ScanStore(0).add(case)
    assert isinstance(stored.further, np.memmap)
    np.testing.assert_array_equal(stored.seen, case.seen)
    resized = on_grid(case, (10, 9))
    swapped = on_grid(Case("s", "p", case.further[0], case.spacing, case.label), (10, 9))
    np.testing.assert_array_equal(resized.further[0], swapped.image)
    cohort = load_cohort(str(write_folder(folder, as_two_channels)), 2)
    small = downsampled(cohort, 12)
    assert small.labelled[0].further.shape == (1, *small.labelled[0].image.shape)
    scans = open_own_scans(str(folder), "gpu", 2)
    volume = read_scan(scans.fingerprint.listing.files("a00"))
    assert scans.geometry.shown(volume).shape == (2, 24, 22, 20)
