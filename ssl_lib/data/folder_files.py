"""What lies in a folder of scans: images, label maps, tables, and what is wrong with them.

FOLDER/imagesTr/NAME.nii.gz   scans for training; NAME_0000.nii.gz, NAME_0001.nii.gz, ... are
                              the channels of one scan
FOLDER/labelsTr/NAME.nii.gz   their label maps; a scan without one is unlabelled
FOLDER/imagesTs, labelsTs     test scans and their label maps (optional)
FOLDER/dataset.json           class names under "labels" (optional)
FOLDER/patients.csv           a line "scan,patient" each, under these headings (optional)
FOLDER/splits_final.json      which scans each fold is tested on, as nnU-Net writes it (optional)

Where there is no imagesTr, images/ is read in its place, and labels/ or masks/ in that of labelsTr.
A label map called NAME_seg, NAME_mask and the like is matched to the scan NAME.

Other formats have other endings (see `suffixes`); a DICOM series is a folder, imagesTr/NAME/, or
one file with all its slices, imagesTr/NAME.dcm; a DICOM-SEG is labelsTr/NAME.dcm.
"""

from __future__ import annotations

import csv
import difflib
import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from ssl_lib.data.dicom_frames import holds_frames
from ssl_lib.data.findings import Findings, refuse_together, some, told
from ssl_lib.data.label_names import label_maps_among
from ssl_lib.data.pairing import (
    NUMBERED,
    match_files,
    name_of,
    of_a_scan,
    stated_pairs,
    tell_matches,
)
from ssl_lib.data.suffixes import MOST_LOOKED_AT, READ, SUFFIXES, format_of, holds_dicom, suffix_of
from ssl_lib.utils.errors import InputError, is_text, printable
from ssl_lib.utils.words import counted

OTHER_FORMATS = (
    ".dcm", ".hdr", ".img", ".img.gz", ".mgz", ".mgh", ".mnc", ".npy", ".npz", ".h5", ".hdf5",
    ".mat", ".zip", ".tar", ".gz", ".7z", ".part", ".crdownload", ".tmp",
)  # fmt: skip
"""Endings of files that may hold scans and are not read here."""
PARTS = ("imagesTr", "labelsTr", "imagesTs", "labelsTs")
ALSO_CALLED: Mapping[str, tuple[str, ...]] = {
    "imagesTr": ("images", "image"),
    "labelsTr": (
        "labels", "label", "masks", "mask", "segmentations", "segmentation", "ground_truth",
        "groundtruth", "gt",
    ),
}  # fmt: skip
"""Names that the two training folders have in many data sets, in capital or small letters."""
TEST_MARK = "_imagesTs"
"""What is added to a test scan's id if a training scan has its name."""
IGNORED = "ignore"
"""The label, in dataset.json, of voxels that nobody outlined (nnU-Net)."""

Codes = Mapping[tuple[int, int, int] | str, int]
"""What stands for a value: colours of pictures, labels of segments."""


@dataclass(frozen=True)
class Listing:
    """The files of a folder by scan id, and what its two optional tables say.

    `guessed` are patients by the names of scans that patients.csv does not name. `ignored` is the
    value of voxels that nobody outlined, if dataset.json states one. `codes` are the values of
    colours, where label maps are colour pictures, and of segments, where they are DICOM-SEG, by
    their labels. `images` holds the first channel of each scan,
    `channels` the files of all by number, from 0.
    """

    images: Mapping[str, Path]
    labels: Mapping[str, Path]
    test: tuple[str, ...]
    patients: Mapping[str, str]
    description: Mapping[str, Any]
    guessed: Mapping[str, str] = field(default_factory=dict)
    ignored: int | None = None
    codes: Codes = field(default_factory=dict)
    channels: Mapping[str, Mapping[int, Path]] = field(default_factory=dict)

    @property
    def training(self) -> list[str]:
        """Ids of all scans of imagesTr."""
        test = set(self.test)
        return [scan for scan in self.images if scan not in test]

    @property
    def scored_test(self) -> tuple[str, ...]:
        """Ids of the scans of imagesTs that have a label map."""
        return tuple(scan for scan in self.test if scan in self.labels)

    def files(self, scan: str) -> list[Path]:
        """The files of a scan: one, or one for each of its channels."""
        return list(dict(sorted(self.channels.get(scan, {0: self.images[scan]}).items())).values())

    def scans_called(self, names: Sequence[str]) -> list[str]:
        """The scan of each name, or that whose label map has it; else the name itself."""
        by_label = scans_by_label(self.labels)
        return [name if name in self.images else by_label.get(name, name) for name in names]

    def patient_of(self, scan: str) -> str:
        """The patient of a scan: as the table says, as its name suggests, else the scan itself."""
        return self.patients.get(scan, self.guessed.get(scan, scan))


