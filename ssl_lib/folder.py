"""A folder of one's own NIfTI files as a cohort.

    FOLDER/imagesTr/NAME.nii.gz   scans for training (NAME_0000.nii.gz is understood, too)
    FOLDER/labelsTr/NAME.nii.gz   their label maps; a scan without one is unlabelled
    FOLDER/imagesTs, labelsTs     test scans and their label maps (optional)
    FOLDER/dataset.json           class names under "labels" (optional)
    FOLDER/patients.csv           a line "scan,patient" each (optional)

All problems of a folder are reported together, a line per file.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ssl_lib.cohorts import Case, Cohort, seal
from ssl_lib.errors import InputError
from ssl_lib.reading import as_image, as_label, normalise, only_classes, read_nifti, same_grid
from ssl_lib.splits import Split, cap, hold_out, split_training

VALIDATION_SHARE, TEST_SHARE = 0.15, 0.2
SUFFIXES = (".nii.gz", ".nii")


@dataclass
class Problems:
    """What is wrong with the files of a folder, a line each."""

    folder: Path
    lines: list[str] = field(default_factory=list)

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Note an `InputError` instead of raising it."""
        try:
            yield
        except InputError as error:
            self.add(error.where, error.problem)

    def add(self, path: str | Path | None, problem: str) -> None:
        """Note one problem of one file."""
        inside = isinstance(path, Path) and path.is_relative_to(self.folder)
        self.lines.append(f"{path.relative_to(self.folder) if inside else path}: {problem}")

    def refuse(self) -> None:
        """Raise `InputError` with all lines, if there is any."""
        if self.lines:
            raise InputError(
                f"{len(self.lines)} problem{'s' if len(self.lines) > 1 else ''} in this folder"
                + "".join(f"\n    {line}" for line in self.lines),
                where=self.folder,
                fix="mend or remove these files",
            )


@dataclass(frozen=True)
class Listing:
    """The files of a folder by scan name, and what its two optional tables say."""

    images: Mapping[str, Path]
    labels: Mapping[str, Path]
    test: tuple[str, ...]
    patients: Mapping[str, str]
    description: Mapping[str, object]

    @property
    def training(self) -> list[str]:
        """Names of all scans of imagesTr."""
        return [scan for scan in self.images if scan not in set(self.test)]

    def patient_of(self, scan: str) -> str:
        """The patient of a scan; without a table, each scan is a patient of its own."""
        return self.patients.get(scan, scan)


def folder_cohort(
    folder: Path, n_labelled: int, max_scans: int | None = None, split_seed: int = 0
) -> Cohort:
    """The cohort of a folder: spacing in mm, axes to the right, front and top, z-scored per scan.

    Raises `InputError` for an empty folder, too few labelled scans, and for broken files.
    """
    problems = Problems(folder)
    listing = list_folder(folder, problems)
    split, caveat = folder_split(folder, listing, n_labelled, split_seed)
    split = cap(split, max_scans)
    cases = {}
    for scan in split.all:
        with problems.collected():
            cases[scan] = _read_case(listing, scan)
    class_names = _class_names(listing, cases, problems)
    problems.refuse()
    about = listing.description
    return seal(
        labelled=[cases[scan] for scan in split.labelled],
        unlabelled=[cases[scan] for scan in split.unlabelled],
        validation=[cases[scan] for scan in split.validation],
        test=[cases[scan] for scan in split.test],
        name=folder.resolve().name,
        dimensions=3,
        class_names=class_names,
        spacing_unit="mm",
        licence=str(about.get("licence") or about.get("license") or "not stated"),
        citation=str(about.get("reference") or "not stated"),
        caveat=caveat,
    )


def list_folder(folder: Path, problems: Problems) -> Listing:
    """Find images, labels and tables. Raises `InputError` if there is no image at all."""
    images = _volumes(folder / "imagesTr", problems, channels=True)
    labels = _volumes(folder / "labelsTr", problems)
    test_images = _volumes(folder / "imagesTs", problems, channels=True)
    test_labels = _volumes(folder / "labelsTs", problems)
    if not images:
        raise InputError(
            "there is no scan in this folder", where=folder, expected="imagesTr/NAME.nii.gz"
        )
    for lone in sorted(labels.keys() - images.keys()):
        problems.add(labels[lone], "has no image of this name in imagesTr")
    for lone in sorted(test_labels.keys() - test_images.keys()):
        problems.add(test_labels[lone], "has no image of this name in imagesTs")
    for twice in sorted(images.keys() & test_images.keys()):
        problems.add(test_images[twice], "an image of this name is in imagesTr, too")
    return Listing(
        images={**test_images, **images},
        labels={**test_labels, **labels},
        test=tuple(scan for scan in test_images if scan not in images),
        patients=_patients(folder / "patients.csv", {**images, **test_images}, problems),
        description=_description(folder / "dataset.json", problems),
    )


