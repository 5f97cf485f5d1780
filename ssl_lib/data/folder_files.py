"""What lies in a folder of NIfTI files: images, label maps, tables, and what is wrong with them.

FOLDER/imagesTr/NAME.nii.gz   scans for training (NAME_0000.nii.gz is understood, too)
FOLDER/labelsTr/NAME.nii.gz   their label maps; a scan without one is unlabelled
FOLDER/imagesTs, labelsTs     test scans and their label maps (optional)
FOLDER/dataset.json           class names under "labels" (optional)
FOLDER/patients.csv           a line "scan,patient" each, under these headings (optional)
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ssl_lib.utils.errors import InputError, is_text, printable

SUFFIXES = (".nii.gz", ".nii")
OTHER_FORMATS = (".dcm", ".mha", ".mhd", ".nrrd", ".nhdr", ".hdr", ".img", ".img.gz", ".mgz")
"""Endings of scans that are not read here: said, not passed over."""


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
            self.add(error.where, error.problem, error.expected, error.fix)

    def add(self, path: str | Path | None, problem: str, expected: str = "", fix: str = "") -> None:
        """Note one problem of one file."""
        self.lines.append(f"{self.name_of(path)}: {problem}")

    def name_of(self, path: str | Path | None) -> str:
        """A file as messages call it: by its path inside the folder."""
        inside = isinstance(path, Path) and path.is_relative_to(self.folder)
        return printable(path.relative_to(self.folder).as_posix() if inside else path)

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

    @property
    def scored_test(self) -> tuple[str, ...]:
        """Names of the scans of imagesTs that have a label map."""
        return tuple(scan for scan in self.test if scan in self.labels)

    def patient_of(self, scan: str) -> str:
        """The patient of a scan; without a table, each scan is a patient of its own."""
        return self.patients.get(scan, scan)


def folder_at(path: str) -> Path | None:
    """The folder of that path, `~` being one's own; None if there is none."""
    try:
        folder = Path(path).expanduser()
        return folder if folder.is_dir() else None
    except (OSError, RuntimeError, ValueError):  # a name that no folder can have
        return None


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
            if path.name.lower().endswith((*SUFFIXES, *OTHER_FORMATS)):
                problems.add(path, "is no NIfTI file by its name", fix="convert it to .nii.gz")
            continue
        if not is_text(path.name):
            problems.add(path, "its name holds characters that are no text", fix="rename it")
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
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        problems.add(path, f"cannot be read as a table ({error})")
        return {}
    if not rows or rows[0] != ["scan", "patient"] or any(len(row) != 2 for row in rows):
        problems.add(path, "needs the two columns scan,patient under these headings")
        return {}
    patients: dict[str, str] = {}
    for scan, patient in ((_scan_name(scan), patient) for scan, patient in rows[1:]):
        if not patient:
            problems.add(path, f"names no patient for the scan {scan!r}")
        elif patients.setdefault(scan, patient) != patient:
            problems.add(path, f"names two patients for the scan {scan!r}")
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
        if not isinstance(content, dict):
            raise ValueError("it holds no table of names and values")
        if "labels" in content:
            content["labels"] = _label_names(content["labels"])
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        problems.add(path, f"cannot be used ({error})")
        return {}
    return content


def _label_names(labels: Mapping[str, object]) -> tuple[str, ...]:
    """Names in the order of their values, from {"0": "background", ...} or {"background": 0, ...}.

    Raises `ValueError` unless the values are 0, 1, 2, ... without a gap.
    """
    pairs = [(key, name) if key.isdigit() else (name, key) for key, name in labels.items()]
    if not all(isinstance(value, (int, str)) for value, _ in pairs):
        raise ValueError('"labels" must name whole numbers')
    by_value = {int(value): str(name) for value, name in pairs}
    if len(by_value) < 2 or sorted(by_value) != list(range(len(pairs))):
        raise ValueError('"labels" must name the values 0, 1, 2, ... without a gap')
    if not all(map(is_text, by_value.values())):
        raise ValueError('"labels" holds a name with characters that are no text')
    return tuple(by_value[value] for value in sorted(by_value))


def folder_fingerprint(folder: Path) -> str:
    """Hash of names, sizes and modification times of all files: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.stat()
            name = path.relative_to(folder).as_posix()
            digest.update(repr((name, status.st_size, status.st_mtime_ns)).encode())
    return digest.hexdigest()[:16]
