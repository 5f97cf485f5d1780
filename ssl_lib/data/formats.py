"""One door for files of all formats: a path becomes a `Volume`, a label map becomes a file.

`suffixes` says which file is of which format. Each format has one reader, which returns voxels with
their axes to the right, front and top, and their affine; whatever comes after it is the same for
all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from nibabel.orientations import (
    apply_orientation,
    axcodes2ornt,
    inv_ornt_aff,
    ornt2axcodes,
    ornt_transform,
)

from ssl_lib.data.dicom_seg import seg_bytes
from ssl_lib.data.dicom_series import read_dicom
from ssl_lib.data.itk_files import itk_label_map, read_itk
from ssl_lib.data.pictures import Colours, picture_of, read_label_picture, read_picture
from ssl_lib.data.preprocessing import Header, header_of, write_label_map
from ssl_lib.data.preprocessing import write_new_label_map as write_new_nifti
from ssl_lib.data.reading import Volume, read_nifti, same_grid
from ssl_lib.data.suffixes import READ, Format, format_of, suffix_of
from ssl_lib.utils.atomic import replace_own
from ssl_lib.utils.errors import InputError

READERS: dict[Format, Callable[..., Volume]] = {
    "nifti": read_nifti,
    "itk": read_itk,
    "dicom": read_dicom,
    "picture": read_picture,
}
WRITTEN_AS = {".mhd": ".mha", ".nhdr": ".nrrd", ".seg.nrrd": ".nrrd"}
"""Label maps are one file each: header and voxels together."""
VOLUME_ENDINGS = (".nii.gz", ".nii", ".mha", ".nrrd")
"""Of label maps of volumes."""
NO_DIRECTIONS = "picture"
"""What is said of the orientation of a picture."""


def read_volume(path: Path, *, turned_as: Volume | None = None) -> Volume:
    """The scan of a file, or of a folder with a DICOM series (see `reading.read_nifti`).

    Raises `InputError` for a name of no format that is read, and as the reader of the format.
    """
    return READERS[_known_format(path)](path, turned_as=turned_as)


def read_scan(files: Sequence[Path]) -> Volume:
    """A scan of one file, or of one file for each of its channels.

    Raises `InputError` as `read_volume`, and for a channel that lies on other voxels than the
    first.
    """
    first = read_volume(files[0])
    further = list(first.further)
    for path in files[1:]:
        other = _on_grid_of(first, path)
        further += [(other.voxels, path), *other.further]
    return replace(first, further=tuple(further))


def _on_grid_of(first: Volume, path: Path) -> Volume:
    """A further channel, turned as the first one was where only a rounding parts their turns."""
    problem = ""
    for turned_as in (None, first):
        other = read_volume(path, turned_as=turned_as)
        try:
            same_grid(first, other)
            return other
        except InputError as error:
            problem = problem or error.problem
    shapes = other.voxels.shape, first.voxels.shape
    words = problem if shapes[0] == shapes[1] else f"its shape is {shapes[0]}, not {shapes[1]}"
    raise InputError(
        f"lies on other voxels than {first.path.name}, the first channel of its scan: {words}",
        where=path,
        expected="all channels of a scan on one grid",
        fix="resample it onto the first channel (SimpleITK.Resample)",
    )


def read_labels(
    path: Path, *, turned_as: Volume | None = None, colours: Colours | None = None
) -> Volume:
    """The label map of a file; `colours` are the values of colours in pictures. A DICOM-SEG is read
    by `dicom_seg.read_seg`.

    Raises `InputError` as `read_volume`.
    """
    if _known_format(path) == "picture":
        return read_label_picture(path, turned_as=turned_as, colours=colours)
    volume = read_volume(path, turned_as=turned_as)
    if volume.further:
        raise InputError(
            f"holds {1 + len(volume.further)} numbers for each voxel",
            where=path,
            expected="one number for each voxel: its class",
            fix="save it as one label map (3D Slicer: export the segmentation as a labelmap)",
        )
    return volume


def on_stored_grid(label: Volume, image: Volume) -> Volume:
    """A label map that was drawn on a scan of one slice and saved as a picture: it has no place of
    its own, and its columns and rows are those of the scan's file."""
    stored = apply_orientation(label.voxels, ornt_transform(axcodes2ornt("RAS"), label.turn))
    turned = apply_orientation(stored, image.turn)
    return replace(label, voxels=turned, affine=image.affine, turn=image.turn, unit=image.unit)


def volume_header(volume: Volume) -> Header:
    """What the file of a volume says of the place of its voxels."""
    if volume.stored is not None:
        return header_of(volume.stored)
    letters = "".join(ornt2axcodes(volume.turn))
    is_picture = volume.unit == "pixel"
    return Header(NO_DIRECTIONS if is_picture else letters, volume.placed, 0.0, volume.unit)