def _volumes(folder: Path, problems: Problems, *, channels: bool = False) -> dict[str, Path]:
    """NIfTI files of a folder by scan name, sorted; hidden files are passed over."""
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("[!.]*")):
        suffix = next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), None)
        if suffix is None:
            continue
        scan = path.name.removesuffix(suffix)
        scan = scan.removesuffix("_0000") if channels else scan
        if scan in found:
            problems.add(path, f"the same scan as {found[scan].name}")
        found[scan] = path
    if channels:
        for scan in [scan for scan in found if scan.removesuffix("_0001") in found.keys() - {scan}]:
            problems.add(found.pop(scan), "a second channel; only scans with one are understood")
    return found


def _patients(path: Path, images: Mapping[str, Path], problems: Problems) -> dict[str, str]:
    """The table of scans and patients; without the file, an empty one."""
    if not path.exists():
        return {}
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    if not rows or rows[0] != ["scan", "patient"] or any(len(row) != 2 for row in rows):
        problems.add(path, "needs the two columns scan,patient under these headings")
        return {}
    patients = {_scan_name(scan): patient for scan, patient in rows[1:]}
    for unknown in sorted(patients.keys() - images.keys()):
        problems.add(path, f"names the scan {unknown!r}, which is not there")
    return patients


def _scan_name(cell: str) -> str:
    for suffix in SUFFIXES:
        cell = cell.removesuffix(suffix)
    return cell.removesuffix("_0000")


def _description(path: Path, problems: Problems) -> dict[str, object]:
    """The content of dataset.json, its labels turned into a tuple of names under "labels"."""
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        if "labels" in content:
            content["labels"] = _label_names(content["labels"])
    except (ValueError, TypeError, AttributeError) as error:
        problems.add(path, f"cannot be used ({error})")
        return {}
    return content


def _label_names(labels: Mapping[str, object]) -> tuple[str, ...]:
    """Names in the order of their values, from {"0": "background", ...} or {"background": 0, ...}.

    Raises `ValueError` unless the values are 0, 1, 2, ... without a gap.
    """
    pairs = [(key, name) if key.isdigit() else (name, key) for key, name in labels.items()]
    by_value = {int(value): str(name) for value, name in pairs}
    if len(by_value) < 2 or sorted(by_value) != list(range(len(pairs))):
        raise ValueError('"labels" must name the values 0, 1, 2, ... without a gap')
    return tuple(by_value[value] for value in sorted(by_value))


def folder_split(
    folder: Path, listing: Listing, n_labelled: int, seed: int = 0
) -> tuple[Split, str]:
    """The split of a folder, and a sentence for each decision that was ours.

    Labelled test scans are the test set; without any, a fifth of the labelled scans is. Validation
    is about a seventh of the labelled training scans. Patients are never cut. Raises `InputError`
    if too few labelled scans remain for training.
    """
    labelled = [scan for scan in listing.training if scan in listing.labels]
    test = tuple(scan for scan in listing.test if scan in listing.labels)
    if not labelled:
        raise InputError("no scan has a label map", where=folder, expected="labelsTr/NAME.nii.gz")
    own = "no labelled test scans were given: " if not test else ""
    patient_of = listing.patient_of
    test = test or hold_out(labelled, _share(TEST_SHARE, labelled), patient_of, seed=seed)
    rest = [scan for scan in labelled if scan not in set(test)]
    validation = hold_out(
        rest, _share(VALIDATION_SHARE, labelled), patient_of, never=test, seed=seed
    )
    away = (
        {patient_of(scan) for scan in (*validation, *test)}
        if own
        else set(map(patient_of, validation))
    )
    held_out = set(validation) | set(test)
    pool = [scan for scan in rest if scan not in held_out]
    unlabelled = [scan for scan in listing.training if scan not in listing.labels]
    lost = [scan for scan in unlabelled if patient_of(scan) in away]
    if not 1 <= n_labelled <= len(pool):
        raise InputError(
            f"{n_labelled} labelled scans were asked for; of {len(labelled)} label maps"
            f" {len(validation)} are for validation,"
            f" {len(labelled) - len(rest)} for test, and {len(pool)} remain for training",
            where=folder,
            expected=f"1 to {len(pool)}" if pool else "more label maps in labelsTr",
        )
    training = pool + [scan for scan in unlabelled if scan not in set(lost)]
    split = split_training(training, validation, test, n_labelled)
    return split, _caveat(own, split, listing, lost)


def _share(share: float, scans: list[str]) -> int:
    return max(1, round(share * len(scans)))


def _caveat(own: str, split: Split, listing: Listing, lost: list[str]) -> str:
    """The decisions on this folder in words."""
    unscored = [scan for scan in listing.test if scan not in listing.labels]
    sentences = [
        f"Split by us, by hash of the patient: {own}{len(split.test)} test and"
        f" {len(split.validation)} validation scans."
    ]
    if not listing.patients:
        sentences.append("Each scan is taken for a patient of its own (no patients.csv).")
    if lost:
        sentences.append(f"{len(lost)} unlabelled scans of held-out patients are left out.")
    if unscored:
        sentences.append(f"{len(unscored)} test scans without a label map are left out.")
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


def folder_fingerprint(folder: Path) -> str:
    """Hash of names, sizes and modification times of all files: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.stat()
            digest.update(
                repr(
                    (path.relative_to(folder).as_posix(), status.st_size, status.st_mtime_ns)
                ).encode()
            )
    return digest.hexdigest()[:16]
