"""Predictions as files: written for many scans, and scored from what was written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ssl_lib.errors import InputError
from ssl_lib.kept import Kept, Predicted, predict_scan
from ssl_lib.metrics import score_scan, summarise
from ssl_lib.reading import read_nifti
from ssl_lib.survey import Survey, read_label


def predict_files(
    kept: Kept, survey: Survey, scans: Iterable[str], folder: str | Path
) -> dict[str, Predicted]:
    """Predict scans of a folder into `folder/SCAN.nii.gz`; what was predicted by scan name."""
    return {
        scan: predict_scan(kept, survey.listing.images[scan], Path(folder) / f"{scan}.nii.gz")
        for scan in scans
    }


def score_files(
    folder: str | Path, survey: Survey, scans: Sequence[str]
) -> tuple[Mapping[str, float], list[dict[str, Any]]]:
    """Scores of written predictions against the folder's label maps, read anew from both files.

    Returns the means over scans and classes (`dice`, `jaccard`, `hd95` and `asd` in mm,
    `empty_predictions`) and one entry for each scan and class, as a result file has them. Raises
    `InputError` if a file is missing, does not lie on the voxels of its label map, or the scan has
    no label map.
    """
    per_case = []
    for scan in scans:
        if scan not in survey.listing.labels:
            raise InputError(f"scan {scan!r} has no label map to be scored against")
        path = Path(folder) / f"{scan}.nii.gz"
        image = read_nifti(survey.listing.images[scan])
        files = (path, survey.listing.labels[scan])
        predicted, truth = (
            np.searchsorted(survey.values, read_label(image, file)).astype(np.uint8)
            for file in files
        )
        for score in score_scan(
            predicted, truth, n_classes=len(survey.values), spacing=image.spacing
        ):
            entry = asdict(score)
            per_case.append({"id": scan, "class": entry.pop("class_index"), **entry})
    return summarise(per_case), per_case
