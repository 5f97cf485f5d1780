"""Reading: right files come out right, and each kind of broken file is refused by name."""

from __future__ import annotations

import gzip
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_scans import SHAPE, tiny_image, tiny_label, write_hdf5, write_nifti

from ssl_lib.data import reading
from ssl_lib.utils.errors import InputError

HERE = Path("scan.nii.gz")


def refusal_of(call, *arguments) -> str:
    with pytest.raises(InputError) as refusal:
        call(*arguments)
    return str(refusal.value)


def test_voxels_and_spacing_come_back(tmp_path):
    image = tiny_image(0)
    volume = reading.read_nifti(write_nifti(tmp_path / "a.nii.gz", image, (0.5, 1.0, 2.5)))
    np.testing.assert_array_equal(volume.voxels, image)
    assert volume.spacing == (0.5, 1.0, 2.5)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_both_versions_packed_or_not_are_read(tmp_path, kind, name):
    kind(tiny_image(0), np.eye(4)).to_filename(tmp_path / name)
    np.testing.assert_array_equal(reading.read_nifti(tmp_path / name).voxels, tiny_image(0))


def test_axes_are_turned_to_right_front_top(tmp_path):
    image = tiny_image(0)
    affine = np.array([[0, 0, -3.0, 0], [-1.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 0, 1]])
    nibabel.Nifti1Image(image, affine).to_filename(tmp_path / "a.nii.gz")
    volume = reading.read_nifti(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(volume.voxels, image.transpose(2, 0, 1)[::-1, ::-1])
    assert volume.spacing == (3.0, 1.0, 2.0)


def test_a_fourth_axis_of_one_channel_is_dropped(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", tiny_image(0)[..., None])
    np.testing.assert_array_equal(reading.read_nifti(path).voxels, tiny_image(0))


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 4, 2)])
def test_other_numbers_of_axes_are_refused(tmp_path, shape):
    path = write_nifti(tmp_path / "a.nii.gz", tiny_image(0, shape))
    assert "a.nii.gz" in refusal_of(reading.read_nifti, path)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path, name, share):
    path = write_nifti(tmp_path / name, tiny_image(0, (16, 16, 16)))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert name in refusal_of(reading.read_nifti, path)


def test_a_flipped_bit_in_a_packed_file_is_found_by_its_checksum(tmp_path):
    packed = bytearray(gzip.compress(bytes(range(256)) * 20, compresslevel=0))
    packed[500] ^= 1
    (tmp_path / "a.nii.gz").write_bytes(packed)
    assert "damaged" in refusal_of(reading.read_nifti, tmp_path / "a.nii.gz")


def test_a_missing_file_and_another_format_are_refused(tmp_path):
    assert "is not there" in refusal_of(reading.read_nifti, tmp_path / "none.nii.gz")
    (tmp_path / "text.nii").write_text("not a scan")
    assert "text.nii" in refusal_of(reading.read_nifti, tmp_path / "text.nii")


def test_a_header_without_voxel_size_is_refused(tmp_path):
    content = bytearray(nibabel.Nifti1Image(tiny_image(0), np.eye(4)).to_bytes())
    content[280:296] = bytes(16)  # the first row of the affine
    (tmp_path / "a.nii").write_bytes(content)
    assert "a.nii" in refusal_of(reading.read_nifti, tmp_path / "a.nii")


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinite")])
def test_images_with_undefined_voxels_are_refused(value, word):
    image = tiny_image(0)
    image[1, 2, 3] = value
    message = refusal_of(reading.as_image, image, HERE)
    assert f"1 voxels are {word}" in message and "numpy.nan_to_num" in message


def test_nan_is_filled_with_the_lowest_value_where_that_is_asked_for():
    image = tiny_image(0)
    image[:2] = np.nan
    filled = reading.as_image(image, HERE, fill_nan=True)
    np.testing.assert_array_equal(filled[2:], image[2:])
    assert (filled[:2] == image[2:].min()).all() and reading.nan_share(image) == 2 / len(image)
    with pytest.raises(InputError, match="are NaN"):
        reading.as_image(np.full_like(image, np.nan), HERE, fill_nan=True)


def test_values_that_a_header_scaled_are_whole_numbers():
    label = tiny_label().astype(np.float64) * 0.99999999977
    np.testing.assert_array_equal(reading.as_label(label, HERE), tiny_label())


def test_many_classes_in_blocks_are_a_label_map_and_noise_is_not():
    blocks = np.kron(np.arange(88).reshape(8, 11, 1), np.ones((3, 3, 4))).astype(np.int16)
    np.testing.assert_array_equal(reading.as_label(blocks, HERE), blocks)
    noise = np.random.default_rng(0).permutation(blocks.ravel()).reshape(blocks.shape)
    assert "an image, not a label map" in refusal_of(reading.as_label, noise, HERE)


