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
from ssl_lib.data.formats import prediction_name, read_scan, read_volume
from ssl_lib.data.reading import Volume
from ssl_lib.evaluation.metrics import score_scan, summarise
from ssl_lib.export.model import ExportedModel, Predicted, predict_volume
from ssl_lib.utils.atomic import replace_own
from ssl_lib.utils.errors import InputError


def predict_files(
    models: Mapping[str, ExportedModel],
    fingerprint: Fingerprint,
    scans: Iterable[str],
    folder: str | Path,
    dicom: str = ".dcm",
) -> tuple[dict[str, dict[str, Predicted]], dict[str, dict[str, InputError]]]:
    """Predict scans of a folder by the network of each row into `folder/ROW/SCAN.nii.gz`, or the
    ending of the scan's own format, for DICOM series `dicom` (see `formats.prediction_name`). Each
    scan is read once.

    Returns, by row and scan, what was predicted, and why the other scans could not be: one bad
    file, or one label map that somebody has changed, does not stop the others.
    """
    done: dict[str, dict[str, Predicted]] = {row: {} for row in models}
    refused: dict[str, dict[str, InputError]] = {row: {} for row in models}
    for scan in scans:
        files = fingerprint.listing.files(scan)
        try:
            volume = read_scan(files)
            name = prediction_name(scan, files[0], dicom)
        except InputError as error:
            for row in models:
                refused[row][scan] = error
            continue
        for row, model in models.items():
            try:
                done[row][scan] = predict_volume(model, volume, Path(folder) / row / name)
            except InputError as error:
                refused[row][scan] = error
    return done, refused


def write_list(
    path: str | Path,
    predicted: Mapping[str, Predicted],
    groups: Mapping[str, str],
    refused: Mapping[str, InputError] | None = None,
) -> Path:
    """A table (CSV) of predicted scans: group, volume of each class (ml, for pictures pixels),
    warnings.

    Scans that were `refused` are listed with the reason and without volumes. `groups` names the
    group of each scan, such as "labelled": a reader must know which scans the network has learnt
    from. Returns `path`. Raises `InputError` if another file is there.
    """
    first = next(iter(predicted.values()), None)
    names, unit = ([], "ml") if first is None else (list(first.sizes), first.unit)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    heads = ["scan", "group", *(f"{name} ({unit})" for name in names), "warnings"]
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
    folder: str | Path,
    fingerprint: Fingerprint,
    scans: Mapping[str, Sequence[str]],
    dicom: str = ".dcm",
) -> dict[str, tuple[Mapping[str, float], list[dict[str, Any]]]]:
    """Scores of written predictions, `folder/ROW/SCAN.nii.gz`, against the folder's label maps,
    read anew from the files (those of DICOM series end in `dicom`). `scans` names those of each
    row.

    Returns for each row the means over scans and classes (`dice`, `jaccard`, `hd95` and `asd` in
    mm, `empty_predictions`) and one entry for each scan and class, as a result file has them.
    Raises `InputError` if a file is missing, does not lie on the voxels of its scan, or the scan
    has no label map.
    """
    per_case: dict[str, list[dict[str, Any]]] = {row: [] for row in scans}
    listing, values = fingerprint.listing, fingerprint.values
    for scan in dict.fromkeys(scan for names in scans.values() for scan in names):
        if scan not in listing.labels:
            raise InputError(f"scan {scan!r} has no label map to be scored against")
        image = read_volume(listing.images[scan])
        truth = read_classes(listing.labels[scan], image, values, listing.codes)
        name = prediction_name(scan, listing.images[scan], dicom)
        for row in (row for row, names in scans.items() if scan in names):
            found = read_classes(Path(folder) / row / name, image, values, listing.codes)
            scores = score_scan(found, truth, n_classes=len(values), spacing=image.spacing)
            for score in scores:
                entry = asdict(score)
                per_case[row].append({"id": scan, "class": entry.pop("class_index"), **entry})
    return {row: (summarise(entries), entries) for row, entries in per_case.items()}