def prediction_name(scan: str, path: Path, dicom: str = ".dcm") -> str:
    """The name of the file for the prediction of a scan: of the scan's format, where label maps are
    written in it, else PNG (pictures). That of a DICOM series ends in `dicom`: it is a DICOM-SEG,
    with ".nii.gz" a NIfTI file. Raises `InputError` for another ending."""
    if dicom not in (".dcm", *VOLUME_ENDINGS):
        raise InputError(
            f"DICOM series cannot be predicted as {dicom!r}",
            where="DICOM_AS",
            expected=" or ".join((".dcm", *VOLUME_ENDINGS)),
        )
    endings = {"itk": suffix_of(path.name), "picture": ".png", "dicom": dicom}
    ending = endings.get(format_of(path) or "", ".nii.gz")
    return scan + WRITTEN_AS.get(ending, ending)


def write_prediction(
    path: Path,
    label: UInt8[np.ndarray, "x y z"],
    volume: Volume,
    values: Sequence[int],
    class_names: Sequence[str] = (),
) -> Path:
    """Write the label map of a volume onto the voxels of its file.

    `label` has its axes to the right, front and top; `values` are the numbers to write for the
    classes 0, 1, ... The ending of `path` decides the format: volumes are written as NIfTI, .mha or
    .nrrd, DICOM series also as DICOM-SEG (.dcm), pictures as PNG. In a DICOM-SEG a class is known
    by its name in `class_names` (which begin with the background; default: "class 1", ...), not by
    its value. Returns `path`. Raises `InputError` for any other ending, if the shapes differ, where
    a series lacks what a DICOM-SEG needs, and if `path` is the scan itself, a link to it, a place
    inside the series, or any file that was not written here or was changed since.
    """
    kinds = format_of(volume.path), None if path.is_dir() else format_of(path)
    if volume.stored is not None and kinds[1] not in ("itk", "dicom"):
        return write_label_map(path, label, volume, values)
    _refuse_ending(path, volume)
    if path.exists() and volume.path.exists() and os.path.samefile(path, volume.path):
        raise InputError(
            "is the scan itself: the label map would replace it",
            where=path,
            expected="another file for the label map",
            fix="choose another name or folder for the output",
        )
    if kinds[1] == "dicom":
        names = class_names or ["background", *(f"class {value}" for value in values[1:])]
        replace_own(path, seg_bytes(_as_stored(label, volume)[0], volume.path, names))
        return path
    stored, affine = _as_stored(np.take(np.asarray(values, np.uint8), label), volume)
    if kinds[1] == "nifti":
        return write_new_nifti(path, stored, affine)
    if kinds[1] == "picture":
        content = picture_of(stored)
    else:
        scan = volume.path if kinds[0] == "itk" else None
        content = itk_label_map(path, stored, affine, scan)
    replace_own(path, content)
    return path


def _known_format(path: Path) -> Format:
    found = format_of(path)
    if found is None:
        raise InputError(
            "is no scan by its name",
            where=path,
            expected=READ,
            fix="give its path as it is called, or convert it to .nii.gz",
        )
    return found


def _refuse_ending(path: Path, volume: Volume) -> None:
    allowed: tuple[str, ...] = (".png",) if volume.unit == "pixel" else VOLUME_ENDINGS
    is_series = format_of(volume.path) == "dicom"
    allowed += (".dcm",) if is_series else ()
    if path.is_dir() or suffix_of(path.name) not in allowed:
        raise InputError(
            "is no name for the label map of this scan",
            where=path,
            expected=f"a name that ends in {' or '.join(allowed)}",
        )
    if is_series and volume.path.resolve() in path.resolve().parents:
        raise InputError(
            f"lies inside of the series {volume.path.name}, which would be two with it",
            where=path,
            expected="another folder for the label map",
        )


def _as_stored(
    label: UInt8[np.ndarray, "x y z"], volume: Volume
) -> tuple[UInt8[np.ndarray, "*stored"], Float[np.ndarray, "4 4"]]:
    """The label map with its axes as the scan's file has them, and the affine of that file."""
    if label.shape != volume.voxels.shape:
        raise InputError(
            f"the label map has the shape {label.shape}, its scan {volume.voxels.shape}",
            where=volume.path,
        )
    back = ornt_transform(axcodes2ornt("RAS"), volume.turn)
    stored = np.ascontiguousarray(apply_orientation(label, back), np.uint8)
    return stored, volume.affine @ inv_ornt_aff(back, label.shape)