def scans_by_label(labels: Mapping[str, Path]) -> dict[str, str]:
    """Each scan by the name of its label map's file."""
    return {name_of(path.name): scan for scan, path in labels.items()}


def folder_at(path: str) -> Path | None:
    """The folder of that path, `~` being one's own; None if there is none."""
    try:
        folder = Path(path).expanduser()
        return folder if folder.is_dir() else None
    except (OSError, RuntimeError, ValueError):  # a name that no folder can have
        return None


def list_folder(folder: Path, findings: Findings) -> Listing:
    """Find images, labels and tables.

    Raises `InputError` if there is no image at all, and for a table that cannot be used: names of
    classes and patients are decisions, which must not be lost.
    """
    tables = Findings(folder)
    _refuse_unreadable(folder)
    _refuse_misspelt(folder)
    folders = {part: _folder_of(folder, part, findings) for part in PARTS}
    _tell_other_folders(folder, folders, findings)
    parts = {part: _files(path, findings, part) for part, path in folders.items()}
    description = _description(folder / "dataset.json", tables)
    patterns = match_files(parts, dict(stated_pairs(description)), findings)
    by_channel = _channels_in(parts, description)
    channels, test_channels = (
        _by_scan(parts[part], findings, by_channel) for part in ("imagesTr", "imagesTs")
    )
    images, test_images = (
        {scan: files[0] for scan, files in one.items()} for one in (channels, test_channels)
    )
    labels, test_labels = (
        {s: files[0] for s, files in _by_scan(parts[p], findings, by_channel, True).items()}
        for p in ("labelsTr", "labelsTs")
    )
    if not images:
        raise _no_scan(folder, findings)
    labels = of_a_scan(labels, images, findings)
    test_labels = of_a_scan(test_labels, test_images, findings)
    tell_matches(patterns, images, labels, findings)
    tell_matches(patterns, test_images, test_labels, findings)
    ids = {scan: scan + TEST_MARK if scan in images else scan for scan in test_images}
    for scan, called in ids.items():
        if called != scan:
            findings.warn(
                test_images[scan],
                f"has the name of a scan in imagesTr: it is called {called} here, and taken for"
                " another patient",
                "a name for each scan",
                f"rename one of the two; if it is one patient, name {called} in patients.csv",
            )
    every = {**images, **{ids[scan]: path for scan, path in test_images.items()}}
    every_label = {**labels, **{ids[s]: path for s, path in test_labels.items()}}
    patients = _patients(folder / "patients.csv", every, every_label, tables)
    wrong = [one for one in tables.found if one.weight == "excluded"]
    if wrong:
        raise refuse_together(folder, wrong)
    findings.found += tables.found
    return Listing(
        images={**{ids[scan]: path for scan, path in test_images.items()}, **images},
        labels=every_label,
        test=tuple(ids.values()),
        patients=patients,
        description=description,
        ignored=description.get("ignored"),
        channels={**{ids[scan]: one for scan, one in test_channels.items()}, **channels},
    )


SPLITS = "splits_final.json"
"""nnU-Net's name for a file that says which scans each fold is tested on."""

KNOWN = (*PARTS, "dataset.json", "patients.csv")


