"""A DICOM series as one volume, from a folder of files or one file of many frames; all but one
whole series is refused. Single slices are read by SimpleITK, frames as `dicom_frames` says.

ITK would read a series without one of its slices, and one of two series in a folder, and say
nothing. So the place of every slice is looked at first.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Shaped

from ssl_lib.data.dicom_frames import Slice, frame_voxels, frames_in, holds_frames
from ssl_lib.data.itk_files import TO_RAS, itk_affine, itk_voxels
from ssl_lib.data.nifti_bytes import AGAIN, fits_into_memory
from ssl_lib.data.reading import Volume, reoriented
from ssl_lib.data.suffixes import dicom_files
from ssl_lib.utils.errors import InputError

if TYPE_CHECKING:
    import SimpleITK

SERIES, KIND, NAME, POSITION = "0020|000e", "0008|0060", "0008|103e", "0020|0032"
PATIENT = "0010|0020"
UNEVEN = 0.1
"""Distances between slices may differ by this share of the median."""
MISSING = 1.5
"""A distance of more than so many medians is a missing slice."""
TILT = 0.01
"""Slices may move sideways by this share of their distance: rounding, no tilted gantry."""
TURNED = 1e-3
"""Directions of slices may differ by this much."""


def read_dicom(path: Path, *, turned_as: Volume | None = None) -> Volume:
    """The volume of the one DICOM series in a folder or a file, its axes turned or flipped to
    right, front, top (see `reading.read_nifti`); grey levels are those of rescale slope and
    intercept.

    Raises `InputError` for a folder with two series, a series with missing slices, with slices of
    several sizes or directions, or several at one place, a tilted gantry, and damaged files.
    """
    slices, affine = series_in(path)
    fits_into_memory(8 * len(slices) * int(np.prod(slices[0].size)), path)
    channels = frame_voxels(slices) if slices[0].frame else _file_voxels(slices, path)
    first, *others = (reoriented(one, affine, path, turned_as) for one in channels)
    return replace(first, further=tuple((one.voxels, path) for one in others))


def _file_voxels(slices: list[Slice], folder: Path) -> list[Shaped[np.ndarray, "x y z"]]:
    """The channels of slices in files of their own."""
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames([str(one.path) for one in slices])
    several = slices[0].components > 1
    kinds = SimpleITK.sitkFloat32, SimpleITK.sitkVectorFloat32
    reader.SetOutputPixelType(kinds[several])  # floats: a slope may differ from slice to slice
    return [one.reshape((*one.shape[:2], -1)) for one in itk_voxels(reader.Execute, folder)]


def series_in(folder: Path) -> tuple[list[Slice], Float[np.ndarray, "4 4"]]:
    """The slices of the series in a folder, or in one file, in the order of their places, and its
    affine (RAS, mm).

    Raises `InputError` as `read_dicom`.
    """
    files = dicom_files(folder)
    many = len(files) == 1 and holds_frames(files[0])
    slices = frames_in(files[0]) if many else [_slice(path) for path in files]
    if not slices:
        raise InputError("holds no DICOM file", where=folder, expected="the files of one series")
    _refuse_two_series(slices, folder)
    _refuse_unlike(slices)
    first = slices[0]
    if len(slices) == 1:
        return slices, TO_RAS @ first.affine
    heights = [float(one.affine[:3, 3] @ first.normal) for one in slices]
    order = np.argsort(heights, kind="stable")
    slices, heights = [slices[i] for i in order], [heights[i] for i in order]
    gap = _even_gap(slices, np.diff(heights), folder)
    affine = slices[0].affine.copy()
    affine[:3, 2] = gap * first.normal
    _refuse_tilt(slices, affine, folder)
    return slices, TO_RAS @ affine


def patient_id(folder: Path) -> str:
    """The patient that the first file of a series names, "" if it names none."""
    files = dicom_files(folder)
    with suppress(RuntimeError):
        return _tag(_information(files[0]), PATIENT) if files else ""
    return ""


def _information(path: Path) -> SimpleITK.ImageFileReader:
    """A reader that has read the tags of a file."""
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("GDCMImageIO")
    reader.ReadImageInformation()
    return reader


def _slice(path: Path) -> Slice:
    try:
        reader = _information(path)
    except RuntimeError:
        raise InputError(
            "cannot be read as a DICOM image",
            where=path,
            expected="images of one series",
            fix=f"{AGAIN}; if it is a report or a contour (RTSTRUCT, SEG), move it away",
        ) from None
    size = tuple(reader.GetSize())
    if len(size) > 3 or (len(size) == 3 and size[2] > 1):
        raise InputError(
            f"is a multi-frame file ({size[-1]} frames) among others",
            where=path,
            expected="one file with all frames, or one slice in each file",
            fix="give it a folder of its own",
        )
    kind, name = _tag(reader, KIND), _tag(reader, NAME)
    words = " ".join(part for part in (kind, repr(name) if name else "") if part)
    placed = reader.HasMetaDataKey(POSITION)
    affine, components = TO_RAS @ itk_affine(reader), reader.GetNumberOfComponents()
    return Slice(path, size[:2], _tag(reader, SERIES), words, affine, placed, components)


def _tag(reader: SimpleITK.ImageFileReader, key: str) -> str:
    """The text of a tag, or "". What is no UTF-8 is spelt out."""
    if not reader.HasMetaDataKey(key):
        return ""
    return reader.GetMetaData(key).strip().encode("utf-8", "backslashreplace").decode()


def _refuse_two_series(slices: list[Slice], folder: Path) -> None:
    counts: dict[str, list[Slice]] = {}
    for one in slices:
        counts.setdefault(one.series, []).append(one)
    if len(counts) > 1:
        words = [
            f"{len(members)} of {members[0].words or 'no name'}"
            f" (such as {members[0].path.relative_to(folder).as_posix()})"
            for members in counts.values()
        ]
        raise InputError(
            f"holds {len(counts)} series: {'; '.join(words)}",
            where=folder,
            expected="one series for each scan",
            fix="leave the series that is meant, and move the others into folders of their own",
        )


def _refuse_unlike(slices: list[Slice]) -> None:
    """Slices of another size or direction than the first, and those without a place."""
    first = slices[0]
    for one in slices:
        if not one.placed and len(slices) > 1:
            raise InputError(
                "does not say where its slice lies",
                where=one.path,
                expected="Image Position (Patient) in each file",
                fix="export the series again",
            )
        turned = np.abs(one.affine[:3, :2] - first.affine[:3, :2]).max()
        if one.size != first.size or turned > TURNED * np.linalg.norm(first.affine[:3, 0]):
            what = "size" if one.size != first.size else "direction or pixel size"
            raise InputError(
                f"has another {what} than {first.name}",
                where=one.path,
                expected="slices of one stack",
                fix="move overviews (scouts, localizers) and other stacks away",
            )


def _even_gap(slices: list[Slice], gaps: Float[np.ndarray, " gap"], folder: Path) -> float:
    """The distance between slices in mm; refuses missing ones, and several at one place."""
    usual = float(np.median(gaps))
    low, high = int(gaps.argmin()), int(gaps.argmax())
    if gaps[low] < 1e-3:
        raise InputError(
            f"{slices[low].name} and {slices[low + 1].name} lie at one place",
            where=folder,
            expected="one image for each place",
            fix="if these are time points, echoes or copies, leave one of them here",
        )
    pair = f"{slices[high].name} and {slices[high + 1].name}"
    if gaps[high] > MISSING * usual:
        lost = sum(round(gap / usual) - 1 for gap in gaps if gap > MISSING * usual)
        raise InputError(
            f"{lost} slice{'s are' if lost > 1 else ' is'} missing: {pair} lie"
            f" {gaps[high]:.3g} mm apart, others {usual:.3g} mm",
            where=folder,
            expected="every slice of the series",
            fix="export or copy the series again",
        )
    if np.abs(gaps - usual).max() > UNEVEN * usual:
        raise InputError(
            f"its slices lie {gaps[low]:.3g} to {gaps[high]:.3g} mm apart",
            where=folder,
            expected="one distance between all slices",
            fix="resample it, for example by dcm2niix, and use its NIfTI file",
        )
    return float(gaps.mean())


def _refuse_tilt(slices: list[Slice], affine: Float[np.ndarray, "4 4"], folder: Path) -> None:
    """Slices that are shifted against each other along their own plane."""
    moved = slices[-1].affine[:3, 3] - slices[0].affine[:3, 3]
    across = affine[:3, 2] / np.linalg.norm(affine[:3, 2])
    sideways = float(np.linalg.norm(moved - (moved @ across) * across))
    if sideways > TILT * float(moved @ across):
        raise InputError(
            f"its slices are shifted against each other, by {sideways:.3g} mm in all: the gantry"
            " was tilted",
            where=folder,
            expected="slices that lie straight above each other",
            fix="convert it with dcm2niix, which undoes the tilt, and use its NIfTI file",
        )
