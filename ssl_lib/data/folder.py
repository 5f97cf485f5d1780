"""A folder of one's own NIfTI files as a cohort; `folder_files` says what may lie in it.

Two doors lead in. `folder_cohort` is strict: all problems of the files are reported together, a
line each, and refused. `surveyed_cohort` takes what `fingerprint` found usable and says what was
left out. A folder without problems gives the same cohort by both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ssl_lib.data.cohort import Case, Cohort, seal
from ssl_lib.data.downsampling import shrink_factors, shrink_note
from ssl_lib.data.fingerprint import Survey, read_label
from ssl_lib.data.folder_files import Listing, Problems, list_folder
from ssl_lib.data.preprocessing import Geometry, slice_axis
from ssl_lib.data.reading import as_image, as_label, normalise, only_classes, read_nifti, same_grid
from ssl_lib.data.scan_files import Shelf
from ssl_lib.data.splits import Split, cap, hold_out, split_training
from ssl_lib.utils.errors import InputError, printable

VALIDATION_SHARE, TEST_SHARE = 0.15, 0.2


def folder_cohort(
    folder: Path, n_labelled: int, max_scans: int | None = None, split_seed: int = 0
) -> Cohort:
    """The cohort of a folder: spacing in mm, axes to the right, front and top, z-scored per scan.

    Raises `InputError` for an empty folder, too few labelled scans, and for broken files.
    """
    problems = Problems(folder)
    listing = list_folder(folder, problems)
    try:
        whole = folder_split(folder, listing, n_labelled, split_seed)
    except InputError:
        problems.refuse()  # a misnamed file is the likelier cause of too few label maps
        raise
    split = cap(whole, max_scans)
    cases, reader = {}, Shelf()
    for scan in split.all:
        with problems.collected():
            cases[scan] = reader.keep(_read_case(listing, scan))
    class_names = _class_names(listing, cases, problems)
    problems.refuse()
    axis = slice_axis(
        [case.image.shape for case in cases.values()], [case.spacing for case in cases.values()]
    )
    geometry, shelf = Geometry(axis), Shelf()
    cases = {scan: shelf.keep(geometry.case(case)) for scan, case in cases.items()}
    caveat = _caveat(listing, whole, geometry)
    return _sealed(folder, listing, split, cases, class_names, geometry, caveat)


def surveyed_cohort(
    survey: Survey,
    n_labelled: int,
    *,
    max_scans: int | None = None,
    largest_side: int | None = None,
    split_seed: int = 0,
) -> tuple[Cohort, Geometry]:
    """The cohort of what a survey found usable, and how its scans are shown to a network.

    Volumes whose median side is over `largest_side` are shrunk as they are read, so that no more
    than one is held whole (see `downsampling`). Scans that do not fit into memory are kept in
    files (see `scan_files`). Raises `InputError` if too few labelled scans remain, or if the
    disk has no room either.
    """
    listing, folder = survey.listing, survey.folder
    try:
        whole = folder_split(folder, listing, n_labelled, split_seed)
    except InputError as error:
        raise _too_little(survey, error) from None
    split = cap(whole, max_scans)
    shapes = [survey.facts[scan].shape for scan in split.all]
    limit = largest_side if survey.axis is None else None
    geometry = Geometry(survey.axis, shrink_factors(shapes, limit))
    shelf = Shelf()
    cases = {scan: shelf.keep(geometry.case(_read_usable(survey, scan))) for scan in split.all}
    caveat = _caveat(listing, whole, geometry)
    if survey.left_out:
        files = ", ".join(finding.file for finding in survey.left_out)
        caveat = f"Left out because they cannot be used: {files}. {caveat}"
    cohort = _sealed(folder, listing, split, cases, survey.class_names, geometry, caveat)
    return cohort, geometry


def _too_little(survey: Survey, error: InputError) -> InputError:
    """The refusal of a split, with the files that were left out before."""
    lost = [f"{one.file}: {one.problem}" for one in survey.left_out]
    fix = "label more scans, ask for fewer (N_LABELLED)"
    if lost:
        fix += " or mend what was left out:" + "".join(f"\n    {line}" for line in lost)
    return InputError(error.problem, where=error.where, expected=error.expected, fix=fix)


def _read_usable(survey: Survey, scan: str) -> Case:
    """A scan that the survey has read before, the values of its label map turned into classes."""
    listing = survey.listing
    volume = read_nifti(listing.images[scan])
    label = None
    if scan in listing.labels:
        values = read_label(volume, listing.labels[scan])
        label = np.searchsorted(survey.values, values).astype(np.uint8)
    voxels = normalise(as_image(volume.voxels, volume.path))
    return Case(scan, listing.patient_of(scan), voxels, volume.spacing, label, volume.path)


def _sealed(
    folder: Path,
    listing: Listing,
    split: Split,
    cases: Mapping[str, Case],
    class_names: tuple[str, ...],
    geometry: Geometry,
    caveat: str,
) -> Cohort:
    about = listing.description
    return seal(
        labelled=[cases[scan] for scan in split.labelled],
        unlabelled=[cases[scan] for scan in split.unlabelled],
        validation=[cases[scan] for scan in split.validation],
        test=[cases[scan] for scan in split.test],
        name=folder.resolve().name,
        dimensions=geometry.dimensions,
        class_names=class_names,
        spacing_unit="mm",
        licence=printable(about.get("licence") or about.get("license") or "not stated"),
        citation=printable(about.get("reference") or "not stated"),
        caveat=caveat,
    )


def folder_split(folder: Path, listing: Listing, n_labelled: int, seed: int = 0) -> Split:
    """The split of a folder by patient.

    Labelled test scans are the test set; without any, a fifth of the labelled scans is. Validation
    is about a seventh of the labelled training scans. Unlabelled scans of a patient who is held
    out are in no group. Raises `InputError` if too few labelled scans remain for training.
    """
    labelled = [scan for scan in listing.training if scan in listing.labels]
    if not labelled:
        raise InputError("no scan has a label map", where=folder, expected="labelsTr/NAME.nii.gz")
    patient_of = listing.patient_of
    test = listing.scored_test or hold_out(
        labelled, _share(TEST_SHARE, labelled), patient_of, seed=seed
    )
    validation = hold_out(
        labelled, _share(VALIDATION_SHARE, labelled), patient_of, never=test, seed=seed
    )
    pool = [scan for scan in labelled if scan not in {*validation, *test}]
    if not 1 <= n_labelled <= len(pool):
        raise InputError(
            f"{n_labelled} labelled scans were asked for; of {len(labelled)} in labelsTr,"
            f" {len(labelled) - len(pool)} are held out and {len(pool)} remain for training",
            where=folder,
            expected=f"1 to {len(pool)}" if pool else "more label maps in labelsTr",
            fix="set N_LABELLED to a number in that range" if pool else "",
        )
    away = {patient_of(scan) for scan in (*validation, *test)}
    unlabelled = [scan for scan in listing.training if scan not in listing.labels]
    free = [scan for scan in unlabelled if patient_of(scan) not in away]
    return split_training(pool + free, validation, test, n_labelled)


def _share(share: float, scans: Sequence[str]) -> int:
    return max(1, round(share * len(scans)))


def _caveat(listing: Listing, split: Split, geometry: Geometry) -> str:
    """The decisions on this folder in words."""
    test = "" if listing.scored_test else f"{len(split.test)} test scans (labelsTs has none) and "
    sentences = [
        f"Drawn by us from the labelled scans: {test}{len(split.validation)} validation scans."
    ]
    if not listing.patients:
        sentences.append("Each scan is taken for a patient of its own (there is no patients.csv).")
    lost = set(listing.training) - set(split.all)
    if lost:
        sentences.append(f"{len(lost)} unlabelled scans of held-out patients are left out.")
    unscored = len(listing.test) - len(listing.scored_test)
    if unscored:
        sentences.append(
            f"{unscored} scans of imagesTs without a label map are neither learnt nor scored."
        )
    if geometry.dimensions == 2:
        sentences.append("Slices are thick or few: they are learnt singly, in 2D.")
    if max(geometry.factors) > 1:
        sentences.append(shrink_note(geometry.factors))
    return " ".join(sentences)


def _read_case(listing: Listing, scan: str) -> Case:
    image = read_nifti(listing.images[scan])
    label = None
    if scan in listing.labels:
        volume = read_nifti(listing.labels[scan])
        same_grid(image, volume)
        label = as_label(volume.voxels, volume.path)
    voxels = normalise(as_image(image.voxels, image.path))
    return Case(scan, listing.patient_of(scan), voxels, image.spacing, label, image.path)


def _class_names(
    listing: Listing, cases: Mapping[str, Case], problems: Problems
) -> tuple[str, ...]:
    """The names in dataset.json, else a number for each value; notes label maps that do not fit."""
    names = listing.description.get("labels")
    labels = {scan: case.label for scan, case in cases.items() if case.label is not None}
    if names is None:
        used = sorted({0}.union(*(np.unique(label).tolist() for label in labels.values())))
        n_classes = next((n for n, value in enumerate(used) if n != value), len(used))
        names = ("background", *(f"class {value}" for value in range(1, n_classes)))
    for scan, label in labels.items():
        with problems.collected():
            only_classes(label, len(names), listing.labels[scan])
    if labels and not any(label.any() for label in labels.values()):
        problems.add("labelsTr", "no label map holds anything but 0")
    return names