def _refuse_misspelt(folder: Path) -> None:
    """Refuse a name that is nearly one of those that are read, where that one is missing."""
    entries = {path.name: path for path in folder.glob("[!.]*")}
    for name, path in sorted(entries.items()):
        if name in (*KNOWN, SPLITS):
            continue
        missing = [known for known in KNOWN if known not in entries]
        near = difflib.get_close_matches(name.lower(), [k.lower() for k in missing], 1, 0.87)
        if near:
            meant = next(known for known in missing if known.lower() == near[0])
            raise InputError(
                f"is not read: is it meant to be {meant}?",
                where=path,
                expected=", ".join(KNOWN),
                fix=f"rename it to {meant}, or move it away",
            )


KINDS = {
    "nifti": "NIfTI files", "itk": ".mha or .nrrd files", "dicom": "DICOM files",
    "picture": "pictures", "other": "files that may be scans",
}  # fmt: skip


def _tell_other_folders(folder: Path, read: Mapping[str, Path], findings: Findings) -> None:
    """Name further folders with scans: by a warning where label maps may lie in them."""
    labels = read["labelsTr"]
    sure = labels == folder / "labelsTr" and any(map(_is_read, labels.glob("[!.]*")))
    say = findings.note if sure else findings.warn
    for path in sorted(folder.glob("[!.]*")):
        if path.name in (*KNOWN, SPLITS) or path in read.values() or not path.is_dir():
            continue
        files = [one for one in islice(path.rglob("[!.]*"), MOST_LOOKED_AT) if one.is_file()]
        inside: set[str | None] = {format_of(one) for one in files}
        inside |= {"other"} if any(map(_may_hold_a_scan, files)) else set()
        kinds = [words for kind, words in KINDS.items() if kind in inside]
        for words in kinds[:1]:
            say(path, f"holds {words}, and is not read", ", ".join(PARTS), topic="unread")


def _folder_of(folder: Path, part: str, findings: Findings) -> Path:
    """Where the files of a part lie: in the folder of its name, else in one of a usual name.

    Raises `InputError` where two of those could be meant, or the one is no folder.
    """
    named = folder / part
    usual = ALSO_CALLED.get(part, ())
    found = sorted(p for p in folder.glob("[!.]*") if p.name.lower() in usual and _holds_some(p))
    if named.is_symlink() and not named.exists():
        found = [named]
    elif _holds_some(named) or not found:
        return named
    if len(found) > 1:
        names = printable(" and ".join(path.name for path in found))
        raise InputError(
            f"holds {names}: which of them is {part}?",
            where=folder,
            expected=f"one folder {part}",
            fix=f"rename the right one to {part}",
        )
    if not found[0].is_dir():
        raise InputError(
            "is a link to what is not there" if found[0].is_symlink() else "is a file",
            where=found[0],
            expected=f"a folder, read as {part}",
            fix="rename or remove it",
        )
    empty = f": {part} holds nothing that is read" if named.is_dir() else ""
    findings.note(found[0], f"is read as {part}{empty}")
    return found[0]


def _holds_some(path: Path) -> bool:
    """True for a folder with a file that may be a scan, or a folder, in it, and for all that is no
    folder: it must be told."""
    if not path.is_dir():
        return path.exists() or path.is_symlink()
    return any(p.is_dir() or suffix_of(p.name) or _may_hold_a_scan(p) for p in path.glob("[!.]*"))


def _refuse_unreadable(folder: Path) -> None:
    if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
        raise InputError(
            "may not be read",
            where=folder,
            expected="the right to read and to enter this folder",
            fix="change its permissions",
        )


