"""The heart benchmarks in miniature: their file layouts, filled with procedural hearts.

`install(folder)` writes the files of both and makes this process take them for the published ones.
A notebook that is promised for a data set is run on its miniature by a test, so that it cannot
break unseen.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from tiny_scans import write_hdf5

from ssl_lib.data import published
from ssl_lib.data.cohort import Case, known_label
from ssl_lib.data.phantom import phantom_cohort

TRAINING, OTHERS = 6, 2
"""Patients (or scans) for training, and for validation and test each."""


def install(folder: str | Path) -> None:
    """Write both miniatures below `folder`, unless they are there, and register them."""
    folder = Path(folder)
    if not (folder / "acdc").exists():
        _write_acdc(folder / "acdc" / "data", _hearts(2))
        _write_la(folder / "la2018", _hearts(3))
    patients, scans = (
        [f"{kind}{number}" for number in range(TRAINING + 2 * OTHERS)] for kind in ("p", "s")
    )
    cut = slice(TRAINING), slice(TRAINING, TRAINING + OTHERS), slice(TRAINING + OTHERS, None)
    _register("acdc", folder, *(tuple(patients[part]) for part in cut))
    training, _, test = (tuple(scans[part]) for part in cut)
    _register("la2018", folder, training, (), test)


def _hearts(dimensions: int) -> list[tuple[Case, np.ndarray]]:
    cohort = phantom_cohort(2, dimensions=dimensions, max_scans=24)
    cases = (cohort.labelled + cohort.unlabelled)[:8] + cohort.validation + cohort.test
    return [(case, known_label(cohort, case)) for case in cases[: TRAINING + 2 * OTHERS]]


def _write_acdc(folder: Path, hearts: list[tuple[Case, np.ndarray]]) -> None:
    """Two phases a patient, slice files for training, volumes for the others; sizes vary."""
    for number, (case, label) in enumerate(hearts):
        inner = (slice(0, 5), slice(0, 60 - 2 * number), slice(0, 48 + number))
        image, classes = case.image[inner], label[inner]
        image = (image - image.min()) / np.ptp(image)
        for frame in (1, 12):
            name = f"p{number}_frame{frame:02}"
            if number >= TRAINING:
                write_hdf5(folder / f"{name}.h5", image**frame**0.1, classes)
                continue
            for place in range(len(image)):
                path = folder / f"{name}_slice_{place + 1}.h5"
                write_hdf5(path, image[place] ** frame**0.1, classes[place])


def _write_la(folder: Path, hearts: list[tuple[Case, np.ndarray]]) -> None:
    """One volume a scan, one class."""
    for number, (case, label) in enumerate(hearts):
        path = folder / "2018LA_Seg_Training Set" / f"s{number}" / "mri_norm2.h5"
        write_hdf5(path, case.image, (label > 0).astype(np.uint8))


def _register(name: str, folder: Path, *lists: tuple[str, ...]) -> None:
    entry = replace(published.PUBLISHED[name], validation_count=OTHERS)
    files = sorted((folder / name).rglob("*.h5"))
    training, validation, test = lists
    entry.__dict__.update(
        hashes={
            path.relative_to(folder / name).as_posix(): hashlib.sha256(
                path.read_bytes()
            ).hexdigest()
            for path in files
        },
        voxel_hashes={},
        training=training,
        validation=validation,
        test=test,
    )
    object.__setattr__(entry, "published_label_counts", (1, 2))
    published.PUBLISHED[name] = entry
