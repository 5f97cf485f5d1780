"""Reading scans and labels, and refusing by name what cannot be right.

Every file is read whole and once. A refusal is an `InputError` that names the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import h5py
import nibabel
import numpy as np
from jaxtyping import Float, Float32, Int, Integer, Shaped, UInt8
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation

from ssl_lib.data.nifti_bytes import (
    AGAIN,
    fits_into_memory,
    length_unit,
    nifti_bytes,
    nifti_kind,
    only_numbers,
    read_header,
)
from ssl_lib.data.spacing import sizes_text
from ssl_lib.utils.errors import InputError

MOST_CLASSES = 256
"""Values that a label map can hold: it is stored in bytes."""
MANY_CLASSES, ALIKE = 64, 0.5
"""A map of more than `MANY_CLASSES` values is an image unless this share of neighbours is alike."""
WHOLE = 1e-3
"""A value so close to a whole number is one: labels that were scaled by a header are not exact."""
BESIDE, BESIDE_NOTED = 0.1, 1e-3
"""Voxels that a label map may lie beside its image: up to the first it is used, with a note."""
MM_PER_UNIT = {"meter": 1000.0, "micron": 0.001}
"""Millimetres of the units that a header may state; everything else is taken for millimetres."""


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels in the order x (to the right), y (to the front), z (to the top) and their place.

    `turn` is how the stored axes were reordered and flipped for that (nibabel's orientation).
    `unit` is what the affine counts in: a picture has no millimetres. `placed` is whether a file of
    another format than NIfTI says where its axes point (see `preprocessing.header_of` for NIfTI).
    `voxels` are the first channel; `further` are the others, each with the file it comes from.
    `stored` is the header of a NIfTI file, so that nobody opens the file again for it.
    """

    voxels: Shaped[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]
    path: Path
    turn: Float[np.ndarray, "3 2"] | None = None
    unit: Literal["mm", "pixel"] = "mm"
    placed: bool = True
    further: tuple[tuple[Shaped[np.ndarray, "x y z"], Path], ...] = ()
    stored: nibabel.Nifti1Header | None = None

    def images(self) -> Iterator[Float32[np.ndarray, "x y z"]]:
        """Each channel, normalised; NaN becomes the lowest value. Raises `InputError` as
        `as_image`."""
        for voxels, path in ((self.voxels, self.path), *self.further):
            yield normalise(as_image(voxels, path, fill_nan=True))

    @property
    def shown(self) -> Shaped[np.ndarray, "x y z"]:
        """What a viewer of grey levels shows: the first channel, of a colour picture the mean of
        red, green and blue."""
        if self.unit == "mm" or not self.further:
            return self.voxels
        return np.mean([self.voxels, *(voxels for voxels, _ in self.further)], axis=0)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size along x, y and z in mm."""
        x, y, z = (float(round(s, 6)) for s in nibabel.affines.voxel_sizes(self.affine))
        return x, y, z

    @property
    def millilitres(self) -> float:
        """The volume of one voxel in ml: oblique axes span less than the product of their sizes."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000

    @property
    def measure(self) -> tuple[float, str]:
        """What one voxel measures, and the unit: millilitres, for pictures pixels."""
        return (1.0, "pixels") if self.unit == "pixel" else (self.millilitres, "ml")

    def unplaced(self) -> Volume:
        """The same volume, of a file that does not say where its axes point."""
        return replace(self, placed=False)


def reoriented(
    voxels: Shaped[np.ndarray, "x y z"],
    affine: Float[np.ndarray, "4 4"],
    path: Path,
    turned_as: Volume | None = None,
) -> Volume:
    """A volume of voxels as they are stored, with their affine (voxels to mm, RAS): its axes turned
    or flipped to right, front, top, or as those of `turned_as` were (see `read_nifti`)."""
    turn = io_orientation(affine) if turned_as is None else turned_as.turn
    turned = apply_orientation(voxels, turn)
    return Volume(turned, affine @ inv_ornt_aff(turn, voxels.shape), path, turn)