def _no_scan(folder: Path, findings: Findings) -> InputError:
    """What to say of a folder without a scan: what is there instead, and where scans belong."""
    there = sorted(path.name for path in folder.glob("[!.]*"))
    names = ("imagesTr", "images", "Images")
    deeper = [path for name in names for path in folder.glob(f"*/{name}")]
    deeper += folder.glob("*/*/imagesTr")
    inside = sorted({path.parent.relative_to(folder).as_posix() for path in deeper})
    files = [name for name in there if suffix_of(name)]
    among = label_maps_among({name_of(name) for name in files})
    maps = [name for name in files if name_of(name) in among or name.lower().endswith(SLICER)]
    trouble = [one for one in findings.found if one.weight != "note"]
    fix = "put the scans there"
    if inside:
        fix = f"give the path of a folder inside it: {printable(', '.join(inside[:6]))}"
    elif maps:
        fix = (
            f"move its {counted(len(files) - len(maps), 'scan')} into imagesTr/, and its"
            f" {counted(len(maps), 'label map')}, such as {printable(maps[0])}, into labelsTr/"
        )
    elif files:
        nifti = sum(name.lower().endswith(SUFFIXES["nifti"]) for name in files)
        fix = (
            f"move its {counted(nifti, 'NIfTI file')} into imagesTr/"
            if nifti
            else f"move its {counted(len(files), 'image file')} into imagesTr/"
        )
    elif trouble:
        fix = "fix these:" + "".join(f"\n    {line}" for line in told(trouble))
    elif there:
        fix += f"; it holds {printable(', '.join(there[:6]))}"
    return InputError(
        "there is no scan in this folder",
        where=folder,
        expected="imagesTr/NAME.nii.gz",
        fix=fix,
    )


def _files(folder: Path, findings: Findings, part: str) -> dict[str, Path]:
    """Scans of a folder by their names without ending, sorted. Hidden files are passed over,
    everything else that is not read is named in one line."""
    found: dict[str, Path] = {}
    unread: list[Path] = []
    if folder.exists() and not folder.is_dir():
        raise InputError("is a file", where=folder, expected="a folder", fix="rename or remove it")
    _refuse_unreadable(folder)
    paths = sorted(folder.glob("[!.]*"))
    headers = {path.name for path in paths if path.name.lower().endswith(DETACHED)}
    for path in sorted(paths, key=_rank):  # of two files of one scan NIfTI comes first
        if not _is_read(path):
            if not _is_voxels(path, headers):
                unread.append(path)
            continue
        if part.startswith("images") and path.name.lower().endswith(SLICER):
            findings.exclude(
                path,
                "is a segmentation as 3D Slicer saves it, and lies among the scans",
                f"label maps in {part.replace('images', 'labels')}",
                "move it there",
            )
            continue
        if not is_text(path.name):
            findings.exclude(path, "its name holds characters that are no text", fix="rename it")
            continue
        end = 0 if path.is_dir() else len(suffix_of(path.name))
        name = unicodedata.normalize("NFC", path.name[: len(path.name) - end])
        if name in found:
            alike = suffix_of(path.name) == suffix_of(found[name].name)
            findings.exclude(
                path,
                f"is a second file of the scan {name}: {found[name].name} is used",
                "one file for each scan",
                "remove one of the two"
                + ("; the two names look alike, but are written in other bytes" if alike else ""),
            )
            continue
        found[name] = path
    _tell_unread(folder, sorted(unread), findings)
    return dict(sorted(found.items(), key=lambda pair: pair[1]))


SLICER = ".seg.nrrd"
DETACHED = (".mhd", ".nhdr")
VOXELS = (".raw", ".zraw", ".raw.gz", ".bin")
"""Endings of headers without voxels, and of the files with the voxels."""


def _rank(path: Path) -> tuple[int, Path]:
    """Files in the order of the table of formats, those of one format by name."""
    return list(SUFFIXES).index(format_of(path) or "picture"), path


def _is_read(path: Path) -> bool:
    """Whether a file or a folder is a scan or a label map by its name, or holds DICOM. A .dcm file
    must hold all slices: one with a single slice is a part of a series, which has a folder."""
    if path.is_dir():
        return holds_dicom(path)
    ending = suffix_of(path.name)
    return holds_frames(path) if ending in SUFFIXES["dicom"] else bool(ending)


def _is_voxels(path: Path, headers: Collection[str]) -> bool:
    """Whether a file holds the voxels of a header beside it."""
    ending = next((end for end in VOXELS if path.name.lower().endswith(end)), "")
    name = path.name[: len(path.name) - len(ending)]
    return bool(ending) and any(name + end in headers for end in DETACHED)


