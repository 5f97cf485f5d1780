"""Reading scans and labels, and refusing by name what cannot be right.

Every file is read whole and once. A refusal is an `InputError` that names the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import nibabel
import numpy as np
from jaxtyping import Float, Float32, Integer, Shaped, UInt8

from ssl_lib.data.nifti_bytes import AGAIN, fits_into_memory, nifti_bytes, only_numbers
from ssl_lib.utils.errors import InputError

MOST_CLASSES = 64
"""A label map with more distinct values than this is taken for an image."""
GRID_TOLERANCE_MM = 0.01


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels in the order x (to the right), y (to the front), z (to the top) and their place."""

    voxels: Shaped[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]
    path: Path

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size along x, y and z in mm."""
        return tuple(float(round(size, 6)) for size in nibabel.affines.voxel_sizes(self.affine))


def read_nifti(path: Path) -> Volume:
    """The volume of a `.nii` or `.nii.gz` file, its axes turned or flipped to right, front, top.

    A fourth axis of length 1 is dropped. Raises `InputError` for a file that is missing, cut off,
    damaged, not three-dimensional, without a valid voxel size, or of complex numbers or colours.
    """
    content = nifti_bytes(path)
    try:
        kind = nibabel.Nifti2Image if content[:4] in _NIFTI2_STARTS else nibabel.Nifti1Image
        image = kind.from_bytes(content)
        if len(image.shape) == 4:
            image = image.slicer[..., 0]
        image = nibabel.as_closest_canonical(image)
        voxels = np.asanyarray(image.dataobj)
    except Exception as error:  # nibabel raises many kinds for a damaged header
        raise InputError(f"cannot be read as NIfTI ({error})", where=path) from None
    return Volume(voxels, image.affine, path)


_NIFTI2_STARTS = (b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c")  # header size 540 in either byte order


def read_hdf5(path: Path) -> tuple[Float32[np.ndarray, "*space"], UInt8[np.ndarray, "*space"]]:
    """The arrays `image` and `label` of an HDF5 file, checked but not normalised.

    Raises `InputError` for a file that is missing, damaged, without one of the two arrays, or with
    arrays that do not fit each other.
    """
    image, label = hdf5_arrays(path)
    same_shape(image.shape, label.shape, path)
    return as_image(image, path), as_label(label, path)


def hdf5_arrays(path: Path) -> tuple[Shaped[np.ndarray, "..."], Shaped[np.ndarray, "..."]]:
    """The arrays `image` and `label` of an HDF5 file as they are stored in it.

    Raises `InputError` for a file that is missing or damaged, for arrays that are missing, too
    large for the memory or no numbers, and for those that lie in another file: what a file holds
    must not depend on what lies beside it.
    """
    try:
        with h5py.File(path, "r") as content:
            return _stored(content, "image", path), _stored(content, "label", path)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError("does not exist", where=path) from None
    except Exception as error:  # h5py raises many kinds for a damaged file
        raise InputError(f"is cut off or damaged ({error})", where=path, fix=AGAIN) from None


def _stored(content: h5py.File, name: str, path: Path) -> Shaped[np.ndarray, "..."]:
    """One array, if it is one and stored here."""
    link = content.get(name, getlink=True)
    if link is not None and not isinstance(link, h5py.HardLink):
        raise InputError(
            f"its array {name!r} is a link to another place",
            where=path,
            fix="store the array itself",
        )
    found = content[name] if link is not None else None
    if not isinstance(found, h5py.Dataset):
        raise InputError("lacks an array", where=path, expected="the arrays 'image' and 'label'")
    if found.external or found.is_virtual:
        raise InputError(
            f"its array {name!r} keeps its voxels in another file",
            where=path,
            fix="store the voxels themselves",
        )
    if not found.shape or min(found.shape) < 1:
        raise InputError(f"its array {name!r} has the shape {found.shape}", where=path)
    only_numbers(found.dtype, path)
    fits_into_memory(found.size * found.dtype.itemsize, path)
    return np.asarray(found)


def as_image(voxels: Shaped[np.ndarray, "*space"], path: Path) -> Float32[np.ndarray, "*space"]:
    """The voxels as float32.

    Raises `InputError` for NaN, infinite or constant values, and for anything but real numbers.
    """
    only_numbers(voxels.dtype, path)
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and refused
        image = np.asarray(voxels, dtype=np.float32)
    bad = int(image.size - np.count_nonzero(np.isfinite(image)))
    if bad:
        raise InputError(f"{bad} voxels are NaN or infinite", where=path)
    if image.min() == image.max():
        raise InputError(f"every voxel has the value {image.flat[0]:g}", where=path)
    return image


def as_label(voxels: Shaped[np.ndarray, "*space"], path: Path) -> UInt8[np.ndarray, "*space"]:
    """The voxels as uint8 classes; floats are welcome if they are whole numbers.

    Raises `InputError` for fractions, NaN, negative values, values over 255, and for so many
    different values that the file must be an image.
    """
    only_numbers(voxels.dtype, path)
    values = np.unique(voxels)
    if not np.all(np.isfinite(values)):
        raise InputError("the label map holds NaN or infinite values", where=path)
    if len(values) > MOST_CLASSES:
        raise InputError(
            f"holds {len(values)} different values up to {values[-1]:g}: an image, not a label map",
            where=path,
            fix="put the label map in its place",
        )
    if np.any(values != np.round(values)) or values[0] < 0 or values[-1] > 255:
        raise InputError(
            f"the label map holds values such as {_odd_value(values):g}",
            where=path,
            expected="whole numbers from 0 (background) to the number of classes minus 1",
        )
    return np.asarray(voxels).astype(np.uint8)


def _odd_value(values: Shaped[np.ndarray, " value"]) -> float:
    odd = (values != np.round(values)) | (values < 0) | (values > 255)
    return float(values[odd][0])


def only_classes(label: Integer[np.ndarray, "*space"], n_classes: int, path: Path) -> None:
    """Raise `InputError` if the label map holds a value that is not one of the classes."""
    extra = [int(value) for value in np.unique(label) if value >= n_classes]
    if extra:
        raise InputError(
            f"the label map holds the value {', '.join(map(str, extra))}",
            where=path,
            expected=f"0 to {n_classes - 1}",
        )


def same_shape(image: tuple[int, ...], label: tuple[int, ...], path: Path) -> None:
    """Raise `InputError` if image and label differ in shape."""
    if image != label:
        raise InputError(
            f"the label has the shape {label}, its image {image}",
            where=path,
            fix="is it the label of another scan?",
        )


def same_grid(image: Volume, label: Volume) -> None:
    """Raise `InputError`, naming the label's file, if the two do not lie on the same voxels."""
    same_shape(image.voxels.shape, label.voxels.shape, label.path)
    corners = np.array([[0, 0, 0, 1], [*image.voxels.shape, 1]]).T
    shift = np.abs(image.affine @ corners - label.affine @ corners).max()
    turned = np.abs(image.affine[:3, :3] - label.affine[:3, :3]).max()
    if max(shift, turned) > GRID_TOLERANCE_MM:
        raise InputError(
            f"lies up to {max(shift, turned):.3g} mm beside its image {image.path.name}",
            where=label.path,
            expected="the same origin, directions and voxel size in both headers",
            fix="is it the label of another scan?",
        )


def normalise(image: Float32[np.ndarray, "*space"]) -> Float32[np.ndarray, "*space"]:
    """Clip at the 0.1th and 99.9th percentile, then z-score: mean 0, standard deviation 1.

    Without the clip, single bright voxels decide the scale: maxima of one public set run from 112
    to 1.7 million.
    """
    low, high = np.percentile(image, (0.1, 99.9))
    clipped = np.clip(image, low, high) if low < high else image
    # Sums in float64: a float32 sum over millions of voxels depends on their order.
    mean, deviation = clipped.mean(dtype=np.float64), clipped.std(dtype=np.float64)
    return ((clipped - mean) / deviation).astype(np.float32)
