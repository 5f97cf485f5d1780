"""From a scan to what a network sees and back: a written label map lies on its scan's voxels."""

from __future__ import annotations

from itertools import permutations, product

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from organ_scans import organ, write_oriented

from ssl_lib.data.downsampling import majority
from ssl_lib.data.formats import volume_header
from ssl_lib.data.preprocessing import Geometry, write_label_map
from ssl_lib.data.reading import read_nifti
from ssl_lib.utils.errors import InputError

quickly = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ORIENTATIONS = st.sampled_from(
    ["".join(code) for axes in permutations(["RL", "AP", "SI"]) for code in product(*axes)]
)
SHAPES = st.tuples(*[st.integers(1, 7)] * 3)


@quickly
@given(
    ORIENTATIONS, SHAPES, st.integers(0, 2**31), st.booleans(), st.sampled_from([".nii", ".nii.gz"])
)
def test_a_written_label_map_has_shape_affine_and_place_of_its_scan(
    tmp_path, orientation, shape, seed, oblique, ending
):
    random = np.random.default_rng(seed)
    scan = write_oriented(tmp_path / "scan.nii.gz", random.normal(size=shape), orientation)
    if oblique:  # a few degrees beside the axes
        stored = nibabel.load(scan)
        turn = np.eye(4)
        turn[:2, :2] = [[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]]
        nibabel.Nifti1Image(np.asarray(stored.dataobj), turn @ stored.affine).to_filename(scan)
    label = random.integers(0, 5, shape).astype(np.uint8)
    path = write_label_map(tmp_path / f"label{ending}", label, read_nifti(scan))
    written, original = nibabel.load(path), nibabel.load(scan)
    np.testing.assert_array_equal(written.affine, original.affine)
    assert written.shape == original.shape and written.get_data_dtype() == np.uint8
    again = read_nifti(path)
    assert volume_header(again).orientation == volume_header(read_nifti(scan)).orientation
    np.testing.assert_array_equal(again.voxels, label)


def test_the_voxel_that_is_marked_lies_where_it_was_seen(tmp_path):
    image, _ = organ(0)
    image[5, 6, 7] = 1e4  # one bright voxel
    scan = write_oriented(tmp_path / "scan.nii.gz", image, "PIR")
    volume = read_nifti(scan)
    path = write_label_map(tmp_path / "o.nii.gz", (volume.voxels > 9e3).astype(np.uint8), volume)
    stored = np.asarray(nibabel.load(scan).dataobj), np.asarray(nibabel.load(path).dataobj)
    assert np.argwhere(stored[0] > 9e3).tolist() == np.argwhere(stored[1]).tolist()


@pytest.mark.parametrize("codes", [(0, 1), (2, 0), (1, 4)])
def test_codes_units_and_scaling_of_the_header_are_right(tmp_path, codes):
    image = nibabel.Nifti1Image(
        np.arange(60, dtype=np.int16).reshape(5, 4, 3), np.diag([1, 2, 3, 1])
    )
    image.header["qform_code"], image.header["sform_code"] = codes
    image.header.set_slope_inter(2.0, -7.0)
    image.header.set_xyzt_units("mm", "sec")
    scan = tmp_path / "scan.nii.gz"
    image.to_filename(scan)
    label = (np.arange(60).reshape(5, 4, 3) % 3).astype(np.uint8)
    written = nibabel.load(write_label_map(tmp_path / "label.nii.gz", label, read_nifti(scan)))
    original = nibabel.load(scan).header
    assert (written.header["qform_code"], written.header["sform_code"]) == (
        original["qform_code"],
        original["sform_code"],
    )
    assert written.header.get_xyzt_units() == ("mm", "sec")
    np.testing.assert_array_equal(written.get_fdata(), label)
    assert volume_header(read_nifti(tmp_path / "label.nii.gz")).placed


def test_one_channel_and_other_values_and_nifti2(tmp_path):
    voxels = np.random.default_rng(0).normal(size=(5, 4, 3, 1))
    scan = tmp_path / "scan.nii.gz"
    nibabel.Nifti2Image(voxels, np.diag([-1.0, 1, 1, 1])).to_filename(scan)
    label = (np.arange(60).reshape(5, 4, 3) % 3).astype(np.uint8)
    path = write_label_map(tmp_path / "label.nii.gz", label, read_nifti(scan), (0, 50, 255))
    written = nibabel.load(path)
    assert isinstance(written, nibabel.Nifti2Image) and written.shape == (5, 4, 3)
    np.testing.assert_array_equal(
        np.asarray(written.dataobj)[::-1], np.array([0, 50, 255])[label]
    )  # x runs to the left in the file


def test_wrong_names_and_shapes_are_refused(tmp_path):
    scan = read_nifti(write_oriented(tmp_path / "scan.nii.gz", np.ones((4, 5, 6))))
    with pytest.raises(InputError, match="no name for a label map"):
        write_label_map(tmp_path / "label.png", np.zeros((4, 5, 6), np.uint8), scan)
    with pytest.raises(InputError, match="its scan"):
        write_label_map(tmp_path / "label.nii", np.zeros((4, 5, 7), np.uint8), scan)


def one_hot(label: np.ndarray, n_classes: int = 3) -> torch.Tensor:
    return (
        torch.nn.functional.one_hot(torch.from_numpy(label).long(), n_classes)
        .movedim(-1, 0)
        .float()
    )


@quickly
@given(
    st.tuples(*[st.integers(1, 3)] * 3), st.tuples(*[st.integers(1, 5)] * 3), st.integers(0, 2**31)
)
def test_shrinking_keeps_what_comes_back_in_the_middle_of_each_block(factors, blocks, seed):
    """Interpolation moves borders, but the middle of a block of odd size is the block's own."""
    small = np.random.default_rng(seed).integers(0, 3, blocks).astype(np.uint8)
    label = small
    for axis, factor in enumerate(factors):
        label = label.repeat(factor, axis)
    np.testing.assert_array_equal(majority(label, factors), small)
    back = Geometry(factors=factors).classes(one_hot(small), label.shape)
    assert back.shape == label.shape
    if all(factor % 2 for factor in factors):
        middles = tuple(slice(factor // 2, None, factor) for factor in factors)
        np.testing.assert_array_equal(back[middles], small)


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_a_straight_border_comes_back_where_it_was(factor):
    small = np.zeros((6, 4, 4), np.uint8)
    small[3:] = 2
    whole = Geometry(factors=(factor, 1, 1)).classes(one_hot(small), (6 * factor, 4, 4))
    np.testing.assert_array_equal(whole, small.repeat(factor, axis=0))


def test_voxels_beyond_the_last_block_take_their_neighbours_class():
    small = np.ones((3, 3, 3), np.uint8)
    whole = Geometry(factors=(2, 2, 2)).classes(one_hot(small), (7, 6, 7))
    assert whole.shape == (7, 6, 7) and (whole == 1).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_go_out_and_come_back(tmp_path, axis):
    image, label = organ(3)
    volume = read_nifti(write_oriented(tmp_path / "scan.nii.gz", image))
    geometry = Geometry(axis)
    seen = geometry.shown(volume)
    assert seen.shape[0] == image.shape[axis] and geometry.dimensions == 2
    assert geometry.turned_sizes((1.0, 1.5, 2.0))[0] == (1.0, 1.5, 2.0)[axis]
    np.testing.assert_array_equal(
        geometry.classes(one_hot(geometry.turned(label)), image.shape), label
    )