def _tell_unread(folder: Path, unread: Collection[Path], findings: Findings) -> None:
    if not unread:
        return
    likely = [path for path in unread if path.is_dir() or _may_hold_a_scan(path)]
    names = [path.name + ("/" if path.is_dir() else "") for path in (likely or unread)]
    say = findings.warn if likely else findings.note
    count = len(names)
    say(
        folder,
        f"{count} file{'s' if count > 1 else ''} or folder{'s' if count > 1 else ''} in it"
        f" {'are' if count > 1 else 'is'} not read: {printable(some(names, 8))}",
        f"{READ}; no file in a sub-folder but DICOM",
        "convert scans of another format to .nii.gz, and move them here; give each DICOM series a"
        " folder of its own"
        if likely
        else "",
    )


def _may_hold_a_scan(path: Path) -> bool:
    """By its name: another image format, a packed or unfinished file, or no ending (DICOM)."""
    name = path.name.lower()
    return name.endswith(OTHER_FORMATS) or "." not in name


def _channels_in(
    parts: Mapping[str, Mapping[str, Path]], description: Mapping[str, Any]
) -> frozenset[str]:
    """Names of scans whose images end in the number of a channel.

    NAME_0001 can only be a channel where NAME_0000 (or NAME) is there. Then the label maps decide:
    NAME means that NAME_0000 is a channel, and NAME_0001 that it is a scan. What has no label map
    follows the others; without any, several channels in dataset.json, one number alone, or several
    scans with the same numbers mean channels.
    """
    plain = {*parts["imagesTr"], *parts["imagesTs"]}
    numbers: dict[str, set[str]] = {}
    for name in plain:
        if match := NUMBERED.match(name):
            numbers.setdefault(match[1], set()).add(match[2])
    numbers = {name: found for name, found in numbers.items() if "0000" in found or name in plain}
    labels = {*parts["labelsTr"], *parts["labelsTs"]}
    stated = description.get("channel_names") or description.get("modality") or ()
    several = isinstance(stated, Mapping | list) and len(stated) > 1
    outlined = {
        name: {number for number in found if f"{name}_{number}" in labels}
        for name, found in numbers.items()
    }
    first_only = several and all(found <= {"0000"} for found in outlined.values())
    own = {name for name, found in outlined.items() if found and not first_only}
    channel = {name for name in numbers if name in labels or name in plain} - own
    open_ones = numbers.keys() - channel - own
    lone = all(numbers[name] == {"0000"} for name in open_ones)
    alike = len(open_ones) > 1 and len({frozenset(numbers[name]) for name in open_ones}) == 1
    if channel or (not own and (several or lone or alike)):
        channel |= open_ones
    return frozenset(channel)


def _by_scan(
    files: Mapping[str, Path], findings: Findings, by_channel: Collection[str], labels: bool = False
) -> dict[str, dict[int, Path]]:
    """Files by scan and number of channel, from 0; label maps have one, and further ones are
    excluded by name."""
    found: dict[str, dict[int, Path]] = {}
    for name, path in files.items():
        match = NUMBERED.match(name)
        is_channel = match and match[1] in by_channel
        scan, number = (match[1], int(match[2])) if match and is_channel else (name, 0)
        before = found.get(scan, {}).get(number)
        if before is not None and not is_channel:
            findings.exclude(
                path, f"is a second file of the scan {name}", fix="remove one of the two"
            )
        elif before is not None:
            findings.exclude(
                path,
                f"is a second file of the scan {scan}: {before.name} is used",
                "one file for each scan",
                "remove one of the two",
            )
        elif number and labels:
            findings.exclude(
                path, "belongs to a further channel of its scan", "one label map for each scan"
            )
        else:
            found.setdefault(scan, {})[number] = path
    return {scan: one for scan, one in found.items() if _has_first(one, findings)}


def _has_first(channels: Mapping[int, Path], findings: Findings) -> bool:
    """Whether a scan has its first channel; the others are excluded without it."""
    if 0 not in channels:
        for path in channels.values():
            findings.exclude(
                path,
                "is a further channel of a scan whose first one (_0000) is missing",
                "all channels of a scan",
                "copy it here, too",
            )
    return 0 in channels


