"""Which files hold scans and label maps: one table of formats and of the ends of their names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

Format = Literal["nifti", "itk", "dicom", "picture"]

SUFFIXES: dict[Format, tuple[str, ...]] = {
    "nifti": (".nii.gz", ".nii"),
    "itk": (".seg.nrrd", ".nrrd", ".nhdr", ".mha", ".mhd"),
    "dicom": (".dcm",),
    "picture": (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"),
}
"""Ends of names by format, in small letters. A DICOM series is a folder, or one file with all its
slices. Of several files of one scan the one whose format stands first here is used."""
READ = (
    "NIfTI (.nii, .nii.gz), .mha, .mhd, .nrrd, .png, .jpg, .tif, a folder for a DICOM series, or a"
    " .dcm file with all its slices"
)
"""What is read, in words."""
MOST_LOOKED_AT = 1000
"""Files of a folder that are looked at to decide whether it holds DICOM."""


def suffix_of(name: str) -> str:
    """The end of a file's name that says its format, in small letters; "" if none does."""
    endings = (ending for known in SUFFIXES.values() for ending in known)
    return next((ending for ending in endings if name.lower().endswith(ending)), "")


def format_of(path: Path) -> Format | None:
    """The format of a file by its name, "dicom" for a folder; None if it is none that is read."""
    if path.is_dir():
        return "dicom"
    ending = suffix_of(path.name)
    return next((name for name, known in SUFFIXES.items() if ending in known), None)


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM: by the letters DICM behind its preamble, or by its name."""
    if path.name.lower().endswith(".dcm"):
        return True
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def dicom_files(folder: Path) -> list[Path]:
    """All DICOM files in a folder and the folders inside it, sorted; hidden files are passed over,
    and so is the table of contents of a disc. Of a file that file."""
    if not folder.is_dir():
        return [folder]
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files = (Path(parent) / name for name in sorted(names) if not name.startswith("."))
        found += [path for path in files if path.name != "DICOMDIR" and is_dicom(path)]
    return found


def holds_dicom(folder: Path) -> bool:
    """Whether one of the first files in a folder, or in the folders inside it, is DICOM."""
    seen = 0
    for parent, _, names in os.walk(folder):
        for name in sorted(names):
            if is_dicom(Path(parent) / name):
                return True
            seen += 1
            if seen >= MOST_LOOKED_AT:
                return False
    return False
