"""How the files of each public set become cases."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ssl_lib.data.cohort import Case
from ssl_lib.data.published import PublishedSet
from ssl_lib.data.reading import (
    as_image,
    as_label,
    normalise,
    only_classes,
    read_hdf5,
    read_nifti,
    same_grid,
    same_shape,
)
from ssl_lib.utils.errors import InputError


def read_scan(entry: PublishedSet, folder: Path, scan: str) -> list[Case]:
    """The case of one scan, with its label; for acdc the two cases of one patient.

    Raises `InputError` that names the file for anything that cannot be right.
    """
    return _READERS[entry.name](entry, folder, scan)


def _read_hippocampus(entry: PublishedSet, folder: Path, scan: str) -> list[Case]:
    image = read_nifti(folder / "images" / f"{scan}.nii.gz")
    label = read_nifti(folder / "labels" / f"{scan}.nii.gz")
    same_grid(image, label)
    classes = as_label(label.voxels, label.path)
    only_classes(classes, len(entry.class_names), label.path)
    voxels = normalise(as_image(image.voxels, image.path))
    return [Case(scan, entry.patient_of(scan), voxels, image.spacing, classes, image.path)]


def _read_la2018(entry: PublishedSet, folder: Path, scan: str) -> list[Case]:
    """Voxels as stored: they are z-scored over the scan before it was cropped."""
    (path,) = entry.files_of(scan)
    return [replace(_read_hdf5_case(entry, folder / path), case_id=scan, patient=scan)]


def _read_acdc(entry: PublishedSet, folder: Path, patient: str) -> list[Case]:
    """The two heart phases of a patient, each a stack of slices; voxels as stored, in [0, 1]."""
    frames: dict[str, list[Path]] = {}
    for path in entry.files_of(patient):
        frames.setdefault(re.split(r"_slice_|\.h5", Path(path).name)[0], []).append(folder / path)
    return [
        replace(_stack(entry, frames[frame]), case_id=frame, patient=patient)
        for frame in sorted(frames)
    ]


def _stack(entry: PublishedSet, paths: Sequence[Path]) -> Case:
    """One case from a volume file, or from the files of its slices, which count from 1."""
    if "_slice_" not in paths[0].name:
        return _read_hdf5_case(entry, paths[0])
    numbered = {int(re.split(r"_slice_|\.h5", path.name)[1]): path for path in paths}
    if sorted(numbered) != list(range(1, len(numbered) + 1)):
        raise InputError(f"has the slices {sorted(numbered)}", where=paths[0].parent)
    slices = [_read_hdf5_case(entry, numbered[number]) for number in sorted(numbered)]
    for one in slices:
        same_shape(slices[0].image.shape, one.image.shape, one.path)
    return replace(
        slices[0],
        image=np.stack([one.image for one in slices]),
        label=np.stack([one.label for one in slices if one.label is not None]),
        spacing=(1.0, 1.0, 1.0),
    )


def _read_hdf5_case(entry: PublishedSet, path: Path) -> Case:
    image, label = read_hdf5(path)
    only_classes(label, len(entry.class_names), path)
    return Case(path.stem, path.stem, image, (1.0,) * image.ndim, label, path)


_READERS: dict[str, Callable[[PublishedSet, Path, str], list[Case]]] = {
    "hippocampus": _read_hippocampus,
    "la2018": _read_la2018,
    "acdc": _read_acdc,
}