def _patients(
    path: Path, images: Mapping[str, Path], labels: Mapping[str, Path], findings: Findings
) -> dict[str, str]:
    """The table of scans and patients; without the file, an empty one.

    Its columns may be parted by commas, semicolons or tabs, and stand beside others.
    """
    if not path.exists():
        return {}
    form = "a line of headings, scan,patient, and below it a line for each scan (CSV in UTF-8)"
    again = "save it anew as CSV (UTF-8), with these two columns"
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = [line for line in file.read().splitlines() if line.strip(",;\t \"'")]
        lines = lines[1:] if lines and lines[0].lower().startswith("sep=") else lines
        head = lines[0].lower() if lines else ""
        parted = next((mark for mark in ",;\t" if mark in head), ",")
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=parted)]
    except (OSError, UnicodeDecodeError, csv.Error):
        findings.exclude(path, "cannot be read as a table", form, again)
        return {}
    heads = [cell.lower() for cell in rows[0]] if rows else []
    if heads.count("scan") != 1 or heads.count("patient") != 1:
        findings.exclude(path, "has no columns scan,patient under these headings", form, again)
        return {}
    places = heads.index("scan"), heads.index("patient")
    patients: dict[str, str] = {}
    by_label = scans_by_label(labels)
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(heads):
            findings.exclude(path, f"line {number} has {len(row)} cells, not {len(heads)}", form)
            continue
        scan, patient = _scan_name(row[places[0]], images, by_label), row[places[1]]
        patient = unicodedata.normalize("NFC", patient)
        if not patient:
            findings.exclude(path, f"names no patient for the scan {scan!r} (line {number})", form)
        elif patients.setdefault(scan, patient) != patient:
            findings.exclude(path, f"names two patients for the scan {scan!r}", "one line a scan")
    unknown = sorted(patients.keys() - images.keys())
    if unknown:
        findings.warn(
            path,
            f"names scans that are not there: {printable(', '.join(unknown))}",
            "names of files in imagesTr or imagesTs, without .nii.gz",
            "correct these names, or remove their lines",
        )
    return patients


def _scan_name(cell: str, images: Mapping[str, Path], by_label: Mapping[str, str]) -> str:
    """The id that a cell of patients.csv means: with or without a folder, an ending, a channel, the
    leading zeros that a spreadsheet takes away, or the name of the scan's label map."""
    cell = name_of(cell)
    if cell in images:
        return cell
    if cell in by_label:
        return by_label[cell]
    if cell.isdecimal():
        same = [name for name in images if name.isdecimal() and int(name) == int(cell)]
        return same[0] if len(same) == 1 else cell
    return cell.removesuffix("_0000")


def _description(path: Path, findings: Findings) -> dict[str, Any]:
    """The content of dataset.json: the names of its classes under "labels", their values under
    "values", those of colours under "colours", and the value of ignored voxels, which is no class,
    under "ignored"."""
    if not path.exists():
        return {}
    form = '{"labels": {"background": 0, "organ": 1}}'
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(content, dict):
            raise _Wrong("it holds no table of names and values")
        content["values"], content["ignored"] = None, None
        _refuse_two_scans(stated_pairs(content))
        content["colours"] = _stated_colours(content.get("labels"))
        if content["colours"]:
            content["labels"] = {name: i for i, name in enumerate(content["labels"])}
        if "labels" in content:
            names = _label_names(content["labels"])
            content["labels"], content["values"], content["ignored"] = names
            _ask_about_names(path, names[0], findings)
    except json.JSONDecodeError as error:
        findings.exclude(
            path,
            f"cannot be used: it is no valid JSON at line {error.lineno}, column {error.colno}",
            form,
            "check brackets, commas and quotation marks there",
        )
        return {}
    except UnicodeDecodeError:
        findings.exclude(path, "cannot be used: it is no text in UTF-8", form, "save it as UTF-8")
        return {}
    except RecursionError:
        findings.exclude(path, "cannot be used: it is nested too deep", form)
        return {}
    except OSError:
        findings.exclude(path, "cannot be used: it is no file that can be read", form)
        return {}
    except _Wrong as error:
        findings.exclude(path, f"cannot be used: {error}", form, "correct it, or leave it away")
        return {}
    except (ValueError, OverflowError):  # a number of a thousand digits, NaN
        findings.exclude(path, "cannot be used: a number in it is none", form)
        return {}
    return content


