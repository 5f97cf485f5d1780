"""A folder for nnU-Net v2: labelled scans, and unlabelled ones with their pseudo-labels.

The layout is that of nnU-Net's documentation ("dataset format"): `DatasetNNN_Name` with
`imagesTr/CASE_0000.nii.gz` (a number for each channel), `labelsTr/CASE.nii.gz` with the classes
0, 1, 2, ..., and `dataset.json`.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel
import numpy as np
from jaxtyping import Float, Shaped

from ssl_lib.data.fingerprint import Fingerprint
from ssl_lib.data.formats import read_scan
from ssl_lib.data.preprocessing import is_own_label_map, write_new_label_map
from ssl_lib.data.reading import as_image
from ssl_lib.export.predictions import read_classes
from ssl_lib.utils.atomic import is_unchanged, not_ours, replace_own
from ssl_lib.utils.errors import InputError


def write_nnunet_dataset(
    parent: str | Path,
    number: int,
    name: str,
    fingerprint: Fingerprint,
    labelled: Sequence[str],
    pseudo: Mapping[str, Path],
    class_names: Sequence[str],
) -> Path:
    """Write `parent/DatasetNNN_NAME`, ready for `nnUNetv2_plan_and_preprocess`; returns its path.

    Where the grey levels are Hounsfield units the only channel is called "CT", by which nnU-Net
    chooses how to normalise. `labelled` are scans by case id, whose label maps are taken from the
    folder; `pseudo` maps further scans to the files of their predictions. All are written with
    their axes to the right, front and top, image and label map on the same voxels. Which scans
    carry pseudo-labels stands in `dataset.json`. Unchanged files of an earlier choice of scans are
    removed. Raises `InputError` for a number or a name that nnU-Net does not take, for pictures,
    and for a file that would be replaced though it was changed.
    """
    folder = Path(parent) / _dataset_name(number, name)
    listing, cases = fingerprint.listing, (*labelled, *pseudo)
    names = [case.replace("/", "_") for case in cases]
    _make_room(names, folder)
    for case, file_name in zip(cases, names, strict=True):
        volume = read_scan(listing.files(case))
        if volume.unit == "pixel":
            raise InputError(
                "is a picture", where=volume.path, expected="volumes: nnU-Net reads PNG folders"
            )
        label_file = pseudo[case] if case in pseudo else listing.labels[case]
        label = read_classes(label_file, volume, fingerprint.values, listing.codes)
        channels = ((volume.voxels, volume.path), *volume.further)
        for channel, (voxels, path) in enumerate(channels):
            image = as_image(voxels, path, fill_nan=True)
            file = folder / "imagesTr" / f"{file_name}_{channel:04d}.nii.gz"
            replace_own(file, _nifti(image, volume.affine))
        (folder / "labelsTr").mkdir(exist_ok=True)
        write_new_label_map(folder / "labelsTr" / f"{file_name}.nii.gz", label, volume.affine)
    marked = names[len(labelled) :]
    kinds = [f"channel_{channel}" for channel in range(len(channels))]
    if len(kinds) == 1 and all(_is_ct(fingerprint, case) for case in cases):
        kinds = ["CT"]
    replace_own(folder / "dataset.json", _description(kinds, class_names, names, marked))
    return folder


def _dataset_name(number: int, name: str) -> str:
    if not 1 <= number <= 999 or not re.fullmatch(r"[A-Za-z0-9_]+", name):
        raise InputError(
            f"{number} and {name!r} name no data set of nnU-Net",
            expected="a number from 1 to 999, and a name of letters, digits and _",
        )
    return f"Dataset{number:03d}_{name}"


def _make_room(names: Sequence[str], folder: Path) -> None:
    """Refuse no scan and one scan twice. Scans of an earlier choice go, so that nnU-Net does not
    train on them, too; files that were not written here, or changed since, are refused."""
    if not names or len(set(names)) < len(names):
        raise InputError("no scan, or one scan twice", expected="at least one, each once")
    old = [path for path in folder.glob("labelsTr/*.nii.gz") if path.name[:-7] not in names]
    old += [path for path in folder.glob("imagesTr/*.nii.gz") if path.name[:-12] not in names]
    for path in old:
        own = is_own_label_map(path) if path.parent.name == "labelsTr" else is_unchanged(path)
        if not own:
            raise not_ours(path)
    for path in old:
        path.unlink()


def _nifti(image: Shaped[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"]) -> bytes:
    """A packed NIfTI file, float32, the affine from voxels to mm (RAS)."""
    file = nibabel.Nifti1Image(np.asarray(image, np.float32), affine)
    file.header.set_xyzt_units("mm")
    return gzip.compress(file.to_bytes(), compresslevel=3, mtime=0)


AIR = -500
"""Grey levels below it are air in Hounsfield units."""


def _is_ct(fingerprint: Fingerprint, case: str) -> bool:
    """Whether a scan looks like CT: a hundredth of its voxels or more is air."""
    return fingerprint.properties[case].quantiles[0] < AIR


def _description(
    channels: Sequence[str], class_names: Sequence[str], names: Sequence[str], marked: Sequence[str]
) -> bytes:
    """`dataset.json`; nnU-Net passes keys by that it does not know."""
    content = {
        "channel_names": {str(number): kind for number, kind in enumerate(channels)},
        "labels": {word: index for index, word in enumerate(("background", *class_names[1:]))},
        "numTraining": len(names),
        "file_ending": ".nii.gz",
        "pseudo_labelled": list(marked),
    }
    return json.dumps(content, indent=1).encode()