def read_nifti(path: Path, *, turned_as: Volume | None = None) -> Volume:
    """The volume of a `.nii` or `.nii.gz` file, its axes turned or flipped to right, front, top.

    With `turned_as`, its axes are turned as those of that volume's file were: at 45 degrees a
    rounding decides which axis is nearest, and an image and its label map must not part by it.

    Further axes of length 1 are dropped; an affine in metres or micrometres becomes one in
    millimetres. Raises `InputError` for a file that is missing, cut off, damaged, not
    three-dimensional, without a valid voxel size, or of complex numbers or colours.
    """
    content = nifti_bytes(path)
    try:
        image = nifti_kind(content).from_bytes(content)
        while len(image.shape) > 3:
            image = image.slicer[..., 0]
        turn = io_orientation(image.affine) if turned_as is None else turned_as.turn
        image = image.as_reoriented(turn)
        voxels = np.asanyarray(image.dataobj)
        units = length_unit(image.header)
    except Exception:  # nibabel raises many kinds for a damaged header
        raise InputError(
            "cannot be read as NIfTI: its header contradicts itself", where=path, fix=AGAIN
        ) from None
    in_mm = np.diag([*[MM_PER_UNIT.get(units, 1.0)] * 3, 1.0]) @ image.affine
    return Volume(voxels, in_mm, path, turn, stored=read_header(content, path))


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


def as_image(
    voxels: Shaped[np.ndarray, "*space"], path: Path, *, fill_nan: bool = False
) -> Float32[np.ndarray, "*space"]:
    """The voxels as float32; with `fill_nan`, NaN becomes the lowest value (see `nan_share`).

    Raises `InputError` for infinite or constant values, for NaN where it is not filled, and for
    anything but real numbers.
    """
    only_numbers(voxels.dtype, path)
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and refused
        image = np.asarray(voxels, dtype=np.float32)
    if voxels.dtype.kind == "f":
        image = _without_nan(image, path, fill_nan)
    lowest = image.min()
    if lowest == image.max():
        raise InputError(
            f"every voxel has the value {lowest:g}",
            where=path,
            expected="an image with structure",
            fix="export the series again, or remove the file",
        )
    return image


def nan_share(voxels: Shaped[np.ndarray, "*space"]) -> float:
    """The share of voxels that are NaN: many tools write it outside of the body or of a mask."""
    return float(np.isnan(voxels).mean()) if voxels.dtype.kind == "f" else 0.0


def _without_nan(
    image: Float32[np.ndarray, "*space"], path: Path, fill_nan: bool
) -> Float32[np.ndarray, "*space"]:
    undefined = np.isnan(image)
    count = int(np.count_nonzero(undefined))
    infinite = int(image.size - np.count_nonzero(np.isfinite(image))) - count
    if infinite:
        raise InputError(
            f"{infinite} voxels are infinite",
            where=path,
            expected="finite grey levels",
            fix="replace them by a grey level: numpy.nan_to_num(voxels, posinf=..., neginf=...)",
        )
    if count and (not fill_nan or count == image.size):
        raise InputError(
            f"{count} voxels are NaN",
            where=path,
            expected="a number in every voxel",
            fix="replace them by the value of air: numpy.nan_to_num(voxels, nan=...)",
        )
    return np.where(undefined, np.nanmin(image), image) if count else image


def as_label(voxels: Shaped[np.ndarray, "*space"], path: Path) -> UInt8[np.ndarray, "*space"]:
    """The voxels as uint8 classes; floats are welcome if they are whole numbers (to `WHOLE`).

    Raises `InputError` for fractions, NaN, negative values, values over 255, and for a map of so
    many values, and so few neighbours alike, that it must be an image.
    """
    only_numbers(voxels.dtype, path)
    label = _whole(voxels, path)
    present = np.flatnonzero(value_counts(label))
    if len(present) > MANY_CLASSES and _alike(label) < ALIKE:
        _refuse_image(present, path)
    return label


def _refuse_image(values: Shaped[np.ndarray, " value"], path: Path) -> None:
    """Refuse what holds so many values that it is no label map; few values say nothing."""
    if len(values) > MANY_CLASSES:
        raise InputError(
            f"holds {len(values)} different values up to {values[-1]:g}: an image, not a label map",
            where=path,
            expected="areas of one value: 0 for background, 1, 2, ... for classes",
            fix="put the label map in its place",
        )


def _whole(voxels: Shaped[np.ndarray, "*space"], path: Path) -> UInt8[np.ndarray, "*space"]:
    """Whole numbers from 0 to 255 as bytes, slice by slice to spare memory; refuses all else."""
    label = np.empty(voxels.shape, np.uint8)
    for index, part in enumerate(voxels):
        if voxels.dtype.kind == "f":
            if not np.isfinite(part).all():
                raise InputError(
                    "the label map holds NaN or infinite values",
                    where=path,
                    expected="a whole number in every voxel",
                    fix="replace NaN by 0 where it stands for background",
                )
            whole = np.rint(part)
            odd = part[(np.abs(part - whole) > WHOLE) | (whole < 0) | (whole >= MOST_CLASSES)]
        else:
            whole, ends = part, (part.min(), part.max())
            odd = np.array([value for value in ends if not 0 <= value < MOST_CLASSES])
        if len(odd):
            _refuse_values(voxels, float(odd[0]), path)
        label[index] = whole
    return label


