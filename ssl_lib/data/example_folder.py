"""A folder of NIfTI files as people have them: procedural hearts, a few labels, a few mistakes.

Some files are stored in other orientations, one label map as float, one image with a fourth axis:
all that is handled. And some are wrong on purpose, one of each kind in `MISTAKES`.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from jaxtyping import Float32, UInt8
from nibabel.orientations import axcodes2ornt, ornt_transform
from scipy.ndimage import zoom

from ssl_lib.data.phantom import CLASS_NAMES, GRIDS, phantom_scan

EXAMPLE = "phantom_folder"
RELEASE = "1"
LABELLED, UNLABELLED, TEST, NEW = 18, 12, 8, 2
SPACING = 3.0
ORIENTATIONS = ("RAS", "LPS", "RAS", "LAS", "PIR")
MISTAKES = {
    "heart_03": "the header of the label map is mirrored",
    "heart_05": "the image is an empty file",
    "heart_07": "the label map holds a stray value",
    "heart_21": "voxels of another size",
    "heart_30": "the same image as heart_24",
}

Image = Float32[np.ndarray, "x y z"]
Label = UInt8[np.ndarray, "x y z"]


def write_example_folder(folder: Path) -> Path:
    """Write the folder unless it is there already; returns its path.

    It appears whole or not at all. An example of an older release is replaced.
    """
    about = folder / "dataset.json"
    if about.exists():
        try:
            content = json.loads(about.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            content = None
        if not isinstance(content, dict) or content.get("name") != EXAMPLE:
            return folder  # not ours to replace; the fingerprint says what is wrong with it
        if content.get("release") == RELEASE:
            return folder
        shutil.rmtree(folder)
    part = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.part")
    for number in range(1, LABELLED + UNLABELLED + TEST + NEW + 1):
        _write_subject(part, number)
    for name, spoil in SPOILERS.items():
        spoil(part, name)
    (part / "dataset.json").write_text(json.dumps(_description(), indent=1), encoding="utf-8")
    try:
        part.rename(folder)
    except OSError:  # another process was faster
        shutil.rmtree(part)
    return folder


def example_subject(number: int, spacing: float = SPACING) -> tuple[Image, Label]:
    """Image (arbitrary units) and label map of one subject, axes to the right, front and top."""
    image, label = phantom_scan(np.random.default_rng([2027, number]), 3)
    factors = [size / spacing for size in GRIDS[3][1]]
    image = zoom(image, factors, order=1).transpose(2, 1, 0)
    return image.astype(np.float32), zoom(label, factors, order=0).transpose(2, 1, 0)


def write_oriented(path: Path, voxels: np.ndarray, spacing: float, orientation: str) -> None:
    """Write voxels that lie to the right, front and top as a file of another orientation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(voxels, np.diag([spacing, spacing, spacing, 1.0]))
    turn = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(orientation))
    image.as_reoriented(turn).to_filename(path)


def _write_subject(folder: Path, number: int) -> None:
    name, (image, label) = f"heart_{number:02}", example_subject(number)
    training = number <= LABELLED + UNLABELLED
    part = "Tr" if training else "Ts"
    has_label = number <= LABELLED or 0 < number - LABELLED - UNLABELLED <= TEST
    orientation = ORIENTATIONS[number % len(ORIENTATIONS)]
    voxels = image[..., None] if number == 12 else np.round(image).astype(np.int16)
    if voxels.ndim == 4:  # one channel
        orientation = "RAS"
    write_oriented(folder / f"images{part}" / f"{name}.nii.gz", voxels, SPACING, orientation)
    if has_label:
        kind = np.float32 if number == 11 else np.uint8
        path = folder / f"labels{part}" / f"{name}.nii.gz"
        write_oriented(path, label.astype(kind), SPACING, orientation)


def _mirrored_header(folder: Path, name: str) -> None:
    path = folder / "labelsTr" / f"{name}.nii.gz"
    label = nibabel.Nifti1Image.from_filename(path)
    affine = label.affine @ np.diag([-1.0, 1, 1, 1])
    nibabel.Nifti1Image(np.asarray(label.dataobj), affine).to_filename(path)


def _empty_file(folder: Path, name: str) -> None:
    (folder / "imagesTr" / f"{name}.nii.gz").write_bytes(b"")


def _stray_value(folder: Path, name: str) -> None:
    path = folder / "labelsTr" / f"{name}.nii.gz"
    label = nibabel.Nifti1Image.from_filename(path)
    voxels = np.asarray(label.dataobj).copy()
    voxels[:2, :2, :2] = 7
    nibabel.Nifti1Image(voxels, label.affine).to_filename(path)


def _other_voxels(folder: Path, name: str) -> None:
    image, _ = example_subject(21, spacing=1.8 * SPACING)
    path = folder / "imagesTr" / f"{name}.nii.gz"
    write_oriented(path, np.round(image).astype(np.int16), 1.8 * SPACING, "RAS")


def _twin(folder: Path, name: str) -> None:
    images = folder / "imagesTr"
    shutil.copyfile(images / "heart_24.nii.gz", images / f"{name}.nii.gz")


SPOILERS: dict[str, Callable[[Path, str], None]] = {
    "heart_03": _mirrored_header,
    "heart_05": _empty_file,
    "heart_07": _stray_value,
    "heart_21": _other_voxels,
    "heart_30": _twin,
}


def _description() -> dict[str, Any]:
    """The content of dataset.json."""
    return {
        "name": EXAMPLE,
        "release": RELEASE,
        "labels": {str(value): name for value, name in enumerate(CLASS_NAMES)},
        "licence": "procedural, no restriction",
        "reference": "generated by ssl_lib.data.example_folder",
    }