def test_an_image_of_one_value_is_refused():
    assert "every voxel" in refusal_of(reading.as_image, np.full(SHAPE, 7.0), HERE)


def test_whole_floats_are_labels():
    label = reading.as_label(tiny_label().astype(np.float64), HERE)
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(label, tiny_label())


@pytest.mark.parametrize(
    ("value", "said"), [(0.5, "0.5"), (-1, "-1"), (256, "256"), (np.nan, "NaN")]
)
def test_labels_that_are_no_classes_are_refused(value, said):
    label = tiny_label().astype(np.float32)
    label[0, 0, 0] = value
    assert said in refusal_of(reading.as_label, label, HERE)


def test_an_image_in_place_of_a_label_is_recognised():
    assert "an image, not a label map" in refusal_of(reading.as_label, tiny_image(0), HERE)


def test_an_extra_class_is_named():
    message = refusal_of(reading.only_classes, tiny_label(4), 3, HERE)
    assert "value 3" in message and "0 to 2" in message and "scan.nii.gz" in message


def test_image_and_label_of_different_shapes_are_refused(tmp_path):
    image = reading.read_nifti(write_nifti(tmp_path / "image.nii.gz", tiny_image(0)))
    label = reading.read_nifti(write_nifti(tmp_path / "label.nii.gz", tiny_label()[:-1]))
    message = refusal_of(reading.same_grid, image, label)
    assert "label.nii.gz" in message and "another scan" in message


@pytest.mark.parametrize("column", [0, 3])
def test_image_and_label_in_different_places_are_refused(tmp_path, column):
    image = reading.read_nifti(write_nifti(tmp_path / "image.nii.gz", tiny_image(0)))
    affine = image.affine.copy()
    affine[0, column] += 0.1
    nibabel.Nifti1Image(tiny_label(), affine).to_filename(tmp_path / "label.nii.gz")
    label = reading.read_nifti(tmp_path / "label.nii.gz")
    assert "beside its image" in refusal_of(reading.same_grid, image, label)


def test_rounding_in_a_header_is_forgiven(tmp_path):
    image = reading.read_nifti(write_nifti(tmp_path / "image.nii.gz", tiny_image(0)))
    nibabel.Nifti1Image(tiny_label(), image.affine + 1e-5).to_filename(tmp_path / "label.nii.gz")
    reading.same_grid(image, reading.read_nifti(tmp_path / "label.nii.gz"))


def test_hdf5_arrays_come_back(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", tiny_image(0), tiny_label())
    image, label = reading.read_hdf5(path)
    np.testing.assert_array_equal(image, tiny_image(0))
    np.testing.assert_array_equal(label, tiny_label())


def test_broken_hdf5_files_are_refused(tmp_path):
    path = write_hdf5(tmp_path / "cut.h5", tiny_image(0, (32, 32, 8)), tiny_label(3, (32, 32, 8)))
    path.write_bytes(path.read_bytes()[:-500])
    assert "cut.h5" in refusal_of(reading.read_hdf5, path)
    assert "does not exist" in refusal_of(reading.read_hdf5, tmp_path / "none.h5")
    path = write_hdf5(tmp_path / "shapes.h5", tiny_image(0), tiny_label()[:-1])
    assert "shape" in refusal_of(reading.read_hdf5, path)


def test_an_hdf5_file_without_label_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as content:
        content["image"] = tiny_image(0)
    assert "'image' and 'label'" in refusal_of(reading.read_hdf5, tmp_path / "a.h5")


@given(st.floats(0.01, 1e4), st.floats(-1e4, 1e4))
def test_normalising_forgets_scale_and_offset(scale, offset):
    image = tiny_image(0)
    normal = reading.normalise(image)
    assert abs(float(normal.mean())) < 1e-4 and abs(float(normal.std()) - 1) < 1e-4
    other = reading.normalise((image * scale + offset).astype(np.float32))
    # float32 keeps about 7 digits of the offset, which is all that can be asked for here
    tolerance = 1e-3 + 1e-5 * abs(offset) / scale
    np.testing.assert_allclose(other, normal, atol=tolerance)


def test_one_bright_voxel_does_not_decide_the_scale():
    image = tiny_image(0, (16, 16, 16))
    spoilt = image.copy()
    spoilt[0, 0, 0] = 1e6
    change = np.abs(reading.normalise(spoilt) - reading.normalise(image))
    assert np.delete(change, 0).max() < 0.1


def test_a_mask_like_image_survives_normalising():
    image = np.zeros((16, 16, 16), np.float32)
    image[0, 0, 0] = 1
    assert np.all(np.isfinite(reading.normalise(image)))