def _refuse_values(voxels: Shaped[np.ndarray, "*space"], odd: float, path: Path) -> None:
    _refuse_image(np.unique(voxels.ravel(order="K")[:: max(1, voxels.size // 10**5)]), path)
    raise InputError(
        f"the label map holds values such as {odd:g}",
        where=path,
        expected="whole numbers from 0 (background) to 255",
        fix="resample label maps with the nearest neighbour, or threshold them"
        if odd != round(odd)
        else "number the classes 0, 1, 2, ...",
    )


def value_counts(label: UInt8[np.ndarray, "*space"]) -> Int[np.ndarray, " value"]:
    """How many voxels hold each value from 0 to 255, counted in parts to spare memory."""
    flat, part = label.ravel(order="K"), 2**20
    starts = range(0, max(1, flat.size), part)
    counts = [np.bincount(flat[start : start + part], minlength=MOST_CLASSES) for start in starts]
    return np.sum(counts, axis=0)


def _alike(label: UInt8[np.ndarray, "*space"]) -> float:
    """The share of neighbouring voxels with one value, the mean over the axes."""
    shares = [
        float(np.mean(np.take(label, range(1, n), axis) == np.take(label, range(n - 1), axis)))
        for axis, n in enumerate(label.shape)
        if n > 1
    ]
    return float(np.mean(shares)) if shares else 1.0


def only_classes(label: Integer[np.ndarray, "*space"], n_classes: int, path: Path) -> None:
    """Raise `InputError` if the label map holds a value that is not one of the classes."""
    extra = [int(value) for value in np.unique(label) if value >= n_classes]
    if extra:
        raise InputError(
            f"the label map holds the value {', '.join(map(str, extra))}",
            where=path,
            expected=f"0 to {n_classes - 1}",
        )


def same_shape(image: tuple[int, ...], label: tuple[int, ...], path: Path | None) -> None:
    """Raise `InputError` if image and label differ in shape."""
    if image != label:
        turned = sorted(image) == sorted(label)
        raise InputError(
            f"the label has the shape {label}, its image {image}",
            where=path,
            expected=f"the shape of its image, {image}",
            fix="are its axes in another order? export it again with the geometry of the image"
            if turned
            else "is it the label of another scan?",
        )


def same_grid(image: Volume, label: Volume) -> float:
    """How far the label map lies beside its image, in voxels of the image.

    Raises `InputError`, naming the label's file, where the two do not lie on the same voxels: if
    their shapes differ, or by more than `BESIDE` voxels at a corner.
    """
    same_shape(image.voxels.shape, label.voxels.shape, label.path)
    corners = np.array([[0, 0, 0, 1], [*image.voxels.shape, 1]]).T
    apart = (label.affine - image.affine) @ corners
    voxels = float(np.abs(np.linalg.solve(image.affine, apart))[:3].max())
    turned = np.abs(label.affine[:3, :3] - image.affine[:3, :3]).max() / min(image.spacing)
    beside = max(voxels, float(turned))
    if beside > BESIDE:
        raise InputError(
            f"lies up to {np.abs(apart).max():.3g} mm ({beside:.3g} voxels) beside its image"
            f" {image.path.name}{_how_it_differs(image, label)}",
            where=label.path,
            expected="the same origin, directions and voxel size in both headers",
            fix="is it the label map of another scan? If its voxels are those of the image, save"
            " it with the affine of the image",
        )
    return beside


def _how_it_differs(image: Volume, label: Volume) -> str:
    """In words, which part of two affines differs."""
    sizes, ours = np.array(label.spacing), np.array(image.spacing)
    if np.allclose(np.abs(label.affine), np.eye(4)) and not np.allclose(ours, 1.0, atol=0.01):
        return ": its header holds the identity, as if no affine had been given"
    if np.abs(sizes / ours - 1).max() > 0.01:
        return f": its voxels are {sizes_text(sizes)} mm, those of the image {sizes_text(ours)} mm"
    if np.abs(label.affine[:3, :3] - image.affine[:3, :3]).max() / ours.min() <= BESIDE:
        away = label.affine[:3, 3] - image.affine[:3, 3]
        return f": its origin differs by {sizes_text(away)} mm, its directions are the same"
    return ": its axes point elsewhere"


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
