"""Scans as .mha, .mhd, .nrrd and .nhdr, read and written by SimpleITK.

ITK counts millimetres to the left, back and top (LPS); here they are counted to the right, front
and top (RAS), as NIfTI does.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from ssl_lib.data.nifti_bytes import AGAIN, fits_into_memory, only_numbers, unreadable
from ssl_lib.data.reading import Volume, reoriented
from ssl_lib.data.suffixes import suffix_of
from ssl_lib.utils.errors import InputError

if TYPE_CHECKING:
    import SimpleITK

TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""From LPS to RAS, and back."""
DETACHED = re.compile(rb"^(?:ElementDataFile\s*=|data ?file:)\s*(.*?)\s*$", re.M | re.I)
"""The line of a header that says where the voxels are."""
HEADER_BYTES = 2**16


def read_itk(path: Path, *, turned_as: Volume | None = None) -> Volume:
    """The volume of a file, its axes turned or flipped to right, front, top (see `read_nifti`).

    Several numbers for each voxel are channels. An image with two axes becomes a volume of one
    slice, 1 mm thick. Raises `InputError` for a file that is missing, cut off or damaged, whose
    voxels lie in another folder, or that is no volume.
    """
    reader = itk_information(path)
    voxels = itk_voxels(reader.Execute, path)
    affine = itk_affine(reader)
    first, *others = (
        reoriented(_with_three_axes(one, path), affine, path, turned_as) for one in voxels
    )
    volume = replace(first, further=tuple((one.voxels, path) for one in others))
    return volume if _states_space(reader) else volume.unplaced()


def itk_information(path: Path) -> SimpleITK.ImageFileReader:
    """A reader that has read the header of a file, which fits into memory."""
    import SimpleITK

    start = _start(path)
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)  # its remarks name no file; ours do
    _refuse_far_voxels(start, path)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    nrrd = suffix_of(path.name).endswith((".nrrd", ".nhdr"))
    reader.SetImageIO("NrrdImageIO" if nrrd else "MetaImageIO")
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        raise InputError(
            f"cannot be read as {'NRRD' if nrrd else 'MetaImage'}: its start is no header of the"
            " format",
            where=path,
            expected="a file as SimpleITK, 3D Slicer or ITK-SNAP write it",
            fix=AGAIN,
        ) from None
    fits_into_memory(8 * reader.GetNumberOfComponents() * int(np.prod(reader.GetSize())), path)
    return reader


def itk_voxels(
    execute: Callable[[], SimpleITK.Image], path: Path
) -> list[Shaped[np.ndarray, "*space"]]:
    """The channels of the image that `execute` returns, axes as ITK counts them: x, y, z."""
    import SimpleITK

    try:
        image = execute()
    except RuntimeError:
        raise InputError(
            "is cut off or damaged", where=path, expected="a whole file", fix=AGAIN
        ) from None
    voxels = SimpleITK.GetArrayFromImage(image).T
    only_numbers(voxels.dtype, path)
    return list(voxels) if image.GetNumberOfComponentsPerPixel() > 1 else [voxels]


def itk_affine(image: SimpleITK.ImageFileReader | SimpleITK.Image) -> Float[np.ndarray, "4 4"]:
    """From voxels to mm in RAS, of an image with two or three axes."""
    n = min(3, image.GetDimension())
    affine = np.eye(4)
    directions = np.array(image.GetDirection()).reshape(image.GetDimension(), -1)[:n, :n]
    affine[:n, :n] = directions * np.array(image.GetSpacing()[:n])
    affine[:n, 3] = image.GetOrigin()[:n]
    return TO_RAS @ affine


def itk_label_map(
    path: Path,
    stored: UInt8[np.ndarray, "x y z"],
    affine: Float[np.ndarray, "4 4"],
    scan: Path | None,
) -> bytes:
    """The content of a file `path` with a label map: the header of `scan` where that is a file of
    these formats, else one made of the affine (voxels to mm, RAS)."""
    import SimpleITK

    like = None if scan is None else itk_information(scan)
    flat = like is not None and like.GetDimension() == 2
    image = SimpleITK.GetImageFromArray(
        np.ascontiguousarray((stored[..., 0] if flat else stored).T)
    )
    if like is not None and like.GetDimension() < 4:
        place = like.GetSpacing(), like.GetOrigin(), like.GetDirection()
    else:
        lps = TO_RAS @ affine
        sizes = np.linalg.norm(lps[:3, :3], axis=0)
        place = sizes.tolist(), lps[:3, 3].tolist(), (lps[:3, :3] / sizes).ravel().tolist()
    image.SetSpacing(place[0])
    image.SetOrigin(place[1])
    image.SetDirection(place[2])
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / f"label{suffix_of(path.name)}"
        SimpleITK.WriteImage(image, str(part), useCompression=True)
        return part.read_bytes()


def _start(path: Path) -> bytes:
    """The first bytes of a file, which is there, may be read, and holds something."""
    try:
        with path.open("rb") as file:
            start = file.read(HEADER_BYTES)
    except OSError as error:
        raise unreadable(path, error) from None
    if not start:
        raise InputError("is empty (0 bytes)", where=path, fix=AGAIN)
    return start


def _refuse_far_voxels(start: bytes, path: Path) -> None:
    """Voxels may lie in the file itself or in one beside it, nowhere else."""
    found = DETACHED.search(start)
    place = found[1].decode("utf-8", "replace") if found else "LOCAL"
    if place.upper() == "LOCAL":
        return
    if "/" in place or "\\" in place or place.upper().startswith("LIST") or "%" in place:
        raise InputError(
            f"keeps its voxels elsewhere ({place:.60})",
            where=path,
            expected="voxels in the file itself, or in one file beside it",
            fix="save it as .mha or .nrrd, which hold their voxels",
        )
    if not (path.parent / place).is_file():
        raise InputError(
            f"its voxels are missing: there is no file {place:.60} beside it",
            where=path,
            expected="both files, header and voxels, in one folder",
            fix="copy the file with the voxels, too, or save the scan as .mha or .nrrd",
        )


def _with_three_axes(
    voxels: Shaped[np.ndarray, "*space"], path: Path
) -> Shaped[np.ndarray, "x y z"]:
    shape = voxels.shape
    if len(shape) == 2:
        return voxels[..., None]
    if len(shape) < 2 or any(side != 1 for side in shape[3:]) or min(shape) < 1:
        raise InputError(
            f"has the shape {shape}",
            where=path,
            expected="one volume with three axes",
            fix="write channels or time points into files of their own: NAME_0000, NAME_0001, ...",
        )
    return voxels.reshape(shape[:3])


def _states_space(reader: SimpleITK.ImageFileReader) -> bool:
    """Whether a header says where its axes point: a NRRD file may leave it open."""
    is_nrrd = reader.GetMetaData("ITK_InputFilterName") == "NrrdImageIO"
    return not is_nrrd or reader.HasMetaDataKey("NRRD_space")