def _refuse_two_scans(pairs: Sequence[tuple[str, str]]) -> None:
    """Raise `_Wrong` for a label map that is stated for two scans, or two for one."""
    for ends, words in ((0, "the label map {!r} for two scans"), (1, "two label maps of {!r}")):
        twice = Counter(pair[ends] for pair in dict.fromkeys(pairs))
        for name, count in twice.items():
            if count > 1:
                raise _Wrong(f'"training" names {words.format(name)}')


NO_ORGAN = ("unlabelled", "unlabeled", "void", "unknown", "undefined", "dont care", "don't care")


def _ask_about_names(path: Path, names: tuple[str, ...], findings: Findings) -> None:
    """Ask about a class whose name says that nobody outlined its voxels."""
    for name in names[1:]:
        if name.lower().replace("_", " ") in NO_ORGAN:
            findings.warn(
                path,
                f"the class {name!r} is learnt as one: does it mean voxels that nobody outlined?",
                "names of organs",
                "if so, call it 'ignore' and give it the highest value",
            )


class _Wrong(ValueError):
    """What is wrong with a table, in words for its reader."""


HEX = re.compile(r"#[0-9a-fA-F]{6}")


def _stated_colours(labels: object) -> dict[tuple[int, ...], int]:
    """The value of each colour of {"background": "#000000", "organ": "#ff0000", ...}, in this
    order; empty for a table of numbers. Raises `_Wrong` for a colour that is named twice."""
    stated = list(labels.values()) if isinstance(labels, Mapping) else []
    if not stated or not all(isinstance(one, str) and HEX.fullmatch(one) for one in stated):
        return {}
    colours = {tuple(bytes.fromhex(one[1:])): value for value, one in enumerate(stated)}
    if len(colours) < len(stated):
        raise _Wrong('"labels" names a colour twice')
    return colours


def _label_names(labels: object) -> tuple[tuple[str, ...], tuple[int, ...], int | None]:
    """Names and values of the classes, from {"0": "background", ...} or {"background": 0, ...}, in
    the order of their values, and the value of ignored voxels, which must be the highest.

    Raises `_Wrong` unless the values are whole numbers from 0 to 255, 0 among them, with a name of
    their own each.
    """
    if not isinstance(labels, Mapping):
        raise _Wrong('"labels" must be a table of names and values')
    pairs = [(key, name) if key.isdecimal() else (name, key) for key, name in labels.items()]
    if any(isinstance(value, list) for value, _ in pairs):
        raise _Wrong('"labels" holds regions (lists of values), and must name whole numbers')
    by_value: dict[int, str] = {}
    for value, name in pairs:
        number = _whole(value)
        if number is None or not isinstance(name, str) or not name.strip():
            raise _Wrong('"labels" must name whole numbers from 0 to 255, each by a text')
        if number in by_value or name in by_value.values():
            raise _Wrong(f'"labels" names the value {number} or the class {name!r} twice')
        if not is_text(name):
            raise _Wrong('"labels" holds a name with characters that are no text')
        by_value[number] = name
    last = max(by_value, default=0)
    open_ones = [value for value, name in by_value.items() if name.lower().startswith(IGNORED)]
    if open_ones and open_ones != [last]:
        raise _Wrong(f'"labels" gives {IGNORED!r} another value than the highest')
    ignored = last if open_ones else None
    classes = {value: name for value, name in sorted(by_value.items()) if value != ignored}
    if len(classes) < 2 or 0 not in classes:
        raise _Wrong('"labels" must name the value 0 (background) and at least one class')
    return tuple(classes.values()), tuple(classes), ignored


def _whole(value: object) -> int | None:
    """A whole number from 0 to 255 as JSON may write it; None for everything else."""
    if isinstance(value, str):
        value = int(value) if value.isdecimal() and len(value) < 4 else None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        return None
    return int(value) if 0 <= value <= 255 else None
