"""Predictions as files: written for many scans, listed, read back, and scored as written."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from ssl_lib.data.fingerprint import Fingerprint, read_label
from ssl_lib.data.folder_files import Codes
from ssl_lib.data.formats import prediction_name, read_volume
from ssl_lib.data.reading import Volume
from ssl_lib.evaluation.metrics import score_scan, summarise
from ssl_lib.export.model import ExportedModel, Predicted, predict_scan
from ssl_lib.utils.atomic import replace_own
from ssl_lib.utils.errors import InputError


def predict_files(
    model: ExportedModel,
    fingerprint: Fingerprint,
    scans: Iterable[str],
    folder: str | Path,
    dicom: str = ".dcm",
) -> tuple[dict[str, Predicted], dict[str, InputError]]:
    """Predict scans of a folder into `folder/SCAN.nii.gz`, or the ending of the scan's own format,
    for DICOM series `dicom` (see `formats.prediction_name`).

    Returns what was predicted, and why the other scans could not be, by scan: one bad file, or one
    label map that somebody has changed, does not stop the others.
    """
    done, refused = {}, {}
    for scan in scans:
        files = fingerprint.listing.files(scan)
        try:
            written = Path(folder) / prediction_name(scan, files[0], dicom)
            done[scan] = predict_scan(model, files, written)
        except InputError as error:
            refused[scan] = error
    return done, refused


def write_list(
    path: str | Path,
    predicted: Mapping[str, Predicted],
    groups: Mapping[str, str],
    refused: Mapping[str, InputError] | None = None,
) -> Path:
    """A table (CSV) of predicted scans: group, volume of each class (ml, for pictures pixels), what
    to be careful of.

    Scans that were `refused` are listed with the reason and without volumes. `groups` names the
    group of each scan, such as "labelled": a reader must know which scans the network has learnt
    from. Returns `path`. Raises `InputError` if another file is there.
    """
    first = next(iter(predicted.values()), None)
    names, unit = ([], "ml") if first is None else (list(first.sizes), first.unit)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    heads = ["scan", "group", *(f"{name} ({unit})" for name in names), "careful"]
    table.writerow(map(_no_formula, heads))
    for scan, one in predicted.items():
        sizes = [f"{one.sizes[name]:.3f}" for name in names]
        cells = [scan, groups.get(scan, "outside"), *sizes, "; ".join(one.warnings)]
        table.writerow(map(_no_formula, cells))
    for scan, error in (refused or {}).items():
        reason = f"not predicted: {error.where}: {error.problem}"
        cells = [scan, groups.get(scan, "outside"), *("" for _ in names), reason]
        table.writerow(map(_no_formula, cells))
    replace_own(Path(path), text.getvalue().encode())
    return Path(path)


def _no_formula(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula, whatever a scan is called."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@")) else cell


def read_classes(
    path: Path, image: Volume, values: Sequence[int], codes: Codes | None = None
) -> UInt8[np.ndarray, "x y z"]:
    """The classes (0, 1, ...) of a label map, or of a written prediction, of an image.

    `values` are the numbers that stand for them in the file, `codes` the values of colours in
    pictures and of segments in DICOM-SEG (`Listing.codes`). Raises `InputError` if the file cannot
    be read, does not lie on the voxels of the image, or holds another value.
    """
    found = read_label(image, path, codes)
    extra = np.setdiff1d(found, values)
    if extra.size:
        raise InputError(
            f"holds the value {extra[0]}", where=path, expected=", ".join(map(str, values))
        )
    return np.searchsorted(values, found).astype(np.uint8)


def score_files(
    folder: str | Path, fingerprint: Fingerprint, scans: Sequence[str], dicom: str = ".dcm"
) -> tuple[Mapping[str, float], list[dict[str, Any]]]:
    """Scores of written predictions against the folder's label maps, read anew from both files
    (those of DICOM series end in `dicom`).

    Returns the means over scans and classes (`dice`, `jaccard`, `hd95` and `asd` in mm,
    `empty_predictions`) and one entry for each scan and class, as a result file has them. Raises
    `InputError` if a file is missing, does not lie on the voxels of its scan, or the scan has no
    label map.
    """
    per_case = []
    for scan in scans:
        if scan not in fingerprint.listing.labels:
            raise InputError(f"scan {scan!r} has no label map to be scored against")
        listing = fingerprint.listing
        image = read_volume(listing.images[scan])
        written = Path(folder) / prediction_name(scan, listing.images[scan], dicom)
        predicted, truth = (
            read_classes(file, image, fingerprint.values, listing.codes)
            for file in (written, listing.labels[scan])
        )
        n_classes = len(fingerprint.values)
        for score in score_scan(predicted, truth, n_classes=n_classes, spacing=image.spacing):
            entry = asdict(score)
            per_case.append({"id": scan, "class": entry.pop("class_index"), **entry})
    return summarise(per_case), per_case
